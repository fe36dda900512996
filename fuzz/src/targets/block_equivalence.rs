//! Random hostile blocks: few accounts, contracts that branch on the values they read, every fork.

use super::blocks::{self, seed_of};
use super::twists;
use crate::generate::Case;
use std::sync::Arc;

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let case = Case::from_bytes(bytes);
    let database = case.database();
    twists::check(&case.block, &database, bytes)?;
    blocks::check(&Arc::new(case.block), &database, seed_of(bytes))
}
