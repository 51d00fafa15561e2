//! Records that change one node of one page, and the two prefixes that page records share.

use super::field::{Body, Description, Field, FieldValue, coded, record, short_length};
use crate::error::Result;
use crate::log::bytes::{Reader, Writer};
use crate::primitives::{DbTime, ObjectId, PageNumber};

/// Makes a prefix usable as a field: it stands in the fixed part as a whole.
macro_rules! prefix_field {
    ($name:ident) => {
        impl Field for $name {
            type Head = Self;
            // A prefix has no type byte of its own.
            const HEAD_BYTES: usize = <Self as Body>::HEAD_BYTES - 1;
            fn read_head(r: &mut Reader<'_>) -> Result<Self> {
                <Self as Body>::read(r)
            }
            fn read_tail(head: Self, _r: &mut Reader<'_>) -> Result<Self> {
                Ok(head)
            }
            fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
                Body::write(self, out)
            }
            fn describe(&self, _name: &'static str, out: &mut Description) {
                Body::describe(self, out);
            }
        }
    };
}

record! {
    /// What all records that change a page begin with (ESE: LRPAGE_).
    #[derive(Copy, Default)]
    PagePrefix {
        /// Session.
        session: u16 = "procid",
        /// Database.
        dbid: u8 = "dbid",
        /// The page.
        page: PageNumber = "pgno",
        /// The dbtime that the page gets (ESE: dbtime).
        after: DbTime = "dbtime",
        /// The dbtime of the page before; absent where the record formats the page.
        before: DbTime = "dbtimeBefore",
        /// Ordering number of the transaction (ESE: trxBegin0).
        begin0: u32 = "trxBegin0",
        /// Nesting level, 1 for the outermost transaction.
        level: u8 = "level",
        /// Line at which the operation applies.
        line: u16 = "iline",
        /// [`Self::VERSIONED`] and others.
        flags: u8 = "pageFlags",
    }
}
prefix_field!(PagePrefix);

impl PagePrefix {
    /// Flag: the change has an entry in the version store.
    pub const VERSIONED: u8 = 0x01;
    /// Flag: the tree is unique.
    pub const UNIQUE: u8 = 0x04;
    /// Flag: the tree is a space tree.
    pub const SPACE_TREE: u8 = 0x08;
    /// Flag: an index is being built at the same time.
    pub const CONCURRENT_INDEX: u8 = 0x10;
    /// Flag: the change is the engine's own work.
    pub const SYSTEM_TASK: u8 = 0x20;

    /// Whether the change has an entry in the version store.
    pub const fn is_versioned(&self) -> bool {
        self.flags & Self::VERSIONED != 0
    }
}

record! {
    /// What all records that change a node begin with (ESE: LRNODE_).
    #[derive(Copy, Default)]
    NodePrefix {
        /// The page and the line.
        page: PagePrefix = "page",
        /// Number of the entry in the version store; 0 when not versioned (ESE: rceid).
        version_id: u32 = "rceid",
        /// Root page of the tree (ESE: pgnoFDP).
        root: PageNumber = "pgnoFDP",
        /// Object id of the tree.
        object: ObjectId = "objidFDP",
    }
}
prefix_field!(NodePrefix);

record! {
    /// A node is inserted.
    Insert {
        /// Where.
        node: NodePrefix = "node",
        /// The key behind the prefix.
        suffix: Vec<u8> = "cbSuffix",
        /// Leading bytes of the key that the page's common prefix holds; not empty exactly when the node
        /// is stored prefix-compressed.
        prefix: Vec<u8> = "cbPrefix",
        /// Data.
        data: Vec<u8> = "cbData",
    }
    tail prefix suffix data;
}

record! {
    /// A node that is flagged deleted, with the same key and data, comes back.
    FlagInsert {
        /// Where.
        node: NodePrefix = "node",
        /// Whole key.
        key: Vec<u8> = "cbKey",
        /// Data.
        data: Vec<u8> = "cbData",
    }
    tail key data;
}

record! {
    /// A node that is flagged deleted comes back with other data.
    FlagInsertAndReplaceData {
        /// Where; its version entry is that of the insert.
        node: NodePrefix = "node",
        /// Whole key.
        key: Vec<u8> = "cbKey",
        /// New data.
        data: Vec<u8> = "cbData",
        /// Number of the version entry of the replace.
        replace_version_id: u32 = "rceidReplace",
    }
    tail key data;
}

record! {
    /// A record with nothing but a node: FlagDelete (flag it deleted) and Delete (remove it).
    NodeMark {
        /// Where.
        node: NodePrefix = "node",
    }
}

