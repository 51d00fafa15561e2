//! Splits: a page that has no room for an operation shares its lines with a new right neighbour.
//!
//! One macro in the log covers all levels that change: one Split2 record for each from the top down, then the
//! operation itself. All pages are latched until the macro's commit is appended. Pages are taken from space
//! before the first latch. A root never moves: when it is full it first gets a level below it (a vertical
//! split, in a macro of its own), and its lines go there.

use super::change::{Entered, Operation, internal, parted, record, reinsertion, reserve_of};
use super::search::{Target, Way, child_line, leaf_line, read_leaf};
use super::split_plan::{Conditions, Plan, Weighed, fitting, plan, separator_at};
use super::tree::{TAG_BYTES, Tree};
use super::work::{Versioning, Work};
use crate::apply::{self, LineOperation, VirtualLine, virtual_lines};
use crate::buffer::ExclusivePage;
use crate::error::{Error, JetErr, Result};
use ese_format::log::record::{
    LogRecord, LongBytes, MacroInfo, PagePrefix, Split2, SplitKind, SplitOperation,
};
use ese_format::page::{LineFlags, Page, PageFlags, encode_image};
use ese_format::{DbTime, PageNumber};

/// Splits so that an operation finds room; true when the operation was done along with the split. Else the
/// caller tries it again.
pub(super) fn split(
    work: &mut Work,
    tree: &Tree,
    target: Target<'_>,
    operation: &Operation<'_>,
    versioning: Versioning,
) -> Result<bool> {
    let source = work.pages().clone();
    let mut spare = Vec::new();
    let mut wanted = 1;
    let mut separator_bytes = longest_separator(tree, target)?;
    let outcome = loop {
        if spare.len() < wanted {
            match source.take(tree, tree.root, wanted - spare.len()) {
                Ok(pages) => spare.extend(pages),
                Err(error) => break Err(error),
            }
        }
        let path = match Path::latch(tree, target, separator_bytes) {
            Ok(path) => path,
            Err(error) => break Err(error),
        };
        match path.split(work, tree, target, operation, versioning, &mut spare) {
            Ok(Outcome::Done(done)) => break Ok(done),
            Ok(Outcome::MorePages(pages)) => wanted = pages,
            Ok(Outcome::LongerPath) => separator_bytes = usize::MAX,
            Err(error) => break Err(error),
        }
    };
    if !spare.is_empty() {
        source.give(tree, &spare)?;
    }
    outcome
}

enum Outcome {
    /// The pages are split; whether the operation is done.
    Done(bool),
    /// So many new pages are needed.
    MorePages(usize),
    /// A page above those latched changes as well.
    LongerPath,
}

/// The longest key that a split of this leaf or of the pages above may put into a parent.
fn longest_separator(tree: &Tree, target: Target<'_>) -> Result<usize> {
    let leaf = read_leaf(tree, Way::To(target))?;
    let own = target.key.len() + target.data.len();
    let mut longest = own;
    for node in leaf.page().nodes()? {
        let node = node?;
        longest = longest.max(node.key_len() + if tree.is_unique { 0 } else { node.data.len() });
    }
    Ok(longest)
}

/// The pages from the highest that may change down to the leaf, latched exclusively.
struct Path {
    /// Each with the line that leads to the next.
    parents: Vec<(ExclusivePage, usize)>,
    leaf: ExclusivePage,
}

impl Path {
    /// Latches the way down, and lets go of what is above a page that can take another separator.
    fn latch(tree: &Tree, target: Target<'_>, separator_bytes: usize) -> Result<Self> {
        let mut parents: Vec<(ExclusivePage, usize)> = Vec::new();
        let mut page = tree.file.write(tree.root)?;
        // As deep as search goes.
        for _ in 0..32 {
            tree.check(&page.page(), page.number())?;
            if page.page().is_leaf() {
                return Ok(Self { parents, leaf: page });
            }
            if has_room_for(&page.page(), separator_bytes) {
                parents.clear();
            }
            let line = child_line(tree, &page.page(), page.number(), &target)?;
            let child = page.page().node(line)?.child()?;
            if child == page.number() || parents.iter().any(|(above, _)| above.number() == child) {
                return Err(tree.corrupt(page.number(), "the way down leads back up"));
            }
            let below = tree.file.write(child)?;
            parents.push((page, line));
            page = below;
        }
        Err(tree.corrupt(tree.root, "the way down has no end"))
    }

