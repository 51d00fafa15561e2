//! Redo of page records: one page in place, or several pages at once.

use super::redo::Redo;
use super::versions::{Before, Versions};
use crate::apply::{
    self, Layout, PageChange, Redo as Decision, Touched, consumed_operation, redo_decision, touched,
};
use crate::btree::undone;
use crate::buffer::{CachedFile, ExclusivePage};
use crate::database::Attachment;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::version::{Bookmark, Node, TreeId};
use ese_format::log::record::{LogRecord, MacroMark, MergeKind, PagePrefix, Undo, UndoInfo};
use ese_format::page::{NewPage, Page, PageFlags, PageMut};
use ese_format::{DbTime, Generation, LogPosition, ObjectId, PageNumber};
use std::collections::{BTreeMap, BTreeSet};

/// What redo knows of one database besides its attachment.
pub(super) struct RedoDatabase {
    layout: Layout,
    /// The end of the range that the header required when redo came to the database. Up to there a page may
    /// be missing that a later record takes out of the file.
    required: Generation,
    /// Such pages, with what was found first.
    missing: BTreeMap<PageNumber, Missing>,
    /// Pages that records up to there have made. One that was cut off since lacks, made anew, the changes of
    /// transactions that began before redo does: it is missing all the same.
    made: BTreeSet<PageNumber>,
}

/// A page that a record needs and the file does not have.
struct Missing {
    at: LogPosition,
    before: DbTime,
    after: DbTime,
    error: Error,
}

impl RedoDatabase {
    pub(super) fn new(attachment: &Attachment, required: Generation) -> Self {
        let header = attachment.file.header();
        let layout =
            Layout { page_size: header.page_size, reserved_tags: header.version().has_reserved_tags() };
        Self { layout, required, missing: BTreeMap::new(), made: BTreeSet::new() }
    }

    /// The format of the database is a newer one from here on.
    pub(super) fn note_version(&mut self, attachment: &Attachment) {
        self.layout.reserved_tags = attachment.file.header().version().has_reserved_tags();
    }

    /// Whether the file may lack pages at `at` that a later record takes out of it.
    pub(super) fn is_within_required(&self, at: LogPosition) -> bool {
        at.generation <= self.required
    }

    /// Pages of this range are not in use any more: nobody misses them.
    pub(super) fn forget(&mut self, first: PageNumber, last: PageNumber) {
        self.missing.retain(|page, _| *page < first || *page > last);
    }

    /// Checks, behind the required range, that no page is missed.
    ///
    /// # Errors
    /// `RecoveryVerifyFailure`.
    pub(super) fn check_complete(&self, attachment: &Attachment) -> Result<()> {
        let Some((page, missing)) = self.missing.first_key_value() else { return Ok(()) };
        let sentence = format!(
            "the log changes the page from dbtime {} to {}, and nothing explains why it cannot: {}",
            missing.before,
            missing.after,
            missing.error.detail()
        );
        let error = Error::new(JetErr::RecoveryVerifyFailure, sentence);
        Err(error.page(*page).position(missing.at).file(attachment.path()))
    }
}

/// A page as a record finds it.
enum Taken {
    /// With sound content.
    Present(ExclusivePage),
    /// Without; it will be made anew.
    Fresh(ExclusivePage),
    /// It is not in the file and need not be. In groups it passes for one that has the change: this image.
    Gone(Vec<u8>),
}

impl Taken {
    fn page(&self, size: ese_format::PageSize) -> Option<Page<'_>> {
        match self {
            Self::Present(page) => Some(page.page()),
            Self::Fresh(_) => None,
            Self::Gone(image) => Page::new(image, size).ok(),
        }
    }
}

/// The session, database, time and object that a page record is about.
struct About {
    session: u16,
    database: u8,
    after: DbTime,
    object: Option<ObjectId>,
}

