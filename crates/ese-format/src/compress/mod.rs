//! How values and long-value chunks are packed.
//!
//! The first byte of packed data names the scheme in its upper five bits
//! (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/compression.cxx). The two 7-bit schemes and
//! XPRESS occur in databases that Windows writes; LZ4 and the later XPRESS kinds only in builds for
//! Exchange. LZ4 is unpacked here too, XPRESS9 and XPRESS10 are named and refused.

pub mod lz4;
pub mod seven_bit;
pub mod xpress;

use crate::error::{FormatError, FormatErrorKind, Result};

/// Inputs shorter than this are not tried with XPRESS (default of JET_paramMinDataForXpress), in bytes.
pub const MIN_DATA_FOR_XPRESS: usize = 1024;

/// More bytes than any single packed piece may unpack to: the sizes stored are 16 bits wide, and the
/// 7-bit schemes at most double (as UTF-16) a value that fits a page.
pub const MAX_UNPACKED: usize = 0x1_0000;

/// How a piece of data is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Not packed; the byte after the first is the first of the value.
    None,
    /// Bytes up to 0x7F, seven bits each.
    SevenBitAscii,
    /// UTF-16 units up to 0x7F, seven bits each.
    SevenBitUnicode,
    /// XPRESS, the plain LZ77 of MS-XCA.
    Xpress,
    /// The value was overwritten with a pattern; only its size is left.
    Scrubbed,
    /// XPRESS9 with a checksum of the plain data.
    Xpress9,
    /// XPRESS10 with two checksums.
    Xpress10,
    /// A raw LZ4 block.
    Lz4,
}

impl Scheme {
    /// The scheme that the first byte of packed data names.
    pub const fn from_first_byte(byte: u8) -> Option<Self> {
        Some(match byte >> 3 {
            0 => Self::None,
            1 => Self::SevenBitAscii,
            2 => Self::SevenBitUnicode,
            3 => Self::Xpress,
            4 => Self::Scrubbed,
            5 => Self::Xpress9,
            6 => Self::Xpress10,
            7 => Self::Lz4,
            _ => return None,
        })
    }
}

pub(crate) fn broken(detail: impl Into<String>) -> FormatError {
    FormatError::new(FormatErrorKind::Decompression, detail)
}

/// Unpacks `data` and appends the value to `out`; returns how many bytes were appended.
///
/// Nothing at all unpacks to nothing, as the engine has it. On an error `out` is as it was.
pub fn decompress_into(data: &[u8], out: &mut Vec<u8>) -> Result<usize> {
    let Some((&first, rest)) = data.split_first() else { return Ok(0) };
    let before = out.len();
    let done = match Scheme::from_first_byte(first) {
        Some(Scheme::None) => {
            out.extend_from_slice(rest);
            Ok(())
        }
        Some(Scheme::SevenBitAscii) => seven_bit::unpack_ascii(first & 7, rest, out),
        Some(Scheme::SevenBitUnicode) => seven_bit::unpack_unicode(first & 7, rest, out),
        Some(Scheme::Xpress) => match rest.split_first_chunk::<2>() {
            Some((size, tokens)) => xpress::decompress_into(tokens, u16::from_le_bytes(*size) as usize, out),
            None => Err(broken("an XPRESS value ends before its size")),
        },
        Some(Scheme::Lz4) => match rest.split_first_chunk::<2>() {
            Some((size, block)) => lz4::decompress_into(block, u16::from_le_bytes(*size) as usize, out),
            None => Err(broken("an LZ4 value ends before its size")),
        },
        Some(Scheme::Scrubbed) => Err(broken("the value was scrubbed, its content is gone")),
        Some(Scheme::Xpress9) => Err(broken("the value is packed with XPRESS9, which is not supported")),
        Some(Scheme::Xpress10) => Err(broken("the value is packed with XPRESS10, which is not supported")),
        None => Err(broken(format!("unknown compression scheme {}", first >> 3))),
    };
    match done {
        Ok(()) => Ok(out.len() - before),
        Err(error) => {
            out.truncate(before);
            Err(error)
        }
    }
}

/// How many bytes packed data unpacks to, without unpacking it.
pub fn unpacked_len(data: &[u8]) -> Result<usize> {
    let Some((&first, rest)) = data.split_first() else { return Ok(0) };
    match Scheme::from_first_byte(first) {
        Some(Scheme::None) => Ok(rest.len()),
        Some(Scheme::SevenBitAscii) => Ok(seven_bit::count(first & 7, rest.len())),
        Some(Scheme::SevenBitUnicode) => Ok(2 * seven_bit::count(first & 7, rest.len())),
        Some(Scheme::Xpress | Scheme::Xpress10 | Scheme::Lz4) => match rest.first_chunk::<2>() {
            Some(size) => Ok(u16::from_le_bytes(*size) as usize),
            None => Err(broken("a packed value ends before its size")),
        },
        Some(Scheme::Scrubbed | Scheme::Xpress9) => Err(broken("the size of the value is not stored")),
        None => Err(broken(format!("unknown compression scheme {}", first >> 3))),
    }
}

