//! Maps whose keys are as good as hashes already.

use std::hash::{BuildHasherDefault, Hasher};

/// A key that needs no hashing: its bits are in no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Filed(pub(super) u64);

impl Filed {
    /// The key for a number, another one for each: all its bits depend on those of the number.
    pub(super) fn scattered(number: u64) -> Self {
        // Each step can be taken back, so no two numbers meet.
        let number = (number ^ number >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(number ^ number >> 32)
    }
}

/// How maps with such keys file them.
pub(super) type Filing = BuildHasherDefault<Identity>;

/// The key itself is its hash.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn pages_are_filed_far_apart() {
        let numbers = (0..4u64).flat_map(|database| (1..5000).map(move |page| database << 32 | page));
        let keys: Vec<u64> = numbers.map(|number| Filed::scattered(number).0).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        // Maps take the low bits for the place and the high ones to tell keys apart.
        for shift in [0, 57] {
            let mut counts = [0; 64];
            keys.iter().for_each(|key| counts[(key >> shift) as usize % 64] += 1);
            assert!(counts.iter().all(|count| (200..450).contains(count)), "{shift}: {counts:?}");
        }
    }
}
