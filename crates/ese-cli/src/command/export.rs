//! `ese export`: the records of tables as CSV or JSON lines.

use crate::canonical::{self, Style};
use crate::exit::ExitCode;
use crate::offline::{self, Findings};
use crate::output::Output;
use anyhow::{Context, bail};
use ese::offline::{OfflineDatabase, TableEntry};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// The arguments of `ese export`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  ese export --format jsonl --table MSysObjects ntds.dit\n  \
                             ese export --format csv --output srum SRUDB.dat")]
pub(crate) struct Args {
    /// The database file; it is only read, in whatever state it is.
    file: PathBuf,

    /// How records are written.
    #[arg(short, long, value_enum)]
    format: Format,

    /// Only this table; may be given several times.
    #[arg(short, long)]
    table: Vec<String>,

    /// Write one file per table into this folder; without it, one table goes to standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Comma-separated values with a line of column names.
    Csv,
    /// One JSON object per line, in the canonical form.
    Jsonl,
}

impl Format {
    const fn style(self) -> Style {
        match self {
            Self::Csv => Style::Csv,
            Self::Jsonl => Style::Json,
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Writes the records. What cannot be read is reported on standard error, the rest goes on.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    let database = offline::open(&args.file, &mut findings)?;
    let tables = offline::tables(&database, &args.table, &mut findings)?;
    match (&args.output, tables.as_slice()) {
        (None, [table]) => {
            let mut writer = out.writer();
            write(&database, table, args.format, &mut writer, &mut findings)?;
            writer.flush()?;
        }
        (None, _) => bail!("name one table with --table, or a folder for all of them with --output"),
        (Some(folder), tables) => {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let mut taken = HashSet::new();
            for table in tables {
                let path = folder.join(file_name(&table.name, args.format, &mut taken));
                let mut file =
                    File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
                write(&database, table, args.format, &mut file, &mut findings)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(findings.finish(&database))
}

fn write(
    database: &OfflineDatabase,
    table: &TableEntry,
    format: Format,
    sink: &mut dyn Write,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(schema) = offline::schema(database, table, findings) else { return Ok(()) };
    canonical::write_table(database, &schema, format.style(), sink, &mut |problem| {
        findings.problem(&problem);
    })?;
    Ok(())
}

/// A file name for a table: its name, but for characters that file systems refuse.
fn file_name(table: &str, format: Format, taken: &mut HashSet<String>) -> String {
    let safe: String = table
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let stem = if safe.trim_matches('.').is_empty() { "table".to_owned() } else { safe };
    let mut name = format!("{stem}.{}", format.extension());
    let mut number = 2;
    while !taken.insert(name.to_lowercase()) {
        name = format!("{stem} {number}.{}", format.extension());
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_unique() {
        let mut taken = HashSet::new();
        let mut name = |table| file_name(table, Format::Csv, &mut taken);
        assert_eq!(name("a/b\\c"), "a_b_c.csv");
        assert_eq!(name("A/B\\C"), "A_B_C 2.csv");
        assert_eq!(name(".."), "table.csv");
        assert_eq!(name("{GUID}"), "{GUID}.csv");
    }
}
