//! Where paths lead, to tell whether one is inside another.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The path with its links and `..` resolved, as far as it exists; what does not exist yet follows as it would be
/// made.
///
/// # Errors
/// When there is no working folder for a relative path.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("finding {}", path.display()))?;
    let mut there = absolute.as_path();
    // Names behind the part that exists, the last one first; none stands for `..`.
    let mut missing: Vec<Option<OsString>> = Vec::new();
    let mut found = loop {
        if let Ok(found) = std::fs::canonicalize(there) {
            break found;
        }
        match (there.components().next_back(), there.parent()) {
            (Some(Component::Normal(name)), Some(parent)) => {
                missing.push(Some(name.to_os_string()));
                there = parent;
            }
            (Some(Component::ParentDir), Some(parent)) => {
                missing.push(None);
                there = parent;
            }
            _ => break there.to_path_buf(),
        }
    };
    let goes_back = missing.contains(&None);
    for name in missing.into_iter().rev() {
        match name {
            Some(name) => found.push(name),
            None => {
                found.pop();
            }
        }
    }
    // Back from what is missing to what exists: there may be links again.
    if goes_back { resolve(&found) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_missing_is_found_where_it_would_be_made() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(scratch.path()).unwrap();
        fs::create_dir_all(folder.join("backup/new")).unwrap();
        symlink("backup", folder.join("link")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        let inside = folder.join("backup/sub");
        for path in ["backup/sub", "link/sub", "x/../backup/sub", "backup/new/../sub", "x/y/../../link/./sub"]
        {
            assert_eq!(resolve(&folder.join(path)).unwrap(), inside, "{path}");
        }
        assert_eq!(resolve(&folder.join("link")).unwrap(), folder.join("backup"));
        assert_eq!(resolve(&folder.join("dangling/x")).unwrap(), folder.join("dangling/x"));
        assert_eq!(resolve(Path::new("/")).unwrap(), Path::new("/"));
    }
}
