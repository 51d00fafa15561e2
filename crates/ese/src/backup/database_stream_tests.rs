use super::*;
use crate::backup::source::PageHold;
use crate::clock::SeededClock;
use crate::event::MemorySink;
use crate::sync::Mutex;
use ese_format::checksum::store_page_checksum;
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{LogPosition, LogTime, Signature};
use std::path::PathBuf;

/// A database in memory whose first reads of one page may fail.
struct Memory {
    path: PathBuf,
    header: Mutex<DatabaseHeader>,
    pages: Vec<u8>,
    last: PageNumber,
    /// How often the page still reads damaged.
    flaky: Mutex<(PageNumber, u32)>,
    reads: Mutex<u32>,
}

const SIZE: PageSize = PageSize::K4;

impl Memory {
    /// `pages` pages of which the first `last` are owned; page 2 is blank, what is behind is garbage.
    fn new(pages: u32, last: u32) -> Arc<Self> {
        let mut header = DatabaseHeader::new(SIZE);
        header.signature = Signature { random: 7, created: LogTime::NONE, computer: [0; 16] };
        header.max_committed = Generation(5);
        let mut bytes = Vec::new();
        for number in 1..=pages {
            let mut page = vec![0; SIZE.bytes()];
            if number != 2 {
                page[8..16].copy_from_slice(&u64::from(number).to_le_bytes());
                page[100..2000].fill(number as u8);
                store_page_checksum(&mut page, PageNumber(number), SIZE);
            }
            if number > last {
                page[3000] ^= 0xFF;
            }
            bytes.extend(page);
        }
        Arc::new(Self {
            path: "a.edb".into(),
            header: Mutex::new(header),
            pages: bytes,
            last: PageNumber(last),
            flaky: Mutex::default(),
            reads: Mutex::default(),
        })
    }
}

impl BackupDatabase for Memory {
    fn path(&self) -> &Path {
        &self.path
    }
    fn id(&self) -> u8 {
        1
    }
    fn page_size(&self) -> PageSize {
        SIZE
    }
    fn header(&self) -> DatabaseHeader {
        self.header.lock().clone()
    }
    fn update_header(&self, change: &mut dyn FnMut(&mut DatabaseHeader)) -> Result<()> {
        change(&mut self.header.lock());
        Ok(())
    }
    fn last_page(&self) -> Result<PageNumber> {
        Ok(self.last)
    }
    fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        *self.reads.lock() += 1;
        let at = (first.0 as usize - 1) * SIZE.bytes();
        into.copy_from_slice(&self.pages[at..at + into.len()]);
        let mut flaky = self.flaky.lock();
        let count = (into.len() / SIZE.bytes()) as u32;
        if flaky.1 > 0 && (first.0..first.0 + count).contains(&flaky.0.0) {
            flaky.1 -= 1;
            let at = (flaky.0.0 - first.0) as usize * SIZE.bytes();
            into[at + 500..at + 510].fill(0xEE);
        }
        Ok(())
    }
    fn remove_deleted(&self) -> Result<()> {
        Ok(())
    }
    fn scrub_pages(&self, _first: PageNumber, _count: u32) -> Result<u32> {
        Ok(0)
    }
    fn write_pages(&self) -> Result<()> {
        Ok(())
    }
    fn hold_pages(&self, _first: PageNumber, _count: u32) -> Box<dyn PageHold + '_> {
        Box::new(())
    }
}

const BACKUP: BackupInfo = BackupInfo {
    mark: LogPosition::new(Generation(4), 2, 9),
    time: LogTime::from_utc(2024, 2, 3, 4, 5, 6, 7),
    lowest: Generation(3),
    highest: Generation::NONE,
};

struct Reader {
    stream: DatabaseStream,
    clock: SeededClock,
    events: MemorySink,
}

impl Reader {
    fn new(database: Arc<Memory>) -> Self {
        let stream = DatabaseStream::open(database, BACKUP).unwrap();
        Self { stream, clock: SeededClock::new(1), events: MemorySink::default() }
    }

    fn read(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0xAA; bytes];
        let parts = ReadParts {
            clock: &self.clock,
            events: &self.events,
            repeat_delay: Duration::ZERO,
            chunk_bytes: 4 * SIZE.bytes(),
        };
        let read = self.stream.read(&mut buffer, &parts, &|| Generation(8))?;
        buffer.truncate(read);
        Ok(buffer)
    }

    fn all(&mut self, bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let part = self.read(bytes).unwrap();
            if part.is_empty() {
                return all;
            }
            all.extend(part);
        }
    }
}

