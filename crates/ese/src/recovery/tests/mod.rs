//! Random transactions of several sessions on real trees of a real instance; the power goes, and what comes
//! back is held against a model. One thread, a simulated disk, a seeded clock: a failure repeats from the
//! numbers in its message.

mod crashes;
mod images;

use crate::btree::{self, Tree, Versioning, Work};
use crate::buffer::PageCache;
use crate::cleanup::{Cleanup, CleanupParts};
use crate::clock::{Clock, SeededClock};
use crate::database::Attachments;
use crate::dbfile::{DbFile, Intent};
use crate::error::{JetErr, Result};
use crate::event::MemorySink;
use crate::log::{Log, LogFiles, LogReader, ReadEvent, ReadOptions};
use crate::params::{ParamId, Parameters};
use crate::raw::{AttachOptions, Environment, InitOptions, Instance, Session, TermOptions};
use crate::space::NewTree;
use crate::sync::Arc;
use crate::undo;
use crate::version::Bookmark;
use ese_format::empty::EmptyDatabase;
use ese_format::page::PageFlags;
use ese_format::tree::Tree as TreeOnDisk;
use ese_format::{LogPosition, ObjectId, PageNumber, PageSize};
use ese_vfs::{Disk, SimDisk, SimRng};
use std::collections::BTreeMap;
use std::path::Path;

const DATABASE: &str = "/data/a.edb";

/// What a run is made with.
#[derive(Debug, Clone, Copy)]
struct Setup {
    seed: u64,
    page_size: PageSize,
    /// Pages of the cache: few, so that pages of open transactions are written.
    cache_pages: usize,
    steps: usize,
}

/// A node of one of the trees: in the first a key stands for one record, in the second key and data do.
type Key = (usize, Vec<u8>, Vec<u8>);
type Model = BTreeMap<Key, Vec<u8>>;

/// What one transaction does to a record.
#[derive(Debug, Clone)]
enum Done {
    Put(Vec<u8>),
    Gone,
    Added(i32),
}

/// The states of the database, one more with each commit.
struct History {
    states: Vec<Model>,
    /// The newest one that was acknowledged as durable.
    durable: usize,
}

impl History {
    fn new(model: Model) -> Self {
        Self { states: vec![model], durable: 0 }
    }

    fn newest(&self) -> &Model {
        self.states.last().unwrap()
    }

    /// A commit is on its way.
    fn commit(&mut self, changes: &BTreeMap<Key, Done>) {
        let mut model = self.newest().clone();
        for (key, done) in changes {
            match done {
                Done::Put(data) => drop(model.insert(key.clone(), data.clone())),
                Done::Gone => drop(model.remove(key)),
                Done::Added(by) => add_to(model.get_mut(key).unwrap(), *by),
            }
        }
        self.states.push(model);
    }
}

fn add_to(data: &mut [u8], by: i32) {
    let number = data.first_chunk_mut::<4>().unwrap();
    *number = i32::from_le_bytes(*number).wrapping_add(by).to_le_bytes();
}

/// A tree as it is named across runs.
#[derive(Debug, Clone, Copy)]
struct Named {
    root: PageNumber,
    object: ObjectId,
    is_unique: bool,
}

/// A disk with a clean database that has the trees and a few records, everything durable.
struct World {
    disk: SimDisk,
    trees: Vec<Named>,
    model: Model,
}

/// Numbers that transactions add to.
const COUNTERS: u8 = 3;

impl World {
    fn new(setup: Setup) -> Self {
        let disk = SimDisk::new(setup.seed);
        let clock = SeededClock::new(setup.seed);
        let mut bytes = Vec::new();
        let append = |_, part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok::<(), ()>(())
        };
        EmptyDatabase::new(setup.page_size, clock.new_signature(), clock.now()).write_to(append).unwrap();
        disk.install(Path::new(DATABASE), &bytes).unwrap();
        let mut engine = Engine::open(&disk, setup, &[]).unwrap();
        let mut work = engine.session();
        work.begin(false).unwrap();
        let parent =
            engine.tree(Named { root: PageNumber::DATABASE_ROOT, object: ObjectId(1), is_unique: true });
        let mut trees = Vec::new();
        for is_unique in [true, false] {
            let kind =
                if is_unique { PageFlags::empty() } else { PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS };
            let new = NewTree { kind, is_unique, pages: 1 };
            let tree = engine.attachments.storage().space.create_tree(&mut work, &parent, new).unwrap();
            trees.push(Named { root: tree.root, object: tree.object, is_unique });
            engine.trees.push(tree);
        }
        let mut model = Model::new();
        for n in 0..COUNTERS {
            let key = vec![0, n];
            btree::insert(&mut work, &engine.trees[0], &key, &[0; 4], Versioning::Versioned).unwrap();
            model.insert((0, key, Vec::new()), vec![0; 4]);
        }
        work.commit(false).unwrap();
        drop(work);
        engine.close();
        Self { disk: disk.crash_keeping(true), trees, model }
    }

    fn start(&self) -> SimDisk {
        self.disk.crash_keeping(true)
    }
}

