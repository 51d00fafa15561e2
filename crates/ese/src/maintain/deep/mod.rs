//! The structure check: whether a database contradicts itself anywhere.
//!
//! Every page that a tree leads to is read once: its accounts, the order of its entries, its links to its
//! siblings, the separators above it. Every page of the file must be owned by exactly one tree and be used
//! for exactly one thing; what is owned and not used is a leak. The catalog must agree with the trees and
//! its shadow, records with their keys, indexes with records both ways, long values with the references to
//! them. The file is read as it stands: a database in dirty state may show what its logs would mend.
//!
//! Memory is four bytes for each page and the schema; whether an index and its table agree is told by sums
//! of hashes, and only where they differ a second pass looks for the culprits, entry by entry.
//!
//! Rules: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/bt.cxx, space.cxx, lv.cxx, cat.cxx.

mod catalog;
mod content;
mod finding;
mod index;
mod long_value;
mod lookup;
mod lost;
mod pages;
mod pool;
mod records;
mod schema;
mod space;
mod sum;
#[cfg(test)]
mod tests;
mod walk;

pub use finding::{Finding, Leak, LostTree, Severity, Subject};

use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use ese_format::database::DatabaseHeader;
use ese_format::space::Extent;
use ese_format::tree::PageRead;
use ese_format::{DbTime, ObjectId, PageNumber};
use finding::Findings;
use pages::PageMap;
use schema::Schema;
use space::TreeSpace;
use std::collections::HashSet;

/// What to check and how.
#[derive(Debug, Clone)]
pub struct DeepOptions {
    /// How many threads check trees at the same time; at least one.
    pub threads: usize,
    /// So many errors and so many notes of each tree are listed; the rest is counted.
    pub listed_per_tree: usize,
    /// The database's header. With it object ids are compared with the highest that was given out and, in a
    /// database that was closed properly, the times of pages with that of the last change.
    pub header: Option<DatabaseHeader>,
}

impl Default for DeepOptions {
    fn default() -> Self {
        Self { threads: 1, listed_per_tree: 100, header: None }
    }
}

/// What is told while the check runs: how many of the owned pages are accounted for, and how many there are.
pub type DeepProgress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeepReport {
    /// Trees: the database's own, tables, indexes, trees of long values.
    pub trees: u64,
    /// Pages that trees lead to, those of extents included.
    pub pages: u64,
    /// Records of all tables, the catalog's among them.
    pub records: u64,
    /// Entries of secondary indexes.
    pub index_entries: u64,
    /// Entries that are flagged deleted and wait for cleanup.
    pub deleted: u64,
    /// What was found, first of the catalog, then of each tree in turn.
    pub findings: Vec<Finding>,
    /// Findings that were only counted.
    pub unlisted: u64,
    /// Pages that a tree owns and that are neither reachable nor available, in page order.
    pub leaks: Vec<Leak>,
    /// Every tree could be followed to its end and no page is claimed wrongly. Otherwise what is listed as
    /// leaks may be in use.
    pub leaks_are_certain: bool,
}

impl DeepReport {
    /// Whether nothing is wrong: there are at most notes, and no leaks.
    pub fn is_sound(&self) -> bool {
        self.leaks.is_empty() && self.errors().next().is_none()
    }

    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// How many pages leaked.
    pub fn leaked_pages(&self) -> u64 {
        self.leaks.iter().map(|leak| u64::from(leak.extent.pages)).sum()
    }
}

/// What all tasks share.
struct Context<P> {
    pages: Arc<P>,
    schema: Schema,
    map: PageMap,
    spaces: Vec<TreeSpace>,
    newest: Option<DbTime>,
    done: AtomicU64,
    total: u64,
    progress: DeepProgress,
}

/// So many pages pass between two reports of progress.
const PROGRESS_STEP: u64 = 32;

impl<P> Context<P> {
    /// So many more pages are accounted for.
    fn count(&self, pages: u64) {
        let before = self.done.fetch_add(pages, Ordering::Relaxed);
        if before / PROGRESS_STEP != (before + pages) / PROGRESS_STEP {
            (self.progress)(before + pages, self.total);
        }
    }
}

