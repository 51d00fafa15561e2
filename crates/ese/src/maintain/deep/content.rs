//! One tree after another: its pages, its space, and what it holds.

use super::Context;
use super::DeepReport;
use super::finding::{Findings, Subject};
use super::long_value::{self, LongValueCheck};
use super::records::{RecordCheck, RecordSums};
use super::schema::Kind;
use super::space::Account;
use super::sum::SetSum;
use super::walk::{TreeAt, Visit, Walked, walk};
use super::{index, schema::TreeInfo};
use ese_format::PageNumber;
use ese_format::tree::{Entry, PageRead};
use std::collections::HashSet;

/// What the check of one tree gave.
pub(super) struct Outcome {
    kind: Option<Kind>,
    pub(super) findings: Findings,
    walked: Walked,
    /// The tree and its space trees were followed to their ends.
    pub(super) complete: bool,
    /// Pages that the tree leads to although others own them.
    pub(super) foreign: HashSet<PageNumber>,
    sums: Sums,
}

impl Outcome {
    /// That of a tree that cannot be walked.
    fn nothing(kind: Option<Kind>, findings: Findings) -> Self {
        let walked = Walked { pages: 0, entries: 0, deleted: 0, complete: false };
        Self { kind, findings, walked, complete: false, foreign: HashSet::new(), sums: Sums::Nothing }
    }
}

/// What a tree amounts to, to be compared with other trees.
enum Sums {
    Nothing,
    Records(RecordSums),
    /// The keys and bookmarks of an index, or the references that long values count.
    Set(SetSum),
}

impl Outcome {
    pub(super) fn add_to(&self, report: &mut DeepReport) {
        report.trees += 1;
        report.pages += self.walked.pages;
        report.deleted += self.walked.deleted;
        match self.kind {
            Some(Kind::Table(_)) => report.records += self.walked.entries,
            Some(Kind::Index(..)) => report.index_entries += self.walked.entries,
            _ => {}
        }
    }
}

/// What looks at the entries of a tree.
enum Content<'a, P> {
    Database,
    Records(Box<RecordCheck<'a, P>>),
    Index(SetSum),
    LongValues(LongValueCheck),
}

struct Visitor<'a, P> {
    account: Account<'a, P>,
    content: Content<'a, P>,
}

impl<P: PageRead> Visit for Visitor<'_, P> {
    fn page(&mut self, page: PageNumber, findings: &mut Findings) -> bool {
        self.account.page(page, findings)
    }

    fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings) {
        match &mut self.content {
            Content::Database => {
                let text = "the root of the database has an entry";
                findings.error(Subject::Page, (entry.page, entry.line), text);
            }
            Content::Records(check) => check.entry(entry, findings),
            Content::Index(sum) => sum.add(entry.key, entry.data),
            Content::LongValues(check) => check.entry(entry, findings),
        }
    }
}

/// Checks the tree of that number.
pub(super) fn check_tree<P: PageRead>(context: &Context<P>, number: usize, limit: usize) -> Outcome {
    let Some(tree) = context.schema.trees.get(number) else {
        return Outcome::nothing(None, Findings::new("", limit));
    };
    let mut findings = Findings::new(tree.name.as_str(), limit);
    // What is wrong with a root was reported when its space was read.
    let fields = context.spaces.get(number).and_then(|space| space.fields);
    let (Some(fields), Some(content)) = (fields, content(context, tree)) else {
        return Outcome::nothing(Some(tree.kind), findings);
    };
    let mut visitor = Visitor { account: Account::new(context, number), content };
    let at = TreeAt { root: tree.root, object: tree.object, kind: tree.flags, newest: context.newest };
    let mut walked = walk(&*context.pages, at, &mut visitor, &mut findings);
    let Visitor { mut account, content } = visitor;
    let sums = match content {
        Content::Database => Sums::Nothing,
        Content::Index(sum) => Sums::Set(sum),
        Content::LongValues(mut check) => {
            check.finish(&mut findings);
            Sums::Set(check.references)
        }
        Content::Records(check) => {
            check_increment(tree, fields.auto_increment, &check.sums, &mut findings);
            Sums::Records(check.sums)
        }
    };
    let content_complete = walked.complete;
    let space = account.space(tree, &fields, &mut findings);
    walked.pages += space.pages;
    walked.deleted += space.deleted;
    let complete = content_complete && space.complete;
    Outcome { kind: Some(tree.kind), findings, walked, complete, foreign: account.foreign, sums }
}

