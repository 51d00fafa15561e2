//! Tables on the simulated disk, held against a model.

use super::*;
use crate::btree::Work;
use crate::btree::tests::Bench;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::catalog::{
    Index, IndexFlags, KeySegment, LongValueTree, SegmentFlags, TableFlags, TableSchema,
};
use ese_format::column::{CODE_PAGE_WESTERN, Column, ColumnFlags, ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use ese_format::page::PageFlags;
use ese_format::{ObjectId, PageNumber, PageSize};
use ese_vfs::sim::SimRng;
use std::collections::BTreeMap;

const ID: ColumnId = ColumnId(1);
const VERSION: ColumnId = ColumnId(2);
const SCORE: ColumnId = ColumnId(3);
const CODE: ColumnId = ColumnId(128);
const TAGS: ColumnId = ColumnId(256);
const BLOB: ColumnId = ColumnId(257);

struct Nothing;

impl Services for Nothing {
    fn create_long_values(&self, _: &mut Work, _: &TableDef) -> Result<()> {
        Err(Error::new(JetErr::InternalError, "the tree is there from the start"))
    }

    fn first_increment(&self, _: &mut Work, _: &TableDef) -> Result<u64> {
        Ok(1)
    }
}

fn column(id: ColumnId, name: &str, column_type: ColumnType, flags: ColumnFlags, offset: u16) -> Column {
    Column {
        id,
        name: name.to_owned(),
        column_type,
        flags,
        max_len: 0,
        code_page: if column_type.is_text() { CODE_PAGE_WESTERN } else { 0 },
        offset,
        default: None,
        inherited: false,
    }
}

fn index(name: &str, object: u32, root: u32, flags: u32, key: &[(ColumnId, bool)]) -> Index {
    let mut flags = IndexFlags::from_api(flags);
    if key.iter().any(|(id, _)| *id == TAGS) {
        flags |= IndexFlags::MULTI_VALUED;
    }
    let segment = |&(column, descending): &(ColumnId, bool)| KeySegment {
        column,
        flags: if descending { SegmentFlags::DESCENDING } else { SegmentFlags::empty() },
    };
    Index {
        name: name.to_owned(),
        object_id: ObjectId(object),
        root: PageNumber(root),
        density: 100,
        flags,
        key: key.iter().map(segment).collect(),
        conditions: Vec::new(),
        key_most: 255,
        segment_max: None,
        tuple_limits: None,
        map_flags: 0,
        locale_name: None,
        lcid: 0,
        sort_version: None,
        sort_id: None,
    }
}

/// JET_bitIndexUnique, JET_bitIndexPrimary, JET_bitIndexIgnoreNull.
const UNIQUE: u32 = 1;
const PRIMARY: u32 = 2;
const IGNORE_NULL: u32 = 8;

fn table(bench: &Bench) -> Arc<TableDef> {
    let mut score = column(SCORE, "Score", ColumnType::Long, ColumnFlags::DEFAULT, 12);
    score.default = Some(7i32.to_le_bytes().into());
    let schema = TableSchema {
        name: "Things".to_owned(),
        object_id: bench.tree.object,
        root: bench.tree.root,
        flags: TableFlags::empty(),
        density: 100,
        initial_pages: 1,
        template: None,
        chunk_max: None,
        columns: vec![
            column(ID, "Id", ColumnType::Long, ColumnFlags::AUTO_INCREMENT, 4),
            column(VERSION, "Version", ColumnType::Long, ColumnFlags::VERSION, 8),
            score,
            column(CODE, "Code", ColumnType::Text, ColumnFlags::empty(), 0),
            column(TAGS, "Tags", ColumnType::Text, ColumnFlags::MULTI_VALUED, 0),
            column(BLOB, "Blob", ColumnType::LongBinary, ColumnFlags::COMPRESSED, 0),
        ],
        deleted_columns: Vec::new(),
        indexes: vec![
            index("Id", bench.tree.object.0, bench.tree.root.0, PRIMARY, &[(ID, false)]),
            index("Code", 20, 50, UNIQUE | IGNORE_NULL, &[(CODE, false)]),
            index("Score", 21, 51, 0, &[(SCORE, true), (CODE, false)]),
            index("Tags", 22, 52, IGNORE_NULL, &[(TAGS, false)]),
        ],
        long_values: Some(LongValueTree { object_id: ObjectId(23), root: PageNumber(53) }),
    };
    bench.another(PageNumber(50), ObjectId(20), true, PageFlags::INDEX);
    bench.another(PageNumber(51), ObjectId(21), false, PageFlags::INDEX);
    bench.another(PageNumber(52), ObjectId(22), false, PageFlags::INDEX);
    bench.another(PageNumber(53), ObjectId(23), true, PageFlags::LONG_VALUE);
    Arc::new(TableDef::new(&bench.tree.file, true, schema, Arc::default()).unwrap())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing {
    version: u32,
    score: i32,
    code: Option<Vec<u8>>,
    tags: Vec<Vec<u8>>,
    blob: Option<Vec<u8>>,
}

type Model = BTreeMap<u32, Thing>;

fn number(bytes: Option<Vec<u8>>) -> u32 {
    u32::from_le_bytes(bytes.unwrap().try_into().unwrap())
}

fn thing(cursor: &mut TableCursor, work: &Work) -> (u32, Thing) {
    let mut get = |id, at| cursor.value(work, id, at, false).unwrap();
    let id = number(get(ID, 1));
    let (version, score) = (number(get(VERSION, 1)), number(get(SCORE, 1)) as i32);
    let (code, blob) = (get(CODE, 1), get(BLOB, 1));
    let count = cursor.value_count(work, TAGS, false).unwrap();
    let tags = (1..=count).map(|at| cursor.value(work, TAGS, at, false).unwrap().unwrap()).collect();
    (id, Thing { version, score, code, tags, blob })
}

/// All records in the order of an index, forward and backward.
fn all(table: &Arc<TableDef>, work: &Work, name: Option<&str>) -> Vec<(u32, Thing)> {
    let mut cursor = TableCursor::new(table.clone());
    cursor.set_index(name).unwrap();
    let mut forward = Vec::new();
    while cursor.move_next(work, false).is_ok() {
        forward.push(thing(&mut cursor, work));
    }
    let mut backward = Vec::new();
    while cursor.move_previous(work, false).is_ok() {
        backward.push(thing(&mut cursor, work));
    }
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

fn check(table: &Arc<TableDef>, work: &Work, model: &Model) {
    let expected: Vec<_> = model.iter().map(|(id, thing)| (*id, thing.clone())).collect();
    assert_eq!(all(table, work, None), expected);
    let mut by_code: Vec<_> = expected.iter().filter(|(_, t)| t.code.is_some()).cloned().collect();
    by_code.sort_by_key(|(_, t)| t.code.clone());
    assert_eq!(all(table, work, Some("Code")), by_code);
    let mut by_score = expected.clone();
    by_score.sort_by_key(|(id, t)| (std::cmp::Reverse(t.score), t.code.clone(), *id));
    assert_eq!(all(table, work, Some("Score")), by_score);
    let mut by_tag: Vec<_> = Vec::new();
    for (id, t) in &expected {
        let mut tags = t.tags.clone();
        tags.sort();
        tags.dedup();
        by_tag.extend(tags.into_iter().map(|tag| (tag, *id)));
    }
    by_tag.sort();
    let found = all(table, work, Some("Tags"));
    assert_eq!(
        found.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        by_tag.iter().map(|(_, id)| *id).collect::<Vec<_>>()
    );
}

fn text(rng: &mut SimRng, most: u64) -> Vec<u8> {
    let n = rng.below(most);
    format!("C{n:05}").into_bytes()
}

fn fill(rng: &mut SimRng, cursor: &mut TableCursor, work: &mut Work, thing: &mut Thing) {
    let mut set = |cursor: &mut TableCursor, id, at, value: Option<&[u8]>| {
        cursor.set_value(work, &Nothing, id, at, value, KeepOptions::default()).unwrap();
    };
    if rng.below(3) > 0 {
        thing.score = rng.below(20) as i32 - 10;
        set(cursor, SCORE, 1, Some(&thing.score.to_le_bytes()));
    }
    if rng.below(2) == 0 {
        thing.code = (rng.below(5) > 0).then(|| text(rng, 300));
        set(cursor, CODE, 1, thing.code.as_deref());
    }
    for _ in 0..rng.below(3) {
        let tag = text(rng, 30);
        set(cursor, TAGS, 0, Some(&tag));
        thing.tags.push(tag);
    }
    if !thing.tags.is_empty() && rng.below(3) == 0 {
        let at = rng.below(thing.tags.len() as u64) as usize;
        set(cursor, TAGS, at + 1, None);
        thing.tags.remove(at);
    }
    match rng.below(6) {
        0 => {
            let length = rng.below(20_000) as usize;
            let seed = rng.below(256) as usize;
            let blob: Vec<u8> = (0..length).map(|i| (i / 7 * seed) as u8).collect();
            set(cursor, BLOB, 1, Some(&blob));
            thing.blob = Some(blob);
        }
        1 => {
            set(cursor, BLOB, 1, None);
            thing.blob = None;
        }
        2 => {
            let mut blob = thing.blob.take().unwrap_or_default();
            let more = vec![rng.below(256) as u8; rng.below(9000) as usize + 1];
            cursor.write_value(work, &Nothing, BLOB, 1, None, &more, false).unwrap();
            blob.extend_from_slice(&more);
            thing.blob = Some(blob);
        }
        3 => {
            let mut blob = thing.blob.take().unwrap_or_default();
            let at = rng.below(blob.len() as u64 + 1) as usize;
            let more = vec![rng.below(256) as u8; rng.below(5000) as usize + 1];
            let whole = rng.below(2) == 0;
            cursor.write_value(work, &Nothing, BLOB, 1, Some(at), &more, whole).unwrap();
            blob.resize(blob.len().max(at + more.len()), 0);
            blob[at..at + more.len()].copy_from_slice(&more);
            if whole {
                blob.truncate(at + more.len());
            }
            thing.blob = Some(blob);
        }
        _ => {}
    }
}

fn run(size: PageSize, seed: u64, steps: usize) {
    let bench = Bench::new(size, true, 3000);
    let table = table(&bench);
    let mut rng = SimRng::new(seed);
    let mut work = bench.session();
    let mut models = vec![Model::new()];
    let mut cursor = TableCursor::new(table.clone());
    for step in 0..steps {
        if models.len() == 1 {
            work.begin(false).unwrap();
            models.push(models[0].clone());
        }
        let model = models.last_mut().unwrap();
        let pick = |rng: &mut SimRng, model: &Model| {
            let at = rng.below(model.len().max(1) as u64) as usize;
            model.keys().nth(at).copied()
        };
        let seek = |cursor: &mut TableCursor, work: &Work, id: u32| {
            cursor.set_index(None).unwrap();
            cursor.make_key(&id.to_le_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
            assert!(cursor.seek(work, Seek::Equal).unwrap());
        };
        match rng.below(100) {
            0..50 => {
                cursor.prepare(&mut work, &Nothing, Prepare::Insert).unwrap();
                let id = number(cursor.value(&work, ID, 1, true).unwrap());
                let mut thing = Thing { version: 0, score: 7, code: None, tags: Vec::new(), blob: None };
                fill(&mut rng, &mut cursor, &mut work, &mut thing);
                let duplicate = thing.code.is_some() && model.values().any(|t| t.code == thing.code);
                match cursor.update(&mut work, &Nothing) {
                    Ok(bookmark) => {
                        assert!(!duplicate, "step {step}");
                        cursor.goto_bookmark(&work, &bookmark).unwrap();
                        model.insert(id, thing);
                    }
                    Err(error) => {
                        assert!(duplicate, "step {step}: {error}");
                        assert_eq!(error.code(), JetErr::KeyDuplicate, "step {step}: {error}");
                        cursor.cancel(&mut work).unwrap();
                    }
                }
            }
            50..75 => {
                let Some(id) = pick(&mut rng, model) else { continue };
                seek(&mut cursor, &work, id);
                cursor.prepare(&mut work, &Nothing, Prepare::Replace).unwrap();
                let mut thing = model[&id].clone();
                thing.version += 1;
                fill(&mut rng, &mut cursor, &mut work, &mut thing);
                let duplicate =
                    thing.code.is_some() && model.iter().any(|(n, t)| *n != id && t.code == thing.code);
                let result = cursor.update(&mut work, &Nothing);
                assert_eq!(result.is_err(), duplicate, "step {step}: {result:?}");
                if duplicate {
                    cursor.cancel(&mut work).unwrap();
                } else {
                    model.insert(id, thing);
                }
            }
            75..85 => {
                let Some(id) = pick(&mut rng, model) else { continue };
                seek(&mut cursor, &work, id);
                cursor.delete(&mut work, &Nothing).unwrap();
                model.remove(&id);
            }
            85..90 => {
                let Some(id) = pick(&mut rng, model) else { continue };
                seek(&mut cursor, &work, id);
                cursor.prepare(&mut work, &Nothing, Prepare::InsertCopy).unwrap();
                let new = number(cursor.value(&work, ID, 1, true).unwrap());
                cursor.set_value(&mut work, &Nothing, CODE, 1, None, KeepOptions::default()).unwrap();
                cursor.update(&mut work, &Nothing).unwrap();
                let copy = Thing { version: 0, code: None, ..model[&id].clone() };
                model.insert(new, copy);
            }
            90..93 if models.len() < 5 => {
                work.begin(false).unwrap();
                let inner = models.last().unwrap().clone();
                models.push(inner);
            }
            93..97 => {
                work.commit(true).unwrap();
                let done = models.pop().unwrap();
                *models.last_mut().unwrap() = done;
            }
            97..100 => {
                bench.rollback(&mut work);
                models.pop();
            }
            _ => {}
        }
        if step % 200 == 199 && models.len() > 1 {
            check(&table, &work, models.last().unwrap());
        }
    }
    while models.len() > 1 {
        bench.rollback(&mut work);
        models.pop();
    }
    work.begin(true).unwrap();
    check(&table, &work, &models[0]);
}

#[test]
fn a_table_does_what_a_map_of_structs_does() {
    for (seed, size) in [(1, 4096), (2, 8192), (3, 32768)] {
        run(PageSize::from_bytes(size).unwrap(), seed, 1200);
    }
}

#[test]
fn seeks_and_ranges_in_all_directions() {
    let bench = Bench::new(PageSize::K4, true, 1000);
    let table = table(&bench);
    let mut work = bench.session();
    work.begin(false).unwrap();
    let mut cursor = TableCursor::new(table.clone());
    for n in 0..200 {
        cursor.prepare(&mut work, &Nothing, Prepare::Insert).unwrap();
        let code = format!("K{:03}", n * 2);
        cursor
            .set_value(&mut work, &Nothing, CODE, 1, Some(code.as_bytes()), KeepOptions::default())
            .unwrap();
        cursor.update(&mut work, &Nothing).unwrap();
    }
    cursor.set_index(Some("code")).unwrap();
    assert_eq!(cursor.current_index(), Some("Code"));
    let seek = |cursor: &mut TableCursor, key: &str, seek| {
        cursor.make_key(key.as_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
        cursor.seek(&work, seek).map(|exact| {
            (String::from_utf8(cursor.value(&work, CODE, 1, false).unwrap().unwrap()).unwrap(), exact)
        })
    };
    let ok = |code: &str, exact| (code.to_owned(), exact);
    assert_eq!(seek(&mut cursor, "K100", Seek::Equal).unwrap(), ok("K100", true));
    assert_eq!(seek(&mut cursor, "K101", Seek::GreaterOrEqual).unwrap(), ok("K102", false));
    assert_eq!(seek(&mut cursor, "K100", Seek::Greater).unwrap(), ok("K102", false));
    assert_eq!(seek(&mut cursor, "K100", Seek::Less).unwrap(), ok("K098", false));
    assert_eq!(seek(&mut cursor, "K100", Seek::LessOrEqual).unwrap(), ok("K100", true));
    assert_eq!(seek(&mut cursor, "K101", Seek::LessOrEqual).unwrap(), ok("K100", false));
    assert_eq!(seek(&mut cursor, "A", Seek::Less).unwrap_err().code(), JetErr::RecordNotFound);
    assert_eq!(seek(&mut cursor, "K101", Seek::Equal).unwrap_err().code(), JetErr::RecordNotFound);
    assert_eq!(cursor.seek(&work, Seek::Equal).unwrap_err().code(), JetErr::KeyNotMade);
    cursor.move_next(&work, false).unwrap();
    assert_eq!(cursor.value(&work, CODE, 1, false).unwrap().unwrap(), b"K102");
    // A range up to K110, inside and outside.
    for (flags, expected) in [(RangeFlags::UPPER, 4), (RangeFlags::UPPER | RangeFlags::INCLUSIVE, 5)] {
        cursor.make_key(b"K102", MakeKeyFlags::NEW_KEY).unwrap();
        cursor.seek(&work, Seek::Equal).unwrap();
        cursor.make_key(b"K110", MakeKeyFlags::NEW_KEY).unwrap();
        cursor.set_range(&work, flags).unwrap();
        assert_eq!(cursor.count(&work, 0).unwrap(), expected);
        let mut met = 1;
        while cursor.move_next(&work, false).is_ok() {
            met += 1;
        }
        assert_eq!(met, expected);
    }
    cursor.make_key(b"K102", MakeKeyFlags::NEW_KEY).unwrap();
    cursor.seek(&work, Seek::Equal).unwrap();
    cursor.make_key(b"K001", MakeKeyFlags::NEW_KEY).unwrap();
    assert_eq!(cursor.set_range(&work, RangeFlags::UPPER).unwrap_err().code(), JetErr::NoCurrentRecord);
    // All that begin with K1.
    cursor.make_key(b"K1", MakeKeyFlags::NEW_KEY).unwrap();
    cursor.seek(&work, Seek::GreaterOrEqual).unwrap();
    cursor.make_key(b"K1", MakeKeyFlags::NEW_KEY | MakeKeyFlags::SUB_STR_LIMIT).unwrap();
    cursor.set_range(&work, RangeFlags::UPPER | RangeFlags::INCLUSIVE).unwrap();
    assert_eq!(cursor.count(&work, 0).unwrap(), 50);
    assert_eq!(cursor.count(&work, 7).unwrap(), 7);
}

#[test]
fn updates_must_be_prepared_and_are_given_up_whole() {
    let bench = Bench::new(PageSize::K4, true, 1000);
    let table = table(&bench);
    let mut work = bench.session();
    let mut cursor = TableCursor::new(table.clone());
    let code = |r: Result<()>| r.unwrap_err().code();
    assert_eq!(code(cursor.prepare(&mut work, &Nothing, Prepare::Insert)), JetErr::NotInTransaction);
    work.begin(false).unwrap();
    let set = |cursor: &mut TableCursor, work: &mut Work, id, value: Option<&[u8]>| {
        cursor.set_value(work, &Nothing, id, 1, value, KeepOptions::default())
    };
    assert_eq!(code(set(&mut cursor, &mut work, CODE, None)), JetErr::UpdateNotPrepared);
    assert_eq!(code(cursor.update(&mut work, &Nothing).map(drop)), JetErr::UpdateNotPrepared);
    assert_eq!(code(cursor.prepare(&mut work, &Nothing, Prepare::Replace)), JetErr::NoCurrentRecord);
    cursor.prepare(&mut work, &Nothing, Prepare::Insert).unwrap();
    assert_eq!(code(cursor.prepare(&mut work, &Nothing, Prepare::Insert)), JetErr::AlreadyPrepared);
    assert_eq!(code(set(&mut cursor, &mut work, ID, Some(&[0; 4]))), JetErr::ColumnNotUpdatable);
    assert_eq!(code(set(&mut cursor, &mut work, SCORE, Some(&[0; 3]))), JetErr::InvalidBufferSize);
    assert_eq!(code(set(&mut cursor, &mut work, CODE, Some(&[0; 300]))), JetErr::ColumnTooBig);
    assert_eq!(code(set(&mut cursor, &mut work, ColumnId(999), None)), JetErr::ColumnNotFound);
    let options = KeepOptions { separate: true, pack: None };
    cursor.set_value(&mut work, &Nothing, BLOB, 1, Some(&[1; 100]), options).unwrap();
    let lvs = table.long_values().unwrap();
    let count = |work: &Work| {
        let mut cursor = crate::btree::TreeCursor::new(lvs.clone());
        std::iter::from_fn(|| cursor.next(work).unwrap().then_some(())).count()
    };
    assert_eq!(count(&work), 2);
    cursor.cancel(&mut work).unwrap();
    assert_eq!(count(&work), 0);
    // Set twice, only the second one stays.
    cursor.prepare(&mut work, &Nothing, Prepare::Insert).unwrap();
    for byte in [1, 2] {
        cursor.set_value(&mut work, &Nothing, BLOB, 1, Some(&[byte; 100]), options).unwrap();
    }
    cursor.update(&mut work, &Nothing).unwrap();
    assert_eq!(count(&work), 2);
    cursor.move_first(&work).unwrap();
    assert_eq!(cursor.value(&work, BLOB, 1, false).unwrap().unwrap(), [2; 100]);
    cursor.delete(&mut work, &Nothing).unwrap();
    assert_eq!(count(&work), 0);
    assert_eq!(all(&table, &work, None), []);
}
