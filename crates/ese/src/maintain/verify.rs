//! Checks the checksum of every page of a database file, in order and with bounded memory.

use crate::error::{Error, Result};
use ese_format::checksum::{Verdict, inspect_page};
use ese_format::{PageNumber, PageSize};
use ese_vfs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A page that is not as it should be.
#[derive(Debug)]
pub struct BadPage {
    /// Its number.
    pub page: PageNumber,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a page.
#[derive(Debug)]
pub enum Fault {
    /// The checksum does not match, or one bit had to be corrected.
    Content(Verdict),
    /// The disk did not give it.
    Unreadable(io::Error),
}

/// What a check of all pages found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// Pages of the file, both header pages left out.
    pub pages: u32,
    /// Pages whose checksum is right.
    pub sound: u32,
    /// Pages of zeros: never written.
    pub empty: u32,
    /// Pages with one wrong bit, which readers correct.
    pub correctable: u32,
    /// Pages that cannot be used.
    pub damaged: u32,
    /// Pages without a right checksum behind the last page that the database owns: they were never used,
    /// and hold what the disk held before. That is no damage.
    pub stale: u32,
    /// Bytes behind the last whole page.
    pub odd_bytes: u32,
}

/// What the check tells while it runs.
#[derive(Debug)]
pub enum Progress {
    /// So many pages are done.
    Pages(u32),
    /// A page is not as it should be.
    Bad(BadPage),
}

/// Checks all pages of a database file. `last_owned` is the last page that the database owns, when that is
/// known; bad pages behind it count as stale and are not reported. `report` hears of progress and of every bad page, and may stop the
/// check; then the counts are those so far.
///
/// The file is read once, from start to end, in pieces of one megabyte. Pages that the disk cannot read
/// count as damaged, and the check goes on behind them.
///
/// # Errors
/// JET_errDiskIO when the length of the file cannot be told.
pub fn verify_pages(
    file: &dyn File,
    path: &Path,
    page_size: PageSize,
    last_owned: Option<PageNumber>,
    mut report: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<PageCounts> {
    let bytes = file.len().map_err(|error| Error::io(error, "finding the length of", path))?;
    let size = page_size.bytes();
    let whole = bytes / size as u64;
    let mut counts = PageCounts {
        pages: u32::try_from(whole.saturating_sub(2)).unwrap_or(u32::MAX),
        odd_bytes: (bytes % size as u64) as u32,
        ..PageCounts::default()
    };
    let chunk_pages = (CHUNK_BYTES / size).max(1) as u32;
    let mut buffer = vec![0; chunk_pages as usize * size];
    let mut first = 1;
    while first <= counts.pages {
        let count = chunk_pages.min(counts.pages - first + 1);
        let chunk = &mut buffer[..count as usize * size];
        let read = file.read_exact_at(chunk, PageNumber(first).file_offset(page_size));
        for (page, image) in (first..).map(PageNumber).zip(chunk.chunks_exact_mut(size)) {
            let fault = match &read {
                Ok(()) => look(image, page, page_size),
                // One page of the chunk is enough to fail the whole read: find out which.
                Err(_) => match file.read_exact_at(image, page.file_offset(page_size)) {
                    Ok(()) => look(image, page, page_size),
                    Err(error) => Err(Fault::Unreadable(error)),
                },
            };
            match fault {
                Ok(Verdict::Uninitialized) => counts.empty += 1,
                Ok(_) => counts.sound += 1,
                Err(Fault::Content(_)) if last_owned.is_some_and(|last| page > last) => counts.stale += 1,
                Err(fault) => {
                    match fault {
                        Fault::Content(Verdict::Corrected { .. }) => counts.correctable += 1,
                        _ => counts.damaged += 1,
                    }
                    if report(Progress::Bad(BadPage { page, fault })).is_break() {
                        return Ok(counts);
                    }
                }
            }
        }
        first += count;
        if report(Progress::Pages(first - 1)).is_break() {
            break;
        }
    }
    Ok(counts)
}

/// The verdict on a page; a fault when it is not simply sound or empty.
fn look(image: &[u8], page: PageNumber, page_size: PageSize) -> std::result::Result<Verdict, Fault> {
    match inspect_page(image, page, page_size) {
        verdict @ (Verdict::Sound | Verdict::Uninitialized) => Ok(verdict),
        verdict => Err(Fault::Content(verdict)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::checksum::store_page_checksum;
    use ese_vfs::{Disk, OpenMode, RealDisk};

    #[test]
    fn every_kind_of_page_is_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages.edb");
        let size = PageSize::K8;
        let file = RealDisk::new().open(&path, OpenMode::CreateNew).unwrap();
        // More than one chunk; page 1 empty, 2 sound, 130 with one wrong bit, 131 with more, 200 misdirected.
        let mut image = vec![0x5A; size.bytes()];
        for page in (2..=300).map(PageNumber) {
            store_page_checksum(&mut image, page, size);
            let mut written = image.clone();
            match page.0 {
                130 => written[4000] ^= 1,
                131 => written[4000] ^= 7,
                300 => written[4000] ^= 7,
                200 => store_page_checksum(&mut written, PageNumber(201), size),
                _ => {}
            }
            file.write_at(&written, page.file_offset(size)).unwrap();
        }
        file.write_at(&[1; 5], PageNumber(301).file_offset(size)).unwrap();
        let (mut bad, mut last) = (Vec::new(), 0);
        let counts = verify_pages(&*file, &path, size, Some(PageNumber(280)), |progress| {
            match progress {
                Progress::Pages(done) => last = done,
                Progress::Bad(page) => bad.push(page.page.0),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        let expected = PageCounts {
            pages: 300,
            sound: 295,
            empty: 1,
            correctable: 1,
            damaged: 2,
            stale: 1,
            odd_bytes: 5,
        };
        assert_eq!(counts, expected);
        assert_eq!(bad, [130, 131, 200]);
        assert_eq!(last, 300);
    }
}
