//! `ese verify` of a log file, or of all generations of a stream.

use crate::exit::ExitCode;
use crate::output::Output;
use ese::offline::{LogReport, StreamReport, verify_log_file, verify_log_stream};
use ese_vfs::RealDisk;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

#[derive(Serialize)]
struct FileLine {
    file: String,
    generation: u32,
    segments: u16,
    records: u64,
    with_one_wrong_bit: usize,
    /// The last segment was torn and its shadow stood in for it.
    restored_from_shadow: bool,
    /// The stream was closed properly with the last record.
    closed: bool,
    problem_count: u64,
    problems: Vec<String>,
}

impl FileLine {
    fn new(report: &LogReport) -> Self {
        Self {
            file: report.path.display().to_string(),
            generation: report.header.generation.0,
            segments: report.segments,
            records: report.records,
            with_one_wrong_bit: report.corrected.len(),
            restored_from_shadow: report.restored.is_some(),
            closed: report.is_closed,
            problem_count: report.problem_count,
            problems: report.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Serialize)]
struct Stream {
    files: Vec<FileLine>,
    /// What is wrong between the files.
    problems: Vec<String>,
}

/// Checks one log file; it is taken for the last of its stream, whose end a crash may have cut.
pub(crate) fn run(path: &Path, out: &Output) -> anyhow::Result<ExitCode> {
    let report = verify_log_file(&RealDisk::new(), path, true)?;
    print(&StreamReport { files: vec![report], problems: Vec::new() }, out)
}

/// Checks all log files of a folder that have this base name.
pub(crate) fn run_folder(folder: &Path, base: &str, out: &Output) -> anyhow::Result<ExitCode> {
    print(&verify_log_stream(Arc::new(RealDisk::new()), folder, base)?, out)
}

fn print(report: &StreamReport, out: &Output) -> anyhow::Result<ExitCode> {
    let stream = Stream {
        files: report.files.iter().map(FileLine::new).collect(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    };
    out.result(&stream, |writer, stream| {
        for file in &stream.files {
            writeln!(
                writer,
                "{}: generation {}, {} segments, {} records, {} corrected bits, {} problems",
                file.file,
                file.generation,
                file.segments,
                file.records,
                file.with_one_wrong_bit,
                file.problem_count
            )?;
        }
        let all = stream.files.iter().flat_map(|file| &file.problems).chain(&stream.problems);
        all.into_iter().try_for_each(|problem| writeln!(writer, "{problem}"))
    })?;
    let has_flips = report.files.iter().any(|file| !file.corrected.is_empty());
    Ok(if report.is_sound() && !has_flips { ExitCode::Success } else { ExitCode::Findings })
}
