//! Compaction of the trees of extents themselves.

use super::Space;
use super::take::Held;
use crate::btree::{Compacted, Place, Tree};
use crate::error::Result;

impl Space {
    /// Merges under-full leaves of a tree's owned and available extents. Requests for its space wait meanwhile.
    ///
    /// # Errors
    /// Those of pages and log.
    pub fn compact(&self, tree: &Tree) -> Result<Compacted> {
        self.run(|session| {
            let held = Held::new(tree)?;
            let Some(extents) = held.extents(tree)? else { return Ok(Compacted::default()) };
            let mut all = Compacted::default();
            for of in [&extents.owned, &extents.available] {
                let mut place = Some(Place::default());
                while let Some(from) = place {
                    let done = session.compact(&extents, of, &from)?;
                    all.looked_at += done.looked_at;
                    all.merged += done.merged;
                    place = done.next;
                }
            }
            self.settle_strays(session, &extents)?;
            Ok(all)
        })
    }
}
