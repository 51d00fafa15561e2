//! Backups in adversity: wrong bits, pages of all sizes in reads of all sizes, a destination that is full, fails or
//! loses its power at any operation, a client that stops in the middle.

use ese::backup::external::EndOptions;
use ese::backup::socket::frame::Connection;
use ese::backup::socket::serve::serve;
use ese::backup::socket::{Limits, ReceiveRequest, SocketBackupKind, receive_from};
use ese::database::CreateOptions;
use ese::log::read_log_header;
use ese::raw::{AttachOptions, ExternalRestore, external_restore};
use ese::restore::map::{MapEntry, RestoreMap};
use ese::sync::{Mutex, Rank, thread};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_testbench::Bench;
use ese_testbench::disk::{DATABASES, disk_with};
use ese_testbench::restore::World;
use ese_vfs::{Disk, Effect, Fault, OpKind, SimDisk};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// JET_bitBackupAtomic.
const ATOMIC: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// All files of a folder and below it, by their names: a backup's own folder may get another one.
fn files(disk: &SimDisk, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(folder));
    let all: Vec<_> =
        all.map(|path| (path.file_name().unwrap().into(), disk.content(&path).unwrap())).collect();
    let count = all.len();
    let files: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(files.len(), count, "two backups in {folder}");
    files
}

/// A backup through a pair of sockets to a disk of its own.
fn receive(world: &World, disk: &SimDisk) -> Result<()> {
    let (near, far) = UnixStream::pair().unwrap();
    let backup = world.instance.backup()?;
    let server = thread::spawn("server", move || {
        let limits = Limits { hello: PATIENCE, idle: PATIENCE, connections: 1 };
        Connection::new(far, PATIENCE).and_then(|mut connection| {
            serve(&mut connection, &backup, &Mutex::ranked(Rank::Client, ()), &limits).map(drop)
        })
    });
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (folder, kind) = (Path::new("/backup"), SocketBackupKind::Full);
    let request = ReceiveRequest { folder, kind, create: true, patience: PATIENCE };
    let received = receive_from(near, &disk, request, &mut |_| {});
    let served = server.unwrap().join().unwrap();
    assert!(received.is_err() || served.is_ok(), "{served:?}");
    received.map(drop)
}

/// The one backup that is there, held against the header and the logs that a whole one has.
fn whole_backup(disk: &SimDisk, at: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = |path: &Path| disk.read_dir(path).map(|found| found.len()).unwrap_or(0);
    let home = ["/backup/new", "/backup/old"].into_iter().find(|home| names(Path::new(home)) > 0);
    let home = home.unwrap_or_else(|| panic!("{at}: no backup in {:?}", disk.files()));
    let found = files(disk, home);
    for name in ["a.edb", "b.edb"] {
        let database = &found[Path::new(name)];
        assert!(DatabaseHeader::decode(database).is_ok_and(|h| h.current_full_backup.is_some()), "{at}");
    }
    let logs = found.keys().filter(|path| path.extension().is_some_and(|e| e == "log"));
    assert!(logs.clone().count() > 0, "{at}: no logs");
    for log in logs {
        read_log_header(disk, &Path::new(home).join(log)).unwrap_or_else(|e| panic!("{at}: {e}"));
    }
    found
}

fn destination() -> SimDisk {
    disk_with(9, &["/backup"])
}

