//! New trees, and trees that get space trees.

use super::group::Work;
use super::mismatch;
use crate::error::{Error, JetErr, Result};
use ese_format::log::record::{
    ConvertFdp, ConvertFdp2, CreateMultipleExtentFdp, CreateSingleExtentFdp, NewPage as NewPageRecord,
    PagePrefix,
};
use ese_format::page::{LineFlags, NewPage, PageFlags, PageMut};
use ese_format::space::{Extent, RootFields, SpaceFlags, SpaceHeader, SpaceKind, SplitBuffers};
use ese_format::{ObjectId, PageNumber};

/// A tree with space trees of its own.
pub(super) fn multiple(work: &mut Work<'_, '_>, record: &CreateMultipleExtentFdp) -> Result<()> {
    let prefix = &record.page;
    let (root, pages) = (prefix.page, record.primary_pages);
    let flags = kind(record.page_flags);
    let expected = [root.0.checked_add(1), root.0.checked_add(2)];
    if [Some(record.owned.0), Some(record.available.0)] != expected || pages < 3 {
        return Err(mismatch(root, "a new tree's space trees are not behind its root"));
    }
    let all = extent(root, root, pages)?;
    if work.open_new(root, prefix.after)? {
        let space = SpaceHeader::new_multiple(record.parent, pages, !is_unique(prefix), record.owned);
        put_root(work, prefix, record.object, flags, space)?;
    }
    let spare = Extent { last: all.last, pages: pages - 3 };
    put_space_root(work, prefix, record.owned, record.object, flags, &[all])?;
    put_space_root(work, prefix, record.available, record.object, flags, &[spare])
}

/// A tree that keeps its space in its root.
pub(super) fn single(work: &mut Work<'_, '_>, record: &CreateSingleExtentFdp) -> Result<()> {
    let prefix = &record.page;
    extent(prefix.page, prefix.page, record.primary_pages)?;
    if work.open_new(prefix.page, prefix.after)? {
        let space = SpaceHeader::new_single(record.parent, record.primary_pages, !is_unique(prefix));
        put_root(work, prefix, record.object, kind(record.page_flags), space)?;
    }
    Ok(())
}

/// A tree gets space trees; the record says what was still available.
pub(super) fn convert(work: &mut Work<'_, '_>, record: &ConvertFdp2) -> Result<()> {
    let prefix = &record.page;
    let root = prefix.page;
    let flags = kind(record.page_flags);
    let primary = extent(root, root, record.primary_pages)?;
    let secondary = extent(root, record.secondary_first, record.secondary_pages)?;
    let expected = [Some(record.secondary_first.0), record.secondary_first.0.checked_add(1)];
    let overlap = primary.first() <= secondary.last && secondary.first() <= primary.last;
    let found = [Some(record.owned.0), Some(record.available.0)];
    if found != expected || record.secondary_pages < 2 || overlap {
        return Err(mismatch(root, "the space trees do not begin the secondary extent"));
    }
    if work.open(root, prefix.before, prefix.after)? {
        let page = work.content(root)?;
        let fields = RootFields::of_page(&page).map_err(|error| Error::from(error.at_page(root)))?;
        if matches!(fields.space.kind, SpaceKind::Multiple { .. }) {
            return Err(mismatch(root, "the tree has space trees already"));
        }
        let space = SpaceHeader {
            pages: record.primary_pages,
            parent: record.parent,
            flags: fields.space.flags | SpaceFlags::MULTIPLE_EXTENT,
            kind: SpaceKind::Multiple { owned_root: record.owned },
        };
        let header = RootFields { space, ..fields }.encode();
        work.edit(root, prefix.after, |page| page.set_external_header(&header))?;
    }
    let before = SpaceHeader {
        kind: SpaceKind::Single { available: record.available_bits },
        ..SpaceHeader::new_single(record.parent, record.primary_pages, false)
    };
    let mut available: Vec<Extent> = before.single_available(root).into_iter().map(|(_, run)| run).collect();
    available.push(Extent { last: secondary.last, pages: record.secondary_pages - 2 });
    put_space_root(work, prefix, record.owned, record.object, flags, &[primary, secondary])?;
    put_space_root(work, prefix, record.available, record.object, flags, &available)
}