fn content<'a, P: PageRead>(context: &'a Context<P>, tree: &TreeInfo) -> Option<Content<'a, P>> {
    let schema = &context.schema;
    Some(match tree.kind {
        Kind::Database => Content::Database,
        Kind::Table(table) => {
            let table = schema.tables.get(table)?;
            Content::Records(Box::new(RecordCheck::new(&*context.pages, schema, table)))
        }
        Kind::Index(..) => Content::Index(SetSum::default()),
        Kind::LongValues(table) => {
            let chunk_max = schema.tables.get(table)?.schema.chunk_max;
            Content::LongValues(LongValueCheck::new(context.pages.page_size(), chunk_max))
        }
    })
}

/// Numbers from the mark on are to be given out still, so no record can have one.
fn check_increment(tree: &TreeInfo, mark: Option<u64>, sums: &RecordSums, findings: &mut Findings) {
    if let (Some(mark), Some(highest)) = (mark, sums.highest)
        && highest >= mark
    {
        let text = format!("a record has number {highest}, and the mark says that {mark} comes next");
        findings.error(Subject::AutoIncrement, tree.root, text);
    }
}

/// Compares the trees of one table with each other.
pub(super) fn compare<P: PageRead>(
    context: &Context<P>,
    table: usize,
    outcomes: &[Outcome],
    limit: usize,
) -> Vec<Findings> {
    let schema = &context.schema;
    let mut all = Vec::new();
    let Some(table) = schema.tables.get(table) else { return all };
    let outcome = |tree: Option<usize>| tree.and_then(|tree| outcomes.get(tree));
    let info = |tree: Option<usize>| tree.and_then(|tree| schema.trees.get(tree));
    let (Some(records), Some(tree)) = (outcome(table.tree), info(table.tree)) else { return all };
    let Sums::Records(expected) = &records.sums else { return all };
    let records_at = (tree.root, tree.object);
    let mut skipped = |name: &str, subject: Subject| {
        let mut findings = Findings::new(name, limit);
        let text = "it was not compared with the records: one of the trees is damaged";
        findings.note(subject, (), text);
        all.push(findings);
    };

    let mut differing = Vec::new();
    for (number, index) in table.indexes.iter().enumerate() {
        let (Some(entries), Some(sum)) = (outcome(index.tree), expected.indexes.get(number)) else {
            continue;
        };
        match &entries.sums {
            _ if index.definition.is_err() => {}
            Sums::Set(found) if entries.walked.complete && records.walked.complete => {
                if found != sum {
                    differing.push((number, index.name.as_str()));
                }
            }
            _ => skipped(&index.name, Subject::Index),
        }
    }
    let mut references = None;
    match (outcome(table.long_values), info(table.long_values)) {
        (Some(values), Some(values_tree)) => match &values.sums {
            Sums::Set(found) if values.walked.complete && records.walked.complete => {
                references = (*found != expected.references).then_some(values_tree);
            }
            _ => skipped(&values_tree.name, Subject::LongValue),
        },
        _ if expected.references.count > 0 && table.schema.long_values.is_none() => {
            let mut findings = Findings::new(tree.name.as_str(), limit);
            let text = format!(
                "records refer to long values {} times, and the table has no tree of long values",
                expected.references.count
            );
            findings.error(Subject::LongValue, (), text);
            all.push(findings);
        }
        _ => {}
    }
    for (number, name) in differing {
        let mut findings = Findings::new(name, limit);
        index::compare(&*context.pages, schema, table, number, &mut findings);
        all.push(findings);
    }
    if let Some(values_tree) = references {
        let mut findings = Findings::new(values_tree.name.as_str(), limit);
        let values_at = (values_tree.root, values_tree.object);
        long_value::compare(&*context.pages, values_at, records_at, &mut findings);
        all.push(findings);
    }
    all
}
