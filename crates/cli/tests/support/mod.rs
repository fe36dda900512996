//! Finds block files that are not part of the project, for these tests and those of the library.

use std::path::{Path, PathBuf};

/// Returns the folder of real blocks, or `None` after reporting that it is missing.
///
/// # Panics
/// The folder is missing although `BRAID_REQUIRE_FIXTURES=1` requires it.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn fixtures() -> Option<PathBuf> {
    found("blocks")
}

/// Returns the archive of official suites, or `None` after reporting that it is missing.
///
/// # Panics
/// The archive is missing although `BRAID_REQUIRE_FIXTURES=1` requires it.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn suites() -> Option<PathBuf> {
    found("ethereum-tests.tar.gz")
}

/// Returns the file or folder of this name among the vectors, or `None` after reporting that it is
/// missing.
///
/// # Panics
/// It is missing although `BRAID_REQUIRE_FIXTURES=1` requires it.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn vectors(name: &str) -> Option<PathBuf> {
    found(&format!("vectors/{name}"))
}

fn found(name: &str) -> Option<PathBuf> {
    // The package is the workspace's root or below it.
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let workspace = folders.find(|folder| folder.join("Cargo.lock").exists());
    let workspace = workspace.expect("the workspace");
    let root = std::env::var_os("BRAID_FIXTURES")
        .map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("no fixtures at {}", path.display()));
    None
}

/// Reports that a test is skipped.
///
/// # Panics
/// `BRAID_REQUIRE_FIXTURES=1` forbids skipping.
pub(crate) fn skipped(why: &str) {
    let required = std::env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|value| value == "1");
    assert!(!required, "BRAID_REQUIRE_FIXTURES=1, but it would be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// Returns all block files in `folder`, sorted by name.
///
/// # Panics
/// The folder cannot be read.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn block_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| braid_blocks::block_file::is_block_file_name(&name))
        })
        .collect();
    files.sort();
    files
}
