//! The closing report.

use super::check::Checked;
use super::child::{Backup, Told};
use crate::fields::{Fields, Value};
use ese::maintain::deep::DeepReport;
use std::io::{self, Write};
use std::time::Duration;

/// What happened.
pub(super) struct Report {
    pub(super) written: Told,
    pub(super) writing: Duration,
    pub(super) full: Backup,
    pub(super) incremental: Backup,
    pub(super) backup_bytes: u64,
    pub(super) recovered: Proof,
    pub(super) restored: Proof,
    pub(super) total: Duration,
    pub(super) folder: Option<String>,
}

/// A database that was brought back, and what was found in it.
pub(super) struct Proof {
    /// How long that took.
    pub(super) time: Duration,
    pub(super) checked: Checked,
    /// Pages that the crash had leaked and maintenance gave back.
    pub(super) given_back: u64,
    pub(super) structure: DeepReport,
    /// What had to be there at least.
    pub(super) certain: u64,
}

impl Proof {
    pub(super) fn is_good(&self) -> bool {
        self.checked.problems.is_empty()
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

impl Report {
    /// Whether everything that was promised is so.
    pub(super) fn is_good(&self) -> bool {
        self.recovered.is_good() && self.restored.is_good()
    }

    /// For people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { written, full, incremental, recovered, restored, .. } = self;
        let rate = written.commits() as f64 / self.writing.as_secs_f64().max(0.001);
        let commits = thousands(written.commits());
        writeln!(out)?;
        writeln!(
            out,
            "Written     {commits} transactions in {}, each durable when acknowledged ({rate:.0} a second),",
            seconds(self.writing)
        )?;
        writeln!(
            out,
            "            by {} threads, which met {} times",
            written.committed.len(),
            thousands(written.conflicts)
        )?;
        if written.looks > 0 {
            let looks = thousands(written.looks);
            writeln!(out, "Read        {looks} snapshots meanwhile, each explained by the transfers in it")?;
        }
        for (name, backup) in [("full", full), ("incremental", incremental)] {
            let (time, meanwhile) = (seconds(backup.time), thousands(backup.meanwhile));
            writeln!(out, "Backed up   {name} in {time}; {meanwhile} transactions were committed meanwhile")?;
        }
        writeln!(out, "            {:.1} MB in all", self.backup_bytes as f64 / 1e6)?;
        writeln!(out, "Killed      in the middle of it")?;
        for (verb, proof) in [("Recovered  ", recovered), ("Restored   ", restored)] {
            let Proof { checked, structure, .. } = proof;
            writeln!(
                out,
                "{verb} in {}: {} transactions; {} were certain",
                seconds(proof.time),
                thousands(checked.transfers()),
                thousands(proof.certain)
            )?;
            writeln!(
                out,
                "            {} records, {} index entries, {:.1} MB of long values, {} pages of {} trees checked",
                thousands(checked.records),
                thousands(checked.entries),
                checked.long_bytes as f64 / 1e6,
                thousands(structure.pages),
                structure.trees
            )?;
            let pages = match proof.given_back {
                0 => "no page was".into(),
                1 => "1 page was".into(),
                pages => format!("{} pages were", thousands(pages)),
            };
            writeln!(out, "            {pages} taken and not yet used when the log ended, and given back")?;
            for problem in &checked.problems {
                writeln!(out, "            WRONG: {problem}")?;
            }
        }
        writeln!(out)?;
        let folder = self.folder.iter().map(|folder| format!(" Everything is in {folder}."));
        let folder: String = folder.collect();
        match self.is_good() {
            true => writeln!(
                out,
                "Both databases are consistent: no acknowledged transaction is lost, all sums are right.{folder} \
                 {} in all.",
                seconds(self.total)
            ),
            false => writeln!(out, "SOMETHING IS WRONG, see above.{folder}"),
        }
    }

    /// For programs.
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        fields.add("consistent", self.is_good());
        fields.add("committed", self.written.commits()).add("conflicts", self.written.conflicts);
        fields.add("snapshots", self.written.looks);
        fields.add("writing milliseconds", milliseconds(self.writing));
        for (name, backup) in [("full backup", &self.full), ("incremental backup", &self.incremental)] {
            let mut group = Fields::new();
            group.add("milliseconds", milliseconds(backup.time));
            group.add("committed before", backup.before.commits());
            group.add("committed meanwhile", backup.meanwhile);
            fields.add(name, Value::Group(group));
        }
        fields.add("backup bytes", self.backup_bytes);
        for (name, proof) in [("recovered", &self.recovered), ("restored", &self.restored)] {
            let mut group = Fields::new();
            let Proof { checked, structure, .. } = proof;
            group.add("milliseconds", milliseconds(proof.time)).add("certain", proof.certain);
            group.add("transactions", checked.transfers()).add("records", checked.records);
            group.add("index entries", checked.entries).add("long value bytes", checked.long_bytes);
            group.add("trees", structure.trees).add("pages", structure.pages);
            group.add("pages given back", proof.given_back);
            group.add("leaked pages", structure.leaked_pages());
            let problems = checked.problems.iter().cloned().map(Value::from).collect();
            group.add("problems", Value::List(problems));
            fields.add(name, Value::Group(group));
        }
        fields.add("milliseconds", milliseconds(self.total));
        fields.add("folder", self.folder.clone().map_or(Value::Absent, Value::from));
        fields
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(super::thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
