//! Tests of what calls see while blocks are made, and after a restart.

use super::*;
use crate::{
    shared::SendError,
    testing::{
        CHAIN, Client, SENDERS, address, begun, begun_with, logging, node, payment, sign, signature,
    },
};
use alloy_consensus::{TxEip7702, TxLegacy};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, TxKind, U256};
use braid_chain::{LayeredState, MemoryStore, StoreError, Table, Writes, pool::PoolError};
use revm::state::{AccountInfo, Bytecode};
use serde_json::{Value, json};
use std::thread;

/// Gas price of all transactions, which exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

/// Makes a node with this number of blocks, each with one payment.
fn with_blocks(store: &MemoryStore, config: NodeConfig, blocks: u64) -> Node<MemoryStore> {
    let mut node = node(store, config);
    for nonce in 0..blocks {
        node.shared.send(payment(0, nonce, PRICE)).expect("admitted");
        node.step(0).expect("a block").expect("made");
    }
    node.chain.flush().expect("durable");
    node
}

fn client(node: &Node<MemoryStore>) -> Client {
    Client::new(&node.shared, crate::Limits::default())
}

#[test]
fn a_restart_reads_no_more_blocks_than_it_keeps() {
    let store = begun();
    let node = with_blocks(&store, NodeConfig::default(), 5);
    node.chain.flush().expect("durable");
    let one = node.parent.bytes();
    drop(node);
    // Reading this block would be an error.
    let mut writes = Writes::default();
    writes.put(Table::Blocks, 1_u64.to_be_bytes(), [0xff]);
    store.write(writes).expect("written");
    let opened = Node::open(store.clone(), NodeConfig::default());
    assert!(matches!(opened, Err(NodeError::Damaged { number: 1, .. })), "{opened:?}");
    for (bytes, oldest) in [(0, 5), (one, 5), (2 * one, 4), (3 * one, 3)] {
        let config = NodeConfig { history_bytes: bytes, ..NodeConfig::default() };
        let node = Node::open(store.clone(), config).expect("only later blocks are read");
        assert_eq!(node.shared.history().oldest(), Some(oldest), "{bytes} bytes");
        let last = node.shared.history().by_number(5).expect("kept");
        assert_eq!(last.transactions[0].signer(), address(0));
    }
}

#[test]
fn a_block_with_a_broken_signature_is_named_at_a_restart() {
    let store = begun();
    let node = with_blocks(&store, NodeConfig::default(), 3);
    node.chain.flush().expect("durable");
    let mut rlp = open(&store).expect("a chain").block(2).expect("reads").expect("kept");
    let signature = payment(0, 1, PRICE).signature().r().to_be_bytes::<32>();
    let at = rlp.windows(32).position(|it| it == signature).expect("it is in the block");
    rlp[at..at + 32].fill(0xff);
    let mut writes = Writes::default();
    writes.put(Table::Blocks, 2_u64.to_be_bytes(), rlp);
    store.write(writes).expect("written");
    let opened = Node::open(store, NodeConfig::default());
    assert!(matches!(opened, Err(NodeError::Damaged { number: 2, .. })), "{opened:?}");
}

/// Returns the answers to calls about each of the first `blocks` blocks.
fn answers(node: &Node<MemoryStore>, blocks: u64) -> Vec<Value> {
    let client = client(node);
    let mut answers = Vec::new();
    for number in 0..=blocks {
        let tag = json!(format!("{number:#x}"));
        let block = client.result("eth_getBlockByNumber", json!([tag, true]));
        let hash = &block["hash"];
        for (method, params) in [
            ("eth_getBlockByHash", json!([hash, false])),
            ("eth_getBlockReceipts", json!([tag])),
            ("debug_getRawBlock", json!([tag])),
            ("eth_getLogs", json!([{ "fromBlock": tag, "toBlock": "latest" }])),
            ("eth_feeHistory", json!(["0x3", tag, [50.0]])),
            ("eth_feeHistory", json!(["0x50", tag])),
            ("eth_getBalance", json!([address(0), { "blockHash": hash }])),
        ] {
            answers.push(client.result(method, params));
        }
        if let Some(sent) = block["transactions"].get(0) {
            for method in [
                "eth_getTransactionByHash",
                "eth_getTransactionReceipt",
                "eth_getRawTransactionByHash",
                "debug_traceTransaction",
            ] {
                answers.push(client.result(method, json!([sent["hash"]])));
            }
        }
        answers.push(block);
    }
    answers.push(client.result("eth_capabilities", json!([])));
    answers.push(client.result("eth_getTransactionByHash", json!([B256::ZERO])));
    answers.push(client.result("eth_getBlockByHash", json!([B256::ZERO, false])));
    answers
}

