//! External merge sort: pairs of key and data in any number, in bounded memory.
//!
//! Pairs are gathered in memory. When that is full they are sorted and written, as a run, to a scratch file;
//! in the end all runs are merged. What fits the memory never touches the disk. Who sorts says where scratch
//! files may be ([`Scratch`]); they are gone when the sort ends, and what a crash leaves of them is
//! removed by [`Scratch::sweep`].

mod merge;
mod run;
mod scratch;

pub use scratch::Scratch;

use crate::error::Result;
use merge::Merge;
use run::{Run, RunWriter};
use scratch::ScratchFile;

/// The memory of a sort in bytes, unless it is said otherwise.
pub const MEMORY: usize = 16 << 20;

/// The bytes of a run that are read at once; with them, how many runs are merged at a time.
const READ_BYTES: usize = 64 << 10;

/// One pair in memory: where it begins, the lengths of key and data.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    key: u32,
    data: u32,
}

impl Place {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at..self.at + self.key as usize]
    }

    fn data(self, bytes: &[u8]) -> &[u8] {
        let at = self.at + self.key as usize;
        &bytes[at..at + self.data as usize]
    }
}

/// Takes the pairs in any order.
pub struct Sorter<'a> {
    scratch: &'a Scratch,
    memory: usize,
    bytes: Vec<u8>,
    places: Vec<Place>,
    file: Option<ScratchFile>,
    runs: Vec<Run>,
    spilled: usize,
}

impl<'a> Sorter<'a> {
    /// A sort in so many bytes of memory, and a few KB more.
    pub fn new(scratch: &'a Scratch, memory: usize) -> Self {
        let (bytes, places) = (Vec::new(), Vec::new());
        Self { scratch, memory: memory.max(1), bytes, places, file: None, runs: Vec::new(), spilled: 0 }
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// Those of the scratch file; `OutOfMemory`.
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> Result<()> {
        let wanted = key.len() + data.len() + size_of::<Place>();
        let used = self.bytes.len() + self.places.len() * size_of::<Place>();
        if used + wanted > self.memory && !self.places.is_empty() {
            self.spill()?;
        }
        let place = Place { at: self.bytes.len(), key: key.len() as u32, data: data.len() as u32 };
        // Vectors that double would take more than what is allowed.
        reserve(&mut self.bytes, key.len() + data.len(), self.memory)?;
        reserve(&mut self.places, 1, self.memory / size_of::<Place>())?;
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(data);
        self.places.push(place);
        Ok(())
    }

    /// How many pairs have gone to the disk so far.
    pub fn spilled(&self) -> usize {
        self.spilled
    }

    /// All pairs in order: by key, equal keys by data.
    ///
    /// # Errors
    /// Those of the scratch file.
    pub fn finish(mut self) -> Result<Sorted> {
        let Some(file) = &self.file else {
            sort(&self.bytes, &mut self.places);
            return Ok(Sorted(Source::Memory { bytes: self.bytes, places: self.places, next: 0 }));
        };
        let file = file.clone();
        if !self.places.is_empty() {
            self.spill()?;
        }
        (self.bytes, self.places) = (Vec::new(), Vec::new());
        let at_once = (self.memory / READ_BYTES).max(2);
        let mut runs = std::mem::take(&mut self.runs);
        while runs.len() > at_once {
            // The oldest ones become one, behind all others.
            let rest = runs.split_off(at_once);
            let mut merge = Merge::new(&file, &runs)?;
            let mut writer = RunWriter::new(file.clone());
            while let Some((key, data)) = merge.next()? {
                writer.put(key, data)?;
            }
            runs = rest;
            runs.push(writer.finish()?);
        }
        Ok(Sorted(Source::Runs(Merge::new(&file, &runs)?)))
    }

    fn spill(&mut self) -> Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(self.scratch.create()?).clone(),
        };
        sort(&self.bytes, &mut self.places);
        let mut writer = RunWriter::new(file);
        for place in &self.places {
            writer.put(place.key(&self.bytes), place.data(&self.bytes))?;
        }
        self.runs.push(writer.finish()?);
        self.spilled += self.places.len();
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }
}

/// Makes room for `more`, twice as much as there was, but not above `most` unless one pair needs that.
fn reserve<T>(vec: &mut Vec<T>, more: usize, most: usize) -> Result<()> {
    let wanted = vec.len() + more;
    if wanted > vec.capacity() {
        let room = (vec.capacity() * 2).min(most).max(wanted);
        vec.try_reserve_exact(room - vec.len()).map_err(|_| crate::JetErr::OutOfMemory)?;
    }
    Ok(())
}

fn sort(bytes: &[u8], places: &mut [Place]) {
    places.sort_unstable_by(|a, b| {
        a.key(bytes).cmp(b.key(bytes)).then_with(|| a.data(bytes).cmp(b.data(bytes)))
    });
}

/// The pairs in order.
pub struct Sorted(Source);

enum Source {
    Memory { bytes: Vec<u8>, places: Vec<Place>, next: usize },
    Runs(Merge),
}

impl Sorted {
    /// The next pair; none behind the last one.
    ///
    /// # Errors
    /// Those of the scratch file.
    pub fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match &mut self.0 {
            Source::Memory { bytes, places, next } => {
                let place = places.get(*next).copied();
                *next += 1;
                Ok(place.map(|place| (place.key(bytes), place.data(bytes))))
            }
            Source::Runs(merge) => merge.next(),
        }
    }
}

#[cfg(test)]
mod tests;
