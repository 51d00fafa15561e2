//! Who owns each page, and what it is used for: four bytes per page of the file.

use crate::sync::atomic::{AtomicU32, Ordering};
use ese_format::PageNumber;
use ese_format::space::Extent;
use std::collections::HashSet;

/// What an owned page is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The tree leads to it.
    Tree = 1,
    /// It is available.
    Available = 2,
    /// It is set aside for splits of the space trees.
    Buffer = 3,
}

impl Use {
    const fn of(word: u32) -> Option<Self> {
        match word >> USE_SHIFT {
            1 => Some(Self::Tree),
            2 => Some(Self::Available),
            3 => Some(Self::Buffer),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tree => "part of the tree",
            Self::Available => "available",
            Self::Buffer => "set aside for splits",
        }
    }
}

/// Why a page cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misuse {
    /// It is not in the file.
    Outside,
    /// It belongs to that tree, or to nobody.
    Owner(Option<usize>),
    /// It is used already.
    Twice(Use),
}

const USE_SHIFT: u32 = 30;
const OWNER_MASK: u32 = (1 << USE_SHIFT) - 1;

/// The map. A word is the innermost owner (0 nobody, else its number plus 1) and above it the use.
///
/// Only the owner marks a page as used and one thread walks a tree, so that what is found does not depend on
/// the order in which threads come.
pub(super) struct PageMap {
    words: Vec<AtomicU32>,
}

impl PageMap {
    pub(super) fn new(pages: u32) -> Self {
        Self { words: (0..pages).map(|_| AtomicU32::new(0)).collect() }
    }

    fn word(&self, page: PageNumber) -> Option<&AtomicU32> {
        self.words.get(usize::try_from(page.0.checked_sub(1)?).ok()?)
    }

    fn owner_of(word: u32) -> Option<usize> {
        (word & OWNER_MASK).checked_sub(1).map(|owner| owner as usize)
    }

    /// Hands a page from one owner to another one.
    pub(super) fn hand_over(
        &self,
        page: PageNumber,
        from: Option<usize>,
        from_nobody: bool,
        to: usize,
    ) -> Result<(), Misuse> {
        let word = self.word(page).ok_or(Misuse::Outside)?;
        let owner = Self::owner_of(word.load(Ordering::Relaxed));
        if owner != from && !(from_nobody && owner.is_none()) {
            return Err(Misuse::Owner(owner));
        }
        word.store((to as u32 + 1) & OWNER_MASK, Ordering::Relaxed);
        Ok(())
    }

    /// Marks a page as used by its owner.
    pub(super) fn take(&self, page: PageNumber, tree: usize, how: Use) -> Result<(), Misuse> {
        let word = self.word(page).ok_or(Misuse::Outside)?;
        let now = word.load(Ordering::Relaxed);
        match (Self::owner_of(now), Use::of(now)) {
            (Some(owner), None) if owner == tree => {
                word.store(now | (how as u32) << USE_SHIFT, Ordering::Relaxed);
                Ok(())
            }
            (Some(owner), Some(used)) if owner == tree => Err(Misuse::Twice(used)),
            (owner, _) => Err(Misuse::Owner(owner)),
        }
    }

    /// How many pages have an owner.
    pub(super) fn owned(&self) -> u64 {
        let owner = |word: &&AtomicU32| word.load(Ordering::Relaxed) & OWNER_MASK != 0;
        self.words.iter().filter(owner).count() as u64
    }

    /// The runs of pages that have an owner and no use, and are not used by others either.
    pub(super) fn leaks(&self, foreign: &HashSet<PageNumber>) -> Vec<(usize, Extent)> {
        let mut runs: Vec<(usize, Extent)> = Vec::new();
        for (number, word) in (1..).map(PageNumber).zip(&self.words) {
            let word = word.load(Ordering::Relaxed);
            let (Some(owner), None) = (Self::owner_of(word), Use::of(word)) else { continue };
            if foreign.contains(&number) {
                continue;
            }
            match runs.last_mut() {
                Some((of, run)) if *of == owner && run.last.0 + 1 == number.0 => {
                    *run = Extent { last: number, pages: run.pages + 1 };
                }
                _ => runs.push((owner, Extent::new(number, 1))),
            }
        }
        runs
    }
}
