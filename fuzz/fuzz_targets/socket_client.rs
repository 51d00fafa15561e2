#![no_main]

#[path = "../src/socket.rs"]
#[allow(dead_code, reason = "the other side is the other target's")]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = target::client(data);
});
