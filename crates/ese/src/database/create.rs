//! A new database, made so that the log alone can make it again.
//!
//! Order of durable actions (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/db.cxx`): the record of the
//! creation is forced before there is a file; the header says "just created" until the record of the end is
//! forced. What recovery finds in between is of no use to anybody, and it deletes it. The rows are not
//! versioned: nobody sees the database before it is complete, and nothing of it is rolled back.

use super::attachments::{Attachment, canonical, entry_of, raise_required};
use super::lifecycle::{Lifecycle, encode, stored_path, turn_dirty};
use crate::apply::{Layout, prepare};
use crate::btree::{self, Tree, Versioning, Work};
use crate::buffer::CachedFile;
use crate::catalog::{CatalogTrees, insert_record};
use crate::dbfile::DbFile;
use crate::error::{Error, JetErr, Result};
use crate::log::Log;
use crate::sync::Arc;
use crate::version::Bookmark;
use ese_format::catalog::{CATALOG_ROOT, SHADOW_OBJECT, SHADOW_ROOT};
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::empty::{self, DEFAULT_PAGES, EmptyDatabase, EmptyRows, LAST_OBJECT};
use ese_format::log::AttachEntry;
use ese_format::log::record::{
    CreateDb, CreateDbFinish, CreateMultipleExtentFdp, CreateSingleExtentFdp, ExtendDb, LogRecord, PagePrefix,
};
use ese_format::page::{Page, PageFlags};
use ese_format::space::Extent;
use ese_format::{DbTime, LogPosition, ObjectId, PageNumber};
use ese_vfs::OpenMode;
use std::path::Path;

/// How to make a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateOptions {
    /// The flags of the call, as its log record keeps them.
    pub grbit: u32,
    /// Limit of its size in pages; 0 for none.
    pub max_pages: u32,
    /// How many pages it has at first.
    pub pages: u32,
    /// An existing file of that name is removed (JET_bitDbOverwriteExisting).
    pub overwrite: bool,
    /// Its changes are logged, if the instance has a log (not JET_bitDbRecoveryOff).
    pub is_logged: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { grbit: 0, max_pages: 0, pages: DEFAULT_PAGES, overwrite: false, is_logged: true }
    }
}

/// The way the database is built, as the record of its creation says: all of it is in the log.
const ALL_IN_LOG: (u16, u16) = (2, 0);

