//! What log files say about themselves and their stream.

use crate::border::jet_api;
use crate::pointer::{Bytes, Form, Text, TextA, TextW};
use crate::process::{Entry, PROCESS};
use crate::text::required_path;
use crate::types::*;
use ese::log::{LogFiles, read_log_header};
use ese::sync::Arc;
use ese::{Error, JetErr, Result};
use ese_format::log::LogHeader;
use ese_vfs::{Disk, RealDisk};

/// Levels of JetGetLogFileInfo (JET_LogInfoMisc...) and the sizes of their structures.
const LOG_MISC: u32 = 0;
const LOG_MISC_2: u32 = 1;
const LOG_MISC_3: u32 = 2;
const LOG_MISC_BYTES: usize = 80;
const LOG_MISC_2_BYTES: usize = 88;
const LOG_MISC_3_BYTES: usize = 104;

/// JET_InstanceMiscInfoLogSignature.
const LOG_SIGNATURE: u32 = 0;

jet_api! {
    /// Tells what the header of a log file says.
    fn JetGetLogFileInfoA | JetGetLogFileInfo(szLog: TextA, pvResult: Bytes, cbMax: u32, InfoLevel: u32) {
        log_file_info(szLog, pvResult, cbMax, InfoLevel)
    }

    /// Tells what the header of a log file says.
    fn JetGetLogFileInfoW(szLog: TextW, pvResult: Bytes, cbMax: u32, InfoLevel: u32) {
        log_file_info(szLog, pvResult, cbMax, InfoLevel)
    }

    /// Tells the signature of an instance's log stream.
    fn JetGetInstanceMiscInfo(instance: JET_INSTANCE, pvResult: Bytes, cbMax: u32, InfoLevel: u32) {
        let entry = PROCESS.instance(instance)?;
        entry.check_serving()?;
        if InfoLevel != LOG_SIGNATURE {
            return Err(Error::new(JetErr::InvalidParameter, format!("level {InfoLevel} is not supported")));
        }
        if !pvResult.is_some() {
            return Err(Error::new(JetErr::InvalidParameter, "there is no place for the result"));
        }
        if (cbMax as usize) < size_of::<JET_SIGNATURE>() {
            return Err(Error::new(JetErr::BufferTooSmall, "JET_SIGNATURE does not fit"));
        }
        pvResult.fill(&current_log(&entry)?.signature.to_bytes(), cbMax);
        Ok(())
    }
}

fn log_file_info<F: Form>(name: Text<F>, result: Bytes, length: u32, level: u32) -> Result<()> {
    let path = required_path(name)?;
    let size = match level {
        LOG_MISC => LOG_MISC_BYTES,
        LOG_MISC_2 => LOG_MISC_2_BYTES,
        LOG_MISC_3 => LOG_MISC_3_BYTES,
        _ => return Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported"))),
    };
    if !result.is_some() {
        return Err(Error::new(JetErr::InvalidParameter, "there is no place for the result"));
    }
    if length as usize != size {
        return Err(Error::new(JetErr::InvalidBufferSize, format!("{length} bytes for level {level}")));
    }
    let header = read_log_header(&RealDisk::new(), &path)?;
    result.fill(&misc(&header, level), length);
    Ok(())
}

/// The bytes of JET_LOGINFOMISC, of JET_LOGINFOMISC2, which adds a checkpoint, or of JET_LOGINFOMISC3, which
/// tells the version in another way.
fn misc(header: &LogHeader, level: u32) -> Vec<u8> {
    let version = header.version;
    let versions = match level {
        LOG_MISC_3 => [version.major, version.update_major, version.update_minor],
        _ => [version.major, version.minor, version.update_major],
    };
    let sector = u32::from(header.sector_bytes);
    let file = u32::try_from(header.file_bytes()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(LOG_MISC_3_BYTES);
    out.extend(header.generation.0.to_le_bytes());
    out.extend(header.signature.to_bytes());
    out.extend(header.created.raw);
    out.extend(header.previous_created.raw);
    let numbers = [u32::from(header.flags)].into_iter().chain(versions).chain([
        sector,
        sector * u32::from(header.header_sectors),
        file,
        u32::from(header.page_bytes),
    ]);
    numbers.for_each(|number| out.extend(number.to_le_bytes()));
    if level != LOG_MISC {
        out.extend(header.checkpoint.to_bytes());
    }
    if level == LOG_MISC_3 {
        out.extend(version.minor.to_le_bytes());
        out.extend([0; 4]);
        out.extend(header.previous_checksum.to_le_bytes());
    }
    out
}

/// The header of the log that an instance writes to.
fn current_log(entry: &Entry) -> Result<LogHeader> {
    let disabled = || Error::new(JetErr::LoggingDisabled, "the instance has no log");
    let engine = entry.engine()?;
    let parameters = engine.parameters();
    if engine.backup()?.parts().log.is_none() {
        return Err(disabled());
    }
    let disk: Arc<dyn Disk> = engine.environment().disk.clone();
    let files = LogFiles::probe(
        disk.clone(),
        parameters.log_dir(),
        parameters.base_name(),
        parameters.legacy_file_names(),
        parameters.eight_dot_three_names(),
    )?;
    match read_log_header(&*disk, &files.current()) {
        // For a moment of a roll-over there is none; the archive before it is of the same stream.
        Err(error) if error.code() == JetErr::FileNotFound => {
            let archive = files.archives()?.pop().ok_or_else(disabled)?;
            read_log_header(&*disk, &archive.path)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::{Generation, LogTime, PageSize, Signature};

    #[test]
    fn the_three_forms_differ_where_they_should() {
        let signature = Signature { random: 5, created: LogTime::NONE, computer: [0; 16] };
        let mut header = LogHeader::new(Generation(7), 32, PageSize::K8, signature, LogTime::NONE);
        header.previous_checksum = 0x0102_0304_0506_0708;
        header.version.minor = 4001;
        let at =
            |bytes: &[u8], offset: usize| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
        for (level, size) in [(LOG_MISC, 80), (LOG_MISC_2, 88), (LOG_MISC_3, 104)] {
            let bytes = misc(&header, level);
            assert_eq!(bytes.len(), size);
            assert_eq!(at(&bytes, 0), 7);
            assert_eq!(at(&bytes, 4), 5);
            assert_eq!(at(&bytes, 52), 8);
            assert_eq!(at(&bytes, 64), 4096);
            assert_eq!(at(&bytes, 72), 32 * 4096);
            assert_eq!(at(&bytes, 76), 8192);
        }
        assert_eq!(at(&misc(&header, LOG_MISC), 56), 4001);
        assert_eq!(at(&misc(&header, LOG_MISC), 60), header.version.update_major);
        assert_eq!(at(&misc(&header, LOG_MISC_3), 56), header.version.update_major);
        assert_eq!(at(&misc(&header, LOG_MISC_3), 60), header.version.update_minor);
        assert_eq!(at(&misc(&header, LOG_MISC_3), 88), 4001);
        assert_eq!(at(&misc(&header, LOG_MISC_3), 96), 0x0506_0708);
    }
}
