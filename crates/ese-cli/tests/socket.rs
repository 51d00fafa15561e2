//! Backups through a socket, from end to end: a program that goes on writing, or `ese serve`; `ese backup
//! --socket`, `ese restore` and a check of everything. Either side is killed in the middle as well.

#[path = "common/commands.rs"]
mod commands;
mod common;

use commands::{fails, names, state_of, succeeds};
use common::ese;
use ese::api::{ColumnType, Table, TableDefinition, Transaction, open};
use ese::raw::{Instance, TermOptions};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; nothing waits for it unless something is wrong.
const LIMIT: Duration = Duration::from_secs(60);

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An engine with a database of so many records.
    fn engine(&self, records: i32) -> Instance {
        let logs = self.path("logs");
        fs::create_dir_all(&logs).expect("a folder");
        let engine = open(&logs).expect("an engine");
        let session = engine.begin_session().expect("a session");
        let database = session.create(&self.path("app.edb"), Default::default()).expect("a database");
        let transaction = Transaction::begin(&session).expect("a transaction");
        TableDefinition::new("t")
            .column("k", ColumnType::Long)
            .column("v", ColumnType::LongBinary)
            .primary(&["k"])
            .create(&database)
            .expect("a table");
        transaction.commit().expect("a commit");
        let table = Table::open(&database, "t").expect("a table");
        for key in 0..records {
            insert(&session, &table, key);
        }
        drop(table);
        engine
    }

    fn backup(&self, rest: &[&str]) -> Command {
        let mut command = ese();
        command.arg("backup").arg("--socket").arg(self.path("sock")).arg("--to").arg(self.path("backup"));
        command.args(rest);
        command
    }

    /// Restores, checks everything, and gives the keys that are there.
    #[track_caller]
    fn restored(&self) -> Vec<i32> {
        let to = self.path("restored");
        succeeds(ese().arg("restore").arg(self.path("backup")).arg("--to").arg(&to));
        let database = to.join("app.edb");
        assert_eq!(state_of(&database), "clean shutdown");
        let checked = ese().args(["verify", "--deep"]).arg(&database).output().expect("the command");
        if !checked.status.success() {
            // Pages that the writer had taken and not yet used when the log ended; nothing else, or this fails.
            succeeds(ese().arg("maintain").arg(&database));
            succeeds(ese().args(["verify", "--deep"]).arg(&database));
        }
        let rows = succeeds(ese().args(["export", "--format", "csv", "--table", "t"]).arg(&database));
        let rows = String::from_utf8(rows).expect("text");
        let keys = rows.lines().filter_map(|row| row.split(',').next()?.parse().ok());
        let keys = keys.collect();
        fs::remove_dir_all(to).expect("a folder");
        keys
    }

    fn serve(&self) -> Server {
        let mut child = ese()
            .arg("serve")
            .arg(self.path("app.edb"))
            .arg("--logs")
            .arg(self.path("logs"))
            .arg("--socket")
            .arg(self.path("sock"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut said).expect("its output");
        assert!(said.contains("sock"), "{said:?}");
        Server(child)
    }
}

fn insert(session: &ese::raw::Session, table: &Table<'_>, key: i32) {
    let transaction = Transaction::begin(session).expect("a transaction");
    table.insert(&[("k", &key), ("v", &vec![key as u8; 2000])]).expect("an insert");
    transaction.commit().expect("a commit");
}

/// Inserts one record after the other until it is dropped.
struct Writer {
    /// All keys below this are durable.
    committed: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(engine: &Instance, database: PathBuf, first: i32) -> Self {
        let (committed, stop) = (Arc::new(AtomicI32::new(first)), Arc::new(AtomicBool::new(false)));
        let (engine, done, stopped) = (engine.clone(), committed.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let session = engine.begin_session().expect("a session");
            let database = session.open(&database).expect("the database");
            let table = Table::open(&database, "t").expect("the table");
            for key in first.. {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                insert(&session, &table, key);
                done.store(key + 1, Ordering::Release);
            }
        });
        Self { committed, stop, thread: Some(thread) }
    }

    /// How many records are durable now.
    fn committed(&self) -> i32 {
        self.committed.load(Ordering::Acquire)
    }

    #[track_caller]
    fn must_go_on(&self) {
        let (before, begin) = (self.committed(), Instant::now());
        while self.committed() < before + 20 {
            assert!(begin.elapsed() < LIMIT, "the writer stands still");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the writer failed");
    }
}

struct Server(Child);

