//! Tests that clients see a block only once it is durable, and that the node does not wait for
//! that.

use crate::{
    Limits, Node, NodeConfig,
    testing::{Client, address, begun, payment},
};
use alloy_primitives::Address;
use braid_chain::{MemoryStore, StateStore, StoreError, Writes};
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// Gas price that exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

/// A store whose writes wait for a gate.
#[derive(Clone)]
struct Gated {
    store: MemoryStore,
    gate: Arc<Mutex<()>>,
    written: Arc<AtomicUsize>,
}

impl StateStore for Gated {
    type Snapshot = <MemoryStore as StateStore>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        self.store.snapshot()
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let _open = self.gate.lock().expect("no panic");
        self.written.fetch_add(1, SeqCst);
        self.store.write(writes)
    }
}

#[test]
fn a_block_is_seen_when_it_is_durable_and_the_next_ones_do_not_wait() {
    let gate = Arc::new(Mutex::new(()));
    let written = Arc::new(AtomicUsize::new(0));
    let store = Gated { store: begun(), gate: Arc::clone(&gate), written: Arc::clone(&written) };
    let mut node = Node::open(store, NodeConfig::default()).expect("a node");
    let (shared, before) = (node.shared(), written.load(SeqCst));
    let client = Client::new(&shared, Limits::default());
    let sender = address(0);
    let counts = || {
        ["latest", "pending"]
            .map(|tag| client.result("eth_getTransactionCount", json!([sender, tag])))
    };
    let closed = gate.lock().expect("no panic");
    // As many blocks as the chain may be ahead of its store: the node waits for none of them.
    let hashes = [0, 1].map(|nonce| {
        let hash = shared.send(payment(0, nonce, PRICE)).expect("admitted");
        node.step(0).expect("works").expect("made");
        hash
    });
    assert_eq!(written.load(SeqCst), before, "the gate is closed");
    assert_eq!(node.chain().head().number, 2);
    assert_eq!(client.result("eth_blockNumber", json!([])), "0x0");
    assert_eq!(counts(), ["0x0", "0x2"]);
    let paid = json!([Address::repeat_byte(0xbb), "latest"]);
    assert_eq!(client.result("eth_getBalance", paid.clone()), "0x0");
    for hash in hashes {
        assert!(client.result("eth_getTransactionReceipt", json!([hash])).is_null());
        let found = client.result("eth_getTransactionByHash", json!([hash]));
        assert_eq!(found["hash"], json!(hash), "it is not lost on its way");
        assert!(found["blockNumber"].is_null(), "{found}");
    }
    // The pool is in the state after the last block that was made.
    shared.send(payment(0, 1, PRICE)).expect_err("a block has it");
    shared.send(payment(0, 2, PRICE)).expect("admitted");
    assert_eq!(counts(), ["0x0", "0x3"]);
    drop(closed);
    node.chain().flush().expect("durable");
    for (hash, number) in hashes.into_iter().zip(["0x1", "0x2"]) {
        let receipt = client.result("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(receipt["blockNumber"], number, "{receipt}");
    }
    assert_eq!(client.result("eth_blockNumber", json!([])), "0x2");
    assert_eq!(client.result("eth_getBalance", paid), "0x2");
    assert_eq!(counts(), ["0x2", "0x3"]);
}
