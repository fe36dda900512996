//! Produces every variant of the errors in the tool's parts, except those of `braid fetch`, which
//! are in `fetch/errors.rs`. Each message is one line. `output.rs` tests the messages that users
//! see.

use braid_blocks::faulty::Fault;
use braid_blocks::{
    block::Block,
    block_file::FileDatabase,
    errors::Made,
    hooked::Read,
    timing::Timing,
    workload::{Workload, WorkloadSpec, generate},
};
use braid_cli::{
    access_list::{self, ListError},
    bench::{self, BenchError, Subject, priced},
    explain::{names, record},
};
use braid_evm::{AccessList, Config, Executor};
use core::num::NonZeroU16;
use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

fn block() -> (Block, FileDatabase) {
    let file = generate(&WorkloadSpec::new(Workload::Transfers, 3, 0, 1).unsigned());
    file.expect("it generates").to_block().expect("a block")
}

/// Returns a block whose second transaction has a wrong nonce.
fn invalid() -> (Block, FileDatabase) {
    let (mut block, database) = block();
    block.transactions[1].nonce = 77;
    (block, database)
}

#[test]
fn every_reason_for_which_a_list_is_not_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let [gone, text, large, there] =
        ["gone", "text", "large", "there"].map(|it| folder.path().join(it));
    fs::write(&text, "[]").expect("it is written");
    // The file is sparse.
    File::create(&large).and_then(|file| file.set_len((256 << 20) + 1)).expect("it is made");
    let list = AccessList::default();
    access_list::write(&there, &list, false).expect("it is written");
    let mut made = Made::default();
    for (path, words) in [
        (&gone, ["gone", "braid run --emit-bal"]),
        (&text, ["EIP-7928", "braid run --emit-bal"]),
        (&large, ["at most 268435456 bytes", "braid run --emit-bal"]),
    ] {
        let error = access_list::read(path).expect_err("it is no list");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        made.add(&error.kind, &words[1..]);
    }
    let kept = access_list::write(&there, &list, false).expect_err("it is there");
    made.add(&kept.kind, &["--force overwrites it"]);
    made.has_all_of(include_str!("../src/access_list.rs"), "ListFileErrorKind", &[]);

    let (block, database) = invalid();
    let error = access_list::list_of((&block).into(), database).expect_err("it is invalid");
    let mut made = Made::default();
    made.add(&error, &["transaction 1", "nonce"]);
    assert!(matches!(error, ListError::Block(_)));
    // Two variants are impossible here: one needs threads to fail, the other an executor that
    // ignores its configuration.
    made.has_all_of(include_str!("../src/access_list.rs"), "ListError", &["Executor", "Missing"]);
}

#[test]
fn every_reason_for_which_a_block_is_not_explained() {
    let mut made = Made::default();
    let (block, database) = block();
    let contract = alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
    let unread = Fault::At(Read::Account(contract)).of(database);
    let error = record(&block, &unread, 0).expect_err("a contract cannot be read");
    made.add(&error, &["before the first transaction"]);
    let (block, database) = invalid();
    let error = record(&block, &database, 0).expect_err("it is invalid");
    made.add(&error, &["transaction 1", "nonce"]);
    made.has_all_of(include_str!("../src/explain/record.rs"), "RecordError", &[]);

    let folder = tempfile::tempdir().expect("a folder");
    let [gone, text, empty] = ["gone", "text", "empty"].map(|it| folder.path().join(it));
    fs::write(&text, "contract A {}").expect("it is written");
    fs::write(&empty, "{}").expect("it is written");
    let of = |path: &PathBuf| names::read(path, folder.path()).expect_err("there are no names");
    let mut made = Made::default();
    made.add(&of(&gone), &["gone", "solc or forge"]);
    made.add(&of(&text), &["text", "solc or forge"]);
    made.add(&of(&empty), &["empty", "forge inspect"]);
    made.has_all_of(include_str!("../src/explain/names/artifact.rs"), "NamesError", &[]);
}

/// Differing results would be bugs of the engine, which these commands would show line by line.
#[test]
fn blocks_that_cannot_be_measured_say_which_transaction_is_wrong() {
    let ((block, database), one) = (invalid(), NonZeroU16::MIN);
    let words = ["transaction 1", "nonce"];
    let mut made = Made::default();
    let shared = Arc::new((&block).into());
    let again = || database.clone();
    let subject =
        Subject { name: "it", block: &block, shared: &shared, database: &again, reads: None };
    let mut executors = [Executor::new(Config::with_workers(one)).expect("no threads")];
    let timing = Timing { rounds: 1, pause: Duration::ZERO };
    let error: BenchError =
        bench::measure(&subject, &mut executors, timing).expect_err("it is invalid");
    made.add(&error, &words);
    // `one_check.rs` has the command's answer to a file that differs from its header.
    made.has_all_of(include_str!("../src/bench/rounds.rs"), "BenchError", &["Different", "Wrong"]);

    let mut made = Made::default();
    let error = priced::virtual_ratios(&block, &database, &[one]).expect_err("it is invalid");
    made.add(&error, &words);
    made.has_all_of(
        include_str!("../src/bench/priced.rs"),
        "VirtualError",
        &["Accepted", "Different"],
    );
}
