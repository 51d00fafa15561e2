//! Redo makes the very pages that run time made.

use super::*;
use ese_format::page::{Page, clear_unlogged};

/// A page without what is not logged.
fn essence(page: &Page<'_>) -> Vec<u8> {
    let mut bytes = page.bytes().to_vec();
    clear_unlogged(&mut bytes, page.page_size());
    bytes
}

#[test]
fn redo_makes_the_pages_that_were_in_memory() {
    for (seed, cache_pages) in [(11, 4000), (12, 24)] {
        let setup = Setup { seed, page_size: PageSize::K4, cache_pages, steps: 600 };
        let world = World::new(setup);
        let disk = world.start();
        let engine = Engine::open(&disk, setup, &world.trees).unwrap();
        let mut history = History::new(world.model.clone());
        work(&engine, setup, &mut history).unwrap();
        engine.cleanup.run().unwrap();
        engine.log.flush_all().unwrap();
        let pages = engine.attachments.by_id(1).unwrap().pages.clone();
        let last = pages.file().last_page();
        let in_memory: BTreeMap<_, _> = (1..=last.0)
            .map(PageNumber)
            .filter_map(|number| pages.read(number).ok().map(|page| (number, essence(&page.page()))))
            .collect();
        let dirty = pages.dirty_pages();
        assert!(dirty > 5, "{dirty} pages are left to redo");
        let disk = disk.kill();
        instance(&disk, setup).init(InitOptions::default()).unwrap();
        let clock = Arc::new(SeededClock::new(1));
        let file = DbFile::open(&disk, clock, Path::new(DATABASE), Intent::Read).unwrap();
        assert_eq!(file.last_page(), last);
        let on_disk = file.pages().unwrap();
        let mut compared = 0;
        for (number, essence_then) in in_memory {
            let bytes = ese_format::tree::PageRead::read(&on_disk, number).unwrap();
            let page = Page::new(&bytes, setup.page_size).unwrap();
            assert!(essence(&page) == essence_then, "page {number}, seed {seed}");
            compared += 1;
        }
        assert!(compared > 30, "{compared}");
        assert_eq!(content(&disk, &world.trees), *history.newest());
    }
}
