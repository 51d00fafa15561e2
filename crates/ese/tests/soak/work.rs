//! What the threads of a soak do.

use super::Place;
use ese::api::{ColumnType, Table, TableDefinition, Transaction};
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::to_directory::DirectoryRequest;
use ese::raw::{AttachOptions, Attached, DefragmentOptions, Instance, Session};
use ese::sync::thread::sleep;
use ese::{JetErr, Result};
use ese_testbench::queue::{blob, put};
use ese_vfs::SimRng;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Records that a writer has at quiet times; at busy ones it has some times as many.
const QUIET: usize = 150;

/// How often what was done.
#[derive(Default)]
pub(super) struct Counts {
    commits: AtomicU64,
    rollbacks: AtomicU64,
    refused: AtomicU64,
    scans: AtomicU64,
    tables: AtomicU64,
    attached: AtomicU64,
    backups: AtomicU64,
    defragmented: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether everybody got to something in a run of that length.
    pub(super) fn check(&self, time: Duration) {
        let once = [&self.commits, &self.rollbacks, &self.scans, &self.tables, &self.attached, &self.backups];
        let least = |counter: &AtomicU64, least: u64| counter.load(Ordering::Relaxed) >= least;
        assert!(once.into_iter().all(|counter| least(counter, 1)), "somebody did nothing: {self}");
        // One begins every half second and waits while a backup runs. Most of a minute it has had nothing to do with
        // backups; in a few seconds it may have.
        let passes = time.as_secs() / 60;
        assert!(least(&self.defragmented, passes), "fewer than {passes} defragmentations: {self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} commits, {} rollbacks, {} refused by a full version store; {} scans, {} tables made and deleted, \
             {} times a second database, {} backups, {} defragmentations",
            of(&self.commits),
            of(&self.rollbacks),
            of(&self.refused),
            of(&self.scans),
            of(&self.tables),
            of(&self.attached),
            of(&self.backups),
            of(&self.defragmented)
        )
    }
}

/// One thread.
pub(super) struct Work {
    pub(super) instance: Instance,
    pub(super) place: Place,
    pub(super) number: u32,
    pub(super) seed: u64,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) counts: Arc<Counts>,
}

