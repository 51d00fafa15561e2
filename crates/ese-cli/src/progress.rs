//! Progress bars: on standard error when that is a terminal, nothing otherwise.

use crate::source::is_log;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A bar of bytes, with their rate and the time that is left.
pub(crate) fn bytes(length: u64) -> ProgressBar {
    styled(length, "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// A bar of something else.
pub(crate) fn bar(length: u64, unit: &str) -> ProgressBar {
    styled(length, &format!("{{wide_bar}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left"))
}

fn styled(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A bar of bytes for a work of which the engine tells whole percents.
pub(crate) struct Work {
    bar: ProgressBar,
    stages: Vec<Stage>,
}

/// A part of a work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    /// The percent that it ends with; it begins with that of the one before it.
    pub(crate) up_to: u32,
    /// What is read for it.
    pub(crate) bytes: u64,
}

impl Work {
    /// A work in stages.
    pub(crate) fn new(stages: Vec<Stage>) -> Self {
        let bar = bytes(stages.iter().map(|stage| stage.bytes).sum());
        if !bar.is_hidden() {
            // Percents of much work come slowly: the time that is left goes on meanwhile.
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar, stages }
    }

    /// Shows how far it is.
    pub(crate) fn at(&self, percent: u32) {
        self.bar.set_position(self.bytes_at(percent));
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn bytes_at(&self, percent: u32) -> u64 {
        let mut from = 0;
        let mut done = 0;
        for stage in &self.stages {
            let length = u64::from(stage.up_to.saturating_sub(from)).max(1);
            let part = u64::from(percent.saturating_sub(from)).min(length);
            done += u64::try_from(u128::from(stage.bytes) * u128::from(part) / u128::from(length))
                .unwrap_or(stage.bytes);
            from = stage.up_to;
        }
        done
    }
}

/// The stages of a restore: the pages of the databases, then the logs in some folders.
pub(crate) fn restore(databases: &[PathBuf], folders: &[&Path]) -> Work {
    let pages = databases.iter().map(|path| size(path)).sum();
    let logs = folders.iter().map(|folder| bytes_of_logs(folder)).sum();
    let split = ese::restore::hard::PAGES_SHARE;
    Work::new(vec![Stage { up_to: split, bytes: pages }, Stage { up_to: 100, bytes: logs }])
}

/// The bytes of all logs in a folder. What cannot be read counts nothing: it is only for a bar.
pub(crate) fn bytes_of_logs(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_log(path)).map(|path| size(&path)).sum()
}

/// The bytes of a file.
pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{ProgressDrawTarget, TermLike};
    use std::io;
    use std::sync::{Arc, Mutex};

    /// What a terminal of 100 columns shows.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a bar looks like now; it is over after that.
    fn shown(bar: &ProgressBar) -> String {
        let screen = Screen::default();
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        bar.abandon();
        screen.0.lock().unwrap().trim().to_owned()
    }

    #[test]
    fn a_restore_shows_bytes_their_rate_and_the_time_that_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, length: u64| {
            let path = folder.path().join(name);
            fs::File::create(&path).unwrap().set_len(length).unwrap();
            path
        };
        let databases = [file("a.edb", 3 << 20), file("b.edb", 1 << 20)];
        file("edb00001.log", 1 << 20);
        file("EDB00002.JTX", 1 << 20);
        file("a.pat", 5000);
        let work = || restore(&databases, &[folder.path(), &folder.path().join("missing")]);
        let at = |percent: u32| {
            let work = work();
            work.at(percent);
            shown(&work.bar)
        };
        for (percent, expected) in [
            (0, "0 B/6.00 MiB"),
            (25, "2.00 MiB/6.00 MiB"),
            (50, "4.00 MiB/6.00 MiB"),
            (75, "5.00 MiB/6.00 MiB"),
            (100, "6.00 MiB/6.00 MiB"),
        ] {
            let shown = at(percent);
            let (_, text) = shown.split_once(expected).unwrap_or_else(|| panic!("{percent}: {shown}"));
            assert!(text.contains("/s, ") && text.ends_with(" left"), "{shown}");
            assert!(!shown.contains("percent"), "{shown}");
        }
        work().finish();
    }

    #[test]
    fn bytes_follow_percents_at_any_size() {
        let work = Work::new(vec![Stage { up_to: 99, bytes: u64::MAX / 2 }, Stage { up_to: 100, bytes: 7 }]);
        assert_eq!(work.bytes_at(0), 0);
        assert_eq!(work.bytes_at(33), u64::MAX / 2 / 3);
        assert_eq!(work.bytes_at(99), u64::MAX / 2);
        assert_eq!(work.bytes_at(100), u64::MAX / 2 + 7);
        assert_eq!(work.bytes_at(1000), u64::MAX / 2 + 7);
        let nothing = Work::new(Vec::new());
        nothing.at(50);
        assert_eq!(nothing.bar.position(), 0);
    }

    #[test]
    fn other_units_are_counted_as_they_are() {
        let bar = bar(10, "pages");
        bar.set_position(4);
        assert!(shown(&bar).contains("4/10 pages, "));
    }
}
