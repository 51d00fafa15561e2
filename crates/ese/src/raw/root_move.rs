//! The root of a tree moves while nobody knows its table.
//!
//! Whoever opens a table meanwhile waits, and reads its definition afterwards; so does who deletes it. Cleanup and
//! defragmentation keep away from the database for that moment. What others may still see of an earlier state, a
//! version of a row of the catalog, a tree that is about to be freed, is a reason to leave the root where it is: it
//! can move another time. In the original the database is nobody else's meanwhile
//! (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx`, ErrSHKRootPageMove).

use super::shrink::{Shrinker, TRIES};
use crate::error::Result;
use crate::space::LeavingRoot;
use crate::sync::thread;
use ese_format::catalog::TableFlags;
use ese_format::{ObjectId, PageNumber};

/// What came of an attempt to move a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootMoved {
    /// It is at its new place.
    Done,
    /// There is no such tree.
    NotThere,
    /// Somebody knows the table, or sees something of it that is no more.
    InUse,
}

impl RootMoved {
    /// Pages that a root takes along, itself counted: those of its trees of extents.
    pub(super) const PAGES: u32 = 3;
}

impl Shrinker<'_> {
    /// Moves the root of a tree of a table before a page. If the tree has no room there it gets about `growth` pages.
    ///
    /// # Errors
    /// `OutOfDatabaseSpace` when there is no room before that page; those of pages and log.
    pub(super) fn move_root(
        &mut self,
        of: (ObjectId, ObjectId),
        room: (PageNumber, u32),
    ) -> Result<RootMoved> {
        let mut is_clean = false;
        for _ in 0..TRIES {
            match self.try_to_move_root(of, room)? {
                // What somebody saw when the extent was looked at he may see no more.
                Some(RootMoved::InUse) if !is_clean && self.schema.opens.of(of.0) == 0 => {
                    is_clean = true;
                    self.running.clean_up();
                    self.running.dropped.step()?;
                }
                Some(moved) => return Ok(moved),
                None => thread::yield_now(),
            }
        }
        Ok(RootMoved::InUse)
    }

    /// None when others are at one of the pages.
    fn try_to_move_root(
        &mut self,
        (table, object): (ObjectId, ObjectId),
        (before, growth): (PageNumber, u32),
    ) -> Result<Option<RootMoved>> {
        let schema = self.schema.clone();
        let _not_deleted = schema.making_long_values.lock();
        let Some(_moving) = schema.opens.begin_root_move(table) else { return Ok(Some(RootMoved::InUse)) };
        let _held = self.cleanup.hold_database(schema.attachment.id);
        self.within(|this| {
            let Some(known) = schema.catalog.table_of(&this.work, table)? else {
                return Ok(Some(RootMoved::NotThere));
            };
            if known.schema.flags.contains(TableFlags::SYSTEM) {
                return Ok(Some(RootMoved::InUse));
            }
            let trees = this.trees_of(table)?;
            let Some(tree) = trees.iter().find(|tree| tree.object == object) else {
                return Ok(Some(RootMoved::NotThere));
            };
            let Some(names) = schema.catalog.names_of_root(&this.work, &known, tree)? else {
                return Ok(Some(RootMoved::InUse));
            };
            let dropped = &this.running.dropped;
            let is_seen = this.storage.versions.knows_tree(tree.id())
                || !this.cleanup.forget_places(tree.id())
                // Trees below the table that the catalog does not know any more. In this order: they come into the list
                // before they are not announced any more.
                || dropped.is_announced()
                || dropped.waits_below(tree)?;
            if is_seen {
                return Ok(Some(RootMoved::InUse));
            }
            let mut children = trees.clone();
            children.retain(|child| object == table && child.object != table);
            let root = LeavingRoot {
                tree,
                children: &children,
                names: &names.names,
                quiet: &names.rows,
                before,
                growth,
            };
            let moved = this.storage.space.move_root(&mut this.work, root);
            // Even after an error nobody may go by what was known before.
            schema.catalog.root_moved(table);
            moved.map(|moved| moved.map(|_| RootMoved::Done))
        })
    }
}
