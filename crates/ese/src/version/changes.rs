//! The versions of one session's transaction, for its rollback.

use super::entry::Version;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// What a session changed in its transaction, oldest first, with the places where levels begin.
#[derive(Debug, Default)]
pub struct Changes {
    versions: Vec<Arc<Version>>,
    starts: Vec<usize>,
    /// Those of the innermost level that are undone already, while it is rolled back.
    undone: Vec<Arc<Version>>,
}

impl Changes {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A level begins.
    pub fn begin(&mut self) {
        self.starts.push(self.versions.len());
    }

    /// A change was made.
    pub(super) fn push(&mut self, version: Arc<Version>) {
        self.versions.push(version);
    }

    /// A change that got known late, to redo or because another session made it: it takes its place by its number, in the level that it is of.
    pub(crate) fn insert(&mut self, version: Arc<Version>) {
        let level = usize::from(version.level());
        let start = level.checked_sub(1).and_then(|at| self.starts.get(at)).copied().unwrap_or(0);
        let end = self.starts.get(level).copied().unwrap_or(self.versions.len());
        let range = self.versions.get(start..end).unwrap_or_default();
        // Numbers wrap around.
        let is_newer = |other: &&Arc<Version>| (other.id.wrapping_sub(version.id) as i32) > 0;
        let at = end - range.iter().rev().take_while(is_newer).count();
        self.versions.insert(at, version);
        self.starts.iter_mut().skip(level).for_each(|start| *start += 1);
    }

    /// Takes the last one back: it came to nothing.
    pub(super) fn pop(&mut self) -> Option<Arc<Version>> {
        self.versions.pop()
    }

    /// The innermost level is committed into the one around it.
    pub fn commit_level(&mut self) {
        let Some(start) = self.starts.pop() else { return };
        let level = self.starts.len() as u8;
        for version in self.versions.iter().skip(start) {
            version.level.store(level, Ordering::Relaxed);
        }
    }

    /// The newest change of the innermost level that is not undone.
    pub fn last_to_undo(&mut self) -> Option<Arc<Version>> {
        let start = self.starts.last().copied().unwrap_or(0);
        while self.versions.len() > start {
            let last = self.versions.last()?;
            if !last.is_undone() {
                return Some(last.clone());
            }
            self.undone.extend(self.versions.pop());
        }
        None
    }

    /// The innermost level is rolled back: its changes, all undone.
    pub fn end_level(&mut self) -> Vec<Arc<Version>> {
        let start = self.starts.pop().unwrap_or(0);
        let mut all = self.versions.split_off(start.min(self.versions.len()));
        all.append(&mut self.undone);
        all
    }

    /// The whole transaction ends: its changes.
    pub fn end(&mut self) -> Vec<Arc<Version>> {
        self.starts.clear();
        std::mem::take(&mut self.versions)
    }

    /// All changes, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Version>> {
        self.versions.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}
