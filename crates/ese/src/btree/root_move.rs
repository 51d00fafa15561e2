//! The root of a tree moves to another place in the file, with the roots of its two trees of extents.
//!
//! One macro does it all: the images of the three roots go to their new places, the trees below learn where their
//! parent is, the records that name the root name the new one, the old pages are empty. Nobody may use the tree, and
//! no snapshot may see another state of these records; what the caller has not excluded shows as a page that
//! somebody has, or a version: then nothing happens. All latches are only tried, for they are those of several trees.
//! After microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx` (root page moves) and
//! `dev/ese/src/ese/logapi.cxx` (ErrLGRootPageMove).

use super::change::internal;
use super::page_move::{PageMoved, image};
use super::search::{Target, Way, leaf_line, read_leaf};
use super::split::{log_macro_info, page_prefix, put_all};
use super::tree::Tree;
use super::work::Work;
use crate::apply;
use crate::buffer::ExclusivePage;
use crate::error::{Error, Result};
use crate::version::{Bookmark, Node};
use ese_format::log::record::{
    Image, LogRecord, LongBytes, PageMove, Replace, RootPageMove, SetExternalHeader,
};
use ese_format::page::PageFlags;
use ese_format::space::{RootFields, SpaceKind};
use ese_format::{DbTime, PageNumber};

/// A record that names the root of a tree.
#[derive(Debug, Clone)]
pub struct RootName {
    /// The unique tree that the record stands in.
    pub tree: Tree,
    /// Its key.
    pub key: Vec<u8>,
    /// The record, as it was when somebody looked.
    pub record: Vec<u8>,
    /// Where in the record the number of the root page stands: four bytes, the lowest one first.
    pub at: usize,
}

impl RootName {
    /// The record with another number.
    fn naming(&self, old: PageNumber, new: PageNumber) -> Option<Vec<u8>> {
        let mut record = self.record.clone();
        let bytes = record.get_mut(self.at..self.at.checked_add(4)?)?;
        (bytes == old.0.to_le_bytes()).then(|| bytes.copy_from_slice(&new.0.to_le_bytes()))?;
        Some(record)
    }
}

/// A root that is to move.
#[derive(Debug, Clone, Copy)]
pub struct RootMove<'a> {
    /// The tree, which has trees of extents.
    pub tree: &'a Tree,
    /// Where its root goes; behind that the roots of its owned and its available extents. These three pages were taken
    /// for the tree, and nobody else knows them.
    pub to: PageNumber,
    /// The trees that have their pages of this one.
    pub children: &'a [Tree],
    /// All records that name the root.
    pub names: &'a [RootName],
    /// Keys in the tree of the first of these records: no version of their nodes may be there either.
    pub quiet: &'a [Vec<u8>],
}

/// Moves the roots of a tree. Whoever knows the tree must learn of it.
///
/// # Errors
/// Those of pages and log.
pub fn move_root(work: &mut Work, root: RootMove<'_>) -> Result<PageMoved> {
    let RootMove { tree, .. } = root;
    let Some(mut pages) = Pages::latch(work, root)? else { return Ok(PageMoved::Busy) };
    let mut fresh = Vec::with_capacity(MOVED);
    for page in (root.to.0..).take(MOVED) {
        fresh.push(tree.file.fresh(PageNumber(page))?);
    }
    // Only now, with all pages latched, is it above the time of each of them.
    let after = tree.file.file().next_db_time();
    let records = pages.records(work, root, after);
    let prepared = {
        let find = |number: PageNumber| pages.get(number).map(ExclusivePage::page);
        apply::prepare(&records, tree.layout(), &find).map_err(|error| internal(tree, error))?
    };
    let end = work.append_macro(tree, after, &records)?;
    let begin0 = work.begin0();
    let all = pages.latched.iter_mut().chain(&mut fresh);
    let changed = put_all(tree, all, prepared.pages, begin0, end)?;
    log_macro_info(work, tree, changed);
    Ok(PageMoved::Done)
}

/// Pages that move.
const MOVED: usize = 3;

/// All pages of a move but the new ones, latched.
struct Pages {
    latched: Vec<ExclusivePage>,
    /// The root and those of the two trees of extents.
    roots: [Tree; MOVED],
    /// What the children's headers will say.
    headers: Vec<RootFields>,
    /// Page and line of each record that names the root, and what it will be.
    names: Vec<(PageNumber, usize, Vec<u8>)>,
}

