//! Many who move, and now and then one who must see all of them stand still.

use super::{Rank, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A lock for reading that its readers do not share: each takes the part that its number says, which for the
/// most part nobody else touches. Who wants all of them to stand still takes all parts, in order.
///
/// A thread must not ask for it twice.
#[derive(Debug)]
pub struct Standstill(Box<[Part]>);

/// Alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Part(RwLock<()>);

/// Parts: more than threads that run at a time on most machines, which those of the scheduler do not.
const PARTS: usize = if cfg!(feature = "sim") { 4 } else { 64 };

/// Its owner moves, until dropped.
#[must_use = "the standstill may begin when the guard is dropped"]
#[derive(Debug)]
pub struct Moving<'a>(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, ()>);

/// Nobody moves, until dropped.
#[must_use = "the standstill ends when the guard is dropped"]
pub struct Standing<'a>(#[expect(dead_code, reason = "held")] Vec<RwLockWriteGuard<'a, ()>>);

impl Default for Standstill {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Part(RwLock::ranked(Rank::Standstill, ()))).collect())
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

/// How many standstills there are for all subjects of [`Standstills`].
const PLACES: usize = 16;

/// Standstills of any number of subjects, such as tables: each has a place, which it shares with some others.
#[derive(Debug)]
pub struct Standstills([Standstill; PLACES]);

/// Where a subject has its standstill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u8);

/// Some places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places(u16);

impl Place {
    /// The place of a subject that has this number.
    pub fn of(number: u64) -> Self {
        // The upper bits of a product depend on all bits of the number.
        Self((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as u8)
    }
}

impl Places {
    /// Adds one.
    pub fn add(&mut self, place: Place) {
        self.0 |= 1 << place.0;
    }
}

impl Default for Standstills {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Standstill::default()))
    }
}

impl Standstills {
    /// Waits for the end of a standstill at one place and moves there.
    pub fn enter(&self, place: Place, number: u16) -> Moving<'_> {
        self.0[usize::from(place.0) % PLACES].enter(number)
    }

    /// The same at several places. They are entered in one order, so nobody waits in a circle; who has entered one
    /// place already must not ask for others this way.
    pub fn enter_all(&self, places: Places, number: u16) -> [Option<Moving<'_>>; PLACES] {
        std::array::from_fn(|at| (places.0 >> at & 1 != 0).then(|| self.0[at].enter(number)))
    }

    /// Waits until nobody moves at a place, and keeps it so.
    pub fn stop(&self, place: Place) -> Standing<'_> {
        self.0[usize::from(place.0) % PLACES].stop()
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

    /// Who enters several places moves at none of them while one stands still, and others go on.
    fn places_stand_still_by_themselves(movers: u16, steps: u32) {
        let all = Arc::new((Standstills::default(), [const { AtomicU32::new(0) }; 3]));
        let places = [Place(1), Place(4), Place(15)];
        let work = |number: u16| {
            let all = all.clone();
            let work = move || {
                let (standstills, counts) = &*all;
                for step in 0..steps {
                    let at = (step + u32::from(number)) as usize % 3;
                    if number == 0 {
                        let _standing = standstills.stop(places[at]);
                        let seen = counts[at].load(Ordering::Relaxed);
                        thread::yield_now();
                        assert_eq!(counts[at].load(Ordering::Relaxed), seen);
                        continue;
                    }
                    let mut some = Places::default();
                    let wanted = [at, (at + 1) % 3];
                    wanted.iter().for_each(|at| some.add(places[*at]));
                    let _moving = standstills.enter_all(some, number);
                    for at in wanted {
                        counts[at].fetch_add(1, Ordering::Relaxed);
                    }
                    thread::yield_now();
                }
            };
            thread::spawn("mover", work).unwrap()
        };
        let threads: Vec<_> = (0..=movers).map(work).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let sum: u32 = all.1.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, u32::from(movers) * steps * 2);
    }

    #[test]
    fn one_place_stands_still() {
        places_stand_still_by_themselves(4, 300);
        let mut seen = [false; PLACES];
        (0..500u64).for_each(|number| seen[usize::from(Place::of(number).0)] = true);
        assert_eq!(seen, [true; PLACES]);
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_moves_at_a_place_that_stands_still() {
        crate::sync::model::check(2, 50, || places_stand_still_by_themselves(3, 3));
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_moves_at_a_standstill() {
        crate::sync::model::check(1, 50, || movers_and_standstills(3, 3));
    }
}
