//! Long values, chunk by chunk.

use super::pages::PageFile;
use super::scan::TreeScan;
use crate::error::{Error, JetErr, Result};
use ese_format::catalog::LongValueTree;
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, unpack_chunk};

/// More bytes than a chunk of any page size stands for.
const MAX_CHUNK: u32 = 64 << 10;

/// Reads the long values of one table.
pub struct LongValues<'a> {
    pages: &'a PageFile,
    tree: Option<LongValueTree>,
    /// A chunk that waits for the next one's offset, as stored.
    stored: Vec<u8>,
    /// A chunk, unpacked.
    plain: Vec<u8>,
}

impl<'a> LongValues<'a> {
    pub(super) fn new(pages: &'a PageFile, tree: Option<LongValueTree>) -> Self {
        Self { pages, tree, stored: Vec::new(), plain: Vec::new() }
    }

    fn open(&self, id: LongValueId) -> Result<(TreeScan<'a>, LongValueRoot)> {
        let corrupt = |text| Error::new(JetErr::LVCorrupted, text).file(self.pages.path());
        let tree = self.tree.ok_or_else(|| corrupt(format!("long value {id} has no tree to be in")))?;
        let mut scan = TreeScan::starting_at(self.pages, tree.root, tree.object_id, &id.root_key())?;
        let root = match scan.next() {
            Some(entry) => {
                let entry = entry?;
                let found = *entry.key == *id.root_key();
                let root = LongValueRoot::decode(entry.data);
                found.then_some(root.map_err(|e| self.pages.at(e, entry.page)))
            }
            None => None,
        };
        match root.transpose()? {
            Some(root) if root.encrypted => Err(Error::new(
                JetErr::ColumnNoEncryptionKey,
                format!("long value {id} is encrypted, the file has no key"),
            )
            .file(self.pages.path())),
            Some(root) => Ok((scan, root)),
            None => Err(corrupt(format!("long value {id} does not exist"))),
        }
    }

    /// The length of a long value in bytes, unpacked.
    ///
    /// # Errors
    /// When the value does not exist or its root cannot be read.
    pub fn size(&self, id: LongValueId) -> Result<u32> {
        self.open(id).map(|(_, root)| root.size)
    }

    /// Gives a whole long value to `each`, piece by piece and unpacked. Without an error the pieces add up
    /// to [`Self::size`] bytes. Memory does not depend on the size.
    ///
    /// # Errors
    /// When something of the value is missing, cannot be read or unpacked; `each` may have seen a part of
    /// the value then. An error of `each` ends the reading.
    pub fn read(&mut self, id: LongValueId, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (mut scan, root) = self.open(id)?;
        let path = self.pages.path();
        let corrupt = |text: String| Error::new(JetErr::LVCorrupted, text).file(path);
        // How long a chunk should be is known from where the next one starts.
        let mut waiting: Option<u32> = None;
        loop {
            let next = match scan.next() {
                Some(entry) => {
                    let entry = entry?;
                    match LongValueKey::decode(entry.key).map_err(|e| self.pages.at(e, entry.page))? {
                        LongValueKey::Chunk(of, offset) if of == id => Some((offset, entry)),
                        _ => None,
                    }
                }
                None => None,
            };
            let end = next.as_ref().map_or(root.size, |(offset, _)| *offset);
            match waiting {
                Some(start) => {
                    let expected = end.checked_sub(start).filter(|&len| len <= MAX_CHUNK && end <= root.size);
                    let expected = expected.ok_or_else(|| {
                        corrupt(format!("long value {id} has a chunk from {start} to {end}"))
                    })?;
                    self.plain.clear();
                    unpack_chunk(&self.stored, expected as usize, &mut self.plain)
                        .map_err(|e| Error::from(e).file(path))?;
                    each(&self.plain)?;
                }
                None if end != 0 => {
                    return Err(corrupt(format!("long value {id} lacks its first {end} bytes")));
                }
                None => {}
            }
            let Some((offset, entry)) = next else { return Ok(()) };
            self.stored.clear();
            self.stored.extend_from_slice(entry.data);
            waiting = Some(offset);
        }
    }
}
