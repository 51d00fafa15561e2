//! Rows as text: the canonical JSON form and CSV.
//!
//! The canonical form makes contents comparable across readers and releases: one line of JSON per
//! record, keys sorted, NULL columns left out, defaults and long values filled in, every value in the one
//! form of its type. `docs/canonical-form.md` describes it. CSV has the same values, columns by number, NULL as
//! nothing and an empty value as a pair of quotes; several values of a column are a JSON array.

mod plan;
#[cfg(test)]
mod tests;
mod text;
mod value;

use ese::offline::{LongValues, OfflineDatabase};
use ese_format::catalog::TableSchema;
use ese_format::long_value::LongValueId;
use ese_format::record::{Piece, Record, Stored};
use ese_format::{PageNumber, compress};
use plan::{Order, Plan, Scratch};
use std::fmt;
use std::io::{self, Write};
use text::{Quoting, TextWriter};
use value::Form;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The canonical form: one JSON object per line.
    Json,
    /// A line of column names, then one line of comma-separated values per record.
    Csv,
}

/// Something that could not be given: the rest was.
#[derive(Debug)]
pub(crate) struct Problem {
    table: String,
    /// The number of the row among those written, from 0.
    row: Option<u64>,
    page: Option<PageNumber>,
    column: Option<String>,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.table)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.text)?;
        match self.page {
            Some(page) => write!(f, ", page {page}"),
            None => Ok(()),
        }
    }
}

/// What was written of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Rows.
    pub(crate) rows: u64,
    /// Values, rows or pages that could not be given.
    pub(crate) problems: u64,
}

/// Output is handed on in pieces of at least this many bytes.
const PIECE: usize = 64 << 10;
/// Long values up to this many bytes are put together before they are written; longer ones are read twice.
const WHOLE: u32 = 1 << 20;

/// Writes all rows of a table to `sink`. What cannot be given is told to `report`.
///
/// # Errors
/// Those of `sink`, and of a file that changes while it is read.
pub(crate) fn write_table<W: Write>(
    database: &OfflineDatabase,
    schema: &TableSchema,
    style: Style,
    sink: W,
    report: &mut dyn FnMut(Problem),
) -> io::Result<Written> {
    write_table_with(database, schema, style, sink, WHOLE, report)
}

/// [`write_table`] that puts together long values of up to `whole` bytes.
fn write_table_with<W: Write>(
    database: &OfflineDatabase,
    schema: &TableSchema,
    style: Style,
    sink: W,
    whole: u32,
    report: &mut dyn FnMut(Problem),
) -> io::Result<Written> {
    let order = if style == Style::Json { Order::Name } else { Order::Number };
    let plan = Plan::new(schema, order);
    let mut writer = RowWriter {
        style,
        whole,
        out: Vec::with_capacity(2 * PIECE),
        sink,
        long_values: database.long_values(schema),
        plain: Vec::new(),
        array_from: None,
    };
    let mut written = Written::default();
    let mut scratch = Scratch::new();
    writer.names(&plan);
    let mut scan = database.records(schema);
    while let Some(entry) = scan.next() {
        let mut problem = |row, page, column, text| {
            written.problems += 1;
            report(Problem { table: schema.name.clone(), row, page, column, text });
        };
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problem(None, None, None, error.to_string());
                continue;
            }
        };
        let record = match Record::parse(entry.data, database.page_size()) {
            Ok(record) => record,
            Err(error) => {
                problem(None, Some(entry.page), None, error.to_string());
                continue;
            }
        };
        if let Err(error) = record.tagged().check() {
            problem(Some(written.rows), Some(entry.page), None, error.to_string());
        }
        let row = Some(written.rows);
        writer.row(&plan, &record, &mut scratch, |slot, text| {
            problem(row, Some(entry.page), Some(plan.slots()[slot].name.clone()), text);
        })?;
        written.rows += 1;
    }
    let rescued = scan.rescued();
    if rescued > 0 {
        let text = format!("the last {rescued} rows were rescued from pages that the damaged tree has lost");
        written.problems += 1;
        report(Problem { table: schema.name.clone(), row: None, page: None, column: None, text });
    }
    writer.flush()?;
    Ok(written)
}

