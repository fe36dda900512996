//! The file that keeps the transactions of the pool over a restart: their encodings, one after the
//! other, as nodes send them to each other (RLP), with the sidecars of blob transactions.
//! Transactions are appended as they are admitted, so a killed process loses none, and a power
//! failure only the last ones. Transactions that blocks have included stay in the file until it is
//! rewritten: at the start, at the end, and when it has doubled.

use alloy_eips::eip2718::Decodable2718;
use braid_chain::pool::{NetworkTransaction, PoolTransaction};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Size below which the file is not rewritten while the node runs, in bytes.
const SMALL: u64 = 16 << 20;

/// Maximum size that is read at the start, in bytes: more than a full pool has, twice.
const MOST: u64 = 256 << 20;

/// A file to which transactions are appended.
#[derive(Debug)]
pub(crate) struct PoolFile {
    path: PathBuf,
    report: fn(String),
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// `None` if the file cannot be written.
    file: Option<File>,
    bytes: u64,
    /// Size beyond which the file is rewritten.
    limit: u64,
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) transactions: Vec<NetworkTransaction>,
    /// Number of bytes after the last transaction that can be read.
    pub(crate) unread: u64,
}

/// Reads the transactions of a file, up to the first one that cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Kept> {
    let file = match fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path)?,
        Ok(_) => return Err(io::Error::other("it is no file")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let (mut rest, mut transactions) = (&*bytes, Vec::new());
    let mut read = 0;
    while !rest.is_empty() {
        match NetworkTransaction::network_decode(&mut rest) {
            Ok(transaction) => transactions.push(transaction),
            Err(_) => break,
        }
        read = bytes.len().saturating_sub(rest.len());
    }
    Ok(Kept { transactions, unread: length.saturating_sub(read as u64) })
}

/// Renames a file that cannot be read, so that it is not overwritten, and returns its new name.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = with_ending(path, ".unread");
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

