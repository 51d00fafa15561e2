//! The databases among the samples, with what is known of their content.
#![allow(dead_code, reason = "each test file uses a part of it")]

use ese_testbench::samples::unpack;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A database among the samples and what is known of its content.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    /// The packed document.
    pub(crate) expected: PathBuf,
    pub(crate) document: Value,
}

impl Sample {
    pub(crate) fn is_clean(&self) -> bool {
        self.document["state"] == "clean"
    }

    /// Tables that the second reader is known not to read, or to read differently.
    pub(crate) fn known_limits(&self) -> BTreeSet<&str> {
        let tables = self.document["tables"].as_object().expect("tables");
        let marked = tables.iter().filter(|(_, table)| table["agreement"] != "full");
        marked.map(|(name, _)| name.as_str()).collect()
    }

    /// Tables that the second reader is known to read differently.
    pub(crate) fn known_conflicts(&self) -> BTreeSet<&str> {
        let tables = self.document["tables"].as_object().expect("tables");
        let marked = tables.iter().filter(|(_, table)| table["agreement"] == "dissect-only");
        marked.map(|(name, _)| name.as_str()).collect()
    }
}

/// All of them, largest first.
pub(crate) fn all(folder: &Path) -> Vec<Sample> {
    let mut all = Vec::new();
    for set in fs::read_dir(folder).expect("samples") {
        let set = set.expect("a name").path();
        for file in set.is_dir().then(|| fs::read_dir(&set).expect("a set")).into_iter().flatten() {
            let expected = file.expect("a name").path();
            let Some(packed) = expected.to_str().and_then(|name| name.strip_suffix(".expected.json.gz"))
            else {
                continue;
            };
            let name = Path::new(packed).file_name().expect("a name").to_string_lossy().into_owned();
            let content = unpack(format!("{packed}.gz").as_ref());
            let document = serde_json::from_slice(&unpack(&expected)).expect("JSON");
            all.push(Sample { name, content, expected, document });
        }
    }
    all.sort_by_key(|sample| std::cmp::Reverse(sample.content.len()));
    all
}

/// The Python that can import the readers, unless the test must be skipped for lack of it.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("OPENESE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: no Python with the readers");
        eprintln!("openese: skipped: {test}: no Python with the readers: run cargo xtask test");
    }
    python
}
