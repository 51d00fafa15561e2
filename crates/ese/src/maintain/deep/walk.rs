//! The structure of one tree: every page once, in key order.

use super::finding::{Findings, Subject};
use ese_format::node::Node;
use ese_format::page::{Page, PageFlags};
use ese_format::tree::{Entry, MAX_DEPTH, PageRead};
use ese_format::{DbTime, ObjectId, PageNumber};

/// Flags that say what kind of tree a page belongs to; all pages of a tree have the same.
pub(super) const KIND: PageFlags = PageFlags::SPACE_TREE
    .union(PageFlags::INDEX)
    .union(PageFlags::LONG_VALUE)
    .union(PageFlags::NON_UNIQUE_KEYS);

/// Times from here on are marks of pages that were shrunk away or reverted (database-file format: 0x40 is the
/// first ordinary one).
const FIRST_SPECIAL_TIME: u64 = 0xFFFF_FFFF_FFFF_FFFC;

/// A tree to walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeAt {
    pub(super) root: PageNumber,
    pub(super) object: ObjectId,
    /// What [`KIND`] selects of the flags of its pages.
    pub(super) kind: PageFlags,
    /// No page was changed after that.
    pub(super) newest: Option<DbTime>,
}

/// What a walk came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) pages: u64,
    pub(super) entries: u64,
    pub(super) deleted: u64,
    /// Nothing of the tree was left out.
    pub(super) complete: bool,
}

/// Who is told about pages and entries.
pub(super) trait Visit {
    /// Before a page is read; `false` if it was seen before and must not be seen again.
    fn page(&mut self, page: PageNumber, findings: &mut Findings) -> bool;
    /// An entry of a leaf that is not flagged deleted.
    fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings);
}

struct Frame<B> {
    number: PageNumber,
    bytes: B,
    next: usize,
    lower: Vec<u8>,
}

/// The end of a level, as far as the walk got.
#[derive(Clone, Copy)]
enum LevelEnd {
    At {
        page: PageNumber,
        next: PageNumber,
    },
    /// A page of the level could not be read.
    Unknown,
}

struct Walker<'a, P: PageRead, V> {
    pages: &'a P,
    tree: TreeAt,
    visit: &'a mut V,
    findings: &'a mut Findings,
    frames: Vec<Frame<P::Bytes>>,
    levels: Vec<LevelEnd>,
    walked: Walked,
    key: Vec<u8>,
}

/// Walks a tree, checks how its pages stand to each other and gives its entries to `visit`.
pub(super) fn walk<P: PageRead, V: Visit>(
    pages: &P,
    tree: TreeAt,
    visit: &mut V,
    findings: &mut Findings,
) -> Walked {
    let walked = Walked { pages: 0, entries: 0, deleted: 0, complete: true };
    let mut walker = Walker {
        pages,
        tree,
        visit,
        findings,
        frames: Vec::new(),
        levels: Vec::new(),
        walked,
        key: Vec::new(),
    };
    walker.page(tree.root, Vec::new(), None, true);
    while walker.step() {}
    for end in &walker.levels {
        if let LevelEnd::At { page, next } = *end
            && next.is_some()
        {
            let text = format!("the last page of its level names page {next} as its right sibling");
            walker.findings.error(Subject::Siblings, page, text);
        }
    }
    walker.walked
}

