//! `braid-node` on failing disks.
//!
//! 1. No space left, at several points: the command says which block could not be written and what
//!    to do. The folder holds the state after the last durable block, and the chain continues to
//!    the same final state.
//! 2. A flipped bit in any file of the store: the folder is refused with the name of the file, or
//!    holds the same state.

use crate::chain::{Demo, braid_node, chain, json};
use alloy_primitives::keccak256;
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs the import with file sizes limited to `limit` blocks of 512 bytes. The system writes as
/// much as fits and refuses the rest, like a full disk.
fn limited(folder: &str, rlp: &str, limit: u64) -> (Option<i32>, String) {
    let tool = env!("CARGO_BIN_EXE_braid-node");
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec '{tool}' run '{folder}' '{rlp}'");
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output();
    let output = output.expect("a shell");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn copy(from: &str, to: &str) {
    let _ = fs::remove_dir_all(to);
    // The store's files are sparse.
    let status = Command::new("cp").args(["-r", from, to]).status();
    assert!(status.expect("cp").success());
}

#[test]
fn a_full_disk_loses_nothing_durable() {
    let demo = Demo::new(6);
    let (empty, rlp) = (demo.begun("empty"), demo.path("demo/blocks.rlp"));
    let whole = demo.path("whole");
    copy(&empty, &whole);
    chain(&["run", &whole, &rlp], 0);
    let expected = json(&["inspect", &whole, "digest"]);
    let mut refused = 0;
    for limit in (8_000..16_000).step_by(1_500) {
        let folder = demo.path("full");
        copy(&empty, &folder);
        let (code, text) = limited(&folder, &rlp, limit);
        if code == Some(0) {
            continue;
        }
        refused += 1;
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("was executed and could not be written"), "{text}");
        assert!(text.contains("free space or check the disk"), "{text}");
        let durable = text.split("blocks up to ").nth(1).and_then(|rest| rest.split(' ').next());
        let durable: u64 = durable.and_then(|number| number.parse().ok()).expect("a number");
        assert!(json(&["inspect", &folder])["number"].as_u64() >= Some(durable), "{text}");
        chain(&["verify", &folder], 0);
        chain(&["run", &folder, &rlp], 0);
        assert_eq!(json(&["inspect", &folder, "digest"]), expected);
    }
    assert!(refused >= 2, "only {refused} runs met the limit");
}

/// Returns all non-empty files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().expect("it is there").len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Flips a bit among the first bytes of a file.
fn flip(path: &Path, random: u64, most: u64) {
    let mut options = OpenOptions::new();
    let mut file: File = options.read(true).write(true).open(path).expect("it opens");
    let length = file.metadata().expect("it is there").len().min(most);
    let at = SeekFrom::Start(random % length);
    let mut byte = [0];
    file.seek(at).and_then(|_| file.read_exact(&mut byte)).expect("reads");
    byte[0] ^= 1 << (random >> 60 & 7);
    file.seek(at).and_then(|_| file.write_all(&byte)).expect("writes");
}

#[test]
fn a_flipped_bit_is_noticed_or_changes_nothing() {
    let demo = Demo::new(3);
    let (whole, rlp) = (demo.begun("whole"), demo.path("demo/blocks.rlp"));
    chain(&["run", &whole, &rlp], 0);
    let expected = json(&["inspect", &whole, "digest"]);
    // Length of the used part of the journal, in bytes.
    let written: u64 = 6 << 20;
    let flips =
        std::env::var("BRAID_CHAIN_FLIPS").ok().and_then(|it| it.parse().ok()).unwrap_or(12);
    let mut noticed = 0;
    for index in 0..flips {
        let folder = demo.path("flipped");
        copy(&whole, &folder);
        let hash = keccak256(u64::to_be_bytes(index));
        let random = u64::from_be_bytes(hash[..8].try_into().expect("8 bytes"));
        let all = files(Path::new(&folder).join("state").as_path());
        let journal = all.iter().find(|path| path.extension().is_some_and(|it| it == "jnl"));
        // Most of the data is in the journal.
        let file = match index % 3 {
            0 => &all[(random >> 32) as usize % all.len()],
            _ => journal.expect("a journal"),
        };
        flip(file, random, written);
        let output = braid_node(&["verify", &folder]).output().expect("the tool starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => assert_eq!(json(&["inspect", &folder, "digest"]), expected, "{file:?}"),
            Some(1 | 2) => {
                noticed += 1;
                assert!(text.contains(&folder), "{file:?}: {text}");
            }
            other => panic!("{file:?}: {other:?}: {text}"),
        }
    }
    assert!(noticed > flips / 2, "{noticed} of {flips} noticed");
}
