//! Several instances in one process, each with several databases, in one page cache.

use ese::JetErr;
use ese::api::{Table, Transaction};
use ese::buffer::PageCache;
use ese::database::CreateOptions;
use ese::raw::{AttachOptions, Attached, Environment, InitOptions, Instance, Session, TermOptions};
use ese::sync::{Mutex, thread};
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE, disk};
use ese_testbench::queue::{check_blobs, create, ids, put};
use ese_vfs::{Disk, RealDisk};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const INSTANCES: usize = 2;
const DATABASES: usize = 3;
const ROUNDS: i64 = 40;
const PIECE: i64 = 12;

fn instance(folder: &Path, cache: &Arc<PageCache>) -> Instance {
    std::fs::create_dir(folder).unwrap();
    Bench::real(folder).log_kib(256).circular(true).cache(cache.clone()).start()
}

/// Adds some records and takes the ones before away.
fn work(session: &Session, table: &Table<'_>, round: i64) {
    let transaction = Transaction::begin(session).unwrap();
    for id in round * PIECE..(round + 1) * PIECE {
        put(table, id, 700).unwrap();
        assert_eq!(table.delete(&[&(id - 5 * PIECE)]).unwrap(), round >= 5);
    }
    transaction.commit_lazily().unwrap();
}

/// A session that works in all databases of its instance, in the ones that stay attached.
fn stays(instance: &Instance, paths: &[PathBuf]) {
    let session = instance.begin_session().unwrap();
    let databases: Vec<_> = paths.iter().map(|path| session.open(path).unwrap()).collect();
    let tables: Vec<_> = databases.iter().map(|d| Table::open(d, "Queue").unwrap()).collect();
    for round in 0..ROUNDS {
        tables.iter().for_each(|table| work(&session, table, round));
        // One that somebody has open is not detached.
        let error = session.detach(Some(&paths[0])).unwrap_err();
        assert_eq!(error.code(), JetErr::DatabaseInUse);
    }
}

/// A session that attaches one database, works there, and detaches it, again and again.
fn comes_and_goes(instance: &Instance, path: &Path, others: &Instance) {
    let session = instance.begin_session().unwrap();
    let stranger = others.begin_session().unwrap();
    for round in 0..ROUNDS {
        assert_eq!(session.attach(path, AttachOptions::default()).unwrap(), Attached::New);
        assert_eq!(session.attach(path, AttachOptions::default()).unwrap(), Attached::Before);
        // Another instance cannot have it as well.
        let error = stranger.attach(path, AttachOptions::default()).unwrap_err();
        assert!(error.code() == JetErr::FileAccessDenied, "{error}");
        assert_eq!(stranger.open(path).err().map(|error| error.code()), Some(JetErr::DatabaseNotFound));
        let database = session.open(path).unwrap();
        let table = Table::open(&database, "Queue").unwrap();
        work(&session, &table, round);
        drop(table);
        drop(database);
        session.detach(Some(path)).unwrap();
        let error = session.detach(Some(path)).unwrap_err();
        assert_eq!(error.code(), JetErr::DatabaseNotFound);
    }
}

