//! A whole database file in memory as a source of pages.

use super::PageRead;
use crate::checksum::{Damage, Verdict, inspect_page, verify_page};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{PageNumber, PageSize};
use std::borrow::Cow;

/// The bytes of a whole database file, header pages included.
#[derive(Debug, Clone, Copy)]
pub struct FileImage<'a> {
    bytes: &'a [u8],
    page_size: PageSize,
}

impl<'a> FileImage<'a> {
    /// A file's bytes; the page size stands in its header ([`crate::database::choose_header`]).
    pub const fn new(bytes: &'a [u8], page_size: PageSize) -> Self {
        Self { bytes, page_size }
    }

    /// The bytes of a page as they are, unless the file ends before the page does.
    pub fn raw(&self, page: PageNumber) -> Option<&'a [u8]> {
        let start = usize::try_from(page.file_offset(self.page_size)).ok()?;
        self.bytes.get(start..start.checked_add(self.page_size.bytes())?).filter(|_| page.is_some())
    }
}

impl<'a> PageRead for FileImage<'a> {
    type Bytes = Cow<'a, [u8]>;

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn page_count(&self) -> u32 {
        (self.bytes.len() / self.page_size.bytes()).saturating_sub(2).min(PageNumber::MAX.0 as usize) as u32
    }

    fn read(&self, page: PageNumber) -> Result<Self::Bytes> {
        let bytes = self.raw(page).ok_or_else(|| {
            FormatError::new(FormatErrorKind::Truncated, "the file ends before the page").at_page(page)
        })?;
        match inspect_page(bytes, page, self.page_size) {
            Verdict::Sound => Ok(Cow::Borrowed(bytes)),
            Verdict::Corrected { .. } => {
                let mut mended = bytes.to_vec();
                match verify_page(&mut mended, page, self.page_size) {
                    Verdict::Corrected { .. } => Ok(Cow::Owned(mended)),
                    other => Err(verdict_error(other, page)),
                }
            }
            other => Err(verdict_error(other, page)),
        }
    }
}

/// The error of a page whose verdict does not let it be used.
fn verdict_error(verdict: Verdict, page: PageNumber) -> FormatError {
    let (kind, text) = match verdict {
        Verdict::Uninitialized => (FormatErrorKind::Uninitialized, "the page was never written".to_owned()),
        Verdict::Bad(Damage::OtherPage { written_for }) => {
            (FormatErrorKind::Checksum, format!("the page holds what was written for page {written_for}"))
        }
        Verdict::Bad(Damage::Checksum { block, stored, computed }) => (
            FormatErrorKind::Checksum,
            format!("the checksum of block {block} is {stored:#018x} and should be {computed:#018x}"),
        ),
        _ => (FormatErrorKind::Checksum, "the page cannot be verified".to_owned()),
    };
    FormatError::new(kind, text).at_page(page)
}
