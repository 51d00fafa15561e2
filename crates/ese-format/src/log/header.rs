//! The header of a log file.

use super::attach::{ATTACH_ARRAY_BYTES, AttachEntry, decode_attach_array, encode_attach_array};
use super::block::BLOCK_BYTES;
use super::bytes::{Reader, Writer};
use super::dbms_param::{DbmsParam, too_large};
use crate::checksum::xor32;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{Generation, LogPosition, LogTime, PageSize, Signature};
use std::fmt;

/// The file type number of log files.
const FILE_TYPE_LOG: u32 = 3;

/// A log format version, in the order in which the format grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogVersion {
    /// 8 since Windows 8; 7 and below have another physical layout.
    pub major: u32,
    /// 4000 since major 8.
    pub minor: u32,
    /// A reader refuses what is above the value it knows.
    pub update_major: u32,
    /// A reader accepts any value.
    pub update_minor: u32,
}

impl LogVersion {
    /// What this project stamps on new streams.
    pub const CURRENT: Self = Self { major: 8, minor: 4000, update_major: 5, update_minor: 16 };
    /// The last update-major whose records are known.
    pub const LAST_KNOWN_UPDATE_MAJOR: u32 = 130;

    /// Whether this code can read logs of that version.
    pub const fn is_readable(self) -> bool {
        self.major == 8 && self.minor == 4000 && self.update_major <= Self::LAST_KNOWN_UPDATE_MAJOR
    }

    /// Whether headers hold the accumulated checksum of the generation before.
    pub const fn has_accumulated_checksum(self) -> bool {
        self.major > 8
            || (self.major == 8
                && (self.update_major > 5 || (self.update_major == 5 && self.update_minor >= 13)))
    }

    /// Whether unwritten segments are zero (since 8.4000.2), not filled with 0xDA.
    pub const fn is_zero_filled(self) -> bool {
        self.major >= 8 && self.update_major >= 2
    }

    /// Whether CommitCtx records have a flags byte (since 8.4000.4.8 and 8.4000.5.2).
    pub const fn has_commit_context_flags(self) -> bool {
        match self.update_major {
            0..=3 => false,
            4 => self.update_minor >= 8,
            5 => self.update_minor >= 2,
            _ => true,
        }
    }
}

impl fmt::Display for LogVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.major, self.minor, self.update_major, self.update_minor)
    }
}

/// The header of a log file (ESE: LGFILEHDR). Written once, when its generation is begun.
///
/// Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/log.hxx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHeader {
    /// The number of this log file.
    pub generation: Generation,
    /// Bytes of a sector; 4096 since version 8.
    pub sector_bytes: u16,
    /// Sectors of the header.
    pub header_sectors: u16,
    /// Sectors of the whole file.
    pub file_sectors: u16,
    /// Page size of the databases in bytes; 0 means 4096.
    pub page_bytes: u16,
    /// When this generation was begun.
    pub created: LogTime,
    /// When the generation before was begun; not set in the first of a stream.
    pub previous_created: LogTime,
    /// Format version.
    pub version: LogVersion,
    /// Identity of the log stream, the same in all its generations.
    pub signature: Signature,
    /// Parameters of the writer.
    pub params: DbmsParam,
    /// [`Self::FROM_RESERVE`], [`Self::CIRCULAR`], [`Self::CIRCULAR_HISTORY`].
    pub flags: u8,
    /// The checkpoint when this generation was begun.
    pub checkpoint: LogPosition,
    /// Diagnostic: sector size of the writer's disk, as a code (5: 4096 bytes).
    pub disk_sector_code: u8,
    /// XOR of the checksums of all written segments of the generation before; 0 in the first.
    pub previous_checksum: u64,
    /// Diagnostic: format version of the writer's program.
    pub engine_version: u32,
    /// Two bytes that no known version uses.
    pub reserved: [u8; 2],
    /// The databases that were attached when this generation was begun.
    pub attached: Vec<AttachEntry>,
}

impl LogHeader {
    /// Flag: the file was made from a reserve log.
    pub const FROM_RESERVE: u8 = 0x01;
    /// Flag: circular logging was on.
    pub const CIRCULAR: u8 = 0x02;
    /// Flag: circular logging was on at some time in the history of this stream.
    pub const CIRCULAR_HISTORY: u8 = 0x04;
    /// Bytes of the header.
    pub const BYTES: usize = BLOCK_BYTES;

    /// The header of a new generation with the values that never vary; the caller sets the rest.
    pub fn new(
        generation: Generation,
        file_sectors: u16,
        page_size: PageSize,
        signature: Signature,
        created: LogTime,
    ) -> Self {
        Self {
            generation,
            sector_bytes: BLOCK_BYTES as u16,
            header_sectors: 1,
            file_sectors,
            page_bytes: page_size.bytes() as u16,
            created,
            previous_created: LogTime::NONE,
            version: LogVersion::CURRENT,
            signature,
            params: DbmsParam::default(),
            flags: 0,
            checkpoint: LogPosition::NONE,
            disk_sector_code: 5,
            previous_checksum: 0,
            engine_version: 9180,
            reserved: [0; 2],
            attached: Vec::new(),
        }
    }

