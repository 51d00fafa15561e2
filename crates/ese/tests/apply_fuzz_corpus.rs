//! Runs what the fuzzer of page operations runs over its committed corpus.

#[path = "../../../fuzz/src/apply.rs"]
#[allow(unreachable_pub, reason = "the fuzzer uses the same file")]
mod target;

use std::path::Path;

#[test]
fn the_corpus_is_replayed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/apply");
    let mut inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 4, "{} inputs", inputs.len());
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        target::run(&bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            target::run(&changed);
            changed[at] = 0xFF;
            target::run(&changed);
            target::run(&bytes[..at]);
        }
    }
}
