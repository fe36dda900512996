//! Compares the block executor for alloy-evm with alloy-evm's own.
//!
//! 1. Every real block: equal receipts, requests, gas, and bundle with its reverts.
//! 2. Random hostile blocks, including those that end with an error: the same error, and the same
//!    changes by the transactions committed before it.
//! 3. Consecutive blocks over one `State`.
//! 4. A database that fails or panics: its own error, and the factory stays usable.
//! 5. Transactions of `execute_block` run at the same time, as seen from outside.
//! 6. The entry points used are counted.
//! 7. Access lists: see `lists`.
//! 8. The end of a block, where alloy-evm deviates from the specification: see `ends`.
//! 9. A surcharge, and EVMs of another factory: see `surcharge` and `custom_evm`.
//! 10. Workers with handles of their own: see `handles`.
//! 11. Few threads, or none: see `threads`.

mod custom_evm;
mod ends;
mod handles;
mod lists;
mod running;
mod surcharge;
mod threads;

use crate::support::fixtures::{block_files, fixtures};
use alloy_consensus::transaction::Recovered;
use alloy_consensus::{EthereumReceipt, TxEnvelope};
use alloy_evm::EthEvmFactory;
use alloy_evm::block::{BlockExecutionResult, BlockExecutorFactory};
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory};
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::block::{Block, ChainRules};
use braid_blocks::block_file::{BlockFile, FileDatabase};
use braid_blocks::compare::{Execution, differences};
use braid_blocks::faulty::{Fault, Unreadable};
use braid_blocks::hooked::Read;
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use braid_blocks::sequential::{ForkSpec, Receipts, envelope};
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::{Config, Forced, Policy, Precompile, PrecompileCall, PrecompileState};
use braid_testkit::generate::Case;
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::BundleState;
use revm::precompile::{PrecompileError, PrecompileOutput};
use revm::primitives::hardfork::SpecId;
use running::{run, run_one_by_one, run_upon_each_other};
use std::borrow::Cow;
use std::fmt::Debug;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const WORKERS: [u16; 4] = [1, 2, 3, 8];

type Theirs = EthBlockExecutorFactory<Receipts, ForkSpec, EthEvmFactory>;
type Ours = BraidExecutorFactory<Receipts, ForkSpec>;
type Transactions = Vec<(TxEnv, Recovered<TxEnvelope>)>;

/// The bounds of reth's `ConfigureEvm` on its factory, checked by the compiler.
const _: () = {
    const fn fits<F: BlockExecutorFactory + Clone + Debug + Send + Sync + Unpin + 'static>() {}
    fits::<BraidExecutorFactory>();
};

fn config(workers: u16) -> Config {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    config.policy = Policy::Forced(Forced::Speculative);
    config
}

fn spec(block: &Block) -> ForkSpec {
    ForkSpec::new(block.cfg.spec, &block.rules, block.env.number.saturating_to())
}

fn theirs(block: &Block) -> Theirs {
    EthBlockExecutorFactory::new(Receipts, spec(block), EthEvmFactory::default())
}

fn ours(block: &Block, workers: u16) -> Ours {
    BraidExecutorFactory::new(Receipts, spec(block), config(workers))
}

/// Results of a block: its output or the text of its error, and the changes of the database.
type Left = (Result<BlockExecutionResult<EthereumReceipt>, String>, BundleState);

fn context(block: &Block) -> EthBlockExecutionCtx<'_> {
    EthBlockExecutionCtx {
        parent_hash: block.parent_hash,
        parent_beacon_block_root: block.parent_beacon_block_root,
        ommers: &[],
        withdrawals: block.withdrawals.as_deref().map(Cow::Borrowed),
        extra_data: Bytes::new(),
        tx_count_hint: None,
        slot_number: None,
    }
}

/// Returns a real block with the state before it, and its transactions in alloy-evm's type.
fn read(path: &Path) -> (Block, FileDatabase, Transactions) {
    let file = BlockFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    let (block, database) = file.to_block().unwrap_or_else(|error| panic!("{error}"));
    let signed = file.transactions().expect("whole transactions");
    let signed = signed.iter().map(|tx| tx.inner.clone());
    let transactions = block.transactions.iter().cloned().zip(signed).collect();
    (block, database, transactions)
}

#[track_caller]
fn assert_equal(theirs: &Left, ours: &Left, what: &str) {
    match (&theirs.0, &ours.0) {
        (Ok(theirs), Ok(ours)) => assert_eq!(theirs, ours, "{what}"),
        (Err(theirs), Err(ours)) => assert_eq!(theirs, ours, "{what}"),
        (theirs, ours) => panic!("{what}: {theirs:?} and {ours:?}"),
    }
    let nothing = BlockExecutionResult::default();
    let [theirs, ours] = [theirs, ours].map(|left| {
        let result = left.0.as_ref().unwrap_or(&nothing);
        Execution {
            outcomes: Vec::new(),
            receipts: &result.receipts,
            requests: &result.requests,
            gas_used: result.gas_used,
            blob_gas_used: result.blob_gas_used,
            bundle: &left.1,
        }
    });
    let found = differences(&theirs, &ours);
    assert!(found.is_empty(), "{what}: {:?}", found.lines());
}

