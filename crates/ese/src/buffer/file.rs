//! One database file in the cache: taking pages.

use super::cache::{Inserted, Key, PageCache};
use super::dirty::{DirtyPages, Unsynced};
use super::double_write::DoubleWrite;
use super::frame::{Bytes, Frame, older};
use super::guard::{ExclusivePage, Fresh, SharedPage, UpgradablePage};
use super::health::Health;
use super::hooks::{BeforeImages, WriteAhead};
use super::latch::Mode;
use super::order;
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::sync::job::Waker;
use crate::sync::{Arc, Mutex, Rank, Weak, may_wait};
use ese_format::{LogPosition, PageNumber, PageSize};

/// What a cached file works with.
#[derive(Clone)]
pub struct FileParts {
    /// Its number in the log (ESE: dbid).
    pub id: u8,
    /// The file, open and locked.
    pub file: Arc<DbFile>,
    /// The log that must be durable before a page is written.
    pub log: Arc<dyn WriteAhead>,
    /// Who has before-images that must be logged before a page is written.
    pub images: Arc<dyn BeforeImages>,
    /// The state of the instance.
    pub health: Arc<Health>,
    /// Where images of pages go that could tear. For files that can be recovered, when pages are above 4 KB.
    pub double_write: Option<Arc<DoubleWrite>>,
}

/// One database in the cache.
///
/// A thread must not take a latch that it holds, in whatever mode. It may hold several, if all threads take
/// them in one order; against the order it must use the methods that try. Dropping the last reference forgets
/// all pages, changed or not; see [`CachedFile::flush`].
pub struct CachedFile {
    this: Weak<CachedFile>,
    cache: Arc<PageCache>,
    number: u32,
    pub(super) parts: FileParts,
    dirty: DirtyPages,
    pub(super) unsynced: Unsynced,
    writer: Mutex<Option<Waker>>,
}

/// A latched frame.
type Latched = (Arc<Frame>, Arc<Bytes>);

impl CachedFile {
    /// Puts a file into the cache, without a double-write file and in an instance of its own.
    pub fn new(
        cache: &Arc<PageCache>,
        id: u8,
        file: Arc<DbFile>,
        log: Arc<dyn WriteAhead>,
        images: Arc<dyn BeforeImages>,
    ) -> Arc<Self> {
        let health = Arc::new(Health::new());
        Self::with_parts(cache, FileParts { id, file, log, images, health, double_write: None })
    }