#[test]
fn instances_and_their_databases_do_not_get_in_each_others_way() {
    let root = tempfile::tempdir().unwrap();
    // Far less than all pages.
    let cache = PageCache::new(1 << 20);
    let instances: Vec<Instance> =
        (0..INSTANCES).map(|n| instance(&root.path().join(n.to_string()), &cache)).collect();
    let path = |n: usize, d: usize| root.path().join(n.to_string()).join(format!("{d}.edb"));
    for (n, instance) in instances.iter().enumerate() {
        let session = instance.begin_session().unwrap();
        (0..DATABASES).for_each(|d| drop(create(&session, &path(n, d))));
        session.detach(Some(&path(n, DATABASES - 1))).unwrap();
        assert_eq!(session.attached().len(), DATABASES - 1);
        // Two instances cannot have one folder.
        let parameters = instance.parameters();
        let second = Instance::new(Environment::default(), parameters);
        let error = second.init(InitOptions::default()).unwrap_err();
        assert!(matches!(error.code(), JetErr::LogFilePathInUse | JetErr::SystemPathInUse), "{error}");
    }
    let mut threads = Vec::new();
    for n in 0..INSTANCES {
        let (own, others) = (instances[n].clone(), instances[(n + 1) % INSTANCES].clone());
        let steady: Vec<PathBuf> = (0..DATABASES - 1).map(|d| path(n, d)).collect();
        let last = path(n, DATABASES - 1);
        let also = own.clone();
        threads.push(thread::spawn("stays", move || stays(&own, &steady)).unwrap());
        threads.push(thread::spawn("goes", move || comes_and_goes(&also, &last, &others)).unwrap());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let expected = Vec::from_iter((ROUNDS - 5) * PIECE..ROUNDS * PIECE);
    for (n, instance) in instances.iter().enumerate() {
        let session = instance.begin_session().unwrap();
        session.attach(&path(n, DATABASES - 1), AttachOptions::default()).unwrap();
        for d in 0..DATABASES {
            let database = session.open(&path(n, d)).unwrap();
            let table = Table::open(&database, "Queue").unwrap();
            assert!(ids(&table, None) == expected, "instance {n}, database {d}");
            check_blobs(&table, |_| 700);
        }
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        // The others go on.
        if let Some(next) = instances.get(n + 1) {
            next.begin_session().unwrap().open(&path(n + 1, 0)).unwrap();
        }
    }
    for (n, d) in (0..INSTANCES).flat_map(|n| (0..DATABASES).map(move |d| (n, d))) {
        assert_sound(&RealDisk::new(), path(n, d));
    }
}

/// The names of all attached databases go into the header of each log, which has little room for them.
#[test]
fn attached_names_have_a_limit_together() {
    // Each of about 720 UTF-16 units: two are more than the header takes.
    let folder = |n: usize| format!("/data/{}", format!("{n}").repeat(240));
    let path = |n: usize| Path::new(&folder(n)).join("n".repeat(240)).join("m".repeat(230)).join("a.edb");
    let disk = disk(3);
    (0..3).for_each(|n| disk.create_dir_all(path(n).parent().unwrap()).unwrap());
    let instance = Bench::new(&disk, 3).start();
    let session = instance.begin_session().unwrap();
    drop(create(&session, &path(0)));
    let refused = session.create(&path(1), CreateOptions::default()).err().unwrap();
    assert_eq!(refused.code(), JetErr::TooManyAttachedDatabases);
    assert!(disk.metadata(&path(1)).is_err(), "a file was left");
    // One with a shorter name has room, and so has the other instead of the first.
    drop(create(&session, Path::new("/data/short.edb")));
    session.detach(Some(&path(0))).unwrap();
    drop(create(&session, &path(1)));
    let refused = session.attach(&path(0), AttachOptions::default()).unwrap_err();
    assert_eq!(refused.code(), JetErr::TooManyAttachedDatabases);
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    assert_sound(&disk, path(0));
}

/// While one session has a database for itself nobody else opens it, and nobody has it for himself.
#[test]
fn a_database_under_maintenance_is_locked() {
    let disk = disk(3);
    let instance = Bench::new(&disk, 3).start();
    let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    let path = Path::new(DATABASE);
    let open = create(&session, path);
    let in_use = other.check_structure(path, 1, Arc::new(|_, _| {})).map(drop).unwrap_err();
    assert_eq!(in_use.code(), JetErr::DatabaseInUse);
    drop(open);
    let codes = Arc::new(Mutex::new(BTreeSet::new()));
    let (told, also) = (codes.clone(), other.clone());
    let progress = Arc::new(move |_, _| {
        let path = Path::new(DATABASE);
        let locked = also.open(path).map(drop).unwrap_err().code();
        let in_use = also.check_structure(path, 1, Arc::new(|_, _| {})).map(drop).unwrap_err().code();
        let attached = also.detach(Some(path)).unwrap_err().code();
        told.lock().extend([locked, in_use, attached].map(JetErr::name));
    });
    assert!(session.check_structure(path, 1, progress).unwrap().findings.is_empty());
    let said: Vec<_> = codes.lock().iter().copied().collect();
    assert_eq!(said, ["JET_errDatabaseInUse", "JET_errDatabaseLocked"]);
    drop(other.open(path).unwrap());
}