impl Lifecycle<'_> {
    /// Makes a database and attaches it, on behalf of session `session`.
    ///
    /// # Errors
    /// `DatabaseDuplicate` when the file exists or is attached; `DatabaseInvalidPages` for fewer pages than
    /// the catalog takes or more than the limit; `FileAccessDenied` when the file to be replaced is in use;
    /// `DiskFull`; those of paths, files and log. There is no file then, nor an attachment.
    pub fn create(&self, path: &Path, options: CreateOptions, session: u16) -> Result<Arc<Attachment>> {
        let path = canonical(self.disk, path)?;
        self.attachments.check_room(&path)?;
        let least = EmptyDatabase::least_pages(self.page_size);
        let most = if options.max_pages == 0 { PageNumber::MAX.0 } else { options.max_pages };
        if options.pages < least || options.pages > most {
            let sentence = format!("{} pages are not between {least} and {most}", options.pages);
            return Err(Error::new(JetErr::DatabaseInvalidPages, sentence).file(path));
        }
        if self.attachments.by_path(&path).is_some() {
            return Err(Error::new(JetErr::DatabaseDuplicate, "it is attached").file(path));
        }
        self.make_room(&path, options.overwrite)?;
        let id = self.attachments.free_id()?;
        let storage = self.attachments.storage();
        let log = if options.is_logged { self.log } else { None };

        let mut header = DatabaseHeader::new(self.page_size);
        header.signature = self.clock.new_signature();
        header.database_id = u32::from(id);
        header.db_time = DbTime::START;
        header.attach_time = self.clock.now();
        [header.os_major, header.os_minor, header.os_build] = OS_VERSION;
        let mut created_at = LogPosition::NONE;
        let coming = self.attachments.coming(AttachEntry {
            db_time: header.db_time,
            max_pages: options.max_pages,
            ..entry_of(id, &path, header.signature)
        });
        if let Some(log) = log {
            let record = LogRecord::CreateDb(CreateDb {
                session,
                dbid: id,
                grbit: options.grbit,
                max_pages: options.max_pages,
                signature: header.signature,
                flags: CreateDb::UTF16,
                version: Some(ALL_IN_LOG),
                path: stored_path(&path),
            });
            let appended = coming.log(log, encode(&record)?)?;
            log.flush(appended.end)?;
            created_at = appended.start;
            header.log_signature = log.signature();
            header.attach_position = created_at;
            header.min_required = created_at.generation;
            header.min_consistent = created_at.generation;
            raise_required(&mut header, self.attachments.admitted());
        }
        let file = DbFile::create(self.disk, self.clock.clone(), &path, header).map_err(|error| {
            self.log_failure(log, id, &path, session);
            match error.code() {
                JetErr::FileAlreadyExists => error.with_code(JetErr::DatabaseDuplicate),
                _ => error,
            }
        })?;
        let attachment = Attachment::new(storage, id, file, created_at, LogPosition::NONE, options.max_pages);
        attachment.set_creating(true);
        let attachment = self.attachments.insert(attachment);
        drop(coming);
        let filled = self.fill(&attachment, options.pages, session, log);
        if let Err(error) = filled {
            self.attachments.remove(id);
            attachment.pages.discard();
            drop(attachment);
            let _ = self.disk.remove_file(&path);
            self.log_failure(log, id, &path, session);
            return Err(error);
        }
        attachment.set_creating(false);
        Ok(attachment)
    }

    /// Sees to it that there is no file of that name.
    fn make_room(&self, path: &Path, overwrite: bool) -> Result<()> {
        match self.disk.metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(error, "looking for the database", path)),
            Ok(found) if found.is_dir || !overwrite => {
                return Err(Error::new(JetErr::DatabaseDuplicate, "there is a file of that name").file(path));
            }
            Ok(_) => {}
        }
        let old = self
            .disk
            .open(path, OpenMode::Write)
            .map_err(|error| Error::io(error, "opening the database to be replaced", path))?;
        // Whoever has it open shall keep it.
        old.try_lock(true).map_err(|error| Error::io(error, "locking the database to be replaced", path))?;
        self.disk
            .remove_file(path)
            .map_err(|error| Error::io(error, "removing the database to be replaced", path))
    }

    /// Builds what a new database holds, and ends its creation.
    fn fill(&self, attachment: &Arc<Attachment>, pages: u32, session: u16, log: Option<&Log>) -> Result<()> {
        let storage = self.attachments.storage();
        let work_log = if log.is_some() { storage.log() } else { None };
        let transaction = storage.transactions.open()?;
        let mut work = Work::new(work_log, storage.versions.clone(), storage.space.clone(), transaction);
        if let Some(log) = log {
            let record = ExtendDb { dbid: attachment.id, last_page: PageNumber(pages), rest: Vec::new() };
            log.append(&encode(&LogRecord::ExtendDb(record))?)?;
        }
        attachment.file.extend_to(PageNumber(pages))?;
        let builder = Builder { file: &attachment.pages, is_logged: log.is_some() };
        in_transaction(&mut work, |work| builder.root(work, pages))?;
        in_transaction(&mut work, |work| builder.catalog(work))?;
        attachment.file.raise_object_id(LAST_OBJECT);
        let now = self.clock.now();
        if let Some(log) = log {
            let record = CreateDbFinish { session, dbid: attachment.id };
            let finished = log.append(&encode(&LogRecord::CreateDbFinish(record))?)?;
            log.flush(finished.end)?;
        }
        // A file of zeros only is nothing that a backup takes for a database.
        attachment.pages.flush()?;
        attachment.file.update_header(|h| {
            turn_dirty(h, attachment.id, now);
            debug_assert_eq!(h.state, DatabaseState::DirtyShutdown);
            if log.is_some() {
                raise_required(h, self.attachments.admitted());
            }
        })
    }

    /// Says in the log that a database is not there after all. Recovery finds out for itself if that fails.
    fn log_failure(&self, log: Option<&Log>, id: u8, path: &Path, session: u16) {
        if let Some(log) = log {
            let _ = self.log_detach_of(log, id, path, session);
        }
    }
}

/// What the engine says about the system that a database was made on.
const OS_VERSION: [u32; 3] = [6, 2, 9200];

/// Runs a transaction that ends whether it succeeds or not; what it changed stays.
fn in_transaction(work: &mut Work, body: impl FnOnce(&mut Work) -> Result<()>) -> Result<()> {
    work.begin(false)?;
    match body(work) {
        Ok(()) => work.commit(true),
        Err(error) => {
            let _ = work.rolled_back();
            Err(error)
        }
    }
}

/// Builds the trees of a new database, each where it always is.
struct Builder<'a> {
    file: &'a Arc<CachedFile>,
    is_logged: bool,
}

