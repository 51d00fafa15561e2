//! Cursors that go along leaves see what their transaction sees, whatever happens to the leaves between the moves.

use super::*;
use ese_vfs::sim::SimRng;
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A session in a transaction, with what it must see and a cursor.
struct Reader {
    work: Work,
    sees: Records,
    cursor: TreeCursor,
    /// The key on which the cursor stands.
    at: Option<Vec<u8>>,
}

impl Reader {
    fn begin(bench: &Bench, committed: &Records) -> Self {
        let mut work = bench.session();
        work.begin(false).unwrap();
        Self { work, sees: committed.clone(), cursor: TreeCursor::new(bench.tree.clone()), at: None }
    }

    /// A move forward or back from a record, or to one of the ends.
    fn step(&mut self, forward: bool) {
        let expected = match (&self.at, forward) {
            (Some(at), true) => {
                self.sees.range::<Vec<u8>, _>((std::ops::Bound::Excluded(at), std::ops::Bound::Unbounded))
            }
            (Some(at), false) => self.sees.range::<Vec<u8>, _>(..at),
            (None, _) => self.sees.range::<Vec<u8>, _>(..),
        };
        let mut expected = expected;
        let expected = if forward { expected.next() } else { expected.next_back() };
        let moved = match (&self.at, forward) {
            (Some(_), true) => self.cursor.next(&self.work),
            (Some(_), false) => self.cursor.previous(&self.work),
            (None, true) => self.cursor.first(&self.work),
            (None, false) => self.cursor.last(&self.work),
        };
        assert_eq!(moved.unwrap(), expected.is_some(), "a move from {:?}", self.at);
        if let Some((key, data)) = expected {
            assert_eq!((self.cursor.key(), self.cursor.data()), (&key[..], &data[..]));
        }
        self.at = expected.map(|(key, _)| key.clone());
        self.read();
    }

    /// The record again, as it is now.
    fn read(&mut self) {
        let Some(at) = &self.at else { return };
        let expected = self.sees.get(at);
        assert_eq!(self.cursor.refresh(&self.work).unwrap(), expected.is_some());
        if let Some(data) = expected {
            assert_eq!(self.cursor.data(), &data[..]);
        }
    }
}

fn key(rng: &mut SimRng) -> Vec<u8> {
    [&b"a common beginning"[..], &(rng.below(1200) as u32).to_be_bytes()].concat()
}

/// One change of a record that is, or is not, there; what became of it goes into `records`. False for a conflict.
fn change(work: &mut Work, tree: &Tree, rng: &mut SimRng, records: &mut Records, key: &[u8]) -> bool {
    let data = vec![rng.below(256) as u8; 4 + rng.below(120) as usize];
    let bookmark = Bookmark { key, data: &[] };
    let result = match (records.contains_key(key), rng.below(3)) {
        (false, _) => insert(work, tree, key, &data, Versioning::Versioned).map(|()| Some(data)),
        (true, 0) => delete(work, tree, bookmark).map(|()| None),
        (true, _) => replace(work, tree, key, &data, Versioning::Versioned).map(|()| Some(data)),
    };
    match result {
        Ok(Some(data)) => drop(records.insert(key.to_vec(), data)),
        Ok(None) => drop(records.remove(key)),
        Err(error) => {
            assert_eq!(error.code(), JetErr::WriteConflict);
            return false;
        }
    }
    true
}

