//! A database gives the end of its file back, while others work.
//!
//! Extent by extent from the end: as long as the last one is free it is cut off; else the pages in use there move
//! before it, if there is room. Roots only do while nobody knows their table: see [`super::root_move`].
//! What moves, and in which order, follows microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx`;
//! there the database must be nobody else's meanwhile.

use super::root_move::RootMoved;
use super::running::Running;
use super::schema::OpenSchema;
use crate::backup::external::ExternalBackup;
use crate::btree::{PageMoved, Tree, Work};
use crate::cleanup::Cleanup;
use crate::database::{Attachment, Storage};
use crate::error::{JetErr, Result};
use crate::space::ShrinkTurn;
use crate::sync::{Arc, thread};
use ese_format::page::PageFlags;
use ese_format::space::Extent;
use ese_format::{ObjectId, PageNumber};
use std::collections::{BTreeMap, BTreeSet};

/// How often the pages of one extent are gone through: others may use free ones there meanwhile.
const ROUNDS: u32 = 3;
/// How often to try to move a page that others are at.
pub(super) const TRIES: u32 = 200;

/// Why a database did not become smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShrinkStop {
    /// The root of a tree lies there, or that of its free pages, and somebody uses its table: it can move another time.
    Root(PageNumber),
    /// There is no room for the pages that would have to move.
    NoRoom,
    /// A page that is not free does not move: others are making or freeing its tree, or a crash has lost it.
    InUse(PageNumber),
    /// A backup has begun.
    Backup,
    /// Somebody else makes the database smaller.
    Busy,
}

/// What became of an attempt to make a database smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shrunk {
    /// Pages that the file lost.
    pub(super) cut: u32,
    /// Pages that moved for that.
    pub(super) moved: u32,
    /// Why it did not become smaller still.
    pub(super) stopped: Option<ShrinkStop>,
}

/// Makes one database smaller.
pub(super) struct Shrinker<'a> {
    pub(super) running: &'a Running,
    pub(super) schema: Arc<OpenSchema>,
    pub(super) storage: Arc<Storage>,
    pub(super) cleanup: Arc<Cleanup>,
    backup: Arc<ExternalBackup>,
    pub(super) work: Work,
    turn: ShrinkTurn,
    root: Tree,
    trees: TreeList,
    moved: u32,
}

/// A page of the last extent that is not available to the database's root.
#[derive(Debug, Clone, Copy)]
struct Found {
    page: PageNumber,
    object: ObjectId,
    flags: PageFlags,
}

/// The trees of a database, as they were when somebody asked.
#[derive(Default)]
struct TreeList {
    /// The table of each tree, the one with the highest number last: indexes have higher ones than their tables.
    tables: BTreeMap<ObjectId, ObjectId>,
    /// How many changes of tables had begun then; none when nobody has asked.
    holds_at: Option<u64>,
    /// The last page of each extent that a tree owns, if that was needed.
    owned: Option<BTreeSet<(PageNumber, ObjectId)>>,
}

impl TreeList {
    fn table_of(&self, tree: ObjectId) -> Option<ObjectId> {
        self.tables.get(&tree).copied()
    }

    fn all(&self) -> impl Iterator<Item = ObjectId> {
        self.tables.keys().copied()
    }
}

/// What came of a page.
enum Cleared {
    /// It is in use no more, or was not.
    Yes,
    /// Others are in the way.
    No,
}

impl<'a> Shrinker<'a> {
    /// None when somebody else shrinks the database.
    pub(super) fn new(
        running: &'a Running,
        attachment: &Arc<Attachment>,
        root: Tree,
    ) -> Result<Option<Self>> {
        let storage = running.attachments.storage().clone();
        let Some(turn) = storage.space.begin_shrink(attachment.id) else { return Ok(None) };
        let transaction = storage.transactions.open()?;
        let work =
            Work::new(running.log.clone(), storage.versions.clone(), storage.space.clone(), transaction);
        Ok(Some(Self {
            running,
            schema: running.schema(attachment)?,
            cleanup: running.cleanup.clone(),
            backup: running.backup.clone(),
            storage,
            work,
            turn,
            root,
            trees: TreeList::default(),
            moved: 0,
        }))
    }

    /// Cuts the file as long as it keeps at least `keep` pages.
    pub(super) fn run(&mut self, keep: PageNumber) -> Result<Shrunk> {
        let mut cut = 0;
        let mut before = None;
        let stopped = loop {
            match self.backup.attaching() {
                Ok(_announced) => cut += self.storage.space.shrink_to(&self.root, keep)?,
                Err(_) if cut > 0 => break Some(ShrinkStop::Backup),
                Err(error) => return Err(error),
            }
            let Some(last) = self.storage.space.last_extent(&self.root)? else { break None };
            if last.contains(PageNumber::DATABASE_ROOT) || last.first().0.saturating_sub(1) < keep.0 {
                break None;
            }
            if before.replace(last) == Some(last) {
                // Others have taken pages there since it was emptied.
                break Some(ShrinkStop::InUse(last.first()));
            }
            self.turn.aim(last.first());
            if let Some(stop) = self.empty(last)? {
                break Some(stop);
            }
        };
        Ok(Shrunk { cut, moved: self.moved, stopped })
    }

