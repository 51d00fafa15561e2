//! The checksums of header pages and database pages.
//!
//! Two schemes exist. A plain XOR of words protects every kind of file header and the database pages
//! of releases before 2004; XOR plus a Hamming code (ECC) protects all later database pages and can
//! locate one flipped bit (microsoft/Extensible-Storage-Engine, dev/ese/src/checksum/checksum.cxx).

use crate::primitives::{PageNumber, PageSize};
use std::fmt;

/// Start value of the XOR checksum, and the magic number of database, log and checkpoint headers.
pub const MAGIC: u32 = 0x89AB_CDEF;

/// Flag in the page header's flags word: the page carries the ECC checksum.
pub const FLAG_ECC: u32 = 0x2000;

/// Byte offset of the flags word in a page.
const FLAGS_AT: usize = 36;
/// The flag [`FLAG_ECC`] as a bit index from the start of the page.
const FLAG_ECC_BIT: u32 = FLAGS_AT as u32 * 8 + 13;
/// Byte offset of the three further checksums of a large page.
pub(crate) const LARGE_CHECKSUMS_AT: usize = 40;
/// Byte offset of a large page's own number.
const LARGE_NUMBER_AT: usize = 64;

/// What the check of one page found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The stored checksum is the computed one.
    Sound,
    /// Every byte is zero: the page was never written (JET_errPageNotInitialized where one was expected).
    Uninitialized,
    /// Exactly one bit was wrong and the checksum says which.
    Corrected {
        /// The bit's index from the start of the page: bit `bit % 8` of byte `bit / 8`.
        bit: u32,
    },
    /// The page is damaged beyond correction (JET_errReadVerifyFailure).
    Bad(Damage),
}

impl Verdict {
    /// Whether the content may be used: the page is sound or was corrected.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Sound | Self::Corrected { .. })
    }
}

/// Why a page's check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// The bytes are not one page of the given size.
    Length,
    /// A checksum does not match.
    Checksum {
        /// The block of the page, 0 on small pages and 0 to 3 on large ones.
        block: u8,
        /// The checksum in the page.
        stored: u64,
        /// The checksum of the bytes.
        computed: u64,
    },
    /// The content is intact but belongs to another page number: a misdirected or lost write.
    OtherPage {
        /// The page number that the content was written for.
        written_for: PageNumber,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("sound"),
            Self::Uninitialized => f.write_str("a page of zeros"),
            Self::Corrected { bit } => write!(f, "one wrong bit, corrected (bit {bit})"),
            Self::Bad(damage) => damage.fmt(f),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("not one page of this size"),
            Self::Checksum { block, stored, computed } => {
                write!(f, "wrong checksum (block {block}: stored {stored:#018x}, computed {computed:#018x})")
            }
            Self::OtherPage { written_for } => {
                write!(f, "the content of page {written_for}: a misdirected or lost write")
            }
        }
    }
}

/// The XOR checksum of a header page or legacy page: all little-endian words but the first.
///
/// Bytes past the last whole word are ignored; headers and pages are multiples of 32 bytes.
pub fn xor32(block: &[u8]) -> u32 {
    let mut lanes = [0u64; 4];
    let mut rows = block.chunks_exact(32);
    for row in &mut rows {
        let row = load_row(row);
        for (lane, word) in lanes.iter_mut().zip(row) {
            *lane ^= word;
        }
    }
    let all = lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
    let mut sum = fold32(all);
    for word in rows.remainder().chunks_exact(4) {
        sum ^= u32_at(word, 0);
    }
    // The first word is the checksum itself and does not count.
    sum ^ u32_at(block, 0) ^ MAGIC
}

