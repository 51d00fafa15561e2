//! The header's fields.

use super::field::Field;
use super::version::DatabaseVersion;
use crate::checksum::{MAGIC, is_zero, xor32};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{
    BackupInfo, DbTime, Generation, LogPosition, LogTime, ObjectId, PageNumber, PageSize, Signature,
};
use std::fmt;

/// Bytes of the header that have a meaning today; the rest of its page is zero or belongs to newer engines.
pub const HEADER_BYTES: usize = 748;
/// The file type of a database.
pub const FILE_TYPE_DATABASE: u32 = 1;
/// The file type of a temporary database.
pub const FILE_TYPE_TEMPORARY: u32 = 5;

const CHECKSUM_AT: usize = 0;
const MAGIC_AT: usize = 4;
const PAGE_SIZE_AT: usize = 236;

/// Whether a database is consistent (ESE: dbstate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseState {
    /// Creation did not finish; the file is of no use.
    JustCreated,
    /// Log generations must be replayed before the trees agree with each other.
    DirtyShutdown,
    /// Complete in itself.
    CleanShutdown,
    /// A format conversion did not finish.
    BeingConverted,
    /// Obsolete: detached by force.
    ForceDetach,
    /// Pages are being replaced from another copy.
    IncrementalReseedInProgress,
    /// As [`Self::DirtyShutdown`], with patched pages.
    DirtyAndPatchedShutdown,
    /// A revert to a snapshot did not finish.
    RevertInProgress,
    /// A number without a meaning here.
    Unknown(u32),
}

impl DatabaseState {
    /// From the number in the header.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::JustCreated,
            2 => Self::DirtyShutdown,
            3 => Self::CleanShutdown,
            4 => Self::BeingConverted,
            5 => Self::ForceDetach,
            6 => Self::IncrementalReseedInProgress,
            7 => Self::DirtyAndPatchedShutdown,
            8 => Self::RevertInProgress,
            other => Self::Unknown(other),
        }
    }

    /// The number in the header.
    pub const fn number(self) -> u32 {
        match self {
            Self::JustCreated => 1,
            Self::DirtyShutdown => 2,
            Self::CleanShutdown => 3,
            Self::BeingConverted => 4,
            Self::ForceDetach => 5,
            Self::IncrementalReseedInProgress => 6,
            Self::DirtyAndPatchedShutdown => 7,
            Self::RevertInProgress => 8,
            Self::Unknown(number) => number,
        }
    }

    /// Whether replay of logs makes the database consistent.
    pub const fn is_recoverable(self) -> bool {
        matches!(self, Self::DirtyShutdown | Self::DirtyAndPatchedShutdown)
    }
}

impl Field for DatabaseState {
    const BYTES: usize = 4;
    fn get(bytes: &[u8]) -> Self {
        Self::from_number(u32::get(bytes))
    }
    fn put(&self, bytes: &mut [u8]) {
        self.number().put(bytes);
    }
}

/// Sets a range to zeros as far as it exists.
fn clear(image: &mut [u8], at: usize, bytes: usize) {
    if let Some(range) = image.get_mut(at..at + bytes) {
        range.fill(0);
    }
}