fn instance(disk: &SimDisk, setup: Setup) -> Instance {
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(setup.seed + disk.operations())),
        events: Arc::new(MemorySink::default()),
        threads: false,
        cache: Some(PageCache::new(setup.cache_pages * setup.page_size.bytes())),
    };
    for folder in ["/log", "/system"] {
        disk.create_dir_all(Path::new(folder)).ok();
    }
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, "/log").unwrap();
    parameters.set_text(ParamId::SystemPath, "/system").unwrap();
    parameters.set_integer(ParamId::LogFileSize, 256).unwrap();
    parameters.set_integer(ParamId::CheckpointDepthMax, 64 << 10).unwrap();
    parameters.set_integer(ParamId::DatabasePageSize, setup.page_size.bytes() as u64).unwrap();
    Instance::new(environment, parameters)
}

/// A running engine with the database attached.
struct Engine {
    instance: Instance,
    session: Session,
    log: Arc<Log>,
    attachments: Arc<Attachments>,
    cleanup: Arc<Cleanup>,
    trees: Vec<Tree>,
}

impl Engine {
    fn open(disk: &SimDisk, setup: Setup, trees: &[Named]) -> Result<Self> {
        let instance = instance(disk, setup);
        instance.init(InitOptions::default())?;
        let session = instance.begin_session()?;
        session.attach(Path::new(DATABASE), AttachOptions::default())?;
        let (log, attachments) = instance.parts()?;
        let storage = attachments.storage();
        let cleanup = Cleanup::new(CleanupParts {
            log: Some(log.clone()),
            versions: storage.versions.clone(),
            transactions: storage.transactions.clone(),
            pages: storage.space.clone(),
            files: attachments.clone(),
        });
        let mut engine = Self { instance, session, log, attachments, cleanup, trees: Vec::new() };
        engine.trees = trees.iter().map(|named| engine.tree(*named)).collect();
        Ok(engine)
    }

    fn tree(&self, named: Named) -> Tree {
        let kind = match named.is_unique {
            true => PageFlags::empty(),
            false => PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS,
        };
        Tree {
            file: self.attachments.by_id(1).unwrap().pages.clone(),
            root: named.root,
            object: named.object,
            is_unique: named.is_unique,
            kind,
            is_logged: true,
        }
    }

    fn session(&self) -> Work {
        let storage = self.attachments.storage();
        let transaction = storage.transactions.open().unwrap();
        Work::new(Some(self.log.clone()), storage.versions.clone(), storage.space.clone(), transaction)
    }

    fn close(self) {
        drop(self.trees);
        drop(self.session);
        self.instance.term(TermOptions::default()).unwrap();
    }
}

/// One session of the random work.
struct Client {
    work: Work,
    /// The database as the transaction began, and what each open level has done.
    begun: Model,
    levels: Vec<BTreeMap<Key, Done>>,
}

impl Client {
    fn done(&self) -> BTreeMap<Key, Done> {
        let mut all = BTreeMap::new();
        self.levels.iter().for_each(|level| merge(&mut all, level.clone()));
        all
    }

    /// The record that is at or behind a key, as the transaction sees it.
    fn near(&self, from: &Key) -> Option<Key> {
        let done = self.done();
        let old = self.begun.range(from..).map(|(key, _)| key);
        let new = done.range(from..).filter(|(_, done)| matches!(done, Done::Put(_))).map(|(key, _)| key);
        let mut all: Vec<_> = old.filter(|key| !matches!(done.get(*key), Some(Done::Gone))).take(1).collect();
        all.extend(new.take(1));
        all.into_iter().min().filter(|key| key.0 == from.0).cloned()
    }
}

/// Later changes on top of earlier ones.
fn merge(into: &mut BTreeMap<Key, Done>, from: BTreeMap<Key, Done>) {
    for (key, done) in from {
        let done = match (into.remove(&key), done) {
            (Some(Done::Added(a)), Done::Added(b)) => Done::Added(a.wrapping_add(b)),
            (Some(Done::Put(mut data)), Done::Added(by)) => {
                add_to(&mut data, by);
                Done::Put(data)
            }
            (_, done) => done,
        };
        into.insert(key, done);
    }
}

