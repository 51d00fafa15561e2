//! How fast one core makes index keys, beside merely copying the values.
//!
//! One line per kind of key.

use ese_format::sort_key::{Collator, MapFlags, Scratch, Sort};
use std::hint::black_box;
use std::time::{Duration, Instant};

const KEYS: usize = 1_000_000;
const ROUNDS: usize = 5;

fn main() {
    let texts = [
        ("ASCII", "de", "name-0123@example.com"),
        ("German", "de", "Größenverhältnis Straße"),
        ("Czech", "cs", "chléb s máslem a čaj"),
        ("Chinese", "zh-CN", "数据库引擎的排序键"),
    ];
    for (name, locale, text) in texts {
        let collator = Collator::new(Sort::for_locale(locale), MapFlags::DEFAULT).expect("a sort");
        let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        // In turn, so that a noisy neighbour hits both.
        let (mut make, mut copy) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            make = make.min(timed(|| {
                out.clear();
                collator.append_key(black_box(&text), 254, &mut scratch, &mut out);
                black_box(&out);
            }));
            copy = copy.min(timed(|| {
                out.clear();
                out.extend_from_slice(black_box(&text));
                black_box(&out);
            }));
        }
        println!(
            "sort key, {name:>7}, {:>2} units: {:6.1} ns; copy {:5.1} ns; ratio {:.1}",
            text.len() / 2,
            nanoseconds(make),
            nanoseconds(copy),
            make.as_secs_f64() / copy.as_secs_f64(),
        );
    }
}

fn timed(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..KEYS {
        work();
    }
    start.elapsed()
}

fn nanoseconds(all: Duration) -> f64 {
    all.as_secs_f64() * 1e9 / KEYS as f64
}
