//! From segments to records: pieces are put together, fillers of one byte are left out.

use super::record::{FragmentBegin, LogRecord, record_size};
use super::segment::{SEGMENT_BYTES, SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::LogPosition;

/// Type bytes that matter to the reader of segments.
const NOP: u8 = 0;
const RECOVERY_UNDO: u8 = 17;
const UNDO_INFO: u8 = 36;
const RECOVERY_UNDO_2: u8 = 51;
const FRAGMENT_BEGIN: u8 = 76;
const FRAGMENT: u8 = 77;

/// Bytes of the longest record that any log file could hold (65,535 segments).
const MAX_RECORD_BYTES: usize = 65_535 * SEGMENT_BYTES;

/// One logical record: whole, wherever its pieces stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Where it begins; offset 0 when it is first in its segment.
    pub start: LogPosition,
    /// The first byte behind it; the start of the next segment when it ends with its own.
    pub end: LogPosition,
    /// How many pieces it had; 1 for a record in one piece.
    pub fragments: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl RawRecord<'_> {
    /// Decodes the record.
    ///
    /// # Errors
    /// As [`LogRecord::decode`], with the position.
    pub fn decode(&self) -> Result<LogRecord> {
        LogRecord::decode(self.bytes).map_err(|e| e.at_position(self.start))
    }
}

/// Puts the records of consecutive segments together. It holds one segment and at most one record.
///
/// Feed it a segment that [`super::scan`] found good, take records until there are none left, feed the
/// next. Segments of several generations may follow one another.
#[derive(Debug)]
pub struct Assembler {
    /// Records before this position are not delivered.
    deliver_from: LogPosition,
    segment: Box<Segment>,
    position: LogPosition,
    /// Next byte of the segment.
    at: usize,
    is_first_segment: bool,
    /// Whether nothing but a further piece of a record that began before the first segment came yet.
    may_continue_unseen: bool,
    pending: Option<Pending>,
    whole: Vec<u8>,
    ready: Option<Ready>,
}

/// A record that was found and not taken: in the segment, or in `Assembler::whole` if it had pieces.
#[derive(Debug)]
struct Ready {
    start: LogPosition,
    end: LogPosition,
    fragments: u32,
    from: usize,
    to: usize,
}

/// A record of which pieces are missing; the ones that came are in `Assembler::whole`.
#[derive(Debug)]
struct Pending {
    start: LogPosition,
    total: usize,
    fragments: u32,
}

impl Assembler {
    /// An assembler that delivers the records from `start` on. The first segment to feed is that of
    /// `start`.
    pub fn new(start: LogPosition) -> Self {
        Self {
            deliver_from: start,
            segment: Box::new([0; SEGMENT_BYTES]),
            position: LogPosition::NONE,
            at: SEGMENT_BYTES,
            is_first_segment: true,
            may_continue_unseen: true,
            pending: None,
            whole: Vec::new(),
            ready: None,
        }
    }

    /// Takes the next segment. What was left of the one before is forgotten.
    ///
    /// # Errors
    /// [`FormatErrorKind::LogCorrupt`] when it is not the next of the stream, which is the next number of
    /// the same generation or number 1 of the next.
    pub fn feed(&mut self, segment: &Segment) -> Result<()> {
        let position = SegmentHeader::decode(segment)?.position;
        let here = LogPosition::new(position.generation, position.segment, 0);
        if !self.is_first_segment {
            let before = self.position;
            let follows = (here.generation == before.generation
                && Some(here.segment) == before.segment.checked_add(1))
                || (before.generation.0.checked_add(1) == Some(here.generation.0) && here.segment == 1);
            if !follows {
                return Err(damaged(format!("segment {here} follows {before}"), here));
            }
        }
        self.is_first_segment = false;
        self.ready = None;
        self.position = here;
        *self.segment = *segment;
        self.at = SEGMENT_HEADER_BYTES;
        Ok(())
    }

    /// Where the record whose end has not been fed yet began.
    pub fn pending(&self) -> Option<LogPosition> {
        self.pending.as_ref().map(|pending| pending.start)
    }

