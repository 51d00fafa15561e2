//! Generated code: from the tables in `crates/xtask/tables` to source files of the other crates.
//!
//! The tables are the single source of the API's numbers; the generated files are committed, so that a
//! build needs no generator, and a test checks that they are up to date.

mod categories;
mod errors;
mod header;
mod layouts;
mod params;
mod sort_weights;
mod structs;

use crate::backup_codes::{self, Codes};
use crate::conformance::{self, Statement};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// One generated file: its path below the workspace and its content.
pub(crate) struct Output {
    path: &'static str,
    content: Vec<u8>,
}

impl Output {
    fn text(path: &'static str, text: String) -> Self {
        Self { path, content: text.into_bytes() }
    }
}

/// One row of a table by column name.
pub(crate) struct Row(HashMap<String, String>);

impl Row {
    /// The field of a column; empty when the table has no such column.
    pub(crate) fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }
}

/// Reads one table.
pub(crate) fn table(name: &str) -> Result<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tables").join(format!("{name}.csv"));
    let reader = csv::Reader::from_path(&path).with_context(|| format!("cannot open {}", path.display()))?;
    parse_table(reader)
}

/// Reads all rows of a table.
pub(crate) fn parse_table(mut reader: csv::Reader<impl Read>) -> Result<Vec<Row>> {
    let columns = reader.headers()?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        rows.push(Row(columns.iter().zip(&record).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()));
    }
    Ok(rows)
}

/// Rust's or C's double quoted text.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn outputs() -> Result<Vec<Output>> {
    let tables = header::Tables {
        constants: table("constants")?,
        errors: table("errors")?,
        struct_sizes: table("struct_sizes")?,
        structs: table("structs")?,
        functions: table("functions")?,
        exported: exported()?,
    };
    let mut outputs = vec![
        Output::text("crates/ese/src/error/codes.rs", errors::generate(&table("errors")?)?),
        Output::text("crates/ese/src/params/table.rs", params::generate(&table("parameters")?)?),
        Output::text(
            "crates/esent/src/types/layouts.rs",
            layouts::generate(&structs::public(&tables.struct_sizes, &tables.structs)?)?,
        ),
        Output::text(
            "crates/esent/src/types/categories.rs",
            categories::generate(&table("errors")?, &tables.constants)?,
        ),
        Output::text("crates/esent/include/esent.h", header::generate(&tables)?),
        Output::text("crates/esent/tests/c/layout.c", header::check_file(&tables)?),
    ];
    outputs.append(&mut sort_weights::outputs()?);
    outputs.push(Output::text(conformance::PAGE, conformance::page(&checklist()?, |_| conformance::HOLDS)?));
    let codes = backup_codes()?;
    codes.check(&workspace())?;
    outputs.push(Output::text(backup_codes::PAGE, codes.page()));
    Ok(outputs)
}

/// The acceptance checklist of backup and restore.
pub(crate) fn checklist() -> Result<BTreeMap<String, Statement>> {
    conformance::checklist(&workspace(), &table("backup_reasons")?)
}

/// The return codes of backup and restore, and their tests.
pub(crate) fn backup_codes() -> Result<Codes> {
    Codes::read(&table("backup_functions")?, &table("backup_codes")?, &table("errors")?)
}

/// The symbols that `libesent.so` exports, read from its sources: the header declares no others.
fn exported() -> Result<BTreeSet<String>> {
    let folder = workspace().join("crates/esent/src/ffi");
    let mut symbols = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        symbols.append(&mut header::exported_symbols(&std::fs::read_to_string(entry?.path())?));
    }
    Ok(symbols)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes every generated file that differs.
pub(crate) fn write() -> Result<()> {
    for output in outputs()? {
        let path = workspace().join(output.path);
        if std::fs::read(&path).ok().as_ref() != Some(&output.content) {
            std::fs::write(&path, &output.content)
                .with_context(|| format!("cannot write {}", output.path))?;
            println!("wrote {}", output.path);
        }
    }
    Ok(())
}

/// Fails when a generated file is not what its tables say.
pub(crate) fn check() -> Result<()> {
    for output in outputs()? {
        let there = std::fs::read(workspace().join(output.path))
            .with_context(|| format!("cannot read {}", output.path))?;
        if there != output.content {
            bail!("{} is out of date: run `cargo xtask generate`", output.path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_up_to_date() {
        super::check().unwrap();
    }
}
