//! Produces every error of the chain as a user would meet it. Each message says what to do next,
//! and names block, transaction, account and slot if they are known.

use crate::{
    rlp::{demo, refusal, unsigned},
    streams::{begun, block, config},
    support::{Child, Kind, Stream, Troubled},
};
use alloy_primitives::{Address, B256, U256};
use braid_blocks::errors;
use braid_chain::{
    Chain, ChainError, ChainFolder, DurableBatch, EmbeddedStore, ExportError, FolderError, Head,
    Keep, MemoryStore, SlotChange, StateRoots, StateStore, StoreError, Table, Writes, commit,
    create, export, export_blocks, genesis, open,
    rlp::{RlpError, RlpItems},
    unwind,
};
use revm::DatabaseRef;
use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    num::NonZeroUsize,
};

/// An error, and the words that its message must contain.
pub(crate) type Made = (Box<dyn Error>, &'static [&'static str]);

/// Checks that `made` has each variant of the enum, and that each message is helpful.
#[track_caller]
pub(crate) fn all_help(source: &str, name: &str, made: Vec<Made>) {
    let mut seen = errors::Made::default();
    for (error, names) in made {
        let text = error.to_string();
        assert!(text.contains("; ") || text.contains(". "), "{name}: no advice in {text:?}");
        seen.add(&*error, names);
    }
    seen.has_all_of(source, name, &[]);
}

/// Account whose records, including a slot, are corrupted.
const SPOILT: Address = Address::repeat_byte(0x5a);

fn put(store: &MemoryStore, table: Table, key: impl AsRef<[u8]>, value: &[u8]) {
    let mut writes = Writes::default();
    writes.put(table, key.as_ref(), value);
    store.write(writes).expect("it is written");
}

fn empty_chain() -> MemoryStore {
    let store = MemoryStore::new();
    let genesis = DurableBatch::default();
    create(&store, b"{}", &genesis, StateRoots::Computed).expect("an empty store");
    store
}

fn batch(number: u64) -> DurableBatch {
    DurableBatch { head: Head { number, hash: B256::ZERO }, ..DurableBatch::default() }
}

#[test]
fn errors_of_the_store() {
    let store = empty_chain();
    let again = create(&store, b"{}", &DurableBatch::default(), StateRoots::Computed);
    let late = commit(&store, &batch(2), Keep::default());
    let mut rooted = batch(1);
    rooted.state_root = Some(B256::ZERO);
    let root = commit(&store, &rooted, Keep::default());
    let first = unwind(&store, 1, NonZeroUsize::MIN);
    let mut orphan = batch(1);
    let (address, slot) = (SPOILT, U256::ONE);
    orphan.slots = vec![SlotChange { address, slot, before: U256::ZERO, after: slot }];
    let orphan = commit(&store, &orphan, Keep::default());

    let spoilt = empty_chain();
    put(&spoilt, Table::Accounts, SPOILT, &[1]);
    put(&spoilt, Table::Slots, [SPOILT.as_slice(), &[7; 32]].concat(), &[1; 33]);
    let reader = open(&spoilt).expect("a chain");
    let account = reader.basic_ref(SPOILT).expect_err("a record of one byte");
    let slot = reader.storage_ref(SPOILT, U256::from_be_bytes([7; 32])).expect_err("33 bytes");
    assert!(matches!(account.root(), StoreError::Damaged { .. }), "{account}");
    let code = reader.code_by_hash_ref(B256::repeat_byte(9)).expect_err("there is none");
    put(&spoilt, Table::Meta, b"schema", &99_u32.to_be_bytes());
    let schema = open(&spoilt).map(|_| ());

    let failing = Troubled::lasting(empty_chain(), Kind::ReadFails, 0);
    let failed = open(&failing).map(|_| ());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no store").expect("it is written");
    let opened = EmbeddedStore::open(&file).map(|_| ());

    let error = |it: Result<(), StoreError>| -> Box<dyn Error> { it.expect_err("it fails").into() };
    all_help(
        include_str!("../src/error.rs"),
        "StoreError",
        vec![
            (error(failed), &["the test asked for it", "open the chain again"]),
            (error(opened), &["file"]),
            (account.into(), &["account 0x5a5A5a", "restore the folder"]),
            (slot.into(), &["slot 0x70707", "of 0x5a5A5a", "restore the folder"]),
            (code.into(), &["the code 0x0909", "restore the folder"]),
            (error(open(&MemoryStore::new()).map(|_| ())), &["braid-node init"]),
            (error(again), &["at block 0", "choose an empty folder"]),
            (error(schema), &["99", "open it with the version that wrote it"]),
            (error(root), &["state root 0x0000"]),
            (error(first.map(|_| ())), &["block 0 has no undo record"]),
            (error(late), &["block 2", "commit block 1 next"]),
            (error(orphan), &["block 1", "a slot of 0x5a5A5a", "with its account"]),
        ],
    );
}

