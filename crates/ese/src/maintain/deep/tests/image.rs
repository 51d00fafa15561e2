//! A database in memory with a table that has everything that can be checked, and ways to damage it.

use super::super::{DeepOptions, DeepReport, deep_check};
use crate::sync::Arc;
use ese_format::catalog::{CATALOG_ROOT, CatalogRow, RowKind, SHADOW_ROOT, row_key};
use ese_format::checksum::{Verdict, verify_page};
use ese_format::column::{ColumnFlags, ColumnId, ColumnType};
use ese_format::database::DatabaseHeader;
use ese_format::empty::{EmptyDatabase, NAME_ROOT, ROOT_OBJECTS_ROOT};
use ese_format::error::{FormatError, FormatErrorKind, Result};
use ese_format::long_value::{LongValueId, LongValueRoot};
use ese_format::node::Node;
use ese_format::page::{LineFlags, NewPage, Page, PageFlags, PageMut};
use ese_format::record::{Piece, RecordWriter};
use ese_format::space::{Extent, RootFields, SpaceHeader, SpaceKind};
use ese_format::tree::PageRead;
use ese_format::{DbTime, LogTime, ObjectId, PageNumber, PageSize, Signature};

/// The table.
pub(super) const TABLE: ObjectId = ObjectId(8);
pub(super) const TABLE_ROOT: PageNumber = PageNumber(31);
/// Its index on Name.
pub(super) const INDEX: ObjectId = ObjectId(9);
pub(super) const INDEX_ROOT: PageNumber = PageNumber(32);
/// Its long values.
pub(super) const VALUES: ObjectId = ObjectId(10);
pub(super) const VALUES_ROOT: PageNumber = PageNumber(33);
/// The table's extent; what follows its three roots is available.
pub(super) const TABLE_PAGES: u32 = 8;
/// MSysObjids.
pub(super) const OBJECT_IDS_ROOT: PageNumber = PageNumber(29);
/// The long value that two records refer to.
pub(super) const LONG_VALUE: LongValueId = LongValueId(1);
/// Bytes of a chunk at 32 KiB.
pub(super) const CHUNK: u32 = 8150;
/// Bytes of the long value.
pub(super) const VALUE_BYTES: u32 = 3 * CHUNK - 100;
/// The next number of the table.
pub(super) const NEXT_NUMBER: u64 = 4;

/// A database file without its headers.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) size: PageSize,
    pub(super) header: DatabaseHeader,
    pages: Vec<Vec<u8>>,
}

impl PageRead for Image {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.size
    }

    fn page_count(&self) -> u32 {
        self.pages.len() as u32
    }

    fn read(&self, page: PageNumber) -> Result<Vec<u8>> {
        let fail = |kind, text: &str| Err(FormatError::new(kind, text).at_page(page));
        let Some(bytes) = (page.0 as usize).checked_sub(1).and_then(|index| self.pages.get(index)) else {
            return fail(FormatErrorKind::Truncated, "the page is not in the file");
        };
        let mut bytes = bytes.clone();
        match verify_page(&mut bytes, page, self.size) {
            Verdict::Sound | Verdict::Corrected { .. } => Ok(bytes),
            Verdict::Uninitialized => fail(FormatErrorKind::Uninitialized, "the page was never written"),
            Verdict::Bad(_) => fail(FormatErrorKind::Checksum, "the checksum of the page does not match"),
        }
    }
}

impl Image {
    /// An empty database.
    pub(super) fn empty(size: PageSize) -> Self {
        let encoded = EmptyDatabase::new(size, Signature::NONE, LogTime::default()).encode().unwrap();
        let mut pages = vec![vec![0; size.bytes()]; encoded.page_count as usize];
        for (page, bytes) in encoded.pages {
            pages[page.0 as usize - 1] = bytes;
        }
        Self { size, header: encoded.header, pages }
    }

    /// A database of large pages with a table: three records, a non-unique index, a long value.
    pub(super) fn with_table() -> Self {
        let mut image = Self::empty(PageSize::K32);
        image.header.last_object_id = VALUES;
        image.schema();
        image.space();
        for (id, name, has_value) in [(1, "alpha", true), (2, "beta", true), (3, "gamma", false)] {
            image.insert(TABLE_ROOT, &record_key(id), &record(id, name, has_value.then_some(LONG_VALUE)));
            image.insert(INDEX_ROOT, &name_key(name), &record_key(id));
        }
        image.insert(VALUES_ROOT, &LONG_VALUE.root_key(), &value_root(2, VALUE_BYTES));
        for offset in [0, CHUNK, 2 * CHUNK] {
            let bytes = vec![0xEE; CHUNK.min(VALUE_BYTES - offset) as usize];
            image.insert(VALUES_ROOT, &LONG_VALUE.chunk_key(offset), &bytes);
        }
        image
    }

