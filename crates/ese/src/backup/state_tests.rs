//! The table of states and calls, row by row.

use super::*;
use Effect::{Enter, Finish, SetStop, Stay};

const FULL: BackupKind = BackupKind::Full;
const INCREMENTAL: BackupKind = BackupKind::Incremental;

fn state(phase: Phase) -> BackupState {
    let rolled = matches!(phase, Phase::Log | Phase::LogOpen);
    BackupState { phase, rolled, ..BackupState::default() }
}

fn stopped(phase: Phase) -> BackupState {
    BackupState { stop: true, ..state(phase) }
}

/// One row: the call, then the answers in the order of [`COLUMNS`] and for a stopped backup.
type Row = (Call, [(Option<JetErr>, Effect); 6], (Option<JetErr>, Effect));

const COLUMNS: [Phase; 6] =
    [Phase::Idle, Phase::Database, Phase::DatabaseOpen, Phase::Log, Phase::LogOpen, Phase::Surrogate];

fn rows() -> Vec<Row> {
    let ok = |effect| (None, effect);
    let no = |error| (Some(error), Stay);
    let end = |error, ending| (Some(error), Finish(ending));
    let busy = no(JetErr::BackupInProgress);
    let surrogate = no(JetErr::SurrogateBackupInProgress);
    let none = no(JetErr::NoBackup);
    let stop = no(JetErr::BackupAbortByServer);
    let order = no(JetErr::InvalidBackupSequence);
    let taken = no(JetErr::OutOfMemory);
    let bad = no(JetErr::InvalidParameter);
    let unknown = no(JetErr::DatabaseNotFound);
    let begin = |phase| [ok(Enter(phase)), busy, busy, busy, busy, surrogate];
    let caller = end(JetErr::BackupAbortByCaller, Ending::AbortedByCaller);
    let server = end(JetErr::BackupAbortByServer, Ending::AbortedByServer);
    let wrong_end = end(JetErr::SurrogateBackupInProgress, Ending::Failed);
    let aborted = ok(Finish(Ending::AbortedByCaller));
    let killed = ok(Finish(Ending::AbortedByServer));
    let mismatch = end(JetErr::BackupInProgress, Ending::Failed);
    let frozen = no(JetErr::OSSnapshotNotAllowed);
    vec![
        (Call::Begin(FULL), begin(Phase::Database), busy),
        (Call::Begin(INCREMENTAL), begin(Phase::Log), busy),
        (Call::AttachInfo, [none, ok(Stay), ok(Stay), ok(Stay), ok(Stay), none], stop),
        (
            Call::OpenDatabase,
            [
                none,
                ok(Enter(Phase::DatabaseOpen)),
                taken,
                end(JetErr::InvalidBackupSequence, Ending::Failed),
                taken,
                none,
            ],
            stop,
        ),
        (Call::OpenLog, [none, unknown, taken, ok(Enter(Phase::LogOpen)), taken, none], stop),
        (
            Call::OpenMissing,
            [none, unknown, taken, end(JetErr::MissingFileToBackup, Ending::Failed), taken, none],
            stop,
        ),
        (Call::OpenForeign, [none, unknown, taken, bad, taken, none], stop),
        (Call::Read(true), [none, bad, ok(Stay), bad, ok(Stay), none], stop),
        (Call::Read(false), [none, bad, bad, bad, bad, none], stop),
        (Call::Close(false), [none, bad, bad, bad, bad, none], bad),
        (Call::LogInfo, [none, ok(Enter(Phase::Log)), order, ok(Enter(Phase::Log)), order, none], stop),
        (Call::TruncateLog(true), [none, order, order, ok(Stay), order, none], stop),
        (Call::TruncateLog(false), [none, order, order, no(JetErr::LogFileNotCopied), order, none], stop),
        (
            Call::EndNormal,
            [none, caller, caller, ok(Finish(Ending::Completed)), ok(Finish(Ending::Completed)), wrong_end],
            server,
        ),
        (Call::EndAbort, [none, aborted, aborted, aborted, aborted, wrong_end], aborted),
        (
            Call::Stop,
            [ok(Stay), ok(SetStop), ok(SetStop), ok(SetStop), ok(SetStop), ok(SetStop)],
            ok(SetStop),
        ),
        (Call::AttachOrDetach, [ok(Stay), busy, busy, busy, busy, surrogate], busy),
        (Call::Terminate, [ok(Stay), busy, busy, busy, busy, surrogate], busy),
        (Call::TerminateStopping, [ok(Stay), killed, killed, killed, killed, killed], killed),
        (Call::BeginSurrogate, [ok(Enter(Phase::Surrogate)), busy, busy, busy, busy, surrogate], busy),
        (
            Call::EndSurrogate,
            [none, mismatch, mismatch, mismatch, mismatch, ok(Finish(Ending::Completed))],
            mismatch,
        ),
        (Call::Freeze, [ok(Enter(Phase::Snapshot)), frozen, frozen, frozen, frozen, frozen], frozen),
    ]
}

