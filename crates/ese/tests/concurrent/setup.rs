//! What a run is made with; everything but the schedule of real threads follows from its seed.

use crate::history::{End, History, Item, Row, Transaction, Value, Writes};
use crate::rows::{self, Open};
use ese::Result;
use ese::buffer::PageCache;
use ese::database::CreateOptions;
use ese::params::{ParamId, Parameters};
use ese::raw::{Database, Environment, Instance, Session};
use ese::sync::{Arc, Mutex};
use ese_format::PageSize;
use ese_format::empty::EmptyDatabase;
use ese_testbench::Bench;
use ese_testbench::disk::{self, DATABASES};
use ese_vfs::{Disk, SimDisk, SimRng};
use std::path::Path;

/// A database that comes and goes while the others are in use, and its table.
pub const VISITOR: &str = "/data/visitor.edb";
pub const VISITORS: &str = "Visitors";
/// Tables that stay, and which database has them.
pub const TABLES: [(&str, usize); 3] = [("Accounts", 0), ("Left", 0), ("Right", 1)];
/// What one account has at first.
pub const AMOUNT: i64 = 1000;
pub const COUNTERS: i32 = 2;

/// One configuration.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub seed: u64,
    pub sessions: usize,
    /// Transactions of each session.
    pub transactions: usize,
    pub databases: usize,
    pub page_size: PageSize,
    pub cache_pages: usize,
    pub log_kib: u64,
    pub checkpoint_depth: u64,
    /// Whether background jobs have threads; else a thread of ours steps them.
    pub job_threads: bool,
    pub accounts: i32,
    /// Keys that records of other tables have.
    pub keys: u64,
    /// Pages by which files grow; with few of them they are small at first, too.
    pub extension: u64,
    /// Whether the engine itself removes logs behind the checkpoint.
    pub circular: bool,
    /// Whether there is a database that comes and goes.
    pub visitor: bool,
}

impl Setup {
    pub fn of(seed: u64, sessions: usize, transactions: usize) -> Self {
        let mut rng = SimRng::new(seed ^ 0x636f_6e63);
        Self {
            seed,
            sessions,
            transactions,
            databases: 1 + rng.below(2) as usize,
            page_size: PageSize::ALL[rng.below(PageSize::ALL.len() as u64) as usize],
            cache_pages: [60, 120, 4000][rng.below(3) as usize],
            log_kib: [256, 512][rng.below(2) as usize],
            checkpoint_depth: [0, 65_536, 1 << 20][rng.below(3) as usize],
            job_threads: rng.chance(1, 2),
            accounts: 4 + rng.below(30) as i32,
            keys: [24, 24, 60, 200][rng.below(4) as usize],
            extension: [8, 16, 256][rng.below(3) as usize],
            circular: false,
            visitor: false,
        }
    }

    /// How databases are made.
    pub fn new_database(&self) -> CreateOptions {
        let usual = CreateOptions::default();
        match self.extension < 256 {
            true => CreateOptions { pages: EmptyDatabase::least_pages(self.page_size), ..usual },
            false => usual,
        }
    }

    /// An instance as a process would make it; `day` stands for the time of day.
    pub fn instance(&self, disk: &SimDisk, day: u64) -> Instance {
        let (environment, parameters) = self.surroundings(disk, day);
        Instance::new(environment, parameters)
    }

    /// What such an instance, or a restore, is made with.
    pub fn surroundings(&self, disk: &SimDisk, day: u64) -> (Environment, Parameters) {
        self.surroundings_on(Arc::new(disk.clone()), day)
    }

    /// The same on any disk.
    pub fn surroundings_on(&self, disk: Arc<dyn Disk>, day: u64) -> (Environment, Parameters) {
        let pages = self.cache_pages.max(self.sessions * 24);
        let clock = self.seed.wrapping_mul(1000) + day;
        let bench = Bench::on(disk, clock).threads(self.job_threads && day == 0).log_kib(self.log_kib);
        let bench = bench.cache(PageCache::new(pages * self.page_size.bytes())).page_size(self.page_size);
        let bench = bench.set(ParamId::CheckpointDepthMax, self.checkpoint_depth).extension(self.extension);
        bench.set(ParamId::MaxSessions, 600).circular(self.circular).surroundings()
    }

    /// A disk with nothing but a folder.
    pub fn disk(&self) -> SimDisk {
        disk::disk(self.seed)
    }

    /// The paths of all databases.
    pub fn paths(&self) -> Vec<&'static str> {
        let visitor = self.visitor.then_some(VISITOR);
        DATABASES.into_iter().take(self.databases).chain(visitor).collect()
    }

    /// The path of the database in which a table is.
    pub fn home_of(&self, table: &str) -> &'static str {
        if table == VISITORS { VISITOR } else { DATABASES[self.database_of(table)] }
    }

    /// In which of the databases that stay a table is.
    pub fn database_of(&self, table: &str) -> usize {
        let home = TABLES.iter().find(|(name, _)| *name == table).map_or(0, |(_, home)| *home);
        home.min(self.databases - 1)
    }
}

/// Databases, tables and records, before the sessions begin; the first transaction of the history.
pub fn build(setup: &Setup, session: &Session, history: &Arc<Mutex<History>>) -> Result<Vec<Database>> {
    let paths = DATABASES.iter().take(setup.databases);
    let databases: Vec<Database> =
        paths.map(|path| session.create(Path::new(path), setup.new_database())).collect::<Result<_>>()?;
    session.begin_transaction(false)?;
    let numbers = session.numbers()?;
    let mut writes = Writes::new();
    for (name, _) in TABLES {
        let database = &databases[setup.database_of(name)];
        rows::create(database, name)?;
        let table: Arc<str> = name.into();
        writes.insert(Item::Table(table.clone()), Some(Value::There));
        let open = Open::new(database, name)?;
        let count = if name == "Accounts" { setup.accounts } else { 5 };
        for id in 0..count {
            let row = Row {
                code: format!("c{id:04}"),
                group: id % 4,
                amount: AMOUNT,
                blob: (id % 2 == 0).then_some((64, 7)),
                ..Row::default()
            };
            open.put(Some(id), &row, None)?;
            writes.insert(Item::Row(table.clone(), id), Some(Value::Row(Arc::new(row))));
        }
    }
    databases.iter().try_for_each(rows::create_ballast)?;
    rows::create_counters(&databases[0])?;
    writes.insert(Item::Table(rows::COUNTERS.into()), Some(Value::There));
    let counters = Open::new(&databases[0], rows::COUNTERS)?;
    (0..COUNTERS).try_for_each(|id| counters.new_counter(id))?;
    session.commit_transaction(false)?;
    let mut history = history.lock();
    let (from, to) = (history.tick(), history.tick());
    let begun = numbers.begun.map_or(0, |stamp| stamp.0);
    history.transactions.push(Transaction {
        committed: session.numbers()?.committed.map(|stamp| stamp.0),
        end: End::Committed,
        is_durable: true,
        touched: writes.keys().map(|item| (item.clone(), from)).collect(),
        writes,
        to,
        ..Transaction::begun(usize::MAX, numbers.session, begun, from)
    });
    Ok(databases)
}
