//! Incremental and differential backups into folders whose backup they do not continue: what is refused leaves the
//! folder byte for byte as it was and every log where it is, and both sides go on.

use ese::api::{ColumnType, Table, TableDefinition, Transaction};
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::socket::{ReceiveRequest, SocketBackupKind, receive};
use ese::backup::to_directory::DirectoryRequest;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance, Session, TermOptions, restore_folder};
use ese::sync::Arc;
use ese::{JetErr, Result};
use ese_testbench::code;
use ese_vfs::{Disk, RealDisk};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database with logs of its own.
struct Place {
    folder: tempfile::TempDir,
    base_name: &'static str,
}

/// How a folder is written.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By JetBackup with these flags beside that of the kind.
    Engine(u32),
    /// By a client of the instance's socket.
    Socket,
}

const WAYS: [Way; 3] = [Way::Engine(0), Way::Engine(ATOMIC), Way::Socket];

impl Place {
    fn new(base_name: &'static str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), base_name };
        for name in ["logs", "restored-logs"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        place.run(|_, session| {
            let database = session.create(&place.path("a.edb"), Default::default()).unwrap();
            let transaction = Transaction::begin(session).unwrap();
            let table = TableDefinition::new("t").column("k", ColumnType::Long);
            table.primary(&["k"]).create(&database).unwrap();
            transaction.commit().unwrap();
        });
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn parameters(&self, logs: &str) -> Parameters {
        let mut parameters = Parameters::new();
        for folder in [ParamId::LogFilePath, ParamId::SystemPath] {
            parameters.set_text(folder, self.path(logs).to_str().unwrap()).unwrap();
        }
        parameters.set_text(ParamId::BaseName, self.base_name).unwrap();
        parameters
    }

    /// Lets an instance work and ends it, after which no log is needed for a recovery.
    fn run<T>(&self, work: impl FnOnce(&Instance, &Session) -> T) -> T {
        let instance = Instance::new(Environment::default(), self.parameters("logs"));
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        for database in ["a.edb", "b.edb"].map(|name| self.path(name)).iter().filter(|path| path.exists()) {
            session.attach(database, AttachOptions::default()).unwrap();
        }
        let done = work(&instance, &session);
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        done
    }

    fn write(&self, keys: std::ops::Range<i32>) {
        self.run(|_, session| {
            let database = session.open(&self.path("a.edb")).unwrap();
            let table = Table::open(&database, "t").unwrap();
            let transaction = Transaction::begin(session).unwrap();
            keys.for_each(|key| table.insert(&[("k", &key)]).unwrap());
            transaction.commit().unwrap();
        });
    }

    fn back_up(&self, way: Way, kind: SocketBackupKind, folder: &Path) -> Result<()> {
        if kind == SocketBackupKind::Full {
            fs::create_dir_all(folder).unwrap();
        }
        self.run(|instance, _| match way {
            Way::Engine(flags) => {
                let incremental = if kind == SocketBackupKind::Incremental { INCREMENTAL } else { 0 };
                let flags = flags | incremental;
                let request = DirectoryRequest { folder: Some(folder), flags, create: true };
                instance.backup()?.backup_to(request, &mut |_| {}).map(drop)
            }
            Way::Socket => {
                instance.serve_backups(&self.path("sock"))?;
                let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
                let request =
                    ReceiveRequest { folder, kind, create: true, patience: Duration::from_secs(60) };
                let received = receive(&self.path("sock"), &disk, request, &mut |_| {}).map(drop);
                // A client that was refused hangs up; its backup ends when the server hears of it.
                while received.is_err() && code(instance.backup()?.attach_info()) != JetErr::NoBackup {
                    ese::sync::thread::sleep(Duration::from_millis(1));
                }
                received
            }
        })
    }

    fn full(&self, way: Way, folder: &Path) {
        self.back_up(way, SocketBackupKind::Full, folder).unwrap();
    }

    /// That a backup is refused and leaves the folder and the logs as they were.
    #[track_caller]
    fn refused(&self, way: Way, kind: SocketBackupKind, folder: &Path, expected: JetErr) {
        let (before, logs) = (files(folder), names(&self.path("logs")));
        assert_eq!(code(self.back_up(way, kind, folder)), expected, "{way:?} {kind:?}");
        assert!(files(folder) == before, "{way:?} {kind:?}: the folder changed");
        let left = names(&self.path("logs"));
        assert!(logs.iter().all(|log| left.contains(log)), "{way:?} {kind:?}: {logs:?}, then {left:?}");
    }

    /// How many records are in what a folder restores to.
    #[track_caller]
    fn restored(&self, folder: &Path) -> usize {
        let to = tempfile::tempdir_in(self.folder.path()).unwrap();
        let logs = tempfile::tempdir_in(self.folder.path()).unwrap();
        let parameters = self.parameters(logs.path().file_name().unwrap().to_str().unwrap());
        restore_folder(&Environment::default(), &parameters, folder, Some(to.path()), &mut |_| {}).unwrap();
        let instance = Instance::new(Environment::default(), parameters);
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        let database = to.path().join("a.edb");
        session.attach(&database, AttachOptions::default()).unwrap();
        let database = session.open(&database).unwrap();
        let table = database.open_table("t").unwrap();
        let mut count = 0;
        let mut is_there = table.move_first().is_ok();
        while is_there {
            count += 1;
            is_there = table.move_next(false).is_ok();
        }
        drop((table, database, session));
        instance.term(TermOptions::default()).unwrap();
        count
    }
}

/// Every file and folder under a folder, with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
            found.insert(path, None);
        } else {
            found.insert(path.clone(), Some(fs::read(path).unwrap()));
        }
    }
    found
}

