//! Trees on the simulated disk, held against a model.

use super::*;
use crate::buffer::{CachedFile, FileParts, Health, PageCache};
use crate::cleanup::{Cleanup, CleanupParts};
use crate::clock::SeededClock;
use crate::dbfile::{DbFile, Intent};
use crate::error::{JetErr, Result};
use crate::log::{Log, LogConfig, NoHooks};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Arc, Mutex};
use crate::transaction::Transactions;
use crate::undo::{self, Files};
use crate::version::{Bookmark, VersionStore};
use ese_format::empty::EmptyDatabase;
use ese_format::page::{NewPage, PageFlags};
use ese_format::{LogPosition, LogTime, ObjectId, PageNumber, PageSize, Signature};
use ese_vfs::sim::SimRng;
use ese_vfs::{Disk, SimDisk};
use std::collections::BTreeSet;
use std::path::Path;

mod model;
mod moves;
mod page_moves;
mod positions;
mod sessions;
mod snapshots;

const PATH: &str = "/a.edb";
pub(crate) const ROOT: PageNumber = PageNumber(40);
const OBJECT: ObjectId = ObjectId(9);

/// Hands out the pages behind the roots, one after the other, and takes them back.
pub(crate) struct Pages {
    free: Mutex<Vec<PageNumber>>,
    next: AtomicU32,
    in_use: Mutex<BTreeSet<PageNumber>>,
}

impl Pages {
    /// Pages taken and not given back.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.lock().len()
    }
}

impl PageSource for Pages {
    fn take(&self, tree: &Tree, _: PageNumber, count: usize) -> Result<Vec<PageNumber>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let free = self.free.lock().pop();
            match free {
                Some(page) => taken.push(page),
                None => {
                    let page = PageNumber(self.next.fetch_add(1, Ordering::Relaxed) + 1);
                    tree.file.file().extend_to(PageNumber(page.0 + 16))?;
                    taken.push(page);
                }
            }
        }
        self.in_use.lock().extend(&taken);
        Ok(taken)
    }

    fn give(&self, _: &Tree, pages: &[PageNumber]) -> Result<()> {
        for page in pages {
            assert!(self.in_use.lock().remove(page), "page {page} is given back twice");
        }
        self.free.lock().extend_from_slice(pages);
        Ok(())
    }
}

/// An engine of one tree.
pub(crate) struct Bench {
    pub(crate) _disk: SimDisk,
    pub(crate) tree: Tree,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Arc<VersionStore>,
    pub(crate) all: Arc<Transactions>,
    pub(crate) pages: Arc<Pages>,
}

impl Files for Bench {
    fn file(&self, _: u8) -> Option<(Arc<CachedFile>, bool)> {
        Some((self.tree.file.clone(), true))
    }
}

/// The bench's only database.
struct OneFile(Arc<CachedFile>);

impl Files for OneFile {
    fn file(&self, _: u8) -> Option<(Arc<CachedFile>, bool)> {
        Some((self.0.clone(), true))
    }
}

impl Bench {
    pub(crate) fn cleanup(&self) -> Arc<Cleanup> {
        Cleanup::new(CleanupParts {
            log: Some(self.log.clone()),
            versions: self.store.clone(),
            transactions: self.all.clone(),
            pages: self.pages.clone(),
            files: Arc::new(OneFile(self.tree.file.clone())),
        })
    }

    pub(crate) fn new(page_size: PageSize, is_unique: bool, cache_pages: usize) -> Self {
        Self::with_versions(page_size, is_unique, cache_pages, 64 << 20)
    }

