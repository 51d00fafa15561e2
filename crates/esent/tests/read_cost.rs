//! What reads of records in memory may cost: no allocation, no page read, one latch for each page.

use ese::api::{ColumnType, TableDefinition};
use ese::buffer::PageCache;
use ese::error::JetErr;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, Seek};
use ese_format::column::ColumnId;
use ese_format::key::MakeKeyFlags;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// How often this thread has asked for memory.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory is from the system's allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the memory is from the system's allocator, with this layout.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` asks for memory.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const RECORDS: i64 = 5000;
const KEY: ColumnId = ColumnId(1);
const OTHER: ColumnId = ColumnId(2);
const BYTES: ColumnId = ColumnId(256);

/// An instance with a table of some levels, all of it in memory.
struct Bench {
    instance: Instance,
    cache: Arc<PageCache>,
    session: Session,
    table: Table,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        let mut parameters = Parameters::new();
        for id in [ParamId::LogFilePath, ParamId::SystemPath] {
            parameters.set_text(id, text).unwrap();
        }
        let cache = PageCache::new(64 << 20);
        let environment = Environment { cache: Some(cache.clone()), ..Environment::default() };
        let instance = Instance::new(environment, parameters);
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        let database = session.create(&folder.path().join("a.edb"), Default::default()).unwrap();
        session.begin_transaction(false).unwrap();
        TableDefinition::new("t")
            .column("k", ColumnType::LongLong)
            .column("o", ColumnType::LongLong)
            .column("v", ColumnType::LongBinary)
            .primary(&["k"])
            .index("by_other", &["o"])
            .create(&database)
            .unwrap();
        let table = database.open_table("t").unwrap();
        for n in 0..RECORDS {
            table.prepare(Prepare::Insert).unwrap();
            let set = |id, bytes: &[u8]| table.set_value(id, 1, Some(bytes), KeepOptions::default()).unwrap();
            set(KEY, &n.to_le_bytes());
            set(OTHER, &(-n).to_le_bytes());
            set(BYTES, &[n as u8; 100]);
            table.update().unwrap();
        }
        session.commit_transaction(true).unwrap();
        Self { instance, cache, session, table, _folder: folder }
    }

    /// Reads a record by the key of the index that gives the order.
    fn read(&self, key: i64, expected: u8) {
        self.table.make_key(&key.to_le_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
        assert!(self.table.seek(Seek::Equal).unwrap());
        let is_right = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes == [expected; 100]);
        assert!(self.table.with_value(BYTES, 1, false, is_right).unwrap());
    }

    /// Some records of all parts of the table, in no order.
    fn read_some(&self, sign: i64) {
        for n in (0..1000).map(|n| n * 7919 % RECORDS) {
            self.read(sign * n, n as u8);
        }
    }

    /// All records in the order of the index; how many.
    fn scan(&self) -> u64 {
        let mut count = 0;
        let mut moved = self.table.move_first();
        while moved.is_ok() {
            assert_eq!(
                self.table.with_value(BYTES, 1, false, |bytes| bytes.map(<[u8]>::len)).unwrap(),
                Some(100)
            );
            count += 1;
            moved = self.table.move_next(false);
        }
        assert_eq!(moved.unwrap_err().code(), JetErr::NoCurrentRecord);
        count
    }
}

#[test]
fn a_read_in_memory_allocates_nothing_and_a_scan_latches_each_page_once() {
    let bench = Bench::new();
    for index in [None, Some("by_other")] {
        bench.table.set_index(index).unwrap();
        let sign = if index.is_some() { -1 } else { 1 };
        // The first reads make room for keys and records.
        bench.read_some(sign);
        let before = bench.cache.statistics();
        let outside = allocations(|| bench.read_some(sign));
        bench.session.begin_transaction(false).unwrap();
        bench.read_some(sign);
        let inside = allocations(|| bench.read_some(sign));
        assert_eq!((outside, inside), (0, 0), "allocations of 1000 reads in the order of {index:?}");
        assert_eq!(bench.cache.statistics().read_calls, before.read_calls);
        bench.session.commit_transaction(true).unwrap();
    }
    bench.table.set_index(None).unwrap();
    // The root is known; what is below it is latched.
    let hits = || bench.cache.statistics().hits;
    let before = hits();
    bench.read(1, 1);
    let levels = hits() - before;
    assert!((1..=3).contains(&levels), "{levels} latches for a read by key");
    bench.session.begin_transaction(true).unwrap();
    assert_eq!(bench.scan(), RECORDS as u64);
    let before = hits();
    let memory = allocations(|| assert_eq!(bench.scan(), RECORDS as u64));
    let latches = hits() - before;
    bench.session.commit_transaction(true).unwrap();
    // A leaf of 4096 bytes has some thirty of these records.
    // Now and then the leaves to come are asked for ahead.
    assert!(latches <= RECORDS as u64 / 25, "{latches} latches for {RECORDS} records");
    assert!(memory <= RECORDS as u64 / 50, "{memory} allocations for {RECORDS} records");
    let Bench { instance, session, table, .. } = bench;
    drop((table, session));
    instance.term(TermOptions::default()).unwrap();
}
