//! The return codes of backup, restore and snapshots: which test provokes which.
//!
//! The table `backup_functions` has the codes that the documentation lists for each function, the table
//! `backup_codes` the tests for each of them, or the reason why it cannot arise. `docs/backup-codes.md` is made of
//! both. No documented code may be missing, and each test that is named must exist, run, and name the code.

use crate::conformance::{sources, test_functions};
use crate::generate::Row;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// The page.
pub(crate) const PAGE: &str = "docs/backup-codes.md";

/// What a page says before its tables.
const INTRODUCTION: &str = "\
<!-- Made by `cargo xtask generate` from the tables backup_functions.csv and backup_codes.csv in crates/xtask/tables. -->
# Return codes of backup, restore and snapshots

Each return code that the documentation lists for a function of this family, and the test that provokes it, or why it
cannot arise. Below the line in a table are codes that the documentation does not list and that the engine returns
nevertheless. JET_errRunningInMultiInstanceMode is of the form without an instance; the forms with one return
JET_errInvalidParameter for a handle that is no instance.

Tests are named by crate, file and function; `c/...` are the C programs in `crates/esent/tests` that they run. Those
named `bx_...` are of the checklist in [backup-conformance.md](backup-conformance.md). `cargo xtask generate` fails when a
documented code is missing here, or a test is named that does not exist, is not run, or does not have the code in its
source; a full `cargo xtask test` fails when one of these tests has not passed.
";

/// A test: `crate/file::function`, or `crate/file::function@program.c` for one that runs a C program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    file: String,
    pub(crate) test: String,
    program: Option<String>,
}

impl Reference {
    fn parse(text: &str) -> Result<Self> {
        let (file, test) = text.split_once("::").with_context(|| format!("{text} is no crate/file::test"))?;
        let (test, program) = match test.split_once('@') {
            Some((test, program)) => (test, Some(program.to_owned())),
            None => (test, None),
        };
        Ok(Self { file: file.to_owned(), test: test.to_owned(), program })
    }

    /// The path of its file below the workspace.
    fn path(&self) -> Result<String> {
        let (name, rest) =
            self.file.split_once('/').with_context(|| format!("{} names no crate", self.file))?;
        let folder = if rest.starts_with("src/") { "" } else { "tests/" };
        Ok(format!("crates/{name}/{folder}{rest}.rs"))
    }
}

/// What is known of one code of some functions.
#[derive(Debug)]
struct Entry {
    code: String,
    tests: Vec<Reference>,
    note: String,
}

/// Functions with the same codes.
#[derive(Debug)]
struct Section {
    functions: String,
    documented: Vec<String>,
    entries: Vec<Entry>,
}

/// All codes, as the tables have them.
#[derive(Debug)]
pub(crate) struct Codes(Vec<Section>);

impl Codes {
    /// Puts the tables together.
    pub(crate) fn read(functions: &[Row], codes: &[Row], errors: &[Row]) -> Result<Self> {
        let known: BTreeSet<&str> = errors.iter().map(|row| row.get("name")).collect();
        let mut sections: Vec<Section> = Vec::new();
        for row in functions {
            let documented = row.get("documented").split_whitespace().map(str::to_owned).collect();
            let functions = row.get("functions").to_owned();
            sections.push(Section { functions, documented, entries: Vec::new() });
        }
        for row in codes {
            let (name, code) = (row.get("functions"), row.get("code"));
            ensure!(known.contains(code), "{code} is no code");
            let section = sections
                .iter_mut()
                .find(|section| section.functions.split(", ").next() == Some(name))
                .with_context(|| format!("no functions begin with {name}"))?;
            ensure!(
                section.entries.iter().all(|entry| entry.code != code),
                "{code} is there twice for {name}"
            );
            let tests =
                row.get("tests").split_whitespace().map(Reference::parse).collect::<Result<Vec<_>>>()?;
            let note = row.get("note").to_owned();
            ensure!(!tests.is_empty() || !note.is_empty(), "{code} of {name} has neither test nor reason");
            section.entries.push(Entry { code: code.to_owned(), tests, note });
        }
        for section in &sections {
            let has = |code: &&String| section.entries.iter().any(|entry| entry.code == **code);
            let missing: Vec<_> = section.documented.iter().filter(|code| !has(code)).collect();
            ensure!(
                missing.is_empty(),
                "{} may return {missing:?}, and nothing is said of it",
                section.functions
            );
        }
        Ok(Self(sections))
    }