#[test]
fn older_blocks_are_read_from_the_store() {
    let store = begun();
    let last_only = NodeConfig { history_bytes: 0, ..NodeConfig::default() };
    let mut node = node(&store, last_only);
    for nonce in 0..40 {
        node.shared.send(payment(0, nonce, PRICE)).expect("admitted");
        if nonce % 3 == 0 {
            node.shared.send(logging(nonce / 3, PRICE)).expect("admitted");
        }
        node.step(0).expect("a block").expect("made");
    }
    node.chain.flush().expect("durable");
    node.shared.show();
    assert_eq!(node.shared.history().oldest(), Some(40));
    let made = answers(&node, 40);
    let logs = client(&node).result("eth_getLogs", json!([{ "fromBlock": "0x0" }]));
    assert_eq!(logs.as_array().map(Vec::len), Some(14));
    drop(node);
    for (config, oldest) in [(NodeConfig::default(), 0), (last_only, 40)] {
        let node = Node::open(store.clone(), config).expect("it opens");
        assert_eq!(node.shared.history().oldest(), Some(oldest));
        let found = answers(&node, 40);
        assert_eq!(found.len(), made.len());
        for (made, found) in made.iter().zip(found) {
            assert_eq!(made, &found);
        }
    }
}

/// While a call holds the view, history and pool are in the state after the same block.
#[test]
fn no_block_is_published_while_a_call_holds_the_view() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    let shared = node.shared();
    let hash = shared.send(payment(0, 0, PRICE)).expect("admitted");
    let (stored, built) = node.build(0).expect("a block");
    node.chain.flush().expect("durable");
    let stored = Arc::new(stored.expect("sealed"));
    let held = shared.hold();
    thread::scope(|scope| {
        let publishing = scope.spawn(|| node.publish(Arc::clone(&stored), &built.changes));
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(5));
            assert!(shared.history().transaction(&hash).is_none(), "the history is ahead");
            assert!(held.pool.get(&hash).is_some(), "the pool is ahead");
            assert_eq!(held.view().head.number(), 0);
        }
        drop(held);
        publishing.join().expect("no panic").expect("published");
    });
    let held = shared.hold();
    assert!(shared.history().transaction(&hash).is_some() && held.pool.get(&hash).is_none());
    assert_eq!((held.view().head.number(), shared.view().head.number()), (1, 1));
}

/// Calls during the publication of a block get the same answer as after it.
#[test]
fn a_transaction_never_disappears_while_its_block_is_published() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    let (shared, client) = (node.shared(), client(&node));
    let hash = shared.send(payment(0, 0, PRICE)).expect("admitted");
    let (stored, built) = node.build(0).expect("a block");
    node.chain.flush().expect("durable");
    let stored = Arc::new(stored.expect("sealed"));
    let state = node.chain.state().expect("a state");
    let view = view(&shared.producer, &stored, state);
    let (head, base_fee) = (built.changes.head, view.next_base_fee);
    let client = &client;
    thread::scope(|scope| {
        let mut asking = Vec::new();
        let apply = |account| {
            node.pool.applied(head, base_fee, [(address(0), account)]);
            asking.push(scope.spawn(|| {
                let found = client.result("eth_getTransactionByHash", json!([hash]));
                assert_eq!(found["blockNumber"], "0x1", "{found}");
            }));
            asking.push(scope.spawn(|| {
                let pending = json!([address(0), "pending"]);
                assert_eq!(client.result("eth_getTransactionCount", pending), "0x1");
            }));
            asking.push(scope.spawn(|| {
                let receipt = client.result("eth_getTransactionReceipt", json!([hash]));
                let head = client.result("eth_blockNumber", json!([]));
                assert!(receipt.is_null() || head == "0x1", "{receipt}, but the head is {head}");
            }));
            thread::sleep(Duration::from_millis(100));
        };
        let read = |state: &LayeredState<_>| SenderAccount::read(state, address(0));
        shared.publish(view, read, apply).expect("published");
        asking.into_iter().for_each(|it| it.join().expect("as after the block"));
    });
}

