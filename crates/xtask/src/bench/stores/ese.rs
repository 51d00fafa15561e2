//! Ours.

use super::{CACHE_BYTES, Record, Store};
use anyhow::{Context, Result};
use ese::api::{ColumnType, TableDefinition};
use ese::buffer::PageCache;
use ese::error::JetErr;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, Seek};
use ese_column::{BYTES, KEY, OTHER};
use ese_format::key::MakeKeyFlags;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod ese_column {
    //! The columns in the order in which they are made: numbers of fixed columns count from 1, those of tagged ones
    //! from 256.
    use ese_format::column::ColumnId;
    pub(super) const KEY: ColumnId = ColumnId(1);
    pub(super) const OTHER: ColumnId = ColumnId(2);
    pub(super) const BYTES: ColumnId = ColumnId(256);
}

/// How an instance is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EseOptions {
    /// The table has an index.
    pub(crate) indexed: bool,
    /// Logs that no recovery needs are deleted at once, so that no incremental backup is possible.
    pub(crate) circular: bool,
}

/// An instance with one database and one table.
#[derive(Clone)]
pub(crate) struct Ese(Arc<Owned>);

struct Owned {
    instance: Instance,
    path: PathBuf,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = self.instance.term(TermOptions::default()) {
            eprintln!("the instance does not end: {error}");
        }
    }
}

impl Ese {
    pub(crate) fn create(folder: &Path, indexed: bool) -> Result<Self> {
        Self::create_with(folder, EseOptions { indexed, circular: true })
    }

    pub(crate) fn create_with(folder: &Path, options: EseOptions) -> Result<Self> {
        let EseOptions { indexed, circular } = options;
        let name = folder.to_str().context("a folder's name")?;
        let mut parameters = Parameters::new();
        parameters.set_text(ParamId::LogFilePath, name)?;
        parameters.set_text(ParamId::SystemPath, name)?;
        parameters.set_integer(ParamId::CircularLog, circular.into())?;
        let environment = Environment { cache: Some(PageCache::new(CACHE_BYTES)), ..Environment::default() };
        let instance = Instance::new(environment, parameters);
        instance.init(InitOptions::default())?;
        let session = instance.begin_session()?;
        let path = folder.join("bench.edb");
        let database = session.create(&path, Default::default())?;
        session.begin_transaction(false)?;
        let definition = TableDefinition::new("t")
            .column("k", ColumnType::LongLong)
            .column("o", ColumnType::LongLong)
            .column("v", ColumnType::LongBinary)
            .primary(&["k"]);
        let definition = if indexed { definition.index("by_other", &["o"]) } else { definition };
        definition.create(&database)?;
        session.commit_transaction(false)?;
        Ok(Self(Arc::new(Owned { instance, path })))
    }

    /// Another session on it.
    pub(crate) fn session(&self) -> Result<EseSession> {
        let session = self.0.instance.begin_session()?;
        let table = session.open(&self.0.path)?.open_table("t")?;
        let by_other = table.duplicate()?;
        match by_other.set_index(Some("by_other")) {
            Err(error) if error.code() == JetErr::IndexNotFound => {}
            set => set?,
        }
        Ok(EseSession { table, by_other, session, _ese: self.clone() })
    }

    pub(crate) fn instance(&self) -> &Instance {
        &self.0.instance
    }
}

/// A session with a cursor in the table's own order and one in that of the index.
pub(crate) struct EseSession {
    table: Table,
    by_other: Table,
    session: Session,
    _ese: Ese,
}

/// The bytes of the current record: how many.
fn value_of(table: &Table) -> Result<usize> {
    Ok(table.with_value(BYTES, 1, false, |value| value.map_or(0, <[u8]>::len))?)
}

fn seek(table: &Table, number: i64) -> Result<()> {
    table.make_key(&number.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
    table.seek(Seek::Equal)?;
    Ok(())
}

impl Store for EseSession {
    fn begin(&mut self) -> Result<()> {
        Ok(self.session.begin_transaction(false)?)
    }

    fn commit(&mut self, durable: bool) -> Result<()> {
        Ok(self.session.commit_transaction(!durable)?)
    }

    fn insert(&mut self, Record { key, other, value }: Record<'_>) -> Result<()> {
        self.table.prepare(Prepare::Insert)?;
        self.table.set_value(KEY, 1, Some(&key.to_le_bytes()), KeepOptions::default())?;
        self.table.set_value(OTHER, 1, Some(&other.to_le_bytes()), KeepOptions::default())?;
        self.table.set_value(BYTES, 1, Some(value), KeepOptions::default())?;
        self.table.update()?;
        Ok(())
    }

    fn update(&mut self, key: i64, value: &[u8]) -> Result<()> {
        seek(&self.table, key)?;
        self.table.prepare(Prepare::Replace)?;
        self.table.set_value(BYTES, 1, Some(value), KeepOptions::default())?;
        self.table.update()?;
        Ok(())
    }

    fn delete(&mut self, key: i64) -> Result<()> {
        seek(&self.table, key)?;
        Ok(self.table.delete()?)
    }

    fn get(&mut self, key: i64) -> Result<usize> {
        seek(&self.table, key)?;
        value_of(&self.table)
    }

    fn find(&mut self, other: i64) -> Result<usize> {
        seek(&self.by_other, other)?;
        value_of(&self.by_other)
    }

    fn scan(&mut self) -> Result<usize> {
        self.session.begin_transaction(true)?;
        let mut count = 0;
        let mut moved = self.table.move_first();
        while moved.is_ok() {
            value_of(&self.table)?;
            count += 1;
            moved = self.table.move_next(false);
        }
        self.session.commit_transaction(true)?;
        match moved {
            Err(error) if error.code() != JetErr::NoCurrentRecord => Err(error.into()),
            _ => Ok(count),
        }
    }
}
