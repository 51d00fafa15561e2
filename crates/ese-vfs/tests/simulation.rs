//! What the simulated disk may do to its users, and what it may not.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use ese_vfs::sim::{Effect, Fault, OpKind, PowerOff, SimRng};
use ese_vfs::{Disk, File, OpenMode, SimDisk};

const BLOCK: usize = 4096;
const SEEDS: u64 = 300;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn create(disk: &SimDisk, name: &str) -> Arc<dyn File> {
    disk.open(path(name), OpenMode::CreateNew).unwrap()
}

/// A disk with `/f`, whose `blocks` blocks of ones are surely on the disk.
fn disk_with_ones(blocks: usize) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(0);
    disk.install(path("/f"), &vec![1; blocks * BLOCK]).unwrap();
    let file = disk.open(path("/f"), OpenMode::Write).unwrap();
    (disk, file)
}

#[test]
fn synced_bytes_survive_every_crash_and_others_some() {
    let (disk, file) = disk_with_ones(1);
    file.write_at(&[2; BLOCK], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[3; BLOCK], BLOCK as u64).unwrap();
    assert!(disk.is_unsynced(path("/f")).unwrap());
    let mut lost = 0;
    for seed in 0..SEEDS {
        let found = disk.crash(seed).content(path("/f")).unwrap();
        assert_eq!(found[..BLOCK], [2; BLOCK]);
        match found.len() {
            BLOCK => lost += 1,
            len => assert_eq!(found[BLOCK..], [3; BLOCK], "length {len}"),
        }
    }
    assert!(lost > SEEDS / 10 && lost < SEEDS * 9 / 10, "{lost} of {SEEDS} lost");
}

#[test]
fn a_write_tears_between_blocks_and_never_inside() {
    let (disk, file) = disk_with_ones(3);
    file.write_at(&[2; 3 * BLOCK], 0).unwrap();
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let found = disk.crash(seed).content(path("/f")).unwrap();
        let blocks: Vec<u8> = found.chunks(BLOCK).map(|block| block[0]).collect();
        for (block, first) in found.chunks(BLOCK).zip(&blocks) {
            assert!(block.iter().all(|byte| byte == first), "seed {seed}: a block is torn");
        }
        outcomes.insert(blocks);
    }
    assert_eq!(outcomes.len(), 8, "every subset of three blocks is met: {outcomes:?}");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let (disk, file) = disk_with_ones(2);
    file.write_at(&[2; 8], 0).unwrap();
    file.write_at(&[2; 8], BLOCK as u64).unwrap();
    let reordered = (0..SEEDS).any(|seed| {
        let found = disk.crash(seed).content(path("/f")).unwrap();
        found[0] == 1 && found[BLOCK] == 2
    });
    assert!(reordered);
}

#[test]
fn a_length_is_as_uncertain_as_a_write() {
    let (disk, file) = disk_with_ones(3);
    file.set_len(BLOCK as u64).unwrap();
    let lengths: BTreeSet<_> = (0..SEEDS).map(|seed| disk.crash(seed).files()[0].1).collect();
    assert_eq!(lengths, BTreeSet::from([BLOCK as u64, 3 * BLOCK as u64]));
    file.sync().unwrap();
    assert!((0..SEEDS).all(|seed| disk.crash(seed).files()[0].1 == BLOCK as u64));
}

#[test]
fn a_new_name_needs_a_sync_of_its_folder() {
    let disk = SimDisk::new(0);
    let file = create(&disk, "/f");
    file.write_at(b"x", 0).unwrap();
    file.sync().unwrap();
    let there = |disk: &SimDisk| (0..SEEDS).filter(|s| disk.crash(*s).exists(path("/f"))).count();
    let found = there(&disk);
    assert!(found > 0 && found < SEEDS as usize, "{found} of {SEEDS}");
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(there(&disk), SEEDS as usize);
    disk.remove_file(path("/f")).unwrap();
    let found = there(&disk);
    assert!(found > 0 && found < SEEDS as usize, "{found} of {SEEDS}");
}