impl Pages {
    /// None when somebody has one of the pages, or they are not what they were.
    fn latch(work: &Work, root: RootMove<'_>) -> Result<Option<Self>> {
        let RootMove { tree, to, children, names, quiet } = root;
        // Before any latch: they must not be looked for with a leaf of the same tree latched.
        let mut leaves = Vec::with_capacity(names.len());
        for name in names {
            leaves.push(read_leaf(&name.tree, Way::To(Target::exact(&name.key, &[])))?.number());
        }
        let mut latched: Vec<ExclusivePage> = Vec::new();
        let Some(own) = root_page(tree)? else { return Ok(None) };
        let Some(fields) = fields_of(tree, &own)? else { return Ok(None) };
        let SpaceKind::Multiple { owned_root } = fields.space.kind else { return Ok(None) };
        latched.push(own);
        let of_extents = |root: u32| Tree {
            root: PageNumber(root),
            is_unique: true,
            kind: tree.kind | PageFlags::SPACE_TREE,
            ..tree.clone()
        };
        let roots = [tree.clone(), of_extents(owned_root.0), of_extents(owned_root.0.saturating_add(1))];
        for extents in &roots[1..] {
            let Some(page) = root_page(extents)? else { return Ok(None) };
            latched.push(page);
        }
        let mut headers = Vec::with_capacity(children.len());
        for child in children {
            let Some(page) = root_page(child)? else { return Ok(None) };
            let fields = fields_of(child, &page)?.filter(|fields| fields.space.parent == tree.root);
            let Some(mut fields) = fields else { return Ok(None) };
            fields.space.parent = to;
            headers.push(fields);
            latched.push(page);
        }
        let mut places = Vec::with_capacity(names.len());
        for (name, number) in names.iter().zip(leaves) {
            let target = Target::exact(&name.key, &[]);
            if !latched.iter().any(|page| page.number() == number) {
                let Some(page) = name.tree.file.try_write(number)? else { return Ok(None) };
                latched.push(page);
            }
            let Some(page) = latched.iter().find(|page| page.number() == number) else { return Ok(None) };
            let view = page.page();
            if name.tree.check(&view, number).is_err() || !view.is_leaf() {
                return Ok(None);
            }
            let (line, is_there) = leaf_line(&name.tree, &view, &target)?;
            if !is_there {
                return Ok(None);
            }
            let node = view.node(line)?;
            let is_as_before = !node.is_deleted() && node.data == name.record;
            let Some(record) = name.naming(tree.root, to).filter(|_| is_as_before) else { return Ok(None) };
            places.push((number, line, record));
        }
        // Whoever changes a node enters its version with the page latched, and whoever has locked it and reads another
        // of these records afterwards meets a latch.
        let has_versions = |tree: &Tree, key: &[u8]| {
            work.store().has_versions(&Node { tree: tree.id(), bookmark: Bookmark { key, data: &[] } })
        };
        let is_quiet = names.iter().all(|name| !has_versions(&name.tree, &name.key))
            && names.first().is_none_or(|first| !quiet.iter().any(|key| has_versions(&first.tree, key)));
        Ok(is_quiet.then_some(Self { latched, roots, headers, names: places }))
    }

    fn get(&self, number: PageNumber) -> Option<&ExclusivePage> {
        self.latched.iter().find(|page| page.number() == number)
    }

    fn db_time(&self, number: PageNumber) -> DbTime {
        self.get(number).map_or(DbTime::NIL, |page| page.page().db_time())
    }

    /// The macro, in the order in which the original writes it.
    fn records(&self, work: &Work, root: RootMove<'_>, after: DbTime) -> Vec<LogRecord> {
        let RootMove { tree, to, children, names, .. } = root;
        let session = work.transaction().session();
        let mut records = vec![LogRecord::RootPageMove(RootPageMove {
            after,
            dbid: tree.file.id(),
            object: tree.object,
            session,
        })];
        let flags = [PageMove::ROOT, PageMove::OWNED_ROOT, PageMove::AVAILABLE_ROOT];
        let places = self.roots.iter().zip(&self.latched).zip(flags).zip(to.0..);
        for (((of, page), flags), to) in places {
            let (header, trailer) = image(&page.page());
            records.push(LogRecord::PageMove(PageMove {
                page: page_prefix(work, of, page, after),
                destination: PageNumber(to),
                left: PageNumber::NONE,
                right: PageNumber::NONE,
                parent: PageNumber::NONE,
                left_before: DbTime::INVALID,
                right_before: DbTime::NIL,
                parent_before: DbTime::NIL,
                root: tree.root,
                object: tree.object,
                parent_line: -1,
                flags,
                header: LongBytes(header),
                trailer: LongBytes(trailer),
            }));
        }
        for (child, fields) in children.iter().zip(&self.headers) {
            let before = self.db_time(child.root);
            let node = work.node_prefix(child, (child.root, 0), before, after, None);
            let data = fields.encode();
            records.push(LogRecord::SetExternalHeader(SetExternalHeader { node, data }));
        }
        for (name, (page, line, record)) in names.iter().zip(&self.names) {
            let before = self.db_time(*page);
            let node = work.node_prefix(&name.tree, (*page, *line), before, after, None);
            let bytes = record.len() as u16;
            let image = Image { bytes: record.clone(), wide: false };
            records.push(LogRecord::Replace(Replace { node, image, old_bytes: bytes, new_bytes: bytes }));
        }
        records
    }
}

/// The root page of a tree, unless somebody has it, or it is not that any more.
fn root_page(tree: &Tree) -> Result<Option<ExclusivePage>> {
    let Some(page) = tree.file.try_write(tree.root)? else { return Ok(None) };
    let is_root = {
        let view = page.page();
        tree.check(&view, tree.root).is_ok()
            && view.is_root()
            && view.flags().contains(PageFlags::SPACE_TREE) == tree.is_space()
    };
    Ok(is_root.then_some(page))
}

fn fields_of(tree: &Tree, page: &ExclusivePage) -> Result<Option<RootFields>> {
    RootFields::of_page(&page.page())
        .map(Some)
        .map_err(|error| Error::from(error.at_page(page.number())).file(tree.file.file().path()))
}
