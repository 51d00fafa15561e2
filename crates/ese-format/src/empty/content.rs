//! The rows and index entries of an empty catalog.

use super::build::Entry;
use super::{NAME_OBJECT, NAME_ROOT, ROOT_OBJECTS_OBJECT, ROOT_OBJECTS_ROOT, shadow_pages};
use crate::catalog::{
    CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, RowKind, SHADOW_OBJECT, SHADOW_ROOT, row_key,
};
use crate::column::{ColumnId, ColumnPlace, ColumnType};
use crate::error::Result;
use crate::primitives::{ObjectId, PageNumber, PageSize};
use crate::record::{Piece, RecordWriter};

pub(super) const OBJIDS_OBJECT: ObjectId = ObjectId(6);
pub(super) const LOCALES_OBJECT: ObjectId = ObjectId(7);

/// How text of all indexes of the catalog is mapped, though none has text of that kind.
const MAP_FLAGS: u32 = 0x0003_0401;
/// "en-US" in UTF-16LE.
const LOCALE: &[u8] = b"e\0n\0-\0U\0S\0";
/// The engine writes this offset for all fixed columns of the catalog itself.
const NOMINAL_OFFSET: u16 = 4;
const CODE_PAGE: u32 = 1252;

/// A row of the catalog with what its index entries need.
pub(super) struct Row {
    table: ObjectId,
    kind: RowKind,
    id: u32,
    name: &'static str,
    record: Vec<u8>,
}

impl Row {
    fn key(&self) -> [u8; 13] {
        row_key(self.table, self.kind, self.id)
    }
}

/// The columns of the catalog: number, name, type, whether it must have a value.
const CATALOG_COLUMNS: [(u16, &str, ColumnType, bool); 28] = [
    (1, "ObjidTable", ColumnType::Long, true),
    (2, "Type", ColumnType::Short, true),
    (3, "Id", ColumnType::Long, true),
    (4, "ColtypOrPgnoFDP", ColumnType::Long, true),
    (5, "SpaceUsage", ColumnType::Long, true),
    (6, "Flags", ColumnType::Long, true),
    (7, "PagesOrLocale", ColumnType::Long, true),
    (8, "RootFlag", ColumnType::Bit, false),
    (9, "RecordOffset", ColumnType::Short, false),
    (10, "LCMapFlags", ColumnType::Long, false),
    (11, "KeyMost", ColumnType::UnsignedShort, false),
    (12, "LVChunkMax", ColumnType::Long, false),
    (128, "Name", ColumnType::Text, true),
    (129, "Stats", ColumnType::Binary, false),
    (130, "TemplateTable", ColumnType::Text, false),
    (131, "DefaultValue", ColumnType::Binary, false),
    (132, "KeyFldIDs", ColumnType::Binary, false),
    (133, "VarSegMac", ColumnType::Binary, false),
    (134, "ConditionalColumns", ColumnType::Binary, false),
    (135, "TupleLimits", ColumnType::Binary, false),
    (136, "Version", ColumnType::Binary, false),
    (137, "SortID", ColumnType::Binary, false),
    (256, "CallbackData", ColumnType::LongBinary, false),
    (257, "CallbackDependencies", ColumnType::LongBinary, false),
    (258, "SeparateLV", ColumnType::LongBinary, false),
    (259, "SpaceHints", ColumnType::LongBinary, false),
    (260, "SpaceDeferredLVHints", ColumnType::LongBinary, false),
    (261, "LocaleName", ColumnType::LongBinary, false),
];

/// Collects rows of one table.
struct Rows {
    page_size: PageSize,
    rows: Vec<Row>,
}

impl Rows {
    fn push(&mut self, name: &'static str, row: CatalogRow<'_>) -> Result<()> {
        let record = CatalogRow { name: name.as_bytes(), ..row }.encode(self.page_size)?;
        self.rows.push(Row { table: row.table, kind: row.kind, id: row.id, name, record });
        Ok(())
    }

    fn table(
        &mut self,
        table: ObjectId,
        name: &'static str,
        root: PageNumber,
        density: u32,
        flags: u32,
        pages: u32,
    ) -> Result<()> {
        let row = CatalogRow::new(table, RowKind::Table, table.0);
        let row = CatalogRow { type_or_root: root.0, space_usage: density, flags, ..row };
        self.push(name, CatalogRow { pages_or_locale: pages, ..row })
    }

