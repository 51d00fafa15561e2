//! The external header of a root page.

use super::extent::{Extent, Pool};
use crate::error::{FormatError, Result};
use crate::page::Page;
use crate::primitives::PageNumber;
use bitflags::bitflags;

bitflags! {
    /// The flags of a space header.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SpaceFlags: u32 {
        /// Owned and available extents are in trees.
        const MULTIPLE_EXTENT = 1;
        /// The tree permits equal keys.
        const NON_UNIQUE = 2;
        /// The first field counts the pages of the last allocation and not of the first extent.
        const VERSION_2 = 4;
        const _ = !0;
    }
}

/// Where a tree's space is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpaceKind {
    /// In a bitmap: bit `k` says that page `root + 1 + k` is available.
    Single {
        /// The bitmap. Pages behind its 32 bits are available.
        available: u32,
    },
    /// In two trees of extents.
    Multiple {
        /// The root of the owned extents; that of the available ones is the next page.
        owned_root: PageNumber,
    },
}

/// A tree's space header, 16 bytes (ESE: SPACE_HEADER).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceHeader {
    /// Pages of the first extent, or with [`SpaceFlags::VERSION_2`] of the last allocation.
    pub pages: u32,
    /// The root of the tree that this tree's pages come from; none for the database's root.
    pub parent: PageNumber,
    /// Its flags; [`SpaceFlags::MULTIPLE_EXTENT`] follows `kind`.
    pub flags: SpaceFlags,
    /// Where the space is recorded.
    pub kind: SpaceKind,
}

impl SpaceHeader {
    /// Bytes on disk.
    pub const BYTES: usize = 16;

    /// The header of a new tree that has one extent of `pages` pages, its root the first of them.
    pub fn new_single(parent: PageNumber, pages: u32, non_unique: bool) -> Self {
        let available = match pages {
            0 | 1 => 0,
            2..=32 => (1 << (pages - 1)) - 1,
            _ => u32::MAX,
        };
        let flags = if non_unique { SpaceFlags::NON_UNIQUE } else { SpaceFlags::empty() };
        Self { pages, parent, flags, kind: SpaceKind::Single { available } }
    }

    /// The header of a tree whose first extent has `pages` pages and whose extents are in trees.
    pub fn new_multiple(parent: PageNumber, pages: u32, non_unique: bool, owned_root: PageNumber) -> Self {
        let header = Self::new_single(parent, pages, non_unique);
        Self {
            flags: header.flags | SpaceFlags::MULTIPLE_EXTENT,
            kind: SpaceKind::Multiple { owned_root },
            ..header
        }
    }

    /// From the bytes on disk.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let flags = SpaceFlags::from_bits_retain(word(8));
        let kind = match flags.contains(SpaceFlags::MULTIPLE_EXTENT) {
            true => SpaceKind::Multiple { owned_root: PageNumber(word(12)) },
            false => SpaceKind::Single { available: word(12) },
        };
        Self { pages: word(0), parent: PageNumber(word(4)), flags, kind }
    }

    /// To the bytes on disk.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut flags = self.flags;
        let last = match self.kind {
            SpaceKind::Single { available } => available,
            SpaceKind::Multiple { owned_root } => owned_root.0,
        };
        flags.set(SpaceFlags::MULTIPLE_EXTENT, matches!(self.kind, SpaceKind::Multiple { .. }));
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip([self.pages, self.parent.0, flags.bits(), last]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The one extent of a tree without extent trees.
    pub fn single_extent(&self, root: PageNumber) -> Option<Extent> {
        match self.kind {
            SpaceKind::Single { .. } => Some(Extent::new(root, self.pages.max(1))),
            SpaceKind::Multiple { .. } => None,
        }
    }

    /// The available runs of a tree without extent trees, in page order.
    pub fn single_available(&self, root: PageNumber) -> Vec<(Pool, Extent)> {
        let SpaceKind::Single { available } = self.kind else {
            return Vec::new();
        };
        let mut runs: Vec<(Pool, Extent)> = Vec::new();
        let mut add = |first: u32, pages: u32| match runs.last_mut() {
            Some((_, run)) if run.last.0 + 1 == first => {
                *run = Extent { last: PageNumber(run.last.0 + pages), pages: run.pages + pages };
            }
            _ => runs.push((Pool::GENERAL, Extent::new(PageNumber(first), pages))),
        };
        let behind_root = self.pages.saturating_sub(1).min(PageNumber::MAX.0 - root.0.min(PageNumber::MAX.0));
        for bit in (0..behind_root.min(32)).filter(|bit| available >> bit & 1 != 0) {
            add(root.0 + 1 + bit, 1);
        }
        if behind_root > 32 {
            add(root.0 + 33, behind_root - 32);
        }
        runs
    }
}

