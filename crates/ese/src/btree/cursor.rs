//! A position in a tree, and moves from it.
//!
//! No latch is kept between calls. The position remembers page, line and the page's dbtime; if that has
//! changed, it finds itself again by its bookmark.

use super::ahead::Ahead;
use super::search::{Target, Way, leaf_line, read_leaf};
use super::tree::Tree;
use super::work::Work;
use crate::buffer::SharedPage;
use crate::error::{Error, JetErr, Result};
use crate::sync::thread;
use crate::version::{Bookmark, History, Node, Seen};
use ese_format::DbTime;
use ese_format::PageNumber;
use ese_format::node;
use ese_format::page::{LineFlags, Page};

/// Higher than any bookmark begins, or nearly: where to look for the end of equal keys first.
const HIGH: &[u8] = &[0xFF; 16];

/// Where a cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first node.
    Before,
    /// On a node, or where it was.
    On,
    /// Behind the last node.
    After,
}

/// A position in a tree.
#[derive(Debug, Clone)]
pub struct TreeCursor {
    tree: Tree,
    state: State,
    key: Vec<u8>,
    /// The record as the transaction sees it.
    data: Vec<u8>,
    /// Where the node was found: page, line, the page's dbtime then.
    place: Option<(PageNumber, usize, DbTime)>,
    /// It had no versions there: as long as the page is the same, all see what was seen.
    is_plain: bool,
    ahead: Ahead,
}