impl About {
    fn of(record: &LogRecord) -> Option<Self> {
        let object = match record {
            LogRecord::UndoInfo(_) => return None,
            LogRecord::NewPage(r) => {
                let object = Some(r.object);
                return Some(Self { session: r.session, database: r.dbid, after: r.after, object });
            }
            LogRecord::RootPageMove(r) => {
                let object = Some(r.object);
                return Some(Self { session: r.session, database: r.dbid, after: r.after, object });
            }
            LogRecord::CreateMultipleExtentFdp(r) => Some(r.object),
            LogRecord::CreateSingleExtentFdp(r) => Some(r.object),
            LogRecord::ConvertFdp(r) => Some(r.object),
            LogRecord::ConvertFdp2(r) => Some(r.object),
            _ => record.node_prefix().map(|prefix| prefix.object),
        };
        let prefix = record.page_prefix()?;
        Some(Self { session: prefix.session, database: prefix.dbid, after: prefix.after, object })
    }
}

/// The database and the pages of it whose old content a record may need.
pub(super) fn pages_of(record: &LogRecord) -> Option<(u8, Vec<PageNumber>)> {
    let about = About::of(record)?;
    let old = touched(record).into_iter().filter(|touched| touched.before.is_recorded());
    Some((about.database, old.map(|touched| touched.page).collect()))
}

