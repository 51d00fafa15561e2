//! The two trees of extents of one tree.

use super::session::{self, Session};
use crate::btree::{Target, Tree, TreeCursor};
use crate::error::{Error, JetErr, Result};
use ese_format::PageNumber;
use ese_format::page::PageFlags;
use ese_format::space::{Extent, Pool, SplitBuffers};

/// How many extents are looked at for one that is large enough, before a smaller one will do.
const LOOKED_AT: usize = 64;
/// How many more are looked at for one that will do at all, before the tree grows.
const LOOKED_AT_MOST: usize = 512;
/// Bytes that the one page of a tree of extents has left when it gets its first split buffer.
const ROOM: usize = 200;

/// What somebody wants: consecutive pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// Fewer are of no use.
    pub(super) least: u32,
    /// With fewer a tree grows rather than serve them.
    pub(super) enough: u32,
    /// More are not wanted.
    pub(super) most: u32,
    /// Preferably from here on.
    pub(super) near: PageNumber,
    /// Where the pages may lie.
    pub(super) bound: Bound,
}

/// Where pages may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bound {
    /// Anywhere; while the database is being shrunk, before the part that goes if there is room.
    #[default]
    Usual,
    /// Only before a page: for what moves there. The file does not grow for that.
    Before {
        /// The first page that will not do.
        page: PageNumber,
        /// By how many pages the tree should grow if it has to.
        growth: u32,
    },
}

/// The trees of owned and of available extents of one tree, while its root page is held.
#[derive(Debug, Clone)]
pub(super) struct Extents {
    pub(super) owned: Tree,
    pub(super) available: Tree,
}

impl Extents {
    /// Those of a tree whose header names the root of the owned extents.
    pub(super) fn of(tree: &Tree, owned_root: PageNumber) -> Result<Self> {
        if !owned_root.is_some() || owned_root >= PageNumber::MAX || owned_root == tree.root {
            return Err(Error::new(
                JetErr::SPOwnExtCorrupted,
                format!("page {owned_root} cannot be the root of owned extents"),
            )
            .page(tree.root)
            .file(tree.file.file().path()));
        }
        let at = |root: u32| Tree {
            root: PageNumber(root),
            is_unique: true,
            kind: tree.kind | PageFlags::SPACE_TREE,
            ..tree.clone()
        };
        Ok(Self { owned: at(owned_root.0), available: at(owned_root.0 + 1) })
    }

    /// The owned extent with a page.
    pub(super) fn owner_of(&self, session: &Session, page: PageNumber) -> Result<Extent> {
        let mut cursor = TreeCursor::new(self.owned.clone());
        let mut found = cursor.seek_forward(&session.work, Target::before(&page.0.to_be_bytes()))?;
        while found {
            if let Some(extent) = owned(&cursor)? {
                if extent.contains(page) {
                    return Ok(extent);
                }
                break;
            }
            found = cursor.next(&session.work)?;
        }
        Err(self.owned_corrupt(format!("the tree does not own page {page}, which is given back to it")))
    }

    /// The last owned extent.
    pub(super) fn last_owned(&self, session: &Session) -> Result<Extent> {
        let mut cursor = TreeCursor::new(self.owned.clone());
        let mut found = cursor.last(&session.work)?;
        while found {
            if let Some(extent) = owned(&cursor)? {
                return Ok(extent);
            }
            found = cursor.previous(&session.work)?;
        }
        Err(self.owned_corrupt("the tree owns nothing".into()))
    }

    /// Calls `each` for every owned extent in page order.
    pub(super) fn each_owned(&self, session: &Session, mut each: impl FnMut(Extent)) -> Result<()> {
        let mut cursor = TreeCursor::new(self.owned.clone());
        while cursor.next(&session.work)? {
            if let Some(extent) = owned(&cursor)? {
                each(extent);
            }
        }
        Ok(())
    }

    /// Calls `each` for every available extent, pool by pool.
    pub(super) fn each_available(&self, session: &Session, mut each: impl FnMut(Pool, Extent)) -> Result<()> {
        let mut cursor = TreeCursor::new(self.available.clone());
        while cursor.next(&session.work)? {
            if let Some((pool, extent)) = Extent::decode_available(cursor.key(), cursor.data())? {
                each(pool, extent);
            }
        }
        Ok(())
    }

    /// Whether all of an extent is available, as one.
    pub(super) fn is_available(&self, session: &Session, extent: Extent) -> Result<bool> {
        let mut cursor = TreeCursor::new(self.available.clone());
        let key = extent.key();
        let found = cursor.seek_forward(&session.work, Target::before(&key))?;
        Ok(found && cursor.key() == &key[..] && general(&cursor)? == Some(extent))
    }

