//! `ese backup`: the folder that JetBackup writes.

mod copy;
mod socket;
mod target;

use crate::command::private::PrivateFolder;
use crate::exit::ExitCode;
use crate::fields::{Fields, state_name};
use crate::output::Output;
use crate::progress::{self, Stage};
use crate::source::{Source, holds_logs};
use anyhow::{Context, bail, ensure};
use ese::backup::external::{ATOMIC, BackupSummary, INCREMENTAL};
use ese::backup::socket::SocketBackupKind;
use ese::backup::to_directory::DirectoryRequest;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance, Session, TermOptions};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_vfs::{Disk, File, OpenMode, RealDisk};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The arguments of `ese backup`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Back up a database that nobody has open into a folder of JetBackup's layout, from which JetRestore \
        restores. A second backup into the same folder replaces the first only when it is complete.\n\n\
        By default the command works on a copy: the database itself is only read. With --in-place the database is \
        attached to the log stream in the folder of --logs and written to (its header remembers the backup); that \
        stream is what an incremental backup continues.\n\n\
        Private files are kept in FILE.openese beside the database and removed at the end. What a crash leaves there \
        the next backup removes; what a crash leaves of an attached database the next backup recovers first.\n\n\
        A database that a running program has open is backed up through a socket, if the program serves one: \
        with --socket instead of the database. Programs do so with one call (in C: openese_serve_backup), and \
        `ese serve` for databases that no program has open. Stands for `esentutl /y`, with verification of every page.",
    after_long_help = "Examples:\n  ese backup ntds.dit --to /backup/ntds\n  \
        ese backup app.edb --to /backup/app --in-place --logs app-logs\n  \
        ese backup app.edb --to /backup/app --in-place --logs app-logs --incremental\n  \
        ese backup --socket /run/app/backup.sock --to /backup/app\n  \
        ese backup --socket /run/app/backup.sock --to /backup/app --incremental"
)]
pub(crate) struct Args {
    /// The database.
    #[arg(required_unless_present = "socket")]
    file: Option<PathBuf>,
    /// Take the databases of the program that serves at this socket, while it uses them.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["file", "in_place", "logs"])]
    socket: Option<PathBuf>,
    /// The folder of the backup; made when it is missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only add the logs since the last backup of the same database and log stream.
    #[arg(long, conflicts_with_all = ["differential", "copy"])]
    incremental: bool,
    /// With --socket: as --incremental, but the program gives up no logs: the next one has them again.
    #[arg(long, requires = "socket", conflicts_with_all = ["file", "copy"])]
    differential: bool,
    /// With --socket: a full backup that changes nothing for those that follow: no log is given up, and
    /// incremental backups go on from the full one before it.
    #[arg(long, requires = "socket", conflicts_with = "file")]
    copy: bool,
    /// Attach the database itself instead of a copy.
    #[arg(long, requires = "logs")]
    in_place: bool,
    /// With --in-place: the folder of the log stream and its checkpoint.
    #[arg(long, value_name = "DIR", requires = "in_place")]
    logs: Option<PathBuf>,
}