impl Redo<'_> {
    /// Redoes a record if it is one about pages; gives it back otherwise.
    pub(super) fn page_record(&mut self, record: LogRecord, at: LogPosition) -> Result<Option<LogRecord>> {
        let Some(about) = About::of(&record) else { return Ok(Some(record)) };
        if let Some(attachment) = self.redoable(about.database, at) {
            attachment.file.raise_db_time(about.after);
            about.object.into_iter().for_each(|object| attachment.file.raise_object_id(object));
        }
        match self.open.macro_records((about.session, about.after)) {
            Some(records) => records.push(record),
            None => self.execute(&[record], at)?,
        }
        Ok(None)
    }

    /// A macro counts.
    pub(super) fn commit_macro(&mut self, mark: &MacroMark, at: LogPosition) -> Result<()> {
        let records = self.open.end_macro(mark);
        self.execute(&records, at)
    }

    /// The database of a record, unless it is not attached or was attached later.
    fn redoable(&self, database: u8, at: LogPosition) -> Option<Arc<Attachment>> {
        self.parts.attachments.by_id(database).filter(|attachment| at > attachment.attached_at)
    }

    fn execute(&mut self, records: &[LogRecord], at: LogPosition) -> Result<()> {
        let Some(about) = records.first().and_then(About::of) else { return Ok(()) };
        let is_alike = |record: &LogRecord| {
            About::of(record)
                .is_some_and(|other| (other.session, other.database) == (about.session, about.database))
        };
        if !records.iter().all(is_alike) {
            let sentence = "a macro with records of several sessions or databases";
            return Err(Error::new(JetErr::LogFileCorrupt, sentence).position(at));
        }
        // What began before redo is on the disk: else redo had begun earlier.
        if !self.open.sessions.contains_key(&about.session) {
            return Ok(());
        }
        let Some(attachment) = self.redoable(about.database, at) else { return Ok(()) };
        let done = match records {
            [LogRecord::Undo(r)] => self.undo(&attachment, r, at),
            [record] => match PageChange::of_record(record) {
                Some(change) => self.change(&attachment, record, &change, at),
                None => self.group(&attachment, records, at),
            },
            _ => self.group(&attachment, records, at),
        };
        done.map_err(|error| match error.log_position() {
            Some(_) => error,
            None => error.position(at).file(attachment.path()),
        })
    }

    /// Where the transaction of a session begins; of work outside of one, the record itself.
    fn begin0(&self, session: u16, at: LogPosition) -> LogPosition {
        let begin0 = self.open.sessions.get(&session).map(|session| session.work.transaction().begin0());
        begin0.filter(|begin0| begin0.is_some()).unwrap_or(at)
    }

    /// A record that changes one page.
    fn change(
        &mut self,
        attachment: &Arc<Attachment>,
        record: &LogRecord,
        change: &PageChange<'_>,
        at: LogPosition,
    ) -> Result<()> {
        let prefix = change.prefix();
        let mut page = self.needed(attachment, prefix, at)?;
        let before = page.as_ref().and_then(|page| Before::on_page(&page.page(), record));
        let begin0 = self.begin0(prefix.session, at);
        let checked = match &page {
            Some(page) => Some(apply::check(&page.page(), change)?),
            None => None,
        };
        let reserved = self.enter_versions(attachment, record, before.as_ref());
        let (Some(page), Some(checked)) = (&mut page, checked) else { return Ok(()) };
        // In the order of run time: what is wanted back no more goes first.
        if reserved < 0 {
            apply::adjust_reserved(&mut page.edit(), reserved);
        }
        let applied = checked.apply(&mut page.edit());
        if applied.is_ok() && reserved > 0 {
            apply::adjust_reserved(&mut page.edit(), reserved);
        }
        page.changed(begin0, LogPosition::NONE);
        applied
    }

    fn enter_versions(
        &mut self,
        attachment: &Arc<Attachment>,
        record: &LogRecord,
        before: Option<&Before>,
    ) -> i32 {
        let session = record.page_prefix().map(|prefix| prefix.session).unwrap_or_default();
        match self.open.in_transaction(session) {
            Some(session) => Versions { session, file: &attachment.pages }.enter(record, before),
            None => 0,
        }
    }

    /// The page of a record that changes this one alone, if it needs the change.
    fn needed(
        &mut self,
        attachment: &Arc<Attachment>,
        prefix: &PagePrefix,
        at: LogPosition,
    ) -> Result<Option<ExclusivePage>> {
        let touched = Touched { page: prefix.page, before: prefix.before, after: prefix.after };
        let (page, content) = match self.take(attachment, touched, at)? {
            Taken::Gone(_) => return Ok(None),
            Taken::Fresh(page) => (page, false),
            Taken::Present(page) => (page, true),
        };
        let decision = {
            let view = page.page();
            redo_decision(prefix.page, content.then_some(&view), prefix.before, prefix.after)?
        };
        Ok((decision == Decision::Needed).then_some(page))
    }

    /// A change is taken back.
    fn undo(&mut self, attachment: &Arc<Attachment>, r: &Undo, at: LogPosition) -> Result<()> {
        let prefix = &r.node.page;
        let page = self.needed(attachment, prefix, at)?;
        let begin0 = self.begin0(prefix.session, at);
        let corrupt = |sentence: &str| Error::new(JetErr::LogFileCorrupt, sentence).page(prefix.page);
        let Some(session) = self.open.in_transaction(prefix.session) else {
            return Err(corrupt("a change is undone outside of any transaction"));
        };
        let tree = TreeId { database: attachment.id, root: r.node.root };
        let node = Node { tree, bookmark: Bookmark { key: &r.key, data: &r.data } };
        let version = session.work.store().find(&node, r.node.version_id);
        if let Some(mut page) = page {
            let reverse = version.as_ref().and_then(|version| undone(version.change()));
            let Some(reverse) = reverse else {
                return Err(corrupt("a change is undone that the log does not have"));
            };
            let change = PageChange::Undo(r, reverse);
            let checked = apply::check(&page.page(), &change)?;
            let applied = checked.apply(&mut page.edit());
            page.changed(begin0, LogPosition::NONE);
            applied?;
        }
        match version {
            Some(version) => session.work.store().undone(&version),
            None => drop(session.deferred.remove(&r.node.version_id)),
        }
        Ok(())
    }

    /// A before-image.
    pub(super) fn before_image(&mut self, r: &UndoInfo, at: LogPosition) -> Result<()> {
        let prefix = &r.node.page;
        let Some(attachment) = self.redoable(prefix.dbid, at) else { return Ok(()) };
        match self.open.in_transaction(prefix.session) {
            Some(session) if prefix.level > 0 => {
                Versions { session, file: &attachment.pages }.before_image(r, at)
            }
            _ => Ok(()),
        }
    }

    /// A record that changes several pages, or the records of a macro.
    fn group(&mut self, attachment: &Arc<Attachment>, records: &[LogRecord], at: LogPosition) -> Result<()> {
        let Some(layout) = self.databases.get(&attachment.id).map(|database| database.layout) else {
            return Ok(());
        };
        let mut wanted: BTreeMap<PageNumber, Touched> = BTreeMap::new();
        for touched in records.iter().flat_map(touched) {
            let known = wanted.entry(touched.page).or_insert(touched);
            // A record of a page that another one makes or changes names no time of its own.
            if !known.before.is_recorded() {
                known.before = touched.before;
            }
        }
        // Nobody else works on pages now, so any order of the latches will do.
        let mut taken = BTreeMap::new();
        for (number, touched) in wanted {
            taken.insert(number, self.take(attachment, touched, at)?);
        }
        let prepared = {
            let content = |number: PageNumber| taken.get(&number)?.page(layout.page_size);
            apply::prepare(records, layout, &content)?
        };
        let put: Vec<PageNumber> = prepared.pages.iter().map(|(number, _)| *number).collect();
        let is_put = |number: PageNumber| put.contains(&number);
        let consumed = consumed_operation(records);
        let mut befores: BTreeMap<usize, Before> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let Some(prefix) = record.node_prefix().filter(|prefix| is_put(prefix.page.page)) else {
                continue;
            };
            let page = taken.get(&prefix.page.page).and_then(|taken| taken.page(layout.page_size));
            if let Some(page) = page.filter(|_| consumed != Some(index)) {
                befores.extend(Before::on_page(&page, record).map(|before| (index, before)));
            }
        }
        let session = records.first().and_then(About::of).map(|about| about.session).unwrap_or_default();
        let begin0 = self.begin0(session, at);
        for (number, bytes) in prepared.pages {
            if let Some(Taken::Present(mut page) | Taken::Fresh(mut page)) = taken.remove(&number) {
                page.take_over(bytes)?;
                page.changed(begin0, LogPosition::NONE);
                taken.insert(number, Taken::Present(page));
            }
        }
        if let (Some(index), Some(data)) = (consumed, prepared.before) {
            // The node is where its record says, unless that page is ahead of the macro.
            let node = records.get(index).and_then(LogRecord::node_prefix).map(|prefix| prefix.page);
            if let Some(prefix) = node.filter(|prefix| is_put(prefix.page)) {
                let page = taken.get(&prefix.page).and_then(|taken| taken.page(layout.page_size));
                let node = page.as_ref().and_then(|page| page.node(prefix.line.into()).ok());
                befores.extend(node.map(|node| (index, Before { key: node.key(), data })));
            }
        }
        for record in records {
            for (from, to) in moves(record) {
                let page = taken.get(&to).and_then(|taken| taken.page(layout.page_size));
                if let Some(page) = page.filter(Page::is_leaf) {
                    self.move_images(attachment, record, (from, to), &page);
                }
            }
        }
        for (index, record) in records.iter().enumerate() {
            let reserved = self.enter_versions(attachment, record, befores.get(&index));
            // A split's record has the reserve as it is afterwards.
            let is_own = consumed != Some(index) && reserved != 0;
            if let Some(prefix) = record.node_prefix().filter(|_| is_own)
                && let Some(Taken::Present(page)) = taken.get_mut(&prefix.page.page)
            {
                apply::adjust_reserved(&mut page.edit(), reserved);
                page.changed(begin0, LogPosition::NONE);
            }
        }
        Ok(())
    }

    /// Before-images that are not in the log wait where their nodes are.
    fn move_images(
        &self,
        attachment: &Attachment,
        record: &LogRecord,
        (from, to): (PageNumber, PageNumber),
        page: &Page<'_>,
    ) {
        let is_unique = record.page_prefix().is_some_and(|prefix| prefix.flags & PagePrefix::UNIQUE != 0);
        let is_there = |bookmark: Bookmark<'_>| {
            page.nodes().is_ok_and(|mut nodes| {
                nodes.any(|node| {
                    node.is_ok_and(|node| {
                        node.compare_key(bookmark.key).is_eq() && (is_unique || node.data == bookmark.data)
                    })
                })
            })
        };
        let store = &self.parts.attachments.storage().versions;
        store.nodes_moved(attachment.id, from, to, is_there);
    }

    /// Latches a page that a record may change.
    fn take(&mut self, attachment: &Arc<Attachment>, touched: Touched, at: LogPosition) -> Result<Taken> {
        let Touched { page, before, .. } = touched;
        let is_new = !before.is_recorded();
        let Some(database) = self.databases.get_mut(&attachment.id) else {
            return Err(Error::new(JetErr::InternalError, "redo of a database that it does not know"));
        };
        if !is_new && database.missing.contains_key(&page) {
            return gone(database.layout, touched);
        }
        let is_within_required = database.is_within_required(at);
        let error = match take(&attachment.pages, page, is_new) {
            Ok(taken) => {
                let time = taken.page(database.layout.page_size).map(|page| page.db_time());
                let is_stale = is_within_required && !is_new && time.is_some_and(|time| time < before);
                if !is_stale || !database.made.contains(&page) {
                    database.missing.remove(&page);
                    if is_new && is_within_required {
                        database.made.insert(page);
                    }
                    return Ok(taken);
                }
                Error::new(JetErr::PageNotInitialized, "it was made anew, and misses changes since")
            }
            Err(error) => error,
        };
        if !matches!(error.code(), JetErr::PageNotInitialized | JetErr::FileIOBeyondEOF) {
            return Err(error);
        }
        if !is_within_required {
            let sentence = format!(
                "the log changes the page from dbtime {} to {}, and the file does not have it: {}",
                touched.before,
                touched.after,
                error.detail()
            );
            return Err(Error::new(JetErr::DbTimeTooOld, sentence).page(page));
        }
        let missing = Missing { at, before, after: touched.after, error };
        database.missing.insert(page, missing);
        gone(database.layout, touched)
    }
}

