//! Rows of an empty database, as the reference lists them.

use super::*;
use crate::PageSize;
use proptest::prelude::*;

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if let Some(name) = word.strip_prefix('"') {
            out.extend_from_slice(name.trim_end_matches('"').as_bytes());
            continue;
        }
        for at in (0..word.len()).step_by(2) {
            out.push(u8::from_str_radix(&word[at..at + 2], 16).unwrap());
        }
    }
    out
}

#[test]
fn the_rows_of_an_empty_database_decode() {
    let table = bytes(
        "08 80 2000 02000000 0100 02000000 04000000 50000000 000000C0 14000000 FF 00 0B00 \"MSysObjects\"",
    );
    let row = CatalogRow::decode(&table, PageSize::K4).unwrap();
    assert_eq!((row.table, row.kind, row.id), (CATALOG_OBJECT, RowKind::Table, 2));
    assert_eq!(row.name, b"MSysObjects");
    let mut builder = TableSchemaBuilder::new(&row).unwrap();

    let column = bytes(
        "09 80 2300 02000000 0200 01000000 04000000 04000000 01000000 E4040000 2A 0400 80 FE 0A00 \"ObjidTable\"",
    );
    let row = CatalogRow::decode(&column, PageSize::K4).unwrap();
    assert_eq!((row.kind, row.record_offset), (RowKind::Column, Some(4)));
    builder.add(&row).unwrap();

    let mut index = bytes(
        "0A 84 2700 02000000 0300 02000000 04000000 50000000 31000100 00000000 2A 2A2A 01040300 80 FD \
         0200 0280 0280 0280 0E00 \"Id\" 00000100 00000200 00000300 0501 0440 01",
    );
    index.extend("en-US".encode_utf16().flat_map(u16::to_le_bytes));
    builder.add(&CatalogRow::decode(&index, PageSize::K4).unwrap()).unwrap();

    let schema = builder.finish(None);
    assert_eq!(schema.root, CATALOG_ROOT);
    assert!(schema.flags.contains(TableFlags::SYSTEM | TableFlags::FIXED_DDL));
    let primary = schema.primary_index().unwrap();
    assert_eq!(primary.key.iter().map(|s| s.column.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(primary.locale_name.as_deref(), Some("en-US"));
    assert_eq!((primary.map_flags, primary.key_most), (0x30401, 255));
}

#[test]
fn a_default_value_is_found() {
    let column = bytes(
        "09 83 2300 07000000 0200 02000000 04000000 04000000 30000000 00000000 2A 0500 80 FE \
         0600 0680 0680 0A00 \"iValue\" 00000000",
    );
    let row = CatalogRow::decode(&column, PageSize::K4).unwrap();
    assert_eq!(row.default, Some(&[0u8; 4][..]));
    assert_eq!(row.template, None);
}

#[test]
fn keys_sort_like_the_rows() {
    assert_eq!(row_key(ObjectId(2), RowKind::Column, 0x105), bytes("7F80000002 7F8002 7F80000105")[..]);
    assert!(row_key(ObjectId(2), RowKind::Column, 1).starts_with(&table_key(ObjectId(2))));
}

#[test]
fn api_flags_become_those_of_the_catalog() {
    // Primary; primary without NULL; plain; primary that is not cut: as real catalogs have them.
    let flags = [0x2, 0x6, 0x0, 0x1_0002].map(|grbit| IndexFlags::from_api(grbit).bits());
    assert_eq!(flags, [0x1_002F, 0x1_0031, 0x1_000E, 0x1_402F]);
    let nulls = [0x8, 0x40, 0x20].map(|grbit| IndexFlags::from_api(grbit).bits() & 0x1E);
    assert_eq!(nulls, [0x0C, 0x08, 0x00]);
}

proptest! {
    #[test]
    fn arbitrary_rows_never_panic(
        data in proptest::collection::vec(any::<u8>(), 0..200), large in any::<bool>(),
    ) {
        let size = if large { PageSize::K16 } else { PageSize::K4 };
        if let Ok(row) = CatalogRow::decode(&data, size) {
            let _ = Index::from_row(&row);
            if let Ok(mut builder) = TableSchemaBuilder::new(&row) {
                let _ = builder.add(&CatalogRow { kind: RowKind::Column, ..row });
                builder.finish(None);
            }
        }
    }

    #[test]
    fn damaged_rows_never_panic(at in 0usize..80, with in any::<u8>()) {
        let mut index = bytes(
            "0A 84 2700 02000000 0300 02000000 04000000 50000000 31000100 00000000 2A 2A2A 01040300 80 FD \
             0200 0280 0280 0280 0E00 \"Id\" 00000100 00000200 00000300 0501 0440 01 6500",
        );
        let at = at % index.len();
        index[at] = with;
        if let Ok(row) = CatalogRow::decode(&index, PageSize::K4) {
            let _ = Index::from_row(&row);
        }
    }
}
