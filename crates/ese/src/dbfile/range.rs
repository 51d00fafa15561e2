//! Ranges of pages that are being read as a whole, or written.
//!
//! A page write that meets a large read could be seen half done. So whoever reads pages behind the cache's
//! back (a backup) and whoever writes pages keep off each other where their ranges overlap. This is held
//! across I/O, and only across that: nothing is waited for under it.

use crate::sync::{Condvar, Mutex};
use ese_format::PageNumber;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

#[derive(Default)]
pub(super) struct Ranges {
    held: Mutex<Vec<Range>>,
    freed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: PageNumber,
    last: PageNumber,
    access: Access,
}

impl Range {
    fn excludes(&self, other: &Range) -> bool {
        self.access != other.access && self.first <= other.last && other.first <= self.last
    }
}

/// A held range, given back on drop.
pub(super) struct HeldRange<'a> {
    ranges: &'a Ranges,
    range: Range,
}

impl Ranges {
    /// Waits until nobody accesses any of `count` pages from `first` on in the other way.
    pub(super) fn hold(&self, first: PageNumber, count: usize, access: Access) -> HeldRange<'_> {
        let last = first.0.saturating_add(u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(1));
        let range = Range { first, last: PageNumber(last), access };
        let mut held = self.held.lock();
        while held.iter().any(|other| other.excludes(&range)) {
            self.freed.wait(&mut held);
        }
        held.push(range);
        HeldRange { ranges: self, range }
    }
}

impl Drop for HeldRange<'_> {
    fn drop(&mut self) {
        let mut held = self.ranges.held.lock();
        if let Some(at) = held.iter().position(|range| *range == self.range) {
            held.swap_remove(at);
        }
        drop(held);
        self.ranges.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, thread};

    #[test]
    fn only_the_other_kind_in_the_same_place_waits() {
        let ranges = Arc::new(Ranges::default());
        let read = ranges.hold(PageNumber(10), 10, Access::Read);
        drop(ranges.hold(PageNumber(12), 3, Access::Read));
        drop(ranges.hold(PageNumber(9), 1, Access::Write));
        drop(ranges.hold(PageNumber(20), 5, Access::Write));
        let order = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (ranges, order) = (ranges.clone(), order.clone());
            thread::spawn("writer", move || {
                let _held = ranges.hold(PageNumber(19), 2, Access::Write);
                order.lock().push("written");
            })
        };
        thread::sleep(std::time::Duration::from_millis(20));
        order.lock().push("read");
        drop(read);
        writer.unwrap().join().unwrap();
        assert_eq!(*order.lock(), ["read", "written"]);
        assert!(ranges.held.lock().is_empty());
    }
}
