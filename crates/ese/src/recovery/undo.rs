//! The end of recovery: what was open is rolled back, databases are made clean, the log says so.

use crate::checkpoint::Checkpointer;
use crate::clock::Clock;
use crate::database::{Attachments, encode, make_clean};
use crate::error::Result;
use crate::log::Log;
use ese_format::LogPosition;
use ese_format::log::record::{LogRecord, RecoveryUndo2, Terminate};

/// Ends a recovery whose redo began at `redo_from`: every attached database becomes clean at the position
/// of the quit record, which is durable before any header names it; the checkpoint follows.
///
/// No record of this engine leaves anything to undo, so nothing stands between the two records.
pub fn finish(
    log: &Log,
    attachments: &Attachments,
    checkpoint: &Checkpointer,
    clock: &dyn Clock,
    redo_from: LogPosition,
    is_hard: bool,
) -> Result<()> {
    let undo = log.append(&encode(&LogRecord::RecoveryUndo2(RecoveryUndo2 { time: clock.now() }))?)?;
    let quit = log.append(&encode(&LogRecord::RecoveryQuit2(Terminate {
        undo: undo.start,
        redo_from,
        is_hard: u8::from(is_hard),
        time: clock.now(),
    }))?)?;
    log.flush(quit.end)?;
    let _hold = checkpoint.hold();
    let now = clock.now();
    for a in attachments.all() {
        a.file.update_header(|h| {
            make_clean(h, quit.start, now);
            if is_hard {
                crate::database::backup_record::forget_all(h);
            }
        })?;
        attachments.remove(a.id);
    }
    checkpoint.close(quit.start)
}