/// All that the external header of a root page can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootFields {
    /// The space header.
    pub space: SpaceHeader,
    /// The highest auto-increment value that may have been given out (update 30 and later).
    pub auto_increment: Option<u64>,
}

impl RootFields {
    const HAS_SPACE: u8 = 1;
    const HAS_AUTO_INCREMENT: u8 = 2;

    /// From the external header of a root: 16 bytes, or a byte of flags and the fields it names.
    ///
    /// # Errors
    /// `Corrupt` when there is no space header or the length is not that of the fields.
    pub fn decode(header: &[u8]) -> Result<Self> {
        let wrong = || FormatError::corrupt(format!("a root header of {} bytes", header.len()));
        if let Ok(bytes) = header.try_into() {
            return Ok(Self { space: SpaceHeader::decode(bytes), auto_increment: None });
        }
        let (&fields, rest) = header.split_first().ok_or_else(wrong)?;
        if fields & !(Self::HAS_SPACE | Self::HAS_AUTO_INCREMENT) != 0 || fields & Self::HAS_SPACE == 0 {
            return Err(FormatError::corrupt(format!("a root header with the fields {fields:#04x}")));
        }
        let (space, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        let auto_increment = match (fields & Self::HAS_AUTO_INCREMENT != 0, rest) {
            (false, []) => None,
            (true, rest) => Some(u64::from_le_bytes(rest.try_into().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        Ok(Self { space: SpaceHeader::decode(space), auto_increment })
    }

    /// To the external header: the short form whenever it says everything.
    pub fn encode(&self) -> Vec<u8> {
        let space = self.space.encode();
        match self.auto_increment {
            None => space.to_vec(),
            Some(mark) => {
                let fields = [Self::HAS_SPACE | Self::HAS_AUTO_INCREMENT];
                [&fields[..], &space, &mark.to_le_bytes()].concat()
            }
        }
    }

    /// Those of a root page.
    ///
    /// # Errors
    /// As [`Self::decode`]; `Corrupt` when the page is no root.
    pub fn of_page(page: &Page<'_>) -> Result<Self> {
        if !page.is_root() {
            return Err(FormatError::corrupt("the page is no root"));
        }
        Self::decode(page.external_header()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive_decoding(bytes in any::<[u8; 16]>(), next: Option<u64>) {
            let fields = RootFields { space: SpaceHeader::decode(&bytes), auto_increment: next };
            prop_assert_eq!(fields.space.encode(), bytes);
            prop_assert_eq!(RootFields::decode(&fields.encode()), Ok(fields));
            fields.space.single_available(PageNumber(u32::from(bytes[3]) << 20));
        }

        #[test]
        fn any_root_header_is_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(fields) = RootFields::decode(&bytes)
                && bytes.len() != 17
            {
                prop_assert_eq!(fields.encode(), bytes);
            }
        }

        #[test]
        fn extents_survive_decoding(last in 1u32..0x7FEF_FFFF, pages in 1u32..1000, pool in 0u8..3) {
            prop_assume!(pages <= last);
            let extent = Extent { last: PageNumber(last), pages };
            prop_assert_eq!(Extent::new(extent.first(), pages), extent);
            prop_assert_eq!(Extent::decode_owned(&extent.key(), &extent.data()), Ok(Some(extent)));
            prop_assert_eq!(
                Extent::decode_available(&extent.available_key(Pool(pool)), &extent.data()),
                Ok(Some((Pool(pool), extent)))
            );
        }
    }

    #[test]
    fn bitmaps_become_runs() {
        let mut header = SpaceHeader::new_single(PageNumber(1), 40, false);
        let runs = |h: &SpaceHeader| -> Vec<(u32, u32)> {
            h.single_available(PageNumber(100)).iter().map(|(_, e)| (e.first().0, e.last.0)).collect()
        };
        assert_eq!(runs(&header), [(101, 139)]);
        header.kind = SpaceKind::Single { available: 0b1011 };
        assert_eq!(runs(&header), [(101, 102), (104, 104), (133, 139)]);
        header.pages = 3;
        assert_eq!(runs(&header), [(101, 102)]);
        assert_eq!(runs(&SpaceHeader::new_single(PageNumber(1), 1, false)), []);
        assert_eq!(runs(&SpaceHeader::new_single(PageNumber(1), 4, false)), [(101, 103)]);
    }
}
