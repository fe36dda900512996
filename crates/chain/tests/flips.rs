//! One flipped bit in a good folder: either everything reads as before, or an error names the
//! folder or the record.

use crate::{
    streams::within_a_minute,
    support::{Child, Stream, begin, go_on, store},
};
use alloy_primitives::{B256, keccak256};
use braid_chain::{
    ChainFolder, EmbeddedStore, Snapshot, StateStore, StoreError, TABLE_BYTES, Table, Writes, open,
    verify,
};
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Environment variable of the reading process: the folder of a store.
const FOLDER: &str = "BRAID_CHAIN_FLIPPED_FOLDER";
const BLOCKS: u64 = 30;

/// Opens the store, verifies it, and reads each entry of each table by key and by scan.
fn read(folder: &Path) -> Result<B256, StoreError> {
    let store = EmbeddedStore::open_with_cache(folder, 1 << 20)?;
    let reader = open(&store)?;
    verify(&reader)?;
    let snapshot = store.snapshot()?;
    let mut all = Vec::new();
    for table in Table::ALL {
        for entry in snapshot.scan(table, &[]) {
            let (key, value) = entry?;
            assert_eq!(snapshot.get(table, &key)?.as_ref(), Some(&value));
            let lengths = [key.len(), value.len()].map(usize::to_be_bytes);
            all.extend([lengths.as_flattened(), &key, &value].concat());
        }
    }
    Ok(keccak256(all))
}

#[test]
#[ignore = "the process that reads a folder in which a bit was flipped"]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let read = read(folder.as_ref()).map_or_else(|error| error.to_string(), |all| all.to_string());
    crate::support::report("ended", read.replace('\n', " "));
}

/// Returns a closed folder with a chain. `table` is the number of bytes that a table keeps in
/// memory.
fn good_folder(path: &Path, seed: u64, table: u64) -> PathBuf {
    let stream = Stream::new(seed, BLOCKS);
    drop(begin(path, &stream, table));
    let folder = ChainFolder::open(path).expect("the folder is free");
    go_on(store(&folder), &stream).1.expect("it is written");
    // Opening the store shortens the journal to its contents.
    drop(store(&folder));
    folder.store()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if fs::metadata(&path).expect("a file").len() > 0 {
            found.push(path);
        }
    }
    found.sort();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).expect("copied");
        }
    }
}

/// Flips a bit that `seed` selects, in a file that it also selects, and returns its position.
fn flip(folder: &Path, seed: u64) -> String {
    let random = keccak256(seed.to_be_bytes());
    let [file, at] = [0, 8].map(|at| {
        let bytes = random[at..].first_chunk().expect("8 bytes");
        u64::from_be_bytes(*bytes) as usize
    });
    let mut names = Vec::new();
    files(folder, &mut names);
    // Every other time selects the journal, which is one file among many.
    let journal = |path: &&PathBuf| path.extension().is_some_and(|it| it == "jnl");
    let journal = names.iter().find(journal).filter(|_| seed.is_multiple_of(2));
    let path = journal.unwrap_or(&names[file % names.len()]);
    let mut bytes = fs::read(path).expect("it is read");
    let at = at % bytes.len();
    bytes[at] ^= 1 << (random[16] % 8);
    fs::write(path, &bytes).expect("it is written");
    let name = path.strip_prefix(folder).expect("it is in the folder");
    format!("seed {seed}: byte {at} of {} in {}", bytes.len(), name.display())
}

/// Last message of a process that fjall aborts while it opens a damaged folder, which no caller can
/// prevent: fjall allocates memory for as many entries as a file claims, or panics again while a
/// panic closes its tables.
const ABORTS: [&str; 2] = ["memory allocation of ", "panic in a destructor during cleanup"];

/// Returns what another process reads in the folder, or its error.
fn read_elsewhere(folder: &Path, errors: &Path) -> String {
    let mut child = Child::start("flips::child", |command| {
        command.env(FOLDER, folder).stderr(File::create(errors).expect("created"));
    });
    let success = child.wait().success();
    let errors = fs::read_to_string(errors).expect("text");
    let abort = errors.lines().find(|line| ABORTS.iter().any(|abort| line.starts_with(abort)));
    match (child.ended, abort) {
        (Some(ended), _) if success => ended,
        (None, Some(abort)) => format!("the process reading {} ended: {abort}", folder.display()),
        (ended, _) => panic!("{ended:?}: {errors}"),
    }
}

