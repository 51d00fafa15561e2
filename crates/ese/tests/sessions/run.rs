//! The engine beside the model: every operation must end alike, and show the same.

use crate::cursor::{Cursor, Limit, ORDERS, entries, key};
use crate::model::{
    AUTO, BLOB, CODE, ID, Model, NOTE, NUM, Node, Row, SCORE, State, TAGS, Touch, VERSION, add, number,
};
use crate::operation::{Act, End, Operation, Set};
use ese::JetErr;
use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::database::CreateOptions;
use ese::raw::{Database, DefragmentOptions, Instance, Resize, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, RangeFlags};
use ese_format::PageSize;
use ese_format::column::{ColumnId, ColumnType};
use ese_format::empty::EmptyDatabase;
use ese_format::key::MakeKeyFlags;
use ese_testbench::Bench;
use ese_testbench::check::assert_no_errors;
use ese_testbench::disk::{DATABASE as PATH, disk};
use ese_vfs::SimDisk;
use std::fmt::Debug;
use std::path::Path;

pub const SESSIONS: usize = 3;
const CURSORS: usize = 2;

/// Index flags (JET_bitIndex...).
const UNIQUE: u32 = 1;
const PRIMARY: u32 = 2;
const IGNORE_NULL: u32 = 8;

const MULTI: ColumnOptions = ColumnOptions::TAGGED.union(ColumnOptions::MULTI_VALUED);

/// Name, type, flags, size of values (0: any).
const COLUMNS: [(&str, ColumnType, ColumnOptions, usize); 21] = [
    ("Id", ColumnType::Long, ColumnOptions::empty(), 4),
    ("Auto", ColumnType::Long, ColumnOptions::AUTO_INCREMENT, 4),
    ("Version", ColumnType::Long, ColumnOptions::VERSION, 4),
    ("Score", ColumnType::Long, ColumnOptions::ESCROW, 4),
    ("Code", ColumnType::Binary, ColumnOptions::empty(), 0),
    ("Num", ColumnType::Short, ColumnOptions::empty(), 2),
    ("Tags", ColumnType::Binary, MULTI, 0),
    ("Blob", ColumnType::LongBinary, ColumnOptions::empty(), 0),
    ("Note", ColumnType::LongText, MULTI.union(ColumnOptions::COMPRESSED), 0),
    ("Bit", ColumnType::Bit, ColumnOptions::empty(), 1),
    ("Byte", ColumnType::UnsignedByte, ColumnOptions::empty(), 1),
    ("Currency", ColumnType::Currency, ColumnOptions::empty(), 8),
    ("Single", ColumnType::IeeeSingle, ColumnOptions::empty(), 4),
    ("Double", ColumnType::IeeeDouble, ColumnOptions::TAGGED, 8),
    ("Date", ColumnType::DateTime, ColumnOptions::empty(), 8),
    ("Text", ColumnType::Text, ColumnOptions::empty(), 0),
    ("ULong", ColumnType::UnsignedLong, MULTI, 4),
    ("Wide", ColumnType::LongLong, ColumnOptions::empty(), 8),
    ("Guid", ColumnType::Guid, ColumnOptions::TAGGED, 16),
    ("UShort", ColumnType::UnsignedShort, ColumnOptions::empty(), 2),
    ("Fixed", ColumnType::Binary, ColumnOptions::FIXED, 20),
];
/// Columns that may be added.
const EXTRA: [(&str, ColumnType, usize); 2] = [("X0", ColumnType::Long, 4), ("X1", ColumnType::Text, 0)];
const WIDTH: usize = COLUMNS.len() + EXTRA.len();

fn name(column: usize) -> &'static str {
    COLUMNS.get(column).map_or_else(|| EXTRA[column - COLUMNS.len()].0, |column| column.0)
}

fn is_multi(column: usize) -> bool {
    COLUMNS.get(column).is_some_and(|column| column.2.contains(ColumnOptions::MULTI_VALUED))
}