#[test]
fn a_destination_that_fails_anywhere_keeps_the_backup_before() {
    let world = World::new(31);
    let disk = destination();
    receive(&world, &disk).unwrap();
    let before = whole_backup(&disk, "the first one");
    let kinds = [OpKind::Write, OpKind::Create, OpKind::Sync, OpKind::SyncDir, OpKind::Rename];
    let mut failed = 0;
    for effect in [Effect::StorageFull, Effect::DeviceError] {
        for kind in kinds {
            for skip in 0.. {
                let disk = disk.kill();
                disk.add_fault(Fault::once(kind, effect).after(skip).for_good());
                let at = format!("{effect:?} of {kind:?} after {skip}");
                let result = receive(&world, &disk);
                disk.clear_faults();
                let found = whole_backup(&disk, &at);
                let Err(error) = result else { break };
                failed += 1;
                let wanted = if effect == Effect::StorageFull { JetErr::DiskFull } else { JetErr::DiskIO };
                let also = [JetErr::MakeBackupDirectoryFail, JetErr::DeleteBackupFileFail];
                assert!(error.code() == wanted || also.contains(&error.code()), "{at}: {error}");
                // Once the new one has its name, it may be there when its folder cannot be synced.
                if kind != OpKind::SyncDir && kind != OpKind::Rename {
                    assert!(found == before, "{at}: the backup before is changed");
                    assert!(files(&disk, "/backup/temp").is_empty(), "{at}: something is left");
                }
                receive(&world, &disk).unwrap_or_else(|error| panic!("{at}: the next one: {error}"));
                assert!(
                    files(&disk, "/backup/temp").is_empty(),
                    "{at}: something is left after the next one"
                );
            }
        }
    }
    assert!(failed > 30, "only {failed} failures");
}

#[test]
fn a_destination_that_loses_its_power_anywhere_has_a_whole_backup() {
    let world = World::new(32);
    let disk = destination();
    receive(&world, &disk).unwrap();
    for cut in 0..1000 {
        let trial = disk.crash_keeping(false);
        trial.cut_after(trial.operations() + cut);
        let result = receive(&world, &trial);
        let found = trial.crash(cut);
        whole_backup(&found, &format!("cut after {cut}"));
        receive(&world, &found).unwrap_or_else(|error| panic!("cut after {cut}: the next one: {error}"));
        assert!(files(&found, "/backup/temp").is_empty(), "cut after {cut}");
        if result.is_ok() {
            return;
        }
    }
    panic!("it was always cut");
}

#[test]
fn a_backup_to_a_folder_can_be_stopped_at_every_report() {
    let world = World::new(33);
    world.back_up(ATOMIC).unwrap();
    let reports = world.back_up(ATOMIC).unwrap().len();
    assert!(reports > 3, "{reports} reports");
    let mut stopped = 0;
    for stop_at in 0..reports {
        let before = files(&world.disk, "/out");
        let backup = world.instance.backup().unwrap();
        let mut heard = 0;
        let request = ese::backup::to_directory::DirectoryRequest {
            folder: Some(Path::new("/out")),
            flags: ATOMIC,
            create: false,
        };
        let result = backup.backup_to(request, &mut |_| {
            if heard == stop_at {
                backup.stop();
            }
            heard += 1;
        });
        match result {
            // The last report comes when it is done.
            Ok(_) => assert!(stop_at + 2 >= reports, "a stop at report {stop_at} of {reports} is not heard"),
            Err(error) => {
                assert_eq!(error.code(), JetErr::BackupAbortByServer, "report {stop_at}");
                assert!(files(&world.disk, "/out") == before, "report {stop_at}: the one before is changed");
                stopped += 1;
            }
        }
    }
    assert!(stopped > 1, "{stopped} of {reports}");
    world.back_up(ATOMIC).unwrap();
}

#[test]
fn a_wrong_bit_on_the_disk_is_put_right_in_the_backup() {
    let world = World::new(34);
    let session = world.instance.begin_session().unwrap();
    drop(session);
    let page = 4096;
    // Page 5 lies behind the two headers.
    world.disk.flip_bit(Path::new(DATABASES[0]), 6 * page + 40, 3).unwrap();
    world.events.clear();
    world.back_up(ATOMIC).unwrap();
    let events = world.events.events();
    let event = events.iter().find(|event| event.id == 399).expect("an event");
    assert_eq!(event.strings[0], DATABASES[0]);
    assert_eq!(event.strings[1], (6 * page).to_string());
    assert!(events.iter().any(|event| event.id == 213), "the backup is complete");
    let (result, _) = world.restore(Some("/new"), "/newlog");
    result.unwrap();
    let restored = world.content("/new/a.edb");
    let number = ese_format::PageNumber(5);
    let mut bytes = restored[6 * page as usize..7 * page as usize].to_vec();
    let verdict = ese_format::checksum::verify_page(&mut bytes, number, PageSize::K4);
    assert_eq!(verdict, ese_format::checksum::Verdict::Sound);
}