impl<P: PageRead, V: Visit> Walker<'_, P, V> {
    /// Goes on with the next child of the innermost page; `false` at the end.
    fn step(&mut self) -> bool {
        let size = self.pages.page_size();
        let Some(frame) = self.frames.last_mut() else { return false };
        let number = frame.number;
        let Ok(page) = Page::new(&frame.bytes, size) else {
            self.frames.pop();
            return true;
        };
        let line = frame.next;
        if line >= page.line_count() {
            self.frames.pop();
            return true;
        }
        frame.next += 1;
        let parent_of_leaf = page.flags().contains(PageFlags::PARENT_OF_LEAF);
        let pointer = page.node(line).and_then(|node| Ok((node.key(), node.child()?, node.is_deleted())));
        match pointer {
            Ok((key, child, deleted)) => {
                if deleted {
                    let text = "a pointer to a page is flagged deleted";
                    self.findings.error(Subject::Page, (number, line), text);
                }
                let lower = std::mem::replace(&mut frame.lower, key.clone());
                let upper = (!key.is_empty()).then_some(key);
                self.page(child, lower, upper, parent_of_leaf);
            }
            Err(error) => {
                self.walked.complete = false;
                self.findings.error(Subject::Page, (number, line), error.detail);
                self.lose_level(self.frames.len());
            }
        }
        true
    }

    /// Comes to a page that holds what is not below `lower` and is below `upper`.
    fn page(&mut self, number: PageNumber, lower: Vec<u8>, upper: Option<Vec<u8>>, parent_of_leaf: bool) {
        let depth = self.frames.len();
        if let Err((subject, text)) = self.try_page(number, lower, upper, parent_of_leaf) {
            self.walked.complete = false;
            self.findings.error(subject, number, text);
            self.lose_level(depth);
        }
    }

    fn try_page(
        &mut self,
        number: PageNumber,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
        parent_of_leaf: bool,
    ) -> Result<(), (Subject, String)> {
        let depth = self.frames.len();
        if self.frames.iter().any(|frame| frame.number == number) {
            return Err((Subject::Page, "the page is its own ancestor".into()));
        }
        if depth >= MAX_DEPTH {
            return Err((Subject::Page, format!("the tree has more than {MAX_DEPTH} levels")));
        }
        if !self.visit.page(number, self.findings) {
            return Err((Subject::Page, "the tree leads to the page twice".into()));
        }
        let bytes = self.pages.read(number).map_err(|error| (Subject::Checksum, error.detail))?;
        let size = self.pages.page_size();
        let page = Page::new(&bytes, size).map_err(|error| (Subject::Page, error.detail))?;
        let flags = page.flags();
        if flags.intersects(PageFlags::EMPTY | PageFlags::PRE_INIT) {
            let state = if flags.contains(PageFlags::EMPTY) { "empty" } else { "not in use yet" };
            return Err((Subject::Header, format!("the page is flagged {state} and the tree leads to it")));
        }
        if page.object() != self.tree.object {
            let text =
                format!("the page belongs to object {} and not to {}", page.object(), self.tree.object);
            return Err((Subject::Header, text));
        }
        self.walked.pages += 1;
        let is_sound = self.check_page(number, &page, depth, parent_of_leaf);
        self.check_siblings(number, &page, depth);
        if is_sound {
            self.check_bounds(number, &page, &lower, upper.as_deref());
        }
        if page.is_leaf() {
            self.leaf(number, &page);
        } else {
            if page.line_count() == 0 {
                self.walked.complete = false;
                self.findings.error(Subject::Page, number, "an internal page leads nowhere");
            }
            self.frames.push(Frame { number, bytes, next: 0, lower });
        }
        Ok(())
    }

    /// The page by itself; `false` if its entries cannot be compared with others.
    fn check_page(
        &mut self,
        number: PageNumber,
        page: &Page<'_>,
        depth: usize,
        parent_of_leaf: bool,
    ) -> bool {
        let flags = page.flags();
        if page.is_root() != (depth == 0) {
            let text = "a root stands below another page, or no root on top";
            self.findings.error(Subject::Header, number, text);
        }
        if depth > 0 && page.is_leaf() != parent_of_leaf {
            let text = "the page is on another level than its parent says";
            self.findings.error(Subject::Header, number, text);
        }
        if flags & KIND != self.tree.kind {
            let text = format!(
                "the page's flags {:#x} do not suit a tree with {:#x}",
                flags.bits(),
                self.tree.kind.bits()
            );
            self.findings.error(Subject::Header, number, text);
        }
        let time = page.db_time();
        if let Some(newest) = self.tree.newest
            && time > newest
            && time.0 < FIRST_SPECIAL_TIME
        {
            let text =
                format!("the page was changed at {time}, after the database's last change at {newest}");
            self.findings.error(Subject::Header, number, text);
        }
        if let Err(error) = page.check() {
            self.findings.error(Subject::Page, number, error.detail);
            return false;
        }
        if let Err(error) = page.check_key_order() {
            self.findings.error(Subject::Order, number, error.detail);
            return false;
        }
        true
    }

    /// Leaves name both their siblings. Windows leaves the links of internal pages empty in some splits, so
    /// there only wrong ones count.
    fn check_siblings(&mut self, number: PageNumber, page: &Page<'_>, depth: usize) {
        let is_wrong =
            |named: PageNumber, sibling: PageNumber| named != sibling && (page.is_leaf() || named.is_some());
        let now = LevelEnd::At { page: number, next: page.next() };
        match self.levels.get_mut(depth) {
            Some(end) => {
                if let LevelEnd::At { page: left, next } = *end {
                    if is_wrong(next, number) {
                        let text = format!("its right sibling is page {number}, and it names page {next}");
                        self.findings.error(Subject::Siblings, left, text);
                    }
                    if is_wrong(page.previous(), left) {
                        let text =
                            format!("its left sibling is page {left}, and it names page {}", page.previous());
                        self.findings.error(Subject::Siblings, number, text);
                    }
                }
                *end = now;
            }
            None => {
                if page.previous().is_some() {
                    let text = format!(
                        "the first page of its level names page {} as its left sibling",
                        page.previous()
                    );
                    self.findings.error(Subject::Siblings, number, text);
                }
                self.fill_levels(depth);
                self.levels.push(now);
            }
        }
    }

    /// What follows on that level has a left neighbour that is not known.
    fn lose_level(&mut self, depth: usize) {
        // Whatever was below the lost page is missing on the levels below, too, be they known yet or not.
        self.fill_levels(MAX_DEPTH);
        for end in self.levels.iter_mut().skip(depth) {
            *end = LevelEnd::Unknown;
        }
    }

    fn fill_levels(&mut self, depth: usize) {
        while self.levels.len() < depth {
            self.levels.push(LevelEnd::Unknown);
        }
    }

    fn check_bounds(&mut self, number: PageNumber, page: &Page<'_>, lower: &[u8], upper: Option<&[u8]>) {
        let Some(last) = page.line_count().checked_sub(1) else { return };
        let (Ok(first_node), Ok(last_node)) = (page.node(0), page.node(last)) else { return };
        let with_data = page.is_leaf() && self.tree.kind.contains(PageFlags::NON_UNIQUE_KEYS);
        let key = &mut self.key;
        let load = |node: &Node<'_>, key: &mut Vec<u8>| {
            key.clear();
            node.append_key(key);
            if with_data {
                key.extend_from_slice(node.data);
            }
        };
        load(&first_node, key);
        let is_end = first_node.key_len() == 0 && !page.is_leaf();
        let below = if page.is_leaf() { key.as_slice() < lower } else { key.as_slice() <= lower };
        if below && !lower.is_empty() && !is_end {
            self.findings.error(Subject::Separator, (number, 0), "the page begins below its separator");
        }
        load(&last_node, key);
        let fits = match (page.is_leaf(), upper) {
            (true, None) => true,
            (true, Some(upper)) => key.as_slice() < upper,
            (false, upper) => key.as_slice() == upper.unwrap_or_default(),
        };
        if !fits {
            let text = "the page does not end where its separator says";
            self.findings.error(Subject::Separator, (number, last), text);
        }
    }

    fn leaf(&mut self, number: PageNumber, page: &Page<'_>) {
        for line in 0..page.line_count() {
            let node = match page.node(line) {
                Ok(node) => node,
                Err(error) => {
                    self.walked.complete = false;
                    self.findings.error(Subject::Page, (number, line), error.detail);
                    continue;
                }
            };
            if node.is_deleted() {
                self.walked.deleted += 1;
                continue;
            }
            self.walked.entries += 1;
            self.key.clear();
            node.append_key(&mut self.key);
            let entry = Entry { key: &self.key, data: node.data, flags: node.flags, page: number, line };
            self.visit.entry(&entry, self.findings);
        }
    }
}
