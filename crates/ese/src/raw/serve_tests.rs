//! Backups through a socket: whole ones, clients that leave or lie, and servers that lie.

use crate::JetErr;
use crate::api::{self, ColumnType, TableDefinition, Transaction};
use crate::backup::socket::frame::{Connection, DATA_BYTES, HEADER_BYTES, SERVER_LIMIT, seal};
use crate::backup::socket::message::{
    Begun, Ended, FileHead, FileKind, Hello, Logs, Sent, SocketBackupKind, kind,
};
use crate::backup::socket::{Limits, ReceiveRequest, Received, receive, receive_from};
use crate::backup::state::Phase;
use crate::database::backup_record::Scope;
use crate::error::Result;
use crate::event::{MemorySink, id};
use crate::params::{ParamId, Parameters};
use crate::raw::{Environment, InitOptions, Instance, Session, TermOptions};
use crate::sync::{Arc, thread};
use ese_format::primitives::{BackupInfo, Generation, PageSize};
use ese_vfs::{Disk, RealDisk};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMITS: Limits = Limits { hello: Duration::from_secs(5), idle: Duration::from_secs(5), connections: 8 };

/// An instance with a database, served.
struct Bench {
    folder: tempfile::TempDir,
    instance: Instance,
    session: Session,
    events: Arc<MemorySink>,
}

