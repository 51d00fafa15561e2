use super::*;
use crate::catalog::{Index, IndexFlags, KeySegment, SegmentFlags, TupleLimits};
use crate::column::{CODE_PAGE_UNICODE, CODE_PAGE_WESTERN, Column, ColumnFlags, ColumnId, ColumnType};
use crate::long_value::LongValueId;
use crate::primitives::{ObjectId, PageNumber};
use crate::record::{Piece, RecordWriter};
use crate::sort_key::{CURRENT_VERSION, Sort};
use proptest::prelude::*;

fn column(id: u16, column_type: ColumnType) -> Column {
    Column {
        id: ColumnId(id),
        name: format!("c{id}"),
        column_type,
        flags: if id >= 256 { ColumnFlags::MULTI_VALUED } else { ColumnFlags::empty() },
        max_len: 10,
        code_page: if column_type.is_text() { CODE_PAGE_WESTERN } else { 0 },
        offset: 4,
        default: None,
        inherited: false,
    }
}

const ALL_NULLS: IndexFlags =
    IndexFlags::ALLOW_ALL_NULLS.union(IndexFlags::ALLOW_FIRST_NULL).union(IndexFlags::ALLOW_SOME_NULLS);

fn index(columns: &[u16], flags: IndexFlags) -> Index {
    let segment = |id: &u16| KeySegment { column: ColumnId(*id), flags: SegmentFlags::empty() };
    Index {
        name: "i".to_owned(),
        object_id: ObjectId(9),
        root: PageNumber(9),
        density: 80,
        flags,
        key: columns.iter().map(segment).collect(),
        conditions: Vec::new(),
        key_most: 255,
        segment_max: None,
        tuple_limits: None,
        map_flags: 0x0003_0401,
        locale_name: Some("en-US".to_owned()),
        lcid: 0,
        sort_version: Some(CURRENT_VERSION),
        sort_id: Some(Sort::DEFAULT.id()),
    }
}

fn definition(index: &Index, columns: &[Column]) -> KeyDefinition {
    KeyDefinition::new(index, columns).unwrap()
}

/// Values by column number.
struct Fake<'a>(&'a [(u16, &'a [&'a [u8]])]);

impl Values for Fake<'_> {
    type Error = KeyError;

    fn value(&mut self, column: &KeyColumn, instance: u32, _: usize) -> Result<Option<&[u8]>, KeyError> {
        let values = self.0.iter().find(|(id, _)| *id == column.id.0).map_or(&[][..], |(_, values)| values);
        Ok(values.get(instance as usize - 1).copied())
    }
}

