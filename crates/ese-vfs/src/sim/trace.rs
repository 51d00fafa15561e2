//! What was asked of the disk, for replaying and for finding where two runs part.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::fault::{Effect, OpKind};

/// One operation as it was asked for. Two runs of one seed give equal lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The number of counted operations up to and with this one.
    pub number: u64,
    /// What.
    pub kind: OpKind,
    /// On what (for a rename: the old name).
    pub path: Arc<Path>,
    /// The new name of a rename.
    pub to: Option<Arc<Path>>,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes; the new length for a length change.
    pub len: u64,
    /// A digest of the bytes written, 0 for anything else.
    pub digest: u64,
    /// The fault that struck it.
    pub fault: Option<Effect>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {:?} {}", self.number, self.kind, self.path.display())?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        match self.kind {
            OpKind::Write => {
                write!(f, " at {} length {} digest {:016x}", self.offset, self.len, self.digest)?
            }
            OpKind::Read => write!(f, " at {} length {}", self.offset, self.len)?,
            OpKind::SetLen | OpKind::Allocate => write!(f, " to {}", self.len)?,
            _ => {}
        }
        match self.fault {
            Some(effect) => write!(f, " FAULT {effect:?}"),
            None => Ok(()),
        }
    }
}

/// FNV-1a over `data`, eight bytes at a time.
pub(super) fn digest(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words
        .chain(rest.iter().map(|byte| u64::from(*byte)))
        .fold(0xcbf2_9ce4_8422_2325 ^ data.len() as u64, |hash, word| {
            (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
        })
}
