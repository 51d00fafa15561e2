//! Catalog rows that Windows wrote come out the same when they are encoded again.

mod common;

use ese_format::catalog::{CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, row_key};
use ese_format::database::DatabaseHeader;
use ese_format::tree::{FileImage, Tree};

#[test]
fn catalog_rows_survive_decoding() {
    let Some(samples) = common::databases("catalog_rows_survive_decoding") else { return };
    for sample in samples {
        let size = DatabaseHeader::decode(&sample.bytes).unwrap().page_size;
        let image = FileImage::new(&sample.bytes, size);
        let mut rows = 0;
        Tree::new(&image, CATALOG_ROOT, CATALOG_OBJECT).scan().for_each(|entry| {
            let entry = entry.unwrap();
            let row = CatalogRow::decode(entry.data, size).unwrap();
            assert_eq!(entry.key, row_key(row.table, row.kind, row.id));
            rows += 1;
            let again = row.encode(size).unwrap();
            assert_eq!(again, entry.data, "{}: {}", sample.name, String::from_utf8_lossy(row.name));
            true
        });
        assert!(rows >= 72, "{}: {rows} rows", sample.name);
    }
}
