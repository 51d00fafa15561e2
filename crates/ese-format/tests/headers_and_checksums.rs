//! Headers and page checksums of databases that Windows wrote, held against the census of an independent reader.

mod common;

use ese_format::checksum::{Verdict, inspect_page, store_page_checksum, verify_page};
use ese_format::database::{
    Access, DatabaseHeader, DatabaseState, HeaderCopy, OtherCopy, PROBE_BYTES, choose_header,
};
use ese_format::{PageNumber, PageSize, Signature};
use serde_json::json;

fn page_size(sample: &common::Sample) -> PageSize {
    let bytes = sample.facts["page_size"].as_u64().unwrap();
    PageSize::from_bytes(bytes as u32).unwrap()
}

/// The signature as the facts show it, without the computer name.
fn shown(signature: &Signature) -> String {
    let t = signature.created;
    let time = match t.is_some() {
        true => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        ),
        false => "None".to_owned(),
    };
    format!("{:08x} {time} b''", signature.random)
}

#[test]
fn headers_say_what_the_facts_say() {
    let Some(samples) = common::databases("headers_say_what_the_facts_say") else { return };
    for sample in samples {
        let start = &sample.bytes[..sample.bytes.len().min(PROBE_BYTES)];
        let chosen = choose_header(start).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        assert_eq!(chosen.copy, HeaderCopy::Primary, "{}", sample.name);
        assert_eq!(chosen.other, OtherCopy::Same, "{}", sample.name);
        let h = chosen.header;
        assert_eq!(h.version().access(), Access::Write, "{}", sample.name);
        let state = match h.state {
            DatabaseState::CleanShutdown => "clean shutdown",
            DatabaseState::DirtyShutdown => "dirty shutdown",
            _ => "other",
        };
        let expected = [
            ("page_size", json!(h.page_size.bytes())),
            ("version", json!(format!("{:#x}", h.format_version))),
            ("update_major", json!(h.update_major)),
            ("update_minor", json!(h.update_minor)),
            ("create_version", json!(format!("{:#x},{}", h.create_version, h.create_update))),
            ("attrib", json!(h.attributes)),
            ("state", json!(state)),
            ("dbtime", json!(h.db_time.0)),
            ("signDb", json!(shown(&h.signature))),
            ("signLog", json!(shown(&h.log_signature))),
            ("lgposConsistent", json!(h.consistent_position.to_string())),
            ("lgposAttach", json!(h.attach_position.to_string())),
            ("lgposDetach", json!(h.detach_position.to_string())),
            ("genMinReq", json!(h.min_required.0)),
            ("genMaxReq", json!(h.max_required.0)),
            ("genMaxCommitted", json!(h.max_committed.0)),
            ("os", json!(format!("{}.{}.{}", h.os_major, h.os_minor, h.os_build))),
            ("efv", json!(h.engine_format)),
            ("objidLast", json!(h.last_object_id.0)),
            ("filetype", json!(h.file_type)),
            ("signDbHdrFlush", json!(shown(&h.header_flush_signature))),
            ("signFlushMapHdrFlush", json!(shown(&h.flush_map_signature))),
        ];
        for (fact, value) in expected {
            let fact_value = &sample.facts[fact];
            assert_eq!(*fact_value, value, "{}: {fact}", sample.name);
        }
        assert_eq!(h.encode(), sample.bytes[..h.page_size.bytes()], "{}", sample.name);
    }
}

