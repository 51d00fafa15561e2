//! What server and client say to each other, as bytes and back.

use super::frame::Kind;
use crate::database::backup_record::Scope;
use crate::error::{Error, JetErr, Result};
use ese_format::primitives::{BackupInfo, Generation, PageSize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Longest name of a file, and longest path, on the wire.
const NAME_LIMIT: usize = 4096;
/// Most databases that an instance can have attached.
const DATABASES_MOST: usize = 256;

/// Kinds of messages.
pub(crate) mod kind {
    use super::Kind;
    pub(crate) const HELLO: Kind = 1;
    pub(crate) const DURABLE: Kind = 2;
    pub(crate) const BEGUN: Kind = 16;
    pub(crate) const FILE: Kind = 17;
    pub(crate) const DATA: Kind = 18;
    pub(crate) const LOGS: Kind = 19;
    pub(crate) const SENT: Kind = 20;
    pub(crate) const ENDED: Kind = 21;
    pub(crate) const FAILED: Kind = 22;
}

/// Which backup a client wants, and what it counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketBackupKind {
    /// All databases; old logs are deleted at the end.
    Full,
    /// The logs since the last full or incremental backup; old logs are deleted at the end.
    Incremental,
    /// All databases; nothing is deleted, and later incremental backups do not build on it.
    Copy,
    /// The logs since the last full or incremental backup; nothing is deleted, so the next one has them again.
    Differential,
}

impl SocketBackupKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Full, Self::Incremental, Self::Copy, Self::Differential];

    /// Whether only logs are taken.
    pub const fn is_logs_only(self) -> bool {
        matches!(self, Self::Incremental | Self::Differential)
    }

    /// Whether old logs are deleted at the end.
    pub const fn truncates(self) -> bool {
        matches!(self, Self::Full | Self::Incremental)
    }

    /// Its name, as a command shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Copy => "copy",
            Self::Differential => "differential",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::Incremental => 2,
            Self::Copy => 3,
            Self::Differential => 4,
        }
    }
}

/// The client's first message.
pub(crate) struct Hello(pub(crate) SocketBackupKind);

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        vec![self.0.number()]
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let number = fields.u8()?;
        fields.end()?;
        let kind = SocketBackupKind::ALL.into_iter().find(|kind| kind.number() == number);
        kind.map(Self).ok_or_else(|| malformed(&format!("{number} is no kind of backup")))
    }
}

/// The backup has begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) page_size: PageSize,
    /// Paths and sizes in bytes of the databases to come.
    pub(crate) databases: Vec<(PathBuf, u64)>,
}

impl Begun {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_u32(&mut bytes, self.page_size.bytes());
        put_u32(&mut bytes, self.databases.len());
        for (path, len) in &self.databases {
            put_name(&mut bytes, path.as_os_str());
            bytes.extend(len.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let page_size = PageSize::from_bytes(fields.u32()?).ok_or_else(|| malformed("no page size"))?;
        let count = fields.u32()? as usize;
        if count > DATABASES_MOST {
            return Err(malformed(&format!("{count} databases")));
        }
        let mut databases = Vec::new();
        for _ in 0..count {
            databases.push((PathBuf::from(fields.name()?), fields.u64()?));
        }
        fields.end()?;
        Ok(Self { page_size, databases })
    }
}

/// What a file of the backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Database,
    Log(Generation),
}

/// A file follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    pub(crate) kind: FileKind,
    pub(crate) length: u64,
    /// The last component of its path.
    pub(crate) name: PathBuf,
}

impl FileHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (kind, generation) = match self.kind {
            FileKind::Database => (1, 0),
            FileKind::Log(generation) => (2, generation.0),
        };
        bytes.push(kind);
        bytes.extend(generation.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        put_name(&mut bytes, self.name.as_os_str());
        bytes
    }

    /// The name is one component, never a way out of the folder that it is put into.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let (kind, generation) = (fields.u8()?, fields.u32()?);
        let length = fields.u64()?;
        let name = PathBuf::from(fields.name()?);
        fields.end()?;
        let kind = match kind {
            1 => FileKind::Database,
            2 => FileKind::Log(Generation(generation)),
            _ => return Err(malformed("a file of no known kind")),
        };
        let text = name.as_os_str().as_bytes();
        if text.is_empty() || name.file_name() != Some(name.as_os_str()) || text.contains(&0) {
            return Err(malformed("a file without a plain name"));
        }
        Ok(Self { kind, length, name })
    }
}

/// The log was rolled over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logs {
    pub(crate) count: u32,
    pub(crate) lowest: Generation,
    pub(crate) highest: Generation,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
}

impl Logs {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.count, self.lowest.0, self.highest.0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.bytes.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let count = fields.u32()?;
        let (lowest, highest) = (Generation(fields.u32()?), Generation(fields.u32()?));
        let bytes = fields.u64()?;
        fields.end()?;
        Ok(Self { count, lowest, highest, bytes })
    }
}