/// A value that a column can hold.
fn value(column: usize, seed: u16) -> Vec<u8> {
    let size = COLUMNS.get(column).map_or_else(|| EXTRA[column - COLUMNS.len()].2, |column| column.3);
    let fill = |len: usize| (0..len).map(|at| (at / 3 * usize::from(seed) + at) as u8).collect();
    match (column, size) {
        (NUM, _) => (i16::from(seed as u8 % 5) - 2).to_le_bytes().to_vec(),
        (TAGS, _) => tag(seed as u8),
        (BLOB | NOTE, _) if seed.is_multiple_of(4) => fill(usize::from(seed) % 9000),
        (9, _) => vec![if seed.is_multiple_of(2) { 0 } else { 0xFF }],
        (_, 0) => fill(usize::from(seed) % 60),
        (_, size) => fill(size),
    }
}

fn code(number: u8) -> Vec<u8> {
    let number = number % 8;
    format!("code {number} {}", "z".repeat(usize::from(number) * 7)).into_bytes()
}

fn tag(number: u8) -> Vec<u8> {
    vec![b't'; usize::from(number % 4) + 1]
}

/// What is sought in an order.
fn sought(order: usize, number: Option<u8>) -> Option<Vec<u8>> {
    match ORDERS[order].1 {
        ID => Some(i32::from(number.unwrap_or(0)).to_le_bytes().to_vec()),
        CODE => number.map(code),
        NUM => number.map(|number| value(NUM, number.into())),
        _ => number.map(tag),
    }
}

struct Hand {
    session: Session,
    database: Database,
    tables: Vec<Table>,
    cursors: Vec<Cursor>,
}

/// The engine and the model.
pub struct Run {
    disk: SimDisk,
    instance: Instance,
    hands: Vec<Hand>,
    model: Model,
    /// Bookmarks that were seen, with the keys of their records.
    bookmarks: Vec<(Vec<u8>, i32)>,
    /// The last number given out.
    auto: i32,
    /// Pages that moved so that the file could become smaller.
    moved: u32,
}

/// The engine's answer must be that of the model.
#[track_caller]
fn same<T: PartialEq + Debug>(what: &str, found: ese::Result<T>, wanted: Result<T, JetErr>) {
    let found = found.map_err(|error| (error.code(), error.to_string()));
    match (&found, &wanted) {
        (Ok(a), Ok(b)) if a == b => {}
        (Err((a, _)), Err(b)) if a == b => {}
        _ => panic!("{what}: {found:?} instead of {wanted:?}"),
    }
}

fn is_conflict<T>(found: &ese::Result<T>) -> bool {
    found.as_ref().is_err_and(|error| error.code() == JetErr::WriteConflict)
}

