//! What a rollback knows of the change that it takes back.

/// The reverse of a change, from its entry in the version store. An undo record names only the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone<'a> {
    /// An insert: the node is flagged deleted, and cleanup removes it later.
    Insert,
    /// A replace: the old data come back.
    Replace {
        /// The data before.
        before: &'a [u8],
        /// What the change added to the bytes that the page keeps for a rollback (ESE: cbDelta); taken back.
        reserved: i32,
    },
    /// A flag delete: the flag goes.
    FlagDelete,
    /// An addition to a number of four bytes: it is subtracted.
    Delta {
        /// What was added.
        delta: i32,
        /// Where the number stands in the node's data.
        offset: u16,
    },
    /// The same for a number of eight bytes.
    Delta64 {
        /// What was added.
        delta: i64,
        /// Where the number stands in the node's data.
        offset: u16,
    },
}
