//! The end of the log in memory: the append buffer.

use super::place::{FRAGMENT_BEGIN_BYTES, FRAGMENT_BYTES, Place};
use crate::clock::Clock;
use crate::error::{Error, JetErr, Result};
use ese_format::log::segment::Segment;
use ese_format::log::{SEGMENT_BYTES, SegmentHeader};
use ese_format::primitives::{Generation, LogPosition};
use std::collections::VecDeque;

const TYPE_FRAGMENT_BEGIN: u8 = 76;
const TYPE_FRAGMENT: u8 = 77;
const TYPE_NOP2: u8 = 71;
/// Type and length of a NOP2 record.
const NOP2_BYTES: usize = 5;

/// Where an appended record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The record's position, as other records and pages store it.
    pub start: LogPosition,
    /// The position behind it: the record is durable when the log is durable up to here.
    pub end: LogPosition,
}

/// What kind of work a record belongs to, which matters when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// New work: refused with JET_errLogDiskFull once a reserve log is in use.
    Update,
    /// Rollback, cleanup and shutdown: the reserve logs are for this.
    Rollback,
}

/// What a round of writing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whole segments, to make room; nothing becomes durable by it.
    FullSegments,
    /// The segment that is being filled as well, to make all of it durable.
    Everything,
}

/// A segment whose records are complete, not yet written.
pub(super) struct Pending {
    pub(super) generation: Generation,
    pub(super) number: u16,
    pub(super) image: Box<Segment>,
}

/// The append buffer. Lives under one lock that is held for copying only.
pub(super) struct Tail {
    generation: Generation,
    place: Place,
    /// The last segment of a generation that takes records.
    last: u16,
    /// The segment that is being filled; none while `place` is at a start.
    open: Option<Box<Segment>>,
    full: VecDeque<Pending>,
    /// Segments that were taken to be written and are still in memory.
    in_flight: usize,
    /// Whether the background writer was told that there is something for it.
    announced: bool,
    /// By how much it grows until its followers are told again; 0 for never.
    stride: u64,
    /// By how much it has grown since they were told.
    come: u64,
    /// Why nothing can be appended any more.
    pub(super) failure: Option<JetErr>,
    /// A reserve log is in use: only [`Urgency::Rollback`] is welcome.
    pub(super) quiescing: bool,
    pub(super) closed: bool,
}

impl Tail {
    /// An empty buffer whose first record goes to segment `segment`, or to the next generation when
    /// that is behind the last.
    pub(super) fn new(generation: Generation, segment: u16, last: u16) -> Self {
        Self {
            generation,
            place: Place::start_of(segment),
            last,
            open: None,
            full: VecDeque::new(),
            in_flight: 0,
            announced: false,
            stride: 0,
            come: 0,
            failure: None,
            quiescing: false,
            closed: false,
        }
    }

    /// The generation that records go to.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Where the next record goes if it fits.
    pub(super) fn position(&self) -> LogPosition {
        self.place.position(self.generation)
    }

    /// Bytes of whole segments that are in memory and not yet in the file.
    pub(super) fn waiting_bytes(&self) -> usize {
        (self.full.len() + self.in_flight) * SEGMENT_BYTES
    }

    /// So many of the segments that were taken are in the file now.
    pub(super) fn written(&mut self, segments: usize) {
        self.in_flight = self.in_flight.saturating_sub(segments);
    }

    /// Whether to tell the background writer that more than `bytes` wait; once until the next take.
    pub(super) fn announce_above(&mut self, bytes: usize) -> bool {
        let announce = !self.announced && self.full.len() * SEGMENT_BYTES > bytes;
        self.announced |= announce;
        announce
    }

    /// Its followers want to be told whenever it has grown by so many bytes, segments counted as a whole; 0 for never.
    pub(super) fn set_stride(&mut self, bytes: u64) {
        self.stride = bytes;
    }

    /// Whether to tell its followers that it has grown; once for each stride.
    pub(super) fn has_come_a_stride(&mut self) -> bool {
        let has_come = self.stride > 0 && self.come >= self.stride;
        if has_come {
            self.come = 0;
        }
        has_come
    }

    /// Whether a record may be appended now.
    pub(super) fn admit(&self, urgency: Urgency) -> Result<()> {
        if let Some(code) = self.failure {
            return Err(Error::new(code, "the log takes no more records after an earlier failure"));
        }
        if self.closed {
            return Err(Error::new(JetErr::LogWriteFail, "the log is closed"));
        }
        if self.quiescing && urgency == Urgency::Update {
            return Err(Error::new(
                JetErr::LogDiskFull,
                "the disk of the logs is full: only rollback and shutdown may still be logged",
            ));
        }
        Ok(())
    }

