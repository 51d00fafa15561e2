//! One simulated file: what programs see, what is surely on the disk, and what lies between.

use super::image::{Image, Piece};
use super::rng::SimRng;

/// A file. `live` is `durable` with all of `pending` applied in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    /// What programs see.
    pub(super) live: Image,
    /// What is on the disk whatever happens.
    durable: Image,
    /// What was written since the last good sync, oldest first.
    pending: Vec<Pending>,
    /// Whether a name leads to it: a file without one takes no space from the budget.
    pub(super) named: bool,
}

#[derive(Debug, Clone)]
struct Pending {
    change: Change,
    /// A sync that covered it failed: no later sync makes it durable, though it may be on the disk.
    doubtful: bool,
}

/// What can happen to a file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(Piece),
    SetLen(u64),
    Reserve(u64),
}

fn apply(change: &Change, image: &mut Image) {
    match change {
        Change::Put(piece) => image.put(piece),
        Change::SetLen(len) => image.set_len(*len),
        Change::Reserve(len) => image.reserve(*len),
    }
}

/// How much of what was pending reaches the disk when the power goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survival {
    Nothing,
    Everything,
    /// The oldest this many.
    First(usize),
    /// Each for itself, in this many of eight cases; in any order if so.
    Some {
        eighths: u64,
        reordered: bool,
    },
}

impl Survival {
    /// One way out of many, the extremes often enough to be met.
    pub(super) fn choose(rng: &mut SimRng, count: usize) -> Survival {
        match rng.below(8) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 | 3 => Survival::First(rng.below(count as u64 + 1) as usize),
            _ => Survival::Some { eighths: [1, 4, 7][rng.below(3) as usize], reordered: rng.chance(1, 2) },
        }
    }

    /// The survivors of `items`.
    pub(super) fn pick<'a, T>(self, rng: &mut SimRng, items: &'a [T]) -> Vec<&'a T> {
        match self {
            Survival::Nothing => Vec::new(),
            Survival::Everything => items.iter().collect(),
            Survival::First(count) => items.iter().take(count).collect(),
            Survival::Some { eighths, reordered } => {
                let mut kept: Vec<_> = items.iter().filter(|_| rng.chance(eighths, 8)).collect();
                if reordered {
                    rng.shuffle(&mut kept);
                }
                kept
            }
        }
    }
}

impl Content {
    /// A file that is wholly on the disk.
    pub(super) fn durable(image: Image) -> Content {
        Content { live: image.clone(), durable: image, pending: Vec::new(), named: true }
    }

    /// Changes what programs see; the disk learns of it later.
    pub(super) fn change(&mut self, change: Change) {
        apply(&change, &mut self.live);
        self.pending.push(Pending { change, doubtful: false });
    }

    /// A good sync: everything that no failed sync covered is on the disk.
    pub(super) fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let (doubtful, sure): (Vec<_>, Vec<_>) = pending.into_iter().partition(|p| p.doubtful);
        for p in &sure {
            apply(&p.change, &mut self.durable);
        }
        // What is newer than a doubtful change of the same block or length settles its fate.
        let resized = sure.iter().any(|p| !matches!(p.change, Change::Put(_)));
        self.pending = doubtful
            .into_iter()
            .filter(|old| match &old.change {
                Change::Put(piece) => !sure
                    .iter()
                    .any(|new| matches!(&new.change, Change::Put(newer) if newer.block == piece.block)),
                _ => !resized,
            })
            .collect();
    }

    /// A failed sync: what was pending may or may not be on the disk, and no later sync will tell.
    pub(super) fn fail_sync(&mut self) {
        for p in &mut self.pending {
            p.doubtful = true;
        }
    }

    /// What only the disk knows: the content as of the last good sync.
    pub(super) fn on_disk(&self) -> &Image {
        &self.durable
    }

    /// Whether something is not surely on the disk.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The file as it may be found after the power went.
    pub(super) fn after_power_loss(&self, rng: &mut SimRng, forced: Option<Survival>) -> Image {
        let mut image = self.durable.clone();
        if self.pending.is_empty() {
            return image;
        }
        let survival = forced.unwrap_or_else(|| Survival::choose(rng, self.pending.len()));
        for p in survival.pick(rng, &self.pending) {
            apply(&p.change, &mut image);
        }
        image
    }

    /// Rot: inverts a bit of the medium, whatever was written.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        self.durable.flip(offset, bit);
        self.live.flip(offset, bit)
    }
}
