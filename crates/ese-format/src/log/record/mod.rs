//! Log records: every type that the format knows, decoded and encoded.
//!
//! A record is a type byte, a fixed part and variable parts whose lengths stand in the fixed part.
//! Layouts: microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/logapi.hxx`.

pub mod database;
pub mod diff;
mod field;
pub mod node;
pub mod session;
pub mod stream;
pub mod tree;

pub use database::*;
pub use field::{FieldValue, LongBytes};
pub use node::*;
pub use session::*;
pub use stream::*;
pub use tree::*;

use self::field::{Body, Description, corrupt};
use super::bytes::Reader;
use crate::error::{FormatErrorKind, Result};

/// The top bit of the type byte is reserved.
const MAX_TYPE: u8 = 0x7F;

/// Bytes of the longest fixed part: no more are needed to tell the size of a record.
pub const MAX_FIXED_BYTES: usize = 576;

/// Declares the enumeration of all records from the catalogue.
macro_rules! catalogue {
    ($($code:literal $name:literal $variant:ident($body:ident) $doc:literal,)*) => {
        /// A log record.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum LogRecord {
            $(#[doc = $doc] $variant($body),)*
            /// A record of the ignorable family whose number has no meaning: its number and content.
            Ignored(u8, IgnoredBody),
        }

        impl LogRecord {
            /// The type byte.
            pub const fn code(&self) -> u8 {
                match self {
                    $(Self::$variant(_) => $code,)*
                    Self::Ignored(code, _) => *code,
                }
            }

            /// The name of the type (ESE: lrtyp).
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Ignored(..) => "Ignored",
                }
            }

            fn read(code: u8, r: &mut Reader<'_>) -> Result<Self> {
                Ok(match code {
                    $($code => Self::$variant(<$body as Body>::read(r)?),)*
                    75 | 82..=91 => Self::Ignored(code, IgnoredBody::read(r)?),
                    _ => return Err(unknown(code)),
                })
            }

            fn body_into(&self, out: &mut Vec<u8>) -> Result<()> {
                match self {
                    $(Self::$variant(body) => body.write(out),)*
                    Self::Ignored(_, body) => body.write(out),
                }
            }

            fn describe(&self, out: &mut Description) {
                match self {
                    $(Self::$variant(body) => body.describe(out),)*
                    Self::Ignored(_, body) => body.describe(out),
                }
            }
        }

        /// The bytes of the fixed part of a type, and how to find the rest of its size.
        fn size_rule(code: u8) -> Result<(usize, fn(&mut Reader<'_>) -> Result<usize>)> {
            Ok(match code {
                $($code => (<$body as Body>::HEAD_BYTES, <$body as Body>::tail_bytes),)*
                75 | 82..=91 => (IgnoredBody::HEAD_BYTES, IgnoredBody::tail_bytes),
                _ => return Err(unknown(code)),
            })
        }
    };
}

