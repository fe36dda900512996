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

/// The file, and the count of transactions that the tables hold.
#[derive(Debug)]
pub(super) struct Count {
    file: Arc<File>,
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
pub(super) fn hold(folder: &Path) -> io::Result<Arc<File>> {
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
    Ok(Arc::new(file))
}

impl Count {
    /// `file`: as [`hold`] gives it. `count`: transactions in the tables.
    pub(super) fn new(file: &Arc<File>, count: u64) -> Self {
        Self { file: Arc::clone(file), count }
    }

    /// One transaction more is in the tables.
    pub(super) fn add(&mut self) -> io::Result<()> {
        self.count = self.count.saturating_add(1);
        let mut file = &*self.file;
        file.rewind()?;
        file.write_all(&[self.count.to_be_bytes(), (!self.count).to_be_bytes()].concat())
    }
}
