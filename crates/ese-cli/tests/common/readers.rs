//! What the two independent readers say of a database, beside what `ese` says.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::common::ese;
use ese_testbench::samples;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a table has: number of records, SHA-256 of its canonical lines.
pub(crate) type Digests = BTreeMap<String, (u64, String)>;

/// What the readers are known not to do with a table: its name, and the sentence that the comparison prints.
pub(crate) type Limits = BTreeMap<String, Vec<String>>;

/// The readers list tables whose rows in the catalog are only marked as deleted.
pub(crate) const GONE: &str = "a table that is gone is listed";

/// The second reader takes fixed columns for values that the record marks as NULL, where columns behind them
/// have values.
pub(crate) const NULL_BIT: &str = "null bit of fixed columns ignored";

/// The second reader goes by the first byte of a piece of a long value when it decides whether the piece is packed.
pub(crate) const GUESS: &str = "a plain piece of a long value taken for a packed one";

/// The second reader does not give tagged columns their default.
pub(crate) const DEFAULTS: &str = "default of tagged columns not applied";

/// Whether the second reader gave a table up because of [`GUESS`], and nothing else is wrong.
fn only_guesses_wrong(table: &Value) -> bool {
    let conflicts = table["conflicts"].as_array().map_or(&[][..], Vec::as_slice);
    let is_guess = |conflict: &Value| {
        let said = conflict.as_str().unwrap_or_default();
        said.starts_with("libesedb: pyesedb_long_value_get_data") && said.contains("lzxpress_decompress")
    };
    !conflicts.is_empty() && conflicts.iter().all(is_guess)
}

/// The tables of the engine that have such records.
const SYSTEM: [&str; 2] = ["MSysObjects", "MSysObjectsShadow"];

/// What `ese digest` says of every table of a database, all of which must be readable.
#[track_caller]
pub(crate) fn digests(database: &Path) -> Digests {
    let output = ese().args(["--json", "digest"]).arg(database).output().expect("the command");
    assert!(output.status.success(), "{}: {}", database.display(), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let digest = |line: &Value| {
        assert_eq!(line["problems"], 0, "{}: {line}", database.display());
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        (text("table"), (line["record_count"].as_u64().expect("a count"), text("sha256")))
    };
    lines.iter().map(digest).collect()
}

/// The Python that can import the readers, and the script that asks them.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    python: PathBuf,
    script: PathBuf,
}

impl Readers {
    /// None if the test must be skipped for lack of one of them.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let script = samples::folder(test)?.join("canonical_dump.py");
        let python = std::env::var_os("OPENESE_PYTHON").map(PathBuf::from);
        if python.is_none() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: no Python with the readers");
            eprintln!("openese: skipped: {test}: no Python with the readers: run cargo xtask test");
        }
        Some(Self { python: python?, script })
    }

    /// What both of them see, as the script's document.
    fn document(&self, database: &Path) -> Value {
        let mut command = Command::new(&self.python);
        let output = command.arg(&self.script).arg(database).args(["--reader", "both", "--json"]).output();
        let output = output.expect("Python");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("{}: {e}: {}", database.display(), String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Checks that both readers see in every table what `ese` sees, row by row. The
    /// answer are the limits of the second reader that the comparison met: it must not differ in anything else.
    #[track_caller]
    pub(crate) fn compare(&self, database: &Path) -> Limits {
        self.compare_but(database, &BTreeSet::new())
    }

    /// As [`Self::compare`], but for tables that the second reader is known to read differently: those are compared with
    /// the first one only.
    #[track_caller]
    pub(crate) fn compare_but(&self, database: &Path, conflicts: &BTreeSet<&str>) -> Limits {
        let (ours, theirs) = (digests(database), self.document(database));
        let place = database.display();
        assert!(theirs["libesedb"].is_null(), "{place}: libesedb: {}", theirs["libesedb"]);
        let tables = theirs["tables"].as_object().expect("tables");
        let mut limits = Limits::new();
        for name in tables.keys().filter(|name| !ours.contains_key(*name)) {
            limits.insert(name.clone(), vec![GONE.to_owned()]);
        }
        for (name, (count, hash)) in &ours {
            let table = tables.get(name).unwrap_or_else(|| panic!("{place}: table {name} is not seen"));
            assert_eq!(table["record_count"].as_u64(), Some(*count), "{place}: table {name}: {table}");
            assert_eq!(table["sha256"].as_str(), Some(&hash[..]), "{place}: table {name}: {table}");
            if only_guesses_wrong(table) {
                limits.entry(name.clone()).or_default().push(GUESS.to_owned());
                continue;
            }
            let is_conflict = table["agreement"] == "conflict";
            assert!(!is_conflict || conflicts.contains(&name[..]), "{place}: table {name}: {table}");
            for limit in table["libesedb_limits"].as_array().into_iter().flatten() {
                limits.entry(name.clone()).or_default().push(limit.as_str().expect("text").to_owned());
            }
        }
        limits
    }

    /// As [`Self::compare`] for a database of this engine, the checksums of all its pages as well: there must be no limit
    /// but the one known of the engine's own tables, and those that the caller knows, by table and limit.
    #[track_caller]
    pub(crate) fn agree(&self, database: &Path, known: impl Fn(&str, &str) -> bool) {
        let mut command = Command::new(&self.python);
        let output = command.arg(&self.script).arg(database).arg("--checksums").output().expect("Python");
        assert!(
            output.status.success(),
            "{}: {}",
            database.display(),
            String::from_utf8_lossy(&output.stdout)
        );
        for (name, limits) in self.compare(database) {
            let is_own = |limit: &str| limit == NULL_BIT && SYSTEM.contains(&&name[..]);
            let is_known = limits.iter().all(|limit| is_own(limit) || known(&name, limit));
            assert!(is_known, "{}: table {name}: {limits:?}", database.display());
        }
    }
}
