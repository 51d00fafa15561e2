//! Before-images that are not in the log yet.
//!
//! Logging each before-image would double the log; most transactions end before their pages are
//! written. So it is put off until the page is to be written ([`PendingPages::release`]), and dropped
//! when the transaction commits first; then the page's own position is raised to the end of the commit,
//! before the image is forgotten, so that the page can never reach the disk ahead of both.
//!
//! A node may move to another page meanwhile. Then the page that it has left waits as well as the one where it is:
//! once that page is on the disk, redo does not see the change there any more, and the other page may not have been
//! written at all.

use super::entry::{Change, Version};
use super::hash::{Filed, Filing};
use crate::buffer::{CachedFile, PageRelease};
use crate::error::Result;
use crate::log::{Log, Urgency};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Mutex, Rank, RwLock};
use ese_format::log::record::{LogRecord, NodePrefix, PagePrefix, UndoInfo};
use ese_format::{DbTime, LogPosition, PageNumber};
use std::collections::{HashMap, hash_map};

/// A file whose cached pages can be told to wait for the log.
pub trait RaiseDurable: Send + Sync {
    /// The page must not be written before the log is durable up to `end`.
    fn raise_durable(&self, page: PageNumber, end: LogPosition);
}

impl RaiseDurable for CachedFile {
    fn raise_durable(&self, page: PageNumber, end: LogPosition) {
        CachedFile::raise_durable(self, page, end);
    }
}

const SHARDS: usize = 64;

/// Versions by the number of their page in its database, oldest first.
type Shard = HashMap<Filed, Vec<Arc<Version>>, Filing>;

/// Under what a page is filed.
fn filed(database: u8, page: PageNumber) -> Filed {
    Filed::scattered(u64::from(database) << 32 | u64::from(page.0))
}

/// Which pages wait for which before-images.
pub(super) struct PendingPages {
    shards: Vec<Mutex<Shard>>,
    /// Where before-images go; none during redo.
    log: RwLock<Option<Arc<Log>>>,
}

