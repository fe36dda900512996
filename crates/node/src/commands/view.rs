//! Copies of stores in folders that cannot be written.

use std::{fs, io, path::Path};
use tempfile::TempDir;

/// Name of the folders with a store's tables: immutable files, which are most of the store.
const TABLES: &str = "tables";

/// Copies the store in `folder`, which nothing may write meanwhile. The tables are not copied, but
/// linked.
pub(super) fn copied(folder: &Path) -> io::Result<TempDir> {
    let copy = tempfile::tempdir()?;
    copy_into(&fs::canonicalize(folder)?, copy.path())?;
    Ok(copy)
}

fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    let is_tables = from.file_name().is_some_and(|name| name == TABLES);
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_into(&source, &target)?;
        } else if is_tables {
            link(&source, &target)?;
        } else {
            // Permissions are not copied: the store must be able to write to the copy.
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", source.display()))
            };
            let mut file = fs::File::open(&source).map_err(named)?;
            io::copy(&mut file, &mut fs::File::create(&target)?)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(not(unix))]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    fs::copy(source, target).map(drop)
}