    /// The owned extents that lie within an extent.
    pub(super) fn owned_within(&self, session: &Session, part: Extent) -> Result<Vec<Extent>> {
        let mut cursor = TreeCursor::new(self.owned.clone());
        let mut all = Vec::new();
        let mut found = cursor.seek_forward(&session.work, Target::before(&part.first().0.to_be_bytes()))?;
        while found {
            match owned(&cursor)? {
                Some(extent) if extent.last > part.last => break,
                Some(extent) if extent.first() >= part.first() => all.push(extent),
                _ => {}
            }
            found = cursor.next(&session.work)?;
        }
        Ok(all)
    }

    /// The parts of an extent that are available.
    pub(super) fn available_within(&self, session: &Session, part: Extent) -> Result<Vec<Extent>> {
        let mut cursor = TreeCursor::new(self.available.clone());
        let mut all = Vec::new();
        let mut found = cursor.seek_forward(&session.work, Target::before(&part.first().0.to_be_bytes()))?;
        while found && cursor.key().len() == 4 {
            match general(&cursor)? {
                Some(extent) if extent.first() > part.last => break,
                Some(extent) => all.push(extent),
                None => {}
            }
            found = cursor.next(&session.work)?;
        }
        Ok(all)
    }

    /// Makes one available extent of those that fill an owned one: other engines do not join those that they got
    /// at different times.
    pub(super) fn join_within(&self, session: &mut Session, owned: Extent) -> Result<()> {
        let mut pieces = self.available_within(session, owned)?;
        let pages: u32 = pieces.iter().map(|piece| piece.pages).sum();
        let Some(last) = pieces.pop().filter(|last| last.last == owned.last && pages == owned.pages) else {
            return Ok(());
        };
        for piece in pieces {
            session.remove(self, &self.available, &piece.key())?;
        }
        if last.pages < pages {
            session.replace(&self.available, &owned.key(), &owned.data())?;
        }
        Ok(())
    }

    /// Enters a new owned extent.
    pub(super) fn add_owned(&self, session: &mut Session, extent: Extent) -> Result<()> {
        session.insert(self, &self.owned, &extent.key(), &extent.data())
    }

    /// Takes pages out of the available ones, perhaps only from before a page: the best that can be found without
    /// looking at everything.
    pub(super) fn take(
        &self,
        session: &mut Session,
        ask: Ask,
        before: Option<PageNumber>,
    ) -> Result<Option<Extent>> {
        let Some(found) = self.find(session, ask, before)? else { return Ok(None) };
        if found.pages <= ask.most {
            session.remove(self, &self.available, &found.key())?;
            return Ok(Some(found));
        }
        // The first pages go: the key stays.
        let rest = Extent { last: found.last, pages: found.pages - ask.most };
        session.replace(&self.available, &rest.key(), &rest.data())?;
        Ok(Some(Extent::new(found.first(), ask.most)))
    }

    fn find(&self, session: &Session, ask: Ask, before: Option<PageNumber>) -> Result<Option<Extent>> {
        let mut best: Option<Extent> = None;
        let mut cursor = TreeCursor::new(self.available.clone());
        let near = if before.is_some_and(|before| ask.near >= before) { PageNumber::NONE } else { ask.near };
        let start = near.0.to_be_bytes();
        let mut looked = 0;
        // From `near` to the end, then from the beginning to `near`.
        for wrapped in [false, true] {
            let from = if wrapped { &[][..] } else { &start[..] };
            let mut found = cursor.seek_forward(&session.work, Target::before(from))?;
            while found {
                if cursor.key().len() != start.len() || (wrapped && cursor.key() >= &start[..]) {
                    break;
                }
                if let Some(extent) = general(&cursor)? {
                    if before.is_some_and(|before| extent.last >= before) {
                        break;
                    }
                    if extent.pages >= ask.most {
                        return Ok(Some(extent));
                    }
                    if extent.pages >= ask.enough && best.is_none_or(|best| best.pages < extent.pages) {
                        best = Some(extent);
                    }
                }
                looked += 1;
                if looked >= LOOKED_AT_MOST || (looked >= LOOKED_AT && best.is_some()) {
                    return Ok(best);
                }
                found = cursor.next(&session.work)?;
            }
        }
        Ok(best)
    }

    /// Makes pages of one owned extent available. When all of that extent is available then and `may_leave`, it
    /// leaves the tree altogether and is returned.
    pub(super) fn put(&self, session: &mut Session, run: Extent, may_leave: bool) -> Result<Option<Extent>> {
        let owner = self.owner_of(session, run.last)?;
        if !owner.contains(run.first()) {
            return Err(self.owned_corrupt(format!(
                "pages {} to {} are not all owned",
                run.first(),
                run.last
            )));
        }
        let (left, right) = self.neighbours(session, run)?;
        // Extents join within the owned extent only: else none would ever be whole.
        let left = left.filter(|left| owner.contains(left.first()));
        let right = right.filter(|right| owner.contains(right.last));
        let pages = run.pages + left.map_or(0, |e| e.pages) + right.map_or(0, |e| e.pages);
        if let Some(left) = left {
            session.remove(self, &self.available, &left.key())?;
        }
        if may_leave && pages == owner.pages {
            if let Some(right) = right {
                session.remove(self, &self.available, &right.key())?;
            }
            session.remove(self, &self.owned, &owner.key())?;
            return Ok(Some(owner));
        }
        match right {
            Some(right) => {
                let joined = Extent { last: right.last, pages };
                session.replace(&self.available, &joined.key(), &joined.data())?;
            }
            None => {
                let joined = Extent { last: run.last, pages };
                session.insert(self, &self.available, &joined.key(), &joined.data())?;
            }
        }
        Ok(None)
    }

