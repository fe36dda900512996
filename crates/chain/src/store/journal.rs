//! The journals of a store in the format of fjall 3, checked before fjall opens them.
//!
//! Where fjall cannot read on, it truncates the journal and continues with the next one, as it
//! takes damage for a transaction torn by a power failure. Each transaction of the store contains a
//! count that is one higher than in the transaction before, so missing transactions show as a gap.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Extension of a journal's file name.
pub(super) const EXTENSION: &str = "jnl";

/// Name, and only key, of the table that counts transactions.
pub(super) const COUNT: &str = "transactions";

/// Result of checking the journals.
#[derive(Debug)]
pub(super) enum Found {
    /// No durable transaction is missing.
    All,
    /// Part of this journal cannot be read, and durable transactions are missing.
    Damaged(PathBuf),
    /// No transaction can be read in this journal, which is the only one. Only the tables show
    /// whether its first transaction was durable.
    Unreadable(PathBuf),
}

/// Checks the journals in `folder`, which must contain transaction number `least`, unless there are
/// no journals or none of their transactions can be read.
pub(super) fn check(folder: &Path, least: u64) -> io::Result<Found> {
    let paths = all(folder)?;
    let (Some(mut place), Some(newest)) = (paths.first(), paths.last()) else {
        return Ok(Found::All);
    };
    let (mut last, mut unfit) = (None::<u64>, None);
    for path in &paths {
        let mut journal = Journal::open(path)?;
        let mut is_empty = true;
        while let Some(count) = journal.transaction()? {
            // A later transaction exists, so the one that does not fit was durable.
            if let Some(damaged) = unfit {
                return Ok(Found::Damaged(damaged));
            }
            // A gap before a journal's first transaction is located at the end of the previous
            // journal.
            let damaged = if is_empty { place } else { path };
            if count.is_some() && last.is_none_or(|last| count == last.checked_add(1)) {
                last = count;
            } else {
                unfit = Some(damaged.clone());
            }
            is_empty = false;
        }
        // fjall begins a new journal only when one reaches 64 MB, so only the newest can be empty.
        if is_empty && path != newest {
            return Ok(Found::Damaged(path.clone()));
        }
        place = path;
    }
    if last.is_none() && !is_blank(newest)? {
        return Ok(Found::Unreadable(newest.clone()));
    }
    let is_missing = last.is_some_and(|last| last < least);
    Ok(if is_missing {
        Found::Damaged(unfit.unwrap_or_else(|| newest.clone()))
    } else {
        Found::All
    })
}

/// Returns the position at which the last transaction in `journal` begins, even if it is
/// incomplete.
pub(super) fn last_transaction(journal: &Path) -> io::Result<Option<u64>> {
    let (mut journal, mut begin) = (Journal::open(journal)?, None);
    loop {
        let at = journal.at;
        match until_the_end(journal.entry())? {
            Some(Entry::Start { .. }) => begin = Some(at),
            Some(_) => {}
            None => return Ok(begin),
        }
    }
}

/// Whether the file contains only zeros: fjall creates journals with 64 MiB of zeros.
fn is_blank(path: &Path) -> io::Result<bool> {
    let mut file = BufReader::new(File::open(path)?);
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() || bytes.iter().any(|byte| *byte != 0) {
            return Ok(bytes.is_empty());
        }
        let length = bytes.len();
        file.consume(length);
    }
}

/// Returns the paths of the journals in `folder`, oldest first.
pub(super) fn all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        found.extend(number.filter(|_| is_journal).map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// An entry of a journal. A transaction consists of a start, items and clears, and an end.
enum Entry {
    Start { items: u32 },
    Item { count: Option<u64> },
    Clear,
    End,
}

/// Last bytes of an [`End`](Entry::End) entry.
const TRAILER: [u8; 4] = *b"FJL\x03";

struct Journal {
    file: BufReader<File>,
    length: u64,
    at: u64,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: BufReader::new(file), length, at: 0 })
    }

    /// Reads the next transaction, and returns the count in it, if it has one; the outer `None`
    /// means that there is no further complete transaction. Checksums are not verified: fjall
    /// refuses a journal with a wrong checksum.
    fn transaction(&mut self) -> io::Result<Option<Option<u64>>> {
        until_the_end(self.whole())
    }

    fn whole(&mut self) -> io::Result<Option<u64>> {
        let Entry::Start { items } = self.entry()? else { return Err(no_entry()) };
        let mut count = None;
        for _ in 0..items {
            match self.entry()? {
                Entry::Item { count: found } => count = found.or(count),
                Entry::Clear => {}
                Entry::Start { .. } | Entry::End => return Err(no_entry()),
            }
        }
        let Entry::End = self.entry()? else { return Err(no_entry()) };
        Ok(count)
    }

    /// Reads the next entry.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are not an entry; `UnexpectedEof` if the entry is incomplete.
    fn entry(&mut self) -> io::Result<Entry> {
        let [tag] = self.take::<1>()?;
        match tag {
            1 => {
                let items = u32::from_le_bytes(self.take()?);
                // Sequence number.
                self.skip(8)?;
                Ok(Entry::Start { items })
            }
            2 => self.item(),
            3 => {
                let _checksum: [u8; 8] = self.take()?;
                if self.take::<4>()? == TRAILER { Ok(Entry::End) } else { Err(no_entry()) }
            }
            4 => self.skip(8).map(|()| Entry::Clear),
            _ => Err(no_entry()),
        }
    }

    fn item(&mut self) -> io::Result<Entry> {
        // Kind of value, compression.
        let [0..=2 | 4, 0] = self.take::<2>()? else { return Err(no_entry()) };
        let _table: [u8; 8] = self.take()?;
        let key = u16::from_le_bytes(self.take()?);
        let _unpacked: [u8; 4] = self.take()?;
        let value = u32::from_le_bytes(self.take()?);
        if usize::from(key) != COUNT.len() || value != 8 {
            self.skip(u64::from(key).saturating_add(u64::from(value)))?;
            return Ok(Entry::Item { count: None });
        }
        let key: [u8; COUNT.len()] = self.take()?;
        let value = u64::from_be_bytes(self.take()?);
        Ok(Entry::Item { count: (key == *COUNT.as_bytes()).then_some(value) })
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.advance(N as u64)?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.advance(bytes)?;
        self.file.seek_relative(i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    fn advance(&mut self, bytes: u64) -> io::Result<()> {
        let after = self.at.checked_add(bytes).filter(|after| *after <= self.length);
        self.at = after.ok_or(ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

fn no_entry() -> io::Error {
    ErrorKind::InvalidData.into()
}

/// Returns `None` for errors at which fjall considers the journal ended.
fn until_the_end<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(why) if matches!(why.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            Ok(None)
        }
        Err(why) => Err(why),
    }
}
