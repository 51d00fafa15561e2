//! What a crash between any two records leaves behind.

use super::*;
use crate::apply::{Layout, prepare};
use crate::log::{LogReader, ReadEvent, ReadOptions};
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::log::record::LogRecord;
use ese_format::page::Page;
use ese_format::{DbTime, LogPosition};
use ese_vfs::sim::SimRng;
use std::collections::HashMap;

/// Pages as records make them.
struct Replayed {
    page_size: PageSize,
    pages: BTreeMap<PageNumber, Vec<u8>>,
    macros: HashMap<(u16, DbTime), Vec<LogRecord>>,
    trees: Vec<PageNumber>,
}

impl<'a> PageRead for &'a Replayed {
    type Bytes = &'a [u8];

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn page_count(&self) -> u32 {
        self.pages.keys().last().map_or(0, |page| page.0)
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<&'a [u8]> {
        let missing = || FormatError::new(FormatErrorKind::Uninitialized, "never written").at_page(page);
        self.pages.get(&page).map(|bytes| &bytes[..]).ok_or_else(missing)
    }
}

impl Replayed {
    /// Replays a record; true when it changed pages.
    fn replay(&mut self, record: LogRecord) -> bool {
        let open = record.page_prefix().map(|prefix| (prefix.session, prefix.after));
        if let Some(group) = open.and_then(|key| self.macros.get_mut(&key)) {
            group.push(record);
            return false;
        }
        match record {
            LogRecord::MacroBegin(mark) => {
                self.macros.insert((mark.session, mark.after), Vec::new());
                false
            }
            LogRecord::MacroCommit(mark) => {
                let group = self.macros.remove(&(mark.session, mark.after)).unwrap();
                self.apply(&group);
                true
            }
            record if open.is_some() => {
                if let LogRecord::CreateSingleExtentFdp(_) | LogRecord::CreateMultipleExtentFdp(_) = &record {
                    self.trees.push(record.page_prefix().unwrap().page);
                }
                self.apply(&[record]);
                true
            }
            _ => false,
        }
    }

    fn apply(&mut self, records: &[LogRecord]) {
        let layout = Layout { page_size: self.page_size, reserved_tags: false };
        let find = |number: PageNumber| {
            self.pages.get(&number).map(|bytes| Page::new(bytes, self.page_size).unwrap())
        };
        let prepared = prepare(records, layout, &find).unwrap();
        assert!(!prepared.pages.is_empty(), "a record changes nothing");
        self.pages.extend(prepared.pages);
    }

    /// No page is two things, and none is anything without being owned.
    fn check(&self, at: LogPosition) {
        let spaces: BTreeMap<_, _> =
            self.trees.iter().map(|root| (*root, read_space(&self, *root).unwrap())).collect();
        for (root, space) in &spaces {
            let count = self.page_count() as usize + 1;
            let (mut owned, mut used) = (vec![false; count], vec![false; count]);
            let mark = |pages: &mut Vec<bool>, page: u32, what: &str| {
                let page_is = pages.get_mut(page as usize).unwrap();
                assert!(!*page_is, "{at:?}: page {page} of tree {root} is {what} twice");
                *page_is = true;
            };
            let range = |extent: &ese_format::space::Extent| extent.first().0..=extent.last.0;
            for extent in &space.owned {
                // What was never written is not in the map of pages.
                owned.resize(owned.len().max(extent.last.0 as usize + 1), false);
                range(extent).for_each(|page| mark(&mut owned, page, "owned"));
            }
            used.resize(owned.len(), false);
            let mut roots = vec![*root];
            if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
                roots.extend([owned_root, PageNumber(owned_root.0 + 1)]);
            }
            for root in roots {
                let mut walk = ese_format::tree::Tree::new(self, root, space.object).walk();
                while let Some(step) = walk.advance() {
                    mark(&mut used, step.unwrap().page.0, "used");
                }
            }
            let buffers = space.owned_buffers.extents().chain(space.available_buffers.extents());
            for extent in buffers.chain(space.available.iter().map(|(_, extent)| *extent)) {
                range(&extent).for_each(|page| mark(&mut used, page, "used"));
            }
            for child in spaces.values().filter(|child| child.fields.space.parent == *root) {
                for extent in &child.owned {
                    range(extent).for_each(|page| mark(&mut used, page, "used"));
                }
            }
            for (page, _) in used.iter().enumerate().filter(|(_, used)| **used) {
                assert!(owned[page], "{at:?}: page {page} is used by tree {root}, which does not own it");
            }
        }
    }
}

