//! One attached file: its two headers, its pages, its lock.
//!
//! Invariants: a header is written primary first, synced, then shadow, synced, so that one sound copy is
//! there at any instant; bytes of the header that this engine does not know survive; every header write
//! bears a new flush signature and names no flush map, so that a `.jfm` beside the file is known to be
//! stale. Threading: any method from any thread; the header lock is held across the header's own writes
//! only, and nothing is appended to the log or waited for under it. Who reads the header does not wait for it.

mod range;

use crate::clock::Clock;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, Rank, RwLock, may_wait_for_disk};
use ese_format::checksum::{Verdict, verify_page};
use ese_format::database::{
    Access, Chosen, DatabaseHeader, HeaderCopy, OtherCopy, PROBE_BYTES, choose_header,
};
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::tree::PageRead;
use ese_format::{DbTime, ObjectId, PageNumber, PageSize, Signature};
use ese_vfs::{Disk, File, OpenMode};
use range::{Access as RangeAccess, HeldRange, Ranges};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The largest object id (ESE: objidMax; microsoft/Extensible-Storage-Engine, dev/ese/src/inc/cat.hxx).
const OBJECTS_MOST: u32 = 0x7FFF_FFFF;

/// What the opener means to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Reads only; others may read too.
    Read,
    /// Reads and writes; nobody else may have the file.
    Write,
}

/// A database file, open and locked.
pub struct DbFile {
    path: PathBuf,
    file: Arc<dyn File>,
    clock: Arc<dyn Clock>,
    page_size: PageSize,
    intent: Intent,
    /// As it was last written.
    header: RwLock<Arc<DatabaseHeader>>,
    /// The copy that is damaged or says something else, as a cut header write leaves it. Held by whoever writes the
    /// header; its readers do not wait for that.
    stale: Mutex<Option<HeaderCopy>>,
    counters: Counters,
    ranges: Ranges,
    /// A sync failed: the system may have dropped what was written, so no later one means anything.
    is_doubtful: AtomicBool,
    on_doubt: OnceLock<Doubt>,
}

/// Hears of a sync that failed.
type Doubt = Box<dyn Fn(&Error) + Send + Sync>;

/// What the engine counts up in memory; header writes and attach arrays take it from here.
struct Counters {
    db_time: AtomicU64,
    last_object: AtomicU32,
    last_page: AtomicU32,
}

/// Pages that nobody writes, until dropped. See [`DbFile::hold_pages`].
#[must_use = "the pages are free again when this is dropped"]
pub struct HeldPages<'a> {
    _range: HeldRange<'a>,
}

