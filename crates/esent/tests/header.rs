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

#[test]
fn a_probe_without_logging_leaves_no_file() {
    let (programs, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    common::run(&common::compile("probe", programs.path()), &[folder.path()]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