type Record<'a> = [(u16, &'a [&'a [u8]])];

fn try_keys(definition: &KeyDefinition, values: &Record<'_>) -> Result<Vec<Vec<u8>>, KeyError> {
    let mut buffers = KeyBuffers::default();
    build_keys(definition, &mut Fake(values), &mut buffers)?;
    Ok(buffers.keys.iter().map(<[u8]>::to_vec).collect())
}

fn keys(definition: &KeyDefinition, values: &Record<'_>) -> Vec<Vec<u8>> {
    try_keys(definition, values).unwrap()
}

/// The only key of a value in an index of one column.
fn key_of(column: Column, value: &[u8]) -> Vec<u8> {
    let id = column.id.0;
    let [key] = &keys(&definition(&index(&[id], ALL_NULLS), &[column]), &[(id, &[value])])[..] else {
        panic!("not one key")
    };
    key.clone()
}

fn number(column_type: ColumnType, value: &[u8]) -> Vec<u8> {
    key_of(column(1, column_type), value)
}

#[test]
fn numbers_compare_as_bytes() {
    assert_eq!(number(ColumnType::Long, &5i32.to_le_bytes()), [0x7F, 0x80, 0, 0, 5]);
    assert_eq!(number(ColumnType::Long, &(-1i32).to_le_bytes()), [0x7F, 0x7F, 0xFF, 0xFF, 0xFF]);
    assert_eq!(number(ColumnType::UnsignedShort, &[1, 2]), [0x7F, 2, 1]);
    assert_eq!(number(ColumnType::Bit, &[1]), [0x7F, 0xFF]);
    assert_eq!(number(ColumnType::Bit, &[0]), [0x7F, 0]);
    let doubles = [f64::NEG_INFINITY, -2.5, -1.0, 0.0, 1e-300, 3.0, f64::INFINITY];
    let keys = doubles.map(|double| number(ColumnType::IeeeDouble, &double.to_le_bytes()));
    assert!(keys.is_sorted_by(|a, b| a < b));
    let guid: Vec<u8> = (0..16).collect();
    assert_eq!(number(ColumnType::Guid, &guid)[1..7], [10, 11, 12, 13, 14, 15]);
    let net = index(&[1], ALL_NULLS | IndexFlags::DOT_NET_GUID);
    let made = keys_of_one(&net, column(1, ColumnType::Guid), &guid);
    assert_eq!(made[1..9], [3, 2, 1, 0, 5, 4, 7, 6]);
}

fn keys_of_one(index: &Index, column: Column, value: &[u8]) -> Vec<u8> {
    let id = column.id.0;
    keys(&definition(index, &[column]), &[(id, &[value])]).remove(0)
}

#[test]
fn a_value_of_another_length_is_damage() {
    let error =
        try_keys(&definition(&index(&[1], ALL_NULLS), &[column(1, ColumnType::Long)]), &[(1, &[b"abc"])]);
    assert!(matches!(error, Err(KeyError::Format(_))));
}

#[test]
fn bytes_go_in_chunks_of_eight() {
    let binary = |value: &[u8]| key_of(column(128, ColumnType::Binary), value);
    assert_eq!(binary(b"ABC"), *b"\x7FABC\0\0\0\0\0\x03");
    assert_eq!(binary(b"12345678"), *b"\x7F12345678\x08");
    assert_eq!(binary(b"123456789"), *b"\x7F12345678\x099\0\0\0\0\0\0\0\x01");
    assert_eq!(binary(b""), [0x40]);
    let long = binary(&[b'x'; 300]);
    assert_eq!((long.len(), &long[244..]), (255, &b"xxxxxxxx\x09xx"[..]));
    // A fixed column is not divided.
    assert_eq!(key_of(column(1, ColumnType::Binary), b"0123456789"), *b"\x7F0123456789");
    // What is cut ends in zeros when the value ends before.
    let mut short = index(&[128], ALL_NULLS);
    short.key_most = 15;
    assert_eq!(
        keys_of_one(&short, column(128, ColumnType::Binary), b"123456789"),
        *b"\x7F12345678\x099\0\0\0\0"
    );
}

#[test]
fn plain_text_is_capitals_up_to_nul() {
    let text = |value: &[u8]| key_of(column(128, ColumnType::Text), value);
    assert_eq!(text(b"aZ\xE4"), *b"\x7FAZ\xE4\0");
    assert_eq!(text(b"ab\0cd"), *b"\x7FAB\0");
    let mut short = index(&[128], ALL_NULLS);
    short.key_most = 4;
    let cut = |value: &[u8]| keys_of_one(&short, column(128, ColumnType::Text), value);
    assert_eq!(cut(b"ab"), *b"\x7FAB\0");
    // The last byte is changed whatever it is.
    assert_eq!(cut(b"abcd"), *b"\x7FABC");
    assert_eq!(cut(b"abCd"), *b"\x7FAB\x23");
    assert_eq!(cut(b"a\0cd"), *b"\x7FA\0");
    assert_eq!(cut(b"ab\0d"), *b"\x7FAB\0");
}

#[test]
fn unicode_text_needs_a_sort_of_ours() {
    let mut text = column(128, ColumnType::Text);
    text.code_page = CODE_PAGE_UNICODE;
    assert_eq!(key_of(text.clone(), b"a\0b\0"), [0x7F, 0x0E, 0x02, 0x0E, 0x09, 1, 1, 1, 1, 0]);
    let mut foreign = index(&[128], ALL_NULLS);
    foreign.sort_version = Some(0x0006_0403_0006_0403);
    let foreign = definition(&foreign, &[text]);
    assert_eq!(try_keys(&foreign, &[(128, &[b"a\0"])]), Err(KeyError::ForeignSort));
    // Whatever needs no sort is still possible.
    assert_eq!(keys(&foreign, &[]), [[0]]);
}

#[test]
fn unproven_letters_are_counted_or_refused() {
    let mut text = column(128, ColumnType::Text);
    text.code_page = CODE_PAGE_UNICODE;
    let definition = definition(&index(&[128], ALL_NULLS), &[text]);
    let mut buffers = KeyBuffers::default();
    build_keys(&definition, &mut Fake(&[(128, &[b"a\0"])]), &mut buffers).unwrap();
    assert_eq!(buffers.unproven_texts, 0);
    let chinese: &Record<'_> = &[(128, &[&[0x00, 0x4E]])];
    build_keys(&definition, &mut Fake(chinese), &mut buffers).unwrap();
    assert_eq!(buffers.unproven_texts, 1);
    buffers.refuse_unproven = true;
    assert_eq!(build_keys(&definition, &mut Fake(chinese), &mut buffers), Err(KeyError::Unproven));
}

#[test]
fn old_keys_look_at_128_units_and_new_ones_at_all() {
    let mut text = column(256, ColumnType::LongText);
    text.code_page = CODE_PAGE_UNICODE;
    let value: Vec<u8> = [vec![0; 600], b"a\0".to_vec()].concat();
    assert_eq!(key_of(text.clone(), &value), [0x7F, 1, 1, 1, 1, 0]);
    let mut wide = index(&[256], ALL_NULLS);
    wide.key_most = 300;
    assert_eq!(keys_of_one(&wide, text, &value), [0x7F, 0x0E, 0x02, 1, 1, 1, 1, 0]);
}

#[test]
fn segments_are_cut_and_complemented() {
    let columns = [column(128, ColumnType::Text), column(1, ColumnType::Long)];
    let mut limited = index(&[128, 1], ALL_NULLS);
    limited.segment_max = Some(4);
    let record: &Record<'_> = &[(128, &[b"abcdef"]), (1, &[&[1, 0, 0, 0]])];
    // A segment at its own limit leaves room for the next one, a full key does not.
    assert_eq!(keys(&definition(&limited, &columns), record), [*b"\x7FABC\x7F\x80\0\0\x01"]);
    limited.segment_max = None;
    limited.key_most = 9;
    assert_eq!(keys(&definition(&limited, &columns), record), [*b"\x7FABCDEF\0\x7F"]);
    limited.key_most = 4;
    assert_eq!(keys(&definition(&limited, &columns), record), [*b"\x7FABC"]);
    limited.flags |= IndexFlags::DISALLOW_TRUNCATION;
    assert_eq!(try_keys(&definition(&limited, &columns), record), Err(KeyError::Truncated));
    let mut descending = index(&[1], ALL_NULLS);
    descending.key[0].flags = SegmentFlags::DESCENDING;
    let descending = definition(&descending, &columns);
    assert_eq!(keys(&descending, record), [[0x80, 0x7F, 0xFF, 0xFF, 0xFE]]);
    assert_eq!(keys(&descending, &[]), [[0xFF]]);
    let high = definition(&index(&[1], ALL_NULLS | IndexFlags::SORT_NULLS_HIGH), &columns);
    assert_eq!(keys(&high, &[]), [[0xC0]]);
}

#[test]
fn nulls_follow_the_flags() {
    let columns = [column(1, ColumnType::UnsignedByte), column(2, ColumnType::UnsignedByte)];
    let count = |flags, record: &Record<'_>| {
        try_keys(&definition(&index(&[1, 2], flags), &columns), record).map(|keys| keys.len())
    };
    let one: &[u8] = &[1];
    let (first, second, both): (&Record<'_>, &Record<'_>, &Record<'_>) =
        (&[(1, &[one])], &[(2, &[one])], &[(1, &[one]), (2, &[one])]);
    let some = IndexFlags::ALLOW_SOME_NULLS;
    let not_all = some | IndexFlags::ALLOW_FIRST_NULL;
    for (flags, expected) in [
        (IndexFlags::empty(), [0, 0, 0, 1]),
        (some, [0, 1, 0, 1]),
        (not_all, [0, 1, 1, 1]),
        (ALL_NULLS, [1, 1, 1, 1]),
    ] {
        let counts = [&[][..], first, second, both].map(|record| count(flags, record).unwrap());
        assert_eq!(counts, expected, "{flags:?}");
    }
    let strict = IndexFlags::NO_NULL_SEGMENT;
    assert_eq!(count(strict, first), Err(KeyError::NullDisallowed));
    assert_eq!(count(strict, &[]), Err(KeyError::NullDisallowed));
    assert_eq!(count(strict, both), Ok(1));
}

#[test]
fn conditions_decide_first() {
    let columns = [column(1, ColumnType::UnsignedByte), column(2, ColumnType::UnsignedByte)];
    let mut index = index(&[1], ALL_NULLS);
    index.conditions = vec![KeySegment { column: ColumnId(2), flags: SegmentFlags::empty() }];
    let not_null = definition(&index, &columns);
    index.conditions[0].flags = SegmentFlags::MUST_BE_NULL;
    let null = definition(&index, &columns);
    let (with, without): (&Record<'_>, &Record<'_>) = (&[(1, &[&[1]]), (2, &[&[1]])], &[(1, &[&[1]])]);
    assert_eq!([keys(&not_null, with).len(), keys(&not_null, without).len()], [1, 0]);
    assert_eq!([keys(&null, with).len(), keys(&null, without).len()], [0, 1]);
}

#[test]
fn several_values_make_several_keys() {
    let columns = [
        column(256, ColumnType::UnsignedByte),
        column(1, ColumnType::UnsignedByte),
        column(257, ColumnType::UnsignedByte),
    ];
    let made = |flags: IndexFlags, record: &Record<'_>| -> Vec<[u8; 2]> {
        let definition =
            definition(&index(&[256, 1, 257], ALL_NULLS | IndexFlags::MULTI_VALUED | flags), &columns);
        // The values of both multi-valued columns; NULL shows as 0.
        let values = |key: Vec<u8>| {
            let at = if key[0] == 0 { 3 } else { 4 };
            [if key[0] == 0 { 0 } else { key[1] }, key.get(at + 1).copied().unwrap_or(0)]
        };
        keys(&definition, record).into_iter().map(values).collect()
    };
    let record: &Record<'_> = &[(256, &[&[1], &[2], &[3]]), (1, &[&[9]]), (257, &[&[11], &[12]])];
    assert_eq!(made(IndexFlags::empty(), record), [[1, 11], [2, 11], [3, 11]]);
    let crossed = [[1, 11], [1, 12], [2, 11], [2, 12], [3, 11], [3, 12]];
    assert_eq!(made(IndexFlags::CROSS_PRODUCT, record), crossed);
    assert_eq!(made(IndexFlags::NESTED_TABLE, record), [[1, 11], [2, 12], [3, 0]]);
    let record: &Record<'_> = &[(1, &[&[9]]), (257, &[&[11], &[12]])];
    assert_eq!(made(IndexFlags::empty(), record), [[0, 11]]);
    assert_eq!(made(IndexFlags::CROSS_PRODUCT, record), [[0, 11], [0, 12]]);
    assert_eq!(made(IndexFlags::NESTED_TABLE, record), [[0, 11], [0, 12]]);
}

