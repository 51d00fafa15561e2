//! Extents and how space trees store them.

use crate::error::{FormatError, Result};
use crate::page::Page;
use crate::primitives::PageNumber;
use crate::tree::PageRead;

/// Consecutive pages. Extents are known by their last page, so that taking pages from the front keeps the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Extent {
    /// The last page.
    pub last: PageNumber,
    /// The number of pages, at least 1 but in empty split buffers.
    pub pages: u32,
}

/// A pool of available extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pool(pub u8);

impl Pool {
    /// For every use.
    pub const GENERAL: Self = Self(0);
    /// Kept for contiguous allocation.
    pub const CONTIGUOUS: Self = Self(1);
    /// Behind the end of the file.
    pub const SHELVED: Self = Self(2);
}

impl Extent {
    /// An extent from its first page and its length.
    pub const fn new(first: PageNumber, pages: u32) -> Self {
        Self { last: PageNumber(first.0.saturating_add(pages).saturating_sub(1)), pages }
    }

    /// The first page.
    pub const fn first(&self) -> PageNumber {
        PageNumber(self.last.0.saturating_add(1).saturating_sub(self.pages))
    }

    /// Whether the page is in the extent.
    pub fn contains(&self, page: PageNumber) -> bool {
        self.pages > 0 && self.first() <= page && page <= self.last
    }

    /// The key of an owned extent, and of an available one of the general pool.
    pub const fn key(&self) -> [u8; 4] {
        self.last.0.to_be_bytes()
    }

    /// The key of an available extent of any pool.
    pub fn available_key(&self, pool: Pool) -> Vec<u8> {
        match pool {
            Pool::GENERAL => self.key().to_vec(),
            Pool(number) => [&[0x80 | number][..], &self.key()].concat(),
        }
    }

    /// The data of an extent's entry.
    pub const fn data(&self) -> [u8; 4] {
        self.pages.to_le_bytes()
    }

    /// An entry of a tree of owned extents; `None` for an extent without pages.
    ///
    /// # Errors
    /// `Corrupt` when key or data are none of an extent.
    pub fn decode_owned(key: &[u8], data: &[u8]) -> Result<Option<Self>> {
        Self::decode(key, data)
    }

    /// An entry of a tree of available extents; `None` for an extent without pages.
    ///
    /// # Errors
    /// `Corrupt` when key or data are none of an extent.
    pub fn decode_available(key: &[u8], data: &[u8]) -> Result<Option<(Pool, Self)>> {
        // Page numbers end below 0x80000000, so the high bit says that a pool precedes.
        match key {
            [pool, rest @ ..] if key.len() == 5 && pool & 0x80 != 0 => {
                Ok(Self::decode(rest, data)?.map(|extent| (Pool(pool & 0x7F), extent)))
            }
            _ => Ok(Self::decode(key, data)?.map(|extent| (Pool::GENERAL, extent))),
        }
    }

    fn decode(key: &[u8], data: &[u8]) -> Result<Option<Self>> {
        let (Ok(last), Ok(pages)) = (<[u8; 4]>::try_from(key), <[u8; 4]>::try_from(data)) else {
            return Err(FormatError::corrupt(format!(
                "an extent with a key of {} and data of {} bytes",
                key.len(),
                data.len()
            )));
        };
        let extent = Self { last: PageNumber(u32::from_be_bytes(last)), pages: u32::from_le_bytes(pages) };
        if extent.pages == 0 {
            return Ok(None);
        }
        if extent.last > PageNumber::MAX || extent.pages > extent.last.0 {
            return Err(FormatError::corrupt(format!(
                "an extent of {} pages cannot end at page {}",
                extent.pages, extent.last
            )));
        }
        Ok(Some(extent))
    }
}

/// The pages that a space tree keeps for its own splits: two extents in its root's external header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SplitBuffers(pub [Extent; 2]);

impl SplitBuffers {
    /// Bytes on disk.
    pub const BYTES: usize = 16;

    /// From the external header of a space tree's root; databases of 1998 may lack it.
    ///
    /// # Errors
    /// `Corrupt` when the length is another.
    pub fn decode(header: &[u8]) -> Result<Self> {
        if header.is_empty() {
            return Ok(Self::default());
        }
        let (words, rest) = header.as_chunks::<4>();
        let [last0, pages0, last1, pages1] = words else {
            return Err(FormatError::corrupt(format!("split buffers of {} bytes", header.len())));
        };
        if !rest.is_empty() {
            return Err(FormatError::corrupt(format!("split buffers of {} bytes", header.len())));
        }
        let extent = |last: &[u8; 4], pages: &[u8; 4]| Extent {
            last: PageNumber(u32::from_le_bytes(*last)),
            pages: u32::from_le_bytes(*pages),
        };
        Ok(Self([extent(last0, pages0), extent(last1, pages1)]))
    }

    /// To the bytes on disk.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (place, extent) in bytes.chunks_exact_mut(8).zip(self.0) {
            place[..4].copy_from_slice(&extent.last.0.to_le_bytes());
            place[4..].copy_from_slice(&extent.pages.to_le_bytes());
        }
        bytes
    }

    /// Those of the space tree with that root.
    ///
    /// # Errors
    /// Of reading the page and as [`Self::decode`].
    pub fn of_root(pages: &impl PageRead, root: PageNumber) -> Result<Self> {
        let bytes = pages.read(root)?;
        Page::new(&bytes, pages.page_size())
            .and_then(|page| Self::decode(page.external_header()?))
            .map_err(|error| error.at_page(root))
    }

    /// The extents that hold pages.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + use<> {
        self.0.into_iter().filter(|extent| extent.pages > 0)
    }
}
