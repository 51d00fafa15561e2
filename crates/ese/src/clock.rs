//! Time and chance, injected: a run with a [`SeededClock`] repeats exactly.

use ese_format::{LogTime, Signature};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sync::Mutex;

/// The engine's only source of time and randomness.
pub trait Clock: Send + Sync {
    /// The calendar time, UTC, with milliseconds.
    fn now(&self) -> LogTime;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// A random number.
    fn random_u32(&self) -> u32;

    /// A new signature: random number and the present time.
    fn new_signature(&self) -> Signature {
        Signature { random: self.random_u32(), created: self.now(), computer: [0; 16] }
    }
}

/// The machine's clock and randomness.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> LogTime {
        log_time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn random_u32(&self) -> u32 {
        // Each RandomState has keys of its own, seeded by the operating system; the time makes up for
        // the keys being counted on within a thread.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u128(self.start.elapsed().as_nanos());
        hasher.finish() as u32
    }
}

/// A clock for tests and simulation: it begins at 2026-01-01, advances one millisecond at each question
/// for the time, and its random numbers follow from the seed.
#[derive(Debug)]
pub struct SeededClock {
    state: Mutex<SeededState>,
}

#[derive(Debug)]
struct SeededState {
    elapsed: Duration,
    random: u64,
}

impl SeededClock {
    /// 2026-01-01T00:00:00Z since the Unix epoch.
    const START: Duration = Duration::from_secs(1_767_225_600);

    /// A clock of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new(SeededState { elapsed: Duration::ZERO, random: seed }) }
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.state.lock().elapsed += by;
    }

    fn tick(&self) -> Duration {
        let mut state = self.state.lock();
        state.elapsed += Duration::from_millis(1);
        state.elapsed
    }
}

impl Clock for SeededClock {
    fn now(&self) -> LogTime {
        log_time(Self::START + self.tick())
    }

    fn monotonic(&self) -> Duration {
        self.tick()
    }

    fn random_u32(&self) -> u32 {
        // SplitMix64: every seed, zero included, gives a good sequence.
        let mut state = self.state.lock();
        state.random = state.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as u32
    }
}

/// The calendar time of a duration since the Unix epoch.
pub fn log_time(since_epoch: Duration) -> LogTime {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let of_day = seconds % 86_400;
    LogTime::from_utc(
        year,
        month,
        day,
        (of_day / 3600) as u8,
        (of_day / 60 % 60) as u8,
        (of_day % 60) as u8,
        since_epoch.subsec_millis() as u16,
    )
}

/// Year, month and day of a day number since 1970-01-01. Counts in 400-year cycles whose years begin
/// in March, so that the leap day is the last of its year.
fn civil_date(days: u64) -> (u16, u8, u8) {
    let days = days + 719_468;
    let cycle = days / 146_097;
    let of_cycle = days % 146_097;
    let year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (u16::try_from(year).unwrap_or(u16::MAX), month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_dates() {
        let text = |seconds| log_time(Duration::from_secs(seconds)).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(text(1_735_689_599), "2024-12-31T23:59:59.000Z");
    }

    #[test]
    fn a_seed_repeats() {
        let (a, b, other) = (SeededClock::new(7), SeededClock::new(7), SeededClock::new(8));
        let run = |clock: &SeededClock| (clock.now(), clock.random_u32(), clock.random_u32());
        assert_eq!(run(&a), run(&b));
        assert_ne!(run(&a).1, run(&other).1);
        assert_eq!(SeededClock::new(0).now().to_string(), "2026-01-01T00:00:00.001Z");
    }

    #[test]
    fn the_system_clock_is_plausible() {
        let clock = SystemClock::new();
        assert!(clock.now().is_utc());
        assert!((2020..2155).contains(&clock.now().year()));
        assert!((0..8).map(|_| clock.random_u32()).collect::<std::collections::HashSet<_>>().len() > 1);
    }
}
