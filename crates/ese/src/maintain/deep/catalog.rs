//! The catalog against its copies: the shadow, and the list of object ids.

use super::Context;
use super::content::Outcome;
use super::finding::{Findings, Subject};
use super::schema::Kind;
use ese_format::PageNumber;
use ese_format::catalog::{CATALOG_OBJECT, CATALOG_ROOT, SHADOW_OBJECT, SHADOW_ROOT};
use ese_format::column::ColumnId;
use ese_format::record::{Record, Stored};
use ese_format::tree::{Cursor, PageRead, Tree};
use std::cmp::Ordering;
use std::collections::HashMap;

/// The table that lists the object ids of all trees.
const OBJECT_IDS: &str = "MSysObjids";
/// Its columns (tagged): the object id, the table's, and the kind, as the rows of the catalog have it.
const OBJECT_ID_COLUMNS: [u16; 3] = [256, 257, 258];

/// Compares the catalog with what repeats it.
pub(super) fn check<P: PageRead>(context: &Context<P>, outcomes: &[Outcome], findings: &mut Findings) {
    shadow(context, outcomes, findings);
    object_ids(context, outcomes, findings);
}

/// Whether a tree was followed to its end, so that it can be read again without surprises.
fn is_complete<P>(context: &Context<P>, outcomes: &[Outcome], root: PageNumber) -> bool {
    let number = context.schema.trees.iter().position(|tree| tree.root == root);
    number.and_then(|number| outcomes.get(number)).is_some_and(|outcome| outcome.complete)
}

/// An entry of a tree, owned.
struct Row {
    key: Vec<u8>,
    data: Vec<u8>,
    place: (PageNumber, usize),
}

fn next<P: PageRead>(cursor: &mut Cursor<P>) -> Option<Row> {
    loop {
        if let Ok(entry) = cursor.next()? {
            let place = (entry.page, entry.line);
            return Some(Row { key: entry.key.to_vec(), data: entry.data.to_vec(), place });
        }
    }
}

/// The shadow has the same rows, byte for byte.
fn shadow<P: PageRead>(context: &Context<P>, outcomes: &[Outcome], findings: &mut Findings) {
    if !is_complete(context, outcomes, CATALOG_ROOT) || !is_complete(context, outcomes, SHADOW_ROOT) {
        let text = "catalog and shadow were not compared: one of the trees is damaged";
        return findings.note(Subject::Shadow, (), text);
    }
    let pages = &*context.pages;
    let mut rows = Tree::new(pages, CATALOG_ROOT, CATALOG_OBJECT).scan();
    let mut copies = Tree::new(pages, SHADOW_ROOT, SHADOW_OBJECT).scan();
    let (mut row, mut copy) = (next(&mut rows), next(&mut copies));
    while !findings.is_full() {
        let order = match (&row, &copy) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(copy)) => row.key.cmp(&copy.key),
        };
        match (order, &row, &copy) {
            (Ordering::Less, Some(row), _) => {
                findings.error(Subject::Shadow, row.place, "the shadow lacks a row of the catalog");
            }
            (Ordering::Greater, _, Some(copy)) => {
                findings.error(Subject::Shadow, copy.place, "the shadow has a row that the catalog lacks");
            }
            (_, Some(row), Some(copy)) if row.data != copy.data => {
                findings.error(Subject::Shadow, copy.place, "the shadow has another row than the catalog");
            }
            _ => {}
        }
        if order.is_le() {
            row = next(&mut rows);
        }
        if order.is_ge() {
            copy = next(&mut copies);
        }
    }
}

/// MSysObjids has one row for each table, secondary index and tree of long values.
fn object_ids<P: PageRead>(context: &Context<P>, outcomes: &[Outcome], findings: &mut Findings) {
    let tables = &context.schema.tables;
    // Databases from before Windows 7 have no such table; the engine adds it when it attaches them.
    let Some(table) = tables.iter().find(|table| table.schema.name.eq_ignore_ascii_case(OBJECT_IDS)) else {
        return;
    };
    if !context.schema.complete || !is_complete(context, outcomes, table.schema.root) {
        let text = format!("{OBJECT_IDS} was not compared with the catalog: one of the trees is damaged");
        return findings.note(Subject::Catalog, (), text);
    }
    let mut expected: HashMap<u32, (&str, [u32; 2])> = HashMap::new();
    for tree in &context.schema.trees {
        let (table, kind) = match tree.kind {
            Kind::Database => continue,
            Kind::Table(table) => (table, 1),
            Kind::Index(table, _) => (table, 3),
            Kind::LongValues(table) => (table, 4),
        };
        let Some(table) = tables.get(table) else { continue };
        expected.insert(tree.object.0, (&tree.name, [table.schema.object_id.0, kind]));
    }
    let size = context.pages.page_size();
    let mut scan = Tree::new(&*context.pages, table.schema.root, table.schema.object_id).scan();
    while let Some(row) = next(&mut scan) {
        let Ok(record) = Record::parse(&row.data, size) else { continue };
        let [id, table, kind] =
            OBJECT_ID_COLUMNS.map(|column| match record.get(ColumnId(column), 0, 0, false) {
                Ok(Stored::Single(piece)) => match *piece.bytes {
                    [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
                    [a, b] => Some(u16::from_le_bytes([a, b]).into()),
                    _ => None,
                },
                _ => None,
            });
        let (Some(id), Some(table), Some(kind)) = (id, table, kind) else {
            findings.error(Subject::Catalog, row.place, format!("a row of {OBJECT_IDS} lacks a column"));
            continue;
        };
        match expected.remove(&id) {
            Some((_, wanted)) if wanted == [table, kind] => {}
            Some((name, _)) => {
                let text = format!("{OBJECT_IDS} has {name} as object {id} of table {table}, kind {kind}");
                findings.error(Subject::Catalog, row.place, text);
            }
            None => {
                let text = format!("{OBJECT_IDS} has object {id}, which the catalog does not have");
                findings.error(Subject::Catalog, row.place, text);
            }
        }
    }
    let mut missing: Vec<_> = expected.into_iter().collect();
    missing.sort_unstable_by_key(|(id, _)| *id);
    for (id, (name, _)) in missing {
        findings.error(Subject::Catalog, (), format!("{OBJECT_IDS} lacks object {id}, {name}"));
    }
}
