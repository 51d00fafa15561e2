//! `ese restore`: databases out of a folder that JetBackup wrote.

mod target;

use crate::command::private::PrivateFolder;
use crate::command::verify::find_backup;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::{Output, explain};
use crate::paths::resolve;
use crate::progress;
use crate::source::{Kind, Source, is_log};
use anyhow::{Context, Result, bail, ensure};
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, backup_databases, restore_folder};
use ese_format::PageSize;
use std::ffi::{OsStr, OsString};
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
    ensure!(
        fs::metadata(&backup).with_context(|| format!("looking for {name}"))?.is_dir(),
        "{name} is no folder"
    );
    let Some(files) = find_backup(&backup)? else { bail!("{name} is no folder that JetBackup wrote") };
    let to = absolute(&args.to)?;
    ensure!(to.to_str().is_some(), "{} has a name that is not UTF-8", to.display());
    let logs = args.logs.as_deref().map(absolute).transpose()?;
    keep_apart(&backup, &to, logs.as_deref())?;
    let mut stream = Stream::find(&files)?;
    if let Some(logs) = &logs {
        stream = stream.live_in(logs)?;
    }

    let mut target = Target::take(&to)?;
    let logs = logs.unwrap_or_else(|| target.private().join("logs"));
    match restore(&backup, &files, &to, &mut target, &logs, &stream) {
        Ok(fields) => {
            target.keep()?;
            out.result(&fields, |writer, fields| fields.write(writer))?;
            Ok(ExitCode::Success)
        }
        Err(error) => {
            // Half a restore must not be taken for one.
            if let Err(left) = target.undo() {
                eprintln!("ese: cleaning up: {}", explain(&left));
            }
            Err(error)
        }
    }
}

/// Restores the files in `files`, which are those of the backup that a user calls `backup`.
fn restore(
    backup: &Path,
    files: &Path,
    to: &Path,
    target: &mut Target,
    logs: &Path,
    stream: &Stream,
) -> Result<Fields> {
    fs::create_dir_all(logs).with_context(|| format!("making {}", logs.display()))?;
    let parameters = stream.parameters(logs)?;
    let environment = Environment::default();
    let restoring = || format!("restoring {}", backup.display());
    let databases = backup_databases(&environment, &parameters, files).with_context(restoring)?;
    target.make(databases.iter().filter_map(|path| path.file_name().map(OsString::from)).collect())?;
    let of_backup = databases.first().and_then(|path| path.parent()).unwrap_or(backup);
    let work = progress::restore(&databases, &[of_backup, logs]);
    let summary = restore_folder(&environment, &parameters, files, Some(to), &mut |status| {
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

/// The log stream of a backup: what its files are named like, and what they say of the databases.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// The three letters that the names of the logs begin with.
    base: String,
    page_size: PageSize,
}

impl Stream {
    /// The stream of the backup whose files are in a folder.
    pub(crate) fn find(files: &Path) -> Result<Self> {
        let mut logs = logs_in(files)?;
        logs.sort();
        let Some(name) = logs.first() else { bail!("{} has no log", files.display()) };
        let Kind::Log(header) = Source::open(&files.join(name))?.kind else {
            bail!("{} is no log", files.join(name).display())
        };
        let base = base_of(name).with_context(|| format!("{} is no name of a log", name.display()))?;
        Ok(Self { base, page_size: header.page_size()? })
    }

    /// For a restore whose logs and checkpoint are in a folder.
    pub(crate) fn parameters(&self, logs: &Path) -> Result<Parameters> {
        let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
        let mut parameters = Parameters::new();
        parameters.set_text(ParamId::LogFilePath, folder)?;
        parameters.set_text(ParamId::SystemPath, folder)?;
        parameters.set_text(ParamId::BaseName, &self.base)?;
        parameters.set_integer(ParamId::DatabasePageSize, self.page_size.bytes() as u64)?;
        Ok(parameters)
    }

    /// This stream as it is named in the folder of its live logs. What is named in letters of another case there is
    /// the same stream, and one that a restore would not find.
    ///
    /// # Errors
    /// When the folder has no logs of this name: there is nothing to roll forward with.
    fn live_in(&self, folder: &Path) -> Result<Self> {
        let is_stream = |name: &OsString| base_of(name).is_some_and(|b| b.eq_ignore_ascii_case(&self.base));
        // A log that is being prepared has no records.
        let prepared = [".log", ".jtx"].map(|extension| format!("{}tmp{extension}", self.base));
        let mut logs = logs_in(folder)?;
        logs.retain(|name| is_stream(name) && !prepared.iter().any(|tmp| name.eq_ignore_ascii_case(tmp)));
        let Some(base) = logs.first().and_then(|name| base_of(name.as_os_str())) else {
            bail!(
                "{} holds no logs named {}*: there is nothing to roll forward with; leave --logs out to restore the \
                 backup alone",
                folder.display(),
                self.base
            )
        };
        for name in &logs {
            let extension = Path::new(name).extension();
            ensure!(
                base_of(name).as_ref() == Some(&base)
                    && extension.is_some_and(|extension| extension == "log" || extension == "jtx"),
                "{}: the names of live logs must be in letters of one case, and .log or .jtx",
                folder.join(name).display()
            );
        }
        Ok(Self { base, ..self.clone() })
    }
}

/// The names of the logs in a folder; a missing one has none.
fn logs_in(folder: &Path) -> Result<Vec<OsString>> {
    let list = || -> std::io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut names = match list() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.with_context(|| format!("listing {}", folder.display())),
    }?;
    names.retain(|name| is_log(Path::new(name)));
    Ok(names)
}

/// The three letters that the name of a log begins with.
fn base_of(name: &OsStr) -> Option<String> {
    name.to_str()?.split_at_checked(3).map(|(base, _)| base.to_owned())
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
