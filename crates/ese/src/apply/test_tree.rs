//! A small tree that changes only through records: it splits and merges wherever it is told to.

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

    fn present(&self, number: PageNumber) -> Option<Page<'_>> {
        self.pages.get(&number).map(|bytes| Page::new(bytes, self.layout.page_size).unwrap())
    }

    fn before(&self, number: PageNumber) -> DbTime {
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
            let done: Vec<bool> = all.iter().map(|_| self.chance() % 2 == 0).collect();
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

    fn take_page(&mut self) -> PageNumber {
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

    /// Inserts or replaces, splitting as often as it takes. `wish` is where to split if it is possible.
    pub(super) fn put(&mut self, key: &[u8], data: &[u8], wish: usize) {
        for _ in 0..10 {
            let path = self.path(key);
            let (leaf, line) = *path.last().unwrap();
            let page = self.page(leaf);
            let found = page.node(line).ok().filter(|node| node.compare_key(key).is_eq());
            let record = match found {
                Some(node) if node.is_deleted() => {
                    let (node, key, data) = (self.node(leaf, line), key.to_vec(), data.to_vec());
                    let r = FlagInsertAndReplaceData { node, key, data, replace_version_id: 0 };
                    LogRecord::FlagInsertAndReplaceData(r)
                }
                Some(old) => {
                    let old_bytes = old.data.len() as u16;
                    let image = Image { bytes: data.to_vec(), wide: false };
                    let (node, new_bytes) = (self.node(leaf, line), data.len() as u16);
                    LogRecord::Replace(Replace { node, image, old_bytes, new_bytes })
                }
                None => {
                    let mut bytes = self.pages[&leaf].clone();
                    let view = PageMut::new(&mut bytes, self.layout.page_size).unwrap();
                    let shared = view.shared_prefix(key).unwrap();
                    let (prefix, suffix) = (key[..shared].to_vec(), key[shared..].to_vec());
                    LogRecord::Insert(Insert {
                        node: self.node(leaf, line),
                        prefix,
                        suffix,
                        data: data.to_vec(),
                    })
                }
            };
            let change = PageChange::of_record(&record).unwrap();
            if check(&page, &change).is_ok() {
                return self.log(vec![record]);
            }
            if self.split(&path, record, wish) {
                return;
            }
        }
        panic!("no room after many splits");
    }

    /// Splits for an operation; tells whether the operation went along.
    fn split(&mut self, path: &[(PageNumber, usize)], record: LogRecord, wish: usize) -> bool {
        let (leaf, line) = *path.last().unwrap();
        let (key, data, kind) = match &record {
            LogRecord::Insert(r) => {
                ([&r.prefix[..], &r.suffix].concat(), r.data.clone(), SplitOperation::Insert)
            }
            LogRecord::Replace(r) => (Vec::new(), r.image.bytes.clone(), SplitOperation::Replace),
            LogRecord::FlagInsertAndReplaceData(r) => {
                (r.key.clone(), r.data.clone(), SplitOperation::FlagInsertAndReplaceData)
            }
            _ => unreachable!(),
        };
        let flags = LineFlags::empty();
        let operation = match kind {
            SplitOperation::Insert => LineOperation::Insert { line, key: &key, data: &data, flags },
            _ => LineOperation::Replace { line, data: &data, flags },
        };
        let mut records = Vec::new();
        let mut split = self.split_page(leaf, path.len() > 1, Some((operation, kind)), wish);
        if split.is_none() {
            split = self.split_page(leaf, path.len() > 1, None, wish);
        }
        let Some(mut child) = split else { panic!("the page cannot be split") };
        let with_operation = child.operation != SplitOperation::None;
        for (depth, (above, line)) in path[..path.len() - 1].iter().enumerate().rev() {
            child.parent = *above;
            child.parent_before = self.before(*above);
            let operation = LineOperation::Child {
                line: *line,
                separator: &child.separator,
                left: child.page.page,
                right: child.new_page,
            };
            let lines = virtual_lines(&self.page(*above), Some(operation)).unwrap();
            let page = self.page(*above);
            if self.fits(&lines, page.key_prefix().unwrap(), page.external_header().unwrap().len()) {
                let path_only = Split2 { new_page: PageNumber::NONE, ..self.empty_split(*above) };
                records.push(child);
                records.push(path_only);
                return self.log_split(records, record, with_operation);
            }
            let kind = SplitOperation::Insert;
            match self.split_page(*above, depth > 0, Some((operation, kind)), wish) {
                Some(next) => {
                    records.push(child);
                    child = next;
                }
                None => {
                    // No room even so: the page above is split alone, and all begins anew.
                    self.free.extend(records.iter().map(|r| r.new_page).chain([child.new_page]));
                    let alone = self.split_page(*above, depth > 0, None, wish).unwrap();
                    return if depth == 0 {
                        self.log(vec![LogRecord::Split2(alone)]);
                        false
                    } else {
                        self.split_above(&path[..=depth], alone, wish)
                    };
                }
            }
        }
        records.push(child);
        self.log_split(records, record, with_operation)
    }

    /// Logs the split of an internal page that no child made necessary.
    fn split_above(&mut self, path: &[(PageNumber, usize)], mut child: Split2, wish: usize) -> bool {
        let (above, line) = path[path.len() - 2];
        child.parent = above;
        child.parent_before = self.before(above);
        let (left, right, separator) = (child.page.page, child.new_page, &child.separator[..]);
        let operation = LineOperation::Child { line, separator, left, right };
        let lines = virtual_lines(&self.page(above), Some(operation)).unwrap();
        let page = self.page(above);
        if self.fits(&lines, page.key_prefix().unwrap(), page.external_header().unwrap().len()) {
            let parent = Split2 { new_page: PageNumber::NONE, ..self.empty_split(above) };
            self.log(vec![LogRecord::Split2(parent), LogRecord::Split2(child)]);
            return false;
        }
        self.free.push(child.new_page);
        let alone = self.split_page(above, path.len() > 2, None, wish).unwrap();
        if path.len() > 2 {
            return self.split_above(&path[..path.len() - 1], alone, wish);
        }
        self.log(vec![LogRecord::Split2(alone)]);
        false
    }

    fn log_split(&mut self, bottom_up: Vec<Split2>, operation: LogRecord, with_operation: bool) -> bool {
        let mut records: Vec<_> = bottom_up.into_iter().rev().map(LogRecord::Split2).collect();
        if with_operation {
            records.push(operation);
        }
        self.log(records);
        with_operation
    }

    fn fits(&self, lines: &[VirtualLine], prefix: &[u8], header: usize) -> bool {
        let size = self.layout.page_size;
        let used: usize = lines.iter().map(|line| line.bytes(prefix)).sum();
        used + header + 4 <= size.bytes() - size.header_bytes()
    }

    fn empty_split(&self, page: PageNumber) -> Split2 {
        Split2 {
            page: self.prefix(page, 0),
            new_page: PageNumber::NONE,
            right: PageNumber::NONE,
            right_before: DbTime::NIL,
            parent: PageNumber::NONE,
            parent_before: DbTime::NIL,
            root: ROOT,
            object: OBJECT,
            kind: SplitKind::Vertical,
            operation: SplitOperation::None,
            operation_line: 0,
            split_line: 0,
            lines: 0,
            new_page_flags: 0,
            split_page_flags: 0,
            split_uncommitted_free: 0,
            new_uncommitted_free: 0,
            split_prefix_line: -1,
            new_prefix_line: -1,
            old_prefix: Vec::new(),
            new_prefix: Vec::new(),
            separator: Vec::new(),
            image_flags: 0,
            image: LongBytes::default(),
        }
    }

    /// The record of a split of one page, if the operation fits anywhere.
    fn split_page(
        &mut self,
        number: PageNumber,
        has_parent: bool,
        operation: Option<(LineOperation<'_>, SplitOperation)>,
        wish: usize,
    ) -> Option<Split2> {
        let page = self.page(number);
        let lines = virtual_lines(&page, operation.map(|o| o.0)).unwrap();
        let operation_line = match operation {
            Some((LineOperation::Insert { line, .. } | LineOperation::Replace { line, .. }, _)) => line,
            Some((LineOperation::Child { line, .. }, _)) => line,
            None => 0,
        };
        let kind_flags = page.flags() - PageFlags::ROOT;
        let prefix_of = |lines: &[VirtualLine]| choose_prefix(lines, kind_flags);
        let bytes =
            |lines: &[VirtualLine], at: Option<usize>| at.map_or(Vec::new(), |at| lines[at].key.clone());
        let mut record = Split2 {
            operation: operation.map_or(SplitOperation::None, |o| o.1),
            operation_line: operation_line as u16,
            lines: lines.len() as u16,
            new_page_flags: kind_flags.bits(),
            split_page_flags: page.flags().bits(),
            old_prefix: page.key_prefix().unwrap().to_vec(),
            ..self.empty_split(number)
        };
        if !has_parent {
            let new_prefix = prefix_of(&lines);
            if !self.fits(&lines, &bytes(&lines, new_prefix), bytes(&lines, new_prefix).len()) {
                return None;
            }
            let above = page.flags() - PageFlags::LEAF - PageFlags::PARENT_OF_LEAF;
            let parent = if page.is_leaf() { PageFlags::PARENT_OF_LEAF } else { PageFlags::empty() };
            record.split_page_flags = (above | parent).bits();
            record.new_prefix_line = new_prefix.map_or(-1, |at| at as i32);
        } else {
            let last = lines.len() - 1;
            let is_append = page.is_leaf()
                && !page.next().is_some()
                && record.operation == SplitOperation::Insert
                && operation_line == last
                && wish % 3 == 0;
            let right = page.next();
            record.kind = if is_append { SplitKind::Append } else { SplitKind::Right };
            let first = if is_append { last } else { 1 + wish % last.max(1) };
            let candidates = [first].into_iter().chain(if is_append { 0..0 } else { 1..lines.len() });
            let found = candidates.into_iter().find(|at| {
                let (stay, go) = lines.split_at(*at);
                let (a, b) = (bytes(stay, prefix_of(stay)), bytes(go, prefix_of(go)));
                *at < lines.len() && (is_append || self.fits(stay, &a, a.len())) && self.fits(go, &b, b.len())
            })?;
            let (stay, go) = lines.split_at(found);
            record.split_line = found as u16;
            if page.is_leaf() {
                record.right = right;
                record.right_before = self.before(right);
                record.separator = separator(&stay[found - 1].key, &go[0].key).to_vec();
            } else {
                record.separator = stay[found - 1].key.clone();
            }
            if !is_append {
                record.split_prefix_line = prefix_of(stay).map_or(-1, |at| at as i32);
                record.new_prefix = bytes(stay, prefix_of(stay));
            }
            record.new_prefix_line = prefix_of(go).map_or(-1, |at| at as i32);
        }
        let only_new = record.operation == SplitOperation::Insert
            && record.split_line == record.operation_line
            && record.split_line + 1 == record.lines
            && record.kind != SplitKind::Vertical;
        if !only_new {
            let image = encode_image(&page);
            record.image_flags = image.flags;
            record.image = LongBytes(image.bytes);
        }
        record.new_page = self.take_page();
        Some(record)
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

    /// Merges the leaf where a key belongs, if that is possible. An empty leaf goes in any case.
    pub(super) fn merge(&mut self, key: &[u8], how: Merging) -> bool {
        let path = self.path(key);
        let Some((above, (leaf, _))) = path.split_last().map(|(leaf, above)| (above, *leaf)) else {
            return false;
        };
        let Some((_, parent_line)) = above.last().copied() else { return false };
        let page = self.page(leaf);
        let (left, right) = (page.previous(), page.next());
        let nodes: Vec<_> = page.nodes().unwrap().map(|node| node.unwrap()).collect();
        if left.is_some() && !right.is_some() && self.page(above[above.len() - 1].0).line_count() == 1 {
            // The page before the parent would have to become the endless one, and no record says so.
            return false;
        }
        let live = nodes.iter().filter(|node| !node.is_deleted()).count();
        let count = nodes.len();
        if live == 0 && !left.is_some() && !right.is_some() {
            return self.empty_tree(above, leaf);
        }
        let (kind, line, range, to) = match how {
            _ if live == 0 => (MergeKind::EmptyPage, 0, 0..0, PageNumber::NONE),
            Merging::FullRight => (MergeKind::FullRight, 0, 0..count, right),
            Merging::FullLeft => (MergeKind::FullLeft, count - 1, 0..count, left),
            Merging::PartialRight(at) if count > 1 => {
                let at = 1 + at % (count - 1);
                (MergeKind::PartialRight, at, at..count, right)
            }
            Merging::PartialLeft(at) if count > 1 => {
                let at = at % (count - 1);
                (MergeKind::PartialLeft, at, 0..at + 1, left)
            }
            _ => return false,
        };
        let is_left = matches!(kind, MergeKind::FullLeft | MergeKind::PartialLeft);
        if (kind != MergeKind::EmptyPage && !to.is_some()) || (is_left && parent_line == 0) {
            return false;
        }
        let separator = match kind {
            MergeKind::PartialRight => separator(&nodes[line - 1].key(), &nodes[line].key()).to_vec(),
            MergeKind::PartialLeft => separator(&nodes[line].key(), &nodes[line + 1].key()).to_vec(),
            _ => Vec::new(),
        };
        if to.is_some() {
            let target = self.page(to);
            let moved = virtual_lines(&page, None).unwrap()[range].to_vec();
            let moved: Vec<_> = moved.into_iter().filter(|l| !l.flags.contains(LineFlags::DELETED)).collect();
            let need: usize = moved.iter().map(|l| l.bytes(target.key_prefix().unwrap())).sum();
            if need > target.free_bytes() {
                return false;
            }
        }
        let Some((above, separator)) = self.merge_above(above, kind, separator) else { return false };
        let image = match kind {
            MergeKind::EmptyPage => Default::default(),
            _ => encode_image(&page),
        };
        let is_partial = matches!(kind, MergeKind::PartialLeft | MergeKind::PartialRight);
        // A partial merge does not touch the other neighbour.
        let listed = |page: PageNumber| if is_partial && page != to { PageNumber::NONE } else { page };
        let mut records: Vec<LogRecord> = above.into_iter().map(LogRecord::Merge2).collect();
        let parent = path[path.len() - 2].0;
        records.push(LogRecord::Merge2(Merge2 {
            left: listed(left),
            left_before: self.before(listed(left)),
            right: listed(right),
            right_before: self.before(listed(right)),
            parent,
            parent_before: self.before(parent),
            merge_line: line as u16,
            flags: if is_partial { 0 } else { MERGE_EMPTY_PAGE },
            kind,
            separator,
            image_flags: image.flags,
            image: LongBytes(image.bytes),
            ..self.empty_merge(leaf, 0)
        }));
        let emptied: Vec<PageNumber> = records
            .iter()
            .filter_map(|r| match r {
                LogRecord::Merge2(r) if r.flags & MERGE_EMPTY_PAGE != 0 => Some(r.page.page),
                _ => None,
            })
            .collect();
        self.log(records);
        for page in emptied {
            assert!(self.page(page).flags().contains(PageFlags::EMPTY));
            self.free.push(page);
        }
        true
    }

    /// The tree loses its only leaf, if that is right below the root.
    fn empty_tree(&mut self, above: &[(PageNumber, usize)], leaf: PageNumber) -> bool {
        if above.len() != 1 {
            return false;
        }
        let pages = EmptiedPages(vec![EmptiedPage { before: self.before(leaf), page: leaf, flags: 0xAC42 }]);
        self.log(vec![LogRecord::EmptyTree(EmptyTree { node: self.node(ROOT, 0), pages })]);
        self.free.push(leaf);
        true
    }

    /// Moves the page on level `level` above which a key belongs, unless it is the root.
    pub(super) fn move_page(&mut self, key: &[u8], level: usize) -> bool {
        let path = self.path(key);
        let depth = 1 + level % path.len();
        let (Some((source, _)), Some((parent, line))) = (path.get(depth), path.get(depth - 1)) else {
            return false;
        };
        let (source, parent, line) = (*source, *parent, *line);
        let destination = self.take_page();
        let page = self.page(source);
        let (left, right) = (page.previous(), page.next());
        let size = self.layout.page_size;
        let (head, tags) = (size.header_bytes() + page.data_end(), page.tag_count() * 4);
        let record = PageMove {
            page: self.prefix(source, 0),
            destination,
            left,
            right,
            parent,
            left_before: self.before(left),
            right_before: self.before(right),
            parent_before: self.before(parent),
            root: ROOT,
            object: OBJECT,
            parent_line: line as i32,
            flags: 0,
            header: LongBytes(page.bytes()[..head].to_vec()),
            trailer: LongBytes(page.bytes()[size.bytes() - tags..].to_vec()),
        };
        self.log(vec![LogRecord::PageMove(record)]);
        self.free.push(source);
        true
    }

    fn empty_merge(&self, page: PageNumber, line: usize) -> Merge2 {
        Merge2 {
            page: self.prefix(page, line),
            right: PageNumber::NONE,
            right_before: DbTime::NIL,
            left: PageNumber::NONE,
            left_before: DbTime::NIL,
            parent: PageNumber::NONE,
            parent_before: DbTime::NIL,
            root: ROOT,
            object: OBJECT,
            total_bytes: 0,
            total_max_bytes: 0,
            destination_uncommitted_free: 0,
            merge_line: 0,
            flags: 0,
            kind: MergeKind::None,
            separator: Vec::new(),
            image_flags: 0,
            image: LongBytes::default(),
        }
    }

    /// The records above a merge, top down, and the separator; `None` when the tree cannot lose the page.
    fn merge_above(
        &self,
        above: &[(PageNumber, usize)],
        kind: MergeKind,
        mut separator: Vec<u8>,
    ) -> Option<(Vec<Merge2>, Vec<u8>)> {
        let mut records: Vec<Merge2> = Vec::new();
        let is_partial_right = kind == MergeKind::PartialRight;
        let mut changes_key = is_partial_right;
        // Of the level below: whether it is emptied, and whether its last key changes.
        let (mut child_emptied, mut child_last_changes) = (!is_partial_right, is_partial_right);
        for (number, line) in above.iter().rev() {
            let page = self.page(*number);
            let is_last = line + 1 == page.line_count();
            let flags = match kind {
                MergeKind::PartialLeft => MERGE_KEY_CHANGE,
                MergeKind::FullLeft => MERGE_KEY_CHANGE | MERGE_DELETE_NODE,
                MergeKind::PartialRight => MERGE_KEY_CHANGE,
                _ if page.line_count() == 1 && child_emptied && page.is_root() => return None,
                _ if page.line_count() == 1 && child_emptied => MERGE_EMPTY_PAGE,
                _ if child_last_changes => MERGE_KEY_CHANGE,
                _ => MERGE_DELETE_NODE,
            };
            let mut ends = matches!(kind, MergeKind::PartialLeft | MergeKind::FullLeft);
            if flags == MERGE_DELETE_NODE && is_last && !changes_key {
                changes_key = true;
                separator = page.node(line - 1).unwrap().key();
                ends |= page.node(*line).unwrap().key_len() == 0;
            }
            if flags & MERGE_KEY_CHANGE != 0 && !ends {
                let node = page.node(*line).unwrap();
                if separator.len() > node.suffix.len() + page.free_bytes() {
                    return None;
                }
            }
            records.push(Merge2 { flags, ..self.empty_merge(*number, *line) });
            if ends || (!is_last && flags != MERGE_EMPTY_PAGE) {
                break;
            }
            (child_emptied, child_last_changes) = (flags == MERGE_EMPTY_PAGE, flags != MERGE_EMPTY_PAGE);
        }
        for at in 1..records.len() {
            let parent = records[at].page.page;
            records[at - 1].parent = parent;
            records[at - 1].parent_before = self.before(parent);
        }
        records.reverse();
        Some((records, separator))
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
