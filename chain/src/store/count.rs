//! How many transactions a store has carried out, in a file beside its tables.
//!
//! fjall takes a journal that is damaged in the middle for one whose end was torn off, and drops
//! the rest. Durable blocks would go, and nothing would say so: the tables are whole, after an
//! earlier block. The tables hold a count of the transactions, and the file holds it too, written
//! after each transaction and never synced. So the file is behind the tables or equal, unless they
//! have lost something.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Name of the file.
const NAME: &str = "transactions";

/// The file, and the count of transactions that the tables hold.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) path: PathBuf,
    file: File,
    /// Transactions in the tables.
    pub(super) count: u64,
}

impl Count {
    /// Opens the file in `folder`, or creates it. `count`: transactions in the tables.
    pub(super) fn open(folder: &Path, count: u64) -> io::Result<Self> {
        let path = folder.join(NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        Ok(Self { path, file, count })
    }

    /// The count in the file: the tables must hold as many transactions, or more.
    pub(super) fn least(&mut self) -> io::Result<u64> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut bytes)?;
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
        let found = bytes.split_at_checked(8).map(|(count, check)| (number(count), number(check)));
        // A machine that loses power can leave part of the count: that says nothing.
        Ok(match found {
            Some((Some(count), Some(check))) if check == !count => count,
            _ => 0,
        })
    }

    /// One transaction more is in the tables.
    pub(super) fn add(&mut self) -> io::Result<()> {
        self.count = self.count.saturating_add(1);
        self.file.rewind()?;
        self.file.write_all(&[self.count.to_be_bytes(), (!self.count).to_be_bytes()].concat())
    }
}
