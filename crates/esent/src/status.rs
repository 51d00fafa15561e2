//! Status callbacks to C.

use crate::types::*;
use ese::backup::to_directory::Status;

const SNT_PROGRESS: JET_SNT = 0;
const SNT_BEGIN: JET_SNT = 5;
const SNT_COMPLETE: JET_SNT = 6;

/// JET_snpRestore.
pub(crate) const RESTORE: JET_SNP = 8;
/// JET_snpBackup.
pub(crate) const BACKUP: JET_SNP = 9;

/// Hands the engine's reports to a C callback, as JET_SNPROG. What the callback returns does not matter:
/// it cannot stop a backup or restore.
pub(crate) fn to_callback(callback: JET_PFNSTATUS, operation: JET_SNP) -> impl FnMut(Status) {
    move |status| {
        let Some(callback) = callback else { return };
        let (snt, mut progress) = describe(status);
        // SAFETY: the caller of the exported function promised a function of this type; the structure
        // outlives the call.
        unsafe { callback(JET_SESID_NIL, operation, snt, (&raw mut progress).cast()) };
    }
}

/// The same for a callback that takes a context instead of a session.
pub(crate) fn to_callback_with_context(
    callback: JET_PFNINITCALLBACK,
    operation: JET_SNP,
    context: *mut c_void,
) -> impl FnMut(Status) {
    move |status| {
        let Some(callback) = callback else { return };
        let (snt, mut progress) = describe(status);
        // SAFETY: the caller of the exported function promised a function of this type, to be called with
        // this context; the structure outlives the call.
        unsafe { callback(operation, snt, (&raw mut progress).cast(), context) };
    }
}

/// JET_cbtypOnlineDefragCompleted.
const DEFRAGMENTED: JET_CBTYP = 0x100;

/// Who is told that a defragmentation in the background has ended.
pub(crate) struct Defragmentation {
    pub(crate) session: JET_SESID,
    pub(crate) database: JET_DBID,
    pub(crate) callback: JET_CALLBACK,
    pub(crate) context: *mut c_void,
}

// SAFETY: the pointer is only handed back to the client, who asked for the call from another thread.
unsafe impl Send for Defragmentation {}

impl Defragmentation {
    /// Tells it. What the callback returns does not matter.
    pub(crate) fn tell(&self) {
        let Some(callback) = self.callback else { return };
        let (none, context) = (std::ptr::null_mut(), self.context);
        // SAFETY: the caller of the exported function promised a function of this type, to be called with
        // this context when the background has ended.
        unsafe {
            callback(self.session, self.database, JET_TABLEID_NIL, DEFRAGMENTED, none, none, context, 0)
        };
    }
}

fn describe(status: Status) -> (JET_SNT, JET_SNPROG) {
    let snt = match status {
        Status::Begin => SNT_BEGIN,
        Status::Progress(_) => SNT_PROGRESS,
        Status::Complete => SNT_COMPLETE,
    };
    let cbStruct = size_of::<JET_SNPROG>() as u32;
    (snt, JET_SNPROG { cbStruct, cunitDone: status.done(), cunitTotal: Status::TOTAL })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static CALLS: RefCell<Vec<(JET_SNP, JET_SNT, u32, u32)>> = const { RefCell::new(Vec::new()) };
    }

    unsafe extern "C" fn note(sesid: JET_SESID, snp: JET_SNP, snt: JET_SNT, pv: *mut c_void) -> JET_ERR {
        assert_eq!(sesid, JET_SESID_NIL);
        // SAFETY: the structure that `to_callback` passes.
        let progress = unsafe { pv.cast::<JET_SNPROG>().read() };
        assert_eq!(progress.cbStruct, 12);
        CALLS.with_borrow_mut(|calls| calls.push((snp, snt, progress.cunitDone, progress.cunitTotal)));
        -1
    }

    #[test]
    fn reports_become_structures() {
        let mut status = to_callback(Some(note), BACKUP);
        status(Status::Begin);
        status(Status::Progress(10));
        status(Status::Complete);
        to_callback(None, BACKUP)(Status::Begin);
        assert_eq!(CALLS.take(), [(9, 5, 0, 100), (9, 0, 10, 100), (9, 6, 100, 100)]);
    }
}
