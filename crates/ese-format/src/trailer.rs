//! The page that a streamed database ends with: what restore needs to know and the header, captured when
//! the stream began, could not say yet.
//!
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/cpage.hxx (PATCHHDR).

use crate::checksum::{is_zero, xor32};
use crate::database::DatabaseVersion;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{BackupInfo, Generation, LogTime, PageSize, Signature};

/// Where the fields begin: behind the header that every small page has, whatever the page size.
const FIELDS_AT: usize = 40;

/// Which generations the database needed when its last page had been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequiredRange {
    /// First generation that recovery needs.
    pub min_required: Generation,
    /// Last generation that recovery needs.
    pub max_required: Generation,
    /// Last generation with committed work.
    pub max_committed: Generation,
    /// When `max_required` was created.
    pub max_required_time: LogTime,
    /// When `max_committed` was created.
    pub max_committed_time: LogTime,
}

impl RequiredRange {
    /// Whether databases of this version have the range in their trailer; else it is zero.
    pub const fn is_stored_by(version: DatabaseVersion) -> bool {
        version.update_major > 160 || (version.update_major == 160 && version.update_minor >= 360)
    }
}

/// The last page of a streamed database (ESE: PATCHHDR, the former header of a patch file).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupTrailer {
    /// Mark and time as in the header of the stream, lowest and highest generation of the set.
    pub backup: BackupInfo,
    /// The database it belongs to.
    pub database: Signature,
    /// The log stream it belongs to.
    pub log: Signature,
    /// The required range; all zero in databases of older versions.
    pub required: RequiredRange,
}

impl BackupTrailer {
    /// One page with its checksum.
    pub fn encode(&self, page_size: PageSize) -> Vec<u8> {
        let mut page = vec![0; FIELDS_AT];
        page.extend(self.backup.to_bytes());
        page.extend(self.database.to_bytes());
        page.extend(self.log.to_bytes());
        for generation in
            [self.required.min_required, self.required.max_required, self.required.max_committed]
        {
            page.extend(generation.0.to_le_bytes());
        }
        page.extend(self.required.max_required_time.raw);
        page.extend(self.required.max_committed_time.raw);
        page.resize(page_size.bytes(), 0);
        let sum = xor32(&page);
        page[..4].copy_from_slice(&sum.to_le_bytes());
        page
    }

    /// Decodes a whole page.
    ///
    /// # Errors
    /// `Truncated`; `Uninitialized` for a page of zeros, which is what a merged trailer leaves;
    /// `Checksum` for a page that is no trailer or a damaged one.
    pub fn decode(page: &[u8], page_size: PageSize) -> Result<Self> {
        let page = page.get(..page_size.bytes()).ok_or_else(|| {
            FormatError::new(FormatErrorKind::Truncated, "the trailer is shorter than a page")
        })?;
        if is_zero(page) {
            return Err(FormatError::new(FormatErrorKind::Uninitialized, "the trailer is a page of zeros"));
        }
        if take::<4>(page, 0) != xor32(page).to_le_bytes() {
            return Err(FormatError::new(FormatErrorKind::Checksum, "the trailer's checksum does not match"));
        }
        let generation = |at| Generation(u32::from_le_bytes(take(page, at)));
        Ok(Self {
            backup: BackupInfo::from_bytes(&take(page, FIELDS_AT)),
            database: Signature::from_bytes(&take(page, FIELDS_AT + 24)),
            log: Signature::from_bytes(&take(page, FIELDS_AT + 52)),
            required: RequiredRange {
                min_required: generation(FIELDS_AT + 80),
                max_required: generation(FIELDS_AT + 84),
                max_committed: generation(FIELDS_AT + 88),
                max_required_time: LogTime { raw: take(page, FIELDS_AT + 92) },
                max_committed_time: LogTime { raw: take(page, FIELDS_AT + 100) },
            },
        })
    }
}

/// `N` bytes at an offset that is inside every page.
fn take<const N: usize>(page: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    if let Some(there) = page.get(at..at + N) {
        bytes.copy_from_slice(there);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::LogPosition;

    fn trailer() -> BackupTrailer {
        let time = |second| LogTime::from_utc(2024, 5, 6, 7, 8, second, 900);
        let signature = |random| Signature { random, created: time(1), computer: [0; 16] };
        BackupTrailer {
            backup: BackupInfo {
                mark: LogPosition::new(Generation(9), 3, 77),
                time: time(2),
                lowest: Generation(7),
                highest: Generation(12),
            },
            database: signature(0x1234_5678),
            log: signature(0x8765_4321),
            required: RequiredRange {
                min_required: Generation(7),
                max_required: Generation(11),
                max_committed: Generation(12),
                max_required_time: time(3),
                max_committed_time: time(4),
            },
        }
    }

    #[test]
    fn a_trailer_survives_encoding_at_every_page_size() {
        for size in PageSize::ALL {
            let page = trailer().encode(size);
            assert_eq!(page.len(), size.bytes());
            assert_eq!(page[4..40], [0; 36]);
            assert_eq!(page[40..44], [77, 0, 3, 0]);
            assert_eq!(page[120..124], [7, 0, 0, 0]);
            assert_eq!(page[128..132], [12, 0, 0, 0]);
            assert_eq!(BackupTrailer::decode(&page, size).unwrap(), trailer());
        }
    }

    #[test]
    fn damage_is_found_and_zeros_are_told_apart() {
        let kind = |page: &[u8]| BackupTrailer::decode(page, PageSize::K4).unwrap_err().kind;
        assert_eq!(kind(&[0; 4096]), FormatErrorKind::Uninitialized);
        assert_eq!(kind(&[]), FormatErrorKind::Truncated);
        for at in [0, 41, 70, 4095] {
            let mut page = trailer().encode(PageSize::K4);
            page[at] ^= 0x10;
            assert_eq!(kind(&page), FormatErrorKind::Checksum, "byte {at}");
        }
    }

    #[test]
    fn the_required_range_came_with_update_160_360() {
        let version = |major, minor| DatabaseVersion::new(DatabaseVersion::FORMAT, major, minor);
        assert!(!RequiredRange::is_stored_by(DatabaseVersion::NEW));
        assert!(!RequiredRange::is_stored_by(version(160, 340)));
        assert!(RequiredRange::is_stored_by(version(160, 360)));
        assert!(RequiredRange::is_stored_by(version(180, 0)));
    }
}
