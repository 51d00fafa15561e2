//! The flags of pages and lines.

use bitflags::bitflags;

bitflags! {
    /// What kind of page this is, and how it is stored (ESE: fFlags). Unknown bits survive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PageFlags: u32 {
        /// The root of a tree, space trees included.
        const ROOT = 0x1;
        /// A leaf.
        const LEAF = 0x2;
        /// An internal page whose children are leaves.
        const PARENT_OF_LEAF = 0x4;
        /// Emptied and given back to the available space: its content does not count.
        const EMPTY = 0x8;
        /// Touched by a repair.
        const REPAIR = 0x10;
        /// Belongs to a tree of owned or available extents.
        const SPACE_TREE = 0x20;
        /// Belongs to a secondary index.
        const INDEX = 0x40;
        /// Belongs to a tree of long values.
        const LONG_VALUE = 0x80;
        /// The tree permits equal keys; their data tells them apart.
        const NON_UNIQUE_KEYS = 0x400;
        /// The record format of 1999; always set today.
        const NEW_RECORD_FORMAT = 0x800;
        /// The page carries ECC checksums; always set today.
        const NEW_CHECKSUM = 0x2000;
        /// Unused space was overwritten since the last change.
        const SCRUBBED = 0x4000;
        /// Two bits that a flush map compares: 0 unknown, else 1 to 3.
        const FLUSH_TYPE = 0x1_8000;
        /// Allocated and not used yet: a header without tags.
        const PRE_INIT = 0x2_0000;
        /// The root of a tree whose deletion was reverted.
        const FDP_DELETE = 0x4_0000;
        const _ = !0;
    }
}

bitflags! {
    /// The state of a line, as stored.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct LineFlags: u8 {
        /// Versions may exist in the memory of the engine that wrote it; without a meaning on disk.
        const VERSION = 1;
        /// Logically deleted, waiting for cleanup: to be skipped.
        const DELETED = 2;
        /// The key begins with a part of the page's prefix.
        const COMPRESSED = 4;
    }
}
