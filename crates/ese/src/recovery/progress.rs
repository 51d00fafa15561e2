//! How far redo is.

use ese_format::{Generation, LogPosition};

/// Positions of redo as whole per cents of the generations to replay.
#[derive(Debug, Clone, Copy)]
pub struct Percent {
    first: Generation,
    last: Generation,
    told: u32,
}

impl Percent {
    /// A measure of these generations.
    pub fn new(first: Generation, last: Generation) -> Self {
        Self { first, last, told: 0 }
    }

    /// The per cents at a position, when there are more of them than were told before. 100 is never told:
    /// recovery is not done when redo is.
    pub fn at(&mut self, at: LogPosition) -> Option<u32> {
        let total = u64::from(self.last.0.saturating_sub(self.first.0)) + 1;
        let done = u64::from(at.generation.0.saturating_sub(self.first.0));
        let percent = u32::try_from(done * 100 / total).unwrap_or(100).min(99);
        (percent > self.told).then(|| {
            self.told = percent;
            percent
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_generations_and_stays_below_a_hundred() {
        let mut percent = Percent::new(Generation(3), Generation(6));
        let mut told = |generation| percent.at(LogPosition::start_of(Generation(generation)));
        let heard: Vec<_> = [3, 4, 4, 3, 6, 7, 9].into_iter().map(&mut told).collect();
        assert_eq!(heard, [None, Some(25), None, None, Some(75), Some(99), None]);
    }
}
