//! Checksums of the 4,096-byte blocks of log and checkpoint files.

use crate::checksum::block_checksum;
use crate::primitives::PageNumber;

/// Bytes of a header, of a checkpoint copy and of a segment.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// The checksum of a segment whose number is `number`: that of a database page of the same size with the
/// segment number in place of the page number.
pub(crate) fn segment_checksum(block: &[u8; BLOCK_BYTES], number: u16) -> u64 {
    block_checksum(block, PageNumber(number.into()), true)
}

/// The one bit of the block whose flip explains why `stored` and `computed` differ, if one does.
pub(crate) fn single_bit_error(stored: u64, computed: u64) -> Option<usize> {
    let difference = stored ^ computed;
    let (code, sum) = ((difference >> 32) as u32, difference as u32);
    // A flip inside the stored checksum changes that bit and nothing else.
    if difference.count_ones() == 1 {
        return Some(difference.trailing_zeros() as usize);
    }
    const ALL: u32 = 8 * BLOCK_BYTES as u32 - 1;
    let bit = (code & 0xFFFF) as usize;
    // The two halves of the code are the number of the flipped bit and its complement; a flip in the
    // data also changes exactly one bit of the XOR sum. The bit above each half is zero in every sum.
    (((code >> 16) ^ code) & 0xFFFF == ALL
        && sum.count_ones() == 1
        && (64..8 * BLOCK_BYTES).contains(&bit)
        && sum.trailing_zeros() as usize == bit % 32)
        .then_some(bit)
}
