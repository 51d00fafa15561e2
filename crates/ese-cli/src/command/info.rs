//! `ese info`: what a file is and what state it is in.

use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::source::{Kind, Source};
use ese_format::checkpoint::Checkpoint;
use ese_format::database::{Access, Chosen, DatabaseHeader, OtherCopy};
use ese_format::log::LogHeader;
use std::path::PathBuf;

/// The arguments of `ese info`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Say what a file is (database, log, checkpoint) and what state it is in. The file is only read.\n\n\
                  For databases the short form of `esentutl /mh`; `ese dump header` is the long one.",
    after_long_help = "Examples:\n  ese info ntds.dit\n  ese info --json edb00001.log"
)]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
}

/// Prints the summary.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.file)?;
    let mut fields = Fields::new();
    fields.add("file", args.file.display().to_string());
    match &source.kind {
        Kind::Database(chosen) => database(&mut fields, chosen, source.bytes),
        Kind::Log(header) => log(&mut fields, header, source.bytes),
        Kind::Checkpoint(checkpoint) => self::checkpoint(&mut fields, checkpoint),
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

fn database(fields: &mut Fields, chosen: &Chosen, bytes: u64) {
    let header = &chosen.header;
    fields.add("kind", "database").add("state", header.state).add("logs needed", logs_needed(header));
    fields.add("format", header.version().to_string()).add("access", access(header));
    fields.add("page size", header.page_size);
    fields.add("pages", (bytes / header.page_size.bytes() as u64).saturating_sub(2)).add("bytes", bytes);
    fields.add("database time", header.db_time).add("last object", header.last_object_id);
    fields.add("signature", header.signature).add("log signature", header.log_signature);
    fields.add("last attached", header.attach_time).add("last detached", header.detach_time);
    fields.add("last full backup", header.last_full_backup);
    fields.add("last incremental backup", header.last_incremental_backup);
    fields.add("header copies", copies(chosen));
}

/// The generations that must be replayed before the database is consistent.
fn logs_needed(header: &DatabaseHeader) -> Option<String> {
    let needed = header.state.is_recoverable() && header.min_required.0 != 0;
    needed.then(|| format!("{} to {}", header.min_required, header.max_required))
}

fn access(header: &DatabaseHeader) -> &'static str {
    match header.version().access() {
        Access::Write => "read and write",
        Access::ReadOlder => "read only: the format is older than any that is written",
        Access::ReadNewer => "read only: the format is newer than any that is known",
        Access::None => "none: the format is unknown",
    }
}

/// How the two copies of the header compare.
pub(crate) fn copies(chosen: &Chosen) -> String {
    match &chosen.other {
        OtherCopy::Same => "both sound".to_owned(),
        OtherCopy::Different(_) => "both sound, of different ages".to_owned(),
        OtherCopy::Damaged(error) => {
            let which = match chosen.copy {
                ese_format::database::HeaderCopy::Primary => "second",
                ese_format::database::HeaderCopy::Shadow => "first",
            };
            format!("the {which} is damaged: {error}")
        }
    }
}

fn log(fields: &mut Fields, header: &LogHeader, bytes: u64) {
    fields.add("kind", "log").add("generation", header.generation);
    fields.add("created", header.created).add("previous created", header.previous_created);
    fields.add("format", header.version.to_string()).add("signature", header.signature);
    fields.add("bytes", bytes).add("bytes expected", header.file_bytes());
    fields.add("circular logging", header.flags & LogHeader::CIRCULAR != 0);
    fields.add("checkpoint", header.checkpoint);
    fields.add("databases", header.attached.iter().map(|entry| entry.path()).collect::<Vec<_>>());
}

fn checkpoint(fields: &mut Fields, checkpoint: &Checkpoint) {
    fields.add("kind", "checkpoint").add("checkpoint", checkpoint.checkpoint);
    fields.add("signature", checkpoint.signature);
    fields.add("last full backup", checkpoint.full_backup_time);
    let attached = checkpoint.attached.as_ref();
    fields.add("databases", attached.map(|list| list.iter().map(|entry| entry.path()).collect::<Vec<_>>()));
}
