//! Frames: how messages lie on the wire.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..4 | magic `eseB` |
//! | 4..6 | version of the protocol, 1 |
//! | 6..8 | kind of the message |
//! | 8..12 | length of the payload |
//! | 12..16 | CRC-32 of bytes 0..12 and the payload |
//! | 16.. | payload |

use crate::error::{Error, JetErr, Result};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"eseB";
/// The version that this code speaks.
pub const VERSION: u16 = 1;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 16;
/// Longest payload that a server takes from a client: its messages are small.
pub const CLIENT_LIMIT: usize = 256;
/// Longest payload that a client takes from a server.
pub const SERVER_LIMIT: usize = DATA_BYTES;
/// Most bytes of a file in one frame; a multiple of every page size, and more than three pages.
pub const DATA_BYTES: usize = 1 << 20;

/// A frame that has come in: its kind; the payload is in the buffer.
pub type Kind = u16;

/// One end of a connection. A frame that does not come or go as a whole within the time limit is an error.
pub struct Connection {
    stream: UnixStream,
    patience: Duration,
    buffer: Vec<u8>,
}

impl Connection {
    /// Speaks over a stream; each frame may take `patience`.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn new(stream: UnixStream, patience: Duration) -> Result<Self> {
        stream.set_nonblocking(false).map_err(broken)?;
        Ok(Self { stream, patience, buffer: Vec::new() })
    }

    /// From now on each frame may take so long.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Those of the socket; BackupAbortByCaller when nobody is there any more or the time is up.
    pub fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        let mut frame = std::mem::take(&mut self.buffer);
        frame.clear();
        frame.resize(HEADER_BYTES, 0);
        frame.extend_from_slice(payload);
        let sent = self.send_in_place(kind, &mut frame);
        self.buffer = frame;
        sent
    }

    /// Sends a frame whose payload lies behind [`HEADER_BYTES`] bytes of room for its header.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub fn send_in_place(&mut self, kind: Kind, frame: &mut [u8]) -> Result<()> {
        seal(kind, frame)?;
        let deadline = Instant::now() + self.patience;
        let mut rest: &[u8] = frame;
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(left(deadline)?)).map_err(broken)?;
            match self.stream.write(rest) {
                Ok(0) => return Err(gone()),
                Ok(written) => rest = &rest[written..],
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(broken(cause)),
            }
        }
        Ok(())
    }

    /// Waits for a message: its kind and payload. A payload of more than `limit` bytes is refused before it
    /// is read.
    ///
    /// # Errors
    /// InvalidParameter for what is no frame of this protocol, ReadVerifyFailure for a wrong checksum,
    /// BackupAbortByCaller when the other end is gone or the time is up; those of the socket.
    pub fn receive(&mut self, limit: usize) -> Result<(Kind, &mut [u8])> {
        let deadline = Instant::now() + self.patience;
        let mut header = [0; HEADER_BYTES];
        read_exact(&mut self.stream, &mut header, deadline)?;
        let head = Head::decode(&header, limit)?;
        self.buffer.clear();
        self.buffer.resize(head.length, 0);
        read_exact(&mut self.stream, &mut self.buffer, deadline)?;
        if head.checksum != checksum(&header, &self.buffer) {
            let detail = "a message was damaged on its way: its checksum does not match";
            return Err(Error::new(JetErr::ReadVerifyFailure, detail));
        }
        Ok((head.kind, &mut self.buffer))
    }
}

/// What a frame's first bytes say.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    kind: Kind,
    length: usize,
    checksum: u32,
}