    pub(crate) fn with_versions(
        page_size: PageSize,
        is_unique: bool,
        cache_pages: usize,
        version_bytes: usize,
    ) -> Self {
        let disk = SimDisk::new(3);
        let signature = Signature { random: 5, ..Signature::NONE };
        let encoded = EmptyDatabase::new(page_size, signature, LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6))
            .encode()
            .unwrap();
        let mut bytes = encoded.header.encode().repeat(2);
        bytes.resize((encoded.page_count as usize + 2) * page_size.bytes(), 0);
        disk.install(Path::new(PATH), &bytes).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let config = LogConfig::new(shared, Arc::new(SeededClock::new(7)), "/", "edb");
        let log = Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap());
        let store = VersionStore::new(version_bytes);
        store.set_log(Some(log.clone()));
        let file =
            DbFile::open(&disk, Arc::new(SeededClock::new(1)), Path::new(PATH), Intent::Write).unwrap();
        let cache = PageCache::new(cache_pages * page_size.bytes());
        let parts = FileParts {
            id: 1,
            file: Arc::new(file),
            log: log.clone(),
            images: store.clone(),
            health: Arc::new(Health::new()),
            double_write: None,
        };
        let file = CachedFile::with_parts(&cache, parts);
        let kind = if is_unique { PageFlags::empty() } else { PageFlags::NON_UNIQUE_KEYS | PageFlags::INDEX };
        let tree = Tree { file, root: ROOT, object: OBJECT, is_unique, kind, is_logged: true };
        make_root(&tree);
        let pages =
            Arc::new(Pages { free: Mutex::default(), next: AtomicU32::new(100), in_use: Mutex::default() });
        Self { _disk: disk, tree, log, store, all: Transactions::new(), pages }
    }

    /// Another empty tree of the database.
    pub(crate) fn another(
        &self,
        root: PageNumber,
        object: ObjectId,
        is_unique: bool,
        kind: PageFlags,
    ) -> Tree {
        let kind = if is_unique { kind } else { kind | PageFlags::NON_UNIQUE_KEYS };
        let tree = Tree { root, object, is_unique, kind, ..self.tree.clone() };
        make_root(&tree);
        tree
    }

    pub(crate) fn session(&self) -> Work {
        let (log, store) = (Some(self.log.clone()), self.store.clone());
        Work::new(log, store, self.pages.clone(), self.all.open().unwrap())
    }

    pub(crate) fn rollback(&self, work: &mut Work) {
        undo::rollback(work, self).unwrap();
    }

    /// Moves some page that the tree has, or had, in a transaction of its own.
    pub(crate) fn move_any(&self, work: &mut Work, rng: &mut SimRng) -> PageMoved {
        let page = {
            let pages = self.pages.in_use.lock();
            let Some(at) = rng.below(1 + pages.len() as u64).checked_sub(1) else {
                return PageMoved::NotThere;
            };
            pages.iter().nth(at as usize).copied().unwrap()
        };
        let new = self.pages.take(&self.tree, page, 1).unwrap()[0];
        work.begin(false).unwrap();
        let moved = move_page(work, &self.tree, page, new).unwrap();
        work.commit(true).unwrap();
        let unused = if moved == PageMoved::Done { page } else { new };
        self.pages.give(&self.tree, &[unused]).unwrap();
        moved
    }

    /// All records that a session sees, by a scan forward.
    pub(crate) fn scan(&self, work: &Work) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = TreeCursor::new(self.tree.clone());
        let mut all = Vec::new();
        while cursor.next(work).unwrap() {
            all.push((cursor.key().to_vec(), cursor.data().to_vec()));
        }
        all
    }

    /// The same backward.
    pub(crate) fn scan_back(&self, work: &Work) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = TreeCursor::new(self.tree.clone());
        cursor.after_last();
        let mut all = Vec::new();
        while cursor.previous(work).unwrap() {
            all.push((cursor.key().to_vec(), cursor.data().to_vec()));
        }
        all.reverse();
        all
    }

    /// The tree as the offline walk, which knows nothing of versions, finds it in the file.
    pub(crate) fn on_disk(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.tree.file.flush().unwrap();
        let file = self.tree.file.file();
        let pages = file.pages().unwrap();
        let tree = ese_format::tree::Tree::new(&pages, ROOT, OBJECT);
        let mut all = Vec::new();
        tree.scan().for_each(|entry| {
            let entry = entry.unwrap();
            all.push((entry.key.to_vec(), entry.data.to_vec()));
            true
        });
        all
    }
}

/// Formats the root page of an empty tree.
fn make_root(tree: &Tree) {
    let mut root = tree.file.fresh(tree.root).unwrap();
    let new = NewPage {
        number: tree.root,
        object: tree.object,
        db_time: tree.file.file().next_db_time(),
        flags: PageFlags::ROOT | PageFlags::LEAF | tree.kind,
        reserved_tags: false,
    };
    root.format(new).unwrap().set_external_header(&[0; 16]).unwrap();
    root.changed(LogPosition::NONE, LogPosition::NONE);
}
