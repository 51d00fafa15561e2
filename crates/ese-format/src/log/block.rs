//! Checksums of the 4,096-byte blocks of log and checkpoint files.

/// Bytes of a header, of a checkpoint copy and of a segment.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Seed of the header checksum.
const HEADER_SEED: u32 = 0x89AB_CDEF;

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]))
}

/// The checksum of a header block: all words but the first, combined by XOR with a constant.
pub(crate) fn header_checksum(block: &[u8]) -> u32 {
    words(block).skip(1).fold(HEADER_SEED, |sum, word| sum ^ word)
}

/// The checksum of a segment whose number is `number`; the first eight bytes, where it is stored, do
/// not count. Low half: XOR of all words and the number. High half: an error-correcting code.
///
/// Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/checksum`.
pub(crate) fn segment_checksum(block: &[u8; BLOCK_BYTES], number: u32) -> u64 {
    let mut columns = [0u32; 4];
    let (mut rows_code, mut index) = (0u32, 0xFF80_0000u32);
    for (row, bytes) in block.chunks_exact(16).enumerate() {
        let mut all = 0;
        for ((column, word), at) in columns.iter_mut().zip(words(bytes)).zip(0..) {
            let word = if row == 0 && at < 2 { 0 } else { word };
            *column ^= word;
            all ^= word;
        }
        if all.count_ones() & 1 == 1 {
            rows_code ^= index;
        }
        index = index.wrapping_add(0xFF80_0080);
    }
    let [c0, c1, c2, c3] = columns;
    for (pair, bit) in [(c0 ^ c1, 0x0040_0000), (c0 ^ c2, 0x0020_0000), (c2 ^ c3, 0x40), (c1 ^ c3, 0x20)] {
        if pair.count_ones() & 1 == 1 {
            rows_code |= bit;
        }
    }
    let all = c0 ^ c1 ^ c2 ^ c3;
    let (mut bits_code, mut index) = (0u32, 0xFFFF_0000u32);
    for bit in 0..32 {
        if all >> bit & 1 == 1 {
            bits_code ^= index;
        }
        index = index.wrapping_add(0xFFFF_0001);
    }
    // (4096 << 19) - 1 in 32 bits leaves out the top bit, which only longer blocks use.
    let code = (rows_code & 0x7FE0_FFE0) | (bits_code & 0x001F_001F);
    u64::from(code) << 32 | u64::from(all ^ number)
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
    // data also changes exactly one bit of the XOR sum.
    (((code >> 16) ^ code) & ALL == ALL
        && sum.count_ones() == 1
        && (64..8 * BLOCK_BYTES).contains(&bit)
        && sum.trailing_zeros() as usize == bit % 32)
        .then_some(bit)
}
