//! Others that back up what they have open.

use super::backup::{BATCH, VALUE_BYTES, records_of};
use super::copying::{size_of, sync_folder};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database of another engine with as much data, which goes when this is dropped.
pub(super) trait Peer {
    fn name(&self) -> &'static str;
    /// Its files.
    fn files(&self) -> Result<Vec<PathBuf>>;
    /// Its online backup into an empty folder, durable at the end: the bytes there.
    fn back_up(&self, target: &Path) -> Result<u64>;
}

/// One of each that is asked for, filled.
pub(super) fn all(folder: &Path, mib: u64, with_rocksdb: bool) -> Result<Vec<Box<dyn Peer>>> {
    let sqlite: Box<dyn Peer> = Box::new(Sqlite::new(folder, mib)?);
    if !with_rocksdb {
        return Ok(vec![sqlite]);
    }
    #[cfg(feature = "rocksdb")]
    return Ok(vec![sqlite, Box::new(RocksDb::new(folder, mib)?)]);
    #[cfg(not(feature = "rocksdb"))]
    anyhow::bail!("this program was built without RocksDB (feature `rocksdb`)")
}

struct Sqlite(PathBuf);

impl Sqlite {
    fn new(folder: &Path, mib: u64) -> Result<Self> {
        let path = folder.join("bench.sqlite");
        let connection = rusqlite::Connection::open(&path)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)")?;
        let value = vec![7_u8; VALUE_BYTES];
        let records = records_of(mib);
        for first in (0..records).step_by(BATCH as usize) {
            connection.execute_batch("BEGIN")?;
            for key in first..(first + BATCH).min(records) {
                connection.prepare_cached("INSERT INTO t VALUES (?1, ?2)")?.execute((key, &value))?;
            }
            connection.execute_batch("COMMIT")?;
        }
        drop(connection);
        std::fs::File::open(&path)?.sync_all()?;
        Ok(Self(path))
    }
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(vec![self.0.clone()])
    }

    fn back_up(&self, target: &Path) -> Result<u64> {
        let source = rusqlite::Connection::open(&self.0)?;
        let copy = target.join("copy.sqlite");
        let mut connection = rusqlite::Connection::open(&copy)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        rusqlite::backup::Backup::new(&source, &mut connection)?.run_to_completion(
            i32::MAX,
            Duration::ZERO,
            None,
        )?;
        drop(connection);
        sync_folder(target)?;
        size_of(target)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Its backup engine copies the sorted files and syncs the copies, with a checksum of each.
#[cfg(feature = "rocksdb")]
struct RocksDb {
    database: rocksdb::DB,
    folder: PathBuf,
}

#[cfg(feature = "rocksdb")]
impl RocksDb {
    fn new(folder: &Path, mib: u64) -> Result<Self> {
        let folder = folder.join("bench.rocksdb");
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        let database = rocksdb::DB::open(&options, &folder)?;
        let mut unlogged = rocksdb::WriteOptions::default();
        unlogged.disable_wal(true);
        let value = vec![7_u8; VALUE_BYTES];
        let records = records_of(mib);
        for first in (0..records).step_by(BATCH as usize) {
            let mut batch = rocksdb::WriteBatch::default();
            (first..(first + BATCH).min(records)).for_each(|key| batch.put(key.to_be_bytes(), &value));
            database.write_opt(batch, &unlogged)?;
        }
        // Nothing is left to be done in the background meanwhile.
        database.flush()?;
        database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(Self { database, folder })
    }
}

#[cfg(feature = "rocksdb")]
impl Peer for RocksDb {
    fn name(&self) -> &'static str {
        "RocksDB"
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.folder)?;
        Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    }

    fn back_up(&self, target: &Path) -> Result<u64> {
        use rocksdb::backup::{BackupEngine, BackupEngineOptions};
        let options = BackupEngineOptions::new(target)?;
        let mut engine = BackupEngine::open(&options, &rocksdb::Env::new()?)?;
        engine.create_new_backup_flush(&self.database, true)?;
        drop(engine);
        sync_folder(target)?;
        size_of(target)
    }
}

#[cfg(feature = "rocksdb")]
impl Drop for RocksDb {
    fn drop(&mut self) {
        self.database.cancel_all_background_work(true);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
