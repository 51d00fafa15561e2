//! Locales by their old numbers.

use ese::{Error, JetErr, Result};

/// What means no particular locale: none, the user's, the system's.
const DEFAULTS: [u32; 3] = [0, 0x400, 0x800];

/// Numbers (LCID) and names.
const LOCALES: &[(u32, &str)] = &[
    (0x007F, ""),
    (0x0401, "ar-SA"),
    (0x0404, "zh-TW"),
    (0x0405, "cs-CZ"),
    (0x0406, "da-DK"),
    (0x0407, "de-DE"),
    (0x0408, "el-GR"),
    (0x0409, "en-US"),
    (0x040B, "fi-FI"),
    (0x040C, "fr-FR"),
    (0x040D, "he-IL"),
    (0x040E, "hu-HU"),
    (0x0410, "it-IT"),
    (0x0411, "ja-JP"),
    (0x0412, "ko-KR"),
    (0x0413, "nl-NL"),
    (0x0414, "nb-NO"),
    (0x0415, "pl-PL"),
    (0x0416, "pt-BR"),
    (0x0419, "ru-RU"),
    (0x041B, "sk-SK"),
    (0x041D, "sv-SE"),
    (0x041E, "th-TH"),
    (0x041F, "tr-TR"),
    (0x0422, "uk-UA"),
    (0x0804, "zh-CN"),
    (0x0807, "de-CH"),
    (0x0809, "en-GB"),
    (0x080C, "fr-BE"),
    (0x0816, "pt-PT"),
    (0x0C07, "de-AT"),
    (0x0C09, "en-AU"),
    (0x0C0A, "es-ES"),
    (0x0C0C, "fr-CA"),
    (0x1009, "en-CA"),
];

/// The name of a locale; none for the default.
///
/// # Errors
/// JET_errInvalidLanguageId for a number that is not known here.
pub(crate) fn name(number: u32) -> Result<Option<&'static str>> {
    if DEFAULTS.contains(&number) {
        return Ok(None);
    }
    let unknown = || Error::new(JetErr::InvalidLanguageId, format!("no locale has the number {number:#x}"));
    LOCALES.iter().find(|(n, _)| *n == number).map(|(_, name)| Some(*name)).ok_or_else(unknown)
}

/// The number of a locale; 0 for a name that is not known here.
pub(crate) fn number(name: &str) -> u32 {
    LOCALES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map_or(0, |(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_belong_together() {
        assert_eq!(name(0).unwrap(), None);
        assert_eq!(name(0x407).unwrap(), Some("de-DE"));
        assert_eq!(name(0xFFFF).unwrap_err().code(), JetErr::InvalidLanguageId);
        for (n, name) in LOCALES {
            assert_eq!(number(name), *n);
        }
    }
}
