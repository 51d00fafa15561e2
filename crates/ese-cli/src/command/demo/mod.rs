//! `ese demo`: writes, backs up, kills, recovers, restores, and shows that nothing is lost.

mod check;
mod child;
mod ledger;
mod message;
mod report;
pub(crate) mod writer;

use crate::exit::ExitCode;
use crate::output::Output;
use anyhow::{Context, Result, ensure};
use check::{check, check_structure};
use child::{Told, Writer};
use ese::params::{ParamId, Parameters};
use ese::raw::{
    AttachOptions, Environment, InitOptions, Instance, TermOptions, backup_databases, restore_folder,
};
use report::{Proof, Report};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the backup, in that of the demonstration.
const BACKUP: &str = "backup";
/// The file name of the database.
const DATABASE: &str = "ledger.edb";
/// Bytes between checkpoint and log tip: few, so that pages are written all the time.
const CHECKPOINT_DEPTH: u64 = 4 << 20;
/// The size of a log file in KiB.
const LOG_KIB: u64 = 1024;

/// The arguments of `ese demo`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Show what the engine does, in a temporary folder and in less than a minute.\n\n\
        A process of its own makes a database and writes to it with several threads: transfers between accounts, \
        each in a durable transaction that changes three tables and their indexes. Other threads read all of it \
        meanwhile: each of their snapshots must be explained by the transfers in it. While they go on it takes a full \
        backup and an incremental one. Then it is killed in the middle of its work.\n\n\
        The database is recovered, and the backup is restored to another place. Both are checked: every transaction \
        that was acknowledged is there, all sums are right, every record is under its key in every index, every \
        long value is what was written, every page of every tree is sound.\n\n\
        Exit status 3 when anything is wrong.",
    after_long_help = "Examples:\n  ese demo\n  ese demo --seconds 30 --writers 16 --keep /tmp/demo\n  ese --json demo"
)]
pub(crate) struct Args {
    /// How long to write, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// How many threads write.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    writers: u16,
    /// How many threads read meanwhile, and check that what they see is whole.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=32))]
    readers: u16,
    /// Work in this folder, which must be new or empty, and leave everything there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// A database with its logs.
struct Folders {
    live: PathBuf,
    restored: PathBuf,
    restored_logs: PathBuf,
}

impl Folders {
    fn of(folder: &Path) -> Self {
        let [live, restored, restored_logs] =
            ["live", "restored", "restored-logs"].map(|name| folder.join(name));
        Self { live, restored, restored_logs }
    }

