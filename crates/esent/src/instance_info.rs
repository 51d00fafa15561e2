//! JET_INSTANCE_INFO arrays: structures, pointer arrays and texts in one block of memory.

use crate::memory;
use crate::pointer::Form;
use crate::process::Entry;
use crate::text::to_text;
use ese::Result;
use ese::sync::Arc;

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

    fn push_text<F: Form>(&mut self, text: &str) -> usize {
        let mut units = F::encode(text);
        units.push(F::Unit::default());
        let start = self.words.len();
        self.words.extend(F::bytes(&units).chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }));
        start
    }

    /// Turns indices into addresses and gives the block to the caller.
    fn hand_out(mut self) -> usize {
        self.words.shrink_to_fit();
        let base = self.words.as_ptr() as u64;
        for at in self.pointers {
            self.words[at] = base + 8 * self.words[at];
        }
        memory::hand_out(self.words)
    }
}

/// Describes instances; gives the address of the array.
pub(crate) fn describe<F: Form>(entries: &[Arc<Entry>]) -> Result<usize> {
    let mut block = Block { words: vec![0; entries.len() * WORDS], pointers: Vec::new() };
    for (at, entry) in entries.iter().enumerate() {
        let at = at * WORDS;
        let databases = entry.databases();
        block.words[at] = entry.handle() as u64;
        if !entry.name().is_empty() {
            let name = block.push_text::<F>(entry.name());
            block.set_pointer(at + 1, name);
        }
        block.words[at + 2] = databases.len() as u64;
        if databases.is_empty() {
            continue;
        }
        let paths = block.words.len();
        block.words.resize(paths + 2 * databases.len(), 0);
        block.set_pointer(at + 3, paths);
        // Databases have no names for people: an array of nulls.
        block.set_pointer(at + 4, paths + databases.len());
        for (n, path) in databases.iter().enumerate() {
            let text = block.push_text::<F>(to_text(path)?);
            block.set_pointer(paths + n, text);
        }
    }
    Ok(block.hand_out())
}
