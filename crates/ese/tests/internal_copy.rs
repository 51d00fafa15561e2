//! The internal copy: a full backup that is none for its client, with entries of the event log of its own.

use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::source::BackupDatabase;
use ese::backup::state::Phase;
use ese_testbench::backup::{Bench, OWNED, Options, PAGE};
use ese_testbench::code;
use std::path::Path;

const DATABASE: &str = "/db/1.edb";

/// The entries of an internal copy, with their strings.
fn told(bench: &Bench) -> Vec<(u32, Vec<String>)> {
    bench.events.events().into_iter().map(|event| (event.id, event.strings)).collect()
}

fn ending(flags: u32) -> EndOptions {
    EndOptions::from_flags(flags).unwrap()
}

#[test]
fn a_whole_copy_has_its_own_entries_and_is_remembered_as_a_copy() {
    // Whichever function ends it: what others build on does not change.
    for end in [EndOptions::PLAIN, ending(1)] {
        let bench = Bench::default();
        bench.full();
        let before = bench.database(1).header();
        bench.events.clear();
        bench.backup.begin_internal_copy().unwrap();
        bench.copy_databases();
        let set = bench.copy_logs();
        bench.backup.end(end).unwrap().unwrap();
        assert_eq!(bench.events.ids(), [240, 220, 221, 223, 243]);
        let after = bench.database(1).header();
        assert_eq!(after.last_full_backup, before.last_full_backup);
        assert!(!after.last_incremental_backup.is_some() && !after.last_differential_backup.is_some());
        assert_eq!(
            (after.last_copy_backup.lowest, after.last_copy_backup.highest),
            (set.lowest, set.highest)
        );
        bench.backup.begin(1).unwrap();
    }
}

#[test]
fn what_cuts_it_short_has_its_own_entries() {
    let bench = Bench::default();
    let begin = || {
        bench.events.clear();
        bench.backup.begin_internal_copy().unwrap();
        let opened = bench.backup.open_file(Path::new(DATABASE)).unwrap();
        bench.backup.read_file(opened.handle, &mut vec![0; 4 * PAGE]).unwrap();
        opened.handle
    };
    let cut_short = || {
        let sizes = [4, OWNED as usize + 3].map(|pages| (pages * PAGE).to_string());
        (252, [DATABASE.to_owned()].into_iter().chain(sizes).collect::<Vec<_>>())
    };

    // The client gives up.
    begin();
    bench.backup.end(ending(2)).unwrap();
    assert_eq!(told(&bench).split_off(2), [cut_short(), (245, vec![])]);
    // It ends it in the middle.
    let handle = begin();
    bench.backup.close_file(handle).unwrap();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByCaller);
    assert_eq!(told(&bench).split_off(2), [cut_short(), (245, vec![])]);
    // The server stops it, and ends it.
    begin();
    bench.backup.stop();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByServer);
    assert_eq!(told(&bench).split_off(2), [cut_short(), (256, vec![])]);
    begin();
    bench.backup.terminate(true).unwrap();
    assert_eq!(told(&bench).pop(), Some((256, vec![])));
    // A call fails.
    bench.events.clear();
    bench.backup.begin_internal_copy().unwrap();
    bench.backup.log_info().unwrap();
    assert_eq!(code(bench.backup.open_file(Path::new(DATABASE))), JetErr::InvalidBackupSequence);
    assert_eq!(told(&bench).pop(), Some((244, vec!["-521".to_owned()])));
    assert_eq!(bench.backup.state().phase, Phase::Idle);
    // The next backup is one again.
    bench.events.clear();
    bench.full();
    assert_eq!(bench.events.ids().first(), Some(&210));
    assert_eq!(bench.events.ids().last(), Some(&213));
}

#[test]
fn it_begins_where_a_full_backup_begins() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.begin_internal_copy()), JetErr::BackupInProgress);
    bench.backup.end(ending(2)).unwrap();
    bench.condition.lock().restoring = true;
    assert_eq!(code(bench.backup.begin_internal_copy()), JetErr::RestoreInProgress);
    let circular = Bench::with(Options { circular: true, ..Options::default() });
    circular.backup.begin_internal_copy().unwrap();
    assert_eq!(code(circular.backup.begin(0)), JetErr::BackupInProgress);
    let unlogged = Bench::with(Options { logging: false, ..Options::default() });
    assert_eq!(code(unlogged.backup.begin_internal_copy()), JetErr::LoggingDisabled);
}
