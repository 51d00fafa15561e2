use super::*;
use proptest::prelude::*;

const SMALL: PageSize = PageSize::K4;
const LARGE: PageSize = PageSize::K32;

/// The values of a tagged column and whether they are separated; `None` is an explicit NULL.
type Values = Option<Vec<(Vec<u8>, bool)>>;

fn only(record: &[u8], size: PageSize) -> Vec<Values> {
    let record = Record::parse(record, size).unwrap();
    record.tagged().check().unwrap();
    record
        .tagged()
        .iter()
        .map(|field| match field.unwrap().value().unwrap() {
            TaggedValue::Null => None,
            TaggedValue::Single(piece) => Some(vec![(piece.bytes.to_vec(), piece.separated)]),
            TaggedValue::Multi(values) => Some(
                values.iter().map(|piece| piece.map(|p| (p.bytes.to_vec(), p.separated)).unwrap()).collect(),
            ),
        })
        .collect()
}

/// A record with nothing but tagged column 256 with these data; they have a header byte.
fn tagged(data: &[u8], size: PageSize) -> Vec<u8> {
    let place: u16 = if size.is_large() { 4 } else { 0x4004 };
    let mut record = vec![0, 127, 4, 0, 0, 1];
    record.extend_from_slice(&place.to_le_bytes());
    record.extend_from_slice(data);
    record
}

#[test]
fn the_smallest_record_is_empty() {
    let record = Record::parse(&[0, 0x7F, 4, 0], SMALL).unwrap();
    assert_eq!(record.last_fixed(), None);
    assert_eq!(record.last_variable(), None);
    assert!(record.tagged().is_empty());
    assert_eq!(RecordWriter::new(SMALL).finish().unwrap(), [0, 0x7F, 4, 0]);
    for cut in 0..4 {
        assert!(Record::parse(&[0, 0x7F, 4, 0][..cut], SMALL).is_err());
    }
}

#[test]
fn multi_valued_forms_are_read() {
    let value = |bytes: &[u8], separated| (bytes.to_vec(), separated);
    assert_eq!(
        only(&tagged(&[0x18, 4, 0, 0, 0, 0, 255, 255, 255, 255], SMALL), SMALL),
        [Some(vec![value(&[0; 4], false), value(&[255; 4], false)])]
    );
    for size in [SMALL, LARGE] {
        assert_eq!(
            only(&tagged(&[8, 6, 0, 7, 0, 8, 0, 0, 0x7F, 0xFF], size), size),
            [Some(vec![value(&[0], false), value(&[0x7F], false), value(&[0xFF], false)])]
        );
        assert_eq!(
            only(&tagged(&[9, 4, 0x80, 8, 0, 1, 0, 0, 0, b'x'], size), size),
            [Some(vec![value(&[1, 0, 0, 0], true), value(b"x", false)])]
        );
        assert_eq!(only(&tagged(&[5, 1, 0, 0, 0], size), size), [Some(vec![value(&[1, 0, 0, 0], true)])]);
    }
}

#[test]
fn explicit_null_is_read_in_both_families() {
    let small = [0, 127, 4, 0, 0, 1, 4, 0x20];
    assert_eq!(only(&small, SMALL), [None]);
    assert_eq!(only(&tagged(&[0x21], LARGE), LARGE), [None]);
}

#[test]
fn impossible_parts_are_errors() {
    let corrupt = |bytes: &[u8]| Record::parse(bytes, SMALL).unwrap_err().kind;
    let kind = crate::error::FormatErrorKind::Corrupt;
    assert_eq!(corrupt(&[128, 127, 4, 0]), kind);
    assert_eq!(corrupt(&[0, 126, 4, 0]), kind);
    assert_eq!(corrupt(&[1, 127, 4, 0]), kind);
    assert_eq!(corrupt(&[0, 128, 4, 0, 9, 0]), kind);
    assert_eq!(corrupt(&[0, 127, 4, 0, 0, 1, 3, 0]), kind);
    let record = Record::parse(&[1, 127, 6, 0, 5, 0xFE], SMALL).unwrap();
    assert_eq!(record.fixed(ColumnId(1), 4, 1), Ok(Field::Value(&[5])));
    assert!(record.fixed(ColumnId(1), 4, 2).is_err());
    assert!(record.fixed(ColumnId(1), usize::MAX, 2).is_err());
    assert_eq!(record.fixed(ColumnId(2), 5, 1), Ok(Field::Absent));
}

