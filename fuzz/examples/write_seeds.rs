//! Writes the seeds of the corpora: small valid inputs from our own encoders. Run in `fuzz/`:
//! `cargo run --example write_seeds`.

use ese_format::catalog::CatalogRow;
use ese_format::checkpoint::Checkpoint;
use ese_format::compress;
use ese_format::empty::EmptyDatabase;
use ese_format::log::attach::encode_attach_array;
use ese_format::log::record::diff::make_diff;
use ese_format::log::record::*;
use ese_format::log::segment::SEGMENT_HEADER_BYTES;
use ese_format::log::{AttachEntry, LogHeader, SegmentHeader, text};
use ese_format::long_value::LongValueRoot;
use ese_format::page::Page;
use ese_format::tree::{FileImage, Tree};
use ese_format::*;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus.join(target))?;
        // Trailing zeros carry nothing: the targets pad.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        fs::write(corpus.join(target).join(name), &bytes[..end])
    };
    let prefixed = |byte: u8, bytes: &[u8]| [&[byte], bytes].concat();

    // An empty database: header, pages, trees, catalog.
    let size = PageSize::K2;
    let mut file = Vec::new();
    let recipe = EmptyDatabase { pages: 40, ..EmptyDatabase::new(size, Signature::NONE, LogTime::NONE) };
    let written = recipe.write_to(|_, part| {
        file.extend_from_slice(part);
        Ok::<_, Infallible>(())
    });
    assert!(written.is_ok(), "an empty database fits");
    write("database_header", "empty", &prefixed(0, &file[..size.bytes()]))?;
    let page = |number: u32| {
        let at = PageNumber(number).file_offset(size) as usize;
        &file[at..at + size.bytes()]
    };
    write("page", "root", &prefixed(0, page(1)))?;
    write("page", "catalog", &prefixed(0, page(4)))?;
    write("tree", "space", &prefixed(0, &[page(1), page(2), page(3)].concat()))?;
    let image = FileImage::new(&file, size);
    let mut rows = 0;
    let mut row = Ok(());
    Tree::of_any_object(image, PageNumber(4)).scan().for_each(|entry| {
        if let Ok(entry) = entry
            && CatalogRow::decode(entry.data, size).is_ok()
            && rows < 6
        {
            row = write("catalog", &format!("row{rows}"), &prefixed(0, entry.data))
                .and_then(|()| write("record", &format!("row{rows}"), &prefixed(0, entry.data)));
            rows += 1;
        }
        row.is_ok()
    });
    row?;
    assert!(Page::new(page(4), size).is_ok());

    let text_value: Vec<u8> = b"abcabcabcabdabcabcabd".repeat(12);
    write("compression", "plain", &text_value)?;
    let mut packed = Vec::new();
    if compress::compress_into(&text_value, &mut packed) {
        write("compression", "packed", &packed)?;
        write("long_value", "chunk", &[&(text_value.len() as u16).to_le_bytes()[..], &packed].concat())?;
    }
    write(
        "long_value",
        "root",
        &LongValueRoot::decode(&[1, 0, 0, 0, 0, 4, 0, 0]).map_or(vec![1; 8], |r| r.encode()),
    )?;

    // Logs.
    let mut entry = AttachEntry {
        dbid: 1,
        flags: 0,
        db_time: DbTime(100),
        last_object: ObjectId(9),
        max_pages: 0,
        attach: LogPosition::start_of(Generation(1)),
        consistent: LogPosition::NONE,
        signature: Signature { random: 5, ..Signature::NONE },
        names: Vec::new(),
    };
    entry.set_path("C:\\data\\a.edb");
    let array = encode_attach_array(&[entry.clone()]).expect("one entry fits");
    write("attach_array", "one", &array)?;
    let mut header = LogHeader::new(Generation(1), 16, size, Signature::NONE, LogTime::NONE);
    header.attached.push(entry.clone());
    write("log_header", "one", &header.encode().expect("one entry fits"))?;
    let mut checkpoint = Checkpoint::new(Signature::NONE, LogPosition::start_of(Generation(1)));
    checkpoint.attached = Some(vec![entry]);
    write("checkpoint", "one", &checkpoint.encode().expect("one entry fits"))?;
    let records = records();
    for record in &records {
        write("log_record", record.name(), &record.encode().expect("a small record"))?;
    }
    let mut segment =
        SegmentHeader::new(Generation(1), 1, LogTime::NONE, LogPosition::NONE).encode().to_vec();
    // The first byte says whether the target puts the position right.
    segment[0] = 1;
    assert_eq!(segment.len(), SEGMENT_HEADER_BYTES);
    records.iter().take(12).for_each(|record| record.encode_into(&mut segment).expect("a small record"));
    write("segment", "records", &segment)?;
    let mut pieces = segment[..SEGMENT_HEADER_BYTES].to_vec();
    let piece = vec![LogRecord::Trace(Note { session: 1, text: vec![] }).code(); 4056 - 7];
    LogRecord::FragmentBegin(FragmentBegin { total: 5000, piece }).encode_into(&mut pieces).expect("it fits");
    pieces.extend_from_slice(&segment[..SEGMENT_HEADER_BYTES]);
    LogRecord::Fragment(Fragment { piece: vec![7; 5000 - 4049] }).encode_into(&mut pieces).expect("it fits");
    write("segment", "pieces", &pieces)?;
    let (old, new) = (b"the old data of a node", b"the new data of a mode");
    let made = make_diff(old, new, false).expect("a small difference");
    write("diff", "made", &[&[2 * 80u8], &old[..], &made].concat())
}

