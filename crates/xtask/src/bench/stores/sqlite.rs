//! SQLite: write-ahead log, one connection.

use super::{CACHE_BYTES, Record, Store};
use anyhow::Result;
use rusqlite::{Connection, params};
use std::path::Path;

pub(super) struct Sqlite(Connection);

impl Sqlite {
    pub(super) fn create(folder: &Path, indexed: bool, durable: bool) -> Result<Self> {
        let connection = Connection::open(folder.join("bench.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL commits without a sync; the log is synced when it is checkpointed.
        connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        connection.pragma_update(None, "cache_size", -((CACHE_BYTES / 1024) as i64))?;
        connection
            .execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY, o INTEGER NOT NULL, v BLOB NOT NULL)")?;
        if indexed {
            connection.execute_batch("CREATE INDEX by_other ON t (o)")?;
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self(connection))
    }
}

impl Store for Sqlite {
    fn begin(&mut self) -> Result<()> {
        self.0.prepare_cached("BEGIN")?.execute([])?;
        Ok(())
    }

    fn commit(&mut self, _: bool) -> Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn insert(&mut self, Record { key, other, value }: Record<'_>) -> Result<()> {
        self.0.prepare_cached("INSERT INTO t VALUES (?1, ?2, ?3)")?.execute(params![key, other, value])?;
        Ok(())
    }

    fn update(&mut self, key: i64, value: &[u8]) -> Result<()> {
        let changed =
            self.0.prepare_cached("UPDATE t SET v = ?2 WHERE k = ?1")?.execute(params![key, value])?;
        anyhow::ensure!(changed == 1, "no record {key}");
        Ok(())
    }

    fn delete(&mut self, key: i64) -> Result<()> {
        let changed = self.0.prepare_cached("DELETE FROM t WHERE k = ?1")?.execute([key])?;
        anyhow::ensure!(changed == 1, "no record {key}");
        Ok(())
    }

    fn get(&mut self, key: i64) -> Result<usize> {
        let mut statement = self.0.prepare_cached("SELECT v FROM t WHERE k = ?1")?;
        Ok(statement.query_row([key], |row| Ok(row.get_ref(0)?.as_blob()?.len()))?)
    }

    fn find(&mut self, other: i64) -> Result<usize> {
        let mut statement = self.0.prepare_cached("SELECT v FROM t WHERE o = ?1")?;
        Ok(statement.query_row([other], |row| Ok(row.get_ref(0)?.as_blob()?.len()))?)
    }

    fn scan(&mut self) -> Result<usize> {
        let mut statement = self.0.prepare_cached("SELECT v FROM t ORDER BY k")?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get_ref(0)?.as_blob()?.to_vec());
            count += 1;
        }
        Ok(count)
    }
}
