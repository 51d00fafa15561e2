//! redb: a tree of keys and bytes; the index is a second tree that we keep ourselves.

use super::{CACHE_BYTES, Record, Store};
use anyhow::{Context, Result};
use redb::{
    Builder, Database, Durability, MultimapTableDefinition, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use std::path::Path;

const RECORDS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("t");
const BY_OTHER: MultimapTableDefinition<'_, i64, i64> = MultimapTableDefinition::new("by_other");

pub(super) struct Redb {
    database: Database,
    indexed: bool,
    transaction: Option<WriteTransaction>,
    /// The other number and the bytes.
    value: Vec<u8>,
}

impl Redb {
    pub(super) fn create(folder: &Path, indexed: bool) -> Result<Self> {
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(folder.join("bench.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(RECORDS)?;
        transaction.open_multimap_table(BY_OTHER)?;
        transaction.commit()?;
        Ok(Self { database, indexed, transaction: None, value: Vec::new() })
    }

    fn transaction(&self) -> Result<&WriteTransaction> {
        self.transaction.as_ref().context("no transaction")
    }
}

impl Store for Redb {
    fn begin(&mut self) -> Result<()> {
        self.transaction = Some(self.database.begin_write()?);
        Ok(())
    }

    fn commit(&mut self, durable: bool) -> Result<()> {
        let mut transaction = self.transaction.take().context("no transaction")?;
        transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        Ok(transaction.commit()?)
    }

    fn insert(&mut self, Record { key, other, value }: Record<'_>) -> Result<()> {
        self.value.clear();
        self.value.extend_from_slice(&other.to_le_bytes());
        self.value.extend_from_slice(value);
        let transaction = self.transaction()?;
        transaction.open_table(RECORDS)?.insert(key, self.value.as_slice())?;
        if self.indexed {
            transaction.open_multimap_table(BY_OTHER)?.insert(other, key)?;
        }
        Ok(())
    }

    fn update(&mut self, key: i64, value: &[u8]) -> Result<()> {
        let transaction = self.transaction.as_ref().context("no transaction")?;
        let mut table = transaction.open_table(RECORDS)?;
        self.value.clear();
        {
            let old = table.get(key)?.context("no such record")?;
            self.value.extend_from_slice(&old.value()[..8]);
        }
        self.value.extend_from_slice(value);
        table.insert(key, self.value.as_slice())?;
        Ok(())
    }

    fn delete(&mut self, key: i64) -> Result<()> {
        let transaction = self.transaction()?;
        let other = {
            let mut table = transaction.open_table(RECORDS)?;
            let old = table.remove(key)?.context("no such record")?;
            i64::from_le_bytes(*old.value().first_chunk().context("a short record")?)
        };
        if self.indexed {
            transaction.open_multimap_table(BY_OTHER)?.remove(other, key)?;
        }
        Ok(())
    }

    fn get(&mut self, key: i64) -> Result<usize> {
        let table = self.database.begin_read()?.open_table(RECORDS)?;
        Ok(table.get(key)?.context("no such record")?.value().len() - 8)
    }

    fn find(&mut self, other: i64) -> Result<usize> {
        let transaction = self.database.begin_read()?;
        let mut keys = transaction.open_multimap_table(BY_OTHER)?.get(other)?;
        let key = keys.next().context("no such number")??.value();
        let table = transaction.open_table(RECORDS)?;
        Ok(table.get(key)?.context("no such record")?.value().len() - 8)
    }

    fn scan(&mut self) -> Result<usize> {
        let table = self.database.begin_read()?.open_table(RECORDS)?;
        let mut count = 0;
        for record in table.iter()? {
            std::hint::black_box(record?.1.value().to_vec());
            count += 1;
        }
        Ok(count)
    }
}
