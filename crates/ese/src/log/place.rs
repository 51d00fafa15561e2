//! Where records go: the arithmetic of segments and fragments.

use ese_format::log::{SEGMENT_BYTES, SEGMENT_HEADER_BYTES};
use ese_format::primitives::{Generation, LogPosition};

/// Bytes before the data of the first fragment: type, whole length (u32), length of the piece (u16).
pub(super) const FRAGMENT_BEGIN_BYTES: usize = 7;
/// Bytes before the data of a further fragment: type, length of the piece (u16).
pub(super) const FRAGMENT_BYTES: usize = 3;
/// A segment with less room than this takes no first fragment; the rest is filled with NOP.
const MIN_FRAGMENT_ROOM: usize = 32;

/// A byte in a generation, always one that can take a record: a full segment's end is the next
/// segment's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u16,
    /// From 40 to 4095.
    pub(super) fill: usize,
}

impl Place {
    pub(super) const START: Self = Self::start_of(1);

    pub(super) const fn start_of(segment: u16) -> Self {
        Self { segment, fill: SEGMENT_HEADER_BYTES }
    }

    pub(super) fn is_start(self) -> bool {
        self.fill == SEGMENT_HEADER_BYTES
    }

    pub(super) fn room(self) -> usize {
        SEGMENT_BYTES - self.fill
    }

    /// The position as it is stored: the start of a segment has offset 0.
    pub(super) fn position(self, generation: Generation) -> LogPosition {
        let offset = if self.is_start() { 0 } else { self.fill as u16 };
        LogPosition::new(generation, self.segment, offset)
    }

    /// The place so many bytes on in the same segment.
    pub(super) fn after(self, bytes: usize) -> Self {
        match self.fill + bytes {
            fill if fill < SEGMENT_BYTES => Self { fill, ..self },
            _ => Self::start_of(self.segment.saturating_add(1)),
        }
    }

    /// Where a record of `len` bytes begins and ends when appended here, fragmented as need be; `None`
    /// when it would run beyond segment `last`.
    pub(super) fn put(self, len: usize, last: u16) -> Option<(Self, Self)> {
        let mut start = self;
        if len > start.room() && start.room() < MIN_FRAGMENT_ROOM {
            start = Self::start_of(start.segment.checked_add(1)?);
        }
        let mut at = start;
        let mut rest = len;
        if rest > at.room() {
            rest -= at.room() - FRAGMENT_BEGIN_BYTES;
            at = Self::start_of(at.segment.checked_add(1)?);
            while rest > at.room() - FRAGMENT_BYTES {
                rest -= at.room() - FRAGMENT_BYTES;
                at = Self::start_of(at.segment.checked_add(1)?);
            }
            rest += FRAGMENT_BYTES;
        }
        // A record that ends exactly at a segment's end is still inside it.
        (at.segment <= last).then(|| (start, at.after(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_fits_stays_whole() {
        let (start, end) = Place::START.put(4056, 1).unwrap();
        assert_eq!((start, end), (Place::START, Place::start_of(2)));
        assert_eq!(Place { segment: 3, fill: 4086 }.put(10, 3).unwrap().1, Place::start_of(4));
        assert_eq!(Place::START.position(Generation(5)), LogPosition::new(Generation(5), 1, 0));
    }

    #[test]
    fn little_room_is_skipped_and_more_is_used() {
        // 31 bytes left: the record begins in the next segment. 32 left: a fragment begins here.
        let (start, _) = Place { segment: 1, fill: 4065 }.put(40, 9).unwrap();
        assert_eq!(start, Place::start_of(2));
        let (start, end) = Place { segment: 1, fill: 4064 }.put(40, 9).unwrap();
        assert_eq!(start, Place { segment: 1, fill: 4064 });
        assert_eq!(end, Place { segment: 2, fill: 40 + 3 + 15 });
    }

    #[test]
    fn long_records_take_as_many_fragments_as_they_need() {
        let exactly = (4056 - 7) + (4056 - 3);
        assert_eq!(Place::START.put(exactly, 2).unwrap().1, Place::start_of(3));
        assert_eq!(Place::START.put(exactly, 1), None);
        assert_eq!(Place::START.put(exactly + 1, 9).unwrap().1, Place { segment: 3, fill: 44 });
        assert_eq!(Place::START.put(exactly + 1, 2), None);
    }
}
