//! States after earlier blocks, read with undo records from the store, or from the archive.

use crate::limits::NodeConfig;
use alloy_primitives::B256;
use braid_chain::{LayeredState, PastState, Snapshot, StateReader, StoreError, Undo};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Cache of undo records, bounded by number and by size. The bounds also apply to each call: a
/// state that needs more undo records is read from the archive, if the chain has one.
#[derive(Debug)]
pub(crate) struct Past {
    blocks: u64,
    bytes: usize,
    /// Whether records stay in the cache: not if the state after a block may be edited.
    is_cached: bool,
    /// By block number, with the hash of the block: a follower replaces blocks.
    records: Mutex<BTreeMap<u64, (B256, Arc<Undo>)>>,
}

impl Past {
    pub(crate) const fn new(config: &NodeConfig) -> Self {
        let records = Mutex::new(BTreeMap::new());
        let (blocks, bytes) = (config.state_blocks, config.state_bytes);
        Self { blocks, bytes, is_cached: !config.is_dev, records }
    }

    /// Returns the number of blocks after which the state can be read.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks.max(1)
    }

    /// Returns the state after block `number`, which is the head of `state` or earlier; `None` if
    /// that state is not kept.
    pub(crate) fn state<S: Snapshot>(
        &self,
        state: &LayeredState<S>,
        number: u64,
    ) -> Result<Option<PastState<S>>, StoreError> {
        let head = state.head().number;
        if number == head {
            // The head needs no undo records, and so no lock on the cache.
            return PastState::after(state, number, |_, _| Ok(None));
        }
        let oldest = head.saturating_add(1).saturating_sub(self.blocks.max(1));
        if number < oldest {
            return PastState::archived(state, number);
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        *records = records.split_off(&oldest.saturating_add(1));
        if !self.is_cached {
            records.clear();
        }
        let mut bytes = 0_usize;
        let past = PastState::after(state, number, |reader, block| {
            let record = record(&mut records, reader, block, self.bytes.saturating_sub(bytes))?;
            bytes = bytes.saturating_add(record.as_ref().map_or(0, |record| record.bytes()));
            Ok(record)
        });
        // The records that this call needs are the newest ones.
        while records.values().map(|(_, record)| record.bytes()).sum::<usize>() > self.bytes {
            records.pop_first();
        }
        drop(records);
        match past? {
            Some(past) => Ok(Some(past)),
            None => PastState::archived(state, number),
        }
    }
}

