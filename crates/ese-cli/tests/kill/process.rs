//! A writing process as the one that kills it sees it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a process has told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The last transaction of each session that is durable for certain.
    pub certain: Vec<i32>,
    /// Commits that it was told of.
    pub commits: u64,
    /// How often sessions met.
    pub conflicts: u64,
    /// Backups whose files are all there, in their order.
    pub sets: Vec<Set>,
    /// What JetBackup's last one holds at least.
    pub folder: Option<Vec<i32>>,
    /// The folder of a restore under way, and the set that is restored there.
    pub place: Option<(String, String)>,
    /// Restores that came to their end, and incremental backups that were refused.
    pub restored: u64,
    pub refused: u64,
}

/// The files of a backup by the external sequence.
#[derive(Debug, Clone)]
pub struct Set {
    pub name: String,
    pub is_full: bool,
    /// The last transaction of each session that it holds at least.
    pub holds: Vec<i32>,
}

/// What a line says besides what is noted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Ready,
    Phase(String),
    Nothing,
}

fn numbers(text: &str) -> Vec<i32> {
    text.split(',').map(|word| word.parse().unwrap_or_else(|_| panic!("numbers in {text:?}"))).collect()
}

impl Told {
    pub fn new(certain: Vec<i32>) -> Self {
        Self { certain, ..Self::default() }
    }

    /// Takes all that a process said that has ended.
    pub fn listen(&mut self, said: &str) {
        said.lines().for_each(|line| drop(self.hear(line)));
    }

    /// Takes a line.
    fn hear(&mut self, line: &str) -> Heard {
        // The test runner has something to say as well, perhaps on the same line.
        let Some((_, line)) = line.split_once('@') else { return Heard::Nothing };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ready"] => return Heard::Ready,
            ["phase", name] => return Heard::Phase(name.to_owned()),
            ["conflict"] => self.conflicts += 1,
            ["refused"] => self.refused += 1,
            ["set", name, kind, holds] => {
                let (name, is_full) = (name.to_owned(), kind == "full");
                self.sets.push(Set { name, is_full, holds: numbers(holds) });
            }
            ["folder", holds] => self.folder = Some(numbers(holds)),
            ["place", place, set] => self.place = Some((place.to_owned(), set.to_owned())),
            ["restored", _] => {
                self.place = None;
                self.restored += 1;
            }
            ["done", session, number, before] => {
                let pairs = numbers(before).into_iter().enumerate();
                let session: usize = session.parse().expect("a session");
                for (session, number) in pairs.chain([(session, numbers(number)[0])]) {
                    let last = &mut self.certain[session];
                    *last = number.max(*last);
                }
                self.commits += 1;
            }
            _ => panic!("the writing process said {line:?}"),
        }
        Heard::Nothing
    }
}

/// A process that writes.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    errors: JoinHandle<String>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the writing process");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut errors = child.stderr.take().expect("its errors");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                // The kill may have cut the last one short.
                let Some(whole) = line.strip_suffix(b"\n") else { break };
                if sender.send(String::from_utf8_lossy(whole).into_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let errors = std::thread::spawn(move || {
            let mut all = String::new();
            // What it said so far is better than nothing.
            let _ = errors.read_to_string(&mut all);
            all
        });
        Self { child, lines, errors }
    }

    /// Listens until the sessions write.
    pub fn wait_until_ready(&mut self, told: &mut Told) {
        self.wait_for(&Heard::Ready, told);
    }

    /// Listens until a step of a backup begins.
    pub fn wait_for_phase(&mut self, name: &str, told: &mut Told) {
        self.wait_for(&Heard::Phase(name.to_owned()), told);
    }

    fn wait_for(&mut self, wanted: &Heard, told: &mut Told) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if told.hear(&line) == *wanted => return,
                Ok(_) => {}
                Err(_) => {
                    // It is at its end, or no good any more.
                    let _ = self.child.kill();
                    let errors = std::mem::replace(&mut self.errors, std::thread::spawn(String::new));
                    panic!("{wanted:?} does not come: {}", errors.join().unwrap_or_default());
                }
            }
        }
    }

    /// Kills it after a while, unless it is done by then; whether it was killed.
    pub fn kill_or_end(mut self, time: Duration) -> bool {
        std::thread::sleep(time);
        let ended = self.child.try_wait().expect("the process");
        let _ = self.child.kill();
        self.child.wait().expect("the process");
        let errors = self.errors.join().unwrap_or_default();
        assert!(ended.is_none_or(|status| status.success()), "{ended:?}: {errors}");
        ended.is_none()
    }

    /// Listens for a while, then kills it (SIGKILL) whatever it does just now, and hears what it had told.
    pub fn kill_after(mut self, time: Duration, told: &mut Told) {
        let end = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => drop(told.hear(&line)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let ended = self.child.try_wait().expect("the writing process");
        self.child.kill().expect("a kill");
        self.child.wait().expect("the writing process");
        for line in self.lines {
            told.hear(&line);
        }
        let errors = self.errors.join().unwrap_or_default();
        assert!(ended.is_none(), "the writing process ended by itself: {ended:?}: {errors}");
    }
}
