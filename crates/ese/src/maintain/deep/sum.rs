//! Sums that tell whether two sets are equal without holding either.

use std::hash::{DefaultHasher, Hasher};

/// How many members a set has and the sum of their hashes: equal for equal sets in whatever order, different
/// for different ones but by a chance of 2^-128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SetSum {
    pub(super) count: u64,
    sum: u128,
}

impl SetSum {
    /// Adds a pair of byte strings.
    pub(super) fn add(&mut self, key: &[u8], data: &[u8]) {
        self.add_times(1, key, data);
    }

    /// Adds the same pair several times.
    pub(super) fn add_times(&mut self, times: u32, key: &[u8], data: &[u8]) {
        self.count = self.count.wrapping_add(times.into());
        self.sum = self.sum.wrapping_add(hash(key, data).wrapping_mul(times.into()));
    }
}

fn hash(key: &[u8], data: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write_usize(key.len());
        hasher.write(key);
        hasher.write(data);
        u128::from(hasher.finish())
    };
    half(0x51) << 64 | half(0xA7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_content_does() {
        let sum = |pairs: &[(&[u8], &[u8])]| {
            let mut sum = SetSum::default();
            pairs.iter().for_each(|(key, data)| sum.add(key, data));
            sum
        };
        assert_eq!(sum(&[(b"a", b"1"), (b"b", b"2")]), sum(&[(b"b", b"2"), (b"a", b"1")]));
        assert_ne!(sum(&[(b"a", b"1"), (b"b", b"2")]), sum(&[(b"a", b"2"), (b"b", b"1")]));
        assert_ne!(sum(&[(b"ab", b"c")]), sum(&[(b"a", b"bc")]));
        let mut twice = SetSum::default();
        twice.add_times(2, b"a", b"1");
        assert_eq!(twice, sum(&[(b"a", b"1"), (b"a", b"1")]));
    }
}
