//! The power goes while trees are created, grow and are deleted: after recovery every page is one thing.

use super::*;
use crate::btree::{PageSource, Tree, Versioning, Work, insert};
use crate::clock::{Clock, SeededClock};
use crate::database::Attachment;
use crate::event::MemorySink;
use crate::params::{ParamId, Parameters};
use crate::space::{NewTree, Space};
use crate::sync::{Arc, Mutex};
use crate::{JetErr, Result};
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::empty::{EmptyDatabase, LAST_OBJECT};
use ese_format::page::{Page, PageFlags};
use ese_format::space::{SpaceKind, read_space};
use ese_format::tree::{FileImage, PageRead};
use ese_format::{ObjectId, PageNumber, PageSize};
use ese_vfs::{Disk, SimDisk, SimRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PATH: &str = "/data/a.edb";

fn world(size: PageSize, seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let clock = SeededClock::new(seed);
    let empty = EmptyDatabase::new(size, clock.new_signature(), clock.now());
    let mut bytes = Vec::new();
    let append = |_, part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok::<(), ()>(())
    };
    empty.write_to(append).unwrap();
    disk.install(Path::new(PATH), &bytes).unwrap();
    for folder in ["/log", "/system"] {
        disk.create_dir_all(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash_keeping(true)
}

fn instance(disk: &SimDisk, size: PageSize, seed: u64) -> Instance {
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(seed)),
        events: Arc::new(MemorySink::default()),
        threads: false,
        cache: None,
    };
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, "/log").unwrap();
    parameters.set_text(ParamId::SystemPath, "/system").unwrap();
    parameters.set_integer(ParamId::LogFileSize, 128).unwrap();
    parameters.set_integer(ParamId::CircularLog, 1).unwrap();
    parameters.set_integer(ParamId::DbExtensionSize, 12).unwrap();
    parameters.set_integer(ParamId::DatabasePageSize, size.bytes() as u64).unwrap();
    Instance::new(environment, parameters)
}

/// One database of a running instance.
struct Bench {
    instance: Instance,
    _session: Session,
    attachment: Arc<Attachment>,
    space: Arc<Space>,
}

impl Bench {
    fn new(disk: &SimDisk, size: PageSize, seed: u64) -> Result<Self> {
        let instance = instance(disk, size, seed);
        instance.init(InitOptions::default())?;
        instance.step_jobs();
        let session = instance.begin_session()?;
        session.attach(Path::new(PATH), AttachOptions::default())?;
        let running = instance.running()?;
        let attachment = running.attachments.all().remove(0);
        let space = running.attachments.storage().space.clone();
        Ok(Self { instance, _session: session, attachment, space })
    }

    fn work(&self) -> Result<Work> {
        let running = self.instance.running()?;
        let storage = running.attachments.storage();
        Ok(Work::new(
            storage.log(),
            storage.versions.clone(),
            self.space.clone(),
            storage.transactions.open()?,
        ))
    }

    fn root(&self) -> Tree {
        Tree {
            file: self.attachment.pages.clone(),
            root: PageNumber::DATABASE_ROOT,
            object: ObjectId(1),
            is_unique: true,
            kind: PageFlags::empty(),
            is_logged: true,
        }
    }