/// Returns the undo record of a block, if it takes at most `bytes`, and caches it.
fn record<S: Snapshot>(
    records: &mut BTreeMap<u64, (B256, Arc<Undo>)>,
    reader: &StateReader<S>,
    block: u64,
    bytes: usize,
) -> Result<Option<Arc<Undo>>, StoreError> {
    let hash = reader.block_hash(block)?;
    if let Some((of, record)) = records.get(&block)
        && Some(*of) == hash
    {
        return Ok(Some(Arc::clone(record)).filter(|record| record.bytes() <= bytes));
    }
    let record = reader.undo_within(block, bytes)?.map(Arc::new);
    let known = record.iter().zip(hash);
    records.extend(known.map(|(record, hash)| (block, (hash, Arc::clone(record)))));
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits, Node,
        testing::{CHAIN, Client, address, begun, begun_as, node, payment, sign},
    };
    use alloy_consensus::TxLegacy;
    use alloy_primitives::{Address, B256, TxKind, U256, hex};
    use braid_chain::{
        Chain, ChainConfig, DurableBatch, EmbeddedStore, Head, Keep, MemoryStore, SlotChange,
        StateRoots, StateStore, Table, Writes, commit, create, pool::SignedTransaction,
    };
    use revm::DatabaseRef;
    use serde_json::{Value, json};
    use std::time::Instant;

    /// Gas price of all transactions, which exceeds every base fee in these tests.
    const PRICE: u128 = 10_000_000_000;
    /// Account that [`payment`] pays one wei to.
    const PAID: Address = Address::repeat_byte(0xbb);

    /// Creates a contract that stores the number of the current block in slot 0. Its code is a zero
    /// byte.
    fn creation(nonce: u64) -> SignedTransaction {
        let tx = TxLegacy { nonce, gas_price: PRICE, gas_limit: 200_000, ..TxLegacy::default() };
        let input = hex!("435f5560015ff3").into();
        let tx = TxLegacy { chain_id: Some(CHAIN), to: TxKind::Create, input, ..tx };
        SignedTransaction::Legacy(sign(1, tx))
    }

    /// Makes a block with a payment and a creation.
    fn make(node: &mut Node<MemoryStore>, number: u64) {
        let shared = node.shared();
        shared.send(payment(0, number - 1, PRICE)).expect("admitted");
        shared.send(creation(number - 1)).expect("admitted");
        node.step(number * 100).expect("works").expect("made");
        // Makes the block visible to clients; does not change the state that they read.
        node.chain().flush().expect("durable");
    }

    /// Checks the state after block `number` that calls return, by number and by hash.
    fn compare(client: &Client, number: u64) {
        let tag = format!("{number:#x}");
        let block = client.result("eth_getBlockByNumber", json!([tag, false]));
        for id in [json!(tag), json!({"blockHash": block["hash"]})] {
            let of = |method: &str, address: Address| client.result(method, json!([address, id]));
            assert_eq!(of("eth_getBalance", PAID), json!(tag), "{id}");
            assert_eq!(of("eth_getTransactionCount", address(0)), json!(tag), "{id}");
            for created in number.max(1)..=number + 1 {
                let contract = address(1).create(created - 1);
                let (code, slot) = if created <= number { ("0x00", created) } else { ("0x", 0) };
                assert_eq!(of("eth_getCode", contract), code, "{id}");
                let found = client.result("eth_getStorageAt", json!([contract, "0x0", id]));
                assert_eq!(found, json!(B256::from(U256::from(slot))), "{id}");
            }
            // Balance, number and time as the EVM sees them.
            let (paid, end) = (hex::encode(PAID), "5f5260205ff3");
            for (code, wanted) in [
                (format!("73{paid}31{end}"), number),
                (format!("43{end}"), number),
                (format!("42{end}"), number * 100),
            ] {
                let call = json!([{"data": format!("0x{code}")}, id]);
                let found = client.result("eth_call", call);
                assert_eq!(found, json!(B256::from(U256::from(wanted))), "{code} {id}");
            }
        }
    }

    fn is_forgotten(client: &Client, number: u64) {
        let params: Value = json!([PAID, format!("{number:#x}")]);
        let (code, message) = client.error("eth_getBalance", params);
        assert_eq!(code, -32_000, "{message}");
        assert!(message.contains(&format!("the state after block {number} is not kept")));
    }

    /// Checks that exactly the last `kept` states of a node with `config` can be read: while it
    /// makes 6 blocks, when all are durable, and after a restart.
    fn try_all(config: NodeConfig, kept: u64) {
        let store = begun();
        let mut made = node(&store, config);
        let client = Client::new(&made.shared(), Limits::default());
        let compare_all = |client: &Client, head: u64| {
            let oldest = (head + 1).saturating_sub(kept);
            (oldest..=head).for_each(|number| compare(client, number));
            (0..oldest).for_each(|number| is_forgotten(client, number));
        };
        for number in 1..=6 {
            make(&mut made, number);
            compare_all(&client, number);
        }
        made.chain().flush().expect("durable");
        compare_all(&client, 6);
        drop(made);
        let made = node(&store, config);
        compare_all(&Client::new(&made.shared(), Limits::default()), 6);
    }

    fn of(state_blocks: u64, state_bytes: usize) -> NodeConfig {
        NodeConfig { state_blocks, state_bytes, ..NodeConfig::default() }
    }

    #[test]
    fn the_states_after_the_last_blocks_can_be_read() {
        try_all(of(4, usize::MAX), 4);
        // The last state can always be read.
        try_all(of(0, usize::MAX), 1);
        let mut few = of(4, usize::MAX);
        few.chain.keep.undo_blocks = 2;
        let mut made = node(&begun(), few);
        (1..=6).for_each(|number| make(&mut made, number));
        made.chain().flush().expect("durable");
        let client = Client::new(&made.shared(), Limits::default());
        (4..=6).for_each(|number| compare(&client, number));
        // When the last block was published, up to two earlier blocks may not have been durable.
        // Their changes were then layered over the store, which had two more undo records.
        (0..2).for_each(|number| is_forgotten(&client, number));
    }

    /// An archive has the states that no undo record leads to, also after a restart without the
    /// option, and replays their blocks.
    #[test]
    fn an_archive_has_all_states() {
        let mut config = of(2, usize::MAX);
        config.chain.keep.undo_blocks = 2;
        config.chain.keep.archive = true;
        let store = begun_as(StateRoots::Computed, |_| ());
        let mut made = node(&store, config);
        (1..=8).for_each(|number| make(&mut made, number));
        let compare_all = |node: &Node<MemoryStore>, head: u64| {
            let client = Client::new(&node.shared(), Limits::default());
            (0..=head).for_each(|number| compare(&client, number));
            for number in 1..=head {
                let tag = format!("{number:#x}");
                let traces = client.result("debug_traceBlockByNumber", json!([tag]));
                let gas = |trace: &Value| trace["result"]["gas"].as_u64();
                let traced =
                    traces.as_array().and_then(|it| it.iter().map(gas).sum::<Option<u64>>());
                let block = client.result("eth_getBlockByNumber", json!([tag, false]));
                assert_eq!(block["gasUsed"], json!(traced.map(|gas| format!("{gas:#x}"))));
            }
            // The archive has no trie nodes.
            let proof = |number: u64| json!([PAID, [], format!("{number:#x}")]);
            let found = client.result("eth_getProof", proof(head));
            assert_eq!(found["balance"], format!("{head:#x}"));
            let (code, message) = client.error("eth_getProof", proof(1));
            assert_eq!(code, -32_000, "{message}");
            assert!(message.contains("the state after block 1 is not kept"), "{message}");
            let about = client.result("eth_capabilities", json!([]));
            assert_eq!(about["state"]["oldestBlock"], "0x0", "{about}");
            assert!(about["state"].get("deleteStrategy").is_none(), "{about}");
        };
        compare_all(&made, 8);
        drop(made);
        config.chain.keep.archive = false;
        let mut made = node(&store, config);
        (9..=12).for_each(|number| make(&mut made, number));
        compare_all(&made, 12);
    }

    /// An archive that begins later lacks the states before.
    #[test]
    fn states_before_the_archive_are_forgotten() {
        let mut config = of(2, usize::MAX);
        let store = begun();
        let mut made = node(&store, config);
        (1..=4).for_each(|number| make(&mut made, number));
        drop(made);
        config.chain.keep.archive = true;
        let mut made = node(&store, config);
        (5..=9).for_each(|number| make(&mut made, number));
        let client = Client::new(&made.shared(), Limits::default());
        (4..=9).for_each(|number| compare(&client, number));
        (0..4).for_each(|number| is_forgotten(&client, number));
    }

    #[test]
    fn undo_records_in_memory_are_bounded() {
        let store = begun();
        let mut made = node(&store, of(4, usize::MAX));
        (1..=6).for_each(|number| make(&mut made, number));
        made.chain().flush().expect("durable");
        let state = made.chain().state().expect("a state");
        let held = |past: &Past| {
            let records = past.records.lock().expect("no panic");
            records.values().map(|(_, record)| record.bytes()).collect::<Vec<_>>()
        };
        let past = Past::new(&of(4, usize::MAX));
        assert!(past.state(&state, 3).expect("reads").is_some());
        let each = held(&past);
        assert_eq!(each.len(), 3);
        let (all, two) = (each.iter().sum::<usize>(), each[1] + each[2]);
        for (bytes, oldest, kept) in [(all, 3, 3), (all - 1, 4, 2), (two - 1, 5, 1), (0, 6, 0)] {
            let past = Past::new(&of(4, bytes));
            // The order of requests does not matter.
            for number in [3, 5, 4, 6, 3] {
                let found = past.state(&state, number).expect("reads");
                assert_eq!(found.is_some(), number >= oldest, "{bytes} bytes, block {number}");
                assert!(held(&past).iter().sum::<usize>() <= bytes);
            }
            assert_eq!(held(&past).len(), kept);
        }
        // A record that is too long is not decoded, so damage in it is not noticed.
        let long = |bytes: usize| [&[0; 40][..], &vec![0xff; bytes]].concat();
        for (length, is_decoded) in [(two, true), (two + 1, false)] {
            let mut writes = Writes::default();
            writes.put(Table::Undo, 6_u64.to_be_bytes(), long(length));
            store.write(writes).expect("written");
            let state = made.chain().state().expect("a state");
            let found = Past::new(&of(4, two)).state(&state, 5);
            assert_eq!(found.is_err(), is_decoded, "{length} bytes");
        }
        // With a later head, records that no state needs any more are dropped.
        make(&mut made, 7);
        made.chain().flush().expect("durable");
        let state = made.chain().state().expect("a state");
        assert!(past.state(&state, 6).expect("reads").is_some());
        assert_eq!(held(&past).len(), 3, "blocks 5 to 7");
    }

    /// Measures what an archive costs when each block has changed 2,000 of 20,000 slots: `cargo test
    /// --release -p braid-node --lib archive_of -- --ignored --nocapture`.
    #[test]
    #[ignore = "it measures"]
    fn archive_of_many_blocks() {
        const BLOCKS: u64 = 2_000;
        let head = |number| Head { number, hash: B256::from(U256::from(number)) };
        for archive in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = EmbeddedStore::open(folder.path()).expect("a store");
            create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("created");
            let mut keep = Keep::default();
            keep.archive = archive;
            let begun = Instant::now();
            for number in 1..=BLOCKS {
                let change = |at: u64| SlotChange {
                    address: PAID,
                    slot: U256::from((number % 10) * 2_000 + at),
                    before: U256::from(number.saturating_sub(10)),
                    after: U256::from(number),
                };
                let slots = (0..2_000).map(change).collect();
                let batch = DurableBatch { head: head(number), slots, ..Default::default() };
                commit(&store, &batch, keep).expect("written");
            }
            println!("archive {archive}: {:?} for a block", begun.elapsed() / BLOCKS as u32);
            if !archive {
                continue;
            }
            let chain = Chain::open(store, ChainConfig::default()).expect("a chain");
            let state = chain.state().expect("a state");
            for age in [1, 10, 100, 1_000, BLOCKS - 20] {
                let number = BLOCKS - age;
                let found = PastState::archived(&state, number).expect("reads").expect("kept");
                let begun = Instant::now();
                for at in 0..20_000_u64 {
                    // The last block up to `number` that has changed the slot.
                    let last = number - (number + 10 - at / 2_000) % 10;
                    let value = found.storage_ref(PAID, U256::from(at)).expect("reads");
                    assert_eq!(value, U256::from(last), "slot {at} after block {number}");
                }
                println!("{age} blocks ago: {:?} for a slot", begun.elapsed() / 20_000);
            }
        }
    }

    /// Measures reading the oldest state if each block has changed as many slots as 60 million gas
    /// pay for: `cargo test --release -p braid-node --lib oldest -- --ignored --nocapture`.
    #[test]
    #[ignore = "it measures"]
    fn oldest_state_after_full_blocks() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = EmbeddedStore::open(folder.path()).expect("a store");
        let head = |number| Head { number, hash: B256::from(U256::from(number)) };
        create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("created");
        let slots = |number: u64| {
            let change = |slot: u64| SlotChange {
                address: PAID,
                slot: U256::from(slot),
                before: U256::from(number - 1),
                after: U256::from(number),
            };
            (0..12_000).map(change).collect()
        };
        for number in 1..=32 {
            let batch =
                DurableBatch { head: head(number), slots: slots(number), ..Default::default() };
            commit(&store, &batch, Keep::default()).expect("written");
        }
        let chain = Chain::open(store, ChainConfig::default()).expect("a chain");
        let state = chain.state().expect("a state");
        let past = Past::new(&NodeConfig::default());
        for what in ["for the first time", "again"] {
            let begun = Instant::now();
            let found = past.state(&state, 1).expect("reads").expect("kept");
            let opened = begun.elapsed();
            for slot in 0..12_000 {
                let value = found.storage_ref(PAID, U256::from(slot)).expect("reads");
                assert_eq!(value, U256::from(1));
            }
            let each = (begun.elapsed() - opened) / 12_000;
            println!("{what}: {opened:?}, and {each:?} for a slot");
        }
        let records = past.records.lock().expect("no panic");
        println!("{} bytes", records.values().map(|(_, record)| record.bytes()).sum::<usize>());
    }
}
