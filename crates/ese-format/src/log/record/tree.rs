//! Records that change the shape of trees: splits, merges, moves, new trees and their space.

use super::field::{Description, Field, FieldValue, LongBytes, coded, corrupt, record, short_length};
use super::node::{NodePrefix, PagePrefix};
use crate::error::Result;
use crate::log::bytes::{Reader, Writer};
use crate::primitives::{DbTime, ObjectId, PageNumber};

record! {
    /// A tree with space trees of its own is created.
    CreateMultipleExtentFdp {
        /// The root page.
        page: PagePrefix = "page",
        /// Object id.
        object: ObjectId = "objidFDP",
        /// Root of the tree of owned extents.
        owned: PageNumber = "pgnoOE",
        /// Root of the tree of available extents.
        available: PageNumber = "pgnoAE",
        /// Root of the tree that gave the space; 0 for the database root.
        parent: PageNumber = "pgnoFDPParent",
        /// Pages of the primary extent.
        primary_pages: u32 = "cpgPrimary",
        /// Flags of the new pages.
        page_flags: u32 = "pageFlagsNew",
    }
}

record! {
    /// A tree that keeps its space in its root is created.
    CreateSingleExtentFdp {
        /// The root page.
        page: PagePrefix = "page",
        /// Object id.
        object: ObjectId = "objidFDP",
        /// Root of the tree that gave the space.
        parent: PageNumber = "pgnoFDPParent",
        /// Pages of the primary extent.
        primary_pages: u32 = "cpgPrimary",
        /// Flags of the new page.
        page_flags: u32 = "pageFlagsNew",
    }
}

record! {
    /// A tree gets space trees; the obsolete form.
    ConvertFdp {
        /// The root page.
        page: PagePrefix = "page",
        /// Object id.
        object: ObjectId = "objidFDP",
        /// Root of the tree of owned extents.
        owned: PageNumber = "pgnoOE",
        /// Root of the tree of available extents.
        available: PageNumber = "pgnoAE",
        /// Root of the parent tree.
        parent: PageNumber = "pgnoFDPParent",
        /// First page of the secondary extent.
        secondary_first: PageNumber = "pgnoSecondaryFirst",
        /// Pages of the primary extent.
        primary_pages: u32 = "cpgPrimary",
        /// Pages of the secondary extent.
        secondary_pages: u32 = "cpgSecondary",
    }
}

record! {
    /// A tree that kept its space in its root gets space trees.
    ConvertFdp2 {
        /// The root page.
        page: PagePrefix = "page",
        /// Object id.
        object: ObjectId = "objidFDP",
        /// Root of the tree of owned extents.
        owned: PageNumber = "pgnoOE",
        /// Root of the tree of available extents.
        available: PageNumber = "pgnoAE",
        /// Root of the parent tree.
        parent: PageNumber = "pgnoFDPParent",
        /// First page of the secondary extent; the two space trees' roots come first in it.
        secondary_first: PageNumber = "pgnoSecondaryFirst",
        /// Pages of the primary extent.
        primary_pages: u32 = "cpgPrimary",
        /// Pages of the secondary extent.
        secondary_pages: u32 = "cpgSecondary",
        /// Pages of the primary extent that are still available; bit 0 is the page behind the root.
        available_bits: u32 = "rgbitAvail",
        /// Flags of the new pages.
        page_flags: u32 = "pageFlagsNew",
    }
}

coded! {
    /// The kind of a split.
    SplitKind: u8 {
        /// The root gets a level below it.
        Vertical = 0,
        /// Lines move to a new right neighbour.
        Right = 1,
        /// A new right neighbour takes only the new line.
        Append = 2,
    }
}

coded! {
    /// The operation that made a split necessary and is part of it.
    SplitOperation: u8 {
        /// None; the operation follows when the split is done.
        None = 0,
        /// An insert.
        Insert = 1,
        /// A replace.
        Replace = 2,
        /// A reinsertion with other data.
        FlagInsertAndReplaceData = 3,
    }
}

