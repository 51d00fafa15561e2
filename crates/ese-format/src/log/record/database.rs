//! Records about whole databases: creation, attachment, size, backup, checks.

use super::field::{Body, Description, Field, FieldValue, ignorable, record};
use crate::error::Result;
use crate::log::bytes::{Reader, Writer};
use crate::log::text;
use crate::primitives::{BackupInfo, DbTime, LogPosition, PageNumber, Signature};

/// A database is created. Its pages are built by the records that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDb {
    /// Session.
    pub session: u16,
    /// Number that the database gets.
    pub dbid: u8,
    /// Options of the call that created it.
    pub grbit: u32,
    /// Size limit in pages; 0: none.
    pub max_pages: u32,
    /// Identity of the database.
    pub signature: Signature,
    /// [`Self::UTF16`], [`Self::SPARSE`]; [`Self::HAS_VERSION`] follows from `version`.
    pub flags: u8,
    /// Version and update of the way the database is built; 2.0: all is in the log.
    pub version: Option<(u16, u16)>,
    /// Path as stored, terminator included.
    pub path: Vec<u8>,
}

impl CreateDb {
    /// Flag: the version is there.
    pub const HAS_VERSION: u8 = 0x04;
    /// Flag: the path is UTF-16.
    pub const UTF16: u8 = 0x08;
    /// Flag: the file is sparse.
    pub const SPARSE: u8 = 0x10;

    /// The path as text.
    pub fn path_text(&self) -> String {
        path_text(&self.path, self.flags & Self::UTF16 != 0)
    }
}

/// Fixed part of a CreateDB record, type byte included.
const CREATE_BYTES: usize = 43;
const VERSION_BYTES: usize = 4;

impl Body for CreateDb {
    const HEAD_BYTES: usize = CREATE_BYTES;

    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        // Session, dbid, grbit, size limit and signature stand before the length of the path.
        r.take(CREATE_BYTES - 4)?;
        let path = usize::from(r.u16()?);
        let flags = r.u8()?;
        Ok(path + if flags & Self::HAS_VERSION != 0 { VERSION_BYTES } else { 0 })
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (session, dbid, grbit, max_pages) = (r.u16()?, r.u8()?, r.u32()?, r.u32()?);
        let signature = r.signature()?;
        let path_bytes = usize::from(r.u16()?);
        let flags = r.u8()?;
        let version = if flags & Self::HAS_VERSION != 0 { Some((r.u16()?, r.u16()?)) } else { None };
        Ok(Self {
            session,
            dbid,
            grbit,
            max_pages,
            signature,
            flags: flags & !Self::HAS_VERSION,
            version,
            path: r.take(path_bytes)?.to_vec(),
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.u16(self.session);
        out.u8(self.dbid);
        out.u32(self.grbit);
        out.u32(self.max_pages);
        out.signature(&self.signature);
        Field::write_head(&self.path, out)?;
        out.u8(self.stored_flags());
        if let Some((version, update)) = self.version {
            out.u16(version);
            out.u16(update);
        }
        out.bytes(&self.path);
        Ok(())
    }

    fn describe(&self, out: &mut Description) {
        self.session.describe("procid", out);
        self.dbid.describe("dbid", out);
        self.grbit.describe("grbit", out);
        self.max_pages.describe("cpgDatabaseSizeMax", out);
        self.signature.describe("signDbRandom", out);
        self.signature.created.describe("signDbTime", out);
        self.path.describe("cbPath", out);
        self.stored_flags().describe("flags", out);
        if let Some((version, update)) = self.version {
            version.describe("version", out);
            update.describe("updateMajor", out);
        }
        out.push(("path", FieldValue::Text(self.path_text())));
    }
}

impl CreateDb {
    fn stored_flags(&self) -> u8 {
        let version = if self.version.is_some() { Self::HAS_VERSION } else { 0 };
        self.flags & !Self::HAS_VERSION | version
    }
}

fn path_text(bytes: &[u8], is_utf16: bool) -> String {
    if is_utf16 { text::utf16_to_string(bytes) } else { text::ansi_to_string(bytes) }
}

record! {
    /// A database is attached.
    AttachDb {
        /// Session.
        session: u16 = "procid",
        /// Number that the database gets.
        dbid: u8 = "dbid",
        /// Size limit in pages; 0: none.
        max_pages: u32 = "cpgDatabaseSizeMax",
        /// Last clean point before.
        consistent: LogPosition = "lgposConsistent",
        /// Identity of the database.
        signature: Signature = "signDbRandom",
        /// Identity of the log stream at that clean point.
        log_signature: Signature = "signLogRandom",
        /// Path as stored, terminator included.
        path: Vec<u8> = "cbPath",
        /// [`Self::UTF16`], [`Self::SPARSE`].
        flags: u8 = "flags",
    }
    tail path;
    text path_text;
}

impl AttachDb {
    /// Flag: the path is UTF-16.
    pub const UTF16: u8 = 0x08;
    /// Flag: the file is sparse.
    pub const SPARSE: u8 = 0x10;

