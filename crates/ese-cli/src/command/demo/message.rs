//! What the writing process tells the one that watches it, a line each.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// A line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Message {
    /// The tables are made; the writers begin.
    Ready,
    /// A writer's transfer is committed.
    Committed { writer: u32, number: u32 },
    /// A transfer met another writer and is tried again.
    Conflict,
    /// A reader has found its snapshot to be whole.
    Looked,
    /// A backup begins.
    BackupBegins,
    /// The backup is complete.
    BackupEnds { milliseconds: u64 },
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Committed { writer, number } => write!(f, "committed {writer} {number}"),
            Self::Conflict => f.write_str("conflict"),
            Self::Looked => f.write_str("looked"),
            Self::BackupBegins => f.write_str("backup-begins"),
            Self::BackupEnds { milliseconds } => write!(f, "backup-ends {milliseconds}"),
        }
    }
}

impl FromStr for Message {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        fn next<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
            words.next()?.parse().ok()
        }
        let mut words = line.split_whitespace();
        let parsed = match words.next() {
            Some("ready") => Some(Self::Ready),
            Some("committed") => next(&mut words)
                .zip(next(&mut words))
                .map(|(writer, number)| Self::Committed { writer, number }),
            Some("conflict") => Some(Self::Conflict),
            Some("looked") => Some(Self::Looked),
            Some("backup-begins") => Some(Self::BackupBegins),
            Some("backup-ends") => next(&mut words).map(|milliseconds| Self::BackupEnds { milliseconds }),
            _ => None,
        };
        parsed.ok_or_else(|| anyhow::anyhow!("the writing process said {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn what_is_said_is_understood() {
        for message in [
            Message::Ready,
            Message::Committed { writer: 3, number: 77 },
            Message::Conflict,
            Message::Looked,
            Message::BackupBegins,
            Message::BackupEnds { milliseconds: 12 },
        ] {
            assert_eq!(message.to_string().parse::<Message>().unwrap(), message);
        }
        for line in ["", "committed", "committed 1", "committed 1 x", "hello 1"] {
            assert!(line.parse::<Message>().is_err(), "{line}");
        }
    }
}
