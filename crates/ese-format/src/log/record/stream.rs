//! Records about the log stream itself: starts, ends, fillers, notes, pieces of long records.

use super::field::{Body, Description, FieldValue, ignorable, record, write_length};
use crate::error::Result;
use crate::log::bytes::Reader;
use crate::log::dbms_param::DbmsParam;
use crate::log::text;
use crate::primitives::{LogPosition, LogTime};

record! {
    /// A record of its type alone: NOP, End, ShutDownMark, RecoveryUndo.
    Mark {}
}

record! {
    /// An engine starts; the older form.
    Init {
        /// Its parameters.
        params: DbmsParam = "params",
    }
}

record! {
    /// An engine starts: the first record of a stream and after each recovery.
    Init2 {
        /// Its parameters.
        params: DbmsParam = "params",
        /// When.
        time: LogTime = "logtime",
    }
}

record! {
    /// An engine ends, or a recovery; the older form of [`Terminate`].
    TerminateV1 {
        /// Position of the RecoveryUndo record; none at a plain end.
        undo: LogPosition = "lgpos",
        /// Where the redo of that recovery began.
        redo_from: LogPosition = "lgposRedoFrom",
        /// 1: a hard recovery.
        is_hard: u8 = "fHard",
    }
}

record! {
    /// An engine ends (Term2), or a recovery (RecoveryQuit2, RecoveryQuitKeepAttachments).
    Terminate {
        /// Position of the RecoveryUndo record; none at a plain end.
        undo: LogPosition = "lgpos",
        /// Where the redo of that recovery began.
        redo_from: LogPosition = "lgposRedoFrom",
        /// 1: a hard recovery.
        is_hard: u8 = "fHard",
        /// When.
        time: LogTime = "logtime",
    }
}

record! {
    /// A recovery begins to undo.
    RecoveryUndo2 {
        /// When.
        time: LogTime = "logtime",
    }
}

record! {
    /// A note for people: Trace, ForceLogRollover.
    Note {
        /// Session.
        session: u16 = "procid",
        /// ASCII, with a terminator.
        text: Vec<u8> = "cb",
    }
    tail text;
    text note_text;
}

impl Note {
    /// The note as text.
    pub fn note_text(&self) -> String {
        text::ansi_to_string(&self.text)
    }
}

record! {
    /// A path in the writer's code page: FullBackup, IncBackup, ExtRestore.
    AnsiPath {
        /// Path as stored.
        path: Vec<u8> = "cbPath",
    }
    tail path;
    text path_text;
}

impl AnsiPath {
    /// The path as text.
    pub fn path_text(&self) -> String {
        text::ansi_to_string(&self.path)
    }
}

record! {
    /// The source of an external restore that ended here.
    ExtRestore2 {
        /// Path as stored, UTF-16.
        path: Vec<u8> = "cbPath",
    }
    tail path;
    text path_text;
}

impl ExtRestore2 {
    /// The path as text.
    pub fn path_text(&self) -> String {
        text::utf16_to_string(&self.path)
    }
}

record! {
    /// A checksum record of logs up to version 7.
    Checksum {
        /// Bytes covered before it.
        backwards: u32 = "cbBackwards",
        /// Bytes covered behind it.
        forwards: u32 = "cbForwards",
        /// Distance to the next one; 0: none.
        next: u32 = "cbNext",
        /// Checksum of the range.
        checksum: u32 = "ulChecksum",
        /// Checksum of the sector.
        short_checksum: u32 = "ulShortChecksum",
        /// Whether that is used: 0x9A yes, 0xD1 no.
        uses_short: u8 = "bUseShortChecksum",
    }
}

record! {
    /// A multi-sector mark of logs up to version 5.
    MultiSector {
        /// First word.
        first: u32 = "lFirst",
        /// Second word.
        second: u32 = "lSecond",
    }
}

/// A filler of any length from 5 bytes. What it holds has no meaning and is written as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nop2 {
    /// Bytes behind the five of type and length.
    pub fill: u32,
}

impl Nop2 {
    /// Bytes of the shortest filler.
    pub const MIN_BYTES: usize = 5;
}

impl Body for Nop2 {
    const HEAD_BYTES: usize = Self::MIN_BYTES;
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok(usize::try_from(r.u32()?).unwrap_or(usize::MAX))
    }
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let fill = r.u32()?;
        r.take(usize::try_from(fill).unwrap_or(usize::MAX))?;
        Ok(Self { fill })
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let fill = usize::try_from(self.fill).unwrap_or(usize::MAX);
        write_length(fill, out)?;
        out.resize(out.len().saturating_add(fill), 0);
        Ok(())
    }
    fn describe(&self, out: &mut Description) {
        out.push(("cb", FieldValue::Number(self.fill.into())));
    }
}

ignorable! {
    /// A record of the ignorable family with a number that has no meaning (yet).
    IgnoredBody {}
}

record! {
    /// The first piece of a record that does not fit its segment.
    FragmentBegin {
        /// Bytes of the whole record.
        total: u32 = "cbTotal",
        /// Its first bytes.
        piece: Vec<u8> = "cbFragment",
    }
    tail piece;
}

impl FragmentBegin {
    /// Bytes before the piece.
    pub const HEADER_BYTES: usize = 7;
}

record! {
    /// A further piece.
    Fragment {
        /// The next bytes.
        piece: Vec<u8> = "cbFragment",
    }
    tail piece;
}

impl Fragment {
    /// Bytes before the piece.
    pub const HEADER_BYTES: usize = 3;
}
