//! What the fuzzers of the backup socket run: hostile bytes to either side of the conversation.
//!
//! An input is one byte of choices and then either bytes as they come, or frames, or changes of a conversation that
//! an honest other end had: those get past the checksums to what the messages mean.

use ese::backup::socket::frame::{HEADER_BYTES, MAGIC, VERSION, seal};
use ese::backup::socket::serve::serve;
use ese::backup::socket::{Limits, ReceiveRequest, SocketBackupKind, receive_from};
use ese::backup::state::Phase;
use ese::buffer::PageCache;
use ese::clock::SeededClock;
use ese::event::MemorySink;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, Session};
use ese::sync::{Arc, Mutex, Rank, thread};
use ese_vfs::{Disk, SimDisk};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Nothing waits so long: whoever has said everything hangs up.
const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { hello: PATIENCE, idle: PATIENCE, connections: 1 };
const DATABASE: &str = "/data/a.edb";
const FOLDER: &str = "/backup";
/// So much a socket takes at once: the client speaks to its end before it listens.
const SAID: usize = 64 << 10;
/// Messages of a client.
const HELLO: u16 = 1;
const DURABLE: u16 = 2;
/// The server's last messages.
const SENT: u16 = 20;
const LAST: [u16; 2] = [21, 22];
/// More changes than tell anything.
const EDITS: usize = 16;
/// A live instance is made anew when its disk holds so much,
const ROOM: u64 = 48 << 20;
/// and after so many conversations: the disk remembers removed files until its folders are synced.
const CONVERSATIONS: u32 = 1000;

/// Kind and payload of a message.
type Message = (u16, Vec<u8>);

/// Messages of a client that asks for a kind of backup.
fn client_script(choice: u8) -> Vec<Message> {
    vec![(HELLO, vec![1 + choice % 4]), (DURABLE, Vec::new())]
}

fn framed(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend_from_slice(payload);
    seal(kind, &mut frame).expect("a frame");
    frame
}

/// The bytes that an input stands for.
fn play(mode: u8, data: &[u8], script: &[Message]) -> Vec<u8> {
    match mode & 3 {
        0 => data.to_vec(),
        1 => {
            let (mut bytes, mut rest) = (Vec::new(), data);
            while let Some(([k0, k1, l0, l1], behind)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_le_bytes([*l0, *l1])).min(behind.len());
                let (payload, behind) = behind.split_at(length);
                bytes.extend(framed(u16::from_le_bytes([*k0, *k1]), payload));
                rest = behind;
            }
            bytes
        }
        _ => edited(data, script.to_vec()),
    }
}

/// Changes of six bytes each: what, which message, where in it, with what.
fn edited(data: &[u8], mut script: Vec<Message>) -> Vec<u8> {
    let mut raw = Vec::new();
    for edit in data.chunks_exact(6).take(EDITS) {
        let [what, number, p0, p1, p2, value] = *edit else { break };
        if script.is_empty() {
            break;
        }
        let count = script.len();
        let number = usize::from(number) % count;
        let place = u32::from_le_bytes([p0, p1, p2, 0]) as usize;
        let (kind, payload) = &mut script[number];
        let at = place % payload.len().max(1);
        match what % 9 {
            0 => payload.iter_mut().skip(at).take(1).for_each(|byte| *byte = value),
            1 => drop(script.remove(number)),
            2 => {
                let again = script[number].clone();
                script.insert(number, again);
            }
            3 => payload.truncate(at),
            4 => payload.extend(std::iter::repeat_n(value, 1 + place % 5000)),
            5 => *kind = value.into(),
            6 => script.swap(number, place % count),
            7 => script.truncate(number),
            // What the frame itself says, unsealed.
            _ => raw.push((number, place % HEADER_BYTES, value)),
        }
    }
    let mut bytes = Vec::new();
    for (number, (kind, payload)) in script.iter().enumerate() {
        let mut frame = framed(*kind, payload);
        for (_, at, value) in raw.iter().filter(|(other, _, _)| *other == number) {
            frame[*at] = *value;
        }
        bytes.extend(frame);
    }
    bytes
}