    /// The tests that are named.
    pub(crate) fn tests(&self) -> BTreeSet<&str> {
        self.entries().flat_map(|(_, entry)| &entry.tests).map(|reference| reference.test.as_str()).collect()
    }

    fn entries(&self) -> impl Iterator<Item = (&Section, &Entry)> {
        self.0.iter().flat_map(|section| section.entries.iter().map(move |entry| (section, entry)))
    }

    /// Holds every reference against the sources.
    pub(crate) fn check(&self, workspace: &Path) -> Result<()> {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut files: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for folder in ["crates/ese", "crates/esent", "crates/ese-cli"] {
            for part in ["tests", "src"] {
                for path in sources(&workspace.join(folder).join(part))? {
                    let source = std::fs::read_to_string(&path)?;
                    let tests: Vec<String> =
                        test_functions(&source).into_iter().map(|test| test.name).collect();
                    tests.iter().for_each(|test| *names.entry(test.clone()).or_default() += 1);
                    let path = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
                    files.insert(path, (source, tests));
                }
            }
        }
        for (section, entry) in self.entries() {
            for reference in &entry.tests {
                let Reference { file, test, program } = reference;
                let of = || format!("{} of {}: {file}::{test}", entry.code, section.functions);
                let (source, tests) =
                    files.get(&reference.path()?).with_context(|| format!("{}: no such file", of()))?;
                ensure!(tests.contains(test), "{}: no such test that runs", of());
                ensure!(names.get(test) == Some(&1), "{}: another test has the same name", of());
                let program = match program {
                    Some(program) => {
                        let stem = program.strip_suffix(".c").unwrap_or(program);
                        ensure!(source.contains(&format!("\"{stem}\"")), "{}: {program} is not run", of());
                        let path = workspace.join("crates/esent/tests/c").join(program);
                        Some(std::fs::read_to_string(&path).with_context(|| path.display().to_string())?)
                    }
                    None => None,
                };
                if !is_named(&entry.code, program.as_deref().unwrap_or(source)) {
                    bail!("{}: the source does not have the code", of());
                }
            }
        }
        Ok(())
    }

    /// The page.
    pub(crate) fn page(&self) -> String {
        let mut page = INTRODUCTION.to_owned();
        for section in &self.0 {
            let _ = write!(page, "\n## {}\n\n| code | test or reason |\n| --- | --- |\n", section.functions);
            let is_documented = |entry: &&Entry| section.documented.contains(&entry.code);
            let (listed, others): (Vec<_>, Vec<_>) = section.entries.iter().partition(is_documented);
            listed.iter().for_each(|entry| entry.write(&mut page));
            if !others.is_empty() {
                page.push_str("| | |\n");
            }
            others.iter().for_each(|entry| entry.write(&mut page));
        }
        page
    }
}

impl Entry {
    fn write(&self, page: &mut String) {
        let mut text = String::new();
        let mut before: Option<&Reference> = None;
        for reference in &self.tests {
            let is_same =
                |other: &Reference| other.file == reference.file && other.program == reference.program;
            if before.is_some_and(is_same) {
                let _ = write!(text, ", {}", reference.test);
            } else {
                let gap = if text.is_empty() { "" } else { "; " };
                let _ = write!(text, "{gap}`{}`", reference.file);
                if let Some(program) = &reference.program {
                    let _ = write!(text, " (`c/{program}`)");
                }
                let _ = write!(text, ": {}", reference.test);
            }
            before = Some(reference);
        }
        if !self.note.is_empty() {
            let gap = if text.is_empty() { "" } else { ". " };
            let _ = write!(text, "{gap}{}", self.note.replace('|', "\\|"));
        }
        let _ = writeln!(page, "| {} | {text} |", self.code);
    }
}

