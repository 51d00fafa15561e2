//! Space: what a tree owns, and what of that it uses.

use super::Context;
use super::finding::{Findings, Subject};
use super::pages::{Misuse, PageMap, Use};
use super::schema::{Kind, Schema, TreeInfo};
use super::walk::{TreeAt, Visit, Walked, walk};
use ese_format::PageNumber;
use ese_format::page::{Page, PageFlags};
use ese_format::space::{Extent, Pool, RootFields, SpaceFlags, SpaceKind, SplitBuffers};
use ese_format::tree::{Entry, PageRead};
use std::collections::HashSet;

/// What the root of a tree says about its space.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TreeSpace {
    pub(super) fields: Option<RootFields>,
    /// All that the tree owns is known.
    pub(super) complete: bool,
}

/// Reads what a tree owns and takes it over from the tree that it got it from.
pub(super) fn own(
    pages: &impl PageRead,
    schema: &Schema,
    map: &PageMap,
    number: usize,
    parent_is_known: bool,
    findings: &mut Findings,
) -> TreeSpace {
    let Some(tree) = schema.trees.get(number) else { return TreeSpace::default() };
    let fields = match root_fields(pages, tree) {
        Ok(fields) => fields,
        Err((subject, text)) => {
            findings.error(subject, tree.root, text);
            return TreeSpace::default();
        }
    };
    check_fields(schema, tree, &fields, findings);
    let mut taker = Taker {
        map,
        schema,
        number,
        parent: tree.parent,
        parent_is_known,
        seen: HashSet::new(),
        patience: PATIENCE,
    };
    let complete = match fields.space.kind {
        SpaceKind::Single { .. } => {
            if let Some(extent) = fields.space.single_extent(tree.root) {
                taker.extent(extent, findings);
            }
            true
        }
        SpaceKind::Multiple { owned_root } => {
            // The tree of extents is checked together with the tree itself; here only the extents count.
            let mut structure = Findings::new("", 0);
            let at = TreeAt {
                root: owned_root,
                object: tree.object,
                kind: tree.flags | PageFlags::SPACE_TREE,
                newest: None,
            };
            let mut visit = TakeOwned { taker: &mut taker, findings };
            walk(pages, at, &mut visit, &mut structure).complete
        }
    };
    TreeSpace { fields: Some(fields), complete }
}

fn root_fields(pages: &impl PageRead, tree: &TreeInfo) -> Result<RootFields, (Subject, String)> {
    let bytes = pages.read(tree.root).map_err(|error| (Subject::Catalog, no_tree(&error.detail)))?;
    let page = Page::new(&bytes, pages.page_size()).map_err(|error| (Subject::Page, error.detail))?;
    if page.object() != tree.object {
        let text = format!("its root belongs to object {} and not to {}", page.object(), tree.object);
        return Err((Subject::Catalog, text));
    }
    RootFields::of_page(&page).map_err(|error| (Subject::Catalog, no_tree(&error.detail)))
}

fn no_tree(why: &str) -> String {
    format!("the catalog has its root here, and there is none: {why}")
}

fn check_fields(schema: &Schema, tree: &TreeInfo, fields: &RootFields, findings: &mut Findings) {
    let expected = tree.parent.and_then(|parent| schema.trees.get(parent)).map(|parent| parent.root);
    if fields.space.parent != expected.unwrap_or_default() {
        let text = format!(
            "its space should come from the tree on page {}, and the root says page {}",
            expected.unwrap_or_default(),
            fields.space.parent
        );
        findings.error(Subject::Space, tree.root, text);
    }
    let non_unique = tree.flags.contains(PageFlags::NON_UNIQUE_KEYS);
    if fields.space.flags.contains(SpaceFlags::NON_UNIQUE) != non_unique {
        let text = "root and catalog do not agree whether equal keys are allowed";
        findings.error(Subject::Header, tree.root, text);
    }
    if fields.auto_increment.is_some() && !matches!(tree.kind, Kind::Table(_)) {
        findings.error(Subject::AutoIncrement, tree.root, "a tree without records counts them");
    }
}

/// So many pages of a tree's extents that cannot be its own are passed over, to see what is behind them.
const PATIENCE: u32 = 4096;

/// Hands pages over from the parent to a tree.
struct Taker<'a> {
    map: &'a PageMap,
    schema: &'a Schema,
    number: usize,
    parent: Option<usize>,
    parent_is_known: bool,
    seen: HashSet<PageNumber>,
    patience: u32,
}

impl Taker<'_> {
    /// One finding for an extent is enough.
    fn extent(&mut self, extent: Extent, findings: &mut Findings) {
        let (first, last) = (extent.first(), extent.last);
        let mut is_told = false;
        for page in (first.0..=last.0).map(PageNumber) {
            let text = match self.map.hand_over(page, self.parent, !self.parent_is_known, self.number) {
                Ok(()) => continue,
                Err(Misuse::Owner(Some(owner))) if owner == self.number => {
                    format!("pages {first} to {last} overlap with other pages that the tree owns")
                }
                Err(Misuse::Owner(owner)) => format!(
                    "pages {first} to {last} belong to the tree and, from this page on, to {}",
                    owner_name(self.schema, owner)
                ),
                Err(_) => format!("pages {first} to {last} are owned, and the file ends before"),
            };
            if !std::mem::replace(&mut is_told, true) {
                findings.error(Subject::Space, page, text);
            }
            match self.patience.checked_sub(1) {
                Some(left) => self.patience = left,
                None => return,
            }
        }
    }
}

struct TakeOwned<'a, 'b> {
    taker: &'b mut Taker<'a>,
    findings: &'b mut Findings,
}

