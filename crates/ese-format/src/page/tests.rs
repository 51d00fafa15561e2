//! Line operations against a model, and hostile bytes.

use super::*;
use crate::error::FormatErrorKind;
use crate::primitives::{DbTime, ObjectId, PageNumber, PageSize};
use proptest::prelude::*;

fn fresh(bytes: &mut Vec<u8>, size: PageSize, flags: PageFlags, reserved_tags: bool) -> PageMut<'_> {
    bytes.resize(size.bytes(), 0);
    let new =
        NewPage { number: PageNumber(9), object: ObjectId(7), db_time: DbTime(0x41), flags, reserved_tags };
    PageMut::format(bytes, size, new).unwrap()
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(prop::sample::Index, Vec<u8>, Vec<u8>, u8),
    Delete(prop::sample::Index),
    ReplaceData(prop::sample::Index, Vec<u8>),
    ReplaceNode(prop::sample::Index, Vec<u8>, Vec<u8>, u8),
    Flags(prop::sample::Index, u8),
    Header(Vec<u8>),
    Reorganise,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    // Keys of few letters share prefixes; data of very different sizes makes holes.
    let key = || prop::collection::vec(0u8..3, 1..20);
    let data = || (1usize..400, any::<u8>()).prop_map(|(n, byte)| vec![byte; n]);
    let at = any::<prop::sample::Index>;
    prop_oneof![
        6 => (at(), key(), data(), 0u8..4).prop_map(|(i, k, d, f)| Insert(i, k, d, f)),
        2 => at().prop_map(Delete),
        2 => (at(), data()).prop_map(|(i, d)| ReplaceData(i, d)),
        1 => (at(), key(), data(), 0u8..4).prop_map(|(i, k, d, f)| ReplaceNode(i, k, d, f)),
        1 => (at(), 0u8..4).prop_map(|(i, f)| Flags(i, f)),
        1 => Just(Reorganise),
        1 => prop::collection::vec(0u8..3, 0..30).prop_map(Header),
    ]
}

type Model = Vec<(Vec<u8>, Vec<u8>, LineFlags)>;

/// Does the operation on page and model; only full pages may refuse it.
fn apply(page: &mut PageMut<'_>, model: &mut Model, operation: Operation) {
    let flags = LineFlags::from_bits_truncate;
    let count = model.len();
    let done = match &operation {
        Operation::Insert(at, key, data, f) => {
            let index = at.index(count + 1);
            let done = page.insert_node(index, key, data, flags(*f));
            if done.is_ok() {
                model.insert(index, (key.clone(), data.clone(), flags(*f)));
            }
            done
        }
        Operation::Header(content) if count == 0 => page.set_external_header(content),
        _ if count == 0 => Ok(()),
        Operation::Header(_) => Ok(()),
        Operation::Delete(at) => {
            model.remove(at.index(count));
            page.delete_line(at.index(count))
        }
        Operation::ReplaceData(at, data) => {
            let done = page.replace_node_data(at.index(count), data);
            if done.is_ok() {
                model[at.index(count)].1 = data.clone();
            }
            done
        }
        Operation::ReplaceNode(at, key, data, f) => {
            let done = page.replace_node(at.index(count), key, data, flags(*f));
            if done.is_ok() {
                model[at.index(count)] = (key.clone(), data.clone(), flags(*f));
            }
            done
        }
        Operation::Flags(at, f) => {
            let index = at.index(count);
            // Whether the key is compressed is not the caller's to change.
            let kept = page.view().line(index).unwrap().flags & LineFlags::COMPRESSED;
            model[index].2 = flags(*f);
            page.set_line_flags(index, flags(*f) | kept)
        }
        Operation::Reorganise => page.reorganise(),
    };
    if let Err(error) = done {
        assert_eq!(error.kind, FormatErrorKind::TooLarge, "{operation:?}: {error}");
    }
}

