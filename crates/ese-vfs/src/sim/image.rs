//! The bytes of one file: sparse blocks of the size that the fault model writes atomically.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a disk writes whole or not at all, in bytes.
pub(super) const BLOCK: usize = 4096;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A file's content. A block that is not there reads as zeros and takes no space.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    len: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

/// The part of a write that lies in one block: the unit that survives a power loss or does not.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Which block of the file.
    pub(super) block: u64,
    /// Where in the block, in bytes.
    start: usize,
    /// What; never beyond the block's end.
    data: Arc<[u8]>,
}

/// Cuts a write at the block boundaries.
pub(super) fn pieces(data: &[u8], offset: u64) -> Vec<Piece> {
    let mut cut = Vec::new();
    let mut rest = data;
    let mut at = offset;
    while !rest.is_empty() {
        let start = (at % BLOCK as u64) as usize;
        let (part, more) = rest.split_at(rest.len().min(BLOCK - start));
        cut.push(Piece { block: at / BLOCK as u64, start, data: part.into() });
        at += part.len() as u64;
        rest = more;
    }
    cut
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many blocks take space.
    pub(super) fn block_count(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Whether a block takes space already.
    pub(super) fn has_block(&self, block: u64) -> bool {
        self.blocks.contains_key(&block)
    }

    /// Reads what the file has; returns how much that was.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let start = (at % BLOCK as u64) as usize;
            let n = (count - done).min(BLOCK - start);
            let block = self.blocks.get(&(at / BLOCK as u64)).map_or(&ZEROS, |b| &**b);
            buf[done..done + n].copy_from_slice(&block[start..start + n]);
            done += n;
        }
        count
    }

    /// Writes a piece, growing the file as needed.
    pub(super) fn put(&mut self, piece: &Piece) {
        let end = piece.start + piece.data.len();
        let block = self.blocks.entry(piece.block).or_insert_with(|| Arc::new(ZEROS));
        Arc::make_mut(block)[piece.start..end].copy_from_slice(&piece.data);
        self.len = self.len.max(piece.block * BLOCK as u64 + end as u64);
    }

    /// Cuts or extends; cut bytes do not come back.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let keep = (len % BLOCK as u64) as usize;
            self.blocks.split_off(&len.div_ceil(BLOCK as u64));
            if keep > 0
                && let Some(last) = self.blocks.get_mut(&(len / BLOCK as u64))
            {
                Arc::make_mut(last)[keep..].fill(0);
            }
        }
        self.len = len;
    }

    /// Extends to at least `len`, with space for every block.
    pub(super) fn reserve(&mut self, len: u64) {
        let zeros = Arc::new(ZEROS);
        for block in 0..len.div_ceil(BLOCK as u64) {
            self.blocks.entry(block).or_insert_with(|| zeros.clone());
        }
        self.len = self.len.max(len);
    }

    /// Inverts one bit; false when the file does not reach that far.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        if offset >= self.len {
            return false;
        }
        let mut byte = [0];
        self.read(&mut byte, offset);
        for piece in pieces(&[byte[0] ^ (1 << (bit % 8))], offset) {
            self.put(&piece);
        }
        true
    }
}
