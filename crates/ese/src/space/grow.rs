//! Growth: extents from the parent, more room in the file, trees of extents for trees that had none.

use super::Space;
use super::extents::{Ask, Bound, Extents};
use super::session::Session;
use super::take::{Held, tree_at};
use super::tree::put_new;
use crate::btree::Tree;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::Ordering;
use ese_format::log::record::{ConvertFdp2, ExtendDb, LogRecord};
use ese_format::page::PageFlags;
use ese_format::space::{Extent, RootFields, SpaceFlags, SpaceKind};
use ese_format::{PageNumber, PageSize};

/// Pages of zeros written at once.
const ZEROS: u32 = 64;

impl Space {
    /// Gets a tree, whose root page is held, another extent with room for what is asked, and returns that.
    pub(super) fn grow(
        &self,
        session: &mut Session,
        tree: &Tree,
        held: Held,
        extents: &Extents,
        ask: Ask,
    ) -> Result<Extent> {
        let buffer = extents.buffer_wanted()?;
        let too_many = || out_of_space(tree, "no extent can be that large");
        let least = ask.least.checked_add(buffer).ok_or_else(too_many)?;
        let usual = || self.next_extent(&held.fields, tree.file.page_size());
        let next = match ask.bound {
            Bound::Usual => usual(),
            Bound::Before { growth, .. } => usual().min(growth),
        };
        let next = next.max(ask.enough.min(ask.most));
        let most = next.max(ask.least).checked_add(buffer).ok_or_else(too_many)?;
        let parent = held.fields.space.parent;
        let is_root = tree.root == PageNumber::DATABASE_ROOT || !parent.is_some();
        let new = match is_root {
            true => {
                let most = most.max(self.file_pages.load(Ordering::Relaxed));
                self.extend_file(session, tree, extents, (least, most))?
            }
            false => {
                let parent = tree_at(tree, parent)?;
                // An extent of a quarter of what is wanted is better than growth all the way up.
                let ask = Ask {
                    least,
                    enough: least.max(most / 4),
                    most,
                    near: PageNumber::NONE,
                    bound: ask.bound,
                };
                let new = match self.take_run(session, &parent, ask) {
                    // What is left is better than nothing.
                    Err(error) if is_full(&error) => {
                        self.take_run(session, &parent, Ask { enough: least, ..ask })?
                    }
                    result => result?,
                };
                if let Err(error) = extents.add_owned(session, new) {
                    let _ = self.give_run(session, &parent, new);
                    return Err(error);
                }
                new
            }
        };
        self.use_extent(session, extents, new)?;
        self.settle_strays(session, extents)?;
        if is_root || ask.bound != Bound::Usual {
            return Ok(new);
        }
        let mut fields = held.fields;
        if fields.space.pages == new.pages && fields.space.flags.contains(SpaceFlags::VERSION_2) {
            return Ok(new);
        }
        // The header remembers the size for the next time.
        fields.space.pages = new.pages;
        fields.space.flags |= SpaceFlags::VERSION_2;
        held.set(session, tree, fields)?;
        Ok(new)
    }

    /// Makes the pages of a new owned extent available, but for those that splits of the tree of owned extents
    /// need. What fails here leaves them owned and not available.
    pub(super) fn use_extent(&self, session: &mut Session, extents: &Extents, new: Extent) -> Result<()> {
        let mut for_buffer = extents.buffer_wanted()?.min(new.pages);
        if for_buffer > 0 && !extents.fill_buffer(session, Extent::new(new.first(), for_buffer))? {
            for_buffer = 0;
        }
        let rest = Extent { last: new.last, pages: new.pages - for_buffer };
        if rest.pages > 0 {
            session.insert(extents, &extents.available, &rest.key(), &rest.data())?;
        }
        Ok(())
    }

    /// The size of the extent that a tree should get next.
    fn next_extent(&self, fields: &RootFields, page_size: PageSize) -> u32 {
        let most = (self.growth.most_bytes / page_size.bytes() as u32).max(self.growth.least_pages);
        let last = match fields.space.flags.contains(SpaceFlags::VERSION_2) {
            true => fields.space.pages.saturating_mul(2),
            false => fields.space.pages,
        };
        last.clamp(self.growth.least_pages.min(most), most)
    }

