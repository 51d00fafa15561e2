//! Databases of an instance: the table of attachments, attach and detach with their log records and
//! header transitions.

mod attachments;
pub mod backup_copy;
pub mod backup_record;
mod create;
mod lifecycle;
mod storage;

pub(crate) use attachments::raise_required;
pub use attachments::{Admitted, Attachment, Attachments, DATABASES_MOST, canonical};
pub use create::CreateOptions;
pub use lifecycle::{Lifecycle, make_clean};
pub(crate) use lifecycle::{encode, forget_log_stream, is_resting, rest, turn_dirty};
pub use storage::Storage;

#[cfg(test)]
pub(crate) mod create_tests;