fn values() -> impl Strategy<Value = Values> {
    let piece = (proptest::collection::vec(any::<u8>(), 0..20), any::<bool>());
    prop_oneof![
        1 => Just(None),
        5 => proptest::collection::vec(piece, 1..4).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn what_was_written_reads(
        fixed in proptest::collection::vec(proptest::option::of(any::<[u8; 3]>()), 0..20),
        variable in proptest::collection::vec(
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30)), 0..12),
        tagged in proptest::collection::btree_map((any::<bool>(), 256u16..400), (any::<bool>(), values()), 0..9),
        large in any::<bool>(),
    ) {
        let size = if large { LARGE } else { SMALL };
        let mut writer = RecordWriter::new(size);
        for (i, value) in fixed.iter().enumerate() {
            writer.fixed(ColumnId(i as u16 + 1), 4 + 3 * i, 3, value.as_ref().map(|v| &v[..])).unwrap();
        }
        for (i, value) in variable.iter().enumerate() {
            writer.variable(ColumnId(128 + i as u16), value.as_deref()).unwrap();
        }
        for ((inherited, id), (long, values)) in &tagged {
            let pieces: Option<Vec<Piece<'_>>> = values.as_ref().map(|values| {
                values.iter().map(|(v, s)| Piece { separated: *s, ..Piece::plain(v) }).collect()
            });
            writer.tagged(ColumnId(*id), *inherited, *long, pieces.as_deref()).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let record = Record::parse(&bytes, size).unwrap();
        prop_assert_eq!(record.tagged().check(), Ok(()));
        for (i, value) in fixed.iter().enumerate() {
            let expected = value.as_ref().map_or(Field::Null, |v| Field::Value(v));
            prop_assert_eq!(record.fixed(ColumnId(i as u16 + 1), 4 + 3 * i, 3), Ok(expected));
        }
        for (i, value) in variable.iter().enumerate() {
            let expected = value.as_ref().map_or(Field::Null, |v| Field::Value(v));
            prop_assert_eq!(record.variable(ColumnId(128 + i as u16)), Ok(expected));
        }
        prop_assert_eq!(record.tagged().len(), tagged.len());
        let read = only(&bytes, size);
        for (((inherited, id), (_, values)), _) in tagged.iter().zip(0..) {
            let field = record.tagged().find(ColumnId(*id), *inherited).unwrap().unwrap();
            let place = record.tagged().iter().position(|f| {
                let f = f.unwrap();
                (f.id, f.inherited) == (field.id, field.inherited)
            });
            prop_assert_eq!(&read[place.unwrap()], values);
        }
        prop_assert!(record.tagged().find(ColumnId(401), false).unwrap().is_none());
    }

    #[test]
    fn arbitrary_records_never_panic(
        data in proptest::collection::vec(any::<u8>(), 0..120), large in any::<bool>(),
    ) {
        exercise(&data, if large { LARGE } else { SMALL });
    }

    #[test]
    fn plausible_records_never_panic(
        mut data in proptest::collection::vec(prop_oneof![0u8..16, any::<u8>()], 8..80),
        fixed in 0u8..10, variable in 127u8..131, end in 4u16..30, large in any::<bool>(),
    ) {
        data[0] = fixed;
        data[1] = variable;
        data[2..4].copy_from_slice(&end.to_le_bytes());
        exercise(&data, if large { LARGE } else { SMALL });
    }
}

fn exercise(data: &[u8], size: PageSize) {
    let Ok(record) = Record::parse(data, size) else { return };
    for id in (0..300).chain([0xFEE0, 0xFFFF]) {
        for (offset, size) in [(4, 4), (0, 1), (70, 8)] {
            if let Ok(Stored::Multi(values)) = record.get(ColumnId(id), offset, size, id % 2 == 0) {
                values.iter().for_each(drop);
            }
        }
    }
    let _ = record.tagged().check();
    for field in record.tagged().iter().flatten() {
        if let Ok(TaggedValue::Multi(values)) = field.value() {
            assert_eq!(values.iter().count(), values.len());
            values.iter().for_each(drop);
        }
    }
}
