//! What a file says about itself, without an instance.

use crate::border::jet_api;
use crate::pointer::{Bytes, Form, Text, TextA, TextW};
use crate::text::required_path;
use ese::{Error, JetErr, Result};
use ese_format::checkpoint::Checkpoint;
use ese_format::database::{DatabaseHeader, PROBE_BYTES, choose_header};
use ese_format::log::LogHeader;
use ese_format::{BackupInfo, LogPosition, LogTime, Signature};
use ese_vfs::{Disk, File, OpenMode, RealDisk};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Levels (JET_DbInfo...).
const CONNECT: u32 = 1;
const ISAM: u32 = 9;
const FILE_SIZE: u32 = 10;
const UPGRADE: u32 = 13;
const MISC: u32 = 14;
const PAGE_SIZE: u32 = 17;
const IN_USE: u32 = 15;
const FILE_TYPE: u32 = 19;
const FILE_SIZE_ON_DISK: u32 = 21;

/// Kinds of files (JET_filetype...).
const TYPE_UNKNOWN: u32 = 0;
const TYPE_LOG: u32 = 3;
const TYPE_CHECKPOINT: u32 = 4;

/// Sizes of JET_DBINFOMISC and its three longer forms; each begins with the one before.
const MISC_SIZES: [u32; 4] = [216, 296, 300, 348];

/// The size of JET_DBINFOUPGRADE.
const UPGRADE_SIZE: u32 = 28;

/// fAlreadyUpgraded of its flags. (fUpgradable is for formats before 1998.)
const ALREADY_UPGRADED: u32 = 2;

/// The kind of a backup that was taken by a snapshot of the operating system.
const KIND_SNAPSHOT: u32 = 1;

/// The bit of the last byte of a backup's time that says so.
const BY_SNAPSHOT: u8 = 1;

