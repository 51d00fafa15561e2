//! What the log does not determine: the only parts in which a page made by redo may differ from the page that
//! run time made by the same change.

use super::layout::*;
use super::view::Page;
use crate::checksum::LARGE_CHECKSUMS_AT;
use crate::primitives::PageSize;

/// A part of a page that no log record determines.
#[derive(Debug, Clone, Copy)]
pub struct Unlogged {
    /// What it is called, here and in docs/reliability.md.
    pub name: &'static str,
    /// Why it need not be logged.
    pub reason: &'static str,
    clear: fn(&mut [u8], PageSize),
}

/// All of them.
pub const UNLOGGED: [Unlogged; 2] = [
    Unlogged {
        name: "checksums",
        reason: "computed from the rest of the page when it is written",
        clear: |bytes, page_size| {
            put(bytes, 0, [0; 8]);
            if page_size.is_large() {
                put(bytes, LARGE_CHECKSUMS_AT, [0; 24]);
            }
        },
    },
    Unlogged {
        name: "bytes that a rollback may want back",
        reason: "shrinks when versions go, which is no change of the page; recovery counts from its own versions",
        clear: |bytes, _| put(bytes, UNCOMMITTED_FREE_AT, [0; 2]),
    },
];

/// Clears all parts of a page that the log does not determine ([`UNLOGGED`]): what is left of two pages after
/// the same logged change is equal, byte for byte. Bytes that are no page stay as they are.
pub fn clear_unlogged(bytes: &mut [u8], page_size: PageSize) {
    if Page::new(bytes, page_size).is_ok() {
        UNLOGGED.iter().for_each(|part| (part.clear)(bytes, page_size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
        let text = std::fs::read_to_string(folder).unwrap();
        let items = text.lines().skip_while(|line| !line.contains("the log does not determine")).skip(1);
        let joined: String =
            items.take_while(|line| !line.contains("UNLOGGED")).map(|l| format!("{} ", l.trim())).collect();
        let listed: Vec<&str> = joined.split("- ").skip(1).map(|item| item.trim()).collect();
        let wanted: Vec<String> =
            UNLOGGED.iter().map(|part| format!("{}: {}.", part.name, part.reason)).collect();
        assert!(joined.starts_with(" - "), "{joined}");
        assert_eq!(listed.len(), wanted.len(), "{joined}");
        for (listed, wanted) in listed.iter().zip(&wanted) {
            assert!(listed.starts_with(wanted.as_str()), "{listed}\nis not\n{wanted}");
        }
    }

    #[test]
    fn nothing_else_is_cleared() {
        for page_size in PageSize::ALL {
            let mut bytes = vec![0xFF; page_size.bytes()];
            put(&mut bytes, TAG_STATE_AT, [0; 2]);
            let before = bytes.clone();
            clear_unlogged(&mut bytes, page_size);
            let large = if page_size.is_large() { 24 } else { 0 };
            let changed = bytes.iter().zip(&before).filter(|(a, b)| a != b).count();
            assert_eq!(changed, 8 + 2 + large);
        }
    }
}
