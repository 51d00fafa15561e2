//! Transactions that do not outlive their scope.

use crate::error::{Error, JetErr, Result};
use crate::raw::Session;

/// A transaction, or a level in one: rolled back when dropped, unless it was committed.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'s> {
    session: Scope<'s>,
    /// How deep it is; 0 once it has ended.
    level: u8,
}

/// A session without its inside, for `Debug`.
struct Scope<'s>(&'s Session);

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {}", self.0.id())
    }
}

impl<'s> Transaction<'s> {
    /// Begins one; in another one of the same session, a level of that.
    ///
    /// # Errors
    /// Those of [`Session::begin_transaction`].
    pub fn begin(session: &'s Session) -> Result<Self> {
        session.begin_transaction(false)?;
        Ok(Self { session: Scope(session), level: session.transaction_level()? })
    }

    /// Commits it. Of the outermost one all is durable on return.
    ///
    /// # Errors
    /// `NotInTransaction` when it is not the innermost level; those of [`Session::commit_transaction`]: it is
    /// rolled back then.
    pub fn commit(self) -> Result<()> {
        self.commit_with(false)
    }

    /// Commits it; it becomes durable with the next one that must be, at the latest.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_lazily(self) -> Result<()> {
        self.commit_with(true)
    }

    fn commit_with(mut self, lazy: bool) -> Result<()> {
        let level = self.session.0.transaction_level()?;
        if level != self.level {
            let sentence = format!("level {} cannot be committed at level {level}", self.level);
            return Err(Error::new(JetErr::NotInTransaction, sentence));
        }
        self.session.0.commit_transaction(lazy)?;
        self.level = 0;
        Ok(())
    }

    /// Rolls it back, with all levels in it, and says whether that went well.
    ///
    /// # Errors
    /// Those of [`Session::rollback_transaction`].
    pub fn roll_back(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let own = std::mem::take(&mut self.level);
        while own > 0 && self.session.0.transaction_level()? >= own {
            self.session.0.rollback_transaction(false)?;
        }
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "a transaction that was dropped is not rolled back");
        }
    }
}