#[test]
fn a_damaged_primary_header_gives_way_to_the_shadow() {
    let Some(samples) = common::databases("a_damaged_primary_header_gives_way_to_the_shadow") else {
        return;
    };
    for sample in samples {
        let mut start = sample.bytes[..sample.bytes.len().min(PROBE_BYTES)].to_vec();
        start[300] ^= 1;
        let chosen = choose_header(&start).unwrap();
        assert_eq!(chosen.copy, HeaderCopy::Shadow, "{}", sample.name);
        assert_eq!(chosen.header.page_size, page_size(&sample), "{}", sample.name);
        // A page size that is wrong in the primary must not mislead the search.
        start[237] ^= 0xFF;
        assert_eq!(choose_header(&start).unwrap().header, chosen.header, "{}", sample.name);
        let shadow = chosen.header.page_size.bytes();
        start[shadow + 20] ^= 1;
        assert!(choose_header(&start).is_err(), "{}", sample.name);
        // A damaged shadow is reported and does no harm.
        start[300] ^= 1;
        start[237] ^= 0xFF;
        let chosen = choose_header(&start).unwrap();
        assert_eq!(chosen.copy, HeaderCopy::Primary, "{}", sample.name);
        assert!(matches!(chosen.other, OtherCopy::Damaged(_)), "{}", sample.name);
        // A sound shadow that differs is reported as such.
        let mut changed = chosen.header.clone();
        changed.extend_count += 1;
        start[shadow..shadow * 2].copy_from_slice(&changed.encode());
        let chosen = choose_header(&start).unwrap();
        assert_eq!(chosen.other, OtherCopy::Different(Box::new(changed)), "{}", sample.name);
    }
}

#[test]
fn the_checksum_census_is_that_of_the_facts() {
    let Some(samples) = common::databases("the_checksum_census_is_that_of_the_facts") else { return };
    for sample in samples {
        let size = page_size(&sample);
        let (mut ecc, mut legacy, mut zero, mut bad) = (0u64, 0u64, 0u64, Vec::new());
        for (index, page) in sample.bytes.chunks_exact(size.bytes()).skip(2).enumerate() {
            let number = PageNumber(index as u32 + 1);
            let verdict = inspect_page(page, number, size);
            // The census counts kinds by the page's flag, whether or not the sum matches.
            match verdict {
                Verdict::Uninitialized => {}
                _ if page[37] & 0x20 != 0 => ecc += 1,
                _ => legacy += 1,
            }
            match verdict {
                Verdict::Sound => {
                    // What we would store is what Windows stored.
                    let mut again = page.to_vec();
                    again[..8].fill(0);
                    store_page_checksum(&mut again, number, size);
                    assert!(again == page, "{}, page {number}", sample.name);
                }
                Verdict::Uninitialized => zero += 1,
                _ => bad.push(number.0),
            }
        }
        let kind = if size.is_large() { "ecc4" } else { "ecc" };
        assert_eq!(sample.facts["ck"][kind], ecc, "{}", sample.name);
        assert_eq!(sample.facts["ck"]["xor"].as_u64().unwrap_or(0), legacy, "{}", sample.name);
        assert_eq!(sample.facts["zero_pages"], zero, "{}", sample.name);
        assert_eq!(sample.facts["bad_pages"], json!(bad), "{}", sample.name);
        assert_eq!(sample.facts["pages"], ecc + legacy + zero, "{}", sample.name);
    }
}

#[test]
fn single_bit_errors_in_real_pages_are_mended() {
    let Some(samples) = common::databases("single_bit_errors_in_real_pages_are_mended") else { return };
    for sample in samples {
        let size = page_size(&sample);
        let mut bit = 12_345u64;
        for (index, page) in sample.bytes.chunks_exact(size.bytes()).skip(2).enumerate().take(40) {
            let number = PageNumber(index as u32 + 1);
            if inspect_page(page, number, size) != Verdict::Sound {
                continue;
            }
            bit = bit.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Behind the header, where checksums and the format flag stand.
            let at = 640 + ((bit >> 33) as usize % (size.bytes() * 8 - 640));
            let mut damaged = page.to_vec();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(
                verify_page(&mut damaged, number, size),
                Verdict::Corrected { bit: at as u32 },
                "{}, page {number}",
                sample.name
            );
            assert!(damaged == page, "{}, page {number}", sample.name);
        }
    }
}

#[test]
fn hostile_headers_are_errors() {
    assert!(choose_header(&[]).is_err());
    assert!(choose_header(&[0; PROBE_BYTES]).is_err());
    assert!(DatabaseHeader::decode(&[0xFF; 4096]).is_err());
    for size in PageSize::ALL {
        let bytes = DatabaseHeader::new(size).encode();
        assert_eq!(DatabaseHeader::decode(&bytes).unwrap().page_size, size);
        for cut in 0..bytes.len() {
            assert!(DatabaseHeader::decode(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x41;
            assert!(DatabaseHeader::decode(&bytes).is_err(), "byte {at}");
        }
    }
}
