//! The acceptance checklist of backup and restore: which statement is held by which test.
//!
//! A test of the checklist is named after its number, `bx_012_...`, and its comment says what it holds. What
//! cannot hold here stands with its reason in the table `backup_reasons`. `docs/backup-conformance.md` is made of
//! both, and a test checks that no number is missing.

use crate::generate::Row;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page.
pub(crate) const PAGE: &str = "docs/backup-conformance.md";

/// The result of a test that has passed. The committed page has it everywhere: a full run of the tests that does not
/// agree fails.
pub(crate) const HOLDS: &str = "holds";

/// What names of tests begin with.
const PREFIX: &str = "bx_";

/// The numbers of the checklist.
pub(crate) fn numbers() -> Vec<String> {
    let mut numbers: Vec<String> = (1..=238).map(|number| format!("{number:03}")).collect();
    numbers.push("144a".to_owned());
    numbers.sort();
    numbers
}

/// What holds a statement, or why nothing does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// A test, by file and function.
    By { file: String, test: String },
    /// The reason.
    Not(String),
}

/// A statement by its number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) held: Held,
}

/// The checklist as the sources and the table of reasons have it.
pub(crate) fn checklist(workspace: &Path, reasons: &[Row]) -> Result<BTreeMap<String, Statement>> {
    let mut found = BTreeMap::new();
    for folder in ["crates/ese/tests", "crates/esent/tests"] {
        for path in sources(&workspace.join(folder))? {
            let source =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
            for Test { name: test, comment: text } in test_functions(&source) {
                let Some(number) = number_of(&test) else { continue };
                if text.is_empty() {
                    bail!("{test} in {file} does not say what it holds");
                }
                let held = Held::By { file: file.clone(), test };
                if found.insert(number.clone(), Statement { text, held }).is_some() {
                    bail!("there are two tests of BX-{number}");
                }
            }
        }
    }
    for row in reasons {
        let held = Held::Not(row.get("reason").to_owned());
        let statement = Statement { text: row.get("statement").to_owned(), held };
        if found.insert(row.get("number").to_owned(), statement).is_some() {
            bail!("BX-{} has a test and a reason to have none", row.get("number"));
        }
    }
    Ok(found)
}

/// All source files below a folder, in order.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            sources.append(&mut self::sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

/// A test function that `cargo test` runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) name: String,
    /// What the comment says, as one line.
    pub(crate) comment: String,
}

/// The tests in a source file, without those that are ignored.
pub(crate) fn test_functions(source: &str) -> Vec<Test> {
    let mut found = Vec::new();
    let (mut comment, mut is_test, mut is_ignored) = (String::new(), false, false);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            let gap = if comment.is_empty() { "" } else { " " };
            comment = format!("{comment}{gap}{}", text.trim());
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]";
            is_ignored |= line.starts_with("#[ignore");
        } else {
            if let Some(name) = line.strip_prefix("fn ").and_then(|line| line.split('(').next())
                && is_test
                && !is_ignored
            {
                found.push(Test { name: name.to_owned(), comment: std::mem::take(&mut comment) });
            }
            comment.clear();
            (is_test, is_ignored) = (false, false);
        }
    }
    found
}

/// The number in the name of a test.
pub(crate) fn number_of(name: &str) -> Option<String> {
    let number = name.strip_prefix(PREFIX)?.split('_').next()?;
    let is_number = number.len() >= 3 && number.bytes().take(3).all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.to_owned())
}

/// How many statements are tested and how many have a reason.
pub(crate) fn counts(checklist: &BTreeMap<String, Statement>) -> (usize, usize) {
    let tested = checklist.values().filter(|statement| matches!(statement.held, Held::By { .. })).count();
    (tested, checklist.len() - tested)
}

/// The tests that hold the statements.
pub(crate) fn tests(checklist: &BTreeMap<String, Statement>) -> impl Iterator<Item = &str> {
    checklist.values().filter_map(|statement| match &statement.held {
        Held::By { test, .. } => Some(test.as_str()),
        Held::Not(_) => None,
    })
}

/// The page; every number must be there. `result` says what has become of a test.
pub(crate) fn page(
    checklist: &BTreeMap<String, Statement>,
    result: impl Fn(&str) -> &'static str,
) -> Result<String> {
    let numbers = numbers();
    let missing: Vec<_> = numbers.iter().filter(|number| !checklist.contains_key(*number)).collect();
    if !missing.is_empty() {
        bail!("neither a test nor a reason: BX-{missing:?}");
    }
    if let Some(unknown) = checklist.keys().find(|number| !numbers.contains(number)) {
        bail!("the checklist has no BX-{unknown}");
    }
    let (tested, reasoned) = counts(checklist);
    let mut page = format!(
        "<!-- Made by `cargo xtask generate` from the tests named bx_... and crates/xtask/tables/backup_reasons.csv. -->\n\
         # Conformance of backup and restore\n\n\
         The acceptance checklist of backup, restore, snapshots and surrogate backups: {} statements, {tested} of\n\
         them held by a test each, {reasoned} with the reason why they cannot hold here. A full run of\n\
         `cargo xtask test` holds this page against the tests that have passed: it fails when one named here has\n\
         not, and writes the page with what has become of each test in that run to `target/backup-conformance.md`.\n\n\
         | number | statement | test | result |\n| --- | --- | --- | --- |\n",
        numbers.len()
    );
    for (number, statement) in checklist {
        let text = statement.text.replace('|', "\\|");
        let (test, result) = match &statement.held {
            Held::By { file, test } => (format!("`{test}` ([source](../{file}))"), result(test).to_owned()),
            Held::Not(reason) => ("none".to_owned(), format!("cannot hold: {}", reason.replace('|', "\\|"))),
        };
        let _ = writeln!(page, "| BX-{number} | {text} | {test} | {result} |");
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_with_their_comments() {
        let source = "/// One\n/// statement.\n#[test]\nfn bx_007_short() {\n}\n/// No test.\nfn bx_008_x() {}\n\n\
                      #[test]\nfn bx_144a_y() {\n    fn bx_009_inner() {}\n}\n#[test]\nfn other() {}\n";
        let expected = [("bx_007_short", "One statement."), ("bx_144a_y", ""), ("other", "")];
        let expected = expected.map(|(name, text)| Test { name: name.to_owned(), comment: text.to_owned() });
        assert_eq!(test_functions(source), expected);
        assert_eq!(test_functions("#[test]\n#[ignore = \"long\"]\nfn a() {}\n"), []);
        assert_eq!(number_of("bx_144a_y").as_deref(), Some("144a"));
    }

    #[test]
    fn a_number_without_test_and_reason_is_an_error() {
        let statement = |n: &String| {
            let held = Held::By { file: "f.rs".to_owned(), test: format!("bx_{n}_t") };
            (n.clone(), Statement { text: "It | holds.".to_owned(), held })
        };
        let mut all: BTreeMap<_, _> = numbers().iter().map(statement).collect();
        assert!(
            page(&all, |test| if test == "bx_144a_t" { "holds" } else { "failed" })
                .unwrap()
                .contains("| BX-144a | It \\| holds. | `bx_144a_t` ([source](../f.rs)) | holds |")
        );
        assert_eq!(counts(&all), (239, 0));
        all.remove("100");
        assert!(page(&all, |_| "holds").unwrap_err().to_string().contains("100"));
    }
}
