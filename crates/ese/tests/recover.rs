//! Recovery of logs on their own: those that Windows wrote, from the creation of a database on.

use ese::offline::OfflineDatabase;
use ese::raw::{RecoverRequest, Recovered, recover};
use ese::recovery::RedoOptions;
use ese::{JetErr, Result};
use ese_format::database::DatabaseState;
use ese_testbench::Bench;
use ese_testbench::samples::sample;
use ese_vfs::SimDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DATABASE: &str = "/out/secedit.sdb";

/// A disk with the log of a whole life of a database.
fn world(log: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.install(Path::new("/log/edb.log"), log).unwrap();
    disk.crash_keeping(true)
}

fn run(disk: &SimDisk, to: Option<&Path>, redo: RedoOptions) -> Result<Recovered> {
    let environment = Bench::new(disk, 4).environment();
    let request = RecoverRequest { base_name: "edb", logs: Path::new("/log"), to, redo };
    recover(&environment, &request, &mut |_| {})
}

/// The rows of every table.
fn rows(disk: &SimDisk) -> BTreeMap<String, usize> {
    let database = OfflineDatabase::open(disk, Path::new(DATABASE)).unwrap();
    assert_eq!(database.header().state, DatabaseState::CleanShutdown);
    let mut complain = |error| panic!("{error}");
    let mut rows = BTreeMap::new();
    for table in database.tables(&mut complain).unwrap() {
        let schema = database.schema(&table, &mut complain).unwrap();
        let mut scan = database.records(&schema);
        let mut count = 0;
        while let Some(entry) = scan.next() {
            entry.unwrap();
            count += 1;
        }
        rows.insert(schema.name.clone(), count);
    }
    rows
}

#[test]
fn a_log_of_windows_makes_its_database() {
    let Some(log) = sample("a_log_of_windows_makes_its_database", "win10-secedit-log/edb.log") else {
        return;
    };
    let disk = world(&log);
    let recovered = run(&disk, Some(Path::new("/out")), RedoOptions::default()).unwrap();
    assert_eq!(recovered.databases, [PathBuf::from(DATABASE)]);
    assert_eq!(disk.content(Path::new("/log/edb.log")).unwrap(), log, "the logs given are only read");
    let rows = rows(&disk);
    assert_eq!((rows["MSysObjects"], rows["MSysObjectsShadow"], rows["MSysObjids"]), (111, 111, 19));
    assert_eq!((rows["SmTblSmp"], rows["SmTblVersion"], rows["SmTblTattoo"]), (0, 1, 0));
    // Logs are not copied over others.
    let again = run(&disk, Some(Path::new("/out")), RedoOptions::default()).unwrap_err();
    assert_eq!(again.code(), JetErr::FileAlreadyExists);
}
