//! The small values that every ESE structure is made of.

use std::fmt;

/// A 1-based page number; 0 means "no page" (ESE: pgno).
///
/// Page `n` stands at byte `(n + 1) * page size`: two header pages precede page 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageNumber(pub u32);

impl PageNumber {
    /// "No page".
    pub const NONE: Self = Self(0);
    /// The root of the database's space (FDP of the whole file).
    pub const DATABASE_ROOT: Self = Self(1);
    /// The largest legal page number.
    pub const MAX: Self = Self(0x7FEF_FFFF);

    /// Whether this names a page at all.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Where the page stands in the file, in bytes.
    pub const fn file_offset(self, page_size: PageSize) -> u64 {
        (self.0 as u64 + 1) * page_size.bytes() as u64
    }
}

impl fmt::Display for PageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number that all pages of one tree carry (ESE: objidFDP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectId(pub u32);

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The logical clock of a database (ESE: dbtime); every logged page change takes the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DbTime(pub u64);

impl DbTime {
    /// The first value of a new database.
    pub const START: Self = Self(0x40);
    /// "Not recorded": Windows' logs store this where a page is absent.
    pub const NIL: Self = Self(u64::MAX);
    /// "Invalid": the other spelling of "absent".
    pub const INVALID: Self = Self(u64::MAX - 1);

    /// Whether this is a real value and not one of the two absent markers.
    pub const fn is_recorded(self) -> bool {
        self.0 < Self::INVALID.0
    }
}

impl fmt::Display for DbTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a log file (ESE: lGeneration), from 1; 0 means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// "No generation".
    pub const NONE: Self = Self(0);
    /// The first generation of a new log stream.
    pub const FIRST: Self = Self(1);
    /// The last generation in which normal running may log.
    pub const MAX: Self = Self(0x7FFF_F800);

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log stream (ESE: LGPOS): generation, 4096-byte segment, byte in the segment.
///
/// A record that is first in its segment has `offset` 0 wherever its position is stored, although its
/// bytes begin behind the 40-byte segment header. On disk: offset u16, segment u16, generation i32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The log file. First, so that the derived order is the stream's order.
    pub generation: Generation,
    /// The segment in the log file; segment 0 is the file header.
    pub segment: u16,
    /// The byte in the segment.
    pub offset: u16,
}

impl LogPosition {
    /// "No position".
    pub const NONE: Self = Self { generation: Generation::NONE, segment: 0, offset: 0 };

    /// A position from its parts.
    pub const fn new(generation: Generation, segment: u16, offset: u16) -> Self {
        Self { generation, segment, offset }
    }

    /// The start of a generation's records.
    pub const fn start_of(generation: Generation) -> Self {
        Self::new(generation, 1, 0)
    }

    /// Whether this names a position at all.
    pub const fn is_some(self) -> bool {
        self.generation.0 != 0 || self.segment != 0 || self.offset != 0
    }

    /// From the eight bytes on disk.
    pub const fn from_bytes(b: [u8; 8]) -> Self {
        Self {
            offset: u16::from_le_bytes([b[0], b[1]]),
            segment: u16::from_le_bytes([b[2], b[3]]),
            generation: Generation(u32::from_le_bytes([b[4], b[5], b[6], b[7]])),
        }
    }

    /// To the eight bytes on disk.
    pub const fn to_bytes(self) -> [u8; 8] {
        let (o, s, g) =
            (self.offset.to_le_bytes(), self.segment.to_le_bytes(), self.generation.0.to_le_bytes());
        [o[0], o[1], s[0], s[1], g[0], g[1], g[2], g[3]]
    }
}

impl fmt::Display for LogPosition {
    /// `generation:segment:offset` in hexadecimal, as ESE's own tools print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}:{:x}", self.generation.0, self.segment, self.offset)
    }
}

/// A calendar time as ESE stores it (ESE: LOGTIME); all zeros mean "not set".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogTime {
    /// The eight bytes as stored: second, minute, hour, day, month (1-12), year - 1900, two flag bytes.
    pub raw: [u8; 8],
}

impl LogTime {
    /// "Not set".
    pub const NONE: Self = Self { raw: [0; 8] };

    /// A UTC time from its calendar parts.
    pub const fn from_utc(
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        milliseconds: u16,
    ) -> Self {
        // Byte 6: bit 0 says UTC, bits 1-7 are the low seven bits of the milliseconds;
        // byte 7: bits 1-3 are the high three.
        Self {
            raw: [
                second,
                minute,
                hour,
                day,
                month,
                (year.saturating_sub(1900)) as u8,
                1 | (((milliseconds & 0x7F) as u8) << 1),
                (((milliseconds >> 7) & 7) as u8) << 1,
            ],
        }
    }

    /// Whether a time is stored.
    pub fn is_some(self) -> bool {
        self.raw != [0; 8]
    }

    /// The calendar year.
    pub const fn year(self) -> u16 {
        1900 + self.raw[5] as u16
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.raw[4]
    }

    /// The day of the month.
    pub const fn day(self) -> u8 {
        self.raw[3]
    }

    /// The hour.
    pub const fn hour(self) -> u8 {
        self.raw[2]
    }

