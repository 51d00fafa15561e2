//! Names of tables, columns and indexes.

use crate::error::{Error, JetErr, Result};

/// Most bytes of a name (JET_cbNameMost).
const NAME_MOST: usize = 64;

/// Checks a name that is to be given to something. Names are ASCII: what is stored does not say in which code
/// page it is.
///
/// Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/util.cxx`.
///
/// # Errors
/// `InvalidName` for a name that is empty, longer than 64 bytes, begins with a space or has one of `!.[]` or
/// a control character.
pub fn check_name(name: &str) -> Result<()> {
    let is_bad = |c: char| !c.is_ascii() || c < ' ' || matches!(c, '!' | '.' | '[' | ']');
    let sentence = match name {
        "" => "a name is empty".to_owned(),
        _ if name.len() > NAME_MOST => format!("a name has {} bytes and not at most {NAME_MOST}", name.len()),
        _ if name.starts_with(' ') => format!("the name {name:?} begins with a space"),
        _ => match name.chars().find(|c| is_bad(*c)) {
            Some(c) => format!("the name {name:?} has the character {c:?}"),
            None => return Ok(()),
        },
    };
    Err(Error::new(JetErr::InvalidName, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in ["a", "A table, no more", "x\u{7F}y", &"n".repeat(64)] {
            check_name(good).unwrap();
        }
        for bad in ["", " a", "a.b", "a!", "[a", "a]", "a\tb", "a\0", "ä", &"n".repeat(65)] {
            assert_eq!(check_name(bad).unwrap_err().code(), JetErr::InvalidName, "{bad:?}");
        }
    }
}
