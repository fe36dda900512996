//! The `braid` tool.
fn main() {}
