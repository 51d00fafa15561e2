//! What a run is made with; everything follows from its seed.

use crate::witness::PageHistory;
use ese::buffer::PageCache;
use ese::database::CreateOptions;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, Instance};
use ese_format::PageSize;
use ese_format::empty::EmptyDatabase;
use ese_testbench::Bench;
use ese_testbench::disk;
use ese_vfs::{SimDisk, SimRng};
use std::sync::Arc;

/// One configuration.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub seed: u64,
    pub page_size: PageSize,
    pub circular: bool,
    pub databases: usize,
    /// Pages in the cache of the workload: few, so that pages with uncommitted changes are written.
    pub cache_pages: usize,
    pub log_kib: u64,
    pub checkpoint_depth: u64,
    /// Pages by which a file grows: with few of them its end is free sooner.
    pub extension: u64,
    /// Operations of the workload.
    pub steps: u32,
}

impl Setup {
    pub fn of(seed: u64) -> Self {
        let mut rng = SimRng::new(seed ^ 0x7072_7475);
        let size = PageSize::ALL[(seed % PageSize::ALL.len() as u64) as usize];
        Self {
            seed,
            page_size: size,
            circular: rng.chance(1, 2),
            databases: 1 + rng.below(2) as usize,
            cache_pages: [24, 48, 200, 4000][rng.below(4) as usize],
            log_kib: [64, 128, 256][rng.below(3) as usize].max(if size.bytes() > 8192 { 128 } else { 64 }),
            checkpoint_depth: [0, 65_536, 1 << 20][rng.below(3) as usize],
            extension: [16, 40, 256][rng.below(3) as usize],
            steps: 40 + rng.below(60) as u32,
        }
    }

    /// How databases are made: small at first where they grow little by little.
    pub fn new_database(&self) -> CreateOptions {
        let usual = CreateOptions::default();
        match self.extension < 256 {
            true => CreateOptions { pages: EmptyDatabase::least_pages(self.page_size), ..usual },
            false => usual,
        }
    }

    /// Of the short life whose every operation fails.
    pub fn compact(page_size: PageSize) -> Self {
        Self {
            seed: 1,
            page_size,
            circular: false,
            databases: 1,
            cache_pages: 40,
            log_kib: if page_size.bytes() > 8192 { 128 } else { 64 },
            checkpoint_depth: 0,
            extension: 256,
            steps: 0,
        }
    }

    /// An instance as a process would make it; `day` stands for the time of day.
    pub fn instance(&self, disk: &SimDisk, day: u64, small_cache: bool, seen: &PageHistory) -> Instance {
        let (environment, parameters) = self.surroundings(disk, day, self.cache(small_cache, seen));
        Instance::new(environment, parameters)
    }

    pub fn cache(&self, is_small: bool, seen: &PageHistory) -> Arc<PageCache> {
        let pages = if is_small { self.cache_pages } else { 4000 };
        PageCache::with_witness(pages * self.page_size.bytes(), Arc::new(seen.clone()))
    }

    /// What an instance or a restore works with.
    pub fn surroundings(&self, disk: &SimDisk, day: u64, cache: Arc<PageCache>) -> (Environment, Parameters) {
        let clock = self.seed.wrapping_mul(1000) + day;
        let bench = Bench::new(disk, clock).cache(cache).log_kib(self.log_kib).circular(self.circular);
        let bench = bench.set(ParamId::CheckpointDepthMax, self.checkpoint_depth).extension(self.extension);
        bench.page_size(self.page_size).surroundings()
    }

    /// A disk with nothing but a folder.
    pub fn disk(&self) -> SimDisk {
        disk::disk(self.seed)
    }
}