/// Why a value was not written.
enum Failure {
    /// It is damaged.
    Value(String),
    /// The output cannot take more.
    Sink(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Sink(error)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Value(text)
    }
}

struct RowWriter<'a, W> {
    style: Style,
    /// Long values up to this many bytes are put together before they are written.
    whole: u32,
    out: Vec<u8>,
    sink: W,
    long_values: LongValues<'a>,
    /// A value that had to be unpacked or put together.
    plain: Vec<u8>,
    /// In CSV, where the JSON array begins whose quotes are still to be doubled.
    array_from: Option<usize>,
}

impl<W: Write> RowWriter<'_, W> {
    fn names(&mut self, plan: &Plan) {
        if self.style == Style::Json {
            return;
        }
        for (index, slot) in plan.slots().iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            // Names are ASCII by contract; those that are not are shown as bytes.
            let written = Form::Text(0).write_csv(slot.name.as_bytes(), &mut self.out);
            debug_assert!(written.is_ok());
        }
        self.out.push(b'\n');
    }

    fn row(
        &mut self,
        plan: &Plan,
        record: &Record<'_>,
        scratch: &mut Scratch,
        mut problem: impl FnMut(usize, String),
    ) -> io::Result<()> {
        let mut next = 0;
        if self.style == Style::Json {
            self.out.push(b'{');
        }
        plan.visit(record, scratch, |slot, stored| {
            let start = self.out.len();
            match self.style {
                Style::Json => {
                    if next > 0 {
                        self.out.push(b',');
                    }
                    self.out.extend_from_slice(&plan.slots()[slot].key);
                    next += 1;
                }
                Style::Csv => {
                    while next < slot {
                        self.out.push(b',');
                        next += 1;
                    }
                }
            }
            let value_start = self.out.len();
            let written = match stored {
                Ok(stored) => self.column(plan.slots()[slot].form, stored, &mut |text| problem(slot, text)),
                Err(error) => Err(Failure::Value(error.to_string())),
            };
            match written {
                Ok(()) => Ok(()),
                Err(Failure::Sink(error)) => Err(error),
                Err(Failure::Value(text)) => {
                    problem(slot, text);
                    if self.style == Style::Json {
                        self.out.truncate(start);
                        next -= 1;
                    } else {
                        self.out.truncate(value_start);
                    }
                    Ok(())
                }
            }
        })?;
        match self.style {
            Style::Json => self.out.push(b'}'),
            Style::Csv => (next + 1..plan.slots().len()).for_each(|_| self.out.push(b',')),
        }
        self.out.push(b'\n');
        if self.out.len() >= PIECE { self.hand_on() } else { Ok(()) }
    }

    fn column(
        &mut self,
        form: Form,
        stored: Stored<'_>,
        problem: &mut dyn FnMut(String),
    ) -> Result<(), Failure> {
        let values = match stored {
            Stored::Absent | Stored::Null => return Ok(()),
            Stored::Single(piece) => return self.value(form, piece),
            Stored::Multi(values) => values,
        };
        if self.style == Style::Csv {
            self.out.push(b'"');
            self.array_from = Some(self.out.len());
        }
        self.out.push(b'[');
        for (index, piece) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let start = self.out.len();
            let written = piece.map_err(|e| Failure::Value(e.to_string())).and_then(|p| self.value(form, p));
            if let Err(Failure::Value(text)) = written {
                // The others keep their places.
                self.out.truncate(start);
                self.out.extend_from_slice(b"null");
                problem(format!("value {}: {text}", index + 1));
            } else {
                written?;
            }
        }
        self.out.push(b']');
        if let Some(from) = self.array_from.take() {
            double_quotes(&mut self.out, from);
            self.out.push(b'"');
        }
        Ok(())
    }

    #[inline]
    fn value(&mut self, form: Form, piece: Piece<'_>) -> Result<(), Failure> {
        if piece.separated {
            return self.long_value(form, piece.bytes);
        }
        if piece.encrypted {
            return Err(Failure::Value("the value is encrypted".into()));
        }
        if piece.compressed {
            let mut plain = std::mem::take(&mut self.plain);
            plain.clear();
            let done = compress::decompress_into(piece.bytes, &mut plain);
            let written =
                done.map_err(|e| Failure::Value(e.to_string())).and_then(|_| self.plain(form, &plain));
            self.plain = plain;
            return written;
        }
        self.plain(form, piece.bytes)
    }

    #[inline]
    fn plain(&mut self, form: Form, bytes: &[u8]) -> Result<(), Failure> {
        if self.as_json() {
            form.write_json(bytes, &mut self.out)?;
        } else {
            form.write_csv(bytes, &mut self.out)?;
        }
        Ok(())
    }

    /// Whether values are written as JSON: always but for single values in CSV.
    fn as_json(&self) -> bool {
        self.style == Style::Json || self.array_from.is_some()
    }

    fn long_value(&mut self, form: Form, id: &[u8]) -> Result<(), Failure> {
        let id = LongValueId::from_record(id).map_err(|e| e.to_string())?;
        if self.long_values.size(id).map_err(|e| e.to_string())? <= self.whole {
            let mut plain = std::mem::take(&mut self.plain);
            plain.clear();
            let done = self.long_values.read(id, &mut |piece| {
                plain.extend_from_slice(piece);
                Ok(())
            });
            let written =
                done.map_err(|e| Failure::Value(e.to_string())).and_then(|()| self.plain(form, &plain));
            self.plain = plain;
            return written;
        }
        self.stream(form, id)
    }

    /// Writes a long value without ever having it whole. It is read once to see whether all of it is there
    /// and can be decoded, then once more to be written.
    fn stream(&mut self, form: Form, id: LongValueId) -> Result<(), Failure> {
        let quoting = if self.as_json() { Quoting::Json } else { Quoting::Csv };
        let mut text = match form {
            Form::Text(code_page) => Some(TextWriter::new(code_page, quoting)),
            _ => None,
        };
        let mut trial = text;
        let mut decodable = true;
        let mut discarded = Vec::new();
        self.long_values
            .read(id, &mut |piece| {
                discarded.clear();
                if let Some(trial) = &mut trial {
                    decodable = decodable && trial.write(piece, &mut discarded).is_ok();
                }
                Ok(())
            })
            .map_err(|e| e.to_string())?;
        decodable = decodable && trial.is_none_or(|trial| trial.finish().is_ok());
        let (before, after): (&[u8], &[u8]) = match (decodable, quoting, &text) {
            (true, Quoting::Csv, None) => (b"", b""),
            (true, ..) => (b"\"", b"\""),
            (false, Quoting::Json, _) => (b"{\"hex\":\"", b"\"}"),
            (false, Quoting::Csv, _) => (b"\"{\"\"hex\"\":\"\"", b"\"\"}\""),
        };
        if !decodable {
            text = None;
        }
        self.out.extend_from_slice(before);
        let mut failure = None;
        let (out, sink, array_from) = (&mut self.out, &mut self.sink, &mut self.array_from);
        let read = self.long_values.read(id, &mut |piece| {
            match &mut text {
                // It was decodable a moment ago.
                Some(text) => drop(text.write(piece, out)),
                None => value::hex(piece, out),
            }
            if out.len() >= PIECE && failure.is_none() {
                if let Some(from) = array_from {
                    double_quotes(out, *from);
                    *from = 0;
                }
                failure = sink.write_all(out).err();
                out.clear();
            }
            Ok(())
        });
        if let Some(error) = failure {
            return Err(Failure::Sink(error));
        }
        self.out.extend_from_slice(after);
        // The file changed between the two readings: what was handed on cannot be taken back.
        read.map_err(|e| Failure::Sink(io::Error::other(e.to_string())))
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.sink.flush()
    }
}

/// Doubles the quotes behind `from`.
fn double_quotes(out: &mut Vec<u8>, from: usize) {
    if !out[from..].contains(&b'"') {
        return;
    }
    let tail = out.split_off(from);
    for byte in tail {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
}
