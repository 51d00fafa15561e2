//! Keys of real indexes: those made of the records are those that Windows stored, byte for byte.

mod common;

use ese_format::catalog::{Index, TableSchema};
use ese_format::database::choose_header;
use ese_format::key::{
    KeyBuffers, KeyDefinition, KeyError, MakeKeyFlags, RecordValues, SearchKey, Values, build_keys,
};
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, unpack_chunk};
use ese_format::record::{Field, Record};
use ese_format::sort_key::{CURRENT_VERSION, IndexStamp, MapFlags, Standing, count_key, versions_are_equal};
use ese_format::tree::{FileImage, Tree};
use ese_format::{PageSize, primitives};
use std::collections::{BTreeMap, BTreeSet};

/// All long values of a table, whole.
fn long_values(image: FileImage<'_>, schema: &TableSchema) -> BTreeMap<LongValueId, Vec<u8>> {
    let mut values = BTreeMap::new();
    let Some(tree) = schema.long_values else { return values };
    /// Offsets and stored forms.
    type Chunks = Vec<(u32, Vec<u8>)>;
    let mut chunks: BTreeMap<LongValueId, (u32, Chunks)> = BTreeMap::new();
    let mut scan = Tree::new(image, tree.root, tree.object_id).scan();
    while let Some(entry) = scan.next() {
        let entry = entry.unwrap();
        match LongValueKey::decode(entry.key).unwrap() {
            LongValueKey::Root(id) => {
                chunks.entry(id).or_default().0 = LongValueRoot::decode(entry.data).unwrap().size;
            }
            LongValueKey::Chunk(id, offset) => {
                chunks.entry(id).or_default().1.push((offset, entry.data.to_vec()));
            }
        }
    }
    for (id, (size, parts)) in chunks {
        let mut plain = Vec::new();
        for (at, (offset, data)) in parts.iter().enumerate() {
            let end = parts.get(at + 1).map_or(size, |next| next.0);
            unpack_chunk(data, (end - offset) as usize, &mut plain).unwrap();
        }
        values.insert(id, plain);
    }
    values
}

/// The entries of a tree: keys with their data.
fn entries(
    image: FileImage<'_>,
    root: primitives::PageNumber,
    object: primitives::ObjectId,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut scan = Tree::new(image, root, object).scan();
    while let Some(entry) = scan.next() {
        let entry = entry.unwrap();
        entries.push((entry.key.to_vec(), entry.data.to_vec()));
    }
    entries
}

#[derive(Default)]
struct Counts {
    indexes: usize,
    primary: usize,
    secondary: usize,
    /// Entries of indexes over Unicode text.
    unicode: usize,
    /// Keys that were also made as search keys.
    sought: usize,
    /// Of one database: keys in MSysLocales and how many indexes each stands for.
    locales: BTreeMap<Vec<u8>, i32>,
}

/// The key in MSysLocales that counts an index.
fn stamp_key(index: &Index) -> Vec<u8> {
    count_key(index.locale_name.as_deref().unwrap(), &index.sort_id.unwrap(), index.sort_version.unwrap())
}

/// Makes the key of a record's first values as a caller of a seek would.
fn seek_key<V: Values<Error = KeyError>>(
    definition: &KeyDefinition,
    values: &mut V,
    key: &mut SearchKey,
    buffers: &mut KeyBuffers,
) {
    for (at, column) in definition.columns().iter().enumerate() {
        let value = values.value(column, 1, usize::MAX).unwrap();
        let mut flags = MakeKeyFlags::empty();
        flags.set(MakeKeyFlags::NEW_KEY, at == 0);
        flags.set(MakeKeyFlags::KEY_DATA_ZERO_LENGTH, value.is_some_and(<[u8]>::is_empty));
        key.add(definition, value.unwrap_or_default(), flags, buffers).unwrap();
    }
}

