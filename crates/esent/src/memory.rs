//! Memory that the library hands out, released with JetFreeBuffer.

use ese::sync::Mutex;
use ese::{Error, JetErr, Result};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Allocations in the callers' hands, by address. Words, so that every structure of the API is aligned.
static HANDED_OUT: LazyLock<Mutex<BTreeMap<usize, Vec<u64>>>> = LazyLock::new(|| Mutex::new(BTreeMap::new()));

/// Gives a block to the caller; its address stays valid until [`release`].
pub(crate) fn hand_out(mut block: Vec<u64>) -> usize {
    if block.is_empty() {
        block.push(0);
    }
    let address = block.as_ptr() as usize;
    HANDED_OUT.lock().insert(address, block);
    address
}

/// Takes a block back. Zero is nothing to release.
///
/// # Errors
/// JET_errInvalidParameter for an address that was not handed out or was released before.
pub(crate) fn release(address: usize) -> Result<()> {
    if address != 0 && HANDED_OUT.lock().remove(&address).is_none() {
        return Err(Error::new(JetErr::InvalidParameter, "the buffer is not one of the library's"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_released_once() {
        let address = hand_out(vec![1, 2, 3]);
        release(address).unwrap();
        assert_eq!(release(address).unwrap_err().code(), JetErr::InvalidParameter);
        release(0).unwrap();
    }
}