/// Whether a source has a code, by either of its names. Success stands in no source.
fn is_named(code: &str, source: &str) -> bool {
    if code == "JET_errSuccess" {
        return true;
    }
    let short = code.trim_start_matches("JET_wrn").trim_start_matches("JET_err").trim_start_matches("err");
    let warning = if code.starts_with("JET_wrn") { "Wrn" } else { "" };
    let names = [code.to_owned(), format!("JetErr::{warning}{short}")];
    names.iter().any(|name| {
        source.match_indices(name.as_str()).any(|(at, _)| {
            let next = source[at + name.len()..].chars().next();
            !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::parse_table;

    fn table(text: &str) -> Vec<Row> {
        parse_table(csv::Reader::from_reader(text.as_bytes())).unwrap()
    }

    fn read(codes: &str) -> Result<Codes> {
        let functions =
            table("functions,documented\n\"JetA, JetAInstance\",JET_errSuccess JET_errNoBackup\n");
        let errors = table("name\nJET_errSuccess\nJET_errNoBackup\nJET_errDiskIO\n");
        Codes::read(&functions, &table(&format!("functions,code,tests,note\n{codes}")), &errors)
    }

    #[test]
    fn every_documented_code_is_spoken_of_once() {
        let good =
            "JetA,JET_errSuccess,ese/a::b ese/a::c esent/d::e@f.c,\nJetA,JET_errNoBackup,,cannot arise: no\n";
        let codes = read(&format!("{good}JetA,JET_errDiskIO,ese/a::b,when it fails\n")).unwrap();
        assert_eq!(codes.tests().into_iter().collect::<Vec<_>>(), ["b", "c", "e"]);
        let page = codes.page();
        assert!(page.ends_with(
            "## JetA, JetAInstance\n\n| code | test or reason |\n| --- | --- |\n\
             | JET_errSuccess | `ese/a`: b, c; `esent/d` (`c/f.c`): e |\n\
             | JET_errNoBackup | cannot arise: no |\n| | |\n\
             | JET_errDiskIO | `ese/a`: b. when it fails |\n"
        ));
        assert!(read("JetA,JET_errSuccess,ese/a::b,\n").unwrap_err().to_string().contains("NoBackup"));
        for bad in [
            "JetA,JET_errNoBackup,ese/a::b,\n",
            "JetA,JET_errDiskIO,,\n",
            "JetB,JET_errDiskIO,ese/a::b,\n",
            "JetA,JET_errUnheardOf,ese/a::b,\n",
            "JetA,JET_errDiskIO,a,\n",
        ] {
            assert!(read(&format!("{good}{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_is_found_by_its_whole_name() {
        assert!(is_named("JET_errLogFileSizeMismatch", "x(JetErr::LogFileSizeMismatch)"));
        assert!(!is_named("JET_errLogFileSizeMismatch", "x(JetErr::LogFileSizeMismatchDatabasesConsistent)"));
        assert!(is_named("JET_wrnNyi", "JetErr::WrnNyi;") && is_named("JET_wrnNyi", "EXPECT(JET_wrnNyi, 1)"));
        assert!(!is_named("JET_wrnNyi", "JetErr::Nyi"));
    }

    #[test]
    fn references_are_held_against_the_sources() {
        let check = |reference: &str| {
            let codes = format!("JetA,JET_errSuccess,{reference},\nJetA,JET_errNoBackup,,no\n");
            read(&codes).unwrap().check(crate::workspace::root())
        };
        check("ese/backup_codes::the_gates_codes_for_every_function").unwrap();
        check("esent/backup::backups_and_restores@backup.c").unwrap();
        for bad in [
            "ese/backup_codes::no_such_test",
            "ese/no_such_file::a",
            "esent/backup::backups_and_restores@no_such.c",
            "esent/backup::backups_and_restores@layout.c",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let codes =
            "JetA,JET_errSuccess,,x\nJetA,JET_errNoBackup,ese/bx/service::bx_159_a_stop_without_a_backup,\n";
        let refused = read(codes).unwrap().check(crate::workspace::root()).unwrap_err();
        assert!(refused.to_string().contains("does not have the code"), "{refused}");
    }
}
