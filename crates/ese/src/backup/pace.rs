//! How fast a backup goes while others wait for the log.
//!
//! A backup reads and its client writes as fast as the device lets them, and every commit then waits in the
//! device's queue behind that. So a backup rests as long as it worked whenever somebody had to wait for the log
//! meanwhile: it takes half of the time at most, and all of it while nobody commits.

use std::time::Duration;

/// Work is gathered up to this much: a shorter rest costs more than it gives.
const LEAST: Duration = Duration::from_millis(1);

/// The longest rest for a megabyte. A client that is slower by itself, over a network say, leaves the device alone for
/// most of the time already and need not take twice as long.
const MOST_PER_MIB: Duration = Duration::from_millis(4);

/// What a backup did since it last rested.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When that was, and how often somebody had waited for the log until then.
    rested: Option<(Duration, u64)>,
    /// Bytes delivered since.
    bytes: u64,
}

impl Pace {
    /// So many bytes were delivered.
    pub(super) fn delivered(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// How long to rest now, before the next read. `now` is monotonic, `waits` counts how often somebody found that
    /// what it wants to commit was not durable yet.
    pub(super) fn rest(&mut self, now: Duration, waits: u64) -> Duration {
        let Some((since, waits_then)) = self.rested else {
            self.begin(now, waits);
            return Duration::ZERO;
        };
        let worked = now.saturating_sub(since);
        if worked < LEAST {
            return Duration::ZERO;
        }
        let most = MOST_PER_MIB.mul_f64(self.bytes as f64 / f64::from(1 << 20));
        let rest = if waits > waits_then { worked.min(most) } else { Duration::ZERO };
        self.begin(now.saturating_add(rest), waits);
        rest
    }

    fn begin(&mut self, now: Duration, waits: u64) {
        (self.rested, self.bytes) = (Some((now, waits)), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn it_rests_as_long_as_it_worked_if_others_waited() {
        let mut pace = Pace::default();
        assert_eq!(pace.rest(MILLI, 5), Duration::ZERO);
        pace.delivered(1 << 20);
        // Too short to be worth it, then gathered.
        assert_eq!(pace.rest(MILLI * 3 / 2, 6), Duration::ZERO);
        pace.delivered(1 << 20);
        assert_eq!(pace.rest(MILLI * 4, 6), MILLI * 3);
        // Nobody has waited since, whatever was before.
        pace.delivered(1 << 20);
        assert_eq!(pace.rest(MILLI * 9, 6), Duration::ZERO);
    }

    #[test]
    fn the_rest_is_no_work() {
        let mut pace = Pace::default();
        pace.rest(Duration::ZERO, 0);
        pace.delivered(1 << 20);
        assert_eq!(pace.rest(MILLI * 2, 1), MILLI * 2);
        pace.delivered(1 << 20);
        // Awake again at 4, one more has passed.
        assert_eq!(pace.rest(MILLI * 5, 2), MILLI);
    }

    #[test]
    fn a_slow_client_is_not_held_up_much() {
        let mut pace = Pace::default();
        pace.rest(Duration::ZERO, 0);
        pace.delivered(1 << 19);
        assert_eq!(pace.rest(MILLI * 500, 100), MILLI * 2);
        // One that reads nothing owes nothing.
        assert_eq!(pace.rest(MILLI * 900, 200), Duration::ZERO);
    }
}
