//! The tables, and one transaction on them.

use crate::plan::{Deed, HOT, SIDE, SIDE_RECORDS, TOUCH, WINDOW, sum};
use ese::api::{Table, TableDefinition, Transaction};
use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::params::{ParamId, Parameters};
use ese::raw::{Database, Environment, InitOptions, Instance, Session};
use ese::table::{KeepOptions, Prepare};
use ese::{JetErr, Result};
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use std::path::PathBuf;

/// The file name of the database.
pub const DATABASE: &str = "ledger.edb";
/// An index that comes and goes when a process starts.
pub const EXTRA: &str = "Extra";

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub folder: PathBuf,
    pub page_size: u64,
    pub circular: bool,
    pub sessions: i32,
}

impl Setup {
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// Starts it, which recovers what is there.
    pub fn start(&self) -> Result<Instance> {
        let mut parameters = Parameters::new();
        let folder = self.folder.to_str().expect("text");
        parameters.set_text(ParamId::LogFilePath, folder)?;
        parameters.set_text(ParamId::SystemPath, folder)?;
        parameters.set_integer(ParamId::LogFileSize, 256)?;
        parameters.set_integer(ParamId::CircularLog, self.circular.into())?;
        parameters.set_integer(ParamId::CheckpointDepthMax, 1 << 20)?;
        parameters.set_integer(ParamId::DatabasePageSize, self.page_size)?;
        let instance = Instance::new(Environment::default(), parameters);
        instance.init(InitOptions::default())?;
        Ok(instance)
    }
}

/// JET_bitIndexUnique, JET_bitIndexPrimary.
const UNIQUE: u32 = 1;
const PRIMARY: u32 = 2;

/// Makes the database; nobody kills that.
pub fn create(setup: &Setup) -> Result<()> {
    let instance = setup.start()?;
    let session = instance.begin_session()?;
    let database = session.create(&setup.database(), Default::default())?;
    let transaction = Transaction::begin(&session)?;
    let part = |name| KeyPart { name, descending: false };
    let multi = ColumnOptions::TAGGED | ColumnOptions::MULTI_VALUED;
    let columns = [
        NewColumn::new("Head", ColumnType::LongLong),
        NewColumn::new("No", ColumnType::Long),
        NewColumn::new("Value", ColumnType::LongLong),
        NewColumn { grbit: multi.bits(), ..NewColumn::new("Tags", ColumnType::Long) },
        NewColumn {
            grbit: ColumnOptions::COMPRESSED.bits(),
            ..NewColumn::new("Body", ColumnType::LongBinary)
        },
    ];
    let index = |name, grbit, columns| NewIndex { name, grbit, columns, ..NewIndex::default() };
    let (key, value, tags) = ([part("Head"), part("No")], [part("Value")], [part("Tags")]);
    let indexes =
        [index("Primary", PRIMARY | UNIQUE, &key), index("ByValue", 0, &value), index("ByTags", 0, &tags)];
    let new = NewTable { name: "Parts", columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new)?;
    TableDefinition::new("Heads")
        .column("Key", ColumnType::LongLong)
        .column("Touched", ColumnType::Long)
        .column("Count", ColumnType::Long)
        .column("Sum", ColumnType::LongLong)
        .text("Name")
        .primary(&["Key"])
        .unique("ByName", &["Name"])
        .create(&database)?;
    for name in ["Sessions", "Hot"] {
        let table = TableDefinition::new(name).column("Id", ColumnType::Long);
        table.column("Last", ColumnType::Long).primary(&["Id"]).create(&database)?;
    }
    let columns = [
        NewColumn::new("Id", ColumnType::Long),
        NewColumn {
            grbit: ColumnOptions::ESCROW.bits(),
            default: &[0; 4],
            ..NewColumn::new("Total", ColumnType::Long)
        },
    ];
    let id = [part("Id")];
    let indexes = [index("Primary", PRIMARY | UNIQUE, &id)];
    let new = NewTable { name: "Totals", columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new)?;
    for (name, count) in [("Sessions", setup.sessions), ("Hot", HOT)] {
        let table = Table::open(&database, name)?;
        (0..count).try_for_each(|id| table.insert(&[("Id", &id), ("Last", &0)]))?;
    }
    Table::open(&database, "Totals")?.insert(&[("Id", &0)])?;
    transaction.commit()?;
    drop((database, session));
    instance.term(Default::default())
}

/// Makes the index that comes and goes, or deletes it.
pub fn toggle(session: &Session, database: &Database) -> Result<()> {
    let transaction = Transaction::begin(session)?;
    let parts = database.open_table("Parts")?;
    if parts.schema()?.indexes.iter().any(|index| index.name == EXTRA) {
        parts.delete_index(EXTRA)?;
    } else {
        let columns =
            [KeyPart { name: "No", descending: true }, KeyPart { name: "Value", descending: false }];
        parts.create_index(&NewIndex { name: EXTRA, columns: &columns, ..NewIndex::default() })?;
    }
    drop(parts);
    transaction.commit()
}

/// The tables as one session has them open.
pub struct Tables<'d> {
    session: &'d Session,
    database: &'d Database,
    heads: Table<'d>,
    parts: Table<'d>,
    tags: ColumnId,
    body: ColumnId,
    sessions: Table<'d>,
    hot: Table<'d>,
    totals: Table<'d>,
    total: ColumnId,
}

