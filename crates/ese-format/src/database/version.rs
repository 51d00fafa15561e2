//! Format versions of database files and what may be done with them.

use std::fmt;

/// The version of a database file (ESE: ulVersion, ulDaeUpdateMajor, ulDaeUpdateMinor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DatabaseVersion {
    /// The format; 0x620 is the only one there has been since 1997.
    pub format: u32,
    /// A higher one is unreadable for older engines.
    pub update_major: u32,
    /// A higher one is compatible both ways.
    pub update_minor: u32,
}

/// What may be done with a database of some version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// All that its features mean is known: it may be changed.
    Write,
    /// The update is older than what may be written here: readable, as far as known.
    ReadOlder,
    /// The update is newer than any known one: readable with a warning, never to be changed.
    ReadNewer,
    /// Another format altogether (JET_errInvalidDatabaseVersion).
    None,
}

impl DatabaseVersion {
    /// The format of every database that this code reads.
    pub const FORMAT: u32 = 0x620;
    /// What new databases are stamped with: readable by Windows 8 and later, and by Exchange 2013 and later.
    pub const NEW: Self = Self::new(Self::FORMAT, 20, 0);
    /// The first update with the page and long-value layout of 16 and 32 KiB pages; also the oldest that is
    /// written here (Windows 7).
    pub const OLDEST_WRITABLE: Self = Self::new(Self::FORMAT, 0x11, 0);
    /// The last update in the published source.
    pub const LAST_PUBLISHED: Self = Self::new(Self::FORMAT, 290, 600);
    /// The newest update that may be written: seen in Windows 11 build 26100, whose layout is the published one.
    pub const NEWEST_WRITABLE: Self = Self::new(Self::FORMAT, 300, 620);

    /// The first update that stores the count of reserved tags in pages that are changed.
    pub const RESERVED_TAGS: u32 = 270;
    /// The first update whose new long values have ids of eight bytes.
    pub const LONG_VALUE_IDS_64: u32 = 70;

    /// A version from its parts.
    pub const fn new(format: u32, update_major: u32, update_minor: u32) -> Self {
        Self { format, update_major, update_minor }
    }

    /// What may be done with a database of this version.
    pub const fn access(self) -> Access {
        if self.format != Self::FORMAT {
            return Access::None;
        }
        match self.update_major {
            update if update < Self::OLDEST_WRITABLE.update_major => Access::ReadOlder,
            update if update <= Self::LAST_PUBLISHED.update_major => Access::Write,
            update if update == Self::NEWEST_WRITABLE.update_major => Access::Write,
            _ => Access::ReadNewer,
        }
    }

    /// Whether pages of this database carry the count of reserved tags once they are changed.
    pub const fn has_reserved_tags(self) -> bool {
        self.update_major >= Self::RESERVED_TAGS
    }
}

impl fmt::Display for DatabaseVersion {
    /// Three decimal numbers, such as `1568.20.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.format, self.update_major, self.update_minor)
    }
}