#[test]
fn real_blocks_are_the_same() {
    let Some(folder) = fixtures() else { return };
    let mut blocks = 0;
    for (index, path) in block_files(&folder).iter().enumerate() {
        let (block, database, transactions) = read(path);
        let expected = run(&theirs(&block), &block, &transactions, database.clone());
        assert!(expected.0.is_ok(), "{path:?}: {:?}", expected.0);
        let workers = WORKERS[index % WORKERS.len()];
        let found = run(&ours(&block, workers), &block, &transactions, database);
        assert_equal(&expected, &found, &format!("{path:?}, {workers} workers"));
        blocks += 1;
    }
    assert!(blocks >= 78, "only {blocks} block files");
}

fn shells(transactions: &[TxEnv]) -> Transactions {
    transactions.iter().map(|tx| (tx.clone(), envelope(tx))).collect()
}

#[test]
fn random_blocks_are_the_same_also_where_they_fail() {
    let (mut fine, mut failed) = (0, 0);
    for seed in 0..200 {
        let case = Case::from_seed(seed);
        let block = Block::from(&case.block);
        let transactions = shells(&block.transactions);
        let expected = run(&theirs(&block), &block, &transactions, case.database());
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let found = run(&ours(&block, workers), &block, &transactions, case.database());
        assert_equal(&expected, &found, &format!("seed {seed}, {:?}", block.cfg.spec));
        *(if expected.0.is_ok() { &mut fine } else { &mut failed }) += 1;
    }
    assert!(fine > 50 && failed > 20, "{fine} fine, {failed} failed");
}

/// The second block reads the results of the first from revm's `State`, and adds to its bundle.
#[test]
fn blocks_upon_each_other_are_the_same() {
    let mut whole = 0;
    for seed in 0..150 {
        let case = Case::from_seed(seed);
        let mut first = Block::from(&case.block);
        let mut second = first.clone();
        second.transactions = first.transactions.split_off(first.transactions.len() / 2);
        second.env.number += U256::ONE;
        second.env.timestamp += U256::from(12);
        let blocks = [first, second].map(|block| {
            let transactions = shells(&block.transactions);
            (block, transactions)
        });
        // Both blocks have the same rules.
        let factory = theirs(&blocks[0].0);
        let expected = run_upon_each_other(&factory, &blocks, case.database());
        let workers = WORKERS[seed as usize % WORKERS.len()];
        let factory = ours(&blocks[0].0, workers);
        let found = run_upon_each_other(&factory, &blocks, case.database());
        assert_eq!(expected.0, found.0, "seed {seed}");
        whole += usize::from(expected.0.len() == 2 && expected.0.iter().all(Result::is_ok));
        let [expected, found] = [expected, found]
            .map(|(mut results, bundle)| (results.pop().expect("a block"), bundle));
        assert_equal(&expected, &found, &format!("seed {seed}, {workers} workers"));
    }
    assert!(whole > 30, "only {whole} pairs of blocks are valid");
}

/// Returns a block of senders that each pay a contract, and the database below it.
fn calls(to: impl Fn(u8) -> Address) -> (Block, MemoryDatabase) {
    let sender = |index: u8| Address::repeat_byte(0x40 + index);
    let rich = MemoryAccount { balance: U256::from(u64::MAX), ..MemoryAccount::default() };
    let call = |index| TxEnv {
        caller: sender(index),
        gas_limit: 60_000,
        gas_price: 10,
        kind: alloy_primitives::TxKind::Call(to(index)),
        chain_id: Some(1),
        ..TxEnv::default()
    };
    let block = Block {
        cfg: CfgEnv::new_with_spec(SpecId::SHANGHAI),
        env: BlockEnv {
            number: U256::from(7),
            prevrandao: Some(B256::ZERO),
            beneficiary: Address::repeat_byte(0xbe),
            ..BlockEnv::default()
        },
        transactions: (0..8).map(call).collect(),
        parent_hash: B256::ZERO,
        parent_beacon_block_root: None,
        withdrawals: Some(Vec::new()),
        ommers: Vec::new(),
        rules: ChainRules::default(),
    };
    (block, MemoryDatabase::new((0..8).map(|index| (sender(index), rich.clone())).collect()))
}

