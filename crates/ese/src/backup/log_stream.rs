//! A closed log file as the client of a backup reads it: its bytes, with header and segments verified.

use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::log::LogHeader;
use ese_format::log::segment::{SEGMENT_BYTES, check_segment, is_zero, stored_checksum};
use ese_format::primitives::Generation;
use ese_vfs::File;
use std::path::{Path, PathBuf};

/// A log file opened for a backup.
pub struct LogStream {
    file: Arc<dyn File>,
    path: PathBuf,
    len: u64,
    position: u64,
    check: LogCheck,
}

impl LogStream {
    /// A log of this generation, already open.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(file: Arc<dyn File>, path: PathBuf, generation: Generation) -> Result<Self> {
        let len = file.len().map_err(|cause| Error::io(cause, "measure a log", &path))?;
        Ok(Self { file, path, len, position: 0, check: LogCheck::new(generation) })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The generation in its name.
    pub fn generation(&self) -> Generation {
        self.check.generation
    }

    /// Length of the file when it was opened.
    pub fn length(&self) -> u64 {
        self.len
    }

    /// How many bytes were delivered.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether everything was delivered.
    pub fn is_at_end(&self) -> bool {
        self.position == self.len
    }

    /// Delivers the next bytes and says how many; 0 at the end.
    ///
    /// # Errors
    /// LogReadVerifyFailure for a damaged header or segment; those of the disk.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        let bytes = into.len().min(left);
        let into = &mut into[..bytes];
        self.file
            .read_exact_at(into, self.position)
            .map_err(|cause| Error::io(cause, "read a log for the backup", &self.path))?;
        self.check.push(into).map_err(|error| error.file(&self.path))?;
        self.position += bytes as u64;
        if self.is_at_end() {
            self.check.finish().map_err(|error| error.file(&self.path))?;
        }
        Ok(bytes)
    }
}

/// Verifies the bytes of a log file as they come.
pub(super) struct LogCheck {
    generation: Generation,
    /// Bytes that came.
    position: u64,
    /// Checksum of the last segment checked: the file's last block may be a shadow of the one before it.
    previous: u64,
    /// Bytes from the segment under way whose verification waits for the rest of it.
    pending: Vec<u8>,
}

impl LogCheck {
    /// For a log of this generation.
    pub(super) fn new(generation: Generation) -> Self {
        Self { generation, position: 0, previous: 0, pending: Vec::with_capacity(SEGMENT_BYTES) }
    }

    /// Verifies whole blocks; the rest waits for what comes next.
    ///
    /// # Errors
    /// LogReadVerifyFailure, LogGenerationMismatch; they do not name the file.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut block = [0; SEGMENT_BYTES];
        // The block under way began where the pending bytes did.
        let mut number = (self.position - self.pending.len() as u64) / SEGMENT_BYTES as u64;
        self.position += bytes.len() as u64;
        while self.pending.len() + bytes.len() >= SEGMENT_BYTES {
            let (now, later) = bytes.split_at(SEGMENT_BYTES - self.pending.len());
            let (head, tail) = block.split_at_mut(self.pending.len());
            head.copy_from_slice(&self.pending);
            tail.copy_from_slice(now);
            self.pending.clear();
            bytes = later;
            self.verify_block(&mut block, number)?;
            number += 1;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Checks that the file may end here.
    ///
    /// # Errors
    /// LogReadVerifyFailure inside a segment, or before the header has come.
    pub(super) fn finish(&self) -> Result<()> {
        match self.pending.is_empty() && self.position > 0 {
            true => Ok(()),
            false => Err(bad("the file ends inside a segment")),
        }
    }

    fn verify_block(&mut self, block: &mut [u8; SEGMENT_BYTES], number: u64) -> Result<()> {
        if number == 0 {
            let header = LogHeader::decode(block).map_err(|cause| bad(cause.to_string()))?;
            if header.generation != self.generation {
                let detail = format!(
                    "the log of generation {} has the name of {}",
                    header.generation, self.generation
                );
                return Err(Error::new(JetErr::LogGenerationMismatch, detail));
            }
            return Ok(());
        }
        let at = u16::try_from(number).map_err(|_| bad("the log has too many segments"))?;
        if !is_zero(block) && !check_segment(block, at).is_usable() {
            // A shadow bears the checksum of the segment before it.
            let is_shadow = stored_checksum(block) == self.previous
                && check_segment(block, at.wrapping_sub(1)).is_usable();
            if !is_shadow {
                return Err(bad(format!("segment {number} of the log is damaged")));
            }
        }
        self.previous = stored_checksum(block);
        Ok(())
    }
}

fn bad(detail: impl Into<String>) -> Error {
    Error::new(JetErr::LogReadVerifyFailure, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::log::SegmentHeader;
    use ese_format::log::segment::seal_segment;
    use ese_format::primitives::{LogPosition, LogTime, PageSize, Signature};
    use ese_vfs::{Disk, OpenMode, RealDisk};

    const SEGMENTS: u16 = 16;

    /// A log of 16 blocks: three segments, the shadow of the last but one at the end of the file.
    fn log(folder: &Path) -> PathBuf {
        let generation = Generation(7);
        let header = LogHeader::new(generation, SEGMENTS, PageSize::K4, Signature::NONE, LogTime::NONE);
        let mut bytes = header.encode().unwrap();
        bytes.resize(usize::from(SEGMENTS) * SEGMENT_BYTES, 0);
        let mut put = |number: u16, place: usize| {
            let mut segment = [number as u8; SEGMENT_BYTES];
            let head = SegmentHeader::new(generation, number, LogTime::NONE, LogPosition::NONE);
            segment[..40].copy_from_slice(&head.encode());
            seal_segment(&mut segment, number);
            bytes[place * SEGMENT_BYTES..][..SEGMENT_BYTES].copy_from_slice(&segment);
        };
        for number in [1, 2, 3, SEGMENTS - 2] {
            put(number, number.into());
        }
        put(SEGMENTS - 2, usize::from(SEGMENTS) - 1);
        let path = folder.join("edb00007.log");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(path: &Path, generation: u32) -> LogStream {
        let file = RealDisk::new().open(path, OpenMode::Read).unwrap();
        LogStream::new(file, path.to_path_buf(), Generation(generation)).unwrap()
    }

    fn read_all(mut stream: LogStream, bytes: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let mut buffer = vec![0; bytes];
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                assert!(stream.is_at_end());
                return Ok(all);
            }
            all.extend(&buffer[..read]);
        }
    }

    #[test]
    fn every_buffer_size_delivers_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for bytes in [2048, 3 * 2048, 4096, 3 * 4096, 5 * 2048, 1 << 20] {
            assert!(read_all(open(&path, 7), bytes).unwrap() == whole, "{bytes} bytes at a time");
        }
    }

    #[test]
    fn damage_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for at in [20, SEGMENT_BYTES + 100, 3 * SEGMENT_BYTES + 9, 15 * SEGMENT_BYTES + 77] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].fill(0x5B);
            std::fs::write(&path, bytes).unwrap();
            let error = read_all(open(&path, 7), 2048).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), JetErr::LogReadVerifyFailure, "byte {at}");
        }
    }

    #[test]
    fn a_log_under_another_generations_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(folder.path());
        let error = read_all(open(&path, 8), 4096).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), JetErr::LogGenerationMismatch);
    }

    #[test]
    fn a_file_that_ends_inside_a_segment_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
        let error = read_all(open(&path, 7), 8192).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), JetErr::LogReadVerifyFailure);
    }
}