impl<'d> Tables<'d> {
    pub fn open(session: &'d Session, database: &'d Database) -> Result<Self> {
        let open = |name| Table::open(database, name);
        let (parts, totals) = (open("Parts")?, open("Totals")?);
        let column = |table: &Table<'_>, name: &str| -> Result<ColumnId> {
            Ok(table.raw().schema()?.column(name).map_or(ColumnId(0), |column| column.id))
        };
        let (tags, body) = (column(&parts, "Tags")?, column(&parts, "Body")?);
        let total = column(&totals, "Total")?;
        let (heads, sessions, hot) = (open("Heads")?, open("Sessions")?, open("Hot")?);
        Ok(Self { session, database, heads, parts, tags, body, sessions, hot, totals, total })
    }

    /// The last transaction of a session.
    pub fn last(&self, session: i32) -> Result<i32> {
        let last = self.sessions.find(&[&session], |row| row.get("Last"))?;
        last.ok_or_else(|| ese::Error::new(JetErr::RecordNotFound, format!("session {session}")))
    }

    /// Carries a transaction out and commits it; `committing` is called when only the commit is left.
    ///
    /// # Errors
    /// `WriteConflict` when another session was quicker: nothing has happened.
    pub fn carry_out(&self, deed: Deed, committing: impl FnOnce()) -> Result<()> {
        let transaction = Transaction::begin(self.session)?;
        if deed.number % 11 == 0 {
            let garbage = Transaction::begin(self.session)?;
            self.insert(Deed { number: deed.number + 1_000_000, ..deed })?;
            garbage.roll_back()?;
        }
        self.insert(deed)?;
        if let Some(earlier) = deed.before(TOUCH) {
            self.touch(earlier, deed.number)?;
        }
        if let Some(old) = deed.before(WINDOW) {
            self.delete(old)?;
        }
        let row = deed.hot();
        let count: i32 = present(self.hot.find(&[&row], |row| row.get("Last"))?)?;
        self.hot.update(&[&row], &[("Last", &(count + 1))])?;
        self.sessions.update(&[&deed.session], &[("Last", &deed.number)])?;
        let totals = self.totals.raw();
        totals.move_first()?;
        totals.add(self.total, 1)?;
        if let Some(name) = deed.side() {
            self.side(&name, deed)?;
        }
        committing();
        if deed.is_lazy() { transaction.commit_lazily() } else { transaction.commit() }
    }

    fn insert(&self, deed: Deed) -> Result<()> {
        let mut total = 0i64;
        for number in 0..deed.parts() {
            let part = deed.part(number);
            total = total.wrapping_add(sum(part.value, &part.body));
            let raw = self.parts.raw();
            raw.prepare(Prepare::Insert)?;
            let set = || {
                let schema = raw.schema()?;
                let id = |name: &str| schema.column(name).map_or(ColumnId(0), |column| column.id);
                let keep = KeepOptions::default();
                raw.set_value(id("Head"), 1, Some(&deed.key().to_le_bytes()), keep)?;
                raw.set_value(id("No"), 1, Some(&number.to_le_bytes()), keep)?;
                raw.set_value(id("Value"), 1, Some(&part.value.to_le_bytes()), keep)?;
                for tag in &part.tags {
                    raw.set_value(self.tags, 0, Some(&tag.to_le_bytes()), keep)?;
                }
                raw.write_value(self.body, 1, Some(0), &part.body, true)?;
                raw.update().map(drop)
            };
            set().inspect_err(|_| drop(raw.cancel()))?;
        }
        let (key, count, name) = (deed.key(), deed.parts(), deed.name());
        self.heads.insert(&[
            ("Key", &key),
            ("Touched", &0),
            ("Count", &count),
            ("Sum", &total),
            ("Name", &name),
        ])
    }

    /// Appends to the first part of an earlier transaction, and says so in its head.
    fn touch(&self, earlier: Deed, by: i32) -> Result<()> {
        let key = earlier.key();
        let part = earlier.part(0);
        let mut body = part.body.clone();
        body.extend(earlier.appendix());
        let total: i64 = present(self.heads.find(&[&key], |row| row.get("Sum"))?)?;
        let total = total.wrapping_sub(sum(part.value, &part.body)).wrapping_add(sum(part.value, &body));
        self.heads.update(&[&key], &[("Touched", &by), ("Sum", &total)])?;
        let raw = self.parts.raw();
        raw.make_key(&key.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
        raw.make_key(&0i32.to_le_bytes(), MakeKeyFlags::default())?;
        raw.seek(ese::table::Seek::Equal)?;
        raw.prepare(Prepare::Replace)?;
        let set = || {
            raw.write_value(self.body, 1, None, &earlier.appendix(), false)?;
            raw.update().map(drop)
        };
        set().inspect_err(|_| drop(raw.cancel()))
    }

    fn delete(&self, old: Deed) -> Result<()> {
        let key = old.key();
        for number in 0..old.parts() {
            present(self.parts.delete(&[&key, &number])?.then_some(()))?;
        }
        present(self.heads.delete(&[&key])?.then_some(()))
    }

    /// Makes a table with an index over its records, and deletes the session's former one.
    fn side(&self, name: &str, deed: Deed) -> Result<()> {
        let table = TableDefinition::new(name).column("Id", ColumnType::Long);
        table.column("Value", ColumnType::LongLong).primary(&["Id"]).create(self.database)?;
        let table = Table::open(self.database, name)?;
        for id in 0..SIDE_RECORDS {
            table.insert(&[("Id", &id), ("Value", &(deed.key() + i64::from(id)))])?;
        }
        let columns = [KeyPart { name: "Value", descending: true }];
        table.raw().create_index(&NewIndex { name: EXTRA, columns: &columns, ..NewIndex::default() })?;
        drop(table);
        match deed.before(SIDE).and_then(Deed::side) {
            Some(former) => self.database.delete_table(&former),
            None => Ok(()),
        }
    }
}

/// What must be there.
fn present<T>(found: Option<T>) -> Result<T> {
    found.ok_or_else(|| ese::Error::new(JetErr::RecordNotFound, "a record that must be there is missing"))
}