fn take(pages: &Arc<CachedFile>, page: PageNumber, is_new: bool) -> Result<Taken> {
    match pages.write_out_of_order(page) {
        Ok(page) => Ok(Taken::Present(page)),
        // What is there does not matter.
        Err(error)
            if is_new
                && matches!(
                    error.code(),
                    JetErr::PageNotInitialized | JetErr::ReadVerifyFailure | JetErr::DatabaseCorrupted
                ) =>
        {
            pages.fresh(page).map(Taken::Fresh)
        }
        Err(error) => Err(error),
    }
}

/// A page that passes for one which has the change.
fn gone(layout: Layout, touched: Touched) -> Result<Taken> {
    let mut image = vec![0; layout.page_size.bytes()];
    let new = NewPage {
        number: touched.page,
        object: ObjectId(0),
        db_time: touched.after,
        flags: PageFlags::EMPTY,
        reserved_tags: layout.reserved_tags,
    };
    PageMut::format(&mut image, layout.page_size, new)?;
    Ok(Taken::Gone(image))
}

/// From where to where a record moves nodes of leaves.
fn moves(record: &LogRecord) -> Vec<(PageNumber, PageNumber)> {
    let merged = |kind, from, left, right| match kind {
        MergeKind::FullLeft | MergeKind::PartialLeft => vec![(from, left)],
        MergeKind::FullRight | MergeKind::PartialRight => vec![(from, right)],
        _ => Vec::new(),
    };
    match record {
        LogRecord::Split(r) if r.new_page.is_some() => vec![(r.page.page, r.new_page)],
        LogRecord::Split2(r) if r.new_page.is_some() => vec![(r.page.page, r.new_page)],
        LogRecord::Merge(r) => merged(r.kind, r.page.page, r.left, r.right),
        LogRecord::Merge2(r) => merged(r.kind, r.page.page, r.left, r.right),
        LogRecord::PageMove(r) => vec![(r.page.page, r.destination)],
        _ => Vec::new(),
    }
}
