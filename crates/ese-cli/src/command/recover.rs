//! `ese recover`: databases brought up to the end of their logs.

use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::progress::{Stage, Work, bytes_of_logs};
use anyhow::{Context, Result};
use ese::raw::{Environment, RecoverRequest, recover};
use ese::recovery::RedoOptions;
use std::path::PathBuf;

/// The arguments of `ese recover`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Recover the databases of a log stream after a crash: replay the logs, roll back what was not committed, \
        and leave databases and logs closed cleanly.\n\n\
        Without --to this works in place, from the checkpoint on: databases are where the logs say, the logs go on in \
        their folder.\n\n\
        With --to the logs given are only read: copies of them go on in the folder of --to, which must not have \
        logs yet. The checkpoint is ignored and replay begins with the lowest generation there is. Databases are \
        looked for in the same folder, by their file names alone, so that logs with paths of Windows will do; put \
        those there first that were made before the logs begin. A database that the logs create is made there. After a \
        failure begin anew, with a folder without logs and the databases as they were.\n\n\
        Stands for `esentutl /r`.",
    after_long_help = "Examples:\n  ese recover edb --logs /var/lib/app\n  \
        ese recover edb --logs logs-of-windows --to /recovered"
)]
pub(crate) struct Args {
    /// The three letters that the names of the logs begin with.
    base: String,
    /// The folder of the logs.
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
    /// The folder for databases and copies of the logs.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// A database that is missing is no error.
    #[arg(long)]
    ignore_missing: bool,
}

/// Recovers, and says what was recovered.
pub(crate) fn run(args: Args, out: &Output) -> Result<ExitCode> {
    let mut redo = RedoOptions::LOG_STREAM_MUST_EXIST;
    if args.ignore_missing {
        redo |= RedoOptions::IGNORE_MISSING_DATABASE;
    }
    let request = RecoverRequest { base_name: &args.base, logs: &args.logs, to: args.to.as_deref(), redo };
    let work = Work::new(vec![Stage { up_to: 100, bytes: bytes_of_logs(&args.logs) }]);
    let recovered = recover(&Environment::default(), &request, &mut |status| work.at(status.done()))
        .with_context(|| format!("recovering {} in {}", args.base, args.logs.display()))?;
    work.finish();
    let mut fields = Fields::new();
    let databases = recovered.databases.iter().map(|path| Value::from(path.display().to_string()));
    fields.add("databases", Value::List(databases.collect()));
    fields.add("last generation", recovered.last);
    if let Some(warning) = recovered.warning {
        fields.add("warning", warning.name());
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}