#[test]
fn a_flipped_bit_is_harmless_or_an_error() {
    let flips = env::var("BRAID_CHAIN_FLIPS").ok().and_then(|it| it.parse().ok()).unwrap_or(40);
    let first = env::var("BRAID_CHAIN_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1_u64);
    // First with everything in the journal, then with most of it in files of the tables.
    for table in [TABLE_BYTES, 8 << 10] {
        let temporary = tempfile::tempdir().expect("a folder");
        let good = good_folder(&temporary.path().join("good"), first, table);
        let all = read(&good).expect("it is good").to_string();
        let mut refused = 0;
        for seed in first..first + flips {
            let bad = temporary.path().join("bad");
            copy(&good, &bad);
            let flipped = flip(&bad, seed);
            let found = read_elsewhere(&bad, &temporary.path().join("errors"));
            println!("{flipped}: {found}");
            if found != all {
                // `verify` does not know the folder, but says what is damaged.
                let named = found.contains(&*bad.to_string_lossy());
                assert!(named || found.starts_with("the store is damaged: "), "{found}");
                refused += 1;
            }
            fs::remove_dir_all(&bad).expect("removed");
        }
        assert!(refused > flips / 4, "{refused} of {flips} flips were noticed");
    }
}

#[test]
fn a_journal_that_has_lost_its_end_is_noticed() {
    let temporary = tempfile::tempdir().expect("a folder");
    let store = good_folder(&temporary.path().join("chain"), 1, TABLE_BYTES);
    let path = store.join("0.jnl");
    let length = fs::metadata(&path).expect("a journal").len();
    // First a part is lost, then everything.
    let part = "cannot be read: durable blocks are missing; if a file is damaged, restore";
    for (length, why) in [(length / 2, part), (0, ": 31 transactions were written and 0 are there")]
    {
        File::options().write(true).open(&path).and_then(|it| it.set_len(length)).expect("shorter");
        let error = EmbeddedStore::open(&store).expect_err("blocks are missing").to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains(&*store.to_string_lossy()), "{error}");
        assert_eq!(fs::metadata(&path).expect("a journal").len(), length);
    }
}

/// Returns the ends of the transactions in a journal.
fn ends(journal: &[u8]) -> Vec<usize> {
    let trailer = |at: &usize| journal[..*at].ends_with(b"FJL\x03");
    (4..=journal.len()).filter(trailer).collect()
}

/// Returns bits in the frames of the transaction that ends at `end` and of the next one: in the end
/// and start tags, and in the trailer. fjall truncates the journal at such a flip.
fn frame(end: usize) -> [(usize, u8); 5] {
    [(end - 13, 0), (end - 13, 2), (end - 1, 5), (end, 0), (end, 1)]
}

/// Flips bits of the journal, one at a time, and asserts that the folder is rejected and the
/// journal unchanged.
fn is_refused_and_left(folder: &Path, name: &str, flips: impl IntoIterator<Item = (usize, u8)>) {
    let (path, errors) = (folder.join(name), folder.with_extension("errors"));
    let good = fs::read(&path).expect("it is read");
    for (at, bit) in flips {
        let Some(byte) = good.get(at) else { continue };
        let mut bad = good.clone();
        bad[at] = byte ^ (1 << bit);
        fs::write(&path, &bad).expect("it is written");
        let found = read_elsewhere(folder, &errors);
        println!("byte {at} of {} in {name}, bit {bit}: {found}", good.len());
        assert!(found.contains("durable blocks are missing"), "{found}");
        assert!(found.contains(&*folder.to_string_lossy()), "{found}");
        assert!(fs::read(&path).expect("it is read") == bad, "the journal was changed");
    }
    fs::write(&path, &good).expect("it is written");
}

#[test]
fn a_damaged_journal_is_refused_and_left_as_it_is() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = good_folder(&temporary.path().join("chain"), 1, TABLE_BYTES);
    let all = read(&folder).expect("it is good");
    let ends = ends(&fs::read(folder.join("0.jnl")).expect("it is read"));
    assert_eq!(ends.len(), 31);
    // With its first byte changed, the journal is unreadable.
    let flips = [(0, 0), (0, 1)].into_iter();
    let flips = flips.chain([ends[0], ends[15], ends[30]].into_iter().flat_map(frame));
    is_refused_and_left(&folder, "0.jnl", flips);
    assert_eq!(read(&folder).map_err(|error| error.to_string()), Ok(all));
}

