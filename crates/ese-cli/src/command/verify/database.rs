//! Checks both headers and every page of a database.

use crate::command::info;
use crate::exit::ExitCode;
use crate::fields::Fields;
use crate::output::Output;
use crate::progress;
use anyhow::Context;
use ese::maintain::verify::{BadPage, Fault, PageCounts, Progress, verify_pages};
use ese::offline::OfflineDatabase;
use ese_format::database::{Chosen, OtherCopy};
use ese_vfs::{File, RealDisk};
use std::ops::ControlFlow;
use std::path::Path;

/// So many bad pages are listed one by one; the counts have them all.
const LISTED: usize = 1000;

/// Reads all pages and prints what was found.
pub(super) fn run(path: &Path, file: &dyn File, chosen: &Chosen, out: &Output) -> anyhow::Result<ExitCode> {
    let (fields, is_sound) = check(path, file, chosen)?;
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(if is_sound { ExitCode::Success } else { ExitCode::Findings })
}

/// Reads all pages; what was found, and whether the file is sound.
pub(super) fn check(path: &Path, file: &dyn File, chosen: &Chosen) -> anyhow::Result<(Fields, bool)> {
    let size = chosen.header.page_size;
    let pages = (file.len()? / size.bytes() as u64).saturating_sub(2);
    let last_owned = OfflineDatabase::open(&RealDisk::new(), path).and_then(|open| open.last_owned_page());
    let bar = progress::bar(pages, "pages");
    let (mut listed, mut unlisted) = (Vec::new(), 0_u64);
    let counts = verify_pages(file, path, size, last_owned.as_ref().ok().copied(), |progress| {
        match progress {
            Progress::Pages(done) => bar.set_position(done.into()),
            Progress::Bad(bad) if listed.len() < LISTED => listed.push(bad),
            Progress::Bad(_) => unlisted += 1,
        }
        ControlFlow::Continue(())
    })
    .with_context(|| format!("verifying {}", path.display()))?;
    bar.finish_and_clear();

    let mut fields = Fields::new();
    fields.add("file", path.display().to_string()).add("kind", "database");
    fields.add("state", chosen.header.state).add("header copies", info::copies(chosen));
    match &last_owned {
        Ok(page) => fields.add("last owned page", *page),
        Err(error) => fields.add("owned space", format!("cannot be read: {error}")),
    };
    add_counts(&mut fields, &counts);
    fields.add("bad pages", listed.iter().map(bad_page).collect::<Vec<_>>());
    if unlisted > 0 {
        fields.add("bad pages not listed", unlisted);
    }
    let headers_sound = !matches!(chosen.other, OtherCopy::Damaged(_));
    let pages_sound = counts.damaged + counts.correctable + counts.odd_bytes == 0;
    Ok((fields, headers_sound && pages_sound && last_owned.is_ok()))
}

fn add_counts(fields: &mut Fields, counts: &PageCounts) {
    fields.add("pages", counts.pages).add("sound", counts.sound).add("never written", counts.empty);
    fields.add("with one wrong bit", counts.correctable).add("damaged", counts.damaged);
    fields.add("stale, behind the last owned page", counts.stale);
    if counts.odd_bytes > 0 {
        fields.add("bytes behind the last whole page", counts.odd_bytes);
    }
}

fn bad_page(bad: &BadPage) -> Fields {
    let mut fields = Fields::new();
    fields.add("page", bad.page).add(
        "fault",
        match &bad.fault {
            Fault::Content(verdict) => verdict.to_string(),
            Fault::Unreadable(error) => format!("cannot be read: {error}"),
        },
    );
    fields
}
