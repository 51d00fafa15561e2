//! What the chapters share: short names, conditions of a real instance, and tables with rows.

pub(crate) use ese_testbench::backup::{Bench, CHECKPOINT, OWNED, Options, PAGE, SIZE};
pub(crate) use ese_testbench::code;
pub(crate) use ese_testbench::disk::DATABASES;
pub(crate) use ese_testbench::restore::{World, begin, end, environment, parameters};

use ese::Result;
use ese::backup::external::EndOptions;
use ese::catalog::{NewColumn, NewTable};
use ese::raw::{
    AttachOptions, Database, ExternalRestore, InitOptions, Instance, Session, Table, TermOptions,
    external_restore,
};
use ese::restore::map::{MapEntry, RestoreMap};
use ese::table::{KeepOptions, Prepare};
use ese_format::Generation;
use ese_format::column::{ColumnId, ColumnType};
use ese_format::database::DatabaseHeader;
use ese_vfs::Disk;
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) const DB: &str = "/db/1.edb";
pub(crate) const DB2: &str = "/db/2.edb";
pub(crate) const INCREMENTAL: u32 = 1;
pub(crate) const NORMAL: u32 = 1;
pub(crate) const ABORT: u32 = 2;
pub(crate) const TRUNCATE_DONE: u32 = 0x100;

pub(crate) fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A way to end a backup by its flags.
pub(crate) fn ending(flags: u32) -> EndOptions {
    EndOptions::from_flags(flags).unwrap()
}

pub(crate) fn two_databases() -> Bench {
    Bench::with(Options { databases: 2, ..Options::default() })
}

pub(crate) fn circular() -> Bench {
    Bench::with(Options { circular: true, ..Options::default() })
}

/// Threads that borrow from the test.
#[allow(clippy::disallowed_methods, reason = "no seeded schedule: real threads under load")]
pub(crate) fn threads<'env, T>(
    work: impl for<'scope> FnOnce(&'scope std::thread::Scope<'scope, 'env>) -> T,
) -> T {
    std::thread::scope(work)
}

/// A session with a table of numbers, some of them heavy.
pub(crate) struct Rows {
    pub(crate) session: Session,
    /// Keeps it open.
    _database: Database,
    table: Table,
    number: ColumnId,
    weight: ColumnId,
}

impl Rows {
    /// Makes the table in an attached database.
    pub(crate) fn create(instance: &Instance, database: &str) -> Self {
        let session = instance.begin_session().unwrap();
        let open = session.open(Path::new(database)).unwrap();
        let columns =
            [NewColumn::new("Number", ColumnType::Long), NewColumn::new("Weight", ColumnType::LongBinary)];
        open.create_table(&NewTable { name: "Rows", columns: &columns, ..NewTable::default() }).unwrap();
        drop((open, session));
        Self::open(instance, database)
    }

    /// Opens the table of a database, which is attached if it is not.
    pub(crate) fn open(instance: &Instance, database: &str) -> Self {
        let session = instance.begin_session().unwrap();
        if !session.attached().iter().any(|path| path == Path::new(database)) {
            session.attach(Path::new(database), AttachOptions::default()).unwrap();
        }
        let database = session.open(Path::new(database)).unwrap();
        let table = database.open_table("Rows").unwrap();
        let column = |name: &str| table.schema().unwrap().column(name).unwrap().id;
        let (number, weight) = (column("Number"), column("Weight"));
        Self { session, _database: database, table, number, weight }
    }

    /// Adds a row outside of any transaction, or inside the one that is open.
    pub(crate) fn add(&self, number: i32, weight: usize) -> Result<()> {
        self.table.prepare(Prepare::Insert)?;
        let set = |id, value: &[u8]| self.table.set_value(id, 1, Some(value), KeepOptions::default());
        set(self.number, &number.to_le_bytes())?;
        set(self.weight, &vec![number as u8; weight])?;
        self.table.update().map(drop)
    }

    /// Adds rows, each in a transaction of its own that is durable on return.
    pub(crate) fn commit(&self, numbers: std::ops::Range<i32>) {
        for number in numbers {
            self.session.begin_transaction(false).unwrap();
            self.add(number, 900).unwrap();
            self.session.commit_transaction(false).unwrap();
        }
    }

    /// Deletes every row.
    pub(crate) fn clear(&self) {
        self.session.begin_transaction(false).unwrap();
        while self.table.move_first().is_ok() {
            self.table.delete().unwrap();
        }
        self.session.commit_transaction(false).unwrap();
    }

    /// The numbers that a new reader finds.
    pub(crate) fn numbers(&self) -> BTreeSet<i32> {
        self.session.begin_transaction(true).unwrap();
        let mut found = BTreeSet::new();
        let mut is_there = self.table.move_first().is_ok();
        while is_there {
            let value = self.table.value(self.number, 1, false).unwrap().unwrap();
            found.insert(i32::from_le_bytes(value.try_into().unwrap()));
            is_there = self.table.move_next(false).is_ok();
        }
        self.session.commit_transaction(false).unwrap();
        found
    }
}

