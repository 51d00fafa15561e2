//! What has ended keeps nothing: neither its disk nor, with it, its cache.

use ese::api::{Table, Transaction};
use ese::backup::to_directory::DirectoryRequest;
use ese::raw::{InitOptions, TermOptions, restore_folder};
use ese_testbench::Bench;
use ese_testbench::disk::{DATABASE, damage, disk, disk_with};
use ese_testbench::queue::{create, put};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::sync::{Arc, Weak};

/// A disk with a backup in `/backup`, whose database goes on behind it; as a process that is killed leaves it.
fn killed() -> SimDisk {
    let disk = disk_with(3, &["/data", "/backup", "/new", "/log"]);
    let instance = Bench::new(&disk, 5).start();
    let session = instance.begin_session().unwrap();
    let database = create(&session, Path::new(DATABASE));
    let table = Table::open(&database, "Queue").unwrap();
    let fill = |ids: std::ops::Range<i64>| {
        let transaction = Transaction::begin(&session).unwrap();
        ids.for_each(|id| put(&table, id, 500).unwrap());
        transaction.commit().unwrap();
    };
    fill(0..50);
    let request = DirectoryRequest { folder: Some(Path::new("/backup")), flags: 0, create: false };
    instance.backup().unwrap().backup_to(request, &mut |_| {}).unwrap();
    fill(50..100);
    disk.kill()
}

fn watched(disk: SimDisk) -> (Arc<dyn Disk>, Weak<dyn Disk>) {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let weak = Arc::downgrade(&disk);
    (disk, weak)
}

#[test]
fn an_instance_lets_go() {
    for (threads, in_order, is_damaged) in
        [(false, true, false), (true, true, false), (true, false, false), (false, true, true)]
    {
        let disk = killed();
        if is_damaged {
            damage(&disk, "/data/edb.log", 5000);
        }
        let (disk, weak) = watched(disk);
        let instance = Bench::on(disk, 5).threads(threads).instance();
        assert_eq!(instance.init(InitOptions::default()).is_err(), is_damaged);
        if in_order && !is_damaged {
            instance.term(TermOptions::default()).unwrap();
        }
        drop(instance);
        assert_eq!(weak.strong_count(), 0, "threads {threads}, in order {in_order}, damaged {is_damaged}");
    }
}

#[test]
fn a_restore_lets_go() {
    for is_damaged in [false, true] {
        let disk = killed();
        if is_damaged {
            damage(&disk, "/backup/edb00001.log", 5000);
        }
        let (disk, weak) = watched(disk);
        let (environment, parameters) = Bench::on(disk, 6).folders("/log", "/log").surroundings();
        let (from, to) = (Path::new("/backup"), Path::new("/new"));
        let restored = restore_folder(&environment, &parameters, from, Some(to), &mut |_| {});
        assert_eq!(restored.is_err(), is_damaged, "{restored:?}");
        drop(environment);
        assert_eq!(weak.strong_count(), 0, "damaged {is_damaged}");
    }
}

#[test]
fn an_instance_that_never_ran_lets_go() {
    let (disk, weak) = watched(disk(3));
    drop(Bench::on(disk, 5).instance());
    assert_eq!(weak.strong_count(), 0);
}
