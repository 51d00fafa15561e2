//! Runs what the fuzzers run over the committed corpora, so that every build replays them.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzzers use the same file as a crate")]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn the_corpora_are_replayed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, run) in targets::TARGETS {
        let mut inputs: Vec<_> =
            fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            // Cut short and with a changed byte as well: a seed alone mostly takes the good path.
            run(&bytes);
            for cut in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                run(&bytes[..cut]);
            }
            for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
                let mut changed = bytes.clone();
                changed[at] ^= 0xFF;
                run(&changed);
            }
        }
    }
}
