//! How fast one core checks page checksums, beside merely reading the same memory.
//!
//! Run by `cargo xtask bench read`; one line per page size.

use ese_format::checksum::{Verdict, inspect_page, store_page_checksum};
use ese_format::{PageNumber, PageSize};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// More than the caches of most machines hold.
const BYTES: usize = 64 << 20;
const ROUNDS: usize = 5;

fn main() {
    for size in PageSize::ALL {
        let mut memory = vec![0; BYTES];
        let mut state = 1_u64;
        for (page, image) in (1..).map(PageNumber).zip(memory.chunks_exact_mut(size.bytes())) {
            for word in image.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.copy_from_slice(&state.to_le_bytes());
            }
            store_page_checksum(image, page, size);
        }
        // In turn, so that a noisy neighbour hits both.
        let (mut check, mut read) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            check = check.min(timed(|| checksums(&memory, size)));
            read = read.min(timed(|| sum(&memory)));
        }
        println!(
            "checksum, {:>2} KiB pages: {:6.2} GB/s per core; plain read {:6.2} GB/s; ratio {:.2}",
            size.bytes() / 1024,
            gigabytes_per_second(check),
            gigabytes_per_second(read),
            check.as_secs_f64() / read.as_secs_f64(),
        );
    }
}

fn timed(work: impl FnOnce() -> u64) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// The number of sound pages, which are all.
fn checksums(memory: &[u8], size: PageSize) -> u64 {
    let pages = (1..).map(PageNumber).zip(memory.chunks_exact(size.bytes()));
    let sound = pages.filter(|(page, image)| inspect_page(image, *page, size) == Verdict::Sound).count();
    assert_eq!(sound, BYTES / size.bytes(), "a page that was just written is not sound");
    sound as u64
}

/// The sum of all words: what it costs to have every byte pass through the core once.
fn sum(memory: &[u8]) -> u64 {
    let (words, _) = memory.as_chunks::<8>();
    words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn gigabytes_per_second(time: Duration) -> f64 {
    BYTES as f64 / time.as_secs_f64() / 1e9
}
