//! Long values: those kept outside their record, in chunks, in a tree of the table.
//!
//! The record has the value's id. In the tree a root node (key: the id) gives size and references, and
//! chunks (key: the id and the byte offset in the value) follow it.
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/lv.hxx, dev/ese/src/ese/lv.cxx.

use crate::compress;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::PageSize;
use std::fmt;

/// The number of a long value in its table (ESE: LID). Ids with the top bit set take 8 bytes, others 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LongValueId(pub u64);

impl LongValueId {
    /// The first id of eight bytes.
    pub const FIRST_WIDE: Self = Self(0x8000_0000_8000_0001);

    /// Whether the id takes eight bytes.
    pub const fn is_wide(self) -> bool {
        self.0 >> 63 == 1
    }

    /// The id that a record stores, low byte first.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no id.
    pub fn from_record(bytes: &[u8]) -> Result<Self> {
        let id = match bytes.len() {
            4 => bytes.first_chunk::<4>().map(|b| Self(u32::from_le_bytes(*b).into())),
            8 => bytes.first_chunk::<8>().map(|b| Self(u64::from_le_bytes(*b))).filter(|id| id.is_wide()),
            _ => None,
        };
        id.filter(|id| id.0 != 0)
            .ok_or_else(|| FormatError::corrupt("a record refers to an impossible long value"))
    }

    /// The bytes that a record stores.
    pub fn to_record(self) -> IdBytes {
        if self.is_wide() {
            IdBytes::of(&self.0.to_le_bytes())
        } else {
            IdBytes::of(&(self.0 as u32).to_le_bytes())
        }
    }

    /// The key of the root node.
    pub fn root_key(self) -> IdBytes {
        if self.is_wide() {
            IdBytes::of(&self.0.to_be_bytes())
        } else {
            IdBytes::of(&(self.0 as u32).to_be_bytes())
        }
    }

    /// The key of the chunk that starts at a byte offset of the value.
    pub fn chunk_key(self, offset: u32) -> IdBytes {
        let mut key = self.root_key();
        let len = usize::from(key.len);
        key.bytes[len..len + 4].copy_from_slice(&offset.to_be_bytes());
        key.len += 4;
        key
    }
}

impl fmt::Display for LongValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A key of the long-value tree, or an id as stored: up to 12 bytes, without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdBytes {
    bytes: [u8; 12],
    len: u8,
}

impl IdBytes {
    fn of<const N: usize>(part: &[u8; N]) -> Self {
        let mut bytes = [0; 12];
        bytes[..N].copy_from_slice(part);
        Self { bytes, len: N as u8 }
    }
}

impl AsRef<[u8]> for IdBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }
}

impl std::ops::Deref for IdBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

/// What a key of the long-value tree names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongValueKey {
    /// The root node of a value.
    Root(LongValueId),
    /// The chunk of a value that starts at a byte offset.
    Chunk(LongValueId, u32),
}

impl LongValueKey {
    /// Reads a key.
    ///
    /// # Errors
    /// `Corrupt` when its length or its id is impossible.
    pub fn decode(key: &[u8]) -> Result<Self> {
        let narrow = |bytes: &[u8; 4]| LongValueId(u32::from_be_bytes(*bytes).into());
        let parts = (key.first_chunk::<4>(), key.first_chunk::<8>(), key.last_chunk::<4>());
        match (key.len(), parts) {
            (4, (Some(id), ..)) => Ok(Self::Root(narrow(id))),
            (8, (_, Some(id), _)) if id[0] & 0x80 != 0 => {
                Ok(Self::Root(LongValueId(u64::from_be_bytes(*id))))
            }
            (8, (Some(id), _, Some(offset))) => Ok(Self::Chunk(narrow(id), u32::from_be_bytes(*offset))),
            (12, (_, Some(id), Some(offset))) if id[0] & 0x80 != 0 => {
                Ok(Self::Chunk(LongValueId(u64::from_be_bytes(*id)), u32::from_be_bytes(*offset)))
            }
            _ => Err(FormatError::corrupt("a key of the long-value tree is impossible")),
        }
    }
}

/// The root node of a long value (ESE: LVROOT, LVROOT2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongValueRoot {
    /// How many values of records refer to it; 0 waits for deletion, `u32::MAX` is half deleted.
    pub references: u32,
    /// The length in bytes when unpacked.
    pub size: u32,
    /// The chunks are encrypted.
    pub encrypted: bool,
}

impl LongValueRoot {
    /// Reads the data of a root node.
    ///
    /// # Errors
    /// `Corrupt` when it has another length.
    pub fn decode(data: &[u8]) -> Result<Self> {
        let (references, size, flags) = match *data {
            [a, b, c, d, e, f, g, h] => ([a, b, c, d], [e, f, g, h], 0),
            [a, b, c, d, e, f, g, h, flags] => ([a, b, c, d], [e, f, g, h], flags),
            _ => {
                return Err(FormatError::corrupt(format!(
                    "the root of a long value has {} bytes",
                    data.len()
                )));
            }
        };
        Ok(Self {
            references: u32::from_le_bytes(references),
            size: u32::from_le_bytes(size),
            encrypted: flags & 1 != 0,
        })
    }

