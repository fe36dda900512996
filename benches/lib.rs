//! `workloads.rs` is all of this package.