/// Declares the header's fields once: struct, reading and writing follow the same table.
macro_rules! header {
    ($($(#[$doc:meta])* $at:literal $name:ident: $type:ty,)*) => {
        /// The header of a database, with every field that has a meaning.
        ///
        /// Bytes without a field survive in the image it was decoded from: [`DatabaseHeader::encode`]
        /// writes the fields over that image. All times and positions are as stored; zeros mean "not set".
        #[derive(Clone, PartialEq, Eq)]
        pub struct DatabaseHeader {
            $($(#[$doc])* pub $name: $type,)*
            /// Bytes of one page of this file (ESE: cbPageSize; 0 in old files means 4096).
            pub page_size: PageSize,
            /// Whether the stored page size is 0, which means 4096 and stays what it is.
            implicit_page_size: bool,
            /// The page as it was read with all fields zero: the bytes without a meaning here.
            image: Vec<u8>,
        }

        impl DatabaseHeader {
            /// Takes all fields out of a page-sized image.
            fn from_image(mut image: Vec<u8>, page_size: PageSize, implicit_page_size: bool) -> Self {
                $(let $name = <$type as Field>::get(image.get($at..).unwrap_or_default());)*
                $(clear(&mut image, $at, <$type as Field>::BYTES);)*
                for at in [CHECKSUM_AT, MAGIC_AT, PAGE_SIZE_AT] {
                    clear(&mut image, at, 4);
                }
                Self { $($name,)* page_size, implicit_page_size, image }
            }

            /// Puts all fields over an image.
            fn put_fields(&self, image: &mut [u8]) {
                $(self.$name.put(image.get_mut($at..).unwrap_or_default());)*
            }
        }

        impl fmt::Debug for DatabaseHeader {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("DatabaseHeader")
                    $(.field(stringify!($name), &self.$name))*
                    .field("page_size", &self.page_size)
                    .finish_non_exhaustive()
            }
        }
    };
}

header! {
    /// The format (ESE: ulVersion); see [`DatabaseHeader::version`].
    8 format_version: u32,
    /// 0 in databases.
    12 attributes: u32,
    /// The clock of the database: the largest page time of a clean file (ESE: dbtimeDirtied).
    16 db_time: DbTime,
    /// The identity of the database (ESE: signDb).
    24 signature: Signature,
    /// Whether the database is consistent (ESE: dbstate).
    52 state: DatabaseState,
    /// Where in the log the database was last made consistent.
    56 consistent_position: LogPosition,
    /// When it was last made consistent.
    64 consistent_time: LogTime,
    /// When it was last attached.
    72 attach_time: LogTime,
    /// Where in the log it was last attached.
    80 attach_position: LogPosition,
    /// When it was last detached.
    88 detach_time: LogTime,
    /// Where in the log it was last detached.
    96 detach_position: LogPosition,
    /// The number of the attachment in its instance, from 1 for user databases (ESE: dbid).
    104 database_id: u32,
    /// The log stream it belongs to; all zeros without one (ESE: signLog).
    108 log_signature: Signature,
    /// The last completed full backup.
    136 last_full_backup: BackupInfo,
    /// The last incremental backup since the last full one.
    160 last_incremental_backup: BackupInfo,
    /// The full backup in progress.
    184 current_full_backup: BackupInfo,
    /// Flags (ESE: ulDbFlags); bit 0: the shadow catalog is disabled.
    208 flags: u32,
    /// The highest object id ever given away (ESE: objidLast).
    212 last_object_id: ObjectId,
    /// Major version of the operating system of the last attach.
    216 os_major: u32,
    /// Minor version of it.
    220 os_minor: u32,
    /// Build of it.
    224 os_build: u32,
    /// Service pack of it.
    228 os_service_pack: i32,
    /// The format's update that older engines cannot read; see [`DatabaseHeader::version`].
    232 update_major: u32,
    /// How often the database was repaired since it was last made anew.
    240 repair_count: u32,
    /// When it was last repaired.
    244 repair_time: LogTime,
    /// The clock at the last scrub.
    280 scrub_db_time: DbTime,
    /// When it was last scrubbed.
    288 scrub_time: LogTime,
    /// The first log generation that recovery needs; 0 when clean (ESE: lGenMinRequired).
    296 min_required: Generation,
    /// The last log generation that recovery needs; 0 when clean (ESE: lGenMaxRequired).
    300 max_required: Generation,
    /// The snapshot in progress.
    316 current_snapshot: BackupInfo,
    /// The format that created the file.
    340 create_version: u32,
    /// The update that created the file.
    344 create_update: u32,
    /// When the generation `max_committed` was created (ESE: logtimeGenMaxCreate).
    348 max_committed_time: LogTime,
    /// The kind of the last full backup: 0 normal, 1 OS snapshot, 2 snapshot, 3 surrogate.
    356 last_full_backup_kind: u32,
    /// The kind of the last incremental backup.
    360 last_incremental_backup_kind: u32,
    /// Repairs before the last offline defragmentation.
    364 repair_count_old: u32,
    /// Pages whose single wrong bit was corrected.
    368 corrected_count: u32,
    /// When a page was last corrected.
    372 corrected_time: LogTime,
    /// Corrections before the last offline defragmentation.
    380 corrected_count_old: u32,
    /// Corrected pages that were structurally wrong all the same.
    384 correction_failed_count: u32,
    /// When that last happened.
    388 correction_failed_time: LogTime,
    /// Such pages before the last offline defragmentation.
    396 correction_failed_count_old: u32,
    /// Pages with a checksum error that could not be corrected.
    400 bad_checksum_count: u32,
    /// When such a page was last met.
    404 bad_checksum_time: LogTime,
    /// Such pages before the last offline defragmentation.
    412 bad_checksum_count_old: u32,
    /// The last log generation with committed work; 0 when clean (ESE: lGenMaxCommitted).
    416 max_committed: Generation,
    /// The last copy backup.
    420 last_copy_backup: BackupInfo,
    /// The last differential backup.
    444 last_differential_backup: BackupInfo,
    /// The kind of the last copy backup.
    468 last_copy_backup_kind: u32,
    /// The kind of the last differential backup.
    472 last_differential_backup_kind: u32,
    /// Incremental reseeds.
    476 reseed_count: u32,
    /// When the last one was.
    480 reseed_time: LogTime,
    /// Reseeds before the last offline defragmentation.
    488 reseed_count_old: u32,
    /// Patched pages.
    492 page_patch_count: u32,
    /// When the last page was patched.
    496 page_patch_time: LogTime,
    /// Patched pages before the last offline defragmentation.
    504 page_patch_count_old: u32,
    /// All ones: sort versions are tracked in MSysLocales; else that of the default locale.
    508 sort_version: u64,
    /// When the last checksum scan finished.
    516 scan_finished_time: LogTime,
    /// When the running checksum scan started.
    524 scan_start_time: LogTime,
    /// Up to where the checksum scan went without a gap.
    532 scan_highest_continuous: PageNumber,
    /// The generation that was being replayed.
    536 recovering: Generation,
    /// How often the file grew.
    540 extend_count: u32,
    /// When it last grew.
    544 extend_time: LogTime,
    /// How often the file shrank.
    552 shrink_count: u32,
    /// When it last shrank.
    556 shrink_time: LogTime,
    /// When it was last attached again after recovery.
    564 reattach_time: LogTime,
    /// Where in the log that was.
    572 reattach_position: LogPosition,
    /// How often ranges of the file were given back to the file system.
    580 trim_count: u32,
    /// A random signature, new at every header write (ESE: signDbHdrFlush).
    584 header_flush_signature: Signature,
    /// The signature of the flush map that belongs to the file (ESE: signFlushMapHdrFlush).
    612 flush_map_signature: Signature,
    /// As `min_required`, without what the flush map needs.
    640 min_consistent: Generation,
    /// The format's compatible update; see [`DatabaseHeader::version`].
    644 update_minor: u32,
    /// The highest engine format version that ever attached the file; 0 before 2016.
    648 engine_format: u32,
    /// How far any checksum scan went.
    652 scan_highest: PageNumber,
    /// Where in the log the file was last resized (update 110 and later).
    656 resize_position: LogPosition,
    /// What kind of file this is: 1 a database.
    667 file_type: u32,
    /// When the generation `max_required` was created (update 150 and later).
    672 max_required_time: LogTime,
    /// `min_consistent` before redo.
    680 pre_redo_min_consistent: Generation,
    /// `min_required` before redo.
    684 pre_redo_min_required: Generation,
    /// The signature of the revert snapshot.
    688 revert_snapshot_signature: Signature,
    /// How often the file was reverted to a snapshot.
    716 revert_count: u32,
    /// The time it was reverted from.
    720 revert_from_time: LogTime,
    /// The time it was reverted to.
    728 revert_to_time: LogTime,
    /// Pages that the last revert changed.
    736 revert_page_count: u32,
    /// The last commit before the revert.
    740 commit_before_revert: LogPosition,
}

impl DatabaseHeader {
    /// The header of a new database: stamped [`DatabaseVersion::NEW`], state "just created", all else zero.
    pub fn new(page_size: PageSize) -> Self {
        let mut header = Self::from_image(vec![0; page_size.bytes()], page_size, false);
        header.format_version = DatabaseVersion::NEW.format;
        header.update_major = DatabaseVersion::NEW.update_major;
        header.update_minor = DatabaseVersion::NEW.update_minor;
        header.create_version = DatabaseVersion::NEW.format;
        header.create_update = DatabaseVersion::NEW.update_major;
        header.state = DatabaseState::JustCreated;
        header.sort_version = u64::MAX;
        header.file_type = FILE_TYPE_DATABASE;
        header
    }

    /// Decodes the header from the bytes that begin with it; only the first page of them counts.
    ///
    /// Checks the magic number, the page size, the checksum over the whole page, the file type and that the
    /// format is 0x620. Newer updates of that format are decoded all the same: see [`Self::version`].
    ///
    /// # Errors
    /// `Truncated`, `Uninitialized` (all zeros), `WrongFileType`, `PageSize`, `Checksum` and
    /// `UnsupportedVersion`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < HEADER_BYTES {
            return Err(FormatError::new(
                FormatErrorKind::Truncated,
                format!("the database header has {} bytes only", bytes.len()),
            ));
        }
        let magic = u32::get(&bytes[MAGIC_AT..]);
        let stored = u32::get(&bytes[PAGE_SIZE_AT..]);
        let size = PageSize::from_bytes(if stored == 0 { 4096 } else { stored });
        if is_zero(&bytes[..HEADER_BYTES]) {
            return Err(FormatError::new(
                FormatErrorKind::Uninitialized,
                "the database header is a page of zeros",
            ));
        }
        if magic != MAGIC {
            return Err(FormatError::new(
                FormatErrorKind::WrongFileType,
                format!("the magic number is {magic:#010x}, not that of a database"),
            )
            .at_offset(MAGIC_AT as u64));
        }
        let size = size.ok_or_else(|| {
            FormatError::new(FormatErrorKind::PageSize, format!("a page size of {stored} does not exist"))
                .at_offset(PAGE_SIZE_AT as u64)
        })?;
        let page = bytes.get(..size.bytes()).ok_or_else(|| {
            FormatError::new(
                FormatErrorKind::Truncated,
                format!("the header page has {} of {size} bytes", bytes.len()),
            )
        })?;
        let (stored, computed) = (u32::get(&page[CHECKSUM_AT..]), xor32(page));
        if stored != computed {
            return Err(FormatError::new(
                FormatErrorKind::Checksum,
                format!("the header's checksum is {stored:#010x} and should be {computed:#010x}"),
            )
            .at_offset(CHECKSUM_AT as u64));
        }
        let header = Self::from_image(page.to_vec(), size, u32::get(&page[PAGE_SIZE_AT..]) == 0);
        // The oldest updates had no file type; whatever else is not a database.
        if !matches!(header.file_type, 0 | FILE_TYPE_DATABASE | FILE_TYPE_TEMPORARY) {
            return Err(FormatError::new(
                FormatErrorKind::WrongFileType,
                format!("the file type is {}, not that of a database", header.file_type),
            ));
        }
        if header.format_version != DatabaseVersion::FORMAT {
            return Err(FormatError::new(
                FormatErrorKind::UnsupportedVersion,
                format!("the database format is {:#x}", header.format_version),
            ));
        }
        Ok(header)
    }

    /// One header page: the fields over the image this was decoded from, with its checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut image = self.image.clone();
        image.resize(self.page_size.bytes(), 0);
        self.put_fields(&mut image);
        MAGIC.put(&mut image[MAGIC_AT..]);
        if !self.implicit_page_size || self.page_size != PageSize::K4 {
            (self.page_size.bytes() as u32).put(&mut image[PAGE_SIZE_AT..]);
        }
        let sum = xor32(&image);
        sum.put(&mut image[CHECKSUM_AT..]);
        image
    }

    /// The format version of the file; ask it what may be done.
    pub const fn version(&self) -> DatabaseVersion {
        DatabaseVersion::new(self.format_version, self.update_major, self.update_minor)
    }

    /// Whether the file needs no logs.
    pub fn is_clean(&self) -> bool {
        self.state == DatabaseState::CleanShutdown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_header_survives_decoding(
            body in prop::collection::vec(any::<u8>(), 2048),
            size in prop::sample::select(PageSize::ALL.to_vec()),
            implicit: bool,
        ) {
            let mut page = body;
            page.resize(size.bytes(), 0xA5);
            MAGIC.put(&mut page[MAGIC_AT..]);
            DatabaseVersion::FORMAT.put(&mut page[8..]);
            FILE_TYPE_DATABASE.put(&mut page[667..]);
            let stored = if implicit && size == PageSize::K4 { 0 } else { size.bytes() as u32 };
            stored.put(&mut page[PAGE_SIZE_AT..]);
            let sum = xor32(&page);
            sum.put(&mut page[CHECKSUM_AT..]);
            let header = DatabaseHeader::decode(&page).unwrap();
            prop_assert_eq!(header.page_size, size);
            prop_assert_eq!(header.encode(), page);
        }
    }

    #[test]
    fn newer_updates_are_read_and_not_written() {
        use crate::database::Access;
        let mut header = DatabaseHeader::new(PageSize::K8);
        for (update, access) in [
            (9, Access::ReadOlder),
            (17, Access::Write),
            (20, Access::Write),
            (290, Access::Write),
            (291, Access::ReadNewer),
            (300, Access::Write),
            (301, Access::ReadNewer),
        ] {
            header.update_major = update;
            let read = DatabaseHeader::decode(&header.encode()).unwrap();
            assert_eq!(read.version().access(), access, "{update}");
        }
        header.format_version = 0x623;
        let error = DatabaseHeader::decode(&header.encode()).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::UnsupportedVersion);
    }

    #[test]
    fn other_file_types_are_refused() {
        let mut header = DatabaseHeader::new(PageSize::K4);
        header.file_type = 4;
        let error = DatabaseHeader::decode(&header.encode()).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::WrongFileType);
    }
}
