//! Writes the seeds of the corpus `apply`: an insert, a split and a merge over a small tree. Run in `fuzz/`:
//! `cargo run --example write_apply_seeds`.

use ese_format::log::record::*;
use ese_format::page::{LineFlags, NewPage, PageFlags, PageImage, PageMut, encode_image};
use ese_format::space::{RootFields, SpaceHeader};
use ese_format::{DbTime, ObjectId, PageNumber, PageSize, Result};
use std::fs;
use std::path::Path;

const SIZE: PageSize = PageSize::K2;
const ROOT: PageNumber = PageNumber(1);
const LEFT: PageNumber = PageNumber(2);
const RIGHT: PageNumber = PageNumber(3);
const NEW: PageNumber = PageNumber(4);
const OBJECT: ObjectId = ObjectId(8);

fn page(number: PageNumber, flags: PageFlags, nodes: &[(&[u8], &[u8])]) -> Result<Vec<u8>> {
    let mut bytes = vec![0; SIZE.bytes()];
    let new = NewPage { number, object: OBJECT, db_time: DbTime(5), flags, reserved_tags: false };
    let mut page = PageMut::format(&mut bytes, SIZE, new)?;
    match number {
        ROOT => {
            let space = SpaceHeader::new_single(ROOT, 1, false);
            page.set_external_header(&RootFields { space, auto_increment: None }.encode())?;
        }
        LEFT => page.set_next(RIGHT),
        _ => page.set_previous(LEFT),
    }
    for (index, (key, data)) in nodes.iter().enumerate() {
        page.insert_node(index, key, data, LineFlags::empty())?;
    }
    Ok(bytes)
}

fn prefix(page: PageNumber, line: u16, before: DbTime) -> PagePrefix {
    PagePrefix { page, line, before, after: DbTime(6), dbid: 1, level: 1, ..PagePrefix::default() }
}

fn node(page: PageNumber, line: u16, before: DbTime) -> NodePrefix {
    NodePrefix { page: prefix(page, line, before), version_id: 0, root: ROOT, object: OBJECT }
}

fn split(page: PageNumber, new_page: PageNumber, image: PageImage) -> LogRecord {
    let leaf = PageFlags::LEAF | PageFlags::NEW_RECORD_FORMAT | PageFlags::NEW_CHECKSUM;
    let is_real = new_page.is_some();
    LogRecord::Split2(Split2 {
        page: prefix(page, 0, DbTime(5)),
        new_page,
        right: if is_real { RIGHT } else { PageNumber::NONE },
        right_before: if is_real { DbTime(5) } else { DbTime::NIL },
        parent: if is_real { ROOT } else { PageNumber::NONE },
        parent_before: if is_real { DbTime(5) } else { DbTime::NIL },
        root: ROOT,
        object: OBJECT,
        kind: if is_real { SplitKind::Right } else { SplitKind::Vertical },
        operation: if is_real { SplitOperation::Insert } else { SplitOperation::None },
        operation_line: u16::from(is_real),
        split_line: if is_real { 2 } else { 0 },
        lines: if is_real { 4 } else { 0 },
        new_page_flags: leaf.bits(),
        split_page_flags: leaf.bits(),
        split_uncommitted_free: 0,
        new_uncommitted_free: 0,
        split_prefix_line: -1,
        new_prefix_line: -1,
        old_prefix: Vec::new(),
        new_prefix: Vec::new(),
        separator: if is_real { b"b".to_vec() } else { Vec::new() },
        image_flags: image.flags,
        image: LongBytes(image.bytes),
    })
}

