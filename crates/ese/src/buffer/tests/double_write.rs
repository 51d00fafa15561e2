//! Pages that tear, and what mends them.

use super::*;
use ese_vfs::sim::{Effect, Fault, OpKind, SimRng};
use ese_vfs::{Disk, OpenMode};

const SYSTEM: &str = "/";

fn open_double_write(disk: &SimDisk) -> DoubleWrite {
    DoubleWrite::open(disk, Path::new(SYSTEM), "edb").unwrap()
}

fn double_written(disk: &SimDisk, file: Arc<DbFile>) -> Arc<CachedFile> {
    let cache = PageCache::new(8 << 20);
    let double_write = open_double_write(disk);
    double_write.void().unwrap();
    CachedFile::with_parts(
        &cache,
        FileParts {
            id: 1,
            file,
            log: Arc::new(FakeLog::default()),
            images: Arc::new(NoBeforeImages),
            health: Arc::new(Health::new()),
            double_write: Some(Arc::new(double_write)),
        },
    )
}

/// Content of a page in a round: noise that fills most of it, for a pattern could tear unnoticed.
fn content(page_size: PageSize, page: u32, round: u8) -> Vec<u8> {
    let mut rng = SimRng::new(u64::from(page) << 8 | u64::from(round));
    (0..page_size.bytes().min(8192) - 300).map(|_| rng.below(256) as u8).collect()
}

/// Writes the pages 200 to 239 of a round; many of them are in one batch with gaps in between.
fn write_round(file: &Arc<CachedFile>, round: u8) -> Result<()> {
    for page in (200..240).filter(|page| page % 5 != 0) {
        make(file, page, &content(file.page_size(), page, round), at(round.into()), at(round.into()));
    }
    file.flush()
}

/// What a page holds that was in rounds up to `last`: its round.
fn round_of(file: &Arc<CachedFile>, page: u32, last: u8) -> u8 {
    let found = read(file, page).unwrap();
    (0..=last).find(|round| found == content(file.page_size(), page, *round)).expect("no mixture of rounds")
}

#[test]
fn a_crash_at_any_operation_leaves_whole_pages() {
    for page_size in [PageSize::K8, PageSize::K32] {
        let prepare = |disk: &SimDisk| {
            database(disk, page_size, 300);
            let file = double_written(disk, open(disk, Intent::Write));
            write_round(&file, 1).unwrap();
            file
        };
        let disk = SimDisk::new(3);
        let file = prepare(&disk);
        let begin = disk.operations();
        write_round(&file, 2).unwrap();
        let operations = disk.operations();
        let mut repaired = 0;
        for cut in begin..=operations {
            let disk = SimDisk::new(3);
            let file = prepare(&disk);
            disk.cut_after(cut);
            let result = write_round(&file, 2);
            assert_eq!(result.is_ok(), cut == operations);
            for seed in 0..6 {
                let disk = disk.crash(seed);
                let file = open(&disk, Intent::Write);
                let mended = open_double_write(&disk).repair(&file, at(9)).unwrap();
                repaired += mended.len();
                let file = double_written(&disk, file);
                for page in (200..240).filter(|page| page % 5 != 0) {
                    let round = round_of(&file, page, 2);
                    assert!(round == 2 || round == 1 && result.is_err());
                }
                let candidates =
                    open_double_write(&disk).repair_candidates(&BatchTarget::of(file.file()), at(9));
                assert_eq!(candidates.unwrap(), [], "a start voids the batch");
            }
        }
        assert!(repaired > 0, "pages of {page_size} must tear for the test to mean anything");
    }
}

