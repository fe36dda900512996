//! Rules that no compiler checks: of the source, and of the pages about it.

mod architecture;
mod circles;
mod claims;
mod errors;
mod imports;
mod matrix;
mod pages;
mod reading;
mod tables;

/// The root of the workspace.
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
