//! Which pages a crash may leak, and which not.

use ese::Result;
use ese::maintain::deep::{Leak, LostTree};
use ese::raw::Database;
use ese::space::Growth;
use ese_format::{ObjectId, PageSize};
use std::collections::{BTreeMap, BTreeSet};

/// A moment when no transaction was open, all deleted trees were freed and everything was cleaned up, and what was
/// touched after it. What such a moment finds lost is lost for another reason than a crash.
#[derive(Debug, Clone, Default)]
pub struct Quiet {
    /// By path; databases made later are not there.
    pub databases: BTreeMap<&'static str, Trees>,
    /// Tables that were made, changed or deleted since: path and name.
    pub touched: BTreeSet<(&'static str, String)>,
}

/// The trees of one database.
#[derive(Debug, Clone, Default)]
pub struct Trees {
    /// The highest object id that was given out.
    pub last: ObjectId,
    pub there: BTreeSet<ObjectId>,
}

impl Trees {
    /// Those that a database has now.
    pub fn of(database: &Database) -> Result<Self> {
        let mut there = BTreeSet::new();
        for name in database.tables()? {
            let schema = database.open_table(&name)?.schema()?;
            there.insert(schema.object_id);
            there.extend(schema.indexes.iter().map(|index| index.object_id));
            there.extend(schema.long_values.as_ref().map(|tree| tree.object_id));
        }
        Ok(Self { last: database.last_object_id(), there })
    }
}

/// Runs of pages that may be on their way in one database: those taken for one split, an extent on its way from the
/// file to a table or from there to an index, and one that joins its neighbour.
const RUNS_MOST: usize = 4;
/// Pages of these together, without the longest of them, which may be the longest extent that a tree asks for.
const PAGES_MOST: u64 = 64;

/// Trees that may be lost in one database: those that the end of one transaction was about to give back, with what it had
/// deleted or, after a rollback, made. Recovery gives back those of transactions that were open.
const TREES_MOST: usize = 8;

/// What was given back after a crash.
#[derive(Debug, Default)]
pub struct Leaks {
    pub pages_of_lost_trees: u64,
    pub pages_in_flight: u64,
}

impl Leaks {
    /// Counts the leaks of a database. With a quiet moment they must be explained: each page must have been of a tree that was made or deleted since the quiet
    /// moment, or one of the few that a tree touched since had taken and not used.
    pub fn explain(
        &mut self,
        path: &'static str,
        leaks: &[Leak],
        page_size: PageSize,
        quiet: Option<&Quiet>,
    ) -> std::result::Result<(), String> {
        let Some(quiet) = quiet else {
            self.pages_in_flight += leaks.iter().map(|leak| u64::from(leak.extent.pages)).sum::<u64>();
            return Ok(());
        };
        let trees = quiet.databases.get(path).cloned().unwrap_or_default();
        let mut runs = 0;
        let (mut pages, mut longest) = (0, 0);
        let mut lost_trees = BTreeSet::new();
        for leak in leaks {
            let is_explained =
                |lost: &LostTree| lost.object > trees.last || trees.there.contains(&lost.object);
            lost_trees
                .extend(leak.lost_trees.iter().filter(|lost| is_explained(lost)).map(|lost| lost.object));
            // A page that was the root of a tree long ago and then free may be in flight.
            let lost: u32 =
                leak.lost_trees.iter().filter(|lost| is_explained(lost)).map(|lost| lost.pages).sum();
            let in_flight = u64::from(leak.extent.pages - lost);
            self.pages_of_lost_trees += u64::from(leak.extent.pages) - in_flight;
            if in_flight == 0 {
                continue;
            }
            runs += 1;
            pages += in_flight;
            longest = longest.max(in_flight);
            let table = leak.tree.split('/').next().unwrap_or_default();
            let is_any =
                |(at, name): &(&str, String)| *at == path && (table == name || !table.starts_with('T'));
            if !quiet.touched.iter().any(is_any) {
                return Err(format!("nobody has used the tree since it was quiet, and it leaks: {leak:?}"));
            }
        }
        if lost_trees.len() > TREES_MOST {
            return Err(format!("more trees are lost than one transaction gives back: {leaks:?}"));
        }
        let extent = (Growth::default().most_bytes as usize / page_size.bytes()) as u64;
        if runs > RUNS_MOST || longest > extent.max(PAGES_MOST) || pages - longest > PAGES_MOST {
            return Err(format!("{pages} pages in {runs} runs are more than can be in flight: {leaks:?}"));
        }
        self.pages_in_flight += pages;
        Ok(())
    }
}