/// Bytes of the long value of a record.
fn bytes(id: i64) -> usize {
    match id % 16 {
        0 => 12_000,
        1..=4 => 900,
        _ => 80,
    }
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.goes_on() && Instant::now() < end {
            sleep(Duration::from_millis(20));
        }
    }

    /// A queue of its own: records come at the end and go at the front, some are changed.
    pub(super) fn write(&self, session: &Session) {
        let database = session.open(&self.place.database()).unwrap();
        let table = Table::open(&database, "Queue").unwrap();
        let mut random = SimRng::new(self.seed ^ u64::from(self.number) << 32);
        let mut there: VecDeque<i64> = VecDeque::new();
        let mut next = i64::from(self.number) << 40;
        let mut most = QUIET;
        let mut turn = 0u64;
        while self.goes_on() {
            turn += 1;
            if turn.is_multiple_of(100) {
                most = if most == QUIET { 4 * QUIET } else { QUIET };
            }
            let (mut after, mut new) = (there.clone(), next);
            let change = || -> Result<bool> {
                let transaction = Transaction::begin(session)?;
                for _ in 0..1 + random.below(8) {
                    put(&table, new, bytes(new))?;
                    after.push_back(new);
                    new += 1;
                    while after.len() > most && after.len() + 8 > there.len() {
                        let id = after.pop_front().unwrap_or_default();
                        assert!(table.delete(&[&id])?, "record {id} was not there");
                    }
                }
                let at = random.below(after.len() as u64) as usize;
                let group = random.below(97) as i32;
                assert!(table.update(&[&after[at]], &[("Group", &group)])?);
                match random.below(10) {
                    0 => transaction.roll_back().map(|()| false),
                    1 => transaction.commit().map(|()| true),
                    _ => transaction.commit_lazily().map(|()| true),
                }
            };
            match { change }() {
                Ok(true) => {
                    (there, next) = (after, new);
                    Counts::add(&self.counts.commits);
                }
                Ok(false) => Counts::add(&self.counts.rollbacks),
                Err(error) if error.code() == JetErr::VersionStoreOutOfMemory => {
                    Counts::add(&self.counts.refused);
                    sleep(Duration::from_millis(20));
                }
                Err(error) => panic!("writer {}: {error}", self.number),
            }
        }
    }

    /// Scans in snapshots, some of which last.
    pub(super) fn read(&self, session: &Session) {
        let database = session.open(&self.place.database()).unwrap();
        let table = Table::open(&database, "Queue").unwrap();
        let mut turn = 0u64;
        while self.goes_on() {
            turn += 1;
            session.begin_transaction(true).unwrap();
            let first = self.scan(&table);
            if turn.is_multiple_of(5) {
                self.rest(Duration::from_millis(1500));
            }
            assert!(self.scan(&table) == first, "a snapshot moved");
            session.commit_transaction(true).unwrap();
            Counts::add(&self.counts.scans);
            self.rest(Duration::from_millis(50));
        }
    }

    /// The numbers of all records: those of each writer without a gap, with their long values.
    fn scan(&self, table: &Table<'_>) -> Vec<i64> {
        let rows = table.rows().unwrap();
        let all = rows.read(|row| Ok((row.get::<i64>("Id")?, row.get::<Vec<u8>>("Blob")?)));
        let mut ids: Vec<i64> = Vec::new();
        for row in all {
            let (id, found) = row.unwrap();
            assert!(found == blob(id, bytes(id)), "record {id}");
            if let Some(before) = ids.last().filter(|before| **before >> 40 == id >> 40) {
                assert_eq!(before + 1, id, "a gap");
            }
            ids.push(id);
        }
        ids
    }

    /// Tables that come and go.
    pub(super) fn tables(&self, session: &Session) {
        let database = session.open(&self.place.database()).unwrap();
        let make = |name: &str| -> Result<()> {
            let transaction = Transaction::begin(session)?;
            TableDefinition::new(name)
                .column("Id", ColumnType::LongLong)
                .column("Blob", ColumnType::LongBinary)
                .primary(&["Id"])
                .create(&database)?;
            let table = Table::open(&database, name)?;
            for id in 0..40i64 {
                table.insert(&[("Id", &id), ("Blob", &blob(id, 3000))])?;
            }
            drop(table);
            transaction.commit_lazily()
        };
        let delete = |name: &str| {
            let transaction = Transaction::begin(session)?;
            database.delete_table(name)?;
            transaction.commit_lazily()
        };
        let mut turn = 0;
        while self.goes_on() {
            turn += 1;
            let name = format!("Passing{turn}");
            match make(&name) {
                Ok(()) => {
                    while let Err(error) = delete(&name) {
                        assert_eq!(error.code(), JetErr::VersionStoreOutOfMemory, "{error}");
                        sleep(Duration::from_millis(100));
                    }
                    Counts::add(&self.counts.tables);
                }
                Err(error) => assert_eq!(error.code(), JetErr::VersionStoreOutOfMemory, "{error}"),
            }
            self.rest(Duration::from_millis(100));
        }
    }

    /// A second database, attached for a while, again and again.
    pub(super) fn attach(&self, session: &Session) {
        let path = self.place.second();
        let busy = |code| matches!(code, JetErr::BackupInProgress | JetErr::VersionStoreOutOfMemory);
        let mut next = 0i64;
        while self.goes_on() {
            match session.attach(&path, AttachOptions::default()) {
                Ok(attached) => assert_eq!(attached, Attached::New),
                Err(error) if busy(error.code()) => {
                    self.rest(Duration::from_millis(20));
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            let database = session.open(&path).unwrap();
            let table = Table::open(&database, "Queue").unwrap();
            let work = |next: i64| -> Result<()> {
                let transaction = Transaction::begin(session)?;
                for id in next..next + 20 {
                    put(&table, id, bytes(id))?;
                    table.delete(&[&(id - 100)])?;
                }
                transaction.commit_lazily()
            };
            match work(next) {
                Ok(()) => next += 20,
                Err(error) => assert!(busy(error.code()), "{error}"),
            }
            drop(table);
            drop(database);
            self.rest(Duration::from_millis(100));
            while let Err(error) = session.detach(Some(&path)) {
                assert!(busy(error.code()), "{error}");
                sleep(Duration::from_millis(20));
            }
            Counts::add(&self.counts.attached);
        }
    }

    /// A full backup now and then, incremental ones in between: they take the old logs away.
    pub(super) fn back_up(&self, _: &Session) {
        let (mut turn, mut is_due) = (0, true);
        while self.goes_on() {
            let flags = if is_due { ATOMIC } else { ATOMIC | INCREMENTAL };
            let folder = self.place.backup();
            let request = DirectoryRequest { folder: Some(&folder), flags, create: true };
            match self.instance.backup().unwrap().backup_to(request, &mut |_| {}) {
                Ok(_) => {
                    turn += 1;
                    is_due = turn % 4 == 0;
                    Counts::add(&self.counts.backups);
                }
                // The second database was not in the last full one, and the logs since its own are gone.
                Err(error)
                    if matches!(error.code(), JetErr::MissingFileToBackup | JetErr::MissingFullBackup) =>
                {
                    assert!(!is_due, "{error}");
                    is_due = true;
                    continue;
                }
                // Somebody attaches or detaches at this moment.
                Err(error) => assert_eq!(error.code(), JetErr::BackupInProgress, "{error}"),
            }
            self.rest(Duration::from_millis(800));
        }
    }

    /// Defragments while all others work.
    pub(super) fn defragment(&self, session: &Session) {
        let database = session.open(&self.place.database()).unwrap();
        while self.goes_on() {
            let once = DefragmentOptions { passes: Some(1), ..DefragmentOptions::default() };
            if database.defragment(once).unwrap().is_some_and(|done| done.passes > 0) {
                Counts::add(&self.counts.defragmented);
            }
            self.rest(Duration::from_millis(500));
        }
    }
}