/// The new data of a replaced node: bytes, or a difference to the old data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Bytes.
    pub bytes: Vec<u8>,
    /// A difference in the wide form (ESE: fDiff2), see [`super::diff`]; one bit of the length on disk.
    pub wide: bool,
}

impl Field for Image {
    type Head = u16;
    const HEAD_BYTES: usize = 2;
    fn read_head(r: &mut Reader<'_>) -> Result<u16> {
        r.u16()
    }
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok((r.u16()? & 0x7FFF).into())
    }
    fn read_tail(head: u16, r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { bytes: r.take((head & 0x7FFF).into())?.to_vec(), wide: head & 0x8000 != 0 })
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.u16(short_length(self.bytes.len(), 0x7FFF)? | if self.wide { 0x8000 } else { 0 });
        Ok(())
    }
    fn write_tail(&self, out: &mut Vec<u8>) {
        out.bytes(&self.bytes);
    }
    fn describe(&self, name: &'static str, out: &mut Description) {
        self.bytes.describe(name, out);
        out.push(("fDiff2", FieldValue::Number(self.wide.into())));
    }
}

record! {
    /// The data of a node are replaced: by the image (Replace) or by applying a difference (ReplaceD).
    Replace {
        /// Where.
        node: NodePrefix = "node",
        /// New data or the difference.
        image: Image = "cb",
        /// Bytes of the old data; 0 is allowed in Replace.
        old_bytes: u16 = "cbOldData",
        /// Bytes of the new data.
        new_bytes: u16 = "cbNewData",
    }
    tail image;
}

record! {
    /// A number inside the data of a node changes by a difference.
    Delta {
        /// Where.
        node: NodePrefix = "node",
        /// Key of the node.
        key: Vec<u8> = "cbBmKey",
        /// Data part of the bookmark.
        data: Vec<u8> = "cbBmData",
        /// Difference.
        delta: i32 = "delta",
        /// Where the number stands in the node's data.
        offset: u16 = "cbOffset",
    }
    tail key data;
}

record! {
    /// The same for a number of eight bytes.
    Delta64 {
        /// Where.
        node: NodePrefix = "node",
        /// Key of the node.
        key: Vec<u8> = "cbBmKey",
        /// Data part of the bookmark.
        data: Vec<u8> = "cbBmData",
        /// Difference.
        delta: i64 = "delta",
        /// Where the number stands in the node's data.
        offset: u16 = "cbOffset",
    }
    tail key data;
}

record! {
    /// The external header of a page is set.
    SetExternalHeader {
        /// Which page; the line has no meaning.
        node: NodePrefix = "node",
        /// The header.
        data: Vec<u8> = "cbData",
    }
    tail data;
}

coded! {
    /// What an entry of the version store does (ESE: OPER).
    VersionOperation: u16 {
        /// A node was inserted.
        Insert = 1,
        /// Data were replaced.
        Replace = 2,
        /// A node was flagged deleted.
        FlagDelete = 3,
        /// A number changed.
        Delta = 4,
        /// A record was locked for reading.
        ReadLock = 5,
        /// A record was locked for writing.
        WriteLock = 6,
        /// Space was allocated.
        AllocateExtent = 7,
        /// A number of eight bytes changed.
        Delta64 = 9,
    }
}

record! {
    /// A change is undone on its page by a rollback. The version id in the prefix names the entry.
    Undo {
        /// Where the node is now.
        node: NodePrefix = "node",
        /// Key of the node.
        key: Vec<u8> = "cbBmKey",
        /// Data part of the bookmark.
        data: Vec<u8> = "cbBmData",
        /// What is undone.
        operation: VersionOperation = "oper",
        /// Level of the transaction that made the change.
        level: u8 = "levelUndone",
    }
    tail key data;
}

record! {
    /// The data before a versioned change, logged before the changed page may be written.
    UndoInfo {
        /// The change; both dbtimes are absent.
        node: NodePrefix = "node",
        /// Key of the node.
        key: Vec<u8> = "cbBmKey",
        /// Data part of the bookmark.
        data: Vec<u8> = "cbBmData",
        /// Replace or FlagDelete.
        operation: VersionOperation = "oper",
        /// Largest size that the node had in the transaction.
        max_bytes: i16 = "cbMaxSize",
        /// Difference of sizes.
        delta_bytes: i16 = "cbDelta",
        /// The old data; empty for FlagDelete.
        before: Vec<u8> = "cbData",
    }
    tail key data before;
}
