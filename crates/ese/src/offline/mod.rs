//! Reading a database file without an instance, without its logs and without changing it.
//!
//! The file is read as it stands: a database in dirty state shows what had reached its pages. Every page
//! is verified when it is read and a single wrong bit is corrected in memory. Damage costs what it hits
//! and no more: a scan reports a page or node that cannot be read and goes on with the next.
//! Memory is bounded by a small page cache and the schema, whatever the size of the file.

mod long_value;
mod orphans;
mod pages;
mod scan;
mod schema;
mod verify_log;

pub use crate::log::{LogFile, LogFileRecords};
pub use ese_format::tree::Entry;
pub use long_value::LongValues;
pub use pages::{CORRECTIONS_KEPT, Correction, PageBytes};
pub use scan::TreeScan;
pub use schema::TableEntry;
pub use verify_log::{LogReport, StreamReport, verify_backup_logs, verify_log_file, verify_log_stream};

use crate::error::{Error, Result};
use ese_format::catalog::{TableSchema, TableSchemaBuilder};
use ese_format::database::{Chosen, DatabaseHeader, HeaderCopy, OtherCopy, PROBE_BYTES, choose_header};
use ese_format::space::last_owned_page;
use ese_format::tree::PageRead;
use ese_format::{ObjectId, PageNumber, PageSize};
use ese_vfs::{Disk, OpenMode};
use pages::PageFile;
use std::path::Path;

/// A database file, open for reading.
pub struct OfflineDatabase {
    pages: PageFile,
    chosen: Chosen,
}

impl OfflineDatabase {
    /// Opens a file and reads its header, from the shadow copy when the primary is damaged.
    ///
    /// The state of the database does not matter: a dirty one opens too.
    ///
    /// # Errors
    /// The error of opening or reading the file; JET_errReadVerifyFailure and others when neither header
    /// copy is sound.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.open(path, OpenMode::Read).map_err(|e| Error::io(e, "open the database", path))?;
        let len = file.len().map_err(|e| Error::io(e, "measure the database", path))?;
        let mut start = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(PROBE_BYTES)];
        file.read_exact_at(&mut start, 0).map_err(|e| Error::io(e, "read the database header", path))?;
        let chosen = choose_header(&start).map_err(|e| Error::from(e).file(path))?;
        let pages = PageFile::new(file, path, chosen.header.page_size, len);
        Ok(Self { pages, chosen })
    }

    /// The header that counts.
    pub fn header(&self) -> &DatabaseHeader {
        &self.chosen.header
    }

    /// Which copy of the header counts.
    pub fn header_copy(&self) -> HeaderCopy {
        self.chosen.copy
    }

    /// The state of the other copy of the header.
    pub fn other_header(&self) -> &OtherCopy {
        &self.chosen.other
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        self.pages.path()
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.pages.page_size()
    }

    /// How many whole pages the file has behind its two headers.
    pub fn page_count(&self) -> u32 {
        self.pages.page_count()
    }

    /// The last page that the database owns. What lies behind it in the file was never used: zeros, or
    /// whatever the disk held before.
    ///
    /// # Errors
    /// When the database's tree of owned extents cannot be read.
    pub fn last_owned_page(&self) -> Result<PageNumber> {
        last_owned_page(&self.pages).map_err(|error| Error::from(error).file(self.path()))
    }

    /// The pages in which a wrong bit was corrected so far: how many reads, and the first of them.
    pub fn corrections(&self) -> (u64, Vec<Correction>) {
        self.pages.corrections()
    }

    /// Walks the entries of any tree in key order.
    pub fn scan(&self, root: PageNumber, object: ObjectId) -> TreeScan<'_> {
        TreeScan::new(&self.pages, root, object)
    }

    /// Walks the records of a table in the order of its tree. Where pages above the leaves are damaged, the
    /// lost leaves are looked for in the whole file and their records come last.
    pub fn records(&self, table: &TableSchema) -> TreeScan<'_> {
        TreeScan::with_rescue(&self.pages, table.root, table.object_id)
    }

    /// A reader of the table's long values.
    pub fn long_values(&self, table: &TableSchema) -> LongValues<'_> {
        LongValues::new(&self.pages, table.long_values)
    }

    /// The tables that the catalog lists, in order of their object ids. Rows and pages that cannot be read
    /// are given to `report`; the catalog's shadow stands in where the catalog itself is damaged.
    ///
    /// # Errors
    /// JET_errCatalogCorrupted when neither the catalog nor its shadow has a row of a table to read.
    pub fn tables(&self, report: &mut dyn FnMut(Error)) -> Result<Vec<TableEntry>> {
        schema::tables(&self.pages, report)
    }

    /// The schema of a table. Rows that cannot be read are given to `report`.
    ///
    /// # Errors
    /// When the table's own row cannot be read.
    pub fn schema(&self, table: &TableEntry, report: &mut dyn FnMut(Error)) -> Result<TableSchema> {
        let builder: TableSchemaBuilder = schema::rows_of(&self.pages, table, report)?;
        let Some(template) = builder.template().map(str::to_owned) else { return Ok(builder.finish(None)) };
        let found = self.tables(report)?.into_iter().find(|entry| entry.name.eq_ignore_ascii_case(&template));
        match found {
            // Templates cannot be nested, so a template's own template is not looked for.
            Some(entry) => {
                let template = schema::rows_of(&self.pages, &entry, report)?.finish(None);
                Ok(builder.finish(Some(&template)))
            }
            None => {
                report(schema::corrupt(&self.pages, format!("template table {template} does not exist")));
                Ok(builder.finish(None))
            }
        }
    }
}

/// The pages as they are read: verified, one wrong bit corrected.
impl PageRead for OfflineDatabase {
    type Bytes = PageBytes;

    fn page_size(&self) -> PageSize {
        self.pages.page_size()
    }

    fn page_count(&self) -> u32 {
        self.pages.page_count()
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<PageBytes> {
        self.pages.read(page)
    }
}
