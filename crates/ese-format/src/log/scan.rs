//! Where a log file ends: a state machine that is shown every segment once.
//!
//! Rules: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/_log/logread.cxx`; and one of this
//! project's own. A flush of several segments that a power loss cuts may leave later segments on disk and
//! earlier ones not. Segments that this engine wrote say up to where the log was durable at the time
//! ([`SegmentHeader::durable_mark`]), so a gap before them is known to be such a cut, and not damage, when
//! none of them says that the gap had been durable.

use super::header::LogHeader;
use super::segment::{Segment, SegmentCheck, SegmentHeader, check_segment, is_zero, stored_checksum};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{Generation, LogPosition};

/// The byte that fills unwritten segments of logs before version 8.4000.2.
const OLD_FILL: u8 = 0xDA;

/// What a segment turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The next segment of the log.
    Data {
        /// The bit that was corrected in memory, counted from the start of the segment.
        corrected: Option<usize>,
    },
    /// The last segment of the log: it was torn and has been replaced, in memory, by its shadow.
    Restored,
    /// Never written in this generation, or a shadow.
    Unused,
    /// The first segment that cannot be read. Whether that is the end of the log or damage is known when
    /// the scan ends.
    Unreadable,
    /// A segment behind the end of the log, left by a flush that a power loss cut. It must be zeroed
    /// before the log goes on.
    Leftover,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The segment behind the last one of the log; 1 for a log without records.
    pub next_segment: u16,
    /// XOR of the checksums of the segments before that: what the next generation's header says.
    pub accumulated_checksum: u64,
    /// The segment that was restored from its shadow: the last one. Soft recovery writes it back.
    pub restored: Option<u16>,
    /// Whether something of this generation, or something unreadable, is left behind the end.
    pub has_leftovers: bool,
    /// Whether there are only zeros behind the end. A file that was used before may have segments of older
    /// generations there.
    pub is_blank_behind: bool,
}

impl LogEnd {
    /// An end before segment `next_segment` of which nothing else is known.
    pub const fn before(next_segment: u16) -> Self {
        Self {
            next_segment,
            accumulated_checksum: 0,
            restored: None,
            has_leftovers: false,
            is_blank_behind: false,
        }
    }

    /// The last segment of the log; 0 for a log without records.
    pub const fn last_segment(&self) -> u16 {
        self.next_segment.saturating_sub(1)
    }
}

/// The scan of one log file.
#[derive(Debug)]
pub struct Scan {
    generation: Generation,
    is_zero_filled: bool,
    is_last_generation: bool,
    last_data_segment: u16,
    /// The number of the segment that is to be shown next.
    number: u16,
    /// The segment where the log stops.
    end: Option<u16>,
    accumulated: u64,
    restored: Option<u16>,
    /// Segments that prove that nothing from the gap on had been durable.
    leftovers: u32,
    /// The first segment that cannot be read, at the gap or behind it.
    unreadable: Option<u16>,
    is_blank_behind: bool,
}

impl Scan {
    /// The scan of the file with this header. `is_last_generation`: no generation follows, so the last
    /// flush may have been cut.
    pub fn new(header: &LogHeader, is_last_generation: bool) -> Self {
        Self {
            generation: header.generation,
            is_zero_filled: header.version.is_zero_filled(),
            is_last_generation,
            last_data_segment: header.last_data_segment(),
            number: 1,
            end: None,
            accumulated: 0,
            restored: None,
            leftovers: 0,
            unreadable: None,
            is_blank_behind: true,
        }
    }

    /// The number of the segment to show next; `None` when all were shown.
    pub const fn wanted(&self) -> Option<u16> {
        if self.number <= self.last_data_segment { Some(self.number) } else { None }
    }

    /// Shows the segment that is [`Self::wanted`], and the one behind it in the file. A flipped bit is
    /// corrected and a torn segment replaced, both in `segment`.
    ///
    /// # Errors
    /// [`FormatErrorKind::LogCorrupt`] for damage.
    pub fn push(&mut self, segment: &mut Segment, following: Option<&Segment>) -> Result<Found> {
        let number = self.number;
        self.number = number.saturating_add(1);
        let here = LogPosition::new(self.generation, number, 0);
        if self.is_unwritten(segment) {
            self.is_blank_behind &= self.is_zero_filled;
            return Ok(self.unused(number));
        }
        let found = self.push_written(segment, following, here)?;
        self.is_blank_behind &= matches!(found, Found::Data { .. });
        Ok(found)
    }

