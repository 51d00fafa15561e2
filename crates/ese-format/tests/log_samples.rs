//! Windows' own logs and checkpoints.

use ese_format::checkpoint::Checkpoint;
use ese_format::log::record::diff::apply_diff;
use ese_format::log::segment::{
    SEGMENT_BYTES, Segment, SegmentCheck, SegmentHeader, check_segment, is_zero, seal_segment,
    stored_checksum,
};
use ese_format::log::{Assembler, Found, LogHeader, LogRecord, LogVersion, Scan};
use ese_format::{Generation, LogPosition, PageSize};
use std::io::Read;
use std::path::PathBuf;

fn samples() -> PathBuf {
    std::env::var_os("OPENESE_SAMPLES")
        .map(PathBuf::from)
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into())
}

/// The unpacked sample, or `None` (said once on stderr) where the samples are not installed.
fn sample(test: &str, name: &str) -> Option<Vec<u8>> {
    let root = samples();
    if !root.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{test}: no samples");
        eprintln!("openese: skipped: {test}: no samples");
        return None;
    }
    let file = std::fs::File::open(root.join(name)).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn segment(file: &[u8], at: usize) -> Segment {
    file[at * SEGMENT_BYTES..(at + 1) * SEGMENT_BYTES].try_into().unwrap()
}

#[test]
fn windows_10_header() {
    let Some(log) = sample("windows_10_header", "win10-secedit-log/edb.log.gz") else { return };
    let header = LogHeader::decode(&log).unwrap();
    header.check_version().unwrap();
    assert_eq!(header.generation, Generation(1));
    assert_eq!(header.version, LogVersion::CURRENT);
    assert_eq!(header.page_size().unwrap(), PageSize::K4);
    assert_eq!(header.file_bytes(), log.len() as u64);
    assert_eq!(header.flags, LogHeader::CIRCULAR);
    assert_eq!(header.engine_version, 9180);
    assert!(header.attached.is_empty());
    assert_eq!(header.encode().unwrap(), log[..LogHeader::BYTES]);
}

#[test]
fn windows_11_header() {
    let Some(log) = sample("windows_11_header", "win11-secedit-log-empty/edb.log.gz") else { return };
    let header = LogHeader::decode(&log).unwrap();
    header.check_version().unwrap();
    assert_eq!(header.version.to_string(), "8.4000.60.140");
    assert_eq!(header.encode().unwrap(), log[..LogHeader::BYTES]);
}

#[test]
fn segments_and_their_checksums() {
    let Some(log) = sample("segments_and_their_checksums", "win10-secedit-log/edb.log.gz") else { return };
    let mut accumulated = 0;
    for number in 1..=157u16 {
        let original = segment(&log, number.into());
        let mut copy = original;
        assert_eq!(check_segment(&mut copy, number), SegmentCheck::Good);
        let header = SegmentHeader::decode(&copy).unwrap();
        assert_eq!(header.position, LogPosition::new(Generation(1), number, 0));
        assert_eq!(header.durable_mark(), None);
        assert_eq!(header.encode()[8..], original[8..40]);
        accumulated ^= stored_checksum(&copy);
        copy[..8].fill(0);
        seal_segment(&mut copy, number);
        assert_eq!(copy, original);
    }
    assert_eq!(accumulated, 0x183d_67c2_1fe0_f86b);
    let mut shadow = segment(&log, 158);
    assert_eq!(check_segment(&mut shadow, 158), SegmentCheck::Bad);
    assert_eq!(check_segment(&mut shadow, 157), SegmentCheck::Good);
    // 30 and 31 differ in one bit; segment 30 in place 31 is still a shadow and not a flipped bit.
    let mut shadow = segment(&log, 30);
    assert_eq!(check_segment(&mut shadow, 31), SegmentCheck::Bad);
    assert!((159..256).all(|at| is_zero(&segment(&log, at))));
}