#[test]
fn a_rename_happens_wholly_or_not_at_all() {
    let disk = SimDisk::new(0);
    for (name, content) in [("/a/old", "moved"), ("/b/new", "replaced")] {
        disk.install(path(name), content.as_bytes()).unwrap();
    }
    disk.rename(path("/a/old"), path("/b/new")).unwrap();
    let mut moved = 0;
    for seed in 0..SEEDS {
        let found = disk.crash(seed);
        let at_new = found.content(path("/b/new")).unwrap();
        match found.content(path("/a/old")) {
            Ok(old) => assert_eq!((&old[..], &at_new[..]), (&b"moved"[..], &b"replaced"[..])),
            Err(_) => {
                assert_eq!(at_new, b"moved");
                moved += 1;
            }
        }
    }
    assert!(moved > 0 && moved < SEEDS);
    disk.sync_dir(path("/b")).unwrap();
    assert!((0..SEEDS).all(|seed| !disk.crash(seed).exists(path("/a/old"))));
}

#[test]
fn what_a_failed_sync_covered_no_later_sync_saves() {
    let (disk, file) = disk_with_ones(2);
    file.write_at(&[2; BLOCK], 0).unwrap();
    disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).of("/f"));
    assert!(file.sync().is_err());
    file.write_at(&[3; BLOCK], BLOCK as u64).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.content(path("/f")).unwrap()[0], 2, "programs still see it");
    let mut lost = 0;
    for seed in 0..SEEDS {
        let found = disk.crash(seed).content(path("/f")).unwrap();
        assert_eq!(found[BLOCK], 3, "what was written after the failure is synced");
        lost += u64::from(found[0] == 1);
    }
    assert!(lost > 0 && lost < SEEDS);
    // Written again and synced, it is safe.
    file.write_at(&[2; BLOCK], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash_keeping(false).content(path("/f")).unwrap()[0], 2);
}

#[test]
fn the_power_goes_at_the_chosen_operation() {
    let run = |disk: &SimDisk| -> std::io::Result<()> {
        let file = disk.open(path("/f"), OpenMode::CreateNew)?;
        file.try_lock(true)?;
        let _folder = disk.lock_dir(path("/"))?;
        file.write_at(&[1; 10], 0)?;
        file.sync()?;
        file.set_len(5)?;
        disk.rename(path("/f"), path("/g"))?;
        disk.sync_dir(path("/"))?;
        disk.remove_file(path("/g"))
    };
    let whole = SimDisk::new(0);
    run(&whole).unwrap();
    assert_eq!(whole.operations(), 7);
    for cut in 0..7 {
        let disk = SimDisk::new(0);
        disk.cut_after(cut);
        assert!(PowerOff::is(&run(&disk).unwrap_err()), "cut after {cut}");
        assert_eq!(disk.operations(), cut);
        assert!(disk.is_off());
        assert!(PowerOff::is(&disk.metadata(path("/")).unwrap_err()));
        let again = disk.crash(cut);
        assert_eq!(again.operations(), 0);
        for (name, _) in again.files() {
            again.open(&name, OpenMode::Write).unwrap().try_lock(true).unwrap();
        }
        again.lock_dir(path("/")).unwrap();
    }
}

#[test]
fn locks_do_not_outlive_a_process_but_writes_do() {
    let (disk, file) = disk_with_ones(1);
    file.try_lock(true).unwrap();
    file.write_at(&[2; BLOCK], 0).unwrap();
    let next = disk.kill();
    assert_eq!(next.content(path("/f")).unwrap(), [2; BLOCK]);
    next.open(path("/f"), OpenMode::Write).unwrap().try_lock(true).unwrap();
    assert_eq!(next.crash_keeping(false).content(path("/f")).unwrap(), [1; BLOCK]);
    file.write_at(&[9; BLOCK], 0).unwrap();
    assert_eq!(next.content(path("/f")).unwrap(), [2; BLOCK], "the old process writes into the void");
}

#[test]
fn a_full_disk_takes_the_beginning() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(3 * BLOCK as u64));
    let file = create(&disk, "/f");
    file.set_len(100 * BLOCK as u64).unwrap();
    assert_eq!(disk.used(), 0, "a length alone takes no space");
    let error = file.write_at(&[1; 4 * BLOCK], 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.used(), 3 * BLOCK as u64);
    file.write_at(&[2; BLOCK], BLOCK as u64).unwrap();
    let other = create(&disk, "/g");
    assert_eq!(other.allocate(1).unwrap_err().kind(), ErrorKind::StorageFull);
    file.set_len(0).unwrap();
    other.allocate(3 * BLOCK as u64).unwrap();
    assert!(file.write_at(&[1], 0).is_err());
    disk.remove_file(path("/g")).unwrap();
    file.write_at(&[1], 0).unwrap();
    assert_eq!(disk.used(), BLOCK as u64);
}