impl Run {
    pub fn new(page_size: PageSize) -> Self {
        let disk = disk(1);
        let instance = Bench::new(&disk, 1).log_kib(256).extension(8).page_size(page_size).start();
        let session = instance.begin_session().unwrap();
        let small =
            CreateOptions { pages: EmptyDatabase::least_pages(page_size), ..CreateOptions::default() };
        let database = session.create(Path::new(PATH), small).unwrap();
        let columns = COLUMNS.map(|(name, column_type, options, _)| NewColumn {
            grbit: options.bits(),
            code_page: if column_type == ColumnType::LongText { 1200 } else { 0 },
            max_len: if options.contains(ColumnOptions::FIXED) { 20 } else { 0 },
            default: if options.contains(ColumnOptions::ESCROW) { &[0; 4] } else { &[] },
            ..NewColumn::new(name, column_type)
        });
        let parts =
            ORDERS.map(|(_, column, _)| [KeyPart { name: COLUMNS[column].0, descending: column == NUM }]);
        let flags = [UNIQUE | PRIMARY, UNIQUE | IGNORE_NULL, 0, 0];
        let indexes: Vec<NewIndex<'_>> = (0..ORDERS.len())
            .map(|at| NewIndex {
                name: ORDERS[at].0,
                grbit: flags[at],
                columns: &parts[at],
                ..NewIndex::default()
            })
            .collect();
        let new = NewTable { name: "T", columns: &columns, indexes: &indexes, ..NewTable::default() };
        database.create_table(&new).unwrap();
        // The engine makes the tree of long values when the first one comes, which is a change of the schema: here, so that
        // it is in nobody's way.
        let table = database.open_table("T").unwrap();
        session.begin_transaction(false).unwrap();
        table.prepare(Prepare::Insert).unwrap();
        table.set_value(column(&table, BLOB), 1, Some(&[1; 5000]), KeepOptions::default()).unwrap();
        table.update().unwrap();
        table.move_first().unwrap();
        table.delete().unwrap();
        session.commit_transaction(false).unwrap();
        drop(table);
        let hands = (0..SESSIONS)
            .map(|_| {
                let session = instance.begin_session().unwrap();
                let database = session.open(Path::new(PATH)).unwrap();
                let tables = (0..CURSORS).map(|_| database.open_table("T").unwrap()).collect();
                Hand { session, database, tables, cursors: vec![Cursor::new(); CURSORS] }
            })
            .collect();
        let model = Model::new(SESSIONS);
        let mut run = Self { disk, instance, hands, model, bookmarks: Vec::new(), auto: 0, moved: 0 };
        run.spread(page_size);
        run
    }

    /// Records at the end of the file, with free room before it.
    fn spread(&mut self, page_size: PageSize) {
        self.insert(100..108);
        let session = self.instance.begin_session().unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        session.begin_transaction(false).unwrap();
        let columns = [NewColumn::new("Blob", ColumnType::LongBinary)];
        database
            .create_table(&NewTable { name: "Ballast", columns: &columns, ..NewTable::default() })
            .unwrap();
        let table = database.open_table("Ballast").unwrap();
        let blob = table.schema().unwrap().column("Blob").unwrap().id;
        for number in 0..16 {
            let bytes: Vec<u8> =
                (0..2 * page_size.bytes()).map(|at| (at * 37 % 251) as u8 ^ number).collect();
            table.prepare(Prepare::Insert).unwrap();
            table.set_value(blob, 1, Some(&bytes), KeepOptions::default()).unwrap();
            table.update().unwrap();
        }
        drop(table);
        session.commit_transaction(true).unwrap();
        self.insert(108..140);
        session.begin_transaction(false).unwrap();
        database.delete_table("Ballast").unwrap();
        session.commit_transaction(true).unwrap();
        (0..6).for_each(|_| self.instance.step_jobs());
    }

    fn insert(&mut self, ids: std::ops::Range<u8>) {
        self.operate(0, &Operation::Begin { read_only: false });
        for id in ids {
            // Short enough to stay in their records.
            let seed = Some(800 + 4 * u16::from(id % 20));
            let blob = Set::Value { column: BLOB as u8, instance: 1, seed };
            let write = Act::Write { kind: Prepare::Insert, sets: vec![Set::Id(id), blob], end: End::Update };
            self.operate(0, &Operation::Cursor(0, write));
        }
        self.operate(0, &Operation::Commit { lazy: true });
    }

