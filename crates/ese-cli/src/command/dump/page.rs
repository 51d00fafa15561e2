//! `ese dump page`: the header and the lines of a page.

use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::source::Source;
use anyhow::Context;
use ese_format::checksum::{Verdict, verify_page};
use ese_format::page::Page;
use ese_format::{FormatError, PageNumber};
use std::fmt::Write;
use std::path::PathBuf;

/// So many bytes of a key or value are shown.
const SHOWN_BYTES: usize = 64;

/// The arguments of `ese dump page`.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Print the header and the lines of a database page. The file is only read. A page with a wrong \
                  checksum is shown as far as it makes sense, and the exit status is 3.\n\n\
                  Keys and data are hexadecimal; only the first bytes of long ones are shown.",
    after_long_help = "Examples:\n  ese dump page ntds.dit 4\n  ese --json dump page ntds.dit 4"
)]
pub(crate) struct Args {
    /// A database.
    file: PathBuf,
    /// The page number, from 1; page 4 is the root of the catalog.
    page: u32,
}

/// Prints the page.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let (file, chosen) = Source::open_database(&args.file)?;
    let (number, size) = (PageNumber(args.page), chosen.header.page_size);
    anyhow::ensure!(number.is_some(), "pages are counted from 1");
    let mut image = vec![0; size.bytes()];
    file.read_exact_at(&mut image, number.file_offset(size))
        .with_context(|| format!("reading page {number} of {}", args.file.display()))?;
    let verdict = verify_page(&mut image, number, size);
    let mut fields = Fields::new();
    fields.add("page", number).add("checksum", verdict.to_string());
    let mut code = if verdict.is_usable() { ExitCode::Success } else { ExitCode::Findings };
    if verdict == Verdict::Uninitialized {
        code = ExitCode::Success;
    } else if let Err(error) =
        Page::new(&image, size).and_then(|page| add_page(&mut fields, &page).and_then(|()| page.check()))
    {
        fields.add("wrong", error.to_string());
        code = ExitCode::Findings;
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(code)
}

fn add_page(fields: &mut Fields, page: &Page<'_>) -> Result<(), FormatError> {
    fields.add("database_time", page.db_time()).add("object", page.object());
    fields.add("previous", page.previous()).add("next", page.next());
    let flags: Vec<String> = page.flags().iter_names().map(|(name, _)| name.to_lowercase()).collect();
    fields.add("flags", flags.join(" "));
    fields.add("free_bytes", page.free_bytes() as u64).add("lines", page.line_count() as u64);
    fields.add("external_header", hex(page.external_header()?));
    let mut nodes = Vec::new();
    for (index, node) in page.nodes()?.enumerate() {
        let node = node?;
        let mut line = Fields::new();
        line.add("line", index as u64).add("key", hex(&node.key()));
        if page.is_leaf() {
            line.add("bytes", node.data.len() as u64).add("data", hex(node.data));
        } else {
            line.add("child", node.child()?);
        }
        if node.is_deleted() {
            line.add("deleted", true);
        }
        nodes.push(line);
    }
    fields.add("nodes", Value::from(nodes));
    Ok(())
}

/// The bytes in hexadecimal, cut when there are many.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(SHOWN_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > SHOWN_BYTES {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}
