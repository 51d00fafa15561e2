//! What the fuzzers run: every parser of `ese-format`, each as a function of bytes that must neither
//! panic nor hang, and must keep what it promises about what it accepts.
//!
//! `tests/fuzz_corpus.rs` of `ese-format` runs the same functions over the committed corpora.

use ese_format::PageSize;
use ese_format::catalog::{CatalogRow, TableSchemaBuilder};
use ese_format::checkpoint::Checkpoint;
use ese_format::checksum::{store_page_checksum, xor32};
use ese_format::column::ColumnId;
use ese_format::database::{DatabaseHeader, choose_header};
use ese_format::log::attach::{decode_attach_array, encode_attach_array};
use ese_format::log::record::diff::{apply_diff, make_diff};
use ese_format::log::record::record_size;
use ese_format::log::segment::{SEGMENT_BYTES, Segment, check_segment, seal_segment};
use ese_format::log::{Assembler, LogHeader, LogRecord, Scan, SegmentHeader};
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, unpack_chunk};
use ese_format::page::{Page, PageMut};
use ese_format::record::{MultiValues, Record, TaggedFlags};
use ese_format::space::{last_owned_page, read_space};
use ese_format::tree::{FileImage, PageRead, Tree};
use ese_format::{Generation, LogPosition, LogTime, PageNumber, Signature, compress};

/// A name and what runs under it.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the names are those of the fuzz binaries and of the corpora's folders.
pub const TARGETS: &[Target] = &[
    ("database_header", database_header),
    ("page", page),
    ("tree", tree),
    ("record", record),
    ("catalog", catalog),
    ("compression", compression),
    ("long_value", long_value),
    ("log_header", log_header),
    ("segment", segment),
    ("log_record", log_record),
    ("checkpoint", checkpoint),
    ("attach_array", attach_array),
    ("diff", diff),
];

/// The page size that the first byte chooses, and the other bytes.
fn sized(data: &[u8]) -> Option<(PageSize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((PageSize::ALL[usize::from(*first) % PageSize::ALL.len()], rest))
}

/// A block of `N` bytes that begins like `data`, under a right header checksum: otherwise a fuzzer would
/// never get past it.
fn with_header_checksum<const N: usize>(data: &[u8]) -> Vec<u8> {
    let mut block = vec![0; N];
    let len = data.len().min(N);
    block[..len].copy_from_slice(&data[..len]);
    let sum = xor32(&block);
    block[..4].copy_from_slice(&sum.to_le_bytes());
    block
}

/// Database headers.
pub fn database_header(data: &[u8]) {
    let _ = choose_header(data);
    let Some((size, data)) = sized(data) else { return };
    let mut block = vec![0; size.bytes()];
    let len = data.len().min(block.len());
    block[..len].copy_from_slice(&data[..len]);
    let sum = xor32(&block);
    block[..4].copy_from_slice(&sum.to_le_bytes());
    if let Ok(header) = DatabaseHeader::decode(&block) {
        let again = DatabaseHeader::decode(&header.encode()).expect("what was encoded decodes");
        assert_eq!(again.encode(), header.encode());
    }
}

/// One page with its lines and nodes; reads, and changes if it passes its check.
pub fn page(data: &[u8]) {
    let Some((size, data)) = sized(data) else { return };
    // Both ends of a page matter: the header at the front, the tags at the back.
    let mut bytes = vec![0; size.bytes()];
    let half = data.len() / 2;
    let (front, back) = (half.min(bytes.len() / 2), (data.len() - half).min(bytes.len() / 2));
    bytes[..front].copy_from_slice(&data[..front]);
    let at = bytes.len() - back;
    bytes[at..].copy_from_slice(&data[data.len() - back..]);
    store_page_checksum(&mut bytes, PageNumber(7), size);
    let Ok(page) = Page::new(&bytes, size) else { return };
    let _ = page.external_header();
    for index in 0..page.line_count().min(20_000) {
        if let Ok(node) = page.node(index) {
            let _ = (node.key(), node.child());
        }
    }
    let _ = page.check_key_order();
    if page.check().is_ok() {
        let mut copy = bytes.clone();
        let mut page = PageMut::new(&mut copy, size).expect("it was a page before");
        page.reorganise().expect("what passes the check can be reorganised");
        let _ = page.insert_node(0, b"key", b"data", Default::default());
        if page.view().line_count() > 0 {
            page.delete_line(0).expect("the first line is there");
        }
        page.view().check().expect("changes keep a page sound");
    }
}

