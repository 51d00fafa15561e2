//! Records that change several pages, and groups of records that are redone wholly or not at all.
//!
//! The new content of every page is worked out beside the pages. So nothing has changed if anything fails,
//! and at run time all that can fail has happened before the records go to the log.

use super::decision::{Redo, redo_decision};
use super::node::{self, PageChange};
use super::{create, edit_error, empty, merge, mismatch, page_move, split};
use crate::error::{Error, JetErr, Result};
use ese_format::log::record::LogRecord;
use ese_format::page::{NewPage, Page, PageFlags, PageMut};
use ese_format::{DbTime, ObjectId, PageNumber, PageSize};
use std::collections::BTreeMap;

/// How the pages of a database are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a page.
    pub page_size: PageSize,
    /// Whether new pages say how many tags are reserved (database update 270 and later).
    pub reserved_tags: bool,
}

/// What a group of records makes of its pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// The new content of each page that needed the change, in page order. Those that have it already are
    /// left out.
    pub pages: Vec<(PageNumber, Vec<u8>)>,
    /// The old data of the node that was replaced together with a split, where they were still to be had:
    /// what its version needs.
    pub before: Option<Vec<u8>>,
}

/// One page that a record may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// The page.
    pub page: PageNumber,
    /// Its dbtime before; absent when its old content does not matter.
    pub before: DbTime,
    /// Its dbtime afterwards.
    pub after: DbTime,
}

/// Works out what records make of their pages: one record that changes several pages, or all records of a
/// macro, in the order of the log.
///
/// `pages` gives the present content of a page, which is sound ([`Page::check`]), `None` when it was never written or
/// cannot be read. Whether a
/// page needs its change is decided for each of them by its dbtime; where a page must get lines from another
/// one that has lost them already, they come from the before-image in the record. At run time all pages are
/// as they were before, and the result has all of them.
///
/// [`LogRecord::Undo`] cannot be part of a group: it needs the version store, see [`super::apply`].
///
/// # Errors
/// Those of [`redo_decision`]; JET_errLogCorrupted when a record contradicts its pages or other records;
/// JET_errDatabaseBufferDependenciesCorrupted when a before-image is needed and missing;
/// JET_errDatabaseCorrupted for pages that contradict themselves.
pub fn prepare<'p>(
    records: &[LogRecord],
    layout: Layout,
    pages: &dyn Fn(PageNumber) -> Option<Page<'p>>,
) -> Result<Prepared> {
    let mut work = Work { layout, source: pages, slots: BTreeMap::new(), before: None };
    let consumed = split::consumed_operation(records);
    let moved_extents = page_move::moved_extents(records);
    for (index, record) in records.iter().enumerate() {
        match record {
            LogRecord::Split(_) | LogRecord::Split2(_) => split::redo(&mut work, records, index, consumed)?,
            LogRecord::Merge(_) | LogRecord::Merge2(_) => merge::redo(&mut work, records, index)?,
            LogRecord::PageMove(r) => {
                page_move::redo(&mut work, r)?;
                if let Some(owned) = moved_extents {
                    page_move::follow_extents(&mut work, r, owned)?;
                }
            }
            LogRecord::CreateMultipleExtentFdp(r) => create::multiple(&mut work, r)?,
            LogRecord::CreateSingleExtentFdp(r) => create::single(&mut work, r)?,
            LogRecord::ConvertFdp(r) => create::convert_v1(&mut work, r)?,
            LogRecord::ConvertFdp2(r) => create::convert(&mut work, r)?,
            LogRecord::NewPage(r) => create::blank(&mut work, r)?,
            LogRecord::EmptyTree(r) => empty::tree(&mut work, r)?,
            LogRecord::Scrub(r) => empty::scrub(&mut work, r)?,
            LogRecord::RootPageMove(_) => {}
            _ if consumed == Some(index) => {}
            _ => work.change(record)?,
        }
    }
    work.finish()
}

