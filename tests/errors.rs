//! Produces every variant of the library's public errors, and checks that each message says where
//! it occurred or what to do next. Variants are read from the source, so a new one without a row
//! fails.

use crate::support::scene::{Scene, call, pay};
use alloy_eip7928::AccountChanges;
use alloy_primitives::{Address, B256, U256};
use braid_blocks::code::Code;
use braid_blocks::errors::Made;
use braid_blocks::faulty::{Fault, Faulty};
use braid_blocks::hooked::Read;
use braid_blocks::memory::MemoryDatabase;
use braid_evm::mutants::{Bug, seed};
use braid_evm::{
    AccessList, Block, BlockError, BlockErrorKind, BlockOutput, CancellationToken, Cloned, Config,
    Executor, Invariant, Mode, Outcome, TxIndex,
};
use revm::context_interface::result::InvalidHeader;
use revm::database_interface::DBErrorMarker;
use revm::inspector::NoOpInspector;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

fn executor(mode: Mode) -> Executor {
    let config = Config::builder().workers(2).keep_changes(true).build();
    let mut config = config.expect("allowed");
    config.engine.mode = mode;
    Executor::new(config).expect("threads start")
}

fn run(scene: &Scene) -> Result<BlockOutput, BlockError<core::convert::Infallible>> {
    executor(Mode::Validate).block(scene.block.clone()).database(scene.database()).execute()
}

/// Returns three payments on `spec`.
fn payments(spec: SpecId) -> Scene {
    let mut scene = Scene::on(spec);
    let [alice, bob] = scene.senders();
    for _ in 0..3 {
        scene.send(alice, pay(bob, 1));
    }
    scene
}

fn faulty(scene: &Scene, place: Read) -> Faulty<MemoryDatabase> {
    Fault::At(place).of(scene.database())
}

#[test]
fn every_way_in_which_a_block_ends_early() {
    let mut made = Made::default();
    let scene = payments(SpecId::OSAKA);
    let receiver = scene.block.transactions[0].kind.to().copied().expect("a payment");
    let database = faulty(&scene, Read::Account(receiver));
    let failed = executor(Mode::Validate).block(scene.block.clone()).database(database).execute();
    let failed = failed.expect_err("the database fails");
    let place = format!("{receiver:?}");
    let again = "execute the block again";
    assert!(failed.to_string().contains("transaction 0"), "{failed}");
    made.add(&failed.kind, &["the database failed", &place, again]);

    let mut invalid = payments(SpecId::OSAKA);
    invalid.block.transactions[1].nonce = 7;
    let error = run(&invalid).expect_err("the nonce is wrong");
    assert!(error.to_string().contains("transaction 1"), "{error}");
    made.add(&error.kind, &["nonce", "refuse the block", "BlockRequest::build"]);

    let block = Block { access_list: Some(Arc::default()), ..scene.block.clone() };
    let wrong = executor(Mode::Validate).block(block).database(scene.database()).execute();
    let wrong = wrong.expect_err("the block does something");
    made.add(&wrong.kind, &["index", "account 0x", "refuse the block"]);

    let mut rootless = payments(SpecId::OSAKA);
    rootless.block.parent_beacon_block_root = None;
    let error = run(&rootless).expect_err("a root is missing");
    made.add(&error.kind, &["system call", "beacon", "correct `Block`"]);

    let token = CancellationToken::new();
    token.cancel();
    let mut executor = executor(Mode::Validate);
    let request = executor.block(scene.block.clone()).database(scene.database()).cancel(token);
    let error = request.execute().expect_err("it is cancelled");
    made.add(&error.kind, &["cancelled", "committed"]);

    // Only seeded bugs break an invariant: `cargo xtask mutants`.
    let broken = BlockErrorKind::<String>::Internal(Invariant::ValueKind);
    let words = broken.to_string();
    assert!(words.contains("report it") && words.contains("Policy::Sequential"), "{words}");
    made.has_all_of(include_str!("../src/evm/block/error.rs"), "BlockErrorKind", &["Internal"]);
}

#[test]
fn every_way_in_which_a_transaction_is_rejected() {
    let mut made = Made::default();
    let mut rejected = |scene: &Scene, words: &[&str]| {
        let mut executor = executor(Mode::Validate);
        let request = executor.block(scene.block.clone()).database(scene.database());
        match request.execute().expect_err("a transaction is invalid").kind {
            BlockErrorKind::Invalid(reason) => made.add(&reason, words),
            other => panic!("{other}"),
        }
    };
    let with = |change: fn(&mut Block)| {
        let mut scene = payments(SpecId::OSAKA);
        change(&mut scene.block);
        scene
    };
    let scene = with(|block| block.transactions[2].nonce = 9);
    rejected(&scene, &["nonce", "9"]);
    let scene = with(|block| block.env.prevrandao = None);
    rejected(&scene, &["block environment", "Block::env"]);
    let scene = with(|block| block.env.gas_limit = 1_030_000);
    rejected(&scene, &["1000000", "left in the block"]);
    let scene = with(|block| {
        block.rules.max_blob_gas = Some(131_071);
        let tx = &mut block.transactions[0];
        (tx.tx_type, tx.max_fee_per_blob_gas) = (3, 1);
        tx.blob_hashes = vec![B256::repeat_byte(1)];
    });
    rejected(&scene, &["131072", "131071"]);
    let mut scene = with(|_| {});
    let beneficiary = scene.block.env.beneficiary;
    let balance = U256::MAX;
    scene.put(beneficiary, braid_blocks::memory::MemoryAccount { balance, ..Default::default() });
    let _bug = seed(Bug::RewardOverflowFails);
    rejected(&scene, &["the reward does not fit"]);
    // An access-list error ends the block as `BlockErrorKind::AccessList`.
    made.has_all_of(include_str!("../src/evm/exec/rejection.rs"), "Rejection", &["AccessList"]);
}