/// Whole frames at the beginning of some bytes, and whether nothing else follows.
fn frames(mut bytes: &[u8]) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        assert!(header[..4] == MAGIC && header[4..6] == VERSION.to_le_bytes(), "{header:?}");
        messages.push((u16::from_le_bytes([header[6], header[7]]), payload.to_vec()));
        bytes = rest;
    }
    (messages, bytes.is_empty())
}

/// An instance with a database, in memory.
struct Live {
    disk: SimDisk,
    instance: Instance,
    _session: Session,
    conversations: u32,
}

impl Live {
    fn new() -> ese::Result<Self> {
        let disk = SimDisk::new(1);
        for folder in ["/data", FOLDER] {
            disk.create_dir_all(Path::new(folder)).expect("a folder");
        }
        let environment = Environment {
            disk: Arc::new(disk.clone()),
            clock: Arc::new(SeededClock::new(1)),
            events: Arc::new(MemorySink::default()),
            threads: false,
            cache: Some(PageCache::new(1 << 20)),
        };
        let mut parameters = Parameters::new();
        for folder in [ParamId::LogFilePath, ParamId::SystemPath] {
            parameters.set_text(folder, "/data")?;
        }
        parameters.set_integer(ParamId::LogFileSize, 64)?;
        parameters.set_integer(ParamId::DatabasePageSize, 2048)?;
        let instance = Instance::new(environment, parameters);
        instance.init(InitOptions::default())?;
        let session = instance.begin_session()?;
        drop(session.create(Path::new(DATABASE), Default::default())?);
        let live = Self { disk, instance, _session: session, conversations: 0 };
        // An incremental backup needs a full one before it.
        let (full, _) =
            live.answer(framed(HELLO, &[1]).into_iter().chain(framed(DURABLE, &[])).collect(), true);
        full.map(|()| live)
    }

    /// What the server answers to a client that says all this and hangs up; the client may not even listen.
    fn answer(&self, said: Vec<u8>, listens: bool) -> (ese::Result<()>, Vec<u8>) {
        let (near, mut far) = UnixStream::pair().expect("two sockets");
        let client = thread::spawn("other end", move || {
            let mut answer = Vec::new();
            // A server that has given it up takes no more.
            let _ = far.write_all(&said);
            if listens {
                let _ = far.shutdown(Shutdown::Write);
                let _ = far.read_to_end(&mut answer);
            }
            answer
        });
        let backup = self.instance.backup().expect("an instance that runs");
        let served =
            ese::backup::socket::frame::Connection::new(near, PATIENCE).and_then(|mut connection| {
                serve(&mut connection, &backup, &Mutex::ranked(Rank::Client, ()), &LIMITS)
            });
        let answer = client.expect("a thread").join().expect("a client");
        assert_eq!(backup.state().phase, Phase::Idle, "the backup goes on");
        assert_eq!(backup.pinned(), None, "logs are kept for nobody");
        self.instance.step_jobs();
        (served.map(drop), answer)
    }
}

/// A client that says what the input stands for, to a server with a live instance; whether it had a backup.
///
/// # Panics
/// When the server says anything but whole frames, a backup goes on without its client, or one counts whose client
/// has not said that it has it.
pub fn server(data: &[u8]) -> bool {
    static LIVE: OnceLock<Mutex<Option<Live>>> = OnceLock::new();
    let Some((choice, rest)) = data.split_first() else { return false };
    let mut guard = LIVE.get_or_init(|| Mutex::ranked(Rank::Caller, None)).lock();
    if guard.as_ref().is_some_and(|live| live.disk.used() > ROOM || live.conversations == CONVERSATIONS) {
        *guard = None;
    }
    let live = guard.get_or_insert_with(|| Live::new().expect("an instance"));
    live.conversations += 1;
    let mut said = play(*choice, rest, &client_script(choice >> 4));
    said.truncate(SAID);
    let has_it = said.windows(2).any(|two| two == DURABLE.to_le_bytes());
    let listens = choice & 8 == 0;
    let (served, answer) = live.answer(said, listens);
    assert!(has_it || served.is_err(), "a backup counts that nobody has");
    let (messages, is_whole) = frames(&answer);
    if listens {
        assert!(is_whole && messages.last().is_none_or(|(kind, _)| LAST.contains(kind)), "{served:?}");
    }
    served.is_ok()
}