fn assert_same(page: &Page<'_>, model: &Model) {
    page.check().unwrap();
    assert_eq!(page.line_count(), model.len());
    for (node, (key, data, flags)) in page.nodes().unwrap().zip(model) {
        let node = node.unwrap();
        assert_eq!(node.key(), *key);
        assert_eq!(node.data, data);
        assert_eq!(node.flags - LineFlags::COMPRESSED, *flags);
        assert!(node.prefix.is_empty() || node.prefix.len() > 2);
        assert_eq!(node.compare_key(key), std::cmp::Ordering::Equal);
    }
}

proptest! {
    #[test]
    fn keys_compare_with_another_one_as_wholes(
        prefix in prop::collection::vec(0u8..2, 0..12),
        keys in prop::collection::vec(prop::collection::vec(0u8..2, 1..24), 1..12),
        others in prop::collection::vec(prop::collection::vec(0u8..2, 0..24), 1..12),
        go_on in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        let size = PageSize::from_bytes(4096).unwrap();
        let mut page = fresh(&mut bytes, size, PageFlags::LEAF, false);
        page.set_external_header(&prefix).unwrap();
        let whole = |key: &Vec<u8>| if go_on { [&prefix[..], key].concat() } else { key.clone() };
        for key in &keys {
            page.insert_node(0, &whole(key), b"data", LineFlags::empty()).unwrap();
        }
        let view = page.view();
        let lines = view.lines().unwrap();
        for other in others.iter().chain(&keys).flat_map(|other| [other.clone(), whole(other)]) {
            let keys = lines.compared_with(&other);
            for line in 0..lines.len() {
                let (order, node) = keys.line(line).unwrap();
                prop_assert_eq!(order, node.key().cmp(&other));
                prop_assert_eq!(order, node.compare_key(&other));
            }
            prop_assert!(keys.line(lines.len()).is_err() && keys.line(usize::MAX).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn appended_nodes_stand_as_inserted_ones(
        size in prop::sample::select(PageSize::ALL.to_vec()),
        space: bool,
        reserved_tags: bool,
        prefix in prop::collection::vec(0u8..3, 0..8),
        nodes in prop::collection::vec(
            (prop::collection::vec(0u8..3, 1..12), prop::collection::vec(any::<u8>(), 1..90), 0u8..8, 0usize..12),
            0..200,
        ),
    ) {
        let flags = if space { PageFlags::LEAF | PageFlags::SPACE_TREE } else { PageFlags::LEAF };
        let (mut one, mut all) = (Vec::new(), Vec::new());
        let mut expected = fresh(&mut one, size, flags, reserved_tags);
        let mut page = fresh(&mut all, size, flags, reserved_tags);
        expected.set_external_header(&prefix).unwrap();
        page.set_external_header(&prefix).unwrap();
        let before = page.view().bytes().to_vec();
        let fit = (0..nodes.len()).take_while(|at| {
            let (key, data, flags, _) = &nodes[*at];
            expected.insert_node(*at, key, data, LineFlags::from_bits_truncate(*flags)).is_ok()
        }).count();
        let new: Vec<_> = nodes.iter().map(|(key, data, flags, at)| NewNode {
            key: key.split_at(at % (key.len() + 1)),
            data,
            flags: LineFlags::from_bits_truncate(*flags),
        }).collect();
        if fit < new.len() {
            let error = page.append_nodes(new.iter().copied()).unwrap_err();
            prop_assert_eq!(error.kind, FormatErrorKind::TooLarge);
            // What lies behind the data is no part of the page.
            let left: Vec<_> = (0..page.view().line_count()).collect();
            prop_assert!(left.is_empty());
            prop_assert_eq!(&page.view().bytes()[..size.header_bytes()], &before[..size.header_bytes()]);
            page = fresh(&mut all, size, flags, reserved_tags);
            page.set_external_header(&prefix).unwrap();
        }
        page.append_nodes(new.into_iter().take(fit)).unwrap();
        prop_assert!(page.view().bytes() == expected.view().bytes());
        prop_assert_eq!(page.view().check(), Ok(()));
    }

    #[test]
    fn line_operations_agree_with_a_model(
        size in prop::sample::select(PageSize::ALL.to_vec()),
        reserved: bool,
        prefix in prop::collection::vec(0u8..3, 0..12),
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut bytes = Vec::new();
        let mut page = fresh(&mut bytes, size, PageFlags::LEAF, reserved);
        page.set_external_header(&prefix).unwrap();
        let mut model = Model::new();
        for operation in operations {
            apply(&mut page, &mut model, operation);
            assert_same(&page.view(), &model);
        }
        prop_assert_eq!(page.view().reserved_tags(), 1);
    }

    #[test]
    fn hostile_pages_give_errors_and_no_panic(
        size in prop::sample::select(vec![PageSize::K2, PageSize::K4, PageSize::K16]),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut bytes = Vec::new();
        let mut page = fresh(&mut bytes, size, PageFlags::LEAF, false);
        let mut model = Model::new();
        for index in 0..20u8 {
            page.insert_node(index.into(), &[1, 2, 3, index], &[index; 30], LineFlags::empty()).unwrap();
            model.push((vec![], vec![], LineFlags::empty()));
        }
        let length = bytes.len();
        for (at, byte) in noise {
            // Header and tags are what hurts.
            let at = at.index(280);
            bytes[if at < 120 { at } else { length - (at - 119) }] = byte;
        }
        if let Ok(mut page) = PageMut::new(&mut bytes, size) {
            let _ = page.view().check();
            let _ = page.view().check_key_order();
            for operation in operations {
                let index = |at: &prop::sample::Index| at.index(page.view().line_count() + 2);
                let flags = LineFlags::from_bits_truncate;
                let _ = match &operation {
                    Operation::Insert(at, k, d, f) => page.insert_node(index(at), k, d, flags(*f)),
                    Operation::Delete(at) => page.delete_line(index(at)),
                    Operation::ReplaceData(at, d) => page.replace_node_data(index(at), d),
                    Operation::ReplaceNode(at, k, d, f) => page.replace_node(index(at), k, d, flags(*f)),
                    Operation::Flags(at, f) => page.set_line_flags(index(at), flags(*f)),
                    Operation::Header(content) => page.set_external_header(content),
                    Operation::Reorganise => page.reorganise(),
                };
                let _ = page.view().check();
                let _ = page.view().nodes().map(|nodes| nodes.filter(Result::is_ok).count());
            }
        }
    }
}

#[test]
fn the_largest_line_is_what_the_format_says() {
    for (size, most) in PageSize::ALL.into_iter().zip([2000, 4048, 8144, 16296, 32680]) {
        let mut bytes = Vec::new();
        let mut page = fresh(&mut bytes, size, PageFlags::LEAF, false);
        let line = vec![0; most + 1];
        let error = page.insert_line(0, &[&line], LineFlags::empty()).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::TooLarge);
        page.insert_line(0, &[&line[..most]], LineFlags::VERSION).unwrap();
        assert_eq!(page.view().free_bytes(), 0);
        assert_eq!(page.view().line(0).unwrap().flags, LineFlags::VERSION);
    }
}

#[test]
fn root_and_space_nodes_are_never_compressed() {
    for flags in [PageFlags::ROOT | PageFlags::LEAF, PageFlags::SPACE_TREE | PageFlags::LEAF] {
        let mut bytes = Vec::new();
        let mut page = fresh(&mut bytes, PageSize::K4, flags, false);
        page.set_external_header(b"a long prefix...").unwrap();
        page.insert_node(0, b"a long prefix...", b"x", LineFlags::empty()).unwrap();
        assert!(page.view().node(0).unwrap().prefix.is_empty());
    }
}

#[test]
fn lines_that_are_not_there_are_errors_whatever_their_number() {
    let mut bytes = Vec::new();
    let mut page = fresh(&mut bytes, PageSize::K4, PageFlags::LEAF, false);
    for line in [0, 1, 4095, usize::MAX - 1, usize::MAX] {
        assert!(page.view().line(line).is_err());
        assert!(page.view().node(line).is_err());
        assert!(page.delete_line(line).is_err());
        assert!(page.set_line_flags(line, LineFlags::empty()).is_err());
        assert!(page.replace_node_data(line, b"x").is_err());
        assert!(page.replace_line(line, &[b"x"], LineFlags::empty()).is_err());
        assert!(line == 0 || page.insert_line(line, &[b"x"], LineFlags::empty()).is_err());
    }
}