/// Trees of a small file whose pages have right checksums and wrong content.
pub fn tree(data: &[u8]) {
    let Some((_, data)) = sized(data) else { return };
    let size = PageSize::K2;
    let mut bytes = vec![0; size.bytes() * 2];
    for (number, content) in data.chunks(size.bytes()).take(12).enumerate() {
        let mut page = vec![0; size.bytes()];
        page[..content.len()].copy_from_slice(content);
        store_page_checksum(&mut page, PageNumber(number as u32 + 1), size);
        bytes.extend_from_slice(&page);
    }
    let image = FileImage::new(&bytes, size);
    let _ = last_owned_page(&image);
    for number in (0..=image.page_count()).map(PageNumber) {
        let _ = read_space(&image, number);
        let tree = Tree::of_any_object(image, number);
        let _ = tree.get(b"key");
        let mut entries = 0;
        tree.scan().for_each(|_| {
            entries += 1;
            true
        });
        assert!(entries < 20_000, "a scan without end");
    }
}

/// A record with all its columns.
pub fn record(data: &[u8]) {
    let Some((size, data)) = sized(data) else { return };
    if let Ok(record) = Record::parse(data, size) {
        let _ = (record.last_fixed(), record.last_variable(), record.fixed(ColumnId(1), 4, 4));
        for id in [1, 2, 127, 128, 129, 255, 256, 257, 1000].map(ColumnId) {
            let _ = (record.get(id, 4, 8, false), record.get(id, 4, 8, true));
        }
        for id in 128..256 {
            let _ = record.variable(ColumnId(id));
        }
        let tagged = record.tagged();
        let _ = tagged.check();
        for field in tagged.iter() {
            let _ = field.and_then(|field| field.value().map(drop));
        }
    }
    if let Some((flags, data)) = data.split_first()
        && let Ok(values) = MultiValues::parse(data, TaggedFlags::from_bits_retain(*flags))
    {
        values.iter().for_each(drop);
    }
}

/// A row of the catalog and the schema that it makes.
pub fn catalog(data: &[u8]) {
    let Some((size, data)) = sized(data) else { return };
    let _ = CatalogRow::kind_of(data);
    if let Ok(row) = CatalogRow::decode(data, size)
        && let Ok(mut schema) = TableSchemaBuilder::new(&row)
    {
        let _ = schema.add(&row);
        drop(schema.finish(None));
    }
}

/// Compressed values, and that what is packed unpacks.
pub fn compression(data: &[u8]) {
    let mut out = Vec::new();
    if compress::decompress_into(data, &mut out).is_ok() {
        let _ = compress::unpacked_len(data);
    }
    let mut packed = Vec::new();
    if compress::compress_into(data, &mut packed) {
        out.clear();
        compress::decompress_into(&packed, &mut out).expect("what was packed unpacks");
        assert_eq!(out, data);
    }
}

/// Keys, roots and chunks of long values.
pub fn long_value(data: &[u8]) {
    let _ = (LongValueId::from_record(data), LongValueKey::decode(data));
    if let Ok(root) = LongValueRoot::decode(data) {
        LongValueRoot::decode(&root.encode()).expect("what was encoded decodes");
    }
    if let Some((len, chunk)) = data.split_first_chunk::<2>() {
        let _ = unpack_chunk(chunk, u16::from_le_bytes(*len).into(), &mut Vec::new());
    }
}