/// The checksum of one block of a page: ECC word in the high half, XOR of words and page number in the low.
///
/// `block` has 1, 2, 4 or 8 KiB. In the first block of a page the eight bytes of the stored checksum count
/// as zeros. Other lengths give a value that no page carries, never a panic.
pub fn block_checksum(block: &[u8], page: PageNumber, is_first: bool) -> u64 {
    // The ECC half is the XOR of the indices of all set bits. Bit k of it is the parity of those bits whose
    // index has bit k, so it is enough to keep, per index bit, the XOR of the rows that have it. Rows are
    // four 64-bit lanes; eight rows are one group. Inside a group the three row-index bits are folded
    // like a tree; the group sums are kept and folded by group index at the end. All of that is plain
    // lane-wise XOR, which the compiler turns into vector instructions.
    let mut sum = [0u64; 4];
    let mut by_row_bit = [[0u64; 4]; 3];
    let mut groups = [[0u64; 4]; MAX_GROUPS];
    for (group, bytes) in groups.iter_mut().zip(block.chunks_exact(GROUP_BYTES)) {
        let row = |n: usize| load_row(&bytes[n * 32..n * 32 + 32]);
        let (r1, r3, r5, r7) = (row(1), row(3), row(5), row(7));
        let (s01, s23) = (xor(row(0), r1), xor(row(2), r3));
        let (s45, s67) = (xor(row(4), r5), xor(row(6), r7));
        let high = xor(s45, s67);
        *group = xor(xor(s01, s23), high);
        by_row_bit[0] = xor(by_row_bit[0], xor(xor(r1, r3), xor(r5, r7)));
        by_row_bit[1] = xor(by_row_bit[1], xor(s23, s67));
        by_row_bit[2] = xor(by_row_bit[2], high);
        sum = xor(sum, *group);
    }
    if is_first {
        // Word 0 and 1 have index bits 0 everywhere but inside the lane: only the sums know them.
        let first = load_u64(block);
        sum[0] ^= first;
    }
    let folded = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];

    let mut low = 0u32;
    for (bit, mask) in LANE_BIT_MASKS.iter().enumerate() {
        low |= parity(folded & mask) << bit;
    }
    low |= parity(sum[1] ^ sum[3]) << 6;
    low |= parity(sum[2] ^ sum[3]) << 7;
    for (bit, rows) in by_row_bit.iter().enumerate() {
        low |= parity(rows[0] ^ rows[1] ^ rows[2] ^ rows[3]) << (8 + bit);
    }
    for bit in 0..MAX_GROUPS.trailing_zeros() {
        let mut with_bit = 0;
        for (index, group) in groups.iter().enumerate() {
            if (index >> bit) & 1 != 0 {
                with_bit ^= group[0] ^ group[1] ^ group[2] ^ group[3];
            }
        }
        low |= parity(with_bit) << (11 + bit);
    }

    let mask = index_mask(block.len());
    let high = low ^ if parity(folded) != 0 { mask } else { 0 };
    let ecc = (high << 16) | low;
    (u64::from(ecc) << 32) | u64::from(fold32(folded) ^ page.0)
}

/// Checks a page, and mends it in place when exactly one bit is wrong.
///
/// [`Verdict::Corrected`] says that the page was changed and that its checksum matches now. The engine
/// counts a correction only when the page also passes its structural check (see `page`).
pub fn verify_page(bytes: &mut [u8], page: PageNumber, page_size: PageSize) -> Verdict {
    let verdict = inspect_page(bytes, page, page_size);
    let Verdict::Corrected { bit } = verdict else {
        return verdict;
    };
    let Some(byte) = bytes.get_mut(bit as usize / 8) else {
        return Verdict::Bad(Damage::Length);
    };
    *byte ^= 1 << (bit % 8);
    match inspect_page(bytes, page, page_size) {
        Verdict::Sound => verdict,
        still_wrong => {
            // Not a single-bit error after all: leave the page as it was read.
            if let Some(byte) = bytes.get_mut(bit as usize / 8) {
                *byte ^= 1 << (bit % 8);
            }
            still_wrong
        }
    }
}

/// Checks a page without changing it; [`Verdict::Corrected`] then names the bit that would have to flip.
pub fn inspect_page(bytes: &[u8], page: PageNumber, page_size: PageSize) -> Verdict {
    if bytes.len() != page_size.bytes() {
        return Verdict::Bad(Damage::Length);
    }
    if is_zero(bytes) {
        return Verdict::Uninitialized;
    }
    if u32_at(bytes, FLAGS_AT) & FLAG_ECC == 0 {
        return inspect_legacy(bytes, page);
    }
    let block_bytes = block_bytes(page_size);
    let mut correction = None;
    let mut mismatch = None;
    let mut bad_blocks = 0;
    let mut misdirected = None;
    let mut blocks = 0;
    for (index, block) in bytes.chunks_exact(block_bytes).enumerate() {
        blocks += 1;
        let stored = stored_checksum(bytes, index);
        let computed = block_checksum(block, page, index == 0);
        if stored == computed {
            continue;
        }
        bad_blocks += 1;
        if mismatch.is_none() {
            mismatch = Some(Damage::Checksum { block: index as u8, stored, computed });
        }
        let ecc = ((stored ^ computed) >> 32) as u32;
        let xor = (stored ^ computed) as u32;
        if ecc == 0 {
            misdirected = match misdirected {
                None if bad_blocks == 1 => Some(xor ^ page.0),
                same if same == Some(xor ^ page.0) => same,
                _ => None,
            };
            continue;
        }
        let mask = index_mask(block_bytes);
        if ((ecc >> 16) ^ ecc) & mask == mask && xor.count_ones() == 1 {
            let bit = ecc & 0xFFFF;
            let is_format_flag = index == 0 && bit == FLAG_ECC_BIT;
            if (bit as usize) < block_bytes * 8 && !is_format_flag {
                correction = Some(bit + (index * block_bytes * 8) as u32);
            }
        }
    }
    match (mismatch, correction) {
        (None, _) => match own_number(bytes, page_size) {
            Some(number) if number != page => Verdict::Bad(Damage::OtherPage { written_for: number }),
            _ => Verdict::Sound,
        },
        (Some(_), Some(bit)) if bad_blocks == 1 => Verdict::Corrected { bit },
        (Some(damage), _) => match misdirected {
            Some(number) if bad_blocks == blocks => {
                Verdict::Bad(Damage::OtherPage { written_for: PageNumber(number) })
            }
            _ => Verdict::Bad(damage),
        },
    }
}