impl Head {
    fn decode(bytes: &[u8; HEADER_BYTES], limit: usize) -> Result<Self> {
        let [m0, m1, m2, m3, v0, v1, k0, k1, l0, l1, l2, l3, c0, c1, c2, c3] = *bytes;
        let refuse = |detail: String| Err(Error::new(JetErr::InvalidParameter, detail));
        if [m0, m1, m2, m3] != MAGIC {
            return refuse("the other end does not speak this protocol".to_owned());
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            return refuse(format!("the other end speaks version {version} of the protocol, not {VERSION}"));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > limit {
            return refuse(format!("a message of {length} bytes is longer than {limit}"));
        }
        let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
        Ok(Self { kind: u16::from_le_bytes([k0, k1]), length, checksum })
    }
}

/// Fills in a frame's header, for which the first [`HEADER_BYTES`] are left free.
///
/// # Errors
/// InternalError for a frame without room for it, InvalidParameter for a payload of 4 GiB and more.
pub fn seal(kind: Kind, frame: &mut [u8]) -> Result<()> {
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER_BYTES>() else {
        return Err(Error::new(JetErr::InternalError, "a frame without room for its header"));
    };
    let length = u32::try_from(payload.len())
        .map_err(|_| Error::new(JetErr::InvalidParameter, "the message is too long"))?;
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header[6..8].copy_from_slice(&kind.to_le_bytes());
    header[8..12].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(header, payload);
    header[12..].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn checksum(header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..12]);
    hasher.update(payload);
    hasher.finalize()
}

fn read_exact(stream: &mut UnixStream, mut into: &mut [u8], deadline: Instant) -> Result<()> {
    while !into.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(broken)?;
        match stream.read(into) {
            Ok(0) => return Err(gone()),
            Ok(read) => into = &mut into[read..],
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(broken(cause)),
        }
    }
    Ok(())
}

/// The time until a deadline; never the zero that would mean "for ever".
fn left(deadline: Instant) -> Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left),
    }
}

fn gone() -> Error {
    Error::new(JetErr::BackupAbortByCaller, "the other end of the backup's connection has hung up")
}

fn late() -> Error {
    Error::new(JetErr::BackupAbortByCaller, "the other end of the backup's connection takes too long")
}

fn broken(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => gone(),
        _ => Error::new(JetErr::BackupAbortByCaller, format!("the backup's connection fails: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Connection) {
        let (a, b) = UnixStream::pair().unwrap();
        let patience = Duration::from_secs(5);
        (Connection::new(a, patience).unwrap(), Connection::new(b, patience).unwrap())
    }

    /// What the other end makes of raw bytes.
    fn answer(bytes: &[u8], limit: usize) -> Error {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(bytes).unwrap();
        drop(a);
        let mut b = Connection::new(b, Duration::from_secs(5)).unwrap();
        b.receive(limit).map(|_| ()).unwrap_err()
    }

    fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEADER_BYTES];
        frame.extend_from_slice(payload);
        seal(kind, &mut frame).unwrap();
        frame
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let (mut a, mut b) = pair();
        for payload in [&b""[..], b"x", &[7; 256]] {
            a.send(9, payload).unwrap();
            let (kind, got) = b.receive(256).unwrap();
            assert_eq!((kind, &*got), (9, payload));
        }
        drop(a);
        assert_eq!(b.receive(256).map(|_| ()).unwrap_err().code(), JetErr::BackupAbortByCaller);
    }

    #[test]
    fn each_changed_bit_is_noticed() {
        let good = frame(3, b"a payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let code = answer(&bad, 64).code();
            let known = [JetErr::InvalidParameter, JetErr::ReadVerifyFailure, JetErr::BackupAbortByCaller];
            assert!(known.contains(&code), "bit {bit}: {code:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_read() {
        let mut bytes = frame(3, b"");
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = answer(&bytes, CLIENT_LIMIT);
        assert_eq!(error.code(), JetErr::InvalidParameter);
        assert!(error.detail().contains("longer"), "{error}");
    }

    #[test]
    fn every_beginning_of_a_frame_is_an_end_of_the_conversation() {
        let good = frame(3, b"a payload");
        for len in 0..good.len() {
            assert_eq!(answer(&good[..len], 64).code(), JetErr::BackupAbortByCaller, "{len} bytes");
        }
    }

    #[test]
    fn who_neither_speaks_nor_listens_is_given_up() {
        let (mut a, b) = pair();
        a.set_patience(Duration::from_millis(30));
        assert_eq!(a.receive(64).map(|_| ()).unwrap_err().code(), JetErr::BackupAbortByCaller);
        // The other end takes nothing: the socket's buffer fills.
        let mut data = vec![0; HEADER_BYTES + DATA_BYTES];
        let error = (0..64).find_map(|_| a.send_in_place(1, &mut data).err()).unwrap();
        assert!(error.detail().contains("too long"), "{error}");
        drop(b);
    }
}
