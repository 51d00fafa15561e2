//! Where moves end.

use super::{TableCursor, no_record};
use crate::btree::Work;
use crate::error::{Error, JetErr, Result};
use bitflags::bitflags;
use std::cmp::Ordering;

bitflags! {
    /// The other end of a range (the grbit of JetSetIndexRange).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct RangeFlags: u32 {
        /// The limit itself is inside.
        const INCLUSIVE = 0x1;
        /// The limit is at the end that forward moves meet; else at the one that backward moves meet.
        const UPPER = 0x2;
    }
}

/// A range: the key behind which, or before which, nothing is found any more.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    key: Vec<u8>,
    flags: RangeFlags,
}

impl Limit {
    /// Whether a move in a direction may end at a key.
    fn admits(&self, key: &[u8], forward: bool) -> bool {
        if self.flags.contains(RangeFlags::UPPER) != forward {
            return true;
        }
        // A limit without its last columns takes in all that begin with it, if it is inclusive.
        match key.cmp(&self.key[..]) {
            Ordering::Equal => self.flags.contains(RangeFlags::INCLUSIVE),
            Ordering::Less => forward,
            Ordering::Greater => !forward,
        }
    }
}

impl TableCursor {
    /// Limits moves by the search key until the next seek or jump (JetSetIndexRange).
    ///
    /// # Errors
    /// `KeyNotMade`; `NoCurrentRecord` when the current record is outside, and the range is gone.
    pub fn set_range(&mut self, work: &Work, flags: RangeFlags) -> Result<()> {
        if !self.search.is_prepared() {
            return Err(Error::new(JetErr::KeyNotMade, "there is no search key yet"));
        }
        self.limit = Some(Limit { key: self.search.bytes().to_vec(), flags });
        self.search.clear();
        let forward = flags.contains(RangeFlags::UPPER);
        if self.order().is_on() && self.is_inside(forward) {
            return Ok(());
        }
        self.limit = None;
        if forward {
            self.order().after_last()
        } else {
            self.order().before_first()
        }
        self.arrive(work, false)
    }

    /// Forgets the range.
    pub fn cancel_range(&mut self) {
        self.limit = None;
    }

    /// Whether moves are limited.
    pub fn has_range(&self) -> bool {
        self.limit.is_some()
    }

    pub(super) fn is_inside(&self, forward: bool) -> bool {
        let key = match &self.index {
            Some((_, cursor)) => cursor.key(),
            None => self.records.key(),
        };
        self.limit.as_ref().is_none_or(|limit| limit.admits(key, forward))
    }

    /// Counts the records from the current one on, within the range, `most` at most (0: all).
    ///
    /// # Errors
    /// Those of the pages.
    pub fn count(&mut self, work: &Work, most: u64) -> Result<u64> {
        if self.between || !self.order().is_on() {
            return Err(no_record());
        }
        let mut ahead = self.order().clone();
        let limit = self.limit.clone();
        let mut count = 0;
        loop {
            count += 1;
            if most != 0 && count >= most || !ahead.next(work)? {
                return Ok(count);
            }
            if limit.as_ref().is_some_and(|limit| !limit.admits(ahead.key(), true)) {
                return Ok(count);
            }
        }
    }
}
