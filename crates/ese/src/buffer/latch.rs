//! The latch of a page: who may look at its content and who may change it.
//!
//! Three modes: *shared* (many), *upgradable* (one, beside shared ones), *exclusive* (one, alone). The
//! content is lent out with the latch, so no guard needs a lifetime: shared and upgradable holders have a
//! counted reference, the exclusive one has the only reference and may change the content through it.
//!
//! Invariants: `content` is `None` exactly while the latch is held exclusively; a holder gives its reference
//! back before it stops being counted, so an exclusive holder's reference is the only one but for those who only
//! remember the content: they learn from [`Changes`] that it is no longer the page's. Who waits for
//! exclusive access goes before new readers, so a thread must never ask for a latch that it holds.

use super::remembered::Changes;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A latch and what it protects.
pub(super) struct Latch<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    content: Option<Arc<T>>,
    readers: u32,
    upgradable: bool,
    /// Threads that wait for exclusive access.
    wanted: u32,
    /// Threads that wait for anything.
    waiting: u32,
    changes: Changes,
}

/// How a latch is to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Upgradable,
    Exclusive,
}

impl<T> State<T> {
    /// The content, if it can be had in that mode now; else nothing has changed.
    fn grant(&mut self, mode: Mode) -> Option<Arc<T>> {
        match mode {
            Mode::Shared if self.wanted == 0 => {
                let content = self.content.clone()?;
                self.readers += 1;
                Some(content)
            }
            Mode::Upgradable if self.wanted == 0 && !self.upgradable => {
                let content = self.content.clone()?;
                self.upgradable = true;
                Some(content)
            }
            Mode::Exclusive if !self.upgradable => self.grant_alone(),
            _ => None,
        }
    }

    /// The content for its only holder, if nobody reads it.
    fn grant_alone(&mut self) -> Option<Arc<T>> {
        if self.readers != 0 {
            return None;
        }
        let content = self.content.take()?;
        self.changes.count();
        Some(content)
    }
}

impl<T> Latch<T> {
    /// A latch that its maker holds exclusively, with the content.
    pub(super) fn new_exclusive(content: T) -> (Self, Arc<T>) {
        let state = State {
            content: None,
            readers: 0,
            upgradable: false,
            wanted: 0,
            waiting: 0,
            changes: Changes::default(),
        };
        (Self { state: Mutex::new(state), changed: Condvar::new() }, Arc::new(content))
    }

    /// Takes the latch in a mode, waiting for others if need be.
    pub(super) fn take(&self, mode: Mode) -> Arc<T> {
        let mut state = self.state.lock();
        if let Some(content) = state.grant(mode) {
            return content;
        }
        let wanted = u32::from(mode == Mode::Exclusive);
        state.wanted += wanted;
        let content = self.wait(&mut state, |state| state.grant(mode));
        state.wanted -= wanted;
        content
    }

    /// Takes the latch if that needs no waiting.
    pub(super) fn try_take(&self, mode: Mode) -> Option<Arc<T>> {
        self.state.lock().grant(mode)
    }

    /// Gives the latch back that was held in a mode.
    pub(super) fn release(&self, mode: Mode, content: Arc<T>) {
        let mut state;
        match mode {
            Mode::Shared => {
                drop(content);
                state = self.state.lock();
                state.readers -= 1;
                if state.readers != 0 {
                    return;
                }
            }
            Mode::Upgradable => {
                drop(content);
                state = self.state.lock();
                state.upgradable = false;
            }
            Mode::Exclusive => {
                state = self.state.lock();
                state.content = Some(content);
            }
        }
        self.wake(state);
    }

    /// From upgradable to exclusive: waits for the readers that are there; new ones wait.
    pub(super) fn upgrade(&self, content: Arc<T>) -> Arc<T> {
        drop(content);
        let mut state = self.state.lock();
        state.wanted += 1;
        let content = self.wait(&mut state, State::grant_alone);
        state.wanted -= 1;
        state.upgradable = false;
        content
    }

    /// From upgradable to shared.
    pub(super) fn weaken(&self, content: Arc<T>) -> Arc<T> {
        let mut state = self.state.lock();
        state.readers += 1;
        state.upgradable = false;
        self.wake(state);
        content
    }

