//! Produces every variant of the tool's errors, except those of the library, which are tested in
//! its sources. Each message is one line. `output.rs` tests the messages that users see.

use alloy_genesis::ChainConfig;
use braid_blocks::{errors::Made, workload::demo_chain};
use braid_chain::Rules;
use braid_node::{
    chain_input::{InputError, Inputs},
    metrics::{Metrics, MetricsAddress, Server},
    top::{Scrape, Source},
};
use core::num::NonZeroUsize;
use std::{fs, net::TcpListener, path::Path, sync::Arc};

#[test]
fn every_reason_for_which_metrics_are_not_had() {
    let mut made = Made::default();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    made.add(&Source::new("nowhere").expect_err("no port"), &["127.0.0.1:9184", "\"nowhere\""]);
    let source = Source::new(&free.to_string()).expect("an address");
    let unreachable = source.look().expect_err("nothing listens there");
    made.add(&unreachable, &[&free.to_string(), "braid-node run --metrics"]);
    made.add(&Scrape::parse("<html>").expect_err("a page"), &["<html>", "--metrics"]);
    made.add(&Scrape::parse("up 1\n").expect_err("another server"), &["--metrics"]);
    made.has_all_of(include_str!("../src/top/scrape.rs"), "ScrapeError", &[]);

    let mut made = Made::default();
    let address: Result<MetricsAddress, _> = "nowhere".parse();
    made.add(&address.expect_err("no port"), &["127.0.0.1:9184", "\"nowhere\""]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("one").to_string();
    let metrics = Arc::new(Metrics::default());
    let served = Server::start(address.parse().expect("an address"), metrics);
    made.add(&served.expect_err("it is taken"), &[&address, "choose another port"]);
    made.has_all_of(include_str!("../src/metrics/server.rs"), "MetricsError", &[]);
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
    made.has_all_of(include_str!("../src/chain_input/error.rs"), "InputError", &[]);
}