#[test]
fn a_durable_block_is_not_final_before_calls_see_it() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    let client = client(&node);
    node.shared.send(payment(0, 0, PRICE)).expect("admitted");
    let (stored, built) = node.build(0).expect("a block");
    assert_eq!(node.chain.flush().expect("durable").number, 1);
    let numbers = |number: &str| {
        for tag in ["safe", "finalized"] {
            let block = client.result("eth_getBlockByNumber", json!([tag, false]));
            assert_eq!(block["number"], number, "{tag}");
            let balance = client.result("eth_getBalance", json!([Address::repeat_byte(0xcc), tag]));
            assert_eq!(balance, "0x0");
            let fees = client.result("eth_feeHistory", json!(["0x1", tag, []]));
            assert_eq!(fees["oldestBlock"], number, "{tag}");
        }
    };
    numbers("0x0");
    node.publish(Arc::new(stored.expect("sealed")), &built.changes).expect("published");
    numbers("0x1");
}

/// The oldest blocks are removed from the store and from memory once blocks and receipts take too many
/// bytes.
#[test]
fn the_last_blocks_within_a_size_are_kept() {
    let mut config = NodeConfig::default();
    config.chain.keep.history_bytes = 6_000;
    let store = begun();
    let made = with_blocks(&store, config, 40);
    let compare = |node: &Node<MemoryStore>, lag: u64| {
        node.shared.show();
        let reader = open(&store).expect("a chain");
        let bytes = reader.history_bytes().expect("it is read").expect("it is counted");
        assert!((4_000..=6_000).contains(&bytes), "{bytes} bytes");
        let stored = reader.oldest_block().expect("it is read").expect("some are kept");
        let oldest = node.shared.history().oldest_kept().expect("some are kept");
        assert!(stored > 20 && (oldest..=oldest + lag).contains(&stored), "{oldest}, {stored}");
        assert_eq!(node.shared.window(), (oldest, 41 - oldest));
        let client = client(node);
        for number in 0..=40_u64 {
            let tag = format!("{number:#x}");
            let block = client.result("eth_getBlockByNumber", json!([tag, false]));
            assert_eq!(block.is_object(), number == 0 || number >= oldest, "block {number}");
            if number >= oldest {
                let receipts = client.result("eth_getBlockReceipts", json!([tag]));
                assert_eq!(receipts.as_array().map(Vec::len), Some(1), "block {number}");
            }
        }
        let tag = format!("{:#x}", oldest - 1);
        let (code, message) = client.error("eth_feeHistory", json!(["0x1", tag, []]));
        assert_eq!(code, -32_001, "{message}");
        let logs = json!([{ "fromBlock": tag, "toBlock": "latest" }]);
        let (code, message) = client.error("eth_getLogs", logs);
        assert!(message.contains(&format!("{oldest}")), "{code} {message}");
    };
    // When the last block was published, up to two others were not durable.
    compare(&made, 2);
    drop(made);
    compare(&node(&store, config), 0);
}

#[test]
fn fees_of_blocks_that_are_forgotten_are_an_error() {
    let config = NodeConfig { history_blocks: 2, ..NodeConfig::default() };
    let node = with_blocks(&begun(), config, 4);
    let client = client(&node);
    let fees = |newest: &str| json!(["0x8", newest, [50]]);
    let (code, message) = client.error("eth_feeHistory", fees("0x2"));
    assert_eq!(code, -32001, "{message}");
    assert!(message.contains("the oldest one that is kept is 3"), "{message}");
    for (newest, oldest, blocks) in [("0x3", "0x3", 1), ("0x4", "0x3", 2), ("latest", "0x3", 2)] {
        let fees = client.result("eth_feeHistory", fees(newest));
        assert_eq!(fees["oldestBlock"], oldest, "{fees}");
        let count = |name: &str| fees[name].as_array().map(Vec::len);
        assert_eq!((count("reward"), count("baseFeePerGas")), (Some(blocks), Some(blocks + 1)));
        assert_eq!(fees["reward"].as_array().map(Vec::is_empty), Some(false));
    }
    let fees = client.result("eth_feeHistory", fees("0x3"));
    let next = client.result("eth_getBlockByNumber", json!(["0x4", false]));
    assert_eq!(fees["baseFeePerGas"][1], next["baseFeePerGas"]);
    assert_ne!(next["baseFeePerGas"], Value::Null);
}