/// The pages that a record may change, for latching and reading ahead. Empty for records that change none.
pub fn touched(record: &LogRecord) -> Vec<Touched> {
    let mut all = Vec::new();
    let after = record.page_prefix().map(|prefix| prefix.after).unwrap_or_default();
    let mut add = |page: PageNumber, before: DbTime| {
        if page.is_some() {
            all.push(Touched { page, before, after });
        }
    };
    match record {
        LogRecord::UndoInfo(_) => return all,
        LogRecord::NewPage(r) => {
            return vec![Touched { page: r.page, before: DbTime::NIL, after: r.after }];
        }
        LogRecord::Split(r) => {
            add(r.new_page, DbTime::NIL);
            add(r.right, r.right_before);
        }
        LogRecord::Split2(r) => {
            add(r.new_page, DbTime::NIL);
            add(r.right, r.right_before);
        }
        LogRecord::Merge(r) => {
            add(r.left, r.left_before);
            add(r.right, r.right_before);
        }
        LogRecord::Merge2(r) => {
            add(r.left, r.left_before);
            add(r.right, r.right_before);
        }
        LogRecord::PageMove(r) => {
            add(r.destination, DbTime::NIL);
            add(r.left, r.left_before);
            add(r.right, r.right_before);
            add(r.parent, r.parent_before);
        }
        LogRecord::CreateMultipleExtentFdp(r) => {
            add(r.owned, DbTime::NIL);
            add(r.available, DbTime::NIL);
        }
        LogRecord::ConvertFdp(r) => {
            add(r.owned, DbTime::NIL);
            add(r.available, DbTime::NIL);
        }
        LogRecord::ConvertFdp2(r) => {
            add(r.owned, DbTime::NIL);
            add(r.available, DbTime::NIL);
        }
        LogRecord::EmptyTree(r) => r.pages.0.iter().for_each(|page| add(page.page, page.before)),
        _ => {}
    }
    if let Some(prefix) = record.page_prefix() {
        add(prefix.page, prefix.before);
    }
    all
}

/// The pages of a group while it is worked out.
pub(super) struct Work<'s, 'p> {
    pub(super) layout: Layout,
    source: &'s dyn Fn(PageNumber) -> Option<Page<'p>>,
    slots: BTreeMap<PageNumber, Slot>,
    pub(super) before: Option<Vec<u8>>,
}

enum Slot {
    /// The page has the change already.
    Done,
    /// The content as far as it is worked out, and whether its lines were put together anew: they are checked in the end.
    Changed(Vec<u8>, bool),
}

impl Work<'_, '_> {
    /// Decides whether a page needs its change, once for the whole group, and if so makes its present content
    /// ready for [`Self::edit`].
    pub(super) fn open(&mut self, page: PageNumber, before: DbTime, after: DbTime) -> Result<bool> {
        if let Some(slot) = self.slots.get(&page) {
            return Ok(matches!(slot, Slot::Changed(..)));
        }
        if !page.is_some() || page > PageNumber::MAX {
            return Err(mismatch(page, "a record changes a page that cannot be"));
        }
        let present = (self.source)(page);
        let slot = match redo_decision(page, present.as_ref(), before, after)? {
            Redo::Done => Slot::Done,
            Redo::Needed => match present {
                Some(present) => Slot::Changed(present.bytes().to_vec(), false),
                None => Slot::Changed(vec![0; self.layout.page_size.bytes()], true),
            },
        };
        let is_needed = matches!(slot, Slot::Changed(..));
        self.slots.insert(page, slot);
        Ok(is_needed)
    }

    /// Opens a page that no other record of the group may have formatted or used before.
    pub(super) fn open_new(&mut self, page: PageNumber, after: DbTime) -> Result<bool> {
        if self.slots.contains_key(&page) {
            return Err(mismatch(page, "a record makes a new page of one that it changes as well"));
        }
        self.open(page, DbTime::NIL, after)
    }