    /// Makes the file longer and the new pages owned, not available yet. The database's root page is held, so
    /// one thread at a time does this.
    pub(super) fn extend_file(
        &self,
        session: &mut Session,
        tree: &Tree,
        extents: &Extents,
        (least, most): (u32, u32),
    ) -> Result<Extent> {
        let file = tree.file.file();
        let old = extents.last_owned(session)?.last;
        let limit = self.limits.read().get(&tree.file.id()).copied();
        let limit = limit.unwrap_or(PageNumber::MAX.0).min(PageNumber::MAX.0);
        let room = limit.saturating_sub(old.0);
        if room < least {
            return Err(out_of_space(tree, format!("the database may have {limit} pages and has {old}")));
        }
        let mut pages = most.clamp(least, room);
        // A file longer than what is owned has leftovers there, which nobody may take for pages.
        let leftover = file.last_page();
        loop {
            match file.extend_to(PageNumber(old.0 + pages)) {
                Ok(()) => break,
                Err(error) if error.code() == JetErr::DiskFull && pages > least => pages = least,
                Err(error) => return Err(error),
            }
        }
        let new = Extent { last: PageNumber(old.0 + pages), pages };
        zero(tree, old, leftover.min(new.last))?;
        // The record comes behind the transaction's Begin0, so the checkpoint stays before it until the
        // entry of the new extent is durable in the file, and with it the file's length.
        session.work.append(
            tree,
            &LogRecord::ExtendDb(ExtendDb { dbid: tree.file.id(), last_page: new.last, rest: Vec::new() }),
        )?;
        extents.add_owned(session, new)?;
        Ok(new)
    }

    /// Gives a tree, whose root page is held, trees of extents: they begin an extent from its parent.
    pub(super) fn convert(&self, session: &mut Session, tree: &Tree, held: Held, ask: Ask) -> Result<()> {
        let SpaceKind::Single { available } = held.fields.space.kind else { return Ok(()) };
        let space = held.fields.space;
        if !space.parent.is_some() || space.parent == tree.root {
            return Err(Error::new(
                JetErr::SPOwnExtCorrupted,
                format!("page {} cannot be the parent of the tree", space.parent),
            )
            .page(tree.root)
            .file(tree.file.file().path()));
        }
        let parent = tree_at(tree, space.parent)?;
        let wanted = ask.enough.min(ask.most).max(ask.least).saturating_add(2).max(self.growth.least_pages);
        let least = ask.least.saturating_add(2);
        let ask = Ask { least, enough: least, most: wanted, near: PageNumber::NONE, bound: ask.bound };
        let secondary = self.take_run(session, &parent, ask)?;
        let result = self.convert_with(session, tree, held, available, secondary);
        if result.is_err() {
            let _ = self.give_run(session, &parent, secondary);
        }
        result
    }

    fn convert_with(
        &self,
        session: &mut Session,
        tree: &Tree,
        held: Held,
        available: u32,
        secondary: Extent,
    ) -> Result<()> {
        let space = held.fields.space;
        let mut root = held.root.upgrade();
        let (before, after) = (root.page().db_time(), tree.file.file().next_db_time());
        let owned = secondary.first();
        let record = LogRecord::ConvertFdp2(ConvertFdp2 {
            page: session.work.page_prefix(tree, tree.root, before, after),
            object: tree.object,
            owned,
            available: PageNumber(owned.0 + 1),
            parent: space.parent,
            secondary_first: owned,
            primary_pages: space.pages.max(1),
            secondary_pages: secondary.pages,
            available_bits: available,
            page_flags: (tree.kind - PageFlags::SPACE_TREE).bits(),
        });
        let mut owned_root = tree.file.fresh(owned)?;
        let mut available_root = tree.file.fresh(PageNumber(owned.0 + 1))?;
        put_new(&mut session.work, tree, &record, &mut [&mut root, &mut owned_root, &mut available_root])
    }
}

/// Makes zeros of the pages behind `old` up to `last`.
fn zero(tree: &Tree, old: PageNumber, last: PageNumber) -> Result<()> {
    let file = tree.file.file();
    let mut next = old.0 + 1;
    while next <= last.0 {
        let pages = (last.0 - next + 1).min(ZEROS);
        let zeros = vec![0; pages as usize * tree.file.page_size().bytes()];
        file.write_pages(PageNumber(next), &zeros)?;
        next += pages;
    }
    Ok(())
}

/// Whether an error says that the file cannot grow.
fn is_full(error: &Error) -> bool {
    matches!(error.code(), JetErr::DiskFull | JetErr::OutOfDatabaseSpace)
}

fn out_of_space(tree: &Tree, sentence: impl Into<String>) -> Error {
    Error::new(JetErr::OutOfDatabaseSpace, sentence).file(tree.file.file().path())
}