#[test]
fn every_call_in_every_state_answers_as_documented() {
    for (call, answers, when_stopped) in rows() {
        for (phase, (error, effect)) in COLUMNS.into_iter().zip(answers) {
            assert_eq!(decide(&state(phase), call), Verdict { error, effect }, "{call:?} in {phase:?}");
        }
        let (error, effect) = when_stopped;
        for phase in [Phase::Database, Phase::Log] {
            assert_eq!(
                decide(&stopped(phase), call),
                Verdict { error, effect },
                "{call:?} in {phase:?}, stopped"
            );
        }
    }
}

#[test]
fn the_good_handle_closes_even_when_the_server_wants_a_stop() {
    for (open, closed) in [(Phase::DatabaseOpen, Phase::Database), (Phase::LogOpen, Phase::Log)] {
        let verdict = Verdict { error: None, effect: Enter(closed) };
        assert_eq!(decide(&state(open), Call::Close(true)), verdict);
        assert_eq!(decide(&stopped(open), Call::Close(true)), verdict);
        assert_eq!(decide(&stopped(open), Call::Read(true)).error, Some(JetErr::BackupAbortByServer));
    }
}

#[test]
fn an_incremental_backup_lists_no_databases_and_truncates_only_after_the_list() {
    let begun = BackupState::begun(INCREMENTAL);
    assert_eq!(begun.phase, Phase::Log);
    assert_eq!(
        decide(&begun, Call::AttachInfo),
        Verdict { error: Some(JetErr::InvalidBackupSequence), effect: Stay }
    );
    assert_eq!(decide(&begun, Call::TruncateLog(true)).error, Some(JetErr::InvalidBackupSequence));
    assert_eq!(decide(&begun, Call::EndNormal).error, Some(JetErr::BackupAbortByCaller));
    let listed = BackupState { rolled: true, ..begun };
    assert_eq!(decide(&listed, Call::TruncateLog(true)).error, None);
    assert_eq!(decide(&listed, Call::EndNormal).error, None);
}

#[test]
fn a_snapshot_keeps_streaming_calls_away_and_survives_them() {
    let snapshot = state(Phase::Snapshot);
    for call in [
        Call::AttachInfo,
        Call::OpenDatabase,
        Call::OpenLog,
        Call::Read(false),
        Call::Close(false),
        Call::LogInfo,
        Call::TruncateLog(true),
        Call::EndNormal,
        Call::EndAbort,
        Call::EndSurrogate,
    ] {
        assert_eq!(
            decide(&snapshot, call),
            Verdict { error: Some(JetErr::NoBackup), effect: Stay },
            "{call:?}"
        );
    }
    for call in [Call::Begin(FULL), Call::AttachOrDetach, Call::Terminate] {
        assert_eq!(decide(&snapshot, call).error, Some(JetErr::BackupInProgress), "{call:?}");
    }
}

#[test]
fn only_a_database_in_the_database_phase_may_drop_out() {
    let finish = Finish(Ending::Failed);
    for (work, phase, effect) in [
        (Work::AttachInfo, Phase::Database, finish),
        (Work::AttachInfo, Phase::Log, finish),
        (Work::Open, Phase::Database, Effect::DropDatabase),
        (Work::Open, Phase::Log, finish),
        (Work::Read, Phase::DatabaseOpen, Effect::DropDatabase),
        (Work::Read, Phase::LogOpen, finish),
        (Work::PrepareLogs, Phase::Database, finish),
        (Work::PrepareLogs, Phase::Log, finish),
        (Work::Truncate, Phase::Log, Stay),
    ] {
        assert_eq!(after_failure(&state(phase), work), effect, "{work:?} in {phase:?}");
    }
}

#[test]
fn a_normal_end_is_held_against_what_was_delivered() {
    let whole = Delivered { attached: 2, copied: 2, unfinished: 0, all_logs: true };
    assert_eq!(check_complete(FULL, &whole, false), Ok(()));
    // One dropped out for a read error: the others are good.
    assert_eq!(check_complete(FULL, &Delivered { copied: 1, ..whole }, false), Ok(()));
    for short in [
        Delivered { copied: 0, ..whole },
        Delivered { copied: 1, unfinished: 1, ..whole },
        Delivered { all_logs: false, ..whole },
    ] {
        assert_eq!(check_complete(FULL, &short, false), Err(JetErr::BackupAbortByCaller));
    }
    assert_eq!(check_complete(FULL, &Delivered { all_logs: false, ..whole }, true), Ok(()));
    let no_files = Delivered { copied: 0, ..whole };
    assert_eq!(check_complete(FULL, &no_files, true), Err(JetErr::BackupAbortByCaller));
    assert_eq!(check_complete(INCREMENTAL, &no_files, false), Ok(()));
    let nothing_attached = Delivered { all_logs: true, ..Delivered::default() };
    assert_eq!(check_complete(FULL, &nothing_attached, false), Ok(()));
}
