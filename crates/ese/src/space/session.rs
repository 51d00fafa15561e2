//! The sessions in which space is worked on, and where trees of extents get their own pages from.

use super::Space;
use super::extents::Extents;
use crate::btree::{self, Compacted, PageSource, Place, Tree, Versioning, Work};
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Mutex, Weak};
use crate::version::Bookmark;
use ese_format::PageNumber;
use ese_format::space::{Extent, SplitBuffers};

/// How much space trees and files get at a time. A matter of taste, not of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Pages by which the file grows (JET_paramDbExtensionSize).
    pub file_pages: u32,
    /// Pages that a tree gets first when the extent of its birth is used up, its two trees of extents counted.
    pub least_pages: u32,
    /// Bytes of the largest extent that a tree asks for when it does not need more at once. Each extent is
    /// twice the one before, up to this.
    pub most_bytes: u32,
}

impl Default for Growth {
    fn default() -> Self {
        Self { file_pages: 256, least_pages: 4, most_bytes: 1 << 20 }
    }
}

/// A session of space management.
pub(super) struct Session {
    pub(super) work: Work,
    source: Arc<SplitSource>,
}

impl Space {
    /// Does one piece of work in a transaction of its own, which commits lazily whatever comes of it: no step
    /// is ever undone.
    pub(super) fn run<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.new_session()?,
        };
        session.work.set_log(self.log.read().clone());
        if session.work.transaction().level() == 0 {
            session.work.begin(false)?;
        }
        let result = work(&mut session);
        // A commit that cannot be logged leaves nothing to be undone. The session is used in the same
        // transaction again then, so that its number does not begin twice in the log.
        let _ = session.work.commit(true);
        // What an error left there is lost.
        *session.source.state.lock() = SourceState::default();
        self.idle.lock().push(session);
        result
    }

    fn new_session(&self) -> Result<Session> {
        let source = Arc::new(SplitSource { space: self.this.clone(), state: Mutex::default() });
        let log = self.log.read().clone();
        let work = Work::new(log, self.store.clone(), source.clone(), self.transactions.open()?);
        Ok(Session { work, source })
    }
}

impl Session {
    /// Inserts an entry into a tree of extents.
    pub(super) fn insert(&mut self, extents: &Extents, tree: &Tree, key: &[u8], data: &[u8]) -> Result<()> {
        self.source.state.lock().available = Some(extents.available.clone());
        let result = btree::insert(&mut self.work, tree, key, data, Versioning::Unversioned);
        // What stays here would keep the database's file open after its detach.
        self.source.state.lock().available = None;
        match result {
            // An entry without pages is in the way.
            Err(error) if error.code() == JetErr::KeyDuplicate => self.replace(tree, key, data),
            result => result,
        }
    }

    /// Replaces the length of an extent, which takes no room.
    pub(super) fn replace(&mut self, tree: &Tree, key: &[u8], data: &[u8]) -> Result<()> {
        btree::replace(&mut self.work, tree, key, data, Versioning::Unversioned)
    }

    /// Removes an entry. A leaf that gets empty leaves its tree of extents: see [`Self::strays`].
    pub(super) fn remove(&mut self, extents: &Extents, tree: &Tree, key: &[u8]) -> Result<()> {
        let bookmark = Bookmark { key, data: &[] };
        if btree::remove_node(&mut self.work, tree, bookmark)? {
            self.source.state.lock().available = Some(extents.available.clone());
            // The entry is gone, that is what counts. What does not come off today will do another day.
            let _ = btree::merge(&mut self.work, tree, bookmark);
        }
        Ok(())
    }

    /// Compacts some leaves of one of the trees of extents.
    pub(super) fn compact(&mut self, extents: &Extents, tree: &Tree, from: &Place) -> Result<Compacted> {
        const LEAVES: usize = 64;
        self.source.state.lock().available = Some(extents.available.clone());
        let result = btree::compact(&mut self.work, tree, from, LEAVES, false);
        self.source.state.lock().available = None;
        result
    }

    /// Removes an entry and no page.
    pub(super) fn remove_alone(&mut self, tree: &Tree, key: &[u8]) -> Result<()> {
        btree::remove(&mut self.work, tree, Bookmark { key, data: &[] })
    }

    /// Pages that trees of extents do not need any more and that are not available yet.
    pub(super) fn strays(&self, extents: &Extents) -> Vec<PageNumber> {
        let strays = &mut self.source.state.lock().strays;
        let of_these = strays.extract_if(.., |(root, _)| *root == extents.available.root);
        of_these.map(|(_, page)| page).collect()
    }
}

/// Gives trees of extents the pages for their own splits: from the buffer in their root, filled ahead of time,
/// or from what is available, for taking pages from there needs no room. So a split never leads to another one.
///
/// Called while the request that splits holds the root page of the tree whose extents these are.
struct SplitSource {
    space: Weak<Space>,
    state: Mutex<SourceState>,
}