/// A record of most layouts.
fn records() -> Vec<LogRecord> {
    let page = PagePrefix {
        session: 5,
        dbid: 1,
        page: PageNumber(4),
        after: DbTime(101),
        before: DbTime(100),
        begin0: 4,
        level: 1,
        line: 2,
        flags: 5,
    };
    let node = NodePrefix { page, version_id: 3, root: PageNumber(4), object: ObjectId(2) };
    let levels = Levels { from: 0, count: 1 };
    vec![
        LogRecord::Begin0(Begin0 { session: 5, levels, begin0: 4 }),
        LogRecord::Begin(Begin { session: 5, levels: Levels { from: 1, count: 1 } }),
        LogRecord::Insert(Insert { node, suffix: vec![1, 2, 3], prefix: vec![9], data: vec![7; 9] }),
        LogRecord::FlagDelete(NodeMark { node }),
        LogRecord::ReplaceDiff(Replace {
            node,
            image: Image { bytes: vec![1, 0x20, 1, 7], wide: false },
            old_bytes: 9,
            new_bytes: 9,
        }),
        LogRecord::UndoInfo(UndoInfo {
            node,
            key: vec![1, 2],
            data: vec![],
            operation: VersionOperation::Replace,
            max_bytes: 9,
            delta_bytes: 0,
            before: vec![3; 9],
        }),
        LogRecord::Undo(Undo {
            node,
            key: vec![1, 2],
            data: vec![],
            operation: VersionOperation::Insert,
            level: 1,
        }),
        LogRecord::Delta(Delta { node, key: vec![1], data: vec![], delta: -1, offset: 4 }),
        LogRecord::MacroBegin(MacroMark { session: 5, after: DbTime(102) }),
        LogRecord::MacroInfo2(MacroInfo2 {
            dbid: 2,
            pages: vec![PageNumber(4), PageNumber(9)],
            rest: vec![],
        }),
        LogRecord::Commit0(Commit0 { session: 5, level: 0, commit0: 8 }),
        LogRecord::CommitContext(CommitContext::new(5, CommitContext::CALLBACK, b"context")),
        LogRecord::EmptyTree(EmptyTree {
            node,
            pages: EmptiedPages(vec![EmptiedPage { before: DbTime(99), page: PageNumber(8), flags: 2 }]),
        }),
        LogRecord::Split2(Split2 {
            page,
            new_page: PageNumber(9),
            right: PageNumber(0),
            right_before: DbTime::NIL,
            parent: PageNumber(3),
            parent_before: DbTime(90),
            root: PageNumber(3),
            object: ObjectId(2),
            kind: SplitKind::Right,
            operation: SplitOperation::Insert,
            operation_line: 3,
            split_line: 2,
            lines: 5,
            new_page_flags: 2,
            split_page_flags: 2,
            split_uncommitted_free: 0,
            new_uncommitted_free: 0,
            split_prefix_line: -1,
            new_prefix_line: -1,
            old_prefix: vec![1],
            new_prefix: vec![],
            separator: vec![5, 6],
            image_flags: 0,
            image: LongBytes(vec![4; 20]),
        }),
        LogRecord::Merge2(Merge2 {
            page,
            right: PageNumber(9),
            right_before: DbTime(88),
            left: PageNumber(0),
            left_before: DbTime::NIL,
            parent: PageNumber(3),
            parent_before: DbTime(90),
            root: PageNumber(3),
            object: ObjectId(2),
            total_bytes: 9,
            total_max_bytes: 9,
            destination_uncommitted_free: 0,
            merge_line: 0,
            flags: 2,
            kind: MergeKind::FullRight,
            separator: vec![5],
            image_flags: 0,
            image: LongBytes(vec![4; 20]),
        }),
        LogRecord::CreateDb(CreateDb {
            session: 5,
            dbid: 1,
            grbit: 0,
            max_pages: 0,
            signature: Signature::NONE,
            flags: CreateDb::UTF16,
            version: Some((2, 0)),
            path: text::string_to_utf16("a.edb"),
        }),
        LogRecord::AttachDb(AttachDb {
            session: 5,
            dbid: 1,
            max_pages: 0,
            consistent: LogPosition::NONE,
            signature: Signature::NONE,
            log_signature: Signature::NONE,
            path: text::string_to_utf16("a.edb"),
            flags: AttachDb::UTF16,
        }),
        LogRecord::ExtendDb(ExtendDb { dbid: 1, last_page: PageNumber(256), rest: vec![] }),
        LogRecord::Backup2(Backup2 {
            phase: Backup2::BEGIN,
            kind: 0,
            scope: Backup2::FULL,
            dbid: 1,
            info: BackupInfo::NONE,
            reserved: 0,
            path: vec![],
        }),
        LogRecord::Nop2(Nop2 { fill: 30 }),
    ]
}
