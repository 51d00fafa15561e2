//! What was read of the catalog, and for whom it holds.
//!
//! A subject (the names of a database, one table) has a list of the transactions that change it. What one
//! snapshot has read holds for every other that sees the same of these transactions' changes. A transaction
//! enters the list before its first change and stays until nobody knows it any more: its versions keep it
//! alive while some snapshot does not see it.

use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Weak};
use crate::transaction::{Owner, Snapshot};

/// One subject with what was last read of it.
pub(super) struct Subject<T> {
    changers: Vec<Weak<Owner>>,
    /// The value, and those of the changers whose changes are in it.
    value: Option<(T, Vec<Arc<Owner>>)>,
}

impl<T> Default for Subject<T> {
    fn default() -> Self {
        Self { changers: Vec::new(), value: None }
    }
}

/// Under which changes a value was, or is about to be, read.
pub(super) struct View(Option<Vec<Arc<Owner>>>);

impl<T: Clone> Subject<T> {
    /// The value, if it holds for this snapshot.
    pub(super) fn get(&mut self, snapshot: &Snapshot) -> Option<T> {
        self.prune();
        let (value, seen) = self.value.as_ref()?;
        let holds = self.changers.iter().filter_map(Weak::upgrade).all(|owner| {
            !snapshot.is_own(&owner)
                && snapshot.sees(&owner) == seen.iter().any(|other| Arc::ptr_eq(other, &owner))
        });
        holds.then(|| value.clone())
    }

    /// To be asked before the value is read.
    pub(super) fn view(&mut self, snapshot: &Snapshot) -> View {
        self.prune();
        let changers: Vec<_> = self.changers.iter().filter_map(Weak::upgrade).collect();
        // What a transaction has changed itself it may change again: that is nothing to keep.
        let is_own = changers.iter().any(|owner| snapshot.is_own(owner));
        View((!is_own).then(|| changers.into_iter().filter(|owner| snapshot.sees(owner)).collect()))
    }

    /// Keeps what was read.
    pub(super) fn put(&mut self, view: View, value: T) {
        if let View(Some(seen)) = view {
            self.value = Some((value, seen));
        }
    }

    /// A transaction is about to change the subject.
    ///
    /// # Errors
    /// `WriteConflict` when another one has changed it whose changes it does not see.
    pub(super) fn enter(&mut self, owner: &Arc<Owner>, snapshot: &Snapshot) -> Result<()> {
        self.prune();
        let changers: Vec<_> = self.changers.iter().filter_map(Weak::upgrade).collect();
        if changers.iter().any(|other| other.committed().is_some() && !snapshot.sees(other)) {
            return Err(Error::new(JetErr::WriteConflict, "another transaction has changed the table"));
        }
        self.add(owner);
        Ok(())
    }

    /// As [`Self::enter`], where the rows themselves tell of conflicts.
    pub(super) fn add(&mut self, owner: &Arc<Owner>) {
        if !self.changers.iter().any(|other| other.as_ptr() == Arc::as_ptr(owner)) {
            self.changers.push(Arc::downgrade(owner));
        }
    }

    /// Whether nobody changes it.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.prune();
        self.changers.is_empty()
    }

    /// Forgets transactions that nobody knows any more. Whether they committed is unknown then, so nothing
    /// that was read before is kept.
    fn prune(&mut self) {
        let before = self.changers.len();
        self.changers.retain(|owner| owner.strong_count() > 0);
        if self.changers.len() < before {
            self.value = None;
        }
    }
}