#[test]
fn one_flipped_bit_is_corrected_and_two_are_not() {
    let name = "one_flipped_bit_is_corrected_and_two_are_not";
    let Some(log) = sample(name, "win10-secedit-log/edb.log.gz") else { return };
    let original = segment(&log, 31);
    for bit in 0..SEGMENT_BYTES * 8 {
        let mut copy = original;
        copy[bit / 8] ^= 1 << (bit % 8);
        let check = check_segment(&mut copy, 31);
        if bit == 36 * 8 + 13 {
            assert_eq!(check, SegmentCheck::Bad, "the bit that names the algorithm");
        } else {
            assert_eq!(check, SegmentCheck::Corrected { bit });
            assert_eq!(copy, original);
        }
        let second = (bit * 7919 + 64 * 8) % (SEGMENT_BYTES * 8);
        if second != bit {
            let mut copy = original;
            copy[bit / 8] ^= 1 << (bit % 8);
            copy[second / 8] ^= 1 << (second % 8);
            assert_eq!(check_segment(&mut copy, 31), SegmentCheck::Bad, "bits {bit} and {second}");
        }
    }
}

#[test]
fn checkpoints() {
    for (name, segment) in [("win10-secedit-log/edb.chk.gz", 158), ("win11-secedit-log-empty/edb.chk.gz", 1)]
    {
        let Some(file) = sample("checkpoints", name) else { return };
        assert_eq!(file.len(), Checkpoint::FILE_BYTES);
        let checkpoint = Checkpoint::choose(&file).unwrap();
        assert_eq!(checkpoint.checkpoint, LogPosition::new(Generation(1), segment, 0));
        assert_eq!(checkpoint.encode().unwrap(), file[..Checkpoint::COPY_BYTES]);
        // One damaged copy does not matter, whichever it is; two do.
        for at in [0, Checkpoint::COPY_BYTES] {
            let mut damaged = file.clone();
            damaged[at + 100] ^= 0xFF;
            assert_eq!(Checkpoint::choose(&damaged).unwrap(), checkpoint);
        }
        let mut damaged = file.clone();
        damaged[100] ^= 1;
        damaged[Checkpoint::COPY_BYTES + 200] ^= 1;
        assert!(Checkpoint::choose(&damaged).is_err());
    }
}

/// The listing of a record with the fixture's field names.
fn listing(raw: &ese_format::log::RawRecord<'_>) -> serde_json::Value {
    use ese_format::log::record::FieldValue;
    use serde_json::json;
    let position = |p: LogPosition| json!([p.generation.0, p.segment, p.offset]);
    let record = raw.decode().unwrap();
    let mut object = serde_json::Map::new();
    object.insert("lgpos".into(), position(raw.start));
    object.insert("type".into(), record.code().into());
    object.insert("name".into(), record.name().into());
    object.insert("size".into(), raw.bytes.len().into());
    if raw.fragments > 1 {
        object.insert("fragments".into(), raw.fragments.into());
    }
    for (name, value) in record.fields() {
        let value = match value {
            FieldValue::Number(n) => i64::try_from(n).unwrap().into(),
            FieldValue::Text(text) => text.into(),
            FieldValue::Position(p) => position(p),
            FieldValue::Pages(pages) => pages.iter().map(|page| page.0).collect(),
        };
        object.insert(name.into(), value);
    }
    object.into()
}

#[test]
fn every_record_is_decoded_and_encoded_again() {
    let name = "every_record_is_decoded_and_encoded_again";
    let Some(log) = sample(name, "win10-secedit-log/edb.log.gz") else { return };
    let expected = samples().join("../reference/log-walk-expected.jsonl");
    let expected = std::fs::read_to_string(expected).unwrap();
    let mut expected = expected.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(1)));
    let mut records = 0;
    for number in 1..=157 {
        assembler.feed(&segment(&log, number)).unwrap();
        while let Some(raw) = assembler.next_record().unwrap() {
            let wanted: serde_json::Value = expected.next().unwrap();
            assert_eq!(listing(&raw), wanted);
            assert_eq!(raw.decode().unwrap().encode().unwrap(), raw.bytes);
            records += 1;
        }
    }
    assert_eq!((records, expected.next(), assembler.pending()), (2573, None, None));
}

