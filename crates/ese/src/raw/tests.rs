//! Trees of an initialised instance, through its end and a new beginning.

use super::running::Running;
use super::{AttachOptions, Environment, InitOptions, Instance, TermOptions};
use crate::btree::{self, Tree, TreeCursor, Versioning, Work};
use crate::catalog::{NewColumn, NewTable};
use crate::clock::SeededClock;
use crate::event::TracingSink;
use crate::params::{ParamId, Parameters};
use crate::space::NewTree;
use crate::sync::Arc;
use crate::version::Bookmark;
use ese_format::column::ColumnType;
use ese_format::empty::EmptyDatabase;
use ese_format::page::PageFlags;
use ese_format::{LogTime, ObjectId, PageNumber, PageSize, Signature};
use ese_vfs::SimDisk;
use std::path::Path;

const PATH: &str = "/db/a.edb";

fn parameters() -> Parameters {
    let mut parameters = Parameters::new();
    for (id, value) in [(ParamId::LogFilePath, "/log"), (ParamId::SystemPath, "/log")] {
        parameters.set_text(id, value).unwrap();
    }
    parameters.set_integer(ParamId::CreatePathIfNotExist, 1).unwrap();
    parameters.set_integer(ParamId::DatabasePageSize, 8192).unwrap();
    parameters
}

fn disk() -> SimDisk {
    let disk = SimDisk::new(9);
    let page_size = PageSize::from_bytes(8192).unwrap();
    let signature = Signature { random: 5, ..Signature::NONE };
    let empty = EmptyDatabase::new(page_size, signature, LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6));
    let encoded = empty.encode().unwrap();
    let mut bytes = encoded.header.encode().repeat(2);
    bytes.resize((encoded.page_count as usize + 2) * page_size.bytes(), 0);
    for (number, page) in &encoded.pages {
        let at = number.file_offset(page_size) as usize;
        bytes[at..at + page.len()].copy_from_slice(page);
    }
    disk.install(Path::new(PATH), &bytes).unwrap();
    disk
}

fn start(disk: &SimDisk, threads: bool) -> Instance {
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(4)),
        events: Arc::new(TracingSink),
        threads,
        cache: None,
    };
    let instance = Instance::new(environment, parameters());
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    instance
}

fn work(running: &Running) -> Work {
    let storage = running.attachments.storage();
    let transaction = storage.transactions.open().unwrap();
    Work::new(
        running.log.clone(),
        storage.versions.clone(),
        running.attachments.storage().space.clone(),
        transaction,
    )
}

fn tree_of(running: &Running, root: PageNumber, object: ObjectId) -> Tree {
    let attachment = running.attachments.by_path(Path::new(PATH)).unwrap();
    let kind = PageFlags::empty();
    Tree { file: attachment.pages.clone(), root, object, is_unique: true, kind, is_logged: true }
}

fn records(work: &Work, tree: &Tree) -> usize {
    let mut cursor = TreeCursor::new(tree.clone());
    let mut count = 0;
    while cursor.next(work).unwrap() {
        count += 1;
    }
    count
}

fn pages_give_way_to_cleanup(threads: bool) {
    let disk = disk();
    let instance = start(&disk, threads);
    let running = instance.running().unwrap();
    let mut session = work(&running);
    session.begin(false).unwrap();
    let parent = tree_of(&running, PageNumber::DATABASE_ROOT, ObjectId(1));
    let new = NewTree { kind: PageFlags::empty(), is_unique: true, pages: 1 };
    let tree = running.attachments.storage().space.create_tree(&mut session, &parent, new).unwrap();
    session.commit(false).unwrap();
    for round in 0..4 {
        session.begin(false).unwrap();
        for n in 0u32..3000 {
            btree::insert(&mut session, &tree, &n.to_be_bytes(), &[round; 100], Versioning::Versioned)
                .unwrap();
        }
        session.commit(true).unwrap();
        session.begin(false).unwrap();
        for n in 0u32..3000 {
            if round < 3 || n % 2 == 0 {
                let key = n.to_be_bytes();
                btree::delete(&mut session, &tree, Bookmark { key: &key, data: &[] }).unwrap();
            }
        }
        session.commit(true).unwrap();
        if !threads {
            (0..30).for_each(|_| instance.step_jobs());
        }
    }
    session.begin(true).unwrap();
    assert_eq!(records(&session, &tree), 1500);
    drop(session);
    // 3000 records fill some forty pages.
    let owned = running.attachments.storage().space.space_of(&tree).unwrap().owned;
    assert!(owned < 200, "{owned} pages");
    let (root, object) = (tree.root, tree.object);
    drop((tree, parent, running));
    instance.term(TermOptions::default()).unwrap();

    let instance = start(&disk, threads);
    let running = instance.running().unwrap();
    let tree = tree_of(&running, root, object);
    let mut session = work(&running);
    session.begin(true).unwrap();
    assert_eq!(records(&session, &tree), 1500);
    assert_eq!(running.attachments.storage().versions.waiting(), 0);
    // Cleanup removed every deleted node before the database was detached.
    let file = tree.file.file().clone();
    let pages = file.pages().unwrap();
    let mut nodes = 0;
    ese_format::tree::Tree::new(&pages, root, object).scan().with_deleted().for_each(|entry| {
        nodes += usize::from(entry.is_ok());
        true
    });
    assert_eq!(nodes, 1500);
    session.commit(true).unwrap();
    drop((session, tree, running));
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn an_instance_cleans_up_in_the_background_and_before_it_ends() {
    pages_give_way_to_cleanup(true);
}

#[test]
fn an_instance_without_threads_cleans_up_in_steps() {
    pages_give_way_to_cleanup(false);
}

/// Nothing is kept of tables that are gone, whether they were deleted or never committed, nor when somebody whose
/// snapshot is older looks at them in between.
#[test]
fn deleted_tables_are_forgotten() {
    let disk = disk();
    let instance = start(&disk, false);
    let (session, reader) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    let (database, theirs) = (session.open(Path::new(PATH)).unwrap(), reader.open(Path::new(PATH)).unwrap());
    let columns = [NewColumn::new("number", ColumnType::Long)];
    for turn in 0..120 {
        let name = format!("T{turn}");
        session.begin_transaction(false).unwrap();
        database.create_table(&NewTable { name: &name, columns: &columns, ..NewTable::default() }).unwrap();
        drop(database.open_table(&name).unwrap());
        if turn % 3 == 0 {
            session.rollback_transaction(false).unwrap();
        } else {
            session.commit_transaction(true).unwrap();
            reader.begin_transaction(true).unwrap();
            database.delete_table(&name).unwrap();
            drop(theirs.open_table(&name).unwrap());
            instance.step_jobs();
            reader.commit_transaction(true).unwrap();
        }
        instance.step_jobs();
    }
    let running = instance.running().unwrap();
    let attachment = running.attachments.by_path(Path::new(PATH)).unwrap();
    let kept = running.schema(&attachment).unwrap().kept();
    // Those of the engine, and what the last turns left.
    assert!(kept < 10, "{kept}");
    drop((attachment, running, database, theirs, session, reader));
    instance.term(TermOptions::default()).unwrap();
}
