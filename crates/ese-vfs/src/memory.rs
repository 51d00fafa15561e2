//! How much memory the machine, or the share of it that this process may use, has.

use std::path::{Path, PathBuf};

/// Bytes of memory that this process can have at most: those of the machine or, if less, of its control group and
/// those around it. `None` where the system does not say.
pub fn memory_bytes() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total_of(&text));
    let groups = read(Path::new("/proc/self/cgroup")).map(|text| limit_files(&text)).unwrap_or_default();
    let limits = groups.iter().filter_map(|file| limit_of(&read(file)?));
    machine.into_iter().chain(limits).min()
}

/// The memory of the machine by `/proc/meminfo`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files with the limits of the groups that `/proc/self/cgroup` names and of all groups around them.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        files.extend(path.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

/// The limit in such a file; none when there is no limit.
fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       24576 kB\n"), Some(24 << 20));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        let paths =
            |text| limit_files(text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let new = ["a/b/memory.max", "a/memory.max", "memory.max"];
        assert_eq!(paths("0::/a/b\n"), new.map(|path| format!("/sys/fs/cgroup/{path}")));
        let old = paths("5:cpu,cpuacct:/x\n4:memory:/y\n");
        assert_eq!(old[0], "/sys/fs/cgroup/memory/y/memory.limit_in_bytes");
        assert_eq!(old.len(), 2);
        assert_eq!((limit_of("max\n"), limit_of("1048576\n")), (None, Some(1 << 20)));
        #[cfg(target_os = "linux")]
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
