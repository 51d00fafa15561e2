//! Nothing grows without bound: versions, pages of tables under constant change, files.

mod bench;
mod flat;
mod versions;