fn run(page_size: u32, seed: u64) {
    let bench = Bench::new(PageSize::from_bytes(page_size).unwrap(), true, 4000);
    let tree = bench.tree.clone();
    let mut rng = SimRng::new(seed);
    let cleanup = bench.cleanup();
    let mut committed = Records::new();
    let mut readers: Vec<Reader> = Vec::new();
    let mut writer = bench.session();
    for step in 0..1200 {
        match rng.below(100) {
            0..12 => {
                // Others change records, commit or give up.
                writer.begin(false).unwrap();
                let mut theirs = committed.clone();
                for _ in 0..1 + rng.below(12) {
                    let key = key(&mut rng);
                    change(&mut writer, &tree, &mut rng, &mut theirs, &key);
                }
                match rng.below(4) {
                    0 => bench.rollback(&mut writer),
                    _ => {
                        writer.commit(true).unwrap();
                        committed = theirs;
                    }
                }
            }
            12..15 => drop(cleanup.step().unwrap()),
            15..18 if readers.len() < 4 => readers.push(Reader::begin(&bench, &committed)),
            18..20 if readers.len() > 1 => {
                let at = rng.below(readers.len() as u64) as usize;
                let mut reader = readers.swap_remove(at);
                bench.rollback(&mut reader.work);
            }
            20..26 if !readers.is_empty() => {
                // A change of its own, at its place or elsewhere.
                let at = rng.below(readers.len() as u64) as usize;
                let reader = &mut readers[at];
                let key = reader.at.clone().filter(|_| rng.below(2) == 0).unwrap_or_else(|| key(&mut rng));
                change(&mut reader.work, &tree, &mut rng, &mut reader.sees, &key);
                reader.read();
            }
            26..29 if !readers.is_empty() => {
                // A level that comes to nothing.
                let at = rng.below(readers.len() as u64) as usize;
                let reader = &mut readers[at];
                let before = reader.sees.clone();
                reader.work.begin(false).unwrap();
                for _ in 0..1 + rng.below(4) {
                    let key = key(&mut rng);
                    change(&mut reader.work, &tree, &mut rng, &mut reader.sees, &key);
                    let forward = rng.below(2) == 0;
                    reader.step(forward);
                }
                bench.rollback(&mut reader.work);
                reader.sees = before;
                reader.read();
            }
            _ if !readers.is_empty() => {
                let at = rng.below(readers.len() as u64) as usize;
                let forward = rng.below(3) != 0;
                for _ in 0..rng.below(60) {
                    readers[at].step(forward);
                }
            }
            _ => {}
        }
        assert!(bench.pages.in_use() < 1000, "step {step}: the tree grows and grows");
    }
}

#[test]
fn moves_see_what_the_transaction_sees() {
    for (seed, page_size) in [(1, 2048), (2, 4096), (3, 4096), (4, 8192), (5, 32768)] {
        run(page_size, seed);
    }
}

#[test]
fn a_scan_takes_one_latch_for_each_leaf() {
    let bench = Bench::new(PageSize::from_bytes(4096).unwrap(), true, 4000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in 0..3000u32 {
        insert(&mut work, &bench.tree, &n.to_be_bytes(), &[1; 90], Versioning::Versioned).unwrap();
    }
    let hits = || bench.tree.file.cache().statistics().hits;
    let scan = |work: &Work| {
        let before = hits();
        let mut cursor = TreeCursor::new(bench.tree.clone());
        let mut count = 0;
        while cursor.next(work).unwrap() {
            // The value of each record is asked for, too.
            assert!(cursor.refresh(work).unwrap());
            count += 1;
        }
        assert_eq!(count, 3000);
        hits() - before
    };
    // Two levels of pages lead to the first leaf; the first two moves are not known to be a scan; now and then the
    // leaves to come are looked up from the root.
    let leaves = bench.pages.in_use() as u64;
    let most = leaves + leaves / 8 + 8;
    let of_own = scan(&work);
    assert!(of_own <= most, "{of_own} latches for {leaves} leaves with changes of its own");
    work.commit(true).unwrap();
    work.begin(true).unwrap();
    let of_others = scan(&work);
    assert!(
        of_others <= most,
        "{of_others} latches for {leaves} leaves with changes that others may not see"
    );
    // Without a transaction around all of it, too, as long as nobody commits anything.
    work.commit(true).unwrap();
    bench.cleanup().run().unwrap();
    let before = hits();
    let mut cursor = TreeCursor::new(bench.tree.clone());
    let mut read = |work: &mut Work, step: &dyn Fn(&mut TreeCursor, &Work) -> bool| {
        work.begin_reading();
        let done = step(&mut cursor, work);
        work.end_reading();
        done
    };
    while read(&mut work, &|cursor, work| cursor.next(work).unwrap()) {
        assert!(read(&mut work, &|cursor, work| cursor.refresh(work).unwrap()));
    }
    let alone = hits() - before;
    assert!(alone <= most, "{alone} latches for {leaves} leaves in many transactions");
}
