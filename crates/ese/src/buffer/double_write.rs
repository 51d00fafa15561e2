//! The double-write file: images of pages that could tear, until they are safe in their places.
//!
//! A page of more than 4 KB can be half old and half new after a power loss, and then neither the page nor
//! the log that changes it is of use. So a batch of such pages is first written here and synced, then in
//! place and synced, then the batch is marked void. After a crash the last batch, if it is not void, has
//! what belongs on the pages that fail their checksum.
//!
//! The file is this engine's own; other engines ignore it. It consists of a header of 8192 bytes, numbers
//! little-endian, and the images one after the other:
//!
//! | at | bytes | |
//! | --- | --- | --- |
//! | 0 | 4 | CRC-32 of the header from byte 8 on |
//! | 8 | 8 | `ESEDBLWR` |
//! | 16 | 4 | version of this layout: 2 |
//! | 20 | 4 | 1 when the batch is in force, 0 when it is void |
//! | 24 | 8 | number of the batch |
//! | 32 | 4 | page size |
//! | 36 | 4 | count of pages |
//! | 40 | 28 | signature of the database |
//! | 68 | 28 | signature of the log stream |
//! | 96 | 8 | log position of the attachment |
//! | 104 | 8 | log position that the log on disk must reach |
//! | 112 | 4 | bytes of the path, which stands at 128 |
//! | 128 | | path of the database, then for each page its number (4), the CRC-32 of its image (4) and the first 4 bytes of it |
//!
//! Images that were not written whole are known by their CRC-32. The checksums of pages do not tell: they do not
//! see a block that is filled with one byte and is zero instead.

use super::write::ATOMIC_BYTES;
use crate::clock::Clock;
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Condvar, Mutex};
use ese_format::checksum::{Verdict, inspect_page};
use ese_format::page::Page;
use ese_format::{LogPosition, PageNumber, PageSize, Signature};
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

const HEADER: usize = 8192;
const MAGIC: [u8; 8] = *b"ESEDBLWR";
const VERSION: u32 = 2;
const STATE_AT: usize = 20;
const IN_FORCE: u32 = 1;
const PATH_AT: usize = 128;
/// Bytes of a page's entry: its number and its checksum.
const ENTRY: usize = 12;

/// Errors of opening a file that say that it is not what a batch was for.
const IS_NO_DATABASE: [JetErr; 5] = [
    JetErr::FileNotFound,
    JetErr::InvalidPath,
    JetErr::DatabaseCorrupted,
    JetErr::FileInvalidType,
    JetErr::InvalidDatabaseVersion,
];

/// Which database a batch is for. A batch is used only for the very same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTarget {
    /// The database.
    pub database: Signature,
    /// The log stream.
    pub log: Signature,
    /// Where in the log it was attached.
    pub attached: LogPosition,
    /// The path of the file.
    pub path: PathBuf,
    /// The size of its pages.
    pub page_size: PageSize,
}

impl BatchTarget {
    /// The target that an open file is, by its header.
    pub fn of(file: &DbFile) -> Self {
        let header = file.header();
        Self {
            database: header.signature,
            log: header.log_signature,
            attached: header.attach_position,
            path: file.path().to_path_buf(),
            page_size: file.page_size(),
        }
    }
}

/// The double-write file of an instance: one batch of one database at a time.
pub struct DoubleWrite {
    path: PathBuf,
    file: Arc<dyn File>,
    /// The last batch's number.
    state: Mutex<Turn>,
    free: Condvar,
}

struct Turn {
    is_taken: bool,
    number: u64,
}

/// A batch in force, until it is void. Dropped without that (a page could not be written) it stays in force.
#[must_use = "a batch stays in force until it is void"]
pub struct WrittenBatch<'a> {
    owner: &'a DoubleWrite,
    header: Vec<u8>,
}

impl DoubleWrite {
    /// The name of the file in the system folder of an instance.
    pub fn path(system_dir: &Path, base_name: &str) -> PathBuf {
        system_dir.join(format!("{base_name}.dwb"))
    }

    /// Removes the double-write file, if there is one: before files are put in the place of those it is for.
    ///
    /// # Errors
    /// I/O errors.
    pub fn remove(disk: &dyn Disk, system_dir: &Path, base_name: &str) -> Result<()> {
        let path = Self::path(system_dir, base_name);
        let removed = match disk.remove_file(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.and_then(|()| disk.sync_dir(system_dir)),
        };
        removed.map_err(|e| Error::io(e, "removing the double-write file", &path))
    }

