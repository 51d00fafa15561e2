//! `ese maintain`: pages that a crash has leaked go back to their trees.

use super::backup::{must_be_clean, must_be_unused};
use super::private::PrivateFolder;
use super::verify::leak;
use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::progress;
use crate::source::{Source, holds_logs};
use anyhow::{Context, Result, ensure};
use ese::maintain::deep::{DeepOptions, DeepProgress, Leak, deep_check};
use ese::offline::OfflineDatabase;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance, TermOptions, parameters_of_stream};
use ese_format::PageSize;
use ese_vfs::{Disk, RealDisk};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

/// The arguments of `ese maintain`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Give back pages of a database that a crash has leaked: pages that a tree owns and that are neither \
        reachable nor available (`ese verify --deep` lists them). They become available to their trees again, by \
        logged work of the engine: a crash in the middle of it loses nothing.\n\n\
        Give the folder of the log stream that the database belongs to with --logs: a database in state \"dirty \
        shutdown\" is recovered with these logs first, and backups of the stream can still be rolled forward. \
        Without --logs the database must be in state \"clean shutdown\", and is attached to a stream of its own in \
        FILE.maintain.openese, which is removed at the end. A backup made before can then no longer be rolled \
        forward past this point: make a new one. What a crash leaves there, the next run recovers first.\n\n\
        A clean database without leaks is only read. A database with a damaged structure is refused, for what looks \
        like a leak there may be in use.",
    after_long_help = "Examples:\n  ese maintain app.edb\n  ese maintain app.edb --logs app-logs --base edb"
)]
pub(crate) struct Args {
    /// The database.
    file: PathBuf,
    /// The folder of the log stream and its checkpoint.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The three letters that the names of the logs begin with.
    #[arg(long, default_value = "edb", requires = "logs")]
    base: String,
}

/// Maintains the database, and says what was given back.
pub(crate) fn run(args: &Args, out: &Output) -> Result<ExitCode> {
    let disk = RealDisk::new();
    let path = disk.canonicalize(&args.file).with_context(|| format!("finding {}", args.file.display()))?;
    must_be_unused(&path)?;
    let leaks = match &args.logs {
        Some(logs) => {
            ensure!(
                holds_logs(logs)?,
                "{} holds no logs; leave --logs out for a database that needs none",
                logs.display()
            );
            let logs = disk.canonicalize(logs).with_context(|| format!("finding {}", logs.display()))?;
            let (_, chosen) = Source::open_database(&path)?;
            attached(&path, &logs, &args.base, chosen.header.page_size)?
        }
        None => alone(&path)?,
    };
    let mut fields = Fields::new();
    fields.add("database", path.display().to_string());
    fields.add("pages given back", leaks.iter().map(|leak| u64::from(leak.extent.pages)).sum::<u64>());
    fields.add("given back", leaks.iter().map(leak).collect::<Vec<Fields>>());
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

/// Maintains a database that needs no logs, in a stream for this purpose.
fn alone(path: &Path) -> Result<Vec<Leak>> {
    // A folder of its own: unlike that of other commands it may hold logs that the database needs.
    let mut beside = OsString::from(path);
    beside.push(".maintain");
    let beside = PathBuf::from(beside);
    let logs_at = PrivateFolder::path_for(&beside)?.join("logs");
    let (_, chosen) = Source::open_database(path)?;
    if !holds_logs(&logs_at)? {
        must_be_clean(path, &chosen.header)?;
        if !has_leaks(path)? {
            return PrivateFolder::sweep(&beside).map(|()| Vec::new());
        }
    }
    let private = PrivateFolder::take(&beside)?;
    RealDisk::new().create_dir_all(&logs_at).with_context(|| format!("making {}", logs_at.display()))?;
    let leaks = attached(path, &logs_at, "edb", chosen.header.page_size);
    let (_, chosen) = Source::open_database(path)?;
    match chosen.header.is_clean() {
        true => private.remove()?,
        // The logs stay: the database needs them.
        false => drop(private),
    }
    leaks
}

/// Whether the file, which is clean, has anything to be given back.
fn has_leaks(path: &Path) -> Result<bool> {
    let name = path.display();
    let database =
        OfflineDatabase::open(&RealDisk::new(), path).with_context(|| format!("opening {name}"))?;
    let options =
        DeepOptions { threads: threads(), header: Some(database.header().clone()), ..DeepOptions::default() };
    let (bar, progress) = shown();
    let report = deep_check(Arc::new(database), &options, progress);
    bar.finish_and_clear();
    if let Some(error) = report.errors().next() {
        ensure!(
            report.leaks_are_certain,
            "the structure of {name} is damaged, so no page is certain to be lost: {error}"
        );
    }
    Ok(!report.leaks.is_empty())
}

/// The parameters for the stream in a folder; a new one has files of this page size.
fn parameters(logs: &Path, base: &str, page_size: PageSize) -> Result<Parameters> {
    if holds_logs(logs)? {
        let found = parameters_of_stream(&Environment::default(), logs, base);
        return found.with_context(|| format!("looking at the logs in {}", logs.display()));
    }
    let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_text(ParamId::BaseName, base)?;
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    parameters.set_integer(ParamId::CircularLog, 1)?;
    Ok(parameters)
}

/// Attaches the database to the stream in a folder, which recovers it where that is due, and gives back its leaks.
fn attached(path: &Path, logs: &Path, base: &str, page_size: PageSize) -> Result<Vec<Leak>> {
    let folder = logs.display();
    let parameters = parameters(logs, base, page_size)?;
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default()).with_context(|| format!("opening the logs in {folder}"))?;
    let result = reclaim(&instance, path);
    let ended = instance.term(TermOptions::default());
    let leaks = result?;
    ended.context("closing the database and its log")?;
    Ok(leaks)
}

fn reclaim(instance: &Instance, path: &Path) -> Result<Vec<Leak>> {
    let name = path.display();
    let session = instance.begin_session()?;
    session.attach(path, AttachOptions::default()).with_context(|| format!("attaching {name}"))?;
    let (bar, progress) = shown();
    let given = session
        .reclaim_leaks(path, threads(), progress)
        .with_context(|| format!("giving back the lost pages of {name}"))?;
    bar.finish_and_clear();
    Ok(given.leaks)
}

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// A bar, and what moves it.
fn shown() -> (indicatif::ProgressBar, DeepProgress) {
    let bar = progress::bar(0, "pages accounted for");
    let shown = bar.clone();
    let progress: DeepProgress = Arc::new(move |done, total| {
        shown.set_length(total);
        shown.set_position(done);
    });
    (bar, progress)
}