    pub fn operate(&mut self, at: usize, operation: &Operation) {
        let hand = &self.hands[at];
        let depth = self.model.depth(at);
        let needs = if depth == 0 { Err(JetErr::NotInTransaction) } else { Ok(()) };
        match *operation {
            Operation::Begin { read_only } => {
                let read_only = read_only && depth == 0;
                let wanted = if depth == 7 { Err(JetErr::TransTooDeep) } else { Ok(()) };
                same("begin", hand.session.begin_transaction(read_only), wanted);
                wanted.is_ok().then(|| self.model.begin(at, read_only));
            }
            Operation::Commit { lazy } => {
                same("commit", hand.session.commit_transaction(lazy), needs);
                self.model.commit(at);
            }
            Operation::RollBack { all } => {
                same("roll back", hand.session.rollback_transaction(all), needs);
                self.model.roll_back(at, all);
            }
            Operation::Cursor(cursor, ref act) => {
                let cursor = usize::from(cursor) % CURSORS;
                self.act(at, cursor, act);
                self.same_record(at, cursor, &format!("after {act:?}"));
            }
            Operation::MakeTable(number) | Operation::DropTable(number) if depth > 0 => {
                let makes = matches!(operation, Operation::MakeTable(_));
                self.table(at, number, makes);
            }
            Operation::FindTable(number) => {
                let is_there = self.model.view(at).tables.contains(&number);
                let found = hand.database.open_table(&format!("U{number}")).map(drop);
                same("open a table", found, if is_there { Ok(()) } else { Err(JetErr::ObjectNotFound) });
            }
            Operation::AddColumn(number) if depth > 0 => self.add_column(at, number),
            Operation::Jobs => self.instance.step_jobs(),
            Operation::Shrink => {
                self.moved += hand.database.resize(1, Resize::OnlyShrink).expect("a smaller file").moved;
            }
            Operation::Defragment => {
                let options = DefragmentOptions { passes: Some(1), ..DefragmentOptions::default() };
                hand.database.defragment(options).expect("fewer pages");
            }
            _ => {}
        }
    }

    fn is_read_only(&self, at: usize) -> bool {
        self.model.open[at].as_ref().is_some_and(|open| open.read_only)
    }

    fn table(&mut self, at: usize, number: u8, makes: bool) {
        let (node, name) = (Node::Table(number), format!("U{number}"));
        let is_there = self.model.view(at).tables.contains(&number);
        let wanted = if self.is_read_only(at) {
            Err(JetErr::TransReadOnly)
        } else if makes && is_there {
            Err(JetErr::TableDuplicate)
        } else if !makes && !is_there {
            Err(JetErr::ObjectNotFound)
        } else {
            self.model.check(at, &node, Touch::Change)
        };
        let hand = &self.hands[at];
        let columns = [NewColumn::new("Id", ColumnType::Long)];
        let found = match makes {
            true => hand.database.create_table(&NewTable {
                name: &name,
                columns: &columns,
                ..NewTable::default()
            }),
            false => hand.database.delete_table(&name),
        };
        same(&format!("make ({makes}) table {name}"), found, wanted);
        if wanted.is_ok() {
            self.model.touch(at, node, Touch::Change);
            let tables = &mut self.model.level(at).view.tables;
            if makes {
                tables.insert(number)
            } else {
                tables.remove(&number)
            };
        }
    }

    /// Another transaction may have changed the same table's schema, also the engine by itself, when it made the tree
    /// of long values: so a conflict is always possible.
    fn add_column(&mut self, at: usize, number: u8) {
        let (name, column_type, _) = EXTRA[usize::from(number)];
        let new = NewColumn { grbit: ColumnOptions::TAGGED.bits(), ..NewColumn::new(name, column_type) };
        let found = self.hands[at].tables[0].add_column(&new).map(drop);
        let is_there = self.model.view(at).extra.contains(&number);
        match found.map_err(|error| error.code()) {
            Ok(()) if !is_there => drop(self.model.level(at).view.extra.insert(number)),
            Err(JetErr::ColumnDuplicate) if is_there => {}
            Err(JetErr::WriteConflict) => {}
            Err(JetErr::TransReadOnly) if self.is_read_only(at) => {}
            found => panic!("add a column: {found:?}"),
        }
    }

