//! Pages from the disk: verified before anybody sees them.

use super::cache::Inserted;
use super::file::CachedFile;
use super::latch::Mode;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::PageNumber;
use ese_format::checksum::{Verdict, verify_page};
use ese_format::page::Page;

/// Most bytes that one read-ahead call asks for.
const PIECE: usize = 1 << 18;

impl CachedFile {
    /// Reads and verifies a page; whether a wrong bit was mended.
    pub(super) fn load(&self, page: PageNumber, bytes: &mut [u8]) -> Result<bool> {
        self.cache().counters().read_call(1);
        self.file().read_pages(page, bytes)?;
        match self.verify(page, bytes) {
            Err(error) if error.code() == JetErr::ReadVerifyFailure => {
                // What went wrong may have been the transfer.
                self.cache().counters().read_call(1);
                self.file().read_pages(page, bytes)?;
                self.verify(page, bytes)
            }
            done => done,
        }
    }

    fn verify(&self, page: PageNumber, bytes: &mut [u8]) -> Result<bool> {
        let path = self.file().path();
        let error = |code, what: String| Err(Error::new(code, what).file(path).page(page));
        let page_size = self.page_size();
        let verdict = verify_page(bytes, page, page_size);
        let corrected = match verdict {
            Verdict::Sound => None,
            Verdict::Corrected { bit } => Some(bit),
            Verdict::Uninitialized => return error(JetErr::PageNotInitialized, "a page of zeros".to_owned()),
            Verdict::Bad(damage) => {
                return error(JetErr::ReadVerifyFailure, format!("the checksum is wrong: {damage}"));
            }
        };
        let checked = Page::new(bytes, page_size).and_then(|page| page.check());
        match (checked, corrected) {
            (Ok(()), None) => Ok(false),
            (Ok(()), Some(bit)) => {
                self.cache().counters().corrected();
                tracing::warn!(file = %path.display(), page = page.0, bit, "a single wrong bit was mended");
                Ok(true)
            }
            (Err(e), None) => Err(Error::from(e).file(path).page(page)),
            (Err(e), Some(_)) => {
                error(JetErr::ReadVerifyFailure, format!("the checksum is wrong beyond repair: {}", e.detail))
            }
        }
    }

    /// Reads pages that are not in memory, neighbours together, as far as there is room without writing or
    /// driving out much. Best effort: a page that cannot be read is left to whoever takes it.
    pub fn prefetch(self: &Arc<Self>, pages: &[PageNumber]) {
        let page_bytes = self.page_size().bytes();
        let last = self.file().last_page();
        let most = (self.cache().limit() / 4 / page_bytes).max(1);
        let mut wanted: Vec<_> = pages.iter().copied().filter(|p| p.is_some() && *p <= last).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(most);
        for run in wanted.chunk_by(|a, b| a.0 + 1 == b.0).flat_map(|run| run.chunks(PIECE / page_bytes)) {
            if self.health().is_down() || !self.prefetch_run(run) {
                return;
            }
        }
    }

    /// Reads pages that stand next to each other; false when there is no room.
    fn prefetch_run(self: &Arc<Self>, run: &[PageNumber]) -> bool {
        let mut frames = Vec::with_capacity(run.len());
        let mut has_room = true;
        for &page in run {
            if self.cache().peek(self.key(page)).is_some() {
                continue;
            }
            let Some(room) = self.cache().room_for_clean(self.page_size()) else {
                has_room = false;
                break;
            };
            if let Inserted::New(frame, content) = self.cache().insert(self.key(page), self, room, true) {
                frames.push((frame, content));
            }
        }
        let page_bytes = self.page_size().bytes();
        let mut piece = Vec::new();
        let mut rest = frames.into_iter().peekable();
        while let Some(first) = rest.next() {
            let number = first.0.key.page;
            let mut together = vec![first];
            while let Some(next) =
                rest.next_if(|(frame, _)| frame.key.page.0 == number.0 + together.len() as u32)
            {
                together.push(next);
            }
            piece.resize(together.len() * page_bytes, 0);
            self.cache().counters().read_call(together.len());
            let read = self.file().read_pages(number, &mut piece);
            for ((frame, mut content), image) in together.into_iter().zip(piece.chunks_exact_mut(page_bytes))
            {
                // A wrong bit is left to the one who takes the page, so that it is noted once.
                let sound = read.is_ok() && self.verify(frame.key.page, image).is_ok_and(|mended| !mended);
                match Arc::get_mut(&mut content) {
                    Some(bytes) if sound => bytes.copy_from_slice(image),
                    _ => self.cache().remove(&frame),
                }
                frame.latch.release(Mode::Exclusive, content);
            }
        }
        has_room
    }
}