    /// Rows of the catalog and everything that repeats them.
    fn schema(&mut self) {
        let table = CatalogRow { type_or_root: TABLE_ROOT.0, ..blank(RowKind::Table, TABLE.0, b"T") };
        self.add_row(&table);
        let column = |id: u32, name: &'static [u8], column_type: ColumnType, flags: ColumnFlags| CatalogRow {
            type_or_root: column_type.code(),
            space_usage: column_type.fixed_size().unwrap_or(255) as u32,
            flags: flags.bits(),
            pages_or_locale: if column_type.is_text() { 1252 } else { 0 },
            record_offset: (id < 128).then_some(4),
            ..blank(RowKind::Column, id, name)
        };
        self.add_row(&column(1, b"Id", ColumnType::Long, ColumnFlags::AUTO_INCREMENT));
        self.add_row(&column(128, b"Name", ColumnType::Text, ColumnFlags::empty()));
        self.add_row(&column(256, b"Data", ColumnType::LongBinary, ColumnFlags::MULTI_VALUED));
        let index = |id: ObjectId, root: PageNumber, name, flags, key_columns| CatalogRow {
            type_or_root: root.0,
            flags,
            map_flags: Some(0x3_0401),
            key_columns: Some(key_columns),
            ..blank(RowKind::Index, id.0, name)
        };
        self.add_row(&index(TABLE, TABLE_ROOT, b"ById", 0x1_002F, &[0, 0, 1, 0]));
        self.add_row(&index(INDEX, INDEX_ROOT, b"ByName", 0x1_000E, &[0, 0, 128, 0]));
        let values = CatalogRow { type_or_root: VALUES_ROOT.0, ..blank(RowKind::LongValue, VALUES.0, b"LV") };
        self.add_row(&values);
        for (object, kind) in [(TABLE, 1), (INDEX, 3), (VALUES, 4)] {
            let mut writer = RecordWriter::new(self.size);
            let (object_id, table, kind) =
                (object.0.to_le_bytes(), TABLE.0.to_le_bytes(), u16::to_le_bytes(kind));
            for (column, bytes) in [(256, &object_id[..]), (257, &table), (258, &kind)] {
                writer.tagged(ColumnId(column), false, false, Some(&[Piece::plain(bytes)])).unwrap();
            }
            self.insert(OBJECT_IDS_ROOT, &record_key(object.0), &writer.finish().unwrap());
        }
    }

    /// The three roots, and the extent that they are in.
    fn space(&mut self) {
        self.edit(PageNumber(3), |page| {
            let data = page.view().node(0).unwrap().data;
            let pages = u32::from_le_bytes(data.try_into().unwrap()) - TABLE_PAGES;
            page.replace_node_data(0, &pages.to_le_bytes()).unwrap();
        });
        let mut space = SpaceHeader::new_single(PageNumber::DATABASE_ROOT, TABLE_PAGES, false);
        space.kind = SpaceKind::Single { available: 0b111_1100 };
        self.root(
            TABLE_ROOT,
            TABLE,
            PageFlags::empty(),
            RootFields { space, auto_increment: Some(NEXT_NUMBER) },
        );
        let space = SpaceHeader::new_single(TABLE_ROOT, 1, true);
        let kind = PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS;
        self.root(INDEX_ROOT, INDEX, kind, RootFields { space, auto_increment: None });
        let space = SpaceHeader::new_single(TABLE_ROOT, 1, false);
        self.root(VALUES_ROOT, VALUES, PageFlags::LONG_VALUE, RootFields { space, auto_increment: None });
    }

    fn root(&mut self, number: PageNumber, object: ObjectId, kind: PageFlags, fields: RootFields) {
        let flags = kind | PageFlags::ROOT | PageFlags::LEAF;
        let new = NewPage { number, object, db_time: DbTime::START, flags, reserved_tags: false };
        let size = self.size;
        let bytes = &mut self.pages[number.0 as usize - 1];
        let mut page = PageMut::format(bytes, size, new).unwrap();
        page.set_external_header(&fields.encode()).unwrap();
        page.seal(number);
    }

    /// Adds a row to the catalog, its indexes and its shadow.
    pub(super) fn add_row(&mut self, row: &CatalogRow<'_>) {
        let key = row_key(row.table, row.kind, row.id);
        let record = row.encode(self.size).unwrap();
        self.insert(CATALOG_ROOT, &key, &record);
        self.insert(SHADOW_ROOT, &key, &record);
        self.insert(
            NAME_ROOT,
            &[&key[..8], &name_key(std::str::from_utf8(row.name).unwrap())].concat(),
            &key,
        );
        if row.kind == RowKind::Table {
            let name = name_key(std::str::from_utf8(row.name).unwrap());
            self.insert(ROOT_OBJECTS_ROOT, &[&[0x7F, 0xFF][..], &name].concat(), &key);
        }
    }

    /// Changes a page and stores its checksum.
    pub(super) fn edit(&mut self, number: PageNumber, edit: impl FnOnce(&mut PageMut<'_>)) {
        let mut page = PageMut::new(&mut self.pages[number.0 as usize - 1], self.size).unwrap();
        edit(&mut page);
        page.seal(number);
    }

    /// The bytes of a page as they are.
    pub(super) fn bytes(&mut self, number: PageNumber) -> &mut Vec<u8> {
        &mut self.pages[number.0 as usize - 1]
    }

    /// Cuts the file off behind a page.
    pub(super) fn truncate(&mut self, last: PageNumber) {
        self.pages.truncate(last.0 as usize);
    }

    /// Changes the root header of a tree.
    pub(super) fn edit_root(&mut self, number: PageNumber, edit: impl FnOnce(&mut RootFields)) {
        self.edit(number, |page| {
            let mut fields = RootFields::of_page(&page.view()).unwrap();
            edit(&mut fields);
            page.set_external_header(&fields.encode()).unwrap();
        });
    }

    /// Inserts a node where it belongs.
    pub(super) fn insert(&mut self, number: PageNumber, key: &[u8], data: &[u8]) {
        self.edit(number, |page| {
            let below = |node: Node<'_>| node.compare_key(key).then_with(|| node.data.cmp(data)).is_lt();
            let line = page.view().nodes().unwrap().take_while(|node| below(node.clone().unwrap())).count();
            page.insert_node(line, key, data, LineFlags::empty()).unwrap();
        });
    }

    /// The line of a node with that key.
    pub(super) fn line(&self, number: PageNumber, key: &[u8]) -> usize {
        let page = Page::new(&self.pages[number.0 as usize - 1], self.size).unwrap();
        page.nodes().unwrap().position(|node| node.unwrap().key() == key).unwrap()
    }

    /// Replaces the extents of a space tree of one page.
    pub(super) fn extents(&mut self, number: PageNumber, extents: &[(u32, u32)]) {
        self.edit(number, |page| {
            while page.view().line_count() > 0 {
                page.delete_line(0).unwrap();
            }
            for (line, (last, pages)) in extents.iter().enumerate() {
                let extent = Extent { last: PageNumber(*last), pages: *pages };
                page.insert_node(line, &extent.key(), &extent.data(), LineFlags::empty()).unwrap();
            }
        });
    }

    /// Checks it.
    pub(super) fn check(&self) -> DeepReport {
        let options = DeepOptions { header: Some(self.header.clone()), ..DeepOptions::default() };
        deep_check(Arc::new(self.clone()), &options, Arc::new(|_, _| ()))
    }
}

