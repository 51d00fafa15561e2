//! `ese dump log`: the records of a log file, one line each.

use crate::exit::ExitCode;
use crate::output::Output;
use ese::offline::LogFile;
use ese_format::LogPosition;
use ese_format::log::record::FieldValue;
use ese_format::log::{Found, LogEnd, RawRecord};
use ese_vfs::RealDisk;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// The arguments of `ese dump log`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Print the records of a log file, one line each: position, type, size and fields, with ESE's names \
                  for them. The file is read segment by segment and may be damaged: what can be read is printed.\n\n\
                  Stands for `esentutl /ml /v`. Exit status 3 when something is wrong.",
    after_long_help = "Examples:\n  ese dump log edb.log\n  ese --json dump log edb0000A.log --type Insert"
)]
pub(crate) struct Args {
    /// A log file.
    file: PathBuf,

    /// Only records of this type (Insert, Begin0, 29, ...); may be given several times.
    #[arg(short, long = "type", value_name = "TYPE")]
    types: Vec<String>,

    /// Leave out records that only fill space.
    #[arg(long)]
    no_filler: bool,
}

/// Prints the records.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let file = LogFile::open(&RealDisk::new(), &args.file)?;
    let mut problems = 0;
    let mut problem = |what: &dyn std::fmt::Display| {
        problems += 1;
        eprintln!("ese: {what}");
    };
    let mut unreadable = None;
    let mut note = |number, found| {
        if found == Found::Unreadable {
            unreadable.get_or_insert(number);
        }
    };
    let scanned = file.scan(true, &mut note);
    let end = scanned.unwrap_or_else(|error| {
        problem(&error);
        // What stands before the damage can still be shown.
        let place = || error.log_position().map_or(1, |position| position.segment.max(1));
        LogEnd::before(unreadable.unwrap_or_else(place))
    });
    if end.has_leftovers {
        eprintln!("ese: behind the end of the log stand segments of a write that was cut; they do not count");
    }
    let mut writer = out.writer();
    let mut records = file.records(end);
    loop {
        match records.next_record() {
            Ok(None) => break,
            Ok(Some(raw)) => match Line::new(&raw) {
                Ok(line) if line.is_wanted(&args) => out.line(&mut writer, &line, Line::text)?,
                Ok(_) => {}
                Err(error) => problem(&error),
            },
            Err(error) => problem(&error),
        }
    }
    writer.flush()?;
    if let Some(position) = records.cut_record() {
        eprintln!("ese: the last record, at {position}, is cut off");
    }
    Ok(if problems > 0 { ExitCode::Findings } else { ExitCode::Success })
}

/// A record as a line.
struct Line {
    position: LogPosition,
    code: u8,
    name: &'static str,
    size: usize,
    fragments: u32,
    is_filler: bool,
    fields: Vec<(&'static str, FieldValue)>,
}

impl Line {
    fn new(raw: &RawRecord<'_>) -> ese_format::Result<Self> {
        let record = raw.decode()?;
        Ok(Self {
            position: raw.start,
            code: record.code(),
            name: record.name(),
            size: raw.bytes.len(),
            fragments: raw.fragments,
            is_filler: record.is_filler(),
            fields: record.fields(),
        })
    }

    fn is_wanted(&self, args: &Args) -> bool {
        let is_type =
            |wanted: &String| wanted.eq_ignore_ascii_case(self.name) || wanted.parse::<u8>() == Ok(self.code);
        (args.types.is_empty() || args.types.iter().any(is_type)) && !(args.no_filler && self.is_filler)
    }

    fn text(&self) -> String {
        let mut text = format!("{:<12} {} {}", self.position.to_string(), self.name, self.size);
        if self.fragments > 1 {
            // Writing to a string cannot fail.
            let _ = write!(text, " fragments={}", self.fragments);
        }
        for (name, value) in &self.fields {
            let _ = match value {
                FieldValue::Text(value) => write!(text, " {name}={value:?}"),
                value => write!(text, " {name}={value}"),
            };
        }
        text
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("lgpos", &parts(self.position))?;
        map.serialize_entry("type", &self.code)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("size", &self.size)?;
        if self.fragments > 1 {
            map.serialize_entry("fragments", &self.fragments)?;
        }
        for (name, value) in &self.fields {
            match value {
                FieldValue::Number(number) => map.serialize_entry(name, number)?,
                FieldValue::Text(text) => map.serialize_entry(name, text)?,
                FieldValue::Position(position) => map.serialize_entry(name, &parts(*position))?,
                FieldValue::Pages(pages) => {
                    map.serialize_entry(name, &pages.iter().map(|page| page.0).collect::<Vec<_>>())?;
                }
            }
        }
        map.end()
    }
}

fn parts(position: LogPosition) -> (u32, u16, u16) {
    (position.generation.0, position.segment, position.offset)
}