#[test]
fn without_it_pages_tear() {
    // The counterpart of the test above: were there no tears, it would prove nothing.
    let mut torn = 0;
    for cut_and_seed in 0..200 {
        let disk = SimDisk::new(cut_and_seed);
        database(&disk, PageSize::K32, 300);
        let cache = PageCache::new(8 << 20);
        let file =
            CachedFile::new(&cache, 1, open(&disk, Intent::Write), Arc::new(NoLog), Arc::new(NoBeforeImages));
        write_round(&file, 1).unwrap();
        disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError));
        write_round(&file, 2).unwrap_err();
        torn += (200..240)
            .filter(|page| page % 5 != 0)
            .filter(|page| reread(&disk.crash(cut_and_seed), *page).is_err())
            .count();
        if torn > 0 {
            return;
        }
    }
    panic!("the disk never tears");
}

/// A disk with a batch in force for pages 200 and 201, which are torn in place.
fn torn(batch_end: LogPosition) -> SimDisk {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K16, 300);
    let file = double_written(&disk, open(&disk, Intent::Write));
    write_round(&file, 1).unwrap();
    let pages = [PageNumber(201), PageNumber(202)];
    let mut images = vec![0; 2 * 16384];
    file.file().read_pages(pages[0], &mut images).unwrap();
    let double_write = open_double_write(&disk);
    double_write
        .write_batch(&BatchTarget::of(file.file()), &pages, &images, batch_end)
        .unwrap()
        .sync()
        .unwrap();
    for (page, image) in pages.into_iter().zip(images.chunks(16384)) {
        let other_half: Vec<_> = image[4096..8192].iter().rev().copied().collect();
        let offset = page.file_offset(PageSize::K16) + 4096;
        file.file().file().write_at(&other_half, offset).unwrap();
    }
    disk
}

fn repair(disk: &SimDisk, log_end: LogPosition) -> Vec<PageNumber> {
    open_double_write(disk).repair(&open(disk, Intent::Write), log_end).unwrap()
}

#[test]
fn only_torn_pages_of_a_batch_in_force_are_mended() {
    let disk = torn(at(5));
    assert_eq!(repair(&disk, at(4)), [], "the log does not reach it");
    assert_eq!(repair(&disk, at(5)), [PageNumber(201), PageNumber(202)]);
    assert_eq!(repair(&disk, at(5)), [], "they are sound now");

    let disk = torn(at(5));
    open_double_write(&disk).void().unwrap();
    assert_eq!(repair(&disk, at(5)), [], "void");

    let disk = torn(at(5));
    DoubleWrite::remove(&disk, Path::new(SYSTEM), "edb").unwrap();
    DoubleWrite::remove(&disk, Path::new(SYSTEM), "edb").unwrap();
    assert_eq!(repair(&disk, at(5)), [], "a new one");
}

#[test]
fn a_batch_is_for_one_database_only() {
    let changes: [fn(&mut ese_format::database::DatabaseHeader); 5] = [
        |header| header.signature.random ^= 1,
        |header| header.log_signature.random ^= 1,
        |header| header.attach_position = at(77),
        // Of two that are the same: not for a copy out of a backup, nor for one that needs no recovery.
        |header| header.current_full_backup.mark = at(3),
        |header| header.state = DatabaseState::CleanShutdown,
    ];
    for change in changes {
        let disk = torn(at(5));
        open(&disk, Intent::Write).update_header(change).unwrap();
        assert_eq!(repair(&disk, at(5)), []);
    }
    let disk = torn(at(5));
    disk.rename(Path::new(PATH), Path::new("/b.edb")).unwrap();
    let clock = Arc::new(SeededClock::new(1));
    let file = DbFile::open(&disk, clock, Path::new("/b.edb"), Intent::Write).unwrap();
    assert_eq!(open_double_write(&disk).repair(&file, at(5)).unwrap(), []);
}