/// Returns the chain's error for the first block of `stream` after `change`.
fn refused(stream: &Stream, change: impl FnOnce(&mut braid_chain::ChainBlock)) -> Box<dyn Error> {
    let mut chain = Chain::open(begun(stream), config(1)).expect("a chain");
    let mut next = block(&stream.blocks[0]);
    change(&mut next);
    chain.execute(next).map(|_| ()).expect_err("it is refused").into()
}

/// Returns the error of a chain whose writer meets `kind` at the first block.
fn unwritten(stream: &Stream, kind: Kind) -> Box<dyn Error> {
    let store = Troubled::lasting(begun(stream), kind, 0);
    let mut chain = Chain::open(store, config(1)).expect("a chain");
    let executed = chain.execute(block(&stream.blocks[0])).map(|_| ());
    executed.and_then(|()| chain.flush().map(|_| ())).expect_err("it is not written").into()
}

/// A thread stack size that no machine has, and the variable from which std reads it.
const STACK: (&str, &str) = ("RUST_MIN_STACK", "9000000000000000");

#[test]
#[ignore = "the process in which `errors_of_the_chain` starts no thread"]
fn child_without_threads() {
    if env::var_os(STACK.0).is_some() {
        let error = Chain::open(empty_chain(), config(1)).map(|_| ()).expect_err("no thread");
        assert!(matches!(error, ChainError::Thread(_)), "{error}");
        println!("\nended {error}");
    }
}

#[test]
fn errors_of_the_chain() {
    // A block whose transactions have a chain id, and whose senders exist.
    let stream = Stream::new(22, 1);
    let number = refused(&stream, |it| it.block.env.number += U256::from(5));
    let parent = refused(&stream, |it| it.block.parent_hash = B256::ZERO);
    let chain_id = refused(&stream, |it| it.block.transactions[0].chain_id = Some(77));
    let nonce = refused(&stream, |it| it.block.transactions[0].nonce += 9);
    let header = refused(&stream, |it| it.expected.gas_used = Some(1));
    let store = Chain::open(MemoryStore::new(), config(1)).map(|_| ()).expect_err("no chain");
    let mut made: Vec<Made> = vec![
        (number, &["block 1005", "execute block 1000 next"]),
        (parent, &["block 1000", "unwind to the block"]),
        (chain_id, &["block 1000, transaction 0", "chain id 77"]),
        (nonce, &["block 1000, transaction 0", "nonce"]),
        (header, &["block 1000", "gas used 1"]),
        (store.into(), &["braid-node init"]),
        (unwritten(&stream, Kind::WriteFails), &["block 1000", "open the chain again"]),
        (unwritten(&stream, Kind::WritePanics), &["block 1000", "execute from block 1000 on"]),
    ];
    let mut child = Child::start("errors::child_without_threads", |command| {
        command.arg("--test-threads=1").env(STACK.0, STACK.1);
    });
    assert!(child.wait().success(), "no thread can be started, and the error says so");
    let text = child.ended.expect("it says why");
    assert!(text.starts_with("a thread cannot be started: ") && text.contains("fewer"), "{text}");
    let thread = ChainError::Thread(io::Error::other(text));
    made.push((thread.into(), &["ulimit -u"]));
    all_help(include_str!("../src/error.rs"), "ChainError", made);
}

#[test]
fn a_read_that_fails_in_a_block_names_what_was_read() {
    let stream = Stream::new(22, 1);
    let store = begun(&stream);
    let caller = stream.blocks[0].0.transactions[0].caller;
    put(&store, Table::Accounts, caller, &[1]);
    let mut chain = Chain::open(store, config(1)).expect("a chain");
    let error = chain.execute(block(&stream.blocks[0])).map(|_| ()).expect_err("a spoilt record");
    let text = error.to_string();
    assert!(text.starts_with("block 1000, transaction 0: "), "{text}");
    assert!(text.contains(&format!("account {caller}")), "{text}");
}

