//! Latched pages.
//!
//! A guard owns what it needs: it pins its frame, needs no lifetime and may be dropped in any order. The
//! content is a sound page or, on a page from [`CachedFile::fresh`], zeros.

use super::file::CachedFile;
use super::frame::{Bytes, Frame};
use super::latch::Mode;
use super::order::InOrder;
use super::remembered::RememberedPage;
use crate::error::Result;
use crate::sync::{Arc, Held as HeldLock, Rank};
use ese_format::page::{NewPage, Page, PageMut};
use ese_format::{DbTime, LogPosition, PageNumber};

/// A held latch.
struct Held {
    frame: Arc<Frame>,
    mode: Mode,
    /// `None` only while the guard turns into another one or is dropped.
    content: Option<Arc<Bytes>>,
    #[expect(dead_code, reason = "held")]
    order: (HeldLock, InOrder),
}

impl Held {
    fn new(frame: Arc<Frame>, mode: Mode, content: Option<Arc<Bytes>>) -> Self {
        let order = (HeldLock::new(Rank::Page, &raw const frame.latch), InOrder::new(frame.key));
        Self { frame, mode, content, order }
    }

    fn page(&self) -> Page<'_> {
        let bytes = self.content.as_ref().map_or(&[][..], |content| content);
        // Whatever comes into a frame passed `Page::new`, and `PageMut` keeps it so.
        Page::new(bytes, self.frame.page_size).unwrap_or_else(|_| unreachable!("a page in the cache"))
    }

    /// Takes the latch over into another mode.
    fn turn(mut self, mode: Mode, change: impl FnOnce(&Frame, Arc<Bytes>) -> Arc<Bytes>) -> Self {
        let content = self.content.take().map(|content| change(&self.frame, content));
        Self::new(self.frame.clone(), mode, content)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(content) = self.content.take() {
            self.frame.latch.release(self.mode, content);
        }
    }
}

macro_rules! common {
    ($guard:ident) => {
        impl $guard {
            /// The page's number.
            pub fn number(&self) -> PageNumber {
                self.held.frame.key.page
            }

            /// The content.
            pub fn page(&self) -> Page<'_> {
                self.held.page()
            }
        }

        impl std::fmt::Debug for $guard {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($guard)).field(&self.number()).finish()
            }
        }
    };
}

/// A page to read; others may read it too.
#[must_use = "the latch is released when the guard is dropped"]
pub struct SharedPage {
    held: Held,
}

/// A page to read and perhaps to change; others may only read it.
#[must_use = "the latch is released when the guard is dropped"]
pub struct UpgradablePage {
    held: Held,
    file: Arc<CachedFile>,
}

/// A page to change; nobody else sees it.
#[must_use = "the latch is released when the guard is dropped"]
pub struct ExclusivePage {
    held: Held,
    file: Arc<CachedFile>,
    /// Its old content does not count: zeros are to be seen before it is formatted.
    fresh: Fresh,
    /// When it was last changed, as known to the frame's bookkeeping.
    noted: DbTime,
}

pub(super) enum Fresh {
    /// An ordinary page.
    No,
    /// Not touched yet. `in_memory`: the frame has sound content.
    Untouched { in_memory: bool },
    /// Cleared, the new content not noted yet; with the old content, if the frame had any.
    Cleared { old: Option<Arc<Bytes>> },
}

common!(SharedPage);
common!(UpgradablePage);
common!(ExclusivePage);

impl SharedPage {
    pub(super) fn new(frame: Arc<Frame>, content: Arc<Bytes>) -> Self {
        Self { held: Held::new(frame, Mode::Shared, Some(content)) }
    }

    /// The page as it is now, to go by later without the latch; see [`RememberedPage`].
    pub fn remember(&self) -> Option<RememberedPage> {
        let Held { frame, content, .. } = &self.held;
        let content = content.clone()?;
        Some(RememberedPage::new(frame.key.page, frame.page_size, content, frame.latch.changes()))
    }
}

impl UpgradablePage {
    pub(super) fn new(frame: Arc<Frame>, content: Arc<Bytes>, file: Arc<CachedFile>) -> Self {
        Self { held: Held::new(frame, Mode::Upgradable, Some(content)), file }
    }

    /// Waits until nobody else reads the page; nobody can change it in between.
    pub fn upgrade(self) -> ExclusivePage {
        let held = self.held.turn(Mode::Exclusive, |frame, content| frame.latch.upgrade(content));
        ExclusivePage::of(held, self.file, Fresh::No)
    }

    /// Lets others change the page.
    pub fn downgrade(self) -> SharedPage {
        let held = self.held.turn(Mode::Shared, |frame, content| frame.latch.weaken(content));
        SharedPage { held }
    }
}