#[test]
fn every_way_in_which_an_access_list_is_wrong() {
    let mut made = Made::default();
    let mut refused = |spec, list: Vec<AccountChanges>, words: &[&str]| {
        let mut block = payments(spec).block;
        block.access_list = Some(Arc::new(AccessList::new(list)));
        let database = payments(spec).database();
        let error = executor(Mode::Validate).block(block).database(database).execute();
        match error.expect_err("the list is wrong").kind {
            BlockErrorKind::AccessList(wrong) => made.add(&wrong, words),
            other => panic!("{other}"),
        }
    };
    let twice = vec![AccountChanges::new(Address::repeat_byte(7)); 2];
    refused(SpecId::OSAKA, twice, &["malformed"]);
    let number = |number: u64| Address::from_word(U256::from(number).into());
    let long = (1..=20_000).map(|one| AccountChanges::new(number(one))).collect();
    refused(SpecId::AMSTERDAM, long, &["too long"]);
    refused(SpecId::OSAKA, Vec::new(), &["index 0", "account 0x", "listed nothing"]);
    made.has_all_of(include_str!("../src/evm/bal/mismatch.rs"), "AccessListError", &[]);
}

/// Replays `tx`, and returns the error.
fn again<D>(output: &BlockOutput, tx: u32, database: D) -> braid_evm::ReplayError<D::Error>
where
    D: revm::DatabaseRef<Error: DBErrorMarker + core::error::Error + Send + Sync + 'static>
        + Clone
        + Send
        + Sync,
{
    let replayed = output.replay(TxIndex(tx), Cloned(database), NoOpInspector);
    replayed.expect_err("it cannot run again")
}

#[test]
fn every_way_in_which_a_transaction_cannot_run_again() {
    let mut made = Made::default();
    let mut scene = payments(SpecId::OSAKA);
    let receiver = scene.block.transactions[0].kind.to().copied().expect("a payment");
    scene.block.transactions[2].nonce = 9;
    let mut plain = Executor::new(Config::default()).expect("threads start");
    let request = plain.block(payments(SpecId::OSAKA).block).database(scene.database());
    let output = request.execute().expect("it is valid");
    made.add(&again(&output, 0, scene.database()), &["keep_changes"]);

    let mut builder = executor(Mode::Build);
    let output = builder.block(scene.block.clone()).database(scene.database()).execute();
    let output = output.expect("it is built");
    assert!(matches!(output.outcomes[2], Outcome::Skipped(_)));
    made.add(&again(&output, 2, scene.database()), &["transaction 2", "nonce", "another one"]);
    made.add(&again(&output, 9, scene.database()), &["transaction 9", "3 transactions"]);
    let database = faulty(&scene, Read::Account(receiver));
    made.add(&again(&output, 0, database), &["the database failed", "replay again"]);

    let committed = run(&scene).expect_err("the nonce is wrong").committed;
    made.add(&again(&committed, 2, scene.database()), &["transaction 2 is invalid", "nonce"]);
    let mut scene = payments(SpecId::OSAKA);
    scene.block.env.prevrandao = None;
    let committed = run(&scene).expect_err("the header lacks something").committed;
    let words = InvalidHeader::PrevrandaoNotSet.to_string();
    made.add(&again(&committed, 0, scene.database()), &["transaction 0", &words]);
    made.has_all_of(include_str!("../src/evm/block/replay.rs"), "ReplayError", &[]);
}

/// The database names the location that a contract reads, and the block names the transaction.
#[test]
fn a_slot_that_cannot_be_read_is_named() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice] = scene.senders();
    let contract = scene.contract(3, Code::new().sload(5).sstore_top(6));
    scene.send(alice, pay(Address::repeat_byte(0x70), 1));
    scene.send(alice, call(contract));
    let database = faulty(&scene, Read::Slot(contract, U256::from(5)));
    let error = executor(Mode::Validate).block(scene.block.clone()).database(database).execute();
    let message = error.expect_err("the database fails").to_string();
    for word in ["transaction 1", &format!("{contract:?}"), "Slot", "5"] {
        assert!(message.contains(word), "{message}: it lacks {word}");
    }
}
