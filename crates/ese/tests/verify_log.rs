//! Checking log files: Windows' own, and streams with every kind of broken link.

use ese::JetErr;
use ese::offline::{StreamReport, verify_log_file, verify_log_stream};
use ese_format::log::record::{Begin0, Levels, Mark, Nop2, RecoveryUndo2};
use ese_format::log::segment::{SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Segment, seal_segment};
use ese_format::log::{LogHeader, LogRecord, SegmentHeader};
use ese_format::{Generation, LogPosition, LogTime, PageSize, Signature};
use ese_testbench::samples::sample;
use ese_vfs::RealDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn unpack(test: &str, name: &str, to: &Path) -> Option<PathBuf> {
    let path = to.join("edb.log");
    std::fs::write(&path, sample(test, name)?).unwrap();
    Some(path)
}

#[test]
fn windows_logs_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (name, segments, records, last, next_to_last_bit) in [
        ("win10-secedit-log/edb.log", 157, 2573, LogPosition::new(Generation(1), 157, 2626), 90_000),
        ("win11-secedit-log-empty/edb.log", 1, 3, LogPosition::new(Generation(1), 1, 616), 4096 * 8 + 9000),
    ] {
        let Some(path) = unpack("windows_logs_are_sound", name, folder.path()) else { return };
        let report = verify_log_file(&RealDisk::new(), &path, true).unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!((report.segments, report.records, report.last_record), (segments, records, Some(last)));
        assert!(!report.is_closed && report.cut_record.is_none() && report.corrected.is_empty());
        // A flipped bit is corrected in memory and reported; the file stays as it is.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[next_to_last_bit / 8] ^= 1 << (next_to_last_bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let report = verify_log_file(&RealDisk::new(), &path, true).unwrap();
        assert!(report.is_sound());
        let bits = SEGMENT_BYTES * 8;
        assert_eq!(report.corrected, [((next_to_last_bit / bits) as u16, next_to_last_bit % bits)]);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn damage_in_the_middle_is_reported_with_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let name = "damage_in_the_middle_is_reported_with_its_position";
    let Some(path) = unpack(name, "win10-secedit-log/edb.log", folder.path()) else { return };
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20 * SEGMENT_BYTES + 1000..20 * SEGMENT_BYTES + 1017].fill(0x5A);
    std::fs::write(&path, &bytes).unwrap();
    let report = verify_log_file(&RealDisk::new(), &path, true).unwrap();
    assert_eq!(report.problem_count, 1);
    assert_eq!(report.problems[0].code(), JetErr::LogFileCorrupt);
    bytes.truncate(30 * SEGMENT_BYTES);
    std::fs::write(&path, &bytes[..15 * SEGMENT_BYTES + 77]).unwrap();
    let report = verify_log_file(&RealDisk::new(), &path, true).unwrap();
    let codes: Vec<_> = report.problems.iter().map(|e| e.code()).collect();
    assert_eq!(codes, [JetErr::LogFileSizeMismatch, JetErr::LogFileCorrupt]);
    std::fs::write(&path, &bytes[..100]).unwrap();
    assert_eq!(verify_log_file(&RealDisk::new(), &path, true).unwrap_err().code(), JetErr::LogFileCorrupt);
}

/// A small log file in memory.
struct Generated {
    header: LogHeader,
    segments: Vec<Segment>,
}

impl Generated {
    fn checksum(&self) -> u64 {
        let sums = self.segments.iter().map(|s| u64::from_le_bytes(s[..8].try_into().unwrap()));
        sums.fold(0, |sum, one| sum ^ one)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.encode().unwrap();
        self.segments.iter().for_each(|segment| bytes.extend_from_slice(segment));
        bytes.resize(self.header.file_sectors as usize * SEGMENT_BYTES, 0);
        bytes
    }
}

/// A segment with these records, filled to its end.
fn segment(generation: Generation, number: u16, records: &[LogRecord]) -> Segment {
    let mut data = Vec::new();
    records.iter().for_each(|record| record.encode_into(&mut data).unwrap());
    let room = SEGMENT_BYTES - SEGMENT_HEADER_BYTES - data.len();
    if room >= Nop2::MIN_BYTES {
        LogRecord::Nop2(Nop2 { fill: (room - Nop2::MIN_BYTES) as u32 }).encode_into(&mut data).unwrap();
    }
    let mut segment = [0; SEGMENT_BYTES];
    let header = SegmentHeader::new(generation, number, LogTime::NONE, LogPosition::NONE);
    segment[..SEGMENT_HEADER_BYTES].copy_from_slice(&header.encode());
    segment[SEGMENT_HEADER_BYTES..][..data.len()].copy_from_slice(&data);
    seal_segment(&mut segment, number);
    segment
}

