//! Paths as logs store them: NUL-terminated, UTF-16 or in the writer's code page.

/// The text of a NUL-terminated UTF-16 name; what is no valid UTF-16 becomes U+FFFD.
pub fn utf16_to_string(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The bytes of a name as NUL-terminated UTF-16.
pub fn string_to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The text of a NUL-terminated name in a Windows code page. Which one is not recorded, so bytes above
/// 0x7F are taken as Latin-1; the text is for people only.
pub fn ansi_to_string(bytes: &[u8]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}
