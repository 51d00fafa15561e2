//! `ese restore`: databases out of a folder that JetBackup wrote.

mod target;

use crate::command::private::PrivateFolder;
use crate::command::verify::find_backup;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::paths::resolve;
use crate::progress;
use crate::source::{Kind, Source, is_log};
use anyhow::{Context, Result, bail, ensure};
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, backup_databases, restore_folder};
use ese_format::PageSize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use target::Target;

/// The arguments of `ese restore`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Restore the databases of a backup folder into another folder: copy them and replay the logs of the \
        backup, so that they are clean and complete. The backup itself is only read. The folder must be new or \
        empty; nothing is ever overwritten. After a failure nothing of the restore stays.\n\n\
        Private files are kept in DIR.openese beside the folder and removed at the end. What a crash leaves there and \
        in the folder the next restore into it removes before it begins.\n\n\
        With --logs the log stream in that folder is replayed behind the logs of the backup, up to its end, and goes \
        on there; without it the restored databases need no logs.\n\n\
        Stands for JetRestore and the hard recovery of `esentutl /r`.",
    after_long_help = "Examples:\n  ese restore /backup/ntds --to /restored\n  \
        ese restore /backup/app --to /restored --logs app-logs"
)]
pub(crate) struct Args {
    /// The folder of the backup.
    backup: PathBuf,
    /// The folder for the databases, new or empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The folder of the live log stream, to roll forward.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

/// Restores, and says what was restored.
pub(crate) fn run(args: Args, out: &Output) -> Result<ExitCode> {
    let name = args.backup.display();
    let backup = absolute(&args.backup)?;
    let Some(files) = find_backup(&backup)? else { bail!("{name} is no folder that JetBackup wrote") };
    let to = absolute(&args.to)?;
    let logs = args.logs.as_deref().map(absolute).transpose()?;
    keep_apart(&backup, &to, logs.as_deref())?;
    let page_size = page_size(&files)?;

    let mut target = Target::take(&to, logs.as_deref())?;
    let live = logs.as_deref().map(LiveLogs::look).transpose();
    let result = live.and_then(|live| {
        let logs = logs.unwrap_or_else(|| target.private().join("logs"));
        let result = restore(&backup, &to, &mut target, &logs, page_size);
        // What failed first is what has to be told.
        if let (Err(_), Some(live)) = (&result, live)
            && let Err(left) = live.undo()
        {
            eprintln!("ese: cleaning up: {left:#}");
        }
        result
    });
    match result {
        Ok(fields) => {
            target.keep()?;
            out.result(&fields, |writer, fields| fields.write(writer))?;
            Ok(ExitCode::Success)
        }
        Err(error) => {
            // Half a restore must not be taken for one.
            if let Err(left) = target.undo() {
                eprintln!("ese: cleaning up: {left:#}");
            }
            Err(error)
        }
    }
}

fn restore(
    backup: &Path,
    to: &Path,
    target: &mut Target,
    logs: &Path,
    page_size: PageSize,
) -> Result<Fields> {
    fs::create_dir_all(logs).with_context(|| format!("making {}", logs.display()))?;
    let parameters = parameters(logs, page_size)?;
    let environment = Environment::default();
    let restoring = || format!("restoring {}", backup.display());
    let databases = backup_databases(&environment, &parameters, backup).with_context(restoring)?;
    target.make(databases.iter().filter_map(|path| path.file_name().map(OsString::from)).collect())?;
    let of_backup = databases.first().and_then(|path| path.parent()).unwrap_or(backup);
    let work = progress::restore(&databases, &[of_backup, logs]);
    let summary = restore_folder(&environment, &parameters, backup, Some(to), &mut |status| {
        work.at(status.done());
    })
    .with_context(restoring)?;
    work.finish();
    let mut fields = Fields::new();
    fields.add("backup", backup.display().to_string());
    let databases = summary.databases.iter().map(|restored| Value::from(restored.path.display().to_string()));
    fields.add("databases", Value::List(databases.collect()));
    fields.add("first generation", summary.replayed.0).add("last generation", summary.replayed.1);
    Ok(fields)
}

/// For a restore whose logs and checkpoint are in a folder.
pub(crate) fn parameters(logs: &Path, page_size: PageSize) -> Result<Parameters> {
    let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    Ok(parameters)
}

/// The folder of `--logs` as it was.
struct LiveLogs {
    folder: PathBuf,
    names: Vec<OsString>,
}

impl LiveLogs {
    fn look(folder: &Path) -> Result<Self> {
        let list = || -> std::io::Result<Vec<OsString>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let names = match list() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        };
        let names = names.with_context(|| format!("listing {}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf(), names })
    }

    /// After a failure: where there was no stream, the beginning of one is removed. One that was there is
    /// whole, with or without a few records of the restore at its end, and stays.
    fn undo(self) -> Result<()> {
        if self.names.iter().any(|name| is_log(Path::new(name))) {
            return Ok(());
        }
        let base = Parameters::new().base_name().to_owned();
        for name in Self::look(&self.folder)?.names {
            if !self.names.contains(&name) && name.to_string_lossy().starts_with(&base) {
                let path = self.folder.join(name);
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Refuses folders that are inside one another: the backup is only read, and in the folder for the databases
/// is nothing else.
fn keep_apart(backup: &Path, to: &Path, logs: Option<&Path>) -> Result<()> {
    let (backup, target) = (resolve(backup)?, resolve(to)?);
    ensure!(!target.starts_with(&backup), "{} is inside the backup, which is only read", to.display());
    if let Some(logs) = logs {
        let name = logs.display();
        let logs = resolve(logs)?;
        ensure!(!logs.starts_with(&backup), "{name} is inside the backup, which is only read");
        ensure!(!logs.starts_with(&target), "{name} is inside the folder for the databases");
        ensure!(
            !logs.starts_with(PrivateFolder::path_for(&target)?),
            "{name} is inside the folder for private files"
        );
    }
    Ok(())
}

/// A path from the root, without the slash that may end it.
fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("finding {}", path.display()))?;
    Ok(absolute.components().collect())
}

/// The page size of the backup's databases, as its logs name it.
pub(crate) fn page_size(files: &Path) -> Result<PageSize> {
    let list = fs::read_dir(files).with_context(|| format!("listing {}", files.display()))?;
    for entry in list {
        let path = entry.with_context(|| format!("listing {}", files.display()))?.path();
        if is_log(&path)
            && let Kind::Log(header) = Source::open(&path)?.kind
        {
            return Ok(header.page_size()?);
        }
    }
    bail!("{} has no log", files.display())
}
