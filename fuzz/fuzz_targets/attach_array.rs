#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| openese_fuzz::attach_array(data));
