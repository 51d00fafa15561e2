//! The API's promises, on a simulated disk.

use super::{ColumnType, FromValue, Table, TableDefinition, Transaction, Value};
use crate::clock::SeededClock;
use crate::database::CreateOptions;
use crate::error::{JetErr, Result};
use crate::event::MemorySink;
use crate::params::{ParamId, Parameters};
use crate::raw::{Database, Environment, InitOptions, Instance, Session, TermOptions};
use ese_vfs::{Disk, SimDisk};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

const TYPES: [(&str, ColumnType); 12] = [
    ("Bit", ColumnType::Bit),
    ("Byte", ColumnType::UnsignedByte),
    ("Short", ColumnType::Short),
    ("UShort", ColumnType::UnsignedShort),
    ("ULong", ColumnType::UnsignedLong),
    ("Wide", ColumnType::LongLong),
    ("Money", ColumnType::Currency),
    ("Single", ColumnType::IeeeSingle),
    ("Double", ColumnType::IeeeDouble),
    ("Ascii", ColumnType::Text),
    ("Bytes", ColumnType::Binary),
    ("Long", ColumnType::LongBinary),
];

fn with_table(test: impl FnOnce(&Session, &Database, &Table<'_>) -> Result<()>) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data")).unwrap();
    let environment = Environment {
        disk: Arc::new(disk),
        clock: Arc::new(SeededClock::new(1)),
        events: Arc::new(MemorySink::default()),
        threads: false,
        cache: None,
    };
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, "/data").unwrap();
    parameters.set_text(ParamId::SystemPath, "/data").unwrap();
    let instance = Instance::new(environment, parameters);
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new("/data/a.edb"), CreateOptions::default()).unwrap();
    let definition = TableDefinition::new("T").column("Id", ColumnType::Long).text("Text");
    let definition = TYPES.iter().fold(definition, |table, (name, kind)| table.column(name, *kind));
    let definition =
        definition.primary(&["Id"]).index("ByText", &["Text", "Wide"]).unique("ByWide", &["Wide"]);
    definition.create(&database).unwrap();
    {
        let table = Table::open(&database, "T").unwrap();
        test(&session, &database, &table).unwrap();
    }
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
}

/// Writes a value, reads it back, and reads NULL.
#[track_caller]
fn comes_back<T: Value + FromValue + PartialEq + Debug>(table: &Table<'_>, column: &str, value: T) {
    assert!(table.update(&[&1], &[(column, &value)]).unwrap());
    assert_eq!(table.find(&[&1], |row| row.get::<T>(column)).unwrap(), Some(value));
    table.update(&[&1], &[(column, &None::<T>)]).unwrap();
    assert_eq!(table.find(&[&1], |row| row.get::<Option<T>>(column)).unwrap(), Some(None));
    let code = table.find(&[&1], |row| row.get::<T>(column)).unwrap_err().code();
    assert_eq!(code, JetErr::NullInvalid, "{column}");
}

