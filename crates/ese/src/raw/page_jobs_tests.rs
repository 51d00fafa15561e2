//! Sessions that help the checkpoint along when the background does not.

use super::{Environment, InitOptions, Instance, Session};
use crate::api::{ColumnType, Table, TableDefinition, Transaction};
use crate::clock::SeededClock;
use crate::database::CreateOptions;
use crate::event::TracingSink;
use crate::params::{ParamId, Parameters};
use crate::sync::Arc;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

pub(super) const PATH: &str = "/db/a.edb";
const DEPTH: u64 = 64 << 10;

/// Without threads: the background does nothing.
pub(super) fn start(disk: &SimDisk) -> Instance {
    disk.create_dir_all(Path::new("/db")).unwrap();
    let mut parameters = Parameters::new();
    for (id, value) in [(ParamId::LogFilePath, "/log"), (ParamId::SystemPath, "/log")] {
        parameters.set_text(id, value).unwrap();
    }
    for (id, value) in [
        (ParamId::CreatePathIfNotExist, 1),
        (ParamId::CheckpointDepthMax, DEPTH),
        (ParamId::LogFileSize, 128),
    ] {
        parameters.set_integer(id, value).unwrap();
    }
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(4)),
        events: Arc::new(TracingSink),
        threads: false,
        cache: None,
    };
    let instance = Instance::new(environment, parameters);
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    TableDefinition::new("T").column("Id", ColumnType::Long).primary(&["Id"]).create(&database).unwrap();
    instance
}

/// Commits records from `first` on until so much more is logged.
fn fill(session: &Session, instance: &Instance, first: i32, bytes: u64) {
    let database = session.open(Path::new(PATH)).unwrap();
    let table = Table::open(&database, "T").unwrap();
    let goal = lag(instance) + bytes;
    for id in first.. {
        let transaction = Transaction::begin(session).unwrap();
        table.insert(&[("Id", &id)]).unwrap();
        transaction.commit_lazily().unwrap();
        if lag(instance) > goal {
            return;
        }
    }
}

fn lag(instance: &Instance) -> u64 {
    instance.statistics().unwrap().checkpoint_lag
}

fn help(instance: &Instance) {
    instance.running().unwrap().keeper.as_ref().unwrap().help();
}

#[test]
fn a_session_helps_when_the_checkpoint_is_too_far_behind() {
    let instance = start(&SimDisk::new(9));
    let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    fill(&session, &instance, 0, 4 * DEPTH);
    help(&instance);
    assert!(lag(&instance) <= DEPTH, "{}", lag(&instance));
    // As long as it is near enough nobody does anything.
    let (before, writes) = (lag(&instance), || instance.statistics().unwrap().cache.writes);
    let written = writes();
    help(&instance);
    assert_eq!((lag(&instance), writes()), (before, written));

    // Nor while a transaction holds it, which would change the same pages again.
    let database = other.open(Path::new(PATH)).unwrap();
    let table = Table::open(&database, "T").unwrap();
    let open = Transaction::begin(&other).unwrap();
    table.insert(&[("Id", &-1i32)]).unwrap();
    for attachment in instance.running().unwrap().attachments.all() {
        attachment.pages.flush().unwrap();
    }
    fill(&session, &instance, 1 << 20, 4 * DEPTH);
    let written = writes();
    help(&instance);
    assert!(lag(&instance) >= 4 * DEPTH);
    assert_eq!(writes(), written);
    open.commit().unwrap();
    help(&instance);
    assert!(lag(&instance) <= DEPTH, "{}", lag(&instance));
}