#[test]
fn reading_may_begin_anywhere() {
    let Some(log) = sample("reading_may_begin_anywhere", "win10-secedit-log/edb.log.gz") else { return };
    let all = positions(&log, LogPosition::start_of(Generation(1)));
    for (at, start) in all.iter().enumerate() {
        assert_eq!(positions(&log, *start), all[at..]);
    }
}

fn positions(log: &[u8], start: LogPosition) -> Vec<LogPosition> {
    let mut assembler = Assembler::new(start);
    let mut found = Vec::new();
    for number in start.segment.into()..=157 {
        assembler.feed(&segment(log, number)).unwrap();
        while let Some(raw) = assembler.next_record().unwrap() {
            found.push(raw.start);
        }
    }
    found
}

#[test]
fn windows_11_records() {
    let Some(log) = sample("windows_11_records", "win11-secedit-log-empty/edb.log.gz") else { return };
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(1)));
    assembler.feed(&segment(&log, 1)).unwrap();
    let mut found = Vec::new();
    while let Some(raw) = assembler.next_record().unwrap() {
        assert_eq!(raw.decode().unwrap().encode().unwrap(), raw.bytes);
        found.push((raw.decode().unwrap().name(), raw.bytes.len()));
    }
    assert_eq!(found, [("Init2", 576), ("AttachDB", 157), ("NOP2", 3323)]);
}

#[test]
fn the_end_of_windows_logs_is_found() {
    for (name, next, sum) in [
        ("win10-secedit-log/edb.log.gz", 158, 0x183d_67c2_1fe0_f86b),
        ("win11-secedit-log-empty/edb.log.gz", 2, 0),
    ] {
        let Some(log) = sample("the_end_of_windows_logs_is_found", name) else { return };
        let mut scan = Scan::new(&LogHeader::decode(&log).unwrap(), true);
        while let Some(number) = scan.wanted() {
            let number = usize::from(number);
            scan.push(&mut segment(&log, number), Some(&segment(&log, number + 1))).unwrap();
        }
        let end = scan.finish().unwrap();
        assert_eq!((end.next_segment, end.restored, end.has_leftovers), (next, None, false));
        if sum != 0 {
            assert_eq!(end.accumulated_checksum, sum);
        }
    }
}

#[test]
fn the_shadow_mends_a_torn_last_segment() {
    let name = "the_shadow_mends_a_torn_last_segment";
    let Some(log) = sample(name, "win10-secedit-log/edb.log.gz") else { return };
    let mut torn = segment(&log, 157);
    torn[2048..].fill(0);
    let mut scan = Scan::new(&LogHeader::decode(&log).unwrap(), true);
    for number in 1..=156 {
        scan.push(&mut segment(&log, number), Some(&segment(&log, number + 1))).unwrap();
    }
    assert_eq!(scan.push(&mut torn, Some(&segment(&log, 158))).unwrap(), Found::Restored);
    assert_eq!(torn, segment(&log, 157));
    assert_eq!(scan.push(&mut segment(&log, 158), None).unwrap(), Found::Unused);
    assert_eq!(scan.finish().unwrap().restored, Some(157));
}

#[test]
fn differences_have_the_lengths_that_their_records_say() {
    let name = "differences_have_the_lengths_that_their_records_say";
    let Some(log) = sample(name, "win10-secedit-log/edb.log.gz") else { return };
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(1)));
    let mut differences = 0;
    for number in 1..=157 {
        assembler.feed(&segment(&log, number)).unwrap();
        while let Some(raw) = assembler.next_record().unwrap() {
            let LogRecord::ReplaceDiff(replace) = raw.decode().unwrap() else { continue };
            let old = vec![0; replace.old_bytes.into()];
            let new = apply_diff(&old, &replace.image.bytes, replace.image.wide).unwrap();
            assert_eq!(new.len(), usize::from(replace.new_bytes));
            // One byte of data less, and the last entry must not fit or the length must differ.
            let shorter = apply_diff(&old[1..], &replace.image.bytes, replace.image.wide);
            assert_ne!(shorter.ok().map(|new| new.len()), Some(replace.new_bytes.into()));
            differences += 1;
        }
    }
    assert_eq!(differences, 10);
}
