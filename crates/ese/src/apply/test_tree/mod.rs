//! A small tree that changes only through records: it splits and merges wherever it is told to.

mod merge;
mod split;

use super::*;
use ese_format::log::record::*;
use ese_format::node::separator;
use ese_format::page::{LineFlags, NewPage, Page, PageFlags, PageMut, encode_image};
use ese_format::space::{RootFields, SpaceHeader};
use ese_format::tree::{PageRead, Tree};
use ese_format::{DbTime, ObjectId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROOT: PageNumber = PageNumber(5);
pub(super) const OBJECT: ObjectId = ObjectId(8);

/// What counts of a page.
pub(super) type Content = (Vec<u8>, [u64; 6], Vec<(Vec<u8>, Vec<u8>, LineFlags)>);

pub(super) fn content(bytes: &[u8], size: PageSize) -> Content {
    let page = Page::new(bytes, size).unwrap();
    let about = [
        page.db_time().0,
        page.previous().0.into(),
        page.next().0.into(),
        page.flags().bits().into(),
        page.free_bytes() as u64,
        page.uncommitted_free_bytes() as u64,
    ];
    let nodes = page.nodes().unwrap().map(|node| node.unwrap());
    let nodes = nodes.map(|n| (n.key(), n.data.to_vec(), n.flags)).collect();
    (page.external_header().unwrap().to_vec(), about, nodes)
}

/// How a leaf is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merging {
    FullRight,
    PartialRight(usize),
    FullLeft,
    PartialLeft(usize),
}

pub(super) struct TestTree {
    pub(super) layout: Layout,
    pub(super) pages: BTreeMap<PageNumber, Vec<u8>>,
    pub(super) time: DbTime,
    /// Pages that were given back.
    free: Vec<PageNumber>,
    next: u32,
    /// Chooses which pages of a group are done already.
    noise: u64,
    /// Kinds of records that were applied, for tests that must have seen them all.
    pub(super) seen: BTreeSet<String>,
    /// The groups and their pages before, if they are kept.
    pub(super) groups: Option<Vec<Group>>,
}

/// Records, and their pages before.
pub(super) type Group = (Vec<LogRecord>, BTreeMap<PageNumber, Vec<u8>>);

impl TestTree {
    pub(super) fn new(page_size: PageSize, noise: u64) -> Self {
        let layout = Layout { page_size, reserved_tags: noise % 2 == 1 };
        let mut tree = Self {
            layout,
            pages: BTreeMap::new(),
            time: DbTime(100),
            free: Vec::new(),
            next: ROOT.0 + 1,
            noise,
            seen: BTreeSet::new(),
            groups: None,
        };
        let mut page = tree.prefix(ROOT, 0);
        page.before = DbTime::NIL;
        page.flags = PagePrefix::UNIQUE;
        let parent = PageNumber(1);
        let record = CreateSingleExtentFdp { page, object: OBJECT, parent, primary_pages: 1, page_flags: 0 };
        tree.log(vec![LogRecord::CreateSingleExtentFdp(record)]);
        tree
    }

