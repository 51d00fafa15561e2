//! Checks both copies of a checkpoint.

use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::source::Source;
use anyhow::Context;
use ese_format::checkpoint::Checkpoint;
use std::path::Path;

/// Prints the state of both copies.
pub(super) fn run(path: &Path, source: &Source, out: &Output) -> anyhow::Result<ExitCode> {
    let mut file = vec![0; Checkpoint::FILE_BYTES.min(source.bytes as usize)];
    source.file.read_exact_at(&mut file, 0).with_context(|| format!("reading {}", path.display()))?;
    let mut fields = Fields::new();
    fields.add("file", path.display().to_string()).add("kind", "checkpoint");
    let mut code = ExitCode::Success;
    for (name, at) in [("first copy", 0), ("second copy", Checkpoint::COPY_BYTES)] {
        let state = match Checkpoint::decode(file.get(at..).unwrap_or_default()) {
            Ok(checkpoint) => Value::from(format!("sound, at {}", checkpoint.checkpoint)),
            Err(error) => {
                code = ExitCode::Findings;
                Value::from(format!("damaged: {error}"))
            }
        };
        fields.add(name, state);
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(code)
}