/// Declares the two forms of the split record.
macro_rules! split_record {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $extra:ident: $ty:ty = $ese:literal,)* } tail $($tail:ident)*;) => {
        record! {
            $(#[$doc])*
            $name {
                /// The page that is split.
                page: PagePrefix = "page",
                /// The new page; 0 where this level only gets one more child.
                new_page: PageNumber = "pgnoNew",
                /// Right neighbour before the split, on the leaf level.
                right: PageNumber = "pgnoRight",
                /// Its dbtime before.
                right_before: DbTime = "dbtimeRightBefore",
                /// Parent; 0 for the root.
                parent: PageNumber = "pgnoParent",
                /// Its dbtime before.
                parent_before: DbTime = "dbtimeParentBefore",
                /// Root of the tree.
                root: PageNumber = "pgnoFDP",
                /// Object id of the tree.
                object: ObjectId = "objidFDP",
                /// Kind.
                kind: SplitKind = "splitType",
                /// Operation that is part of the split.
                operation: SplitOperation = "splitOper",
                /// Line of that operation.
                operation_line: u16 = "ilineOper",
                /// First line that moves.
                split_line: u16 = "ilineSplit",
                /// Lines of the page with the operation done.
                lines: u16 = "clines",
                /// Flags of the new page.
                new_page_flags: u32 = "newPageFlags",
                /// Flags of the split page afterwards.
                split_page_flags: u32 = "splitPageFlags",
                /// Uncommitted free bytes of the split page afterwards.
                split_uncommitted_free: i16 = "cbUncFreeSrc",
                /// Uncommitted free bytes of the new page.
                new_uncommitted_free: i16 = "cbUncFreeDest",
                /// Line whose key becomes the split page's prefix; -1: unchanged.
                split_prefix_line: i32 = "ilinePrefixSplit",
                /// Line whose key becomes the new page's prefix, from the split line on; -1: none.
                new_prefix_line: i32 = "ilinePrefixNew",
                /// The split page's prefix before.
                old_prefix: Vec<u8> = "cbPrefixSplitOld",
                /// The split page's prefix afterwards.
                new_prefix: Vec<u8> = "cbPrefixSplitNew",
                /// Key of the new separator in the parent.
                separator: Vec<u8> = "cbKeyParent",
                $($(#[$fdoc])* $extra: $ty = $ese,)*
            }
            tail separator old_prefix new_prefix $($tail)*;
        }
    };
}

split_record! {
    /// A page is split; the obsolete form without the page's image.
    Split {}
    tail;
}

split_record! {
    /// A page is split: one record for each level of the path, from the root down.
    Split2 {
        /// How the image is packed: [`IMAGE_DEHYDRATED`], [`IMAGE_COMPRESSED`].
        image_flags: u32 = "preimageFlags",
        /// The page before the split, where redo may need it; else empty.
        image: LongBytes = "cbPageBeforeImage",
    }
    tail image;
}

/// Flag of a page image: the free gap is left out.
pub const IMAGE_DEHYDRATED: u32 = 1;
/// Flag of a page image: it is compressed.
pub const IMAGE_COMPRESSED: u32 = 2;

coded! {
    /// The kind of a merge.
    MergeKind: u8 {
        /// This level only loses a child or changes a key.
        None = 0,
        /// The page has no nodes left.
        EmptyPage = 1,
        /// All nodes move to the right neighbour.
        FullRight = 2,
        /// Some nodes move to the right neighbour.
        PartialRight = 3,
        /// The whole tree becomes empty.
        EmptyTree = 4,
        /// All nodes move to the left neighbour.
        FullLeft = 5,
        /// Some nodes move to the left neighbour.
        PartialLeft = 6,
        /// The page moves elsewhere; such a move has a record of its own.
        PageMove = 7,
    }
}

/// Declares the two forms of the merge record.
macro_rules! merge_record {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $extra:ident: $ty:ty = $ese:literal,)* } tail $($tail:ident)*;) => {
        record! {
            $(#[$doc])*
            $name {
                /// The page that loses nodes.
                page: PagePrefix = "page",
                /// Right neighbour.
                right: PageNumber = "pgnoRight",
                /// Its dbtime before.
                right_before: DbTime = "dbtimeRightBefore",
                /// Left neighbour.
                left: PageNumber = "pgnoLeft",
                /// Its dbtime before.
                left_before: DbTime = "dbtimeLeftBefore",
                /// Parent.
                parent: PageNumber = "pgnoParent",
                /// Its dbtime before.
                parent_before: DbTime = "dbtimeParentBefore",
                /// Root of the tree.
                root: PageNumber = "pgnoFDP",
                /// Object id of the tree.
                object: ObjectId = "objidFDP",
                /// Bytes that move.
                total_bytes: i16 = "cbSizeTotal",
                /// Bytes that move, with what a rollback may need.
                total_max_bytes: i16 = "cbSizeMaxTotal",
                /// Uncommitted free bytes of the receiving page afterwards.
                destination_uncommitted_free: i16 = "cbUncFreeDest",
                /// First or last line that moves.
                merge_line: u16 = "ilineMerge",
                /// [`MERGE_KEY_CHANGE`], [`MERGE_DELETE_NODE`], [`MERGE_EMPTY_PAGE`].
                flags: u8 = "mergeFlags",
                /// Kind.
                kind: MergeKind = "mergeType",
                /// Key of the separator in the parent.
                separator: Vec<u8> = "cbKeyParentSep",
                $($(#[$fdoc])* $extra: $ty = $ese,)*
            }
            tail separator $($tail)*;
        }
    };
}

/// Flag of a merge: the key of a line changes to the separator.
pub const MERGE_KEY_CHANGE: u8 = 1;
/// Flag of a merge: a line goes.
pub const MERGE_DELETE_NODE: u8 = 2;
/// Flag of a merge: the page becomes empty.
pub const MERGE_EMPTY_PAGE: u8 = 4;

merge_record! {
    /// A page is merged; the obsolete form without the page's image.
    Merge {}
    tail;
}

merge_record! {
    /// A page is merged: one record for each level of the path, from the top down.
    Merge2 {
        /// How the image is packed: [`IMAGE_DEHYDRATED`], [`IMAGE_COMPRESSED`].
        image_flags: u32 = "preimageFlags",
        /// The page before the merge, where redo may need it; else empty.
        image: LongBytes = "cbPageBeforeImage",
    }
    tail image;
}

/// A page that loses its content when its tree is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptiedPage {
    /// Its dbtime before.
    pub before: DbTime,
    /// The page.
    pub page: PageNumber,
    /// Its flags with bits that exist at run time only; of no use.
    pub flags: u32,
}

/// The list of emptied pages in an [`EmptyTree`] record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmptiedPages(pub Vec<EmptiedPage>);

const EMPTIED_BYTES: usize = 16;

impl Field for EmptiedPages {
    type Head = u16;
    const HEAD_BYTES: usize = 2;
    fn read_head(r: &mut Reader<'_>) -> Result<u16> {
        r.u16()
    }
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok(r.u16()?.into())
    }
    fn read_tail(head: u16, r: &mut Reader<'_>) -> Result<Self> {
        if usize::from(head) % EMPTIED_BYTES != 0 {
            return Err(corrupt(format!("a list of emptied pages of {head} bytes")));
        }
        (0..usize::from(head) / EMPTIED_BYTES)
            .map(|_| Ok(EmptiedPage { before: r.db_time()?, page: PageNumber(r.u32()?), flags: r.u32()? }))
            .collect::<Result<_>>()
            .map(Self)
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.u16(short_length(self.0.len() * EMPTIED_BYTES, u16::MAX)?);
        Ok(())
    }
    fn write_tail(&self, out: &mut Vec<u8>) {
        for page in &self.0 {
            out.u64(page.before.0);
            out.u32(page.page.0);
            out.u32(page.flags);
        }
    }
    fn describe(&self, name: &'static str, out: &mut Description) {
        out.push((name, FieldValue::Number((self.0.len() * EMPTIED_BYTES) as i128)));
    }
}

