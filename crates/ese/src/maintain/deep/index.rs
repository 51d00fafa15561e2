//! Which entries of an index and which records contradict each other: the second look, once sums differ.

use super::finding::{Findings, Subject};
use super::lookup;
use super::records::{KeyMaker, usable};
use super::schema::{Schema, Table};
use ese_format::error::FormatError;
use ese_format::key::KeyError;
use ese_format::record::Record;
use ese_format::tree::{Entry, PageRead, Tree};
use ese_format::{ObjectId, PageNumber};

/// Compares index number `index` of a table with its records, both ways. Both trees must be sound.
pub(super) fn compare(
    pages: &impl PageRead,
    schema: &Schema,
    table: &Table,
    index: usize,
    findings: &mut Findings,
) {
    let Some(info) = table.indexes.get(index) else { return };
    let root_of = |tree: Option<usize>| {
        tree.and_then(|tree| schema.trees.get(tree)).map(|tree| (tree.root, tree.object))
    };
    let (Some(definition), Some(entries), Some(records)) =
        (usable(&info.definition), root_of(info.tree), root_of(table.tree))
    else {
        return;
    };
    let mut maker = KeyMaker::new(pages, schema, table);
    // Where the order of letters is not proven, a difference may be ours.
    maker.buffers.refuse_unproven = true;
    let mut unproven = 0_u64;
    let size = pages.page_size();
    let before = findings.errors();
    each_entry(pages, entries, findings, |entry, findings| {
        let place = (entry.page, entry.line);
        let record = match lookup::find(pages, records, entry.data, None) {
            Ok(Some(record)) => record,
            Ok(None) => {
                return findings.error(Subject::Index, place, "the entry leads to no record");
            }
            Err(error) => return findings.error(Subject::Index, place, error.detail),
        };
        let made = Record::parse(&record, size)
            .map_err(KeyError::from)
            .and_then(|record| maker.make(definition, record));
        match made {
            Ok(()) if maker.buffers.keys.iter().any(|key| key == entry.key) => {}
            Ok(()) => {
                let text = "the record that the entry leads to does not have its key";
                findings.error(Subject::Index, place, text);
            }
            Err(KeyError::Unproven) => unproven += 1,
            // A record without keys was reported with its table.
            Err(_) => {}
        }
    });
    each_entry(pages, records, findings, |entry, findings| {
        let made = Record::parse(entry.data, size)
            .map_err(KeyError::from)
            .and_then(|record| maker.make(definition, record));
        if made.is_err() {
            return;
        }
        for key in maker.buffers.keys.iter() {
            let text = match lookup::find(pages, entries, key, Some(entry.key)) {
                Ok(Some(_)) => continue,
                Ok(None) => format!("the record on page {}, line {}, has no entry", entry.page, entry.line),
                Err(error) => error.detail,
            };
            findings.error(Subject::Index, (), text);
        }
    });
    match (findings.errors() == before, unproven) {
        (false, _) => {}
        (true, 0) => findings.error(Subject::Index, (), "the index does not have the entries of its records"),
        (true, _) => {
            let text = format!(
                "the keys of {unproven} entries were not checked: they have letters whose order is not proven"
            );
            findings.note(Subject::Index, (), text);
        }
    }
}

/// Calls back for every entry until the list of findings is full.
pub(super) fn each_entry(
    pages: &impl PageRead,
    (root, object): (PageNumber, ObjectId),
    findings: &mut Findings,
    mut each: impl FnMut(&Entry<'_>, &mut Findings),
) {
    Tree::new(pages, root, object).scan().for_each(|entry: Result<Entry<'_>, FormatError>| {
        // Damage was reported when the tree itself was checked.
        if let Ok(entry) = entry {
            each(&entry, findings);
        }
        !findings.is_full()
    });
}