/// Packs `data` the way Windows does and appends it to `out`; returns whether that made it smaller.
///
/// When nothing makes it smaller `out` is left as it was: the value must then be stored as it is. Inputs
/// of at least [`MIN_DATA_FOR_XPRESS`] bytes are tried with XPRESS; 7-bit packing is taken where it applies
/// and is no larger.
pub fn compress_into(data: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let seven = seven_bit::best_scheme(data);
    let seven_len = match seven {
        Some(Scheme::SevenBitUnicode) => seven_bit::packed_len(data.len() / 2),
        Some(_) => seven_bit::packed_len(data.len()),
        None => usize::MAX,
    };
    if data.len() >= MIN_DATA_FOR_XPRESS && data.len() < MAX_UNPACKED {
        out.push(0x18);
        out.extend_from_slice(&(data.len() as u16).to_le_bytes());
        xpress::compress_into(data, out);
        let packed = out.len() - before;
        if packed < data.len() && packed < seven_len {
            return true;
        }
        out.truncate(before);
    }
    if seven_len >= data.len() {
        return false;
    }
    match seven {
        Some(Scheme::SevenBitUnicode) => seven_bit::pack_unicode(data, out),
        Some(_) => seven_bit::pack_ascii(data, out),
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(data: &[u8]) {
        let mut packed = vec![0xEE];
        if !compress_into(data, &mut packed) {
            assert_eq!(packed, [0xEE]);
            return;
        }
        assert!(packed.len() - 1 < data.len());
        assert_eq!(unpacked_len(&packed[1..]), Ok(data.len()));
        let mut plain = vec![0xDD];
        assert_eq!(decompress_into(&packed[1..], &mut plain), Ok(data.len()));
        assert_eq!(&plain[1..], data);
    }

    #[test]
    fn short_text_is_packed_with_seven_bits() {
        let mut out = Vec::new();
        assert!(compress_into(b"hello world, this is text", &mut out));
        assert_eq!(Scheme::from_first_byte(out[0]), Some(Scheme::SevenBitAscii));
        out.clear();
        let wide: Vec<u8> = "wide".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(compress_into(&wide, &mut out));
        // Four characters are 28 bits: four bytes, the last of which has four bits in use.
        assert_eq!(out[0], 0x10 | 3);
        assert_eq!(out.len(), 5);
        out.clear();
        assert!(!compress_into(b"ab", &mut out));
        assert!(!compress_into(&[0xFF; 40], &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn unsupported_schemes_are_named() {
        for (first, word) in [(0x20, "scrubbed"), (0x28, "XPRESS9"), (0x30, "XPRESS10"), (0x40, "scheme 8")] {
            let mut out = vec![1];
            let error = decompress_into(&[first, 0, 0, 0], &mut out).unwrap_err();
            assert_eq!(error.kind, FormatErrorKind::Decompression);
            assert!(error.detail.contains(word), "{error}");
            assert_eq!(out, [1]);
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_unpacks(data in proptest::collection::vec(any::<u8>(), 0..3000)) {
            round(&data);
        }

        #[test]
        fn repetitive_data_unpacks(
            seeds in proptest::collection::vec((any::<u8>(), 1usize..900), 1..40),
        ) {
            let data: Vec<u8> = seeds.iter().flat_map(|&(b, n)| std::iter::repeat_n(b, n)).collect();
            round(&data);
        }

        #[test]
        fn ascii_unpacks(data in "[ -~]{0,4000}") {
            round(data.as_bytes());
            let wide: Vec<u8> = data.encode_utf16().flat_map(u16::to_le_bytes).collect();
            round(&wide);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut out = Vec::new();
            if decompress_into(&data, &mut out).is_ok() {
                prop_assert!(out.len() <= MAX_UNPACKED);
            }
            let _ = unpacked_len(&data);
        }

        #[test]
        fn damaged_data_never_panics(
            text in "[a-d]{1024,3000}", at in any::<prop::sample::Index>(), with in any::<u8>(),
        ) {
            let mut packed = Vec::new();
            prop_assert!(compress_into(text.as_bytes(), &mut packed));
            let at = at.index(packed.len());
            packed[at] = with;
            let mut out = Vec::new();
            let _ = decompress_into(&packed, &mut out);
        }
    }
}