record! {
    /// A tree of two levels loses all its leaves.
    EmptyTree {
        /// The root page.
        node: NodePrefix = "node",
        /// The leaves, eight at most in Windows' logs.
        pages: EmptiedPages = "cbEmptyPageList",
    }
    tail pages;
}

record! {
    /// A page is formatted as blank; since log version 8.4000.40.100.
    NewPage {
        /// Session.
        session: u16 = "procid",
        /// Database.
        dbid: u8 = "dbid",
        /// The page.
        page: PageNumber = "pgno",
        /// Object id.
        object: ObjectId = "objidFDP",
        /// The dbtime that it gets.
        after: DbTime = "dbtime",
    }
}

record! {
    /// Data that nobody can see any more are overwritten on a page.
    Scrub {
        /// The page.
        node: NodePrefix = "node",
        /// Bit 0: the page is unused.
        flags: u32 = "flags",
        /// Number of operations.
        count: u32 = "cscrubOper",
        /// One operation per line, perhaps padded.
        operations: Vec<u8> = "cbData",
    }
    tail operations;
}

record! {
    /// A page moves to another place in the file.
    PageMove {
        /// The page that moves.
        page: PagePrefix = "page",
        /// Where it moves to.
        destination: PageNumber = "pgnoDest",
        /// Left neighbour.
        left: PageNumber = "pgnoLeft",
        /// Right neighbour.
        right: PageNumber = "pgnoRight",
        /// Parent; 0 for a root.
        parent: PageNumber = "pgnoParent",
        /// The left neighbour's dbtime before.
        left_before: DbTime = "dbtimeLeftBefore",
        /// The right neighbour's dbtime before.
        right_before: DbTime = "dbtimeRightBefore",
        /// The parent's dbtime before.
        parent_before: DbTime = "dbtimeParentBefore",
        /// Root of the tree.
        root: PageNumber = "pgnoFDP",
        /// Object id of the tree.
        object: ObjectId = "objidFDP",
        /// Line of the page in its parent; -1 for a root.
        parent_line: i32 = "ilineParent",
        /// 1: root of the tree, 2: of its owned extents, 4: of its available extents.
        flags: u32 = "fMoveFlags",
        /// The page's image up to the free gap.
        header: LongBytes = "cbPageHeader",
        /// The page's image behind the free gap.
        trailer: LongBytes = "cbPageTrailer",
    }
    tail header trailer;
}

impl PageMove {
    /// Flag: the root of a tree moves.
    pub const ROOT: u32 = 1;
    /// Flag: the root of a tree's owned extents moves.
    pub const OWNED_ROOT: u32 = 2;
    /// Flag: the root of a tree's available extents moves.
    pub const AVAILABLE_ROOT: u32 = 4;
}

record! {
    /// The first record of a macro that moves the root of a tree; since log version 8.4000.50.120.
    RootPageMove {
        /// The macro's dbtime.
        after: DbTime = "dbtime",
        /// Database.
        dbid: u8 = "dbid",
        /// Object id of the tree.
        object: ObjectId = "objidFDP",
        /// Session.
        session: u16 = "procid",
    }
}