/// Three generations that continue each other.
fn stream() -> Vec<Generated> {
    let mut files: Vec<Generated> = Vec::new();
    for number in 14..17u32 {
        let generation = Generation(number);
        let signature = Signature { random: 77, ..Signature::NONE };
        let created = LogTime::from_utc(2025, 1, 2, 3, 4, number as u8, 0);
        let mut header = LogHeader::new(generation, 8, PageSize::K4, signature, created);
        if let Some(before) = files.last() {
            header.previous_created = before.header.created;
            header.previous_checksum = before.checksum();
        }
        let begin =
            LogRecord::Begin0(Begin0 { session: 5, levels: Levels { from: 0, count: 1 }, begin0: number });
        let segments = vec![
            segment(generation, 1, &[begin]),
            segment(generation, 2, &[LogRecord::ShutDownMark(Mark {})]),
        ];
        files.push(Generated { header, segments });
    }
    files
}

fn check(files: &[Generated]) -> StreamReport {
    let folder = tempfile::tempdir().unwrap();
    for (at, file) in files.iter().enumerate() {
        let name = if at + 1 == files.len() {
            "edb.log".to_owned()
        } else {
            format!("edb{:05X}.log", file.header.generation.0)
        };
        std::fs::write(folder.path().join(name), file.bytes()).unwrap();
    }
    for other in ["edbtmp.log", "edbres00001.jrs", "V0100001.log", "edb.chk"] {
        std::fs::write(folder.path().join(other), b"not one of ours").unwrap();
    }
    verify_log_stream(Arc::new(RealDisk::new()), folder.path(), "edb").unwrap()
}

fn codes(files: &[Generated]) -> Vec<JetErr> {
    let report = check(files);
    assert!(report.files.iter().all(|file| file.is_sound()));
    report.problems.iter().map(|e| e.code()).collect()
}

#[test]
fn a_whole_stream_is_sound() {
    let report = check(&stream());
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.files.len(), 3);
}

#[test]
fn broken_links_are_named() {
    let mut files = stream();
    files[1].header.previous_created = LogTime::NONE;
    assert_eq!(codes(&files), [JetErr::InvalidLogSequence]);

    let mut files = stream();
    files[2].header.previous_checksum ^= 1;
    assert_eq!(codes(&files), [JetErr::LogSequenceChecksumMismatch]);

    let mut files = stream();
    files[2].header.signature.random = 78;
    assert_eq!(codes(&files), [JetErr::BadLogSignature]);

    let mut files = stream();
    files.remove(1);
    assert_eq!(codes(&files), [JetErr::MissingLogFile]);

    // The last segment of an archive was lost: the file alone looks sound, the next header knows.
    let mut files = stream();
    files[1].segments.pop();
    assert_eq!(codes(&files), [JetErr::LogSequenceChecksumMismatch]);
}

#[test]
fn a_cut_record_is_sound_only_before_a_recovery() {
    for (first, expected) in [
        (LogRecord::RecoveryUndo2(RecoveryUndo2 { time: LogTime::NONE }), vec![]),
        (LogRecord::ShutDownMark(Mark {}), vec![JetErr::LogFileCorrupt]),
    ] {
        let mut files = stream();
        files.remove(0);
        let piece = vec![22; SEGMENT_BYTES - SEGMENT_HEADER_BYTES - 7];
        let cut = LogRecord::FragmentBegin(ese_format::log::record::FragmentBegin { total: 9000, piece });
        files[0].segments[1] = segment(Generation(15), 2, &[cut]);
        files[1].header.previous_checksum = files[0].checksum();
        files[1].segments[0] = segment(Generation(16), 1, &[first]);
        assert_eq!(codes(&files), expected);
    }
}

#[test]
fn an_empty_folder_has_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let error = verify_log_stream(Arc::new(RealDisk::new()), folder.path(), "edb").unwrap_err();
    assert_eq!(error.code(), JetErr::MissingLogFile);
}
