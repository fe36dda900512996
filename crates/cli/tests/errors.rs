//! Every variant of the errors of the tool's parts is made here, those of `braid fetch` apart, which are in
//! `fetch/errors.rs`. Each message is one line. What users see of them is in `output.rs`.

use alloy_genesis::ChainConfig;
use braid_chain::Rules;
use braid_cli::{
    access_list::{self, ListError},
    bench::{
        self, BenchError, Subject, Timing,
        energy::{Meter, Ways},
        priced,
    },
    chain_input::{InputError, Inputs},
    explain::{names, record},
    metrics::{Metrics, MetricsAddress, Server},
    top::{Scrape, Source},
};
use braid_evm::{AccessList, Config, Executor};
use braid_testkit::{
    block::Block,
    block_file::FileDatabase,
    errors::Made,
    faulty::Fault,
    hooked::Read,
    workload::{Workload, WorkloadSpec, demo_chain, generate},
};
use core::num::{NonZeroU16, NonZeroUsize};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Checks that only `elsewhere` is missing of the enum `name` in `file`.
#[track_caller]
fn has_all_of(made: &Made, (file, name): (&str, &str), elsewhere: &[&str]) {
    made.has_all_of(&format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR")), name, elsewhere);
}

fn block() -> (Block, FileDatabase) {
    let file = generate(&WorkloadSpec::new(Workload::Transfers, 3, 0, 1).unsigned());
    file.expect("it generates").to_block().expect("a block")
}

/// A block whose second transaction has a wrong nonce.
fn invalid() -> (Block, FileDatabase) {
    let (mut block, database) = block();
    block.transactions[1].nonce = 77;
    (block, database)
}

#[test]
fn every_reason_for_which_metrics_are_not_had() {
    let mut made = Made::default();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    made.add(&Source::new("nowhere").expect_err("no port"), &["127.0.0.1:9184", "\"nowhere\""]);
    let source = Source::new(&free.to_string()).expect("an address");
    let unreachable = source.look().expect_err("nothing listens there");
    made.add(&unreachable, &[&free.to_string(), "braid chain run --metrics"]);
    made.add(&Scrape::parse("<html>").expect_err("a page"), &["<html>", "--metrics"]);
    made.add(&Scrape::parse("up 1\n").expect_err("another server"), &["--metrics"]);
    has_all_of(&made, ("top/scrape.rs", "ScrapeError"), &[]);

    let mut made = Made::default();
    let address: Result<MetricsAddress, _> = "nowhere".parse();
    made.add(&address.expect_err("no port"), &["127.0.0.1:9184", "\"nowhere\""]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("one").to_string();
    let metrics = Arc::new(Metrics::default());
    let served = Server::start(address.parse().expect("an address"), metrics);
    made.add(&served.expect_err("it is taken"), &[&address, "choose another port"]);
    has_all_of(&made, ("metrics/server.rs", "MetricsError"), &[]);
}

#[test]
fn every_reason_for_which_an_input_gives_no_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let (genesis, files) = demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let of = |path: &Path, config: ChainConfig| -> InputError {
        let inputs = Inputs::new(&[path.to_owned()], Rules::new(config), 0, NonZeroUsize::MIN);
        match inputs {
            Ok(mut inputs) => inputs.next().expect("a block").expect_err("one that is wrong"),
            Err(error) => error,
        }
    };
    let [gone, text, list, good] =
        ["gone.rlp", "text.json", "list.rlp", "good.json"].map(|it| folder.path().join(it));
    fs::write(&text, "{\"meta\": {}").expect("it is written");
    fs::write(&list, [0xc1, 0x80]).expect("it is written");
    files[0].write(&good).expect("it is written");
    let other = ChainConfig { chain_id: 4_242, ..genesis.config.clone() };
    let mut made = Made::default();
    made.add(&of(&gone, genesis.config.clone()), &["gone.rlp", "No such file"]);
    made.add(&of(&text, genesis.config.clone()), &["text.json", "braid fetch"]);
    made.add(&of(&list, genesis.config), &["list.rlp", "geth export"]);
    made.add(&of(&good, other), &["good.json", "4242"]);
    has_all_of(&made, ("chain_input/error.rs", "InputError"), &[]);
}

#[test]
fn every_reason_for_which_a_list_is_not_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let [gone, text, large, there] =
        ["gone", "text", "large", "there"].map(|it| folder.path().join(it));
    fs::write(&text, "[]").expect("it is written");
    // Nothing of it is on the disk.
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
    has_all_of(&made, ("access_list.rs", "ListFileErrorKind"), &[]);

    let (block, database) = invalid();
    let error = access_list::list_of((&block).into(), database).expect_err("it is invalid");
    let mut made = Made::default();
    made.add(&error, &["transaction 1", "nonce"]);
    assert!(matches!(error, ListError::Block(_)));
    // No threads; an executor that does not what it was asked for.
    has_all_of(&made, ("access_list.rs", "ListError"), &["Executor", "Missing"]);
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
    has_all_of(&made, ("explain/record.rs", "RecordError"), &[]);

    let folder = tempfile::tempdir().expect("a folder");
    let [gone, text, empty] = ["gone", "text", "empty"].map(|it| folder.path().join(it));
    fs::write(&text, "contract A {}").expect("it is written");
    fs::write(&empty, "{}").expect("it is written");
    let of = |path: &PathBuf| names::read(path, folder.path()).expect_err("there are no names");
    let mut made = Made::default();
    made.add(&of(&gone), &["gone", "solc or forge"]);
    made.add(&of(&text), &["text", "solc or forge"]);
    made.add(&of(&empty), &["empty", "forge inspect"]);
    has_all_of(&made, ("explain/names/artifact.rs", "NamesError"), &[]);
}

/// Results that differ are bugs of the engine, which these commands would show line by line.
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
    has_all_of(&made, ("bench/rounds.rs", "BenchError"), &["Different"]);

    let mut made = Made::default();
    let error = priced::virtual_ratios(&block, &database, &[one]).expect_err("it is invalid");
    made.add(&error, &words);
    has_all_of(&made, ("bench/priced.rs", "VirtualError"), &["Accepted", "Different"]);

    let mut made = Made::default();
    let mut ways = Ways::new(&[one], Meter::default()).expect("no threads");
    let error = ways.execute(&block, &database, 1).expect_err("it is invalid");
    made.add(&error, &words);
    has_all_of(&made, ("bench/energy.rs", "EnergyError"), &["Different"]);
}
