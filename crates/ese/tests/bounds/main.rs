//! Nothing grows without bound: versions, pages of tables under constant change, files.

mod bench;
mod defragment;
mod depth;
mod flat;
mod many;
mod versions;
