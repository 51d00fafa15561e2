//! Pages of open transactions when the log cannot be written any more.

use super::page_jobs_tests::{PATH, start};
use crate::JetErr;
use crate::api::{Table, Transaction};
use ese_vfs::{Effect, Fault, OpKind, SimDisk};
use std::path::Path;

/// A page that waits for a before-image in the log waits for it for good once the log has failed: on the disk without the
/// image, the change could not be undone by recovery.
#[test]
fn a_page_whose_before_image_is_lost_is_not_written() {
    let disk = SimDisk::new(3);
    let instance = start(&disk);
    let session = instance.begin_session().unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    let table = Table::open(&database, "T").unwrap();
    let first = Transaction::begin(&session).unwrap();
    table.insert(&[("Id", &1i32)]).unwrap();
    first.commit().unwrap();
    let (log, attachments) = instance.parts().unwrap();
    attachments.all().iter().for_each(|attachment| attachment.pages.flush().unwrap());

    let open = Transaction::begin(&session).unwrap();
    assert!(table.delete(&[&1i32]).unwrap());
    // The change is durable, its before-image is not yet logged.
    log.flush_all().unwrap();
    let before = disk.content(Path::new(PATH)).unwrap();
    disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of(".log"));
    for _ in 0..2 {
        for attachment in attachments.all() {
            assert_eq!(attachment.pages.flush().unwrap_err().code(), JetErr::LogWriteFail);
        }
    }
    assert!(disk.content(Path::new(PATH)).unwrap() == before, "a page was written");
    drop(open);
}
