//! Tests of the headers of blocks that a node makes, and of the blocks it finds after a restart.

use super::*;
use crate::testing::{CROWD, Client, begun, begun_as, begun_with, node, payment};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{B256, Bytes, U256, hex};
use braid_chain::{FIXED_BASE_FEE, MemoryStore, StateRoots, Table, Writes, ZERO_BASE_FEE, prune};
use serde_json::json;

/// Gas price of all transactions, which exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

/// Makes a block with a payment from sender 0.
fn make(node: &mut Node<MemoryStore>, nonce: u64) {
    node.shared.send(payment(0, nonce, PRICE)).expect("admitted");
    node.step(0).expect("a block").expect("made");
}

fn client(node: &Node<MemoryStore>) -> Client {
    Client::new(&node.shared, crate::Limits::default())
}

/// Returns the base fees of the blocks after two full ones, whose transactions pay `price`.
fn base_fees(price: u128, change: impl FnOnce(&mut Genesis)) -> [Option<u64>; 2] {
    let store = begun_with(|genesis| {
        genesis.gas_limit = 84_000;
        change(genesis);
    });
    let mut node = node(&store, NodeConfig::default());
    [0, 4].map(|first| {
        for sender in first..first + 4 {
            node.shared.send(payment(sender, 0, price)).expect("admitted");
        }
        let mined = node.step(0).expect("a block").expect("made");
        assert_eq!(mined.built.output.gas_used, 84_000);
        let next = node.shared.producer.next(&node.parent, 0);
        next.base_fee_per_gas
    })
}

#[test]
fn a_chain_without_fees_stays_one() {
    let flag = |field: &'static str| {
        move |genesis: &mut Genesis| {
            genesis.config.extra_fields.insert(field.to_owned(), true.into());
        }
    };
    assert_eq!(base_fees(0, |genesis| genesis.base_fee_per_gas = Some(0)), [Some(0); 2]);
    assert_eq!(base_fees(0, flag(ZERO_BASE_FEE)), [Some(0); 2]);
    let store = begun_with(flag(ZERO_BASE_FEE));
    let mut node = node(&store, NodeConfig::default());
    node.shared.send(payment(0, 0, 0)).expect("admitted");
    node.step(0).expect("a block").expect("made");
    node.chain.flush().expect("durable");
    for method in ["eth_gasPrice", "eth_maxPriorityFeePerGas"] {
        assert_eq!(client(&node).result(method, json!([])), "0x0");
    }
    assert_eq!(base_fees(PRICE, flag(FIXED_BASE_FEE)), [Some(1_000_000_000); 2]);
    // The base fee falls from 1 Gwei to 875,000,000 after an empty block, so these blocks were
    // full.
    assert_eq!(base_fees(PRICE, |_| ()), [Some(984_375_000), Some(1_107_421_875)]);
}

/// Besu's files for QBFT state a difficulty of 1.
#[test]
fn blocks_after_a_first_one_with_a_difficulty_have_the_rules_of_their_time() {
    let store = begun_with(|genesis| {
        genesis.difficulty = U256::ONE;
        genesis.config.terminal_total_difficulty = None;
    });
    let mut node = node(&store, NodeConfig::default());
    make(&mut node, 0);
    let header = &node.parent.header;
    assert_eq!(node.shared.producer.rules.spec(header), SpecId::PRAGUE);
    assert!(header.difficulty.is_zero() && header.requests_hash.is_some());
}

#[test]
fn a_chain_with_amsterdam_is_not_opened_at_any_time() {
    for since in [0, u64::MAX] {
        let store = begun_with(|genesis| genesis.config.amsterdam_time = Some(since));
        let opened = Node::open(store, NodeConfig::default());
        assert!(matches!(opened, Err(NodeError::Amsterdam)), "{since}");
    }
}

#[test]
fn state_roots_of_headers_are_the_same_after_a_restart() {
    for roots in [StateRoots::Computed, StateRoots::Disabled] {
        let store = begun_as(roots, |_| ());
        let mut made = node(&store, NodeConfig::default());
        let stated = |node: &Node<MemoryStore>, number: u64| {
            let block = [json!(format!("{number:#x}")), json!(false)];
            client(node).result("eth_getBlockByNumber", json!(block))
        };
        let first = stated(&made, 0);
        let root = open(&store).expect("a chain").state_root().expect("reads");
        assert_eq!(first["stateRoot"], json!(root.unwrap_or(B256::ZERO)));
        make(&mut made, 0);
        made.chain.flush().expect("durable");
        let second = stated(&made, 1);
        let root = open(&store).expect("a chain").state_root().expect("reads");
        assert_eq!(second["stateRoot"], json!(root.unwrap_or(B256::ZERO)));
        assert_eq!(second["stateRoot"] == first["stateRoot"], root.is_none());
        assert_eq!(second["parentHash"], first["hash"]);
        drop(made);
        let again = node(&store, NodeConfig::default());
        assert_eq!((stated(&again, 0), stated(&again, 1)), (first, second), "{roots:?}");
    }
}

