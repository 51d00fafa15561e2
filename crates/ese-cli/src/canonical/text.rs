//! Text: stored bytes in a code page to UTF-8, in pieces of any size.

use ese_format::column::{CODE_PAGE_UNICODE, CODE_PAGE_WESTERN};

/// What quoting the text goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Inside the quotes of a JSON string.
    Json,
    /// Inside the quotes of a CSV field.
    Csv,
}

/// The text cannot be decoded in its code page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// Decodes and quotes a text that comes in pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextWriter {
    code_page: u16,
    quoting: Quoting,
    /// The first half of a UTF-16 unit.
    odd: Option<u8>,
    /// A high surrogate.
    high: Option<u16>,
}

/// Windows-1252 from 0x80 to 0x9F; zeros have no character.
const WESTERN: [u16; 32] = [
    0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
    0x017D, 0, 0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
    0x0153, 0, 0x017E, 0x0178,
];

const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};

impl TextWriter {
    /// For text of that code page: UTF-16LE, Windows-1252, and ASCII for any other.
    pub(crate) fn new(code_page: u16, quoting: Quoting) -> Self {
        Self { code_page, quoting, odd: None, high: None }
    }

    /// Appends a piece, quoted, to `out`.
    pub(crate) fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
        if self.code_page != CODE_PAGE_UNICODE {
            let western = self.code_page == CODE_PAGE_WESTERN;
            return self.write_bytes(bytes, western, out);
        }
        if let (Some(low), Some((&high, rest))) = (self.odd, bytes.split_first()) {
            self.odd = None;
            bytes = rest;
            self.unit(u16::from_le_bytes([low, high]), out)?;
        }
        let (units, odd) = bytes.as_chunks::<2>();
        for unit in units {
            // Nearly all text is plain ASCII.
            if unit[1] == 0 && PLAIN[usize::from(unit[0])] && self.high.is_none() {
                out.push(unit[0]);
            } else {
                self.unit(u16::from_le_bytes(*unit), out)?;
            }
        }
        self.odd = odd.first().copied().or(self.odd);
        Ok(())
    }

    /// Says that no more pieces follow.
    pub(crate) fn finish(self) -> Result<(), Undecodable> {
        if self.odd.is_some() || self.high.is_some() { Err(Undecodable) } else { Ok(()) }
    }

    fn unit(&mut self, unit: u16, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let character = match (self.high.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                char::from_u32(0x10000 + (u32::from(high - 0xD800) << 10) + u32::from(unit - 0xDC00))
            }
            (Some(_), _) => None,
            (None, 0xD800..=0xDBFF) => {
                self.high = Some(unit);
                return Ok(());
            }
            (None, _) => char::from_u32(unit.into()),
        };
        self.character(character.ok_or(Undecodable)?, out);
        Ok(())
    }

    fn write_bytes(&self, bytes: &[u8], western: bool, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        if bytes.iter().all(|&byte| PLAIN[usize::from(byte)]) {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        for &byte in bytes {
            let character = match byte {
                0..0x80 => char::from(byte),
                _ if !western => return Err(Undecodable),
                0x80..0xA0 => match WESTERN[usize::from(byte - 0x80)] {
                    0 => return Err(Undecodable),
                    code => char::from_u32(code.into()).ok_or(Undecodable)?,
                },
                _ => char::from(byte),
            };
            self.character(character, out);
        }
        Ok(())
    }

    fn character(&self, character: char, out: &mut Vec<u8>) {
        match self.quoting {
            Quoting::Json => json_character(character, out),
            Quoting::Csv => {
                if character == '"' {
                    out.push(b'"');
                }
                push_char(character, out);
            }
        }
    }
}

fn push_char(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends one character of a JSON string: only quotes, backslashes and controls are escaped.
pub(crate) fn json_character(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{C}' => out.extend_from_slice(b"\\f"),
        '\0'..='\u{1F}' => {
            out.extend_from_slice(b"\\u00");
            super::value::hex(&[character as u8], out);
        }
        _ => push_char(character, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(code_page: u16, pieces: &[&[u8]]) -> Result<String, Undecodable> {
        let mut out = Vec::new();
        let mut writer = TextWriter::new(code_page, Quoting::Json);
        for piece in pieces {
            writer.write(piece, &mut out)?;
        }
        writer.finish()?;
        Ok(String::from_utf8(out).expect("characters"))
    }

    #[test]
    fn code_pages_decode() {
        assert_eq!(write(1252, &[b"a\x80\xE9"]).as_deref(), Ok("a\u{20AC}\u{E9}"));
        assert_eq!(write(1252, &[b"\x81"]), Err(Undecodable));
        assert_eq!(write(0, &[b"plain"]).as_deref(), Ok("plain"));
        assert_eq!(write(0, &[b"\xE9"]), Err(Undecodable));
        assert_eq!(write(1200, &[b"a\0b"]), Err(Undecodable));
        assert_eq!(write(1200, &[&[0, 0xD8]]), Err(Undecodable));
        assert_eq!(write(1200, &[&[0, 0xDC]]), Err(Undecodable));
        assert_eq!(write(1200, &[&[0, 0xD8, b'a', 0]]), Err(Undecodable));
    }

    #[test]
    fn pieces_may_cut_anywhere() {
        let whole: Vec<u8> = "x\u{1F600}\u{E9}\"\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for cut in 0..=whole.len() {
            let (a, b) = whole.split_at(cut);
            assert_eq!(write(1200, &[a, b, b""]).as_deref(), Ok("x\u{1F600}\u{E9}\\\"\\u0000"));
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(write(1200, &bytes).as_deref(), Ok("x\u{1F600}\u{E9}\\\"\\u0000"));
    }

    #[test]
    fn controls_are_escaped_as_the_form_says() {
        assert_eq!(
            write(0, &[b"\"\\\x08\x0C\n\r\t\x1F\x7F/"]).as_deref(),
            Ok("\\\"\\\\\\b\\f\\n\\r\\t\\u001f\u{7F}/")
        );
    }
}