    fn act(&mut self, at: usize, which: usize, act: &Act) {
        let depth = self.model.depth(at);
        let Hand { tables, cursors, .. } = &mut self.hands[at];
        let (table, cursor, view) = (&tables[which], &mut cursors[which], self.model.view(at));
        match *act {
            Act::First => same("first", table.move_first(), cursor.first(view)),
            Act::Last => same("last", table.move_last(), cursor.last(view)),
            Act::Step { forward: true, other_key } => {
                same("next", table.move_next(other_key), cursor.step(view, true, other_key));
            }
            Act::Step { forward: false, other_key } => {
                same("previous", table.move_previous(other_key), cursor.step(view, false, other_key));
            }
            Act::Order(order) => {
                same("order", table.set_index(Some(ORDERS[usize::from(order)].0)), Ok(()));
                cursor.set_order(order.into());
            }
            Act::Seek(seek, number) => {
                let value = sought(cursor.order, number);
                table.make_key(value.as_deref().unwrap_or_default(), MakeKeyFlags::NEW_KEY).unwrap();
                let wanted = cursor.seek(view, &key(cursor.order, value.as_deref()), seek);
                same("seek", table.seek(seek), wanted);
            }
            Act::Range { key: number, upper, inclusive } => {
                let value = sought(cursor.order, number);
                table.make_key(value.as_deref().unwrap_or_default(), MakeKeyFlags::NEW_KEY).unwrap();
                let mut flags = RangeFlags::default();
                flags.set(RangeFlags::UPPER, upper);
                flags.set(RangeFlags::INCLUSIVE, inclusive);
                let limit = Limit { key: key(cursor.order, value.as_deref()), upper, inclusive };
                same("range", table.set_range(flags), cursor.range(limit));
                same("seek without key", table.seek(ese::table::Seek::Equal), {
                    cursor.limit = None;
                    Err(JetErr::KeyNotMade)
                });
                // The range again, for the moves to come.
                if matches!(cursor.place, crate::cursor::Place::At(_, true)) {
                    table.make_key(value.as_deref().unwrap_or_default(), MakeKeyFlags::NEW_KEY).unwrap();
                    let limit = Limit { key: key(cursor.order, value.as_deref()), upper, inclusive };
                    same("range", table.set_range(flags), cursor.range(limit));
                }
            }
            Act::Bookmark => match table.bookmark() {
                Ok(bookmark) => {
                    let id = cursor.record.expect("a record that the model has not");
                    self.bookmarks.push((bookmark, id));
                }
                Err(error) => {
                    same::<()>("bookmark", Err(error), cursor.record.map(drop).ok_or(JetErr::NoCurrentRecord))
                }
            },
            Act::Goto(number) => {
                if let Some((bookmark, id)) =
                    self.bookmarks.get(usize::from(number) % self.bookmarks.len().max(1))
                {
                    same("go to a bookmark", table.goto_bookmark(bookmark), cursor.goto(view, *id));
                }
            }
            Act::Count => same("count", table.count(0), cursor.count(view)),
            Act::Read => {
                if let Ok((_, row)) = cursor.row(view) {
                    read(table, view, row, false);
                }
            }
            Act::Unprepared => {
                let needs = if depth == 0 { JetErr::NotInTransaction } else { JetErr::UpdateNotPrepared };
                let id = column(table, ID);
                same("set", table.set_value(id, 1, Some(&[0; 4]), KeepOptions::default()), Err(needs));
                same("update", table.update(), Err(needs));
                same("cancel", table.cancel(), Err(JetErr::UpdateNotPrepared));
            }
            Act::Write { kind, ref sets, end } => self.write(at, which, kind, sets, end),
            Act::Delete => self.change(
                at,
                which,
                true,
                |model, id| {
                    let Some(id) = id else { return Ok(()) };
                    model.put(at, Some(id), None)
                },
                Table::delete,
            ),
            Act::Lock => self.change(
                at,
                which,
                false,
                |model, id| {
                    let Some(id) = id else { return Ok(()) };
                    model.check(at, &Node::Record(id), Touch::Lock)?;
                    model.touch(at, Node::Record(id), Touch::Lock);
                    Ok(())
                },
                Table::lock,
            ),
            Act::Add(by) => self.change(
                at,
                which,
                false,
                |model, id| {
                    let Some(id) = id else { return Ok(()) };
                    let touch = Touch::Delta { by: by.into(), is_locked: false };
                    model.check(at, &Node::Record(id), touch)?;
                    model.touch(at, Node::Record(id), touch);
                    model.level(at).view.rows.entry(id).and_modify(|row| add(row, by.into()));
                    Ok(())
                },
                |table| table.add(column(table, SCORE), by.into()).map(drop),
            ),
        }
    }

