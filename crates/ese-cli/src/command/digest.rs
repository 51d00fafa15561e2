//! `ese digest`: one hash per table over its records in canonical form.

use crate::canonical::{self, Style};
use crate::exit::ExitCode;
use crate::offline::{self, Findings};
use crate::output::Output;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The arguments of `ese digest`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  ese digest SRUDB.dat --table SruDbIdMapTable")]
pub(crate) struct Args {
    /// The database file; it is only read, in whatever state it is.
    file: PathBuf,

    /// Only this table; may be given several times.
    #[arg(short, long)]
    table: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    table: String,
    record_count: u64,
    /// Over the canonical lines of all records that could be read.
    sha256: String,
    problems: u64,
}

/// Prints the number of records and the hash of each table.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    let database = offline::open(&args.file, &mut findings)?;
    let mut lines = Vec::new();
    for table in offline::tables(&database, &args.table, &mut findings)? {
        let Some(schema) = offline::schema(&database, &table, &mut findings) else { continue };
        let mut hash = Sha256::new();
        let written = canonical::write_table(&database, &schema, Style::Json, &mut hash, &mut |problem| {
            findings.problem(&problem);
        })?;
        let mut sha256 = String::new();
        for byte in hash.finalize() {
            write!(sha256, "{byte:02x}")?;
        }
        let (record_count, problems) = (written.rows, written.problems);
        lines.push(Line { table: table.name, record_count, sha256, problems });
    }
    out.result(&lines, |writer, lines| {
        for line in lines {
            writeln!(writer, "{} {:>8}  {}", line.sha256, line.record_count, line.table)?;
        }
        Ok(())
    })?;
    Ok(findings.finish(&database))
}