#[test]
fn the_same_value_twice_is_one_entry() {
    let one = definition(
        &index(&[256], ALL_NULLS | IndexFlags::MULTI_VALUED),
        &[column(256, ColumnType::UnsignedByte)],
    );
    let mut buffers = KeyBuffers::default();
    build_keys(&one, &mut Fake(&[(256, &[&[2], &[1], &[2]])]), &mut buffers).unwrap();
    assert_eq!(buffers.keys.len(), 3);
    assert!(buffers.keys.dedup());
    assert_eq!(buffers.keys.iter().collect::<Vec<_>>(), [[0x7F, 1], [0x7F, 2]]);
    assert!(!buffers.keys.dedup());
}

#[test]
fn parts_of_a_text_are_keys() {
    let mut index = index(&[256], ALL_NULLS | IndexFlags::MULTI_VALUED);
    let limits = TupleLimits { min_len: 3, max_len: 4, max_to_index: 32767, increment: 1, start: 0 };
    let mut text = column(256, ColumnType::LongText);
    let mut parts = |limits, value: &[&[u8]], text: &Column| {
        index.tuple_limits = Some(limits);
        keys(&definition(&index, std::slice::from_ref(text)), &[(256, value)])
    };
    assert_eq!(parts(limits, &[b"abcde"], &text), [&b"\x7FABCD\0"[..], b"\x7FBCDE\0", b"\x7FCDE\0"]);
    assert_eq!(parts(limits, &[b"abc", b"xy", b"def"], &text), [b"\x7FABC\0", b"\x7FDEF\0"]);
    assert!(parts(limits, &[], &text).is_empty());
    let apart = TupleLimits { increment: 2, start: 1, max_to_index: 2, ..limits };
    assert_eq!(parts(apart, &[b"abcdefghij"], &text), [b"\x7FBCDE\0", b"\x7FDEFG\0"]);
    text.code_page = CODE_PAGE_UNICODE;
    assert_eq!(parts(limits, &[b"a\0b\0c\0d\0"], &text).len(), 2);
}