/// A row of the catalog about the table.
pub(super) fn blank(kind: RowKind, id: u32, name: &[u8]) -> CatalogRow<'_> {
    CatalogRow {
        table: TABLE,
        kind,
        id,
        type_or_root: 0,
        space_usage: 80,
        flags: 0,
        pages_or_locale: 0,
        record_offset: None,
        map_flags: None,
        key_most: None,
        chunk_max: None,
        root_set_time: None,
        name,
        template: None,
        default: None,
        key_columns: None,
        segment_max: None,
        conditions: None,
        tuple_limits: None,
        sort_version: None,
        sort_id: None,
        locale_name: None,
        separate_size: None,
        space_hints: None,
        long_value_hints: None,
        callback_data: None,
        callback_dependencies: None,
    }
}

/// The key of a number.
pub(super) fn record_key(id: u32) -> Vec<u8> {
    [&[0x7F][..], &(id ^ 0x8000_0000).to_be_bytes()].concat()
}

/// The key of an ASCII text.
pub(super) fn name_key(name: &str) -> Vec<u8> {
    [&[0x7F][..], name.to_ascii_uppercase().as_bytes(), &[0]].concat()
}

/// A record of the table.
pub(super) fn record(id: u32, name: &str, value: Option<LongValueId>) -> Vec<u8> {
    let (id, reference) = (id.to_le_bytes(), value.map(LongValueId::to_record));
    let mut writer = RecordWriter::new(PageSize::K32);
    writer.fixed(ColumnId(1), 4, 4, Some(&id)).unwrap();
    writer.variable(ColumnId(128), Some(name.as_bytes())).unwrap();
    if let Some(reference) = &reference {
        let piece = Piece { separated: true, ..Piece::plain(reference) };
        writer.tagged(ColumnId(256), false, true, Some(&[piece])).unwrap();
    }
    writer.finish().unwrap()
}

/// The root of a long value.
pub(super) fn value_root(references: u32, size: u32) -> Vec<u8> {
    LongValueRoot { references, size, encrypted: false }.encode()
}
