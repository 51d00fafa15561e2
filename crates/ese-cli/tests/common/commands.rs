//! Running the command on databases and looking at what it left.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::common::ese;
use ese_testbench::samples::{self, unpack};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A sample of one MiB.
const SAMPLE: &str = "secedit-win10-16299/secedit.sdb.gz";
/// The name it has in a scratch folder.
pub(crate) const NAME: &str = "secedit.sdb";

/// A database in a folder of its own, unless the test must be skipped.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
    /// Its content before any command ran.
    pub(crate) content: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new(test: &str) -> Option<Self> {
        let packed = samples::folder(test)?.join(SAMPLE);
        let scratch = Self { folder: tempfile::tempdir().expect("a folder"), content: unpack(&packed) };
        fs::write(scratch.database(), &scratch.content).expect("room");
        Some(scratch)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path(NAME)
    }

    /// `ese backup DATABASE --to backup ...`.
    pub(crate) fn backup(&self, to: &str, rest: &[&str]) -> Command {
        let mut command = ese();
        command.arg("backup").arg(self.database()).arg("--to").arg(self.path(to)).args(rest);
        command
    }

    /// The same with the database attached to the stream in `logs`.
    pub(crate) fn backup_in_place(&self, to: &str, rest: &[&str]) -> Command {
        let mut command = self.backup(to, &["--in-place"]);
        command.arg("--logs").arg(self.path("logs")).args(rest);
        command
    }

    /// `ese restore FROM --to TO`.
    pub(crate) fn restore(&self, from: &str, to: &str) -> Command {
        let mut command = ese();
        command.arg("restore").arg(self.path(from)).arg("--to").arg(self.path(to));
        command
    }

    /// The same, rolled forward with the stream in `logs`.
    pub(crate) fn restore_with_logs(&self, from: &str, to: &str) -> Command {
        let mut command = self.restore(from, to);
        command.arg("--logs").arg(self.path("logs"));
        command
    }

    /// Checks that a folder holds exactly the restored database, and removes it.
    #[track_caller]
    pub(crate) fn is_restored(&self, to: &str, digest: &[u8]) {
        let folder = self.path(to);
        assert_eq!(names(&folder), [NAME], "only the database is there");
        let restored = folder.join(NAME);
        assert_eq!(digest_of(&restored), digest);
        assert_eq!(state_of(&restored), "clean shutdown");
        assert!(!self.path(&format!("{to}.openese")).exists(), "private files stay");
        fs::remove_dir_all(folder).expect("a folder");
    }
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the command");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a command that must fail for a reason.
#[track_caller]
pub(crate) fn fails(command: &mut Command, reason: &str) {
    let output: Output = command.output().expect("the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    assert!(said.contains(reason), "{said}");
}

/// What `ese digest` says of every table.
#[track_caller]
pub(crate) fn digest_of(database: &Path) -> Vec<u8> {
    succeeds(ese().arg("digest").arg(database))
}

/// The state that the header tells.
#[track_caller]
pub(crate) fn state_of(database: &Path) -> String {
    let info = succeeds(ese().args(["--json", "info"]).arg(database));
    let info: serde_json::Value = serde_json::from_slice(&info).expect("JSON");
    info["state"].as_str().expect("a state").to_owned()
}

/// The names in a folder, sorted.
#[track_caller]
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a name").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The names and contents in a folder.
#[track_caller]
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let content = fs::read(folder.join(&name)).expect("a file");
        (name, content)
    };
    names(folder).into_iter().map(read).collect()
}

/// What happens to a command that makes a file longer than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtLimit {
    /// It dies on the spot, as by kill -9.
    Dies,
    /// Its write fails.
    Fails,
}

/// The same command, unable to make any file longer than so many KiB.
pub(crate) fn limited(command: &Command, kib: u32, at_limit: AtLimit) -> Command {
    let trap = if at_limit == AtLimit::Fails { "trap '' XFSZ;" } else { "" };
    let mut limited = Command::new("sh");
    let blocks = kib * 2;
    limited.arg("-c").arg(format!("{trap} ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\""));
    limited.arg(command.get_program()).args(command.get_args());
    limited.stdout(Stdio::piped()).stderr(Stdio::piped());
    limited
}
