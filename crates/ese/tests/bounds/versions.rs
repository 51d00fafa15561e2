//! The limit of the version store: whoever meets it gets an error, and nothing else is hurt.

use crate::bench::{end, instance};
use ese::JetErr;
use ese::api::{Table, Transaction};
use ese::params::ParamId;
use ese_testbench::disk::{DATABASE as PATH, disk};
use ese_testbench::queue::{check_blobs, create, ids, put};
use std::path::Path;

/// Fewer version pages than one large transaction needs.
const SMALL: [(ParamId, u64); 2] = [(ParamId::MaxVerPages, 4), (ParamId::PreferredVerPages, 3)];

/// Adds records from `id` on until the store is full; the number of the one that was refused.
fn fill(table: &Table<'_>, id: i64) -> i64 {
    let mut id = id;
    loop {
        match put(table, id, 100) {
            Ok(()) => id += 1,
            Err(error) if error.code() == JetErr::VersionStoreOutOfMemory => return id,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_transaction_too_long_is_refused_and_others_go_on_when_it_has_ended() {
    for commits in [false, true] {
        let disk = disk(11);
        let instance = instance(&disk, &SMALL);
        let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
        let database = create(&session, Path::new(PATH));
        let others = other.open(Path::new(PATH)).unwrap();
        let (table, read) =
            (Table::open(&database, "Queue").unwrap(), Table::open(&others, "Queue").unwrap());
        let first = Transaction::begin(&session).unwrap();
        (0..50).for_each(|id| put(&table, id, 100).unwrap());
        first.commit().unwrap();

        let long = Transaction::begin(&session).unwrap();
        let refused = fill(&table, 1000);
        assert!(refused > 1100, "{refused}");
        assert!(instance.statistics().unwrap().version_bytes <= 4 * 65536);
        // It sees its own records; what was refused is not there in any order.
        assert_eq!(ids(&table, None).len() as i64, 50 + refused - 1000);
        assert_eq!(ids(&table, Some("ByGroup")).len() as i64, 50 + refused - 1000);
        // Others read on, and get the same error when they write.
        assert_eq!(ids(&read, None), Vec::from_iter(0..50));
        let short = Transaction::begin(&other).unwrap();
        let error = read.update(&[&3i64], &[("Blob", &vec![0u8; 3000])]).unwrap_err();
        assert_eq!(error.code(), JetErr::VersionStoreOutOfMemory);
        short.roll_back().unwrap();

        match commits {
            true => long.commit().unwrap(),
            false => long.roll_back().unwrap(),
        }
        // No background job has run meanwhile: who needs room makes it.
        for id in 2000..3000 {
            let short = Transaction::begin(&other).unwrap();
            put(&read, id, 100).unwrap();
            short.commit_lazily().unwrap();
        }
        let end_of_long = if commits { refused } else { 1000 };
        let expected: Vec<i64> = (0..50).chain(1000..end_of_long).chain(2000..3000).collect();
        assert_eq!(ids(&read, None), expected);
        let mut by_group = ids(&read, Some("ByGroup"));
        by_group.sort_unstable();
        assert_eq!(by_group, expected);
        check_blobs(&read, |_| 100);
        drop((table, read));
        drop((database, others));
        drop((session, other));
        end(&disk, &instance);
    }
}

#[test]
fn a_snapshot_kept_too_long_stops_writers_until_it_ends() {
    let disk = disk(11);
    let instance = instance(&disk, &SMALL);
    let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    let database = create(&session, Path::new(PATH));
    let others = other.open(Path::new(PATH)).unwrap();
    let (table, read) = (Table::open(&database, "Queue").unwrap(), Table::open(&others, "Queue").unwrap());
    let first = Transaction::begin(&session).unwrap();
    (0..50).for_each(|id| put(&table, id, 100).unwrap());
    first.commit().unwrap();

    other.begin_transaction(true).unwrap();
    assert_eq!(ids(&read, None).len(), 50);
    let change = |n: i64| -> ese::Result<()> {
        let short = Transaction::begin(&session)?;
        table.update(&[&(n % 50)], &[("Blob", &vec![n as u8; 100])])?;
        short.commit_lazily()
    };
    let error = (0..100_000).find_map(|n| change(n).err()).unwrap();
    assert_eq!(error.code(), JetErr::VersionStoreOutOfMemory);
    assert_eq!(change(1).unwrap_err().code(), JetErr::VersionStoreOutOfMemory);
    // What the snapshot sees has not moved.
    check_blobs(&read, |_| 100);
    other.commit_transaction(true).unwrap();
    (0..5000).for_each(|n| change(n).unwrap());
    drop((table, read));
    drop((database, others));
    drop((session, other));
    end(&disk, &instance);
}

#[test]
fn the_parameters_say_how_much_fits() {
    let mut fits = Vec::new();
    for pages in [2, 8] {
        let disk = disk(11);
        let instance = instance(&disk, &[(ParamId::MaxVerPages, pages)]);
        let session = instance.begin_session().unwrap();
        let database = create(&session, Path::new(PATH));
        let table = Table::open(&database, "Queue").unwrap();
        let long = Transaction::begin(&session).unwrap();
        fits.push(fill(&table, 0));
        // It may be set at any time, and more than there is does no harm.
        instance.set_integer(ParamId::PreferredVerPages, 1000).unwrap();
        long.commit().unwrap();
        drop(table);
        drop(database);
        drop(session);
        end(&disk, &instance);
    }
    assert!((3..=5).contains(&(fits[1] / fits[0])), "{fits:?}");
}
