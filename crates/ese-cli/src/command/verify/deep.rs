//! Checks the structure of a database: trees, space, catalog, indexes, long values.

use super::database;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::progress;
use crate::source::Source;
use anyhow::Context;
use ese::maintain::deep::{DeepOptions, DeepReport, Finding, Leak, Severity, deep_check};
use ese::offline::OfflineDatabase;
use ese_format::database::Chosen;
use ese_vfs::{File, RealDisk};
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

/// Checks headers and pages, then the structure, and prints both.
pub(super) fn run(path: &Path, file: &dyn File, chosen: &Chosen, out: &Output) -> anyhow::Result<ExitCode> {
    let (fields, is_right, leaks) = check_open(path, file, chosen)?;
    let is_sound = is_right && !leaks;
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(if is_sound { ExitCode::Success } else { ExitCode::Findings })
}

/// The same of a restored database by its path: what was found, and whether it is right. Pages that somebody had
/// taken and not yet used when the log ended are no damage.
pub(super) fn check_restored(path: &Path) -> anyhow::Result<(Fields, bool)> {
    let (file, chosen) = Source::open_database(path)?;
    check_open(path, &*file, &chosen).map(|(fields, is_right, _)| (fields, is_right))
}

/// What was found, whether there are no errors, and whether there are leaks.
fn check_open(path: &Path, file: &dyn File, chosen: &Chosen) -> anyhow::Result<(Fields, bool, bool)> {
    let (mut fields, pages_sound) = database::check(path, file, chosen)?;
    let database = OfflineDatabase::open(&RealDisk::new(), path)
        .with_context(|| format!("opening {}", path.display()))?;
    let options = DeepOptions {
        threads: available_parallelism().map_or(1, usize::from),
        header: Some(chosen.header.clone()),
        ..DeepOptions::default()
    };
    let bar = progress::bar(0, "pages accounted for");
    let shown = bar.clone();
    let report = deep_check(
        Arc::new(database),
        &options,
        Arc::new(move |done, total| {
            shown.set_length(total);
            shown.set_position(done);
        }),
    );
    bar.finish_and_clear();
    fields.add("structure", structure(&report));
    Ok((fields, pages_sound && report.errors().next().is_none(), !report.leaks.is_empty()))
}

fn structure(report: &DeepReport) -> Value {
    let of = |severity: Severity| {
        let findings = report.findings.iter().filter(move |finding| finding.severity == severity);
        findings.map(finding).collect::<Vec<Fields>>()
    };
    let mut fields = Fields::new();
    fields.add("sound", report.is_sound());
    fields.add("trees", report.trees).add("pages in trees", report.pages);
    fields.add("records", report.records).add("index entries", report.index_entries);
    fields.add("entries flagged deleted", report.deleted);
    fields.add("errors", of(Severity::Error)).add("notes", of(Severity::Note));
    if report.unlisted > 0 {
        fields.add("findings not listed", report.unlisted);
    }
    fields.add("leaked pages", report.leaked_pages());
    fields.add("leaks", report.leaks.iter().map(leak).collect::<Vec<Fields>>());
    if !report.leaks.is_empty() {
        fields.add("leaks are certain", report.leaks_are_certain);
    }
    Value::Group(fields)
}

fn finding(finding: &Finding) -> Fields {
    let mut fields = Fields::new();
    fields.add("subject", finding.subject.name()).add("tree", finding.tree.clone());
    if let Some(page) = finding.page {
        fields.add("page", page);
    }
    if let Some(line) = finding.line {
        fields.add("line", line as u64);
    }
    fields.add("what", finding.what.clone());
    fields
}

/// Whose the pages are, and whose they were.
pub(crate) fn leak(leak: &Leak) -> Fields {
    let mut fields = Fields::new();
    fields.add("tree", leak.tree.clone()).add("object id", leak.object);
    fields.add("first", leak.extent.first()).add("pages", u64::from(leak.extent.pages));
    let lost = leak.lost_trees.iter().map(|tree| {
        let mut fields = Fields::new();
        fields.add("object id", tree.object).add("root", tree.root).add("pages", u64::from(tree.pages));
        fields
    });
    fields.add("lost trees", lost.collect::<Vec<Fields>>());
    fields
}
