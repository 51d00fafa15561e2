//! The values that a header field can have, each with its fixed number of bytes.

use crate::primitives::{
    BackupInfo, DbTime, Generation, LogPosition, LogTime, ObjectId, PageNumber, Signature,
};

/// A value of a fixed number of bytes at a fixed place in the header.
pub(super) trait Field: Sized {
    /// Bytes of the value on disk; the types of this crate have no padding.
    const BYTES: usize = size_of::<Self>();
    /// Takes the value from the bytes that begin with it; missing bytes count as zeros.
    fn get(bytes: &[u8]) -> Self;
    /// Puts the value over the first bytes.
    fn put(&self, bytes: &mut [u8]);
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

fn put_array<const N: usize>(bytes: &mut [u8], value: [u8; N]) {
    if let Some(place) = bytes.first_chunk_mut() {
        *place = value;
    }
}

macro_rules! field {
    ($($type:ty: $value:ident => $bytes:expr, $from:expr;)*) => {$(
        impl Field for $type {
            fn get(bytes: &[u8]) -> Self {
                ($from)(array(bytes))
            }
            fn put(&self, bytes: &mut [u8]) {
                let $value = self;
                put_array(bytes, $bytes);
            }
        }
    )*};
}

field! {
    u32: v => v.to_le_bytes(), u32::from_le_bytes;
    i32: v => v.to_le_bytes(), i32::from_le_bytes;
    u64: v => v.to_le_bytes(), u64::from_le_bytes;
    DbTime: v => v.0.to_le_bytes(), |b| DbTime(u64::from_le_bytes(b));
    Generation: v => v.0.to_le_bytes(), |b| Generation(u32::from_le_bytes(b));
    ObjectId: v => v.0.to_le_bytes(), |b| ObjectId(u32::from_le_bytes(b));
    PageNumber: v => v.0.to_le_bytes(), |b| PageNumber(u32::from_le_bytes(b));
    LogPosition: v => v.to_bytes(), LogPosition::from_bytes;
    LogTime: v => v.raw, |raw| LogTime { raw };
    Signature: v => v.to_bytes(), |b| Signature::from_bytes(&b);
    BackupInfo: v => v.to_bytes(), |b| BackupInfo::from_bytes(&b);
}
