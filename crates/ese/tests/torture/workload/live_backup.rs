//! A random life during which a backup is taken, a piece after the other, by a client of an external backup.

use super::*;
use crate::model::Expected;
use ese::backup::external::EndOptions;
use ese_vfs::{Disk, OpenMode};

/// The folder of the backup.
pub const BACKUP: &str = "/out";

/// Lives, is backed up, lives on. Says what a restore of the backup alone may come to.
pub fn run(setup: Setup, disk: &SimDisk, history: &Shared) -> Result<Expected> {
    let mut rng = SimRng::new(setup.seed);
    let instance = setup.instance(disk, 0, true, &history.pages);
    instance.init(InitOptions::default())?;
    let session = instance.begin_session()?;
    let mut databases = Vec::new();
    for path in DATABASES.iter().take(setup.databases) {
        databases.push(session.create(Path::new(path), setup.new_database())?);
        history.get().created.insert(path);
    }
    let tells = std::env::var_os("OPENESE_CRASH_TRACE").is_some();
    let state = history.last().as_ref().clone();
    let mut run = Run { setup, disk, tells, instance, session, databases, rng: &mut rng, history, state };
    for _ in 0..setup.steps / 3 {
        run.step()?;
    }
    let expected = run.back_up()?;
    for _ in 0..setup.steps / 3 {
        run.step()?;
    }
    // What is open at the end is to be undone.
    run.session.begin_transaction(false)?;
    for _ in 0..4 {
        run.change()?;
    }
    if run.rng.chance(1, 2) {
        run.session.flush_commits(false)?;
    }
    Ok(expected)
}

impl Run<'_> {
    fn back_up(&mut self) -> Result<Expected> {
        let instance = self.instance.clone();
        let backup = instance.backup()?;
        backup.begin(0)?;
        for path in backup.attach_info()? {
            self.copy(&backup, &path, true)?;
        }
        // What is durable now is in the logs that the backup takes.
        let first = self.history.get().durable;
        for path in backup.log_info()?.paths {
            self.copy(&backup, &path, false)?;
        }
        if self.rng.chance(1, 2) {
            backup.truncate()?;
        }
        backup.end(EndOptions::from_flags(1)?)?;
        let history = self.history.get();
        Ok(Expected {
            quiet: None,
            first,
            states: history.states[first..].to_vec(),
            created: history.created.clone(),
            pages: self.history.pages.clone(),
        })
    }

    /// Copies a file of the backup, a few pages at a time, and goes on working in between.
    fn copy(&mut self, backup: &ese::raw::BackupAccess, path: &Path, works: bool) -> Result<()> {
        let target = Path::new(BACKUP).join(path.file_name().expect("a file name"));
        let file = self.disk.open(&target, OpenMode::CreateNew).expect("a file of the backup");
        let opened = backup.open_file(path)?;
        let page = self.setup.page_size.bytes();
        let mut at = 0;
        loop {
            let pages = 1 + self.rng.below(24) as usize;
            let mut buffer = vec![0; pages.max(3) * page];
            let read = backup.read_file(opened.handle, &mut buffer)?;
            if read == 0 {
                break;
            }
            file.write_at(&buffer[..read], at).expect("a write of the backup");
            at += read as u64;
            if works && self.rng.chance(1, 2) {
                self.transaction()?;
            }
            if works && self.rng.chance(1, 4) {
                self.instance.step_jobs();
            }
        }
        file.sync().expect("a sync of the backup");
        backup.close_file(opened.handle)
    }
}