    /// What to make of a segment that something was written to.
    fn push_written(
        &mut self,
        segment: &mut Segment,
        following: Option<&Segment>,
        here: LogPosition,
    ) -> Result<Found> {
        let number = here.segment;
        let corrected = match check_segment(segment, number) {
            SegmentCheck::Good => None,
            SegmentCheck::Corrected { bit } => Some(bit),
            SegmentCheck::Bad => return self.unreadable(segment, following, here),
        };
        let header = SegmentHeader::decode(segment)?;
        let position = LogPosition { offset: 0, ..header.position };
        if position < here {
            return Ok(self.unused(number));
        }
        if position > here {
            return Err(damaged(format!("a segment that says it is {position}"), here));
        }
        let Some(gap) = self.end else {
            self.accumulated ^= stored_checksum(segment);
            return Ok(Found::Data { corrected });
        };
        let gap = LogPosition::new(self.generation, gap, 0);
        match header.durable_mark() {
            Some(durable) if self.is_last_generation && self.restored.is_none() && durable <= gap => {
                self.leftovers += 1;
                Ok(Found::Leftover)
            }
            _ => Err(damaged(format!("the log goes on behind the gap at {gap}"), here)),
        }
    }

    /// Ends the scan; call it when all segments were shown.
    ///
    /// # Errors
    /// [`FormatErrorKind::LogCorrupt`] when a segment could not be read and nothing proves that it had
    /// never been durable.
    pub fn finish(&self) -> Result<LogEnd> {
        if let Some(unreadable) = self.unreadable
            && self.leftovers == 0
        {
            let here = LogPosition::new(self.generation, unreadable, 0);
            return Err(damaged("a segment with a wrong checksum and without a shadow", here));
        }
        Ok(LogEnd {
            next_segment: self.end.unwrap_or(self.number),
            accumulated_checksum: self.accumulated,
            restored: self.restored,
            has_leftovers: self.leftovers > 0,
            is_blank_behind: self.is_blank_behind,
        })
    }

    fn is_unwritten(&self, segment: &Segment) -> bool {
        if self.is_zero_filled { is_zero(segment) } else { segment.iter().all(|byte| *byte == OLD_FILL) }
    }

    fn unused(&mut self, number: u16) -> Found {
        self.end.get_or_insert(number);
        Found::Unused
    }

    /// What to make of a segment whose checksum is wrong for its number.
    fn unreadable(
        &mut self,
        segment: &mut Segment,
        following: Option<&Segment>,
        here: LogPosition,
    ) -> Result<Found> {
        let number = here.segment;
        let mut copy = *segment;
        if check_segment(&mut copy, number - 1).is_usable() {
            return Ok(self.unused(number));
        }
        if self.end.is_some() {
            // A cut write may have torn more than one segment.
            if self.is_last_generation && self.restored.is_none() {
                self.unreadable.get_or_insert(number);
                return Ok(Found::Leftover);
            }
            return Err(damaged("an unreadable segment behind the end of the log", here));
        }
        if let Some(following) = following {
            let mut shadow = *following;
            if check_segment(&mut shadow, number).is_usable()
                && (LogPosition { offset: 0, ..SegmentHeader::decode(&shadow)?.position }) == here
            {
                *segment = shadow;
                self.accumulated ^= stored_checksum(segment);
                self.restored = Some(number);
                self.end = Some(number.saturating_add(1));
                return Ok(Found::Restored);
            }
        }
        if !self.is_last_generation {
            return Err(damaged("a segment with a wrong checksum and without a shadow", here));
        }
        (self.end, self.unreadable) = (Some(number), Some(number));
        Ok(Found::Unreadable)
    }
}

