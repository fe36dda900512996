//! The last transaction of a journal, of which a power failure has left some pages.
//!
//! fjall drops a transaction whose end is missing. Where the end has reached the disk and a page in
//! the middle has not, it refuses the whole journal. That transaction was never reported durable,
//! so it is cut off here. Whether it was, the count of transactions says: see `count.rs`.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// What a copy's name ends with. fjall takes no notice of it.
const ENDING: &str = "torn";

/// Puts back the journal of which a process that ended early has left the copy.
pub(super) fn put_back(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let copy = entry?.path();
        if copy.extension().is_some_and(|ending| ending == ENDING) {
            fs::rename(&copy, copy.with_extension(JOURNAL))?;
        }
    }
    Ok(())
}

/// What the name of a journal ends with.
const JOURNAL: &str = "jnl";

/// A journal without its last transaction, beside a copy of the whole.
#[derive(Debug)]
pub(super) struct Torn {
    journal: PathBuf,
    copy: PathBuf,
}

/// Cuts the last transaction off the newest journal in `folder`, if there is one.
pub(super) fn cut(folder: &Path) -> io::Result<Option<Torn>> {
    let Some(journal) = newest(folder)? else { return Ok(None) };
    let Some(length) = last_transaction(&fs::read(&journal)?) else { return Ok(None) };
    // A copy that is there is whole.
    let copy = journal.with_extension(ENDING);
    let part = journal.with_extension("part");
    fs::copy(&journal, &part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, &copy)?;
    OpenOptions::new().write(true).open(&journal)?.set_len(length)?;
    Ok(Some(Torn { journal, copy }))
}

impl Torn {
    /// The transaction was torn: nothing is missing without it.
    pub(super) fn keep(self) -> io::Result<()> {
        fs::remove_file(self.copy)
    }

    /// That was not it: the journal is again what it was.
    pub(super) fn put_back(self) -> io::Result<()> {
        fs::rename(self.copy, self.journal)
    }
}

/// The journal with the highest number.
fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_suffix(".jnl").and_then(|number| number.parse::<u64>().ok());
        found = found.max(number.map(|number| (number, path)));
    }
    Ok(found.map(|(_, path)| path))
}

/// Where the last transaction begins.
fn last_transaction(journal: &[u8]) -> Option<u64> {
    let (mut rest, mut begin) = (journal, None);
    while let Some((tag, next)) = entry(rest) {
        if tag == START {
            begin = Some(journal.len().saturating_sub(rest.len()) as u64);
        }
        rest = next;
    }
    begin
}

/// What the first entry of a transaction begins with.
const START: u8 = 1;

/// The first entry's tag, and what follows the entry, as fjall 3 writes it.
fn entry(journal: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = journal.split_first()?;
    let length = match *tag {
        // Count and number; checksum and magic bytes.
        START | 3 => 12,
        // Table, key and value: what is of fixed length, then key and value.
        2 => {
            let (fixed, _) = rest.split_first_chunk::<20>()?;
            let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = *fixed;
            let key = usize::from(u16::from_le_bytes([k0, k1]));
            let value = usize::try_from(u32::from_le_bytes([v0, v1, v2, v3])).ok()?;
            key.checked_add(value)?.checked_add(20)?
        }
        // A table that is cleared.
        4 => 8,
        _ => return None,
    };
    Some((*tag, rest.get(length..)?))
}
