//! Removal of a journal's last transaction if a power failure left it incomplete.
//!
//! fjall drops a transaction whose end is missing. But if the end has reached the disk and a page
//! before it has not, fjall refuses the whole journal. Such a transaction was never reported
//! durable, so it is cut off here. The count of transactions shows if it was durable after all: see
//! `count.rs`.

use super::journal::{self, EXTENSION, last_transaction};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Extension of a journal's copy. fjall ignores such files.
const COPY: &str = "torn";

/// Restores the journal from the copy that an interrupted process left behind.
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

/// A journal that fjall may truncate, and a complete copy of it.
#[derive(Debug)]
pub(super) struct Copied {
    journal: PathBuf,
    copy: PathBuf,
}

/// Cuts the last transaction off the newest journal in `folder`. Returns `None` if there is no
/// journal or no transaction.
pub(super) fn cut(folder: &Path) -> io::Result<Option<Copied>> {
    let Some(journal) = journal::all(folder)?.pop() else { return Ok(None) };
    let Some(length) = last_transaction(&journal)? else { return Ok(None) };
    let copied = Copied::of(journal)?;
    OpenOptions::new().write(true).open(&copied.journal)?.set_len(length)?;
    Ok(Some(copied))
}

impl Copied {
    /// Copies `journal`. The copy gets its final name only once it is complete.
    pub(super) fn of(journal: PathBuf) -> io::Result<Self> {
        let (copy, part) = (journal.with_extension(COPY), journal.with_extension("part"));
        fs::copy(&journal, &part)?;
        File::open(&part)?.sync_all()?;
        fs::rename(&part, &copy)?;
        Ok(Self { journal, copy })
    }

    /// Removes the copy. To be called when no durable transaction is missing.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.copy)
    }

    /// Restores the journal from the copy.
    pub(super) fn put_back(self) -> io::Result<()> {
        fs::rename(self.copy, self.journal)
    }
}
