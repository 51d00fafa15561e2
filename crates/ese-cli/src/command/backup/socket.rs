//! A backup through the socket of a program that uses the databases.

use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::progress;
use anyhow::{Context, Result};
use ese::backup::socket::receive::PATIENCE;
use ese::backup::socket::{ReceiveRequest, SocketBackupKind, receive};
use ese::sync::Arc;
use ese_vfs::{Disk, RealDisk};
use std::path::Path;

/// Takes the backup, and says what is in it.
pub(super) fn run(socket: &Path, to: &Path, kind: SocketBackupKind, out: &Output) -> Result<ExitCode> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let request = ReceiveRequest { folder: to, kind, create: true, patience: PATIENCE };
    let bar = progress::bytes(0);
    let received = receive(socket, &disk, request, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })
    .with_context(|| format!("backing up from {} to {}", socket.display(), to.display()))?;
    bar.finish_and_clear();
    let mut fields = Fields::new();
    fields.add("socket", socket.display().to_string()).add("backup", to.display().to_string());
    fields.add("kind", kind.name());
    let databases = received.databases.iter().map(|path| path.display().to_string());
    fields.add("databases", databases.collect::<Vec<_>>());
    fields.add("time", received.info.time).add("log generations", received.logs);
    fields.add("bytes", received.bytes);
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(ExitCode::Success)
}
