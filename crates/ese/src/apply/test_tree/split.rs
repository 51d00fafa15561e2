//! Where the tree grows.

use super::*;

impl TestTree {
    /// Inserts or replaces, splitting as often as it takes. `wish` is where to split if it is possible.
    pub(in crate::apply) fn put(&mut self, key: &[u8], data: &[u8], wish: usize) {
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
    pub(in crate::apply) fn split(
        &mut self,
        path: &[(PageNumber, usize)],
        record: LogRecord,
        wish: usize,
    ) -> bool {
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
            let [left, right] = [child.page.page, child.new_page].map(|page| page.0.to_le_bytes());
            let operation =
                LineOperation::Child { line: *line, separator: &child.separator, left: &left, right: &right };
            let page = self.page(*above);
            let lines = virtual_lines(&page, Some(operation)).unwrap();
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
    pub(in crate::apply) fn split_above(
        &mut self,
        path: &[(PageNumber, usize)],
        mut child: Split2,
        wish: usize,
    ) -> bool {
        let (above, line) = path[path.len() - 2];
        child.parent = above;
        child.parent_before = self.before(above);
        let [left, right] = [child.page.page, child.new_page].map(|page| page.0.to_le_bytes());
        let separator = &child.separator[..];
        let operation = LineOperation::Child { line, separator, left: &left, right: &right };
        let page = self.page(above);
        let lines = virtual_lines(&page, Some(operation)).unwrap();
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

    pub(in crate::apply) fn log_split(
        &mut self,
        bottom_up: Vec<Split2>,
        operation: LogRecord,
        with_operation: bool,
    ) -> bool {
        let mut records: Vec<_> = bottom_up.into_iter().rev().map(LogRecord::Split2).collect();
        if with_operation {
            records.push(operation);
        }
        self.log(records);
        with_operation
    }

    pub(in crate::apply) fn fits(&self, lines: &[VirtualLine<'_>], prefix: &[u8], header: usize) -> bool {
        let size = self.layout.page_size;
        let used: usize = lines.iter().map(|line| line.bytes(prefix)).sum();
        used + header + 4 <= size.bytes() - size.header_bytes()
    }

    pub(in crate::apply) fn empty_split(&self, page: PageNumber) -> Split2 {
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
    pub(in crate::apply) fn split_page(
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
        let prefix_of = |lines: &[VirtualLine<'_>]| choose_prefix(lines.iter(), kind_flags);
        let bytes =
            |lines: &[VirtualLine<'_>], at: Option<usize>| at.map_or(Vec::new(), |at| lines[at].key());
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
                && wish.is_multiple_of(3);
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
                record.separator = separator(&stay[found - 1].key(), &go[0].key()).to_vec();
            } else {
                record.separator = stay[found - 1].key();
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
}
