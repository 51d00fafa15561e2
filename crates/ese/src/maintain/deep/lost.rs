//! Whose leaked pages were.

use super::finding::{Findings, Leak, LostTree};
use super::walk::{KIND, TreeAt, Visit, walk};
use ese_format::page::{Page, PageFlags};
use ese_format::space::{Extent, RootFields, SpaceKind};
use ese_format::tree::{Entry, PageRead};
use ese_format::{ObjectId, PageNumber};
use std::collections::HashSet;

/// Says of each leak, in page order, what lost trees owned. A tree is lost when its root is among leaked pages and
/// it is not `known`. Trees that others of them own are counted with these.
pub(super) fn assign(pages: &impl PageRead, leaks: &mut [Leak], known: &HashSet<ObjectId>) {
    let runs: Vec<Extent> = leaks.iter().map(|leak| leak.extent).collect();
    let mut claimed: HashSet<PageNumber> = HashSet::new();
    let roots = runs.iter().flat_map(|run| (run.first().0..=run.last.0).map(PageNumber));
    for root in roots {
        let Some((object, owned)) = lost_tree(pages, root, known) else { continue };
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

/// The object of the tree with that root, and its extents, if there is such a tree and it is lost.
fn lost_tree(
    pages: &impl PageRead,
    root: PageNumber,
    known: &HashSet<ObjectId>,
) -> Option<(ObjectId, Vec<Extent>)> {
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
    let fields = RootFields::of_page(&page).ok()?;
    let owned = match fields.space.kind {
        SpaceKind::Single { .. } => fields.space.single_extent(root).into_iter().collect(),
        SpaceKind::Multiple { owned_root } => {
            let at = TreeAt {
                root: owned_root,
                object,
                kind: (flags & KIND) | PageFlags::SPACE_TREE,
                newest: None,
            };
            let mut owned = Owned::default();
            walk(pages, at, &mut owned, &mut Findings::new("", 0));
            owned.extents
        }
    };
    Some((object, owned))
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
