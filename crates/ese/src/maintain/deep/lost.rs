//! Whose leaked pages were.

use super::finding::{Findings, Leak, LostTree};
use super::walk::{KIND, TreeAt, Visit, walk};
use ese_format::page::{Page, PageFlags};
use ese_format::space::{Extent, RootFields, SpaceKind};
use ese_format::tree::{Entry, PageRead};
use ese_format::{ObjectId, PageNumber};
use std::collections::HashSet;

/// A tree whose root is among leaked pages.
struct Candidate {
    root: PageNumber,
    object: ObjectId,
    parent: PageNumber,
    owned: Vec<Extent>,
}

/// Says of each leak, in page order, what lost trees owned. A tree is lost when its root is among leaked pages, it
/// is not `known`, and it says that its space is from the tree that owns the leak or from another lost tree: pages
/// that were free once may still look like the root of something. Trees that others of them own are counted with
/// these.
pub(super) fn assign(pages: &impl PageRead, leaks: &mut [Leak], known: &HashSet<ObjectId>) {
    let mut rest: Vec<(PageNumber, Candidate)> = Vec::new();
    for leak in &*leaks {
        let run = (leak.extent.first().0..=leak.extent.last.0).map(PageNumber);
        let found = run.filter_map(|root| candidate(pages, root, known));
        rest.extend(found.map(|candidate| (leak.root, candidate)));
    }
    let mut lost: Vec<Candidate> = Vec::new();
    // A table, its indexes: there are no more levels.
    for _ in 0..2 {
        let is_lost = |(owner, tree): &mut (PageNumber, Candidate)| {
            // One without a parent was about to be given back.
            tree.parent == *owner
                || !tree.parent.is_some()
                || lost.iter().any(|other| other.root == tree.parent)
        };
        let more: Vec<_> = rest.extract_if(.., is_lost).map(|(_, tree)| tree).collect();
        lost.extend(more);
    }
    let mut claimed: HashSet<PageNumber> = HashSet::new();
    for Candidate { root, object, owned, .. } in lost {
        for extent in owned {
            let first = leaks.partition_point(|leak| leak.extent.last < extent.first());
            for leak in leaks.iter_mut().skip(first).take_while(|leak| leak.extent.first() <= extent.last) {
                let from = extent.first().max(leak.extent.first()).0;
                let to = extent.last.min(leak.extent.last).0;
                let new = (from..=to).filter(|page| claimed.insert(PageNumber(*page))).count() as u32;
                match leak.lost_trees.iter_mut().find(|tree| tree.root == root) {
                    Some(tree) => tree.pages += new,
                    None if new > 0 => leak.lost_trees.push(LostTree { root, object, pages: new }),
                    None => {}
                }
            }
        }
    }
}

/// The tree with that root, if there is such a tree and it is not known.
fn candidate(pages: &impl PageRead, root: PageNumber, known: &HashSet<ObjectId>) -> Option<Candidate> {
    let bytes = pages.read(root).ok()?;
    let page = Page::new(&bytes, pages.page_size()).ok()?;
    let flags = page.flags();
    if !page.is_root() || flags.intersects(PageFlags::EMPTY | PageFlags::SPACE_TREE) {
        return None;
    }
    let object = page.object();
    if known.contains(&object) {
        return None;
    }
    let space = RootFields::of_page(&page).ok()?.space;
    let owned = match space.kind {
        SpaceKind::Single { .. } => space.single_extent(root).into_iter().collect(),
        SpaceKind::Multiple { owned_root } => {
            let kind = (flags & KIND) | PageFlags::SPACE_TREE;
            let mut owned = Owned::default();
            let at = TreeAt { root: owned_root, object, kind, newest: None };
            walk(pages, at, &mut owned, &mut Findings::new("", 0));
            owned.extents
        }
    };
    Some(Candidate { root, object, parent: space.parent, owned })
}

#[derive(Default)]
struct Owned {
    extents: Vec<Extent>,
    seen: HashSet<PageNumber>,
}

impl Visit for Owned {
    fn page(&mut self, page: PageNumber, _: &mut Findings) -> bool {
        self.seen.insert(page)
    }

    fn entry(&mut self, entry: &Entry<'_>, _: &mut Findings) {
        if let Ok(Some(extent)) = Extent::decode_owned(entry.key, entry.data) {
            self.extents.push(extent);
        }
    }
}
