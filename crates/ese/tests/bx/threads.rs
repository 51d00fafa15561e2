//! Not statements of their own: calls of one backup may come from any thread, also several at once, and a client may
//! vanish.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::sync::Mutex;

#[test]
fn each_step_from_another_thread() {
    let world = World::new(1);
    let backup = world.instance.backup().unwrap();
    // A thread of its own for each call; the one before it is gone.
    fn apart<T: Send>(call: impl FnOnce() -> T + Send) -> T {
        threads(|scope| scope.spawn(call).join().unwrap())
    }
    apart(|| backup.begin(0)).unwrap();
    for file in apart(|| backup.attach_info()).unwrap() {
        let opened = apart(|| backup.open_file(&file)).unwrap();
        let mut all = Vec::new();
        let mut buffer = vec![0; 64 * PAGE];
        while let read @ 1.. = apart(|| backup.read_file(opened.handle, &mut buffer)).unwrap() {
            all.extend_from_slice(&buffer[..read]);
        }
        apart(|| backup.close_file(opened.handle)).unwrap();
        keep(&world, &file, &all, "/out");
    }
    let logs = apart(|| finish_to(&world, "/out", EndOptions::PLAIN));
    assert!(!logs.is_empty());
    world.copy("/out/a.edb", "/new/a.edb");
    recover(&world, &[(DATABASES[0], "/new/a.edb")], "/out", "/newlog").unwrap();
}

#[test]
fn reads_of_one_file_at_the_same_time_take_turns() {
    let world = World::new(2);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let opened = backup.open_file(path(DATABASES[0])).unwrap();
    let pieces = Mutex::new(Vec::<Vec<u8>>::new());
    threads(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut buffer = vec![0; 3 * PAGE];
                while let read @ 1.. = backup.read_file(opened.handle, &mut buffer).unwrap() {
                    pieces.lock().push(buffer[..read].to_vec());
                }
            });
        }
    });
    backup.close_file(opened.handle).unwrap();
    // Every page once, whoever got it.
    let mut found: Vec<Vec<u8>> = pieces
        .into_inner()
        .iter()
        .flat_map(|p| p.chunks(PAGE).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let whole = stream(&world, path(DATABASES[0])).unwrap();
    let mut wanted: Vec<Vec<u8>> = whole.chunks(PAGE).map(<[u8]>::to_vec).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found.len() as u64 * PAGE as u64, opened.length);
    assert!(found == wanted);
    backup.end(ending(ABORT)).unwrap();
}

#[test]
fn a_client_that_vanishes_leaves_its_backup_to_the_server() {
    let world = World::new(3);
    let backup = world.instance.backup().unwrap();
    threads(|scope| {
        scope.spawn(|| {
            backup.begin(0).unwrap();
            let opened = backup.open_file(path(DATABASES[0])).unwrap();
            backup.read_file(opened.handle, &mut vec![0; 8 * PAGE]).unwrap();
        });
    });
    // Nobody knows the handle any more.
    assert_eq!(begin(&world.instance), JetErr::BackupInProgress);
    assert_eq!(code(backup.open_file(path(DATABASES[1]))), JetErr::OutOfMemory);
    assert_eq!(code(world.instance.term(Default::default())), JetErr::BackupInProgress);
    backup.stop();
    let (ended, events) = world.events_of(|| end(&world.instance));
    assert_eq!(ended, JetErr::BackupAbortByServer);
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [222, 226]);
    assert_eq!(backup.pinned(), None);
    full_to(&world, "/out");
}
