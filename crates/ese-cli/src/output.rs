//! Where results go: text for people or JSON for programs, on standard output.

use anyhow::Context;
use serde::Serialize;
use std::io::{self, BufWriter, StdoutLock, Write};

/// How the user wants results. Messages and progress go to standard error, never here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Output as JSON or as text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Standard output with a buffer, for commands that stream. Flush it at the end to see errors.
    pub(crate) fn writer(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(1 << 16, io::stdout().lock())
    }

    /// One result: as a JSON document, or as whatever `text` writes.
    pub(crate) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&mut dyn Write, &T) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut writer = self.writer();
        if self.json {
            serde_json::to_writer_pretty(&mut writer, value)?;
            writeln!(writer)?;
        } else {
            text(&mut writer, value)?;
        }
        writer.flush().context("writing to standard output")
    }

    /// One line of many: `value` as one line of JSON, or `text` as it is.
    pub(crate) fn line<T: Serialize>(
        &self,
        writer: &mut impl Write,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *writer, value)?;
            writeln!(writer)?;
        } else {
            writeln!(writer, "{}", text(value))?;
        }
        Ok(())
    }
}

/// The error with its causes, each of which is said once: many say themselves what caused them.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

/// Whether the error is that nobody reads our output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese::error::Error;
    use std::path::Path;

    #[test]
    fn every_cause_is_said_once() {
        let full = Error::io(io::ErrorKind::StorageFull.into(), "write a copy", Path::new("a.edb"));
        let text = full.to_string();
        assert!(text.contains("no storage space"), "{text}");
        let error = Err::<(), _>(full).context("backing up").unwrap_err();
        assert_eq!(explain(&error), format!("backing up: {text}"));
        let plain = Err::<(), _>(io::Error::other("broken")).context("reading").unwrap_err();
        assert_eq!(explain(&plain), "reading: broken");
    }
}
