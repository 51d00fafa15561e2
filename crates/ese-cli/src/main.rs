//! The `ese` command.

fn main() {}