    /// Random requests until something fails. `deleted` gets the objects that must not be there any more, or
    /// half deleted.
    fn requests(&self, seed: u64, count: u32, deleted: &Mutex<BTreeSet<ObjectId>>) -> Result<()> {
        let mut rng = SimRng::new(seed);
        let root = self.root();
        let mut tables: Vec<Tree> = Vec::new();
        let mut indexes: Vec<Tree> = Vec::new();
        let mut taken: Vec<(Tree, Vec<PageNumber>)> = Vec::new();
        let mut work = self.work()?;
        for n in 0..count {
            let at = rng.below(tables.len().max(1) as u64) as usize;
            match rng.below(20) {
                _ if tables.is_empty() => tables.push(self.create(&mut work, &root, &mut rng)?),
                0 => tables.push(self.create(&mut work, &root, &mut rng)?),
                1 => indexes.push(self.create(&mut work, &tables[at], &mut rng)?),
                2 if indexes.len() > 1 => {
                    let gone = indexes.remove(rng.below(indexes.len() as u64) as usize);
                    taken.retain(|(tree, _)| tree.root != gone.root);
                    deleted.lock().insert(gone.object);
                    self.space.delete_tree(&gone)?;
                }
                3..6 => {
                    let tree = indexes.last().unwrap_or(&tables[at]);
                    let count = 1 + rng.below(9) as usize;
                    taken.push((tree.clone(), self.space.take(tree, PageNumber::NONE, count)?));
                }
                6..9 if !taken.is_empty() => {
                    let (tree, pages) = taken.swap_remove(rng.below(taken.len() as u64) as usize);
                    self.space.give(&tree, &pages)?;
                }
                9 => self.instance.step_jobs(),
                18 => drop(self.space.shrink(&root)?),
                10 => self.attachment.pages.flush()?,
                _ => {
                    work.begin(false)?;
                    for more in 0..4 {
                        let key = (n * 4 + more).wrapping_mul(0x9E37_79B1).to_be_bytes();
                        insert(&mut work, &tables[at], &key, &[3; 300], Versioning::Unversioned)?;
                    }
                    work.commit(rng.below(3) > 0)?;
                }
            }
        }
        Ok(())
    }

    /// The file grows, shrinks, and grows again; returns how many pages it lost.
    fn grow_and_shrink(&self, deleted: &Mutex<BTreeSet<ObjectId>>) -> Result<u32> {
        let (root, mut work) = (self.root(), self.work()?);
        let mut cut = 0;
        for round in 0u64..3 {
            let mut rng = SimRng::new(round);
            let tree = self.create(&mut work, &root, &mut rng)?;
            let pages = self.space.take(&tree, PageNumber::NONE, 300)?;
            work.begin(false)?;
            for n in 0u32..60 {
                insert(&mut work, &tree, &n.to_be_bytes(), &[5; 400], Versioning::Unversioned)?;
            }
            work.commit(round == 1)?;
            self.instance.step_jobs();
            self.space.give(&tree, &pages)?;
            if round == 1 {
                self.attachment.pages.flush()?;
            }
            deleted.lock().insert(tree.object);
            self.space.delete_tree(&tree)?;
            cut += self.space.shrink(&root)?;
        }
        Ok(cut)
    }

    fn create(&self, work: &mut Work, parent: &Tree, rng: &mut SimRng) -> Result<Tree> {
        let new = NewTree { kind: PageFlags::empty(), is_unique: true, pages: 1 + rng.below(4) as u32 };
        work.begin(false)?;
        let tree = self.space.create_tree(work, parent, new)?;
        work.commit(true)?;
        Ok(tree)
    }
}

/// Checks a database that was detached in order. Pages may be lost, for what was in flight, or taken by this
/// test, and in no tree; none may be two things.
fn check(disk: &SimDisk, size: PageSize, deleted: &BTreeSet<ObjectId>, situation: &str) {
    let bytes = disk.content(Path::new(PATH)).unwrap();
    let header = DatabaseHeader::decode(&bytes).unwrap();
    assert_eq!(header.state, DatabaseState::CleanShutdown, "{situation}");
    let pages = FileImage::new(&bytes, size);
    let last = ese_format::space::last_owned_page(&pages).unwrap();
    assert!(last.0 <= pages.page_count(), "{situation}: the file ends before page {last}");
    let least = EmptyDatabase::least_pages(size);
    let mut roots = [1, 4, 7, 10, 24, least - 1, least].map(PageNumber).to_vec();
    let mut reachable = BTreeMap::new();
    for number in (1..=last.0).map(PageNumber) {
        // Never written is no damage, a checksum that is wrong is.
        let Ok(content) = pages.read(number) else {
            assert!(pages.raw(number).unwrap().iter().all(|byte| *byte == 0), "{situation}: page {number}");
            continue;
        };
        let page = Page::new(&content, size).unwrap();
        let is_tree = page.is_root() && !page.flags().contains(PageFlags::SPACE_TREE);
        if is_tree && page.object() > LAST_OBJECT && !deleted.contains(&page.object()) {
            reachable.insert(page.object(), number);
        }
    }
    roots.extend(reachable.values());
    let spaces: BTreeMap<_, _> =
        roots.iter().map(|root| (*root, read_space(&pages, *root).unwrap())).collect();
    for (root, space) in &spaces {
        let mut owned: BTreeSet<u32> = BTreeSet::new();
        for extent in &space.owned {
            for page in extent.first().0..=extent.last.0 {
                assert!(owned.insert(page), "{situation}: page {page} is owned twice by tree {root}");
            }
        }
        let mut use_page = |page: u32, what: &str| {
            let is_owned_once = owned.remove(&page);
            assert!(is_owned_once, "{situation}: page {page} of tree {root}, {what}, is something else too");
        };
        let mut trees = vec![*root];
        if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
            trees.extend([owned_root, PageNumber(owned_root.0 + 1)]);
        }
        for tree in trees {
            let mut walk = ese_format::tree::Tree::new(&pages, tree, space.object).walk();
            while let Some(step) = walk.advance() {
                use_page(step.unwrap().page.0, "in a tree");
            }
        }
        let buffers = space.owned_buffers.extents().chain(space.available_buffers.extents());
        let children = spaces.values().filter(|child| child.fields.space.parent == *root);
        let children = children.flat_map(|child| child.owned.iter().copied());
        for (extents, what) in [
            (buffers.collect::<Vec<_>>(), "in a buffer"),
            (space.available.iter().map(|(_, extent)| *extent).collect(), "available"),
            (children.collect(), "of a child"),
        ] {
            for extent in extents {
                (extent.first().0..=extent.last.0).for_each(|page| use_page(page, what));
            }
        }
    }
}