#[test]
fn values_without_parts_end_nothing_but_themselves() {
    let mut index = index(&[256, 257], ALL_NULLS | IndexFlags::MULTI_VALUED | IndexFlags::CROSS_PRODUCT);
    index.tuple_limits =
        Some(TupleLimits { min_len: 3, max_len: 4, max_to_index: 9, increment: 1, start: 0 });
    let columns = [column(256, ColumnType::LongText), column(257, ColumnType::UnsignedByte)];
    let record: &Record<'_> = &[(256, &[b"x", b"abc"]), (257, &[&[1], &[2]])];
    let made = keys(&definition(&index, &columns), record);
    assert_eq!(made, [b"\x7FABC\0\x7F\x01", b"\x7FABC\0\x7F\x02"]);
}

fn search(definition: &KeyDefinition, parts: &[(&[u8], MakeKeyFlags)]) -> Result<Vec<u8>, KeyError> {
    let (mut key, mut buffers) = (SearchKey::default(), KeyBuffers::default());
    for (at, (value, flags)) in parts.iter().enumerate() {
        let begin = if at == 0 { MakeKeyFlags::NEW_KEY } else { MakeKeyFlags::empty() };
        key.add(definition, value, *flags | begin, &mut buffers)?;
    }
    Ok(key.bytes().to_vec())
}

