//! `ese serve`: a program that holds databases open and serves their backup.

use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::source::{Source, holds_logs};
use anyhow::{Context, Result, bail, ensure};
use ese::backup::socket::Limits;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance, TermOptions};
use ese_vfs::{Disk, RealDisk};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The arguments of `ese serve`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Hold databases open, attached to the log stream in the folder of --logs, and serve their online \
        backup at a Unix socket until SIGINT, SIGTERM or SIGHUP. For databases that no program has open; a program \
        that embeds the engine serves its own with one call.\n\n\
        The socket has mode 0600 and only processes of the same user are heard. What a crash left of the databases is \
        recovered from LOGS first. `ese backup --socket PATH --to DIR` takes a backup; LOGS stays and belongs to the \
        databases from then on, so that incremental backups can follow.",
    after_long_help = "Examples:\n  ese serve app.edb --logs app-logs --socket /run/user/1000/app.sock"
)]
pub(crate) struct Args {
    /// The databases.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The folder of the log stream and its checkpoint; made when it is missing.
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
    /// Where to serve.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// How long a client may take for one message, a megabyte at most, until it is given up and its backup aborted:
    /// a backup keeps logs from going.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle: u32,
}

/// Serves until a signal comes.
pub(crate) fn run(args: &Args, out: &Output) -> Result<ExitCode> {
    // From here on no signal ends the process in the middle of something.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("waiting for signals")?;
    let disk = RealDisk::new();
    let find =
        |path: &PathBuf| disk.canonicalize(path).with_context(|| format!("finding {}", path.display()));
    let files = args.files.iter().map(find).collect::<Result<Vec<PathBuf>>>()?;
    let socket =
        std::path::absolute(&args.socket).with_context(|| format!("finding {}", args.socket.display()))?;
    let mut page_size = None;
    let mut stems = BTreeMap::new();
    for file in &files {
        let other = stems.insert(file.file_stem(), file).filter(|other| *other != file);
        if let Some(other) = other {
            bail!(
                "{} and {} have one name, up to the extension: a backup has no room for both",
                other.display(),
                file.display()
            );
        }
        super::backup::must_be_unused(file)?;
        let (_, chosen) = Source::open_database(file)?;
        let size = chosen.header.page_size;
        ensure!(
            *page_size.get_or_insert(size) == size,
            "{} has pages of another size than the first database: they need processes of their own",
            file.display()
        );
        if !holds_logs(&args.logs)? {
            super::backup::must_be_clean(file, &chosen.header)?;
        }
    }
    let page_size = page_size.context("there is no database to serve")?;
    disk.create_dir_all(&args.logs).with_context(|| format!("making {}", args.logs.display()))?;
    let logs = find(&args.logs)?;
    let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    // A copy is right whatever its text is sorted by.
    parameters.set_integer(ParamId::EnableIndexChecking, 0)?;
    parameters.set_integer(ParamId::EnableIndexCleanup, 0)?;
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default()).with_context(|| format!("opening the logs in {folder}"))?;
    let limits = Limits { idle: Duration::from_secs(args.idle.into()), ..Limits::default() };
    let served = serve(&instance, &files, (&socket, limits), out, &mut signals);
    instance.stop_serving_backups();
    let ended = instance.term(TermOptions { stop_backup: true, ..TermOptions::default() });
    served?;
    ended.context("closing the databases and their log")?;
    Ok(ExitCode::Success)
}

fn serve(
    instance: &Instance,
    files: &[PathBuf],
    (socket, limits): (&Path, Limits),
    out: &Output,
    signals: &mut Signals,
) -> Result<()> {
    let session = instance.begin_session()?;
    for file in files {
        let attached = session.attach(file, AttachOptions::default());
        attached.with_context(|| format!("attaching {}", file.display()))?;
    }
    instance
        .serve_backups_with(socket, limits)
        .with_context(|| format!("serving at {}", socket.display()))?;
    let mut fields = Fields::new();
    fields.add("socket", socket.display().to_string());
    fields.add("databases", files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>());
    out.result(&fields, |writer, fields| fields.write(writer))?;
    signals.forever().next();
    Ok(())
}