    /// The next record; `None` when the next segment is needed.
    ///
    /// # Errors
    /// [`FormatErrorKind::LogCorrupt`] when the bytes are no records, or pieces do not fit together. What
    /// follows in the segment is lost; the next segment may be fed.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>> {
        self.has_record()?;
        Ok(self.take_record())
    }

    /// Whether there is a record without the next segment. [`Self::take_record`] then returns it.
    ///
    /// # Errors
    /// As [`Self::next_record`].
    pub fn has_record(&mut self) -> Result<bool> {
        if self.ready.is_none() {
            self.ready = self.find_record()?;
        }
        Ok(self.ready.is_some())
    }

    /// The record that [`Self::has_record`] found.
    pub fn take_record(&mut self) -> Option<RawRecord<'_>> {
        let ready = self.ready.take()?;
        let bytes = match ready.fragments {
            1 => self.segment.get(ready.from..ready.to).unwrap_or_default(),
            _ => &self.whole,
        };
        let Ready { start, end, fragments, .. } = ready;
        Some(RawRecord { start, end, fragments, bytes })
    }

    fn find_record(&mut self) -> Result<Option<Ready>> {
        loop {
            let Some((start, from, to)) = self.next_physical()? else { return Ok(None) };
            let is_first = from == SEGMENT_HEADER_BYTES;
            let body = self.segment.get(from..to).unwrap_or_default();
            let kind = body.first().copied().unwrap_or(NOP);
            if kind == FRAGMENT {
                // Continuing pieces fill their segment up, so they stand at its start.
                let piece = body.get(3..).unwrap_or_default();
                let Some(pending) = &mut self.pending else {
                    if self.may_continue_unseen {
                        continue;
                    }
                    return Err(damaged("a piece of a record without its beginning", start));
                };
                pending.fragments = pending.fragments.saturating_add(1);
                self.whole.extend_from_slice(piece);
                if !is_first || self.whole.len() > pending.total {
                    self.pending = None;
                    return Err(damaged("a piece of a record that does not fit it", start));
                }
                if self.whole.len() < pending.total {
                    continue;
                }
                let (start, fragments) = (pending.start, pending.fragments);
                self.pending = None;
                self.check_assembled(start)?;
                if start < self.deliver_from {
                    continue;
                }
                let end = self.end_of(to);
                return Ok(Some(Ready { start, end, fragments, from, to }));
            }
            self.may_continue_unseen = false;
            let new_kind = match kind {
                FRAGMENT_BEGIN => body.get(FragmentBegin::HEADER_BYTES).copied().unwrap_or(NOP),
                other => other,
            };
            if let Some(pending) = self.pending.take() {
                // A crash cut the record; recovery went on at the start of a segment.
                let by_recovery = matches!(new_kind, RECOVERY_UNDO | RECOVERY_UNDO_2 | UNDO_INFO);
                if !is_first || !by_recovery {
                    return Err(damaged(format!("the record at {} is cut off", pending.start), start));
                }
            }
            if kind == FRAGMENT_BEGIN {
                let total: [u8; 4] = std::array::from_fn(|at| body.get(1 + at).copied().unwrap_or(0));
                let total = usize::try_from(u32::from_le_bytes(total)).unwrap_or(usize::MAX);
                let piece = body.get(FragmentBegin::HEADER_BYTES..).unwrap_or_default();
                if piece.is_empty() || piece.len() >= total || total > MAX_RECORD_BYTES {
                    return Err(damaged(
                        format!("a record of {total} bytes begins with a piece of {}", piece.len()),
                        start,
                    ));
                }
                self.whole.clear();
                self.whole.extend_from_slice(piece);
                self.pending = Some(Pending { start, total, fragments: 1 });
                continue;
            }
            if start < self.deliver_from {
                continue;
            }
            let end = self.end_of(to);
            return Ok(Some(Ready { start, end, fragments: 1, from, to }));
        }
    }

    /// Where the next record or piece in the segment stands; steps over fillers of one byte.
    fn next_physical(&mut self) -> Result<Option<(LogPosition, usize, usize)>> {
        let rest = self.segment.get(self.at..).unwrap_or_default();
        let from = self.at + rest.iter().take_while(|byte| **byte == NOP).count();
        self.at = SEGMENT_BYTES;
        let rest = self.segment.get(from..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let offset = if from == SEGMENT_HEADER_BYTES { 0 } else { from as u16 };
        let start = LogPosition { offset, ..self.position };
        let size = record_size(rest)
            .map_err(|e| e.at_position(start))?
            .filter(|size| *size <= rest.len())
            .ok_or_else(|| damaged("a record runs over the end of its segment", start))?;
        self.at = from + size;
        Ok(Some((start, from, self.at)))
    }

    fn check_assembled(&self, start: LogPosition) -> Result<()> {
        let size = record_size(&self.whole).map_err(|e| e.at_position(start))?;
        if size != Some(self.whole.len()) {
            return Err(damaged(
                format!("{} bytes of pieces for a record of another length", self.whole.len()),
                start,
            ));
        }
        Ok(())
    }

    fn end_of(&self, to: usize) -> LogPosition {
        if to < SEGMENT_BYTES {
            LogPosition { offset: to as u16, ..self.position }
        } else {
            LogPosition { segment: self.position.segment.saturating_add(1), ..self.position }
        }
    }
}

fn damaged(detail: impl Into<String>, position: LogPosition) -> FormatError {
    FormatError::new(FormatErrorKind::LogCorrupt, detail).at_position(position)
}
