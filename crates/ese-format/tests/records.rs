//! Records and long values of real databases: what was read is written again.

mod common;

use ese_format::PageSize;
use ese_format::catalog::TableSchema;
use ese_format::column::ColumnPlace;
use ese_format::compress::{self, Scheme};
use ese_format::database::choose_header;
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, unpack_chunk};
use ese_format::record::{Field, Piece, Record, RecordWriter, TaggedFlags, TaggedValue};
use ese_format::tree::{FileImage, Tree};

/// Writes the record again from its columns; the filler of NULL columns is taken over.
fn rewrite(bytes: &[u8], schema: &TableSchema, size: PageSize) -> Vec<u8> {
    let record = Record::parse(bytes, size).unwrap();
    record.tagged().check().unwrap();
    let mut writer = RecordWriter::new(size);
    let mut nulls = Vec::new();
    for column in &schema.columns {
        match column.place() {
            ColumnPlace::Fixed if Some(column.id) <= record.last_fixed() => {
                let (offset, len) = (usize::from(column.offset), column.stored_size());
                let value = match record.fixed(column.id, offset, len).unwrap() {
                    Field::Value(value) => Some(value),
                    _ => {
                        nulls.push(offset..offset + len);
                        None
                    }
                };
                writer.fixed(column.id, offset, len, value).unwrap();
            }
            ColumnPlace::Variable if Some(column.id) <= record.last_variable() => {
                let value = match record.variable(column.id).unwrap() {
                    Field::Value(value) => Some(value),
                    _ => None,
                };
                writer.variable(column.id, value).unwrap();
            }
            _ => {}
        }
    }
    for field in record.tagged().iter() {
        let field = field.unwrap();
        let long = field.flags.contains(TaggedFlags::LONG_VALUE);
        let pieces: Option<Vec<Piece<'_>>> = match field.value().unwrap() {
            TaggedValue::Null => None,
            TaggedValue::Single(piece) => Some(vec![piece]),
            TaggedValue::Multi(values) => Some(values.iter().map(Result::unwrap).collect()),
        };
        writer.tagged(field.id, field.inherited, long, pieces.as_deref()).unwrap();
    }
    let mut written = writer.finish().unwrap();
    for range in nulls {
        written[range.clone()].copy_from_slice(&bytes[range]);
    }
    written
}

#[test]
fn every_record_is_written_as_windows_wrote_it() {
    let Some(samples) = common::databases("every_record_is_written_as_windows_wrote_it") else { return };
    let mut records = 0;
    for sample in samples {
        let size = choose_header(&sample.bytes).unwrap().header.page_size;
        let image = FileImage::new(&sample.bytes, size);
        for schema in common::schemas(image, size) {
            let mut scan = Tree::new(image, schema.root, schema.object_id).scan();
            while let Some(entry) = scan.next() {
                let entry = entry.unwrap();
                assert_eq!(
                    rewrite(entry.data, &schema, size),
                    entry.data,
                    "{}, {}, page {}, line {}",
                    sample.name,
                    schema.name,
                    entry.page,
                    entry.line
                );
                records += 1;
            }
        }
    }
    assert!(records > 70_000, "{records} records");
}

#[test]
fn every_packed_value_is_packed_again_as_windows_did() {
    let Some(samples) = common::databases("every_packed_value_is_packed_again_as_windows_did") else {
        return;
    };
    let (mut seven_bit, mut plain, mut again) = (0, Vec::new(), Vec::new());
    for sample in samples {
        let size = choose_header(&sample.bytes).unwrap().header.page_size;
        let image = FileImage::new(&sample.bytes, size);
        for schema in common::schemas(image, size) {
            let mut scan = Tree::new(image, schema.root, schema.object_id).scan();
            while let Some(entry) = scan.next() {
                let record = Record::parse(entry.unwrap().data, size).unwrap();
                for field in record.tagged().iter() {
                    let piece = match field.unwrap().value().unwrap() {
                        TaggedValue::Null => continue,
                        TaggedValue::Single(piece) => piece,
                        TaggedValue::Multi(values) => values.get(0).unwrap(),
                    };
                    if !piece.compressed {
                        continue;
                    }
                    plain.clear();
                    again.clear();
                    compress::decompress_into(piece.bytes, &mut plain).unwrap();
                    assert_eq!(compress::unpacked_len(piece.bytes), Ok(plain.len()));
                    assert!(compress::compress_into(&plain, &mut again));
                    if Scheme::from_first_byte(piece.bytes[0]) != Some(Scheme::Xpress) {
                        assert_eq!(again, piece.bytes);
                        seven_bit += 1;
                    }
                }
            }
        }
    }
    assert!(seven_bit >= 33, "{seven_bit} values");
}

/// A long value: its id, its size, and its chunks with their offsets.
type Stored = (LongValueId, u32, Vec<(u32, Vec<u8>)>);

#[test]
fn every_long_value_is_whole() {
    let Some(samples) = common::databases("every_long_value_is_whole") else { return };
    let (mut values, mut chunks, mut packed) = (0, 0, 0);
    for sample in samples {
        let size = choose_header(&sample.bytes).unwrap().header.page_size;
        let image = FileImage::new(&sample.bytes, size);
        for tree in common::schemas(image, size).iter().filter_map(|schema| schema.long_values) {
            let mut found: Vec<Stored> = Vec::new();
            let mut scan = Tree::new(image, tree.root, tree.object_id).scan();
            while let Some(entry) = scan.next() {
                let entry = entry.unwrap();
                match LongValueKey::decode(entry.key).unwrap() {
                    LongValueKey::Root(id) => {
                        let root = LongValueRoot::decode(entry.data).unwrap();
                        assert_eq!(root.encode(), entry.data);
                        assert_eq!(*entry.key, *id.root_key());
                        found.push((id, root.size, Vec::new()));
                    }
                    LongValueKey::Chunk(id, offset) => {
                        let last = found.last_mut().unwrap();
                        assert_eq!(id, last.0);
                        assert_eq!(*entry.key, *id.chunk_key(offset));
                        last.2.push((offset, entry.data.to_vec()));
                    }
                }
            }
            for (id, len, parts) in found {
                let mut plain = Vec::new();
                for (i, (offset, data)) in parts.iter().enumerate() {
                    assert_eq!(*offset as usize, plain.len(), "{}, long value {id}", sample.name);
                    let end = parts.get(i + 1).map_or(len, |next| next.0);
                    let expected = (end - offset) as usize;
                    packed += usize::from(data.len() < expected);
                    unpack_chunk(data, expected, &mut plain).unwrap();
                    chunks += 1;
                }
                assert_eq!(plain.len(), len as usize);
                values += 1;
            }
        }
    }
    assert!(
        values > 40 && chunks > values && packed >= 16,
        "{values} values, {chunks} chunks, {packed} packed"
    );
}