    /// From exclusive to a weaker mode, without a moment in which others could change the content.
    pub(super) fn downgrade(&self, mode: Mode, content: Arc<T>) -> Arc<T> {
        let mut state = self.state.lock();
        state.content = Some(content.clone());
        match mode {
            Mode::Shared => state.readers += 1,
            Mode::Upgradable => state.upgradable = true,
            Mode::Exclusive => state.content = None,
        }
        self.wake(state);
        content
    }

    /// What tells those who remember the content that it is no longer this.
    pub(super) fn changes(&self) -> Changes {
        self.state.lock().changes.clone()
    }

    fn wait<R>(
        &self,
        state: &mut MutexGuard<'_, State<T>>,
        mut grant: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> R {
        loop {
            if let Some(granted) = grant(state) {
                return granted;
            }
            state.waiting += 1;
            crate::sync::waiting(|| self.changed.wait(state));
            state.waiting -= 1;
        }
    }

    fn wake(&self, state: MutexGuard<'_, State<T>>) {
        let anyone = state.waiting != 0;
        drop(state);
        if anyone {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latch() -> Latch<u32> {
        let (latch, content) = Latch::new_exclusive(7);
        latch.release(Mode::Exclusive, content);
        latch
    }

    #[test]
    fn modes_exclude_each_other_as_promised() {
        use Mode::*;
        for (held, wanted, granted) in [
            (Shared, Shared, true),
            (Shared, Upgradable, true),
            (Shared, Exclusive, false),
            (Upgradable, Shared, true),
            (Upgradable, Upgradable, false),
            (Upgradable, Exclusive, false),
            (Exclusive, Shared, false),
            (Exclusive, Upgradable, false),
            (Exclusive, Exclusive, false),
        ] {
            let latch = latch();
            let first = latch.take(held);
            let second = latch.try_take(wanted);
            assert_eq!(second.is_some(), granted, "{held:?}, then {wanted:?}");
            if let Some(second) = second {
                latch.release(wanted, second);
            }
            latch.release(held, first);
            let alone = latch.take(Exclusive);
            assert_eq!((Arc::strong_count(&alone), *alone), (1, 7));
        }
    }

    #[test]
    fn an_exclusive_holder_has_the_only_reference() {
        let latch = latch();
        let upgradable = latch.take(Mode::Upgradable);
        let mut content = latch.upgrade(upgradable);
        *Arc::get_mut(&mut content).unwrap() = 8;
        let content = latch.downgrade(Mode::Shared, content);
        assert_eq!(*content, 8);
        assert!(latch.try_take(Mode::Exclusive).is_none());
        let other = latch.take(Mode::Shared);
        latch.release(Mode::Shared, other);
        latch.release(Mode::Shared, content);
        let content = latch.try_take(Mode::Exclusive).unwrap();
        latch.release(Mode::Exclusive, content);
    }

    /// Threads that take the latch in all ways and count what they see.
    #[cfg(feature = "sim")]
    fn count_in_all_modes() {
        use crate::sync::thread;
        let latch = Arc::new(latch());
        let add = |content: &mut Arc<u32>| *Arc::get_mut(content).unwrap() += 1;
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let latch = latch.clone();
                let work = move || {
                    for step in 0..4 {
                        match (number + step) % 4 {
                            0 => {
                                let mut content = latch.take(Mode::Exclusive);
                                add(&mut content);
                                let content = latch.downgrade(Mode::Shared, content);
                                latch.release(Mode::Shared, content);
                            }
                            1 => {
                                let content = latch.take(Mode::Upgradable);
                                let before = *content;
                                let mut content = latch.upgrade(content);
                                assert_eq!(*content, before, "nobody comes between");
                                add(&mut content);
                                latch.release(Mode::Exclusive, content);
                            }
                            2 => {
                                let content = latch.take(Mode::Upgradable);
                                let content = latch.weaken(content);
                                latch.release(Mode::Shared, content);
                            }
                            _ => {
                                let content = latch.take(Mode::Shared);
                                let before = *content;
                                thread::yield_now();
                                assert_eq!(*content, before);
                                latch.release(Mode::Shared, content);
                            }
                        }
                    }
                };
                thread::spawn("worker", work).unwrap()
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // Of four steps each thread takes one of each kind; two of them add.
        assert_eq!(*latch.try_take(Mode::Exclusive).unwrap(), 7 + 8);
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_breaks_the_latch() {
        crate::sync::model::check(1, 2000, count_in_all_modes);
    }
}