    fn split(
        mut self,
        work: &mut Work,
        tree: &Tree,
        target: Target<'_>,
        operation: &Operation<'_>,
        versioning: Versioning,
        spare: &mut Vec<PageNumber>,
    ) -> Result<Outcome> {
        // What was decided before the latches were released may not hold any more.
        let (line, is_there) = leaf_line(tree, &self.leaf.page(), &target)?;
        let operation = match *operation {
            Operation::Replace { .. } if is_there => *operation,
            Operation::Replace { .. } => return Ok(Outcome::Done(false)),
            Operation::Insert { key, data }
            | Operation::FlagInsert { key, data }
            | Operation::Reinsert { key, data } => match is_there {
                true => reinsertion(work, tree, &self.leaf, line, key, data)?,
                false => Operation::Insert { key, data },
            },
        };
        if self.leaf.page().is_root() {
            return vertical(work, tree, &mut self.leaf, spare);
        }
        let Some(levels) = self.plan(work, tree, line, &operation)? else {
            return Err(Error::new(
                JetErr::RecordTooBig,
                "the record does not fit a page beside what is there",
            )
            .page(self.leaf.number()));
        };
        match levels {
            Levels::FullRoot => match self.parents.first_mut() {
                Some((root, _)) if root.page().is_root() => vertical(work, tree, root, spare),
                _ => Ok(Outcome::LongerPath),
            },
            Levels::Of(levels) if levels.len() > spare.len() => Ok(Outcome::MorePages(levels.len())),
            Levels::Of(levels) => self.carry_out(work, tree, (line, &operation), versioning, levels, spare),
        }
    }

    /// Plans the split of the leaf and of every parent that has no room for the new separator.
    fn plan(
        &self,
        work: &Work,
        tree: &Tree,
        line: usize,
        operation: &Operation<'_>,
    ) -> Result<Option<Levels>> {
        let Some(leaf) = self.plan_leaf(work, tree, line, operation)? else { return Ok(None) };
        let mut separator = leaf.separator.clone();
        let mut appended = leaf.plan.kind == SplitKind::Append;
        let mut levels = vec![leaf];
        for (depth, (parent, at)) in self.parents.iter().enumerate().rev() {
            let page = parent.page();
            if has_room_for(&page, separator.len()) {
                return Ok(Some(Levels::Of(levels)));
            }
            if page.is_root() {
                return Ok(Some(Levels::FullRoot));
            }
            let child = match self.parents.get(depth + 1) {
                Some((child, _)) => child.number(),
                None => self.leaf.number(),
            };
            // The number of the new child is not known yet; it does not matter to the sizes.
            let child = child.0.to_le_bytes();
            let change =
                LineOperation::Child { line: *at, separator: &separator, left: &child, right: &child };
            let lines = virtual_lines(&page, Some(change))?;
            let lines: Vec<_> = lines.into_iter().map(|line| Weighed { line, reserved: 0 }).collect();
            let conditions =
                Conditions { capacity: capacity(&page), flags: page.flags(), prefix: page.key_prefix()? };
            // Under ascending inserts pages stay full; the last one begins anew.
            let ascending = appended && *at + 2 == lines.len();
            let at_end = if ascending { fitting(&lines, lines.len() - 1, conditions) } else { None };
            let Some(plan) = at_end.or_else(|| super::split_plan::plan(&lines, conditions)) else {
                return Err(tree.corrupt(parent.number(), "an internal page has no room for two entries"));
            };
            appended = ascending;
            let Some(next) = separator_at(&lines, plan.at, false, tree.is_unique) else { return Ok(None) };
            levels.push(Level::new(plan, &lines, next.clone(), true));
            separator = next;
        }
        // Everything latched splits: whatever is above changes, too.
        Ok(Some(Levels::FullRoot))
    }

