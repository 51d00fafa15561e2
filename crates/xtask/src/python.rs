//! A Python with the independent readers of ESE databases, under `target/`.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The readers that our databases are held against, pinned: the expected contents of the samples were
/// made with these versions.
const READERS: &[&str] = &["dissect.esedb==3.18", "libesedb-python==20260704"];

/// A Python interpreter that can import the readers.
pub(crate) struct Python {
    interpreter: PathBuf,
    /// Where the packages are, when they are not in the interpreter's own folder.
    packages: Option<PathBuf>,
}

impl Python {
    /// Finds or builds it. Without network this works only once it has been built.
    pub(crate) fn prepare() -> Result<Self> {
        let home = workspace::target().join("python");
        let stamp = home.join("installed.txt");
        let wanted = READERS.join("\n");
        let done = std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted);
        if !done && home.exists() {
            std::fs::remove_dir_all(&home).with_context(|| format!("removing {}", home.display()))?;
        }
        let python = Self::install(&home, done)?;
        python.import_readers()?;
        if !done {
            std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
        }
        Ok(python)
    }

    /// A virtual environment where Python can make one, else a folder of packages beside it (Debian
    /// ships Python without `venv`).
    fn install(home: &Path, done: bool) -> Result<Self> {
        let venv = Self { interpreter: home.join("venv/bin/python"), packages: None };
        let beside =
            Self { interpreter: PathBuf::from("python3"), packages: Some(home.join("site-packages")) };
        if done {
            return Ok(if venv.interpreter.exists() { venv } else { beside });
        }
        eprintln!("xtask: installing {} under {}", READERS.join(", "), home.display());
        let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(home.join("venv")))?;
        if made && quiet(Command::new(&venv.interpreter).args(["-m", "pip", "--version"]))? {
            venv.pip(READERS, &[])?;
            return Ok(venv);
        }
        let _ = std::fs::remove_dir_all(home.join("venv"));
        let folder = home.join("site-packages");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        beside.pip(READERS, &["--target", &folder.to_string_lossy()])?;
        Ok(beside)
    }

    fn pip(&self, packages: &[&str], options: &[&str]) -> Result<()> {
        let status = Command::new(&self.interpreter)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(options)
            .args(packages)
            .status()
            .context("running pip")?;
        if !status.success() {
            bail!(
                "pip could not install {} ({status}): is there a C compiler and a network?",
                packages.join(", ")
            );
        }
        Ok(())
    }

    fn import_readers(&self) -> Result<()> {
        let status = self.command().args(["-c", "import dissect.esedb, pyesedb"]).status()?;
        if !status.success() {
            bail!("{} cannot import the readers", self.interpreter.display());
        }
        Ok(())
    }

    /// A command that runs the interpreter.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        self.lend(&mut command);
        command
    }

    /// Tells a command (and the tests it runs) where the interpreter is: `OPENESE_PYTHON`.
    pub(crate) fn lend(&self, command: &mut Command) {
        command.env("OPENESE_PYTHON", &self.interpreter);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
    }
}

/// The library that makes Rust declarations of C headers, for whoever builds RocksDB.
#[cfg(not(feature = "peers"))]
const CLANG: &str = "libclang==18.1.1";

/// Tells a command where libclang is, and where the compiler has its headers. Installs it under `target/` unless the
/// environment names one.
#[cfg(not(feature = "peers"))]
pub(crate) fn lend_clang(command: &mut Command) -> Result<()> {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return Ok(());
    }
    let home = workspace::target().join("clang");
    let library = home.join("clang").join("native");
    if !library.exists() {
        Python::prepare()?.pip(&[CLANG], &["--target", &home.to_string_lossy()])?;
    }
    let headers = Command::new("cc").arg("-print-file-name=include").output().context("running cc")?;
    let headers = String::from_utf8(headers.stdout).context("where cc has its headers")?;
    command.env("LIBCLANG_PATH", &library);
    command.env("BINDGEN_EXTRA_CLANG_ARGS", format!("-I{}", headers.trim()));
    Ok(())
}

/// Runs a command whose failure is an answer, not a problem.
fn quiet(command: &mut Command) -> Result<bool> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("running python3"),
    }
}
