//! What several test files share.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod chosen;
pub(crate) mod fees;
#[path = "../../cli/tests/support/mod.rs"]
pub(crate) mod fixtures;
pub(crate) mod scene;

/// The seeded bugs of the Ethereum layer in the table of docs/TESTING.md, with what notices them;
/// each of them has a row.
#[cfg(feature = "mutants")]
pub(crate) fn evm_rows() -> Vec<(braid_evm::EvmMutant, Vec<String>)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/TESTING.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let row = |bug: &braid_evm::EvmMutant| {
        let name = format!("`{bug:?}`:");
        let mut rows = page.lines().filter(|line| line.starts_with("| M") && line.contains(&name));
        let row = rows.next().unwrap_or_else(|| panic!("{bug:?} has no row"));
        let killed_by = row.trim_matches('|').rsplit('|').next().unwrap_or_default();
        (*bug, killed_by.trim().split(", ").map(str::to_owned).collect())
    };
    braid_evm::EvmMutant::ALL.iter().map(row).collect()
}
