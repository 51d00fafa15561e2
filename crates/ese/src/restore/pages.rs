//! The bytes of a backup's copy, each page verified on its way. A restore that took over a damaged page would call
//! the database clean, and nobody would look at the backup again.

use crate::database::backup_copy::CheckedCopy;
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::memory::zeroed;
use ese_format::checksum::{Verdict, verify_page};
use ese_format::page::Page;
use ese_format::primitives::{PageNumber, PageSize};
use ese_format::trailer::BackupTrailer;

/// Bytes read at a time: pages of every size fit without a rest.
const CHUNK: usize = 1 << 20;

/// So far ahead the disk is told what will be read.
const READ_AHEAD: u64 = 4 << 20;

/// Pages of the file before page 1: the header and its shadow, which a [`CheckedCopy`] has looked at.
const HEADERS: u64 = 2;

/// Reads a copy from its first byte to its last and hands on verified pieces, in order. A page with one wrong bit
/// is handed on put right, with an event; pages of zeros, which were never written, are no damage.
///
/// # Errors
/// ReadVerifyFailure for a damaged page, and for a copy without a single page that could be verified; those of
/// the disk and of `take`.
pub(super) fn read_verified(
    copy: &CheckedCopy,
    events: &dyn EventSink,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let (file, path, size) = (copy.file(), copy.path(), copy.header().page_size);
    let failed = |cause| Error::io(cause, "read a database of the backup", path);
    let page_bytes = size.bytes() as u64;
    let len = file.len().map_err(failed)?;
    let pages = len / page_bytes;
    let mut buffer = zeroed(CHUNK)?;
    let (mut at, mut announced, mut verified) = (0, 0, 0_u64);
    while at < len {
        let wanted = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
        let bytes = buffer.get_mut(..wanted).unwrap_or_default();
        if at >= announced {
            announced = at + READ_AHEAD;
            file.will_read(announced, READ_AHEAD.min(len.saturating_sub(announced)));
        }
        file.read_exact_at(bytes, at).map_err(failed)?;
        for (place, page) in (at / page_bytes..).zip(bytes.chunks_exact_mut(size.bytes())) {
            let is_trailer = place + 1 == pages && BackupTrailer::decode(page, size).is_ok();
            if place < HEADERS || is_trailer {
                continue;
            }
            let number = PageNumber(u32::try_from(place - HEADERS + 1).unwrap_or(u32::MAX));
            verified += u64::from(check(copy, number, page, size, events)?);
        }
        take(bytes)?;
        at += wanted as u64;
    }
    if verified == 0 {
        let detail = "no page of the backup's copy could be verified";
        return Err(Error::new(JetErr::ReadVerifyFailure, detail).file(path));
    }
    Ok(())
}

/// Verifies one page and puts one wrong bit right; whether it is a page with a content.
fn check(
    copy: &CheckedCopy,
    number: PageNumber,
    page: &mut [u8],
    size: PageSize,
    events: &dyn EventSink,
) -> Result<bool> {
    let report = |id: u32, last: String| events.report(&Event::of_page(id, copy.path(), number, size, last));
    let detail = match verify_page(page, number, size) {
        Verdict::Sound => return Ok(true),
        Verdict::Uninitialized => return Ok(false),
        // Three wrong bits can look like one: a correction must also make sense.
        Verdict::Corrected { bit } if Page::new(page, size).and_then(|page| page.check()).is_ok() => {
            report(id::PAGE_BIT_CORRECTED, bit.to_string());
            return Ok(true);
        }
        Verdict::Corrected { .. } => "the page in the backup has more than one wrong bit".to_owned(),
        Verdict::Bad(damage) => format!("the page in the backup is damaged: {damage}"),
    };
    report(id::PAGE_DAMAGED, JetErr::ReadVerifyFailure.code().to_string());
    Err(Error::new(JetErr::ReadVerifyFailure, detail).file(copy.path()).page(number))
}
