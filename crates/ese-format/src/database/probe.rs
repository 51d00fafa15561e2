//! Which of the two header copies counts, when the page size is not known yet.

use super::header::DatabaseHeader;
use crate::error::{FormatError, Result};
use crate::primitives::PageSize;

/// So many bytes from the start of a file hold both headers whatever the page size is.
pub const PROBE_BYTES: usize = 2 * 32768;

/// One of the two copies of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderCopy {
    /// At the start of the file.
    Primary,
    /// One page further.
    Shadow,
}

/// What is known about the copy that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherCopy {
    /// It is the same, byte for byte.
    Same,
    /// It is sound and says something else: the primary counts, a header write was cut in the middle.
    Different(Box<DatabaseHeader>),
    /// It cannot be used; a writer repairs it from the other one.
    Damaged(FormatError),
}

/// The header that counts, and the state of the other copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The header that counts.
    pub header: DatabaseHeader,
    /// Which copy it is.
    pub copy: HeaderCopy,
    /// The state of the other copy.
    pub other: OtherCopy,
}

/// Chooses between primary and shadow header, given the start of the file.
///
/// Give it the first [`PROBE_BYTES`] of the file, or all bytes of a shorter file. The primary counts when it
/// is sound. Otherwise the shadow is looked for at every page size, and must name that page size itself.
///
/// # Errors
/// When neither copy is sound, what is wrong with the primary.
pub fn choose_header(start: &[u8]) -> Result<Chosen> {
    let at_page_size = |size: PageSize| {
        let decoded = DatabaseHeader::decode(start.get(size.bytes()..).unwrap_or_default());
        decoded.and_then(|header| match header.page_size == size {
            true => Ok(header),
            false => Err(FormatError::corrupt(format!(
                "the shadow header after a page of {size} bytes names pages of {}",
                header.page_size
            ))
            .at_offset(size.bytes() as u64)),
        })
    };
    match DatabaseHeader::decode(start) {
        Ok(header) => {
            let other = match at_page_size(header.page_size) {
                Ok(shadow) if shadow == header => OtherCopy::Same,
                Ok(shadow) => OtherCopy::Different(Box::new(shadow)),
                Err(error) => OtherCopy::Damaged(error),
            };
            Ok(Chosen { header, copy: HeaderCopy::Primary, other })
        }
        Err(error) => PageSize::ALL
            .into_iter()
            .find_map(|size| at_page_size(size).ok())
            .map(|header| Chosen {
                header,
                copy: HeaderCopy::Shadow,
                other: OtherCopy::Damaged(error.clone()),
            })
            .ok_or(error),
    }
}
