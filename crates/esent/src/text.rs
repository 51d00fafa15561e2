//! Paths and lists of names between C and the engine.

use crate::pointer::{Bytes, Form, Out, Text};
use ese::params::PATH_UNITS_MOST;
use ese::{Error, JetErr, Result};
use std::path::{Path, PathBuf};

/// A path as C callers write it: `\` means `/`. `None` when the pointer is null.
///
/// # Errors
/// JET_errInvalidPath when it is not text or longer than the engine takes.
pub(crate) fn path<F: Form>(text: Text<F>) -> Result<Option<PathBuf>> {
    text.get()?.map(|text| native(&text).map(PathBuf::from)).transpose()
}

/// The same for a path that must be given: null is JET_errInvalidParameter, empty JET_errInvalidPath.
pub(crate) fn required_path<F: Form>(text: Text<F>) -> Result<PathBuf> {
    let text = text.required()?;
    if text.is_empty() {
        return Err(Error::new(JetErr::InvalidPath, "the path is empty"));
    }
    native(&text).map(PathBuf::from)
}

/// A path's text in this system's spelling.
pub(crate) fn native(text: &str) -> Result<String> {
    if text.encode_utf16().count() as u64 > PATH_UNITS_MOST {
        return Err(Error::new(JetErr::InvalidPath, "the path is too long"));
    }
    Ok(text.replace('\\', "/"))
}

/// The whole path of a path's text; a folder's ends in a separator, a file's keeps the one it has.
pub(crate) fn full_path(text: &str, folder: bool) -> Result<String> {
    let path = std::path::absolute(Path::new(if text.is_empty() { "." } else { text }))
        .map_err(|error| Error::io(error, "find the whole path", text).with_code(JetErr::InvalidPath))?;
    let mut full = to_text(&path)?.to_owned();
    if (folder || text.ends_with('/')) && !full.ends_with('/') {
        full.push('/');
    }
    Ok(full)
}

/// A path as text for C.
///
/// # Errors
/// JET_errUnicodeTranslationFail when it is not text.
pub(crate) fn to_text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::new(JetErr::UnicodeTranslationFail, "the path is not UTF-8").file(path))
}

/// The name of something in a database.
///
/// # Errors
/// JET_errInvalidParameter for null, JET_errInvalidName when it is not text.
pub(crate) fn name<F: Form>(text: Text<F>) -> Result<String> {
    text.required().map_err(|error| match error.code() {
        JetErr::InvalidPath => error.with_code(JetErr::InvalidName),
        _ => error,
    })
}

/// The same for a name that may be left out: none for null and for an empty one.
pub(crate) fn optional_name<F: Form>(text: Text<F>) -> Result<Option<String>> {
    match text.get() {
        Ok(text) => Ok(text.filter(|text| !text.is_empty())),
        Err(error) if error.code() == JetErr::InvalidPath => Err(error.with_code(JetErr::InvalidName)),
        Err(error) => Err(error),
    }
}

/// Delivers bytes and their number; tells whether some did not fit.
pub(crate) fn deliver(bytes: &[u8], buffer: Bytes, length: u32, actual: Out<u32>) -> bool {
    actual.set(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    buffer.fill(bytes, length);
    bytes.len() > if buffer.is_some() { length as usize } else { 0 }
}

/// Delivers a list of names, each zero-terminated and the list once more; an empty list is one zero.
/// What does not fit is cut without an error: the caller compares the sizes.
pub(crate) fn deliver_list<F: Form>(
    names: &[PathBuf],
    buffer: Bytes,
    length: u32,
    actual: Out<u32>,
) -> Result<()> {
    let mut units = Vec::new();
    for name in names {
        units.extend(F::encode(to_text(name)?));
        units.push(F::Unit::default());
    }
    units.push(F::Unit::default());
    let bytes = F::bytes(&units);
    actual.set(u32::try_from(bytes.len()).map_err(|_| Error::from(JetErr::OutOfMemory))?);
    buffer.fill(&bytes, length);
    Ok(())
}

/// Delivers one text with its end.
///
/// # Errors
/// JET_errBufferTooSmall when it does not fit; then as much as fits, with an end, was written.
pub(crate) fn deliver_text<F: Form>(text: &str, buffer: Bytes, length: u32) -> Result<()> {
    let mut units = F::encode(text);
    units.push(F::Unit::default());
    let room = length as usize / size_of::<F::Unit>();
    if units.len() <= room {
        buffer.fill(&F::bytes(&units), length);
        return Ok(());
    }
    units.truncate(room);
    if let Some(last) = units.last_mut() {
        *last = F::Unit::default();
    }
    buffer.fill(&F::bytes(&units), length);
    Err(Error::new(JetErr::BufferTooSmall, "the text does not fit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointer::{Narrow, Wide};

    fn list<F: Form>(names: &[&str], room: usize) -> (Vec<u8>, u32) {
        let names: Vec<_> = names.iter().map(PathBuf::from).collect();
        let (mut memory, mut actual) = (vec![0xEE; room], 0);
        // SAFETY: `room` bytes and a number, ours.
        let (buffer, out) = unsafe { (Bytes::new(memory.as_mut_ptr().cast()), Out::new(&mut actual)) };
        deliver_list::<F>(&names, buffer, room as u32, out).unwrap();
        (memory, actual)
    }

    #[test]
    fn lists_are_doubly_terminated_and_cut() {
        assert_eq!(list::<Narrow>(&["/a", "/b"], 7), (b"/a\0/b\0\0".to_vec(), 7));
        assert_eq!(list::<Narrow>(&[], 2), (vec![0, 0xEE], 1));
        assert_eq!(list::<Wide>(&["a"], 6), (vec![b'a', 0, 0, 0, 0, 0], 6));
        assert_eq!(list::<Wide>(&["abc"], 3), (vec![b'a', 0, b'b'], 10));
    }

    #[test]
    fn paths_are_native_and_full() {
        assert_eq!(native(r"a\b/c").unwrap(), "a/b/c");
        assert_eq!(native(&"x".repeat(1001)).unwrap_err().code(), JetErr::InvalidPath);
        assert_eq!(full_path("/x", true).unwrap(), "/x/");
        assert_eq!(full_path("/x/", false).unwrap(), "/x/");
        assert_eq!(full_path("/x/./y.edb", false).unwrap(), "/x/y.edb");
        assert!(full_path("./", true).unwrap().starts_with('/'));
    }
}
