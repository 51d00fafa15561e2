//! What the commands share that read a database file as it stands.

use crate::canonical::Problem;
use crate::exit::ExitCode;
use anyhow::bail;
use ese::offline::{OfflineDatabase, TableEntry};
use ese_format::catalog::TableSchema;
use ese_format::database::HeaderCopy;
use ese_vfs::RealDisk;
use std::path::Path;

/// After so many messages on standard error the rest is only counted.
const MESSAGES: u64 = 100;

/// Tells people what could not be read, and counts it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    count: u64,
}

impl Findings {
    /// Reports one.
    pub(crate) fn add(&mut self, what: &dyn std::fmt::Display) {
        self.count += 1;
        if self.count <= MESSAGES {
            eprintln!("ese: {what}");
        }
    }

    /// Reports a value, row or page of a table.
    pub(crate) fn problem(&mut self, problem: &Problem) {
        self.add(problem);
    }

    /// Sums up, and says what the exit status is.
    pub(crate) fn finish(self, database: &OfflineDatabase) -> ExitCode {
        let (corrected, _) = database.corrections();
        if corrected > 0 {
            eprintln!("ese: corrected a wrong bit in {corrected} page reads; the file is unchanged");
        }
        if self.count > MESSAGES {
            eprintln!("ese: {} more problems", self.count - MESSAGES);
        }
        if self.count > 0 { ExitCode::Findings } else { ExitCode::Success }
    }
}

/// Opens a database and says on standard error what is special about it.
pub(crate) fn open(path: &Path, findings: &mut Findings) -> anyhow::Result<OfflineDatabase> {
    let database = OfflineDatabase::open(&RealDisk::new(), path)?;
    if database.header_copy() == HeaderCopy::Shadow {
        findings.add(&"the header is damaged, its shadow copy is used");
    }
    if !database.header().is_clean() {
        eprintln!(
            "ese: the database was not shut down cleanly: its pages are read as they stand, without logs"
        );
    }
    Ok(database)
}

/// The tables with these names, letters in any case; all when none are named.
pub(crate) fn tables(
    database: &OfflineDatabase,
    names: &[String],
    findings: &mut Findings,
) -> anyhow::Result<Vec<TableEntry>> {
    let all = database.tables(&mut |error| findings.add(&error))?;
    if names.is_empty() {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in names {
        match all.iter().find(|table| table.name.eq_ignore_ascii_case(name)) {
            Some(table) => chosen.push(table.clone()),
            None => bail!("there is no table {name} in {}", database.path().display()),
        }
    }
    Ok(chosen)
}

/// The schema of a table, or nothing but a report.
pub(crate) fn schema(
    database: &OfflineDatabase,
    table: &TableEntry,
    findings: &mut Findings,
) -> Option<TableSchema> {
    match database.schema(table, &mut |error| findings.add(&error)) {
        Ok(schema) => Some(schema),
        Err(error) => {
            findings.add(&format_args!("table {}: {error}", table.name));
            None
        }
    }
}
