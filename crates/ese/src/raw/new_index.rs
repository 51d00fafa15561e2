//! An index on a table that has records, and that others may be changing.

use super::running::place_of;
use super::table::Table;
use super::transaction::State;
use crate::catalog::{Ddl, NewIndex};
use crate::error::{Error, JetErr, Result};
use crate::table::{CatchUp, SecondaryIndex, TableDef, load_index};

/// JET_bitIndexPrimary.
const PRIMARY: u32 = 0x2;
/// JET_bitIndexUnversioned.
const UNVERSIONED: u32 = 0x200;
/// JET_bitIndexLazyFlush.
const LAZY_FLUSH: u32 = 0x4;

impl Table {
    /// Makes an index over all records that are there. Others may have the table open and change it: at the
    /// end the index has their changes as well. They see it when its transaction has committed, and a
    /// transaction that began before that keeps it up to date without seeing it.
    ///
    /// # Errors
    /// `KeyDuplicate` and other errors of keys for records that the index cannot hold, also those of others;
    /// `WriteConflict` when another transaction changes the schema of the table; `TableInUse` for a primary index while
    /// others have the table open; `InTransaction` for an unversioned index inside a transaction while they
    /// have; those of [`crate::catalog::Ddl::create_index`], of the scratch file, of pages and log.
    pub fn create_index(&self, new: &NewIndex<'_>) -> Result<()> {
        let is_shared = self.schema.opens.of(self.object) > 1;
        if is_shared && new.grbit & PRIMARY != 0 {
            let sentence = "records are put into another order while nobody else has the table open";
            return Err(Error::new(JetErr::TableInUse, sentence));
        }
        let alone = self.session.transaction_level()? == 0;
        if is_shared && !alone && new.grbit & UNVERSIONED != 0 {
            return Err(Error::new(JetErr::InTransaction, "an unversioned index comes with no transaction"));
        }
        if alone {
            self.session.begin_transaction(false)?;
        }
        let result = self.session.begin_transaction(false).and_then(|()| {
            let made = self.build(new, alone);
            match made {
                Ok(()) => self.session.commit_transaction(true),
                Err(_) => self.session.rollback_transaction(false).and(made),
            }
        });
        match result {
            Ok(()) if alone => self.session.commit_transaction(new.grbit & LAZY_FLUSH != 0),
            Err(error) if alone => self.session.rollback_transaction(true).and(Err(error)),
            result => result,
        }
    }

    /// While nobody changes records makes the primary index of a table that has none. From then on nobody does who
    /// does not see it.
    fn build_primary(&self, new: &NewIndex<'_>) -> Result<()> {
        let running = self.session.running();
        running.check_serving()?;
        let mut state = self.session.state()?;
        let _standing = running.moving.stop(place_of(self.schema.attachment.id, self.object));
        let State { work, trees, .. } = &mut *state;
        let space = &running.attachments.storage().space;
        Ddl { catalog: &self.schema.catalog, work, space, trees }.create_index(self.object, new)?;
        state.made_primary(running, &self.schema, self.object);
        Ok(())
    }

    fn build(&self, new: &NewIndex<'_>, alone: bool) -> Result<()> {
        if new.grbit & PRIMARY != 0 {
            return self.build_primary(new);
        }
        self.ddl(|ddl| ddl.create_index(self.object, new))?;
        let refuses_unproven = self.with(|cursor, work, services| {
            let (table, refuses) = (cursor.table(), services.refuses_unproven_text());
            load_index(work, table, find(table, new)?, &self.session.running().scratch, refuses)?;
            Ok(refuses)
        })?;
        let mut behind = CatchUp::new(alone, refuses_unproven);
        for _ in 0..behind.rounds() {
            let is_much = self.with(|cursor, work, _| {
                let table = cursor.table();
                behind.round(work, table, find(table, new)?)
            })?;
            if !is_much {
                break;
            }
        }
        self.join(new, behind)
    }

    /// Nobody moves who has changed the table: the index learns the rest, and they learn of the index.
    fn join(&self, new: &NewIndex<'_>, behind: CatchUp) -> Result<()> {
        let running = self.session.running();
        let mut state = self.session.state()?;
        let _standing = running.moving.stop(place_of(self.schema.attachment.id, self.object));
        let State { work, .. } = &mut *state;
        let table = self.schema.table(work, self.object)?;
        let index = find(&table, new)?;
        let owner = work.transaction().owner().clone();
        running.dropped.share(index.tree.id(), &owner);
        let transactions = &running.attachments.storage().transactions;
        behind.finish(work, &table, transactions, index)?;
        table.hide(owner, index.clone(), transactions.oldest_snapshot());
        Ok(())
    }
}

fn find<'t>(table: &'t TableDef, new: &NewIndex<'_>) -> Result<&'t SecondaryIndex> {
    let index = table.index(new.name).and_then(|at| table.indexes.get(at));
    index.ok_or_else(|| Error::new(JetErr::IndexNotFound, format!("index {} is not there", new.name)))
}