impl Server {
    /// Ends it as an operator does.
    fn end(mut self) {
        let killed = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill");
        assert!(killed.success());
        assert!(self.0.wait().expect("the server").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the restored keys are all up to some point, and at least so many.
#[track_caller]
fn are_all(keys: &[i32], at_least: i32) {
    assert!(keys.iter().copied().eq(0..keys.len() as i32), "there are holes");
    assert!(keys.len() as i32 >= at_least, "{} of at least {at_least}", keys.len());
}

/// Kills a backup in the middle of its files.
fn kill_in_the_middle(mut command: Command, work: &Path) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command");
    let begin = Instant::now();
    while !work.join("app.edb").exists() && child.try_wait().expect("the command").is_none() {
        assert!(begin.elapsed() < LIMIT, "no backup begins");
    }
    let _ = child.kill();
    child.wait().expect("the command");
}

#[test]
fn a_program_that_goes_on_writing_is_backed_up_from_outside() {
    let scratch = Scratch::new();
    let engine = scratch.engine(200);
    engine.serve_backups(&scratch.path("sock")).expect("a socket");
    let writer = Writer::start(&engine, scratch.path("app.edb"), 200);

    let before = writer.committed();
    succeeds(&mut scratch.backup(&[]));
    are_all(&scratch.restored(), before);

    for flag in ["--differential", "--incremental", "--incremental"] {
        writer.must_go_on();
        let before = writer.committed();
        let said = succeeds(&mut scratch.backup(&[flag, "--json"]));
        let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
        assert_eq!(said["kind"], flag.trim_start_matches("--"));
        are_all(&scratch.restored(), before);
    }

    // A client that dies: the program goes on, the backup before it stays, the next one works.
    for _ in 0..3 {
        kill_in_the_middle(scratch.backup(&[]), &scratch.path("backup/temp"));
        writer.must_go_on();
    }
    let begin = Instant::now();
    while !scratch.backup(&[]).output().expect("the command").status.success() {
        assert!(begin.elapsed() < LIMIT, "the backup of a dead client goes on");
    }
    let before = writer.committed();
    succeeds(&mut scratch.backup(&["--copy"]));
    are_all(&scratch.restored(), before);
    drop(writer);
    engine.term(TermOptions::default()).expect("the end");
    fails(&mut scratch.backup(&[]), "socket");
}

/// As [`fails`], when the program has heard that the client before this is gone.
#[track_caller]
fn fails_at_last(command: &mut Command, reason: &str) {
    let begin = Instant::now();
    loop {
        let output = command.output().expect("the command");
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("JET_errBackupInProgress") && begin.elapsed() < LIMIT {
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains(reason), "{said}");
        return;
    }
}

#[test]
fn logs_that_do_not_continue_the_backup_of_a_folder_are_refused() {
    let (ours, other) = (Scratch::new(), Scratch::new());
    let engines = [&ours, &other].map(|scratch| {
        let engine = scratch.engine(30);
        engine.serve_backups(&scratch.path("sock")).expect("a socket");
        succeeds(&mut scratch.backup(&[]));
        engine
    });
    let folder = ours.path("backup");
    let logs = names(&other.path("logs"));
    for kind in ["--incremental", "--differential"] {
        let mut into_ours = ese();
        into_ours.arg("backup").arg("--socket").arg(other.path("sock")).arg("--to").arg(&folder).arg(kind);
        fails_at_last(&mut into_ours, "JET_errBadLogSignature");
    }
    assert_eq!(names(&folder), ["new"]);
    succeeds(ese().arg("verify").arg(&folder));
    are_all(&ours.restored(), 30);
    assert!(logs.iter().all(|log| names(&other.path("logs")).contains(log)), "logs are gone");
    let begin = Instant::now();
    for scratch in [&ours, &other] {
        // The backup of a client that was refused ends when the program hears of it.
        while !scratch.backup(&["--incremental"]).output().expect("the command").status.success() {
            assert!(begin.elapsed() < LIMIT, "the refused backup goes on");
        }
        succeeds(ese().arg("verify").arg(scratch.path("backup")));
        are_all(&scratch.restored(), 30);
    }
    for engine in engines {
        engine.term(TermOptions::default()).expect("the end");
    }
}

#[test]
fn ese_serve_holds_databases_and_serves_them() {
    let scratch = Scratch::new();
    scratch.engine(300).term(TermOptions::default()).expect("the end");
    let server = scratch.serve();
    succeeds(&mut scratch.backup(&[]));
    are_all(&scratch.restored(), 300);
    succeeds(&mut scratch.backup(&["--incremental"]));
    are_all(&scratch.restored(), 300);
    // Nobody else gets the database.
    let elsewhere = scratch.path("elsewhere");
    fails(ese().arg("backup").arg(scratch.path("app.edb")).arg("--to").arg(&elsewhere), "--socket");
    server.end();
    assert_eq!(state_of(&scratch.path("app.edb")), "clean shutdown");
    assert!(!scratch.path("sock").exists(), "the socket stays");
}

#[test]
fn a_server_that_dies_fails_its_client_and_the_next_one_serves() {
    let scratch = Scratch::new();
    scratch.engine(2000).term(TermOptions::default()).expect("the end");
    let first = scratch.serve();
    succeeds(&mut scratch.backup(&[]));
    drop(first);
    let complete = names(&scratch.path("backup"));
    let mut cut_short = 0;
    for _ in 0..5 {
        let mut server = scratch.serve();
        let mut command = scratch.backup(&[]);
        let client = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command");
        let begin = Instant::now();
        let mut client = client;
        while !scratch.path("backup/temp/app.edb").exists()
            && client.try_wait().expect("the command").is_none()
        {
            assert!(begin.elapsed() < LIMIT, "no backup begins");
        }
        server.0.kill().expect("a kill");
        server.0.wait().expect("the server");
        let output = client.wait_with_output().expect("the command");
        if !output.status.success() {
            cut_short += 1;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("hung up"), "{said}");
            assert!(!scratch.path("backup/temp").exists(), "what came stays");
        }
        assert!(!names(&scratch.path("backup")).is_empty());
        are_all(&scratch.restored(), 2000);
    }
    assert!(cut_short > 0, "the client was always quicker");
    assert_eq!(complete, ["new"]);
    let server = scratch.serve();
    succeeds(&mut scratch.backup(&[]));
    are_all(&scratch.restored(), 2000);
    server.end();
}

/// The mode of the socket keeps other users away, and so does the program when somebody has opened it to them.
/// Only the superuser can become another user; for others the engine's own tests stand in.
#[test]
fn another_user_gets_no_backup() {
    const NOBODY: u32 = 65534;
    let is_superuser = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_superuser {
        return;
    }
    let scratch = Scratch::new();
    scratch.engine(10).term(TermOptions::default()).expect("an end");
    let server = scratch.serve();
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    };
    // Where that user can run the command, and write.
    let program = scratch.path("ese");
    fs::copy(ese().get_program(), &program).expect("a copy");
    fs::create_dir(scratch.path("backup")).expect("a folder");
    mode(scratch.0.path(), 0o755);
    mode(&program, 0o755);
    mode(&scratch.path("backup"), 0o777);
    let backup = || {
        let mut command = Command::new(&program);
        command.args(scratch.backup(&[]).get_args()).current_dir("/").uid(NOBODY).gid(NOBODY);
        command
    };
    fails(&mut backup(), "JET_errFileAccessDenied");
    mode(&scratch.path("sock"), 0o666);
    fails(&mut backup(), "only the same user is served");
    assert_eq!(names(&scratch.path("backup")), [""; 0]);
    succeeds(&mut scratch.backup(&[]));
    are_all(&scratch.restored(), 10);
    server.end();
}