#[test]
fn a_node_goes_on_after_its_folder_was_pruned() {
    let store = begun();
    let mut made = node(&store, NodeConfig::default());
    (0..300).for_each(|nonce| make(&mut made, nonce));
    made.chain.flush().expect("durable");
    drop(made);
    // Hashes of the first blocks are removed, but no blocks.
    let pruned = prune(&store, 2, None).expect("pruned");
    assert_eq!((pruned.block_hashes, pruned.receipt_blocks), (43, 0));
    let mut again = node(&store, NodeConfig::default());
    assert_eq!(again.shared.history().oldest(), Some(0));
    let block = client(&again).result("eth_getBlockByNumber", json!(["0x1", false]));
    let found = client(&again).result("eth_getBlockByHash", json!([block["hash"], false]));
    assert!(block.is_object() && found == block, "{block}");
    make(&mut again, 300);
    again.chain.flush().expect("durable");
    drop(again);
    // The last block's receipts stay, as does its block.
    assert_eq!(prune(&store, 16, Some(0)).expect("pruned").receipt_blocks, 300);
    let again = node(&store, NodeConfig::default());
    let receipts = client(&again).result("eth_getBlockReceipts", json!(["latest"]));
    assert_eq!(receipts.as_array().map(Vec::len), Some(1));
    // Earlier blocks stay, without their receipts.
    assert_eq!(client(&again).result("eth_getBlockByNumber", json!(["0x1", false])), block);
    assert!(client(&again).result("eth_getBlockByNumber", json!(["0x0", false])).is_object());
    let hash = &block["transactions"][0];
    let sent = client(&again).result("eth_getTransactionByHash", json!([hash]));
    assert_eq!(sent["blockNumber"], "0x1");
    for (method, params) in [
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getBlockReceipts", json!(["0x1"])),
        ("eth_feeHistory", json!(["0x1", "0x1", [50.0]])),
    ] {
        let (code, message) = client(&again).error(method, params);
        assert!(code == 4_444 && message.starts_with("pruned history unavailable"), "{message}");
    }
    for (range, oldest) in
        [(json!(["0x1", "0x1", []]), "0x1"), (json!(["0xa", "latest", [50.0]]), "0x12d")]
    {
        assert_eq!(client(&again).result("eth_feeHistory", range)["oldestBlock"], oldest);
    }
    // The header's bloom filter shows that no transaction of this block has logs.
    let logs = json!([{ "fromBlock": "0x1", "toBlock": "0x1" }]);
    assert_eq!(client(&again).result("eth_getLogs", logs), json!([]));
    drop(again);
    // Earlier versions of `prune` also removed the last block's receipts.
    let mut writes = Writes::default();
    writes.remove(Table::Receipts, 301_u64.to_be_bytes());
    store.write(writes).expect("written");
    let mut again = node(&store, NodeConfig::default());
    let last = client(&again).result("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(
        (&last["number"], last["transactions"].as_array().map(Vec::len)),
        (&json!("0x12d"), Some(1))
    );
    make(&mut again, 301);
}

/// Account of a contract with this code.
fn contract(code: &'static [u8]) -> GenesisAccount {
    let code = Bytes::from_static(code);
    GenesisAccount { code: Some(code), nonce: Some(1), ..GenesisAccount::default() }
}

/// The contracts that collect requests may be missing. If either is missing, neither is called.
#[test]
fn system_contracts_that_the_genesis_has_are_called() {
    let requests = [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS];
    for with_requests in 0..=2 {
        let store = begun_with(|genesis| {
            let others = requests.into_iter().take(with_requests);
            genesis.alloc.extend(others.map(|address| (address, contract(&hex!("00")))));
            // They store their input, and its size: the beacon root of a made block is zero.
            genesis.alloc.insert(HISTORY_STORAGE_ADDRESS, contract(&hex!("5f355f5500")));
            genesis.alloc.insert(BEACON_ROOTS_ADDRESS, contract(&hex!("365f5500")));
        });
        let mut node = node(&store, NodeConfig::default());
        let parent = node.parent.hash;
        make(&mut node, 0);
        let state = node.chain.state().expect("a state");
        let stored = |contract| state.storage_ref(contract, U256::ZERO).expect("reads");
        assert_eq!(B256::from(stored(HISTORY_STORAGE_ADDRESS)), parent);
        assert_eq!(stored(BEACON_ROOTS_ADDRESS), U256::from(32));
    }
}

/// However many blocks could be made, the time of the last one is not ahead of the clock.
#[test]
fn time_does_not_run_ahead_of_the_clock() {
    /// Stops the node after its third block, and records how far each block was ahead of the clock.
    struct Ahead(Vec<u64>, Option<crossbeam_channel::Sender<Infallible>>);
    impl Observer for Ahead {
        fn mined(&mut self, mined: &Mined) {
            let time = mined.built.block.env.timestamp.saturating_to::<u64>();
            self.0.push(time.saturating_sub(now()));
            if self.0.len() == 3 {
                self.1 = None;
            }
        }
    }
    // The transactions do not fit into one block.
    let store = begun_with(|genesis| genesis.gas_limit = 42_000);
    let mut node = node(&store, NodeConfig::default());
    for sender in CROWD {
        node.shared.send(payment(sender, 0, PRICE)).expect("admitted");
    }
    let (send, stopped) = bounded(0);
    let mut ahead = Ahead(Vec::new(), Some(send));
    node.run(Duration::ZERO, &stopped, &mut ahead).expect("it ends");
    assert_eq!(ahead.0[..3], [0; 3]);
    assert_eq!(node.seconds_ahead(), 0);
}
