//! `ese verify`: whether a file is sound.

mod backup;
mod checkpoint;
mod database;
mod deep;
mod drill;
mod log;

use crate::exit::ExitCode;
use crate::output::Output;
use crate::source::{Kind, Source};
use std::path::PathBuf;

pub(crate) use backup::{find as find_backup, holds_patch_file};
pub(crate) use deep::leak;

/// The arguments of `ese verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Check that a file is sound: of a database every page's checksum and both headers, of a checkpoint \
                  both copies, of a log every segment and record, of a folder of logs also that each continues the \
                  one before, of a backup folder all of that, that the backup is complete, that databases and logs belong together, and to which point it restores. The file is only read, once, with little memory, and may be as large as it likes.\n\n\
                  With --deep the structure of a database is checked as well: the order and the links of every tree, \
                  that every page is owned exactly once, the catalog and its copies, every index against its \
                  records both ways, long values against the references to them. Pages that are owned and \
                  neither used nor available are listed apart, as leaks.\n\n\
                  With --drill a backup is restored to a temporary place, recovered and checked as with --deep; then \
                  that is removed.\n\n\
                  Stands for `esentutl /k`, with --deep for `esentutl /g`. Exit status 3 when something is wrong.\n\n\
                  Examples:\n  ese verify ntds.dit\n  ese verify --deep ntds.dit\n  ese --json verify edb.chk\n  ese verify logs/ --base V01\n  ese verify /backup/app --drill"
)]
pub(crate) struct Args {
    /// A database, log or checkpoint file, or a folder of logs, or a backup folder.
    file: PathBuf,

    /// What the names of the logs in a folder begin with.
    #[arg(long, default_value = "edb")]
    base: String,

    /// Check the structure of a database as well.
    #[arg(long)]
    deep: bool,

    /// Restore a backup to a temporary place, too, and check the structure of what comes out.
    #[arg(long)]
    drill: bool,

    /// The folder in which the temporary place is made; it needs as much room as the databases.
    #[arg(long, value_name = "DIR", requires = "drill")]
    drill_in: Option<PathBuf>,
}

/// Checks the file and prints what was found.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    if args.file.is_dir() {
        anyhow::ensure!(!args.deep, "--deep is for one database, and {} is a folder", args.file.display());
        if let Some(folder) = backup::find(&args.file)? {
            let place = args.drill_in.clone().unwrap_or_else(std::env::temp_dir);
            return backup::run(&folder, args.drill.then_some(place.as_path()), out);
        }
        anyhow::ensure!(!args.drill, "--drill is for a backup, and {} holds none", args.file.display());
        return log::run_folder(&args.file, &args.base, out);
    }
    anyhow::ensure!(!args.drill, "--drill is for a backup folder, and {} is a file", args.file.display());
    let source = Source::open(&args.file)?;
    match &source.kind {
        Kind::Database(chosen) if args.deep => deep::run(&args.file, &*source.file, chosen, out),
        _ if args.deep => anyhow::bail!("--deep is for databases, and {} is none", args.file.display()),
        Kind::Database(chosen) => database::run(&args.file, &*source.file, chosen, out),
        Kind::Checkpoint(_) => checkpoint::run(&args.file, &source, out),
        Kind::Log(_) => log::run(&args.file, out),
    }
}