/// Checks a whole database. Nothing that the pages hold makes it fail: whatever is wrong is in the report.
pub fn deep_check<P>(pages: Arc<P>, options: &DeepOptions, progress: DeepProgress) -> DeepReport
where
    P: PageRead + Send + Sync + 'static,
{
    let header = options.header.as_ref();
    let limit = options.listed_per_tree;
    let mut catalog = Findings::new("catalog", limit);
    let schema = schema::read(&*pages, &mut catalog, header.map(|header| header.last_object_id));
    let map = PageMap::new(pages.page_count());

    // Ownership first, from the database down to indexes: then it is known whose each page is.
    let mut findings: Vec<Findings> =
        schema.trees.iter().map(|tree| Findings::new(tree.name.as_str(), limit)).collect();
    let mut spaces = vec![TreeSpace::default(); schema.trees.len()];
    for depth in 0..3 {
        for (number, tree) in schema.trees.iter().enumerate() {
            if schema.depth(tree) != depth {
                continue;
            }
            let parent = tree.parent.and_then(|parent| spaces.get(parent));
            let parent_is_known = parent.is_none_or(|parent| parent.complete);
            if let (Some(findings), Some(space)) = (findings.get_mut(number), spaces.get_mut(number)) {
                *space = space::own(&*pages, &schema, &map, number, parent_is_known, findings);
            }
        }
    }
    let total = map.owned();
    let newest = header.filter(|header| header.is_clean()).map(|header| header.db_time);
    let context =
        Arc::new(Context { pages, map, spaces, newest, done: AtomicU64::new(0), total, progress, schema });

    let shared = context.clone();
    let outcomes = pool::run(options.threads, context.schema.trees.len(), move |number| {
        content::check_tree(&shared, number, limit)
    });
    (context.progress)(context.total, context.total);
    let mut report = DeepReport { leaks_are_certain: context.schema.complete, ..DeepReport::default() };
    for (outcome, space) in outcomes.iter().zip(&context.spaces) {
        outcome.add_to(&mut report);
        report.leaks_are_certain &= outcome.complete && space.complete;
    }
    catalog::check(&context, &outcomes, &mut catalog);
    let shared = context.clone();
    let outcomes = Arc::new(outcomes);
    let compared = {
        let outcomes = outcomes.clone();
        pool::run(options.threads, context.schema.tables.len(), move |table| {
            content::compare(&shared, table, &outcomes, limit)
        })
    };
    report.leaks = leaks(&context, &outcomes);

    let own = findings.into_iter();
    let by_tree = own.zip(outcomes.iter()).flat_map(|(space, outcome)| {
        let unlisted = space.unlisted + outcome.findings.unlisted;
        let list: Vec<Finding> =
            space.list.into_iter().chain(outcome.findings.list.iter().cloned()).collect();
        Some((list, unlisted))
    });
    let all = std::iter::once((catalog.list, catalog.unlisted)).chain(by_tree);
    let compared = compared.into_iter().flatten().map(|findings| (findings.list, findings.unlisted));
    for (mut list, unlisted) in all.chain(compared) {
        report.findings.append(&mut list);
        report.unlisted += unlisted;
    }
    // Where pages are claimed wrongly, others may be missed for that.
    let is_claimed_wrongly = report.errors().any(|error| error.subject == Subject::Space);
    report.leaks_are_certain &= !is_claimed_wrongly;
    report
}

/// What is owned and not used. A page that another tree leads to is in use, if wrongly.
fn leaks<P: PageRead>(context: &Context<P>, outcomes: &[content::Outcome]) -> Vec<Leak> {
    let foreign: HashSet<PageNumber> =
        outcomes.iter().flat_map(|outcome| &outcome.foreign).copied().collect();
    let known: HashSet<ObjectId> = context.schema.trees.iter().map(|tree| tree.object).collect();
    let leak = |(owner, extent): (usize, Extent)| {
        let tree = context.schema.trees.get(owner)?;
        let lost_trees = Vec::new();
        Some(Leak { tree: tree.name.clone(), root: tree.root, object: tree.object, extent, lost_trees })
    };
    let mut leaks: Vec<Leak> = context.map.leaks(&foreign).into_iter().filter_map(leak).collect();
    lost::assign(&*context.pages, &mut leaks, &known);
    leaks
}
