//! The raw LZ4 block format, unpacking only.

use super::broken;
use crate::error::Result;

fn longer(block: &[u8], at: &mut usize, base: usize) -> Result<usize> {
    let mut len = base;
    if base == 15 {
        loop {
            let byte = *block.get(*at).ok_or_else(|| broken("an LZ4 value ends early"))?;
            *at += 1;
            len += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Ok(len)
}

/// Unpacks exactly `size` bytes from `block` and appends them to `out`.
pub fn decompress_into(block: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let end = start + size;
    let mut at = 0;
    while at < block.len() {
        let token = block[at];
        at += 1;
        let literals = longer(block, &mut at, usize::from(token >> 4))?;
        let part = block
            .get(at..)
            .and_then(|rest| rest.get(..literals))
            .ok_or_else(|| broken("an LZ4 value ends early"))?;
        if out.len() + literals > end {
            return Err(broken("an LZ4 value is longer than its size"));
        }
        out.extend_from_slice(part);
        at += literals;
        if at == block.len() {
            break;
        }
        let Some(&[low, high]) = block.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
            return Err(broken("an LZ4 value ends early"));
        };
        let distance = usize::from(u16::from_le_bytes([low, high]));
        at += 2;
        let len = longer(block, &mut at, usize::from(token & 15))? + 4;
        if distance == 0 || distance > out.len() - start {
            return Err(broken("an LZ4 match points before the value"));
        }
        if out.len() + len > end {
            return Err(broken("an LZ4 value is longer than its size"));
        }
        let from = out.len() - distance;
        for i in 0..len {
            out.push(out[from + i]);
        }
    }
    if out.len() != end {
        return Err(broken("an LZ4 value is shorter than its size"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_a_match_unpacks() {
        // Four literals, a match of 4 + 4 bytes at distance 4, then five last literals.
        let block = [0x44, b'a', b'b', b'c', b'd', 4, 0, 0x50, b'v', b'w', b'x', b'y', b'z'];
        let mut out = Vec::new();
        decompress_into(&block, 17, &mut out).unwrap();
        assert_eq!(out, b"abcdabcdabcdvwxyz");
        assert!(decompress_into(&block, 16, &mut Vec::new()).is_err());
        assert!(decompress_into(&block, 18, &mut Vec::new()).is_err());
        assert!(decompress_into(&[0x04, 9, 0], 8, &mut Vec::new()).is_err());
    }
}
