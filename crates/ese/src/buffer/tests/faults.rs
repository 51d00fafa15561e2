//! Disks that fail.

use super::*;
use ese_vfs::sim::{Effect, Fault, OpKind};

fn flip(disk: &SimDisk, page_size: PageSize, page: u32, bits: &[u32]) {
    for bit in bits {
        let offset = PageNumber(page).file_offset(page_size) + u64::from(bit / 8);
        disk.flip_bit(Path::new(PATH), offset, (bit % 8) as u8).unwrap();
    }
}

/// A file with records on pages 200 to 209, nothing in memory.
fn ten(disk: &SimDisk, page_size: PageSize) -> (Arc<CachedFile>, Arc<FakeLog>) {
    let (file, log) = cached(disk, page_size, 100);
    for page in 200..210 {
        make(&file, page, b"sound", at(1), at(2));
    }
    file.flush().unwrap();
    file.discard();
    (file, log)
}

#[test]
fn one_wrong_bit_is_mended_and_written_back() {
    for page_size in PageSize::ALL {
        let disk = SimDisk::new(1);
        let (file, _) = ten(&disk, page_size);
        flip(&disk, page_size, 203, &[8 * 90 + 3]);
        assert_eq!(read(&file, 203).unwrap(), b"sound");
        assert_eq!((file.cache().statistics().corrections, file.dirty_pages()), (1, 1));
        file.flush().unwrap();
        drop(file);
        let file = open(&disk, Intent::Read);
        let cache = PageCache::new(1 << 20);
        let file = CachedFile::new(&cache, 1, file, Arc::new(NoLog), Arc::new(NoBeforeImages));
        assert_eq!(read(&file, 203).unwrap(), b"sound");
        assert_eq!(cache.statistics().corrections, 0, "{page_size}");
        // A file that cannot be written is read all the same.
        flip(&disk, page_size, 204, &[8 * 90 + 3]);
        assert_eq!(read(&file, 204).unwrap(), b"sound");
        assert_eq!((cache.statistics().corrections, file.dirty_pages()), (1, 0));
    }
}

#[test]
fn damage_is_named_and_costs_only_its_page() {
    for page_size in PageSize::ALL {
        let disk = SimDisk::new(1);
        let (file, _) = ten(&disk, page_size);
        flip(&disk, page_size, 205, &[8 * 90 + 3, 8 * 91]);
        for _ in 0..2 {
            let error = file.write(PageNumber(205)).unwrap_err();
            assert_eq!(
                (error.code(), error.page_number()),
                (JetErr::ReadVerifyFailure, Some(PageNumber(205)))
            );
            assert_eq!(error.file_path(), Some(Path::new(PATH)));
        }
        assert_eq!(read(&file, 206).unwrap(), b"sound");
    }
}

#[test]
fn a_page_of_another_place_is_damage() {
    let disk = SimDisk::new(1);
    let (file, _) = ten(&disk, PageSize::K4);
    let mut image = vec![0; 4096];
    file.file().read_pages(PageNumber(200), &mut image).unwrap();
    file.file().write_pages(PageNumber(201), &image).unwrap();
    assert_eq!(read(&file, 201).unwrap_err().code(), JetErr::ReadVerifyFailure);
}

#[test]
fn a_wrong_transfer_is_read_again() {
    let disk = SimDisk::new(1);
    let (file, _) = ten(&disk, PageSize::K32);
    for _ in 0..2 {
        // One flipped bit could be mended; in the page's checksum it cannot.
        disk.add_fault(Fault::once(OpKind::Read, Effect::FlippedRead));
    }
    for page in 200..210 {
        assert_eq!(read(&file, page).unwrap(), b"sound");
    }
}

#[test]
fn a_failed_read_is_an_error_and_no_more() {
    let disk = SimDisk::new(1);
    let (file, _) = ten(&disk, PageSize::K4);
    disk.add_fault(Fault::once(OpKind::Read, Effect::DeviceError));
    let error = read(&file, 200).unwrap_err();
    assert_eq!((error.code(), error.page_number()), (JetErr::DiskIO, Some(PageNumber(200))));
    assert_eq!(read(&file, 200).unwrap(), b"sound");
    assert!(!file.health().is_down());
}

#[test]
fn a_write_that_fails_once_is_tried_again() {
    for (on, effect) in [(OpKind::Write, Effect::DeviceError), (OpKind::Write, Effect::StorageFull)] {
        let disk = SimDisk::new(1);
        let (file, _) = ten(&disk, PageSize::K4);
        make(&file, 200, b"new", at(1), at(2));
        disk.add_fault(Fault::once(on, effect));
        file.flush().unwrap();
        drop(file);
        assert_eq!(reread(&disk.crash_keeping(false), 200).unwrap(), b"new");
    }
}