    fn database(&self) -> PathBuf {
        self.live.join(DATABASE)
    }
}

/// The parameters of an instance with its logs in a folder.
fn parameters(logs: &Path) -> Result<Parameters> {
    let folder = logs.to_str().context("the folder has a name that is not UTF-8")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_integer(ParamId::LogFileSize, LOG_KIB)?;
    parameters.set_integer(ParamId::CheckpointDepthMax, CHECKPOINT_DEPTH)?;
    parameters.set_integer(ParamId::MaxSessions, 128)?;
    // Readers look at everything in one transaction, and what is changed meanwhile is kept for them.
    parameters.set_integer(ParamId::MaxVerPages, 2048)?;
    Ok(parameters)
}

/// Tells on standard error what happens.
struct Steps(Instant);

impl Steps {
    fn step(&self, sentence: impl AsRef<str>) {
        eprintln!("[{:5.1} s] {}", self.0.elapsed().as_secs_f64(), sentence.as_ref());
    }
}

/// Runs the demonstration, and reports.
pub(crate) fn run(args: &Args, out: &Output) -> Result<ExitCode> {
    let temporary;
    let folder = match &args.keep {
        Some(folder) => {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            let is_empty = fs::read_dir(folder)?.next().is_none();
            ensure!(is_empty, "{} is not empty: nothing is ever overwritten", folder.display());
            std::path::absolute(folder)?
        }
        None => {
            temporary = tempfile::Builder::new().prefix("ese-demo-").tempdir().context("making a folder")?;
            temporary.path().to_path_buf()
        }
    };
    let mut report = demonstrate(args, &folder)?;
    report.folder = args.keep.is_some().then(|| folder.display().to_string());
    if out.is_json() {
        out.result(&report.fields(), |_, _| Ok(()))?;
    } else {
        let mut writer = out.writer();
        report.write(&mut writer)?;
        std::io::Write::flush(&mut writer)?;
    }
    Ok(if report.is_good() { ExitCode::Success } else { ExitCode::Findings })
}

fn demonstrate(args: &Args, folder: &Path) -> Result<Report> {
    let steps = Steps(Instant::now());
    let folders = Folders::of(folder);
    for path in [&folders.live, &folders.restored, &folders.restored_logs] {
        fs::create_dir(path).with_context(|| format!("making {}", path.display()))?;
    }
    steps.step("starting a process that makes a database and writes to it");
    let mut writer = Writer::start(folder, args.writers.into(), args.readers.into())?;
    let start = Instant::now();
    // Before the full backup, between both, and after the incremental one.
    let part = Duration::from_secs(args.seconds.into()) / 3;
    steps.step(format!("{} threads write, {} read", args.writers, args.readers));
    writer.write_for(part)?;
    steps.step(format!("{} transactions; a full backup begins, they go on", writer.told.commits()));
    let full = writer.back_up("full")?;
    steps.step("the full backup is complete");
    writer.write_for(part)?;
    steps.step(format!("{} transactions; an incremental backup begins", writer.told.commits()));
    let incremental = writer.back_up("incremental")?;
    steps.step("the incremental backup is complete");
    writer.write_for(part)?;
    let written = writer.kill()?;
    let writing = start.elapsed();
    steps.step(format!("{} transactions; the process is killed", written.commits()));

    steps.step("recovering the database");
    let recovered = recover(&folders, &written)?;
    steps.step("restoring the backup to another place");
    let restored = restore(folder, &folders, &incremental.before)?;
    steps.step("done");
    let backup_bytes = bytes_in(&folder.join(BACKUP))?;
    let total = steps.0.elapsed();
    Ok(Report { written, writing, full, incremental, backup_bytes, recovered, restored, total, folder: None })
}

/// Starts an instance where the killed process left its files, which recovers them, and checks the database.
fn recover(folders: &Folders, certain: &Told) -> Result<Proof> {
    prove(&folders.live, &folders.database(), certain, Duration::ZERO).context("recovering the database")
}

/// Restores the backup, and checks the database.
fn restore(folder: &Path, folders: &Folders, certain: &Told) -> Result<Proof> {
    let start = Instant::now();
    let backup = folder.join(BACKUP);
    let environment = Environment::default();
    let parameters = parameters(&folders.restored_logs)?;
    let databases = backup_databases(&environment, &parameters, &backup).context("reading the backup")?;
    ensure!(databases.len() == 1, "the backup has {} databases instead of one", databases.len());
    let summary = restore_folder(&environment, &parameters, &backup, Some(&folders.restored), &mut |_| {})
        .context("restoring the backup")?;
    let database = summary.databases.first().context("nothing was restored")?.path.clone();
    prove(&folders.restored_logs, &database, certain, start.elapsed())
        .context("opening the restored database")
}

/// Opens a database, which recovers it where that is due, checks it, and closes it; then checks its pages.
/// `spent` is what it took to get so far.
fn prove(logs: &Path, path: &Path, certain: &Told, spent: Duration) -> Result<Proof> {
    let start = Instant::now();
    let instance = Instance::new(Environment::default(), parameters(logs)?);
    instance.init(InitOptions::default()).context("starting the engine")?;
    let session = instance.begin_session()?;
    session.attach(path, AttachOptions::default())?;
    let time = spent + start.elapsed();
    let database = session.open(path)?;
    let checked = check(&session, &database, certain);
    drop(database);
    let given_back = session.reclaim_leaks(path, 1, Arc::new(|_, _| {}));
    drop(session);
    let ended = instance.term(TermOptions::default());
    let mut checked = checked?;
    let given_back = given_back.context("giving back lost pages")?.reclaimed_pages();
    ended.context("closing the database")?;
    let structure = check_structure(path, &mut checked)?;
    Ok(Proof { time, checked, given_back, structure, certain: certain.commits() })
}

/// The size of everything in a folder.
fn bytes_in(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
