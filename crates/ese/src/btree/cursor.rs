//! A position in a tree, and moves from it.
//!
//! No latch is kept between calls. The position remembers page, line and the page's dbtime; if that has
//! changed, it finds itself again by its bookmark. Who goes on along a leaf gets a copy of it, and needs no latch
//! before the next leaf.

use super::ahead::Ahead;
use super::leaf_copy::LeafCopy;
use super::search::{KnownRoot, Target, Way, leaf_line, read_leaf, read_leaf_again};
use super::tree::Tree;
use super::work::{View, Work};
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

/// From so many moves in a row on a cursor copies the leaf that it goes along.
const MOVES_TO_COPY: u8 = 2;

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
    /// For which view the node was judged: key and data hold for that one whatever others do.
    seen: Option<View>,
    /// Moves in a row without a change of the leaf under them.
    moves: u8,
    copy: KeptCopy,
    ahead: Ahead,
    root: KnownRoot,
}

/// The copy of the leaf, where there is one. Another cursor at the same place makes its own if it needs one.
#[derive(Default)]
struct KeptCopy(Option<Box<LeafCopy>>);

impl Clone for KeptCopy {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl std::fmt::Debug for KeptCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map(|copy| copy.number()).fmt(f)
    }
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
            seen: None,
            moves: 0,
            copy: KeptCopy::default(),
            ahead: Ahead::default(),
            root: KnownRoot::default(),
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

    /// The node is about to be changed: whoever does it finds it where it was last.
    pub(crate) fn will_change(&self, work: &mut Work) {
        if let Some((page, ..)) = self.place {
            work.set_found(&self.tree, page);
        }
    }

    /// Before the first node.
    pub fn before_first(&mut self) {
        self.leave(State::Before);
    }

    /// Behind the last node.
    pub fn after_last(&mut self) {
        self.leave(State::After);
    }

    /// There is no record any more in the direction of a move.
    fn end(&mut self, state: State) {
        self.leave(state);
        // Cursors that nobody moves shall take little memory.
        self.copy.0 = None;
    }

    fn leave(&mut self, state: State) {
        self.state = state;
        self.place = None;
        self.seen = None;
        self.moves = 0;
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
        let page = read_leaf_again(&self.tree, Way::First, &self.root)?;
        self.forward(work, page, 0)
    }

    /// To the last record that the transaction sees; false when there is none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn last(&mut self, work: &Work) -> Result<bool> {
        self.after_last();
        let page = read_leaf_again(&self.tree, Way::Last, &self.root)?;
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
                if let Some(found) = self.next_in_copy(work)? {
                    return Ok(found);
                }
                let (page, line, is_there) = self.go_on(work)?;
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
                if self.previous_in_copy(work)? {
                    return Ok(true);
                }
                let (page, line, _) = self.go_on(work)?;
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
        self.moves = 0;
        let target = Target::exact(bookmark.key, bookmark.data);
        let (page, line, is_there) = self.descend(target)?;
        if is_there && self.take_line(work, &page, line)? {
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
        self.seen = None;
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
        let view = self.view(work);
        if view.is_some() && self.seen == view {
            return Ok(true);
        }
        let (page, line, is_there) = match self.in_place() {
            Some(_) if self.is_plain && follows(view, self.seen) => {
                self.seen = view;
                return Ok(true);
            }
            Some((page, line)) => (page, line, true),
            None => self.descend(Target::exact(&self.key, self.bookmark().data))?,
        };
        Ok(is_there && self.take_line(work, &page, line)?)
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

    /// What a transaction sees of the tree. None where that changes in other ways than by versions.
    fn view(&self, work: &Work) -> Option<View> {
        if self.tree.is_space() { None } else { work.view() }
    }

    /// To the next record that the copy has, or that the leaves behind it have; `None` when the way there leads over
    /// the page itself, and then nothing has changed.
    fn next_in_copy(&mut self, work: &Work) -> Result<Option<bool>> {
        let Some((view, line)) = self.line_in_copy(work) else { return Ok(None) };
        let mut line = line + 1;
        loop {
            let Some(next) = self.take_from_copy(view, |lines| line..lines)? else { return Ok(Some(true)) };
            if !next.is_some() {
                self.end(State::After);
                return Ok(Some(false));
            }
            // The copy may lead to what is no leaf any more, or not in the file.
            let Ok(right) = self.tree.file.read(next) else { return Ok(None) };
            let leads_there = {
                let page = right.page();
                self.copy.0.as_ref().is_some_and(|copy| copy.leads_to(&page))
                    && page.is_leaf()
                    && self.tree.check(&page, next).is_ok()
            };
            if !leads_there {
                return Ok(None);
            }
            self.ahead.passes(next);
            self.copy_leaf(work, &right, view)?;
            line = 0;
        }
    }

    /// To the previous record if the copy has it; else nothing has changed.
    fn previous_in_copy(&mut self, work: &Work) -> Result<bool> {
        let Some((view, line)) = self.line_in_copy(work) else { return Ok(false) };
        Ok(self.take_from_copy(view, |_| (0..line).rev())?.is_none())
    }

    /// The line of the copy on which the cursor stands, if the copy says what the transaction sees.
    fn line_in_copy(&self, work: &Work) -> Option<(View, usize)> {
        let view = self.view(work)?;
        let (number, line, time) = self.place?;
        let copy = self.copy.0.as_ref()?;
        (copy.is_of(number, time) && copy.serves(view)).then_some((view, line))
    }

    /// Stands on the first of some lines of the copy that has something to be seen: `lines` tells them by how many
    /// there are. When there is none, the number of the leaf on the right.
    fn take_from_copy<L: Iterator<Item = usize>>(
        &mut self,
        view: View,
        lines: impl FnOnce(usize) -> L,
    ) -> Result<Option<PageNumber>> {
        let Some(copy) = &self.copy.0 else { return Ok(Some(PageNumber::NONE)) };
        let page = copy.page()?;
        let nodes = page.lines()?;
        for line in lines(nodes.len()) {
            let judged = copy.judged(line);
            let node = nodes.node(line)?;
            let data = match judged {
                Some(Seen::Absent) => continue,
                None if node.is_deleted() => continue,
                Some(Seen::Before(data)) => data,
                _ => node.data,
            };
            self.key.clear();
            node.append_key(&mut self.key);
            self.data.clear();
            self.data.extend_from_slice(data);
            self.state = State::On;
            self.place = Some((copy.number(), line, copy.time()));
            self.is_plain = judged.is_none();
            self.seen = Some(view);
            return Ok(None);
        }
        Ok(Some(page.next()))
    }

    /// Takes a copy of a leaf.
    fn copy_leaf(&mut self, work: &Work, page: &SharedPage, view: View) -> Result<()> {
        match &mut self.copy.0 {
            Some(copy) => copy.fill(work, &self.tree, page, view),
            none => {
                *none = Some(Box::new(LeafCopy::new(work, &self.tree, page, view)?));
                Ok(())
            }
        }
    }

    /// A move has come to a leaf: takes a copy if more moves are likely to follow.
    fn arrive(&mut self, work: &Work, page: &SharedPage) -> Result<()> {
        if self.moves < MOVES_TO_COPY && self.copy.0.is_none() {
            return Ok(());
        }
        let Some(view) = self.view(work) else { return Ok(()) };
        let (number, time) = (page.number(), page.page().db_time());
        let has_copy = self.copy.0.as_mut().is_some_and(|copy| copy.is_of(number, time) && copy.serve(view));
        if !has_copy && self.moves >= MOVES_TO_COPY {
            self.copy_leaf(work, page, view)?;
        }
        Ok(())
    }

    /// The leaf and line of the cursor's node, and whether it is still there. For a move, which is one more in a row
    /// if nothing has changed since the last one.
    fn go_on(&mut self, work: &Work) -> Result<(SharedPage, usize, bool)> {
        let in_place = self.in_place();
        let is_as_before = in_place.is_some() && self.seen == self.view(work);
        self.moves = if is_as_before { self.moves.saturating_add(1) } else { 0 };
        if let Some((page, line)) = in_place {
            return Ok((page, line, true));
        }
        let bookmark = self.bookmark();
        self.descend(Target::exact(bookmark.key, bookmark.data))
    }

    fn descend(&self, target: Target<'_>) -> Result<(SharedPage, usize, bool)> {
        if target.behind && !self.tree.is_unique {
            let high = Target { data: HIGH, ..target };
            let page = read_leaf_again(&self.tree, Way::To(high), &self.root)?;
            let (line, _) = leaf_line(&self.tree, &page.page(), &target)?;
            if line > 0 {
                let (page, line) = self.to_the_right(page, line, target)?;
                return Ok((page, line, false));
            }
        }
        let page = read_leaf_again(&self.tree, Way::To(target), &self.root)?;
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
            self.arrive(work, &page)?;
            let content = page.page();
            let lines = content.lines()?;
            while line < lines.len() {
                if self.take(work, (page.number(), line, content.db_time()), &lines.node(line)?)? {
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
                    self.end(State::After);
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
            self.arrive(work, &page)?;
            let content = page.page();
            let lines = content.lines()?;
            while line > 0 {
                line -= 1;
                if self.take(work, (page.number(), line, content.db_time()), &lines.node(line)?)? {
                    return Ok(true);
                }
            }
            if let Some(node) = first_node(&content)? {
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
                    self.end(State::Before);
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
                    let found = read_leaf_again(&self.tree, way, &self.root)?;
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

    /// As [`Self::take`], the node of a line.
    fn take_line(&mut self, work: &Work, page: &SharedPage, line: usize) -> Result<bool> {
        let content = page.page();
        self.take(work, (page.number(), line, content.db_time()), &content.lines()?.node(line)?)
    }

    /// Stands on a node of a latched page if the transaction sees it.
    fn take(
        &mut self,
        work: &Work,
        place: (PageNumber, usize, DbTime),
        node: &node::Node<'_>,
    ) -> Result<bool> {
        let view = self.view(work);
        let is_plain = !node.flags.contains(LineFlags::VERSION)
            || view.is_some_and(|view| view.sees_all(work, &self.tree));
        if is_plain {
            if node.is_deleted() {
                return Ok(false);
            }
            self.key.clear();
            node.append_key(&mut self.key);
            self.stand(place, node.data, true, view);
            return Ok(true);
        }
        self.key.clear();
        node.append_key(&mut self.key);
        match see(work, &self.tree, &self.key, node) {
            Seen::Absent => return Ok(false),
            Seen::Current => self.stand(place, node.data, false, view),
            Seen::Before(data) => self.stand(place, &data, false, view),
        }
        Ok(true)
    }

    /// Stands on the node whose key the cursor has already.
    fn stand(&mut self, place: (PageNumber, usize, DbTime), data: &[u8], is_plain: bool, seen: Option<View>) {
        self.data.clear();
        self.data.extend_from_slice(data);
        self.state = State::On;
        self.place = Some(place);
        self.is_plain = is_plain;
        self.seen = seen;
    }
}

/// Whether what was to be seen of a node without versions is still to be seen, the page being what it was.
fn follows(view: Option<View>, earlier: Option<View>) -> bool {
    match (view, earlier) {
        (Some(view), Some(earlier)) => view.follows(earlier),
        (_, earlier) => earlier.is_none(),
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