/// Backs up, and says what is in the backup.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let to = std::path::absolute(&args.to).with_context(|| format!("finding {}", args.to.display()))?;
    target::check_folder(&to)?;
    if let Some(socket) = &args.socket {
        let kind = match (args.incremental, args.differential, args.copy) {
            (true, ..) => SocketBackupKind::Incremental,
            (_, true, _) => SocketBackupKind::Differential,
            (.., true) => SocketBackupKind::Copy,
            _ => SocketBackupKind::Full,
        };
        return socket::run(socket, &to, kind, out);
    }
    let file = args.file.as_deref().context("there is no database to back up")?;
    if args.incremental && !args.in_place {
        bail!(
            "an incremental backup continues the log stream of the last full one, and the copy that is backed up \
             without --in-place has a new stream each time: use --in-place --logs DIR for both"
        );
    }
    let disk = RealDisk::new();
    let path = disk.canonicalize(file).with_context(|| format!("finding {}", file.display()))?;
    let flags = if args.incremental { ATOMIC | INCREMENTAL } else { ATOMIC };
    let summary = match &args.logs {
        Some(logs) => in_place(&path, logs, &to, flags)?,
        None => of_a_copy(&path, &to, flags)?,
    };
    let mut fields = Fields::new();
    fields.add("database", path.display().to_string()).add("backup", to.display().to_string());
    fields.add("kind", if args.incremental { "incremental" } else { "full" });
    if let Some(summary) = summary {
        // The engine goes on without a database that cannot be read; a backup without it is none.
        for database in &summary.databases {
            if let Some(reason) = database.dropped {
                bail!("{} is not in the backup: {reason}", database.path.display());
            }
        }
        fields.add("time", summary.info.time);
        fields.add("log generations", summary.logs);
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

/// Copies the database into the private folder and backs up the copy.
fn of_a_copy(path: &Path, to: &Path, flags: u32) -> anyhow::Result<Option<BackupSummary>> {
    let source = lock(path, false)?;
    let (_, chosen) = Source::open_database(path)?;
    must_be_clean(path, &chosen.header)?;
    target::check_place(to, path)?;
    target::check_database(to, &chosen.header.signature)?;
    // It only ever holds copies: what a crash left there is of no use to anybody.
    let private = PrivateFolder::take(path)?;
    private.empty()?;
    let result = copy_and_back_up(&*source, path, &private, chosen.header.page_size, to, flags);
    private.remove()?;
    // Errors name the copy, which is gone.
    result.with_context(|| format!("backing up {}", path.display()))
}

fn copy_and_back_up(
    source: &dyn File,
    path: &Path,
    private: &PrivateFolder,
    page_size: PageSize,
    to: &Path,
    flags: u32,
) -> anyhow::Result<Option<BackupSummary>> {
    let logs = private.path().join("logs");
    RealDisk::new().create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let copy = copy::copy(source, path, private.path())?;
    attach_and_back_up(&copy, &logs, page_size, to, flags)
}

/// Attaches the database itself to a log stream that stays.
fn in_place(path: &Path, logs: &Path, to: &Path, flags: u32) -> anyhow::Result<Option<BackupSummary>> {
    let (_, chosen) = Source::open_database(path)?;
    // Logs that are there may recover it; the engine says whether they do.
    if !holds_logs(logs)? {
        must_be_clean(path, &chosen.header)?;
    }
    target::check_place(to, path)?;
    if flags & INCREMENTAL == 0 {
        target::check_database(to, &chosen.header.signature)?;
    }
    // Only asks: attaching takes the lock itself.
    drop(lock(path, true)?);
    PrivateFolder::sweep(path)?;
    let disk = RealDisk::new();
    disk.create_dir_all(logs).with_context(|| format!("making {}", logs.display()))?;
    let logs = disk.canonicalize(logs).with_context(|| format!("finding {}", logs.display()))?;
    attach_and_back_up(path, &logs, chosen.header.page_size, to, flags)
}

/// Refuses a database that needs logs.
pub(super) fn must_be_clean(path: &Path, header: &DatabaseHeader) -> anyhow::Result<()> {
    ensure!(
        header.is_clean(),
        "{} is in state \"{}\": it needs log generations {} to {}, and only a database that was shut down cleanly \
         can do without (JET_errDatabaseDirtyShutdown)",
        path.display(),
        state_name(header.state),
        header.min_required,
        header.max_required
    );
    Ok(())
}

/// Refuses a database that another process has open, before anything else is said of it: it is in use, and so not
/// clean.
pub(super) fn must_be_unused(path: &Path) -> anyhow::Result<()> {
    lock(path, true).map(drop)
}

/// Opens a database for reading and locks it against those who would change it.
fn lock(path: &Path, exclusive: bool) -> anyhow::Result<Arc<dyn File>> {
    let name = path.display();
    let file = RealDisk::new().open(path, OpenMode::Read).with_context(|| format!("opening {name}"))?;
    match file.try_lock(exclusive) {
        Ok(()) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!(
            "{name} is open in another process (JET_errFileAccessDenied); while it is, only the program that has it \
             open can back it up: through the socket that it serves (--socket), by JetBackup or JetBeginExternalBackup"
        ),
        Err(error) => Err(error).with_context(|| format!("locking {name}")),
    }
}

/// Starts an instance on a log folder, which recovers what a crash left there, and runs one backup.
fn attach_and_back_up(
    database: &Path,
    logs: &Path,
    page_size: PageSize,
    to: &Path,
    flags: u32,
) -> anyhow::Result<Option<BackupSummary>> {
    let mut parameters = Parameters::new();
    let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    // A copy is right whatever its text is sorted by.
    parameters.set_integer(ParamId::EnableIndexChecking, 0)?;
    parameters.set_integer(ParamId::EnableIndexCleanup, 0)?;
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default()).with_context(|| format!("opening the logs in {folder}"))?;
    let result = back_up(&instance, database, to, flags);
    let ended = instance.term(TermOptions { stop_backup: true, ..TermOptions::default() });
    let summary = result?;
    ended.context("closing the database and its log")?;
    Ok(summary)
}

fn back_up(
    instance: &Instance,
    database: &Path,
    to: &Path,
    flags: u32,
) -> anyhow::Result<Option<BackupSummary>> {
    let session: Session = instance.begin_session()?;
    session
        .attach(database, AttachOptions::default())
        .with_context(|| format!("attaching {}", database.display()))?;
    // Only full backups tell how far they are.
    let bytes = if flags & INCREMENTAL == 0 { progress::size(database) } else { 0 };
    let work = progress::Work::new(vec![Stage { up_to: 99, bytes }]);
    let request = DirectoryRequest { folder: Some(to), flags, create: true };
    let summary = instance
        .backup()?
        .backup_to(request, &mut |status| work.at(status.done()))
        .with_context(|| format!("backing up to {}", to.display()))?;
    work.finish();
    Ok(summary)
}