impl DbFile {
    /// Opens and locks a database file and reads its header, primary or shadow.
    ///
    /// # Errors
    /// `FileNotFound`; `FileAccessDenied` when another program has the file open; `DatabaseCorrupted` when
    /// neither header copy is sound; `FileInvalidType` when the file is something else;
    /// `InvalidDatabaseVersion` when the format is too new to be written and `intent` is to write.
    pub fn open(disk: &dyn Disk, clock: Arc<dyn Clock>, path: &Path, intent: Intent) -> Result<Self> {
        let mode = match intent {
            Intent::Read => OpenMode::Read,
            Intent::Write => OpenMode::Write,
        };
        if disk.metadata(path).is_ok_and(|found| found.is_dir) {
            return Err(Error::new(JetErr::FileNotFound, "a folder is no database").file(path));
        }
        let file = disk.open(path, mode).map_err(|e| Error::io(e, "open the database", path))?;
        file.try_lock(intent == Intent::Write).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::new(
                JetErr::FileAccessDenied,
                "another program has the database open; only that program can work on it or back it up now",
            )
            .file(path),
            _ => Error::io(e, "lock the database", path),
        })?;
        let Chosen { header, copy, other } = read_copies(&*file, path)?;
        let stale = match (copy, other) {
            (_, OtherCopy::Same) => None,
            (HeaderCopy::Primary, _) => Some(HeaderCopy::Shadow),
            (HeaderCopy::Shadow, _) => Some(HeaderCopy::Primary),
        };
        if intent == Intent::Write && header.version().access() != Access::Write {
            return Err(Error::new(
                JetErr::InvalidDatabaseVersion,
                format!("the format {} cannot be written by this engine", header.version()),
            )
            .file(path));
        }
        let this = Self::of(file, clock, path, header, stale, intent);
        this.counters.last_page.store(this.page_count()?, Ordering::Relaxed);
        Ok(this)
    }

    /// Makes a new database file, locked, of two headers and no page; on return it is durable.
    ///
    /// # Errors
    /// `FileAlreadyExists`; I/O errors, and then there is no file, as far as it can be removed.
    pub fn create(
        disk: &dyn Disk,
        clock: Arc<dyn Clock>,
        path: &Path,
        header: DatabaseHeader,
    ) -> Result<Self> {
        let file =
            disk.open(path, OpenMode::CreateNew).map_err(|e| Error::io(e, "create the database", path))?;
        let this = Self::of(file, clock, path, header, None, Intent::Write);
        this.begin(disk).inspect_err(|_| {
            let _ = disk.remove_file(path);
        })?;
        Ok(this)
    }

    /// The first headers of a new file.
    fn begin(&self, disk: &dyn Disk) -> Result<()> {
        let fail = |what| move |e| Error::io(e, what, &self.path);
        self.file.try_lock(true).map_err(fail("lock the database"))?;
        self.update_header(|_| ())?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        disk.sync_dir(folder).map_err(fail("make the database's name durable"))
    }

    fn of(
        file: Arc<dyn File>,
        clock: Arc<dyn Clock>,
        path: &Path,
        header: DatabaseHeader,
        stale: Option<HeaderCopy>,
        intent: Intent,
    ) -> Self {
        let counters = Counters {
            db_time: AtomicU64::new(header.db_time.0),
            last_object: AtomicU32::new(header.last_object_id.0),
            last_page: AtomicU32::new(0),
        };
        Self {
            path: path.to_path_buf(),
            file,
            clock,
            page_size: header.page_size,
            intent,
            header: RwLock::new(Arc::new(header)),
            stale: Mutex::ranked(Rank::Header, stale),
            counters,
            ranges: Ranges::default(),
            is_doubtful: AtomicBool::new(false),
            on_doubt: OnceLock::new(),
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// What it was opened for.
    pub fn intent(&self) -> Intent {
        self.intent
    }

    /// The header as it is now. Does not wait for a change that is being written.
    pub fn header(&self) -> Arc<DatabaseHeader> {
        self.header.read().clone()
    }

    /// Changes the header and writes both copies; on return they are durable.
    ///
    /// The change is seen by nobody unless it was written. `change` must neither log nor call back here.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly` for a file opened to be read; I/O errors.
    pub fn update_header<T>(&self, change: impl FnOnce(&mut DatabaseHeader) -> T) -> Result<T> {
        self.check_writable()?;
        let mut stale = self.stale.lock();
        let mut new = (*self.header()).clone();
        let result = change(&mut new);
        self.raise_db_time(new.db_time);
        self.raise_object_id(new.last_object_id);
        (new.db_time, new.last_object_id) = (self.db_time(), self.last_object_id());
        new.header_flush_signature = self.clock.new_signature();
        new.flush_map_signature = Signature::NONE;
        for copy in [HeaderCopy::Primary, HeaderCopy::Shadow] {
            self.write_copy(&new, copy)?;
        }
        *self.header.write() = Arc::new(new);
        *stale = None;
        Ok(result)
    }

    /// Makes the two copies of the header agree when they did not on opening: a header write that a crash
    /// cut in the middle leaves a shadow of the time before it, a torn page a damaged copy. The header
    /// stays what it is; [`Self::update_header`] makes both copies new anyway.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly` for a file opened to be read; I/O errors.
    pub fn mend_header(&self) -> Result<()> {
        self.check_writable()?;
        let mut stale = self.stale.lock();
        if let Some(copy) = *stale {
            self.write_copy(&self.header(), copy)?;
            *stale = None;
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<()> {
        match self.intent {
            Intent::Write => Ok(()),
            Intent::Read => {
                Err(Error::new(JetErr::DatabaseFileReadOnly, "the file was opened to be read")
                    .file(&self.path))
            }
        }
    }

    /// Writes one copy of the header and makes it durable.
    fn write_copy(&self, header: &DatabaseHeader, copy: HeaderCopy) -> Result<()> {
        let offset = match copy {
            HeaderCopy::Primary => 0,
            HeaderCopy::Shadow => self.page_size.bytes() as u64,
        };
        may_wait_for_disk();
        let fail = |what| move |e| Error::io(e, what, &self.path);
        self.file.write_at(&header.encode(), offset).map_err(fail("write the header"))?;
        self.sync_file("make the header durable")
    }

    /// Makes everything written durable, unless that failed before.
    fn sync_file(&self, what: &str) -> Result<()> {
        may_wait_for_disk();
        if self.is_doubtful.load(Ordering::Acquire) {
            let sentence =
                format!("cannot {what}: an earlier sync of the file failed, so nothing can be trusted");
            return Err(Error::new(JetErr::DiskIO, sentence).file(&self.path));
        }
        self.file.sync().map_err(|error| {
            self.is_doubtful.store(true, Ordering::Release);
            let error = Error::io(error, what, &self.path);
            if let Some(hear) = self.on_doubt.get() {
                hear(&error);
            }
            error
        })
    }

    /// Has somebody hear of the first sync that fails, of pages or of a header. Only the first one asked for is
    /// told.
    pub fn on_failed_sync(&self, hear: impl Fn(&Error) + Send + Sync + 'static) {
        let _ = self.on_doubt.set(Box::new(hear));
    }

    /// Pages in the file behind its two header pages, whole ones.
    pub fn page_count(&self) -> Result<u32> {
        let len = self.file.len().map_err(|e| Error::io(e, "ask for the length", &self.path))?;
        let pages = (len / self.page_size.bytes() as u64).saturating_sub(2);
        Ok(u32::try_from(pages).unwrap_or(u32::MAX).min(PageNumber::MAX.0))
    }

    /// Reads whole pages from `first` on; `into` is a multiple of the page size. Nothing is verified.
    pub fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        may_wait_for_disk();
        self.file
            .read_exact_at(into, first.file_offset(self.page_size))
            .map_err(|e| Error::io(e, "read pages", &self.path).page(first))
    }

    /// Says that pages will be read soon, to whom it helps.
    pub fn will_read(&self, first: PageNumber, count: u32) {
        let bytes = u64::from(count) * self.page_size.bytes() as u64;
        self.file.will_read(first.file_offset(self.page_size), bytes);
    }

    /// Keeps writes off `count` pages from `first` on until what is returned is dropped: for those who read
    /// pages that the page cache may be writing. To be held across a read, no longer.
    pub fn hold_pages(&self, first: PageNumber, count: u32) -> HeldPages<'_> {
        HeldPages { _range: self.ranges.hold(first, count as usize, RangeAccess::Read) }
    }

    /// Writes whole pages from `first` on, as they are. Not durable before [`Self::sync`].
    ///
    /// # Errors
    /// `DatabaseFileReadOnly` for a file opened to be read; I/O errors.
    pub fn write_pages(&self, first: PageNumber, bytes: &[u8]) -> Result<()> {
        self.check_writable()?;
        may_wait_for_disk();
        let _held = self.ranges.hold(first, bytes.len() / self.page_size.bytes(), RangeAccess::Write);
        self.file
            .write_at(bytes, first.file_offset(self.page_size))
            .map_err(|e| Error::io(e, "write pages", &self.path).page(first))
    }

    /// Makes all page writes and the file's length durable. After a failure nothing written since the last
    /// good sync can be trusted, and all later syncs fail too.
    ///
    /// # Errors
    /// I/O errors.
    pub fn sync(&self) -> Result<()> {
        self.sync_file("make pages durable")
    }

    /// A new time for a page change: larger than any given before.
    pub fn next_db_time(&self) -> DbTime {
        DbTime(self.counters.db_time.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The last time given to a page change.
    pub fn db_time(&self) -> DbTime {
        DbTime(self.counters.db_time.load(Ordering::Relaxed))
    }

    /// Times up to `seen` are taken: the log or a page bears them.
    pub fn raise_db_time(&self, seen: DbTime) {
        self.counters.db_time.fetch_max(seen.0, Ordering::Relaxed);
    }

    /// A new object id: larger than any given before.
    ///
    /// # Errors
    /// `OutOfObjectIDs`.
    pub fn next_object_id(&self) -> Result<ObjectId> {
        let next = |last: u32| (last < OBJECTS_MOST).then_some(last + 1);
        match self.counters.last_object.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(last) => Ok(ObjectId(last + 1)),
            Err(_) => Err(Error::from(JetErr::OutOfObjectIDs).file(&self.path)),
        }
    }

    /// The last object id given away.
    pub fn last_object_id(&self) -> ObjectId {
        ObjectId(self.counters.last_object.load(Ordering::Relaxed))
    }

    /// Object ids up to `seen` are taken.
    pub fn raise_object_id(&self, seen: ObjectId) {
        self.counters.last_object.fetch_max(seen.0, Ordering::Relaxed);
    }

    /// The last page that the file has room for.
    pub fn last_page(&self) -> PageNumber {
        PageNumber(self.counters.last_page.load(Ordering::Acquire))
    }

    /// Makes the file long enough for pages up to `last`, the new ones zeros, and takes the space for them
    /// where the system can. The caller lets one thread at a time change the length of a file.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly`, `DiskFull`, I/O errors.
    pub fn extend_to(&self, last: PageNumber) -> Result<()> {
        self.check_writable()?;
        if last <= self.last_page() {
            return Ok(());
        }
        if last > PageNumber::MAX {
            return Err(Error::new(JetErr::OutOfDatabaseSpace, "no database can be larger").file(&self.path));
        }
        may_wait_for_disk();
        self.file
            .allocate(PageNumber(last.0 + 1).file_offset(self.page_size))
            .map_err(|e| Error::io(e, "extending the database", &self.path))?;
        self.counters.last_page.fetch_max(last.0, Ordering::Release);
        Ok(())
    }

    /// Cuts the file behind page `last`. Those pages must have left the cache.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly`, I/O errors.
    pub fn truncate_to(&self, last: PageNumber) -> Result<()> {
        self.check_writable()?;
        if last >= self.last_page() {
            return Ok(());
        }
        may_wait_for_disk();
        self.counters.last_page.store(last.0, Ordering::Release);
        self.file
            .set_len(PageNumber(last.0 + 1).file_offset(self.page_size))
            .map_err(|e| Error::io(e, "shrinking the database", &self.path))
    }

    /// Lets others have the file; nothing is to be done with it any more.
    pub fn unlock(&self) {
        // When that fails the lock goes with the open file.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, path = %self.path.display(), "the lock of a database stays until it is closed");
        }
    }

    /// The open file itself.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }
}

/// Reads the header of an open file: the primary copy, or the shadow when the primary is damaged.
///
/// # Errors
/// `DatabaseCorrupted` when neither copy is sound, `FileInvalidType` for another kind of ESE file,
/// `InvalidDatabaseVersion`, I/O errors.
pub fn read_header(file: &dyn File, path: &Path) -> Result<DatabaseHeader> {
    read_copies(file, path).map(|chosen| chosen.header)
}

fn read_copies(file: &dyn File, path: &Path) -> Result<Chosen> {
    let len = file.len().map_err(|e| Error::io(e, "ask for the length", path))?;
    let mut start = vec![0; PROBE_BYTES.min(usize::try_from(len).unwrap_or(PROBE_BYTES))];
    file.read_exact_at(&mut start, 0).map_err(|e| Error::io(e, "reading the header", path))?;
    match choose_header(&start) {
        Ok(chosen) => Ok(chosen),
        Err(e) => {
            let code = match e.kind {
                FormatErrorKind::UnsupportedVersion => JetErr::InvalidDatabaseVersion,
                // Another ESE file has a sound checksum; foreign bytes have none and are just corrupt.
                FormatErrorKind::WrongFileType if is_other_ese_file(&start) => JetErr::FileInvalidType,
                _ => JetErr::DatabaseCorrupted,
            };
            Err(Error::from(e).with_code(code).file(path))
        }
    }
}

/// Whether the bytes begin with the header of a log, a checkpoint or the like: same place of the file type
/// in all of them (byte 667), same XOR checksum over 4096 bytes.
fn is_other_ese_file(start: &[u8]) -> bool {
    use ese_format::checksum::xor32;
    let (Some(block), Some(sum)) = (start.get(..4096), start.first_chunk::<4>()) else {
        return false;
    };
    xor32(block) == u32::from_le_bytes(*sum) && block[667..671] != [0; 4]
}

/// The pages of an open file for a walk through its trees: each is read when it is asked for and
/// verified; nothing is kept.
pub struct Pages<'a> {
    file: &'a DbFile,
    count: u32,
}