/// Log headers.
pub fn log_header(data: &[u8]) {
    let _ = LogHeader::decode(data);
    if let Ok(header) = LogHeader::decode(&with_header_checksum::<{ LogHeader::BYTES }>(data)) {
        let _ = (header.check_version(), header.page_size(), header.last_data_segment());
        // An array that fills its field to the last byte is read, but never written.
        if let Ok(bytes) = header.encode() {
            assert_eq!(LogHeader::decode(&bytes).expect("what was encoded decodes"), header);
        }
    }
}

/// Segments: the end of a log, and its records.
pub fn segment(data: &[u8]) {
    let header = LogHeader::new(Generation(1), 6, PageSize::K4, Signature::NONE, LogTime::NONE);
    let mut scan = Scan::new(&header, data.len().is_multiple_of(2));
    let mut assembler = Assembler::new(LogPosition::new(Generation(1), 1, (data.len() % 64) as u16));
    for (content, number) in data.chunks(SEGMENT_BYTES).take(4).zip(1u16..) {
        let mut segment: Segment = [0; SEGMENT_BYTES];
        segment[..content.len()].copy_from_slice(content);
        let as_read = segment;
        let mut copy = segment;
        let _ = check_segment(&mut copy, number);
        // Usually with a header that fits, or nothing behind it would ever be reached.
        if content.first().is_some_and(|byte| byte % 4 != 0) {
            segment[8..16].copy_from_slice(&LogPosition::new(Generation(1), number, 0).to_bytes());
        }
        let _ = SegmentHeader::decode(&segment);
        seal_segment(&mut segment, number);
        if scan.wanted().is_some() {
            let _ = scan.push(&mut segment, Some(&as_read));
        }
        if assembler.feed(&segment).is_ok() {
            // Every error uses up a record or the rest of the segment, so this ends.
            loop {
                match assembler.next_record() {
                    Ok(None) => break,
                    Ok(Some(raw)) => drop(raw.decode()),
                    Err(_) => {}
                }
            }
        }
    }
    let _ = scan.finish();
}

/// Log records.
pub fn log_record(data: &[u8]) {
    let Ok(Some(size)) = record_size(data) else { return };
    let Some(bytes) = data.get(..size) else { return };
    if let Ok(record) = LogRecord::decode(bytes) {
        let encoded = record.encode().expect("what was decoded encodes");
        assert_eq!(encoded.len(), bytes.len());
        assert_eq!(LogRecord::decode(&encoded).expect("what was encoded decodes"), record);
        let _ = (record.fields(), record.page_prefix(), record.is_clean_end());
    }
}

/// Checkpoint files.
pub fn checkpoint(data: &[u8]) {
    let _ = Checkpoint::choose(data);
    if let Ok(checkpoint) = Checkpoint::decode(&with_header_checksum::<{ Checkpoint::COPY_BYTES }>(data))
        && let Ok(bytes) = checkpoint.encode()
    {
        assert_eq!(Checkpoint::decode(&bytes).expect("what was encoded decodes"), checkpoint);
    }
}

/// Arrays of attached databases.
pub fn attach_array(data: &[u8]) {
    if let Ok(entries) = decode_attach_array(data) {
        entries.iter().for_each(|entry| drop(entry.path()));
        if let Ok(bytes) = encode_attach_array(&entries) {
            assert_eq!(decode_attach_array(&bytes).expect("what was encoded decodes"), entries);
        }
    }
}

/// Differences of ReplaceD records.
pub fn diff(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let wide = first % 2 == 1;
    let (old, other) = rest.split_at(rest.len() * usize::from(first / 2) / 128);
    let _ = apply_diff(old, other, wide);
    if let Some(diff) = make_diff(old, other, wide) {
        assert_eq!(apply_diff(old, &diff, wide).expect("what was made applies"), other);
    }
}