    /// The content of a page that was opened and needs its change.
    pub(super) fn content(&self, page: PageNumber) -> Result<Page<'_>> {
        match self.slots.get(&page) {
            Some(Slot::Changed(bytes, _)) => {
                Page::new(bytes, self.layout.page_size).map_err(|error| Error::from(error.at_page(page)))
            }
            _ => Err(mismatch(page, "the page was to be changed and is not")),
        }
    }

    /// Replaces the content of a page that was opened and needs its change.
    pub(super) fn put(&mut self, page: PageNumber, bytes: Vec<u8>) {
        self.slots.insert(page, Slot::Changed(bytes, true));
    }

    /// As [`Self::put`], where all lines are those of the present content.
    pub(super) fn put_around(&mut self, page: PageNumber, bytes: Vec<u8>) {
        self.slots.insert(page, Slot::Changed(bytes, false));
    }

    /// Changes a page that was opened and needs it, and sets its dbtime.
    pub(super) fn edit(
        &mut self,
        page: PageNumber,
        after: DbTime,
        change: impl FnOnce(&mut PageMut<'_>) -> ese_format::Result<()>,
    ) -> Result<()> {
        if let Some(Slot::Changed(_, is_new)) = self.slots.get_mut(&page) {
            *is_new = true;
        }
        self.edit_around(page, after, change)
    }

    /// As [`Self::edit`], for a change that leaves all lines alone, or has been checked against those beside it.
    pub(super) fn edit_around(
        &mut self,
        page: PageNumber,
        after: DbTime,
        change: impl FnOnce(&mut PageMut<'_>) -> ese_format::Result<()>,
    ) -> Result<()> {
        let size = self.layout.page_size;
        let Some(Slot::Changed(bytes, _)) = self.slots.get_mut(&page) else {
            return Err(mismatch(page, "the page was to be changed and is not"));
        };
        let edit = || {
            let mut page = PageMut::new(bytes, size)?;
            change(&mut page)?;
            page.set_db_time(after);
            Ok(())
        };
        edit().map_err(|error| edit_error(page, error))
    }

    /// A page without lines; `change` fills it.
    pub(super) fn fresh(
        &self,
        number: PageNumber,
        object: ObjectId,
        db_time: DbTime,
        flags: PageFlags,
        fill: impl FnOnce(&mut PageMut<'_>) -> ese_format::Result<()>,
    ) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.layout.page_size.bytes()];
        let new = NewPage { number, object, db_time, flags, reserved_tags: self.layout.reserved_tags };
        PageMut::format(&mut bytes, self.layout.page_size, new)
            .and_then(|mut page| fill(&mut page))
            .map_err(|error| edit_error(number, error))?;
        Ok(bytes)
    }

    /// A record that changes one page.
    fn change(&mut self, record: &LogRecord) -> Result<()> {
        let Some(change) = PageChange::of_record(record) else {
            return Err(Error::new(
                JetErr::LogCorrupted,
                format!("a {} record cannot be part of a group", record.name()),
            ));
        };
        let prefix = change.prefix();
        if !self.open(prefix.page, prefix.before, prefix.after)? {
            return Ok(());
        }
        let size = self.layout.page_size;
        let Some(Slot::Changed(bytes, _)) = self.slots.get_mut(&prefix.page) else { return Ok(()) };
        let mut page = PageMut::new(bytes, size).map_err(|e| Error::from(e.at_page(prefix.page)))?;
        node::apply(&mut page, &change).map(drop)
    }

    fn finish(self) -> Result<Prepared> {
        let mut pages = Vec::new();
        for (number, slot) in self.slots {
            let Slot::Changed(bytes, is_new) = slot else { continue };
            if is_new {
                let page = Page::new(&bytes, self.layout.page_size)?;
                page.check()
                    .and_then(|()| match page.flags().intersects(PageFlags::EMPTY | PageFlags::PRE_INIT) {
                        true => Ok(()),
                        false => page.check_key_order(),
                    })
                    .map_err(|error| {
                        mismatch(number, format!("the page would be unsound: {}", error.detail))
                    })?;
            }
            pages.push((number, bytes));
        }
        Ok(Prepared { pages, before: self.before })
    }
}