impl DbFile {
    /// Its pages, to walk trees.
    pub fn pages(&self) -> Result<Pages<'_>> {
        Ok(Pages { file: self, count: self.page_count()? })
    }
}

impl PageRead for Pages<'_> {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.file.page_size
    }

    fn page_count(&self) -> u32 {
        self.count
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        let fail = |kind, what: String| Err(FormatError::new(kind, what).at_page(page));
        if !page.is_some() || page.0 > self.count {
            return fail(FormatErrorKind::Corrupt, format!("the file has {} pages only", self.count));
        }
        let mut bytes = vec![0; self.file.page_size.bytes()];
        if let Err(e) = self.file.read_pages(page, &mut bytes) {
            return fail(FormatErrorKind::Io, e.detail().to_owned());
        }
        match verify_page(&mut bytes, page, self.file.page_size) {
            Verdict::Sound | Verdict::Corrected { .. } => Ok(bytes),
            Verdict::Uninitialized => fail(FormatErrorKind::Uninitialized, "a page of zeros".to_owned()),
            _ => fail(FormatErrorKind::Checksum, "the checksum does not match".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededClock;
    use ese_format::empty::EmptyDatabase;
    use ese_vfs::{Effect, Fault, OpKind, SimDisk};

    const PATH: &str = "/a.edb";
    const PAGE: usize = 4096;

    fn open(disk: &SimDisk, intent: Intent) -> DbFile {
        DbFile::open(disk, Arc::new(SeededClock::new(1)), Path::new(PATH), intent).unwrap()
    }

    fn copies(disk: &SimDisk) -> (Vec<u8>, Vec<u8>) {
        let bytes = disk.content(Path::new(PATH)).unwrap();
        (bytes[..PAGE].to_vec(), bytes[PAGE..2 * PAGE].to_vec())
    }

    /// A disk with a database, everything durable.
    fn world() -> SimDisk {
        let (disk, clock) = (SimDisk::new(1), SeededClock::new(1));
        let mut bytes = Vec::new();
        let append = |_, part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok::<(), ()>(())
        };
        EmptyDatabase::new(PageSize::K4, clock.new_signature(), clock.now()).write_to(append).unwrap();
        disk.install(Path::new(PATH), &bytes).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.crash_keeping(true)
    }

    #[test]
    fn a_cut_between_the_copies_is_mended() {
        let disk = world();
        let file = open(&disk, Intent::Write);
        let before = disk.operations();
        file.update_header(|h| h.database_id = 7).unwrap();
        let kinds: Vec<_> = disk.trace()[before as usize..].iter().map(|op| op.kind).collect();
        assert_eq!(kinds, [OpKind::Write, OpKind::Sync, OpKind::Write, OpKind::Sync]);

        for kept in [false, true] {
            let disk = world();
            let file = open(&disk, Intent::Write);
            // The primary is written and durable, the shadow neither.
            disk.cut_after(disk.operations() + 2);
            file.update_header(|h| h.database_id = 7).unwrap_err();
            let disk = disk.crash_keeping(kept);
            let (primary, shadow) = copies(&disk);
            assert_ne!(primary, shadow);

            let reader = open(&disk, Intent::Read);
            assert_eq!(reader.header().database_id, 7);
            assert_eq!(reader.mend_header().unwrap_err().code(), JetErr::DatabaseFileReadOnly);
            drop(reader);
            let writer = open(&disk, Intent::Write);
            assert_eq!(copies(&disk).1, shadow, "opening changes nothing");
            writer.mend_header().unwrap();
            assert_eq!(copies(&disk), (primary.clone(), primary));
            let done = disk.operations();
            writer.mend_header().unwrap();
            assert_eq!(disk.operations(), done, "nothing is left to mend");
        }
    }

    #[test]
    fn a_damaged_primary_is_mended_from_the_shadow() {
        let disk = world();
        let (_, shadow) = copies(&disk);
        let raw = disk.open(Path::new(PATH), OpenMode::Write).unwrap();
        raw.write_at(&[0x55; 100], 200).unwrap();
        open(&disk, Intent::Write).mend_header().unwrap();
        assert_eq!(copies(&disk), (shadow.clone(), shadow));
    }

    #[test]
    fn after_a_failed_sync_no_later_one_means_anything() {
        for of_header in [false, true] {
            let disk = world();
            let file = open(&disk, Intent::Write);
            let heard = Arc::new(AtomicU32::new(0));
            let hears = heard.clone();
            file.on_failed_sync(move |error| {
                assert_eq!(error.code(), JetErr::DiskIO);
                hears.fetch_add(1, Ordering::Relaxed);
            });
            file.sync().unwrap();
            disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError));
            let before = file.header().database_id;
            match of_header {
                true => file.update_header(|h| h.database_id = 7).unwrap_err(),
                false => file.sync().unwrap_err(),
            };
            // The disk works again.
            let operations = disk.operations();
            assert_eq!(file.sync().unwrap_err().code(), JetErr::DiskIO);
            assert_eq!(disk.operations(), operations, "it is not asked again");
            assert_eq!(file.update_header(|h| h.database_id = 8).unwrap_err().code(), JetErr::DiskIO);
            assert_eq!(file.header().database_id, before);
            assert_eq!(heard.load(Ordering::Relaxed), 1);
        }
    }
}