/// Whether an operation was carried out; refusals that a model expects or another session causes are none of
/// the errors.
fn carried_out(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.code(),
                JetErr::KeyDuplicate | JetErr::RecordDeleted | JetErr::WriteConflict
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn key(rng: &mut SimRng) -> Vec<u8> {
    let mut key = b"\x7f the same for all/".to_vec();
    key.extend_from_slice(format!("{:06}", rng.below(300)).as_bytes());
    key
}

/// Random work of four sessions until it is done or the disk is.
fn work(engine: &Engine, setup: Setup, history: &mut History) -> Result<()> {
    let mut rng = SimRng::new(setup.seed);
    let mut clients: Vec<_> =
        (0..4).map(|_| Client { work: engine.session(), begun: Model::new(), levels: Vec::new() }).collect();
    let most = setup.page_size.bytes() as u64 / 5;
    for _ in 0..setup.steps {
        if rng.below(12) == 0 {
            engine.instance.step_jobs();
            engine.cleanup.step()?;
        }
        let client = &mut clients[rng.below(4) as usize];
        if client.levels.is_empty() {
            client.work.begin(false)?;
            client.begun = history.newest().clone();
            client.levels.push(BTreeMap::new());
        }
        step(engine, &mut rng, client, most, history)?;
    }
    for mut client in clients {
        while client.work.transaction().level() > 0 {
            undo::rollback(&mut client.work, &*engine.attachments)?;
        }
    }
    Ok(())
}

fn step(
    engine: &Engine,
    rng: &mut SimRng,
    client: &mut Client,
    most: u64,
    history: &mut History,
) -> Result<()> {
    let at = rng.below(2) as usize;
    let tree = &engine.trees[at];
    let k = key(rng);
    let data: Vec<u8> =
        (0..1 + rng.below(if at == 0 { most } else { 3 })).map(|_| rng.below(256) as u8).collect();
    let versioning = Versioning::Versioned;
    let entry = |k: &[u8], data: &[u8]| (at, k.to_vec(), if at == 0 { Vec::new() } else { data.to_vec() });
    let mut did = None;
    match rng.below(100) {
        0..35 => {
            let result = btree::insert(&mut client.work, tree, &k, &data, versioning);
            if carried_out(result)? {
                did = Some((entry(&k, &data), Done::Put(data)));
            }
        }
        35..55 => {
            let near = client.near(&(0, k, Vec::new()));
            if let Some(near) = near
                && carried_out(btree::replace(
                    &mut client.work,
                    &engine.trees[0],
                    &near.1,
                    &data,
                    versioning,
                ))?
            {
                did = Some((near, Done::Put(data)));
            }
        }
        55..70 => {
            if let Some(near) = client.near(&entry(&k, &[])) {
                let bookmark = Bookmark { key: &near.1, data: &near.2 };
                if carried_out(btree::delete(&mut client.work, tree, bookmark))? {
                    did = Some((near, Done::Gone));
                }
            }
        }
        70..76 => {
            let key = vec![0, rng.below(COUNTERS.into()) as u8];
            let by = rng.below(1000) as i32 - 500;
            let bookmark = Bookmark { key: &key, data: &[] };
            let added =
                btree::add(&mut client.work, &engine.trees[0], bookmark, 0, by.into(), false, versioning);
            if carried_out(added.map(drop))? {
                did = Some(((0, key, Vec::new()), Done::Added(by)));
            }
        }
        76..82 if client.levels.len() < 4 => {
            client.work.begin(false)?;
            client.levels.push(BTreeMap::new());
        }
        82..94 if client.levels.len() > 1 => {
            client.work.commit(true)?;
            let level = client.levels.pop().unwrap();
            merge(client.levels.last_mut().unwrap(), level);
        }
        82..94 => {
            let is_lazy = rng.below(3) > 0;
            let changes = client.levels.pop().unwrap();
            history.commit(&changes);
            client.work.commit(is_lazy)?;
            if !is_lazy && !changes.is_empty() {
                history.durable = history.states.len() - 1;
            }
        }
        94..100 => {
            undo::rollback(&mut client.work, &*engine.attachments)?;
            client.levels.pop();
        }
        _ => {}
    }
    if let Some((key, done)) = did {
        merge(client.levels.last_mut().unwrap(), BTreeMap::from([(key, done)]));
    }
    Ok(())
}

/// What the trees of a database at rest hold, read without the engine that wrote it.
fn content(disk: &SimDisk, trees: &[Named]) -> Model {
    let file = DbFile::open(disk, Arc::new(SeededClock::new(1)), Path::new(DATABASE), Intent::Read).unwrap();
    assert!(file.header().is_clean());
    let pages = file.pages().unwrap();
    let mut model = Model::new();
    for (at, named) in trees.iter().enumerate() {
        let mut last: Option<Vec<u8>> = None;
        TreeOnDisk::new(&pages, named.root, named.object).scan().for_each(|entry| {
            let entry = entry.unwrap();
            assert!(last.as_ref().is_none_or(|last| last[..] <= *entry.key), "order");
            last = Some(entry.key.to_vec());
            let data = if named.is_unique { Vec::new() } else { entry.data.to_vec() };
            model.insert((at, entry.key.to_vec(), data), entry.data.to_vec());
            true
        });
    }
    model
}

/// How many records of a type the logs of a disk have.
fn count(disk: &SimDisk, name: &str) -> usize {
    let files = LogFiles::probe(Arc::new(disk.clone()), "/log", "edb", true, true).unwrap();
    let first = files.archives().unwrap().first().map(|archive| archive.generation);
    let first = first.unwrap_or(ese_format::Generation::FIRST);
    let mut reader = LogReader::open(files, LogPosition::start_of(first), ReadOptions::default()).unwrap();
    let mut count = 0;
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(raw) = event {
            count += usize::from(raw.decode().unwrap().name() == name);
        }
    }
    count
}