    /// Removes the double-write file unless it holds a batch in force for a database that is none of these: before
    /// they are put in the place of others.
    ///
    /// # Errors
    /// I/O errors.
    pub fn remove_for(
        disk: &dyn Disk,
        system_dir: &Path,
        base_name: &str,
        databases: &[&Path],
    ) -> Result<()> {
        if !disk.exists(&Self::path(system_dir, base_name)) {
            return Ok(());
        }
        let there = Self::open(disk, system_dir, base_name)?;
        let header = there.read_header()?.filter(|header| u32_at(header, STATE_AT) == IN_FORCE);
        let target = header.as_deref().and_then(target_path).map(Path::new);
        if target.is_some_and(|target| !databases.contains(&target)) {
            return Ok(());
        }
        drop(there);
        Self::remove(disk, system_dir, base_name)
    }

    /// Opens the double-write file, or makes one. What is in it stays until [`Self::void`].
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(disk: &dyn Disk, system_dir: &Path, base_name: &str) -> Result<Self> {
        let path = Self::path(system_dir, base_name);
        let fail = |e| Error::io(e, "opening the double-write file", &path);
        let file = match disk.open(&path, OpenMode::Write) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let file = disk.open(&path, OpenMode::CreateNew).map_err(fail)?;
                disk.sync_dir(system_dir).map_err(fail)?;
                file
            }
            other => other.map_err(fail)?,
        };
        let this =
            Self { state: Mutex::new(Turn { is_taken: false, number: 0 }), free: Condvar::new(), path, file };
        let number = this.read_header()?.map_or(0, |header| u64_at(&header, 24));
        this.state.lock().number = number;
        Ok(this)
    }

    /// Writes a batch, to be made durable by [`WrittenBatch::sync`]. `images` are the sealed images of `pages`, one after
    /// the other; the log is durable up to `position`. Waits while another batch is in force.
    ///
    /// # Errors
    /// I/O errors; then no page may be written in place, but the batch may be written again.
    pub fn write_batch(
        &self,
        target: &BatchTarget,
        pages: &[PageNumber],
        images: &[u8],
        position: LogPosition,
    ) -> Result<WrittenBatch<'_>> {
        let number = {
            let mut turn = self.state.lock();
            while turn.is_taken {
                self.free.wait(&mut turn);
            }
            turn.is_taken = true;
            turn.number += 1;
            turn.number
        };
        let mut batch = WrittenBatch { owner: self, header: Vec::new() };
        batch.header = encode(number, target, pages, images, position)
            .ok_or_else(|| Error::new(JetErr::InternalError, "a batch that does not fit its header"))?;
        let fail = |e| Error::io(e, "writing the double-write file", &self.path);
        self.file.write_at(&batch.header, 0).map_err(fail)?;
        self.file.write_at(images, HEADER as u64).map_err(fail)?;
        Ok(batch)
    }

    /// Marks the last batch void, durably: before the first page write of a start, and after a repair.
    ///
    /// # Errors
    /// I/O errors.
    pub fn void(&self) -> Result<()> {
        if let Some(header) = self.read_header()? {
            self.write_void(&header)?;
        }
        self.file.sync().map_err(|e| Error::io(e, "voiding the double-write file", &self.path))
    }

    /// The pages of the last batch, if it is in force, complete, for this very database and not ahead of the
    /// log, which reaches `log_end` on disk. What does not fit is no error: there is nothing to repair with.
    ///
    /// # Errors
    /// I/O errors.
    pub fn repair_candidates(
        &self,
        target: &BatchTarget,
        log_end: LogPosition,
    ) -> Result<Vec<(PageNumber, Vec<u8>)>> {
        let none = Ok(Vec::new());
        let Some(header) = self.read_header()? else { return none };
        let Some(entries) = entries_for(&header, target, log_end) else { return none };
        let page_bytes = target.page_size.bytes();
        let mut found = Vec::with_capacity(entries.len());
        for (index, (page, sum)) in entries.into_iter().enumerate() {
            let mut image = vec![0; page_bytes];
            let read = self.file.read_at(&mut image, (HEADER + index * page_bytes) as u64);
            let read = read.map_err(|e| Error::io(e, "reading the double-write file", &self.path))?;
            let is_sound = inspect_page(&image, page, target.page_size) == Verdict::Sound;
            if read != page_bytes || !is_sound || sum_of(&image) != sum {
                // The batch was cut while it was written, so no page was touched after it.
                return none;
            }
            found.push((page, image));
        }
        Ok(found)
    }

    /// Repairs the database that the last batch is for, and voids the batch: before redo, and before the
    /// first page write of a start. `log_end` is where the log on disk ends. Returns the repaired pages.
    ///
    /// # Errors
    /// Those of opening the database, except that one which is missing or no database has no torn pages; I/O
    /// errors. The batch stays in force then.
    pub fn recover(
        &self,
        disk: &dyn Disk,
        clock: &Arc<dyn Clock>,
        log_end: LogPosition,
    ) -> Result<Vec<PageNumber>> {
        let header = self.read_header()?.filter(|header| u32_at(header, STATE_AT) == IN_FORCE);
        let Some(path) = header.as_deref().and_then(target_path) else { return Ok(Vec::new()) };
        let repaired = match DbFile::open(disk, clock.clone(), Path::new(path), Intent::Write) {
            Ok(file) => self.repair(&file, log_end)?,
            Err(e) if IS_NO_DATABASE.contains(&e.code()) => Vec::new(),
            Err(e) => return Err(e),
        };
        self.void()?;
        Ok(repaired)
    }

    /// Puts the images of the last batch in the place of pages that fail their checksum; returns which. Only
    /// for a database that a crash left dirty, not for one that says it was copied by a backup.
    ///
    /// # Errors
    /// I/O errors.
    pub fn repair(&self, file: &DbFile, log_end: LogPosition) -> Result<Vec<PageNumber>> {
        let mut repaired = Vec::new();
        let header = file.header();
        let is_copy = header.current_full_backup.is_some() || header.current_snapshot.is_some();
        if is_copy || !header.state.is_recoverable() {
            return Ok(repaired);
        }
        let mut there = vec![0; file.page_size().bytes()];
        for (page, image) in self.repair_candidates(&BatchTarget::of(file), log_end)? {
            if page <= file.last_page() {
                file.read_pages(page, &mut there)?;
                if !is_torn(&there, &image, page, file.page_size()) {
                    continue;
                }
            }
            tracing::warn!(file = %file.path().display(), page = page.0, "a torn page is repaired");
            file.extend_to(page)?;
            file.write_pages(page, &image)?;
            repaired.push(page);
        }
        if !repaired.is_empty() {
            file.sync()?;
        }
        Ok(repaired)
    }

    /// The header of the last batch, if it is sound.
    fn read_header(&self) -> Result<Option<Vec<u8>>> {
        let mut header = vec![0; HEADER];
        let read = self.file.read_at(&mut header, 0);
        let read = read.map_err(|e| Error::io(e, "reading the double-write file", &self.path))?;
        let is_sound = read == HEADER
            && header[8..16] == MAGIC
            && u32_at(&header, 16) == VERSION
            && u64_at(&header, 0) == checksum(&header);
        Ok(is_sound.then_some(header))
    }

    fn write_void(&self, header: &[u8]) -> Result<()> {
        let mut header = header.to_vec();
        put(&mut header, STATE_AT, &0u32.to_le_bytes());
        seal(&mut header);
        self.file.write_at(&header, 0).map_err(|e| Error::io(e, "voiding the double-write file", &self.path))
    }
}