    /// The path as text.
    pub fn path_text(&self) -> String {
        path_text(&self.path, self.flags & Self::UTF16 != 0)
    }
}

record! {
    /// A database is detached; the position of this record becomes its clean point.
    DetachDb {
        /// Session.
        session: u16 = "procid",
        /// Its number, free afterwards.
        dbid: u8 = "dbid",
        /// Path as stored, terminator included.
        path: Vec<u8> = "cbPath",
        /// [`Self::UTF16`].
        flags: u8 = "flags",
    }
    tail path;
    text path_text;
}

impl DetachDb {
    /// Flag: the path is UTF-16.
    pub const UTF16: u8 = 0x10;

    /// The path as text.
    pub fn path_text(&self) -> String {
        path_text(&self.path, self.flags & Self::UTF16 != 0)
    }
}

record! {
    /// A database is completely created.
    CreateDbFinish {
        /// Session.
        session: u16 = "procid",
        /// Database.
        dbid: u8 = "dbid",
    }
}

ignorable! {
    /// The file grows.
    ExtendDb {
        /// Database.
        dbid: u8 = "dbid",
        /// Last page afterwards.
        last_page: PageNumber = "pgnoLast",
    }
}

ignorable! {
    /// A database that recovery left attached is attached again.
    ReAttach {
        /// Database.
        dbid: u8 = "dbid",
        /// Where it is attached.
        attach: LogPosition = "lgposAttach",
        /// Last clean point.
        consistent: LogPosition = "lgposConsistent",
        /// Identity of the database.
        signature: Signature = "signDbRandom",
    }
}

ignorable! {
    /// The space of a deleted tree is about to be released.
    FreeFdp {
        /// Database.
        dbid: u8 = "dbid",
        /// Root of the tree.
        root: PageNumber = "pgnoFDP",
        /// Commit number of the deletion.
        commit0: u32 = "trxCommitted",
        /// 1: table, 2: index.
        kind: u8 = "fdpType",
    }
}

ignorable! {
    /// A page as a database scan saw it, for comparison with a copy; the older form.
    ScanCheck {
        /// Database.
        dbid: u8 = "dbid",
        /// Page.
        page: PageNumber = "pgno",
        /// dbtime of the page.
        page_time: DbTime = "dbtimePage",
        /// dbtime of the database.
        current: DbTime = "dbtimeCurrent",
        /// dbtime before.
        before: DbTime = "dbtimeBefore",
        /// dbtime after.
        after: DbTime = "dbtimeAfter",
        /// Folded checksum of the page.
        checksum: u16 = "usChecksum",
    }
}

record! {
    /// A page as a scan saw it, for comparison with a copy.
    ScanCheck2 {
        /// Database.
        dbid: u8 = "dbid",
        /// Page; -2 marks the end of a scan.
        page: PageNumber = "pgno",
        /// Source of the check and state of the page.
        flags: u8 = "flags",
        /// dbtime of the page.
        page_time: DbTime = "dbtimePage",
        /// dbtime of the database.
        current: DbTime = "dbtimeCurrent",
        /// Folded checksum of the page.
        checksum: u32 = "checksum",
    }
}

record! {
    /// The file shrinks: ShrinkDB and ShrinkDB2.
    ShrinkDb {
        /// Database.
        dbid: u8 = "dbid",
        /// Last page afterwards.
        last_page: PageNumber = "pgnoLast",
        /// Pages that go.
        pages: u32 = "cpgShrunk",
    }
}

record! {
    /// The file shrinks, with the dbtime of the moment.
    ShrinkDb3 {
        /// Database.
        dbid: u8 = "dbid",
        /// Last page afterwards.
        last_page: PageNumber = "pgnoLast",
        /// Pages that go.
        pages: u32 = "cpgShrunk",
        /// dbtime of the database.
        after: DbTime = "dbtime",
    }
}

record! {
    /// A range of pages gives its disk space back.
    TrimDb {
        /// Database.
        dbid: u8 = "dbid",
        /// First page.
        first: PageNumber = "pgnoStart",
        /// Number of pages.
        pages: u32 = "cpg",
    }
}

record! {
    /// The database header's version is raised.
    SetDbVersion {
        /// Database.
        dbid: u8 = "dbid",
        /// Major version.
        major: u32 = "ulMajor",
        /// Update of it.
        update_major: u32 = "ulUpdateMajor",
        /// Update of that.
        update_minor: u32 = "ulUpdateMinor",
    }
}

record! {
    /// The attachment of a database is complete.
    SignalAttachDb {
        /// Database.
        dbid: u8 = "dbid",
    }
}

record! {
    /// An extent was freed; for revert snapshots.
    ExtentFreed {
        /// Database.
        dbid: u8 = "dbid",
        /// First page.
        first: PageNumber = "pgnoFirst",
        /// Number of pages.
        pages: u32 = "cpg",
        /// 1: root of a table, 2: empty page of a deleted tree.
        flags: u8 = "flags",
    }
}

record! {
    /// An extent was freed, with the dbtime of the moment.
    ExtentFreed2 {
        /// Database.
        dbid: u8 = "dbid",
        /// First page.
        first: PageNumber = "pgnoFirst",
        /// Number of pages.
        pages: u32 = "cpg",
        /// 1: root of a table, 2: empty page of a deleted tree.
        flags: u8 = "flags",
        /// dbtime of the database.
        after: DbTime = "dbtime",
    }
}

record! {
    /// A damaged page was found and a copy is asked for.
    PagePatchRequest {
        /// Database.
        dbid: u8 = "dbid",
        /// Page.
        page: PageNumber = "pgno",
        /// Its dbtime.
        after: DbTime = "dbtime",
        /// Unused.
        reserved: [u8; 32] = "reserved",
    }
}

record! {
    /// A step of a backup.
    Backup2 {
        /// [`Self::BEGIN`] to [`Self::STOP`].
        phase: u8 = "phase",
        /// 0 normal, 1 OS snapshot, 2 snapshot, 3 surrogate.
        kind: u32 = "backupType",
        /// [`Self::FULL`], [`Self::INCREMENTAL`], [`Self::COPY`], [`Self::DIFFERENTIAL`].
        scope: u8 = "scope",
        /// Database, in the header phase.
        dbid: u8 = "dbid",
        /// What the database header is to say.
        info: BackupInfo = "bkinfo",
        /// Unused.
        reserved: u8 = "reserved",
        /// Path as stored, UTF-16.
        path: Vec<u8> = "cbPath",
    }
    tail path;
    text path_text;
}

impl Backup2 {
    /// Phase: the backup begins.
    pub const BEGIN: u8 = 1;
    /// Phase: the logs are prepared.
    pub const PREPARE_LOGS: u8 = 2;
    /// Phase: logs are deleted.
    pub const TRUNCATE_LOGS: u8 = 3;
    /// Phase: the header of a database is updated.
    pub const UPDATE_HEADER: u8 = 4;
    /// Phase: the backup is abandoned.
    pub const ABORT: u8 = 5;
    /// Phase: the backup ends.
    pub const STOP: u8 = 6;
    /// Scope: full.
    pub const FULL: u8 = 1;
    /// Scope: incremental.
    pub const INCREMENTAL: u8 = 2;
    /// Scope: a copy that changes no backup state.
    pub const COPY: u8 = 5;
    /// Scope: differential.
    pub const DIFFERENTIAL: u8 = 6;

    /// The path as text.
    pub fn path_text(&self) -> String {
        path_text(&self.path, true)
    }
}

record! {
    /// A step of a backup; the older form.
    Backup {
        /// 0 full, 1 incremental, 2 and 3 snapshot start and stop, 4 truncate, 5 and 6 OS snapshot.
        kind: u8 = "backupType",
        /// Unused.
        reserved: u8 = "reserved",
        /// Path as stored.
        path: Vec<u8> = "cbPath",
    }
    tail path;
    text path_text;
}

impl Backup {
    /// The path as text.
    pub fn path_text(&self) -> String {
        path_text(&self.path, false)
    }
}
