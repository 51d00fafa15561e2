//! What the check finds, and how it collects that with bounded memory.

use ese_format::space::Extent;
use ese_format::{ObjectId, PageNumber};
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; the database is not damaged by it. What could not be checked is a note, too.
    Note,
    /// The database contradicts itself.
    Error,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A page that cannot be read: its checksum does not match, or it was never written.
    Checksum,
    /// The inside of a page: accounts, tags, nodes.
    Page,
    /// The order of the entries of a page.
    Order,
    /// The links between the pages of one level of a tree.
    Siblings,
    /// The separators above a page, and what they separate.
    Separator,
    /// A page's flags, object id, level or time.
    Header,
    /// Who owns a page and what it is used for.
    Space,
    /// The catalog and what it says about trees.
    Catalog,
    /// The catalog's shadow.
    Shadow,
    /// A record and its place in its table.
    Record,
    /// A secondary index and the records that it leads to.
    Index,
    /// Long values and the references to them.
    LongValue,
    /// The high mark of an auto-increment column.
    AutoIncrement,
}

impl Subject {
    /// One plain word or two.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Page => "page",
            Self::Order => "order",
            Self::Siblings => "siblings",
            Self::Separator => "separator",
            Self::Header => "page header",
            Self::Space => "space",
            Self::Catalog => "catalog",
            Self::Shadow => "shadow catalog",
            Self::Record => "record",
            Self::Index => "index",
            Self::LongValue => "long value",
            Self::AutoIncrement => "auto-increment",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// The tree: a table's name, or that and the name of its index, `LV` for its long values.
    pub tree: String,
    /// The page, when it is about one.
    pub page: Option<PageNumber>,
    /// The line of the page, counted from 0.
    pub line: Option<usize>,
    /// One plain sentence.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Error => "error",
        };
        write!(f, "{severity}, {} of {}", self.subject, self.tree)?;
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A tree that no catalog knows: its creation was not committed, or it was deleted and its pages were not given back
/// yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostTree {
    /// Its root page.
    pub root: PageNumber,
    /// Its object id.
    pub object: ObjectId,
    /// How many of the leaked pages it owned.
    pub pages: u32,
}

/// Pages that a tree owns and nobody can get at: neither reachable nor available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The tree that owns them.
    pub tree: String,
    /// Its root page.
    pub root: PageNumber,
    /// Its object id.
    pub object: ObjectId,
    /// The pages.
    pub extent: Extent,
    /// Whose they were, as the roots among them say. What is left was on its way from one tree or extent to
    /// another, or was taken for a page that was not made.
    pub lost_trees: Vec<LostTree>,
}

impl Leak {
    /// How many of the pages were in no lost tree.
    pub fn pages_in_flight(&self) -> u32 {
        self.lost_trees.iter().fold(self.extent.pages, |left, tree| left.saturating_sub(tree.pages))
    }
}

/// Where on a page something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place(pub(super) Option<PageNumber>, pub(super) Option<usize>);

impl From<()> for Place {
    fn from((): ()) -> Self {
        Self(None, None)
    }
}

impl From<PageNumber> for Place {
    fn from(page: PageNumber) -> Self {
        Self(Some(page), None)
    }
}

impl From<(PageNumber, usize)> for Place {
    fn from((page, line): (PageNumber, usize)) -> Self {
        Self(Some(page), Some(line))
    }
}

/// The findings of one tree: so many of each severity are kept, the rest is counted.
#[derive(Debug)]
pub(super) struct Findings {
    tree: String,
    limit: usize,
    pub(super) list: Vec<Finding>,
    errors: usize,
    notes: usize,
    pub(super) unlisted: u64,
}

impl Findings {
    pub(super) fn new(tree: impl Into<String>, limit: usize) -> Self {
        Self { tree: tree.into(), limit, list: Vec::new(), errors: 0, notes: 0, unlisted: 0 }
    }

    pub(super) fn error(&mut self, subject: Subject, place: impl Into<Place>, what: impl Into<String>) {
        self.errors += 1;
        self.add(Severity::Error, self.errors, subject, place.into(), what.into());
    }

    pub(super) fn note(&mut self, subject: Subject, place: impl Into<Place>, what: impl Into<String>) {
        self.notes += 1;
        self.add(Severity::Note, self.notes, subject, place.into(), what.into());
    }

    /// Adds what was found elsewhere, as far as there is room for it.
    pub(super) fn append(&mut self, other: Self) {
        for finding in other.list {
            let place = Place(finding.page, finding.line);
            match finding.severity {
                Severity::Error => self.error(finding.subject, place, finding.what),
                Severity::Note => self.note(finding.subject, place, finding.what),
            }
        }
        self.unlisted += other.unlisted;
    }

    /// How many errors there were, listed or not.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether further errors are only counted, so that looking for more is not worth it.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= self.limit
    }

    fn add(&mut self, severity: Severity, count: usize, subject: Subject, place: Place, what: String) {
        if count > self.limit {
            self.unlisted += 1;
            return;
        }
        let Place(page, line) = place;
        self.list.push(Finding { severity, subject, tree: self.tree.clone(), page, line, what });
    }
}