    /// Puts a file into the cache.
    pub fn with_parts(cache: &Arc<PageCache>, parts: FileParts) -> Arc<Self> {
        let health = parts.health.clone();
        parts.file.on_failed_sync(move |error| drop(health.fail(error)));
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            cache: cache.clone(),
            number: cache.new_file_number(),
            dirty: DirtyPages::new(cache.dirty_counter().clone(), parts.file.page_size().bytes()),
            parts,
            unsynced: Unsynced::default(),
            writer: Mutex::new(None),
        })
    }

    /// The file.
    pub fn file(&self) -> &Arc<DbFile> {
        &self.parts.file
    }

    /// The database's number in the log (ESE: dbid).
    pub fn id(&self) -> u8 {
        self.parts.id
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.parts.file.page_size()
    }

    /// The cache it is in.
    pub fn cache(&self) -> &Arc<PageCache> {
        &self.cache
    }

    /// The state of its instance.
    pub fn health(&self) -> &Arc<Health> {
        &self.parts.health
    }

    /// Pages with changes that are not written.
    pub fn dirty_pages(&self) -> usize {
        self.dirty.count()
    }

    /// Whom to wake when a thread had to write pages itself because memory had no clean ones: the page writer.
    pub fn set_writer(&self, waker: Option<Waker>) {
        *self.writer.lock() = waker;
    }

    pub(super) fn wake_writer(&self) {
        let waker = self.writer.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn dirty(&self) -> &DirtyPages {
        &self.dirty
    }

    pub(super) fn key(&self, page: PageNumber) -> Key {
        Key { file: self.number, page }
    }

    /// Takes a page to read it; others may read it too.
    ///
    /// # Errors
    /// `FileIOBeyondEOF` when the file has no such page, `PageNotInitialized` when it is all zeros,
    /// `ReadVerifyFailure` when its checksum is wrong, `DatabaseCorrupted` when it is no page all the same;
    /// I/O errors; those of writing pages, when all pages in memory are changed ones; `InstanceUnavailable`.
    pub fn read(self: &Arc<Self>, page: PageNumber) -> Result<SharedPage> {
        let (frame, content) = self.take_in_order(page, Mode::Shared)?;
        Ok(SharedPage::new(frame, content))
    }

    /// Takes a page to read and perhaps change it; others may only read it.
    ///
    /// # Errors
    /// Those of [`Self::read`] and [`Self::write`].
    pub fn upgradable(self: &Arc<Self>, page: PageNumber) -> Result<UpgradablePage> {
        self.check_writable()?;
        let (frame, content) = self.take_in_order(page, Mode::Upgradable)?;
        Ok(UpgradablePage::new(frame, content, self.clone()))
    }

    /// Takes a page to change it.
    ///
    /// # Errors
    /// Those of [`Self::read`]; `DatabaseFileReadOnly` for a file opened to be read.
    pub fn write(self: &Arc<Self>, page: PageNumber) -> Result<ExclusivePage> {
        self.check_writable()?;
        let (frame, content) = self.take_in_order(page, Mode::Exclusive)?;
        Ok(ExclusivePage::new(frame, content, self.clone(), Fresh::No))
    }

    /// As [`Self::write`], for redo: it takes pages in whatever order, for some may be as they were later, when the tree
    /// looked otherwise. Nobody else takes more than one then.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub fn write_out_of_order(self: &Arc<Self>, page: PageNumber) -> Result<ExclusivePage> {
        self.check_writable()?;
        let (frame, content) = self.take(page, Mode::Exclusive)?;
        Ok(ExclusivePage::new(frame, content, self.clone(), Fresh::No))
    }

    /// As [`Self::read`], unless somebody has the page in a way that excludes reading: then nothing.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn try_read(self: &Arc<Self>, page: PageNumber) -> Result<Option<SharedPage>> {
        let latched = self.try_take(page, Mode::Shared)?;
        Ok(latched.map(|(frame, content)| SharedPage::new(frame, content)))
    }

    /// As [`Self::write`], unless somebody has the page: then nothing.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub fn try_write(self: &Arc<Self>, page: PageNumber) -> Result<Option<ExclusivePage>> {
        self.check_writable()?;
        let latched = self.try_take(page, Mode::Exclusive)?;
        Ok(latched.map(|(frame, content)| ExclusivePage::new(frame, content, self.clone(), Fresh::No)))
    }

    /// Takes a page whose old content does not matter, to make it anew: it is not read, and the first access
    /// to change it clears it. Without a change it stays what it was.
    ///
    /// # Errors
    /// `FileIOBeyondEOF` when the file must be extended first; `DatabaseFileReadOnly`; `InstanceUnavailable`;
    /// those of writing pages.
    pub fn fresh(self: &Arc<Self>, page: PageNumber) -> Result<ExclusivePage> {
        self.check_writable()?;
        self.check_number(page)?;
        loop {
            let (frame, content, in_memory) = match self.find(page)? {
                Inserted::New(frame, content) => (frame, content, false),
                Inserted::There(frame) => {
                    may_wait(Rank::Page, &raw const frame.latch);
                    let content = frame.latch.take(Mode::Exclusive);
                    (frame, content, true)
                }
            };
            if frame.is_gone() {
                frame.latch.release(Mode::Exclusive, content);
                continue;
            }
            return Ok(ExclusivePage::new(frame, content, self.clone(), Fresh::Untouched { in_memory }));
        }
    }

    /// A position that must be durable before a page is written, when a before-image is dropped or logged
    /// that a write would have logged otherwise.
    pub fn raise_durable(&self, page: PageNumber, end: LogPosition) {
        if let Some(frame) = self.cache.peek(self.key(page)) {
            frame.raise_durable(end);
        }
    }

    /// The position of the oldest Begin0 record whose transaction has changes that are not durable in the
    /// file. The checkpoint must not pass it.
    ///
    /// To find out how far a checkpoint may go, ask first for the log's tip, then for the transactions'
    /// oldest Begin0, then for this; in another order a transaction can slip through between two questions.
    pub fn oldest_begin0(&self) -> Option<LogPosition> {
        // In this order: a page enters the second place before it leaves the first.
        let dirty = self.dirty.oldest_begin0();
        Some(older(dirty, self.unsynced.oldest())).filter(|position| position.is_some())
    }

    /// Throws all pages out, changed ones too. Nobody may hold latches.
    pub fn discard(&self) {
        self.forget_from(PageNumber::NONE);
    }

    /// Throws pages from `first` on out, changed ones too: nobody needs them, or it is recovery that does it, which
    /// begins where it began as long as it is not done. Nobody may hold latches of them. On return no write of them
    /// is on its way.
    pub fn forget_from(&self, first: PageNumber) {
        for frame in self.cache.remove_file(self.number, first) {
            frame.forget(self);
        }
    }

    /// As [`Self::forget_from`], then cuts the file with `cut`. As long as a crash can take that back, the checkpoint
    /// does not pass what the pages lack: recovery would find them older than the log goes on from.
    ///
    /// # Errors
    /// Those of `cut`; the checkpoint stays behind what the pages lack then.
    pub fn cut_from(&self, first: PageNumber, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        let frames = self.cache.remove_file(self.number, first);
        // Before they leave the dirty pages, which hold the checkpoint until then.
        let oldest = frames.iter().map(|frame| frame.oldest_unwritten()).fold(LogPosition::NONE, older);
        let held = oldest.is_some().then(|| self.unsynced.hold(oldest));
        frames.iter().for_each(|frame| frame.forget(self));
        cut()?;
        held.into_iter().for_each(|held| self.unsynced.let_go(held));
        Ok(())
    }

    /// Throws one frame out whose latch the caller holds exclusively and that never had content.
    pub(super) fn drop_frame(&self, frame: &Arc<Frame>) {
        self.cache.remove(frame);
    }

    fn check_writable(&self) -> Result<()> {
        match self.parts.file.intent() {
            Intent::Write => Ok(()),
            Intent::Read => Err(Error::new(JetErr::DatabaseFileReadOnly, "the file was opened to be read")
                .file(self.parts.file.path())),
        }
    }

    fn check_number(&self, page: PageNumber) -> Result<()> {
        self.parts.health.check()?;
        if page.is_some() && page <= self.parts.file.last_page() {
            return Ok(());
        }
        let last = self.parts.file.last_page();
        Err(Error::new(JetErr::FileIOBeyondEOF, format!("the file has {last} pages"))
            .file(self.parts.file.path())
            .page(page))
    }

    /// The frame of a page: one that is there, or a new one that the caller has to fill.
    fn find(self: &Arc<Self>, page: PageNumber) -> Result<Inserted> {
        let key = self.key(page);
        if let Some(frame) = self.cache.lookup(key) {
            return Ok(Inserted::There(frame));
        }
        let room = self.cache.room(self.page_size())?;
        Ok(self.cache.insert(key, self, room, false))
    }

    fn take_in_order(self: &Arc<Self>, page: PageNumber, mode: Mode) -> Result<Latched> {
        let latched = self.take(page, mode)?;
        order::assert_in_order(latched.0.key, &latched.1, self.page_size());
        Ok(latched)
    }

    fn take(self: &Arc<Self>, page: PageNumber, mode: Mode) -> Result<Latched> {
        self.check_number(page)?;
        loop {
            let frame = match self.find(page)? {
                Inserted::New(frame, content) => return self.filled(frame, content, mode),
                Inserted::There(frame) => frame,
            };
            may_wait(Rank::Page, &raw const frame.latch);
            let content = frame.latch.take(mode);
            if !frame.is_gone() {
                return Ok((frame, content));
            }
            frame.latch.release(mode, content);
        }
    }

    fn try_take(self: &Arc<Self>, page: PageNumber, mode: Mode) -> Result<Option<Latched>> {
        self.check_number(page)?;
        loop {
            let frame = match self.find(page)? {
                Inserted::New(frame, content) => return self.filled(frame, content, mode).map(Some),
                Inserted::There(frame) => frame,
            };
            let Some(content) = frame.latch.try_take(mode) else { return Ok(None) };
            if !frame.is_gone() {
                return Ok(Some((frame, content)));
            }
            frame.latch.release(mode, content);
        }
    }

    /// Reads a page into a new frame and goes on with the latch in `mode`.
    fn filled(&self, frame: Arc<Frame>, mut content: Arc<Bytes>, mode: Mode) -> Result<Latched> {
        let Some(bytes) = Arc::get_mut(&mut content) else { unreachable!("nobody else has the latch yet") };
        let loaded = self.load(frame.key.page, bytes);
        match loaded {
            Ok(corrected) => {
                if corrected && self.parts.file.intent() == Intent::Write {
                    frame.changed(self, LogPosition::NONE, LogPosition::NONE);
                }
            }
            Err(error) => {
                // Those who wait for the latch find the frame gone and try for themselves.
                self.cache.remove(&frame);
                frame.latch.release(Mode::Exclusive, content);
                return Err(error);
            }
        }
        let content = match mode {
            Mode::Exclusive => content,
            weaker => frame.latch.downgrade(weaker, content),
        };
        Ok((frame, content))
    }

    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }
}

impl Drop for CachedFile {
    fn drop(&mut self) {
        self.cache.remove_file(self.number, PageNumber::NONE);
    }
}
