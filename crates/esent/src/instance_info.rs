//! JET_INSTANCE_INFO arrays: structures, pointer arrays and texts in one block of memory.

use crate::memory;
use crate::pointer::Form;
use crate::process::Entry;
use crate::text::to_text;
use ese::sync::Arc;
use ese::{Error, JetErr, Result};

/// Words of one structure: handle, name, count of databases, their paths, their names for people, and
/// a member that has had no meaning since Windows XP.
const WORDS: usize = 6;

/// Builds a block whose pointers point into itself.
struct Block {
    words: Vec<u64>,
    /// Words that hold an index into `words` and become an address.
    pointers: Vec<usize>,
}

impl Block {
    fn set_pointer(&mut self, at: usize, target: usize) {
        self.words[at] = target as u64;
        self.pointers.push(at);
    }

    /// More words, all zero; where they begin.
    fn push_words(&mut self, count: usize) -> Result<usize> {
        let start = self.words.len();
        self.words.try_reserve(count).map_err(|error| Error::new(JetErr::OutOfMemory, error.to_string()))?;
        self.words.resize(start + count, 0);
        Ok(start)
    }

    fn push_text<F: Form>(&mut self, text: &str) -> Result<usize> {
        let mut units = F::encode(text);
        units.push(F::Unit::default());
        let bytes = F::bytes(&units);
        let start = self.push_words(bytes.len().div_ceil(8))?;
        for (place, chunk) in self.words[start..].iter_mut().zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            *place = u64::from_le_bytes(word);
        }
        Ok(start)
    }

    /// Turns indices into addresses and gives the block to the caller.
    fn hand_out(mut self) -> usize {
        let base = self.words.as_ptr() as u64;
        for at in self.pointers {
            self.words[at] = base + 8 * self.words[at];
        }
        memory::hand_out(self.words)
    }
}

/// Describes instances; gives the address of the array.
///
/// # Errors
/// JET_errOutOfMemory; JET_errUnicodeTranslationFail for a path that is no text.
pub(crate) fn describe<F: Form>(entries: &[Arc<Entry>]) -> Result<usize> {
    let mut block = Block { words: Vec::new(), pointers: Vec::new() };
    block.push_words(entries.len() * WORDS)?;
    for (at, entry) in entries.iter().enumerate() {
        let at = at * WORDS;
        let databases = entry.databases();
        block.words[at] = entry.handle() as u64;
        if !entry.name().is_empty() {
            let name = block.push_text::<F>(entry.name())?;
            block.set_pointer(at + 1, name);
        }
        block.words[at + 2] = databases.len() as u64;
        if databases.is_empty() {
            continue;
        }
        let paths = block.push_words(2 * databases.len())?;
        block.set_pointer(at + 3, paths);
        // Databases have no names for people: an array of nulls.
        block.set_pointer(at + 4, paths + databases.len());
        for (n, path) in databases.iter().enumerate() {
            let text = block.push_text::<F>(to_text(path)?)?;
            block.set_pointer(paths + n, text);
        }
    }
    Ok(block.hand_out())
}
