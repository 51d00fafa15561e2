use super::*;
use crate::event::MemorySink;
use ese_format::empty::EmptyDatabase;
use ese_format::primitives::{BackupInfo, LogPosition, PageSize};
use ese_format::trailer::RequiredRange;
use ese_vfs::SimDisk;

const SIZE: PageSize = PageSize::K4;
const PATH: &str = "/a.edb";

fn signature(random: u32) -> Signature {
    Signature { random, created: LogTime::NONE, computer: [0; 16] }
}

fn header() -> DatabaseHeader {
    let mut header = EmptyDatabase {
        page_size: SIZE,
        pages: 100,
        signature: signature(0xA11CE),
        log_signature: signature(0xB0B),
        time: LogTime::NONE,
        os_version: [10, 0, 19045],
    }
    .encode()
    .unwrap()
    .header;
    header.state = DatabaseState::DirtyShutdown;
    header.min_required = Generation(5);
    header.max_required = Generation(6);
    header.max_committed = Generation(6);
    header.max_committed_time = LogTime::from_utc(2024, 1, 1, 1, 1, 1, 1);
    header.current_full_backup = BackupInfo {
        mark: LogPosition::new(Generation(6), 3, 4),
        time: LogTime::NONE,
        lowest: Generation(5),
        highest: Generation::NONE,
    };
    header
}

fn trailer(header: &DatabaseHeader) -> BackupTrailer {
    BackupTrailer {
        backup: BackupInfo { highest: Generation(8), ..header.current_full_backup },
        database: header.signature,
        log: header.log_signature,
        required: RequiredRange::default(),
    }
}

fn disk(header: &DatabaseHeader, trailer: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    let image = header.encode();
    let bytes = [&image, &image, &vec![7; 3 * SIZE.bytes()], trailer].concat();
    disk.install(Path::new(PATH), &bytes).unwrap();
    disk
}

fn good() -> SimDisk {
    let header = header();
    disk(&header, &trailer(&header).encode(SIZE))
}

fn open(disk: &SimDisk) -> (Result<CheckedCopy>, Vec<u32>) {
    let events = MemorySink::default();
    let result = CheckedCopy::open(disk, Path::new(PATH), &events);
    (result, events.ids())
}

fn refusal(disk: &SimDisk) -> (JetErr, Vec<u32>) {
    let (result, events) = open(disk);
    (result.map(|_| ()).unwrap_err().code(), events)
}

fn given(lowest: u32, highest: u32) -> GivenLogs {
    GivenLogs { lowest: Generation(lowest), highest: Generation(highest), signature: signature(0xB0B) }
}

fn content(disk: &SimDisk) -> Vec<u8> {
    disk.content(Path::new(PATH)).unwrap()
}

#[test]
fn a_plain_database_is_no_backup() {
    let mut plain = header();
    plain.current_full_backup = BackupInfo::NONE;
    let disk = disk(&plain, &trailer(&plain).encode(SIZE));
    assert_eq!(refusal(&disk), (JetErr::RestoreOfNonBackupDatabase, vec![]));
}

#[test]
fn a_lost_or_damaged_trailer_is_told_from_a_foreign_one() {
    let header = header();
    let mut page = trailer(&header).encode(SIZE);
    page[200] ^= 1;
    assert_eq!(refusal(&disk(&header, &page)), (JetErr::BadPatchPage, vec![645]));
    assert_eq!(refusal(&disk(&header, &[])), (JetErr::BadPatchPage, vec![645]));
    let right = trailer(&header);
    for foreign in [
        BackupTrailer { database: signature(1), ..right },
        BackupTrailer { log: signature(1), ..right },
        BackupTrailer { backup: BackupInfo { mark: LogPosition::NONE, ..right.backup }, ..right },
    ] {
        let disk = disk(&header, &foreign.encode(SIZE));
        assert_eq!(refusal(&disk), (JetErr::DatabasePatchFileMismatch, vec![430]));
    }
}

#[test]
fn damaged_headers_and_short_files_are_corrupt() {
    let disk = SimDisk::new(1);
    assert_eq!(refusal(&disk).0, JetErr::FileNotFound);
    disk.install(Path::new(PATH), &vec![9; 5 * SIZE.bytes()]).unwrap();
    assert_eq!(refusal(&disk).0, JetErr::DatabaseCorrupted);
    let image = header().encode();
    disk.install(Path::new(PATH), &[image.clone(), image].concat()).unwrap();
    assert_eq!(refusal(&disk).0, JetErr::DatabaseCorrupted);
}

#[test]
fn a_damaged_primary_header_is_made_good_by_the_shadow() {
    let disk = good();
    let mut bytes = content(&disk);
    bytes[100] ^= 0xFF;
    disk.install(Path::new(PATH), &bytes).unwrap();
    assert_eq!(open(&disk).0.unwrap().signature(), signature(0xA11CE));
}

#[test]
fn logs_that_do_not_reach_are_refused_and_nothing_changes() {
    let disk = good();
    let before = content(&disk);
    let mut foreign = given(5, 8);
    foreign.signature = signature(3);
    for (given, code, event) in [
        (given(6, 8), JetErr::StartingRestoreLogTooHigh, 431),
        (given(5, 7), JetErr::EndingRestoreLogTooLow, 432),
        (foreign, JetErr::DatabasePatchFileMismatch, 430),
    ] {
        let events = MemorySink::default();
        let error = open(&disk).0.unwrap().check_logs(&given, &events).unwrap_err();
        assert_eq!((error.code(), events.ids()), (code, vec![event]));
        assert!(content(&disk) == before);
    }
    open(&disk).0.unwrap().check_logs(&given(5, 8), &MemorySink::default()).unwrap();
    open(&disk).0.unwrap().check_logs(&given(1, 20), &MemorySink::default()).unwrap();
}

#[test]
fn merging_raises_what_the_copy_needs_and_can_be_repeated() {
    let disk = good();
    let merged = open(&disk).0.unwrap().merge_for_restore(&given(5, 9)).unwrap();
    assert_eq!(merged.current_full_backup.highest, Generation(9));
    assert_eq!((merged.min_required, merged.max_required), (Generation(5), Generation(9)));
    assert_eq!((merged.max_committed, merged.max_committed_time), (Generation(9), LogTime::NONE));
    let bytes = content(&disk);
    assert_eq!(DatabaseHeader::decode(&bytes).unwrap(), merged);
    assert_eq!(DatabaseHeader::decode(&bytes[SIZE.bytes()..]).unwrap(), merged);
    assert!(bytes[2 * SIZE.bytes()..5 * SIZE.bytes()].iter().all(|byte| *byte == 7));
    assert!(is_zero(&bytes[5 * SIZE.bytes()..]));
    assert!(is_unfinished(&merged));
    let again = open(&disk).0.unwrap();
    assert_eq!(again.needed(), (Generation(5), Generation(9)));
    assert_eq!(again.merge_for_restore(&given(5, 9)).unwrap(), merged);
    assert!(content(&disk) == bytes);
}

#[test]
fn soft_recovery_takes_the_trailers_range() {
    let disk = good();
    let merged = open(&disk).0.unwrap().merge_for_soft_recovery().unwrap();
    assert_eq!(merged.current_full_backup.highest, Generation(8));
    assert_eq!((merged.max_required, merged.max_committed), (Generation(8), Generation(8)));
    assert_eq!(merged.min_consistent, merged.min_required);
}
