//! Cursors keep their place whatever happens to the pages.

use super::*;

const SIZE: PageSize = match PageSize::from_bytes(4096) {
    Some(size) => size,
    None => unreachable!(),
};

#[test]
fn a_cursor_finds_itself_again_after_splits_and_deletes() {
    let bench = Bench::new(SIZE, true, 1000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in (0u32..2000).step_by(10) {
        insert(&mut work, &bench.tree, &n.to_be_bytes(), &[1; 60], Versioning::Versioned).unwrap();
    }
    let mut cursor = TreeCursor::new(bench.tree.clone());
    assert!(cursor.seek_exact(&work, Bookmark { key: &1000u32.to_be_bytes(), data: &[] }).unwrap());
    for n in 0u32..2000 {
        if n % 10 != 0 {
            insert(&mut work, &bench.tree, &n.to_be_bytes(), &[2; 60], Versioning::Versioned).unwrap();
        }
    }
    assert!(cursor.next(&work).unwrap());
    assert_eq!(cursor.key(), 1001u32.to_be_bytes());
    for n in 900u32..1001 {
        delete(&mut work, &bench.tree, Bookmark { key: &n.to_be_bytes(), data: &[] }).unwrap();
    }
    delete(&mut work, &bench.tree, Bookmark { key: &1001u32.to_be_bytes(), data: &[] }).unwrap();
    assert!(!cursor.refresh(&work).unwrap());
    assert!(cursor.previous(&work).unwrap());
    assert_eq!(cursor.key(), 899u32.to_be_bytes());
    assert!(cursor.next(&work).unwrap());
    assert_eq!(cursor.key(), 1002u32.to_be_bytes());
}

#[test]
fn the_ends_are_before_and_behind_all_records() {
    let bench = Bench::new(SIZE, true, 1000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    let mut cursor = TreeCursor::new(bench.tree.clone());
    assert!(!cursor.next(&work).unwrap());
    assert!(!cursor.previous(&work).unwrap());
    insert(&mut work, &bench.tree, b"k", b"v", Versioning::Versioned).unwrap();
    assert!(cursor.first(&work).unwrap() && !cursor.next(&work).unwrap());
    assert!(!cursor.is_on());
    assert!(cursor.previous(&work).unwrap() && !cursor.previous(&work).unwrap());
    assert!(cursor.next(&work).unwrap());
    assert!(cursor.seek_forward(&work, Target::before(b"a")).unwrap());
    assert!(!cursor.seek_forward(&work, Target::behind(b"k")).unwrap());
    assert!(cursor.seek_backward(&work, Target::behind(b"k")).unwrap());
    assert!(!cursor.seek_backward(&work, Target::before(b"k")).unwrap());
}

#[test]
fn the_end_of_many_equal_keys_is_found() {
    let bench = Bench::new(SIZE, false, 1000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    for key in [b"\x7fa", b"\x7fb", b"\x7fc"] {
        for n in 0u32..1500 {
            // Bookmarks that begin higher than what the search tries first.
            let data = [&[0xFF; 20][..], &n.to_be_bytes()].concat();
            let data = if n % 2 == 0 { data } else { n.to_be_bytes().to_vec() };
            insert(&mut work, &bench.tree, key, &data, Versioning::Versioned).unwrap();
        }
    }
    let mut cursor = TreeCursor::new(bench.tree.clone());
    assert!(cursor.seek_forward(&work, Target::behind(b"\x7fa")).unwrap());
    assert_eq!((cursor.key(), cursor.data()), (&b"\x7fb"[..], &1u32.to_be_bytes()[..]));
    assert!(cursor.seek_backward(&work, Target::behind(b"\x7fa")).unwrap());
    assert_eq!(cursor.key(), b"\x7fa");
    assert!(cursor.data().starts_with(&[0xFF; 20]));
    assert!(!cursor.seek_forward(&work, Target::behind(b"\x7fc")).unwrap());
    assert!(cursor.seek_forward(&work, Target::before(b"\x7fc")).unwrap());
    assert_eq!((cursor.key(), cursor.data()), (&b"\x7fc"[..], &1u32.to_be_bytes()[..]));
}

#[test]
fn records_are_refused_that_no_page_can_hold() {
    let bench = Bench::new(SIZE, true, 1000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    let most = bench.tree.node_bytes_most() - 2 - 1 - 16;
    for (n, length) in [(0u8, most), (1, most), (2, most)] {
        insert(&mut work, &bench.tree, &[n], &vec![n; length], Versioning::Versioned).unwrap();
    }
    let refused = insert(&mut work, &bench.tree, &[9], &vec![9; 5000], Versioning::Versioned).unwrap_err();
    assert_eq!(refused.code(), JetErr::RecordTooBig);
    assert_eq!(bench.scan(&work).len(), 3);
}

#[test]
fn a_seek_goes_by_the_root_that_it_knows() {
    let bench = Bench::new(SIZE, true, 1000);
    let mut work = bench.session();
    work.begin(false).unwrap();
    let add = |work: &mut Work, n: u32| {
        insert(work, &bench.tree, &n.to_be_bytes(), &[1; 60], Versioning::Versioned).unwrap();
    };
    (0..2000).for_each(|n| add(&mut work, n * 10));
    let hits = || bench.tree.file.cache().statistics().hits;
    let mut cursor = TreeCursor::new(bench.tree.clone());
    let mut seek = |work: &Work, n: u32| {
        let before = hits();
        assert!(cursor.seek_exact(work, Bookmark { key: &n.to_be_bytes(), data: &[] }).unwrap());
        hits() - before
    };
    let first = seek(&work, 50);
    assert_eq!(seek(&work, 15_000), first - 1, "all but the root");
    // Leaves in the middle are split; the root takes their separators.
    (0..2000).filter(|n| n % 10 != 0).for_each(|n| add(&mut work, n));
    assert_eq!(seek(&work, 777), first);
    assert_eq!(seek(&work, 50), first - 1);
}
