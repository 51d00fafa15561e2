//! What the tests of the command share.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command under test.
pub(crate) fn ese() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ese"))
}

/// The folder of sample files, unless the test must be skipped for lack of it.
pub(crate) fn samples(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OPENESE_SAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: no samples");
    eprintln!("openese: skipped: {test}: no samples");
    None
}

/// The content of a packed file.
#[allow(dead_code, reason = "not every test file reads packed samples")]
pub(crate) fn unpack(path: &Path) -> Vec<u8> {
    let packed = fs::read(path).expect("a sample");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).expect("gzip");
    plain
}