    /// The page size of the databases.
    ///
    /// # Errors
    /// [`FormatErrorKind::PageSize`] when the field holds none that exists.
    pub fn page_size(&self) -> Result<PageSize> {
        match self.page_bytes {
            0 => Ok(PageSize::K4),
            n => PageSize::from_bytes(n.into()).ok_or_else(|| {
                FormatError::new(FormatErrorKind::PageSize, format!("a log header with page size {n}"))
            }),
        }
    }

    /// Bytes that the file must have.
    pub fn file_bytes(&self) -> u64 {
        u64::from(self.file_sectors) * u64::from(self.sector_bytes)
    }

    /// The last segment that may hold records; the one behind it is for its shadow.
    pub const fn last_data_segment(&self) -> u16 {
        self.file_sectors.saturating_sub(2)
    }

    /// Decodes the first 4,096 bytes of a log file and checks them, except for the version: see
    /// [`Self::check_version`].
    ///
    /// # Errors
    /// [`FormatErrorKind::Truncated`], [`FormatErrorKind::LogCorrupt`] (checksum, attach array),
    /// [`FormatErrorKind::WrongFileType`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let block = bytes.get(..BLOCK_BYTES).ok_or_else(|| {
            FormatError::new(FormatErrorKind::Truncated, "a log header of less than 4096 bytes")
        })?;
        let mut r = Reader::new(block, FormatErrorKind::Truncated);
        if r.u32()? != xor32(block) {
            return Err(FormatError::new(
                FormatErrorKind::LogCorrupt,
                "the checksum of the log header does not match",
            ));
        }
        let generation = r.generation()?;
        let sector_bytes = r.u16()?;
        let header_sectors = r.u16()?;
        let file_sectors = r.u16()?;
        let page_bytes = r.u16()?;
        let created = r.time()?;
        let previous_created = r.time()?;
        let (major, minor, update_major) = (r.u32()?, r.u32()?, r.u32()?);
        let signature = r.signature()?;
        let params = DbmsParam::read(&mut r)?;
        let flags = r.u8()?;
        let checkpoint = r.position()?;
        let update_minor = r.u32()?;
        let disk_sector_code = r.u8()?;
        let previous_checksum = r.u64()?;
        let engine_version = r.u32()?;
        let reserved = r.array()?;
        let file_type = r.u32()?;
        if file_type != FILE_TYPE_LOG {
            return Err(FormatError::new(
                FormatErrorKind::WrongFileType,
                format!("file type {file_type} where a log file has {FILE_TYPE_LOG}"),
            ));
        }
        let attached = decode_attach_array(r.take(ATTACH_ARRAY_BYTES)?)
            .map_err(|e| FormatError { kind: FormatErrorKind::LogCorrupt, ..e })?;
        Ok(Self {
            generation,
            sector_bytes,
            header_sectors,
            file_sectors,
            page_bytes,
            created,
            previous_created,
            version: LogVersion { major, minor, update_major, update_minor },
            signature,
            params,
            flags,
            checkpoint,
            disk_sector_code,
            previous_checksum,
            engine_version,
            reserved,
            attached,
        })
    }

    /// Whether this code can read the rest of the file.
    ///
    /// # Errors
    /// [`FormatErrorKind::UnsupportedVersion`] for an unknown version, [`FormatErrorKind::LogCorrupt`] for
    /// a sector size or a number of sectors that version 8 does not have.
    pub fn check_version(&self) -> Result<()> {
        if !self.version.is_readable() {
            return Err(FormatError::new(
                FormatErrorKind::UnsupportedVersion,
                format!("log format version {} is not supported", self.version),
            ));
        }
        if usize::from(self.sector_bytes) != BLOCK_BYTES || self.header_sectors != 1 || self.file_sectors < 3
        {
            return Err(FormatError::new(
                FormatErrorKind::LogCorrupt,
                format!(
                    "a log of {} sectors of {} bytes, {} of them header",
                    self.file_sectors, self.sector_bytes, self.header_sectors
                ),
            ));
        }
        Ok(())
    }

    /// Encodes into the 4,096 bytes at the start of the file, checksum included.
    ///
    /// # Errors
    /// [`FormatErrorKind::TooLarge`] when the attached databases do not fit.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(BLOCK_BYTES);
        out.u32(0);
        out.u32(self.generation.0);
        out.u16(self.sector_bytes);
        out.u16(self.header_sectors);
        out.u16(self.file_sectors);
        out.u16(self.page_bytes);
        out.time(self.created);
        out.time(self.previous_created);
        out.u32(self.version.major);
        out.u32(self.version.minor);
        out.u32(self.version.update_major);
        out.signature(&self.signature);
        out.bytes(&self.params.encode());
        out.u8(self.flags);
        out.position(self.checkpoint);
        out.u32(self.version.update_minor);
        out.u8(self.disk_sector_code);
        out.u64(self.previous_checksum);
        out.u32(self.engine_version);
        out.bytes(&self.reserved);
        out.u32(FILE_TYPE_LOG);
        out.bytes(&encode_attach_array(&self.attached)?);
        finish_block(out)
    }
}

/// Pads a header to its 4,096 bytes and stores its checksum.
pub(crate) fn finish_block(mut out: Vec<u8>) -> Result<Vec<u8>> {
    if out.len() > BLOCK_BYTES {
        return Err(too_large("a header", out.len(), BLOCK_BYTES));
    }
    out.resize(BLOCK_BYTES, 0);
    let checksum = xor32(&out);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(out)
}
