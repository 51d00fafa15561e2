//! What is no file: nobody waits for it.

mod common;

use common::ese;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Waits for a command that must not wait for anybody.
#[track_caller]
fn fails_at_once(command: &mut Command, reason: &str) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the command") {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().expect("the process");
            panic!("{command:?} hangs");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    child.stderr.take().expect("its output").read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(reason), "{said}");
}

#[test]
fn a_pipe_is_no_file_and_nobody_waits_for_it() {
    let scratch = tempfile::tempdir().expect("a folder");
    let pipe = scratch.path().join("app.edb");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let to = scratch.path().join("to");
    for command in ["info", "verify", "digest"] {
        fails_at_once(ese().arg(command).arg(&pipe), "a pipe or a device");
    }
    fails_at_once(ese().arg("backup").arg(&pipe).arg("--to").arg(&to), "a pipe or a device");
    fails_at_once(ese().arg("verify").arg("/dev/null"), "a pipe or a device");
}
