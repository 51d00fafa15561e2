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
}

impl Told {
    pub fn new(certain: Vec<i32>) -> Self {
        Self { certain, ..Self::default() }
    }

    /// Takes a line; whether it says that the sessions write now.
    fn hear(&mut self, line: &str) -> bool {
        // The test runner has something to say as well, perhaps on the same line.
        let Some((_, line)) = line.split_once('@') else { return false };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ready"] => return true,
            ["conflict"] => self.conflicts += 1,
            ["done", session, number, before] => {
                let parse =
                    |text: &str| text.parse::<i32>().unwrap_or_else(|_| panic!("a number in {line:?}"));
                let pairs = before.split(',').map(parse).enumerate();
                let session: usize = session.parse().expect("a session");
                for (session, number) in pairs.chain([(session, parse(number))]) {
                    let last = &mut self.certain[session];
                    *last = number.max(*last);
                }
                self.commits += 1;
            }
            _ => panic!("the writing process said {line:?}"),
        }
        false
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
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if told.hear(&line) => return,
                Ok(_) => {}
                Err(_) => {
                    // It is at its end, or no good any more.
                    let _ = self.child.kill();
                    let errors = std::mem::replace(&mut self.errors, std::thread::spawn(String::new));
                    panic!("the process does not write: {}", errors.join().unwrap_or_default());
                }
            }
        }
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
