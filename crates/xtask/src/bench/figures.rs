//! Figures of several rounds: median and spread.

/// What several rounds gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    /// One more round.
    pub(crate) fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// This divided by another, round by round: what the machine did in a round touched both.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len(), sorted.get(sorted.len() / 2)) {
            (n, Some(upper)) if n % 2 == 0 => (sorted[n / 2 - 1] + upper) / 2.0,
            (_, Some(middle)) => *middle,
            _ => f64::NAN,
        }
    }

    /// The lowest and the highest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        self.0.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(*n), high.max(*n)))
    }

    /// Median and spread as whole numbers.
    pub(crate) fn rate(&self) -> String {
        let (low, high) = self.spread();
        format!("{:>9.0} ({low:.0}-{high:.0})", self.median())
    }

    /// Median and spread of a ratio.
    pub(crate) fn ratio(&self) -> String {
        let (low, high) = self.spread();
        format!("{:>6.2} ({low:.2}-{high:.2})", self.median())
    }
}
