//! Numbers that a run takes from its environment.

/// The number in a variable of the environment, if that is set.
///
/// # Panics
/// When it holds no number.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}