#[test]
fn limits_of_search_keys() {
    let mut unicode = column(129, ColumnType::Text);
    unicode.code_page = CODE_PAGE_UNICODE;
    let columns = [
        column(128, ColumnType::Text),
        unicode,
        column(130, ColumnType::Binary),
        column(1, ColumnType::Long),
    ];
    let of = |ids: &[u16]| {
        let mut index = index(ids, ALL_NULLS);
        index.key_most = 20;
        definition(&index, &columns)
    };
    let made = |id: u16, value: &[u8], flags| search(&of(&[id, 1]), &[(value, flags)]).unwrap();
    let filled = |start: &[u8], len: usize| {
        let mut key = start.to_vec();
        key.resize(len, 0xFF);
        key
    };
    let none = MakeKeyFlags::empty();
    assert_eq!(made(128, b"ab", none), *b"\x7FAB\0");
    for flags in [MakeKeyFlags::SUB_STR_LIMIT, MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT] {
        assert_eq!(made(128, b"ab", flags), filled(b"\x7FAB", 21));
        assert_eq!(made(129, b"a\0", flags), filled(&[0x7F, 0x0E, 0x02], 21));
    }
    assert_eq!(made(128, b"ab", MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT), *b"\x7FAB");
    assert_eq!(made(129, b"a\0", MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT), [0x7F, 0x0E, 0x02]);
    for flags in [MakeKeyFlags::STR_LIMIT, MakeKeyFlags::FULL_COLUMN_END_LIMIT] {
        assert_eq!(made(128, b"ab", flags), filled(b"\x7FAB\0", 21));
    }
    assert_eq!(made(128, b"ab", MakeKeyFlags::FULL_COLUMN_START_LIMIT), *b"\x7FAB\0");
    let binary = MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT;
    assert_eq!(made(130, b"abc", binary), filled(b"\x7Fabc", 11));
    assert_eq!(made(130, b"abc", MakeKeyFlags::STR_LIMIT), filled(b"\x7Fabc", 11));
    assert_eq!(made(130, b"abc", MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT), *b"\x7Fabc");
    assert_eq!(
        made(1, &[1, 0, 0, 0], MakeKeyFlags::FULL_COLUMN_END_LIMIT),
        filled(&[0x7F, 0x80, 0, 0, 1], 21)
    );
    assert_eq!(made(128, b"", none), [0]);
    assert_eq!(made(128, b"", MakeKeyFlags::KEY_DATA_ZERO_LENGTH), [0x40]);
}