    /// Appends one record. Nothing is appended on error.
    pub(super) fn append(&mut self, record: &[u8], clock: &dyn Clock) -> Result<Appended> {
        self.make_place(&[record])?;
        self.put(record, clock)
    }

    /// Appends records next to each other in one generation. Nothing is appended on error.
    pub(super) fn append_group(&mut self, records: &[&[u8]], clock: &dyn Clock) -> Result<Vec<Appended>> {
        self.make_place(records)?;
        records.iter().map(|record| self.put(record, clock)).collect()
    }

    /// Goes on to the next generation when this one has no room for the records.
    fn make_place(&mut self, records: &[&[u8]]) -> Result<()> {
        if self.fits(self.place, records) {
            return Ok(());
        }
        if !self.fits(Place::START, records) {
            let bytes: usize = records.iter().map(|record| record.len()).sum();
            return Err(Error::new(
                JetErr::LogBufferTooSmall,
                format!("{bytes} bytes of records do not fit into one log file"),
            ));
        }
        self.end_generation().map(drop)
    }

    /// Appends a record if its generation has room for it.
    pub(super) fn append_last(&mut self, record: &[u8], clock: &dyn Clock) -> Result<()> {
        if self.fits(self.place, &[record]) {
            self.put(record, clock)?;
        }
        Ok(())
    }

    /// Ends the generation and puts a record at the beginning of the next. Nothing ends on error.
    pub(super) fn append_first(&mut self, record: &[u8], clock: &dyn Clock) -> Result<Appended> {
        if record.is_empty() || !self.fits(Place::START, &[record]) {
            let detail = format!("{} bytes are no record that a log file can hold", record.len());
            return Err(Error::new(JetErr::LogBufferTooSmall, detail));
        }
        self.end_generation()?;
        self.put(record, clock)
    }

    fn fits(&self, mut at: Place, records: &[&[u8]]) -> bool {
        records.iter().all(|record| match at.put(record.len(), self.last) {
            Some((_, end)) => {
                at = end;
                true
            }
            None => false,
        })
    }