jet_api! {
    /// Tells about a database file that need not be attached.
    fn JetGetDatabaseFileInfoA | JetGetDatabaseFileInfo(
        szDatabaseName: TextA, pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        file_info(szDatabaseName, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a database file that need not be attached.
    fn JetGetDatabaseFileInfoW(szDatabaseName: TextW, pvResult: Bytes, cbMax: u32, InfoLevel: u32) {
        file_info(szDatabaseName, pvResult, cbMax, InfoLevel)
    }
}

fn file_info<F: Form>(name: Text<F>, result: Bytes, length: u32, level: u32) -> Result<()> {
    let path = required_path(name)?;
    if !result.is_some() {
        return Err(Error::new(JetErr::InvalidParameter, "there is no place for the result"));
    }
    let sizes: &[u32] = match level {
        MISC => &MISC_SIZES,
        FILE_SIZE | FILE_SIZE_ON_DISK => &[8],
        UPGRADE => &[UPGRADE_SIZE],
        PAGE_SIZE | FILE_TYPE | IN_USE => &[4],
        CONNECT | ISAM => return Err(Error::new(JetErr::FeatureNotAvailable, "there is but one format")),
        _ => return Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported"))),
    };
    if !sizes.contains(&length) {
        return Err(Error::new(JetErr::InvalidBufferSize, format!("{length} bytes for level {level}")));
    }
    if level == UPGRADE && result.read::<4>(4)? != UPGRADE_SIZE.to_le_bytes() {
        return Err(Error::new(JetErr::InvalidParameter, "JET_DBINFOUPGRADE has another size"));
    }
    let disk = RealDisk::new();
    let file = disk.open(&path, OpenMode::Read).map_err(|e| Error::io(e, "open the file", &path))?;
    let start = start_of(&*file, &path)?;
    let header = || choose_header(&start).map(|c| c.header).map_err(|e| Error::from(e).file(&path));
    let bytes = match level {
        MISC => misc(&header()?),
        UPGRADE => upgrade(length_of(&*file, &path)?, header().is_ok()),
        PAGE_SIZE => (header()?.page_size.bytes() as u32).to_le_bytes().to_vec(),
        FILE_TYPE => file_type(&start).to_le_bytes().to_vec(),
        IN_USE => u32::from(is_in_use(&*file, &path)?).to_le_bytes().to_vec(),
        FILE_SIZE_ON_DISK => allocated(&path)?.to_le_bytes().to_vec(),
        _ => length_of(&*file, &path)?.to_le_bytes().to_vec(),
    };
    result.fill(&bytes, length);
    Ok(())
}

fn length_of(file: &dyn File, path: &Path) -> Result<u64> {
    file.len().map_err(|e| Error::io(e, "ask for the length", path))
}

/// The bytes of JET_DBINFOUPGRADE. Its estimates are those of the original: an hour for a gigabyte, and 15 % of room
/// (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/jetapi.cxx).
fn upgrade(file: u64, is_database: bool) -> Vec<u8> {
    let room = (u128::from(file) * 10 / 64) as u64;
    let seconds = ((u128::from(file) * 3600) >> 30) as u32;
    let mut out = Vec::with_capacity(UPGRADE_SIZE as usize);
    number(&mut out, UPGRADE_SIZE);
    out.extend(file.to_le_bytes());
    out.extend(room.to_le_bytes());
    number(&mut out, seconds);
    number(&mut out, if is_database { ALREADY_UPGRADED } else { 0 });
    out
}

/// Whether an instance, of this process or another, has the file attached: it locks it then. To find out takes
/// the lock for a moment, in which an attach would be refused.
fn is_in_use(file: &dyn File, path: &Path) -> Result<bool> {
    match file.try_lock(true) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(Error::io(error, "lock the file", path)),
    }
}

/// Bytes that the file takes on the disk.
fn allocated(path: &Path) -> Result<u64> {
    /// The unit of `st_blocks`, whatever the file system's blocks are.
    const UNIT: u64 = 512;
    let facts = std::fs::metadata(path).map_err(|e| Error::io(e, "ask for the size on disk", path))?;
    Ok(facts.blocks() * UNIT)
}

/// The first bytes of a file, enough for both headers at any page size.
fn start_of(file: &dyn File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![0; PROBE_BYTES];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64).map_err(|e| Error::io(e, "read", path))? {
            0 => break,
            n => done += n,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn file_type(start: &[u8]) -> u32 {
    if let Ok(chosen) = choose_header(start) {
        chosen.header.file_type
    } else if LogHeader::decode(start).is_ok() {
        TYPE_LOG
    } else if Checkpoint::decode(start).is_ok() {
        TYPE_CHECKPOINT
    } else {
        TYPE_UNKNOWN
    }
}

/// The bytes of JET_DBINFOMISC4, of which the shorter forms are beginnings.
pub(crate) fn misc(h: &DatabaseHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(348);
    number(&mut out, h.format_version);
    number(&mut out, h.update_major);
    signature(&mut out, h.signature);
    number(&mut out, h.state.number());
    position(&mut out, h.consistent_position);
    time(&mut out, h.consistent_time);
    time(&mut out, h.attach_time);
    position(&mut out, h.attach_position);
    time(&mut out, h.detach_time);
    position(&mut out, h.detach_position);
    signature(&mut out, h.log_signature);
    previous(&mut out, h.last_full_backup, h.last_full_backup_kind);
    previous(&mut out, h.last_incremental_backup, h.last_incremental_backup_kind);
    backup(&mut out, h.current_full_backup);
    number(&mut out, h.flags & 1);
    // Only engines before 1998 upgraded a database in place.
    number(&mut out, 0);
    number(&mut out, h.os_major);
    number(&mut out, h.os_minor);
    number(&mut out, h.os_build);
    number(&mut out, h.os_service_pack as u32);
    number(&mut out, h.page_size.bytes() as u32);
    number(&mut out, h.min_required.0);
    number(&mut out, h.max_required.0);
    time(&mut out, h.max_committed_time);
    number(&mut out, h.repair_count);
    time(&mut out, h.repair_time);
    number(&mut out, h.repair_count_old);
    number(&mut out, h.corrected_count);
    time(&mut out, h.corrected_time);
    number(&mut out, h.corrected_count_old);
    number(&mut out, h.correction_failed_count);
    time(&mut out, h.correction_failed_time);
    number(&mut out, h.correction_failed_count_old);
    number(&mut out, h.bad_checksum_count);
    time(&mut out, h.bad_checksum_time);
    number(&mut out, h.bad_checksum_count_old);
    number(&mut out, h.max_committed.0);
    previous(&mut out, h.last_copy_backup, h.last_copy_backup_kind);
    previous(&mut out, h.last_differential_backup, h.last_differential_backup_kind);
    out
}

fn number(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

// On disk these four have the layout that the C structures have.
fn signature(out: &mut Vec<u8>, value: Signature) {
    out.extend(value.to_bytes());
}

fn position(out: &mut Vec<u8>, value: LogPosition) {
    out.extend(value.to_bytes());
}

fn time(out: &mut Vec<u8>, value: LogTime) {
    out.extend(value.raw);
}

fn backup(out: &mut Vec<u8>, value: BackupInfo) {
    out.extend(value.to_bytes());
}

/// A backup that is remembered; its time also tells whether it was taken by a snapshot of the operating system
/// (fOSSnapshot of JET_BKLOGTIME; microsoft/Extensible-Storage-Engine, dev/ese/src/ese/util.cxx).
fn previous(out: &mut Vec<u8>, mut value: BackupInfo, kind: u32) {
    let [.., last] = &mut value.time.raw;
    *last = *last & !BY_SNAPSHOT | u8::from(kind == KIND_SNAPSHOT);
    backup(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::JET_DBINFOMISC4;
    use ese_format::{Generation, PageSize};
    use std::mem::offset_of;

    #[test]
    fn the_structure_has_its_fields_in_place() {
        let mut header = DatabaseHeader::new(PageSize::K8);
        header.last_differential_backup.highest = Generation(0x0A0B_0C0D);
        header.max_committed = Generation(77);
        header.os_service_pack = -1;
        let bytes = misc(&header);
        assert_eq!(bytes.len(), size_of::<JET_DBINFOMISC4>());
        let at = |offset: usize| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, ulVersion)), 0x620);
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, dbstate)), 1);
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, lSPNumber)), u32::MAX);
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, cbPageSize)), 8192);
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, genCommitted)), 77);
        assert_eq!(at(offset_of!(JET_DBINFOMISC4, bkinfoDiffPrev) + 20), 0x0A0B_0C0D);
    }

    #[test]
    fn what_an_upgrade_would_take_grows_with_the_file() {
        let bytes = upgrade(0x1_4000_0000, true);
        let numbers: Vec<u32> = bytes.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
        assert_eq!(numbers, [UPGRADE_SIZE, 0x4000_0000, 1, 0x3200_0000, 0, 5 * 3600, ALREADY_UPGRADED]);
    }

    #[test]
    fn the_time_of_a_backup_says_whether_it_was_a_snapshot() {
        let mut header = DatabaseHeader::new(PageSize::K4);
        header.last_full_backup.time.raw = [0xFE; 8];
        header.last_copy_backup.time.raw = [0xFF; 8];
        (header.last_full_backup_kind, header.last_copy_backup_kind) = (1, 0);
        let bytes = misc(&header);
        let time = |offset: usize| &bytes[offset + 8..offset + 16];
        let last = |offset: usize| time(offset)[7];
        assert_eq!(last(offset_of!(JET_DBINFOMISC4, bkinfoFullPrev)), 0xFF);
        assert_eq!(last(offset_of!(JET_DBINFOMISC4, bkinfoCopyPrev)), 0xFE);
        assert!(time(offset_of!(JET_DBINFOMISC4, bkinfoFullPrev))[..7].iter().all(|byte| *byte == 0xFE));
    }
}