#[test]
fn what_fails_for_good_takes_the_instance_down() {
    for (fault, in_detail) in [
        (Fault::once(OpKind::Write, Effect::DeviceError).for_good(), "JET_errDiskIO"),
        (Fault::once(OpKind::Write, Effect::StorageFull).for_good(), "JET_errDiskFull"),
        // A sync is not tried again: a second one would succeed and prove nothing.
        (Fault::once(OpKind::Sync, Effect::DeviceError), "JET_errDiskIO"),
    ] {
        let disk = SimDisk::new(1);
        let (file, _) = ten(&disk, PageSize::K4);
        make(&file, 200, b"new", at(1), at(2));
        disk.add_fault(fault);
        let error = file.flush().unwrap_err();
        assert_eq!(error.code(), JetErr::InstanceUnavailable);
        assert!(error.detail().contains(in_detail), "{error}");
        assert!(file.health().is_down());
        disk.clear_faults();
        assert_eq!(file.oldest_begin0(), Some(at(1)), "the checkpoint stays");
        for error in [
            file.flush().unwrap_err(),
            file.read(PageNumber(201)).unwrap_err(),
            file.write(PageNumber(200)).unwrap_err(),
            file.fresh(PageNumber(202)).unwrap_err(),
        ] {
            assert_eq!(error.code(), JetErr::InstanceUnavailable);
        }
    }
}

/// Pages that are cut off the file are gone at once, but the checkpoint passes what they lacked only when the cut is
/// durable: not before it, and never when it failed.
#[test]
fn the_checkpoint_waits_for_a_cut_of_the_file() {
    let disk = SimDisk::new(1);
    for fails in [false, true] {
        let (file, _) = ten(&disk, PageSize::K4);
        make(&file, 200, b"new", at(3), at(4));
        let cut = || {
            assert_eq!((file.dirty_pages(), file.oldest_begin0()), (0, Some(at(3))));
            file.sync()?;
            assert_eq!(file.oldest_begin0(), Some(at(3)), "a sync before the cut proves nothing");
            if fails { Err(JetErr::DiskIO.into()) } else { Ok(()) }
        };
        assert_eq!(file.cut_from(PageNumber(150), cut).is_err(), fails);
        assert_eq!(file.oldest_begin0(), Some(at(3)));
        file.sync().unwrap();
        assert_eq!(file.oldest_begin0(), fails.then_some(at(3)));
    }
}

#[test]
fn a_failed_log_keeps_pages_in_memory_and_reads_going() {
    let disk = SimDisk::new(1);
    let (file, log) = ten(&disk, PageSize::K4);
    make(&file, 200, b"new", at(3), at(4));
    *log.fails.lock() = true;
    assert_eq!(file.flush().unwrap_err().code(), JetErr::LogWriteFail);
    assert_eq!((file.dirty_pages(), file.oldest_begin0()), (1, Some(at(3))));
    assert!(!file.health().is_down());
    assert_eq!(read(&file, 200).unwrap(), b"new");
    assert_eq!(read(&file, 201).unwrap(), b"sound");
    assert_eq!(reread(&disk.kill(), 200).unwrap(), b"sound", "the page waits for the log");
    *log.fails.lock() = false;
    file.flush().unwrap();
    drop(file);
    assert_eq!(reread(&disk, 200).unwrap(), b"new");
}

#[test]
fn a_change_during_a_write_is_written_later() {
    use crate::sync::atomic::{AtomicBool, Ordering};
    let disk = SimDisk::new(1);
    let (file, _) = ten(&disk, PageSize::K4);
    make(&file, 200, b"first", at(3), at(4));
    // The disk calls while the page is being written: its latch must be free then.
    let once = AtomicBool::new(true);
    let during = file.clone();
    disk.set_hook(Some(Arc::new(move || {
        if once.swap(false, Ordering::Relaxed) {
            make(&during, 200, b"second", at(5), at(6));
            assert_eq!(during.oldest_begin0(), Some(at(3)));
        }
    })));
    file.flush().unwrap();
    disk.set_hook(None);
    assert_eq!((file.dirty_pages(), file.oldest_begin0()), (1, Some(at(5))));
    assert_eq!(reread(&disk.kill(), 200).unwrap(), b"first");
    file.flush().unwrap();
    assert_eq!(reread(&disk.kill(), 200).unwrap(), b"second");
}

#[test]
fn an_unsound_page_never_reaches_the_disk() {
    let disk = SimDisk::new(1);
    let (file, _) = ten(&disk, PageSize::K4);
    let mut guard = file.write(PageNumber(200)).unwrap();
    // A leaf without lines but the flag of an index page: formatted, not filled.
    let new = NewPage {
        number: PageNumber(200),
        object: ObjectId(9),
        db_time: DbTime(99),
        flags: PageFlags::empty(),
        reserved_tags: false,
    };
    let mut page = guard.format(new).unwrap();
    page.insert_line(0, &[b"no node"], LineFlags::empty()).unwrap();
    assert!(page.view().check().is_err());
    guard.changed(at(1), at(2));
    drop(guard);
    assert_eq!(file.flush().unwrap_err().code(), JetErr::InstanceUnavailable);
    assert_eq!(reread(&disk.kill(), 200).unwrap(), b"sound");
}
