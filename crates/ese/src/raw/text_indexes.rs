//! The sort versions of text indexes: what is checked when a database is attached and a table is opened.
//!
//! Keys of text can be made for the versions of sorts that this engine has. A database from elsewhere may have
//! indexes of others. Those can be read in their order, but nothing may be sought in them by value or entered,
//! so attach and open refuse them, unless they are deleted or the parameters say otherwise.
//!
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/{cat,db,fileopen}.cxx`.

use super::schema::OpenSchema;
use super::session::Session;
use super::transaction::State;
use crate::catalog::{Ddl, Locales, TextIndex};
use crate::database::Attachment;
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use crate::params::ParamId;
use crate::sync::Arc;
use ese_format::ObjectId;

/// What to do about indexes of text when a database is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextIndexes {
    /// Delete secondary indexes whose sort is not known here (JET_bitDbDeleteCorruptIndexes).
    pub delete_foreign: bool,
    /// Delete all secondary indexes of Unicode text (JET_bitDbDeleteUnicodeIndexes).
    pub delete_all: bool,
}

/// What a database's indexes of text were found to need at attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// Nothing was deleted.
    Kept,
    /// Indexes were deleted (JET_wrnCorruptIndexDeleted).
    Deleted,
}

impl Session {
    fn integer(&self, id: ParamId) -> u64 {
        self.running().parameters.read().integer(id)
    }

    /// Checks the indexes of text of a database that was attached just now.
    ///
    /// # Errors
    /// `PrimaryIndexCorrupted`, `SecondaryIndexCorrupted` for an index with entries whose keys cannot be made;
    /// those of reading and changing the catalog.
    pub(super) fn check_text_indexes(
        &self,
        attachment: &Arc<Attachment>,
        read_only: bool,
        wanted: TextIndexes,
    ) -> Result<Checked> {
        let cleans = !read_only && self.integer(ParamId::EnableIndexCleanup) != 0;
        if !(cleans || wanted.delete_all || self.integer(ParamId::EnableIndexChecking) == 1) {
            return Ok(Checked::Kept);
        }
        let schema = self.running().schema(attachment)?;
        let _known = schema.opens.keep_roots();
        let mut state = self.state()?;
        state.work.begin(read_only)?;
        let checked = Check { session: self, schema: &schema, read_only, wanted }.run(&mut state);
        let ended = match checked {
            Ok(_) => state.commit(self.running(), false),
            Err(_) => state.rollback(self.running()),
        };
        let checked = checked?;
        ended?;
        Ok(checked)
    }

    /// Judges the indexes of text of a table that is to be opened: with JET_paramEnableIndexChecking 2 and no
    /// check at attach, a table with foreign ones can only be opened to be read, and with a warning.
    pub(super) fn check_table(
        &self,
        schema: &OpenSchema,
        state: &State,
        table: ObjectId,
        read_only: bool,
    ) -> Result<Option<JetErr>> {
        if self.integer(ParamId::EnableIndexChecking) != 2 || self.integer(ParamId::EnableIndexCleanup) != 0 {
            return Ok(None);
        }
        let Some(table) = schema.catalog.table_of(&state.work, table)? else { return Ok(None) };
        let foreign = schema.catalog.foreign_indexes_of(&table)?;
        let primary = foreign.iter().find(|foreign| foreign.index.is_primary());
        match primary.or(foreign.first()) {
            None => Ok(None),
            Some(worst) if !read_only => Err(refusal(worst, schema)),
            Some(worst) if worst.index.is_primary() => Ok(Some(JetErr::WrnPrimaryIndexOutOfDate)),
            Some(_) => Ok(Some(JetErr::WrnSecondaryIndexOutOfDate)),
        }
    }
}

struct Check<'a> {
    session: &'a Session,
    schema: &'a OpenSchema,
    read_only: bool,
    wanted: TextIndexes,
}

impl Check<'_> {
    fn run(&self, state: &mut State) -> Result<Checked> {
        let running = self.session.running();
        let catalog = &self.schema.catalog;
        let path = self.schema.attachment.path().display().to_string();
        match catalog.locales(&state.work)? {
            Locales::Ours if !self.wanted.delete_all => return Ok(Checked::Kept),
            Locales::Ours | Locales::Unknown => {}
            Locales::Foreign(names) => {
                for name in names {
                    running.report(id::FOREIGN_LOCALE, [path.clone(), name]);
                }
            }
        }
        let found = catalog.text_indexes(&state.work, !self.wanted.delete_all)?;
        let mut checked = Checked::Kept;
        let mut restamped = 0;
        for index in &found {
            let names = [path.clone(), index.table.schema.name.clone(), index.index.name.clone()];
            let deletes = self.wanted.delete_foreign && index.is_foreign || self.wanted.delete_all;
            if deletes && !self.read_only && !index.index.is_primary() {
                running.report(id::INDEX_DELETED, names);
                self.ddl(state).delete_broken_index(index)?;
                checked = Checked::Deleted;
            } else if !index.is_foreign {
                // A primary index stays, whatever was asked for.
            } else if !self.read_only
                && index.is_empty(&state.work)?
                && self.ddl(state).restamp_index(index)?
            {
                restamped += 1;
            } else {
                let event = match index.index.is_primary() {
                    true => id::PRIMARY_INDEX_FOREIGN,
                    false => id::SECONDARY_INDEX_FOREIGN,
                };
                running.report(event, names);
                return Err(refusal(index, self.schema));
            }
        }
        if !self.read_only {
            self.ddl(state).forget_foreign_locales()?;
        }
        state.changed_schema(running);
        tracing::debug!(database = %path, restamped, found = found.len(), "indexes of text were checked");
        Ok(checked)
    }

    fn ddl<'s>(&'s self, state: &'s mut State) -> Ddl<'s> {
        let State { work, trees, .. } = state;
        let space = &self.session.running().attachments.storage().space;
        Ddl { catalog: &self.schema.catalog, work, space, trees }
    }
}

fn refusal(foreign: &TextIndex, schema: &OpenSchema) -> Error {
    let code = match foreign.index.is_primary() {
        true => JetErr::PrimaryIndexCorrupted,
        false => JetErr::SecondaryIndexCorrupted,
    };
    let (table, index) = (&foreign.table.schema.name, &foreign.index.name);
    let sentence = format!("index {index} of table {table} sorts its text by rules that are not known here");
    Error::new(code, sentence).file(schema.attachment.path())
}
