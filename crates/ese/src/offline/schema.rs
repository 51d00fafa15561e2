//! The schema, read from the catalog or its shadow.

use super::pages::PageFile;
use super::scan::TreeScan;
use crate::error::{Error, JetErr, Result};
use ese_format::catalog::{
    CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, RowKind, SHADOW_OBJECT, SHADOW_ROOT, TableSchemaBuilder,
    table_key,
};
use ese_format::tree::PageRead;
use ese_format::{ObjectId, PageNumber};

/// A table that the catalog lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEntry {
    /// The name.
    pub name: String,
    /// The object id of its tree.
    pub object_id: ObjectId,
    /// The root page of its tree.
    pub root: PageNumber,
    /// It was found in the catalog's shadow, the catalog itself being damaged.
    pub from_shadow: bool,
}

const CATALOG: (PageNumber, ObjectId) = (CATALOG_ROOT, CATALOG_OBJECT);
const SHADOW: (PageNumber, ObjectId) = (SHADOW_ROOT, SHADOW_OBJECT);

pub(super) fn corrupt(pages: &PageFile, text: String) -> Error {
    Error::new(JetErr::CatalogCorrupted, text).file(pages.path())
}

pub(super) fn tables(pages: &PageFile, report: &mut dyn FnMut(Error)) -> Result<Vec<TableEntry>> {
    let mut damaged = false;
    let mut found = tables_of(pages, CATALOG, false, &mut |error| {
        damaged = true;
        report(error);
    });
    if damaged {
        for entry in tables_of(pages, SHADOW, true, report) {
            if !found.iter().any(|have| have.object_id == entry.object_id) {
                found.push(entry);
            }
        }
        found.sort_by_key(|entry| entry.object_id);
    }
    if found.is_empty() {
        return Err(corrupt(pages, "neither the catalog nor its shadow lists a table".into()));
    }
    Ok(found)
}

fn tables_of(
    pages: &PageFile,
    (root, object): (PageNumber, ObjectId),
    from_shadow: bool,
    report: &mut dyn FnMut(Error),
) -> Vec<TableEntry> {
    let mut found = Vec::new();
    let mut scan = TreeScan::new(pages, root, object);
    while let Some(entry) = scan.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                report(error);
                continue;
            }
        };
        // Nearly all rows describe columns: look no further into those.
        if matches!(CatalogRow::kind_of(entry.data), Some(kind) if kind != RowKind::Table) {
            continue;
        }
        match CatalogRow::decode(entry.data, pages.page_size()) {
            Ok(row) if row.kind == RowKind::Table => found.push(TableEntry {
                name: String::from_utf8_lossy(row.name).into_owned(),
                object_id: row.table,
                root: PageNumber(row.type_or_root),
                from_shadow,
            }),
            Ok(_) => {}
            Err(error) => report(pages.at(error, entry.page)),
        }
    }
    found
}

/// Collects the rows about one table.
pub(super) fn rows_of(
    pages: &PageFile,
    table: &TableEntry,
    report: &mut dyn FnMut(Error),
) -> Result<TableSchemaBuilder> {
    let mut damage = Vec::new();
    let first = if table.from_shadow { SHADOW } else { CATALOG };
    let built = collect(pages, first, table, &mut |error| damage.push(error));
    if damage.is_empty() && built.is_ok() {
        return built;
    }
    damage.into_iter().for_each(&mut *report);
    let other = if table.from_shadow { CATALOG } else { SHADOW };
    let mut other_damage = 0;
    match collect(pages, other, table, &mut |_| other_damage += 1) {
        Ok(builder) if other_damage == 0 => Ok(builder),
        other => built.or(other),
    }
}

fn collect(
    pages: &PageFile,
    (root, object): (PageNumber, ObjectId),
    table: &TableEntry,
    report: &mut dyn FnMut(Error),
) -> Result<TableSchemaBuilder> {
    let key = table_key(table.object_id);
    let mut scan = TreeScan::starting_at(pages, root, object, &key)?;
    let mut builder: Option<TableSchemaBuilder> = None;
    while let Some(entry) = scan.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                report(error);
                continue;
            }
        };
        if !entry.key.starts_with(&key) {
            break;
        }
        let done = CatalogRow::decode(entry.data, pages.page_size()).and_then(|row| match &mut builder {
            Some(builder) => builder.add(&row),
            None => TableSchemaBuilder::new(&row).map(|new| builder = Some(new)),
        });
        if let Err(error) = done {
            report(pages.at(error, entry.page));
        }
    }
    builder.ok_or_else(|| corrupt(pages, format!("the catalog has no row for table {}", table.name)))
}
