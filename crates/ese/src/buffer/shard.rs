//! One part of the cache's map, and who leaves it.
//!
//! Two clocks. A page enters on *probation*; one that is asked for again while it is there moves to the
//! *main* clock, the others leave. As long as probation has more than its share, pages leave from there, so
//! a scan passes through without driving out what others use. What left on probation is remembered by its
//! name for a while: if it comes back it goes to the main clock at once, for its users are further apart
//! than probation is long.

use super::cache::{Key, KeyHasher};
use super::frame::Frame;
use crate::sync::Arc;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;

type ByKey = BuildHasherDefault<KeyHasher>;

/// The part of the frames that are on probation, as a divisor.
const PROBATION: usize = 8;

#[derive(Default)]
pub(super) struct Shard {
    map: HashMap<Key, Arc<Frame>, ByKey>,
    probation: VecDeque<Arc<Frame>>,
    main: VecDeque<Arc<Frame>>,
    /// Pages that left on probation, oldest first; `remembered` holds the same.
    left: VecDeque<Key>,
    remembered: HashSet<Key, ByKey>,
    hits: u64,
}

/// What a turn of the clocks found.
pub(super) enum Turn {
    /// A clean page has left.
    Freed,
    /// This page could leave if it was written; it is behind the hand now.
    Dirty(Arc<Frame>),
    /// Nothing to be had from this page.
    Passed,
}

impl Shard {
    pub(super) fn get(&self, key: Key) -> Option<&Arc<Frame>> {
        self.map.get(&key)
    }

    pub(super) fn hit(&mut self, key: Key) -> Option<Arc<Frame>> {
        let frame = self.map.get(&key)?.clone();
        self.hits += 1;
        Some(frame)
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Enters the frame of a page that has none.
    pub(super) fn insert(&mut self, frame: Arc<Frame>) {
        let key = frame.key;
        if self.remembered.remove(&key) {
            self.main.push_back(frame.clone());
        } else {
            self.probation.push_back(frame.clone());
        }
        self.map.insert(key, frame);
    }

    /// Takes a frame out; false when it is not there.
    pub(super) fn remove(&mut self, frame: &Arc<Frame>) -> bool {
        let is_there = self.map.get(&frame.key).is_some_and(|there| Arc::ptr_eq(there, frame));
        if is_there {
            self.map.remove(&frame.key);
            self.probation.retain(|other| !Arc::ptr_eq(other, frame));
            self.main.retain(|other| !Arc::ptr_eq(other, frame));
        }
        is_there
    }

    /// Takes all frames out whose key is meant.
    pub(super) fn remove_all(&mut self, is_meant: impl Fn(&Key) -> bool, removed: &mut Vec<Arc<Frame>>) {
        let before = removed.len();
        removed.extend(self.map.extract_if(|key, _| is_meant(key)).map(|(_, frame)| frame));
        if removed.len() > before {
            self.probation.retain(|frame| !is_meant(&frame.key));
            self.main.retain(|frame| !is_meant(&frame.key));
        }
    }

    /// Looks at one page. `passed` counts those in a row that could not leave.
    pub(super) fn turn(&mut self, passed: usize) -> Turn {
        let share = self.map.len() / PROBATION;
        let on_probation = match self.main.is_empty() {
            true => true,
            // When all on probation are in use or dirty the others have their turn.
            false => self.probation.len() > share && passed < self.probation.len(),
        };
        let clock = if on_probation { &mut self.probation } else { &mut self.main };
        let Some(frame) = clock.pop_front() else { return Turn::Passed };
        // One reference is the map's, one is ours; a third is somebody who uses the page.
        if Arc::strong_count(&frame) > 2 {
            clock.push_back(frame);
            return Turn::Passed;
        }
        if frame.spend_touch() {
            self.main.push_back(frame);
            return Turn::Passed;
        }
        if !frame.is_clean() {
            clock.push_back(frame.clone());
            return Turn::Dirty(frame);
        }
        self.map.remove(&frame.key);
        if on_probation {
            self.remember(frame.key);
        }
        Turn::Freed
    }

    fn remember(&mut self, key: Key) {
        if self.remembered.insert(key) {
            self.left.push_back(key);
        }
        // As many names as there are pages: whoever comes back later was further apart than all memory.
        while self.left.len() > self.map.len() + 1 {
            if let Some(oldest) = self.left.pop_front() {
                self.remembered.remove(&oldest);
            }
        }
    }
}