catalogue! {
    0 "NOP" Nop(Mark) "One byte of filling.",
    1 "Init" Init(Init) "See [`Init`].",
    2 "Term" Term(TerminateV1) "See [`TerminateV1`].",
    3 "MS" MultiSector(MultiSector) "See [`MultiSector`].",
    4 "End" End(Mark) "The obsolete end of a generation.",
    5 "Begin" Begin(Begin) "See [`Begin`].",
    6 "Commit" Commit(Commit) "See [`Commit`].",
    7 "Rollback" Rollback(Rollback) "See [`Rollback`].",
    8 "Begin0" Begin0(Begin0) "See [`Begin0`].",
    9 "Commit0" Commit0(Commit0) "See [`Commit0`].",
    10 "Refresh" Refresh(Refresh) "See [`Refresh`].",
    11 "MacroBegin" MacroBegin(MacroMark) "A macro begins.",
    12 "MacroCommit" MacroCommit(MacroMark) "A macro ends and counts.",
    13 "MacroAbort" MacroAbort(MacroMark) "A macro ends and does not count.",
    14 "CreateDB" CreateDb(CreateDb) "See [`CreateDb`].",
    15 "AttachDB" AttachDb(AttachDb) "See [`AttachDb`].",
    16 "DetachDB" DetachDb(DetachDb) "See [`DetachDb`].",
    17 "RecoveryUndo" RecoveryUndo(Mark) "A recovery begins to undo; the older form.",
    18 "RecoveryQuit" RecoveryQuit(TerminateV1) "A recovery ends; the older form.",
    19 "FullBackup" FullBackup(AnsiPath) "A full backup; obsolete.",
    20 "IncBackup" IncBackup(AnsiPath) "An incremental backup; obsolete.",
    21 "JetOp" JetOp(JetOp) "See [`JetOp`].",
    22 "Trace" Trace(Note) "A note for people.",
    23 "ShutDownMark" ShutDownMark(Mark) "A clean end of the engine has begun.",
    24 "CreateMultipleExtentFDP" CreateMultipleExtentFdp(CreateMultipleExtentFdp) "See [`CreateMultipleExtentFdp`].",
    25 "CreateSingleExtentFDP" CreateSingleExtentFdp(CreateSingleExtentFdp) "See [`CreateSingleExtentFdp`].",
    26 "ConvertFDP" ConvertFdp(ConvertFdp) "See [`ConvertFdp`].",
    27 "Split" Split(Split) "See [`Split`].",
    28 "Merge" Merge(Merge) "See [`Merge`].",
    29 "Insert" Insert(Insert) "See [`Insert`].",
    30 "FlagInsert" FlagInsert(FlagInsert) "See [`FlagInsert`].",
    31 "FlagInsertAndReplaceData" FlagInsertAndReplaceData(FlagInsertAndReplaceData) "See [`FlagInsertAndReplaceData`].",
    32 "FlagDelete" FlagDelete(NodeMark) "A node is flagged deleted.",
    33 "Replace" Replace(Replace) "The data of a node are replaced.",
    34 "ReplaceD" ReplaceDiff(Replace) "The data of a node change by a difference.",
    35 "Delete" Delete(NodeMark) "A node is removed.",
    36 "UndoInfo" UndoInfo(UndoInfo) "See [`UndoInfo`].",
    37 "Delta" Delta(Delta) "See [`Delta`].",
    38 "SetExternalHeader" SetExternalHeader(SetExternalHeader) "See [`SetExternalHeader`].",
    39 "Undo" Undo(Undo) "See [`Undo`].",
    42 "Checksum" Checksum(Checksum) "See [`Checksum`].",
    45 "ExtRestore" ExtRestore(AnsiPath) "An external restore ended; the older form.",
    46 "Backup" Backup(Backup) "See [`Backup`].",
    48 "EmptyTree" EmptyTree(EmptyTree) "See [`EmptyTree`].",
    49 "Init2" Init2(Init2) "See [`Init2`].",
    50 "Term2" Term2(Terminate) "An engine ends.",
    51 "RecoveryUndo2" RecoveryUndo2(RecoveryUndo2) "See [`RecoveryUndo2`].",
    52 "RecoveryQuit2" RecoveryQuit2(Terminate) "A recovery ends with its databases detached.",
    53 "BeginDT" BeginDistributed(Begin0) "A distributed transaction begins. Windows never writes it.",
    54 "PrepCommit" PrepareCommit(PrepareCommit) "See [`PrepareCommit`].",
    55 "PrepRollback" PrepareRollback(SessionMark) "A distributed transaction is rolled back.",
    57 "ForceWriteLog" ForceWriteLog(SessionMark) "The log was written on demand.",
    58 "ConvertFDP2" ConvertFdp2(ConvertFdp2) "See [`ConvertFdp2`].",
    59 "ExtRestore2" ExtRestore2(ExtRestore2) "See [`ExtRestore2`].",
    60 "Backup2" Backup2(Backup2) "See [`Backup2`].",
    61 "ForceLogRollover" ForceLogRollover(Note) "The generation ends on demand.",
    62 "Split2" Split2(Split2) "See [`Split2`].",
    63 "Merge2" Merge2(Merge2) "See [`Merge2`].",
    64 "Scrub" Scrub(Scrub) "See [`Scrub`].",
    65 "PageMove" PageMove(PageMove) "See [`PageMove`].",
    66 "PagePatchRequest" PagePatchRequest(PagePatchRequest) "See [`PagePatchRequest`].",
    67 "MacroInfo" MacroInfo(MacroInfo) "See [`MacroInfo`].",
    68 "ExtendDB" ExtendDb(ExtendDb) "See [`ExtendDb`].",
    69 "CommitCtx" CommitContext(CommitContext) "See [`CommitContext`].",
    70 "ScanCheck" ScanCheck(ScanCheck) "See [`ScanCheck`].",
    71 "NOP2" Nop2(Nop2) "See [`Nop2`].",
    72 "ReAttach" ReAttach(ReAttach) "See [`ReAttach`].",
    73 "MacroInfo2" MacroInfo2(MacroInfo2) "See [`MacroInfo2`].",
    74 "FreeFDP" FreeFdp(FreeFdp) "See [`FreeFdp`].",
    76 "FragmentBegin" FragmentBegin(FragmentBegin) "See [`FragmentBegin`].",
    77 "Fragment" Fragment(Fragment) "See [`Fragment`].",
    78 "ShrinkDB" ShrinkDb(ShrinkDb) "The file shrinks.",
    79 "CreateDBFinish" CreateDbFinish(CreateDbFinish) "See [`CreateDbFinish`].",
    80 "RecoveryQuitKeepAttachments" RecoveryQuitKeepAttachments(Terminate) "A recovery ends with its databases attached.",
    81 "TrimDB" TrimDb(TrimDb) "See [`TrimDb`].",
    92 "SetDbVersion" SetDbVersion(SetDbVersion) "See [`SetDbVersion`].",
    93 "Delta64" Delta64(Delta64) "See [`Delta64`].",
    94 "ShrinkDB2" ShrinkDb2(ShrinkDb) "The file shrinks; the layout of ShrinkDB.",
    95 "NewPage" NewPage(NewPage) "See [`NewPage`].",
    96 "RootPageMove" RootPageMove(RootPageMove) "See [`RootPageMove`].",
    97 "SignalAttachDb" SignalAttachDb(SignalAttachDb) "See [`SignalAttachDb`].",
    98 "ScanCheck2" ScanCheck2(ScanCheck2) "See [`ScanCheck2`].",
    99 "ShrinkDB3" ShrinkDb3(ShrinkDb3) "See [`ShrinkDb3`].",
    100 "ExtentFreed" ExtentFreed(ExtentFreed) "See [`ExtentFreed`].",
    101 "ExtentFreed2" ExtentFreed2(ExtentFreed2) "See [`ExtentFreed2`].",
}

