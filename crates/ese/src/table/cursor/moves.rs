//! To the next record and the one before, in the order of the current index.

use super::{TableCursor, no_record};
use crate::btree::{Target, Work};
use crate::error::{Error, JetErr, Result};
use crate::version::Bookmark;

impl TableCursor {
    /// To the first record.
    ///
    /// # Errors
    /// `NoCurrentRecord` when there is none; those of the pages.
    pub fn move_first(&mut self, work: &Work) -> Result<()> {
        self.cancel_range();
        let found = self.order().first(work)?;
        self.arrive(work, found)
    }

    /// To the last record.
    ///
    /// # Errors
    /// `NoCurrentRecord` when there is none; those of the pages.
    pub fn move_last(&mut self, work: &Work) -> Result<()> {
        self.cancel_range();
        let found = self.order().last(work)?;
        self.arrive(work, found)
    }

    /// To the next record. `other_key`: to the next with another key.
    ///
    /// # Errors
    /// `NoCurrentRecord` behind the last one or at the end of the range; those of the pages.
    pub fn move_next(&mut self, work: &Work, other_key: bool) -> Result<()> {
        let order = self.order();
        let found = match other_key && order.is_on() {
            true => {
                let key = order.key().to_vec();
                order.seek_forward(work, Target::behind(&key))?
            }
            false => order.next(work)?,
        };
        let inside = found && self.is_inside(true);
        if found && !inside {
            self.order().after_last();
        }
        self.arrive(work, inside)
    }

    /// To the record before. `other_key`: to the last with another key.
    ///
    /// # Errors
    /// `NoCurrentRecord` before the first one or at the end of the range; those of the pages.
    pub fn move_previous(&mut self, work: &Work, other_key: bool) -> Result<()> {
        let order = self.order();
        let found = match other_key && order.is_on() {
            true => {
                let key = order.key().to_vec();
                order.seek_backward(work, Target::before(&key))?
            }
            false => order.previous(work)?,
        };
        let inside = found && self.is_inside(false);
        if found && !inside {
            self.order().before_first();
        }
        self.arrive(work, inside)
    }

    /// Goes to the record of the index entry just found.
    pub(super) fn arrive(&mut self, work: &Work, found: bool) -> Result<()> {
        self.between = false;
        if !found {
            if self.index.is_some() {
                self.records.before_first();
            }
            return Err(no_record());
        }
        if let Some((_, entry)) = &self.index
            && !self.records.seek_exact(work, Bookmark { key: entry.data(), data: &[] })?
        {
            let index = self.current_index().unwrap_or_default();
            let sentence = format!("an entry of index {index} leads to no record");
            return Err(Error::new(JetErr::SecondaryIndexCorrupted, sentence)
                .file(self.table.tree.file.file().path()));
        }
        Ok(())
    }
}