    fn index(
        &mut self,
        table: ObjectId,
        (id, name, root): (ObjectId, &'static str, PageNumber),
        density: u32,
        flags: u32,
        columns: &[u16],
    ) -> Result<()> {
        // A key segment: a byte of flags, a reserved byte, the column.
        let segments: Vec<u8> =
            columns.iter().flat_map(|column| [0, 0, *column as u8, (*column >> 8) as u8]).collect();
        let row = CatalogRow::new(table, RowKind::Index, id.0);
        let row = CatalogRow { type_or_root: root.0, space_usage: density, flags, ..row };
        let row = CatalogRow { map_flags: Some(MAP_FLAGS), locale_name: Some(LOCALE), ..row };
        self.push(name, CatalogRow { key_columns: Some(&segments), ..row })
    }

    fn catalog_columns(&mut self, table: ObjectId) -> Result<()> {
        for (id, name, column_type, not_null) in CATALOG_COLUMNS {
            let place = ColumnId(id).place();
            let row = CatalogRow::new(table, RowKind::Column, id.into());
            let row = CatalogRow {
                type_or_root: column_type.code(),
                space_usage: size_of(column_type),
                flags: u32::from(not_null),
                pages_or_locale: CODE_PAGE,
                record_offset: (place == Some(ColumnPlace::Fixed)).then_some(NOMINAL_OFFSET),
                ..row
            };
            self.push(name, row)?;
        }
        Ok(())
    }

    fn column(
        &mut self,
        table: ObjectId,
        (id, name, column_type): (u16, &'static str, ColumnType),
        flags: u32,
        record_offset: Option<u16>,
        default: Option<&[u8]>,
    ) -> Result<()> {
        let row = CatalogRow::new(table, RowKind::Column, id.into());
        let row = CatalogRow {
            type_or_root: column_type.code(),
            space_usage: size_of(column_type),
            flags,
            record_offset,
            default,
            ..row
        };
        self.push(name, row)
    }
}

/// The column "SpaceUsage" of a column's row: its size, or how long its values may be; 0 is no limit.
fn size_of(column_type: ColumnType) -> u32 {
    match column_type.fixed_size() {
        Some(size) => size as u32,
        None if column_type.is_long() => 0,
        None => 255,
    }
}

/// The 72 rows of the catalog, in key order.
pub(super) fn catalog_rows(
    page_size: PageSize,
    objids_root: PageNumber,
    locales_root: PageNumber,
) -> Result<Vec<Row>> {
    const SYSTEM_FIXED: u32 = 0xC000_0000;
    let mut rows = Rows { page_size, rows: Vec::with_capacity(72) };
    let key = &[1, 2, 3];

    rows.table(CATALOG_OBJECT, "MSysObjects", CATALOG_ROOT, 80, SYSTEM_FIXED, 20)?;
    rows.catalog_columns(CATALOG_OBJECT)?;
    rows.index(CATALOG_OBJECT, (CATALOG_OBJECT, "Id", CATALOG_ROOT), 80, 0x1_0031, key)?;
    rows.index(CATALOG_OBJECT, (NAME_OBJECT, "Name", NAME_ROOT), 80, 0x1_0011, &[1, 2, 128])?;
    let index = (ROOT_OBJECTS_OBJECT, "RootObjects", ROOT_OBJECTS_ROOT);
    rows.index(CATALOG_OBJECT, index, 80, 0x1_0009, &[8, 128])?;

    let pages = shadow_pages(page_size);
    rows.table(SHADOW_OBJECT, "MSysObjectsShadow", SHADOW_ROOT, 80, SYSTEM_FIXED, pages)?;
    rows.catalog_columns(SHADOW_OBJECT)?;
    rows.index(SHADOW_OBJECT, (SHADOW_OBJECT, "Id", SHADOW_ROOT), 80, 0x1_0031, key)?;

    let table = OBJIDS_OBJECT;
    rows.table(table, "MSysObjids", objids_root, 100, 0xC800_0000, 0)?;
    rows.column(table, (256, "objid", ColumnType::Long), 0, None, None)?;
    rows.column(table, (257, "objidTable", ColumnType::Long), 0, None, None)?;
    rows.column(table, (258, "type", ColumnType::Short), 0, None, None)?;
    rows.index(table, (table, "primary", objids_root), 100, 0x1_002F, &[256])?;

    let table = LOCALES_OBJECT;
    rows.table(table, "MSysLocales", locales_root, 92, 0x8800_0000, 0)?;
    rows.column(table, (1, "Type", ColumnType::UnsignedByte), 1, Some(4), None)?;
    rows.column(table, (2, "iValue", ColumnType::Long), 0x30, Some(5), Some(&[0; 4]))?;
    rows.column(table, (128, "Key", ColumnType::Binary), 0, None, None)?;
    rows.index(table, (table, "KeyPrimary", locales_root), 92, 0x1_402F, &[128])?;

    rows.rows.sort_by_key(Row::key);
    Ok(rows.rows)
}

/// The entries of MSysObjects and its shadow.
pub(super) fn clustered_entries(rows: &[Row]) -> Vec<Entry> {
    rows.iter().map(|row| Entry { key: row.key().to_vec(), data: row.record.clone() }).collect()
}

/// A text segment of a key in a code page that is not Unicode: upper case, ended by a zero.
fn text_segment(name: &str) -> Vec<u8> {
    [&[0x7F][..], name.to_ascii_uppercase().as_bytes(), &[0]].concat()
}

/// The entries of the index "Name": table, type and name.
pub(super) fn name_entries(rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rows
        .iter()
        .map(|row| {
            let bookmark = row.key();
            // Table and type are normalised as in the clustered key: its first eight bytes.
            let key = [&bookmark[..8], &text_segment(row.name)].concat();
            Entry { key, data: bookmark.to_vec() }
        })
        .collect();
    entries.sort();
    entries
}

/// The entries of the index "RootObjects": the tables by name.
pub(super) fn root_object_entries(rows: &[Row]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = rows
        .iter()
        .filter(|row| row.kind == RowKind::Table)
        .map(|row| Entry {
            key: [&[0x7F, 0xFF][..], &text_segment(row.name)].concat(),
            data: row.key().to_vec(),
        })
        .collect();
    entries.sort();
    entries
}

/// The rows of MSysObjids: one for each tree that is not a primary index.
pub(super) fn object_id_rows(page_size: PageSize) -> Result<Vec<Entry>> {
    const TABLE: u16 = RowKind::Table as u16;
    const INDEX: u16 = RowKind::Index as u16;
    let objects = [
        (CATALOG_OBJECT, CATALOG_OBJECT, TABLE),
        (SHADOW_OBJECT, SHADOW_OBJECT, TABLE),
        (NAME_OBJECT, CATALOG_OBJECT, INDEX),
        (ROOT_OBJECTS_OBJECT, CATALOG_OBJECT, INDEX),
        (OBJIDS_OBJECT, OBJIDS_OBJECT, TABLE),
        (LOCALES_OBJECT, LOCALES_OBJECT, TABLE),
    ];
    let entry = |(object, table, kind): (ObjectId, ObjectId, u16)| {
        let (object, table) = (object.0.to_le_bytes(), table.0.to_le_bytes());
        let kind = kind.to_le_bytes();
        let mut writer = RecordWriter::new(page_size);
        for (id, value) in [(256, &object[..]), (257, &table), (258, &kind)] {
            writer.tagged(ColumnId(id), false, false, Some(&[Piece::plain(value)]))?;
        }
        let number = (u32::from_le_bytes(object) ^ 0x8000_0000).to_be_bytes();
        Ok(Entry { key: [&[0x7F][..], &number].concat(), data: writer.finish()? })
    };
    objects.into_iter().map(entry).collect()
}

/// The rows of MSysLocales: the version of the store, and that it is complete.
pub(super) fn locale_rows(page_size: PageSize) -> Result<Vec<Entry>> {
    const SCHEMA: u8 = 1;
    const LONG: u8 = 2;
    let rows: [(&str, u8, i32); 7] = [
        (".Schema\\External\\Major", SCHEMA, 1),
        (".Schema\\External\\Minor", SCHEMA, 0),
        (".Schema\\External\\Update", SCHEMA, 0),
        (".Schema\\Internal\\Major", SCHEMA, 1),
        (".Schema\\Internal\\Minor", SCHEMA, 0),
        (".Schema\\Internal\\Update", SCHEMA, 0),
        ("MSysLocalesConsistent", LONG, 1),
    ];
    let entry = |(name, kind, value): (&str, u8, i32)| {
        let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let (kind, value) = ([kind], value.to_le_bytes());
        let mut writer = RecordWriter::new(page_size);
        writer.fixed(ColumnId(1), 4, 1, Some(&kind))?;
        writer.fixed(ColumnId(2), 5, 4, Some(&value))?;
        writer.variable(ColumnId(128), Some(&name))?;
        Ok(Entry { key: binary_segment(&name), data: writer.finish()? })
    };
    let mut entries = rows.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// A segment of a key for binary data of variable length: groups of eight bytes, each followed by its length
/// or, when more follow, by 9.
fn binary_segment(bytes: &[u8]) -> Vec<u8> {
    let mut key = vec![0x7F];
    let mut groups = bytes.chunks(8).peekable();
    while let Some(group) = groups.next() {
        key.extend_from_slice(group);
        key.resize(key.len() + 8 - group.len(), 0);
        key.push(if groups.peek().is_some() { 9 } else { group.len() as u8 });
    }
    key
}
