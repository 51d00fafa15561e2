//! Records about sessions, transactions and macros: they change no page.

use super::field::{
    Body, Description, Field, FieldValue, LongBytes, corrupt, ignorable, record, write_length,
};
use crate::error::Result;
use crate::log::bytes::{Reader, Writer};
use crate::log::header::LogVersion;
use crate::primitives::{DbTime, PageNumber};

/// The levels that a begin record opens, in one byte on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The level before (ESE: levelBeginFrom), 0 to 15.
    pub from: u8,
    /// How many levels are opened, 0 to 15.
    pub count: u8,
}

impl Field for Levels {
    type Head = Self;
    const HEAD_BYTES: usize = 1;
    fn read_head(r: &mut Reader<'_>) -> Result<Self> {
        let byte = r.u8()?;
        Ok(Self { from: byte & 0x0F, count: byte >> 4 })
    }
    fn read_tail(head: Self, _r: &mut Reader<'_>) -> Result<Self> {
        Ok(head)
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.from > 15 || self.count > 15 {
            return Err(corrupt(format!("levels {} + {} do not fit a record", self.from, self.count)));
        }
        out.u8(self.from | self.count << 4);
        Ok(())
    }
    fn describe(&self, _name: &'static str, out: &mut Description) {
        out.push(("levelBeginFrom", FieldValue::Number(self.from.into())));
        out.push(("levelsToBegin", FieldValue::Number(self.count.into())));
    }
}

record! {
    /// Nested transactions begin.
    Begin {
        /// Session (ESE: procid).
        session: u16 = "procid",
        /// Levels opened.
        levels: Levels = "levels",
    }
}

record! {
    /// An outermost transaction begins, perhaps with nested ones.
    Begin0 {
        /// Session.
        session: u16 = "procid",
        /// Levels opened.
        levels: Levels = "levels",
        /// Ordering number of the transaction's begin.
        begin0: u32 = "trxBegin0",
    }
}

record! {
    /// Nested transactions commit.
    Commit {
        /// Session.
        session: u16 = "procid",
        /// The level after.
        level: u8 = "levelCommitTo",
    }
}

record! {
    /// An outermost transaction commits.
    Commit0 {
        /// Session.
        session: u16 = "procid",
        /// The level after: 0.
        level: u8 = "levelCommitTo",
        /// Ordering number of the commit.
        commit0: u32 = "trxCommit0",
    }
}

record! {
    /// Transactions are rolled back; their page changes were undone by the records before.
    Rollback {
        /// Session.
        session: u16 = "procid",
        /// How many levels.
        levels: u8 = "levelsToRollback",
    }
}

record! {
    /// A transaction takes a new snapshot.
    Refresh {
        /// Session.
        session: u16 = "procid",
        /// Its new ordering number.
        begin0: u32 = "trxBegin0",
    }
}

record! {
    /// Marks of a macro: a group of page changes that is redone wholly or not at all. One layout for
    /// MacroBegin, MacroCommit and MacroAbort.
    MacroMark {
        /// Session.
        session: u16 = "procid",
        /// The dbtime of all changes in the macro; with the session it identifies the macro.
        after: DbTime = "dbtime",
    }
}

record! {
    /// A transaction is prepared for a distributed commit. Windows never writes it.
    PrepareCommit {
        /// Session.
        session: u16 = "procid",
        /// The coordinator's data.
        data: LongBytes = "cbData",
    }
    tail data;
}

record! {
    /// A record with nothing but a session: PrepRollback, ForceWriteLog.
    SessionMark {
        /// Session.
        session: u16 = "procid",
    }
}

record! {
    /// A debug record with an operation number.
    JetOp {
        /// Session.
        session: u16 = "procid",
        /// Operation.
        operation: u8 = "op",
    }
}

ignorable! {
    /// The context that a client attached to a commit; follows the Commit0 record directly.
    CommitContext {
        /// Session.
        session: u16 = "procid",
    }
}

