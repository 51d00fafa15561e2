//! Sort keys beside genuine ones and beside those of another implementation.

use ese_format::sort_key::{Collator, MapFlags, Scratch, Sort};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::{BufRead, BufReader};

fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex_number(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn key(text: &[u8], sort: Sort, flags: u32) -> Vec<u8> {
    let collator = Collator::new(sort, MapFlags::check(flags).unwrap()).unwrap();
    let mut key = Vec::new();
    collator.append_key(text, usize::MAX, &mut Scratch::default(), &mut key);
    key
}

/// Keys that Windows wrote: one line for each text of the sample databases.
#[test]
fn genuine_keys() {
    let packed = include_bytes!("data/sort-keys-genuine.jsonl.gz");
    let mut count = 0;
    for line in BufReader::new(GzDecoder::new(&packed[..])).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text: Vec<u8> =
            line["text"].as_str().unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let sort = Sort::for_locale(line["locale"].as_str().unwrap());
        assert_eq!(sort.to_string(), line["sort_id"].as_str().unwrap());
        let expected = from_hex(line["key_hex"].as_str().unwrap());
        let mut key = key(&text, sort, hex_number(line["flags"].as_str().unwrap()));
        if line["truncated"].as_bool().unwrap() {
            key.truncate(expected.len());
        }
        assert_eq!(key, expected, "{line}");
        count += 1;
    }
    assert_eq!(count, 71);
}

/// Keys that another implementation made of the same weights.
#[test]
fn keys_of_another_implementation() {
    let mut count = 0;
    for line in include_str!("data/sort-key-vectors.csv").lines().skip(1) {
        let [text, flags, sort, expected] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let text: Vec<u8> =
            text.split_whitespace().flat_map(|unit| (hex_number(unit) as u16).to_le_bytes()).collect();
        let sort = Sort::from_number(sort.parse().unwrap()).unwrap();
        assert_eq!(key(&text, sort, hex_number(flags)), from_hex(expected), "{line}");
        count += 1;
    }
    assert_eq!(count, 625);
}