impl Builder<'_> {
    fn tree(&self, root: PageNumber, object: ObjectId, kind: PageFlags) -> Tree {
        Tree { file: self.file.clone(), root, object, is_unique: true, kind, is_logged: self.is_logged }
    }

    /// The database's root, which owns all pages.
    fn root(&self, work: &mut Work, pages: u32) -> Result<()> {
        let tree = self.tree(PageNumber::DATABASE_ROOT, ObjectId(1), PageFlags::empty());
        self.multiple(work, &tree, PageNumber::NONE, pages)
    }

    /// Everything else.
    fn catalog(&self, work: &mut Work) -> Result<()> {
        let page_size = self.file.page_size();
        let plain = PageFlags::empty();
        let root = self.tree(PageNumber::DATABASE_ROOT, ObjectId(1), plain);
        let trees = CatalogTrees::new(self.file, self.is_logged)?;
        self.give(work, &root, &trees.objects, empty::CATALOG_PAGES)?;
        self.multiple(work, &trees.objects, root.root, empty::CATALOG_PAGES)?;
        let shadow = self.tree(SHADOW_ROOT, SHADOW_OBJECT, plain);
        let shadow_pages = empty::shadow_pages(page_size);
        self.give(work, &root, &shadow, shadow_pages)?;
        self.multiple(work, &shadow, root.root, shadow_pages)?;
        for index in [&trees.name, &trees.root_objects] {
            self.give(work, &trees.objects, index, empty::CATALOG_INDEX_PAGES)?;
            self.multiple(work, index, CATALOG_ROOT, empty::CATALOG_INDEX_PAGES)?;
        }
        let last = EmptyDatabase::least_pages(page_size);
        let object_ids = self.tree(PageNumber(last - 1), empty::OBJIDS_OBJECT, plain);
        let locales = self.tree(PageNumber(last), empty::LOCALES_OBJECT, plain);
        for table in [&object_ids, &locales] {
            self.give(work, &root, table, 1)?;
            self.single(work, table, root.root)?;
        }
        let rows = EmptyRows::new(page_size, object_ids.root, locales.root)?;
        for record in &rows.catalog {
            insert_record(work, &trees, record, Versioning::Unversioned)?;
        }
        for (table, rows) in [(object_ids, rows.object_ids), (locales, rows.locales)] {
            for (key, record) in rows {
                btree::insert(work, &table, &key, &record, Versioning::Unversioned)?;
            }
        }
        Ok(())
    }

    /// Takes the first pages of a tree that is to be made from what its parent has available.
    fn give(&self, work: &mut Work, parent: &Tree, new: &Tree, pages: u32) -> Result<()> {
        let kind = parent.kind | PageFlags::SPACE_TREE;
        let available = Tree { root: PageNumber(parent.root.0 + 2), kind, ..parent.clone() };
        let page = self.file.read(available.root)?;
        let node = page.page().node(0)?;
        let (key, extent) = (node.key(), Extent::decode_available(&node.key(), node.data)?);
        drop(page);
        let wrong = || {
            let sentence = format!("page {} is not the next one to be given away", new.root);
            Error::new(JetErr::InternalError, sentence)
        };
        let (_, extent) = extent.ok_or_else(wrong)?;
        let left = extent.pages.checked_sub(pages).ok_or_else(wrong)?;
        if extent.first() != new.root {
            return Err(wrong());
        }
        if left == 0 {
            return btree::remove(work, &available, Bookmark { key: &key, data: &[] });
        }
        let data = Extent { pages: left, ..extent }.data();
        btree::replace(work, &available, &key, &data, Versioning::Unversioned)
    }

    fn prefix(&self, work: &Work, tree: &Tree) -> PagePrefix {
        let after = self.file.file().next_db_time();
        work.page_prefix(tree, tree.root, DbTime::NIL, after)
    }

    fn multiple(&self, work: &mut Work, tree: &Tree, parent: PageNumber, pages: u32) -> Result<()> {
        let record = LogRecord::CreateMultipleExtentFdp(CreateMultipleExtentFdp {
            page: self.prefix(work, tree),
            object: tree.object,
            owned: PageNumber(tree.root.0 + 1),
            available: PageNumber(tree.root.0 + 2),
            parent,
            primary_pages: pages,
            page_flags: tree.kind.bits(),
        });
        self.carry_out(work, tree, &record)
    }

    fn single(&self, work: &mut Work, tree: &Tree, parent: PageNumber) -> Result<()> {
        let record = LogRecord::CreateSingleExtentFdp(CreateSingleExtentFdp {
            page: self.prefix(work, tree),
            object: tree.object,
            parent,
            primary_pages: 1,
            page_flags: tree.kind.bits(),
        });
        self.carry_out(work, tree, &record)
    }

    /// Logs and makes the pages of a new tree.
    fn carry_out(&self, work: &mut Work, tree: &Tree, record: &LogRecord) -> Result<()> {
        // A new database has the oldest format that is written, whose pages do not say what tags they reserve.
        let layout = Layout { page_size: self.file.page_size(), reserved_tags: false };
        let nothing = |_: PageNumber| -> Option<Page<'static>> { None };
        let prepared = prepare(std::slice::from_ref(record), layout, &nothing)?;
        let mut latched = Vec::with_capacity(prepared.pages.len());
        for (number, bytes) in prepared.pages {
            latched.push((self.file.fresh(number)?, bytes));
        }
        let end = work.append(tree, record)?;
        for (mut page, bytes) in latched {
            page.take_over(bytes)?;
            page.changed(work.begin0(), end);
        }
        Ok(())
    }
}