/// Returns a folder with two journals. The first holds changes that are in no other file.
fn two_journals(path: &Path) -> PathBuf {
    let mut stream = Stream::new(1, BLOCKS);
    let later = stream.blocks.split_off(15);
    drop(begin(path, &stream, TABLE_BYTES));
    let folder = ChainFolder::open(path).expect("the folder is free");
    go_on(store(&folder), &stream).1.expect("it is written");
    let open = store(&folder);
    for number in 0..2 {
        let mut writes = Writes::default();
        writes.put(Table::Codes, [number; 32], vec![0xff; 40 << 20]);
        open.write(writes).expect("written");
    }
    let second = folder.store().join("1.jnl");
    while !second.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    stream.blocks.extend(later);
    // Opening the store again would write the tables and remove the first journal.
    go_on(open, &stream).1.expect("it is written");
    folder.store()
}

#[test]
fn damage_in_a_journal_that_is_not_the_newest_is_noticed() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = within_a_minute({
        let path = temporary.path().join("chain");
        move || two_journals(&path)
    });
    let other = temporary.path().join("copy");
    copy(&folder, &other);
    let all = read(&other).expect("it is good");
    let (path, journal) = (folder.join("0.jnl"), fs::read(folder.join("0.jnl")).expect("read"));
    let ends = ends(&journal);
    assert_eq!(ends.len(), 18, "the genesis, 15 blocks and two codes");
    let flips = [(0, 1)].into_iter();
    let flips = flips.chain([ends[0], ends[14], ends[17]].into_iter().flat_map(frame));
    is_refused_and_left(&folder, "0.jnl", flips);
    for end in [0, ends[0], ends[14], ends[16], ends[17] - 1] {
        fs::write(&path, &journal[..end]).expect("it is written");
        let error = EmbeddedStore::open(&folder).expect_err("blocks are missing").to_string();
        let why = format!("a part of {} cannot be read: durable", path.display());
        assert!(error.contains(&why), "{error}");
    }
    fs::write(&path, &journal).expect("it is written");
    assert_eq!(read(&folder).map_err(|error| error.to_string()), Ok(all));
}

#[test]
fn a_transaction_that_was_torn_is_dropped() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = good_folder(&temporary.path().join("chain"), 1, TABLE_BYTES);
    let all = read(&folder).expect("it is good");
    let count = fs::read(folder.join("transactions")).expect("it is there");
    let store = EmbeddedStore::open(&folder).expect("it opens");
    let mut writes = Writes::default();
    writes.put(Table::Codes, [0; 32], vec![1; 64 << 10]);
    store.write(writes).expect("written");
    drop(store);
    // The power fails before the sync: one page has not reached the disk, but all others have.
    let path = folder.join("0.jnl");
    let mut journal = fs::read(&path).expect("it is read");
    let page = (journal.len() / 4096 - 8) * 4096;
    journal[page..page + 4096].fill(0);
    fs::write(&path, &journal).expect("written");
    // According to this count the transaction was durable, so it is damaged, and nothing is
    // truncated.
    let error = read(&folder).expect_err("it is damaged").to_string();
    assert!(error.contains("JournalRecovery(ChecksumMismatch)"), "{error}");
    assert!(fs::read(&path).expect("it is read") == journal, "the journal is as it was");
    fs::write(folder.join("transactions"), count).expect("written");
    assert_eq!(read(&folder).map_err(|error| error.to_string()), Ok(all));
}

/// A process killed between truncating and restoring leaves a copy of the whole journal.
#[test]
fn a_journal_that_was_cut_is_put_back() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = good_folder(&temporary.path().join("chain"), 1, TABLE_BYTES);
    let all = read(&folder).expect("it is good");
    let [journal, copy] = ["0.jnl", "0.torn"].map(|name| folder.join(name));
    fs::copy(&journal, &copy).expect("copied");
    let length = fs::metadata(&journal).expect("a journal").len();
    File::options().write(true).open(&journal).and_then(|it| it.set_len(length / 2)).expect("cut");
    assert_eq!(read(&folder).map_err(|error| error.to_string()), Ok(all));
    assert!(!copy.exists(), "it is the journal again");
}