#[test]
fn a_start_repairs_what_the_batch_names_and_voids_it() {
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(SeededClock::new(1));
    let recover = |disk: &SimDisk, log_end| open_double_write(disk).recover(disk, &clock, log_end);
    let disk = torn(at(5));
    assert_eq!(recover(&disk, at(5)).unwrap(), [PageNumber(201), PageNumber(202)]);
    assert_eq!(reread(&disk, 201).unwrap(), content(PageSize::K16, 201, 1));
    let disk = torn(at(5));
    assert_eq!(recover(&disk, at(4)).unwrap(), [], "the log is not of this batch");
    assert_eq!(repair(&disk, at(5)), [], "and the batch is void");
    // Who has the file may still need the batch's images in it.
    let disk = torn(at(5));
    let elsewhere = open(&disk, Intent::Write);
    assert_eq!(recover(&disk, at(5)).unwrap_err().code(), JetErr::FileAccessDenied);
    drop(elsewhere);
    assert_eq!(recover(&disk, at(5)).unwrap().len(), 2);
    let disk = torn(at(5));
    disk.remove_file(Path::new(PATH)).unwrap();
    assert_eq!(recover(&disk, at(5)).unwrap(), []);
    assert_eq!(recover(&SimDisk::new(1), at(5)).unwrap(), [], "no batch at all");
}

#[test]
fn a_recovery_can_crash_anywhere_and_begin_again() {
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(SeededClock::new(1));
    let whole = torn(at(5));
    let begin = whole.operations();
    open_double_write(&whole).recover(&whole, &clock, at(5)).unwrap();
    for cut in begin..=whole.operations() {
        for seed in 0..8 {
            let disk = torn(at(5));
            disk.cut_after(cut);
            let _ = open_double_write(&disk).recover(&disk, &clock, at(5));
            let disk = disk.crash(seed);
            open_double_write(&disk).recover(&disk, &clock, at(5)).unwrap();
            for page in [201, 202] {
                assert_eq!(reread(&disk, page).unwrap(), content(PageSize::K16, page, 1), "cut {cut}");
            }
        }
    }
}

#[test]
fn damage_to_the_double_write_file_is_harmless() {
    let path = DoubleWrite::path(Path::new(SYSTEM), "edb");
    let disk = torn(at(5));
    let len = disk.metadata(&path).unwrap().len;
    let mut rng = SimRng::new(7);
    for _ in 0..200 {
        let disk = disk.kill();
        disk.flip_bit(&path, rng.below(len), rng.below(8) as u8).unwrap();
        let mended = repair(&disk, at(5));
        // Behind the images of this batch there are those of an earlier, larger one.
        assert!(mended.is_empty() || mended.len() == 2);
        for page in mended {
            assert_eq!(reread(&disk, page.0).unwrap(), content(PageSize::K16, page.0, 1));
        }
    }
    for len in [0, 1, 8191, 8192, 8192 + 16384] {
        let disk = disk.kill();
        disk.open(&path, OpenMode::Write).unwrap().set_len(len).unwrap();
        assert_eq!(repair(&disk, at(5)), []);
    }
}

#[test]
fn its_failure_takes_the_instance_down_before_a_page_is_touched() {
    for (on, effect) in [
        (OpKind::Write, Effect::DeviceError),
        (OpKind::Write, Effect::StorageFull),
        (OpKind::Sync, Effect::DeviceError),
    ] {
        let disk = SimDisk::new(1);
        database(&disk, PageSize::K8, 300);
        let file = double_written(&disk, open(&disk, Intent::Write));
        write_round(&file, 1).unwrap();
        let before = disk.content(Path::new(PATH)).unwrap();
        disk.add_fault(Fault::once(on, effect).for_good().of(".dwb"));
        assert_eq!(write_round(&file, 2).unwrap_err().code(), JetErr::InstanceUnavailable);
        assert!(disk.content(Path::new(PATH)).unwrap() == before);
        assert!(file.health().is_down());
    }
}

#[test]
fn small_pages_do_without() {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let file = double_written(&disk, open(&disk, Intent::Write));
    make(&file, 200, b"x", at(1), at(2));
    file.flush().unwrap();
    assert_eq!(file.cache().statistics().double_writes, 0);
    assert_eq!(disk.content(&DoubleWrite::path(Path::new(SYSTEM), "edb")).unwrap(), []);
}