/// The numbered logs in a folder.
fn names(folder: &Path) -> Vec<PathBuf> {
    let is_archive =
        |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.len() == 8 || stem.len() == 11);
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    files(folder).into_keys().filter(|path| is_log(path) && is_archive(path)).collect()
}

fn copy(from: &Path, to: &Path) {
    for (path, content) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if let Some(content) = content {
            fs::write(target, content).unwrap();
        }
    }
}

/// The kinds of logs alone that a way knows.
fn kinds(way: Way) -> &'static [SocketBackupKind] {
    match way {
        Way::Engine(_) => &[SocketBackupKind::Incremental],
        Way::Socket => &[SocketBackupKind::Differential, SocketBackupKind::Incremental],
    }
}

#[test]
fn logs_of_another_database_do_not_come_into_a_folder() {
    for way in WAYS {
        // Their logs may have other names as well.
        for base_name in ["edb", "abc"] {
            let (ours, other) = (Place::new("edb"), Place::new(base_name));
            let (folder, own) = (ours.path("backup"), other.path("backup"));
            ours.write(0..10);
            ours.full(way, &folder);
            other.write(0..3);
            other.full(way, &own);
            other.write(3..7);
            for kind in kinds(way) {
                other.refused(way, *kind, &folder, JetErr::BadLogSignature);
            }
            assert_eq!(ours.restored(&folder), 10);
            // Neither has lost anything.
            other.back_up(way, SocketBackupKind::Incremental, &own).unwrap();
            assert_eq!(other.restored(&own), 7);
            ours.write(10..20);
            ours.back_up(way, SocketBackupKind::Incremental, &folder).unwrap();
            assert_eq!(ours.restored(&folder), 20);
        }
    }
}

#[test]
fn logs_that_leave_a_gap_do_not_come_into_a_folder() {
    for way in WAYS {
        let place = Place::new("edb");
        let (first, second) = (place.path("first"), place.path("second"));
        place.write(0..10);
        place.full(way, &first);
        place.write(10..20);
        // The one leaves the log in which it began, unless the checkpoint has moved meanwhile; the next deletes it.
        place.full(way, &place.path("between"));
        place.full(way, &second);
        place.write(20..30);
        for kind in kinds(way) {
            place.refused(way, *kind, &first, JetErr::MissingFileToBackup);
        }
        assert_eq!(place.restored(&first), 10);
        place.back_up(way, SocketBackupKind::Incremental, &second).unwrap();
        assert_eq!(place.restored(&second), 30);
    }
}

#[test]
fn a_differential_backup_of_a_second_folder_is_refused_after_an_incremental_one_of_the_first() {
    let place = Place::new("edb");
    let (first, second) = (place.path("first"), place.path("second"));
    let differential = SocketBackupKind::Differential;
    place.write(0..10);
    place.full(Way::Socket, &first);
    copy(&first, &second);
    // As long as nothing was truncated, both go on.
    for (keys, folder) in [(10..20, &first), (20..30, &second)] {
        let end = keys.end as usize;
        place.write(keys);
        place.back_up(Way::Socket, differential, folder).unwrap();
        assert_eq!(place.restored(folder), end);
    }
    // The one may leave the log in which it began, the next deletes it.
    for keys in [30..35, 35..40] {
        place.write(keys);
        place.back_up(Way::Socket, SocketBackupKind::Incremental, &first).unwrap();
    }
    assert_eq!(place.restored(&first), 40);
    // What the second lacks now is gone.
    place.write(40..50);
    for kind in [differential, SocketBackupKind::Incremental] {
        place.refused(Way::Socket, kind, &second, JetErr::MissingFileToBackup);
    }
    assert_eq!(place.restored(&second), 30);
    place.back_up(Way::Socket, differential, &first).unwrap();
    assert_eq!(place.restored(&first), 50);
}

