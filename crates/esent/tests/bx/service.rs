//! Services that stop, and instances that end in the middle of a backup.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::types::*;
use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Once;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// The numbers of the event log entries of this thread.
    static ENTRIES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Gathers the numbers of event log entries, each thread its own.
#[derive(Clone, Copy)]
struct Entries;

/// The entries of this thread while some work ran.
fn entries_of<T>(work: impl FnOnce() -> T) -> (T, Vec<u64>) {
    static GATHER: Once = Once::new();
    // One for the whole process: what a subscriber wants to hear of is asked once for each place in the source.
    GATHER.call_once(|| tracing::subscriber::set_global_default(Entries).unwrap());
    ENTRIES.take();
    let done = work();
    (done, ENTRIES.take())
}

impl Visit for Entries {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "id" {
            ENTRIES.with_borrow_mut(|entries| entries.push(value));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl Subscriber for Entries {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ese::event"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A term with leave to stop the backup ends both, also one that is abrupt; the event log says that the server
/// stopped it.
#[test]
fn bx_158_term_stops_the_backup() {
    const COMPLETE: u32 = 1;
    const ABRUPT: u32 = 2;
    const STOP_BACKUP: u32 = 4;
    for how in [ABRUPT | STOP_BACKUP, COMPLETE | STOP_BACKUP, STOP_BACKUP] {
        let place = Place::new();
        let running = Running::new(&place);
        running.begin();
        let (handle, _) = running.open(&place.path("test.edb"));
        running.read(handle, Aligned::new(16 * PAGE).bytes()).unwrap();
        for refused in [ABRUPT, COMPLETE] {
            is(jet!(JetTerm2(running.instance, refused)), JetErr::BackupInProgress);
        }
        let (done, told) = entries_of(|| jet!(JetTerm2(running.instance, how)));
        ok(done);
        assert!(told.contains(&226), "{told:?}");
        is(running.end(NORMAL), JetErr::InvalidParameter);
        let header = ese_format::database::choose_header(&std::fs::read(place.path("test.edb")).unwrap());
        let header = header.unwrap().header;
        assert!(header.is_clean() && !header.last_full_backup.is_some());
    }
}

/// After the services stopped, what was begun can be ended: rollback, tables, databases, detach, sessions. New
/// transactions are refused.
#[test]
fn bx_162_only_clean_up_goes_on() {
    let place = Place::new();
    let running = Running::new(&place);
    let (session, instance) = (running.session, running.instance);
    let other = begin_session(instance);
    let (mut database, mut second, mut table) = (0, 0, 0);
    let (name, table_name) = (place.string("test.edb"), c"Rows".to_owned());
    let open = |place: &mut JET_DBID| jet!(JetOpenDatabaseA(session, text(&name), no_text(), out(place), 0));
    ok(open(&mut database));
    ok(jet!(JetBeginTransaction(session)));
    ok(jet!(JetCreateTableA(session, database, text(&table_name), 1, 100, out(&mut table))));
    ok(jet!(JetStopServiceInstance(instance)));
    let stopped = JetErr::ClientRequestToStopJetService;
    is(jet!(JetBeginTransaction(other)), stopped);
    is(jet!(JetBeginTransaction(session)), stopped);
    is(open(&mut second), stopped);
    is(jet!(JetAttachDatabaseA(other, text(&name), 0)), stopped);
    is(jet!(JetPrepareUpdate(session, table, 0)), stopped);
    ok(jet!(JetCloseTable(session, table)));
    is(jet!(JetCloseTable(session, table)), JetErr::InvalidTableId);
    ok(jet!(JetRollback(session, 0)));
    is(jet!(JetRollback(session, 0)), JetErr::NotInTransaction);
    is(jet!(JetDetachDatabaseA(other, text(&name))), JetErr::DatabaseInUse);
    ok(jet!(JetCloseDatabase(session, database, 0)));
    ok(jet!(JetDetachDatabaseA(other, text(&name))));
    ok(jet!(JetEndSession(session, 0)));
    ok(jet!(JetEndSession(other, 0)));
    let bytes = std::fs::read(place.path("test.edb")).unwrap();
    assert!(ese_format::database::choose_header(&bytes).unwrap().header.is_clean());
}
