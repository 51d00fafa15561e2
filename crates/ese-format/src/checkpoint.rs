//! The checkpoint file: from where recovery starts.

use crate::checksum::xor32;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::log::attach::{ATTACH_ARRAY_BYTES, AttachEntry, decode_attach_array, encode_attach_array};
use crate::log::block::BLOCK_BYTES;
use crate::log::bytes::{Reader, Writer};
use crate::log::dbms_param::DbmsParam;
use crate::log::header::finish_block;
use crate::primitives::{LogPosition, LogTime, Signature};

/// The file type number of checkpoint files.
const FILE_TYPE_CHECKPOINT: u32 = 4;
/// Bit of the version byte: the attach array is present and valid.
const HAS_ATTACH_ARRAY: u8 = 0x01;

/// A checkpoint. The file holds it twice, in blocks of 4,096 bytes that are written one after the other.
///
/// Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/log.hxx` (CHECKPOINT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The checkpoint at the last full backup.
    pub last_full_backup_checkpoint: LogPosition,
    /// Where redo must start.
    pub checkpoint: LogPosition,
    /// Identity of the log stream.
    pub signature: Signature,
    /// Parameters of the writer.
    pub params: DbmsParam,
    /// Position of the last full backup.
    pub full_backup: LogPosition,
    /// Time of the last full backup.
    pub full_backup_time: LogTime,
    /// Position of the last incremental backup.
    pub incremental_backup: LogPosition,
    /// Time of the last incremental backup.
    pub incremental_backup_time: LogTime,
    /// The version byte without the bit for the attach array.
    pub other_version_bits: u8,
    /// The oldest position that database pages need.
    pub database_consistency: LogPosition,
    /// Eleven bytes that no known version uses.
    pub reserved: [u8; 11],
    /// The databases attached at the checkpoint; `None` when the checkpoint does not say (after a clean
    /// termination, or from an old writer).
    pub attached: Option<Vec<AttachEntry>>,
}

impl Checkpoint {
    /// Bytes of one copy.
    pub const COPY_BYTES: usize = BLOCK_BYTES;
    /// Bytes of the file.
    pub const FILE_BYTES: usize = 2 * BLOCK_BYTES;

    /// A checkpoint of a stream, without backups and attached databases.
    pub fn new(signature: Signature, checkpoint: LogPosition) -> Self {
        Self {
            last_full_backup_checkpoint: LogPosition::NONE,
            checkpoint,
            signature,
            params: DbmsParam::default(),
            full_backup: LogPosition::NONE,
            full_backup_time: LogTime::NONE,
            incremental_backup: LogPosition::NONE,
            incremental_backup_time: LogTime::NONE,
            other_version_bits: 0,
            database_consistency: checkpoint,
            reserved: [0; 11],
            attached: None,
        }
    }

    /// Decodes one copy of 4,096 bytes.
    ///
    /// # Errors
    /// [`FormatErrorKind::Truncated`], [`FormatErrorKind::Checksum`], [`FormatErrorKind::WrongFileType`],
    /// [`FormatErrorKind::Corrupt`] (attach array).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let block = bytes.get(..BLOCK_BYTES).ok_or_else(|| {
            FormatError::new(FormatErrorKind::Truncated, "a checkpoint of less than 4096 bytes")
        })?;
        let mut r = Reader::new(block, FormatErrorKind::Truncated);
        if r.u32()? != xor32(block) {
            return Err(FormatError::new(
                FormatErrorKind::Checksum,
                "the checksum of the checkpoint does not match",
            ));
        }
        let last_full_backup_checkpoint = r.position()?;
        let checkpoint = r.position()?;
        let signature = r.signature()?;
        let params = DbmsParam::read(&mut r)?;
        let full_backup = r.position()?;
        let full_backup_time = r.time()?;
        let incremental_backup = r.position()?;
        let incremental_backup_time = r.time()?;
        let version = r.u8()?;
        let database_consistency = r.position()?;
        let reserved = r.array()?;
        let file_type = r.u32()?;
        if file_type != FILE_TYPE_CHECKPOINT {
            return Err(FormatError::new(
                FormatErrorKind::WrongFileType,
                format!("file type {file_type} where a checkpoint has {FILE_TYPE_CHECKPOINT}"),
            ));
        }
        let _reserved = r.u64()?;
        let array = r.take(ATTACH_ARRAY_BYTES)?;
        let attached = if version & HAS_ATTACH_ARRAY != 0 { Some(decode_attach_array(array)?) } else { None };
        Ok(Self {
            last_full_backup_checkpoint,
            checkpoint,
            signature,
            params,
            full_backup,
            full_backup_time,
            incremental_backup,
            incremental_backup_time,
            other_version_bits: version & !HAS_ATTACH_ARRAY,
            database_consistency,
            reserved,
            attached,
        })
    }

    /// The valid checkpoint of a whole file: the first copy that can be decoded. The first copy is
    /// written first, so it is never older than the second.
    ///
    /// # Errors
    /// That of the first copy, when neither is good.
    pub fn choose(file: &[u8]) -> Result<Self> {
        Self::decode(file).or_else(|first| {
            file.get(Self::COPY_BYTES..).and_then(|second| Self::decode(second).ok()).ok_or(first)
        })
    }

    /// Encodes one copy, checksum included.
    ///
    /// # Errors
    /// [`FormatErrorKind::TooLarge`] when the attached databases do not fit.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(BLOCK_BYTES);
        out.u32(0);
        out.position(self.last_full_backup_checkpoint);
        out.position(self.checkpoint);
        out.signature(&self.signature);
        out.bytes(&self.params.encode());
        out.position(self.full_backup);
        out.time(self.full_backup_time);
        out.position(self.incremental_backup);
        out.time(self.incremental_backup_time);
        let version = if self.attached.is_some() { HAS_ATTACH_ARRAY } else { 0 };
        out.u8(version | self.other_version_bits);
        out.position(self.database_consistency);
        out.bytes(&self.reserved);
        out.u32(FILE_TYPE_CHECKPOINT);
        out.u64(0);
        out.bytes(&encode_attach_array(self.attached.as_deref().unwrap_or_default())?);
        finish_block(out)
    }
}
