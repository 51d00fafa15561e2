//! Records of the tables as the model knows them: made, written, read.

use crate::history::{Order, Row};
use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::raw::{Database, Table};
use ese::sync::Arc;
use ese::table::{KeepOptions, Prepare, Seek};
use ese::{JetErr, Result};
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use std::collections::BTreeMap;

/// Index flags (JET_bitIndex...).
const UNIQUE: u32 = 1;
const PRIMARY: u32 = 2;

pub const COUNTERS: &str = "Counters";
/// A table that no session knows: the keeper's.
pub const BALLAST: &str = "Ballast";

/// Whether sessions know the table with that name.
pub fn is_ours(name: &str) -> bool {
    !name.starts_with("MSys") && name != BALLAST
}
/// Before the names of indexes and columns that come and go.
pub const GUEST_INDEX: &str = "Guest";
pub const GUEST_COLUMN: &str = "More";

/// A table that is open, with its columns.
pub struct Open {
    pub table: Table,
    columns: BTreeMap<String, ColumnId>,
}

fn part(name: &str) -> KeyPart<'_> {
    KeyPart { name, descending: false }
}

fn index<'a>(name: &'a str, columns: &'a [KeyPart<'a>], grbit: u32) -> NewIndex<'a> {
    NewIndex { name, columns, grbit, ..NewIndex::default() }
}

/// Makes a table like all others.
pub fn create(database: &Database, name: &str) -> Result<()> {
    let columns = [
        NewColumn::new("Id", ColumnType::Long),
        NewColumn::new("Code", ColumnType::Text),
        NewColumn::new("Group", ColumnType::Long),
        NewColumn::new("Amount", ColumnType::LongLong),
        NewColumn::new("Stamp", ColumnType::LongLong),
        NewColumn {
            grbit: (ColumnOptions::TAGGED | ColumnOptions::MULTI_VALUED).bits(),
            ..NewColumn::new("Tags", ColumnType::Long)
        },
        NewColumn::new("Blob", ColumnType::LongBinary),
    ];
    let (id, code, group, tags) = ([part("Id")], [part("Code")], [part("Group")], [part("Tags")]);
    let indexes = [
        index("ById", &id, UNIQUE | PRIMARY),
        index("ByCode", &code, UNIQUE),
        index("ByGroup", &group, 0),
        index("ByTags", &tags, 0),
    ];
    database.create_table(&NewTable { name, columns: &columns, indexes: &indexes, ..NewTable::default() })
}

/// Makes the table that the keeper fills and empties.
pub fn create_ballast(database: &Database) -> Result<()> {
    let columns = [NewColumn::new("Id", ColumnType::Long), NewColumn::new("Blob", ColumnType::LongBinary)];
    let id = [part("Id")];
    let indexes = [index("ById", &id, UNIQUE | PRIMARY)];
    let new = NewTable { name: BALLAST, columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new)
}

/// Makes the table of counters, to which many sessions add at once.
pub fn create_counters(database: &Database) -> Result<()> {
    let zero = 0i64.to_le_bytes();
    let columns = [
        NewColumn::new("Id", ColumnType::Long),
        NewColumn {
            grbit: ColumnOptions::ESCROW.bits(),
            default: &zero,
            ..NewColumn::new("Count", ColumnType::LongLong)
        },
    ];
    let id = [part("Id")];
    let indexes = [index("ById", &id, UNIQUE | PRIMARY)];
    let new = NewTable { name: COUNTERS, columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new)
}

/// An index over the groups that comes and goes.
pub fn create_guest_index(table: &Table, name: &str) -> Result<()> {
    table.create_index(&index(name, &[part("Group"), part("Stamp")], 0))
}

/// The long value that a mark makes: each eight bytes say where they are and which mark it is.
pub fn blob(len: usize, stamp: u64) -> Vec<u8> {
    (0..len).map(|at| stamp.to_le_bytes()[at % 8] ^ (at / 8) as u8).collect()
}

fn long(bytes: Option<Vec<u8>>) -> Option<i32> {
    bytes.and_then(|bytes| bytes.first_chunk().map(|b| i32::from_le_bytes(*b)))
}

fn wide(bytes: Option<Vec<u8>>) -> Option<i64> {
    bytes.and_then(|bytes| bytes.first_chunk().map(|b| i64::from_le_bytes(*b)))
}

