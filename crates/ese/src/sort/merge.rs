//! Several runs as one.

use super::run::{Run, RunReader};
use super::scratch::ScratchFile;
use crate::error::Result;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// A run with its first pair that is not taken.
struct Head {
    key: Vec<u8>,
    data: Vec<u8>,
    run: RunReader,
}

impl Ord for Head {
    /// The lowest pair is on top of the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.key, &other.data).cmp(&(&self.key, &self.data))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Gives the pairs of all runs in order.
pub(super) struct Merge {
    heads: BinaryHeap<Head>,
    /// The pair on top was given out.
    is_taken: bool,
}

impl Merge {
    pub(super) fn new(file: &ScratchFile, runs: &[Run]) -> Result<Self> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for run in runs {
            let run = RunReader::new(file.clone(), *run);
            let mut head = Head { key: Vec::new(), data: Vec::new(), run };
            if head.run.next(&mut head.key, &mut head.data)? {
                heads.push(head);
            }
        }
        Ok(Self { heads, is_taken: false })
    }

    pub(super) fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if std::mem::replace(&mut self.is_taken, true)
            && let Some(mut top) = self.heads.peek_mut()
        {
            let head = &mut *top;
            if !head.run.next(&mut head.key, &mut head.data)? {
                PeekMut::pop(top);
            }
        }
        Ok(self.heads.peek().map(|head| (&head.key[..], &head.data[..])))
    }
}
