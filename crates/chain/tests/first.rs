//! The records of a store's first and last block, rejected writes, and exclusive opening.

use crate::support::Reference;
use alloy_consensus::Header;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use braid_chain::{
    AccountChange, AccountRecord, DurableBatch, EmbeddedStore, FirstBlock, Head, Keep, MemoryStore,
    SlotChange, StateRoots, StateStore, StoreError, commit, create, export, genesis, open, unwind,
};
use std::{fs, num::NonZeroUsize, path::Path};

fn head(number: u64) -> Head {
    Head { number, hash: B256::with_last_byte(number as u8 + 1) }
}

#[test]
fn the_first_block_stays_known() {
    for (roots, stated) in [
        (StateRoots::Computed, None),
        (StateRoots::Disabled, None),
        (StateRoots::Disabled, Some(B256::repeat_byte(7))),
    ] {
        let store = MemoryStore::new();
        let batch = DurableBatch { head: head(5), state_root: stated, ..Default::default() };
        create(&store, b"{}", &batch, roots).expect("an empty store");
        for number in 6..9 {
            let batch = DurableBatch { head: head(number), ..DurableBatch::default() };
            commit(&store, &batch, Keep::default()).expect("it follows");
        }
        let computed = (roots == StateRoots::Computed).then(|| Reference::default().root());
        let first = FirstBlock { head: head(5), state_root: stated.or(computed) };
        assert_eq!(open(&store).expect("a chain").first_block().expect("reads"), Some(first));
    }
}

/// Returns a header of Osaka, and its block's number and hash.
fn last(number: u64, parent: Head) -> (Header, Head) {
    let header = Header {
        number,
        parent_hash: parent.hash,
        timestamp: 1_000 + number,
        gas_limit: 77_000_000,
        base_fee_per_gas: Some(12_345),
        withdrawals_root: Some(B256::ZERO),
        excess_blob_gas: Some(0x20000),
        blob_gas_used: Some(0x20000),
        ..Header::default()
    };
    let head = Head { number, hash: header.hash_slow() };
    (header, head)
}

#[test]
fn an_export_has_the_header_of_the_last_block() {
    let text = r#"{"config": {"chainId": 7, "terminalTotalDifficulty": 0, "cancunTime": 0, "osakaTime": 1001}}"#;
    let begun: Genesis = serde_json::from_str(text).expect("a genesis");
    let first = Head { number: 0, hash: genesis::header(&begun).hash_slow() };
    let store = MemoryStore::new();
    let kept = genesis::encode(&begun).expect("JSON");
    create(&store, &kept, &genesis::batch(&begun, first), StateRoots::Computed).expect("empty");
    let exported = || {
        let (mut file, reader) = (Vec::new(), open(&store).expect("a chain"));
        export(&reader, &mut file, |_| ())
            .map(|_| serde_json::from_slice::<Genesis>(&file).expect("a genesis"))
    };
    assert_eq!(exported().expect("the first block").number, None);
    let (header, head) = last(1, first);
    let header_rlp: Bytes = alloy_rlp::encode(&header).into();
    let batch = DurableBatch { head, header: header_rlp.clone(), ..DurableBatch::default() };
    commit(&store, &batch, Keep::default()).expect("it follows");
    let next = genesis::header(&exported().expect("its header is kept"));
    assert_eq!((next.number, next.timestamp, next.parent_hash), (1, 1_001, first.hash));
    assert_eq!((next.base_fee_per_gas, next.gas_limit), (Some(12_345), 77_000_000));
    assert_eq!((next.excess_blob_gas, next.blob_gas_used), (Some(0x20000), Some(0x20000)));
    // The stored header counts only if it is that of the last block.
    let (_, second) = last(2, head);
    let batch = DurableBatch { head: second, ..DurableBatch::default() };
    commit(&store, &batch, Keep::default()).expect("it follows");
    exported().expect_err("the header is that of block 1");
    unwind(&store, 1, NonZeroUsize::MIN).expect("it is kept");
    assert_eq!(exported().expect("its header is kept").number, Some(1));
    unwind(&store, 1, NonZeroUsize::MIN).expect("it is kept");
    assert_eq!(exported().expect("the first block").number, None);
}

fn account(address: u8) -> AccountChange {
    let after = AccountRecord { nonce: 1, balance: U256::ONE, code_hash: KECCAK256_EMPTY };
    let address = Address::repeat_byte(address);
    AccountChange { address, before: None, after: Some(after), cleared: false }
}

fn slot(address: u8, slot: u64) -> SlotChange {
    let (before, after) = (U256::ZERO, U256::ONE);
    SlotChange { address: Address::repeat_byte(address), slot: U256::from(slot), before, after }
}

/// Each of these batches would leave a slot or an account out of the state root.
#[test]
fn a_batch_whose_parts_do_not_fit_together_is_refused() {
    for (accounts, slots) in [
        (vec![account(2)], vec![slot(1, 0), slot(2, 0)]),
        (vec![account(1)], vec![slot(1, 0), slot(2, 0)]),
        (vec![account(2), account(1)], vec![slot(1, 0), slot(2, 0)]),
        (vec![account(1), account(1)], vec![slot(1, 0)]),
        (vec![account(1), account(2)], vec![slot(2, 0), slot(1, 0)]),
        (vec![account(1)], vec![slot(1, 1), slot(1, 0)]),
        (vec![account(1)], vec![slot(1, 1), slot(1, 1)]),
    ] {
        let batch = DurableBatch { head: head(1), accounts, slots, ..DurableBatch::default() };
        let store = MemoryStore::new();
        let created = create(&store, b"{}", &batch, StateRoots::Computed);
        assert!(matches!(created, Err(StoreError::Batch { number: 1, .. })), "{created:?}");
        let begun = DurableBatch { head: head(0), ..DurableBatch::default() };
        create(&store, b"{}", &begun, StateRoots::Computed).expect("an empty store");
        let committed = commit(&store, &batch, Keep::default());
        assert!(matches!(committed, Err(StoreError::Batch { number: 1, .. })), "{committed:?}");
        assert_eq!(open(&store).expect("a chain").head(), head(0));
    }
}

/// Returns the names of all files in `folder`, with the contents of small files.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("reads")))
        .collect();
    found.sort();
    found
}

/// A second store would repair files that the first one is writing.
#[test]
fn a_store_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path()).expect("a store");
    // As at the start of the first commit, the only journal contains part of a transaction.
    let journal = folder.path().join("0.jnl");
    let mut bytes = fs::read(&journal).expect("it is there");
    bytes[0] = 1;
    fs::write(&journal, bytes).expect("written");
    fs::write(folder.path().join("0.torn"), "a copy").expect("written");
    let before = files(folder.path());
    let again = EmbeddedStore::open(folder.path()).expect_err("it is open").to_string();
    assert!(again.contains("is open there; use that one"), "{again}");
    assert_eq!(files(folder.path()), before, "nothing is moved");
    drop(store);
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path()).expect("a store");
    let clone = store.clone();
    drop(store);
    EmbeddedStore::open(folder.path()).expect_err("a clone has it");
    let snapshot = clone.snapshot().expect("a snapshot");
    drop((clone, snapshot));
    EmbeddedStore::open(folder.path()).expect("it is free again");
}