#[test]
fn every_buffer_size_delivers_the_same_stream_of_the_promised_length() {
    let database = Memory::new(20, 11);
    let whole = Reader::new(database.clone()).all(64 * SIZE.bytes());
    assert_eq!(whole.len(), (11 + 3) * SIZE.bytes());
    for pages in 3..=16 {
        let mut reader = Reader::new(database.clone());
        assert_eq!(reader.stream.length(), whole.len() as u64);
        assert!(reader.all(pages * SIZE.bytes()) == whole, "{pages} pages at a time");
        assert!(reader.stream.is_at_end());
        assert_eq!(reader.read(SIZE.bytes()).unwrap(), [0; 0], "the end again");
    }
}

#[test]
fn the_stream_is_header_twice_owned_pages_and_trailer() {
    let database = Memory::new(20, 11);
    let mut reader = Reader::new(database.clone());
    let whole = reader.all(5 * SIZE.bytes());
    let page = |index: usize| &whole[index * SIZE.bytes()..(index + 1) * SIZE.bytes()];
    assert_eq!(page(0), page(1));
    let header = DatabaseHeader::decode(page(0)).unwrap();
    assert_eq!(header.current_full_backup, BACKUP);
    assert_eq!(whole[2 * SIZE.bytes()..13 * SIZE.bytes()], database.pages[..11 * SIZE.bytes()]);
    let trailer = BackupTrailer::decode(page(13), SIZE).unwrap();
    assert_eq!(trailer.backup, BackupInfo { highest: Generation(8), ..BACKUP });
    assert_eq!(trailer.database, header.signature);
    assert_eq!(trailer.required, RequiredRange::default(), "this version has none");
    let counts = PageCounts { verified: 10, blank: 1, corrected: 0, repeated: 0 };
    assert_eq!(reader.stream.counts(), counts);
}

#[test]
fn a_page_that_reads_well_the_third_time_is_delivered_and_reported() {
    let database = Memory::new(6, 6);
    *database.flaky.lock() = (PageNumber(5), 2);
    let mut reader = Reader::new(database.clone());
    let whole = reader.all(16 * SIZE.bytes());
    assert_eq!(whole[2 * SIZE.bytes()..8 * SIZE.bytes()], database.pages);
    assert_eq!(reader.events.ids(), [493]);
    assert_eq!(reader.stream.counts().repeated, 2);
    assert_eq!(reader.stream.counts().verified, 5);
}

#[test]
fn a_page_that_stays_bad_is_tried_seventeen_times() {
    let database = Memory::new(3, 3);
    *database.flaky.lock() = (PageNumber(3), u32::MAX);
    let mut reader = Reader::new(database.clone());
    let error = reader.read(5 * SIZE.bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), JetErr::ReadVerifyFailure);
    assert_eq!(error.page_number(), Some(PageNumber(3)));
    assert_eq!(*database.reads.lock(), 17);
    assert_eq!(reader.stream.position(), 0, "nothing counts as delivered");
    let event = reader.events.events().pop().unwrap();
    assert_eq!(
        (event.id, event.strings),
        (474, ["a.edb", "16384", "4096", "3", "-1018"].map(str::to_owned).to_vec())
    );
}

#[test]
fn each_wrong_bit_of_a_page_is_corrected_and_reported() {
    let sound = Memory::new(4, 4);
    let (page, size) = (PageNumber(3), SIZE.bytes());
    for bit in [100 * 8, 1234 * 8 + 3, (size - 1) * 8 + 7] {
        let mut wrong = Memory::new(4, 4);
        let database = Arc::get_mut(&mut wrong).unwrap();
        database.pages[2 * size + bit / 8] ^= 1 << (bit % 8);
        let mut reader = Reader::new(wrong);
        let whole = reader.all(16 * size);
        assert!(whole[2 * size..6 * size] == sound.pages, "bit {bit}");
        assert_eq!(reader.stream.counts().corrected, 1);
        let event = reader.events.events().pop().unwrap();
        assert_eq!(event.id, 399);
        assert_eq!(event.strings[..4], ["a.edb", "16384", "4096", "3"].map(str::to_owned));
        assert_eq!(event.strings[4].parse(), Ok(bit), "of page {}", page.0);
    }
    let mut worse = Memory::new(4, 4);
    let database = Arc::get_mut(&mut worse).unwrap();
    database.pages[2 * size + 200] ^= 0b11;
    let error = Reader::new(worse).read(16 * size).map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.page_number()), (JetErr::ReadVerifyFailure, Some(page)));
}

#[test]
fn a_roll_over_under_way_raises_the_trailers_generation() {
    let database = Memory::new(1, 1);
    database.header.lock().max_committed = Generation(9);
    let whole = Reader::new(database).all(4 * SIZE.bytes());
    let trailer = BackupTrailer::decode(&whole[3 * SIZE.bytes()..], SIZE).unwrap();
    assert_eq!(trailer.backup.highest, Generation(9));
}
