//! Long values: roots, chunks, and how many records refer to each.

use super::finding::{Findings, Subject};
use super::index::each_entry;
use super::records::for_each_reference;
use super::sum::SetSum;
use ese_format::error::{FormatError, Result};
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, default_chunk_size, unpack_chunk};
use ese_format::record::Record;
use ese_format::tree::{Entry, PageRead, Tree};
use ese_format::{ObjectId, PageNumber, PageSize};
use std::collections::BTreeMap;

/// A chunk is never larger than a page.
const MAX_CHUNK: u32 = 32 << 10;
/// So many long values are counted at a time when the sums differ.
const WINDOW: usize = 1 << 18;

/// Looks at every entry of a tree of long values in turn.
pub(super) struct LongValueCheck {
    /// The references that the roots count.
    pub(super) references: SetSum,
    chunk_size: u32,
    current: Option<Value>,
    plain: Vec<u8>,
}

/// A long value whose root was seen, and some of its chunks.
struct Value {
    id: LongValueId,
    root: LongValueRoot,
    place: (PageNumber, usize),
    /// The chunk whose length the next one tells.
    waiting: Option<Chunk>,
}

struct Chunk {
    offset: u32,
    stored: Vec<u8>,
    place: (PageNumber, usize),
}

impl LongValueCheck {
    pub(super) fn new(page_size: PageSize, chunk_max: Option<u32>) -> Self {
        let chunk_size = chunk_max.filter(|size| *size > 0).unwrap_or(default_chunk_size(page_size));
        Self { references: SetSum::default(), chunk_size, current: None, plain: Vec::new() }
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings) {
        let place = (entry.page, entry.line);
        match LongValueKey::decode(entry.key) {
            Err(error) => findings.error(Subject::LongValue, place, error.detail),
            Ok(LongValueKey::Root(id)) => {
                self.finish(findings);
                self.root(id, entry, findings);
            }
            Ok(LongValueKey::Chunk(id, offset)) => match self.current.take() {
                Some(mut value) if value.id == id => {
                    self.end_chunk(&mut value, offset, findings);
                    value.waiting = Some(Chunk { offset, stored: entry.data.to_vec(), place });
                    self.current = Some(value);
                }
                other => {
                    self.current = other;
                    self.finish(findings);
                    let text = format!("a chunk belongs to long value {id}, which has no root");
                    findings.error(Subject::LongValue, place, text);
                }
            },
        }
    }

    fn root(&mut self, id: LongValueId, entry: &Entry<'_>, findings: &mut Findings) {
        let place = (entry.page, entry.line);
        let root = match LongValueRoot::decode(entry.data) {
            Ok(root) => root,
            Err(error) => return findings.error(Subject::LongValue, place, error.detail),
        };
        match root.references {
            0 => {
                let text = format!("long value {id} has no references and waits for deletion");
                findings.note(Subject::LongValue, place, text);
            }
            u32::MAX => {
                let text = format!("long value {id} is half deleted");
                findings.note(Subject::LongValue, place, text);
            }
            count => self.references.add_times(count, &id.root_key(), &[]),
        }
        self.current = Some(Value { id, root, place, waiting: None });
    }

    /// The end of a value: of its root's entry follows none that belongs to it.
    pub(super) fn finish(&mut self, findings: &mut Findings) {
        if let Some(mut value) = self.current.take() {
            let size = value.root.size;
            self.end_chunk(&mut value, size, findings);
        }
    }

    /// A chunk ends where the next one begins; where there is none yet, nothing may be missing.
    fn end_chunk(&mut self, value: &mut Value, end: u32, findings: &mut Findings) {
        // A value that waits for deletion may have lost chunks already.
        if value.root.references == u32::MAX {
            return;
        }
        let id = value.id;
        let Some(chunk) = value.waiting.take() else {
            if end != 0 {
                let text = format!("long value {id} lacks its first {end} bytes");
                findings.error(Subject::LongValue, value.place, text);
            }
            return;
        };
        let Some(len) = end.checked_sub(chunk.offset).filter(|_| end <= value.root.size) else {
            let text = format!(
                "long value {id} of {} bytes has a chunk from {} to {end}",
                value.root.size, chunk.offset
            );
            return findings.error(Subject::LongValue, chunk.place, text);
        };
        if len > MAX_CHUNK || len > self.chunk_size && len.is_multiple_of(self.chunk_size) {
            let text = format!("long value {id} lacks chunks between {} and {end}", chunk.offset);
            return findings.error(Subject::LongValue, chunk.place, text);
        }
        if value.root.encrypted {
            return;
        }
        self.plain.clear();
        if let Err(error) = unpack_chunk(&chunk.stored, len as usize, &mut self.plain) {
            let text = format!("long value {id}, from {} to {end}: {}", chunk.offset, error.detail);
            findings.error(Subject::LongValue, chunk.place, text);
        }
    }
}