/// What an honest server says for a full and for an incremental backup, and a disk on which the full one is.
struct Honest {
    full: Vec<Message>,
    incremental: Vec<Message>,
    kept: SimDisk,
}

impl Honest {
    fn get() -> &'static Self {
        static HONEST: OnceLock<Honest> = OnceLock::new();
        HONEST.get_or_init(|| {
            let live = Live::new().expect("an instance");
            let said = |kind: u8| {
                let said = framed(HELLO, &[kind]).into_iter().chain(framed(DURABLE, &[])).collect();
                let (served, answer) = live.answer(said, true);
                served.expect("a backup");
                frames(&answer).0
            };
            let (full, incremental) = (said(1), said(2));
            assert!(full.iter().any(|(kind, _)| *kind == SENT) && full.len() > incremental.len());
            let honest = Self { full, incremental, kept: SimDisk::new(2) };
            let (received, _) =
                honest.receive(&honest.kept, SocketBackupKind::Full, &honest.said(false, &[]));
            received.expect("a whole backup");
            honest
        })
    }

    fn said(&self, incremental: bool, changes: &[u8]) -> Vec<u8> {
        edited(changes, if incremental { &self.incremental } else { &self.full }.clone())
    }

    /// What a client makes of a server that says all this and hangs up, and what it answers.
    fn receive(
        &self,
        disk: &SimDisk,
        kind: SocketBackupKind,
        said: &[u8],
    ) -> (ese::Result<u64>, Vec<Message>) {
        let (near, mut far) = UnixStream::pair().expect("two sockets");
        let said = said.to_vec();
        let server = thread::spawn("other end", move || {
            let mut heard = Vec::new();
            // A client that has given it up takes no more.
            let _ = far.write_all(&said);
            let _ = far.shutdown(Shutdown::Write);
            let _ = far.read_to_end(&mut heard);
            heard
        });
        let request = ReceiveRequest { folder: Path::new(FOLDER), kind, create: true, patience: PATIENCE };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let received = receive_from(near, &shared, request, &mut |progress| {
            assert!(progress.done <= progress.total);
        });
        let (heard, _) = frames(&server.expect("a thread").join().expect("a server"));
        (received.map(|received| received.bytes), heard)
    }
}

/// Every file of the backup folder.
fn content(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(FOLDER));
    files.map(|path| (path.clone(), disk.content(&path).expect("a file"))).collect()
}

/// A server that says what the input stands for, to a client that has a full backup already; whether it has another one.
///
/// # Panics
/// When that backup is touched by one that fails, something is left behind, or more is written than came.
pub fn client(data: &[u8]) -> bool {
    let Some((choice, rest)) = data.split_first() else { return false };
    let honest = Honest::get();
    let incremental = choice & 16 != 0;
    let script = if incremental { &honest.incremental } else { &honest.full };
    let said = play(*choice, rest, script);
    let kind = if incremental { SocketBackupKind::Incremental } else { SocketBackupKind::Full };
    let disk = honest.kept.kill();
    let (received, heard) = honest.receive(&disk, kind, &said);
    let (before, after) = (content(&honest.kept), content(&disk));
    if heard.iter().any(|(kind, _)| *kind == DURABLE) {
        let bytes = after.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let old = before.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        assert!(bytes <= said.len() + old, "{bytes} bytes of {}", said.len());
    } else {
        assert!(received.is_err(), "a backup without its end");
        // An incremental backup looks at the folder as it finds it; the rest is names.
        assert_eq!(sorted(before), sorted(after), "the backup before is touched, or something stays");
    }
    let leads_out = disk.files().into_iter().find(|(path, _)| !path.starts_with(FOLDER));
    assert_eq!(leads_out, None, "a file outside the folder");
    assert!(!disk.files().iter().any(|(path, _)| path.starts_with("/backup/temp")));
    received.is_ok()
}

/// The contents of a folder of a backup, whatever its name is.
fn sorted(files: Vec<(PathBuf, Vec<u8>)>) -> Vec<(PathBuf, Vec<u8>)> {
    let name = |path: PathBuf| path.file_name().map(PathBuf::from).unwrap_or_default();
    let mut files: Vec<_> = files.into_iter().map(|(path, bytes)| (name(path), bytes)).collect();
    files.sort();
    files
}
