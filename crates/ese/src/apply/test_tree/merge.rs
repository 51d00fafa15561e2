//! Where the tree shrinks, and where its pages move.

use super::*;

impl TestTree {
    /// Merges the leaf where a key belongs, if that is possible. An empty leaf goes in any case.
    pub(in crate::apply) fn merge(&mut self, key: &[u8], how: Merging) -> bool {
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
    pub(in crate::apply) fn empty_tree(&mut self, above: &[(PageNumber, usize)], leaf: PageNumber) -> bool {
        if above.len() != 1 {
            return false;
        }
        let pages = EmptiedPages(vec![EmptiedPage { before: self.before(leaf), page: leaf, flags: 0xAC42 }]);
        self.log(vec![LogRecord::EmptyTree(EmptyTree { node: self.node(ROOT, 0), pages })]);
        self.free.push(leaf);
        true
    }

    /// Moves the page on level `level` above which a key belongs, unless it is the root.
    pub(in crate::apply) fn move_page(&mut self, key: &[u8], level: usize) -> bool {
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

    pub(in crate::apply) fn empty_merge(&self, page: PageNumber, line: usize) -> Merge2 {
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
    pub(in crate::apply) fn merge_above(
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
}
