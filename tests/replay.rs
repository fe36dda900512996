//! A transaction replayed with an inspector reads the same values as in the block: traces and all
//! loaded state equal those of sequential execution, whatever strategy the block used.

use crate::support::fixtures::{block_files, fixtures};
use crate::support::scene::{Scene, call, pay};
use alloy_primitives::Address;
use braid_blocks::block::Block as PlainBlock;
use braid_blocks::block_file::BlockFile;
use braid_blocks::code::Code;
use braid_blocks::faulty::Fault;
use braid_blocks::hooked::Read;
use braid_blocks::sequential::{Tracer, trace_all};
use braid_evm::{
    Block, BlockErrorKind, BlockOutput, BlockPosition, Cloned, Config, Executor, Forced, Mode,
    Outcome, Policy, ReplayError, TxIndex,
};
use braid_testkit::generate::Case;
use braid_testkit::own::{Publishing, Teller};
use braid_testkit::plain::bare;
use revm::DatabaseRef;
use revm::context::result::ResultAndState;
use revm::inspector::NoOpInspector;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

const POLICIES: [Policy; 6] = [
    Policy::Sequential,
    Policy::Auto,
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::AccessList),
];

fn executor(policy: Policy, mode: Mode) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(3).expect("not 0"));
    (config.policy, config.engine.mode, config.keep_changes) = (policy, mode, true);
    Executor::new(config).expect("threads start")
}

/// Returns the loaded accounts and slots, before and after.
fn loaded(state: &EvmState) -> BTreeMap<String, String> {
    let account = |(address, account): (_, &revm::state::Account)| {
        let slots = account.storage.iter();
        let slots = slots.map(|(slot, value)| (slot, (value.original_value, value.present_value)));
        let slots: BTreeMap<_, _> = slots.collect();
        let info = |info: &revm::state::AccountInfo| (info.balance, info.nonce, info.code_hash);
        let (before, after) = (account.original_info(), &account.info);
        let lives = (account.is_created(), account.is_selfdestructed(), account.is_touched());
        let text = format!("{:?}", (info(&before), info(after), lives, slots));
        (format!("{address}"), text)
    };
    state.iter().map(account).collect()
}

/// Replays every `step`th transaction of `block` with all tracers, and returns their number.
fn replay_all<D>(block: &Block, database: &D, output: &BlockOutput, step: usize) -> usize
where
    D: DatabaseRef<Error: core::error::Error + Send + Sync + 'static> + Clone + Send + Sync,
{
    let (source, plain) = (Cloned(database.clone()), PlainBlock::from(block));
    let is_executed = |tx: usize| matches!(output.outcomes.get(tx), Some(Outcome::Executed(_)));
    let mut replayed = 0;
    for tracer in Tracer::ALL {
        let traced = trace_all(&plain, database, tracer, is_executed);
        let traced = traced.unwrap_or_else(|error| panic!("in sequence: {error}"));
        for expected in traced.iter().skip(step / 2).step_by(step) {
            let tx = TxIndex(u32::try_from(expected.tx).expect("few"));
            let again = output.replay(tx, &source, tracer.inspector());
            let again = again.unwrap_or_else(|error| panic!("{tx}: {error}"));
            assert_eq!(again.result, expected.ran.result, "{tx}");
            assert_eq!(loaded(&again.state), loaded(&expected.ran.state), "{tx}");
            let ran = ResultAndState { result: again.result, state: again.state };
            let trace = tracer.trace(again.inspector, &ran, &again.before);
            assert_eq!(trace.expect("it was read"), expected.trace, "{tx}");
            replayed += 1;
        }
        let mut replays = output.replays(&source).expect("it was kept");
        for expected in &traced {
            let again = replays.replay_next(tracer.inspector()).expect("it is committed");
            let again = again.unwrap_or_else(|error| panic!("{}: {error}", expected.tx));
            assert_eq!(again.tx.position(), expected.tx);
            assert_eq!(again.result, expected.ran.result, "{}", again.tx);
            assert_eq!(loaded(&again.state), loaded(&expected.ran.state), "{}", again.tx);
            let ran = ResultAndState { result: again.result, state: again.state };
            let trace = tracer.trace(again.inspector, &ran, &*again.before);
            assert_eq!(trace.expect("it was read"), expected.trace, "{}", again.tx);
        }
        assert!(replays.replay_next(tracer.inspector()).is_none(), "{tracer:?}");
    }
    replayed
}

#[test]
fn random_hostile_blocks() {
    let mut executors = POLICIES.map(|policy| executor(policy, Mode::Build));
    let mut replayed = 0;
    for seed in 0..60 {
        let case = Case::from_seed(seed);
        for executor in &mut executors {
            let output = executor.block(case.block.clone()).database(case.database()).execute();
            let Ok(output) = output else { continue };
            replayed += replay_all(&case.block, &case.database(), &output, 1);
        }
    }
    println!("{replayed} replayed");
    assert!(replayed > 3_000, "only {replayed}");
}

#[test]
fn real_blocks() {
    let Some(folder) = fixtures() else { return };
    let policies = [
        Policy::Auto,
        Policy::Forced(Forced::Speculative),
        Policy::Forced(Forced::ContiguousBatches),
    ];
    let mut executors = policies.map(|policy| executor(policy, Mode::Validate));
    let mut replayed = 0;
    for (index, path) in block_files(&folder).iter().enumerate().step_by(6) {
        let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
        let (block, database) = file.to_block().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let block = Arc::new(Block::from(&block));
        let executor = &mut executors[index / 6 % policies.len()];
        let output = executor.block(Arc::clone(&block)).database(database.clone()).execute();
        let output = output.unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let step = block.transactions.len().div_ceil(12).max(1);
        replayed += replay_all(&block, &database, &output, step);
    }
    println!("{replayed} replayed");
    assert!(replayed > 100, "only {replayed}");
}

