//! The writing process as the one that watches it sees it.

use super::message::Message;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process has told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The last committed transfer of each writer.
    pub(super) committed: Vec<u32>,
    /// How often writers met.
    pub(super) conflicts: u64,
    /// How many snapshots readers have found to be whole.
    pub(super) looks: u64,
}

impl Told {
    /// All committed transfers.
    pub(super) fn commits(&self) -> u64 {
        self.committed.iter().copied().map(u64::from).sum()
    }

    fn hear(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Committed { writer, number } => {
                let Some(last) = self.committed.get_mut(writer as usize) else {
                    bail!("there is no writer {writer}");
                };
                *last = number;
            }
            Message::Conflict => self.conflicts += 1,
            Message::Looked => self.looks += 1,
            Message::Ready | Message::BackupBegins | Message::BackupEnds { .. } => {}
        }
        Ok(())
    }
}

/// A process that writes.
pub(super) struct Writer {
    process: Child,
    commands: ChildStdin,
    lines: Receiver<std::io::Result<String>>,
    pub(super) told: Told,
}

/// A backup that was taken while the writers went on.
#[derive(Debug, Clone)]
pub(super) struct Backup {
    /// What was committed before it began.
    pub(super) before: Told,
    /// How many transfers were committed while it ran.
    pub(super) meanwhile: u64,
    pub(super) time: Duration,
}

impl Writer {
    /// Starts it, and waits until it writes.
    pub(super) fn start(folder: &Path, writers: u32, readers: u32) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut process = Command::new(program)
            .arg("demo-writer")
            .arg(folder)
            .args(["--writers", &writers.to_string(), "--readers", &readers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the writing process")?;
        let commands = process.stdin.take().context("the writing process has no input")?;
        let output = process.stdout.take().context("the writing process has no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(output).lines().try_for_each(|line| sender.send(line)));
        let told = Told { committed: vec![0; writers as usize], ..Told::default() };
        let mut writer = Self { process, commands, lines, told };
        writer.listen_for(PATIENCE, |message| message == Message::Ready)?;
        Ok(writer)
    }

    /// Listens until a message comes; says which. `None` when the time is over.
    fn listen(&mut self, time: Duration, wanted: impl Fn(Message) -> bool) -> Result<Option<Message>> {
        let end = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let message = line.context("listening to the writing process")?.parse()?;
                    self.told.hear(message)?;
                    if wanted(message) {
                        return Ok(Some(message));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the writing process ended by itself"),
            }
        }
    }

    fn listen_for(&mut self, time: Duration, wanted: impl Fn(Message) -> bool) -> Result<Message> {
        self.listen(time, wanted)?.context("the writing process does not answer")
    }

    /// Lets it write for a while.
    pub(super) fn write_for(&mut self, time: Duration) -> Result<()> {
        self.listen(time, |_| false).map(drop)
    }

    /// Lets it take a backup, `full` or `incremental`.
    pub(super) fn back_up(&mut self, kind: &str) -> Result<Backup> {
        writeln!(self.commands, "{kind}").context("speaking to the writing process")?;
        self.listen_for(PATIENCE, |message| message == Message::BackupBegins)?;
        let before = self.told.clone();
        match self.listen_for(PATIENCE, |message| matches!(message, Message::BackupEnds { .. }))? {
            Message::BackupEnds { milliseconds } => {
                let meanwhile = self.told.commits() - before.commits();
                Ok(Backup { before, meanwhile, time: Duration::from_millis(milliseconds) })
            }
            other => bail!("the writing process said {other} instead of the end of its backup"),
        }
    }

    /// Kills it (SIGKILL) whatever it does just now; says all that it had told.
    pub(super) fn kill(mut self) -> Result<Told> {
        self.process.kill().context("killing the writing process")?;
        let status = self.process.wait().context("waiting for the writing process")?;
        if status.code().is_some() {
            bail!("the writing process ended before it was killed: {status}");
        }
        // What it had said before is still in the pipe. Its last line may lack its end.
        while let Ok(line) = self.lines.recv() {
            match line.context("listening to the writing process")?.parse() {
                Ok(message) => self.told.hear(message)?,
                Err(_) => break,
            }
        }
        Ok(std::mem::take(&mut self.told))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a failure nothing may go on writing; a process that has ended cannot be killed, which is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