/// The rows of MSysLocales count the indexes by their stamps.
fn check_locales(name: &str, image: FileImage<'_>, size: PageSize, schema: &TableSchema, counts: &Counts) {
    let column = |name| schema.column(name).unwrap();
    let definition = KeyDefinition::new(schema.primary_index().unwrap(), &schema.columns).unwrap();
    let (mut key, mut buffers) = (SearchKey::default(), KeyBuffers::default());
    for (text, count) in &counts.locales {
        key.add(&definition, text, MakeKeyFlags::NEW_KEY, &mut buffers).unwrap();
        let mut scan = Tree::new(image, schema.root, schema.object_id).seek(key.bytes()).unwrap();
        let entry = scan.next().expect("a row").unwrap();
        assert_eq!(entry.key, key.bytes(), "{name}");
        let record = Record::parse(entry.data, size).unwrap();
        let (number, stored) = (column("iValue"), column("Key"));
        assert_eq!(record.variable(stored.id), Ok(Field::Value(text)));
        let Ok(Field::Value(stored)) = record.fixed(number.id, number.offset.into(), 4) else {
            panic!("{name}")
        };
        let stored = i32::from_le_bytes(stored.try_into().unwrap());
        // Deleting an index does not lower the count.
        assert!(stored >= *count, "{name}: {stored} counted, {count} there");
    }
}

fn check_table(name: &str, image: FileImage<'_>, size: PageSize, schema: &TableSchema, counts: &mut Counts) {
    let long = long_values(image, schema);
    let records = entries(image, schema.root, schema.object_id);
    let mut buffers = KeyBuffers::default();
    let (mut unpacked, mut sought) = (Vec::new(), SearchKey::default());
    for index in &schema.indexes {
        let place = format!("{name}, {}.{}", schema.name, index.name);
        let definition = KeyDefinition::new(index, &schema.columns).unwrap();
        if let Some(standing) = definition.standing() {
            let stamp = IndexStamp::for_locale(
                index.locale_name.as_deref().unwrap(),
                MapFlags::check(index.map_flags).unwrap(),
            )
            .unwrap();
            assert!(matches!(standing, Standing::Good(sort) if sort.id() == stamp.sort_id), "{place}");
            assert!(versions_are_equal(index.sort_version.unwrap(), CURRENT_VERSION), "{place}");
            *counts.locales.entry(stamp_key(index)).or_default() += 1;
        }
        let mut made = BTreeSet::new();
        for (bookmark, record) in &records {
            let read = |id: LongValueId, _: usize, out: &mut Vec<u8>| -> Result<(), KeyError> {
                out.extend_from_slice(&long[&id]);
                Ok(())
            };
            let record = Record::parse(record, size).unwrap();
            let mut values = RecordValues::new(record, read, &mut unpacked);
            build_keys(&definition, &mut values, &mut buffers).unwrap();
            buffers.keys.dedup();
            let made_keys: Vec<_> = buffers.keys.iter().map(<[u8]>::to_vec).collect();
            if let [key] = &made_keys[..] {
                seek_key(&definition, &mut values, &mut sought, &mut buffers);
                assert_eq!(sought.bytes(), key, "{place}");
                counts.sought += 1;
            }
            if index.is_primary() {
                assert_eq!(made_keys, [bookmark.as_slice()], "{place}");
                counts.primary += 1;
                counts.unicode += usize::from(definition.standing().is_some());
                continue;
            }
            for key in made_keys {
                made.insert((key, bookmark.clone()));
            }
        }
        if !index.is_primary() {
            let stored = entries(image, index.root, index.object_id);
            counts.secondary += stored.len();
            counts.unicode += definition.standing().map_or(0, |_| stored.len());
            let stored: BTreeSet<_> = stored.into_iter().collect();
            let missing: Vec<_> = made.difference(&stored).take(3).collect();
            let extra: Vec<_> = stored.difference(&made).take(3).collect();
            assert!(
                missing.is_empty() && extra.is_empty(),
                "{place}: made {missing:02X?}, stored {extra:02X?}"
            );
        }
        counts.indexes += 1;
    }
}

#[test]
fn every_key_of_every_index_is_made_again() {
    let Some(samples) = common::databases("every_key_of_every_index_is_made_again") else { return };
    let mut counts = Counts::default();
    for sample in samples {
        let size = choose_header(&sample.bytes).unwrap().header.page_size;
        let image = FileImage::new(&sample.bytes, size);
        let schemas = common::schemas(image, size);
        counts.locales.clear();
        for schema in &schemas {
            check_table(&sample.name, image, size, schema, &mut counts);
        }
        if let Some(locales) = schemas.iter().find(|schema| schema.name == "MSysLocales") {
            check_locales(&sample.name, image, size, locales, &counts);
        }
    }
    let Counts { indexes, primary, secondary, unicode, sought, .. } = counts;
    let found = format!("{indexes} {primary} {secondary} {unicode} {sought}");
    assert!(
        indexes >= 248 && primary > 140_000 && secondary > 80_000 && unicode >= 253 && sought > 200_000,
        "{found}"
    );
}
