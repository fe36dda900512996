//! What several test files share.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../../cli/tests/support/mod.rs"]
pub(crate) mod fixtures;
pub(crate) mod scene;