impl LogRecord {
    /// Decodes one whole record: `bytes` is exactly the record.
    ///
    /// # Errors
    /// [`FormatErrorKind::LogCorrupt`] for a type that is unknown or has no known layout, for a length
    /// other than the record's own, and for values that the format does not have.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, FormatErrorKind::LogCorrupt);
        let code = r.u8()?;
        let record = Self::read(code, &mut r)?;
        match r.remaining() {
            0 => Ok(record),
            n => Err(corrupt(format!("{n} bytes too many behind a {} record", record.name()))),
        }
    }

    /// Encodes the record.
    ///
    /// # Errors
    /// [`FormatErrorKind::TooLarge`] when a variable part is longer than its length field can say.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.encode_into(&mut out)?;
        Ok(out)
    }

    /// Appends the encoded record. After an error `out` holds a part of it.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(self.code());
        self.body_into(out)
    }

    /// The fields by ESE's names, in the order of the record; variable parts as their lengths.
    pub fn fields(&self) -> Vec<(&'static str, FieldValue)> {
        let mut out = Vec::new();
        self.describe(&mut out);
        out
    }

    /// Whether this only fills space.
    pub const fn is_filler(&self) -> bool {
        matches!(self, Self::Nop(_) | Self::Nop2(_))
    }

    /// Whether this as the last record says that the stream was closed properly.
    pub const fn is_clean_end(&self) -> bool {
        matches!(
            self,
            Self::Term(_)
                | Self::Term2(_)
                | Self::RecoveryQuit(_)
                | Self::RecoveryQuit2(_)
                | Self::RecoveryQuitKeepAttachments(_)
        )
    }

    /// The prefix of a record that changes one main page.
    pub const fn page_prefix(&self) -> Option<&PagePrefix> {
        Some(match self {
            Self::CreateMultipleExtentFdp(r) => &r.page,
            Self::CreateSingleExtentFdp(r) => &r.page,
            Self::ConvertFdp(r) => &r.page,
            Self::ConvertFdp2(r) => &r.page,
            Self::Split(r) => &r.page,
            Self::Split2(r) => &r.page,
            Self::Merge(r) => &r.page,
            Self::Merge2(r) => &r.page,
            Self::PageMove(r) => &r.page,
            _ => match self.node_prefix() {
                Some(node) => &node.page,
                None => return None,
            },
        })
    }

    /// The prefix of a record that changes a node.
    pub const fn node_prefix(&self) -> Option<&NodePrefix> {
        Some(match self {
            Self::Insert(r) => &r.node,
            Self::FlagInsert(r) => &r.node,
            Self::FlagInsertAndReplaceData(r) => &r.node,
            Self::FlagDelete(r) | Self::Delete(r) => &r.node,
            Self::Replace(r) | Self::ReplaceDiff(r) => &r.node,
            Self::UndoInfo(r) => &r.node,
            Self::Delta(r) => &r.node,
            Self::Delta64(r) => &r.node,
            Self::SetExternalHeader(r) => &r.node,
            Self::Undo(r) => &r.node,
            Self::EmptyTree(r) => &r.node,
            Self::Scrub(r) => &r.node,
            _ => return None,
        })
    }
}

/// The size in bytes of the record that `prefix` begins with; `None` when more of it must be seen
/// ([`MAX_FIXED_BYTES`] always suffice).
///
/// # Errors
/// [`FormatErrorKind::LogCorrupt`] for a type that is unknown or has no size rule.
pub fn record_size(prefix: &[u8]) -> Result<Option<usize>> {
    let Some((code, rest)) = prefix.split_first() else { return Ok(None) };
    let (fixed, tail) = size_rule(*code)?;
    let Some(rest) = rest.get(..fixed - 1) else { return Ok(None) };
    let tail = tail(&mut Reader::new(rest, FormatErrorKind::LogCorrupt))?;
    Ok(Some(fixed.saturating_add(tail)))
}

fn unknown(code: u8) -> crate::FormatError {
    match code {
        40 | 41 | 43 | 44 | 47 | 56 => corrupt(format!("a log record of obsolete type {code}")),
        _ if code > MAX_TYPE => corrupt(format!("a log record with reserved bit, type {code:#x}")),
        _ => corrupt(format!("a log record of unknown type {code}")),
    }
}