#[test]
fn search_keys_are_checked() {
    let columns = [column(128, ColumnType::Text), column(1, ColumnType::Long)];
    let both = definition(&index(&[128, 1], ALL_NULLS), &columns);
    let none = MakeKeyFlags::empty();
    let long: (&[u8], _) = (&[1, 0, 0, 0], none);
    assert_eq!(search(&both, &[(b"a", none), long, long]), Err(KeyError::KeyIsMade));
    assert_eq!(search(&both, &[(b"a", MakeKeyFlags::STR_LIMIT), long]), Err(KeyError::KeyIsMade));
    assert_eq!(search(&both, &[(b"a", none), (b"xyz", none)]), Err(KeyError::InvalidLength));
    let two = MakeKeyFlags::FULL_COLUMN_END_LIMIT | MakeKeyFlags::FULL_COLUMN_START_LIMIT;
    assert_eq!(search(&both, &[(b"a", two)]), Err(KeyError::InvalidFlags));
    let partial = (long.0, MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT);
    assert_eq!(search(&both, &[(b"a", none), partial]), Err(KeyError::InvalidFlags));
    let (mut key, mut buffers) = (SearchKey::default(), KeyBuffers::default());
    assert_eq!(key.add(&both, b"a", none, &mut buffers), Err(KeyError::KeyNotMade));
    assert_eq!(key.set(&[1; 257], 255), Err(KeyError::InvalidKey));
    key.set(&[1; 256], 255).unwrap();
    assert!(key.is_limit() && key.is_prepared());
}

#[test]
fn keys_that_were_cut_have_lost_values() {
    let columns =
        [column(1, ColumnType::Long), column(128, ColumnType::Binary), column(2, ColumnType::Short)];
    let mut short = index(&[1, 128, 2], ALL_NULLS);
    short.key_most = 8;
    let definition = definition(&short, &columns);
    let key = &keys(&definition, &[(1, &[&[1, 2, 3, 4]]), (128, &[b"abc"]), (2, &[&[5, 6]])])[0];
    let mut out = Vec::new();
    assert_eq!(definition.decode(key, 0, &mut out), Ok(KeyValue::Value));
    assert_eq!(out, [1, 2, 3, 4]);
    assert_eq!(definition.decode(key, 1, &mut out), Ok(KeyValue::Lost));
    assert_eq!(definition.decode(key, 2, &mut out), Ok(KeyValue::Lost));
    assert_eq!(out, [1, 2, 3, 4]);
    short.key_most = 255;
    short.segment_max = Some(7);
    let limited = super::KeyDefinition::new(&short, &columns).unwrap();
    let key = &keys(&limited, &[(1, &[&[1, 2, 3, 4]]), (128, &[b"abc"]), (2, &[&[5, 6]])])[0];
    assert_eq!(key[..], *b"\x7F\x84\x03\x02\x01\x7Fabc\0\0\0\x7F\x86\x05");
    assert_eq!(limited.decode(key, 1, &mut out), Ok(KeyValue::Lost));
    assert!(matches!(definition.decode(&[0x11], 0, &mut out), Err(KeyError::Format(_))));
}

