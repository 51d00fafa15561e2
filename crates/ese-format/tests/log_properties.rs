//! What holds for all log records and all bytes, not only for those of the samples.

use ese_format::checkpoint::Checkpoint;
use ese_format::log::attach::{decode_attach_array, encode_attach_array};
use ese_format::log::record::{Fragment, FragmentBegin, LogRecord, MAX_FIXED_BYTES, Nop2, Note, record_size};
use ese_format::log::segment::{SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Segment, check_segment, seal_segment};
use ese_format::log::{Assembler, AttachEntry, DbmsParam, LogHeader, Scan, SegmentHeader};
use ese_format::{DbTime, Generation, LogPosition, LogTime, ObjectId, PageSize, Signature};
use proptest::prelude::*;

const TYPES_WITHOUT_LAYOUT: [u8; 6] = [40, 41, 43, 44, 47, 56];

/// Random bytes that begin like a record of a random type, with length fields that are small enough to
/// be met: most length fields have a zero high byte.
fn record_bytes() -> impl Strategy<Value = Vec<u8>> {
    (0u8..=101, prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 600..2000)).prop_map(
        |(code, mut bytes)| {
            bytes[0] = code;
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_decodes_encodes_to_the_same(bytes in record_bytes()) {
        match record_size(&bytes) {
            Err(_) => prop_assert!(TYPES_WITHOUT_LAYOUT.contains(&bytes[0])),
            Ok(None) => prop_assert!(false, "{} bytes are enough for every fixed part", bytes.len()),
            Ok(Some(size)) if size > bytes.len() => {}
            Ok(Some(size)) => {
                prop_assert_eq!(record_size(&bytes[..size.min(MAX_FIXED_BYTES)]).unwrap(), Some(size));
                prop_assert!(LogRecord::decode(&bytes[..size - 1]).is_err());
                prop_assert!(LogRecord::decode(&bytes[..=size.min(bytes.len() - 1)]).is_err() || size == bytes.len());
                if let Ok(record) = LogRecord::decode(&bytes[..size]) {
                    prop_assert_eq!(record.code(), bytes[0]);
                    let encoded = record.encode().unwrap();
                    // Fillers are written as zeros, and paths of parameters end at their first NUL.
                    if !matches!(record, LogRecord::Nop2(_) | LogRecord::Init(_) | LogRecord::Init2(_)) {
                        prop_assert_eq!(&encoded, &bytes[..size]);
                    }
                    prop_assert_eq!(encoded.len(), size);
                    prop_assert_eq!(LogRecord::decode(&encoded).unwrap(), record);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let _ = LogRecord::decode(&bytes);
        let _ = record_size(&bytes);
        let _ = LogHeader::decode(&bytes);
        let _ = Checkpoint::choose(&bytes);
        let _ = decode_attach_array(&bytes);
        let _ = SegmentHeader::decode(&bytes);
    }

    #[test]
    fn every_type_tells_its_size_from_its_fixed_part(code in 0u8..=255, cut in 0usize..600) {
        let mut bytes = vec![0; 600];
        bytes[0] = code;
        match record_size(&bytes) {
            Err(_) => prop_assert!(code > 101 || TYPES_WITHOUT_LAYOUT.contains(&code)),
            Ok(size) => {
                // All lengths are zero: the fixed part is the record.
                let size = size.unwrap();
                prop_assert_eq!(record_size(&bytes[..cut]).ok().flatten(), (cut >= size).then_some(size));
            }
        }
    }

    #[test]
    fn pieces_come_together_again(
        sizes in prop::collection::vec(prop_oneof![1usize..80, 3900usize..4200, 1usize..20_000], 1..40),
        first in 1u16..100,
    ) {
        let records: Vec<_> = sizes.iter().enumerate().map(|(at, size)| record_of(*size, at as u8)).collect();
        let (segments, starts) = pack(&records, first);
        let mut found = Vec::new();
        let mut assembler = Assembler::new(LogPosition::new(Generation(3), first, 0));
        for segment in &segments {
            assembler.feed(segment).unwrap();
            while let Some(raw) = assembler.next_record().unwrap() {
                prop_assert!(raw.start < raw.end);
                found.push((raw.start, raw.bytes.to_vec()));
            }
        }
        prop_assert_eq!(assembler.pending(), None);
        let expected: Vec<_> = starts.into_iter().zip(records).filter(|(_, bytes)| bytes[0] != 0).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn hostile_segments_never_panic(
        bytes in prop::collection::vec(any::<u8>(), SEGMENT_BYTES),
        kinds in prop::collection::vec((SEGMENT_HEADER_BYTES..SEGMENT_BYTES, prop_oneof![Just(71u8), Just(76), Just(77), Just(29), Just(36)]), 0..40),
    ) {
        let mut segment: Segment = bytes.try_into().unwrap();
        segment[8..16].copy_from_slice(&LogPosition::start_of(Generation(1)).to_bytes());
        segment[SEGMENT_HEADER_BYTES] = 76;
        for (at, kind) in kinds {
            segment[at] = kind;
        }
        let mut assembler = Assembler::new(LogPosition::NONE);
        assembler.feed(&segment).unwrap();
        while let Ok(Some(_)) = assembler.next_record() {}
        let header = LogHeader::new(Generation(1), 4, PageSize::K4, Signature::NONE, LogTime::NONE);
        let mut scan = Scan::new(&header, true);
        let mut copy = segment;
        let _ = scan.push(&mut copy, Some(&segment));
        seal_segment(&mut segment, 2);
        let _ = scan.push(&mut segment, None);
        let _ = scan.finish();
    }

    #[test]
    fn sealed_segments_are_good_and_one_flip_is_corrected(
        bytes in prop::collection::vec(any::<u8>(), SEGMENT_BYTES),
        number in 1u16..,
        bit in 0usize..SEGMENT_BYTES * 8,
    ) {
        let mut segment: Segment = bytes.try_into().unwrap();
        segment[8..16].copy_from_slice(&LogPosition::new(Generation(1), number, 0).to_bytes());
        seal_segment(&mut segment, number);
        let mut flipped = segment;
        prop_assert!(check_segment(&mut flipped, number).is_usable());
        flipped[bit / 8] ^= 1 << (bit % 8);
        let usable = check_segment(&mut flipped, number).is_usable();
        // The bits of the segment's own number tell a flip in the XOR sum from a shadow; those and the
        // bit that names the algorithm are not corrected in any case.
        prop_assert_eq!(usable, bit != 36 * 8 + 13);
        prop_assert!(!usable || flipped == segment);
    }

    #[test]
    fn headers_and_checkpoints_round_trip(
        generation in any::<u32>(),
        numbers in any::<[u32; 8]>(),
        system_path in prop::collection::vec(1u8.., 0..=260),
        paths in prop::collection::vec("[a-zA-Z:\\\\é𝄞]{0,60}", 0..5),
        flags in any::<u8>(),
    ) {
        let attached: Vec<_> = paths
            .iter()
            .enumerate()
            .map(|(at, path)| {
                let mut entry = AttachEntry {
                    dbid: at as u8 + 1,
                    flags,
                    db_time: DbTime(u64::from(numbers[0]) << 7),
                    last_object: ObjectId(numbers[1]),
                    max_pages: numbers[2],
                    attach: LogPosition::start_of(Generation(numbers[3])),
                    consistent: LogPosition::NONE,
                    signature: Signature { random: numbers[4], ..Signature::NONE },
                    names: Vec::new(),
                };
                entry.set_path(path);
                entry
            })
            .collect();
        for (entry, path) in attached.iter().zip(&paths) {
            prop_assert_eq!(&entry.path(), path);
        }
        let mut header = LogHeader::new(
            Generation(generation),
            256,
            PageSize::K8,
            Signature { random: numbers[5], ..Signature::NONE },
            LogTime::from_utc(2024, 2, 29, 1, 2, 3, 999),
        );
        header.params = DbmsParam { system_path, max_cursors: numbers[6], ..DbmsParam::default() };
        header.flags = flags;
        header.previous_checksum = u64::from(numbers[7]) << 31;
        header.attached = attached.clone();
        let bytes = header.encode().unwrap();
        prop_assert_eq!(LogHeader::decode(&bytes).unwrap(), header.clone());
        let mut checkpoint = Checkpoint::new(header.signature, LogPosition::start_of(header.generation));
        checkpoint.attached = Some(attached);
        checkpoint.params = header.params;
        let bytes = checkpoint.encode().unwrap();
        prop_assert_eq!(bytes.len(), Checkpoint::COPY_BYTES);
        prop_assert_eq!(Checkpoint::decode(&bytes).unwrap(), checkpoint);
    }
}

#[test]
fn an_attach_array_that_is_too_long_is_refused() {
    let mut entry = AttachEntry {
        dbid: 1,
        flags: 0,
        db_time: DbTime(1),
        last_object: ObjectId(1),
        max_pages: 0,
        attach: LogPosition::NONE,
        consistent: LogPosition::NONE,
        signature: Signature::NONE,
        names: vec![b'a'; 2048 - 64 - 1],
    };
    let bytes = encode_attach_array(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(decode_attach_array(&bytes).unwrap(), [entry.clone()]);
    entry.names.push(b'a');
    assert!(encode_attach_array(std::slice::from_ref(&entry)).is_err());
    entry.dbid = 0;
    entry.names.clear();
    assert!(encode_attach_array(&[entry]).is_err());
}

#[test]
fn a_record_that_a_crash_cut_is_dropped_where_recovery_went_on() {
    let long = record_of(6000, 1);
    let undo = LogRecord::RecoveryUndo2(ese_format::log::record::RecoveryUndo2 { time: LogTime::NONE });
    let (mut segments, _) = pack(&[long], 1);
    let (next, _) = pack(&[undo.encode().unwrap()], 2);
    segments[1] = next[0];
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(3)));
    assembler.feed(&segments[0]).unwrap();
    assert_eq!(assembler.next_record().unwrap(), None);
    assert!(assembler.pending().is_some());
    assembler.feed(&segments[1]).unwrap();
    assert_eq!(assembler.next_record().unwrap().unwrap().decode().unwrap(), undo);
    // Anything else in its place is damage.
    let (next, _) = pack(&[record_of(50, 1)], 2);
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(3)));
    assembler.feed(&segments[0]).unwrap();
    assert_eq!(assembler.next_record().unwrap(), None);
    assembler.feed(&next[0]).unwrap();
    assert!(assembler.next_record().is_err());
}

/// A valid record of `size` bytes, 1 or 5 and more; other sizes become 5.
fn record_of(size: usize, fill: u8) -> Vec<u8> {
    let record = match size {
        1 => LogRecord::Nop(ese_format::log::record::Mark {}),
        2..=5 => LogRecord::Nop2(Nop2 { fill: 0 }),
        _ => LogRecord::Trace(Note { session: 5, text: vec![fill | 1; size - 5] }),
    };
    record.encode().unwrap()
}

/// Packs records by the format's rules, in the plainest way.
fn pack(records: &[Vec<u8>], first: u16) -> (Vec<Segment>, Vec<LogPosition>) {
    const MIN_ROOM_FOR_A_PIECE: usize = 32;
    let mut data = vec![Vec::new()];
    let mut starts = Vec::new();
    let whole = SEGMENT_BYTES - SEGMENT_HEADER_BYTES;
    for record in records {
        let mut room = whole - data.last().unwrap().len();
        if record.len() > room && room < MIN_ROOM_FOR_A_PIECE {
            data.push(Vec::new());
            room = whole;
        }
        let number = first + data.len() as u16 - 1;
        let offset = match whole - room {
            0 => 0,
            used => (SEGMENT_HEADER_BYTES + used) as u16,
        };
        starts.push(LogPosition::new(Generation(3), number, offset));
        if record.len() <= room {
            data.last_mut().unwrap().extend_from_slice(record);
            continue;
        }
        let (piece, mut rest) = record.split_at(room - FragmentBegin::HEADER_BYTES);
        let begin = FragmentBegin { total: record.len() as u32, piece: piece.to_vec() };
        data.last_mut().unwrap().extend(LogRecord::FragmentBegin(begin).encode().unwrap());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(whole - Fragment::HEADER_BYTES));
            let piece = Fragment { piece: piece.to_vec() };
            data.push(LogRecord::Fragment(piece).encode().unwrap());
            rest = more;
        }
    }
    let segments = data.iter().enumerate().map(|(at, data)| {
        let number = first + at as u16;
        let mut segment = [0; SEGMENT_BYTES];
        let header = SegmentHeader::new(Generation(3), number, LogTime::NONE, LogPosition::NONE);
        segment[..SEGMENT_HEADER_BYTES].copy_from_slice(&header.encode());
        segment[SEGMENT_HEADER_BYTES..][..data.len()].copy_from_slice(data);
        seal_segment(&mut segment, number);
        segment
    });
    (segments.collect(), starts)
}
