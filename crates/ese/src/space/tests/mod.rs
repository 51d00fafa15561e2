//! Space on the simulated disk, held against the rule that every page is exactly one thing.

use super::*;
use crate::btree::{Versioning, Work, insert};
use crate::buffer::{CachedFile, FileParts, Health, PageCache};
use crate::clock::SeededClock;
use crate::dbfile::{DbFile, Intent};
use crate::error::JetErr;
use crate::log::{LogConfig, NoHooks};
use ese_format::empty::EmptyDatabase;
use ese_format::page::PageFlags;
use ese_format::space::{SpaceKind, read_space};
use ese_format::tree::PageRead;
use ese_format::{LogTime, ObjectId, PageSize, Signature};
use ese_vfs::{Disk, SimDisk};
use std::collections::BTreeMap;
use std::path::Path;

mod files;
mod moves;
mod order;
mod random;
mod samples;
mod threads;

const PATH: &str = "/a.edb";

/// An engine with one new database.
struct Bench {
    disk: SimDisk,
    file: Arc<CachedFile>,
    log: Arc<Log>,
    store: Arc<VersionStore>,
    all: Arc<Transactions>,
    space: Arc<Space>,
    /// The roots of an empty database.
    system: Vec<PageNumber>,
    is_logged: bool,
}

impl Bench {
    fn new(page_size: PageSize, growth: Growth, cache_pages: usize) -> Self {
        let signature = Signature { random: 5, ..Signature::NONE };
        let empty = EmptyDatabase::new(page_size, signature, LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6));
        let mut bytes = Vec::new();
        let append = |_, part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok::<(), ()>(())
        };
        empty.write_to(append).unwrap();
        let least = EmptyDatabase::least_pages(page_size);
        let system = [1, 4, 7, 10, 24, least - 1, least].map(PageNumber).to_vec();
        Self::of(&bytes, system, growth, cache_pages * page_size.bytes())
    }

    /// With an existing database, all of whose roots are known.
    fn of(bytes: &[u8], system: Vec<PageNumber>, growth: Growth, cache_bytes: usize) -> Self {
        let disk = SimDisk::new(3);
        disk.install(Path::new(PATH), bytes).unwrap();
        let log = Arc::new(Log::create(log_config(&disk), Arc::new(NoHooks)).unwrap());
        let store = VersionStore::new(64 << 20);
        store.set_log(Some(log.clone()));
        let file =
            DbFile::open(&disk, Arc::new(SeededClock::new(1)), Path::new(PATH), Intent::Write).unwrap();
        let parts = FileParts {
            id: 1,
            file: Arc::new(file),
            log: log.clone(),
            images: store.clone(),
            health: Arc::new(Health::new()),
            double_write: None,
        };
        let file = CachedFile::with_parts(&PageCache::new(cache_bytes), parts);
        let all = Transactions::new();
        let space = Space::new(store.clone(), all.clone(), growth);
        space.set_log(Some(log.clone()));
        Self { disk, file, log, store, all, space, system, is_logged: true }
    }

    /// Without a log for the database.
    fn unlogged(self) -> Self {
        self.space.set_log(None);
        Self { is_logged: false, ..self }
    }

    fn log_config(&self) -> LogConfig {
        log_config(&self.disk)
    }

    fn session(&self) -> Work {
        let log = self.is_logged.then(|| self.log.clone());
        let store = self.store.clone();
        Work::new(log, store, self.space.clone(), self.all.open().unwrap())
    }

    /// The root of the database.
    fn root(&self) -> Tree {
        Tree {
            file: self.file.clone(),
            root: PageNumber::DATABASE_ROOT,
            object: ObjectId(1),
            is_unique: true,
            kind: PageFlags::empty(),
            is_logged: self.is_logged,
        }
    }

    fn create(&self, parent: &Tree, new: NewTree) -> Result<Tree> {
        let mut work = self.session();
        work.begin(false).unwrap();
        let tree = self.space.create_tree(&mut work, parent, new);
        work.commit(true).unwrap();
        tree
    }

    /// Checks that every page is exactly one thing. `taken` are pages of trees (by root) that are in use and in
    /// no tree.
    fn check(&self, trees: &[Tree], taken: &BTreeMap<PageNumber, Vec<PageNumber>>) {
        self.file.flush().unwrap();
        let pages = self.file.file().pages().unwrap();
        let roots: Vec<PageNumber> =
            self.system.iter().copied().chain(trees.iter().map(|tree| tree.root)).collect();
        check_partition(&pages, &roots, taken);
    }
}

fn log_config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb")
}

/// A table with a first extent.
fn table(pages: u32) -> NewTree {
    NewTree { kind: PageFlags::empty(), is_unique: true, pages }
}

fn index(pages: u32) -> NewTree {
    NewTree { kind: PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS, is_unique: false, pages }
}

/// The rule of `database-file.md` 5.7, exactly.
fn check_partition(
    pages: &impl PageRead,
    roots: &[PageNumber],
    taken: &BTreeMap<PageNumber, Vec<PageNumber>>,
) {
    let spaces: BTreeMap<_, _> =
        roots.iter().map(|root| (*root, read_space(&pages, *root).unwrap())).collect();
    assert_eq!(spaces.len(), roots.len(), "a root twice");
    for (root, space) in &spaces {
        let mut owned: Vec<u32> = Vec::new();
        for extent in &space.owned {
            owned.extend(extent.first().0..=extent.last.0);
        }
        let mut used: Vec<u32> = Vec::new();
        let mut walk = |root: PageNumber| {
            let mut walk = ese_format::tree::Tree::new(pages, root, space.object).walk();
            while let Some(step) = walk.advance() {
                used.push(step.unwrap().page.0);
            }
        };
        walk(*root);
        if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
            walk(owned_root);
            walk(PageNumber(owned_root.0 + 1));
        }
        let buffers = space.owned_buffers.extents().chain(space.available_buffers.extents());
        for extent in buffers.chain(space.available.iter().map(|(_, extent)| *extent)) {
            used.extend(extent.first().0..=extent.last.0);
        }
        for child in spaces.values().filter(|child| child.fields.space.parent == *root) {
            for extent in &child.owned {
                used.extend(extent.first().0..=extent.last.0);
            }
        }
        used.extend(taken.get(root).into_iter().flatten().map(|page| page.0));
        owned.sort_unstable();
        used.sort_unstable();
        assert_eq!(used, owned, "tree {root}");
    }
}