#[test]
fn errors_of_the_folder() {
    let place = tempfile::tempdir().expect("a folder");
    let chain = place.path().join("chain");
    let held = ChainFolder::create(&chain).expect("a free folder");
    let in_use = ChainFolder::create(&chain).expect_err("this process has it");
    let lock = fs::read_dir(&chain).expect("it can be read").next().expect("the lock");
    fs::write(lock.expect("the lock").path(), "").expect("it is emptied");
    let unknown = ChainFolder::create(&chain).expect_err("it is held");
    drop(held);
    let missing = ChainFolder::open(&chain).expect_err("no chain");
    let foreign = ChainFolder::create(place.path()).expect_err("it holds a folder");
    let file = place.path().join("file");
    fs::write(&file, "").expect("it is written");
    let below = ChainFolder::create(&file.join("chain")).expect_err("a file is no folder");
    let error = |it: FolderError| -> Box<dyn Error> { it.into() };
    all_help(
        include_str!("../src/folder.rs"),
        "FolderError",
        vec![
            (error(in_use), &["chain", "stop it: kill"]),
            (error(unknown), &["wait until it ends"]),
            (error(missing), &["braid-node init"]),
            (error(foreign), &["choose an empty folder"]),
            (error(below), &["file", "choose a folder"]),
        ],
    );
}

/// A writer that accepts no bytes.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("no space"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_rlp_and_of_an_export() {
    let (block, rules) = demo();
    let mut other = block.clone();
    other.body.transactions.pop();
    let item = |bytes: &[u8]| -> Box<dyn Error> {
        RlpItems::new(bytes).find_map(Result::err).expect("refused").into()
    };
    let error = |it: RlpError| -> Box<dyn Error> { it.into() };
    let made: Vec<Made> = vec![
        (item(&[0xf8, 60]), &["export it again"]),
        (item(b"{}"), &["geth export"]),
        (item(&[0xff; 20]), &["a list of"]),
        (error(refusal(&unsigned(&block), &rules)), &["block 1, transaction 77"]),
        (error(refusal(&other, &rules)), &["block 1", "transactions root"]),
    ];
    all_help(include_str!("../src/rlp.rs"), "RlpError", made);

    // The genesis is readable, but the account's record is not.
    let store = MemoryStore::new();
    let (genesis, _) =
        braid_blocks::workload::demo_chain(1, 1, braid_chain::genesis::header).expect("generates");
    let genesis = braid_chain::genesis::encode(&genesis).expect("JSON");
    create(&store, &genesis, &DurableBatch::default(), StateRoots::Disabled).expect("empty");
    let full = export(&open(&store).expect("a chain"), &mut Full, |_| ());
    put(&store, Table::Accounts, SPOILT, &[1]);
    let spoilt = export(&open(&store).expect("a chain"), &mut io::sink(), |_| ());
    let store = empty_chain();
    commit(&store, &batch(1), Keep::default()).expect("it follows");
    let bare = export(&open(&store).expect("a chain"), &mut io::sink(), |_| ());
    let missing = export_blocks(&open(&store).expect("a chain"), 1..=1, &mut io::sink(), |_| ());
    let missing = Box::new(missing.expect_err("it is not kept"));
    let error = |it: Result<_, ExportError>| -> Box<dyn Error> {
        it.map(|_: braid_chain::Exported| ()).expect_err("it fails").into()
    };
    all_help(
        include_str!("../src/export.rs"),
        "ExportError",
        vec![
            (error(full), &["no space"]),
            (error(spoilt), &["account 0x5a5A5a"]),
            (error(bare), &["last block 1", "execute one more block"]),
            (missing, &["block 1", "begin with a later block"]),
        ],
    );
}

#[test]
fn every_refusal_of_a_genesis_helps() {
    let refused = |config: &str, fields: &str| -> Box<dyn Error> {
        let text = format!(
            r#"{{"config": {{"chainId": 7, {config}}}, {fields}, "alloc": {{}}, "difficulty": "0x0",
            "gasLimit": "0x1000000"}}"#
        );
        let genesis = serde_json::from_str(&text).expect("a genesis file");
        genesis::check(&genesis).expect_err("refused").into()
    };
    let first = r#""timestamp": "0x0""#;
    let made: Vec<Made> = vec![
        (refused(r#""zeroBaseFee": 3"#, first), &["config.zeroBaseFee", "3"]),
        (refused(r#""contractSizeLimit": 3"#, first), &["config.contractSizeLimit"]),
        (
            refused(r#""byzantiumBlock": 9, "constantinopleBlock": 5"#, first),
            &["config.byzantiumBlock", "config.constantinopleBlock", "5"],
        ),
        (refused(r#""homesteadBlock": 0"#, r#""timestamp": "0xffffffffffffffff""#), &["timestamp"]),
        (
            refused(
                r#""blobSchedule": {"osaka": {"target": 3, "max": 6, "baseFeeUpdateFraction": 0}}"#,
                first,
            ),
            &["config.blobSchedule.osaka.baseFeeUpdateFraction", "1"],
        ),
        (
            refused(
                r#""homesteadBlock": 0"#,
                r#""timestamp": "0x0", "excessBlobGas": "0xffffffffffffffff""#,
            ),
            &["excessBlobGas", "0x7fffffffffffffff"],
        ),
    ];
    all_help(include_str!("../src/genesis.rs"), "GenesisError", made);
}