fn merge(page: PageNumber, line: u16, kind: MergeKind, image: PageImage) -> LogRecord {
    let is_leaf = kind != MergeKind::None;
    LogRecord::Merge2(Merge2 {
        page: prefix(page, line, DbTime(5)),
        right: if is_leaf { RIGHT } else { PageNumber::NONE },
        right_before: if is_leaf { DbTime(5) } else { DbTime::NIL },
        left: PageNumber::NONE,
        left_before: DbTime::NIL,
        parent: if is_leaf { ROOT } else { PageNumber::NONE },
        parent_before: if is_leaf { DbTime(5) } else { DbTime::NIL },
        root: ROOT,
        object: OBJECT,
        total_bytes: 0,
        total_max_bytes: 0,
        destination_uncommitted_free: 0,
        merge_line: 0,
        flags: if is_leaf { MERGE_EMPTY_PAGE } else { MERGE_DELETE_NODE },
        kind,
        separator: Vec::new(),
        image_flags: image.flags,
        image: LongBytes(image.bytes),
    })
}

/// A page without its gap, uncompressed: what a seed holds.
fn dehydrated(bytes: &[u8]) -> Result<Vec<u8>> {
    let page = ese_format::page::Page::new(bytes, SIZE)?;
    let (head, tags) = (SIZE.header_bytes() + page.data_end(), page.tag_count() * 4);
    let gap = SIZE.bytes() - head - tags;
    let mut out = [&bytes[..head], &bytes[SIZE.bytes() - tags..]].concat();
    out[28..30].copy_from_slice(&((page.free_bytes() - gap) as u16).to_le_bytes());
    Ok(out)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/apply");
    fs::create_dir_all(&folder)?;
    let pointers: &[(&[u8], &[u8])] = &[(b"d", &[2, 0, 0, 0]), (b"", &[3, 0, 0, 0])];
    let pages = [
        (ROOT, page(ROOT, PageFlags::ROOT | PageFlags::PARENT_OF_LEAF, pointers)?),
        (LEFT, page(LEFT, PageFlags::LEAF, &[(b"a", b"one"), (b"b", b"two"), (b"c", b"three")])?),
        (RIGHT, page(RIGHT, PageFlags::LEAF, &[(b"d", b"four")])?),
    ];
    let left = encode_image(&ese_format::page::Page::new(&pages[1].1, SIZE)?);
    let new_node = |before| {
        LogRecord::Insert(Insert {
            node: node(LEFT, 1, before),
            suffix: b"aa".to_vec(),
            prefix: Vec::new(),
            data: b"new".to_vec(),
        })
    };
    let image = Image { bytes: b"other".to_vec(), wide: false };
    let groups = [
        ("insert", vec![new_node(DbTime(5))]),
        (
            "replace",
            vec![LogRecord::Replace(Replace { node: node(LEFT, 2, DbTime(5)), image, old_bytes: 5, new_bytes: 5 })],
        ),
        (
            "split",
            vec![
                split(ROOT, PageNumber::NONE, PageImage::default()),
                split(LEFT, NEW, left.clone()),
                new_node(DbTime::NIL),
            ],
        ),
        (
            "merge",
            vec![
                merge(ROOT, 0, MergeKind::None, PageImage::default()),
                merge(LEFT, 0, MergeKind::FullRight, left),
            ],
        ),
    ];
    for (name, records) in groups {
        let mut seed = vec![(pages.len() as u8) << 4];
        for (number, bytes) in &pages {
            let image = dehydrated(bytes)?;
            seed.push(number.0 as u8);
            seed.extend_from_slice(&(image.len() as u16).to_le_bytes());
            seed.extend_from_slice(&image);
        }
        for record in &records {
            record.encode_into(&mut seed)?;
        }
        let find = |number| {
            let (_, bytes) = pages.iter().find(|page| page.0 == number)?;
            ese_format::page::Page::new(bytes, SIZE).ok()
        };
        let layout = ese::apply::Layout { page_size: SIZE, reserved_tags: false };
        let made = ese::apply::prepare(&records, layout, &find)?;
        println!("{name}: {} bytes, {} pages change", seed.len(), made.pages.len());
        fs::write(folder.join(name), seed)?;
    }
    Ok(())
}
