//! `ese restore`: databases out of a folder that JetBackup wrote.

use crate::command::verify::find_backup;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::progress;
use crate::source::{Kind, Source};
use anyhow::{Context, Result, bail, ensure};
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, restore_folder};
use ese_format::PageSize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf, absolute};

/// The arguments of `ese restore`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Restore the databases of a backup folder into another folder: copy them and replay the logs of the \
        backup, so that they are clean and complete. The backup itself is only read. The folder must be new or \
        empty; nothing is ever overwritten.\n\n\
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
    let backup = absolute(&args.backup).with_context(|| format!("finding {name}"))?;
    let Some(files) = find_backup(&backup)? else { bail!("{name} is no folder that JetBackup wrote") };
    let to = absolute(&args.to).with_context(|| format!("finding {}", args.to.display()))?;
    ensure!(is_empty(&to)?, "{} is not empty: nothing is overwritten", args.to.display());

    let mut private = OsString::from(&to);
    private.push(".openese");
    let private = PathBuf::from(private);
    let logs = match &args.logs {
        Some(logs) => absolute(logs).with_context(|| format!("finding {}", logs.display()))?,
        None => {
            ensure!(is_empty(&private)?, "{} is there: remove what a crash left", private.display());
            private.clone()
        }
    };
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let result = restore(&backup, &to, &logs, page_size(&files)?);
    if result.is_err() && to.exists() {
        // It was new or empty; half a restore must not be taken for one.
        fs::remove_dir_all(&to).with_context(|| format!("removing {}", to.display()))?;
    }
    if args.logs.is_none() {
        fs::remove_dir_all(&private).with_context(|| format!("removing {}", private.display()))?;
    }
    out.result(&result?, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}

fn restore(backup: &Path, to: &Path, logs: &Path, page_size: PageSize) -> Result<Fields> {
    let folder = logs.to_str().context("the log folder has a name that is not UTF-8")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    parameters.set_integer(ParamId::CreatePathIfNotExist, 1)?;
    let bar = progress::bar(100, "percent");
    let summary = restore_folder(&Environment::default(), &parameters, backup, Some(to), &mut |status| {
        bar.set_position(status.done().into());
    })
    .with_context(|| format!("restoring {}", backup.display()))?;
    bar.finish_and_clear();
    let mut fields = Fields::new();
    fields.add("backup", backup.display().to_string());
    let databases = summary.databases.iter().map(|restored| Value::from(restored.path.display().to_string()));
    fields.add("databases", Value::List(databases.collect()));
    fields.add("first generation", summary.replayed.0).add("last generation", summary.replayed.1);
    Ok(fields)
}

/// The page size of the backup's databases, as its logs name it.
fn page_size(files: &Path) -> Result<PageSize> {
    let list = fs::read_dir(files).with_context(|| format!("listing {}", files.display()))?;
    for entry in list {
        let path = entry.with_context(|| format!("listing {}", files.display()))?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("log"))
            && let Kind::Log(header) = Source::open(&path)?.kind
        {
            return Ok(header.page_size()?);
        }
    }
    bail!("{} has no log", files.display())
}

/// Whether nothing has this name, or a folder without content.
fn is_empty(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("looking into {}", folder.display())),
    }
}
