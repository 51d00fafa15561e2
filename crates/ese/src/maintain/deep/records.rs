//! The records of a table: what they hold, and what their indexes and long values should therefore have.

use super::finding::{Findings, Subject};
use super::long_value::read_start;
use super::schema::{Definition, Schema, Table};
use super::sum::SetSum;
use ese_format::column::{Column, ColumnFlags};
use ese_format::error::Result;
use ese_format::key::{KeyBuffers, KeyDefinition, KeyError, RecordValues, build_keys};
use ese_format::long_value::LongValueId;
use ese_format::record::{Piece, Record, Stored, TaggedValue};
use ese_format::tree::{Entry, PageRead};
use ese_format::{ObjectId, PageNumber};

/// What all records of a table amount to.
#[derive(Debug, Default)]
pub(super) struct RecordSums {
    /// For each secondary index the keys and bookmarks that it should have.
    pub(super) indexes: Vec<SetSum>,
    /// The references to long values.
    pub(super) references: SetSum,
    /// The highest number of the auto-increment column.
    pub(super) highest: Option<u64>,
}

/// Makes the keys of records.
pub(super) struct KeyMaker<'a, P> {
    pages: &'a P,
    /// Root and object id of the tree of long values.
    long_values: Option<(PageNumber, ObjectId)>,
    pub(super) buffers: KeyBuffers,
    values: Vec<u8>,
}

impl<'a, P: PageRead> KeyMaker<'a, P> {
    pub(super) fn new(pages: &'a P, schema: &Schema, table: &Table) -> Self {
        let tree = table.long_values.and_then(|tree| schema.trees.get(tree));
        let long_values = tree.map(|tree| (tree.root, tree.object));
        Self { pages, long_values, buffers: KeyBuffers::default(), values: Vec::new() }
    }

    /// Makes the keys of a record, into `buffers.keys`, each once.
    pub(super) fn make(
        &mut self,
        definition: &KeyDefinition,
        record: Record<'_>,
    ) -> std::result::Result<(), KeyError> {
        let (pages, tree) = (self.pages, self.long_values);
        let read = |id: LongValueId, at_most: usize, buffer: &mut Vec<u8>| {
            read_start(pages, tree, id, at_most, buffer).map_err(KeyError::from)
        };
        let mut values = RecordValues::new(record, read, &mut self.values);
        build_keys(definition, &mut values, &mut self.buffers)?;
        self.buffers.keys.dedup();
        Ok(())
    }
}

/// Looks at every record of a table in turn.
pub(super) struct RecordCheck<'a, P> {
    table: &'a Table,
    maker: KeyMaker<'a, P>,
    increment: Option<&'a Column>,
    pub(super) sums: RecordSums,
}

impl<'a, P: PageRead> RecordCheck<'a, P> {
    pub(super) fn new(pages: &'a P, schema: &'a Schema, table: &'a Table) -> Self {
        let increment =
            table.schema.columns.iter().find(|column| column.flags.contains(ColumnFlags::AUTO_INCREMENT));
        let sums =
            RecordSums { indexes: vec![SetSum::default(); table.indexes.len()], ..RecordSums::default() };
        Self { table, maker: KeyMaker::new(pages, schema, table), increment, sums }
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings) {
        let place = (entry.page, entry.line);
        let record = Record::parse(entry.data, self.maker.pages.page_size());
        let record = match record.and_then(|record| record.tagged().check().map(|()| record)) {
            Ok(record) => record,
            Err(error) => return findings.error(Subject::Record, place, error.detail),
        };
        self.check_primary(entry, record, findings);
        for (index, sum) in self.table.indexes.iter().zip(&mut self.sums.indexes) {
            let Ok(definition) = &index.definition else { continue };
            match self.maker.make(definition, record) {
                Ok(()) => self.maker.buffers.keys.iter().for_each(|key| sum.add(key, entry.key)),
                Err(error) => {
                    findings.error(
                        Subject::Index,
                        place,
                        format!("{} has no key of it: {error}", index.name),
                    );
                }
            }
        }
        if let Err(error) = for_each_reference(&record, |id| self.sums.references.add(&id.root_key(), &[])) {
            findings.error(Subject::Record, place, error.detail);
        }
        self.increment(record, place, findings);
    }

    fn check_primary(&mut self, entry: &Entry<'_>, record: Record<'_>, findings: &mut Findings) {
        let place = (entry.page, entry.line);
        match &self.table.primary {
            None if entry.key.len() != 4 => {
                let text = format!("a record without primary index has a key of {} bytes", entry.key.len());
                findings.error(Subject::Record, place, text);
            }
            Some(Ok(definition)) => match self.maker.make(definition, record) {
                Ok(()) => {
                    let mut keys = self.maker.buffers.keys.iter();
                    if keys.len() != 1 || keys.next() != Some(entry.key) {
                        let text = "the record does not have the key under which it is stored";
                        match self.maker.buffers.unproven_texts {
                            0 => findings.error(Subject::Record, place, text),
                            _ => findings.note(Subject::Record, place, text),
                        }
                    }
                    self.maker.buffers.unproven_texts = 0;
                }
                Err(error) => findings.error(Subject::Record, place, error.to_string()),
            },
            None | Some(Err(_)) => {}
        }
    }

    fn increment(&mut self, record: Record<'_>, place: (PageNumber, usize), findings: &mut Findings) {
        let Some(column) = self.increment else { return };
        let size = column.stored_size();
        match record.get(column.id, column.offset.into(), size, column.inherited) {
            Ok(Stored::Single(piece)) => {
                let mut bytes = [0; 8];
                if let Some(start) = bytes.get_mut(..piece.bytes.len()) {
                    start.copy_from_slice(piece.bytes);
                    let number = u64::from_le_bytes(bytes);
                    self.sums.highest = Some(self.sums.highest.map_or(number, |high| high.max(number)));
                }
            }
            Ok(_) => {}
            Err(error) => findings.error(Subject::Record, place, error.detail),
        }
    }
}

/// Calls back for every reference of a record to a long value.
pub(super) fn for_each_reference(record: &Record<'_>, mut each: impl FnMut(LongValueId)) -> Result<()> {
    let mut piece = |piece: Piece<'_>| -> Result<()> {
        if piece.separated {
            each(LongValueId::from_record(piece.bytes)?);
        }
        Ok(())
    };
    for field in record.tagged().iter() {
        match field?.value()? {
            TaggedValue::Null => {}
            TaggedValue::Single(value) => piece(value)?,
            TaggedValue::Multi(values) => values.iter().try_for_each(|value| piece(value?))?,
        }
    }
    Ok(())
}

/// The definition, unless there is a reason why it cannot be used.
pub(super) fn usable(definition: &Definition) -> Option<&KeyDefinition> {
    definition.as_ref().ok()
}