    /// Plans the split of the leaf alone.
    fn plan_leaf(
        &self,
        work: &Work,
        tree: &Tree,
        line: usize,
        operation: &Operation<'_>,
    ) -> Result<Option<Level>> {
        let page = self.leaf.page();
        if let (Operation::Insert { key, data }, false) = (operation, page.next().is_some())
            && line == page.line_count()
            && let Some(level) = append(work, tree, &page, key, data)?
        {
            return Ok(Some(level));
        }
        let with = weighed_leaf(work, tree, &page, Some((line, operation)))?;
        let conditions =
            Conditions { capacity: capacity(&page), flags: page.flags(), prefix: page.key_prefix()? };
        let (plan, lines, does_operation) = match plan(&with, conditions) {
            Some(plan) => (plan, with, true),
            None => {
                // Not with the operation: make room first.
                let without = weighed_leaf(work, tree, &page, None)?;
                match plan(&without, conditions) {
                    Some(plan) => (plan, without, false),
                    None => return Ok(None),
                }
            }
        };
        let separator = separator_at(&lines, plan.at, true, tree.is_unique);
        Ok(separator.map(|separator| Level::new(plan, &lines, separator, does_operation)))
    }

    /// Logs and does what was planned; `levels` go from the leaf up.
    fn carry_out(
        mut self,
        work: &mut Work,
        tree: &Tree,
        (line, operation): (usize, &Operation<'_>),
        versioning: Versioning,
        levels: Vec<Level>,
        spare: &mut Vec<PageNumber>,
    ) -> Result<Outcome> {
        let mut right = match self.leaf.page().next() {
            number if number.is_some() => {
                let right = tree.file.write(number)?;
                tree.check(&right.page(), number)?;
                Some(right)
            }
            _ => None,
        };
        let new_pages = spare.split_off(spare.len() - levels.len());
        let undo_take = |spare: &mut Vec<PageNumber>, pages: &[PageNumber]| spare.extend_from_slice(pages);
        let mut fresh = Vec::with_capacity(new_pages.len());
        for number in &new_pages {
            match tree.file.fresh(*number) {
                Ok(page) => fresh.push(page),
                Err(error) => {
                    undo_take(spare, &new_pages);
                    return Err(error);
                }
            }
        }
        // Only now, with all pages latched, is it above the time of each of them.
        let after = tree.file.file().next_db_time();
        let does_operation = levels.first().is_some_and(|level| level.does_operation);
        // Where the node will be when all is done.
        let at = levels.first().map_or(0, |level| level.plan.at);
        let place = if line >= at { (new_pages[0], line - at) } else { (self.leaf.number(), line) };
        let entered = match does_operation {
            true => {
                let leaf = self.leaf.page();
                match Entered::new(work, tree, (&leaf, line), place.0, operation, versioning) {
                    Ok(entered) => entered,
                    Err(error) => {
                        undo_take(spare, &new_pages);
                        return Err(error);
                    }
                }
            }
            false => Entered::default(),
        };
        let result = self.log_and_apply(
            work,
            tree,
            (line, operation, does_operation, place),
            &entered,
            after,
            &levels,
            &mut right,
            &mut fresh,
        );
        if let Err(error) = result {
            entered.withdraw(work);
            undo_take(spare, &new_pages);
            return Err(error);
        }
        if let Some(level) = levels.first() {
            // Before-images that are not logged yet wait on the page where their node is.
            let (key, data) = (&level.first_moved.0[..], &level.first_moved.1[..]);
            work.store().nodes_moved(tree.file.id(), self.leaf.number(), new_pages[0], |bookmark| {
                (bookmark.key, bookmark.data) >= (key, if tree.is_unique { &[] } else { data })
            });
        }
        Ok(Outcome::Done(does_operation))
    }

    #[allow(clippy::too_many_arguments)]
    fn log_and_apply(
        &mut self,
        work: &mut Work,
        tree: &Tree,
        (line, operation, does_operation, place): (usize, &Operation<'_>, bool, (PageNumber, usize)),
        entered: &Entered,
        after: DbTime,
        levels: &[Level],
        right: &mut Option<ExclusivePage>,
        fresh: &mut [ExclusivePage],
    ) -> Result<()> {
        let records = {
            let mut records = Vec::with_capacity(levels.len() + 3);
            let top = self.parents.len().checked_sub(levels.len());
            // The page above the highest that is split only learns of one more child.
            if let Some((page, _)) = top.and_then(|top| self.parents.get(top)) {
                let above = self.above(top.unwrap_or(0));
                records.push(LogRecord::Split2(path_record(work, tree, page, above, after)));
            }
            for (depth, level) in levels.iter().enumerate().rev() {
                let page = match depth {
                    0 => &self.leaf,
                    _ => &self.parents[self.parents.len() - depth].0,
                };
                let above = self.above(self.parents.len() - depth);
                let right = if depth == 0 { right.as_ref() } else { None };
                let context = LevelContext { page, above, right, new: fresh[depth].number(), after };
                let done = (depth == 0 && does_operation).then_some((line, operation));
                let at = if depth == 0 { line } else { self.parents[self.parents.len() - depth].1 };
                records.push(LogRecord::Split2(level_record(work, tree, &context, level, done, at)?));
            }
            if does_operation {
                // The record is about the page where the node ends up; that page's time is the macro's.
                let page = self.leaf.page();
                let mut record = record(
                    work,
                    tree,
                    &page,
                    (self.leaf.number(), line),
                    operation,
                    (DbTime::NIL, after),
                    entered,
                )?;
                relocate(&mut record, place, levels.first());
                records.push(record);
            }
            records
        };
        let prepared = {
            let mut latched: Vec<(PageNumber, Page<'_>)> = vec![(self.leaf.number(), self.leaf.page())];
            latched.extend(self.parents.iter().map(|(page, _)| (page.number(), page.page())));
            latched.extend(right.iter().map(|page| (page.number(), page.page())));
            let find = |number: PageNumber| latched.iter().find(|(n, _)| *n == number).map(|(_, page)| *page);
            apply::prepare(&records, tree.layout(), &find).map_err(|error| internal(tree, error))?
        };
        let end = work.append_macro(tree, after, &records)?;
        let begin0 = work.begin0();
        let all = std::iter::once(&mut self.leaf)
            .chain(self.parents.iter_mut().map(|(page, _)| page))
            .chain(right.iter_mut())
            .chain(fresh.iter_mut());
        let pages = put_all(tree, all, prepared.pages, begin0, end)?;
        log_macro_info(work, tree, pages);
        Ok(())
    }

    /// The page above the one at a depth of the path, as far as it is latched.
    fn above(&self, depth: usize) -> Option<&ExclusivePage> {
        self.parents.get(depth.checked_sub(1)?).map(|(page, _)| page)
    }
}

/// What is planned for the levels of a path.
enum Levels {
    /// These pages are split, from the leaf up; the page above the last has room.
    Of(Vec<Level>),
    /// The highest page latched has no room: it is the root and full, or what is above must be latched.
    FullRoot,
}

/// How a page of the path is split.
struct Level {
    plan: Plan,
    /// How many lines there are, the operation's own among them.
    lines: usize,
    /// The keys that become the prefixes of the page that stays and of the new one.
    left_prefix: Vec<u8>,
    right_prefix: Vec<u8>,
    /// What rollbacks may want of the two pages.
    left_reserved: usize,
    right_reserved: usize,
    /// Key and data of the first line that goes.
    first_moved: (Vec<u8>, Vec<u8>),
    /// The key of the new line in the page above.
    separator: Vec<u8>,
    does_operation: bool,
}

impl Level {
    fn new(plan: Plan, lines: &[Weighed<'_>], separator: Vec<u8>, does_operation: bool) -> Self {
        let (stay, go) = lines.split_at(plan.at.min(lines.len()));
        let key = |lines: &[Weighed<'_>], at: Option<usize>| {
            at.and_then(|at| lines.get(at)).map_or(Vec::new(), |weighed| weighed.line.key())
        };
        let reserved = |lines: &[Weighed<'_>]| lines.iter().map(|weighed| weighed.reserved).sum();
        Self {
            lines: lines.len(),
            left_prefix: key(stay, plan.left_prefix),
            right_prefix: key(go, plan.right_prefix),
            left_reserved: reserved(stay),
            right_reserved: reserved(go),
            first_moved: go
                .first()
                .map_or_else(Default::default, |first| (first.line.key(), first.line.data.to_vec())),
            plan,
            separator,
            does_operation,
        }
    }
}

/// The last page of a tree is full, and the new node comes behind all others: the page keeps all it has.
fn append(work: &Work, tree: &Tree, page: &Page<'_>, key: &[u8], data: &[u8]) -> Result<Option<Level>> {
    let Some(last) = page.line_count().checked_sub(1) else { return Ok(None) };
    let last = VirtualLine::of(&page.node(last)?);
    let new = VirtualLine { prefix: &[], suffix: key, data, flags: LineFlags::VERSION };
    let reserved = reserve_of(work, tree, key, data);
    if new.bytes(&[]) + reserved > capacity(page) {
        return Ok(None);
    }
    let pair = [last, new].map(|line| Weighed { line, reserved });
    let at = page.line_count();
    let plan = Plan { kind: SplitKind::Append, at, left_prefix: None, right_prefix: None };
    Ok(separator_at(&pair, 1, true, tree.is_unique).map(|separator| Level {
        plan,
        lines: at + 1,
        left_prefix: Vec::new(),
        right_prefix: Vec::new(),
        left_reserved: page.uncommitted_free_bytes(),
        right_reserved: reserved,
        first_moved: (key.to_vec(), data.to_vec()),
        separator,
        does_operation: true,
    }))
}

struct LevelContext<'a> {
    page: &'a ExclusivePage,
    above: Option<&'a ExclusivePage>,
    right: Option<&'a ExclusivePage>,
    new: PageNumber,
    after: DbTime,
}

/// The lines of a leaf with an operation done, each with what a rollback may want.
fn weighed_leaf<'a>(
    work: &Work,
    tree: &Tree,
    page: &Page<'a>,
    operation: Option<(usize, &Operation<'a>)>,
) -> Result<Vec<Weighed<'a>>> {
    let change = operation.map(|(line, operation)| match *operation {
        Operation::Insert { key, data } => {
            LineOperation::Insert { line, key, data, flags: LineFlags::VERSION }
        }
        _ => LineOperation::Replace { line, data: operation.data(), flags: LineFlags::VERSION },
    });
    let lines = virtual_lines(page, change)?;
    // Otherwise no rollback wants anything of the page.
    let is_reserved = page.uncommitted_free_bytes() > 0;
    let mut key = Vec::new();
    let weighed = lines.into_iter().enumerate().map(|(index, line)| {
        let is_own = operation.is_some_and(|(at, _)| at == index);
        if !line.flags.contains(LineFlags::VERSION) || !(is_reserved || is_own) {
            return Weighed { line, reserved: 0 };
        }
        let old = match operation {
            // The operation's own growth takes what its node had reserved; what it leaves free is reserved.
            Some((at, Operation::Replace { .. } | Operation::Reinsert { .. })) if at == index => {
                page.node(at).map_or(0, |n| n.data.len())
            }
            _ => 0,
        };
        key.clear();
        key.extend_from_slice(line.prefix);
        key.extend_from_slice(line.suffix);
        let reserved = reserve_of(work, tree, &key, line.data).max(old.saturating_sub(line.data.len()));
        Weighed { line, reserved }
    });
    Ok(weighed.collect())
}

/// Bytes of a page for its external header, lines and their tags.
pub(super) fn capacity(page: &Page<'_>) -> usize {
    page.page_size().bytes() - page.page_size().header_bytes() - TAG_BYTES
}

/// Whether an internal page can take one more separator of so many bytes.
fn has_room_for(page: &Page<'_>, separator_bytes: usize) -> bool {
    // Tag, length, key, child.
    page.free_bytes() >= separator_bytes.saturating_add(TAG_BYTES + 2 + 4)
}

/// The record of a level whose only change is one more child.
fn path_record(
    work: &Work,
    tree: &Tree,
    page: &ExclusivePage,
    above: Option<&ExclusivePage>,
    after: DbTime,
) -> Split2 {
    let flags = page.page().flags().bits();
    Split2 {
        page: page_prefix(work, tree, page, after),
        new_page: PageNumber::NONE,
        right: PageNumber::NONE,
        right_before: DbTime::NIL,
        parent: above.map_or(PageNumber::NONE, |page| page.number()),
        parent_before: above.map_or(DbTime::NIL, |page| page.page().db_time()),
        root: tree.root,
        object: tree.object,
        kind: SplitKind::Vertical,
        operation: SplitOperation::None,
        operation_line: 0,
        split_line: 0,
        lines: 0,
        new_page_flags: 0,
        split_page_flags: flags,
        split_uncommitted_free: 0,
        new_uncommitted_free: 0,
        split_prefix_line: -1,
        new_prefix_line: -1,
        old_prefix: Vec::new(),
        new_prefix: Vec::new(),
        separator: Vec::new(),
        image_flags: 0,
        image: LongBytes::default(),
    }
}

/// The record of a page that is split.
fn level_record(
    work: &Work,
    tree: &Tree,
    context: &LevelContext<'_>,
    level: &Level,
    done: Option<(usize, &Operation<'_>)>,
    operation_line: usize,
) -> Result<Split2> {
    let page = context.page.page();
    let plan = &level.plan;
    let flags = (page.flags() - PageFlags::SCRUBBED).bits();
    let operation = match done {
        _ if !page.is_leaf() => SplitOperation::Insert,
        None => SplitOperation::None,
        Some((_, Operation::Insert { .. })) => SplitOperation::Insert,
        Some((_, Operation::Reinsert { .. })) => SplitOperation::FlagInsertAndReplaceData,
        Some(_) => SplitOperation::Replace,
    };
    let only_new_line = plan.kind == SplitKind::Append;
    let image = if only_new_line { None } else { Some(encode_image(&page)) };
    Ok(Split2 {
        page: page_prefix(work, tree, context.page, context.after),
        new_page: context.new,
        right: context.right.map_or(PageNumber::NONE, |page| page.number()),
        right_before: context.right.map_or(DbTime::NIL, |page| page.page().db_time()),
        parent: context.above.map_or(PageNumber::NONE, |page| page.number()),
        parent_before: context.above.map_or(DbTime::NIL, |page| page.page().db_time()),
        root: tree.root,
        object: tree.object,
        kind: plan.kind,
        operation,
        operation_line: if operation == SplitOperation::None { 0 } else { operation_line as u16 },
        split_line: plan.at as u16,
        lines: level.lines as u16,
        new_page_flags: flags,
        split_page_flags: flags,
        split_uncommitted_free: level.left_reserved as i16,
        new_uncommitted_free: level.right_reserved as i16,
        split_prefix_line: plan.left_prefix.map_or(-1, |line| line as i32),
        new_prefix_line: plan.right_prefix.map_or(-1, |line| line as i32),
        old_prefix: page.key_prefix()?.to_vec(),
        new_prefix: level.left_prefix.clone(),
        separator: level.separator.clone(),
        image_flags: image.as_ref().map_or(0, |image| image.flags),
        image: LongBytes(image.map_or_else(Vec::new, |image| image.bytes)),
    })
}

/// Gives a full root a level below it, which takes all its lines.
fn vertical(
    work: &mut Work,
    tree: &Tree,
    root: &mut ExclusivePage,
    spare: &mut Vec<PageNumber>,
) -> Result<Outcome> {
    let Some(new) = spare.pop() else { return Ok(Outcome::MorePages(1)) };
    let result = vertical_into(work, tree, root, new);
    if result.is_err() {
        spare.push(new);
    }
    result.map(|()| Outcome::Done(false))
}

fn vertical_into(work: &mut Work, tree: &Tree, root: &mut ExclusivePage, new: PageNumber) -> Result<()> {
    let after = tree.file.file().next_db_time();
    let mut fresh = tree.file.fresh(new)?;
    let record = {
        let page = root.page();
        let flags = page.flags() - PageFlags::SCRUBBED;
        let below = flags - PageFlags::ROOT;
        let above = match page.is_leaf() {
            true => (flags - PageFlags::LEAF) | PageFlags::PARENT_OF_LEAF,
            false => flags - PageFlags::PARENT_OF_LEAF,
        };
        let lines = virtual_lines(&page, None)?;
        let prefix = apply::choose_prefix(lines.iter(), below);
        let image = encode_image(&page);
        Split2 {
            page: page_prefix(work, tree, root, after),
            new_page: new,
            right: PageNumber::NONE,
            right_before: DbTime::NIL,
            parent: PageNumber::NONE,
            parent_before: DbTime::NIL,
            root: tree.root,
            object: tree.object,
            kind: SplitKind::Vertical,
            operation: SplitOperation::None,
            operation_line: 0,
            split_line: 0,
            lines: lines.len() as u16,
            new_page_flags: below.bits(),
            split_page_flags: above.bits(),
            split_uncommitted_free: 0,
            new_uncommitted_free: page.uncommitted_free_bytes() as i16,
            split_prefix_line: -1,
            new_prefix_line: prefix.map_or(-1, |line| line as i32),
            old_prefix: Vec::new(),
            new_prefix: Vec::new(),
            separator: Vec::new(),
            image_flags: image.flags,
            image: LongBytes(image.bytes),
        }
    };
    let records = [LogRecord::Split2(record)];
    let prepared = {
        let page = root.page();
        let number = root.number();
        apply::prepare(&records, tree.layout(), &|n| (n == number).then_some(page))
            .map_err(|error| internal(tree, error))?
    };
    let end = work.append_macro(tree, after, &records)?;
    let begin0 = work.begin0();
    let pages = put_all(tree, [&mut *root, &mut fresh], prepared.pages, begin0, end)?;
    work.store().nodes_moved(tree.file.id(), tree.root, new, |_| true);
    log_macro_info(work, tree, pages);
    Ok(())
}

pub(super) fn page_prefix(work: &Work, tree: &Tree, page: &ExclusivePage, after: DbTime) -> PagePrefix {
    work.page_prefix(tree, page.number(), page.page().db_time(), after)
}

/// Puts the worked-out content into the latched pages; returns which they are.
pub(super) fn put_all<'a>(
    tree: &Tree,
    latched: impl IntoIterator<Item = &'a mut ExclusivePage>,
    mut images: Vec<(PageNumber, Vec<u8>)>,
    begin0: ese_format::LogPosition,
    end: ese_format::LogPosition,
) -> Result<Vec<PageNumber>> {
    let numbers = images.iter().map(|(number, _)| *number).collect();
    for page in latched {
        if let Some(at) = images.iter().position(|(number, _)| *number == page.number()) {
            page.take_over(images.swap_remove(at).1).map_err(|error| parted(tree, error))?;
            page.changed(begin0, end);
        }
    }
    match images.is_empty() {
        true => Ok(numbers),
        false => {
            let error = Error::new(JetErr::InternalError, "a macro changes a page that is not latched");
            Err(parted(tree, error))
        }
    }
}

/// Names the pages of a macro, for those who read ahead; redo ignores it, so a failure does not matter.
pub(super) fn log_macro_info(work: &mut Work, tree: &Tree, pages: Vec<PageNumber>) {
    if tree.file.id() == 1 {
        let _ = work.append(tree, &LogRecord::MacroInfo(MacroInfo { pages, rest: Vec::new() }));
    }
}

/// Makes the record of the operation one about the page where its node ends up.
fn relocate(record: &mut LogRecord, place: (PageNumber, usize), level: Option<&Level>) {
    let (page, line) = place;
    let prefix = match record {
        LogRecord::Insert(r) => {
            // The key is stored by the prefix that this page has after the split.
            if let Some(level) =
                level.filter(|level| page != r.node.page.page || level.plan.kind == SplitKind::Right)
            {
                let key = [&r.prefix[..], &r.suffix].concat();
                let shared = shared_after(level, page, &key, r.node.page.page);
                let (prefix, suffix) = key.split_at(shared);
                (r.prefix, r.suffix) = (prefix.to_vec(), suffix.to_vec());
            }
            &mut r.node.page
        }
        LogRecord::Replace(r) | LogRecord::ReplaceDiff(r) => &mut r.node.page,
        LogRecord::FlagInsertAndReplaceData(r) => &mut r.node.page,
        _ => return,
    };
    prefix.page = page;
    prefix.line = line as u16;
}

/// How many bytes of a key the prefix of its page saves after the split.
fn shared_after(level: &Level, page: PageNumber, key: &[u8], split_page: PageNumber) -> usize {
    let prefix = if page == split_page { &level.left_prefix } else { &level.right_prefix };
    let shared = ese_format::node::common_prefix(prefix, key);
    if shared > 2 { shared } else { 0 }
}
