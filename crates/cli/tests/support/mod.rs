//! Where the tests, these and those of the library, find block files that are not part of the
//! project.

use std::path::{Path, PathBuf};

/// The folder of real blocks, or `None` after saying plainly that they are not there.
///
/// # Panics
/// If they are not there although `BRAID_REQUIRE_FIXTURES=1` demands them.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn fixtures() -> Option<PathBuf> {
    found("blocks")
}

/// The archive of official suites, or `None` after saying plainly that it is not there.
///
/// # Panics
/// If it is not there although `BRAID_REQUIRE_FIXTURES=1` demands it.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn suites() -> Option<PathBuf> {
    found("ethereum-tests.tar.gz")
}

/// The file or folder of this name among the vectors, or `None` after saying plainly that it is not
/// there.
///
/// # Panics
/// If it is not there although `BRAID_REQUIRE_FIXTURES=1` demands it.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn vectors(name: &str) -> Option<PathBuf> {
    found(&format!("vectors/{name}"))
}

fn found(name: &str) -> Option<PathBuf> {
    // The package is the workspace's root or lies below it.
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

/// Says plainly that something is missing.
///
/// # Panics
/// If `BRAID_REQUIRE_FIXTURES=1` demands it.
pub(crate) fn skipped(why: &str) {
    let required = std::env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|value| value == "1");
    assert!(!required, "BRAID_REQUIRE_FIXTURES=1, but it would be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// All block files in `folder`, sorted by name.
///
/// # Panics
/// If the folder cannot be read.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn block_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| braid_testkit::block_file::is_block_file_name(&name))
        })
        .collect();
    files.sort();
    files
}
