//! What sessions do, chosen by chance.

use ese::table::{Prepare, Seek};
use proptest::prelude::*;

/// A value of a column, to be made fit for its type.
#[derive(Debug, Clone)]
pub enum Set {
    /// A column gets a value, in an instance (0: one more), or NULL.
    Value { column: u8, instance: u8, seed: Option<u16> },
    /// The long column gets bytes appended, or written at a place in it (in 256ths), where it may end.
    Long { note: bool, at: Option<u8>, len: u16, ends: bool },
    /// The key of the primary index.
    Id(u8),
    /// The key of the unique index.
    Code(Option<u8>),
    /// A value of the wrong size.
    Wrong { column: u8 },
}

/// How an update ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Update,
    Cancel,
    /// Another one is prepared first, a record is deleted: neither may be.
    Twice,
}

/// What one of a session's cursors does.
#[derive(Debug, Clone)]
pub enum Act {
    First,
    Last,
    Step { forward: bool, other_key: bool },
    Order(u8),
    Seek(Seek, Option<u8>),
    Range { key: Option<u8>, upper: bool, inclusive: bool },
    Bookmark,
    Goto(u8),
    Count,
    Read,
    Write { kind: Prepare, sets: Vec<Set>, end: End },
    Delete,
    Lock,
    Add(i8),
    Unprepared,
}

/// What a session does.
#[derive(Debug, Clone)]
pub enum Operation {
    Begin {
        read_only: bool,
    },
    Commit {
        lazy: bool,
    },
    RollBack {
        all: bool,
    },
    Cursor(u8, Act),
    MakeTable(u8),
    DropTable(u8),
    FindTable(u8),
    AddColumn(u8),
    Jobs,
    /// The file becomes as small as it can be: pages move.
    Shrink,
    Defragment,
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![
        8 => (any::<u8>(), 0..4u8, proptest::option::weighted(0.8, any::<u16>()))
            .prop_map(|(column, instance, seed)| Set::Value { column, instance, seed }),
        3 => (any::<bool>(), any::<Option<u8>>(), prop_oneof![0..300u16, 0..9000u16], any::<bool>())
            .prop_map(|(note, at, len, ends)| Set::Long { note, at, len, ends }),
        2 => (0..12u8).prop_map(Set::Id),
        2 => any::<Option<u8>>().prop_map(|code| Set::Code(code.map(|code| code % 8))),
        1 => any::<u8>().prop_map(|column| Set::Wrong { column }),
    ]
}

fn write() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![3 => Just(Prepare::Insert), 1 => Just(Prepare::InsertCopy), 3 => Just(Prepare::Replace),
        1 => Just(Prepare::CopyAndDelete), 1 => Just(Prepare::CopyAndReplace)];
    let end = prop_oneof![12 => Just(End::Update), 1 => Just(End::Cancel), 1 => Just(End::Twice)];
    (kind, proptest::collection::vec(set(), 0..6), end).prop_map(|(kind, sets, end)| Act::Write {
        kind,
        sets,
        end,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let seek = prop_oneof![
        3 => Just(Seek::Equal),
        1 => Just(Seek::Less),
        1 => Just(Seek::LessOrEqual),
        1 => Just(Seek::GreaterOrEqual),
        1 => Just(Seek::Greater)
    ];
    let key = || proptest::option::weighted(0.95, 0..14u8);
    prop_oneof![
        2 => Just(Act::First),
        2 => Just(Act::Last),
        8 => (any::<bool>(), proptest::bool::weighted(0.2)).prop_map(|(forward, other_key)| Act::Step { forward, other_key }),
        2 => (0..4u8).prop_map(Act::Order),
        6 => (seek, key()).prop_map(|(seek, key)| Act::Seek(seek, key)),
        2 => (key(), any::<bool>(), any::<bool>()).prop_map(|(key, upper, inclusive)| Act::Range { key, upper, inclusive }),
        1 => Just(Act::Bookmark),
        2 => any::<u8>().prop_map(Act::Goto),
        1 => Just(Act::Count),
        4 => Just(Act::Read),
        14 => write(),
        3 => Just(Act::Delete),
        1 => Just(Act::Lock),
        3 => any::<i8>().prop_map(Act::Add),
        1 => Just(Act::Unprepared),
    ]
}

/// What one of the sessions does.
pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => proptest::bool::weighted(0.1).prop_map(|read_only| Operation::Begin { read_only }),
        3 => any::<bool>().prop_map(|lazy| Operation::Commit { lazy }),
        1 => proptest::bool::weighted(0.3).prop_map(|all| Operation::RollBack { all }),
        40 => (0..2u8, act()).prop_map(|(cursor, act)| Operation::Cursor(cursor, act)),
        1 => (0..3u8).prop_map(Operation::MakeTable),
        1 => (0..3u8).prop_map(Operation::DropTable),
        1 => (0..3u8).prop_map(Operation::FindTable),
        1 => (0..2u8).prop_map(Operation::AddColumn),
        2 => Just(Operation::Jobs),
        1 => Just(Operation::Shrink),
        1 => Just(Operation::Defragment),
    ]
}
