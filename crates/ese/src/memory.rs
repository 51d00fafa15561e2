//! Buffers whose lack is an error of the call, not the end of the process.

use crate::error::{Error, JetErr, Result};

/// A buffer of zeros.
///
/// # Errors
/// JET_errOutOfMemory.
pub(crate) fn zeroed(bytes: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(bytes)
        .map_err(|cause| Error::new(JetErr::OutOfMemory, format!("no buffer of {bytes} bytes: {cause}")))?;
    buffer.resize(bytes, 0);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert_eq!(zeroed(5000).unwrap(), [0; 5000]);
        assert_eq!(zeroed(usize::MAX).unwrap_err().code(), JetErr::OutOfMemory);
        assert_eq!(zeroed(isize::MAX as usize).unwrap_err().code(), JetErr::OutOfMemory);
    }
}