/// Whether a move or seek has found a record.
fn is_there<T>(result: Result<T>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if [JetErr::NoCurrentRecord, JetErr::RecordNotFound].contains(&error.code()) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Open {
    pub fn new(database: &Database, name: &str) -> Result<Self> {
        let table = database.open_table(name)?;
        let columns = table.schema()?.columns.iter().map(|c| (c.name.to_string(), c.id)).collect();
        Ok(Self { table, columns })
    }

    fn get(&self, name: &str, instance: usize) -> Result<Option<Vec<u8>>> {
        self.table.value(self.columns[name], instance, false)
    }

    fn set(&self, name: &str, instance: usize, value: Option<&[u8]>) -> Result<()> {
        self.table.set_value(self.columns[name], instance, value, KeepOptions::default())
    }

    pub fn set_order(&self, order: Order) -> Result<()> {
        self.table.set_index(Some(match order {
            Order::Id => "ById",
            Order::Code => "ByCode",
            Order::Group => "ByGroup",
            Order::Tags => "ByTags",
        }))
    }

    /// Goes to the record of a key.
    pub fn seek(&self, id: i32) -> Result<bool> {
        self.table.make_key(&id.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
        is_there(self.table.seek(Seek::Equal))
    }

    /// Goes to the record with a code, in the order of the codes.
    pub fn seek_code(&self, code: &str) -> Result<bool> {
        self.table.make_key(code.as_bytes(), MakeKeyFlags::NEW_KEY)?;
        is_there(self.table.seek(Seek::Equal))
    }

    pub fn next(&self) -> Result<bool> {
        is_there(self.table.move_next(false))
    }

    pub fn previous(&self) -> Result<bool> {
        is_there(self.table.move_previous(false))
    }

    pub fn id(&self) -> Result<i32> {
        Ok(long(self.get("Id", 1)?).unwrap_or(i32::MIN))
    }

    /// The current record.
    pub fn row(&self) -> Result<Arc<Row>> {
        let mut row = Row {
            code: String::from_utf8_lossy(&self.get("Code", 1)?.unwrap_or_default()).into_owned(),
            group: long(self.get("Group", 1)?).unwrap_or(i32::MIN),
            amount: wide(self.get("Amount", 1)?).unwrap_or(i64::MIN),
            stamp: wide(self.get("Stamp", 1)?).unwrap_or(-1) as u64,
            ..Row::default()
        };
        while let Some(tag) = long(self.get("Tags", row.tags.len() + 1)?) {
            row.tags.push(tag);
        }
        if let Some(bytes) = self.get("Blob", 1)? {
            // A long value of two marks is that of none.
            let made = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
            let is_whole = bytes == blob(bytes.len(), made);
            row.blob = Some((bytes.len(), if is_whole { made } else { u64::MAX }));
        }
        Ok(Arc::new(row))
    }

    /// Reads all records in an order, from either end.
    pub fn all(&self, order: Order, backwards: bool) -> Result<Vec<(i32, Arc<Row>)>> {
        self.set_order(order)?;
        let mut rows = Vec::new();
        if backwards {
            let mut found = is_there(self.table.move_last())?;
            while found {
                rows.push((self.id()?, self.row()?));
                found = self.previous()?;
            }
            rows.reverse();
            return Ok(rows);
        }
        let mut found = is_there(self.table.move_first())?;
        while found {
            rows.push((self.id()?, self.row()?));
            found = self.next()?;
        }
        Ok(rows)
    }

    /// Writes a record: a new one, or over the current one.
    pub fn put(&self, new: Option<i32>, row: &Row, before: Option<&Row>) -> Result<()> {
        self.table.prepare(if new.is_some() { Prepare::Insert } else { Prepare::Replace })?;
        let written = self.fill(new, row, before).and_then(|()| self.table.update().map(drop));
        if written.is_err() && self.table.prepared().is_some() {
            self.table.cancel()?;
        }
        written
    }

    fn fill(&self, new: Option<i32>, row: &Row, before: Option<&Row>) -> Result<()> {
        if let Some(id) = new {
            self.set("Id", 1, Some(&id.to_le_bytes()))?;
        }
        if before.is_none_or(|before| before.code != row.code) {
            self.set("Code", 1, Some(row.code.as_bytes()))?;
        }
        self.set("Group", 1, Some(&row.group.to_le_bytes()))?;
        self.set("Amount", 1, Some(&row.amount.to_le_bytes()))?;
        self.set("Stamp", 1, Some(&row.stamp.to_le_bytes()))?;
        if before.is_none_or(|before| before.tags != row.tags) {
            // The later values come forward when the first one goes.
            for _ in 0..before.map_or(0, |before| before.tags.len()) {
                self.set("Tags", 1, None)?;
            }
            for tag in &row.tags {
                self.set("Tags", 0, Some(&tag.to_le_bytes()))?;
            }
        }
        if before.is_none_or(|before| before.blob != row.blob) {
            let bytes = row.blob.map(|(len, stamp)| blob(len, stamp));
            self.set("Blob", 1, bytes.as_deref())?;
        }
        Ok(())
    }

    /// Enters a counter.
    pub fn new_counter(&self, id: i32) -> Result<()> {
        self.table.prepare(Prepare::Insert)?;
        self.set("Id", 1, Some(&id.to_le_bytes()))?;
        self.table.update().map(drop)
    }

    pub fn add(&self, by: i64) -> Result<()> {
        self.table.add(self.columns["Count"], by).map(drop)
    }

    pub fn count(&self) -> Result<i64> {
        Ok(wide(self.get("Count", 1)?).unwrap_or(i64::MIN))
    }

    /// The names of indexes and columns that come and go.
    pub fn guests(&self) -> Result<(Vec<String>, Vec<String>)> {
        let schema = self.table.schema()?;
        let indexes = schema.indexes.iter().map(|i| i.name.to_string());
        let columns = schema.columns.iter().map(|c| c.name.to_string());
        Ok((
            indexes.filter(|name| name.starts_with(GUEST_INDEX)).collect(),
            columns.filter(|name| name.starts_with(GUEST_COLUMN)).collect(),
        ))
    }

    pub fn add_guest_column(&self, name: &str) -> Result<()> {
        self.table.add_column(&NewColumn::new(name, ColumnType::Long)).map(drop)
    }
}
