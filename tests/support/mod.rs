//! Helpers shared by several test files.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod chosen;
pub(crate) mod fees;
#[path = "../../crates/cli/tests/support/mod.rs"]
pub(crate) mod fixtures;
pub(crate) mod scene;

#[cfg(feature = "mutants")]
use braid_evm::mutants::Bug;
use braid_evm::{Forced, Policy};

/// The policies that need no access list.
pub(crate) const POLICIES: [Policy; 5] = [
    Policy::Sequential,
    Policy::Auto,
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::ContiguousBatches),
];

/// Returns the seeded bugs of the Ethereum layer in docs/data/seeded_bugs.tsv, with the checks that
/// notice them; each bug has a row.
#[cfg(feature = "mutants")]
pub(crate) fn evm_rows() -> Vec<(Bug, Vec<String>)> {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/data/seeded_bugs.tsv");
    let table = std::fs::read_to_string(table).expect("the table is there");
    let row = |bug: &Bug| {
        let name = format!("\t`{bug:?}`\t");
        let row = table.lines().find(|line| line.contains(&name));
        let row = row.unwrap_or_else(|| panic!("{bug:?} has no row"));
        let noticed_by = row.rsplit('\t').next().unwrap_or_default();
        (*bug, noticed_by.split(", ").map(str::to_owned).collect())
    };
    Bug::EVM.iter().map(row).collect()
}