    /// Copies one record that is known to fit.
    fn put(&mut self, record: &[u8], clock: &dyn Clock) -> Result<Appended> {
        let planned = self.place.put(record.len(), self.last);
        let Some((start, end)) = planned.filter(|_| !record.is_empty()) else {
            return Err(Error::new(JetErr::InternalError, "a log record of impossible size"));
        };
        if start != self.place {
            // Zeros are NOP records: the rest of the segment stays as it is.
            self.close_segment();
        }
        if record.len() <= self.place.room() {
            self.copy(&[record], clock);
        } else {
            let (piece, mut rest) = record.split_at(self.place.room() - FRAGMENT_BEGIN_BYTES);
            let mut head = [TYPE_FRAGMENT_BEGIN, 0, 0, 0, 0, 0, 0];
            head[1..5].copy_from_slice(&(record.len() as u32).to_le_bytes());
            head[5..7].copy_from_slice(&(piece.len() as u16).to_le_bytes());
            self.copy(&[&head, piece], clock);
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(rest.len().min(self.place.room() - FRAGMENT_BYTES));
                let len = (piece.len() as u16).to_le_bytes();
                self.copy(&[&[TYPE_FRAGMENT, len[0], len[1]], piece], clock);
                rest = more;
            }
        }
        debug_assert_eq!(self.place, end);
        Ok(Appended { start: start.position(self.generation), end: end.position(self.generation) })
    }

    /// Copies bytes that fit into the open segment; closes it when it becomes full.
    fn copy(&mut self, parts: &[&[u8]], clock: &dyn Clock) {
        let segment = self.open.get_or_insert_with(|| {
            let mut image = Box::new([0; SEGMENT_BYTES]);
            // The writer adds what is durable by then.
            let header =
                SegmentHeader::new(self.generation, self.place.segment, clock.now(), LogPosition::NONE)
                    .encode();
            image[..header.len()].copy_from_slice(&header);
            image
        });
        let mut at = self.place.fill;
        for part in parts {
            segment[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        if at == SEGMENT_BYTES {
            self.close_segment();
        } else {
            self.place.fill = at;
        }
    }

    /// Puts the open segment to those that wait to be written.
    fn close_segment(&mut self) {
        let number = self.place.segment;
        if let Some(image) = self.open.take() {
            self.come += SEGMENT_BYTES as u64;
            self.full.push_back(Pending { generation: self.generation, number, image });
            self.place = Place::start_of(number.saturating_add(1));
        }
    }

    /// Fills the open segment with a NOP2 record, so that it is written once and never again.
    fn seal(&mut self) {
        let (fill, room) = (self.place.fill, self.place.room());
        if let Some(image) = &mut self.open
            && room >= NOP2_BYTES
        {
            image[fill] = TYPE_NOP2;
            image[fill + 1..fill + NOP2_BYTES].copy_from_slice(&((room - NOP2_BYTES) as u32).to_le_bytes());
        }
        self.close_segment();
    }

    /// Lets the next record begin a new generation.
    pub(super) fn end_generation(&mut self) -> Result<Generation> {
        if self.generation >= Generation::MAX {
            return Err(Error::new(JetErr::LogSequenceEnd, "").position(self.position()));
        }
        self.close_segment();
        self.come += u64::from((self.last + 1).saturating_sub(self.place.segment)) * SEGMENT_BYTES as u64;
        self.generation = self.generation.next();
        self.place = Place::START;
        Ok(self.generation)
    }

    /// Takes what was appended so far, and the generation that records go to now.
    pub(super) fn take(&mut self, reach: Reach) -> (VecDeque<Pending>, LogPosition) {
        if reach == Reach::Everything {
            self.seal();
        }
        self.announced = false;
        self.in_flight += self.full.len();
        (std::mem::take(&mut self.full), self.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededClock;

    #[test]
    fn a_group_stays_in_one_generation() {
        let clock = SeededClock::new(1);
        let mut tail = Tail::new(Generation(1), 1, 2);
        let one = vec![1; 5000];
        let two = vec![2; 3000];
        tail.append(&one, &clock).unwrap();
        // Both fit into a generation, but not behind the first.
        let group = tail.append_group(&[&two, &two], &clock).unwrap();
        assert_eq!(group[0].start, LogPosition::start_of(Generation(2)));
        assert_eq!(group[1].start, group[0].end);
        let too_much = tail.append_group(&[&one, &one], &clock).unwrap_err();
        assert_eq!(too_much.code(), JetErr::LogBufferTooSmall);
        let (taken, end) = tail.take(Reach::Everything);
        let places: Vec<_> = taken.iter().map(|p| (p.generation.0, p.number)).collect();
        assert_eq!(places, [(1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(end, LogPosition::new(Generation(2), 3, 0));
    }

    #[test]
    fn a_flush_fills_the_segment() {
        let clock = SeededClock::new(1);
        let mut tail = Tail::new(Generation(7), 3, 14);
        let done = tail.append(&[8; 8], &clock).unwrap();
        assert_eq!(done.start, LogPosition::new(Generation(7), 3, 0));
        assert_eq!(done.end, LogPosition::new(Generation(7), 3, 48));
        let (taken, _) = tail.take(Reach::FullSegments);
        assert!(taken.is_empty(), "the segment takes more records");
        let (taken, end) = tail.take(Reach::Everything);
        assert_eq!(end, LogPosition::new(Generation(7), 4, 0));
        let image = &taken[0].image;
        assert_eq!(image[48], TYPE_NOP2);
        assert_eq!(u32::from_le_bytes([image[49], image[50], image[51], image[52]]), 4096 - 48 - 5);
        assert!(tail.take(Reach::Everything).0.is_empty());
    }

    #[test]
    fn a_first_record_begins_its_generation_or_ends_none() {
        let clock = SeededClock::new(1);
        let mut tail = Tail::new(Generation(3), 1, 2);
        tail.append(&[1; 10], &clock).unwrap();
        for refused in [&[][..], &[1; 9000]] {
            let error = tail.append_first(refused, &clock).unwrap_err();
            assert_eq!((error.code(), tail.generation()), (JetErr::LogBufferTooSmall, Generation(3)));
        }
        let first = tail.append_first(&[7; 20], &clock).unwrap();
        assert_eq!(first.start, LogPosition::start_of(Generation(4)));
        let places: Vec<_> =
            tail.take(Reach::Everything).0.iter().map(|p| (p.generation.0, p.number)).collect();
        assert_eq!(places, [(3, 1), (4, 1)]);
        let mut tail = Tail::new(Generation::MAX, 1, 2);
        assert_eq!(tail.append_first(&[7; 20], &clock).unwrap_err().code(), JetErr::LogSequenceEnd);
    }

    #[test]
    fn nothing_comes_after_the_last_generation() {
        let clock = SeededClock::new(1);
        let mut tail = Tail::new(Generation::MAX, 2, 2);
        tail.append(&[1; 4000], &clock).unwrap();
        assert_eq!(tail.append(&[1; 200], &clock).unwrap_err().code(), JetErr::LogSequenceEnd);
    }
}