impl TreeCursor {
    /// Before the first node of a tree.
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            state: State::Before,
            key: Vec::new(),
            data: Vec::new(),
            place: None,
            is_plain: false,
            ahead: Ahead::default(),
        }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether it stands on a node.
    pub fn is_on(&self) -> bool {
        self.state == State::On
    }

    /// The key of the node.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The node's data as they were when the cursor came here; see [`Self::refresh`].
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The node's bookmark.
    pub fn bookmark(&self) -> Bookmark<'_> {
        Bookmark { key: &self.key, data: if self.tree.is_unique { &[] } else { &self.data } }
    }

    /// Before the first node.
    pub fn before_first(&mut self) {
        self.leave(State::Before);
    }

    /// Behind the last node.
    pub fn after_last(&mut self) {
        self.leave(State::After);
    }

    fn leave(&mut self, state: State) {
        self.state = state;
        self.place = None;
        self.ahead.reset();
        self.key.clear();
        self.data.clear();
    }

    /// To the first record that the transaction sees; false when there is none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn first(&mut self, work: &Work) -> Result<bool> {
        self.before_first();
        let page = read_leaf(&self.tree, Way::First)?;
        self.forward(work, page, 0)
    }

    /// To the last record that the transaction sees; false when there is none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn last(&mut self, work: &Work) -> Result<bool> {
        self.after_last();
        let page = read_leaf(&self.tree, Way::Last)?;
        let lines = page.page().line_count();
        self.backward(work, page, lines, Way::Last)
    }

    /// To the next record; false behind the last one.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn next(&mut self, work: &Work) -> Result<bool> {
        match self.state {
            State::Before => self.first(work),
            State::After => Ok(false),
            State::On => {
                if self.ahead.is_wanted() {
                    let mut ahead = std::mem::take(&mut self.ahead);
                    let bookmark = self.bookmark();
                    ahead.read(&self.tree, Target::exact(bookmark.key, bookmark.data));
                    self.ahead = ahead;
                }
                let (page, line, is_there) = self.find()?;
                self.forward(work, page, line + usize::from(is_there))
            }
        }
    }

    /// To the previous record; false before the first one.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn previous(&mut self, work: &Work) -> Result<bool> {
        match self.state {
            State::Before => Ok(false),
            State::After => self.last(work),
            State::On => {
                let (page, line, _) = self.find()?;
                let (key, data) = (self.key.clone(), self.bookmark().data.to_vec());
                self.backward(work, page, line, Way::To(Target::exact(&key, &data)))
            }
        }
    }

    /// To the first record at or behind a place; false when there is none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn seek_forward(&mut self, work: &Work, target: Target<'_>) -> Result<bool> {
        let (page, line, _) = self.descend(target)?;
        self.leave(State::After);
        self.forward(work, page, line)
    }

    /// To the last record before a place; false when there is none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn seek_backward(&mut self, work: &Work, target: Target<'_>) -> Result<bool> {
        let (page, line, _) = self.descend(target)?;
        self.leave(State::Before);
        self.backward(work, page, line, Way::To(target))
    }

    /// To the record with this bookmark; false when the transaction sees none, and then the cursor stands
    /// where it would be.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn seek_exact(&mut self, work: &Work, bookmark: Bookmark<'_>) -> Result<bool> {
        self.ahead.reset();
        let target = Target::exact(bookmark.key, bookmark.data);
        let (page, line, is_there) = self.descend(target)?;
        if is_there && self.take(work, &page, line)? {
            return Ok(true);
        }
        self.key.clear();
        self.key.extend_from_slice(bookmark.key);
        self.data.clear();
        if !self.tree.is_unique {
            self.data.extend_from_slice(bookmark.data);
        }
        self.state = State::On;
        self.place = None;
        Ok(false)
    }

    /// Takes the data anew, as the transaction sees them now; false when it does not see the record.
    ///
    /// # Errors
    /// `NoCurrentRecord` off any record; those of the pages.
    pub fn refresh(&mut self, work: &Work) -> Result<bool> {
        if self.state != State::On {
            return Err(Error::new(JetErr::NoCurrentRecord, "the cursor is on no record"));
        }
        let (page, line, is_there) = match self.in_place() {
            Some(_) if self.is_plain => return Ok(true),
            Some((page, line)) => (page, line, true),
            None => self.descend(Target::exact(&self.key, self.bookmark().data))?,
        };
        Ok(is_there && self.take(work, &page, line)?)
    }

    /// The leaf and line where the node was found, if the page is what it was.
    fn in_place(&self) -> Option<(SharedPage, usize)> {
        let (number, line, time) = self.place?;
        // The page may have left the tree; then it is not what it was, or cannot be read at all.
        let page = self.tree.file.read(number).ok()?;
        let is_same = {
            let view = page.page();
            view.db_time() == time && view.object() == self.tree.object && view.is_leaf()
        };
        is_same.then_some((page, line))
    }

    /// The leaf and line of the cursor's node, and whether it is still there.
    fn find(&self) -> Result<(SharedPage, usize, bool)> {
        if let Some((page, line)) = self.in_place() {
            return Ok((page, line, true));
        }
        let bookmark = self.bookmark();
        self.descend(Target::exact(bookmark.key, bookmark.data))
    }

    fn descend(&self, target: Target<'_>) -> Result<(SharedPage, usize, bool)> {
        if target.behind && !self.tree.is_unique {
            let high = Target { data: HIGH, ..target };
            let page = read_leaf(&self.tree, Way::To(high))?;
            let (line, _) = leaf_line(&self.tree, &page.page(), &target)?;
            if line > 0 {
                let (page, line) = self.to_the_right(page, line, target)?;
                return Ok((page, line, false));
            }
        }
        let page = read_leaf(&self.tree, Way::To(target))?;
        let (line, is_there) = leaf_line(&self.tree, &page.page(), &target)?;
        if target.behind {
            let (page, line) = self.to_the_right(page, line, target)?;
            return Ok((page, line, false));
        }
        Ok((page, line, is_there))
    }

    /// The way down leads to the first of equal keys, or close to the last: goes on to the leaf where the place
    /// behind them is, or at whose end.
    fn to_the_right(
        &self,
        mut page: SharedPage,
        mut line: usize,
        target: Target<'_>,
    ) -> Result<(SharedPage, usize)> {
        while line == page.page().line_count() {
            let Some(next) = self.right_of(&page)? else { break };
            let (next_line, _) = leaf_line(&self.tree, &next.page(), &target)?;
            if next_line == 0 {
                break;
            }
            (page, line) = (next, next_line);
        }
        Ok((page, line))
    }

    /// From line `line` of a leaf on, the first record that the transaction sees.
    fn forward(&mut self, work: &Work, mut page: SharedPage, mut line: usize) -> Result<bool> {
        loop {
            while line < page.page().line_count() {
                if self.take(work, &page, line)? {
                    return Ok(true);
                }
                line += 1;
            }
            match self.right_of(&page)? {
                Some(next) => {
                    self.ahead.passes(next.number());
                    (page, line) = (next, 0);
                }
                None => {
                    self.after_last();
                    return Ok(false);
                }
            }
        }
    }

    /// Before line `line` of a leaf, the last record that the transaction sees. `from` leads to where that is.
    fn backward(
        &mut self,
        work: &Work,
        mut page: SharedPage,
        mut line: usize,
        from: Way<'_>,
    ) -> Result<bool> {
        // Where the last leaf with nodes begins: all behind it was looked at.
        let mut begin: Option<(Vec<u8>, Vec<u8>)> = None;
        loop {
            while line > 0 {
                line -= 1;
                if self.take(work, &page, line)? {
                    return Ok(true);
                }
            }
            if let Some(node) = first_node(&page.page())? {
                let data = if self.tree.is_unique { Vec::new() } else { node.data.to_vec() };
                begin = Some((node.key(), data));
            }
            let way = match &begin {
                Some((key, data)) => Way::To(Target::exact(key, data)),
                None => from,
            };
            match self.left_of(page, way)? {
                Some(left) => (page, line) = left,
                None => {
                    self.before_first();
                    return Ok(false);
                }
            }
        }
    }

    fn right_of(&self, page: &SharedPage) -> Result<Option<SharedPage>> {
        let number = page.page().next();
        if !number.is_some() {
            return Ok(None);
        }
        let next = self.tree.file.read(number)?;
        self.tree.check(&next.page(), number)?;
        if next.page().previous() != page.number() || !next.page().is_leaf() {
            return Err(self.tree.corrupt(number, "the left neighbour of a leaf does not lead back to it"));
        }
        Ok(Some(next))
    }

    /// The leaf on the left and the line behind its last one. Latches are taken from left to right; against
    /// that order they are only tried.
    ///
    /// `way` leads back to where the page begins, in case that somebody has changed its neighbour meanwhile.
    fn left_of(&self, mut page: SharedPage, way: Way<'_>) -> Result<Option<(SharedPage, usize)>> {
        loop {
            let number = page.page().previous();
            if !number.is_some() {
                return Ok(None);
            }
            if let Some(left) = self.tree.file.try_read(number)? {
                self.tree.check(&left.page(), number)?;
                if left.page().next() != page.number() || !left.page().is_leaf() {
                    let sentence = "the right neighbour of a leaf does not lead back to it";
                    return Err(self.tree.corrupt(number, sentence));
                }
                let lines = left.page().line_count();
                return Ok(Some((left, lines)));
            }
            // Somebody changes it, and may be waiting for this page.
            drop(page);
            thread::yield_now();
            let (found, line) = match way {
                Way::To(target) => {
                    let (found, line, _) = self.descend(target)?;
                    (found, line)
                }
                Way::First | Way::Last => {
                    let found = read_leaf(&self.tree, way)?;
                    let lines = found.page().line_count();
                    (found, lines)
                }
            };
            if line > 0 {
                return Ok(Some((found, line)));
            }
            page = found;
        }
    }

    /// Stands on a node if the transaction sees it.
    fn take(&mut self, work: &Work, page: &SharedPage, line: usize) -> Result<bool> {
        let view = page.page();
        let node = view.node(line)?;
        if !node.flags.contains(LineFlags::VERSION) {
            if node.is_deleted() {
                return Ok(false);
            }
            self.key.clear();
            node.append_key(&mut self.key);
            self.stand((page.number(), line, view.db_time()), node.data, true);
            return Ok(true);
        }
        self.key.clear();
        node.append_key(&mut self.key);
        let place = (page.number(), line, view.db_time());
        match see(work, &self.tree, &self.key, &node) {
            Seen::Absent => return Ok(false),
            Seen::Current => self.stand(place, node.data, false),
            Seen::Before(data) => self.stand(place, &data, false),
        }
        Ok(true)
    }

    /// Stands on the node whose key the cursor has already.
    fn stand(&mut self, place: (PageNumber, usize, DbTime), data: &[u8], is_plain: bool) {
        self.data.clear();
        self.data.extend_from_slice(data);
        self.state = State::On;
        self.place = Some(place);
        self.is_plain = is_plain;
    }
}

/// What a transaction sees of a node on a latched page.
pub(super) fn see(work: &Work, tree: &Tree, key: &[u8], node: &node::Node<'_>) -> Seen {
    let bookmark = Bookmark { key, data: if tree.is_unique { &[] } else { node.data } };
    let versioned = Node { tree: tree.id(), bookmark };
    work.store().see(&versioned, &work.snapshot(), node.is_deleted(), node.data)
}

/// What became of the node with a bookmark since what a transaction sees of it; none when it is not there.
///
/// # Errors
/// Those of the pages.
pub fn history(work: &Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<Option<History>> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let page = read_leaf(tree, Way::To(target))?;
    let (line, is_there) = leaf_line(tree, &page.page(), &target)?;
    if !is_there {
        return Ok(None);
    }
    let view = page.page();
    let node = view.node(line)?;
    let versioned = Node { tree: tree.id(), bookmark };
    Ok(Some(work.store().history(&versioned, &work.snapshot(), node.is_deleted(), node.data)))
}

fn first_node<'a>(page: &Page<'a>) -> Result<Option<node::Node<'a>>> {
    if page.line_count() == 0 { Ok(None) } else { Ok(Some(page.node(0)?)) }
}
