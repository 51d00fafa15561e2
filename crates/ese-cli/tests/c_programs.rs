//! Databases that C programs make over libesent.so: `ese` and both independent readers see the same in them.

#[path = "../../esent/tests/common/mod.rs"]
mod c_programs;
mod common;
#[path = "common/readers.rs"]
mod readers;

use readers::{DEFAULTS, GUESS, Readers};
use std::path::Path;

/// Runs a program on a database in a folder of its own, and lets the readers look at it; `known` are their limits, by table.
fn make(test: &str, program: &str, runs: &[&[&str]], known: &[(&str, &str)]) {
    let root = tempfile::tempdir().expect("a folder");
    let compiled = c_programs::compile(program, root.path());
    let database = root.path().join("test.edb");
    for arguments in runs {
        let mut all: Vec<&Path> = vec![root.path(), &database];
        all.extend(arguments.iter().map(Path::new));
        c_programs::run(&compiled, &all);
        if let Some(readers) = Readers::find(test) {
            readers.agree(&database, |name, limit| known.contains(&(name, limit)));
        }
    }
}

#[test]
fn all_types_of_columns_and_indexes() {
    make("all_types_of_columns_and_indexes", "tables", &[&["make"], &["again"]], &[("Things", GUESS)]);
}

#[test]
fn a_table_without_primary_index() {
    make("a_table_without_primary_index", "smoke_tables", &[&[]], &[]);
}

#[test]
fn names_in_utf_16() {
    make("names_in_utf_16", "wide_tables", &[&[]], &[]);
}

#[test]
fn records_in_place_of_others() {
    make("records_in_place_of_others", "records", &[&[]], &[("Records", DEFAULTS)]);
}
