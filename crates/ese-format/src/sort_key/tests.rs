use super::*;
use proptest::prelude::*;

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn key(text: &[u8], sort: u32, flags: MapFlags) -> Vec<u8> {
    let mut out = Vec::new();
    let collator = Collator::new(Sort::from_number(sort).unwrap(), flags).unwrap();
    assert!(!collator.append_key(text, usize::MAX, &mut Scratch::default(), &mut out));
    out
}

fn default_key(text: &str) -> Vec<u8> {
    key(&utf16(text), 1, MapFlags::DEFAULT)
}

#[test]
fn flags_are_checked() {
    assert_eq!(MapFlags::check(0), Ok(MapFlags::SORT_KEY));
    assert_eq!(MapFlags::check(0x0003_0401), Ok(MapFlags::DEFAULT));
    assert_eq!(MapFlags::check(0x200), Ok(MapFlags::UPPERCASE));
    assert_eq!(MapFlags::check(0x600), Err(CollationError::InvalidFlags(0x600)));
    assert_eq!(MapFlags::check(0x100), Err(CollationError::InvalidFlags(0x100)));
}

#[test]
fn texts_are_in_order() {
    let ordered = |texts: &[&str], sort| {
        let keys: Vec<_> = texts.iter().map(|text| key(&utf16(text), sort, MapFlags::DEFAULT)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{texts:?}");
    };
    ordered(&["a", "ab"], 1);
    ordered(&["coop", "co-op", "coops"], 1);
    ordered(&["cote", "coté", "côte", "côté"], 1);
    ordered(&["cote", "côte", "coté", "côté"], 3);
    assert_eq!(default_key("Straße"), default_key("STRASSE"));
    assert_eq!(default_key("e\u{301}"), default_key("é"));
    assert_eq!(default_key("name\0"), default_key("name"));
    assert_eq!(default_key(""), [1, 1, 1, 1, 0]);
}

#[test]
fn some_texts_are_proven() {
    assert!(is_proven(&utf16("Coop-8 \0")) && !is_proven(&utf16("漢字")));
}

#[test]
fn details_of_keys() {
    let flags = MapFlags::DEFAULT | MapFlags::DIGITS_AS_NUMBERS;
    let number = |text: &str| key(&utf16(text), 1, flags);
    assert_eq!(number("007")[..5], [0x0D, 0x02, 0x03, 0x29, 0xFC]);
    assert_eq!(number("10")[..5], [0x0D, 0x02, 0x04, 0x32, 0xFE]);
    assert_eq!(
        default_key("あー"),
        [0x22, 2, 0x22, 2, 1, 1, 1, 0xFF, 3, 5, 2, 0xC4, 0xC4, 0xFF, 0xC4, 0xC4, 0xFF, 1, 0]
    );
    assert_eq!(default_key("\u{10000}")[..4], [0xB0, 0x02, 0xB4, 0xF8]);
    assert_eq!(default_key("ß-"), [0x0E, 0x91, 0x0E, 0x91, 1, 1, 1, 1, 0xFF, 0xFD, 0x82, 0x12, 0]);
    assert_eq!(key(&utf16("-"), 1, MapFlags::DEFAULT | MapFlags::STRING_SORT)[..2], [0x06, 0x82]);
    let reversed = key(&utf16("a"), 1, MapFlags::DEFAULT | MapFlags::BYTE_REV);
    assert_eq!(reversed, [0x02, 0x0E, 1, 1, 1, 1, 0]);
}

#[test]
fn capitals_are_big_endian_units() {
    assert_eq!(key(&utf16("aZ1é"), 1, MapFlags::UPPERCASE), [0, b'A', 0, b'Z', 0, b'1', 0, 0xC9, 0, 0]);
    let mut out = Vec::new();
    let collator = Collator::new(Sort::DEFAULT, MapFlags::UPPERCASE).unwrap();
    assert!(collator.append_key(&utf16("abc"), 3, &mut Scratch::default(), &mut out));
    assert_eq!(out, [0, b'A', 0]);
}

/// The longest key that so many units can have.
fn bound(units: usize) -> usize {
    units * 22 + 10
}

#[test]
fn every_unit_has_a_key() {
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let odd = MapFlags::SORT_KEY | MapFlags::STRING_SORT | MapFlags::DIGITS_AS_NUMBERS;
    for sort in 1..=75 {
        for flags in [MapFlags::DEFAULT, odd] {
            let collator = Collator::new(Sort::from_number(sort).unwrap(), flags).unwrap();
            for unit in 0..=u16::MAX {
                out.clear();
                collator.append_key(&unit.to_le_bytes(), usize::MAX, &mut scratch, &mut out);
                assert!(out.ends_with(&[0]) && out.len() <= bound(1), "{unit:04X} in sort {sort}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_has_a_key_and_a_cut_key_is_its_start(
        units in proptest::collection::vec(prop_oneof![any::<u16>(), 0x20u16..0x180, 0x1100u16..0x1200, 0x3040u16..0x3100], 0..40),
        sort in 1u32..=75, bits in any::<u32>(), limit in 0usize..60,
    ) {
        let flags = MapFlags::from_bits_truncate(bits & !0x200) | MapFlags::SORT_KEY;
        let text: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let whole = key(&text, sort, flags);
        prop_assert!(whole.len() <= bound(units.len()));
        let collator = Collator::new(Sort::from_number(sort).unwrap(), flags).unwrap();
        let mut out = vec![7];
        let is_cut = collator.append_key(&text, limit, &mut Scratch::default(), &mut out);
        prop_assert_eq!(&out[1..], &whole[..whole.len().min(limit)]);
        prop_assert_eq!(is_cut, whole.len() > limit);
    }

    #[test]
    fn a_start_sorts_first(text in "[a-zA-Z0-9 äöüéßñ]{0,20}", more in "[a-z0-9]{1,5}") {
        let longer = format!("{text}{more}");
        prop_assert!(default_key(&text) < default_key(&longer));
    }
}