/// Makes a transaction of `sender` with this number of authorizations.
fn delegations(sender: u8, count: usize) -> SignedTransaction {
    let authorization = Authorization { chain_id: U256::ZERO, address: address(0), nonce: 0 };
    let signature = signature(1, authorization.signature_hash());
    let tx = TxEip7702 {
        chain_id: CHAIN,
        gas_limit: 21_000 + count as u64 * 25_000,
        max_fee_per_gas: PRICE,
        authorization_list: vec![authorization.into_signed(signature); count],
        ..TxEip7702::default()
    };
    SignedTransaction::Eip7702(sign(sender, tx))
}

/// Authorities of EIP-7702 are not recovered for an account that cannot pay.
#[test]
fn a_sender_without_funds_costs_one_signature() {
    let node = with_blocks(&begun(), NodeConfig::default(), 0);
    let shared = node.shared();
    let signed = delegations(SENDERS, 400);
    let least = |act: &dyn Fn()| {
        let times = (0..3).map(|_| {
            let begun = Instant::now();
            act();
            begun.elapsed()
        });
        times.min().expect("three")
    };
    let refused = least(&|| {
        let sent = shared.send(signed.clone());
        assert!(matches!(sent, Err(SendError::Pool(PoolError::Funds { .. }))), "{sent:?}");
    });
    let admission = shared.admission(0);
    let recovered = least(&|| {
        PoolTransaction::recover(signed.clone(), &admission).expect("valid");
    });
    assert!(4 * refused < recovered, "{refused:?} to refuse it, {recovered:?} to recover all");
}

/// On a quiet chain, only empty blocks lower the base fee.
#[test]
fn blocks_are_made_until_the_base_fee_lets_a_transaction_in() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    let fee = u128::from(node.shared.view().next_base_fee);
    node.shared.send(payment(0, 0, fee * 3 / 4)).expect("admitted");
    let mut gas = Vec::new();
    while let Some(mined) = node.step(0).expect("works") {
        gas.push(mined.built.output.gas_used);
    }
    // Each empty block lowers the base fee by an eighth: 0.77, 0.67.
    assert_eq!(gas, [0, 0, 0, 21_000]);
    // The lowest base fee is 7, as an eighth of it rounds to zero.
    let refused = node.shared.send(payment(1, 0, 6));
    let wanted = PoolError::Underpriced { max_fee: 6, least: 7 };
    assert!(matches!(&refused, Err(SendError::Pool(why)) if *why == wanted), "{refused:?}");
    assert!(node.step(0).expect("works").is_none());
    node.shared.send(payment(2, 0, 7)).expect("admitted");
    let blocks = (0..1_000).take_while(|_| node.step(0).expect("works").is_some()).count();
    assert!((100..400).contains(&blocks), "{blocks}");
    // Transactions after a nonce gap are not waited for, either.
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    node.shared.send(payment(0, 1, 7)).expect("admitted");
    assert!(node.step(0).expect("works").is_none());
}

/// Returns the result of `eth_call` for an instruction at a block.
fn instruction(client: &Client, code: &str, block: &str) -> U256 {
    let data = format!("0x{code}5f5260205ff3");
    let request = json!({"from": address(0), "data": data, "gasPrice": "0x2540be400"});
    let answer = client.result("eth_call", json!([request, block]));
    answer.as_str().expect("a word").parse().expect("a number")
}