/// The obsolete form, which leaves what was available and the kind of the tree to the root's old content.
pub(super) fn convert_v1(work: &mut Work<'_, '_>, record: &ConvertFdp) -> Result<()> {
    let prefix = &record.page;
    let root = prefix.page;
    if !work.open(root, prefix.before, prefix.after)? {
        let is_owned_done = !work.open_new(record.owned, prefix.after)?;
        let is_available_done = !work.open_new(record.available, prefix.after)?;
        if is_owned_done && is_available_done {
            return Ok(());
        }
        return Err(Error::new(
            JetErr::DatabaseBufferDependenciesCorrupted,
            "the space trees must be made again, and the root has lost what was available",
        )
        .page(root));
    }
    let page = work.content(root)?;
    let fields = RootFields::of_page(&page).map_err(|error| Error::from(error.at_page(root)))?;
    let SpaceKind::Single { available } = fields.space.kind else {
        return Err(mismatch(root, "the tree has space trees already"));
    };
    let kinds = PageFlags::INDEX | PageFlags::LONG_VALUE | PageFlags::NON_UNIQUE_KEYS;
    let newer = ConvertFdp2 {
        page: record.page,
        object: record.object,
        owned: record.owned,
        available: record.available,
        parent: record.parent,
        secondary_first: record.secondary_first,
        primary_pages: record.primary_pages,
        secondary_pages: record.secondary_pages,
        available_bits: available,
        page_flags: (page.flags() & kinds).bits(),
    };
    convert(work, &newer)
}

/// A page that is allocated and not used yet.
pub(super) fn blank(work: &mut Work<'_, '_>, record: &NewPageRecord) -> Result<()> {
    if !work.open_new(record.page, record.after)? {
        return Ok(());
    }
    let mut bytes = vec![0; work.layout.page_size.bytes()];
    let new = NewPage {
        number: record.page,
        object: record.object,
        db_time: record.after,
        flags: PageFlags::PRE_INIT,
        reserved_tags: false,
    };
    PageMut::format_blank(&mut bytes, work.layout.page_size, new)?;
    work.put(record.page, bytes);
    Ok(())
}

/// The kind of a tree from the flags in a record; what a page's place in the tree decides is left out.
fn kind(flags: u32) -> PageFlags {
    let place = PageFlags::ROOT
        | PageFlags::LEAF
        | PageFlags::PARENT_OF_LEAF
        | PageFlags::EMPTY
        | PageFlags::PRE_INIT
        | PageFlags::SPACE_TREE
        | PageFlags::SCRUBBED;
    PageFlags::from_bits_retain(flags) - place
}

fn is_unique(prefix: &PagePrefix) -> bool {
    prefix.flags & PagePrefix::UNIQUE != 0
}

/// The extent from a first page on, if it lies within the numbers that pages can have.
fn extent(root: PageNumber, first: PageNumber, pages: u32) -> Result<Extent> {
    let last = first.0.checked_add(pages).and_then(|end| end.checked_sub(1));
    match last {
        Some(last) if pages > 0 && first.is_some() && last <= PageNumber::MAX.0 => {
            Ok(Extent { last: PageNumber(last), pages })
        }
        _ => Err(mismatch(root, format!("{pages} pages from page {first} on are no extent"))),
    }
}

fn put_root(
    work: &mut Work<'_, '_>,
    prefix: &PagePrefix,
    object: ObjectId,
    flags: PageFlags,
    space: SpaceHeader,
) -> Result<()> {
    let header = RootFields { space, auto_increment: None }.encode();
    let flags = flags | PageFlags::ROOT | PageFlags::LEAF;
    let bytes =
        work.fresh(prefix.page, object, prefix.after, flags, |page| page.set_external_header(&header))?;
    work.put(prefix.page, bytes);
    Ok(())
}

/// The root of a space tree with its extents; those without pages are left out.
fn put_space_root(
    work: &mut Work<'_, '_>,
    prefix: &PagePrefix,
    page: PageNumber,
    object: ObjectId,
    flags: PageFlags,
    extents: &[Extent],
) -> Result<()> {
    if !work.open_new(page, prefix.after)? {
        return Ok(());
    }
    let mut extents: Vec<Extent> = extents.iter().copied().filter(|extent| extent.pages > 0).collect();
    extents.sort_unstable();
    let flags = flags | PageFlags::ROOT | PageFlags::LEAF | PageFlags::SPACE_TREE;
    let bytes = work.fresh(page, object, prefix.after, flags, |page| {
        page.set_external_header(&SplitBuffers::default().encode())?;
        for (index, extent) in extents.iter().enumerate() {
            page.insert_node(index, &extent.key(), &extent.data(), LineFlags::empty())?;
        }
        Ok(())
    })?;
    work.put(page, bytes);
    Ok(())
}
