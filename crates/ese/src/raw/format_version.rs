//! Whether the configured format version (JET_paramEngineFormatVersion) lets a log stream be continued.

use crate::error::{Error, JetErr, Result};
use ese_format::log::LogVersion;

/// From here on the values are special: the engine's default, whatever is persisted, or a version with leave
/// to find a higher one persisted.
const SPECIAL: u64 = 0x4000_0000;

/// Engine format versions from which the update-major of logs is higher. The numbers are those of the
/// JET_efv constants, named after the features whose records each update-major admits
/// (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/version.cxx`).
const STEPS: [(u64, u32); 12] = [
    // SetDbVersion, Xpress9, Escrow64.
    (0x22EC, 6),
    (0x2314, 7),
    (0x2350, 20),
    // ShrinkEof, LogNewPage, RootPageMove, ScanCheck2.
    (0x238C, 30),
    (0x23A0, 40),
    (0x23B4, 50),
    (0x23C8, 60),
    // Xpress10, RevertSnapshot, Lz4, ScanCheck2Flags, ExtentFreed2.
    (0x247C, 80),
    (0x2490, 90),
    (0x24CC, 100),
    (0x2508, 110),
    (0x251C, 120),
];

/// Refuses to continue a stream whose format is above the configured one. This engine itself writes
/// [`LogVersion::CURRENT`] at least, so a lower configuration counts as that.
///
/// # Errors
/// `EngineFormatVersionSpecifiedTooLowForLogVersion`.
pub(super) fn check_stream_version(configured: u64, stream: LogVersion) -> Result<()> {
    if configured >= SPECIAL {
        return Ok(());
    }
    let own = LogVersion::CURRENT.update_major;
    let admitted = STEPS.iter().filter(|(from, _)| *from <= configured).map(|(_, major)| *major).max();
    let admitted = admitted.unwrap_or(own).max(own);
    if stream.update_major <= admitted {
        return Ok(());
    }
    Err(Error::new(
        JetErr::EngineFormatVersionSpecifiedTooLowForLogVersion,
        format!("the logs have format {stream}, the configured version {configured} ends with {admitted}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_not_continued_in_a_lower_version() {
        let stream = |update_major| LogVersion { update_major, ..LogVersion::CURRENT };
        let code = |configured, major| check_stream_version(configured, stream(major)).map_err(|e| e.code());
        let refused = Err(JetErr::EngineFormatVersionSpecifiedTooLowForLogVersion);
        assert_eq!(code(0x2274, 5), Ok(()));
        assert_eq!(code(0x1F54, 5), Ok(()), "what this engine writes itself");
        assert_eq!(code(0x22D8, 6), refused);
        assert_eq!(code(0x22EC, 6), Ok(()));
        assert_eq!(code(0x23B4, 60), refused);
        assert_eq!(code(0x23C8, 60), Ok(()));
        assert_eq!(code(0x4000_0001, 120), Ok(()), "the default");
        assert_eq!(code(0x4100_0000 | 0x2274, 60), Ok(()), "with leave");
    }
}
