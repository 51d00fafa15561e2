//! Runs: sorted pairs in a scratch file, each with the two lengths in front of it.

use super::READ_BYTES;
use super::scratch::ScratchFile;
use crate::error::Result;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;
/// Bytes of the two lengths.
const LENGTHS: usize = 8;

/// Where a run is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    begin: u64,
    end: u64,
}

/// Writes one run to the end of a file.
pub(super) struct RunWriter {
    file: ScratchFile,
    begin: u64,
    buffer: Vec<u8>,
}

impl RunWriter {
    pub(super) fn new(file: ScratchFile) -> Self {
        let begin = file.len();
        Self { file, begin, buffer: Vec::with_capacity(WRITE_BYTES) }
    }

    pub(super) fn put(&mut self, key: &[u8], data: &[u8]) -> Result<()> {
        if self.buffer.len() + LENGTHS + key.len() + data.len() > WRITE_BYTES && !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&(data.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Run> {
        self.file.append(&self.buffer)?;
        Ok(Run { begin: self.begin, end: self.file.len() })
    }
}

/// Reads one run.
pub(super) struct RunReader {
    file: ScratchFile,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl RunReader {
    pub(super) fn new(file: ScratchFile, run: Run) -> Self {
        Self { file, at: run.begin, end: run.end, buffer: Vec::new(), used: 0 }
    }

    /// Puts the next pair into `key` and `data`; false behind the last one.
    pub(super) fn next(&mut self, key: &mut Vec<u8>, data: &mut Vec<u8>) -> Result<bool> {
        if self.used == self.buffer.len() && self.at == self.end {
            return Ok(false);
        }
        self.fill(LENGTHS)?;
        let lengths = &self.buffer[self.used..self.used + LENGTHS];
        let length = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| lengths[at + i])) as usize;
        let (key_len, data_len) = (length(0), length(4));
        self.used += LENGTHS;
        self.fill(key_len.saturating_add(data_len))?;
        let pair = &self.buffer[self.used..self.used + key_len + data_len];
        key.clear();
        key.extend_from_slice(&pair[..key_len]);
        data.clear();
        data.extend_from_slice(&pair[key_len..]);
        self.used += key_len + data_len;
        Ok(true)
    }

    /// Sees to it that so many bytes are in the buffer.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        let have = self.buffer.len() - self.used;
        if have >= wanted {
            return Ok(());
        }
        let left = self.end - self.at;
        let missing = (wanted - have) as u64;
        if missing > left {
            return Err(self.file.damaged());
        }
        let more = left.min((READ_BYTES as u64).max(missing)) as usize;
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.resize(have + more, 0);
        self.file.read(&mut self.buffer[have..], self.at)?;
        self.at += more as u64;
        Ok(())
    }
}
