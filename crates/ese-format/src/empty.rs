//! A new database: its header and the pages of the empty catalog.
//!
//! What stands on which page is the engine's own layout of format 1568.20; the rows and entries are, byte for
//! byte, those that Windows writes (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/cat.cxx).

mod build;
mod content;

use crate::catalog::{CATALOG_OBJECT, CATALOG_ROOT, SHADOW_OBJECT, SHADOW_ROOT};
use crate::database::{DatabaseHeader, DatabaseState};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::page::PageFlags;
use crate::primitives::{DbTime, LogTime, ObjectId, PageNumber, PageSize, Signature};
use crate::space::{Extent, SpaceFlags, SpaceHeader};
use build::Builder;

/// The usable pages of a new database unless it is told otherwise: 256 with the two header pages.
pub const DEFAULT_PAGES: u32 = 254;

/// The highest object id of an empty database.
pub const LAST_OBJECT: ObjectId = ObjectId(7);

/// The rows of the tables of an empty database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyRows {
    /// The records of MSysObjects and, the same again, of its shadow, in the order of their keys.
    pub catalog: Vec<Vec<u8>>,
    /// Keys and records of MSysObjids.
    pub object_ids: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys and records of MSysLocales.
    pub locales: Vec<(Vec<u8>, Vec<u8>)>,
}

impl EmptyRows {
    /// The rows, given where the two tables have their roots whose place is not fixed.
    ///
    /// # Errors
    /// None that can happen: the rows are small.
    pub fn new(page_size: PageSize, objids_root: PageNumber, locales_root: PageNumber) -> Result<Self> {
        let rows = content::catalog_rows(page_size, objids_root, locales_root)?;
        let pairs = |entries: Vec<build::Entry>| entries.into_iter().map(|e| (e.key, e.data)).collect();
        Ok(Self {
            catalog: content::clustered_entries(&rows).into_iter().map(|entry| entry.data).collect(),
            object_ids: pairs(content::object_id_rows(page_size)?),
            locales: pairs(content::locale_rows(page_size)?),
        })
    }
}

/// The time of all pages of an empty database, and of its header.
const DB_TIME: DbTime = DbTime(DbTime::START.0 + 1);

/// The object id of the index "Name" of MSysObjects.
pub const NAME_OBJECT: ObjectId = ObjectId(4);
/// The root page of the index "Name" of MSysObjects.
pub const NAME_ROOT: PageNumber = PageNumber(7);
/// The object id of the index "RootObjects" of MSysObjects.
pub const ROOT_OBJECTS_OBJECT: ObjectId = ObjectId(5);
/// The root page of the index "RootObjects" of MSysObjects.
pub const ROOT_OBJECTS_ROOT: PageNumber = PageNumber(10);
/// The object id of MSysObjids in a new database.
pub const OBJIDS_OBJECT: ObjectId = content::OBJIDS_OBJECT;
/// The object id of MSysLocales in a new database.
pub const LOCALES_OBJECT: ObjectId = content::LOCALES_OBJECT;
/// The catalog's first extent: pages 4 to 23.
pub const CATALOG_PAGES: u32 = 20;
/// The first extent of each index of the catalog.
pub const CATALOG_INDEX_PAGES: u32 = 3;
/// The first page of the catalog's extent that no root takes.
const CATALOG_FIRST_FREE: PageNumber = PageNumber(13);
/// How many pages the index "Name" gets when one page is not enough for it.
const NAME_GROWTH: u32 = 4;
/// The kind flags of pages of a table's own tree: none.
const TABLE: PageFlags = PageFlags::empty();

/// What an empty database is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyDatabase {
    /// The page size.
    pub page_size: PageSize,
    /// Usable pages, the two header pages not counted.
    pub pages: u32,
    /// The identity of the new database.
    pub signature: Signature,
    /// The log stream it belongs to; [`Signature::NONE`] without one.
    pub log_signature: Signature,
    /// When it is made.
    pub time: LogTime,
    /// Major version, minor version and build of the operating system to stamp into the header.
    pub os_version: [u32; 3],
}

/// A new database in bytes. Pages that are not listed are zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The header, in state "clean shutdown".
    pub header: DatabaseHeader,
    /// The pages with content, checksums stored, in page order.
    pub pages: Vec<(PageNumber, Vec<u8>)>,
    /// Usable pages, those of zeros included.
    pub page_count: u32,
}

