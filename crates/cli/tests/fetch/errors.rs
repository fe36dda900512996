//! Produces every variant of the errors of `braid fetch`; each message says what to do next.

use super::{
    NO_TRACER,
    node::{Fault, Node, wanted},
    refused, spoiled,
};
use alloy_consensus::Header;
use alloy_rpc_types_eth::BlockTransactions;
use braid_blocks::errors::Made;
use braid_cli::fetch::{FetchError, Http, Tracer, Transport, TransportError, Wanted};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

const SOURCE: &str = include_str!("../../src/fetch/error.rs");
const TRANSPORT: &str = include_str!("../../../terminal/src/transport.rs");

/// Returns a node that answers `method` differently.
fn answers(method: &'static str, other: impl Fn(&Value) -> Option<Fault> + 'static) -> Node {
    Node::meddled(move |called, _, honest| if called == method { other(honest) } else { None })
}

/// Returns a node of an unknown chain, whose block has none of the features of the last ten years.
fn of_unknown_fork() -> Node {
    let mut block = Node::honest().answers.file.block.clone();
    block.header.inner = Header { number: 5, ..Header::default() };
    block.header.hash = block.header.inner.hash_slow();
    (block.transactions, block.withdrawals) = (BlockTransactions::Full(Vec::new()), None);
    let parent = json!({ "hash": block.header.inner.parent_hash });
    Node::meddled(move |method, before, _| match (method, before) {
        ("eth_chainId", _) => Some(Fault::Result(json!("0x7"))),
        ("eth_getBlockByNumber", 0) => Some(Fault::Result(json!(block))),
        ("eth_getBlockByNumber", _) => Some(Fault::Result(parent.clone())),
        ("eth_getBlockReceipts", _) => Some(Fault::Result(json!([]))),
        _ => None,
    })
}

#[test]
fn every_reason_for_which_nothing_is_recorded() {
    let mut made = Made::default();
    let mut add = |node: &Node, wanted: Wanted, words: &[&str]| {
        made.add(&refused(node, &wanted), words);
    };
    let never = || Wanted { tracer: Tracer::Never, ..wanted() };
    let no_answer = || Some(Fault::Transport(TransportError::Status(503)));
    add(&answers("eth_chainId", move |_| no_answer()), wanted(), &["eth_chainId", "check the URL"]);
    let far = Wanted { number: Some(u64::MAX - 1), ..wanted() };
    add(&Node::honest(), far, &[&(u64::MAX - 1).to_string(), "--block latest"]);
    let listed = Wanted { access_list: true, ..wanted() };
    let unlisted = answers("eth_getBlockAccessList", |_| Some(Fault::Result(Value::Null)));
    add(&unlisted, listed, &["braid run --emit-bal"]);
    let first = answers("eth_getBlockByNumber", |it| spoiled(it, "/number", json!("0x0")));
    add(&first, wanted(), &["record a later block"]);
    add(&of_unknown_fork(), never(), &["chain 7", "--fork"]);
    let other = || Some(Fault::Result(json!({ "hash": alloy_primitives::B256::ZERO })));
    let moved = Node::meddled(move |method, before, _| match (method, before) {
        ("eth_getBlockByNumber", 1) => other(),
        _ => None,
    });
    add(&moved, wanted(), &["record the block again"]);
    let lying = answers("eth_getBlockByNumber", |it| spoiled(it, "/gasUsed", json!("0x1")));
    add(&lying, wanted(), &["the header's hash", "cannot be executed"]);
    let poor = answers("eth_getBalance", |_| Some(Fault::Result(json!("0x0"))));
    add(&poor, never(), &["transaction 0", "is --fork right"]);
    let other = answers("eth_getBlockReceipts", |it| spoiled(it, "/3/gasUsed", json!("0x5209")));
    add(&other, wanted(), &["transaction 3", "nothing was written", "--fork"]);
    // Input that no execution can use fails an earlier check of the header.
    made.has_all_of(SOURCE, "FetchError", &["Field"]);
}

#[test]
fn every_way_in_which_a_call_fails() {
    let mut made = Made::default();
    for (method, fault, advice) in [
        ("eth_getCode", NO_TRACER, "--http.api eth"),
        ("eth_getCode", Some(Fault::Rpc(-32000, "missing trie node")), "archive node"),
        ("eth_getCode", Some(Fault::Result(Value::Null)), "is this an Ethereum node?"),
        ("eth_getCode", Some(Fault::Transport(TransportError::TimedOut)), "--timeout"),
    ] {
        let node = answers(method, move |_| fault.clone());
        match refused(&node, &Wanted { tracer: Tracer::Never, ..wanted() }) {
            FetchError::Rpc(error) => {
                let text = error.to_string();
                assert!(text.contains(method) && text.contains(advice), "{text}");
                made.add(&error.kind, &[]);
            }
            other => panic!("{method}: {other}"),
        }
    }
    made.has_all_of(SOURCE, "RpcErrorKind", &[]);
}

/// Starts a server that takes one request and sends `answer`, or nothing.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let _ = client.read(&mut request);
        let _ = client.write_all(answer);
        if answer.is_empty() {
            thread::park();
        }
    });
    format!("http://{address}/SECRET")
}

#[test]
fn every_way_in_which_no_answer_comes() {
    let mut made = Made::default();
    let asked = |url: &str| {
        let node = Http::new(url, Duration::from_millis(300))?;
        node.exchange(b"{}")
    };
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    let busy = server(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n");
    for (url, words) in [
        (server(b""), "no answer in time"),
        (format!("http://{gone}/SECRET"), "refused"),
        (busy, "503"),
        ("ws://127.0.0.1/SECRET".to_owned(), "expected a URL like http://127.0.0.1:8545"),
    ] {
        let error = asked(&url).expect_err("no answer");
        assert!(!error.to_string().contains("SECRET"), "{error}");
        made.add(&error, &[words]);
    }
    made.has_all_of(TRANSPORT, "TransportError", &[]);
}
