//! Files that Windows wrote. They are no part of the project: a test that lacks them says so and returns, but fails
//! under `CI=true`.

use flate2::read::GzDecoder;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Databases among the samples that have a description by independent readers beside them.
const DATABASES: usize = 19;

/// Where the samples are, if they are.
pub fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OPENESE_SAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: no samples in {folder:?}");
    eprintln!("openese: skipped: {test}: no samples");
    None
}

/// The content of a packed file.
pub fn unpack(packed: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The content of a sample by its place and name, without the `.gz` of the packed file.
pub fn sample(test: &str, name: &str) -> Option<Vec<u8>> {
    folder(test).map(|folder| unpack(&folder.join(format!("{name}.gz"))))
}

/// The packed files of all databases that have a description beside them, in order.
pub fn databases(test: &str) -> Option<Vec<PathBuf>> {
    let mut found = Vec::new();
    for set in fs::read_dir(folder(test)?).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in fs::read_dir(&set).unwrap().map(|e| e.unwrap().path()) {
            let name = file.to_string_lossy().into_owned();
            let expected = name.strip_suffix(".gz").map(|name| format!("{name}.expected.json.gz"));
            if expected.is_some_and(|expected| Path::new(&expected).exists()) {
                found.push(file);
            }
        }
    }
    found.sort();
    assert_eq!(found.len(), DATABASES, "databases among the samples");
    Some(found)
}

/// The same with their contents, each unpacked when it is its turn.
pub fn contents(test: &str) -> Option<impl Iterator<Item = (String, Vec<u8>)>> {
    let files = databases(test)?.into_iter();
    Some(files.map(|packed| (packed.to_string_lossy().into_owned(), unpack(&packed))))
}