impl EmptyDatabase {
    /// An empty database of the usual size that belongs to no log stream.
    pub const fn new(page_size: PageSize, signature: Signature, time: LogTime) -> Self {
        Self {
            page_size,
            pages: DEFAULT_PAGES,
            signature,
            log_signature: Signature::NONE,
            time,
            os_version: [6, 2, 9200],
        }
    }

    /// The least number of usable pages for that page size.
    pub const fn least_pages(page_size: PageSize) -> u32 {
        SHADOW_ROOT.0 - 1 + shadow_pages(page_size) + 2
    }

    /// Encodes header and pages.
    ///
    /// # Errors
    /// `TooLarge` when fewer pages are wanted than the catalog takes, or more than a database can have.
    pub fn encode(&self) -> Result<Encoded> {
        let size = self.page_size;
        let least = Self::least_pages(size);
        if self.pages < least || self.pages > PageNumber::MAX.0 {
            return Err(FormatError::new(
                FormatErrorKind::TooLarge,
                format!("a database of {} pages cannot be made, the least is {least}", self.pages),
            ));
        }
        let mut builder = Builder::new(size, DB_TIME);
        let root = PageNumber::DATABASE_ROOT;
        let objids_root = PageNumber(least - 1);
        let locales_root = PageNumber(least);

        // The database's root owns everything; what the trees below do not take is available.
        let everything = Extent::new(root, self.pages);
        let space = SpaceHeader::new_multiple(PageNumber::NONE, self.pages, false, PageNumber(root.0 + 1));
        builder.tree(root, ObjectId(1), TABLE, space, &[], &[])?;
        let free = Extent { last: everything.last, pages: self.pages - least };
        builder.space(root, ObjectId(1), TABLE, &[everything], &[free])?;

        let rows = content::catalog_rows(size, objids_root, locales_root)?;
        let taken = Self::catalog(&mut builder, &rows)?;
        Self::name_index(&mut builder, &rows, taken)?;
        let entries = content::root_object_entries(&rows);
        let space = SpaceHeader::new_multiple(CATALOG_ROOT, 3, false, PageNumber(ROOT_OBJECTS_ROOT.0 + 1));
        builder.tree(ROOT_OBJECTS_ROOT, ROOT_OBJECTS_OBJECT, PageFlags::INDEX, space, &entries, &[])?;
        let owned = [Extent::new(ROOT_OBJECTS_ROOT, 3)];
        builder.space(ROOT_OBJECTS_ROOT, ROOT_OBJECTS_OBJECT, PageFlags::INDEX, &owned, &[])?;

        self.shadow(&mut builder, &rows)?;
        let single = SpaceHeader::new_single(root, 1, false);
        let entries = content::object_id_rows(size)?;
        builder.tree(objids_root, content::OBJIDS_OBJECT, TABLE, single, &entries, &[])?;
        let entries = content::locale_rows(size)?;
        builder.tree(locales_root, content::LOCALES_OBJECT, TABLE, single, &entries, &[])?;

        Ok(Encoded { header: self.header(), pages: builder.finish(), page_count: self.pages })
    }

