//! `cargo xtask test`: all tests, and one closing line that says what ran and what did not.

use crate::{conformance, generate, python::Python, workspace};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};

/// What a test prints (to standard output or standard error) when it cannot run here.
const SKIPPED: &str = "openese: skipped:";

/// The arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for `cargo test` in place of `--workspace`, for example `-p ese-format`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<String>,
}

/// Runs the tests. Fails when one fails, when none ran, and, under `CI=true`, when one was skipped.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let python = Python::prepare()?;
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "--no-fail-fast"]);
    let is_full = args.cargo.is_empty();
    if is_full {
        command.arg("--workspace");
    }
    // Passing tests keep their output to themselves unless told otherwise; skips are in there.
    command.args(args.cargo).args(["--", "--show-output"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    python.lend(&mut command);

    let mut cargo = command.spawn().context("running cargo test")?;
    let stderr = cargo.stderr.take().context("cargo has no standard error")?;
    let stdout = cargo.stdout.take().context("cargo has no standard output")?;
    let progress = std::thread::spawn(move || read(stderr, |line| eprintln!("{line}")));
    let mut summary = read(stdout, |line| println!("{line}"))?;
    summary.add(&progress.join().unwrap_or_else(|_| Err(anyhow::anyhow!("reading cargo's errors")))?);
    let status = cargo.wait().context("waiting for cargo test")?;

    let Summary { failed, skipped, .. } = summary;
    let passed = summary.passed.saturating_sub(summary.said_skipped);
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    let missing = hold_against_pages(&summary)?;
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if ci && summary.said_skipped > 0 {
        eprintln!("xtask: under CI=true no test may be skipped");
        return Ok(ExitCode::FAILURE);
    }
    if is_full && !missing.is_empty() {
        eprintln!("xtask: the pages of docs/ name tests that have not passed: {}", missing.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    let good = status.success() && failed == 0 && passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how the run stands to what is written of backup and restore, and writes the checklist with its results.
/// Returns the tests that are named there and have not passed; one that said that it could not run counts as skipped.
fn hold_against_pages(summary: &Summary) -> Result<Vec<String>> {
    let (checklist, codes) = (generate::checklist()?, generate::backup_codes()?);
    let results = conformance::page(&checklist, |test| summary.result(test))?;
    let path = workspace::target().join("backup-conformance.md");
    std::fs::write(&path, results).with_context(|| format!("writing {}", path.display()))?;
    let (tested, reasoned) = conformance::counts(&checklist);
    let passed = |test: &&str| summary.result(test) == conformance::HOLDS;
    println!(
        "BX: {tested} of {} statements tested, {} passed here, {reasoned} with reasons",
        conformance::numbers().len(),
        conformance::tests(&checklist).filter(passed).count()
    );
    let of_codes = codes.tests();
    println!(
        "Return codes: {} tests, {} passed here",
        of_codes.len(),
        of_codes.iter().filter(|t| passed(t)).count()
    );
    let named: BTreeSet<&str> = conformance::tests(&checklist).chain(of_codes).collect();
    let missing = named.into_iter().filter(|test| matches!(summary.result(test), "failed" | "did not run"));
    Ok(missing.map(str::to_owned).collect())
}

/// What the lines of a test run add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    /// As libtest counts: a test that returned early because something is missing is among them.
    passed: u64,
    failed: u64,
    /// Ignored tests and those that said that they could not run.
    skipped: u64,
    said_skipped: u64,
    /// The names of those that passed, of those that failed, and of those that said that they could not run.
    passed_tests: BTreeSet<String>,
    failed_tests: BTreeSet<String>,
    skipped_tests: BTreeSet<String>,
    /// Inside the list of what passing tests printed.
    in_successes: bool,
}

impl Summary {
    /// Takes one line in; says whether people want to see it.
    fn take(&mut self, line: &str) -> bool {
        // A test's output may follow its name on one line when tests share the terminal.
        if line.contains(SKIPPED) {
            self.skipped += 1;
            self.said_skipped += 1;
            let said = line.split(SKIPPED).nth(1).unwrap_or_default();
            self.skipped_tests.extend(said.split(':').next().map(|name| last_part(name.trim()).to_owned()));
            return true;
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
            return true;
        }
        if let Some(test) = line.strip_prefix("test ") {
            let name = |test| last_part(test).to_owned();
            self.passed_tests.extend(test.strip_suffix(" ... ok").map(name));
            self.failed_tests.extend(test.strip_suffix(" ... FAILED").map(name));
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        !self.in_successes
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.said_skipped += other.said_skipped;
        self.passed_tests.extend(other.passed_tests.iter().cloned());
        self.failed_tests.extend(other.failed_tests.iter().cloned());
        self.skipped_tests.extend(other.skipped_tests.iter().cloned());
    }

    /// What has become of a test.
    fn result(&self, test: &str) -> &'static str {
        match () {
            () if self.failed_tests.contains(test) => "failed",
            () if self.skipped_tests.contains(test) => "skipped",
            () if self.passed_tests.contains(test) => conformance::HOLDS,
            () => "did not run",
        }
    }
}

/// The name of a test without its modules.
fn last_part(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}

/// The number before `word` in `ok. 12 passed; 0 failed; ...`.
fn count(counts: &str, word: &str) -> u64 {
    let before = counts.split(word).next().unwrap_or_default();
    before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn read(stream: impl Read, show: impl Fn(&str)) -> Result<Summary> {
    let mut summary = Summary::default();
    for line in BufReader::new(stream).split(b'\n') {
        let line = line.context("reading what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        if summary.take(&line) {
            show(&line);
        }
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_run_adds_up() {
        let run = "\
running 3 tests
test chapter::bx_007_a ... ok
test b ... ok
test c ... ignored

successes:

---- a stdout ----
noise
openese: skipped: b: no samples

successes:
    a
    b

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test d ... FAILED

failures:
    d

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let shown = std::cell::RefCell::new(Vec::new());
        let summary = read(run.as_bytes(), |line| shown.borrow_mut().push(line.to_owned())).unwrap();
        assert_eq!((summary.passed, summary.failed, summary.skipped), (2, 1, 2));
        assert_eq!(summary.said_skipped, 1);
        let results = ["bx_007_a", "b", "c", "d"].map(|test| summary.result(test));
        assert_eq!(results, ["holds", "skipped", "did not run", "failed"]);
        let shown = shown.into_inner();
        assert!(!shown.iter().any(|line| line == "noise"));
        assert!(shown.iter().any(|line| line == "test d ... FAILED"));
    }
}
