//! How many cursors, and how many tables, may be open in one instance.

use crate::error::{Error, JetErr, Result};
use crate::params::{ParamId, Parameters};
use crate::sync::{Arc, Mutex};
use crate::table::TableDef;
use ese_format::ObjectId;
use std::collections::HashMap;

/// A table of an instance: the number of its database, and its own.
type Known = (u8, ObjectId);

/// Counts what is open and refuses what would be too much.
pub(super) struct OpenLimits {
    /// JET_paramMaxCursors.
    cursors_most: u64,
    /// What the original derives from JET_paramMaxOpenTables and two others, counted in trees
    /// (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/jetapi.cxx`).
    trees_most: u64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    cursors: u64,
    trees: u64,
    /// Cursors on each table, and the trees that it had when the first was opened.
    tables: HashMap<Known, (u64, u64)>,
}

/// The place of one open cursor; given back when dropped.
pub(super) struct OpenPlace {
    limits: Arc<OpenLimits>,
    table: Known,
}

impl OpenLimits {
    pub(super) fn new(parameters: &Parameters) -> Arc<Self> {
        let of = |id| parameters.integer(id);
        let twice =
            of(ParamId::MaxOpenTables).saturating_add(of(ParamId::CachedClosedTables)).saturating_mul(2);
        Arc::new(Self {
            cursors_most: of(ParamId::MaxCursors),
            trees_most: twice.saturating_add(of(ParamId::MaxTemporaryTables)),
            open: Mutex::default(),
        })
    }

    /// A place for a cursor on a table.
    ///
    /// # Errors
    /// `OutOfCursors`, `TooManyOpenTables`.
    pub(super) fn enter(self: &Arc<Self>, database: u8, definition: &TableDef) -> Result<OpenPlace> {
        let table = (database, definition.schema.object_id);
        let mut guard = self.open.lock();
        let open = &mut *guard;
        if open.cursors >= self.cursors_most {
            let what = format!("{} cursors are open: JET_paramMaxCursors", open.cursors);
            return Err(Error::new(JetErr::OutOfCursors, what));
        }
        if let Some((cursors, _)) = open.tables.get_mut(&table) {
            *cursors += 1;
        } else {
            let has_long_values = definition.schema.long_values.is_some();
            let trees = 1 + definition.indexes.len() as u64 + u64::from(has_long_values);
            if open.trees + trees > self.trees_most {
                let what = format!("{} trees of tables are open: JET_paramMaxOpenTables", open.trees);
                return Err(Error::new(JetErr::TooManyOpenTables, what));
            }
            open.trees += trees;
            open.tables.insert(table, (1, trees));
        }
        open.cursors += 1;
        Ok(OpenPlace { limits: self.clone(), table })
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        let mut guard = self.limits.open.lock();
        let open = &mut *guard;
        open.cursors = open.cursors.saturating_sub(1);
        if let Some((cursors, trees)) = open.tables.get_mut(&self.table) {
            *cursors -= 1;
            if *cursors == 0 {
                open.trees = open.trees.saturating_sub(*trees);
                open.tables.remove(&self.table);
            }
        }
    }
}
