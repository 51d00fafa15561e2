//! A database whose last pages were the roots of tables and that was made smaller: `ese verify --deep` and the
//! independent readers find everything in order.
#![allow(dead_code, reason = "parts that the tests of crate ese alone use")]

mod common;
#[path = "common/readers.rs"]
mod readers;
#[path = "../../ese/tests/shrink/setup.rs"]
mod setup;

use common::ese;
use ese::raw::{Resize, TermOptions};
use ese_format::PageNumber;
use readers::{GONE, GUESS, Readers};
use setup::{PATH, World, content, drop_table, fill, make_table};
use std::fs;
use std::path::Path;

/// Where the tree of a table begins.
fn root(database: &ese::raw::Database, name: &str) -> PageNumber {
    database.open_table(name).unwrap().schema().unwrap().root
}

#[test]
fn moved_roots_are_found_by_everybody() {
    let world = World::new(11);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    make_table(&session, &database, "Large");
    fill(&session, &database, "Large", 0..200);
    make_table(&session, &database, "Last");
    fill(&session, &database, "Last", 0..12);
    let (before, first) = (content(&database, "Last"), root(&database, "Last"));
    drop_table(&session, &database, "Large");
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(resized.stopped.is_none() && resized.pages < first.0, "{resized:?}, root {first}");
    assert!(root(&database, "Last") < first);
    assert_eq!(content(&database, "Last"), before);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();

    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("shrunk.edb");
    fs::write(&file, world.disk.content(Path::new(PATH)).unwrap()).expect("room");
    let verified = ese().args(["verify", "--deep"]).arg(&file).output().expect("the command");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let Some(readers) = Readers::find("moved_roots_are_found_by_everybody") else { return };
    // Long values of any bytes, and a table that was dropped before.
    readers.agree(&file, |name, limit| (name == "Last" && limit == GUESS) || limit == GONE);
}