fn recover(disk: &SimDisk, size: PageSize) -> Result<()> {
    let instance = instance(disk, size, 100);
    instance.init(InitOptions::default())?;
    instance.term(TermOptions::default())
}

/// A life of an instance: random requests, or growing and shrinking.
type Life = dyn Fn(&Bench, u64, &Mutex<BTreeSet<ObjectId>>) -> Result<()>;

fn cut(size: PageSize, seed: u64, points: u64, life: &Life) {
    let original = world(size, seed);
    let whole = original.crash_keeping(true);
    let deleted = Mutex::new(BTreeSet::new());
    let bench = Bench::new(&whole, size, seed).unwrap();
    life(&bench, seed, &deleted).unwrap();
    let length = whole.operations();
    drop(bench);
    for point in 0..points {
        let disk = original.crash_keeping(true);
        disk.cut_after(length * point / points);
        let deleted = Mutex::new(BTreeSet::new());
        let ended = Bench::new(&disk, size, seed).and_then(|bench| life(&bench, seed, &deleted));
        if let Err(error) = &ended {
            assert_ne!(error.code(), JetErr::InternalError, "{error}");
        }
        for crash in 0..2 {
            let situation = format!("{size:?}, seed {seed}: cut at {point} of {points}, crash {crash}");
            let found = disk.crash(point * 10 + crash);
            recover(&found, size).unwrap_or_else(|error| panic!("{situation}: {error}"));
            check(&found, size, &deleted.lock(), &situation);
            // Life goes on with what is left.
            if crash == 0 {
                let again = Mutex::new(deleted.lock().clone());
                let bench = Bench::new(&found, size, seed + 1).unwrap();
                bench.requests(seed + 1, 30, &again).unwrap();
                let Bench { instance, _session: session, .. } = bench;
                drop(session);
                instance.term(TermOptions::default()).unwrap();
                check(&found, size, &again.lock(), &format!("{situation}, and a second life"));
            }
        }
    }
}

#[test]
fn after_a_crash_no_page_is_two_things() {
    for (size, seed, requests, points) in
        [(PageSize::K2, 1, 160, 40), (PageSize::K4, 2, 120, 25), (PageSize::K32, 3, 80, 12)]
    {
        cut(size, seed, points, &move |bench, seed, deleted| bench.requests(seed, requests, deleted));
    }
}

#[test]
fn a_file_may_shrink_before_a_crash() {
    for (size, seed, points) in [(PageSize::K2, 4, 50), (PageSize::K8, 5, 30)] {
        cut(size, seed, points, &|bench, _, deleted| {
            let cut = bench.grow_and_shrink(deleted)?;
            assert!(cut > 300, "{cut} pages");
            Ok(())
        });
    }
}
