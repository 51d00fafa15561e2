//! Tables under constant change keep their size: what is deleted is taken again.

use crate::bench::{end, instance, settle};
use ese::api::{Table, Transaction};
use ese::params::ParamId;
use ese::raw::Session;
use ese_testbench::disk::{DATABASE as PATH, disk};
use ese_testbench::queue::{check_blobs, create, ids, put};
use ese_vfs::SimRng;
use std::path::Path;

/// Records that the table has at any time.
const LENGTH: i64 = 300;
/// How many come and go in one round.
const PIECE: i64 = 100;

/// How large the record of a number is.
fn bytes(id: i64) -> usize {
    match id % 10 {
        0 => 9000,
        1..=3 => 600,
        _ => 60,
    }
}

/// Which record goes.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// The oldest one: a queue.
    First,
    /// The youngest one: a stack.
    Last,
    /// Any.
    Any,
}

struct Changing<'a> {
    session: &'a Session,
    table: &'a Table<'a>,
    there: Vec<i64>,
    next: i64,
    goes: Goes,
    random: SimRng,
}

impl Changing<'_> {
    /// Some come and as many go, a few at a time.
    fn round(&mut self) {
        for _ in 0..PIECE / 10 {
            let transaction = Transaction::begin(self.session).unwrap();
            for _ in 0..10 {
                put(self.table, self.next, bytes(self.next)).unwrap();
                self.there.push(self.next);
                self.next += 1;
                if self.there.len() as i64 > LENGTH {
                    let at = match self.goes {
                        Goes::First => 0,
                        Goes::Last => self.there.len() - 1,
                        Goes::Any => self.random.below(self.there.len() as u64) as usize,
                    };
                    let id = self.there.remove(at);
                    assert!(self.table.delete(&[&id]).unwrap());
                }
            }
            transaction.commit_lazily().unwrap();
        }
    }
}

/// Pages that the table owns, and pages of them that are in use.
fn size(table: &Table<'_>) -> (u64, u64) {
    let (owned, available) = table.raw().space().unwrap();
    (owned, owned - available)
}

fn stays_flat(goes: Goes, rounds: usize) {
    let disk = disk(11);
    let instance = instance(&disk, &[(ParamId::MaxVerPages, 512)]);
    let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    let database = create(&session, Path::new(PATH));
    let others = other.open(Path::new(PATH)).unwrap();
    let (table, read) = (Table::open(&database, "Queue").unwrap(), Table::open(&others, "Queue").unwrap());
    let random = SimRng::new(77);
    let mut changing = Changing { session: &session, table: &table, there: vec![], next: 0, goes, random };
    let mut round = |most: &mut (u64, u64)| {
        changing.round();
        (0..3).for_each(|_| instance.step_jobs());
        let now = size(&table);
        *most = (most.0.max(now.0), most.1.max(now.1));
        changing.there.clone()
    };

    let mut warm = (0, 0);
    (0..12).for_each(|_| drop(round(&mut warm)));
    let file = database.pages().unwrap();
    let mut later = (0, 0);
    (0..rounds).for_each(|_| drop(round(&mut later)));
    assert!(later.0 <= warm.0 + warm.0 / 8, "{goes:?}: owned {warm:?}, then {later:?}");
    assert!(later.1 <= warm.1 + warm.1 / 8, "{goes:?}: in use {warm:?}, then {later:?}");
    assert!(database.pages().unwrap() <= file + 32, "{goes:?}: {file} pages, then more");

    // As long as somebody sees the past it takes pages; they are used again afterwards.
    other.begin_transaction(true).unwrap();
    let seen = ids(&read, None);
    let mut held = (0, 0);
    (0..8).for_each(|_| drop(round(&mut held)));
    assert_eq!(ids(&read, None), seen);
    check_blobs(&read, bytes);
    other.commit_transaction(true).unwrap();
    settle(&instance);
    let mut after = (0, 0);
    let mut last = Vec::new();
    for _ in 0..rounds / 2 {
        last = round(&mut after);
    }
    assert!(after.1 <= warm.1 + warm.1 / 4, "{goes:?}: in use {warm:?}, held {held:?}, then {after:?}");
    assert!(after.0 <= held.0.max(later.0) + 16, "{goes:?}: owned {warm:?}, held {held:?}, then {after:?}");
    settle(&instance);
    assert_eq!(instance.statistics().unwrap().version_bytes, 0, "{goes:?}");

    last.sort_unstable();
    assert_eq!(ids(&table, None), last);
    let mut by_group = ids(&table, Some("ByGroup"));
    by_group.sort_unstable();
    assert_eq!(by_group, last);
    check_blobs(&table, bytes);
    drop((table, read));
    drop((database, others));
    drop((session, other));
    end(&disk, &instance);
}

#[test]
fn a_queue_keeps_its_size() {
    stays_flat(Goes::First, 24);
}

#[test]
fn a_stack_keeps_its_size() {
    stays_flat(Goes::Last, 24);
}

#[test]
fn a_table_changed_at_random_keeps_its_size() {
    stays_flat(Goes::Any, 24);
}
