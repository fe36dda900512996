//! What several test files share.
#![allow(dead_code, reason = "each test file uses its part")]

mod fixtures;

pub(crate) use fixtures::{block_files, fixtures};
