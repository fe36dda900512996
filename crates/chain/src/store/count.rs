//! The number of committed transactions of a store, in a file beside its tables.
//!
//! If a journal is damaged in the middle, fjall treats the damage as a torn end and drops the rest:
//! the tables are then consistent, but after an earlier block. To detect this, the tables hold a
//! count of transactions, and so does this file, which is written after each transaction and never
//! synced. The file's count is therefore at most the tables' count, unless the tables have lost
//! transactions.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Seek, Write},
    path::Path,
    sync::Arc,
};

/// Name of the file.
const NAME: &str = "transactions";

/// The locked file of an open store. While the value exists, no other store opens in the folder.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process being started shares the file for a
        // moment. If unlocking fails, the system releases the lock when the last process has closed
        // the file.
        let _ = self.0.unlock();
    }
}

/// Count of transactions in the tables, and the file that holds a copy of it.
#[derive(Debug)]
pub(super) struct Count {
    file: Arc<Held>,
    /// Number of transactions in the tables.
    pub(super) count: u64,
}

/// Returns the count in the file in `folder`: the tables must hold at least this many transactions.
pub(super) fn least(folder: &Path) -> io::Result<u64> {
    let bytes = match fs::read(folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
    let found = bytes.split_at_checked(8).map(|(count, check)| (number(count), number(check)));
    // Not an error: a machine that loses power can leave the count incomplete, and then nothing is
    // known.
    Ok(match found {
        Some((Some(count), Some(check))) if check == !count => count,
        _ => 0,
    })
}

/// Locks the store in `folder`, and creates folder and file if needed. Must be called before any
/// other file is read: opening a store repairs its files, also while another process uses them.
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
    /// Creates a counter on the `file` that [`hold`] returned, with `count` transactions in the
    /// tables.
    pub(super) fn new(file: &Arc<Held>, count: u64) -> Self {
        Self { file: Arc::clone(file), count }
    }

    /// Counts one more transaction, and writes the count to the file.
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

    /// A child process being started has all files of this process open, as a duplicate has.
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