impl Visit for TakeOwned<'_, '_> {
    fn page(&mut self, page: PageNumber, _: &mut Findings) -> bool {
        self.taker.seen.insert(page)
    }

    fn entry(&mut self, entry: &Entry<'_>, _: &mut Findings) {
        if let Ok(Some(extent)) = Extent::decode_owned(entry.key, entry.data) {
            self.taker.extent(extent, self.findings);
        }
    }
}

fn owner_name(schema: &Schema, owner: Option<usize>) -> String {
    match owner.and_then(|owner| schema.trees.get(owner)) {
        Some(owner) => owner.name.clone(),
        None => "nobody".into(),
    }
}

/// Marks what a tree uses of what it owns.
pub(super) struct Account<'a, P> {
    context: &'a Context<P>,
    number: usize,
    /// Pages that the tree leads to although it does not own them.
    pub(super) foreign: HashSet<PageNumber>,
    patience: u32,
}

impl<'a, P: PageRead> Account<'a, P> {
    pub(super) fn new(context: &'a Context<P>, number: usize) -> Self {
        Self { context, number, foreign: HashSet::new(), patience: PATIENCE }
    }

    /// The tree leads to a page; `false` if it did so before.
    pub(super) fn page(&mut self, page: PageNumber, findings: &mut Findings) -> bool {
        let taken = self.context.map.take(page, self.number, Use::Tree);
        let (text, again) = match taken {
            Ok(()) => {
                self.context.count(1);
                return true;
            }
            Err(Misuse::Twice(used)) => {
                (format!("the tree leads to the page, which is {}", used.name()), false)
            }
            Err(Misuse::Owner(owner)) => {
                let owner = owner_name(&self.context.schema, owner);
                let text = format!("the tree leads to the page, which is owned by {owner}");
                (text, self.foreign.insert(page))
            }
            Err(Misuse::Outside) => ("the tree leads to the page, which is not in the file".into(), false),
        };
        // What a tree owns may not be known, and was reported then.
        let known = self.context.spaces.get(self.number).is_some_and(|space| space.complete);
        if known || !again {
            findings.error(Subject::Space, page, text);
        }
        again
    }

    /// Marks pages as available or set aside.
    fn extent(&mut self, extent: Extent, how: Use, findings: &mut Findings) {
        let (first, last) = (extent.first(), extent.last);
        let mut is_told = false;
        for page in (first.0..=last.0).map(PageNumber) {
            let text = match self.context.map.take(page, self.number, how) {
                Ok(()) => {
                    self.context.count(1);
                    continue;
                }
                Err(Misuse::Twice(used)) => {
                    format!(
                        "pages {first} to {last} are {}, and this one is {} as well",
                        how.name(),
                        used.name()
                    )
                }
                Err(Misuse::Owner(owner)) => {
                    let owner = owner_name(&self.context.schema, owner);
                    format!("pages {first} to {last} are {}, and this one is owned by {owner}", how.name())
                }
                Err(Misuse::Outside) => {
                    format!("pages {first} to {last} are {}, and the file ends before", how.name())
                }
            };
            if !std::mem::replace(&mut is_told, true) {
                findings.error(Subject::Space, page, text);
            }
            match self.patience.checked_sub(1) {
                Some(left) => self.patience = left,
                None => return,
            }
        }
    }

    /// Walks the space trees, and marks what is available and what is set aside.
    pub(super) fn space(&mut self, tree: &TreeInfo, fields: &RootFields, findings: &mut Findings) -> Walked {
        let mut sum = Walked { pages: 0, entries: 0, deleted: 0, complete: true };
        let owned_root = match fields.space.kind {
            SpaceKind::Single { .. } => {
                for (_, extent) in fields.space.single_available(tree.root) {
                    self.extent(extent, Use::Available, findings);
                }
                return sum;
            }
            SpaceKind::Multiple { owned_root } => owned_root,
        };
        let available_root = PageNumber(owned_root.0.saturating_add(1));
        let pages = &*self.context.pages;
        for (root, owned) in [(owned_root, true), (available_root, false)] {
            let at = TreeAt {
                root,
                object: tree.object,
                kind: tree.flags | PageFlags::SPACE_TREE,
                newest: self.context.newest,
            };
            let mut visit = Extents { account: self, owned };
            let walked = walk(pages, at, &mut visit, findings);
            sum.pages += walked.pages;
            sum.deleted += walked.deleted;
            sum.complete &= walked.complete;
            match SplitBuffers::of_root(pages, root) {
                Ok(buffers) => {
                    buffers.extents().for_each(|extent| self.extent(extent, Use::Buffer, findings));
                }
                Err(error) if walked.complete => findings.error(Subject::Space, root, error.detail),
                Err(_) => {}
            }
        }
        sum
    }
}

/// Reads extents: owned ones were taken over before, so of those only the form is checked.
struct Extents<'a, 'b, P> {
    account: &'b mut Account<'a, P>,
    owned: bool,
}

impl<P: PageRead> Visit for Extents<'_, '_, P> {
    fn page(&mut self, page: PageNumber, findings: &mut Findings) -> bool {
        self.account.page(page, findings)
    }

    fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings) {
        let extent = match self.owned {
            true => Extent::decode_owned(entry.key, entry.data).map(|_| None),
            false => Extent::decode_available(entry.key, entry.data),
        };
        match extent {
            Ok(None) => {}
            // Pages that are shelved stand behind the end of the file and come back when it grows.
            Ok(Some((Pool::SHELVED, _))) => {}
            Ok(Some((_, extent))) => self.account.extent(extent, Use::Available, findings),
            Err(error) => findings.error(Subject::Space, (entry.page, entry.line), error.detail),
        }
    }
}