impl WrittenBatch<'_> {
    /// Makes the batch durable: then its pages may be written in place.
    ///
    /// # Errors
    /// I/O errors; what was written cannot be trusted any more, so this is not to be tried again.
    pub fn sync(&self) -> Result<()> {
        let owner = self.owner;
        owner.file.sync().map_err(|e| Error::io(e, "syncing the double-write file", &owner.path))
    }

    /// The pages are durable in their places: the batch is void. This need not be durable by itself, for as
    /// long as no other batch follows, its images are what the pages hold.
    ///
    /// # Errors
    /// I/O errors.
    pub fn void(self) -> Result<()> {
        self.owner.write_void(&self.header)
    }
}

impl Drop for WrittenBatch<'_> {
    fn drop(&mut self) {
        self.owner.state.lock().is_taken = false;
        self.owner.free.notify_one();
    }
}

/// Whether a page that was about to be replaced by `image` is neither what it was before nor the image.
///
/// The checksum does not tell alone: of two halves of different times a few bits may be wrong that cancel each
/// other out, or that look like one wrong bit elsewhere. A half that is of the image bears its time.
fn is_torn(there: &[u8], image: &[u8], page: PageNumber, page_size: PageSize) -> bool {
    match inspect_page(there, page, page_size) {
        Verdict::Bad(_) | Verdict::Corrected { .. } => true,
        Verdict::Sound => {
            let time = |bytes| Page::new(bytes, page_size).map(|page| page.db_time()).ok();
            there != image && time(there) <= time(image)
        }
        Verdict::Uninitialized => false,
    }
}