#[test]
fn at_no_record_is_a_page_two_things() {
    for (seed, growth) in [
        (1, Growth { file_pages: 3, least_pages: 2, most_bytes: 4 * 2048 }),
        (2, Growth { file_pages: 1, least_pages: 1, most_bytes: 1 }),
        (3, Growth::default()),
    ] {
        run(seed, growth);
    }
}

fn run(seed: u64, growth: Growth) {
    let bench = Bench::new(PageSize::K2, growth, 2000);
    let mut replayed = Replayed {
        page_size: PageSize::K2,
        pages: BTreeMap::new(),
        macros: HashMap::new(),
        trees: bench.system.clone(),
    };
    {
        let pages = bench.file.file().pages().unwrap();
        for number in (1..=pages.page_count()).map(PageNumber) {
            if let Ok(page) = pages.read(number) {
                replayed.pages.insert(number, page.to_vec());
            }
        }
    }
    let root = bench.root();
    let mut rng = SimRng::new(seed);
    let mut tables = Vec::new();
    let mut indexes: Vec<Tree> = Vec::new();
    let mut taken: Vec<(Tree, Vec<PageNumber>)> = Vec::new();
    let mut deleted: Vec<(LogPosition, PageNumber)> = Vec::new();
    let mut work = bench.session();
    for n in 0u32..500 {
        match rng.below(20) {
            0 => tables.push(bench.create(&root, table(1 + rng.below(4) as u32)).unwrap()),
            1 if !tables.is_empty() => {
                let at = rng.below(tables.len() as u64) as usize;
                indexes.push(bench.create(&tables[at], index(1 + rng.below(4) as u32)).unwrap());
            }
            2 if indexes.len() > 2 => {
                let gone = indexes.remove(rng.below(indexes.len() as u64) as usize);
                taken.retain(|(tree, _)| tree.root != gone.root);
                deleted.push((bench.log.tip(), gone.root));
                bench.space.delete_tree(&gone).unwrap();
            }
            3..8 => {
                let Some(tree) = pick(&mut rng, &tables, &indexes) else { continue };
                let pages = bench.space.take(&tree, PageNumber::NONE, 1 + rng.below(9) as usize).unwrap();
                taken.push((tree, pages));
            }
            8..12 if !taken.is_empty() => {
                let (tree, mut pages) = taken.swap_remove(rng.below(taken.len() as u64) as usize);
                let back = pages.split_off(pages.len() / 2);
                bench.space.give(&tree, &back).unwrap();
                if !pages.is_empty() {
                    taken.push((tree, pages));
                }
            }
            _ => {
                let Some(tree) = pick(&mut rng, &tables, &indexes) else { continue };
                work.begin(false).unwrap();
                let key = n.wrapping_mul(0x9E37_79B1).to_be_bytes();
                insert(&mut work, &tree, &key, &[3; 300], Versioning::Unversioned).unwrap();
                work.commit(true).unwrap();
            }
        }
    }
    bench.log.flush_all().unwrap();
    let files = bench.log_config().files().unwrap();
    let start = LogPosition::start_of(ese_format::Generation::FIRST);
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut steps = 0;
    while let Some(event) = reader.next_event().unwrap() {
        let ReadEvent::Record(raw) = event else { continue };
        let at = raw.start;
        let gone = deleted.iter().filter(|(from, _)| *from <= at).map(|(_, root)| *root);
        let gone: Vec<PageNumber> = gone.collect();
        deleted.retain(|(from, _)| *from > at);
        replayed.trees.retain(|root| !gone.contains(root));
        if replayed.replay(LogRecord::decode(raw.bytes).unwrap()) {
            replayed.check(at);
            steps += 1;
        }
    }
    assert!(steps > 500, "{steps} steps");
    // And in the end the log says what the file says.
    bench.file.flush().unwrap();
    let pages = bench.file.file().pages().unwrap();
    for root in &replayed.trees {
        assert_eq!(read_space(&&replayed, *root).unwrap(), read_space(&pages, *root).unwrap());
    }
}

fn pick(rng: &mut SimRng, tables: &[Tree], indexes: &[Tree]) -> Option<Tree> {
    let all = tables.len() + indexes.len();
    let at = rng.below(all.max(1) as u64) as usize;
    tables.iter().chain(indexes).nth(at).cloned()
}
