//! Several sessions interleaved, with cursors, snapshots, nested levels and prepared updates, held against a model
//! after every operation: what they see, where cursors stand, which error each refusal has.
//!
//! A failure is shrunk to few operations. `OPENESE_MODEL_CASES` runs as many sequences as it says.

mod cursor;
mod model;
mod operation;
mod run;

use ese::sync::atomic::{AtomicU32, Ordering};
use ese::table::{Prepare, Seek};
use ese_format::PageSize;
use operation::{Act, End, Operation, Set, operation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use run::{Run, SESSIONS};

fn cases() -> u32 {
    let said = std::env::var("OPENESE_MODEL_CASES").ok();
    said.map_or(48, |text| text.parse().expect("OPENESE_MODEL_CASES is no number"))
}

/// Says how many pages moved on the way.
fn check(page_size: PageSize, operations: &[(usize, Operation)]) -> u32 {
    let mut run = Run::new(page_size);
    for (session, operation) in operations {
        run.operate(*session, operation);
    }
    run.finish()
}

#[test]
fn sessions_do_what_the_model_does() {
    let config =
        Config { cases: cases(), max_shrink_iters: 2000, failure_persistence: None, ..Config::default() };
    let sizes = prop_oneof![Just(PageSize::ALL[1]), Just(PageSize::ALL[2]), Just(PageSize::ALL[4])];
    let operations = proptest::collection::vec((0..SESSIONS, operation()), 1..150);
    let moved = AtomicU32::new(0);
    let result = TestRunner::new(config).run(&(sizes, operations), |(size, operations)| {
        moved.fetch_add(check(size, &operations), Ordering::Relaxed);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let moved = moved.into_inner();
    assert!(moved > 0, "no page moved");
    println!("sessions: {moved} pages moved");
}

fn write(kind: Prepare, sets: Vec<Set>) -> Operation {
    Operation::Cursor(0, Act::Write { kind, sets, end: End::Update })
}

fn all(operations: Vec<Operation>) {
    let operations: Vec<_> = operations.into_iter().map(|operation| (0, operation)).collect();
    check(PageSize::ALL[1], &operations);
}

/// A record can say of the first of several values only that it is packed.
#[test]
fn a_packed_value_behind_a_plain_one_comes_back() {
    let note = |instance, seed| Set::Value { column: 8, instance, seed: Some(seed) };
    let begin = Operation::Begin { read_only: false };
    let sets = vec![note(1, 4), note(2, 48_260), note(3, 44_004)];
    let replace =
        write(Prepare::Replace, vec![Set::Value { column: 8, instance: 1, seed: None }, note(2, 40_004)]);
    all(vec![begin, write(Prepare::Insert, sets), Operation::Cursor(0, Act::First), replace]);
}

#[test]
fn the_deepest_level_may_change_records() {
    let mut operations = vec![Operation::Begin { read_only: false }; 8];
    operations.push(write(Prepare::Insert, Vec::new()));
    operations.push(Operation::MakeTable(1));
    all(operations);
}

#[test]
fn a_seek_that_finds_nothing_leaves_no_record_and_a_place_to_go_on_from() {
    let id = |id| write(Prepare::Insert, vec![Set::Id(id)]);
    let cursor = |act| Operation::Cursor(0, act);
    let step = |forward| cursor(Act::Step { forward, other_key: false });
    let seek = || cursor(Act::Seek(Seek::Equal, Some(4)));
    let begin = Operation::Begin { read_only: false };
    let range = || cursor(Act::Range { key: Some(9), upper: true, inclusive: true });
    all(vec![
        begin,
        id(3),
        id(8),
        seek(),
        cursor(Act::Count),
        step(true),
        seek(),
        step(false),
        seek(),
        range(),
        step(true),
    ]);
}

/// Additions of several sessions do not disturb each other, but a lock beside them does.
#[test]
fn nobody_else_adds_to_a_record_that_is_locked_whatever_came_first() {
    let begin = || Operation::Begin { read_only: false };
    let cursor = |act| Operation::Cursor(0, act);
    for first in [vec![Act::Lock, Act::Add(1)], vec![Act::Add(1), Act::Lock], vec![Act::Add(1)]] {
        let mut operations = vec![
            (0, begin()),
            (0, write(Prepare::Insert, vec![Set::Id(3)])),
            (0, Operation::Commit { lazy: true }),
        ];
        operations.extend([(0, begin()), (0, cursor(Act::First)), (0, begin())]);
        operations.extend(first.into_iter().map(|act| (0, cursor(act))));
        operations.extend([(2, begin()), (2, cursor(Act::First)), (2, cursor(Act::Add(2)))]);
        check(PageSize::ALL[1], &operations);
    }
}