#[test]
fn a_database_that_fails_or_panics_ends_one_block() {
    let target = |index: u8| Address::repeat_byte(0x70 + index);
    let (block, database) = calls(target);
    let transactions = shells(&block.transactions);
    for workers in WORKERS {
        let factory = ours(&block, workers);
        let place = Read::Account(target(5));
        for fault in [Fault::At(place), Fault::PanicAt(place), Fault::At(place)] {
            let trapped = || fault.clone().of(database.clone());
            let expected = catch_unwind(AssertUnwindSafe(|| {
                run(&theirs(&block), &block, &transactions, trapped())
            }));
            let found =
                catch_unwind(AssertUnwindSafe(|| run(&factory, &block, &transactions, trapped())));
            match (expected, found) {
                (Ok(expected), Ok(found)) => {
                    assert!(matches!(fault, Fault::At(_)));
                    assert!(expected.0.is_err());
                    assert_equal(&expected, &found, &format!("{workers} workers"));
                }
                (Err(_), Err(payload)) => {
                    assert_eq!(payload.downcast_ref::<Unreadable>(), Some(&Unreadable(place)));
                }
                (expected, found) => panic!("{:?} {:?}", expected.is_ok(), found.is_ok()),
            }
        }
        let expected = run(&theirs(&block), &block, &transactions, database.clone());
        let found = run(&factory, &block, &transactions, database.clone());
        assert_equal(&expected, &found, "afterwards");
    }
}

/// A precompile in which calls wait for each other, for a limited time.
#[derive(Debug, Default)]
struct Meeting {
    /// Number of calls inside, and its maximum so far.
    inside: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Meeting {
    fn meet(&self) {
        let mut inside = self.inside.lock().expect("no panic");
        inside.0 += 1;
        inside.1 = inside.1.max(inside.0);
        self.changed.notify_all();
        let alone = |inside: &mut (usize, usize)| inside.1 < 2;
        let (mut inside, _) = self
            .changed
            .wait_timeout_while(inside, Duration::from_millis(500), alone)
            .expect("no panic");
        inside.0 -= 1;
    }
}

const MEETING: Address = Address::repeat_byte(0x99);

impl Precompile for Meeting {
    fn address(&self) -> Address {
        MEETING
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        _: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        self.meet();
        Ok(call.success(100, Bytes::new()))
    }
}

#[test]
fn transactions_run_at_the_same_time() {
    let (block, database) = calls(|_| MEETING);
    let transactions = shells(&block.transactions);
    let most = |workers| {
        let meeting = Arc::new(Meeting::default());
        let factory = ours(&block, workers).with_precompiles(vec![Arc::<Meeting>::clone(&meeting)]);
        let left = run(&factory, &block, &transactions, database.clone());
        assert_eq!(left.0.expect("valid").receipts.len(), 8);
        let (inside, most) = *meeting.inside.lock().expect("no panic");
        assert_eq!(inside, 0);
        most
    };
    assert!(most(3) >= 2, "no two met");
    assert_eq!(most(1), 1, "there is no other to meet");
    // Without a handle for this block, the calling thread reads, and one worker fewer runs.
    let meeting = Arc::new(Meeting::default());
    let factory = ours(&block, 2).with_precompiles(vec![Arc::<Meeting>::clone(&meeting)]);
    let factory = factory.with_handles(|_| None::<braid_evm::Cloned<MemoryDatabase>>);
    let left = run(&factory, &block, &transactions, database.clone());
    assert_eq!(left.0.expect("valid").receipts.len(), 8);
    assert_eq!(meeting.inside.lock().expect("no panic").1, 1, "of two threads, one reads");
}

#[test]
fn entries_are_counted() {
    let (block, database) = calls(|index| Address::repeat_byte(0x70 + index));
    let transactions = shells(&block.transactions);
    let factory = ours(&block, 2);
    let whole = run(&factory, &block, &transactions, database.clone());
    let counted = factory.executions();
    assert_eq!(factory.clone().executions(), counted, "clones count together");
    assert_eq!((counted.blocks, counted.transactions, counted.sequential), (1, 8, 0));
    let one_by_one = run_one_by_one(&factory, &block, &transactions, database.clone());
    assert_equal(&whole, &one_by_one, "one by one");
    assert_eq!(factory.executions().sequential, 8);
    // Over a plain database, one worker of two would run while the other one reads.
    let config = Config::with_workers(NonZeroU16::new(2).expect("some"));
    let factory = Ours::new(Receipts, spec(&block), config);
    let here = run(&factory, &block, &transactions, database.clone());
    assert_equal(&whole, &here, "on the calling thread");
    let counted = factory.executions();
    assert_eq!((counted.blocks, counted.transactions, counted.sequential), (0, 0, 8));
    // With handles, so few and short transactions are not worth a second worker.
    let handle = database.clone();
    let factory = Ours::new(Receipts, spec(&block), config)
        .with_handles(move |_| Some(braid_evm::Cloned(handle.clone())));
    let here = run(&factory, &block, &transactions, database);
    assert_equal(&whole, &here, "with handles, on the calling thread");
    assert_eq!((factory.executions().blocks, factory.executions().sequential), (0, 8));
}