#[test]
fn pages_of_every_size_come_in_reads_of_every_size() {
    for size in PageSize::ALL {
        let disk = disk_with(35, &["/log", "/data", "/backup", "/lives"]);
        let bench = Bench::new(&disk, 35).folders("/log", "/log").page_size(size).log_kib(512);
        let instance = bench.clone().start();
        let session = instance.begin_session().unwrap();
        let path = Path::new("/data/a.edb");
        let database = session.create(path, CreateOptions::default()).unwrap();
        let pages = u32::try_from((4 << 20) / size.bytes()).unwrap();
        database.resize(pages, ese::raw::Resize::Both).unwrap();
        let backup = instance.backup().unwrap();
        backup.begin(0).unwrap();
        let mut copies = Vec::new();
        // A page at a time once three were read, some pages that fit nothing, several megabytes.
        for later in [1, 7, 3 * (1 << 20) / size.bytes(), 8 * (1 << 20) / size.bytes()] {
            let opened = backup.open_file(path).unwrap();
            let mut all = Vec::new();
            loop {
                let count = if all.is_empty() { later.max(3) } else { later };
                let mut buffer = vec![0; count * size.bytes()];
                match backup.read_file(opened.handle, &mut buffer).unwrap() {
                    0 => break,
                    read => all.extend_from_slice(&buffer[..read]),
                }
            }
            backup.close_file(opened.handle).unwrap();
            assert_eq!(all.len() as u64, opened.length, "{size:?}, {later} pages at a time");
            copies.push(all);
        }
        let end = copies[0].len() - size.bytes();
        assert!(copies.iter().all(|copy| copy[..end] == copies[0][..end]), "{size:?}");
        for log in backup.log_info().unwrap().paths {
            let opened = backup.open_file(&log).unwrap();
            let mut all = Vec::new();
            let mut buffer = vec![0; 4 << 20];
            while let read @ 1.. = backup.read_file(opened.handle, &mut buffer).unwrap() {
                all.extend_from_slice(&buffer[..read]);
            }
            backup.close_file(opened.handle).unwrap();
            disk.install(&Path::new("/backup").join(log.file_name().unwrap()), &all).unwrap();
        }
        backup.end(EndOptions::PLAIN).unwrap();
        let mut restored = Vec::new();
        for (number, copy) in copies.iter().enumerate() {
            let new = PathBuf::from(format!("/lives/{number}.edb"));
            disk.install(&new, copy).unwrap();
            let map = RestoreMap::new(vec![MapEntry { old: path.into(), new: new.clone() }]).unwrap();
            let logs = format!("/lives{number}");
            disk.create_dir_all(Path::new(&logs)).unwrap();
            let (environment, settings) = bench.clone().folders(&logs, &logs).surroundings();
            let (lowest, highest) = (ese_format::Generation(0), ese_format::Generation(0));
            let backup_logs = Path::new("/backup");
            let request = ExternalRestore { map: &map, backup_logs, lowest, highest };
            external_restore(&environment, &settings, &request, &mut |_| {}).unwrap();
            restored.push(new);
        }
        let pages = database.pages().unwrap();
        drop(database);
        session.detach(Some(path)).unwrap();
        for new in restored {
            session.attach(&new, AttachOptions::default()).unwrap();
            assert_eq!(session.open(&new).unwrap().pages().unwrap(), pages, "{size:?}");
            session.detach(Some(&new)).unwrap();
        }
    }
}
