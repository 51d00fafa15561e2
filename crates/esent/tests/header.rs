//! The header says what the library does.

mod common;

#[test]
fn structures_and_symbols() {
    let folder = tempfile::tempdir().unwrap();
    common::run(&common::compile("layout", folder.path()), &[]);
}

#[test]
fn calls_before_an_instance_is_initialised() {
    let folder = tempfile::tempdir().unwrap();
    common::run(&common::compile("parameters", folder.path()), &[]);
}
