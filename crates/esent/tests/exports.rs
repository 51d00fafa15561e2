//! The functions of instances, tables, backup and restore exist under all their names.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

/// Whole families of functions (column `category` of the table of functions).
const FAMILIES: &[&str] = &[
    "instance", "params", "backup", "restore", "snapshot", "session", "table", "cursor", "dml", "ddl",
    "index",
];

/// Functions of other families that clients of backup and restore use.
const OTHERS: &[&str] = &[
    "JetCreateDatabase",
    "JetCreateDatabase2",
    "JetCreateDatabase3",
    "JetGetTableColumnInfo",
    "JetGetTableInfo",
    "JetGetObjectInfo",
    "JetGetTableIndexInfo",
    "JetGetIndexInfo",
    "JetGetColumnInfo",
    "JetAttachDatabase",
    "JetAttachDatabase2",
    "JetAttachDatabase3",
    "JetDetachDatabase",
    "JetDetachDatabase2",
    "JetOpenDatabase",
    "JetCloseDatabase",
    "JetGrowDatabase",
    "JetResizeDatabase",
    "JetDefragment",
    "JetDefragment2",
    "JetDefragment3",
    "JetGetInstanceInfo",
    "JetGetInstanceMiscInfo",
    "JetGetDatabaseInfo",
    "JetGetDatabaseFileInfo",
    "JetGetLogFileInfo",
    "JetGetErrorInfo",
    "JetGetThreadStats",
    "JetGetVersion",
    "JetFreeBuffer",
];

/// What is not offered; by what its names begin with.
const MISSING: &[&str] = &[
    // Transactions over several instances.
    "JetPrepareToCommitTransaction",
    // The newest form of making a table, which is not documented.
    "JetCreateTableColumnIndex5",
    // Counts of values by column, which is not documented.
    "JetRetrieveTaggedColumnList",
    // Temporary tables.
    "JetOpenTemp",
    // Changes of what is there.
    "JetConvertDDL",
    "JetSetColumnDefaultValue",
    "JetSetTableInfo",
    "JetDeleteTable2",
    // What clients hang on cursors and tables.
    "JetGetLS",
    "JetSetLS",
    "JetRegisterCallback",
    "JetUnregisterCallback",
    "JetSetCursorFilter",
    // Reading ahead, and records as streams.
    "JetPrereadC",
    "JetPrereadI",
    "JetPrereadT",
    "JetIntersectIndexes",
    "JetRetrieveColumnByReference",
    "JetRetrieveColumnFromRecordStream",
    "JetStreamRecords",
    // Keys of encrypted columns.
    "JetCreateEncryptionKey",
    // Backups in sections.
    "JetOpenFileSectionInstance",
    // Repair of a database out of a copy of it, and going back in time.
    "JetOnlinePatchDatabasePage",
    "JetRemoveLogfile",
    "JetBeginDatabaseIncrementalReseed",
    "JetEndDatabaseIncrementalReseed",
    "JetPatchDatabasePages",
    "JetConsumeLogData",
    "JetRBS",
    // Pools and counters that this engine does not have.
    "JetSetResourceParam",
    "JetGetResourceParam",
    "JetGetThreadStats",
];

/// The symbols of both families as the table has them, the aliases among them.
fn wanted() -> BTreeSet<String> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/tables/functions.csv");
    let mut reader = csv::Reader::from_path(table).unwrap();
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|c| c == name).unwrap();
    let (name, family, base, alias) =
        (column("name"), column("category"), column("base_name"), column("export_alias"));
    let mut wanted = BTreeSet::new();
    for row in reader.records() {
        let row = row.unwrap();
        if FAMILIES.contains(&&row[family]) || OTHERS.contains(&&row[base]) {
            wanted.insert(row[name].to_owned());
            wanted.insert(row[alias].to_owned());
        }
    }
    wanted.remove("");
    wanted
}

#[test]
fn all_but_the_known_ones_exist() {
    let wanted = wanted();
    assert!(wanted.len() > 150, "the table has {} of them", wanted.len());
    let folder = tempfile::tempdir().unwrap();
    let program = common::compile("exports", folder.path());
    let arguments: Vec<&Path> = wanted.iter().map(Path::new).collect();
    let output = String::from_utf8(common::run(&program, &arguments).stdout).unwrap();
    let missing: BTreeSet<&str> = output.lines().collect();
    let is_known = |name: &str| MISSING.iter().any(|start| name.starts_with(start));
    let unknown: Vec<_> = missing.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "missing: {unknown:?}");
    let there: Vec<_> = wanted.iter().filter(|n| is_known(n) && !missing.contains(n.as_str())).collect();
    assert!(there.is_empty(), "there, although listed as missing: {there:?}");
}