    /// Does something in a transaction of its own: as long as it lasts no tree that it sees is freed.
    pub(super) fn within<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.work.transaction().level() == 0 {
            self.work.begin(false)?;
        }
        let result = act(self);
        let committed = self.work.commit(true);
        let value = result?;
        committed.map(|()| value)
    }

    /// As [`Self::within`], beside what waits for steps of cleanup; none while the database is held.
    fn step<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        let (cleanup, database) = (self.cleanup.clone(), self.schema.attachment.id);
        cleanup.beside(database, || self.within(act))
    }

    /// Empties the last extent; or says why that cannot be.
    fn empty(&mut self, last: Extent) -> Result<Option<ShrinkStop>> {
        let mut left = None;
        for round in 0..ROUNDS {
            // What nobody sees any more goes first, rather than move.
            self.running.clean_up();
            self.running.dropped.step()?;
            left = self.first_in_use(last)?;
            if left.is_none() {
                return Ok(None);
            }
            let mut found = self.survey(last)?;
            self.learn(&found)?;
            let mut trees: BTreeSet<ObjectId> = found.iter().map(|found| found.object).collect();
            let roots = self.roots_among(&found)?;
            if !roots.is_empty() {
                if let Some(stop) = self.move_roots(last, &roots)? {
                    return Ok(Some(stop));
                }
                found = self.survey(last)?;
                trees.extend(found.iter().map(|found| found.object));
            }
            if let Some(stop) = self.move_all(last, &found)? {
                return Ok(Some(stop));
            }
            // Pages that say nothing may be any tree's.
            match round {
                0 => {}
                1 => trees.extend(self.owners(last)?),
                _ => trees = self.trees.all().collect(),
            }
            // Children, which have higher numbers, give their pages back to their tables.
            let tables: Vec<ObjectId> = trees.iter().filter_map(|tree| self.trees.table_of(*tree)).collect();
            trees.extend(tables);
            for object in trees.into_iter().rev() {
                self.step(|this| match this.tree(object)? {
                    Some(tree) => this.storage.space.vacate(&tree, last),
                    None => Ok(()),
                })?;
            }
            self.storage.space.vacate(&self.root, last)?;
            left = self.first_in_use(last)?;
            if left.is_none() {
                return Ok(None);
            }
        }
        Ok(left.map(ShrinkStop::InUse))
    }

    /// The first page of an extent that is not available to the database's root.
    fn first_in_use(&self, last: Extent) -> Result<Option<PageNumber>> {
        let mut next = last.first();
        for free in self.storage.space.available_within(&self.root, last)? {
            if free.first() > next {
                break;
            }
            next = PageNumber(free.last.0 + 1);
        }
        Ok((next <= last.last).then_some(next))
    }

    /// Finds out which trees there are, if any of those that were found is not known and has come since that was asked.
    fn learn(&mut self, found: &[Found]) -> Result<()> {
        let changes = self.schema.catalog.changes();
        let mut unknown = found
            .iter()
            .filter(|found| found.object != self.root.object && self.trees.table_of(found.object).is_none());
        if self.trees.holds_at == Some(changes) || (self.trees.holds_at.is_some() && unknown.next().is_none())
        {
            return Ok(());
        }
        let tables = self.within(|this| {
            let mut all = BTreeMap::new();
            for (_, table) in this.schema.catalog.tables(&this.work)? {
                for tree in this.trees_of(table)? {
                    all.insert(tree.object, table);
                }
            }
            Ok(all)
        })?;
        self.trees = TreeList { tables, holds_at: Some(changes), owned: None };
        Ok(())
    }

    /// The trees that own anything in an extent at the end of the file, as far as it is known.
    fn owners(&mut self, last: Extent) -> Result<Vec<ObjectId>> {
        if self.trees.owned.is_none() {
            let mut owned = BTreeSet::new();
            for object in self.trees.all().collect::<Vec<_>>() {
                let extents = self.step(|this| match this.tree(object)? {
                    Some(tree) => this.storage.space.owned_by(&tree),
                    None => Ok(Vec::new()),
                })?;
                owned.extend(extents.unwrap_or_default().into_iter().map(|extent| (extent.last, object)));
            }
            self.trees.owned = Some(owned);
        }
        let within = self.trees.owned.iter().flat_map(|owned| owned.range((last.first(), ObjectId(0))..));
        Ok(within.map(|(_, object)| *object).collect())
    }

    /// The trees of a table; none when it is gone.
    pub(super) fn trees_of(&self, table: ObjectId) -> Result<Vec<Tree>> {
        let definition = match self.schema.table(&self.work, table) {
            Ok(definition) => definition,
            Err(error) if error.code() == JetErr::ObjectNotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let indexes = definition.indexes.iter().map(|index| index.tree.clone());
        Ok(std::iter::once(definition.tree.clone()).chain(indexes).chain(definition.long_values()).collect())
    }

    /// The tree with that number, if the transaction sees it: then it is not freed before the transaction ends.
    fn tree(&self, object: ObjectId) -> Result<Option<Tree>> {
        if object == self.root.object {
            return Ok(Some(self.root.clone()));
        }
        match self.trees.table_of(object) {
            Some(table) => Ok(self.trees_of(table)?.into_iter().find(|tree| tree.object == object)),
            None => Ok(None),
        }
    }

    /// What the pages of an extent say that are not available to the database's root.
    fn survey(&self, last: Extent) -> Result<Vec<Found>> {
        let free = self.storage.space.available_within(&self.root, last)?;
        let mut free = free.into_iter().peekable();
        let mut all = Vec::new();
        for page in (last.first().0..=last.last.0).map(PageNumber) {
            while free.next_if(|extent| extent.last < page).is_some() {}
            if free.peek().is_some_and(|extent| extent.contains(page)) {
                continue;
            }
            let held = match self.root.file.read(page) {
                Ok(held) => held,
                // Nobody has ever used it.
                Err(error) if error.code() == JetErr::PageNotInitialized => continue,
                Err(error) => return Err(error),
            };
            let (object, flags) = (held.page().object(), held.page().flags());
            if !flags.intersects(PageFlags::EMPTY | PageFlags::PRE_INIT) {
                all.push(Found { page, object, flags });
            }
        }
        Ok(all)
    }

    /// The pages that are roots of trees or of their extents, with their trees.
    fn roots_among(&mut self, found: &[Found]) -> Result<Vec<(PageNumber, ObjectId)>> {
        let mut roots = Vec::new();
        for Found { page, object, flags } in found.iter().copied() {
            if !flags.contains(PageFlags::ROOT) {
                continue;
            }
            let is_root = self.within(|this| {
                let Some(tree) = this.tree(object)? else { return Ok(false) };
                Ok(match flags.contains(PageFlags::SPACE_TREE) {
                    false => tree.root == page,
                    true => this.storage.space.roots_of(&tree)?.is_some_and(|roots| roots.contains(&page)),
                })
            })?;
            if is_root {
                roots.push((page, object));
            }
        }
        Ok(roots)
    }

    /// Moves roots out of the last extent.
    fn move_roots(&mut self, last: Extent, roots: &[(PageNumber, ObjectId)]) -> Result<Option<ShrinkStop>> {
        let stays = |this: &Self, object| match this.trees.table_of(object) {
            Some(table) => this.schema.opens.of(table) > 0,
            None => true,
        };
        // Before anything moves in vain.
        if let Some((page, _)) = roots.iter().find(|(_, object)| stays(self, *object)) {
            return Ok(Some(ShrinkStop::Root(*page)));
        }
        let mut done = BTreeSet::new();
        for (page, object) in roots.iter().copied() {
            let Some(table) = self.trees.table_of(object).filter(|_| done.insert(object)) else { continue };
            match self.move_root((table, object), (last.first(), last.pages)) {
                Ok(RootMoved::Done) => self.moved += RootMoved::PAGES,
                Ok(RootMoved::NotThere) => {}
                Ok(RootMoved::InUse) => return Ok(Some(ShrinkStop::Root(page))),
                Err(error) if error.code() == JetErr::OutOfDatabaseSpace => {
                    return Ok(Some(ShrinkStop::NoRoom));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn move_all(&mut self, last: Extent, found: &[Found]) -> Result<Option<ShrinkStop>> {
        let mut counts: BTreeMap<ObjectId, u32> = BTreeMap::new();
        found.iter().for_each(|found| *counts.entry(found.object).or_default() += 1);
        for found in found {
            let growth = counts.get(&found.object).copied().unwrap_or(1);
            let cleared = match self.clear(*found, (last.first(), growth)) {
                Ok(cleared) => cleared,
                Err(error) if error.code() == JetErr::OutOfDatabaseSpace => {
                    return Ok(Some(ShrinkStop::NoRoom));
                }
                Err(error) => return Err(error),
            };
            if matches!(cleared, Cleared::No) {
                return Ok(Some(ShrinkStop::InUse(found.page)));
            }
            if let Some(count) = counts.get_mut(&found.object) {
                *count = count.saturating_sub(1).max(1);
            }
        }
        Ok(None)
    }

    /// Moves one page if it is in use.
    fn clear(&mut self, found: Found, room: (PageNumber, u32)) -> Result<Cleared> {
        for _ in 0..TRIES {
            let moved = self.step(|this| {
                let Some(tree) = this.tree(found.object)? else { return Ok(PageMoved::NotThere) };
                let space = this.storage.space.clone();
                match found.flags.contains(PageFlags::SPACE_TREE) {
                    true => space.move_space_page(&tree, found.page, room),
                    false => space.move_page(&mut this.work, &tree, found.page, room),
                }
            })?;
            match moved {
                Some(PageMoved::Done) => {
                    self.moved += 1;
                    return Ok(Cleared::Yes);
                }
                Some(PageMoved::NotThere) => return Ok(Cleared::Yes),
                Some(PageMoved::Busy) | None => thread::yield_now(),
            }
        }
        Ok(Cleared::No)
    }
}