    pub(super) fn page(&self, number: PageNumber) -> Page<'_> {
        Page::new(&self.pages[&number], self.layout.page_size).unwrap()
    }

    pub(super) fn present(&self, number: PageNumber) -> Option<Page<'_>> {
        self.pages.get(&number).map(|bytes| Page::new(bytes, self.layout.page_size).unwrap())
    }

    pub(super) fn before(&self, number: PageNumber) -> DbTime {
        if number.is_some() { self.page(number).db_time() } else { DbTime::NIL }
    }

    /// The prefix of the next change of a page.
    pub(super) fn prefix(&self, page: PageNumber, line: usize) -> PagePrefix {
        let before = self.present(page).map_or(DbTime::NIL, |page| page.db_time());
        let after = DbTime(self.time.0 + 1);
        PagePrefix { page, before, after, line: line as u16, level: 1, dbid: 1, ..PagePrefix::default() }
    }

    pub(super) fn node(&self, page: PageNumber, line: usize) -> NodePrefix {
        NodePrefix { page: self.prefix(page, line), version_id: 0, root: ROOT, object: OBJECT }
    }

    fn chance(&mut self) -> u64 {
        self.noise = self.noise.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        self.noise >> 33
    }

    /// Applies a group, once as at run time, and then with some of its pages done already.
    pub(super) fn log(&mut self, records: Vec<LogRecord>) {
        let records: Vec<LogRecord> =
            records.iter().map(|r| LogRecord::decode(&r.encode().unwrap()).unwrap()).collect();
        if let Some(groups) = &mut self.groups {
            let touched = records.iter().flat_map(touched);
            let pages = touched.filter_map(|t| Some((t.page, self.pages.get(&t.page)?.clone()))).collect();
            groups.push((records.clone(), pages));
        }
        let prepared = prepare(&records, self.layout, &|page| self.present(page)).unwrap();
        let all = prepared.pages;
        let expected: BTreeSet<PageNumber> = records.iter().flat_map(touched).map(|t| t.page).collect();
        assert!(all.iter().map(|page| page.0).eq(expected), "every page takes part");
        for _ in 0..4 {
            let done: Vec<bool> = all.iter().map(|_| self.chance().is_multiple_of(2)).collect();
            let state = |page: PageNumber| all.iter().position(|p| p.0 == page).filter(|at| done[*at]);
            let again = prepare(&records, self.layout, &|page| match state(page) {
                Some(at) => Some(Page::new(&all[at].1, self.layout.page_size).unwrap()),
                None => self.present(page),
            });
            let again = again.unwrap().pages;
            let rest: Vec<_> =
                all.iter().zip(&done).filter(|(_, done)| !**done).map(|(page, _)| page).collect();
            assert_eq!(again.len(), rest.len());
            for (have, want) in again.iter().zip(rest) {
                let size = self.layout.page_size;
                assert_eq!((have.0, content(&have.1, size)), (want.0, content(&want.1, size)), "{records:?}");
            }
        }
        for record in &records {
            let kind = match record {
                LogRecord::Split2(r) if r.new_page.is_some() => {
                    let leaf = PageFlags::from_bits_retain(r.new_page_flags).contains(PageFlags::LEAF);
                    format!("{:?} {:?} {}", r.kind, r.operation, if leaf { "leaf" } else { "above" })
                }
                LogRecord::Merge2(r) => format!("{:?} flags {}", r.kind, r.flags),
                _ => record.name().to_owned(),
            };
            self.seen.insert(kind);
        }
        self.pages.extend(all);
        self.time.0 += 1;
    }

    pub(super) fn take_page(&mut self) -> PageNumber {
        if let Some(page) = self.free.pop() {
            return page;
        }
        self.next += 1;
        PageNumber(self.next - 1)
    }

    /// From the root to the leaf where a key belongs; the line in each.
    pub(super) fn path(&self, key: &[u8]) -> Vec<(PageNumber, usize)> {
        let (mut path, mut number) = (Vec::new(), ROOT);
        loop {
            let page = self.page(number);
            let nodes: Vec<_> = page.nodes().unwrap().map(|node| node.unwrap()).collect();
            if page.is_leaf() {
                let line = nodes.iter().position(|n| n.compare_key(key).is_ge()).unwrap_or(nodes.len());
                path.push((number, line));
                return path;
            }
            let line = nodes.iter().position(|n| n.key_len() == 0 || n.compare_key(key).is_gt()).unwrap();
            path.push((number, line));
            number = nodes[line].child().unwrap();
        }
    }

    /// Removes a key, first flagging it as the engine does.
    pub(super) fn remove(&mut self, key: &[u8]) {
        let (leaf, line) = *self.path(key).last().unwrap();
        self.log(vec![LogRecord::FlagDelete(NodeMark { node: self.node(leaf, line) })]);
        self.log(vec![LogRecord::Delete(NodeMark { node: self.node(leaf, line) })]);
    }

    /// Flags a key deleted.
    pub(super) fn flag(&mut self, key: &[u8]) {
        let (leaf, line) = *self.path(key).last().unwrap();
        self.log(vec![LogRecord::FlagDelete(NodeMark { node: self.node(leaf, line) })]);
    }

    /// The last key of every internal page is the one that its parent has for it.
    fn check_last_keys(&self, number: PageNumber, expected: &[u8]) {
        let page = self.page(number);
        let nodes: Vec<_> = page.nodes().unwrap().map(|node| node.unwrap()).collect();
        if page.is_leaf() {
            return;
        }
        assert_eq!(nodes.last().unwrap().key(), expected, "the last key of page {number}");
        for node in nodes {
            self.check_last_keys(node.child().unwrap(), &node.key());
        }
    }

    /// Every invariant of the tree; gives its live entries.
    pub(super) fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut leaves = Vec::new();
        let mut walk = Tree::new(self, ROOT, OBJECT).walk();
        while let Some(step) = walk.advance() {
            let step = step.unwrap();
            let page = self.page(step.page);
            page.check().unwrap();
            page.check_key_order().unwrap();
            if step.is_leaf {
                leaves.push(step.page);
            }
        }
        self.check_last_keys(ROOT, &[]);
        for (at, leaf) in leaves.iter().enumerate() {
            let sibling = |at: Option<usize>| at.and_then(|at| leaves.get(at)).copied().unwrap_or_default();
            let page = self.page(*leaf);
            assert_eq!((page.previous(), page.next()), (sibling(at.checked_sub(1)), sibling(Some(at + 1))));
        }
        let mut entries = Vec::new();
        Tree::new(self, ROOT, OBJECT).scan().for_each(|entry| {
            let entry = entry.unwrap();
            entries.push((entry.key.to_vec(), entry.data.to_vec()));
            true
        });
        for (key, data) in &entries {
            assert_eq!(Tree::new(self, ROOT, OBJECT).get(key).unwrap().as_ref(), Some(data));
        }
        entries
    }
}

impl PageRead for TestTree {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.layout.page_size
    }

    fn page_count(&self) -> u32 {
        self.next
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        self.pages.get(&page).cloned().ok_or_else(|| FormatError::corrupt("no such page").at_page(page))
    }
}

/// A page of its own, for tests of single operations.
pub(super) fn lone_page(size: PageSize, number: PageNumber, flags: PageFlags, time: DbTime) -> Vec<u8> {
    let mut bytes = vec![0; size.bytes()];
    let new = NewPage { number, object: OBJECT, db_time: time, flags, reserved_tags: false };
    let mut page = PageMut::format(&mut bytes, size, new).unwrap();
    if flags.contains(PageFlags::ROOT) {
        let space = SpaceHeader::new_single(PageNumber(1), 1, false);
        page.set_external_header(&RootFields { space, auto_increment: None }.encode()).unwrap();
    }
    bytes
}
