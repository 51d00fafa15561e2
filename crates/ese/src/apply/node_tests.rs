//! Changes of one page against a list of nodes, and records that lie.

use super::*;
use ese_format::log::record::diff::make_diff;
use ese_format::log::record::*;
use ese_format::page::{LineFlags, NewPage, Page, PageFlags, PageMut};
use ese_format::{DbTime, ObjectId, PageSize};
use proptest::prelude::*;

const NUMBER: PageNumber = PageNumber(7);
const PREFIX: &[u8] = b"common";

fn fresh(size: PageSize, reserved_tags: bool) -> Vec<u8> {
    let mut bytes = vec![0; size.bytes()];
    let flags = PageFlags::LEAF;
    let new = NewPage { number: NUMBER, object: ObjectId(3), db_time: DbTime(10), flags, reserved_tags };
    let mut page = PageMut::format(&mut bytes, size, new).unwrap();
    page.set_external_header(PREFIX).unwrap();
    bytes
}

pub(super) fn prefix(page: PageNumber, line: usize, before: DbTime, is_versioned: bool) -> NodePrefix {
    let page = PagePrefix {
        page,
        line: line as u16,
        before,
        after: DbTime(before.0.wrapping_add(1)),
        dbid: 1,
        level: 1,
        flags: if is_versioned { PagePrefix::VERSIONED } else { 0 },
        ..PagePrefix::default()
    };
    let version_id = if is_versioned { 7 } else { 0 };
    NodePrefix { page, version_id, root: NUMBER, object: ObjectId(3) }
}

/// What the model knows of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    key: Vec<u8>,
    data: Vec<u8>,
    deleted: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>, Vec<u8>, bool),
    Revive(prop::sample::Index, Option<Vec<u8>>),
    FlagDelete(prop::sample::Index, bool),
    Delete(prop::sample::Index),
    Replace(prop::sample::Index, Vec<u8>, bool),
    Add(prop::sample::Index, i64, bool),
    /// The last change is taken back.
    Undo,
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<prop::sample::Index>;
    let key = || {
        prop_oneof![
            prop::collection::vec(0u8..4, 1..4),
            prop::collection::vec(0u8..4, 0..4).prop_map(|tail| [PREFIX, &tail].concat()),
            prop::collection::vec(any::<u8>(), 1..90).prop_map(|tail| [&PREFIX[..4], &tail].concat()),
        ]
    };
    let data =
        || prop_oneof![prop::collection::vec(any::<u8>(), 1..30), prop::collection::vec(0u8..2, 8..900)];
    prop_oneof![
        6 => (key(), data(), any::<bool>()).prop_map(|(k, d, v)| Step::Insert(k, d, v)),
        1 => (at(), prop::option::of(data())).prop_map(|(i, d)| Step::Revive(i, d)),
        2 => (at(), any::<bool>()).prop_map(|(i, v)| Step::FlagDelete(i, v)),
        1 => at().prop_map(Step::Delete),
        3 => (at(), data(), any::<bool>()).prop_map(|(i, d, diff)| Step::Replace(i, d, diff)),
        1 => (at(), any::<i64>(), any::<bool>()).prop_map(|(i, d, wide)| Step::Add(i, d, wide)),
        2 => Just(Step::Undo),
    ]
}

