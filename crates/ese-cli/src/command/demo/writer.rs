//! The process that owns the instance: its threads write and read until somebody kills it.

use super::check::look;
use super::ledger::{Ledger, Transfer, create};
use super::message::Message;
use super::{BACKUP, Folders, parameters};
use crate::exit::ExitCode;
use anyhow::{Context, Result, bail};
use ese::JetErr;
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::to_directory::DirectoryRequest;
use ese::database::CreateOptions;
use ese::raw::{Environment, InitOptions, Instance, Session};
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

/// The arguments of the hidden command that `ese demo` starts itself with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the demonstration.
    folder: PathBuf,
    /// How many threads write.
    #[arg(long)]
    writers: u32,
    /// How many threads read.
    #[arg(long, default_value_t = 0)]
    readers: u32,
}

/// Says a line; whole lines only, whoever says them.
fn say(message: Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{message}")?;
    out.flush()
}

/// Makes a database and writes to it for ever; takes a backup for each line of standard input. Ends when
/// standard input does: nobody watches any more.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folders = Folders::of(&args.folder);
    let instance = Instance::new(Environment::default(), parameters(&folders.live)?);
    instance.init(InitOptions::default()).context("starting the engine")?;
    let session = instance.begin_session()?;
    let database =
        session.create(&folders.database(), CreateOptions::default()).context("making the database")?;
    create(&session, &database).context("making the tables")?;
    Ledger::open(&session, &database)?.fill().context("opening the accounts")?;
    say(Message::Ready)?;
    let writers = args.writers;
    for writer in 0..writers {
        begin(&instance, &folders, format!("writer {writer}"), move |_, ledger| {
            write_for_ever(ledger, writer)
        });
    }
    for reader in 0..args.readers {
        begin(&instance, &folders, format!("reader {reader}"), move |session, ledger| {
            read_for_ever(session, ledger, writers)
        });
    }
    for line in io::stdin().lock().lines() {
        let flags = match line?.as_str() {
            "full" => ATOMIC,
            "incremental" => ATOMIC | INCREMENTAL,
            other => bail!("what is {other:?}?"),
        };
        let start = Instant::now();
        say(Message::BackupBegins)?;
        let request = DirectoryRequest { folder: Some(&args.folder.join(BACKUP)), flags, create: true };
        let summary = instance.backup()?.backup_to(request, &mut |_| {}).context("backing up")?;
        for database in summary.iter().flat_map(|summary| &summary.databases) {
            if let Some(reason) = database.dropped {
                bail!("{} is not in the backup: {reason}", database.path.display());
            }
        }
        say(Message::BackupEnds { milliseconds: start.elapsed().as_millis() as u64 })?;
    }
    bail!("nobody watches the writing process any more")
}

/// Begins a thread with a session of its own.
fn begin(
    instance: &Instance,
    folders: &Folders,
    who: String,
    work: impl FnOnce(&Session, &Ledger) -> Result<()> + Send + 'static,
) {
    let (instance, path) = (instance.clone(), folders.database());
    thread::spawn(move || {
        let run = || -> Result<()> {
            let session = instance.begin_session()?;
            let database = session.open(&path)?;
            work(&session, &Ledger::open(&session, &database)?)
        };
        if let Err(error) = run() {
            // The watcher must not take silence for success.
            eprintln!("ese: {who}: {error:#}");
            std::process::exit(1);
        }
    });
}

/// Looks at everything again and again, each time in one transaction that only reads.
fn read_for_ever(session: &Session, ledger: &Ledger, writers: u32) -> Result<()> {
    loop {
        session.begin_transaction(true)?;
        let looked = look(ledger, writers);
        session.commit_transaction(true)?;
        let problems = looked?;
        if let Some(problem) = problems.first() {
            bail!("a snapshot is not whole: {problem} ({} problems)", problems.len());
        }
        say(Message::Looked)?;
    }
}

fn write_for_ever(ledger: &Ledger, writer: u32) -> Result<()> {
    for number in 1.. {
        let transfer = Transfer::new(writer, number);
        while let Err(error) = ledger.transfer(&transfer) {
            if error.code() != JetErr::WriteConflict {
                return Err(error).with_context(|| format!("transfer {number}"));
            }
            say(Message::Conflict)?;
            thread::yield_now();
        }
        say(Message::Committed { writer, number })?;
    }
    Ok(())
}