/// References to a long value, and where its root is.
struct Counted {
    /// What the root says.
    expected: u64,
    found: u64,
    place: (PageNumber, usize),
}

/// Finds the long values whose roots count other references than there are. Both trees must be sound.
///
/// Memory is bounded: so many ids at a time, all records for each.
pub(super) fn compare(
    pages: &impl PageRead,
    long_values: (PageNumber, ObjectId),
    records: (PageNumber, ObjectId),
    findings: &mut Findings,
) {
    let size = pages.page_size();
    let before = findings.errors();
    let mut from = Some(0);
    while let Some(start) = from.filter(|_| !findings.is_full()) {
        let (mut window, next) = roots_from(pages, long_values, start);
        let is_here = |id: u64| id >= start && next.is_none_or(|next| id < next);
        each_entry(pages, records, findings, |entry, findings| {
            let Ok(record) = Record::parse(entry.data, size) else { return };
            let mut dangling = None;
            // Damage inside the record was reported with its table.
            let _ = for_each_reference(&record, |id| match window.get_mut(&id.0) {
                Some(value) => value.found += 1,
                None if is_here(id.0) => dangling = Some(id),
                None => {}
            });
            if let Some(id) = dangling {
                let (page, line) = (entry.page, entry.line);
                let text =
                    format!("the record on page {page}, line {line}, refers to {id}, which does not exist");
                findings.error(Subject::LongValue, (), text);
            }
        });
        for (id, value) in window.into_iter().filter(|(_, value)| value.expected != value.found) {
            let text = format!(
                "long value {} counts {} references, there are {}",
                LongValueId(id),
                value.expected,
                value.found
            );
            findings.error(Subject::LongValue, value.place, text);
        }
        from = next;
    }
    if findings.errors() == before {
        findings.error(Subject::LongValue, (), "the references do not add up to what is counted");
    }
}

/// The roots of the long values from an id on, as many as fit at a time, and the id after them.
fn roots_from(
    pages: &impl PageRead,
    tree: (PageNumber, ObjectId),
    start: u64,
) -> (BTreeMap<u64, Counted>, Option<u64>) {
    let mut window = BTreeMap::new();
    let mut next: Option<u64> = None;
    let mut ignored = Findings::new("", usize::MAX);
    each_entry(pages, tree, &mut ignored, |entry, _| {
        let (Ok(LongValueKey::Root(id)), Ok(root)) =
            (LongValueKey::decode(entry.key), LongValueRoot::decode(entry.data))
        else {
            return;
        };
        // Ids of eight bytes have keys behind those of four, so keys come in order of the ids.
        if id.0 < start || next.is_some() {
            return;
        }
        if window.len() == WINDOW {
            next = Some(id.0);
            return;
        }
        // Half deleted values have no references any more.
        let expected = if root.references == u32::MAX { 0 } else { root.references.into() };
        window.insert(id.0, Counted { expected, found: 0, place: (entry.page, entry.line) });
    });
    (window, next)
}

/// Reads the start of a long value: at least `at_most` bytes of it if it has as many.
pub(super) fn read_start(
    pages: &impl PageRead,
    tree: Option<(PageNumber, ObjectId)>,
    id: LongValueId,
    at_most: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let missing = || FormatError::corrupt(format!("long value {id} does not exist"));
    let (root, object) = tree.ok_or_else(missing)?;
    let mut scan = Tree::new(pages, root, object).seek(&id.root_key())?;
    let root = match scan.next().transpose()? {
        Some(entry) if *entry.key == *id.root_key() => LongValueRoot::decode(entry.data)?,
        _ => return Err(missing()),
    };
    if root.encrypted {
        return Err(FormatError::corrupt(format!("long value {id} is encrypted")));
    }
    let mut waiting: Option<(u32, Vec<u8>)> = None;
    loop {
        let next = match scan.next().transpose()? {
            Some(entry) => match LongValueKey::decode(entry.key)? {
                LongValueKey::Chunk(of, offset) if of == id => Some((offset, entry.data.to_vec())),
                _ => None,
            },
            None => None,
        };
        let end = next.as_ref().map_or(root.size, |(offset, _)| *offset);
        if let Some((start, stored)) = waiting.take() {
            let len = end.checked_sub(start).filter(|len| *len <= MAX_CHUNK && start as usize == out.len());
            let len = len.ok_or_else(|| FormatError::corrupt(format!("long value {id} lacks chunks")))?;
            unpack_chunk(&stored, len as usize, out)?;
        }
        waiting = next;
        if waiting.is_none() || out.len() >= at_most {
            return Ok(());
        }
    }
}