impl PoolFile {
    /// Creates a value that writes nothing before [`rewrite`](Self::rewrite). `report` is told if
    /// the file cannot be written.
    pub(crate) fn new(path: &Path, report: fn(String)) -> Self {
        let open = Mutex::new(Open { file: None, bytes: 0, limit: 0 });
        Self { path: path.to_owned(), report, open }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A poisoned lock is usable: at worst, the file is rewritten too early.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an admitted transaction. `all` returns the encoded pool, for a rewrite if the file has
    /// become too large.
    pub(crate) fn append(&self, transaction: &PoolTransaction, all: impl FnOnce() -> Vec<u8>) {
        let mut bytes = Vec::new();
        transaction.encode_network(&mut bytes);
        let mut open = self.lock();
        let Some(file) = &mut open.file else { return };
        // In one call, so that a killed process has written all of it or nothing.
        if let Err(error) = file.write_all(&bytes) {
            open.file = None;
            drop(open);
            return self.failed(&error);
        }
        open.bytes = open.bytes.saturating_add(bytes.len() as u64);
        if open.bytes > open.limit {
            let _ = self.replace(&mut open, &all());
        }
    }

    /// Replaces the file's content, durably. Returns whether that succeeded.
    pub(crate) fn rewrite(&self, all: &[u8]) -> bool {
        self.replace(&mut self.lock(), all).is_some()
    }

    fn replace(&self, open: &mut Open, all: &[u8]) -> Option<()> {
        let bytes = all.len() as u64;
        let limit = bytes.saturating_mul(2).max(SMALL);
        match write(&self.path, all) {
            Ok(file) => *open = Open { file: Some(file), bytes, limit },
            Err(error) => {
                open.file = None;
                self.failed(&error);
                return None;
            }
        }
        Some(())
    }

    fn failed(&self, error: &io::Error) {
        let path = self.path.display();
        (self.report)(format!(
            "{path}: {error}; transactions that wait in the pool are lost when the node ends"
        ));
    }

    /// Rewrites the file for the last time. `waiting` is the number of transactions.
    pub(crate) fn close(&self, all: &[u8], waiting: usize) {
        if self.rewrite(all) && waiting > 0 {
            let (path, s) = (self.path.display(), if waiting == 1 { " waits" } else { "s wait" });
            (self.report)(format!("{waiting} transaction{s} in the pool; {path} keeps them"));
        }
    }
}

/// Writes a file under another name, and renames it: there is always an old one or a new one.
fn write(path: &Path, all: &[u8]) -> io::Result<File> {
    let partial = with_ending(path, ".partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&partial)?;
    file.write_all(all)?;
    file.sync_data()?;
    fs::rename(&partial, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Node, NodeConfig,
        testing::{begun, node, payment},
    };
    use alloy_eips::eip2718::Encodable2718;
    use braid_chain::{MemoryStore, pool::SignedTransaction};
    use tempfile::TempDir;

    /// Gas price that exceeds every base fee in these tests.
    const PRICE: u128 = 10_000_000_000;

    /// What was reported, by path.
    static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn report(text: String) {
        REPORTS.lock().expect("no panic holds it").push(text);
    }

    fn reports(path: &Path) -> Vec<String> {
        let all = REPORTS.lock().expect("no panic holds it");
        let of = |text: &&String| text.contains(path.to_str().expect("UTF-8"));
        all.iter().filter(of).cloned().collect()
    }

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pool.rlp");
        (folder, path)
    }

    fn keeping(store: &MemoryStore, path: &Path) -> Node<MemoryStore> {
        let node = node(store, NodeConfig::default());
        node.keep_pool_in(path, report);
        node
    }

    fn waiting(node: &Node<MemoryStore>) -> Vec<SignedTransaction> {
        let shared = node.shared();
        let pool = shared.hold().pool.transactions();
        pool.into_iter().map(|(transaction, _)| transaction.signed().clone()).collect()
    }

    fn encoded(transactions: &[SignedTransaction]) -> Vec<u8> {
        let mut bytes = Vec::new();
        transactions.iter().for_each(|it| it.network_encode(&mut bytes));
        bytes
    }

    /// The node is dropped as if it were killed: nothing is written at its end.
    #[test]
    fn a_killed_node_has_its_pool_again_without_what_is_in_blocks() {
        let ((_folder, path), store) = (folder(), begun());
        let mut node = keeping(&store, &path);
        assert_eq!(fs::read(&path).expect("it is there"), b"");
        for (sender, nonce) in [(0, 0), (0, 1), (1, 1), (2, 0)] {
            node.shared().send(payment(sender, nonce, PRICE)).expect("admitted");
        }
        let all = waiting(&node);
        drop(node);
        let again = keeping(&store, &path);
        assert_eq!((waiting(&again), all.len()), (all, 4));
        node = again;
        node.step(0).expect("works").expect("made");
        node.chain().flush().expect("durable");
        node.shared().send(payment(3, 5, PRICE)).expect("admitted");
        drop(node);
        let node = keeping(&store, &path);
        let left = [payment(1, 1, PRICE), payment(3, 5, PRICE)];
        let mut found = waiting(&node);
        found.sort_unstable_by_key(alloy_consensus::Transaction::nonce);
        assert_eq!(found, left);
        assert_eq!(node.shared().usage().read().admitted, 2);
        // What a block has is not in the file any more.
        assert_eq!(read(&path).expect("reads").transactions.len(), 2);
        let told = reports(&path);
        assert!(
            told[1].contains("2 transactions") && told[1].contains("3 are in blocks"),
            "{told:?}"
        );
    }

    #[test]
    fn a_node_that_ends_writes_its_pool() {
        let ((_folder, path), store) = (folder(), begun());
        let mut node = keeping(&store, &path);
        node.shared().send(payment(0, 3, PRICE)).expect("admitted");
        let (stop, stopped) = crossbeam_channel::bounded(0);
        drop(stop);
        fs::remove_file(&path).expect("it is there");
        node.run(std::time::Duration::ZERO, &stopped, &mut ()).expect("ends");
        assert_eq!(fs::read(&path).expect("reads"), encoded(&[payment(0, 3, PRICE)]));
        let told = reports(&path);
        assert!(told[0].contains("1 transaction waits in the pool"), "{told:?}");
    }

    /// Each cut and each flipped byte: the node starts, and has what is before the damage.
    #[test]
    fn a_damaged_file_never_stops_the_node() {
        let (_folder, path) = folder();
        let all = [payment(0, 0, PRICE), payment(1, 0, PRICE)];
        let (whole, first) = (encoded(&all), encoded(&all[..1]).len());
        for at in (0..whole.len()).step_by(5).chain([1, first - 1, first, first + 1]) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x81;
            for bytes in [&whole[..at], &flipped] {
                fs::write(&path, bytes).expect("written");
                let node = keeping(&begun(), &path);
                let found = waiting(&node);
                let is_cut = bytes.len() == at;
                let least = usize::from(at >= first);
                assert!(found.len() >= least, "{at} {found:?}");
                assert!(found.iter().all(|it| all.contains(it)), "{at}: {found:?}");
                assert!(found.len() < 2, "{at}");
                let aside = with_ending(&path, ".unread");
                if is_cut && at != 0 && at != first {
                    assert_eq!(fs::read(&aside).expect("set aside"), bytes);
                }
                // The node goes on with the file.
                node.shared().send(payment(2, 0, PRICE)).expect("admitted");
                let kept = read(&path).expect("reads");
                assert_eq!((kept.transactions.len(), kept.unread), (least.max(found.len()) + 1, 0));
            }
        }
        for foreign in [&b"no transactions"[..], &[0xc0; 9], &[0xff; 100_000], &[0; 3]] {
            fs::write(&path, foreign).expect("written");
            let node = keeping(&begun(), &path);
            assert!(waiting(&node).is_empty());
            let aside = fs::read(with_ending(&path, ".unread")).expect("set aside");
            assert_eq!(aside, foreign);
        }
    }

    /// A node whose file cannot be written goes on, and says so.
    #[test]
    fn a_folder_in_place_of_the_file_is_reported() {
        let (_folder, path) = folder();
        fs::create_dir(&path).expect("made");
        let node = keeping(&begun(), &path);
        node.shared().send(payment(0, 0, PRICE)).expect("admitted");
        let told = reports(&path);
        assert!(told[0].contains("it is no file") && told[1].contains("are lost"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn a_file_that_has_doubled_is_rewritten() {
        let (_folder, path) = folder();
        let file = PoolFile::new(&path, report);
        let node = node(&begun(), NodeConfig::default());
        node.shared().send(payment(0, 0, PRICE)).expect("admitted");
        let (one, _) = node.shared().hold().pool.transactions().remove(0);
        assert!(file.rewrite(&[]));
        let length = encoded(core::slice::from_ref(one.signed())).len() as u64;
        file.lock().limit = 10 * length;
        let mut rewritten = 0;
        for _ in 0..25 {
            file.append(&one, || {
                rewritten += 1;
                Vec::new()
            });
            file.lock().limit = 10 * length;
        }
        assert_eq!(rewritten, 2);
        assert_eq!(fs::metadata(&path).expect("it is there").len(), 3 * length);
    }
}
