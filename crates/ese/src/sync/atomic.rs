//! Atomic numbers and flags.
//!
//! In a model every access is a point where another thread may come first; orderings weaker than
//! sequential are not explored.

pub use std::sync::atomic::Ordering;
#[cfg(not(feature = "sim"))]
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

#[cfg(feature = "sim")]
pub use switching::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

#[cfg(feature = "sim")]
mod switching {
    use super::Ordering;
    use crate::sync::model::switch;

    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            /// As the standard library's type of this name.
            #[derive(Debug, Default)]
            pub struct $name(std::sync::atomic::$name);

            impl $name {
                /// A new one.
                pub const fn new(value: $value) -> Self {
                    Self(std::sync::atomic::$name::new(value))
                }

                /// Reads.
                pub fn load(&self, order: Ordering) -> $value {
                    switch();
                    self.0.load(order)
                }

                /// Writes.
                pub fn store(&self, value: $value, order: Ordering) {
                    switch();
                    self.0.store(value, order)
                }

                /// Writes; returns what was there.
                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    switch();
                    self.0.swap(value, order)
                }

                /// Writes `new` if `current` is there; returns what was there.
                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    switch();
                    self.0.compare_exchange(current, new, success, failure)
                }

                /// Replaces what is there by what `f` makes of it; returns what was there.
                pub fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    f: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    switch();
                    self.0.fetch_update(set, fetch, f)
                }

                /// The value.
                pub fn into_inner(self) -> $value {
                    self.0.into_inner()
                }
            }
        };
    }

    macro_rules! number {
        ($name:ident, $value:ty) => {
            atomic!($name, $value);
            number!(@ $name, $value, fetch_add, fetch_sub, fetch_max, fetch_min);
        };
        (@ $name:ident, $value:ty, $($method:ident),*) => {
            impl $name {
                $(
                    /// As the standard library's method of this name; returns what was there.
                    pub fn $method(&self, value: $value, order: Ordering) -> $value {
                        switch();
                        self.0.$method(value, order)
                    }
                )*
            }
        };
    }

    atomic!(AtomicBool, bool);
    number!(AtomicI32, i32);
    number!(AtomicU8, u8);
    number!(AtomicU32, u32);
    number!(AtomicU64, u64);
    number!(AtomicUsize, usize);
}