    /// A change of the current record, with its long values or without.
    fn change(
        &mut self,
        at: usize,
        which: usize,
        has_values: bool,
        on_model: impl FnOnce(&mut Model, Option<i32>) -> Result<(), JetErr>,
        on_table: impl FnOnce(&Table) -> ese::Result<()>,
    ) {
        let current = self.hands[at].cursors[which].row(self.model.view(at)).map(|(id, _)| id);
        let wanted = match (self.model.depth(at), current) {
            (0, _) => Err(JetErr::NotInTransaction),
            // Which of the two is said first depends on the operation.
            (_, Err(code)) if !self.is_read_only(at) => Err(code),
            (_, current) if self.is_read_only(at) => {
                let code = on_table(&self.hands[at].tables[which])
                    .expect_err("a change in a read-only transaction")
                    .code();
                assert!(code == JetErr::TransReadOnly || current == Err(code), "{code:?}");
                return;
            }
            (_, current) => {
                let found = on_table(&self.hands[at].tables[which]);
                let is_shared = current.is_ok_and(|id| has_values && self.model.may_share(at, id));
                if !is_shared || !is_conflict(&found) {
                    same("change", found, on_model(&mut self.model, current.ok()));
                }
                return;
            }
        };
        same("change", on_table(&self.hands[at].tables[which]), wanted);
    }

    fn write(&mut self, at: usize, which: usize, kind: Prepare, sets: &[Set], end: End) {
        let view = self.model.view(at).clone();
        let current = self.hands[at].cursors[which].row(&view).map(|(id, row)| (id, row.clone()));
        let mut wanted = Ok(());
        if self.model.depth(at) == 0 {
            wanted = Err(JetErr::NotInTransaction);
        } else if self.is_read_only(at) {
            wanted = Err(JetErr::TransReadOnly);
        } else if kind != Prepare::Insert {
            wanted = current.as_ref().map(drop).map_err(|code| *code);
        }
        let takes_place = matches!(kind, Prepare::Replace | Prepare::CopyAndDelete | Prepare::CopyAndReplace);
        if takes_place
            && wanted.is_ok()
            && let Ok((id, _)) = current
        {
            wanted = self.model.check(at, &Node::Record(id), Touch::Lock);
            if wanted.is_ok() {
                self.model.touch(at, Node::Record(id), Touch::Lock);
            }
        }
        let table = &self.hands[at].tables[which];
        same(&format!("prepare {kind:?}"), table.prepare(kind), wanted);
        if wanted.is_err() {
            return;
        }
        if let (true, Ok((id, _))) = (kind != Prepare::Insert, &current) {
            self.model.level(at).counted.insert(*id);
        }
        let mut row = match kind {
            Prepare::Insert => {
                let mut row: Row = vec![Vec::new(); WIDTH];
                row[SCORE] = vec![vec![0; 4]];
                row
            }
            _ => current.as_ref().map(|(_, row)| row.clone()).unwrap(),
        };
        let version = if kind == Prepare::Replace { number(&row[VERSION]) + 1 } else { 0 };
        row[VERSION] = vec![version.to_le_bytes().to_vec()];
        if !matches!(kind, Prepare::Replace | Prepare::CopyAndReplace) {
            let auto = table.value(column(table, AUTO), 1, true).unwrap().unwrap();
            let auto = i32::from_le_bytes(auto.try_into().unwrap());
            assert!(auto > self.auto, "number {auto} comes after {}", self.auto);
            self.auto = auto;
            row[AUTO] = vec![auto.to_le_bytes().to_vec()];
        }
        if kind == Prepare::Insert {
            let id = sets.len() as u8 * 5 % 12;
            self::set(table, &view, &mut row, &Set::Id(id));
        }
        for set in sets {
            self::set(table, &view, &mut row, set);
        }
        read(table, &view, &row, true);
        if end == End::Twice {
            same("prepare again", table.prepare(Prepare::Insert), Err(JetErr::AlreadyPrepared));
            same("delete", table.delete(), Err(JetErr::AlreadyPrepared));
            same("add", table.add(column(table, SCORE), 1).map(drop), Err(JetErr::AlreadyPrepared));
        }
        if end == End::Cancel {
            return same("cancel", table.cancel(), Ok(()));
        }
        let id = number(&row[ID]);
        let from = if kind == Prepare::Insert { None } else { current.ok().map(|(id, _)| id) };
        let found = table.update();
        let is_shared = from.is_some_and(|from| self.model.may_share(at, from));
        if is_shared && is_conflict(&found) {
            return same("cancel", table.cancel(), Ok(()));
        }
        match (found, self.model.put(at, from.filter(|_| takes_place), Some((id, row)))) {
            (Ok(bookmark), Ok(())) => {
                self.bookmarks.push((bookmark, id));
                self.model.descends(id, from);
            }
            (found, wanted) => {
                same("update", found.map(drop), wanted);
                same("cancel", table.cancel(), Ok(()));
            }
        }
    }