#[test]
fn what_the_command_line_cannot_mean_is_refused() {
    let scratch = Scratch::new();
    let usage = |command: &mut Command| command.output().expect("the command").status.code();
    assert_eq!(usage(ese().args(["backup", "--to", "x"])), Some(2));
    assert_eq!(usage(ese().args(["backup", "a.edb", "--to", "x", "--copy"])), Some(2));
    assert_eq!(usage(scratch.backup(&["a.edb"]).stderr(Stdio::null())), Some(2));
    assert_eq!(usage(&mut scratch.backup(&["--incremental", "--copy"])), Some(2));
    fails(&mut scratch.backup(&[]), "JET_errFileNotFound");
    fs::write(scratch.path("sock"), "no socket").expect("room");
    fails(&mut scratch.backup(&[]), "nobody serves backups there");
    let long = scratch.path(&"x".repeat(200));
    let to = scratch.path("backup");
    fails(ese().arg("backup").arg("--socket").arg(long).arg("--to").arg(to), "JET_errInvalidPath");
}

#[test]
fn databases_that_cannot_be_served_are_refused_with_the_reason() {
    let scratch = Scratch::new();
    scratch.engine(10).term(TermOptions::default()).expect("the end");
    let serve = |databases: &[&str]| {
        let mut command = ese();
        command.arg("serve").args(databases.iter().map(|name| scratch.path(name)));
        command.arg("--logs").arg(scratch.path("other-logs")).arg("--socket").arg(scratch.path("other"));
        command
    };
    fs::create_dir(scratch.path("beside")).expect("a folder");
    for name in ["app.dat", "beside/app.edb"] {
        fs::copy(scratch.path("app.edb"), scratch.path(name)).expect("room");
        fails(&mut serve(&["app.edb", name]), "a backup has no room for both");
    }
    let server = scratch.serve();
    // It is dirty now, but that is not what is wrong.
    for command in [&mut serve(&["app.edb"]), ese().arg("maintain").arg(scratch.path("app.edb"))] {
        fails(command, "is open in another process");
    }
    drop(server);
    assert!(!scratch.path("other-logs").exists());
}

#[test]
fn a_database_that_a_backup_would_take_for_a_log_is_refused() {
    let scratch = Scratch::new();
    let engine = scratch.engine(10);
    let session = engine.begin_session().expect("a session");
    session.create(&scratch.path("data.log"), Default::default()).expect("a database");
    engine.serve_backups(&scratch.path("sock")).expect("a socket");
    fails(&mut scratch.backup(&[]), "would be taken for another kind of file");
    assert!(!scratch.path("backup").exists());
    // The program may not have heard yet that its client is gone.
    engine.term(TermOptions { stop_backup: true, ..TermOptions::default() }).expect("the end");
}