#[test]
fn logs_do_not_come_into_a_folder_without_a_full_backup() {
    let place = Place::new("edb");
    let full = place.path("full");
    place.full(Way::Engine(0), &full);
    place.write(0..10);
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    let (no_logs, no_databases, no_copy) = (place.path("a"), place.path("b"), place.path("c"));
    for (folder, without) in [(&no_logs, "log"), (&no_databases, "pat"), (&no_copy, "edb")] {
        copy(&full, folder);
        for path in files(folder).into_keys().filter(|path| path.extension().is_some_and(|e| e == without)) {
            fs::remove_file(path).unwrap();
        }
    }
    for folder in [&empty, &no_logs, &no_databases, &no_copy, &place.path("missing")] {
        place.refused(Way::Engine(0), SocketBackupKind::Incremental, folder, JetErr::MissingFullBackup);
        assert_eq!(folder.exists(), *folder != place.path("missing"));
    }
    for way in [Way::Engine(ATOMIC), Way::Socket] {
        let missing = place.path("missing");
        place.refused(way, SocketBackupKind::Incremental, &missing, JetErr::MissingFullBackup);
        assert!(!missing.exists());
        place.refused(way, SocketBackupKind::Incremental, &empty, JetErr::InvalidPath);
    }
    place.back_up(Way::Engine(0), SocketBackupKind::Incremental, &full).unwrap();
    assert_eq!(place.restored(&full), 10);
}

#[test]
fn logs_do_not_come_into_a_folder_that_lacks_one_of_several_databases() {
    let place = Place::new("edb");
    place.run(|_, session| drop(session.create(&place.path("b.edb"), Default::default()).unwrap()));
    for (round, way) in (1..).zip(WAYS) {
        let folder = place.path(&format!("folder {round}"));
        place.full(way, &folder);
        place.write(10 * round..10 * round + 10);
        let copies: Vec<_> = files(&folder).into_iter().collect();
        let of_b = |path: &Path| path.file_stem().is_some_and(|stem| stem == "b");
        for (path, _) in copies.iter().filter(|(path, _)| of_b(path)) {
            fs::remove_file(path).unwrap();
        }
        place.refused(way, SocketBackupKind::Incremental, &folder, JetErr::MissingFullBackup);
        // With it, they come, and it does not matter that it is detached by then.
        for (path, bytes) in copies.iter().filter(|(path, _)| of_b(path)) {
            fs::write(path, bytes.as_deref().unwrap()).unwrap();
        }
        place.back_up(way, SocketBackupKind::Incremental, &folder).unwrap();
        let aside = place.path("aside");
        fs::rename(place.path("b.edb"), &aside).unwrap();
        place.back_up(way, SocketBackupKind::Incremental, &folder).unwrap();
        assert_eq!(place.restored(&folder), usize::try_from(10 * round).unwrap());
        fs::rename(&aside, place.path("b.edb")).unwrap();
    }
}

#[test]
fn logs_of_another_course_of_events_do_not_come_into_a_folder() {
    let place = Place::new("edb");
    let (folder, aside) = (place.path("backup"), place.path("aside"));
    place.write(0..10);
    place.full(Way::Socket, &folder);
    // The machine is set back to this moment later on.
    copy(&place.path("logs"), &aside);
    fs::copy(place.path("a.edb"), place.path("aside.edb")).unwrap();
    for keys in [10..20, 20..30] {
        place.write(keys);
        place.back_up(Way::Socket, SocketBackupKind::Differential, &folder).unwrap();
    }
    fs::remove_dir_all(place.path("logs")).unwrap();
    copy(&aside, &place.path("logs"));
    fs::rename(place.path("aside.edb"), place.path("a.edb")).unwrap();
    // Logs tell times apart by thousandths of a second; older ones by whole seconds.
    ese::sync::thread::sleep(Duration::from_millis(1100));
    place.write(10..13);
    // At first it has fewer logs than the folder, then others, then more.
    for _ in 0..3 {
        for kind in kinds(Way::Socket) {
            place.refused(Way::Socket, *kind, &folder, JetErr::InvalidLogSequence);
        }
    }
    assert_eq!(place.restored(&folder), 30);
    let next = place.path("next");
    place.full(Way::Socket, &next);
    assert_eq!(place.restored(&next), 13);
}

#[test]
fn a_damaged_log_in_the_folder_is_replaced_or_stops_the_backup() {
    let place = Place::new("edb");
    let folder = place.path("backup");
    let now = || place.path("backup/old");
    place.write(0..10);
    place.full(Way::Socket, &folder);
    place.write(10..20);
    place.back_up(Way::Socket, SocketBackupKind::Differential, &folder).unwrap();
    let log = names(&now()).pop().unwrap();
    let sound = fs::read(&log).unwrap();
    fs::write(&log, vec![0x5A; sound.len()]).unwrap();
    // The next one has it again.
    place.write(20..30);
    place.back_up(Way::Socket, SocketBackupKind::Incremental, &folder).unwrap();
    assert!(fs::read(&log).unwrap() == sound);
    assert_eq!(place.restored(&folder), 30);
    // And the one after that has not.
    fs::write(&log, vec![0x5A; sound.len()]).unwrap();
    for kind in kinds(Way::Socket) {
        place.refused(Way::Socket, *kind, &folder, JetErr::LogFileCorrupt);
    }
    fs::write(&log, sound).unwrap();
    place.back_up(Way::Socket, SocketBackupKind::Incremental, &folder).unwrap();
    assert_eq!(place.restored(&folder), 30);
}