/// All files were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    pub(crate) files: u32,
    pub(crate) bytes: u64,
}

impl Sent {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.files.to_le_bytes().to_vec();
        bytes.extend(self.bytes.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let sent = Self { files: fields.u32()?, bytes: fields.u64()? };
        fields.end()?;
        Ok(sent)
    }
}

/// The backup is over and remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) scope: Scope,
    pub(crate) info: BackupInfo,
}

impl Ended {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.scope.number()];
        bytes.extend(self.info.to_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let scope =
            Scope::from_number(fields.u8()?).ok_or_else(|| malformed("a backup of no known scope"))?;
        let info = BackupInfo::from_bytes(&fields.array()?);
        fields.end()?;
        Ok(Self { scope, info })
    }
}

/// The server gives up.
pub(crate) struct Failed {
    pub(crate) code: JetErr,
    pub(crate) detail: String,
}

impl Failed {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.code.code().to_le_bytes().to_vec();
        bytes.extend(self.detail.as_bytes());
        bytes.truncate(NAME_LIMIT);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let number = i32::from_le_bytes(fields.array()?);
        let code =
            JetErr::from_code(number).ok_or_else(|| malformed(&format!("{number} is no JET error")))?;
        let detail = String::from_utf8_lossy(fields.0).chars().filter(|c| !c.is_control()).collect();
        Ok(Self { code, detail })
    }

    pub(crate) fn into_error(self) -> Error {
        Error::new(self.code, format!("the program that serves the backup says: {}", self.detail))
    }
}

/// Takes fields off the front of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(bytes).ok_or_else(|| malformed("a message that ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) =
            self.0.split_first_chunk().ok_or_else(|| malformed("a message that ends early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn name(&mut self) -> Result<&'a OsStr> {
        let len = self.u32()? as usize;
        if len > NAME_LIMIT {
            return Err(malformed(&format!("a name of {len} bytes")));
        }
        self.take(len).map(OsStr::from_bytes)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed("a message that does not end")) }
    }
}

fn put_u32(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_name(bytes: &mut Vec<u8>, name: &OsStr) {
    put_u32(bytes, name.len());
    bytes.extend_from_slice(name.as_bytes());
}

/// The error for what keeps to the frames and not to the protocol.
pub(crate) fn malformed(what: &str) -> Error {
    Error::new(JetErr::InvalidParameter, format!("the other end of the backup's connection sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::primitives::{LogPosition, LogTime};
    use proptest::prelude::*;

    #[test]
    fn messages_come_back_as_they_were() {
        for kind in SocketBackupKind::ALL {
            assert_eq!(Hello::decode(&Hello(kind).encode()).unwrap().0, kind);
        }
        let databases = vec![(PathBuf::from("/data/a.edb"), 77), (PathBuf::from("b"), u64::MAX)];
        let begun = Begun { page_size: PageSize::K32, databases };
        assert_eq!(Begun::decode(&begun.encode()).unwrap(), begun);
        for kind in [FileKind::Database, FileKind::Log(Generation(9))] {
            let head = FileHead { kind, length: 1 << 40, name: "a.edb".into() };
            assert_eq!(FileHead::decode(&head.encode()).unwrap(), head);
        }
        let logs = Logs { count: 2, lowest: Generation(4), highest: Generation(5), bytes: 99 };
        assert_eq!(Logs::decode(&logs.encode()).unwrap(), logs);
        let sent = Sent { files: 3, bytes: 1 << 33 };
        assert_eq!(Sent::decode(&sent.encode()).unwrap(), sent);
        let (lowest, highest) = (Generation(4), Generation(5));
        let info = BackupInfo { mark: LogPosition::NONE, time: LogTime::NONE, lowest, highest };
        let ended = Ended { scope: Scope::Differential, info };
        assert_eq!(Ended::decode(&ended.encode()).unwrap(), ended);
        let failed = Failed { code: JetErr::BackupInProgress, detail: "later\n".to_owned() };
        let failed = Failed::decode(&failed.encode()).unwrap().into_error();
        assert_eq!(failed.code(), JetErr::BackupInProgress);
        assert!(failed.detail().ends_with("later"), "{failed}");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["", ".", "..", "/", "/etc/passwd", "../a.edb", "a/b", "a\0b", "a/"] {
            let head = FileHead { kind: FileKind::Database, length: 0, name: name.into() };
            assert!(FileHead::decode(&head.encode()).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_is_more_than_an_error(bytes: Vec<u8>) {
            let _ = Hello::decode(&bytes);
            let _ = Begun::decode(&bytes);
            let _ = FileHead::decode(&bytes);
            let _ = Logs::decode(&bytes);
            let _ = Sent::decode(&bytes);
            let _ = Ended::decode(&bytes);
            let _ = Failed::decode(&bytes);
        }
    }
}
