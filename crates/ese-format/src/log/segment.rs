//! Segments: the 4,096-byte blocks that hold records.

use super::block::{BLOCK_BYTES, segment_checksum, single_bit_error};
use super::bytes::{Reader, Writer};
use crate::error::{FormatErrorKind, Result};
use crate::primitives::{Generation, LogPosition, LogTime};

/// Bytes of a segment, and of the file header.
pub const SEGMENT_BYTES: usize = BLOCK_BYTES;
/// Bytes of a segment before its records.
pub const SEGMENT_HEADER_BYTES: usize = 40;
/// Bytes of records in a segment.
pub const SEGMENT_DATA_BYTES: usize = SEGMENT_BYTES - SEGMENT_HEADER_BYTES;

/// One segment as stored.
pub type Segment = [u8; SEGMENT_BYTES];

/// Flag that names the checksum algorithm; set in every segment.
const FLAG_CHECKSUM: u32 = 0x2000;
/// Bit 13 of the word at byte 36, counted from the start of the segment: says which checksum it is,
/// so it is never "corrected".
const FORMAT_BIT: usize = 36 * 8 + 13;
/// How a segment that this engine wrote says so, in bytes that Windows neither writes nor reads.
const MARK: [u8; 4] = *b"oESE";

/// The header of a segment (ESE: LGSEGHDR), without its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Generation and number of the segment; the offset is 0. A shadow keeps the number of the segment
    /// that it is a copy of.
    pub position: LogPosition,
    /// When the segment was begun.
    pub started: LogTime,
    /// Twelve bytes that Windows leaves zero; see [`Self::durable_mark`].
    pub reserved: [u8; 12],
    /// 0x2000.
    pub flags: u32,
}

impl SegmentHeader {
    /// A header for a segment of ours. `durable` is the position up to which the log was durable when
    /// the segment was written; it lets the scan tell a flush of several segments that was cut by a power
    /// loss from damage.
    pub fn new(generation: Generation, number: u16, started: LogTime, durable: LogPosition) -> Self {
        let mut reserved = [0; 12];
        reserved[..4].copy_from_slice(&MARK);
        reserved[4..].copy_from_slice(&durable.to_bytes());
        Self { position: LogPosition::new(generation, number, 0), started, reserved, flags: FLAG_CHECKSUM }
    }

    /// Up to where the log was durable when this segment was written, if this engine wrote it.
    pub fn durable_mark(&self) -> Option<LogPosition> {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.reserved[4..]);
        (self.reserved[..4] == MARK).then(|| LogPosition::from_bytes(eight))
    }

    /// Reads the header of a segment; does not check the checksum, see [`check_segment`].
    ///
    /// # Errors
    /// [`FormatErrorKind::Truncated`] when there are fewer than 40 bytes.
    pub fn decode(segment: &[u8]) -> Result<Self> {
        let mut r = Reader::new(segment, FormatErrorKind::Truncated);
        let _checksum = r.u64()?;
        Ok(Self { position: r.position()?, started: r.time()?, reserved: r.array()?, flags: r.u32()? })
    }

    /// The 40 bytes, with a zero checksum; [`seal_segment`] completes them.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.u64(0);
        out.position(self.position);
        out.time(self.started);
        out.bytes(&self.reserved);
        out.u32(self.flags);
        let mut array = [0; SEGMENT_HEADER_BYTES];
        array.copy_from_slice(&out);
        array
    }
}

/// What the checksum says about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentCheck {
    /// It agrees.
    Good,
    /// One bit was wrong and has been put right; counted from the start of the segment.
    Corrected {
        /// The bit.
        bit: usize,
    },
    /// It does not agree.
    Bad,
}

impl SegmentCheck {
    /// Whether the segment can be used.
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Bad)
    }
}

/// Checks a segment as number `number` of its file, and corrects one flipped bit.
///
/// A shadow at `n + 1` is only good as number `n`.
pub fn check_segment(segment: &mut Segment, number: u16) -> SegmentCheck {
    let (stored, computed) = (stored_checksum(segment), segment_checksum(segment, number));
    if stored == computed {
        // The flag is part of the sum, so a good sum without it comes from no known writer.
        return if has_format_bit(segment) { SegmentCheck::Good } else { SegmentCheck::Bad };
    }
    match single_bit_error(stored, computed) {
        // A shadow's number differs from its place by one bit as often as not, which looks like a flip
        // in the XOR sum; what the segment itself says about its number tells them apart.
        Some(bit) if bit < 32 && own_number(segment) != number => SegmentCheck::Bad,
        Some(bit) if bit != FORMAT_BIT && has_format_bit(segment) => {
            segment[bit / 8] ^= 1 << (bit % 8);
            SegmentCheck::Corrected { bit }
        }
        _ => SegmentCheck::Bad,
    }
}

fn own_number(segment: &Segment) -> u16 {
    u16::from_le_bytes([segment[10], segment[11]])
}

fn has_format_bit(segment: &Segment) -> bool {
    segment[FORMAT_BIT / 8] >> (FORMAT_BIT % 8) & 1 == 1
}

/// Whether all bytes of a segment are zero: never written.
pub fn is_zero(segment: &Segment) -> bool {
    segment.iter().all(|byte| *byte == 0)
}

/// The checksum that a segment carries. XORed over all segments of a generation it goes to the next
/// generation's header.
pub fn stored_checksum(segment: &Segment) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|at| segment[at]))
}

/// Sets the algorithm flag, computes the checksum of a segment for its number, stores and returns it.
pub fn seal_segment(segment: &mut Segment, number: u16) -> u64 {
    segment[FORMAT_BIT / 8] |= 1 << (FORMAT_BIT % 8);
    let checksum = segment_checksum(segment, number);
    segment[..8].copy_from_slice(&checksum.to_le_bytes());
    checksum
}
