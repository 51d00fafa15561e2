//! Writes the seeds of the corpora `socket_server` and `socket_client`: one of each way to change a conversation, and
//! bytes and frames that were never part of one. Run in `fuzz/`: `cargo run --example write_socket_seeds`.

use std::fs;
use std::io::Result;
use std::path::Path;

/// Low bits of the first byte: what the rest is.
const RAW: u8 = 0;
const FRAMES: u8 = 1;
const CHANGES: u8 = 2;

/// One change: what, in which message, where, with what.
fn change(what: u8, message: u8, place: u16, value: u8) -> Vec<u8> {
    let [low, high] = place.to_le_bytes();
    vec![what, message, low, high, 0, value]
}

fn write(corpus: &str, name: &str, mode: u8, parts: &[Vec<u8>]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(corpus);
    fs::create_dir_all(&folder)?;
    let bytes: Vec<u8> = std::iter::once(mode).chain(parts.concat()).collect();
    fs::write(folder.join(name), bytes)
}

fn main() -> Result<()> {
    const NAMES: [&str; 9] =
        ["byte", "drop", "repeat", "truncate", "append", "kind", "swap", "end", "header"];
    for (what, name) in (0..).zip(NAMES) {
        // A full and an incremental backup, of which the client sees files and the server two messages.
        write("socket_client", &format!("full_{name}"), CHANGES, &[change(what, 2, 300, 19)])?;
        write("socket_client", &format!("logs_{name}"), CHANGES | 16, &[change(what, 3, 5000, 2)])?;
        write("socket_server", &format!("hello_{name}"), CHANGES, &[change(what, 0, 0, 3)])?;
        write("socket_server", &format!("durable_{name}"), CHANGES | 16, &[change(what, 1, 1, 7)])?;
    }
    for (name, corpus) in [("server", "socket_server"), ("client", "socket_client")] {
        write(corpus, "honest", CHANGES, &[])?;
        write(corpus, "two_changes", CHANGES, &[change(0, 1, 12, 255), change(1, 4, 0, 0)])?;
        write(corpus, "silence", RAW, &[])?;
        write(corpus, "words", RAW, &[b"GET / HTTP/1.1\r\n\r\n".to_vec(), name.as_bytes().to_vec()])?;
        let frame = |kind: u8, payload: &[u8]| [&[kind, 0, payload.len() as u8, 0][..], payload].concat();
        write(corpus, "frames", FRAMES, &[frame(1, &[1]), frame(2, &[]), frame(22, &[0; 8]), frame(17, &[1; 30])])?;
    }
    // Clients that do not listen.
    write("socket_server", "deaf", CHANGES | 8, &[])?;
    write("socket_server", "deaf_copy", CHANGES | 8 | 32, &[change(7, 1, 0, 0)])
}
