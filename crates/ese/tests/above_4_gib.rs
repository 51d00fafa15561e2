//! A database of more than 4 GiB, where sizes and offsets no longer fit into 32 bits.

use ese::api::{Table, Transaction};
use ese::backup::to_directory::DirectoryRequest;
use ese::catalog::NewTable;
use ese::raw::{InitOptions, TermOptions, restore_folder};
use ese_testbench::check::assert_sound;
use ese_testbench::{Bench, queue};
use ese_vfs::RealDisk;
use std::io::{Read, Seek, SeekFrom};

/// Pages of 4 KB that are 4 GiB.
const PAGES: u32 = 1 << 20;

const RECORDS: i32 = 16;
const MARK: &[u8] = b"behind 4 GiB";

fn blob() -> Vec<u8> {
    MARK.repeat(50_000)
}

/// What lies behind 4 GiB is in the backup, and is back after a restore.
#[test]
#[ignore = "long: writes 13 GB"]
fn what_lies_behind_4_gib_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (live, backup) = (folder.path().join("live"), folder.path().join("backup"));
    let (restored, logs) = (folder.path().join("restored"), folder.path().join("logs"));
    [&live, &restored, &logs].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let path = live.join("a.edb");
    let instance = Bench::real(&live).instance();
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    let database = session.create(&path, Default::default()).unwrap();
    // The one takes all the room below.
    let transaction = Transaction::begin(&session).unwrap();
    database.create_table(&NewTable { name: "Large", pages: PAGES, ..NewTable::default() }).unwrap();
    queue::create_blobs(&database, "T");
    let table = Table::open(&database, "T").unwrap();
    (0..RECORDS).for_each(|id| table.insert(&[("Id", &id), ("Blob", &blob())]).unwrap());
    transaction.commit().unwrap();
    drop(table);
    drop(database);
    let request = DirectoryRequest { folder: Some(&backup), flags: 0, create: true };
    let summary = instance.backup().unwrap().backup_to(request, &mut |_| {}).unwrap().unwrap();
    assert!(summary.databases.iter().all(|database| database.dropped.is_none()));
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    std::fs::remove_dir_all(&live).unwrap();

    let (environment, parameters) = Bench::real(&logs).surroundings();
    restore_folder(&environment, &parameters, &backup, Some(&restored), &mut |_| {}).unwrap();
    let path = restored.join("a.edb");
    assert!(std::fs::metadata(&path).unwrap().len() > u64::from(PAGES) * 4096);
    let instance = Bench::real(&logs).start();
    let session = instance.begin_session().unwrap();
    session.attach(&path, Default::default()).unwrap();
    let database = session.open(&path).unwrap();
    let table = Table::open(&database, "T").unwrap();
    let rows = table.rows().unwrap().read(|row| Ok((row.get::<i32>("Id")?, row.get::<Vec<u8>>("Blob")?)));
    assert!(rows.map(Result::unwrap).eq((0..RECORDS).map(|id| (id, blob()))));
    drop(table);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    assert_sound(&RealDisk::new(), &path);
    let mut behind = Vec::new();
    let mut file = std::fs::File::open(&path).unwrap();
    file.seek(SeekFrom::Start(u64::from(PAGES) * 4096)).unwrap();
    file.read_to_end(&mut behind).unwrap();
    assert!(behind.windows(MARK.len()).any(|bytes| bytes == MARK), "records lie behind 4 GiB");
}