/// The last block of a quiet chain is old: a transaction that depends on time could never be
/// estimated on it.
#[test]
fn the_next_block_is_what_pending_calls_and_estimates_run_in() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    let client = client(&node);
    // Reverts before November 2023.
    let waits = json!({"from": address(0), "data": "0x636553f1004210600b57005b5f5ffd"});
    assert_eq!(client.error("eth_call", json!([waits, "latest"])).0, 3);
    assert_eq!(client.error("eth_estimateGas", json!([waits, "latest"])).0, 3);
    client.result("eth_call", json!([waits, "pending"]));
    client.result("eth_estimateGas", json!([waits]));
    client.result("eth_estimateGas", json!([waits, "pending"]));
    let list = client.result("eth_createAccessList", json!([waits]));
    assert!(list.get("error").is_none(), "{list}");

    let (number, timestamp, base_fee) = ("43", "42", "48");
    let of = |code, block| instruction(&client, code, block);
    let fees = client.result("eth_feeHistory", json!(["0x1", "latest", []]));
    for (block, at, fee) in [("latest", 0, 0), ("pending", 1, 1)] {
        assert_eq!(of(number, block), U256::from(at));
        let fee = fees["baseFeePerGas"][fee].as_str().expect("a fee");
        assert_eq!(of(base_fee, block), fee.parse::<U256>().expect("a number"), "{block}");
    }
    assert_eq!(of(timestamp, "latest"), U256::ZERO);
    assert!(of(timestamp, "pending") > U256::from(1_700_000_000));
    // Time never decreases.
    node.shared.send(payment(0, 0, PRICE)).expect("admitted");
    node.step(1 << 40).expect("works").expect("made");
    node.chain.flush().expect("durable");
    assert_eq!(of(timestamp, "latest"), U256::from(1_u64 << 40));
    assert_eq!(of(timestamp, "pending"), U256::from((1_u64 << 40) + 1));
}

/// On a quiet chain without blocks, only the time shows that a fork has begun.
#[test]
fn a_quiet_chain_takes_transactions_by_the_rules_of_the_present_time() {
    let (prague, osaka) = (1 << 40, 1 << 41);
    let store = begun_with(|genesis| {
        let config = &mut genesis.config;
        (config.prague_time, config.osaka_time) = (Some(prague), Some(osaka));
    });
    let mut node = node(&store, NodeConfig::default());
    let shared = node.shared();
    let large = |sender| {
        let tx = TxLegacy { gas_limit: 20_000_000, gas_price: PRICE, ..TxLegacy::default() };
        SignedTransaction::Legacy(sign(sender, TxLegacy { to: TxKind::Call(address(0)), ..tx }))
    };
    let early = shared.admit(delegations(2, 1), prague - 1);
    assert!(matches!(early, Err(SendError::Pool(PoolError::Invalid(_)))), "{early:?}");
    shared.admit(delegations(2, 1), prague).expect("since Prague");
    shared.admit(large(3), osaka - 1).expect("before Osaka");
    let late = shared.admit(large(4), osaka);
    assert!(matches!(late, Err(SendError::Pool(PoolError::Invalid(_)))), "{late:?}");
    // A transaction admitted earlier that no block can include any more is removed from the pool.
    let mined = node.step(osaka).expect("works").expect("made");
    assert_eq!(mined.built.output.receipts.len(), 1);
    assert_eq!(shared.hold().pool.status().transactions, 0);
}

/// A state with one account, which fails for all others.
struct Only(Address);

impl DatabaseRef for Only {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        assert_eq!(address, self.0, "only senders of the pool are read");
        Ok(Some(AccountInfo { nonce: 1, balance: U256::MAX, ..AccountInfo::default() }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        panic!("code {hash} is read")
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        panic!("slot {slot} of {address} is read")
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        panic!("the hash of block {number} is read")
    }
}

#[test]
fn of_what_a_block_has_changed_only_senders_with_transactions_are_read() {
    let mut node = with_blocks(&begun(), NodeConfig::default(), 0);
    node.shared.send(payment(0, 0, PRICE)).expect("admitted");
    node.shared.send(payment(0, 1, PRICE)).expect("admitted");
    let (_, built) = node.build(0).expect("a block");
    let changes = &built.changes.changes;
    assert!(changes.state.len() >= 2, "the sender and whom it pays");
    let read = changed_senders(&node.pool.handle(), &Only(address(0)), changes, false);
    let read: Vec<_> = read.expect("reads").into_iter().map(|(it, to)| (it, to.nonce)).collect();
    assert_eq!(read, [(address(0), 1)]);
}
