//! How large a cache may be, by the parameters that count in pages.

use crate::params::{ParamId, Parameters};
use ese_format::PageSize;

/// The part of the memory that pages may take at most, as a divisor.
const MEMORY_PART: u64 = 4;
/// What is taken for the memory where the system does not say.
const MEMORY_ASSUMED: u64 = 1 << 30;
/// Pages without which a few sessions could not work side by side.
const PAGES_LEAST: u64 = 64;

/// The parameters that say how large a cache is.
pub const SIZE_PARAMETERS: [ParamId; 3] = [ParamId::CacheSize, ParamId::CacheSizeMin, ParamId::CacheSizeMax];

/// The bound in bytes of a cache by its parameters, for pages of that size: JET_paramCacheSize if that is set, else
/// JET_paramCacheSizeMax; not below JET_paramCacheSizeMin; at most a quarter of the `memory` (bytes, if known).
pub fn cache_bytes(parameters: &Parameters, page_size: PageSize, memory: Option<u64>) -> usize {
    let pages = match parameters.integer(ParamId::CacheSize) {
        0 => parameters.integer(ParamId::CacheSizeMax),
        pinned => pinned,
    };
    let page_bytes = page_size.bytes() as u64;
    let wanted = pages.max(parameters.integer(ParamId::CacheSizeMin)).saturating_mul(page_bytes);
    let most = memory.unwrap_or(MEMORY_ASSUMED) / MEMORY_PART;
    usize::try_from(wanted.min(most).max(PAGES_LEAST * page_bytes)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_memory_bound_it() {
        let mut p = Parameters::new();
        let bytes = |p: &Parameters| cache_bytes(p, PageSize::K4, Some(1 << 30));
        assert_eq!(bytes(&p), 1 << 28, "the default is without a bound");
        assert_eq!(cache_bytes(&p, PageSize::K4, None), 1 << 28);
        p.set_integer(ParamId::CacheSizeMax, 1000).unwrap();
        assert_eq!(bytes(&p), 4_096_000);
        assert_eq!(cache_bytes(&p, PageSize::K8, Some(1 << 30)), 8_192_000);
        p.set_integer(ParamId::CacheSizeMin, 2000).unwrap();
        assert_eq!(bytes(&p), 8_192_000);
        p.set_integer(ParamId::CacheSize, 3000).unwrap();
        assert_eq!(bytes(&p), 12_288_000);
        p.set_integer(ParamId::CacheSize, 1 << 40).unwrap();
        assert_eq!(bytes(&p), 1 << 28);
        p.set_integer(ParamId::CacheSizeMin, 1).unwrap();
        p.set_integer(ParamId::CacheSize, 1).unwrap();
        assert_eq!(bytes(&p), 64 * 4096, "less would be no use");
    }
}
