//! Pages of small trees from entries in key order.

use crate::error::{FormatError, FormatErrorKind, Result};
use crate::node::separator;
use crate::page::{LineFlags, NewPage, PageFlags, PageMut};
use crate::primitives::{DbTime, ObjectId, PageNumber, PageSize};
use crate::space::{Extent, RootFields, SpaceHeader, SplitBuffers};

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// Collects pages.
pub(super) struct Builder {
    page_size: PageSize,
    db_time: DbTime,
    pages: Vec<(PageNumber, Vec<u8>)>,
}

impl Builder {
    pub(super) const fn new(page_size: PageSize, db_time: DbTime) -> Self {
        Self { page_size, db_time, pages: Vec::new() }
    }

    /// All pages in page order.
    pub(super) fn finish(mut self) -> Vec<(PageNumber, Vec<u8>)> {
        self.pages.sort_unstable_by_key(|page| page.0);
        self.pages
    }

    /// Whether a root page alone holds the entries of a tree with a space header.
    pub(super) fn fits_root(&self, entries: &[Entry]) -> bool {
        // Each entry costs a tag and a key length besides its content; the header has a tag of its own.
        let needed: usize = entries.iter().map(|e| e.key.len() + e.data.len() + 6).sum();
        needed + SpaceHeader::BYTES + 4 <= self.page_size.bytes() - self.page_size.header_bytes()
    }

    /// A tree of one page, or of a root and leaves on the first of the `free` pages. Gives the number of
    /// leaves besides the root.
    pub(super) fn tree(
        &mut self,
        root: PageNumber,
        object: ObjectId,
        kind: PageFlags,
        space: SpaceHeader,
        entries: &[Entry],
        free: &[PageNumber],
    ) -> Result<u32> {
        let header = RootFields { space, auto_increment: None }.encode();
        if self.fits_root(entries) {
            let flags = kind | PageFlags::ROOT | PageFlags::LEAF;
            self.page(root, object, flags, &header, entries, [PageNumber::NONE; 2])?;
            return Ok(0);
        }
        for count in 2..=free.len() {
            let groups = split(entries, count);
            let before = self.pages.len();
            match self.leaves(object, kind, &groups, &free[..count]) {
                Ok(()) => {}
                Err(error) if error.kind == FormatErrorKind::TooLarge => {
                    self.pages.truncate(before);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let pointers: Vec<Entry> = groups
                .iter()
                .enumerate()
                .map(|(index, group)| {
                    let left = group.last().map_or(&[][..], |e| &e.key);
                    let key = groups.get(index + 1).and_then(|right| right.first());
                    let key = key.map_or(&[][..], |right| separator(left, &right.key)).to_vec();
                    Entry { key, data: free[index].0.to_le_bytes().to_vec() }
                })
                .collect();
            let flags = kind | PageFlags::ROOT | PageFlags::PARENT_OF_LEAF;
            self.page(root, object, flags, &header, &pointers, [PageNumber::NONE; 2])?;
            return Ok(count as u32);
        }
        Err(FormatError::new(FormatErrorKind::TooLarge, "the entries do not fit the pages of the tree"))
    }

    /// The two space trees behind a root. Extents without pages are left out.
    pub(super) fn space(
        &mut self,
        root: PageNumber,
        object: ObjectId,
        kind: PageFlags,
        owned: &[Extent],
        available: &[Extent],
    ) -> Result<()> {
        let flags = kind | PageFlags::ROOT | PageFlags::LEAF | PageFlags::SPACE_TREE;
        for (page, extents) in [(root.0 + 1, owned), (root.0 + 2, available)] {
            let entries: Vec<Entry> = extents
                .iter()
                .filter(|extent| extent.pages > 0)
                .map(|extent| Entry { key: extent.key().to_vec(), data: extent.data().to_vec() })
                .collect();
            let header = SplitBuffers::default().encode();
            self.page(PageNumber(page), object, flags, &header, &entries, [PageNumber::NONE; 2])?;
        }
        Ok(())
    }

    fn leaves(
        &mut self,
        object: ObjectId,
        kind: PageFlags,
        groups: &[&[Entry]],
        pages: &[PageNumber],
    ) -> Result<()> {
        for (index, (group, page)) in groups.iter().zip(pages).enumerate() {
            // The key in the middle shares most with its neighbours.
            let prefix = group.get(group.len() / 2).map_or(&[][..], |entry| &entry.key);
            let sibling = |at: Option<usize>| at.and_then(|at| pages.get(at)).copied().unwrap_or_default();
            let siblings = [sibling(index.checked_sub(1)), sibling(Some(index + 1))];
            self.page(*page, object, kind | PageFlags::LEAF, prefix, group, siblings)?;
        }
        Ok(())
    }

    fn page(
        &mut self,
        number: PageNumber,
        object: ObjectId,
        flags: PageFlags,
        header: &[u8],
        entries: &[Entry],
        [previous, next]: [PageNumber; 2],
    ) -> Result<()> {
        let mut bytes = vec![0; self.page_size.bytes()];
        let new = NewPage { number, object, db_time: self.db_time, flags, reserved_tags: false };
        let mut page = PageMut::format(&mut bytes, self.page_size, new)?;
        page.set_previous(previous);
        page.set_next(next);
        page.set_external_header(header)?;
        for (index, entry) in entries.iter().enumerate() {
            page.insert_node(index, &entry.key, &entry.data, LineFlags::empty())?;
        }
        page.seal(number);
        self.pages.push((number, bytes));
        Ok(())
    }
}

/// Entries in `count` groups of about the same number of bytes.
fn split(entries: &[Entry], count: usize) -> Vec<&[Entry]> {
    let bytes = |entry: &Entry| entry.key.len() + entry.data.len() + 8;
    let total: usize = entries.iter().map(bytes).sum();
    let (mut groups, mut start, mut seen) = (Vec::with_capacity(count), 0, 0);
    for (index, entry) in entries.iter().enumerate() {
        seen += bytes(entry);
        if seen * count >= total * (groups.len() + 1) && groups.len() + 1 < count {
            groups.push(&entries[start..=index]);
            start = index + 1;
        }
    }
    groups.push(&entries[start..]);
    groups
}