    /// The current record of a cursor.
    fn same_record(&self, at: usize, which: usize, what: &str) {
        let (table, cursor, view) =
            (&self.hands[at].tables[which], &self.hands[at].cursors[which], self.model.view(at));
        let wanted = cursor.row(view).map(|(id, _)| Some(id.to_le_bytes().to_vec()));
        same(what, table.value(column(table, ID), 1, false), wanted);
    }

    /// All that each session sees, through all orders; then the end, and the structure of the database.
    /// Ends it all; says how many pages moved.
    pub fn finish(mut self) -> u32 {
        for at in 0..SESSIONS {
            self.same_all(at);
        }
        for at in 0..SESSIONS {
            while self.model.depth(at) > 0 {
                match at {
                    0 => self.operate(at, &Operation::RollBack { all: true }),
                    _ => self.operate(at, &Operation::Commit { lazy: at == 1 }),
                }
            }
        }
        (0..SESSIONS).for_each(|at| self.same_all(at));
        self.hands.clear();
        self.instance.term(TermOptions::default()).unwrap();
        assert_no_errors(&self.disk, PATH);
        self.moved
    }

    fn same_all(&self, at: usize) {
        let (table, view) = (self.hands[at].tables[0].duplicate().unwrap(), self.model.view(at));
        for (order, (name, ..)) in ORDERS.iter().enumerate() {
            table.set_index(Some(name)).unwrap();
            for (_, id) in entries(view, order) {
                table.move_next(false).unwrap_or_else(|error| panic!("session {at}, {name}, {id}: {error}"));
                read(&table, view, &view.rows[&id], false);
            }
            same(name, table.move_next(false), Err(JetErr::NoCurrentRecord));
        }
    }
}

fn column(table: &Table, at: usize) -> ColumnId {
    table.schema().unwrap().column(name(at)).unwrap_or_else(|| panic!("no column {}", name(at))).id
}

/// All values of a record.
fn read(table: &Table, view: &State, row: &Row, from_copy: bool) {
    let schema = table.schema().unwrap();
    for (at, values) in row.iter().enumerate() {
        let extra = at.checked_sub(COLUMNS.len()).map(|at| at as u8);
        let is_there = extra.is_none_or(|extra| view.extra.contains(&extra));
        let found = schema.column(name(at));
        assert_eq!(found.is_some(), is_there, "column {}", name(at));
        let Some(id) = found.map(|column| column.id) else { continue };
        let count = table.value_count(id, from_copy).unwrap();
        assert_eq!(count, values.len(), "values of {}", name(at));
        for (instance, wanted) in (1..).zip(values) {
            let value = table.value(id, instance, from_copy).unwrap();
            assert!(
                value.as_ref() == Some(wanted),
                "{} {instance}: {value:?} instead of {wanted:?}",
                name(at)
            );
            let offset = wanted.len() / 3;
            let part = table.value_part(id, instance, from_copy, offset, 100).unwrap();
            let end = wanted.len().min(offset + 100);
            assert_eq!(part, Some((wanted[offset..end].to_vec(), wanted.len())), "part of {}", name(at));
        }
        assert_eq!(table.value(id, values.len() + 1, from_copy).unwrap(), None);
    }
}