/// The record of a step, and the line's state in the model afterwards (`None`: removed).
fn record(step: &Step, model: &[Item], time: DbTime) -> Option<(LogRecord, usize, Option<Item>)> {
    let at = |index: &prop::sample::Index| (!model.is_empty()).then(|| index.index(model.len()));
    Some(match step {
        Step::Insert(key, data, is_versioned) => {
            let line = model.binary_search_by(|item| item.key.cmp(key)).err()?;
            let shared = ese_format::node::common_prefix(PREFIX, key);
            let shared = if shared > 2 { shared } else { 0 };
            let record = Insert {
                node: prefix(NUMBER, line, time, *is_versioned),
                prefix: key[..shared].to_vec(),
                suffix: key[shared..].to_vec(),
                data: data.clone(),
            };
            (
                LogRecord::Insert(record),
                line,
                Some(Item { key: key.clone(), data: data.clone(), deleted: false }),
            )
        }
        Step::Revive(index, data) => {
            let line = at(index)?;
            let (node, key) = (prefix(NUMBER, line, time, true), model[line].key.clone());
            let item = Item { deleted: false, ..model[line].clone() };
            match data {
                None => {
                    let data = item.data.clone();
                    (LogRecord::FlagInsert(FlagInsert { node, key, data }), line, Some(item))
                }
                Some(data) => {
                    let data = data.clone();
                    let item = Item { data: data.clone(), ..item };
                    let record = FlagInsertAndReplaceData { node, key, data, replace_version_id: 9 };
                    (LogRecord::FlagInsertAndReplaceData(record), line, Some(item))
                }
            }
        }
        Step::FlagDelete(index, is_versioned) => {
            let line = at(index)?;
            let node = prefix(NUMBER, line, time, *is_versioned);
            let item = Item { deleted: true, ..model[line].clone() };
            (LogRecord::FlagDelete(NodeMark { node }), line, Some(item))
        }
        Step::Delete(index) => {
            let line = at(index)?;
            (LogRecord::Delete(NodeMark { node: prefix(NUMBER, line, time, false) }), line, None)
        }
        Step::Replace(index, data, as_diff) => {
            let line = at(index)?;
            let old = &model[line].data;
            let diff = make_diff(old, data, true).filter(|_| *as_diff);
            let is_diff = diff.is_some();
            let record = Replace {
                node: prefix(NUMBER, line, time, true),
                old_bytes: old.len() as u16,
                new_bytes: data.len() as u16,
                image: Image { bytes: diff.unwrap_or_else(|| data.clone()), wide: is_diff },
            };
            let item = Item { data: data.clone(), ..model[line].clone() };
            let record = if is_diff { LogRecord::ReplaceDiff(record) } else { LogRecord::Replace(record) };
            (record, line, Some(item))
        }
        Step::Add(index, delta, wide) => {
            let line = at(index)?;
            let node = prefix(NUMBER, line, time, true);
            let mut item = model[line].clone();
            let (key, data) = (item.key.clone(), Vec::new());
            let record = if *wide {
                let place = item.data.first_chunk_mut::<8>()?;
                *place = i64::from_le_bytes(*place).wrapping_add(*delta).to_le_bytes();
                LogRecord::Delta64(Delta64 { node, key, data, delta: *delta, offset: 0 })
            } else {
                let (offset, delta) = (item.data.len().checked_sub(4)?, *delta as i32);
                let place = item.data.last_chunk_mut::<4>()?;
                *place = i32::from_le_bytes(*place).wrapping_add(delta).to_le_bytes();
                LogRecord::Delta(Delta { node, key, data, delta, offset: offset as u16 })
            };
            (record, line, Some(item))
        }
        Step::Undo => return None,
    })
}

/// The undo of a record that was applied to `old`, and what the node looks like then.
fn undo<'a>(record: &'a LogRecord, old: &'a [u8], time: DbTime) -> Option<(Undo, Undone<'a>)> {
    let node = record.node_prefix()?;
    let (operation, undone) = match record {
        LogRecord::Insert(_) => (VersionOperation::Insert, Undone::Insert),
        LogRecord::FlagDelete(_) => (VersionOperation::FlagDelete, Undone::FlagDelete),
        LogRecord::Replace(_) | LogRecord::ReplaceDiff(_) => {
            (VersionOperation::Replace, Undone::Replace { before: old, reserved: 0 })
        }
        LogRecord::Delta(r) => (VersionOperation::Delta, Undone::Delta { delta: r.delta, offset: r.offset }),
        LogRecord::Delta64(r) => {
            (VersionOperation::Delta64, Undone::Delta64 { delta: r.delta, offset: r.offset })
        }
        _ => return None,
    };
    let node = prefix(NUMBER, node.page.line.into(), time, true);
    Some((Undo { node, key: Vec::new(), data: Vec::new(), operation, level: 1 }, undone))
}

fn nodes(page: &Page<'_>) -> Vec<Item> {
    let nodes = page.nodes().unwrap().map(|node| node.unwrap());
    nodes.map(|n| Item { key: n.key(), data: n.data.to_vec(), deleted: n.is_deleted() }).collect()
}