fn damaged(detail: impl Into<String>, position: LogPosition) -> FormatError {
    FormatError::new(FormatErrorKind::LogCorrupt, detail).at_position(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segment::{SEGMENT_BYTES, SEGMENT_HEADER_BYTES, seal_segment};
    use crate::primitives::{LogTime, PageSize, Signature};

    const GENERATION: Generation = Generation(7);

    fn header() -> LogHeader {
        LogHeader::new(GENERATION, 10, PageSize::K4, Signature::NONE, LogTime::NONE)
    }

    /// A file of nine segments behind the header (the last for a shadow), all zeros.
    fn empty() -> Vec<Segment> {
        vec![[0; SEGMENT_BYTES]; 9]
    }

    fn written(generation: u32, number: u16, durable: Option<u16>) -> Segment {
        let mut header = SegmentHeader::new(
            Generation(generation),
            number,
            LogTime::NONE,
            LogPosition::new(GENERATION, durable.unwrap_or(0), 0),
        );
        if durable.is_none() {
            header.reserved = [0; 12];
        }
        let mut segment = [number as u8; SEGMENT_BYTES];
        segment[..SEGMENT_HEADER_BYTES].copy_from_slice(&header.encode());
        seal_segment(&mut segment, number);
        segment
    }

    /// Segments `numbers` of this generation, all written when the log was durable up to `durable`.
    fn log(numbers: &[u16], durable: Option<u16>) -> Vec<Segment> {
        let mut file = empty();
        for number in numbers {
            file[usize::from(*number) - 1] = written(GENERATION.0, *number, durable);
        }
        file
    }

    fn scan(file: &[Segment], is_last: bool) -> Result<LogEnd> {
        let mut scan = Scan::new(&header(), is_last);
        while let Some(number) = scan.wanted() {
            let at = usize::from(number) - 1;
            scan.push(&mut file[at].clone(), file.get(at + 1))?;
        }
        scan.finish()
    }

    fn end(file: &[Segment]) -> (u16, bool) {
        let end = scan(file, true).unwrap();
        let sum = file[..usize::from(end.next_segment) - 1].iter().fold(0, |sum, s| sum ^ stored_checksum(s));
        if end.restored.is_none() {
            assert_eq!(end.accumulated_checksum, sum);
        }
        let behind = &file[usize::from(end.last_segment())..usize::from(header().last_data_segment())];
        assert_eq!(end.is_blank_behind, behind.iter().all(is_zero));
        (end.next_segment, end.has_leftovers)
    }

    #[test]
    fn empty_full_and_in_between() {
        assert_eq!(end(&empty()), (1, false));
        assert_eq!(end(&log(&[1, 2, 3], None)), (4, false));
        assert_eq!(end(&log(&[1, 2, 3, 4, 5, 6, 7, 8], None)), (9, false));
    }

    #[test]
    fn segments_of_an_older_generation_are_unused() {
        let mut file = log(&[1, 2], None);
        for number in 3..=8 {
            file[usize::from(number) - 1] = written(GENERATION.0 - 2, number, Some(1));
        }
        assert_eq!(end(&file), (3, false));
        file[4] = written(GENERATION.0 + 1, 5, Some(1));
        assert!(scan(&file, true).is_err());
    }

    #[test]
    fn a_shadow_ends_the_log_and_mends_its_last_segment() {
        let mut file = log(&[1, 2], None);
        file[2] = file[1];
        assert_eq!(end(&file), (3, false));
        file[1][100..200].fill(0xEE);
        let found = scan(&file, true).unwrap();
        assert_eq!((found.next_segment, found.restored), (3, Some(2)));
        assert_eq!(found.accumulated_checksum, stored_checksum(&file[0]) ^ stored_checksum(&file[2]));
        file[2] = [0; SEGMENT_BYTES];
        assert!(scan(&file, true).is_err(), "nothing to mend it with");
    }

    #[test]
    fn a_gap_in_a_log_of_windows_is_damage() {
        assert!(scan(&log(&[1, 3], None), true).is_err());
    }

    #[test]
    fn a_gap_that_was_never_durable_is_the_end() {
        assert_eq!(end(&log(&[1, 2, 4, 5], Some(2))), (3, true));
        assert_eq!(end(&log(&[1, 2, 4, 5], Some(3))), (3, true), "durable just up to the gap");
        assert_eq!(end(&log(&[3], Some(1))), (1, true));
        assert!(scan(&log(&[1, 2, 4, 5], Some(4)), true).is_err(), "the gap had been durable");
        assert!(scan(&log(&[1, 2, 4, 5], Some(2)), false).is_err(), "not in an archive");
        let mut mixed = log(&[1, 2, 4, 5], Some(2));
        mixed[4] = written(GENERATION.0, 5, None);
        assert!(scan(&mixed, true).is_err(), "one without the mark");
    }

    #[test]
    fn an_unreadable_segment_is_the_end_only_if_proven_not_durable() {
        let mut file = log(&[1, 2, 3, 4], Some(2));
        file[2][50..91].fill(0x77);
        assert_eq!(end(&file), (3, true));
        assert!(scan(&file, false).is_err());
        file[3] = [0; SEGMENT_BYTES];
        assert!(scan(&file, true).is_err(), "nothing behind it to prove anything");

        let mut file = log(&[1, 2, 3, 4, 5, 6], Some(2));
        for torn in [2, 3, 5] {
            file[torn][50..91].fill(0x77);
        }
        assert_eq!(end(&file), (3, true), "segment 5 proves it for all of them");
        assert!(scan(&file, false).is_err());
        file[4] = [0; SEGMENT_BYTES];
        assert!(scan(&file, true).is_err(), "only unreadable ones are left");
        file[2] = [0; SEGMENT_BYTES];
        assert!(scan(&file, true).is_err(), "a gap proves nothing either");

        let mut file = log(&[1, 2, 3, 4], Some(4));
        file[2][50..91].fill(0x77);
        assert!(scan(&file, true).is_err(), "it had been durable");
    }
}
