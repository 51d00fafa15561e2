//! Not statements of their own: backups and restores with the smallest and the largest logs that there are.

use crate::support::*;
use ese::backup::external::EndOptions;
use ese::backup::to_directory::DirectoryRequest;
use ese::clock::Clock;
use ese::params::{ParamId, Parameters};
use ese::raw::{
    AttachOptions, Environment, ExternalRestore, InitOptions, Instance, TermOptions, external_restore,
    restore_folder,
};
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::Generation;
use ese_format::empty::EmptyDatabase;
use ese_testbench::disk::{disk_with, install};
use ese_vfs::SimDisk;
use std::collections::BTreeSet;
use std::path::Path;

/// A disk with one database, and instances on it whose logs have a size.
struct WithLogs {
    disk: SimDisk,
    environment: Environment,
    kib: u64,
}

impl WithLogs {
    fn new(kib: u64) -> Self {
        let disk = disk_with(kib, &["/log", "/data", "/out", "/stream", "/new", "/newlog", "/newlog2"]);
        let world = World::new(kib);
        let empty =
            EmptyDatabase::new(ese_format::PageSize::K4, world.clock.new_signature(), world.clock.now());
        install(&disk, DATABASES[0], &empty);
        let environment = environment(&disk, &world.clock, &world.events);
        Self { disk, environment, kib }
    }

    fn parameters(&self, folder: &str) -> Parameters {
        let mut parameters = parameters(folder, folder);
        parameters.set_integer(ParamId::LogFileSize, self.kib).unwrap();
        parameters
    }

    fn start(&self, folder: &str) -> Instance {
        let instance = Instance::new(self.environment.clone(), self.parameters(folder));
        instance.init(InitOptions::default()).unwrap();
        instance
    }

    /// The numbers in a restored database, for an instance that goes on in its logs.
    fn numbers(&self, file: &str, folder: &str) -> BTreeSet<i32> {
        let instance = self.start(folder);
        let rows = Rows::open(&instance, file);
        let numbers = rows.numbers();
        rows.commit(1000..1003);
        drop(rows);
        instance.term(TermOptions::default()).unwrap();
        numbers
    }

    fn run(&self, rows_each: i32) {
        let instance = self.start("/log");
        let session = instance.begin_session().unwrap();
        session.attach(path(DATABASES[0]), AttachOptions::default()).unwrap();
        drop(session);
        let rows = Rows::create(&instance, DATABASES[0]);
        let backup = instance.backup().unwrap();
        let mut buffer = vec![0; 256 * PAGE];
        let mut at = 0;
        for flags in [0, INCREMENTAL, INCREMENTAL] {
            rows.commit(at..at + rows_each);
            at += rows_each;
            backup.begin(flags).unwrap();
            let databases = if flags == 0 { backup.attach_info().unwrap() } else { Vec::new() };
            let mut copy = |file: &Path| {
                let opened = backup.open_file(file).unwrap();
                let mut all = Vec::new();
                loop {
                    match backup.read_file(opened.handle, &mut buffer).unwrap() {
                        0 => break,
                        read => all.extend_from_slice(&buffer[..read]),
                    }
                }
                backup.close_file(opened.handle).unwrap();
                assert_eq!(all.len() as u64, opened.length);
                self.disk.install(&path("/stream").join(file.file_name().unwrap()), &all).unwrap();
                opened.length
            };
            databases.iter().for_each(|file| {
                copy(file);
            });
            for log in backup.log_info().unwrap().paths {
                assert_eq!(copy(&log), self.kib << 10, "{}", log.display());
            }
            backup.truncate().unwrap();
            backup.end(EndOptions::PLAIN).unwrap().unwrap();
        }
        let to_folder = |flags: u32| {
            let request = DirectoryRequest { folder: Some(path("/out")), flags, create: false };
            backup.backup_to(request, &mut |_| {}).unwrap();
        };
        to_folder(0);
        rows.commit(at..at + rows_each);
        to_folder(INCREMENTAL);
        let all: BTreeSet<i32> = (0..at + rows_each).collect();
        assert_eq!(rows.numbers(), all);
        drop((rows, backup));
        instance.term(TermOptions::default()).unwrap();

        let map = MapEntry { old: DATABASES[0].into(), new: "/stream/a.edb".into() };
        let map = RestoreMap::new(vec![map]).unwrap();
        let (backup_logs, none) = (path("/stream"), Generation::NONE);
        let request = ExternalRestore { map: &map, backup_logs, lowest: none, highest: none };
        let own = self.parameters("/newlog");
        external_restore(&self.environment, &own, &request, &mut |_| {}).unwrap();
        assert_eq!(self.numbers("/stream/a.edb", "/newlog"), (0..at).collect());

        let own = self.parameters("/newlog2");
        restore_folder(&self.environment, &own, path("/out"), Some(path("/new")), &mut |_| {}).unwrap();
        assert_eq!(self.numbers("/new/a.edb", "/newlog2"), all);
    }
}

#[test]
fn logs_of_64_kib_are_backed_up_and_restored() {
    WithLogs::new(64).run(200);
}

#[test]
fn logs_of_32_mib_are_backed_up_and_restored() {
    WithLogs::new(32_768).run(20);
}
