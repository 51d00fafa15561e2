//! Damaged, lost and foreign files.

use super::*;

/// A log with five flushed segments.
fn five_segments() -> SimDisk {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    for n in 0..5 {
        log.append(&record(n, 1000)).unwrap();
        log.flush_all().unwrap();
    }
    disk
}

#[test]
fn one_flipped_bit_is_corrected_and_more_are_damage() {
    let path = Path::new("/edb.log");
    let disk = five_segments();
    let good = read_all(&disk).unwrap();
    disk.flip_bit(path, 3 * 4096 + 777, 4).unwrap();
    assert_eq!(read_all(&disk).unwrap(), good);
    disk.flip_bit(path, 3 * 4096 + 1777, 2).unwrap();
    let damage = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(damage.code(), JetErr::LogFileCorrupt);
    // The segment behind tells that the log had been durable there.
    assert_eq!(damage.log_position(), Some(LogPosition::new(Generation(1), 4, 0)));
    assert!(damage.detail().contains("1:3:0"), "{damage}");
    let hard = ReadOptions { hard_restore_to: Some(Generation(1)), ..ReadOptions::default() };
    let files = config(&disk).files().unwrap();
    let mut reader = LogReader::open(files, LogPosition::start_of(Generation(1)), hard).unwrap();
    let damage = loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the damage was not found"),
            Err(e) => break e,
        }
    };
    assert_eq!(damage.code(), JetErr::LogCorruptDuringHardRestore);
    // The last segment: acknowledged, so this is no end of the log either.
    let disk = five_segments();
    disk.flip_bit(path, 5 * 4096 + 1000, 1).unwrap();
    disk.flip_bit(path, 5 * 4096 + 2000, 2).unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap_err().code(), JetErr::LogFileCorrupt);
    // The header has no second copy and no correction.
    let disk = five_segments();
    disk.flip_bit(path, 9, 1).unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap_err().code(), JetErr::LogFileCorrupt);
}

#[test]
fn a_lost_acknowledged_segment_is_damage() {
    let disk = five_segments();
    let path = Path::new("/edb.log");
    let mut bytes = disk.content(path).unwrap();
    bytes[3 * 4096..4 * 4096].fill(0);
    disk.install(path, &bytes).unwrap();
    let damage = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(damage.code(), JetErr::LogFileCorrupt);
    // The segment behind tells that the log had been durable there.
    assert_eq!(damage.log_position(), Some(LogPosition::new(Generation(1), 4, 0)));
    assert!(damage.detail().contains("1:3:0"), "{damage}");
}

#[test]
fn broken_chains_have_their_own_errors() {
    let make = || {
        let disk = SimDisk::new(1);
        let log = create(&disk);
        for n in 0..4 {
            log.append(&record(n, 100)).unwrap();
            log.force_new_generation().unwrap();
        }
        disk
    };
    let code = |disk: &SimDisk| {
        read_from(disk, LogPosition::start_of(Generation(1))).map(|_| ()).map_err(|e| e.code())
    };
    let edit = |disk: &SimDisk, path: &str, change: &dyn Fn(&mut LogHeader)| {
        let mut bytes = disk.content(Path::new(path)).unwrap();
        let mut header = LogHeader::decode(&bytes).unwrap();
        change(&mut header);
        bytes[..4096].copy_from_slice(&header.encode().unwrap());
        disk.install(Path::new(path), &bytes).unwrap();
    };
    let disk = make();
    assert_eq!(code(&disk), Ok(()));
    let third = "/edb00003.log";
    disk.remove_file(Path::new(third)).unwrap();
    assert_eq!(code(&disk), Err(JetErr::MissingLogFile));
    disk.remove_file(Path::new("/edb00001.log")).unwrap();
    assert_eq!(code(&disk), Err(JetErr::MissingPreviousLogFile));
    disk.remove_file(Path::new("/edb.log")).unwrap();
    let lost = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(lost.code(), JetErr::MissingLogFile);

    type Change = Box<dyn Fn(&mut LogHeader)>;
    let changes: [(JetErr, Change); 6] = [
        (JetErr::InvalidLogSequence, Box::new(|h| h.previous_created.raw[0] ^= 1)),
        (JetErr::BadLogSignature, Box::new(|h| h.signature.random ^= 1)),
        (JetErr::LogSequenceChecksumMismatch, Box::new(|h| h.previous_checksum ^= 1)),
        (JetErr::LogGenerationMismatch, Box::new(|h| h.generation.0 += 1)),
        (JetErr::BadLogVersion, Box::new(|h| h.version.update_major = 9999)),
        (JetErr::LogFileSizeMismatch, Box::new(|h| h.file_sectors += 1)),
    ];
    for (expected, change) in changes {
        let disk = make();
        edit(&disk, third, &*change);
        assert_eq!(code(&disk), Err(expected));
    }
    let disk = make();
    let files = config(&disk).files().unwrap();
    let page_size = Some(ese_format::primitives::PageSize::K8);
    let options = ReadOptions { page_size, ..ReadOptions::default() };
    let refused = LogReader::open(files, LogPosition::start_of(Generation(1)), options).err().unwrap();
    assert_eq!(refused.code(), JetErr::PageSizeMismatch);
}

#[test]
fn checkpoints_survive_a_crash_at_every_operation() {
    use ese_format::checkpoint::Checkpoint;
    let path = Path::new("/edb.chk");
    let signature = crate::clock::Clock::new_signature(&SeededClock::new(3));
    let at = |n: u16| Checkpoint::new(signature, LogPosition::new(Generation(1), n, 0));
    let missing = read_checkpoint(&SimDisk::new(1), path, None).unwrap_err();
    assert_eq!(missing.code(), JetErr::CheckpointFileNotFound);
    for cut in 0..16 {
        let disk = SimDisk::new(1);
        disk.cut_after(cut);
        let mut written = 0;
        for n in 1..=3 {
            if write_checkpoint(&disk, path, &at(n)).is_ok() {
                written = n;
            }
        }
        for seed in 0..4 {
            match read_checkpoint(&disk.crash(seed), path, Some(&signature)) {
                Ok(found) => assert!((written..=written + 1).contains(&found.checkpoint.segment)),
                Err(_) => assert_eq!(written, 0),
            }
        }
    }
    let disk = SimDisk::new(1);
    write_checkpoint(&disk, path, &at(1)).unwrap();
    let other = read_checkpoint(&disk, path, Some(&Default::default())).unwrap_err();
    assert_eq!(other.code(), JetErr::BadCheckpointSignature);
    disk.flip_bit(path, 20, 0).unwrap();
    assert_eq!(read_checkpoint(&disk, path, Some(&signature)).unwrap().checkpoint.segment, 1);
    disk.flip_bit(path, 4096 + 20, 0).unwrap();
    assert_eq!(read_checkpoint(&disk, path, None).unwrap_err().code(), JetErr::CheckpointCorrupt);
}