    /// Writes the whole file through a function that is given offsets and bytes, both headers first and pages
    /// of zeros included.
    ///
    /// # Errors
    /// What `write` returns, or what [`Self::encode`] does before anything is written.
    pub fn write_to<E>(
        &self,
        mut write: impl FnMut(u64, &[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), WriteError<E>> {
        let encoded = self.encode().map_err(WriteError::Format)?;
        let page_bytes = self.page_size.bytes() as u64;
        let header = encoded.header.encode();
        write(0, &header).map_err(WriteError::Write)?;
        write(page_bytes, &header).map_err(WriteError::Write)?;
        let zeros = vec![0; self.page_size.bytes()];
        let mut pages = encoded.pages.iter().peekable();
        for number in (1..=encoded.page_count).map(PageNumber) {
            let bytes = pages.next_if(|page| page.0 == number).map_or(&zeros, |page| &page.1);
            write(number.file_offset(self.page_size), bytes).map_err(WriteError::Write)?;
        }
        Ok(())
    }

    /// MSysObjects; gives the number of its leaves besides the root.
    fn catalog(builder: &mut Builder, rows: &[content::Row]) -> Result<u32> {
        let root = CATALOG_ROOT;
        let entries = content::clustered_entries(rows);
        let free: Vec<PageNumber> = (CATALOG_FIRST_FREE.0..root.0 + CATALOG_PAGES).map(PageNumber).collect();
        let space = SpaceHeader::new_multiple(
            PageNumber::DATABASE_ROOT,
            CATALOG_PAGES,
            false,
            PageNumber(root.0 + 1),
        );
        let leaves = builder.tree(root, CATALOG_OBJECT, TABLE, space, &entries, &free)?;
        let name_pages = if Self::name_grows(builder, rows) { NAME_GROWTH } else { 0 };
        let owned = Extent::new(root, CATALOG_PAGES);
        let left = free.len() as u32 - leaves - name_pages;
        let available = Extent { last: owned.last, pages: left };
        builder.space(root, CATALOG_OBJECT, TABLE, &[owned], &[available])?;
        Ok(leaves)
    }

    /// Whether the entries of "Name" need more than the root page.
    fn name_grows(builder: &Builder, rows: &[content::Row]) -> bool {
        !builder.fits_root(&content::name_entries(rows))
    }

    /// The index "Name" of MSysObjects; if it needs a second extent it gets one behind the catalog's leaves.
    fn name_index(builder: &mut Builder, rows: &[content::Row], catalog_leaves: u32) -> Result<()> {
        let (root, object, kind) = (NAME_ROOT, NAME_OBJECT, PageFlags::INDEX);
        let entries = content::name_entries(rows);
        let first = Extent::new(root, 3);
        let owned_root = PageNumber(root.0 + 1);
        let mut space = SpaceHeader::new_multiple(CATALOG_ROOT, 3, false, owned_root);
        if !Self::name_grows(builder, rows) {
            builder.tree(root, object, kind, space, &entries, &[])?;
            return builder.space(root, object, kind, &[first], &[]);
        }
        let second = Extent::new(PageNumber(CATALOG_FIRST_FREE.0 + catalog_leaves), NAME_GROWTH);
        let free: Vec<PageNumber> = (second.first().0..=second.last.0).map(PageNumber).collect();
        space.pages = NAME_GROWTH;
        space.flags |= SpaceFlags::VERSION_2;
        let leaves = builder.tree(root, object, kind, space, &entries, &free)?;
        let available = Extent { last: second.last, pages: NAME_GROWTH - leaves };
        builder.space(root, object, kind, &[first, second], &[available])
    }

    /// MSysObjectsShadow: the same rows again.
    fn shadow(&self, builder: &mut Builder, rows: &[content::Row]) -> Result<()> {
        let pages = shadow_pages(self.page_size);
        let root = SHADOW_ROOT;
        let owned = Extent::new(root, pages);
        let free: Vec<PageNumber> = (root.0 + 3..root.0 + pages).map(PageNumber).collect();
        let space =
            SpaceHeader::new_multiple(PageNumber::DATABASE_ROOT, pages, false, PageNumber(root.0 + 1));
        let entries = content::clustered_entries(rows);
        let leaves = builder.tree(root, SHADOW_OBJECT, TABLE, space, &entries, &free)?;
        let available = Extent { last: owned.last, pages: free.len() as u32 - leaves };
        builder.space(root, SHADOW_OBJECT, TABLE, &[owned], &[available])
    }

    fn header(&self) -> DatabaseHeader {
        let mut header = DatabaseHeader::new(self.page_size);
        header.state = DatabaseState::CleanShutdown;
        header.signature = self.signature;
        header.log_signature = self.log_signature;
        header.database_id = 1;
        header.last_object_id = LAST_OBJECT;
        header.db_time = DB_TIME;
        header.attach_time = self.time;
        header.detach_time = self.time;
        header.consistent_time = self.time;
        [header.os_major, header.os_minor, header.os_build] = self.os_version;
        header
    }
}

/// Why a new database could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError<E> {
    /// The wanted size is not possible.
    Format(FormatError),
    /// Writing failed.
    Write(E),
}

impl<E: std::fmt::Display> std::fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl<E: std::fmt::Debug + std::fmt::Display> std::error::Error for WriteError<E> {}

/// The first extent of MSysObjectsShadow.
pub const fn shadow_pages(page_size: PageSize) -> u32 {
    match page_size {
        PageSize::K2 => 6,
        _ => 5,
    }
}
