//! The list of attached databases in log headers and in the checkpoint.

use super::bytes::{Reader, Writer};
use super::dbms_param::too_large;
use super::text;
use crate::error::{FormatErrorKind, Result};
use crate::primitives::{DbTime, LogPosition, ObjectId, Signature};

/// Bytes of the array in its header, terminator included.
pub const ATTACH_ARRAY_BYTES: usize = 2048;
/// Bytes of an entry before its names.
const FIXED_BYTES: usize = 64;

/// One attached database (ESE: ATTACHINFO).
///
/// Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/logapi.hxx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachEntry {
    /// Number of the database in this stretch of log; never 0.
    pub dbid: u8,
    /// [`Self::UTF16`], [`Self::SPARSE`], and obsolete bits.
    pub flags: u8,
    /// Last dbtime known.
    pub db_time: DbTime,
    /// Last object id known.
    pub last_object: ObjectId,
    /// Size limit of the database in pages; 0: none.
    pub max_pages: u32,
    /// Where the database was attached.
    pub attach: LogPosition,
    /// Last clean point before that; none when it belongs to another log stream.
    pub consistent: LogPosition,
    /// Identity of the database.
    pub signature: Signature,
    /// The name field as stored, terminators included.
    pub names: Vec<u8>,
}

impl AttachEntry {
    /// Flag: the names are UTF-16.
    pub const UTF16: u8 = 0x20;
    /// Flag: the database file is sparse.
    pub const SPARSE: u8 = 0x40;

    /// The path of the database file, as text.
    pub fn path(&self) -> String {
        if self.flags & Self::UTF16 != 0 {
            text::utf16_to_string(&self.names)
        } else {
            text::ansi_to_string(&self.names)
        }
    }

    /// Stores `path` as UTF-16 and sets the flag that says so.
    pub fn set_path(&mut self, path: &str) {
        self.names = text::string_to_utf16(path);
        self.flags |= Self::UTF16;
    }

    /// Bytes that the entry takes in an array.
    pub fn encoded_len(&self) -> usize {
        FIXED_BYTES + self.names.len()
    }
}

/// Decodes an attach array. `bytes` is the whole field; it ends at the first entry with dbid 0.
///
/// # Errors
/// [`FormatErrorKind::Corrupt`] when an entry runs over the end of the field.
pub fn decode_attach_array(bytes: &[u8]) -> Result<Vec<AttachEntry>> {
    let mut r = Reader::new(bytes, FormatErrorKind::Corrupt);
    let mut entries = Vec::new();
    // A field that is filled to its last byte has no terminator; the format forbids it, reading it
    // harms nobody.
    while r.remaining() > 0 {
        let dbid = r.u8()?;
        if dbid == 0 {
            break;
        }
        let flags = r.u8()?;
        let name_bytes = usize::from(r.u16()?);
        entries.push(AttachEntry {
            dbid,
            flags,
            db_time: r.db_time()?,
            last_object: ObjectId(r.u32()?),
            max_pages: r.u32()?,
            attach: r.position()?,
            consistent: r.position()?,
            signature: r.signature()?,
            names: r.take(name_bytes)?.to_vec(),
        });
    }
    Ok(entries)
}

/// Encodes an attach array with its terminator, without the padding behind it.
///
/// # Errors
/// [`FormatErrorKind::TooLarge`] when the array would take more than [`ATTACH_ARRAY_BYTES`], or an entry
/// has dbid 0 (which would end the array for every reader).
pub fn encode_attach_array(entries: &[AttachEntry]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        if entry.dbid == 0 {
            return Err(crate::FormatError::new(
                FormatErrorKind::TooLarge,
                "an attached database cannot have number 0",
            ));
        }
        let name_bytes = u16::try_from(entry.names.len())
            .map_err(|_| too_large("a database name", entry.names.len(), ATTACH_ARRAY_BYTES))?;
        out.u8(entry.dbid);
        out.u8(entry.flags);
        out.u16(name_bytes);
        out.u64(entry.db_time.0);
        out.u32(entry.last_object.0);
        out.u32(entry.max_pages);
        out.position(entry.attach);
        out.position(entry.consistent);
        out.signature(&entry.signature);
        out.bytes(&entry.names);
    }
    out.u8(0);
    if out.len() > ATTACH_ARRAY_BYTES {
        return Err(too_large("the list of attached databases", out.len(), ATTACH_ARRAY_BYTES));
    }
    Ok(out)
}

/// Whether these entries fit an attach array.
pub fn attach_array_fits(entries: &[AttachEntry]) -> bool {
    entries.iter().map(AttachEntry::encoded_len).sum::<usize>() < ATTACH_ARRAY_BYTES
}