/// A header in force; nothing when it cannot hold all this.
fn encode(
    number: u64,
    target: &BatchTarget,
    pages: &[PageNumber],
    images: &[u8],
    position: LogPosition,
) -> Option<Vec<u8>> {
    let path = target.path.to_str()?.as_bytes();
    let page_bytes = target.page_size.bytes();
    if PATH_AT + path.len() + pages.len() * ENTRY > HEADER || images.len() != pages.len() * page_bytes {
        return None;
    }
    let mut header = vec![0; HEADER];
    put(&mut header, 8, &MAGIC);
    put(&mut header, 16, &VERSION.to_le_bytes());
    put(&mut header, STATE_AT, &IN_FORCE.to_le_bytes());
    put(&mut header, 24, &number.to_le_bytes());
    put(&mut header, 32, &(page_bytes as u32).to_le_bytes());
    put(&mut header, 36, &(pages.len() as u32).to_le_bytes());
    put(&mut header, 40, &target.database.to_bytes());
    put(&mut header, 68, &target.log.to_bytes());
    put(&mut header, 96, &target.attached.to_bytes());
    put(&mut header, 104, &position.to_bytes());
    put(&mut header, 112, &(path.len() as u32).to_le_bytes());
    put(&mut header, PATH_AT, path);
    for (index, (page, image)) in pages.iter().zip(images.chunks_exact(page_bytes)).enumerate() {
        let at = PATH_AT + path.len() + index * ENTRY;
        put(&mut header, at, &page.0.to_le_bytes());
        put(&mut header, at + 4, &sum_of(image));
    }
    seal(&mut header);
    Some(header)
}

/// Numbers and sums of the pages, if the batch may be used for that target.
fn entries_for(
    header: &[u8],
    target: &BatchTarget,
    log_end: LogPosition,
) -> Option<Vec<(PageNumber, [u8; 8])>> {
    let path = target.path.to_str()?;
    let matches = u32_at(header, STATE_AT) == IN_FORCE
        && u32_at(header, 32) as usize == target.page_size.bytes()
        && target.page_size.bytes() > ATOMIC_BYTES
        && header.get(40..68)? == target.database.to_bytes()
        && header.get(68..96)? == target.log.to_bytes()
        && header.get(96..104)? == target.attached.to_bytes()
        && LogPosition::from_bytes(*header.get(104..)?.first_chunk()?) <= log_end
        && target_path(header)? == path;
    if !matches {
        return None;
    }
    let count = u32_at(header, 36) as usize;
    let entries = header.get(PATH_AT + path.len()..)?.chunks_exact(ENTRY).take(count);
    let entries: Vec<_> = entries
        .filter_map(|entry| Some((PageNumber(u32_at(entry, 0)), *entry.get(4..)?.first_chunk()?)))
        .filter(|(page, _)| page.is_some() && *page <= PageNumber::MAX)
        .collect();
    (entries.len() == count).then_some(entries)
}

/// The path that a header names.
fn target_path(header: &[u8]) -> Option<&str> {
    let len = u32_at(header, 112) as usize;
    std::str::from_utf8(header.get(PATH_AT..PATH_AT.checked_add(len)?)?).ok()
}

fn checksum(header: &[u8]) -> u64 {
    crc32fast::hash(header.get(8..).unwrap_or_default()).into()
}

/// What tells whether an image is whole.
fn sum_of(image: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    put(&mut sum, 0, &crc32fast::hash(image).to_le_bytes());
    put(&mut sum, 4, image.get(..4).unwrap_or_default());
    sum
}

fn seal(header: &mut [u8]) {
    let sum = checksum(header);
    put(header, 0, &sum.to_le_bytes());
}

/// Copies into a header; offsets are checked by whoever lays it out.
fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of the page would not: each of its parts is the same for both.
    #[test]
    fn an_image_with_a_block_left_out_is_not_whole() {
        let number = PageNumber(7);
        let mut page = vec![0xEA; PageSize::K32.bytes()];
        page[..80].fill(0);
        ese_format::checksum::store_page_checksum(&mut page, number, PageSize::K32);
        let mut torn = page.clone();
        torn[5 * ATOMIC_BYTES..6 * ATOMIC_BYTES].fill(0);
        assert_eq!(inspect_page(&page, number, PageSize::K32), Verdict::Sound);
        assert_eq!(inspect_page(&torn, number, PageSize::K32), Verdict::Sound);
        assert_ne!(sum_of(&page), sum_of(&torn));
    }
}