impl PendingPages {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::ranked(Rank::PendingPages, Shard::default())).collect(),
            log: RwLock::new(None),
        }
    }

    pub(super) fn set_log(&self, log: Option<Arc<Log>>) {
        *self.log.write() = log;
    }

    fn shard(&self, database: u8, page: PageNumber) -> &Mutex<Shard> {
        &self.shards[(page.0 as usize).wrapping_add(usize::from(database) << 3) % SHARDS]
    }

    /// The before-image of a new version waits on a page.
    pub(super) fn add(&self, version: &Arc<Version>, page: PageNumber) {
        version.page.store(page.0, Ordering::Release);
        let mut shard = self.shard(version.tree.database, page).lock();
        shard.entry(filed(version.tree.database, page)).or_default().push(version.clone());
    }

    /// A version's before-image waits on another page from now on.
    fn add_moved(&self, version: &Arc<Version>, page: PageNumber) {
        version.page.store(page.0, Ordering::Release);
        let mut shard = self.shard(version.tree.database, page).lock();
        let list = shard.entry(filed(version.tree.database, page)).or_default();
        // It may have been there before.
        if !list.iter().any(|other| Arc::ptr_eq(other, version)) {
            list.push(version.clone());
        }
    }

    /// A version's before-image is not wanted any more.
    pub(super) fn remove(&self, version: &Version) {
        self.remove_after(version, |_| {});
    }

    /// What the log has up to `end` takes the place of the image: the transaction as committed, or the image
    /// itself. The pages wait for that from now on.
    pub(super) fn replaced_by(&self, version: &Version, end: LogPosition) {
        let file = version.file.as_ref().and_then(|file| file.upgrade());
        self.remove_after(version, |page| {
            if let Some(file) = &file {
                file.raise_durable(page, end);
            }
        });
    }

    /// Removes a version after something was done with the pages that wait for it. A split may move it
    /// to another page meanwhile; then that is done there, too.
    fn remove_after(&self, version: &Version, first: impl Fn(PageNumber)) {
        loop {
            let page = PageNumber(version.page.load(Ordering::Acquire));
            if !page.is_some() {
                break;
            }
            first(page);
            let mut shard = self.shard(version.tree.database, page).lock();
            if version.page.load(Ordering::Acquire) != page.0 {
                continue;
            }
            version.page.store(0, Ordering::Release);
            leave(&mut shard, version, page);
            break;
        }
        let former = std::mem::take(&mut *version.former_pages.lock());
        for page in former {
            first(page);
            leave(&mut self.shard(version.tree.database, page).lock(), version, page);
        }
    }

    /// Nodes moved from one page to another, both latched: their images wait there, too.
    pub(super) fn move_nodes(
        &self,
        database: u8,
        from: PageNumber,
        to: PageNumber,
        moved: impl Fn(&Version) -> bool,
    ) {
        let leaving: Vec<_> = {
            let shard = self.shard(database, from).lock();
            let Some(list) = shard.get(&filed(database, from)) else { return };
            // Others in the list have left the page before.
            let is_here = |version: &&Arc<Version>| version.page.load(Ordering::Acquire) == from.0;
            let leaving: Vec<_> =
                list.iter().filter(is_here).filter(|version| moved(version)).cloned().collect();
            for version in &leaving {
                version.former_pages.lock().push(from);
            }
            leaving
        };
        for version in leaving {
            // A commit in between finds nothing to remove on `from`. Then the version waits on `to` although
            // it need not: its image is logged when that page is written, and redo ignores it.
            self.add_moved(&version, to);
        }
    }

    /// A page is about to be written, latched: logs what it waits for.
    pub(super) fn release(&self, database: u8, page: PageNumber) -> Result<PageRelease> {
        let waiting = {
            let shard = self.shard(database, page).lock();
            match shard.get(&filed(database, page)) {
                Some(list) => list.clone(),
                None => return Ok(PageRelease::Free),
            }
        };
        let Some(log) = self.log.read().clone() else { return Ok(PageRelease::Stay) };
        let mut end = LogPosition::NONE;
        for version in waiting {
            end = log_before_image(&log, &version, page)?;
            // This page as well: if the log fails now the next attempt to write it finds no image that waits.
            self.replaced_by(&version, end);
        }
        Ok(if end.is_some() { PageRelease::After(end) } else { PageRelease::Free })
    }

    /// Logs the before-image of one version if it waits: right before it is undone.
    pub(super) fn log_now(&self, version: &Version) -> Result<()> {
        let page = PageNumber(version.page.load(Ordering::Acquire));
        let log = self.log.read().clone();
        if let (true, Some(log)) = (page.is_some(), log) {
            let end = log_before_image(&log, version, page)?;
            self.replaced_by(version, end);
        }
        Ok(())
    }
}

/// Takes a version off the list of a page.
fn leave(shard: &mut Shard, version: &Version, page: PageNumber) {
    if let hash_map::Entry::Occupied(mut list) = shard.entry(filed(version.tree.database, page)) {
        // A transaction's versions leave in the order in which they came.
        if let Some(at) = list.get().iter().position(|other| std::ptr::eq(&**other, version)) {
            list.get_mut().remove(at);
        }
        if list.get().is_empty() {
            list.remove();
        }
    }
}

fn log_before_image(log: &Log, version: &Version, page: PageNumber) -> Result<LogPosition> {
    let (before, most, reserved): (&[u8], usize, isize) = match &version.change {
        Change::Replace { before, most, reserved } => (before, *most, *reserved),
        _ => (&[], 0, 0),
    };
    let short = |n: isize| n.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    let record = LogRecord::UndoInfo(UndoInfo {
        node: NodePrefix {
            page: PagePrefix {
                session: version.session,
                dbid: version.tree.database,
                page,
                after: DbTime::NIL,
                before: DbTime::NIL,
                begin0: version.owner.begun().in_log(),
                level: version.level(),
                line: 0,
                flags: PagePrefix::VERSIONED,
            },
            version_id: version.id,
            root: version.tree.root,
            object: version.object,
        },
        key: version.key.to_vec(),
        data: version.data.to_vec(),
        operation: version.change.operation(),
        max_bytes: short(most as isize),
        delta_bytes: short(reserved),
        before: before.to_vec(),
    });
    Ok(log.append_as(Urgency::Rollback, &record.encode()?)?.end)
}