/// Computes and stores the ECC checksum (all four on large pages), setting the flag that announces it.
///
/// A large page's own number is stored as well. Does nothing when the bytes are not one page of that size.
pub fn store_page_checksum(bytes: &mut [u8], page: PageNumber, page_size: PageSize) {
    if bytes.len() != page_size.bytes() {
        return;
    }
    // The flags word and the page number are covered by the checksum, so they come first.
    let flags = u32_at(bytes, FLAGS_AT) | FLAG_ECC;
    bytes[FLAGS_AT..FLAGS_AT + 4].copy_from_slice(&flags.to_le_bytes());
    let block_bytes = block_bytes(page_size);
    if page_size.is_large() {
        bytes[LARGE_NUMBER_AT..LARGE_NUMBER_AT + 4].copy_from_slice(&page.0.to_le_bytes());
        for index in 1..4 {
            let block = &bytes[index * block_bytes..(index + 1) * block_bytes];
            let sum = block_checksum(block, page, false);
            let at = LARGE_CHECKSUMS_AT + 8 * (index - 1);
            bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let sum = block_checksum(&bytes[..block_bytes], page, true);
    bytes[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Whether every byte is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Real pages differ early, so most calls end in the first chunk.
    bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

const GROUP_BYTES: usize = 256;
const MAX_GROUPS: usize = 8192 / GROUP_BYTES;

/// Which bits of a 64-bit lane have bit k in their own index.
const LANE_BIT_MASKS: [u64; 6] = [
    0xAAAA_AAAA_AAAA_AAAA,
    0xCCCC_CCCC_CCCC_CCCC,
    0xF0F0_F0F0_F0F0_F0F0,
    0xFF00_FF00_FF00_FF00,
    0xFFFF_0000_FFFF_0000,
    0xFFFF_FFFF_0000_0000,
];

fn inspect_legacy(bytes: &[u8], page: PageNumber) -> Verdict {
    let stored = load_u64(bytes);
    let computed = (u64::from(page.0) << 32) | u64::from(xor32(bytes));
    if stored == computed {
        return Verdict::Sound;
    }
    // The stored number is part of the sum, so an intact page of another number has the right sum.
    if stored as u32 == computed as u32 {
        let written_for = PageNumber((stored >> 32) as u32);
        return Verdict::Bad(Damage::OtherPage { written_for });
    }
    Verdict::Bad(Damage::Checksum { block: 0, stored, computed })
}

/// The number that a large page says it has.
fn own_number(bytes: &[u8], page_size: PageSize) -> Option<PageNumber> {
    page_size.is_large().then(|| PageNumber(u32_at(bytes, LARGE_NUMBER_AT)))
}

fn stored_checksum(bytes: &[u8], block: usize) -> u64 {
    match block {
        0 => load_u64(bytes),
        _ => load_u64(bytes.get(LARGE_CHECKSUMS_AT + 8 * (block - 1)..).unwrap_or_default()),
    }
}

/// Small pages are one block, large ones four.
const fn block_bytes(page_size: PageSize) -> usize {
    if page_size.is_large() { page_size.bytes() / 4 } else { page_size.bytes() }
}

/// All bits of the bit indices inside a block.
const fn index_mask(block_bytes: usize) -> u32 {
    (block_bytes as u32).wrapping_mul(8).wrapping_sub(1) & 0xFFFF
}

const fn parity(bits: u64) -> u32 {
    bits.count_ones() & 1
}

const fn fold32(bits: u64) -> u32 {
    bits as u32 ^ (bits >> 32) as u32
}

#[inline(always)]
fn xor(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
}

#[inline(always)]
fn load_row(row: &[u8]) -> [u64; 4] {
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(row.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*bytes);
    }
    lanes
}

/// The first eight bytes, or 0 when there are fewer.
fn load_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b))
}