#[derive(Default)]
struct SourceState {
    /// The available extents of the tree that is worked on.
    available: Option<Tree>,
    /// Each with the root of the available extents where it should be.
    strays: Vec<(PageNumber, PageNumber)>,
}

impl PageSource for SplitSource {
    fn take(&self, tree: &Tree, _: PageNumber, count: usize) -> Result<Vec<PageNumber>> {
        let Some(space) = self.space.upgrade() else {
            return Err(Error::new(JetErr::InstanceUnavailable, "the instance has ended"));
        };
        let available = self.state.lock().available.clone();
        space.run(|session| {
            let mut taken = take_from_buffer(session, tree, count)?;
            if let Some(available) = available {
                while taken.len() < count {
                    let Some(page) = super::extents::take_any_page(session, &available)? else { break };
                    taken.push(page);
                }
            }
            if taken.len() < count {
                return Err(Error::new(
                    JetErr::OutOfDatabaseSpace,
                    "a tree of extents has to split, and no page is available for it",
                )
                .page(tree.root)
                .file(tree.file.file().path()));
            }
            // Splits use the last ones first; what comes back is then still adjacent to its buffer.
            taken.reverse();
            Ok(taken)
        })
    }

    fn give(&self, tree: &Tree, pages: &[PageNumber]) -> Result<()> {
        let Some(space) = self.space.upgrade() else { return Ok(()) };
        let strays = space.run(|session| give_to_buffer(session, tree, pages))?;
        let mut state = self.state.lock();
        let available = state.available.as_ref().map(|tree| tree.root);
        state
            .strays
            .extend(available.into_iter().flat_map(|root| strays.iter().map(move |page| (root, *page))));
        Ok(())
    }
}

fn take_from_buffer(session: &mut Session, tree: &Tree, count: usize) -> Result<Vec<PageNumber>> {
    let mut root = tree.file.write(tree.root)?;
    let mut buffers = SplitBuffers::decode(root.page().external_header()?)?;
    let mut taken = Vec::new();
    while taken.len() < count {
        // The smaller one first, so that a place for the next extent becomes free.
        let smallest = buffers.0.iter_mut().filter(|extent| extent.pages > 0).min_by_key(|e| e.pages);
        let Some(extent) = smallest else { break };
        taken.push(extent.first());
        extent.pages -= 1;
        if extent.pages == 0 {
            *extent = Extent::default();
        }
    }
    if !taken.is_empty() {
        btree::set_external_header(&mut session.work, tree, &mut root, &buffers.encode())?;
    }
    Ok(taken)
}

/// Puts pages back into a buffer; returns those that have no place there.
fn give_to_buffer(session: &mut Session, tree: &Tree, pages: &[PageNumber]) -> Result<Vec<PageNumber>> {
    let mut root = tree.file.write(tree.root)?;
    let mut buffers = SplitBuffers::decode(root.page().external_header()?)?;
    let mut strays = pages.to_vec();
    strays.retain(|page| !join(&mut buffers, Extent::new(*page, 1)));
    if strays.len() < pages.len() {
        btree::set_external_header(&mut session.work, tree, &mut root, &buffers.encode())?;
    }
    Ok(strays)
}

/// Takes what lies within an extent out of the buffer of a tree of extents.
pub(super) fn empty_buffers(session: &mut Session, tree: &Tree, part: Extent) -> Result<Vec<Extent>> {
    let mut root = tree.file.write(tree.root)?;
    let mut buffers = SplitBuffers::decode(root.page().external_header()?)?;
    let mut taken = Vec::new();
    for extent in buffers.0.iter_mut().filter(|extent| extent.pages > 0) {
        if extent.last >= part.first() && extent.first() <= part.last {
            taken.push(std::mem::take(extent));
        }
    }
    if !taken.is_empty() {
        btree::set_external_header(&mut session.work, tree, &mut root, &buffers.encode())?;
    }
    Ok(taken)
}

/// Puts an extent into the buffer of a tree of extents; false when there is no place for it.
pub(super) fn fill_buffer(session: &mut Session, tree: &Tree, extent: Extent) -> Result<bool> {
    let mut root = tree.file.write(tree.root)?;
    let mut buffers = SplitBuffers::decode(root.page().external_header()?)?;
    if !join(&mut buffers, extent) {
        let Some(free) = buffers.0.iter_mut().find(|extent| extent.pages == 0) else { return Ok(false) };
        *free = extent;
    }
    btree::set_external_header(&mut session.work, tree, &mut root, &buffers.encode())?;
    Ok(true)
}

/// Joins an extent to a buffer that it touches; false when there is none. The places for others are not for
/// single pages.
fn join(buffers: &mut SplitBuffers, new: Extent) -> bool {
    for extent in buffers.0.iter_mut().filter(|extent| extent.pages > 0) {
        if new.last.0 + 1 == extent.first().0 {
            extent.pages += new.pages;
            return true;
        }
        if extent.last.0 + 1 == new.first().0 {
            *extent = Extent { last: new.last, pages: extent.pages + new.pages };
            return true;
        }
    }
    false
}