/// Reads a file of a running instance's backup to its end and closes it.
pub(crate) fn stream(world: &World, file: &Path) -> Result<Vec<u8>> {
    let backup = world.instance.backup()?;
    let opened = backup.open_file(file)?;
    let all = read_on(world, opened.handle, vec![])?;
    backup.close_file(opened.handle)?;
    Ok(all)
}

/// Reads the rest of an open file.
pub(crate) fn read_on(
    world: &World,
    handle: ese::backup::external::FileHandle,
    mut all: Vec<u8>,
) -> Result<Vec<u8>> {
    let backup = world.instance.backup()?;
    let mut buffer = vec![0; 16 * PAGE];
    loop {
        match backup.read_file(handle, &mut buffer)? {
            0 => return Ok(all),
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Puts the content of a file under its name into a folder.
pub(crate) fn keep(world: &World, file: &Path, bytes: &[u8], folder: &str) {
    let name = file.file_name().unwrap();
    world.disk.install(&Path::new(folder).join(name), bytes).unwrap();
}

/// Lists the logs, streams them into a folder and ends the backup.
pub(crate) fn finish_to(world: &World, folder: &str, end: EndOptions) -> Vec<std::path::PathBuf> {
    let backup = world.instance.backup().unwrap();
    let set = backup.log_info().unwrap();
    for log in &set.paths {
        keep(world, log, &stream(world, log).unwrap(), folder);
    }
    backup.end(end).unwrap().unwrap();
    set.paths
}

/// Begins a full backup and streams the databases into a folder.
pub(crate) fn databases_to(world: &World, folder: &str) {
    let backup = world.instance.backup_to_begin().unwrap();
    backup.begin(0).unwrap();
    for file in backup.attach_info().unwrap() {
        keep(world, &file, &stream(world, &file).unwrap(), folder);
    }
}

/// A full backup as a client streams it into a folder; nothing is truncated.
pub(crate) fn full_to(world: &World, folder: &str) {
    databases_to(world, folder);
    finish_to(world, folder, EndOptions::PLAIN);
}

/// The numbers of the closed logs in a folder.
pub(crate) fn archives(world: &World, folder: &str) -> Vec<u32> {
    let number =
        |name: &String| u32::from_str_radix(name.strip_prefix("edb")?.strip_suffix(".log")?, 16).ok();
    world.names(folder).iter().filter_map(number).collect()
}

/// A backup of each kind, so that headers remember all four.
pub(crate) fn all_kinds(world: &World) {
    let backup = world.instance.backup_to_begin().unwrap();
    full_to(world, "/out");
    backup.begin(INCREMENTAL).unwrap();
    for log in backup.log_info().unwrap().paths {
        stream(world, &log).unwrap();
    }
    backup.truncate().unwrap();
    backup.end(ending(NORMAL)).unwrap().unwrap();
    backup.begin(INCREMENTAL).unwrap();
    finish_to(world, "/out", ending(NORMAL));
    databases_to(world, "/out");
    finish_to(world, "/out", ending(NORMAL));
}

/// Whether a header remembers a full, an incremental, a copy and a differential backup.
pub(crate) fn records(header: &DatabaseHeader) -> [bool; 4] {
    [
        header.last_full_backup,
        header.last_incremental_backup,
        header.last_copy_backup,
        header.last_differential_backup,
    ]
    .map(|record| record.is_some())
}

/// JetExternalRestore of copies that lie where they shall be, with all logs of a folder.
pub(crate) fn recover(world: &World, copies: &[(&str, &str)], logs: &str, own: &str) -> Result<()> {
    recover_range(world, copies, logs, own, (0, 0))
}

pub(crate) fn recover_range(
    world: &World,
    copies: &[(&str, &str)],
    logs: &str,
    own: &str,
    (lowest, highest): (u32, u32),
) -> Result<()> {
    let entry = |(old, new): &(&str, &str)| MapEntry { old: (*old).into(), new: (*new).into() };
    let map = RestoreMap::new(copies.iter().map(entry).collect())?;
    let request = ExternalRestore {
        map: &map,
        backup_logs: Path::new(logs),
        lowest: Generation(lowest),
        highest: Generation(highest),
    };
    external_restore(&world.environment(), &parameters(own, own), &request, &mut |_| {}).map(drop)
}

/// The rows of a database that lies there after a restore, read by an instance of its own.
pub(crate) fn restored_numbers(world: &World, file: &str) -> BTreeSet<i32> {
    let instance = Instance::new(world.environment(), parameters("/reader", "/reader"));
    world.disk.create_dir_all(Path::new("/reader")).unwrap();
    instance.init(InitOptions::default()).unwrap();
    let rows = Rows::open(&instance, file);
    let numbers = rows.numbers();
    drop(rows);
    instance.term(TermOptions::default()).unwrap();
    numbers
}
