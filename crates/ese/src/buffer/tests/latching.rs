//! Who may have a page with whom.

use super::*;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::thread;
use ese_vfs::Disk;
use std::time::Duration;

#[test]
fn modes_exclude_each_other() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    let page = PageNumber(1);
    let upgradable = file.upgradable(page).unwrap();
    let shared = file.try_read(page).unwrap().unwrap();
    assert!(file.try_write(page).unwrap().is_none());
    let other = file.try_read(page).unwrap().unwrap();
    drop(shared);
    drop(other);
    let exclusive = upgradable.upgrade();
    assert!(file.try_read(page).unwrap().is_none());
    let shared = exclusive.downgrade();
    assert!(file.try_read(page).unwrap().is_some());
    drop(shared);
    let weaker = file.upgradable(page).unwrap().downgrade();
    let other = file.clone();
    let beside = thread::spawn("other", move || {
        let _second = other.upgradable(page).unwrap();
        other.try_write(page).unwrap().is_none()
    });
    assert!(beside.unwrap().join().unwrap());
    drop(weaker);
    drop(file.upgradable(page).unwrap().upgrade());
    assert!(file.try_write(page).unwrap().is_some());
}

#[test]
fn readers_of_a_missing_page_read_it_once() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    let before = disk.reads();
    let slow = disk.clone();
    disk.set_hook(Some(Arc::new(|| thread::sleep(Duration::from_millis(5)))));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let file = file.clone();
            thread::spawn("reader", move || file.read(PageNumber(4)).unwrap().page().object()).unwrap()
        })
        .collect();
    let objects: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(objects, [objects[0]; 8]);
    assert_eq!(slow.reads() - before, 1);
    assert!(slow.exists(Path::new(PATH)));
}

#[test]
fn an_upgrade_waits_for_readers_and_keeps_writers_out() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    make(&file, 200, &[0], at(1), at(2));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let file = file.clone();
            let work = move || {
                for _ in 0..200 {
                    drop(file.read(PageNumber(200)).unwrap());
                    let guard = file.upgradable(PageNumber(200)).unwrap();
                    let next = record(guard.page())[0].wrapping_add(1);
                    let mut guard = guard.upgrade();
                    guard.edit().replace_node_data(0, &[next]).unwrap();
                    guard.changed(at(1), at(2));
                }
            };
            thread::spawn("counter", work).unwrap()
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(read(&file, 200).unwrap(), [(800 % 256) as u8]);
}

#[test]
fn nothing_but_the_page_itself_is_locked_while_the_disk_works() {
    let disk = SimDisk::new(1);
    // So small that there is one shard, and that everything must be written to make room.
    let (file, _) = cached(&disk, PageSize::K4, 8);
    // A thread that misses a page may wait for a write, so the one who writes does not miss this one.
    drop(file.read(PageNumber(1)).unwrap());
    let _pinned = file.cache().peek(file.key(PageNumber(1))).unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let (other, count) = (file.clone(), calls.clone());
    let busy = Mutex::ranked(Rank::Caller, ());
    disk.set_hook(Some(Arc::new(move || {
        let Some(_one_at_a_time) = busy.try_lock() else { return };
        // From the thread that reads or writes: any lock it held would be asked for twice.
        drop(other.write(PageNumber(1)).unwrap());
        other.dirty_pages();
        other.oldest_begin0();
        other.cache().statistics();
        other.raise_durable(PageNumber(1), at(1));
        count.fetch_add(1, Ordering::Relaxed);
    })));
    for page in 100..150 {
        make(&file, page, b"x", at(1), at(2));
    }
    for page in 100..150 {
        assert_eq!(read(&file, page).unwrap(), b"x");
    }
    file.flush().unwrap();
    disk.set_hook(None);
    assert!(calls.load(Ordering::Relaxed) > 40, "the disk was asked for most pages");
}

#[test]
fn a_remembered_page_stays_as_it_was_and_says_when_it_is_out_of_date() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    let remember = || file.read(PageNumber(200)).unwrap().remember().unwrap();
    make(&file, 200, b"old", at(1), at(2));
    let before = remember();
    drop(file.read(PageNumber(200)).unwrap());
    drop(file.upgradable(PageNumber(200)).unwrap());
    make(&file, 201, b"another", at(1), at(2));
    assert!(before.is_current(), "nobody has had the page for himself");
    make(&file, 200, b"new", at(1), at(3));
    assert!(!before.is_current());
    assert_eq!((record(before.page()), read(&file, 200).unwrap()), (b"old".to_vec(), b"new".to_vec()));

    let (at_upgrade, at_edit) = (remember(), remember());
    let mut page = file.upgradable(PageNumber(200)).unwrap().upgrade();
    assert!(!at_upgrade.is_current(), "what is about to change counts as changed");
    page.edit().set_db_time(file.file().next_db_time());
    page.changed(at(1), at(4));
    drop(page);
    assert_eq!(record(at_edit.page()), b"new");
    assert_ne!(file.read(PageNumber(200)).unwrap().page().db_time(), at_edit.page().db_time());
}

#[test]
fn a_page_that_has_left_memory_is_out_of_date_for_those_who_remember_it() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 10);
    let remember = || file.read(PageNumber(1)).unwrap().remember().unwrap();
    let evicted = remember();
    for page in 20..60 {
        make(&file, page, b"others", at(1), at(2));
    }
    assert!(!evicted.is_current(), "changes may be made to the page as it is read again");
    assert_eq!(evicted.number(), PageNumber(1));
    let discarded = remember();
    assert!(discarded.is_current());
    file.flush().unwrap();
    file.discard();
    assert!(!discarded.is_current());
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "waits for page 200 and holds page 201")]
fn latches_are_taken_from_left_to_right() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    for (page, next) in [(200, 201), (201, 0)] {
        make(&file, page, &[0], at(1), at(2));
        let mut guard = file.write(PageNumber(page)).unwrap();
        guard.edit().set_next(PageNumber(next));
        guard.changed(at(1), at(2));
    }
    let left = file.read(PageNumber(200)).unwrap();
    drop(file.read(PageNumber(201)).unwrap());
    drop(left);
    let _right = file.read(PageNumber(201)).unwrap();
    drop(file.try_read(PageNumber(200)).unwrap().unwrap());
    let _ = file.read(PageNumber(200));
}
