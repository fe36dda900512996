//! Rules of the source and of the pages that no compiler checks.

mod architecture;
mod chart;
mod circles;
mod claims;
mod errors;
mod imports;
mod matrix;
mod pages;
mod reading;
mod tables;

/// Returns the root of the workspace.
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
