//! A database file, and what a backup asks of it.

use super::{OWNED, PAGE, SIZE};
use ese::backup::source::{BackupDatabase, PageHold};
use ese::clock::Clock;
use ese::log::Log;
use ese::sync::{Arc, Mutex};
use ese::{Error, Result};
use ese_format::checksum::verify_page;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::empty::EmptyDatabase;
use ese_format::primitives::{Generation, PageNumber, PageSize};
use ese_format::space::last_owned_page;
use ese_format::tree::PageRead;
use ese_vfs::{Disk, File, OpenMode, SimDisk};
use std::path::{Path, PathBuf};

/// A database that a backup may copy.
pub struct TestDatabase {
    path: PathBuf,
    id: u8,
    file: Arc<dyn File>,
    header: Mutex<DatabaseHeader>,
}

struct Pages<'a>(&'a TestDatabase);

impl PageRead for Pages<'_> {
    type Bytes = Vec<u8>;
    fn page_size(&self) -> PageSize {
        SIZE
    }
    fn page_count(&self) -> u32 {
        1000
    }
    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        let mut bytes = vec![0; PAGE];
        self.0.file.read_exact_at(&mut bytes, page.file_offset(SIZE)).unwrap();
        assert!(verify_page(&mut bytes, page, SIZE).is_usable());
        Ok(bytes)
    }
}

impl BackupDatabase for TestDatabase {
    fn path(&self) -> &Path {
        &self.path
    }
    fn id(&self) -> u8 {
        self.id
    }
    fn page_size(&self) -> PageSize {
        SIZE
    }
    fn header(&self) -> DatabaseHeader {
        self.header.lock().clone()
    }
    fn update_header(&self, change: &mut dyn FnMut(&mut DatabaseHeader)) -> Result<()> {
        let mut header = self.header.lock();
        change(&mut header);
        let image = header.encode();
        for at in [0, PAGE as u64] {
            self.file.write_at(&image, at).map_err(|e| Error::io(e, "write", &self.path))?;
        }
        Ok(())
    }
    fn last_page(&self) -> Result<PageNumber> {
        Ok(last_owned_page(&Pages(self))?)
    }
    fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(into, first.file_offset(SIZE))
            .map_err(|e| Error::io(e, "read pages", &self.path))
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

/// Makes the database of a number, as a running instance has it.
pub(super) fn database(disk: &SimDisk, clock: &dyn Clock, log: &Log, id: u8) -> TestDatabase {
    let empty = EmptyDatabase {
        pages: OWNED,
        log_signature: log.signature(),
        ..EmptyDatabase::new(SIZE, clock.new_signature(), clock.now())
    }
    .encode()
    .unwrap();
    let mut header = empty.header;
    header.state = DatabaseState::DirtyShutdown;
    header.database_id = id.into();
    header.min_required = Generation(1);
    let image = header.encode();
    // Three pages behind the last owned one: leftover that fails every check.
    let mut bytes = vec![0; (OWNED as usize + 2 + 3) * PAGE];
    bytes[..PAGE].copy_from_slice(&image);
    bytes[PAGE..2 * PAGE].copy_from_slice(&image);
    for (number, page) in empty.pages {
        bytes[number.file_offset(SIZE) as usize..][..PAGE].copy_from_slice(&page);
    }
    let leftover = bytes.len() - 3 * PAGE;
    bytes[leftover..].fill(0x77);
    let path = PathBuf::from(format!("/db/{id}.edb"));
    disk.install(&path, &bytes).unwrap();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    TestDatabase { path, id, file, header: Mutex::new(header) }
}