#[test]
fn faults_strike_what_they_name() {
    let (disk, file) = disk_with_ones(1);
    disk.install(path("/other"), b"x").unwrap();
    let other = disk.open(path("/other"), OpenMode::Write).unwrap();
    disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("/f").after(1));
    file.write_at(b"ok", 0).unwrap();
    other.write_at(b"ok", 0).unwrap();
    assert!(file.write_at(b"no", 0).is_err());
    file.write_at(b"ok", 0).unwrap();
    disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).for_good());
    for _ in 0..3 {
        assert_eq!(other.write_at(b"no", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    }
    disk.clear_faults();
    other.write_at(b"ok", 0).unwrap();

    file.sync().unwrap();
    disk.add_fault(Fault::once(OpKind::Write, Effect::LostWrite));
    file.write_at(b"lost", 0).unwrap();
    assert_eq!(disk.content(path("/f")).unwrap()[..4], *b"ok\x01\x01");
    file.write_at(b"new!", 0).unwrap();
    let mut buf = [0; 4];
    disk.add_fault(Fault::once(OpKind::Read, Effect::StaleRead));
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"ok\x01\x01");
    disk.add_fault(Fault::once(OpKind::Read, Effect::FlippedRead));
    file.read_exact_at(&mut buf, 0).unwrap();
    let flipped: u32 = buf.iter().zip(b"new!").map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(flipped, 1);
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"new!");
}

#[test]
fn rot_reaches_the_disk_itself() {
    let (disk, file) = disk_with_ones(2);
    disk.flip_bit(path("/f"), 5000, 3).unwrap();
    assert!(disk.flip_bit(path("/f"), 9000, 0).is_err());
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5000).unwrap();
    assert_eq!(byte, [1 ^ 8]);
    assert_eq!(disk.crash_keeping(false).content(path("/f")).unwrap()[5000], 1 ^ 8);
    assert_eq!(disk.rot(path("/f"), 5, 1).unwrap().len(), 5);
}

/// A long run that uses everything; returns its last disk.
fn random_run(seed: u64) -> (SimDisk, Vec<String>) {
    let mut rng = SimRng::new(seed);
    let mut disk = SimDisk::new(seed);
    let mut lines = Vec::new();
    disk.set_capacity(Some(200 * BLOCK as u64));
    for _ in 0..400 {
        let name = format!("/{}", rng.below(6));
        let (name, offset) = (Path::new(&name), rng.below(20_000));
        let done = match rng.below(9) {
            0 => disk.open(name, OpenMode::Create).map(drop),
            1 => disk.remove_file(name),
            2 => disk.rename(name, Path::new(&format!("/{}", rng.below(6)))),
            3 => disk.sync_dir(path("/")),
            4 => {
                disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).after(rng.below(9)));
                Ok(())
            }
            5 if rng.chance(1, 5) => {
                lines.extend(disk.trace().iter().map(ToString::to_string));
                disk = disk.crash(rng.next_u64());
                Ok(())
            }
            other => disk.open(name, OpenMode::Write).and_then(|file| match other {
                6 => file.sync(),
                7 => file.set_len(offset),
                _ => file.write_at(&vec![rng.below(256) as u8; 9000], offset),
            }),
        };
        lines.push(format!("{:?}", done.map_err(|e| e.kind())));
    }
    lines.extend(disk.trace().iter().map(ToString::to_string));
    lines.push(format!("{:?} {} bytes", disk.files(), disk.used()));
    for (name, _) in disk.files() {
        lines.push(format!("{:?}", disk.content(&name).unwrap()));
    }
    (disk, lines)
}

#[test]
fn a_run_repeats_from_its_seed() {
    for seed in 0..5 {
        let (disk, lines) = random_run(seed);
        assert!(lines == random_run(seed).1, "seed {seed} gave two different runs");
        assert!(lines != random_run(seed + 1).1);
        // The space account agrees with a fresh count after a crash that loses nothing.
        assert_eq!(disk.crash_keeping(true).used(), disk.used());
    }
}
