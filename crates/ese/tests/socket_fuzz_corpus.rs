//! Runs what the fuzzers of the backup socket run over their committed corpora.

#[path = "../../../fuzz/src/socket.rs"]
#[allow(unreachable_pub, reason = "the fuzzers use the same file")]
mod target;

use std::path::Path;

fn replay(name: &str, run: impl Fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 6, "{} inputs", inputs.len());
    let (mut runs, mut backups) = (0, 0);
    let mut run = |bytes: &[u8]| {
        runs += 1;
        backups += u32::from(run(bytes));
    };
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        run(&bytes);
        for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            run(&changed);
            run(&bytes[..at]);
        }
    }
    // Some get through to the end, and some do not.
    assert!(backups > 5 && runs - backups > 50, "{backups} backups in {runs} runs");
}

#[test]
fn a_server_stands_hostile_clients() {
    replay("socket_server", target::server);
}

#[test]
fn a_client_stands_hostile_servers() {
    replay("socket_client", target::client);
}
