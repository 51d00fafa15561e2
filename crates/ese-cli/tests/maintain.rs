//! `ese maintain`: leaked pages are given back.

#[path = "common/commands.rs"]
mod commands;
mod common;

use commands::{digest_of, fails, names, state_of, succeeds};
use common::ese;
use ese::catalog::{NewColumn, NewTable};
use ese::database::CreateOptions;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, TermOptions};
use ese_format::column::ColumnType;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A database that a crash has left with the pages of a deleted table, which somebody still saw.
struct Crashed {
    folder: tempfile::TempDir,
}

impl Crashed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("a folder");
        let mut parameters = Parameters::new();
        let text = logs.to_str().expect("text");
        parameters.set_text(ParamId::LogFilePath, text).expect("a path");
        parameters.set_text(ParamId::SystemPath, text).expect("a path");
        parameters.set_integer(ParamId::LogFileSize, 256).expect("a size");
        let instance = Instance::new(Environment::default(), parameters);
        instance.init(InitOptions::default()).expect("init");
        let session = instance.begin_session().expect("a session");
        let path = folder.path().join("app.edb");
        let database = session.create(&path, CreateOptions::default()).expect("a database");
        let columns = [NewColumn::new("Id", ColumnType::Long)];
        let new = |name| NewTable { name, columns: &columns, ..NewTable::default() };
        session.begin_transaction(false).expect("begin");
        database.create_table(&new("Kept")).expect("a table");
        database.create_table(&new("Lost")).expect("a table");
        session.commit_transaction(false).expect("commit");
        let onlooker = instance.begin_session().expect("a session");
        onlooker.begin_transaction(true).expect("begin");
        database.delete_table("Lost").expect("deleted");
        session.flush_commits(false).expect("flush");
        instance.term(TermOptions { dirty: true, ..TermOptions::default() }).expect("a crash");
        drop((database, onlooker, session, instance));
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("app.edb")
    }

    fn recover(&self) {
        succeeds(ese().args(["recover", "edb", "--logs"]).arg(self.path("logs")));
    }
}

/// Leaked pages, as `ese verify --deep` lists them.
#[track_caller]
fn leaks(database: &Path) -> Vec<Value> {
    let output = ese().args(["--json", "verify", "--deep"]).arg(database).output().expect("the command");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["structure"]["errors"], Value::Array(Vec::new()), "{report}");
    let leaks = report["structure"]["leaks"].as_array().expect("a list").clone();
    assert_eq!(output.status.code(), Some(if leaks.is_empty() { 0 } else { 3 }), "{report}");
    leaks
}

#[track_caller]
fn given_back(output: &[u8]) -> u64 {
    let report: Value = serde_json::from_slice(output).expect("JSON");
    report["pages_given_back"].as_u64().unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn a_recovered_database_has_no_leaks_afterwards() {
    let crashed = Crashed::new();
    crashed.recover();
    let database = crashed.database();
    let found = leaks(&database);
    assert!(!found.is_empty(), "the pages of the deleted table are lost");
    assert_eq!(found[0]["tree"], "(database)", "{found:?}");
    assert_eq!(found[0]["lost_trees"][0]["pages"], found[0]["pages"], "{found:?}");
    let pages: u64 = found.iter().map(|leak| leak["pages"].as_u64().expect("a number")).sum();
    let digest = digest_of(&database);

    let output = succeeds(ese().args(["--json", "maintain"]).arg(&database));
    assert_eq!(given_back(&output), pages);
    assert_eq!(leaks(&database), [] as [Value; 0]);
    assert_eq!(digest_of(&database), digest);
    assert_eq!(state_of(&database), "clean shutdown");
    assert_eq!(names(crashed.folder.path()), ["app.edb", "logs"], "private files stay");

    // Nothing to do: nothing is written.
    let content = fs::read(&database).expect("a database");
    let output = succeeds(ese().args(["--json", "maintain"]).arg(&database));
    assert_eq!(given_back(&output), 0);
    assert_eq!(fs::read(&database).expect("a database"), content);
}

#[test]
fn a_dirty_database_is_recovered_with_its_logs_first() {
    let crashed = Crashed::new();
    let database = crashed.database();
    fails(ese().arg("maintain").arg(&database), "JET_errDatabaseDirtyShutdown");
    fails(ese().arg("maintain").arg(&database).arg("--logs").arg(crashed.folder.path()), "holds no logs");
    let output =
        succeeds(ese().args(["--json", "maintain", "--logs"]).arg(crashed.path("logs")).arg(&database));
    assert!(given_back(&output) > 0);
    assert_eq!(leaks(&database), [] as [Value; 0]);
    assert_eq!(state_of(&database), "clean shutdown");
}