    /// The data of the root node: 8 bytes, 9 for an encrypted value.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(9);
        data.extend_from_slice(&self.references.to_le_bytes());
        data.extend_from_slice(&self.size.to_le_bytes());
        if self.encrypted {
            data.push(1);
        }
        data
    }
}

/// How many bytes of a value a chunk holds, unless the table's catalog row says otherwise.
pub const fn default_chunk_size(page_size: PageSize) -> u32 {
    match page_size {
        PageSize::K2 => 1966,
        PageSize::K4 => 4014,
        PageSize::K8 => 8110,
        PageSize::K16 => 4050,
        PageSize::K32 => 8150,
    }
}

/// Unpacks one chunk and appends it to `out`. A chunk has no flag: it is packed exactly if it is shorter
/// than the `expected` number of bytes of the value that it stands for.
///
/// # Errors
/// `Decompression` when it does not unpack to the expected length; `Corrupt` when it is too long.
pub fn unpack_chunk(data: &[u8], expected: usize, out: &mut Vec<u8>) -> Result<()> {
    if data.len() > expected {
        return Err(FormatError::corrupt(format!(
            "a chunk of a long value has {} bytes where {expected} belong",
            data.len()
        )));
    }
    if data.len() == expected {
        out.extend_from_slice(data);
        return Ok(());
    }
    let before = out.len();
    let unpacked = compress::decompress_into(data, out)?;
    if unpacked != expected {
        out.truncate(before);
        return Err(FormatError::new(
            FormatErrorKind::Decompression,
            format!("a chunk of a long value unpacks to {unpacked} bytes where {expected} belong"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_and_keys_have_both_widths() {
        let narrow = LongValueId::from_record(&[1, 0, 0, 0]).unwrap();
        assert_eq!(narrow.root_key()[..], [0, 0, 0, 1]);
        assert_eq!(narrow.chunk_key(0xFAE)[..], [0, 0, 0, 1, 0, 0, 0x0F, 0xAE]);
        assert_eq!(narrow.to_record()[..], [1, 0, 0, 0]);
        let wide = LongValueId::from_record(&[0x66, 0, 0, 0x80, 0, 0, 0, 0x80]).unwrap();
        assert_eq!(wide.0, 0x8000_0000_8000_0066);
        assert_eq!(wide.chunk_key(1).len(), 12);
        assert!(LongValueId::from_record(&[0; 4]).is_err());
        assert!(LongValueId::from_record(&[1, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(LongValueId::from_record(&[1, 2]).is_err());
    }

    #[test]
    fn a_root_has_eight_or_nine_bytes() {
        let root = LongValueRoot { references: 2, size: 70_000, encrypted: false };
        assert_eq!(LongValueRoot::decode(&root.encode()), Ok(root));
        let root = LongValueRoot { encrypted: true, ..root };
        assert_eq!(root.encode().len(), 9);
        assert_eq!(LongValueRoot::decode(&root.encode()), Ok(root));
        assert!(LongValueRoot::decode(&[0; 7]).is_err());
    }

    proptest! {
        #[test]
        fn keys_survive(id in any::<u64>(), offset in any::<u32>(), wide in any::<bool>()) {
            let id = if wide {
                LongValueId(id | 1 << 63)
            } else {
                LongValueId((id & 0x7FFF_FEFF).max(1))
            };
            prop_assert_eq!(LongValueKey::decode(&id.root_key()), Ok(LongValueKey::Root(id)));
            prop_assert_eq!(LongValueKey::decode(&id.chunk_key(offset)), Ok(LongValueKey::Chunk(id, offset)));
            prop_assert_eq!(LongValueId::from_record(&id.to_record()), Ok(id));
        }

        #[test]
        fn chunks_survive(text in "[a-f]{0,4000}") {
            let mut packed = Vec::new();
            let stored: &[u8] =
                if compress::compress_into(text.as_bytes(), &mut packed) { &packed } else { text.as_bytes() };
            let mut out = Vec::new();
            prop_assert_eq!(unpack_chunk(stored, text.len(), &mut out), Ok(()));
            prop_assert_eq!(out, text.as_bytes());
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            data in proptest::collection::vec(any::<u8>(), 0..300), expected in 0usize..9000,
        ) {
            let _ = LongValueKey::decode(&data);
            let _ = LongValueRoot::decode(&data);
            let mut out = Vec::new();
            let done = unpack_chunk(&data, expected, &mut out).is_ok();
            prop_assert_eq!(out.len(), if done { expected } else { 0 });
        }
    }
}
