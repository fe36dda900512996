//! `braid-node follow`.
//!
//! 1. A follower has the blocks, receipts and states of the node that it follows, forwards
//!    transactions and errors, and goes on after either of the two has restarted.
//! 2. A folder that was followed goes on as a chain of its own.
//! 3. A node of another chain, and unusable options, are refused.

use super::node::{PAID, RpcNode, raw};
use crate::chain::{chain, json};
use serde_json::json;
use std::{thread::sleep, time::Duration};

#[test]
fn a_follower_serves_what_the_other_node_has() {
    let mut producer = RpcNode::before_prague();
    let mut hashes: Vec<_> = (0..3).map(|nonce| producer.transfer(nonce, 7)).collect();
    hashes.iter().for_each(|hash| drop(producer.receipt(hash)));
    let mut copy = RpcNode::following(&producer);
    // What is sent to the copy is forwarded, and comes back in a block.
    copy.receipt(&hashes[2]);
    hashes.push(copy.transfer(3, 7));
    for hash in &hashes {
        let receipt = copy.receipt(hash);
        assert_eq!(receipt, producer.receipt(hash));
        for method in ["eth_getBlockByNumber", "debug_getRawReceipts", "eth_getProof"] {
            let number = receipt["blockNumber"].clone();
            let params = match method {
                "eth_getProof" => json!([PAID, [], number]),
                "eth_getBlockByNumber" => json!([number, true]),
                _ => json!([number]),
            };
            assert_eq!(copy.call(method, params.clone()), producer.call(method, params));
        }
    }
    assert_eq!(copy.call("eth_syncing", json!([])), false);
    let refused =
        |node: &RpcNode| node.error("eth_sendRawTransaction", json!([raw(0, 1, 7_008, 21_000)]));
    assert_eq!(refused(&copy), refused(&producer));
    // While the other node is away, reads are served. The same for either of the two that restarts.
    producer.end();
    assert_eq!(copy.call("eth_getBalance", json!([PAID, "latest"])), "0x1c");
    let (code, text) = refused(&copy);
    assert!(
        code == -32_603 && text.contains("the followed node http://127.0.0.1:"),
        "{code} {text}"
    );
    // Ten times the interval at which the copy asks.
    sleep(Duration::from_millis(200));
    producer.start_again();
    let hash = producer.transfer(4, 7);
    copy.receipt(&hash);
    let (report, said) = copy.end_saying();
    assert_eq!(report["blocks"], report["head"]["number"], "{report}");
    assert!(said.contains("; trying again") && said.contains(" answers again"), "{said}");
    let hash = producer.transfer(5, 7);
    producer.receipt(&hash);
    copy.follow(&producer.url(), &["--metrics", "0"]);
    copy.receipt(&hash);
    copy.kill();
    let folder = producer.folder();
    producer.end();
    // Promoted by hand: the copy goes on with blocks of its own.
    copy.start();
    let hash = copy.transfer(6, 7);
    assert!(copy.receipt(&hash)["blockNumber"].is_string());
    assert_eq!(copy.call("eth_getBalance", json!([PAID, "latest"])), "0x31");
    let own = copy.folder();
    copy.end();
    let number = |folder: &str| json(&["inspect", folder])["number"].as_u64().expect("a number");
    assert_eq!(number(&own), number(&folder) + 1);
    chain(&["verify", &own], 0);
}

#[test]
fn a_node_that_cannot_be_followed_is_refused() {
    let producer = RpcNode::before_prague();
    producer.receipt(&producer.transfer(0, 7));
    let elsewhere = RpcNode::new();
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("chain");
    let folder = folder.to_str().expect("UTF-8");
    chain(&["init", "--genesis", &elsewhere.genesis(), folder], 0);
    let text = chain(&["follow", &producer.url(), folder], 2);
    assert!(
        text.contains("block 0 of http://127.0.0.1:") && text.contains("different genesis"),
        "{text}"
    );
    assert!(text.contains("blocks up to 0 are durable"), "{text}");
    let text = chain(&["follow", "ws://127.0.0.1:1", folder], 2);
    assert!(text.contains("expected a URL like"), "{text}");
    let text = chain(&["follow", &producer.url(), folder, "--rpc-batch", "7"], 2);
    assert!(text.contains("add --rpc"), "{text}");
}
