//! `ese dump catalog`: tables, columns and indexes.

use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::offline::Findings;
use crate::output::Output;
use anyhow::Context;
use ese::offline::OfflineDatabase;
use ese_format::catalog::{Index, KeySegment, SegmentFlags, TableSchema};
use ese_format::column::Column;
use ese_vfs::RealDisk;
use std::path::PathBuf;

/// The arguments of `ese dump catalog`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Print the tables of a database with their columns and indexes, from its catalog. The file is only \
                  read, in whatever state it is.\n\nStands for `esentutl /mm`.",
    after_long_help = "Examples:\n  ese dump catalog ntds.dit\n  ese --json dump catalog --table datatable ntds.dit"
)]
pub(crate) struct Args {
    /// A database.
    file: PathBuf,
    /// Only this table; may be given several times.
    #[arg(short, long)]
    table: Vec<String>,
}

/// Prints the schema.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let database = OfflineDatabase::open(&RealDisk::new(), &args.file)
        .with_context(|| format!("opening {}", args.file.display()))?;
    let mut findings = Findings::default();
    let mut tables = Vec::new();
    for entry in database.tables(&mut |error| findings.add(&error))? {
        if !args.table.is_empty() && !args.table.iter().any(|name| name.eq_ignore_ascii_case(&entry.name)) {
            continue;
        }
        match database.schema(&entry, &mut |error| findings.add(&error)) {
            Ok(schema) => tables.push(table(&schema)),
            Err(error) => findings.add(&error),
        }
    }
    anyhow::ensure!(args.table.is_empty() || !tables.is_empty(), "there is no such table");
    let mut fields = Fields::new();
    fields.add("tables", Value::from(tables));
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(findings.finish(&database))
}

fn table(schema: &TableSchema) -> Fields {
    let mut fields = Fields::new();
    fields.add("table", schema.name.clone()).add("object", schema.object_id).add("root", schema.root);
    fields.add("flags", names(schema.flags.iter_names()));
    fields.add("template", schema.template.clone());
    fields.add("long_values_root", schema.long_values.map(|tree| tree.root));
    fields.add("columns", schema.columns.iter().map(column).collect::<Vec<_>>());
    let indexes = schema.indexes.iter().map(|found| index(schema, found));
    fields.add("indexes", indexes.collect::<Vec<_>>());
    fields
}

fn column(column: &Column) -> Fields {
    let mut fields = Fields::new();
    fields.add("column", column.name.clone()).add("id", column.id.0);
    fields.add("type", column.column_type.name());
    if column.column_type.is_text() {
        fields.add("code_page", column.code_page);
    }
    fields.add("max_bytes", column.max_len).add("flags", names(column.flags.iter_names()));
    fields
}

fn index(schema: &TableSchema, index: &Index) -> Fields {
    let mut fields = Fields::new();
    fields.add("index", index.name.clone()).add("object", index.object_id).add("root", index.root);
    fields.add("flags", names(index.flags.iter_names()));
    let segment = |segment: &KeySegment| {
        let found = schema.columns.iter().find(|column| column.id == segment.column);
        let name = found.map_or_else(|| format!("column {}", segment.column.0), |column| column.name.clone());
        let order = if segment.flags.contains(SegmentFlags::DESCENDING) { '-' } else { '+' };
        format!("{order}{name}")
    };
    fields.add("key", index.key.iter().map(segment).collect::<Vec<_>>());
    fields
}

/// Names of flags in lower case, with blanks between.
fn names<T>(flags: impl Iterator<Item = (&'static str, T)>) -> String {
    flags.map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>().join(" ")
}
