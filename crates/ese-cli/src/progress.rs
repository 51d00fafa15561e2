//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of bytes, with their rate and the time that is left, as [`bar`].
pub(crate) fn bytes(length: u64) -> ProgressBar {
    styled(length, "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// A bar on standard error when that is a terminal; nothing otherwise.
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
