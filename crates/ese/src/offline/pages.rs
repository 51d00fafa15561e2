//! Verified pages of a file, and the small cache of them.

use crate::error::{Error, JetErr};
use crate::sync::{Arc, Mutex};
use ese_format::checksum::{Damage, Verdict, verify_page};
use ese_format::error::{FormatError, FormatErrorKind, Result};
use ese_format::page::Page;
use ese_format::tree::PageRead;
use ese_format::{PageNumber, PageSize};
use ese_vfs::File;
use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// How many corrections are remembered one by one.
pub const CORRECTIONS_KEPT: usize = 1000;

/// How often the whole file is searched for lost leaves. A hostile catalog could otherwise list so many
/// broken tables that nobody would live to see the end.
const MAX_SEARCHES: u32 = 100;

/// How many bytes of pages the cache holds.
const CACHE_BYTES: usize = 4 << 20;

/// A single wrong bit that was corrected in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// The page.
    pub page: PageNumber,
    /// The bit's index from the start of the page.
    pub bit: u32,
}

/// The bytes of a verified page, shared with the cache.
#[derive(Clone)]
pub struct PageBytes(Arc<Vec<u8>>);

impl Deref for PageBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

pub(super) struct PageFile {
    file: Arc<dyn File>,
    path: PathBuf,
    page_size: PageSize,
    page_count: u32,
    cache: Mutex<Cache>,
}

/// Pages by second chance: a page that was used since the hand last passed stays.
struct Cache {
    slots: Vec<Slot>,
    by_page: HashMap<PageNumber, usize>,
    hand: usize,
    capacity: usize,
    corrected: u64,
    corrections: Vec<Correction>,
    /// How many more times the whole file may be searched.
    searches_left: u32,
}

struct Slot {
    page: PageNumber,
    bytes: PageBytes,
    used: bool,
}

impl Cache {
    /// Finds a page, or a buffer to read it into.
    fn look_up(&mut self, page: PageNumber, page_bytes: usize) -> std::result::Result<PageBytes, Vec<u8>> {
        if let Some(slot) = self.by_page.get(&page).and_then(|&at| self.slots.get_mut(at)) {
            slot.used = true;
            return Ok(slot.bytes.clone());
        }
        if self.slots.len() < self.capacity {
            return Err(vec![0; page_bytes]);
        }
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if std::mem::take(&mut slot.used) {
                continue;
            }
            self.by_page.remove(&slot.page);
            let slot = self.slots.swap_remove(self.hand);
            if let Some(moved) = self.slots.get(self.hand) {
                self.by_page.insert(moved.page, self.hand);
            }
            // Somebody may still be reading the old page: then the buffer is theirs.
            return Err(Arc::try_unwrap(slot.bytes.0).unwrap_or_else(|_| vec![0; page_bytes]));
        }
    }

    fn keep(&mut self, page: PageNumber, bytes: &PageBytes) {
        if self.slots.len() < self.capacity && !self.by_page.contains_key(&page) {
            self.by_page.insert(page, self.slots.len());
            self.slots.push(Slot { page, bytes: bytes.clone(), used: false });
        }
    }
}

impl PageFile {
    pub(super) fn new(file: Arc<dyn File>, path: &Path, page_size: PageSize, len: u64) -> Self {
        let pages = (len / page_size.bytes() as u64).saturating_sub(2).min(PageNumber::MAX.0.into());
        Self {
            file,
            path: path.to_owned(),
            page_size,
            page_count: pages as u32,
            cache: Mutex::new(Cache {
                slots: Vec::new(),
                by_page: HashMap::new(),
                hand: 0,
                capacity: CACHE_BYTES / page_size.bytes(),
                corrected: 0,
                corrections: Vec::new(),
                searches_left: MAX_SEARCHES,
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn corrections(&self) -> (u64, Vec<Correction>) {
        let cache = self.cache.lock();
        (cache.corrected, cache.corrections.clone())
    }

    /// Whether the whole file may be searched once more.
    pub(super) fn may_search(&self) -> bool {
        let mut cache = self.cache.lock();
        let left = cache.searches_left.checked_sub(1);
        cache.searches_left = left.unwrap_or(0);
        left.is_some()
    }

    /// The engine's error for one of the format, with its place.
    pub(super) fn error(&self, error: FormatError) -> Error {
        if error.page.is_some_and(|page| page.0 > self.page_count) {
            let page = error.page.unwrap_or_default();
            return Error::new(JetErr::FileIOBeyondEOF, error.detail).page(page).file(&self.path);
        }
        Error::from(error).file(&self.path)
    }

    /// The engine's error for something on a page.
    pub(super) fn at(&self, error: FormatError, page: PageNumber) -> Error {
        self.error(error.at_page(page))
    }
}

impl PageRead for PageFile {
    type Bytes = PageBytes;

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn page_count(&self) -> u32 {
        self.page_count
    }

    fn read(&self, page: PageNumber) -> Result<PageBytes> {
        let fail = |kind, text: &str| Err(FormatError::new(kind, text).at_page(page));
        if !page.is_some() || page.0 > self.page_count {
            return fail(FormatErrorKind::Truncated, "the page is not in the file");
        }
        let mut buffer = match self.cache.lock().look_up(page, self.page_size.bytes()) {
            Ok(bytes) => return Ok(bytes),
            Err(buffer) => buffer,
        };
        let read = self.file.read_exact_at(&mut buffer, page.file_offset(self.page_size));
        if let Err(error) = read {
            return fail(FormatErrorKind::Io, &format!("cannot read the page: {error}"));
        }
        let verdict = verify_page(&mut buffer, page, self.page_size);
        match verdict {
            Verdict::Sound => {}
            // Three wrong bits can look like one: a correction must also make sense.
            Verdict::Corrected { .. } => {
                if Page::new(&buffer, self.page_size).and_then(|content| content.check()).is_err() {
                    return fail(FormatErrorKind::Checksum, "the page has more than one wrong bit");
                }
            }
            Verdict::Uninitialized => {
                return fail(FormatErrorKind::Uninitialized, "the page was never written");
            }
            Verdict::Bad(Damage::OtherPage { written_for }) => {
                let text = format!("the content was written for page {written_for}");
                return fail(FormatErrorKind::Checksum, &text);
            }
            Verdict::Bad(_) => {
                return fail(FormatErrorKind::Checksum, "the checksum of the page does not match");
            }
        }
        let bytes = PageBytes(Arc::new(buffer));
        let mut cache = self.cache.lock();
        if let Verdict::Corrected { bit } = verdict {
            cache.corrected += 1;
            if cache.corrections.len() < CORRECTIONS_KEPT {
                cache.corrections.push(Correction { page, bit });
            }
        }
        cache.keep(page, &bytes);
        Ok(bytes)
    }
}
