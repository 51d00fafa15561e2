//! The schema of an attached database as its open tables share it.

use super::opens::Opens;
use crate::btree::Work;
use crate::catalog::{Catalog, Table as CatalogTable};
use crate::database::Attachment;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Rank};
use crate::table::{Counters, TableDef};
use crate::transaction::{Owner, Stamp};
use ese_format::ObjectId;
use std::collections::{BTreeMap, HashMap};

/// A table's definition, and the form of its schema that it was made from.
type Defined = (Arc<CatalogTable>, Arc<TableDef>);

/// How many definitions are kept that no cursor uses.
const DEFINITIONS_KEPT: usize = 4096;

/// The schemas of databases whose tables were opened, by their numbers.
pub(super) type Schemas = Mutex<BTreeMap<u8, Arc<OpenSchema>>>;

/// The schema of one attached database.
pub(super) struct OpenSchema {
    pub(super) attachment: Arc<Attachment>,
    pub(super) catalog: Arc<Catalog>,
    definitions: Mutex<HashMap<ObjectId, Defined>>,
    /// Numbers that tables give out go on whatever happens to their schema.
    counters: Mutex<HashMap<ObjectId, Arc<Counters>>>,
    /// Cursors open on each table.
    pub(super) opens: Opens,
    /// Cursors in the order of each secondary index.
    orders: Mutex<HashMap<ObjectId, u32>>,
    /// One tree of long values is made at a time, and none while a table is being deleted; no root moves meanwhile.
    pub(super) making_long_values: Mutex<()>,
    primaries: NewPrimaries,
}

/// The primary indexes that tables got while the database is attached, by who made them: whoever does not see one would
/// put records into the table's tree in another order.
#[derive(Default)]
struct NewPrimaries {
    all: Mutex<HashMap<ObjectId, Arc<Owner>>>,
    /// How many, to be asked without the lock.
    count: AtomicUsize,
}

impl OpenSchema {
    pub(super) fn new(attachment: Arc<Attachment>) -> Result<Arc<Self>> {
        let catalog = Catalog::open(&attachment.pages, attachment.is_logged())?;
        Ok(Arc::new(Self {
            attachment,
            catalog,
            definitions: Mutex::ranked(Rank::Definitions, HashMap::new()),
            counters: Mutex::ranked(Rank::Numbers, HashMap::new()),
            opens: Opens::default(),
            orders: Mutex::default(),
            making_long_values: Mutex::ranked(Rank::MakingLongValues, ()),
            primaries: NewPrimaries::default(),
        }))
    }

    /// A table as a transaction sees it.
    pub(super) fn table(&self, work: &Work, id: ObjectId) -> Result<Arc<TableDef>> {
        let table = self.catalog.table_of(work, id)?.ok_or_else(|| {
            Error::new(JetErr::ObjectNotFound, "the table is gone").file(self.attachment.path())
        })?;
        if let Some((known, definition)) = self.definitions.lock().get(&id)
            && Arc::ptr_eq(known, &table)
        {
            return Ok(definition.clone());
        }
        let counters = self.counters.lock().entry(id).or_default().clone();
        let (file, is_logged) = (&self.attachment.pages, self.attachment.is_logged());
        let definition = Arc::new(TableDef::new(file, is_logged, table.schema.clone(), counters)?);
        let mut definitions = self.definitions.lock();
        let count = definitions.len();
        if count >= DEFINITIONS_KEPT && count.is_power_of_two() {
            // They are made again when somebody wants them; some are of tables that are gone.
            definitions.retain(|id, _| self.opens.of(*id) > 0);
        }
        definitions.insert(id, (table, definition.clone()));
        drop(definitions);
        Ok(definition)
    }

    /// A table has got a primary index by a transaction that is not committed. Nobody changes records of it right now.
    pub(super) fn primary_made(&self, table: ObjectId, by: &Arc<Owner>, oldest: Stamp) {
        let mut all = self.primaries.all.lock();
        // Everybody sees these by now.
        all.retain(|_, owner| owner.committed().is_none_or(|at| at >= oldest));
        all.insert(table, by.clone());
        self.primaries.count.store(all.len(), Ordering::Release);
    }

    /// That was rolled back.
    pub(super) fn primary_undone(&self, table: ObjectId) {
        let mut all = self.primaries.all.lock();
        all.remove(&table);
        self.primaries.count.store(all.len(), Ordering::Release);
    }

    /// Refuses changes of a table with a primary index that the transaction does not see.
    ///
    /// # Errors
    /// `WriteConflictPrimaryIndex`.
    pub(super) fn check_primary(&self, table: ObjectId, work: &Work) -> Result<()> {
        if self.primaries.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        match self.primaries.all.lock().get(&table) {
            Some(owner) if !work.snapshot().sees(owner) => Err(Error::new(
                JetErr::WriteConflictPrimaryIndex,
                "another transaction has given the table a primary index",
            )),
            _ => Ok(()),
        }
    }

    /// An index with this tree has come to nothing.
    pub(super) fn unhide(&self, tree: ObjectId) {
        for counters in self.counters.lock().values() {
            counters.unhide(tree);
        }
    }

    /// As [`Self::table`]; also until when the answer holds for later transactions of the session: as long as the
    /// catalog counts so many [changes](Catalog::changes).
    pub(super) fn table_until(&self, work: &Work, id: ObjectId) -> Result<(Arc<TableDef>, Option<u64>)> {
        let changes = self.catalog.changes();
        let definition = self.table(work, id)?;
        Ok((definition, self.catalog.is_settled(work, id).then_some(changes)))
    }

    /// A cursor has gone from the order of one secondary index to that of another; none stands for the
    /// table's own order.
    pub(super) fn reordered(&self, from: Option<ObjectId>, to: Option<ObjectId>) {
        if from != to {
            let mut orders = self.orders.lock();
            from.into_iter().for_each(|id| one_less(&mut orders, id));
            to.into_iter().for_each(|id| *orders.entry(id).or_default() += 1);
        }
    }

    /// Cursors that are in the order of an index.
    pub(super) fn orders(&self, index: ObjectId) -> u32 {
        self.orders.lock().get(&index).copied().unwrap_or(0)
    }

    /// How many tables anything is kept of.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let (definitions, counters) = (self.definitions.lock().len(), self.counters.lock().len());
        definitions.max(counters).max(self.catalog.kept())
    }

    /// A table is gone, for every snapshot: nobody will ask for it again.
    pub(super) fn forget(&self, id: ObjectId) {
        self.definitions.lock().remove(&id);
        self.counters.lock().remove(&id);
    }
}

pub(super) fn one_less(counts: &mut HashMap<ObjectId, u32>, id: ObjectId) {
    if let Some(count) = counts.get_mut(&id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&id);
        }
    }
}