#[test]
fn values_of_every_type_come_back() {
    with_table(|session, _, table| {
        let transaction = Transaction::begin(session)?;
        table.insert(&[("Id", &1)])?;
        comes_back(table, "Bit", true);
        comes_back(table, "Byte", 200u8);
        comes_back(table, "Short", -3i16);
        comes_back(table, "UShort", 60_000u16);
        comes_back(table, "ULong", u32::MAX);
        comes_back(table, "Wide", i64::MIN);
        comes_back(table, "Money", 12_345i64);
        comes_back(table, "Single", 0.5f32);
        comes_back(table, "Double", -1e300f64);
        comes_back(table, "Ascii", "plain".to_owned());
        comes_back(table, "Text", "Größe 漢字".to_owned());
        comes_back(table, "Bytes", vec![0u8, 255]);
        comes_back(table, "Long", vec![7u8; 70_000]);
        transaction.commit()
    });
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_stays() {
    with_table(|session, _, table| {
        assert_eq!(table.insert(&[("Id", &1)]).unwrap_err().code(), JetErr::NotInTransaction);
        let transaction = Transaction::begin(session)?;
        table.insert(&[("Id", &1), ("Wide", &5i64)])?;
        let refused: [(&str, &dyn Value, JetErr); 6] = [
            ("Id", &2i64, JetErr::InvalidColumnType),
            ("Wide", &"text", JetErr::InvalidColumnType),
            ("Text", &1, JetErr::InvalidColumnType),
            ("Ascii", &"ä", JetErr::InvalidParameter),
            ("Strange", &1, JetErr::ColumnNotFound),
            ("Wide", &5i64, JetErr::KeyDuplicate),
        ];
        for (column, value, code) in refused {
            let failed = table.insert(&[("Id", &2), (column, value)]).unwrap_err();
            assert_eq!(failed.code(), code, "{column}");
            assert!(table.raw().prepared().is_none(), "{column}");
        }
        assert_eq!(table.rows()?.read(|row| row.get::<i32>("Id")).collect::<Result<Vec<_>>>()?, [1]);
        let wrong = table.find(&[&1], |row| row.get::<String>("Id")).unwrap_err();
        assert_eq!(wrong.code(), JetErr::InvalidColumnType);
        let read: Vec<_> = table.rows()?.read(|row| row.get::<String>("Id")).collect();
        assert!(matches!(&read[..], [Err(error)] if error.code() == JetErr::InvalidColumnType));
        assert!(!table.update(&[&9], &[])? && !table.delete(&[&9])?);
        transaction.commit()
    });
}

#[test]
fn ranges_have_both_ends_and_shorter_keys_take_in_what_follows() {
    with_table(|session, _, table| {
        let transaction = Transaction::begin(session)?;
        for id in 0..20i32 {
            let text = ["a", "b", "c", "d"][id as usize % 4];
            table.insert(&[("Id", &id), ("Text", &text), ("Wide", &i64::from(id))])?;
        }
        transaction.commit()?;
        let ids = |rows: super::Rows<'_>| rows.read(|row| row.get::<i32>("Id")).collect::<Result<Vec<_>>>();
        assert_eq!(ids(table.rows()?.from(&[&5])?.to(&[&8])?)?, [5, 6, 7, 8]);
        assert_eq!(ids(table.rows()?.from(&[&17])?)?, [17, 18, 19]);
        assert_eq!(ids(table.rows()?.to(&[&1])?)?, [0, 1]);
        assert_eq!(ids(table.rows()?.from(&[&20])?)?, [0; 0]);
        assert_eq!(ids(table.rows()?.from(&[&8])?.to(&[&5])?)?, [0; 0]);
        let by_text = || table.rows()?.by("ByText");
        assert_eq!(ids(by_text()?.from(&[&"b"])?.to(&[&"b"])?)?, [1, 5, 9, 13, 17]);
        assert_eq!(ids(by_text()?.from(&[&"b", &9i64])?.to(&[&"c", &6i64])?)?, [9, 13, 17, 2, 6]);
        assert_eq!(by_text()?.from(&[]).map(drop).unwrap_err().code(), JetErr::InvalidParameter);
        assert_eq!(table.rows()?.by("None").map(drop).unwrap_err().code(), JetErr::IndexNotFound);
        Ok(())
    });
}

#[test]
fn a_dropped_transaction_takes_its_levels_along() {
    with_table(|session, _, table| {
        let count = || table.rows()?.read(|_| Ok(())).collect::<Result<Vec<_>>>().map(|rows| rows.len());
        let outer = Transaction::begin(session)?;
        table.insert(&[("Id", &1), ("Wide", &1i64)])?;
        {
            let _inner = Transaction::begin(session)?;
            table.insert(&[("Id", &2), ("Wide", &2i64)])?;
            assert_eq!(count()?, 2);
        }
        assert_eq!(count()?, 1, "the level is rolled back, the transaction goes on");
        let inner = Transaction::begin(session)?;
        table.insert(&[("Id", &3), ("Wide", &3i64)])?;
        assert_eq!(outer.commit().unwrap_err().code(), JetErr::NotInTransaction, "it is not the innermost");
        assert_eq!(session.transaction_level()?, 0, "its end was the end of all");
        assert_eq!(inner.commit().unwrap_err().code(), JetErr::NotInTransaction);
        assert_eq!(count()?, 0);
        Transaction::begin(session)?.roll_back()?;
        let lazily = Transaction::begin(session)?;
        table.insert(&[("Id", &4), ("Wide", &4i64)])?;
        lazily.commit_lazily()?;
        assert_eq!(count()?, 1);
        Ok(())
    });
}