impl ExclusivePage {
    pub(super) fn new(frame: Arc<Frame>, content: Arc<Bytes>, file: Arc<CachedFile>, fresh: Fresh) -> Self {
        Self::of(Held::new(frame, Mode::Exclusive, Some(content)), file, fresh)
    }

    fn of(held: Held, file: Arc<CachedFile>, fresh: Fresh) -> Self {
        let noted = held.page().db_time();
        Self { held, file, fresh, noted }
    }

    fn bytes(&mut self) -> &mut [u8] {
        if let Fresh::Untouched { in_memory } = self.fresh {
            let zeros = Arc::new(vec![0; self.held.frame.page_size.bytes()].into_boxed_slice());
            let old = self.held.content.replace(zeros).filter(|_| in_memory);
            self.fresh = Fresh::Cleared { old };
        }
        // Shared only with those who remember the page as it was.
        self.held.content.as_mut().map_or(&mut [], |content| &mut **Arc::make_mut(content))
    }

    /// The content, to be changed. An operation that fails leaves the page as it was; after those that
    /// succeed, [`Self::changed`] must be called.
    pub fn edit(&mut self) -> PageMut<'_> {
        let page_size = self.held.frame.page_size;
        PageMut::new(self.bytes(), page_size).unwrap_or_else(|_| unreachable!("a page in the cache"))
    }

    /// Makes the page a new one; [`Self::changed`] must be called after it.
    ///
    /// # Errors
    /// Those of [`PageMut::format`].
    pub fn format(&mut self, new: NewPage) -> Result<PageMut<'_>> {
        let page_size = self.held.frame.page_size;
        Ok(PageMut::format(self.bytes(), page_size, new)?)
    }

    /// Puts a whole page image in; [`Self::changed`] must be called after it.
    ///
    /// # Errors
    /// Those of [`Page::new`] and [`Page::check`]; the page is as it was then.
    pub fn put(&mut self, image: &[u8]) -> Result<()> {
        let number = self.number();
        Page::new(image, self.held.frame.page_size)
            .and_then(|page| page.check())
            .map_err(|e| e.at_page(number))?;
        self.bytes().copy_from_slice(image);
        Ok(())
    }

    /// Puts a whole page image in that its maker has checked ([`Page::check`]); [`Self::changed`] must be called after
    /// it.
    ///
    /// # Errors
    /// Those of [`Page::new`]; the page is as it was then.
    pub fn take_over(&mut self, image: Vec<u8>) -> Result<()> {
        let number = self.number();
        let page = Page::new(&image, self.held.frame.page_size).map_err(|e| e.at_page(number))?;
        debug_assert_eq!(page.check(), Ok(()), "page {number}");
        let old = self.held.content.replace(Arc::new(image.into_boxed_slice()));
        if let Fresh::Untouched { in_memory } = self.fresh {
            self.fresh = Fresh::Cleared { old: old.filter(|_| in_memory) };
        }
        Ok(())
    }

    /// Notes that the page was changed. `begin0` is the position of the changing transaction's Begin0 record,
    /// which the checkpoint must not pass before the page is on the disk; `end` is the end of the change's
    /// log record, which must be durable first. NONE where there is none (redo, unlogged files).
    pub fn changed(&mut self, begin0: LogPosition, end: LogPosition) {
        self.fresh = Fresh::No;
        self.noted = self.page().db_time();
        self.held.frame.changed(&self.file, begin0, end);
        #[cfg(any(debug_assertions, feature = "witness"))]
        if let Some(witness) = self.file.cache().witness() {
            let made = if end.is_some() { super::Made::Logging } else { super::Made::Replaying };
            witness.changed(self.file.file().path(), self.number(), self.page(), made);
        }
    }

    /// Lets others read the page.
    pub fn downgrade(mut self) -> SharedPage {
        self.settle();
        let content =
            self.held.content.take().map(|content| self.held.frame.latch.downgrade(Mode::Shared, content));
        SharedPage { held: Held::new(self.held.frame.clone(), Mode::Shared, content) }
    }

    /// A fresh page that was not made is what it was: whoever comes next shall not see zeros. Whether it
    /// was such a page.
    fn settle(&mut self) -> bool {
        if self.held.content.is_none() {
            return false;
        }
        match std::mem::replace(&mut self.fresh, Fresh::No) {
            Fresh::No => return false,
            Fresh::Untouched { in_memory: true } => {}
            Fresh::Cleared { old: Some(old) } => self.held.content = Some(old),
            Fresh::Untouched { in_memory: false } | Fresh::Cleared { old: None } => {
                self.file.drop_frame(&self.held.frame);
            }
        }
        true
    }
}

impl Drop for ExclusivePage {
    fn drop(&mut self) {
        let is_as_before = self.settle();
        debug_assert!(
            is_as_before
                || std::thread::panicking()
                || self.held.content.is_none()
                || self.noted == self.page().db_time(),
            "page {} was changed without a note",
            self.number()
        );
    }
}