impl CommitContext {
    /// Flag: the client wants a callback when the commit is durable.
    pub const CALLBACK: u8 = 1;
    /// Flag: the data are a customer's.
    pub const CUSTOMER_DATA: u8 = 2;
    /// Flag: written before the commit.
    pub const PRE_COMMIT: u8 = 4;

    /// The flags and the client's data; logs before 8.4000.4.8 / 5.2 have no flags.
    pub fn parts(&self, version: LogVersion) -> (u8, &[u8]) {
        match self.rest.split_first() {
            Some((flags, data)) if version.has_commit_context_flags() => (*flags, data),
            _ => (0, &self.rest),
        }
    }

    /// A context in the layout with flags.
    pub fn new(session: u16, flags: u8, data: &[u8]) -> Self {
        let mut rest = Vec::with_capacity(1 + data.len());
        rest.push(flags);
        rest.extend_from_slice(data);
        Self { session, rest }
    }
}

/// The pages of a macro of database 1 that just committed: a hint for reading ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroInfo {
    /// Pages.
    pub pages: Vec<PageNumber>,
    /// Bytes behind the last whole page number.
    pub rest: Vec<u8>,
}

impl Body for MacroInfo {
    const HEAD_BYTES: usize = 5;
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok(usize::try_from(r.u32()?).unwrap_or(usize::MAX))
    }
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let bytes = Self::tail_bytes(r)?;
        let (pages, rest) = page_numbers(r.take(bytes)?, usize::MAX);
        Ok(Self { pages, rest })
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_length(self.pages.len() * 4 + self.rest.len(), out)?;
        self.pages.iter().for_each(|page| out.u32(page.0));
        out.bytes(&self.rest);
        Ok(())
    }
    fn describe(&self, out: &mut Description) {
        out.push(("pgnos", FieldValue::Pages(self.pages.clone())));
    }
}

/// The same for any database; since log version 8.4000.5.14.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroInfo2 {
    /// Database.
    pub dbid: u8,
    /// Pages.
    pub pages: Vec<PageNumber>,
    /// Bytes behind the last page number.
    pub rest: Vec<u8>,
}

impl Body for MacroInfo2 {
    const HEAD_BYTES: usize = 5;
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        MacroInfo::tail_bytes(r)
    }
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let bytes = Self::tail_bytes(r)?;
        let mut payload = Reader::new(r.take(bytes)?, crate::error::FormatErrorKind::LogCorrupt);
        let dbid = payload.u8()?;
        let count = usize::try_from(payload.u32()?).unwrap_or(usize::MAX);
        if payload.remaining() / 4 < count {
            return Err(corrupt(format!("a MacroInfo2 record without its {count} pages")));
        }
        let (pages, rest) = page_numbers(payload.take(payload.remaining())?, count);
        Ok(Self { dbid, pages, rest })
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_length(5 + self.pages.len() * 4 + self.rest.len(), out)?;
        out.u8(self.dbid);
        write_length(self.pages.len(), out)?;
        self.pages.iter().for_each(|page| out.u32(page.0));
        out.bytes(&self.rest);
        Ok(())
    }
    fn describe(&self, out: &mut Description) {
        out.push(("dbid", FieldValue::Number(self.dbid.into())));
        out.push(("pgnos", FieldValue::Pages(self.pages.clone())));
    }
}

/// Up to `limit` page numbers and what follows them.
fn page_numbers(bytes: &[u8], limit: usize) -> (Vec<PageNumber>, Vec<u8>) {
    let pages: Vec<_> = bytes
        .chunks_exact(4)
        .take(limit)
        .map(|c| PageNumber(u32::from_le_bytes([c[0], c[1], c[2], c[3]])))
        .collect();
    let rest = bytes.get(pages.len() * 4..).unwrap_or_default().to_vec();
    (pages, rest)
}