/// The word at a byte offset, or 0 past the end.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit, as an oracle for the folded form.
    fn plain_block_checksum(block: &[u8], page: PageNumber, is_first: bool) -> u64 {
        let mut block = block.to_vec();
        if is_first {
            block[..8].fill(0);
        }
        let mask = (block.len() * 8 - 1) as u32;
        let (mut xor, mut low, mut odd) = (0u32, 0u32, false);
        for word in block.chunks_exact(4) {
            xor ^= u32::from_le_bytes(word.try_into().unwrap());
        }
        for (index, byte) in block.iter().enumerate() {
            for bit in 0..8 {
                if byte >> bit & 1 != 0 {
                    low ^= (index * 8 + bit) as u32;
                    odd = !odd;
                }
            }
        }
        let high = if odd { low ^ mask } else { low };
        (u64::from((high << 16) | low) << 32) | u64::from(xor ^ page.0)
    }

    fn noise(mut seed: u64, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes);
        while out.len() < bytes {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            out.push((seed >> 56) as u8);
        }
        out
    }

    fn any_page_size() -> impl Strategy<Value = PageSize> {
        prop::sample::select(PageSize::ALL.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn folded_form_is_the_definition(
            seed: u64, page: u32, first: bool, shift in 0u32..4,
        ) {
            let block = noise(seed, 1024 << shift);
            let page = PageNumber(page);
            prop_assert_eq!(
                block_checksum(&block, page, first),
                plain_block_checksum(&block, page, first)
            );
        }

        #[test]
        fn one_flipped_bit_is_mended(
            seed: u64, size in any_page_size(), page in 1u32..0x7FEF_FFFF, at: prop::sample::Index,
        ) {
            let page = PageNumber(page);
            let mut bytes = noise(seed, size.bytes());
            store_page_checksum(&mut bytes, page, size);
            prop_assert_eq!(inspect_page(&bytes, page, size), Verdict::Sound);
            let good = bytes.clone();
            let bit = at.index(size.bytes() * 8) as u32;
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
            let verdict = verify_page(&mut bytes, page, size);
            // Neither the stored checksum of the first block nor the format flag can be mended. The other
            // blocks' checksums are data of the first block, but then two blocks disagree.
            let in_sum = bit < 64 || (size.is_large() && (320..512).contains(&bit));
            if in_sum || bit == FLAG_ECC_BIT {
                prop_assert!(matches!(verdict, Verdict::Bad(_)), "{:?}", verdict);
            } else {
                prop_assert_eq!(verdict, Verdict::Corrected { bit });
                prop_assert!(bytes == good);
            }
        }

        #[test]
        fn two_flipped_bits_are_never_mended_wrongly(
            seed: u64, size in any_page_size(), a: prop::sample::Index, b: prop::sample::Index,
        ) {
            let page = PageNumber(7);
            let mut bytes = noise(seed, size.bytes());
            store_page_checksum(&mut bytes, page, size);
            let (a, b) = (a.index(size.bytes() * 8), b.index(size.bytes() * 8));
            prop_assume!(a != b);
            for bit in [a, b] {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let verdict = verify_page(&mut bytes, page, size);
            prop_assert!(matches!(verdict, Verdict::Bad(_)), "{:?}", verdict);
        }

        #[test]
        fn any_bytes_get_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..5000), page: u32) {
            for size in PageSize::ALL {
                let mut bytes = bytes.clone();
                verify_page(&mut bytes, PageNumber(page), size);
            }
            xor32(&bytes);
            block_checksum(&bytes, PageNumber(page), true);
        }
    }

    #[test]
    fn a_page_of_another_number_is_named() {
        for size in PageSize::ALL {
            let mut bytes = noise(3, size.bytes());
            store_page_checksum(&mut bytes, PageNumber(5), size);
            assert_eq!(
                verify_page(&mut bytes, PageNumber(6), size),
                Verdict::Bad(Damage::OtherPage { written_for: PageNumber(5) }),
                "{size}"
            );
        }
    }

    #[test]
    fn legacy_pages_are_checked_by_xor_and_number() {
        let mut bytes = noise(9, 4096);
        bytes[37] &= !0x20;
        bytes[4..8].copy_from_slice(&77u32.to_le_bytes());
        let sum = xor32(&bytes);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(inspect_page(&bytes, PageNumber(77), PageSize::K4), Verdict::Sound);
        assert_eq!(
            inspect_page(&bytes, PageNumber(78), PageSize::K4),
            Verdict::Bad(Damage::OtherPage { written_for: PageNumber(77) })
        );
        bytes[1000] ^= 4;
        assert!(matches!(
            inspect_page(&bytes, PageNumber(77), PageSize::K4),
            Verdict::Bad(Damage::Checksum { .. })
        ));
    }

    #[test]
    fn zeros_are_an_uninitialized_page() {
        for size in PageSize::ALL {
            let mut bytes = vec![0; size.bytes()];
            assert_eq!(verify_page(&mut bytes, PageNumber(5), size), Verdict::Uninitialized);
            bytes[size.bytes() - 1] = 1;
            assert_ne!(verify_page(&mut bytes, PageNumber(5), size), Verdict::Uninitialized);
        }
    }
}
