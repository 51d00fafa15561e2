//! `cargo xtask bench`: measurements beside peers, in one run, on one machine: ratios, not records.

#[cfg(feature = "peers")]
mod backup;
#[cfg(feature = "peers")]
mod copying;
#[cfg(feature = "peers")]
mod figures;
mod measure;
#[cfg(feature = "peers")]
mod peers;
mod read;
#[cfg(feature = "peers")]
mod stores;
#[cfg(feature = "peers")]
mod threads;
#[cfg(feature = "peers")]
mod write;

#[cfg(not(feature = "peers"))]
use crate::python;
use crate::workspace;
use anyhow::{Context, Result};
use std::path::PathBuf;
#[cfg(not(feature = "peers"))]
use std::process::Command;
use std::process::ExitCode;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Reading: rows and bytes per second and peak memory of `ese export`, beside the Python readers;
    /// page checksums, beside plain reads of the same memory.
    Read,
    /// Changing and finding records by one session, beside SQLite and redb.
    Write(Settings),
    /// Many sessions at once: durable commits and reads per second by the number of sessions, beside a bare
    /// loop of write and sync and beside threads that share nothing.
    Threads(Settings),
    /// Full backups to a folder with every page verified, beside `cp` of the same files and the online backups of
    /// SQLite and RocksDB, alone and with writers; incremental backups, restore, memory.
    Backup(BackupSettings),
}

/// How to measure backups.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BackupSettings {
    /// Size of the largest database in MiB; a half and a quarter of it are measured as well.
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// RocksDB's backup engine as well. To build it takes a C++ compiler and some 20 minutes of processor time.
    #[arg(long)]
    rocksdb: bool,
    #[command(flatten)]
    common: Settings,
}

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// The folder for the databases, on the disk to be measured; `bench` in cargo's target folder without it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How often everything is done, in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Records per round; a share of it where the work is slow.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Only the kinds of work whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Only this engine.
    #[arg(long)]
    engine: Option<String>,
    /// Also counts how long threads wait for locks, which costs a little.
    #[arg(long)]
    lock_times: bool,
}

impl Settings {
    /// Whether a kind of work is asked for.
    #[cfg(feature = "peers")]
    fn is_wanted(&self, work: &str) -> bool {
        self.only.as_deref().is_none_or(|only| work.contains(only))
    }

    /// The folder, empty.
    #[cfg(feature = "peers")]
    fn folder(&self) -> Result<PathBuf> {
        let folder = self.dir.clone().unwrap_or_else(|| workspace::target().join("bench"));
        let folder = folder.join("stores");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&folder),
        }
        .with_context(|| format!("emptying {}", folder.display()))?;
        Ok(std::fs::canonicalize(folder)?)
    }
}

impl Bench {
    /// Runs the measurement and prints a table.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match &self {
            Self::Read => read::run(),
            #[cfg(feature = "peers")]
            Self::Write(settings) => write::run(settings),
            #[cfg(feature = "peers")]
            Self::Threads(settings) => threads::run(settings),
            #[cfg(feature = "peers")]
            Self::Backup(settings) => backup::run(settings),
            #[cfg(not(feature = "peers"))]
            Self::Backup(BackupSettings { rocksdb: true, .. }) => optimised("rocksdb"),
            #[cfg(not(feature = "peers"))]
            Self::Write(settings) | Self::Threads(settings) if settings.lock_times => optimised("lock-times"),
            #[cfg(not(feature = "peers"))]
            Self::Backup(_) | Self::Write(_) | Self::Threads(_) => optimised("peers"),
        }
    }
}

/// Runs this very command again, built to be fast, with some features.
#[cfg(not(feature = "peers"))]
fn optimised(features: &str) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    if features == "rocksdb" {
        python::lend_clang(&mut command)?;
    }
    let status = command
        .args(["run", "--quiet", "--release", "--package", "xtask", "--features", features, "--"])
        .args(std::env::args_os().skip(1))
        .status()
        .context("running cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
