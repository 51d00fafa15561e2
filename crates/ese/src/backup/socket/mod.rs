//! A backup through a Unix socket: a program serves the external backup of its instance to other processes
//! of the same user, and a client writes the folder.
//!
//! The conversation, one per connection. Everything is a frame ([`frame`]): magic, version, kind, length and
//! checksum, then the payload; numbers are little-endian.
//!
//! | who | says | meaning |
//! | --- | --- | --- |
//! | client | `Hello` | which kind of backup it wants |
//! | server | `Begun` | the backup has begun; page size and databases |
//! | server | `File`, then `Data` until its length is reached | a database: two headers, pages, trailer |
//! | server | `Logs` | the log was rolled over; so many logs follow |
//! | server | `File`, then `Data` | a log |
//! | server | `Sent` | that was all: so many files, so many bytes |
//! | client | `Durable` | everything is on its disk under its final name |
//! | server | `Ended` | headers remember the backup; old logs are gone if the kind says so |
//!
//! At any point the server may say `Failed` instead, with a JET error, and hang up. A client gives up by
//! hanging up: the backup is aborted then, and no log is deleted. Nothing that a client sends is believed
//! before its length and its checksum were checked, and each frame has to come and go within a time limit.

mod check;
pub mod frame;
pub mod listen;
pub mod message;
pub mod receive;
pub mod serve;

pub use listen::{BackupServer, Limits, Served};
pub use message::SocketBackupKind;
pub use receive::{Progress, ReceiveRequest, Received, receive, receive_from};
