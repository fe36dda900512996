//! The number of transactions that a store has carried out, in a file beside its tables.
//!
//! fjall takes a journal that is damaged in the middle for one whose end was torn off, and drops
//! the rest: the tables are whole, after an earlier block. The tables hold a count of the
//! transactions, and the file holds it too, written after each transaction and never synced. So the
//! file is behind the tables or equal, unless they have lost transactions.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Seek, Write},
    path::Path,
    sync::Arc,
};

/// Name of the file.
const NAME: &str = "transactions";

/// The file of a store that is open: while this lives no other store opens there.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that this one starts has the file for a moment.
        // If this fails, the system releases the lock when the last of them has closed it.
        let _ = self.0.unlock();
    }
}

/// The file, and the count of transactions that the tables hold.
#[derive(Debug)]
pub(super) struct Count {
    file: Arc<Held>,
    /// Transactions in the tables.
    pub(super) count: u64,
}

/// The count in the file in `folder`: the tables must hold as many transactions, or more.
pub(super) fn least(folder: &Path) -> io::Result<u64> {
    let bytes = match fs::read(folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
    let found = bytes.split_at_checked(8).map(|(count, check)| (number(count), number(check)));
    // A machine that loses power can leave part of the count: that says nothing.
    Ok(match found {
        Some((Some(count), Some(check))) if check == !count => count,
        _ => 0,
    })
}

/// Takes the store in `folder` for this value, and creates the folder and the file. To be had before any
/// other file is looked at: what a store mends when it opens is another store's that is at work.
pub(super) fn hold(folder: &Path) -> io::Result<Arc<Held>> {
    fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(folder.join(NAME))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(
            ErrorKind::WouldBlock,
            "another store of this or of another process is open there; use that one, or wait until it is closed",
        ),
        TryLockError::Error(error) => error,
    })?;
    Ok(Arc::new(Held(file)))
}

impl Count {
    /// `file`: as [`hold`] gives it. `count`: transactions in the tables.
    pub(super) fn new(file: &Arc<Held>, count: u64) -> Self {
        Self { file: Arc::clone(file), count }
    }

    /// One transaction more is in the tables.
    pub(super) fn add(&mut self) -> io::Result<()> {
        self.count = self.count.saturating_add(1);
        let mut file = &self.file.0;
        file.rewind()?;
        file.write_all(&[self.count.to_be_bytes(), (!self.count).to_be_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that is being started has all files of this one, as a duplicate has.
    #[test]
    fn what_a_duplicate_keeps_open_is_not_locked() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = hold(folder.path()).expect("no other store");
        assert_eq!(
            hold(folder.path()).map_err(|error| error.kind()).err(),
            Some(ErrorKind::WouldBlock)
        );
        let _duplicate = held.0.try_clone().expect("a duplicate");
        drop(held);
        hold(folder.path()).expect("it was closed");
    }
}