    /// The minute.
    pub const fn minute(self) -> u8 {
        self.raw[1]
    }

    /// The second.
    pub const fn second(self) -> u8 {
        self.raw[0]
    }

    /// The milliseconds, 0 to 999 (0 in files written before Windows 7).
    pub const fn milliseconds(self) -> u16 {
        (self.raw[6] >> 1) as u16 | (((self.raw[7] >> 1) & 7) as u16) << 7
    }

    /// Whether the time is UTC; old writers stored local time.
    pub const fn is_utc(self) -> bool {
        self.raw[6] & 1 != 0
    }
}

impl fmt::Display for LogTime {
    /// RFC 3339 with milliseconds, with `Z` when the time is known to be UTC; `-` when not set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_some() {
            return f.write_str("-");
        }
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}",
            self.year(),
            self.month(),
            self.day(),
            self.hour(),
            self.minute(),
            self.second(),
            self.milliseconds(),
            if self.is_utc() { "Z" } else { "" }
        )
    }
}

/// The identity of a database or of a log stream (ESE: SIGNATURE): equal when all 28 bytes are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Signature {
    /// A random number.
    pub random: u32,
    /// When it was made.
    pub created: LogTime,
    /// Once a computer name; zeros today.
    pub computer: [u8; 16],
}

impl Signature {
    /// "Not set".
    pub const NONE: Self = Self { random: 0, created: LogTime::NONE, computer: [0; 16] };

    /// Whether a signature is stored.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }

    /// From the 28 bytes on disk.
    pub fn from_bytes(b: &[u8; 28]) -> Self {
        let mut created = [0; 8];
        created.copy_from_slice(&b[4..12]);
        let mut computer = [0; 16];
        computer.copy_from_slice(&b[12..28]);
        Self {
            random: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            created: LogTime { raw: created },
            computer,
        }
    }

    /// To the 28 bytes on disk.
    pub fn to_bytes(&self) -> [u8; 28] {
        let mut b = [0; 28];
        b[0..4].copy_from_slice(&self.random.to_le_bytes());
        b[4..12].copy_from_slice(&self.created.raw);
        b[12..28].copy_from_slice(&self.computer);
        b
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x} of {}", self.random, self.created)
    }
}

/// What a database header records about one backup (ESE: BKINFO), 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BackupInfo {
    /// Log position of the backup's mark.
    pub mark: LogPosition,
    /// Time of the mark.
    pub time: LogTime,
    /// Lowest log generation of the backup set.
    pub lowest: Generation,
    /// Highest log generation of the backup set.
    pub highest: Generation,
}

impl BackupInfo {
    /// "No backup".
    pub const NONE: Self = Self {
        mark: LogPosition::NONE,
        time: LogTime::NONE,
        lowest: Generation::NONE,
        highest: Generation::NONE,
    };

    /// Whether a backup is recorded.
    pub fn is_some(&self) -> bool {
        *self != Self::NONE
    }

    /// From the 24 bytes on disk.
    pub fn from_bytes(b: &[u8; 24]) -> Self {
        let eight = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&b[at..at + 8]);
            part
        };
        Self {
            mark: LogPosition::from_bytes(eight(0)),
            time: LogTime { raw: eight(8) },
            lowest: Generation(u32::from_le_bytes([b[16], b[17], b[18], b[19]])),
            highest: Generation(u32::from_le_bytes([b[20], b[21], b[22], b[23]])),
        }
    }

    /// To the 24 bytes on disk.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut b = [0; 24];
        b[0..8].copy_from_slice(&self.mark.to_bytes());
        b[8..16].copy_from_slice(&self.time.raw);
        b[16..20].copy_from_slice(&self.lowest.0.to_le_bytes());
        b[20..24].copy_from_slice(&self.highest.0.to_le_bytes());
        b
    }
}

/// The page size of a database. Only these five exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 2,048 bytes.
    K2,
    /// 4,096 bytes, the default.
    K4,
    /// 8,192 bytes.
    K8,
    /// 16,384 bytes: the smallest "large page".
    K16,
    /// 32,768 bytes.
    K32,
}

impl PageSize {
    /// All page sizes, smallest first.
    pub const ALL: [Self; 5] = [Self::K2, Self::K4, Self::K8, Self::K16, Self::K32];

    /// The page size of that many bytes, if there is one.
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            2048 => Some(Self::K2),
            4096 => Some(Self::K4),
            8192 => Some(Self::K8),
            16384 => Some(Self::K16),
            32768 => Some(Self::K32),
            _ => None,
        }
    }

    /// The size in bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        match self {
            Self::K2 => 2048,
            Self::K4 => 4096,
            Self::K8 => 8192,
            Self::K16 => 16384,
            Self::K32 => 32768,
        }
    }

    /// Whether pages of this size have the long header, node flags in the data and four checksums.
    #[inline]
    pub const fn is_large(self) -> bool {
        self.bytes() > 8192
    }

    /// Bytes of the page header: 40 on small pages, 80 on large ones.
    #[inline]
    pub const fn header_bytes(self) -> usize {
        if self.is_large() { 80 } else { 40 }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}
