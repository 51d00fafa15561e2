//! Tables as a C program makes, fills and reads them.

mod common;

use std::path::Path;

/// Runs a program on a database of its own; the folder of logs stays the same.
fn run(program: &str, arguments: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let database = root.path().join("test.edb");
    let program = common::compile(program, root.path());
    let mut all: Vec<&Path> = vec![root.path(), &database];
    all.extend(arguments.iter().map(Path::new));
    common::run(&program, &all);
    root
}

#[test]
fn a_table_is_made_and_seen_again() {
    run("smoke_tables", &[]);
}