proptest! {
    #[test]
    fn changes_match_a_list_of_nodes(
        size in prop::sample::select(PageSize::ALL.to_vec()),
        reserved_tags: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bytes = fresh(size, reserved_tags);
        let mut model: Vec<Item> = Vec::new();
        let mut last: Option<(LogRecord, Vec<Item>)> = None;
        for step in &steps {
            let time = Page::new(&bytes, size).unwrap().db_time();
            if let Step::Undo = step {
                let Some((record, before)) = last.take() else { continue };
                let line = usize::from(record.node_prefix().unwrap().page.line);
                let old = before.get(line).cloned();
                let data = old.as_ref().map(|item| item.data.clone()).unwrap_or_default();
                let Some((mut undo, undone)) = undo(&record, &data, time) else { continue };
                undo.key.clone_from(&model[line].key);
                // A flag delete of what was deleted already has nothing to undo.
                match record {
                    LogRecord::Insert(_) => model[line].deleted = true,
                    LogRecord::FlagDelete(_) => model[line].deleted = false,
                    _ => model = before,
                }
                let change = PageChange::Undo(&undo, undone);
                let mut page = PageMut::new(&mut bytes, size).unwrap();
                check(&page.view(), &change).unwrap();
                prop_assert_eq!(apply(&mut page, &change).unwrap(), None);
            } else {
                let Some((record, line, item)) = record(step, &model, time) else { continue };
                let record = LogRecord::decode(&record.encode().unwrap()).unwrap();
                let change = PageChange::of_record(&record).unwrap();
                let copy = bytes.clone();
                let mut page = PageMut::new(&mut bytes, size).unwrap();
                let checked = check(&page.view(), &change);
                let applied = apply(&mut page, &change);
                prop_assert_eq!(checked.is_ok(), applied.is_ok());
                if let Err(error) = applied {
                    prop_assert_eq!(error.code(), JetErr::LogCorrupted);
                    prop_assert!(error.detail().contains("free"), "{}", error);
                    prop_assert_eq!(&copy, &bytes);
                    continue;
                }
                let old = model.clone();
                match (&record, item) {
                    (LogRecord::Insert(_), Some(item)) => model.insert(line, item),
                    (_, Some(item)) => model[line] = item,
                    (_, None) => drop(model.remove(line)),
                }
                if let LogRecord::Replace(_) | LogRecord::ReplaceDiff(_)
                    | LogRecord::FlagInsertAndReplaceData(_) = record {
                    let before = applied.unwrap().unwrap();
                    prop_assert_eq!(&before, &old[line].data);
                }
                last = Some((record, old));
            }
            let page = Page::new(&bytes, size).unwrap();
            prop_assert_eq!(page.db_time(), DbTime(time.0 + 1));
            page.check().unwrap();
            page.check_key_order().unwrap();
            prop_assert_eq!(&nodes(&page), &model);
        }
    }

    #[test]
    fn lying_records_are_refused_and_change_nothing(
        size in prop::sample::select(PageSize::ALL.to_vec()),
        inserts in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), 1usize..200), 0..30),
        line in prop_oneof![0u16..40, any::<u16>()],
        kind in 0u8..13,
        key in prop::collection::vec(any::<u8>(), 0..300),
        data in prop::collection::vec(any::<u8>(), 0..3000),
        numbers: (u16, u16, i64),
        wide: bool,
        versioned: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = fresh(size, versioned);
        let mut keys: Vec<_> = inserts;
        keys.sort();
        keys.dedup_by(|a, b| a.0 == b.0);
        {
            let mut page = PageMut::new(&mut bytes, size).unwrap();
            for (at, (key, length)) in keys.iter().enumerate() {
                if page.insert_node(at, key, &vec![9; *length], LineFlags::empty()).is_err() {
                    break;
                }
            }
        }
        for (at, byte) in damage {
            let length = bytes.len();
            // Header and tags are what hurts.
            let at = at.index(160);
            bytes[if at < 80 { at } else { length - (at - 79) }] = byte;
        }
        let node = prefix(NUMBER, line.into(), DbTime(10), versioned);
        let key_of_line = keys.get(usize::from(line)).map(|k| k.0.clone()).filter(|_| wide);
        let key = key_of_line.unwrap_or(key);
        let replace = Replace {
            node, old_bytes: numbers.0, new_bytes: numbers.1,
            image: Image { bytes: data.clone(), wide },
        };
        let (offset, delta) = (numbers.0, numbers.2);
        let insert = Insert { node, suffix: key.clone(), prefix: PREFIX[..usize::from(offset % 7)].into(), data: data.clone() };
        let flag_insert = FlagInsert { node, key: key.clone(), data: data.clone() };
        let revive = FlagInsertAndReplaceData { node, key: key.clone(), data: data.clone(), replace_version_id: 1 };
        let mark = NodeMark { node };
        let delta4 = Delta { node, key: key.clone(), data: Vec::new(), delta: delta as i32, offset };
        let delta8 = Delta64 { node, key: key.clone(), data: Vec::new(), delta, offset };
        let header = SetExternalHeader { node, data: data.clone() };
        let operation = [VersionOperation::Insert, VersionOperation::Replace, VersionOperation::Delta64][usize::from(offset % 3)];
        let undo = Undo { node, key, data: Vec::new(), operation, level: 1 };
        let change = match kind {
            0 => PageChange::Insert(&insert),
            1 => PageChange::FlagInsert(&flag_insert),
            2 => PageChange::FlagInsertAndReplaceData(&revive),
            3 => PageChange::FlagDelete(&mark),
            4 => PageChange::Delete(&mark),
            5 => PageChange::Replace(&replace),
            6 => PageChange::ReplaceDiff(&replace),
            7 => PageChange::Delta(&delta4),
            8 => PageChange::Delta64(&delta8),
            9 => PageChange::SetExternalHeader(&header),
            10 => PageChange::Undo(&undo, Undone::Insert),
            11 => PageChange::Undo(&undo, Undone::Replace { before: &data, reserved: 5 }),
            _ => PageChange::Undo(&undo, Undone::Delta64 { delta, offset }),
        };
        let was_sound = Page::new(&bytes, size).is_ok_and(|page| page.check().is_ok());
        let copy = bytes.clone();
        let Ok(mut page) = PageMut::new(&mut bytes, size) else { return Ok(()) };
        let checked = check(&page.view(), &change);
        let applied = apply(&mut page, &change);
        if applied.is_err() {
            prop_assert_eq!(&bytes, &copy);
        } else if was_sound {
            Page::new(&bytes, size).unwrap().check().unwrap();
        }
        if was_sound {
            prop_assert_eq!(checked.is_ok(), applied.is_ok());
        }
    }
}
