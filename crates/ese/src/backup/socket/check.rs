//! Verifies the files of a backup while a client receives them.

use super::message::{FileHead, FileKind, malformed};
use crate::backup::log_stream::LogCheck;
use crate::error::{Error, JetErr, Result};
use ese_format::checksum::verify_page;
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{PageNumber, PageSize};
use ese_format::trailer::BackupTrailer;

/// Headers and trailer of a database's stream.
const PAGES_BESIDES: u64 = 3;

/// What has come of a file, held against what it has to be.
pub(super) enum FileCheck {
    Database(DatabaseCheck),
    Log(LogCheck),
}

impl FileCheck {
    /// For the file that a server has announced.
    ///
    /// # Errors
    /// InvalidParameter for a length that none can have.
    pub(super) fn new(head: &FileHead, page_size: PageSize) -> Result<Self> {
        Ok(match head.kind {
            FileKind::Database => Self::Database(DatabaseCheck::new(head.length, page_size)?),
            FileKind::Log(generation) => Self::Log(LogCheck::new(generation)),
        })
    }

    /// Verifies the next bytes; a page with one wrong bit is put right.
    ///
    /// # Errors
    /// ReadVerifyFailure, LogReadVerifyFailure; InvalidParameter for pieces of pages.
    pub(super) fn push(&mut self, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Database(check) => check.push(bytes),
            Self::Log(check) => check.push(bytes),
        }
    }

    /// Checks that the file may end here.
    ///
    /// # Errors
    /// LogReadVerifyFailure.
    pub(super) fn finish(&self) -> Result<()> {
        match self {
            Self::Database(_) => Ok(()),
            Self::Log(check) => check.finish(),
        }
    }
}

/// A database: header, its shadow, pages, trailer.
pub(super) struct DatabaseCheck {
    page_size: PageSize,
    pages: u64,
    next: u64,
}

impl DatabaseCheck {
    fn new(length: u64, page_size: PageSize) -> Result<Self> {
        let page = page_size.bytes() as u64;
        let pages = length / page;
        if !length.is_multiple_of(page) || pages <= PAGES_BESIDES || pages > u64::from(u32::MAX) {
            return Err(malformed(&format!("a database of {length} bytes")));
        }
        Ok(Self { page_size, pages, next: 0 })
    }

    fn push(&mut self, bytes: &mut [u8]) -> Result<()> {
        let size = self.page_size;
        if !bytes.len().is_multiple_of(size.bytes()) {
            return Err(malformed("a piece of a page"));
        }
        for page in bytes.chunks_exact_mut(size.bytes()) {
            let bad = |detail: String| Err(Error::new(JetErr::ReadVerifyFailure, detail));
            match self.next {
                0 | 1 => match DatabaseHeader::decode(page) {
                    Ok(header) if header.page_size == size => {}
                    Ok(_) => return bad("the database has pages of another size".to_owned()),
                    Err(cause) => return bad(format!("the header of the database is damaged: {cause}")),
                },
                last if last + 1 == self.pages => {
                    if let Err(cause) = BackupTrailer::decode(page, size) {
                        return bad(format!("the trailer of the database is damaged: {cause}"));
                    }
                }
                place => {
                    let number = PageNumber(u32::try_from(place - 1).unwrap_or(u32::MAX));
                    let verdict = verify_page(page, number, size);
                    // A page never written is none to complain of.
                    if let ese_format::checksum::Verdict::Bad(damage) = verdict {
                        return bad(format!("a page arrived damaged: {damage}"))
                            .map_err(|error| error.page(number));
                    }
                }
            }
            self.next += 1;
        }
        Ok(())
    }
}