    /// The available extents that touch a run of pages on either side.
    fn neighbours(&self, session: &Session, run: Extent) -> Result<(Option<Extent>, Option<Extent>)> {
        let (mut left, mut right) = (None, None);
        let before = run.first().0 - 1;
        let mut cursor = TreeCursor::new(self.available.clone());
        let mut found = cursor.seek_forward(&session.work, Target::before(&before.to_be_bytes()))?;
        while found && cursor.key().len() == 4 {
            match general(&cursor)? {
                Some(extent) if extent.last.0 == before => left = Some(extent),
                Some(extent) if extent.first() <= run.last => {
                    let sentence = format!(
                        "pages {} to {} are given back and in part available already",
                        run.first(),
                        run.last
                    );
                    return Err(Error::new(JetErr::SPAvailExtCorrupted, sentence)
                        .page(self.available.root)
                        .file(self.available.file.file().path()));
                }
                Some(extent) => {
                    right = (extent.first().0 == run.last.0 + 1).then_some(extent);
                    break;
                }
                None => {}
            }
            found = cursor.next(&session.work)?;
        }
        Ok((left, right))
    }

    /// How many pages the tree of owned extents should get for splits to come.
    ///
    /// Only it needs a buffer: when available extents have to split, there are many to take a page from.
    pub(super) fn buffer_wanted(&self) -> Result<u32> {
        let tree = &self.owned;
        let (buffers, mut child, mut depth) = {
            let root = tree.file.read(tree.root)?;
            let page = root.page();
            if page.is_leaf() && page.free_bytes() >= ROOM {
                return Ok(0);
            }
            let buffers = SplitBuffers::decode(page.external_header()?)?;
            let child = if page.is_leaf() { None } else { Some(page.node(0)?.child()?) };
            (buffers, child, 1)
        };
        while let Some(number) = child {
            depth += 1;
            if depth > DEPTH_MOST {
                return Err(self.owned_corrupt("the way down has no end".into()));
            }
            let below = tree.file.read(number)?;
            let page = below.page();
            child = if page.is_leaf() { None } else { Some(page.node(0)?.child()?) };
        }
        // Every level may split, and the root get a new level below it.
        let need = depth + 1;
        let there: u32 = buffers.extents().map(|extent| extent.pages).sum();
        let has_place = buffers.0.iter().any(|extent| extent.pages == 0);
        Ok(if there < need && has_place { 2 * need } else { 0 })
    }

    /// Sets pages aside for splits of the tree of owned extents; false when there is no place for them.
    pub(super) fn fill_buffer(&self, session: &mut Session, extent: Extent) -> Result<bool> {
        session::fill_buffer(session, &self.owned, extent)
    }

    fn owned_corrupt(&self, sentence: String) -> Error {
        Error::new(JetErr::SPOwnExtCorrupted, sentence)
            .page(self.owned.root)
            .file(self.owned.file.file().path())
    }
}

/// No tree of extents is deeper.
const DEPTH_MOST: u32 = 32;

fn owned(cursor: &TreeCursor) -> Result<Option<Extent>> {
    Ok(Extent::decode_owned(cursor.key(), cursor.data())?)
}

/// The extent of the general pool at a cursor.
fn general(cursor: &TreeCursor) -> Result<Option<Extent>> {
    let found = Extent::decode_available(cursor.key(), cursor.data())?;
    Ok(found.filter(|(pool, _)| *pool == Pool::GENERAL).map(|(_, extent)| extent))
}

/// Takes any available page, if there is one; needs no page itself and frees none.
pub(super) fn take_any_page(session: &mut Session, available: &Tree) -> Result<Option<PageNumber>> {
    let mut cursor = TreeCursor::new(available.clone());
    while cursor.next(&session.work)? {
        let Some(extent) = general(&cursor)? else { continue };
        if extent.pages == 1 {
            session.remove_alone(available, &extent.key())?;
        } else {
            let rest = Extent { last: extent.last, pages: extent.pages - 1 };
            session.replace(available, &rest.key(), &rest.data())?;
        }
        return Ok(Some(extent.first()));
    }
    Ok(None)
}
