//! Redo makes the very pages that run time made: what a page was after each logged change, and whether redo of
//! the same change comes to the same.

use ese::buffer::{Made, PageWitness};
use ese::sync::Mutex;
use ese_format::page::{Page, clear_unlogged};
use ese_format::{DbTime, PageNumber};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A page without what is not logged.
#[derive(PartialEq, Eq)]
struct Image {
    digest: u64,
    /// Kept when somebody looks for the reason of a difference.
    bytes: Option<Vec<u8>>,
}

#[derive(Default)]
struct Seen {
    made: HashMap<(PathBuf, PageNumber, DbTime), Image>,
    newest: HashMap<PathBuf, DbTime>,
    compared: u64,
    unknown: u64,
    differences: Vec<String>,
}

/// What one instance made of its pages, after what others had made of them before.
#[derive(Clone, Default)]
pub struct PageHistory {
    before: Option<Arc<PageHistory>>,
    seen: Arc<Mutex<Seen>>,
}

impl std::fmt::Debug for PageHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} changes of pages", self.seen.lock().made.len())
    }
}

fn keeps_images() -> bool {
    std::env::var_os("OPENESE_CRASH_CUT").is_some()
}

impl PageHistory {
    /// For an instance that comes upon a disk that this one left.
    pub fn then(&self) -> Self {
        Self { before: Some(Arc::new(self.clone())), ..Self::default() }
    }

    /// How many pages were compared and equal.
    ///
    /// # Errors
    /// Where redo made other pages than run time.
    pub fn verdict(&self) -> Result<u64, String> {
        let seen = self.seen.lock();
        match seen.differences.first() {
            None => Ok(seen.compared),
            Some(first) => Err(format!(
                "redo made {} of {} pages differently: {first}",
                seen.differences.len(),
                seen.compared
            )),
        }
    }

    /// How many pages redo made of which nobody knows what they were.
    pub fn unknown(&self) -> u64 {
        self.seen.lock().unknown
    }

    /// What `compare` says of the image that was made first under this key, or how new the newest is.
    fn find(
        &self,
        key: &(PathBuf, PageNumber, DbTime),
        compare: &dyn Fn(&Image) -> Option<String>,
    ) -> Result<Option<String>, DbTime> {
        let seen = self.seen.lock();
        let older = match (seen.made.get(key), seen.newest.get(&key.0)) {
            (Some(image), _) => return Ok(compare(image)),
            (None, newest) => newest.copied(),
        };
        drop(seen);
        match (&self.before, older) {
            // What a recovery made anew hides what was there before it.
            (Some(before), None) => before.find(key, compare),
            (Some(before), Some(newest)) => before.find(key, compare).map_err(|_| newest),
            (None, newest) => Err(newest.unwrap_or_default()),
        }
    }
}

impl PageWitness for PageHistory {
    fn changed(&self, path: &Path, number: PageNumber, page: Page<'_>, made: Made) {
        let mut bytes = page.bytes().to_vec();
        clear_unlogged(&mut bytes, page.page_size());
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let image = Image { digest: hasher.finish(), bytes: keeps_images().then_some(bytes) };
        let key = (path.to_owned(), number, page.db_time());
        if made == Made::Logging {
            let mut seen = self.seen.lock();
            let newest = seen.newest.entry(path.to_owned()).or_default();
            *newest = (*newest).max(key.2);
            seen.made.insert(key, image);
            return;
        }
        let found = match &self.before {
            Some(before) => before.find(&key, &|run_time| {
                (*run_time != image).then(|| {
                    let places = run_time.bytes.as_ref().zip(image.bytes.as_ref()).map(|(a, b)| differ(a, b));
                    format!("{path:?} page {number} at dbtime {}: {}", key.2, places.unwrap_or_default())
                })
            }),
            None => return,
        };
        let mut seen = self.seen.lock();
        match found {
            Ok(difference) => {
                seen.compared += 1;
                seen.differences.extend(difference);
            }
            // The power went between a record and its change.
            Err(newest) if newest < key.2 => seen.unknown += 1,
            Err(newest) => {
                let what =
                    format!("{path:?} page {number}: nobody made dbtime {}, and {newest} is the last", key.2);
                seen.differences.push(what);
            }
        }
    }
}

/// Where two pages differ.
fn differ(a: &[u8], b: &[u8]) -> String {
    let mut out = String::new();
    let mut count = 0;
    for (at, (a, b)) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
        count += 1;
        if count <= 24 {
            let _ = write!(out, "{at:#x}: {a:02x} {b:02x}, ");
        }
    }
    format!("{out}{count} bytes of {}; flags {:?}", a.len(), a.get(34..40))
}
