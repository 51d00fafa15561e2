//! A short life of an instance that does everything once: what is run again and again with one operation of
//! the disk failing.

use super::*;
use ese::backup::to_directory::DirectoryRequest;

/// Where in its life an instance was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It starts, and may have to recover.
    Init,
    /// Databases are made, attached, detached.
    Files,
    /// Sessions work.
    Work,
    /// A backup runs.
    Backup,
    /// It ends.
    Term,
}

/// How a life ended.
#[derive(Debug)]
pub struct Death {
    pub phase: Phase,
    pub error: ese::Error,
    /// What the instance did that it should not have done after that error.
    pub complaint: Option<String>,
}

/// The folder of backups.
pub const BACKUP: &str = "/out";

/// Runs it all; the first error of the engine ends it.
pub fn run(setup: Setup, disk: &SimDisk, history: &Shared) -> std::result::Result<(), Box<Death>> {
    let mut rng = SimRng::new(setup.seed);
    for life in 0..2 {
        let instance = setup.instance(disk, life, true, &history.pages);
        let init = instance.init(InitOptions::default());
        init.map_err(|error| Box::new(Death { phase: Phase::Init, error, complaint: None }))?;
        let mut phase = Phase::Files;
        let lived = live(setup, disk, history, &mut rng, life, &instance, &mut phase);
        lived.map_err(|error| {
            let complaint = aftermath(&instance, history, &error).err();
            // As if the process died: only memory is given back.
            let _ = instance.term(TermOptions { dirty: true, ..TermOptions::default() });
            Box::new(Death { phase, error, complaint })
        })?;
        // The first life ends as a crash of the process would end it: the second one recovers.
        let term = instance.term(TermOptions { dirty: life == 0, ..TermOptions::default() });
        term.map_err(|error| Box::new(Death { phase: Phase::Term, error, complaint: None }))?;
    }
    history.durable();
    Ok(())
}

fn live(
    setup: Setup,
    disk: &SimDisk,
    history: &Shared,
    rng: &mut SimRng,
    life: u64,
    instance: &Instance,
    phase: &mut Phase,
) -> Result<()> {
    let session = instance.begin_session()?;
    let path = Path::new(DATABASES[0]);
    let database = if life == 0 {
        let made = session.create(path, setup.new_database())?;
        history.get().created.insert(DATABASES[0]);
        made
    } else {
        session.attach(path, AttachOptions::default())?;
        session.open(path)?
    };
    let state = history.last().as_ref().clone();
    let tells = std::env::var_os("OPENESE_CRASH_TRACE").is_some();
    let mut run = Run {
        setup,
        disk,
        tells,
        instance: instance.clone(),
        session,
        databases: vec![database],
        rng,
        history,
        state,
    };
    *phase = Phase::Work;
    if life == 1 {
        run.read_something()?;
        run.one(false, |run| run.changes(6))?;
        return Ok(());
    }
    run.one(false, |run| run.create_table(0))?;
    // Splits, long values.
    run.one(true, |run| run.inserts(25))?;
    run.instance.step_jobs();
    *phase = Phase::Files;
    run.reattach()?;
    *phase = Phase::Work;
    // A transaction that is rolled back.
    let before = run.state.clone();
    run.session.begin_transaction(false)?;
    run.inserts(4)?;
    run.session.rollback_transaction(true)?;
    run.state = before;
    *phase = Phase::Backup;
    let request = DirectoryRequest { folder: Some(Path::new(BACKUP)), flags: 0, create: true };
    run.instance.backup()?.backup_to(request, &mut |_| {})?;
    *phase = Phase::Work;
    run.one(false, |run| {
        let name = run.any_table(0).expect("a table");
        run.change_indexes(0, &name)?;
        run.add_column(0, &name)?;
        run.inserts(10)
    })?;
    // Pages become empty and are merged.
    run.one(false, |run| {
        let name = run.any_table(0).expect("a table");
        run.delete_many(0, &name)
    })?;
    run.instance.step_jobs();
    run.one(false, |run| run.create_table(0))?;
    run.one(false, |run| {
        let name = run.any_table(0).expect("a table");
        run.databases[0].delete_table(&name)?;
        run.tables(0).remove(&name);
        run.inserts(3)
    })?;
    run.read_something()?;
    // What is not committed: the next life has something to undo.
    run.session.begin_transaction(false)?;
    run.inserts(2)
}

/// What must hold of an instance after an error: when the log could not be written, what is committed can be
/// read, and changes and new backups fail like that; when it is unavailable, everything fails like that.
fn aftermath(instance: &Instance, history: &Shared, error: &ese::Error) -> std::result::Result<(), String> {
    let fails_with = |what: &str, result: Result<()>, code: JetErr| match result {
        Err(error) if error.code() == code => Ok(()),
        Err(error) => Err(format!("after {code:?}, {what} fails with {error}")),
        Ok(()) => Err(format!("after {code:?}, {what} succeeds")),
    };
    let code = error.code();
    if code == JetErr::InstanceUnavailable {
        fails_with("a session", instance.begin_session().map(drop), code)?;
        return fails_with("a backup", instance.backup().and_then(|backup| backup.begin(0)), code);
    }
    if !matches!(code, JetErr::LogWriteFail | JetErr::LogDiskFull) {
        return Ok(());
    }
    let told = |what: &str, error: ese::Error| format!("after {code:?}, {what} fails with {error}");
    let session = instance.begin_session().map_err(|e| told("a session", e))?;
    fails_with("a backup", instance.backup().and_then(|backup| backup.begin(0)), code)?;
    let database = match session.open(Path::new(DATABASES[0])) {
        Ok(database) => database,
        Err(error) if error.code() == JetErr::DatabaseNotFound => return Ok(()),
        Err(error) => return Err(told("opening the database", error)),
    };
    session.begin_transaction(false).map_err(|e| told("begin", e))?;
    let found = crate::check::read(&database).map_err(|e| format!("after {code:?}, {e}"))?;
    let states = history.get().states.clone();
    // The last commit may be the one that failed.
    let is_one =
        states.iter().rev().take(2).any(|s| s.get(DATABASES[0]).cloned().unwrap_or_default() == found);
    if !is_one {
        return Err(format!("after {code:?}, what is read is not what was committed"));
    }
    let Some(name) = found.keys().next() else { return Ok(()) };
    let update = || {
        let table = database.open_table(name)?;
        table.prepare(Prepare::Insert)?;
        for (name, value) in [("Id", &(-1i32).to_le_bytes()[..]), ("Code", b"none")] {
            table.set_value(column(&table, name)?, 1, Some(value), KeepOptions::default())?;
        }
        table.update()?;
        session.commit_transaction(false)
    };
    fails_with("an update", update(), code)
}

impl Run<'_> {
    /// One transaction.
    fn one(&mut self, lazy: bool, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.session.begin_transaction(false)?;
        work(self)?;
        self.history.committing(self.state.clone());
        self.session.commit_transaction(lazy)?;
        if !lazy {
            self.history.durable();
        }
        Ok(())
    }

    fn inserts(&mut self, count: usize) -> Result<()> {
        let name = self.any_table(0);
        for _ in 0..count {
            match &name {
                Some(name) => self.insert(0, name)?,
                None => self.create_table(0)?,
            }
        }
        Ok(())
    }

    fn changes(&mut self, count: usize) -> Result<()> {
        let name = self.any_table(0).expect("a table");
        for _ in 0..count {
            self.replace(0, &name)?;
        }
        Ok(())
    }
}