/// A block with its access list runs on listed values and replays equally.
#[test]
fn a_block_with_its_list() {
    let mut replayed = 0;
    for seed in 0..40 {
        let case = Case::from_seed(seed);
        let mut builder = Config::with_workers(NonZeroU16::MIN);
        builder.access_list = true;
        let built = Executor::new(builder)
            .expect("no threads")
            .block(case.block.clone())
            .database(case.database())
            .execute();
        let Ok(built) = built else { continue };
        let access_list = built.access_list.map(Arc::new);
        let block = Block { access_list, ..case.block.clone() };
        let mut executor = executor(Policy::Forced(Forced::AccessList), Mode::Validate);
        let output = executor
            .block(block.clone())
            .database(case.database())
            .execute()
            .expect("a valid block");
        replayed += replay_all(&block, &case.database(), &output, 1);
    }
    assert!(replayed > 100, "only {replayed}");
}

/// An unwritten parent, a surcharge and a precompile are kept with the block: a replayed
/// transaction sees the state after the preceding transactions.
#[test]
pub(crate) fn what_a_chain_has_of_its_own_is_kept() {
    let mut scene = Scene::on(SpecId::CANCUN);
    let [alice, bob, carol] = scene.senders();
    let (vault, teller) = (Address::repeat_byte(0xfe), Address::with_last_byte(0xee));
    let counter = scene.contract(0, Code::new().call(teller, 0, 10_000).increment(0, 1));
    for round in 0..6 {
        let sender = [alice, bob, carol][round % 3];
        scene.send(sender, if round < 3 { call(counter) } else { pay(vault, 1) });
    }
    let mut executor = executor(Policy::Forced(Forced::Speculative), Mode::Validate)
        .with_surcharge(Arc::new(Publishing { vault, per_byte: 5 }))
        .with_precompiles(vec![Arc::new(Teller { at: teller, of: None })]);
    let (source, mut block) = (Cloned(scene.database()), bare(&scene.block));
    let parent =
        executor.block(block.clone()).state(source.clone()).execute().expect("valid").bundle;
    block.transactions.iter_mut().for_each(|tx| tx.nonce += 2);
    let mut run = |count| {
        let transactions = block.transactions.iter().take(count).cloned().collect();
        let block = Block { transactions, ..block.clone() };
        executor.block(block).state(source.clone()).parent(parent.clone()).execute().expect("valid")
    };
    let output = run(6);
    for tx in 0..6 {
        let again = output.replay(TxIndex(tx), &source, NoOpInspector).expect("it ran");
        let Outcome::Executed(executed) = &output.outcomes[tx as usize] else { panic!("{tx}") };
        assert_eq!(*again.result.gas(), executed.gas, "{tx}");
        for (address, account) in &run(tx as usize).bundle.state {
            let seen = again.before.basic_ref(*address).expect("it is there");
            assert_eq!(seen, account.info, "{tx}: {address}");
            for (slot, value) in &account.storage {
                let seen = again.before.storage_ref(*address, *slot).expect("it is there");
                assert_eq!(seen, value.present_value, "{tx}: {address}: {slot}");
            }
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    scene.send(alice, pay(bob, 2));
    scene.block.transactions[1].nonce = 7;
    scene.send(bob, pay(alice, 3));
    let source = Cloned(scene.database());
    let mut building = executor(Policy::Auto, Mode::Build);
    let output = building
        .block(scene.block.clone())
        .database(scene.database())
        .execute()
        .expect("it is built");
    let error = |output: &BlockOutput, tx| {
        let again = output.replay(TxIndex(tx), &source, NoOpInspector);
        again.map(|_| ()).expect_err("it cannot run again")
    };
    assert!(matches!(error(&output, 1), ReplayError::Skipped { tx: TxIndex(1), .. }));
    assert!(matches!(error(&output, 3), ReplayError::Unknown { tx: TxIndex(3), known: 3 }));
    assert!(output.replay(TxIndex(2), &source, NoOpInspector).is_ok());

    let mut validating = executor(Policy::Auto, Mode::Validate);
    let failed = validating
        .block(scene.block.clone())
        .database(scene.database())
        .execute()
        .expect_err("invalid");
    assert_eq!(failed.at, BlockPosition::Transaction(TxIndex(1)));
    assert!(matches!(failed.kind, BlockErrorKind::Invalid(_)));
    assert!(failed.committed.replay(TxIndex(0), &source, NoOpInspector).is_ok());
    assert!(matches!(error(&failed.committed, 1), ReplayError::Invalid { tx: TxIndex(1), .. }));
    assert!(matches!(error(&failed.committed, 2), ReplayError::Unknown { known: 1, .. }));

    let mut usual = Executor::new(Config::with_workers(NonZeroU16::MIN)).expect("no threads");
    scene.block.transactions.truncate(1);
    let output =
        usual.block(scene.block.clone()).database(scene.database()).execute().expect("valid");
    let error = error(&output, 0);
    assert!(matches!(error, ReplayError::NotKept) && error.to_string().contains("keep_changes"));
}

/// A failing database is reported as the error of the replay, in its own type.
#[test]
fn a_database_that_fails() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    let mut executor = executor(Policy::Auto, Mode::Validate);
    let output =
        executor.block(scene.block.clone()).database(scene.database()).execute().expect("valid");
    let place = Read::Account(alice);
    let source = Cloned(Fault::At(place).of(scene.database()));
    let error = output.replay(TxIndex(0), &source, NoOpInspector).map(|_| ());
    assert!(matches!(error, Err(ReplayError::Base(_))), "{error:?}");
}
