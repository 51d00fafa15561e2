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
    changers: Vec<Changer>,
    /// The value, and those of the changers whose changes are in it. It does not keep them known.
    value: Option<(T, Vec<Weak<Owner>>)>,
}

impl<T> Default for Subject<T> {
    fn default() -> Self {
        Self { changers: Vec::new(), value: None }
    }
}

/// A transaction that changes a subject.
struct Changer {
    owner: Weak<Owner>,
    /// Whether other changes must see what it did.
    excludes: bool,
}

/// What a change needs of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// To have seen all but the additions.
    Changes,
    /// To have seen everything: the subject goes as a whole.
    All,
    /// Nothing: it only adds, and the rows tell of conflicts.
    Nothing,
}

/// Under which changes a value was, or is about to be, read.
pub(super) struct View(Option<Vec<Arc<Owner>>>);

impl<T: Clone> Subject<T> {
    fn owners(&self) -> impl Iterator<Item = Arc<Owner>> {
        self.changers.iter().filter_map(|changer| changer.owner.upgrade())
    }

    /// The value, if it holds for this snapshot.
    pub(super) fn get(&mut self, snapshot: &Snapshot) -> Option<T> {
        self.prune();
        let (value, seen) = self.value.as_ref()?;
        for changer in &self.changers {
            // The last one who knew it may forget it at any moment, this one included.
            let Some(owner) = changer.owner.upgrade() else {
                self.value = None;
                return None;
            };
            let is_seen = seen.iter().any(|other| other.as_ptr() == Arc::as_ptr(&owner));
            if snapshot.is_own(&owner) || snapshot.sees(&owner) != is_seen {
                return None;
            }
        }
        Some(value.clone())
    }

    /// To be asked before the value is read.
    pub(super) fn view(&mut self, snapshot: &Snapshot) -> View {
        self.prune();
        let changers: Vec<_> = self.owners().collect();
        // What a transaction has changed itself it may change again: that is nothing to keep.
        let is_own = changers.iter().any(|owner| snapshot.is_own(owner));
        View((!is_own).then(|| changers.into_iter().filter(|owner| snapshot.sees(owner)).collect()))
    }

    /// Keeps what was read.
    pub(super) fn put(&mut self, view: View, value: T) {
        if let View(Some(seen)) = view {
            self.value = Some((value, seen.iter().map(Arc::downgrade).collect()));
        }
    }

    /// Whatever was read holds no more.
    pub(super) fn forget(&mut self) {
        self.value = None;
    }

    /// A transaction is about to change the subject.
    ///
    /// # Errors
    /// `WriteConflict` when another one has changed it whose changes it needs and does not see.
    pub(super) fn enter(&mut self, owner: &Arc<Owner>, snapshot: &Snapshot, needs: Needs) -> Result<()> {
        self.prune();
        let conflicts = |changer: &Changer| {
            let counts = match needs {
                Needs::Changes => changer.excludes,
                Needs::All => true,
                Needs::Nothing => false,
            };
            counts && changer.owner.upgrade().is_some_and(|o| o.committed().is_some() && !snapshot.sees(&o))
        };
        if self.changers.iter().any(conflicts) {
            return Err(Error::new(JetErr::WriteConflict, "another transaction has changed the table"));
        }
        let excludes = needs != Needs::Nothing;
        match self.changers.iter_mut().find(|changer| changer.owner.as_ptr() == Arc::as_ptr(owner)) {
            Some(changer) => changer.excludes |= excludes,
            None => self.changers.push(Changer { owner: Arc::downgrade(owner), excludes }),
        }
        Ok(())
    }

    /// Whether nobody changes it.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.prune();
        self.changers.is_empty()
    }

    /// Whether nothing is kept of it.
    pub(super) fn is_unread(&self) -> bool {
        self.value.is_none()
    }

    /// Whether a snapshot sees all who have changed it, and with it all later snapshots of the same session.
    pub(super) fn is_settled(&mut self, snapshot: &Snapshot) -> bool {
        self.prune();
        self.owners().all(|owner| !snapshot.is_own(&owner) && snapshot.sees(&owner))
    }

    /// Forgets transactions that nobody knows any more. Whether they committed is unknown then, so nothing
    /// that was read before is kept.
    fn prune(&mut self) {
        let before = self.changers.len();
        self.changers.retain(|changer| changer.owner.strong_count() > 0);
        if self.changers.len() < before {
            self.value = None;
        }
    }
}