impl Bench {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let events = Arc::new(MemorySink::default());
        let environment = Environment { events: events.clone(), ..Environment::default() };
        let mut parameters = Parameters::new();
        for folder in [ParamId::LogFilePath, ParamId::SystemPath] {
            parameters.set_text(folder, logs.to_str().unwrap()).unwrap();
        }
        let instance = Instance::new(environment, parameters);
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        let database = session.create(&folder.path().join("a.edb"), Default::default()).unwrap();
        let transaction = Transaction::begin(&session).unwrap();
        let table =
            TableDefinition::new("t").column("k", ColumnType::Long).column("v", ColumnType::LongBinary);
        table.primary(&["k"]).create(&database).unwrap();
        transaction.commit().unwrap();
        let bench = Self { folder, instance, session, events };
        bench.write(0..300);
        bench.instance.serve_backups_with(&bench.socket(), limits).unwrap();
        bench
    }

    fn write(&self, keys: std::ops::Range<i32>) {
        let database = self.session.open(&self.path("a.edb")).unwrap();
        let table = api::Table::open(&database, "t").unwrap();
        for key in keys {
            let transaction = Transaction::begin(&self.session).unwrap();
            table.insert(&[("k", &key), ("v", &vec![key as u8; 3000])]).unwrap();
            transaction.commit().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("backup.sock")
    }

    fn receive(&self, kind: SocketBackupKind) -> Result<Received> {
        let folder = self.path("backup");
        let request = ReceiveRequest { folder: &folder, kind, create: true, patience: LIMITS.idle };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        receive(&self.socket(), &disk, request, &mut |progress| assert!(progress.done <= progress.total))
    }

    fn connect(&self) -> Connection {
        Connection::new(UnixStream::connect(self.socket()).unwrap(), LIMITS.idle).unwrap()
    }

    /// Waits for the end of a backup that its client has left.
    #[track_caller]
    fn must_become_idle(&self) {
        for _ in 0..2000 {
            if self.instance.backup().unwrap().state().phase == Phase::Idle {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the backup of a client that has left goes on");
    }

    /// That it goes on after whatever a client did: records, and a whole backup.
    #[track_caller]
    fn must_serve(&self) {
        self.must_become_idle();
        self.receive(SocketBackupKind::Full).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    names
}

#[test]
fn each_kind_leaves_its_files_and_is_remembered_as_what_it_is() {
    let bench = Bench::new();
    let full = bench.receive(SocketBackupKind::Full).unwrap();
    assert_eq!(full.scope, Scope::Full);
    assert_eq!(full.databases, [bench.path("a.edb")]);
    assert_eq!(full.folder, bench.path("backup/new"));
    let bytes: u64 =
        names(&full.folder).iter().map(|name| fs::metadata(full.folder.join(name)).unwrap().len()).sum();
    assert_eq!(full.bytes, bytes);
    assert!(names(&full.folder).contains(&"a.pat".to_owned()));
    assert!(!full.logs.is_empty());

    bench.write(300..330);
    let differential = bench.receive(SocketBackupKind::Differential).unwrap();
    assert_eq!(differential.scope, Scope::Differential);
    bench.write(330..360);
    let incremental = bench.receive(SocketBackupKind::Incremental).unwrap();
    assert_eq!(incremental.scope, Scope::Incremental);
    let common = |log: &Generation| incremental.logs.contains(log);
    assert!(differential.logs.iter().all(common), "a differential backup gives nothing up");
    assert!(incremental.logs.len() > differential.logs.len());
    bench.write(360..370);
    let next = bench.receive(SocketBackupKind::Incremental).unwrap();
    assert!(next.logs[0] <= incremental.logs.last().unwrap().next(), "there is no gap");
    assert!(next.logs.last() > incremental.logs.last());
    assert_eq!(names(&bench.path("backup")), ["old"]);

    let copy = bench.receive(SocketBackupKind::Copy).unwrap();
    assert_eq!(copy.scope, Scope::Copy);
    assert_eq!(names(&bench.path("backup")), ["new"]);
}

#[test]
fn the_socket_is_private_and_only_there_while_it_is_served() {
    let bench = Bench::new();
    let found = fs::symlink_metadata(bench.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let again = bench.instance.serve_backups(&bench.path("other.sock")).unwrap_err();
    assert_eq!(again.code(), JetErr::FileAlreadyExists);
    bench.instance.stop_serving_backups();
    assert!(!bench.socket().exists());
    let gone = bench.receive(SocketBackupKind::Full).unwrap_err();
    assert_eq!(gone.code(), JetErr::FileNotFound);
    bench.instance.serve_backups(&bench.socket()).unwrap();
    bench.instance.term(TermOptions::default()).unwrap();
    assert!(!bench.socket().exists());
    let ended = bench.instance.serve_backups(&bench.socket()).unwrap_err();
    assert_eq!(ended.code(), JetErr::NotInitialized);
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let bench = Bench::new();
    bench.instance.stop_serving_backups();
    drop(UnixListener::bind(bench.socket()).unwrap());
    bench.instance.serve_backups(&bench.socket()).unwrap();
    bench.must_serve();
    bench.instance.stop_serving_backups();

    fs::write(bench.socket(), "mine").unwrap();
    let error = bench.instance.serve_backups(&bench.socket()).unwrap_err();
    assert_eq!(error.code(), JetErr::FileAlreadyExists);
    assert_eq!(fs::read(bench.socket()).unwrap(), b"mine");
    fs::remove_file(bench.socket()).unwrap();

    let other = UnixListener::bind(bench.socket()).unwrap();
    let error = bench.instance.serve_backups(&bench.socket()).unwrap_err();
    assert_eq!(error.code(), JetErr::FileAlreadyExists);
    drop(other);
    let long = bench.path(&"x".repeat(200));
    assert_eq!(bench.instance.serve_backups(&long).unwrap_err().code(), JetErr::InvalidPath);
}

#[test]
fn what_is_no_greeting_is_answered_with_an_error_and_hurts_nobody() {
    let bench = Bench::new();
    let hello = |kind, payload: &[u8]| {
        let (a, mut b) = UnixStream::pair().unwrap();
        Connection::new(a, LIMITS.idle).unwrap().send(kind, payload).unwrap();
        let mut bytes = Vec::new();
        b.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let good = hello(kind::HELLO, &[1]);
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        hello(kind::HELLO, &[]),
        hello(kind::HELLO, &[9]),
        hello(kind::HELLO, &[1, 1]),
        hello(kind::HELLO, &[1; 256]),
        hello(kind::DURABLE, &[]),
        hello(999, &[1]),
        vec![0xFF; 1 << 16],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    cases.extend((1..good.len()).map(|len| good[..len].to_vec()));
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x55;
        cases.push(changed);
    }
    let mut state = 0x1234_5678_u32;
    for _ in 0..40 {
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let len = usize::from(random());
        cases.push((0..len).map(|_| random()).collect());
    }
    for bytes in cases {
        let mut stream = UnixStream::connect(bench.socket()).unwrap();
        // Whoever was refused in the middle has hung up already.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let is_failure = answer.get(6..8) == Some(&kind::FAILED.to_le_bytes()[..]);
        assert!(answer.is_empty() || is_failure, "{bytes:?} was answered with {answer:?}");
        assert_eq!(bench.instance.backup().unwrap().state().phase, Phase::Idle);
    }
    bench.must_serve();
}

#[test]
fn a_client_that_leaves_at_any_step_aborts_its_backup_and_no_other() {
    let bench = Bench::new();
    let logs = names(&bench.path("logs"));
    let mut steps = 0;
    loop {
        let mut client = bench.connect();
        client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
        let mut reached_the_end = false;
        for _ in 0..steps {
            let (found, _) = client.receive(SERVER_LIMIT).unwrap();
            reached_the_end = found == kind::SENT;
            if reached_the_end {
                break;
            }
        }
        drop(client);
        bench.must_become_idle();
        assert_eq!(bench.instance.backup().unwrap().pinned(), None);
        if reached_the_end {
            break;
        }
        steps += 1;
    }
    assert!(steps > 6, "only {steps} steps");
    // Nothing counts as backed up, and no log is gone.
    let error = bench.receive(SocketBackupKind::Incremental).unwrap_err();
    assert_eq!(error.code(), JetErr::MissingFullBackup);
    assert_eq!(names(&bench.path("backup")), [""; 0]);
    let left = names(&bench.path("logs"));
    assert!(logs.iter().all(|log| left.contains(log)), "{logs:?}, then {left:?}");
    bench.write(300..310);
    bench.must_serve();
}

#[test]
fn a_client_that_says_something_else_than_durable_aborts_its_backup() {
    let bench = Bench::new();
    for say in [kind::HELLO, 77] {
        let mut client = bench.connect();
        client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
        while client.receive(SERVER_LIMIT).unwrap().0 != kind::SENT {}
        client.send(say, &[1]).unwrap();
        assert_eq!(client.receive(SERVER_LIMIT).unwrap().0, kind::FAILED);
        bench.must_become_idle();
    }
    let error = bench.receive(SocketBackupKind::Incremental).unwrap_err();
    assert_eq!(error.code(), JetErr::MissingFullBackup);
}

#[test]
fn a_client_that_is_too_slow_is_given_up() {
    let idle = Duration::from_millis(250);
    let bench = Bench::with(Limits { hello: idle, idle, connections: 8 });
    let halts = || bench.events.ids().into_iter().filter(|id| *id == id::BACKUP_HALTED_BY_CLIENT).count();
    // One that says nothing.
    let mut silent = bench.connect();
    assert_eq!(silent.receive(SERVER_LIMIT).unwrap().0, kind::FAILED);
    assert_eq!(halts(), 0, "it had no backup");
    // One that takes nothing: the database is larger than what fits into the socket.
    bench.write(300..600);
    let mut client = bench.connect();
    client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
    assert_eq!(client.receive(SERVER_LIMIT).unwrap().0, kind::BEGUN);
    bench.must_become_idle();
    assert_eq!((halts(), bench.instance.backup().unwrap().pinned()), (1, None));
    // One that takes a little again and again, and would so keep the logs for days.
    let mut stream = UnixStream::connect(bench.socket()).unwrap();
    let mut hello = vec![0; HEADER_BYTES];
    hello.extend(Hello(SocketBackupKind::Full).encode());
    seal(kind::HELLO, &mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    while halts() == 1 {
        stream.read_exact(&mut [0; 100]).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    bench.must_become_idle();
    // One that never says that it is durable.
    let mut client = bench.connect();
    client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
    while client.receive(SERVER_LIMIT).unwrap().0 != kind::SENT {}
    assert_eq!(client.receive(SERVER_LIMIT).unwrap().0, kind::FAILED);
    bench.must_become_idle();
    assert_eq!(halts(), 3);
}

#[test]
fn one_backup_at_a_time_and_a_limit_of_connections() {
    let bench = Bench::with(Limits { connections: 2, ..LIMITS });
    let mut first = bench.connect();
    first.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
    assert_eq!(first.receive(SERVER_LIMIT).unwrap().0, kind::BEGUN);
    assert_eq!(bench.receive(SocketBackupKind::Full).unwrap_err().code(), JetErr::BackupInProgress);
    assert_eq!(names(&bench.path("backup")), [""; 0]);
    assert_eq!(bench.instance.backup().unwrap().begin(0).unwrap_err().code(), JetErr::BackupInProgress);
    // The server may still be saying goodbye to the one before.
    let second = loop {
        let mut second = bench.connect();
        second.set_patience(Duration::from_millis(100));
        if !matches!(second.receive(SERVER_LIMIT), Ok((kind::FAILED, _))) {
            break second;
        }
    };
    // The third is told so, and then hung up on.
    let mut third = bench.connect();
    assert_eq!(third.receive(SERVER_LIMIT).unwrap().0, kind::FAILED);
    let over = third.receive(SERVER_LIMIT).map(|_| ()).unwrap_err();
    assert_eq!(over.code(), JetErr::BackupAbortByCaller);
    let refused = bench.receive(SocketBackupKind::Full).unwrap_err();
    assert_eq!(refused.code(), JetErr::OutOfSessions);
    assert!(refused.to_string().contains("too many clients"), "{refused}");
    assert_eq!(names(&bench.path("backup")), [""; 0]);
    drop((first, second));
    bench.must_become_idle();
    bench.must_serve();
}

#[test]
fn term_is_refused_during_a_backup_unless_it_stops_backups() {
    let bench = Bench::new();
    let mut client = bench.connect();
    client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
    while client.receive(SERVER_LIMIT).unwrap().0 != kind::SENT {}
    let refused = bench.instance.term(TermOptions::default()).unwrap_err();
    assert_eq!(refused.code(), JetErr::BackupInProgress);
    bench.instance.term(TermOptions { stop_backup: true, ..TermOptions::default() }).unwrap();
    let over = client.receive(SERVER_LIMIT).map(|(kind, _)| kind);
    assert!(!matches!(over, Ok(kind::ENDED)), "{over:?}");
}

#[test]
fn an_instance_that_is_dropped_hangs_up() {
    let bench = Bench::new();
    let socket = bench.socket();
    let mut client = bench.connect();
    client.send(kind::HELLO, &Hello(SocketBackupKind::Full).encode()).unwrap();
    let Bench { folder, instance, session, .. } = bench;
    drop((instance, session));
    assert!(!socket.exists());
    while let Ok((found, _)) = client.receive(SERVER_LIMIT) {
        assert_ne!(found, kind::ENDED);
    }
    drop(folder);
}

/// What a client makes of a server that plays a part.
fn lied_to(play: impl FnOnce(&mut Connection) -> Result<()> + Send + 'static) -> (JetErr, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    let server = thread::spawn("lying server", move || {
        let mut connection = Connection::new(a, LIMITS.idle).unwrap();
        connection.receive(256).unwrap();
        // The client may hang up at any point.
        let _ = play(&mut connection);
    });
    let to = folder.path().join("backup");
    let kind = SocketBackupKind::Full;
    let request = ReceiveRequest { folder: &to, kind, create: true, patience: LIMITS.idle };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let error = receive_from(b, &disk, request, &mut |_| {}).unwrap_err();
    server.unwrap().join().unwrap();
    (error.code(), names(&to))
}

fn begin(connection: &mut Connection) -> Result<()> {
    let begun = Begun { page_size: PageSize::K4, databases: vec![(PathBuf::from("/x/a.edb"), 40_960)] };
    connection.send(kind::BEGUN, &begun.encode())
}

fn database(connection: &mut Connection, name: &str, length: u64) -> Result<()> {
    let head = FileHead { kind: FileKind::Database, length, name: name.into() };
    connection.send(kind::FILE, &head.encode())
}

type Play = Box<dyn FnOnce(&mut Connection) -> Result<()> + Send>;

#[test]
fn a_client_believes_no_server_and_leaves_nothing_behind() {
    let ended = || {
        let info = BackupInfo { lowest: Generation(1), highest: Generation(1), ..BackupInfo::NONE };
        Ended { scope: Scope::Full, info }.encode()
    };
    let invalid = JetErr::InvalidParameter;
    let damaged = JetErr::ReadVerifyFailure;
    let cases: Vec<(&str, JetErr, Play)> = vec![
        ("nothing", JetErr::BackupAbortByCaller, Box::new(|_| Ok(()))),
        ("the end at once", invalid, Box::new(move |c| c.send(kind::ENDED, &ended()))),
        ("no such error", invalid, Box::new(|c| c.send(kind::FAILED, &[1, 2, 3, 4]))),
        ("another file", invalid, Box::new(|c| begin(c).and_then(|()| database(c, "b.edb", 40_960)))),
        (
            "a way out of the folder",
            invalid,
            Box::new(|c| begin(c).and_then(|()| database(c, "../a.edb", 40_960))),
        ),
        (
            "a database without pages",
            invalid,
            Box::new(|c| begin(c).and_then(|()| database(c, "a.edb", 12_288))),
        ),
        (
            "a database larger than any",
            invalid,
            Box::new(|c| begin(c).and_then(|()| database(c, "a.edb", u64::MAX / 4096 * 4096))),
        ),
        (
            "bytes for pages",
            damaged,
            Box::new(|c| {
                begin(c)?;
                database(c, "a.edb", 40_960)?;
                c.send(kind::DATA, &[7; 8192])
            }),
        ),
        (
            "more than there is",
            invalid,
            Box::new(|c| {
                begin(c)?;
                database(c, "a.edb", 40_960)?;
                c.send_in_place(kind::DATA, &mut vec![0; HEADER_BYTES + DATA_BYTES])
            }),
        ),
        (
            "a piece of a page",
            invalid,
            Box::new(|c| {
                begin(c)?;
                database(c, "a.edb", 40_960)?;
                c.send(kind::DATA, &[0; 100])
            }),
        ),
        (
            "no databases at all, and fewer logs than announced",
            invalid,
            Box::new(|c| {
                c.send(kind::BEGUN, &Begun { page_size: PageSize::K4, databases: Vec::new() }.encode())?;
                let logs = Logs { count: 1, lowest: Generation(1), highest: Generation(1), bytes: 0 };
                c.send(kind::LOGS, &logs.encode())?;
                c.send(kind::SENT, &Sent::default().encode())
            }),
        ),
        (
            "an empty log",
            JetErr::LogReadVerifyFailure,
            Box::new(|c| {
                c.send(kind::BEGUN, &Begun { page_size: PageSize::K4, databases: Vec::new() }.encode())?;
                let logs = Logs { count: 1, lowest: Generation(1), highest: Generation(1), bytes: 0 };
                c.send(kind::LOGS, &logs.encode())?;
                let kind = FileKind::Log(Generation(1));
                c.send(kind::FILE, &FileHead { kind, length: 0, name: "edb00001.log".into() }.encode())
            }),
        ),
    ];
    for (what, code, play) in cases {
        assert_eq!(lied_to(play), (code, Vec::new()), "{what}");
    }
}
