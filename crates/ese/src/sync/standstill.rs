//! Many who move, and now and then one who must see all of them stand still.

use super::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A lock for reading that its readers do not share: each takes the part that its number says, which for the
/// most part nobody else touches. Who wants all of them to stand still takes all parts, in order.
///
/// A thread must not ask for it twice.
#[derive(Debug)]
pub struct Standstill(Box<[Part]>);

/// Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(RwLock<()>);

/// Parts: more than threads that run at a time on most machines.
const PARTS: usize = 64;

/// Its owner moves, until dropped.
#[must_use = "the standstill may begin when the guard is dropped"]
#[derive(Debug)]
pub struct Moving<'a>(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, ()>);

/// Nobody moves, until dropped.
#[must_use = "the standstill ends when the guard is dropped"]
pub struct Standing<'a>(#[expect(dead_code, reason = "held")] Vec<RwLockWriteGuard<'a, ()>>);

impl Default for Standstill {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Part::default()).collect())
    }
}

impl Standstill {
    /// Waits for the end of a standstill and moves. `number` is the mover's: those with different ones seldom
    /// meet.
    pub fn enter(&self, number: u16) -> Moving<'_> {
        Moving(self.0[usize::from(number) % self.0.len()].0.read())
    }

    /// Waits until nobody moves, and keeps it so.
    pub fn stop(&self) -> Standing<'_> {
        Standing(self.0.iter().map(|part| part.0.write()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicU32, Ordering};
    use crate::sync::{Arc, thread};

    /// Two numbers go up together in each step of a mover, and are equal whenever nobody moves.
    fn movers_and_standstills(movers: u16, steps: u32) {
        let all = Arc::new((Standstill::default(), AtomicU32::new(0), AtomicU32::new(0)));
        let work = |number: u16| {
            let all = all.clone();
            let work = move || {
                let (standstill, first, second) = &*all;
                for step in 0..steps {
                    if (step + u32::from(number)) % 3 == 0 {
                        let _standing = standstill.stop();
                        let seen = first.load(Ordering::Relaxed);
                        thread::yield_now();
                        assert_eq!(second.load(Ordering::Relaxed), seen);
                    } else {
                        let _moving = standstill.enter(number);
                        first.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        second.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            thread::spawn("mover", work).unwrap()
        };
        let threads: Vec<_> = (0..movers).map(work).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(all.1.load(Ordering::Relaxed), u32::from(movers) * steps / 3 * 2);
    }

    #[test]
    fn nobody_moves_at_a_standstill() {
        movers_and_standstills(4, 300);
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_moves_at_a_standstill() {
        crate::sync::model::check(1, 50, || movers_and_standstills(3, 3));
    }
}
