//! `ese dump checkpoint`: every field of a checkpoint.

use super::header::{attached, parameters};
use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::source::{Kind, Source};
use ese_format::checkpoint::Checkpoint;
use std::path::PathBuf;

/// The arguments of `ese dump checkpoint`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Print every field of a checkpoint file, as stored. The file is only read.\n\n\
                  Stands for `esentutl /mk`.",
    after_long_help = "Examples:\n  ese dump checkpoint edb.chk\n  ese --json dump checkpoint edb.chk"
)]
pub(crate) struct Args {
    /// A checkpoint file.
    file: PathBuf,
}

/// Prints the fields.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let Kind::Checkpoint(checkpoint) = Source::open(&args.file)?.kind else {
        anyhow::bail!("{} is no checkpoint", args.file.display());
    };
    out.result(&fields(&checkpoint), |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

fn fields(checkpoint: &Checkpoint) -> Fields {
    let mut fields = Fields::new();
    fields.add("checkpoint", checkpoint.checkpoint);
    fields.add("database_consistency", checkpoint.database_consistency);
    fields.add("signature", checkpoint.signature);
    fields.add("last_full_backup_checkpoint", checkpoint.last_full_backup_checkpoint);
    fields.add("full_backup", checkpoint.full_backup);
    fields.add("full_backup_time", checkpoint.full_backup_time);
    fields.add("incremental_backup", checkpoint.incremental_backup);
    fields.add("incremental_backup_time", checkpoint.incremental_backup_time);
    fields.add("parameters", parameters(&checkpoint.params));
    fields.add("attached", checkpoint.attached.as_deref().map(attached));
    fields
}
