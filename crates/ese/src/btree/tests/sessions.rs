//! Several sessions on one tree.

use super::*;
use crate::sync::thread;
use ese_vfs::sim::SimRng;

const SIZE: PageSize = match PageSize::from_bytes(4096) {
    Some(size) => size,
    None => unreachable!(),
};

fn bookmark(key: &[u8]) -> Bookmark<'_> {
    Bookmark { key, data: &[] }
}

#[test]
fn a_reader_keeps_its_view_through_splits_and_commits() {
    let bench = Bench::new(SIZE, true, 1000);
    let mut writer = bench.session();
    writer.begin(false).unwrap();
    for n in 0u32..300 {
        insert(&mut writer, &bench.tree, &n.to_be_bytes(), &[1; 50], Versioning::Versioned).unwrap();
    }
    writer.commit(false).unwrap();
    let mut reader = bench.session();
    reader.begin(true).unwrap();
    let view = bench.scan(&reader);
    writer.begin(false).unwrap();
    for n in 0u32..300 {
        match n % 3 {
            0 => {
                replace(&mut writer, &bench.tree, &n.to_be_bytes(), &[2; 300], Versioning::Versioned).unwrap()
            }
            1 => delete(&mut writer, &bench.tree, bookmark(&n.to_be_bytes())).unwrap(),
            _ => insert(&mut writer, &bench.tree, &(n + 1000).to_be_bytes(), &[3; 90], Versioning::Versioned)
                .unwrap(),
        }
    }
    assert_eq!(bench.scan(&reader), view);
    assert_eq!(bench.scan_back(&reader), view);
    writer.commit(false).unwrap();
    assert_eq!(bench.scan(&reader), view);
    reader.commit(false).unwrap();
    reader.begin(true).unwrap();
    assert_eq!(bench.scan(&reader).len(), 300);
    assert_ne!(bench.scan(&reader), view);
}

#[test]
fn conflicts_and_duplicates_are_told_apart() {
    let bench = Bench::new(SIZE, true, 1000);
    let (mut a, mut b) = (bench.session(), bench.session());
    let code = |r: Result<()>| r.unwrap_err().code();
    a.begin(false).unwrap();
    b.begin(false).unwrap();
    insert(&mut a, &bench.tree, b"k", b"1", Versioning::Versioned).unwrap();
    assert_eq!(code(insert(&mut b, &bench.tree, b"k", b"2", Versioning::Versioned)), JetErr::WriteConflict);
    assert_eq!(code(insert(&mut a, &bench.tree, b"k", b"2", Versioning::Versioned)), JetErr::KeyDuplicate);
    assert_eq!(code(replace(&mut b, &bench.tree, b"k", b"2", Versioning::Versioned)), JetErr::RecordDeleted);
    a.commit(false).unwrap();
    assert_eq!(code(insert(&mut b, &bench.tree, b"k", b"2", Versioning::Versioned)), JetErr::WriteConflict);
    b.commit(false).unwrap();
    b.begin(false).unwrap();
    assert_eq!(code(insert(&mut b, &bench.tree, b"k", b"2", Versioning::Versioned)), JetErr::KeyDuplicate);
    delete(&mut b, &bench.tree, bookmark(b"k")).unwrap();
    a.begin(false).unwrap();
    assert_eq!(code(delete(&mut a, &bench.tree, bookmark(b"k"))), JetErr::WriteConflict);
    insert(&mut b, &bench.tree, b"k", b"other", Versioning::Versioned).unwrap();
    bench.rollback(&mut b);
    assert_eq!(bench.scan(&a), [(b"k".to_vec(), b"1".to_vec())]);
}

#[test]
fn counters_take_additions_of_several_transactions() {
    let bench = Bench::new(SIZE, true, 1000);
    let (mut a, mut b) = (bench.session(), bench.session());
    a.begin(false).unwrap();
    insert(&mut a, &bench.tree, b"k", &7i64.to_le_bytes(), Versioning::Versioned).unwrap();
    a.commit(false).unwrap();
    a.begin(false).unwrap();
    b.begin(false).unwrap();
    let plus = |work: &mut Work, by: i64| {
        add(work, &bench.tree, bookmark(b"k"), 0, by, true, Versioning::Versioned).unwrap()
    };
    assert_eq!(plus(&mut a, 100), 7);
    assert_eq!(plus(&mut b, 1000), 107);
    bench.rollback(&mut a);
    b.commit(false).unwrap();
    a.begin(false).unwrap();
    assert_eq!(bench.scan(&a), [(b"k".to_vec(), 1007i64.to_le_bytes().to_vec())]);
}

#[test]
fn threads_insert_and_read_at_once() {
    const EACH: u32 = 1500;
    let bench = Arc::new(Bench::new(SIZE, true, 200));
    let threads: Vec<_> = (0u32..4)
        .map(|me| {
            let bench = bench.clone();
            thread::spawn("inserter", move || {
                let mut rng = SimRng::new(me.into());
                let mut work = bench.session();
                for n in 0..EACH {
                    work.begin(false).unwrap();
                    let key =
                        [rng.below(1 << 30).to_be_bytes(), u64::from(n * 4 + me).to_be_bytes()].concat();
                    let data = vec![me as u8; 1 + rng.below(200) as usize];
                    insert(&mut work, &bench.tree, &key, &data, Versioning::Versioned).unwrap();
                    if n % 10 == 3 {
                        bench.rollback(&mut work);
                    } else {
                        work.commit(true).unwrap();
                    }
                    if n % 100 == 0 {
                        work.begin(true).unwrap();
                        let seen = bench.scan(&work);
                        assert!(seen.is_sorted());
                        assert_eq!(bench.scan_back(&work).len(), seen.len());
                        work.commit(true).unwrap();
                    }
                }
            })
            .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut work = bench.session();
    work.begin(true).unwrap();
    let all = bench.scan(&work);
    assert_eq!(all.len(), (4 * EACH * 9 / 10) as usize);
    assert_eq!(bench.on_disk(), all);
}
