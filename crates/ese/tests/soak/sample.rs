//! What may not grow, measured while it could.

use ese::raw::Instance;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    time: Duration,
    /// Resident memory of the process, bytes.
    memory: u64,
    /// Bytes of the database's file.
    file: u64,
    /// Bytes of all log files.
    logs: u64,
    /// Bytes of the version store.
    versions: u64,
    /// Bytes of the log behind the checkpoint.
    behind: u64,
    /// Open file handles.
    handles: u64,
}

/// Open handles of files of a folder.
pub(super) fn handles(folder: &Path) -> u64 {
    let all = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let of_folder = all.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    of_folder.filter(|path| path.starts_with(folder)).count() as u64
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

impl Sample {
    pub(super) const HEAD: &str = "    time   memory   database     logs   versions     behind  handles";

    pub(super) fn take(time: Duration, instance: &Instance, database: &Path, folder: &Path) -> Self {
        // Logs come and go while they are counted.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let logs = entries
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"))
            .filter_map(|entry| entry.metadata().ok())
            .map(|facts| facts.len())
            .sum();
        let statistics = instance.statistics().unwrap_or_default();
        Self {
            time,
            memory: resident(),
            file: std::fs::metadata(database).map_or(0, |facts| facts.len()),
            logs,
            versions: statistics.version_bytes,
            behind: statistics.checkpoint_lag,
            handles: handles(folder),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{:6.1} s {:5.1} MB {:7.1} MB {:5.1} MB {:7.2} MB {:7.2} MB {:8}",
            self.time.as_secs_f64(),
            mb(self.memory),
            mb(self.file),
            mb(self.logs),
            mb(self.versions),
            mb(self.behind),
            self.handles
        )
    }
}

/// Something that may not grow: its name, its value, and what is no growth yet, in a short run and in a long one.
type Column = (&'static str, fn(&Sample) -> u64, [f64; 2]);

/// From so long a run on the first third of it is more than what caches and allocators need to fill up.
const LONG: Duration = Duration::from_secs(300);

/// What grew, if anything did after the first third, and whether the checkpoint was ever more than `behind` bytes behind.
pub(super) fn judge(samples: &[Sample], behind: u64) -> Option<String> {
    let is_long = samples.last().is_some_and(|last| last.time >= LONG);
    let warm = samples.get(samples.len() / 3..).unwrap_or_default();
    let columns: [Column; 5] = [
        ("memory", |s| s.memory, [16e6, 4e6]),
        ("the database", |s| s.file, [8e6, 2.5e6]),
        ("the logs", |s| s.logs, [24e6, 10e6]),
        ("the version store", |s| s.versions, [8e6, 4e6]),
        ("open handles", |s| s.handles, [8.0, 2.0]),
    ];
    let mut wrong: Vec<String> = columns
        .iter()
        .filter_map(|(name, value, slack)| {
            let values: Vec<f64> = warm.iter().map(|sample| value(sample) as f64).collect();
            let growth = growth(&values);
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let is_growth = growth > slack[usize::from(is_long)];
            is_growth.then(|| format!("{name} grew by {growth:.0} over {mean:.0}"))
        })
        .collect();
    let most = samples.iter().map(|sample| sample.behind).max().unwrap_or(0);
    if most > behind {
        wrong.push(format!("the checkpoint was {most} bytes behind"));
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// By how much the straight line that fits best rises over all values.
fn growth(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    if values.len() < 3 {
        return 0.0;
    }
    let (mid, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let from_mid = |at: usize| at as f64 - mid;
    let rise: f64 = values.iter().enumerate().map(|(at, value)| from_mid(at) * (value - mean)).sum();
    let run: f64 = (0..values.len()).map(|at| from_mid(at).powi(2)).sum();
    rise / run * (count - 1.0)
}

#[test]
fn growth_is_told_from_noise() {
    let of = |memory: fn(u64) -> u64, step: u64| -> Vec<Sample> {
        let sample = |at| Sample {
            time: Duration::from_secs(at * step),
            memory: memory(at),
            file: 50_000_000,
            logs: 9_000_000,
            versions: at % 3 * 1_000_000,
            behind: at % 7 * 1_000_000,
            handles: 30 + at % 2,
        };
        (0..60).map(sample).collect()
    };
    for step in [1, 10] {
        assert_eq!(judge(&of(|at| 100_000_000 + at * 7919 % 5 * 4_000_000, step), 6_000_000), None);
        // The beginning does not count.
        assert_eq!(judge(&of(|at| 100_000_000.min(at * 10_000_000), step), 6_000_000), None);
        let leak = judge(&of(|at| 100_000_000 + at * 1_000_000, step), 6_000_000).unwrap();
        assert!(leak.starts_with("memory grew by 39"), "{leak}");
    }
    // What a short run may still fill up is a leak in a long one.
    assert_eq!(judge(&of(|at| 100_000_000 + at * 200_000, 1), 6_000_000), None);
    assert!(judge(&of(|at| 100_000_000 + at * 200_000, 10), 6_000_000).is_some());
    let behind = judge(&of(|_| 100_000_000, 10), 5_999_999);
    assert_eq!(behind.unwrap(), "the checkpoint was 6000000 bytes behind");
}
