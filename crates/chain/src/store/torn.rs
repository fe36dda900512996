//! Drops the journal's last transaction if a power failure left it incomplete.
//!
//! fjall drops a transaction whose end is missing. Where the end has reached the disk and a page in
//! the middle has not, it refuses the whole journal. That transaction was never reported durable,
//! so it is cut off here. Whether it was, the count of transactions says: see `count.rs`.

use super::journal::{self, EXTENSION, last_transaction};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Extension of a copy. fjall takes no notice of it.
const COPY: &str = "torn";

/// Restores the journal from the copy that an interrupted process left.
pub(super) fn put_back(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let copy = entry?.path();
        if copy.extension().is_some_and(|extension| extension == COPY) {
            fs::rename(&copy, copy.with_extension(EXTENSION))?;
        }
    }
    Ok(())
}

/// A journal that fjall may truncate, and a copy of the whole.
#[derive(Debug)]
pub(super) struct Copied {
    journal: PathBuf,
    copy: PathBuf,
}

/// Cuts the last transaction off the newest journal in `folder`, if there is one.
pub(super) fn cut(folder: &Path) -> io::Result<Option<Copied>> {
    let Some(journal) = journal::all(folder)?.pop() else { return Ok(None) };
    let Some(length) = last_transaction(&journal)? else { return Ok(None) };
    let copied = Copied::of(journal)?;
    OpenOptions::new().write(true).open(&copied.journal)?.set_len(length)?;
    Ok(Some(copied))
}

impl Copied {
    /// Copies `journal`. A copy that is there is whole.
    pub(super) fn of(journal: PathBuf) -> io::Result<Self> {
        let (copy, part) = (journal.with_extension(COPY), journal.with_extension("part"));
        fs::copy(&journal, &part)?;
        File::open(&part)?.sync_all()?;
        fs::rename(&part, &copy)?;
        Ok(Self { journal, copy })
    }

    /// Nothing that was durable is missing: the copy is removed.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.copy)
    }

    /// The journal is again what it was.
    pub(super) fn put_back(self) -> io::Result<()> {
        fs::rename(self.copy, self.journal)
    }
}