/// Sets a value in the record that is being made, and in the model's.
fn set(table: &Table, view: &State, row: &mut Row, set: &Set) {
    let keep = KeepOptions::default();
    match *set {
        Set::Id(id) => {
            let id = i32::from(id).to_le_bytes().to_vec();
            same("set the key", table.set_value(column(table, ID), 1, Some(&id), keep), Ok(()));
            row[ID] = vec![id];
        }
        Set::Code(number) => {
            let value = number.map(code);
            same("set the code", table.set_value(column(table, CODE), 1, value.as_deref(), keep), Ok(()));
            row[CODE] = value.into_iter().collect();
        }
        Set::Value { column: at, instance, seed } => {
            // The keys and what can be set by adding only have operations of their own.
            let at = VERSION.max(usize::from(at) % WIDTH);
            let extra = at.checked_sub(COLUMNS.len()).map(|at| at as u8);
            if at == SCORE || at == CODE || extra.is_some_and(|extra| !view.extra.contains(&extra)) {
                return;
            }
            let (value, instance) = (seed.map(|seed| value(at, seed)), usize::from(instance));
            let wanted = match at {
                VERSION => Err(JetErr::ColumnNotUpdatable),
                _ if !is_multi(at) && instance > 1 => Err(JetErr::BadItagSequence),
                _ => Ok(()),
            };
            let found = table.set_value(column(table, at), instance, value.as_deref(), keep);
            same(&format!("set {} {instance}", name(at)), found, wanted);
            if wanted.is_err() {
                return;
            }
            let values = &mut row[at];
            let place = match instance {
                0 if is_multi(at) => values.len(),
                0 => 0,
                n => n - 1,
            };
            match value {
                Some(value) if place < values.len() => values[place] = value,
                Some(value) => values.push(value),
                None if place < values.len() => drop(values.remove(place)),
                None => {}
            }
        }
        Set::Long { note, at, len, ends } => {
            let which = if note { NOTE } else { BLOB };
            let present = row[which].first().cloned().unwrap_or_default();
            let offset = at.map(|at| present.len() * usize::from(at) / 256);
            let bytes: Vec<u8> = (0..len).map(|at| (at / 5) as u8).collect();
            let found = table.write_value(column(table, which), 1, offset, &bytes, ends);
            same("write a long value", found, Ok(()));
            let mut whole = present;
            let start = offset.unwrap_or(whole.len());
            let end = start + bytes.len();
            whole.resize(whole.len().max(end), 0);
            whole[start..end].copy_from_slice(&bytes);
            if ends {
                whole.truncate(end);
            }
            match row[which].first_mut() {
                Some(first) => *first = whole,
                None => row[which].push(whole),
            }
        }
        Set::Wrong { column: at } => {
            let at = usize::from(at) % COLUMNS.len();
            let wanted = match (at, COLUMNS[at].3) {
                (AUTO | VERSION, _) => JetErr::ColumnNotUpdatable,
                (BLOB | NOTE, _) => return,
                (_, 0) | (20, _) => JetErr::ColumnTooBig,
                _ => JetErr::InvalidBufferSize,
            };
            let found = table.set_value(column(table, at), 1, Some(&[1; 300]), keep);
            same(&format!("set {} to 300 bytes", name(at)), found, Err(wanted));
        }
    }
}