#[test]
fn limits_by_page_size() {
    assert_eq!(
        [PageSize::K2, PageSize::K4, PageSize::K8, PageSize::K32].map(key_limit),
        [500, 1000, 2000, 2000]
    );
}

proptest! {
    #[test]
    fn bytes_compare_like_their_keys(a in proptest::collection::vec(0u8..4, 0..30), b in proptest::collection::vec(0u8..4, 0..30)) {
        let key = |value: &[u8]| key_of(column(128, ColumnType::Binary), value);
        prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
    }

    #[test]
    fn limits_enclose_all_that_begins_so(
        start in proptest::collection::vec(any::<u8>(), 1..20), more in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let columns = [column(128, ColumnType::Binary), column(1, ColumnType::Long)];
        let definition = definition(&index(&[128, 1], ALL_NULLS), &columns);
        let whole = [&start[..], &more[..]].concat();
        let key = &keys(&definition, &[(128, &[&whole]), (1, &[&[7, 0, 0, 0]])])[0];
        let low = search(&definition, &[(&start, MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT)]).unwrap();
        let high = search(&definition, &[(&start, MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT)]).unwrap();
        prop_assert!(low <= *key && *key < high, "{low:02X?} {key:02X?} {high:02X?}");
    }

    #[test]
    fn any_values_and_limits_give_keys_that_fit(
        text in proptest::collection::vec(any::<u8>(), 0..300), bytes in proptest::collection::vec(any::<u8>(), 0..300),
        key_most in 1u16..600, segment_max in proptest::option::of(1u16..600), descending in any::<bool>(), wide in any::<bool>(),
    ) {
        let mut first = column(128, ColumnType::Text);
        first.code_page = if wide { CODE_PAGE_UNICODE } else { CODE_PAGE_WESTERN };
        let columns = [first, column(129, ColumnType::Binary), column(1, ColumnType::Long)];
        let mut index = index(&[128, 129, 1], ALL_NULLS);
        index.key_most = key_most;
        index.segment_max = segment_max;
        index.key[0].flags.set(SegmentFlags::DESCENDING, descending);
        let definition = definition(&index, &columns);
        let made = keys(&definition, &[(128, &[&text]), (129, &[&bytes]), (1, &[&[1, 2, 3, 4]])]);
        prop_assert_eq!(made.len(), 1);
        prop_assert!(!made[0].is_empty() && made[0].len() <= usize::from(key_most));
        let flags = |value: &[u8]| if value.is_empty() { MakeKeyFlags::KEY_DATA_ZERO_LENGTH } else { MakeKeyFlags::empty() };
        // Of a record's value no more is read than the key can hold unless that leaves room, of a caller's all.
        if text.len().max(bytes.len()) < usize::from(key_most) {
        let sought = search(&definition, &[(&text, flags(&text)), (&bytes, flags(&bytes)), (&[1, 2, 3, 4], flags(&[1]))]);
            prop_assert_eq!(sought.as_ref(), Ok(&made[0]));
        }
    }

    #[test]
    fn damaged_records_never_panic(
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4), flags in any::<u32>(),
        large in any::<bool>(), tuples in any::<bool>(), key_most in 1u16..300,
    ) {
        let size = if large { PageSize::K16 } else { PageSize::K4 };
        let mut text = column(256, ColumnType::LongText);
        text.code_page = CODE_PAGE_UNICODE;
        let columns = [column(1, ColumnType::Long), column(128, ColumnType::Text), text, column(257, ColumnType::LongBinary)];
        let mut writer = RecordWriter::new(size);
        writer.fixed(ColumnId(1), 4, 4, Some(&[1, 2, 3, 4])).unwrap();
        writer.variable(ColumnId(128), Some(b"text")).unwrap();
        let long = |bytes| Piece { separated: true, ..Piece::plain(bytes) };
        writer.tagged(ColumnId(256), false, true, Some(&[Piece::plain(b"a\0b\0c\0d\0"), long(b"\x01\0\0\0"), Piece::plain(b"e\0")])).unwrap();
        writer.tagged(ColumnId(257), false, true, Some(&[Piece::plain(b"12345678"), Piece::plain(b"9")])).unwrap();
        let mut bytes = writer.finish().unwrap();
        for (at, with) in damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] = with;
        }
        let mut index = index(&[256, 1, 128, 257], IndexFlags::from_bits_retain(flags));
        index.key_most = key_most;
        let limits = TupleLimits { min_len: 2, max_len: 3, max_to_index: 50, increment: 1, start: 0 };
        index.tuple_limits = tuples.then_some(limits);
        let definition = definition(&index, &columns);
        if let Ok(record) = crate::record::Record::parse(&bytes, size) {
            let mut unpacked = Vec::new();
            let read = |_: LongValueId, _: usize, out: &mut Vec<u8>| -> Result<(), KeyError> {
                out.extend_from_slice(&[b'z', 0].repeat(300));
                Ok(())
            };
            let mut buffers = KeyBuffers::default();
            let mut values = RecordValues::new(record, read, &mut unpacked);
            if build_keys(&definition, &mut values, &mut buffers).is_ok() {
                prop_assert!(buffers.keys.iter().all(|key| key.len() <= usize::from(key_most)));
            }
        }
    }

    #[test]
    fn hostile_keys_never_panic(
        key in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7F), Just(0x80), Just(9)], 0..60),
        column_at in 0usize..20, descending in any::<bool>(),
    ) {
        let columns = [column(128, ColumnType::Text), column(129, ColumnType::Binary), column(1, ColumnType::Guid)];
        let mut index = index(&[129, 1, 128], ALL_NULLS);
        index.key[1].flags.set(SegmentFlags::DESCENDING, descending);
        let _ = definition(&index, &columns).decode(&key, column_at, &mut Vec::new());
    }

    #[test]
    fn keys_say_what_they_were_made_of(
        bytes in proptest::collection::vec(any::<u8>(), 0..40), sixteen in any::<[u8; 16]>(),
        descending in any::<[bool; 3]>(), dot_net in any::<bool>(), number_type in 1u32..=18,
    ) {
        let number_type = ColumnType::from_code(number_type).filter(|t| t.fixed_size().is_some());
        let number_type = number_type.unwrap_or(ColumnType::Guid);
        let columns = [column(128, ColumnType::Text), column(129, ColumnType::Binary), column(1, number_type)];
        let mut index = index(&[128, 129, 1], ALL_NULLS);
        index.flags.set(IndexFlags::DOT_NET_GUID, dot_net);
        for (segment, descending) in index.key.iter_mut().zip(descending) {
            segment.flags.set(SegmentFlags::DESCENDING, descending);
        }
        let definition = definition(&index, &columns);
        let mut number = sixteen[..number_type.fixed_size().unwrap()].to_vec();
        if number_type == ColumnType::Bit {
            number[0] = if number[0] & 1 == 0 { 0 } else { 0xFF };
        }
        let key = &keys(&definition, &[(128, &[b"text"]), (129, &[&bytes]), (1, &[&number])])[0];
        let mut out = Vec::new();
        prop_assert_eq!(definition.decode(key, 0, &mut out), Ok(KeyValue::Lost));
        prop_assert_eq!(definition.decode(key, 1, &mut out), Ok(KeyValue::Value));
        prop_assert_eq!(&out, &bytes);
        out.clear();
        prop_assert_eq!(definition.decode(key, 2, &mut out), Ok(KeyValue::Value));
        prop_assert_eq!(&out, &number);
        let nothing = &keys(&definition, &[])[0];
        prop_assert_eq!(definition.decode(nothing, 2, &mut out), Ok(KeyValue::Null));
    }
}
