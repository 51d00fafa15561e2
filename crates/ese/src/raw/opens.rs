//! Who has tables open, and so knows where their trees begin.

use super::schema::one_less;
use crate::sync::{Condvar, Mutex};
use ese_format::ObjectId;
use std::collections::HashMap;

/// The cursors that are open on the tables of a database. Only a table without any gets another root.
#[derive(Default)]
pub(super) struct Opens {
    all: Mutex<Counts>,
    root_stays: Condvar,
}

#[derive(Default)]
struct Counts {
    /// Cursors on each table.
    tables: HashMap<ObjectId, u32>,
    /// Those who know trees of any tables.
    keepers: u32,
    /// The table one of whose roots moves.
    moving: Option<ObjectId>,
}

/// As long as this lives nobody opens the table, one of whose roots moves.
#[must_use = "others know the table again when this is dropped"]
pub(super) struct MovingRoot<'a>(&'a Opens);

impl Drop for MovingRoot<'_> {
    fn drop(&mut self) {
        self.0.all.lock().moving = None;
        self.0.root_stays.notify_all();
    }
}

/// As long as this lives no root moves.
#[must_use = "roots move again when this is dropped"]
pub(super) struct RootsStay<'a>(&'a Opens);

impl Drop for RootsStay<'_> {
    fn drop(&mut self) {
        self.0.all.lock().keepers -= 1;
    }
}

impl Opens {
    /// Somebody is about to open a table. What he reads of its definition from now on holds until he has
    /// [closed](Self::closed) it: the roots of its trees stay where they are. If one moves just now he waits.
    pub(super) fn opened(&self, table: ObjectId) {
        let mut all = self.all.lock();
        while all.moving == Some(table) {
            self.root_stays.wait(&mut all);
        }
        *all.tables.entry(table).or_default() += 1;
    }

    /// One who had it open has it no more.
    pub(super) fn closed(&self, table: ObjectId) {
        one_less(&mut self.all.lock().tables, table);
    }

    /// Cursors that are open on a table.
    pub(super) fn of(&self, table: ObjectId) -> u32 {
        self.all.lock().tables.get(&table).copied().unwrap_or(0)
    }

    /// Somebody is about to use trees of tables that he has not opened.
    pub(super) fn keep_roots(&self) -> RootsStay<'_> {
        let mut all = self.all.lock();
        while all.moving.is_some() {
            self.root_stays.wait(&mut all);
        }
        all.keepers += 1;
        RootsStay(self)
    }

    /// A root of a table's trees is about to move; none when anybody knows the table. One moves at a time.
    pub(super) fn begin_root_move(&self, table: ObjectId) -> Option<MovingRoot<'_>> {
        let mut all = self.all.lock();
        if all.keepers > 0 || all.moving.is_some() || all.tables.contains_key(&table) {
            return None;
        }
        all.moving = Some(table);
        Some(MovingRoot(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicU32, Ordering};
    use crate::sync::{Arc, thread};

    const TABLE: ObjectId = ObjectId(7);

    /// Users read where the root is when they have opened the table, and find it there until they close it.
    fn users_and_a_mover(users: u32, steps: u32) {
        let all = Arc::new((Opens::default(), AtomicU32::new(0)));
        let work = |number: u32| {
            let all = all.clone();
            let work = move || {
                let (opens, root) = &*all;
                for step in 0..steps {
                    if number == 0 {
                        if let Some(_moving) = opens.begin_root_move(TABLE) {
                            root.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                            root.fetch_add(1, Ordering::Relaxed);
                        }
                        continue;
                    }
                    let keeps = (number + step).is_multiple_of(2).then(|| opens.keep_roots());
                    if keeps.is_none() {
                        opens.opened(TABLE);
                    }
                    let known = root.load(Ordering::Relaxed);
                    thread::yield_now();
                    assert!(known % 2 == 0 && root.load(Ordering::Relaxed) == known);
                    if keeps.is_none() {
                        opens.closed(TABLE);
                    }
                }
            };
            thread::spawn("user", work).unwrap()
        };
        let threads: Vec<_> = (0..=users).map(work).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(all.0.of(TABLE), 0);
    }

    #[test]
    fn a_root_that_somebody_knows_stays() {
        users_and_a_mover(3, 300);
        let opens = Opens::default();
        opens.opened(TABLE);
        assert!(opens.begin_root_move(TABLE).is_none());
        assert!(opens.begin_root_move(ObjectId(8)).is_some());
        opens.closed(TABLE);
        let kept = opens.keep_roots();
        assert!(opens.begin_root_move(TABLE).is_none());
        drop(kept);
        let moving = opens.begin_root_move(TABLE);
        assert!(moving.is_some() && opens.begin_root_move(ObjectId(8)).is_none());
        // Other tables go on.
        opens.opened(ObjectId(8));
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_moves_a_known_root() {
        crate::sync::model::check(1, 60, || users_and_a_mover(2, 3));
    }
}
