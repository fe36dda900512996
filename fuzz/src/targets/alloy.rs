//! Braid as a block executor of alloy-evm against alloy-evm's own, over one `State` for several
//! blocks: each block reads what the blocks before it have left in the `State`, and adds to its
//! bundle.

#[path = "../../../tests/alloy/running.rs"]
#[allow(dead_code, reason = "a file of the library's tests, of which this target uses a part")]
mod running;

use super::reached;
use crate::generate::Case;
use crate::memory::MemoryDatabase;
use alloy_consensus::transaction::Recovered;
use alloy_consensus::{EthereumReceipt, TxEnvelope};
use alloy_evm::EthEvmFactory;
use alloy_evm::block::BlockExecutionResult;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use arbitrary::{Result as Drawn, Unstructured};
use braid_blocks::block::Block;
use braid_blocks::compare::{Execution, differences};
use braid_blocks::sequential::{ForkSpec, Receipts, envelope};
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::mutants::active;
use braid_evm::{Cloned, Config, Forced, Policy};
use revm::context::TxEnv;
use revm::database::BundleState;
use running::run_upon_each_other;
use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};

type Transactions = Vec<(TxEnv, Recovered<TxEnvelope>)>;
type Left = (Result<BlockExecutionResult<EthereumReceipt>, String>, BundleState);

/// Maximum number of kept factories; each has the threads of an executor.
const MOST: usize = 6;

/// The state to which the handles of a factory lead, with the hash of its block.
type Handles = Arc<Mutex<Option<(B256, MemoryDatabase)>>>;

/// A factory that is kept from one input to the next: starting its threads takes longer than a block.
struct Kept {
    made: String,
    factory: BraidExecutorFactory<Receipts, ForkSpec>,
    handles: Handles,
}

thread_local! {
    /// Kept factories, the most recently used one last.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// Number of bytes at the end of an input that choose how its blocks are executed.
const CHOICES: usize = 8;

/// How the blocks are executed.
struct Choices {
    config: Config,
    has_handles: bool,
    blocks: usize,
}

impl Choices {
    fn draw(bytes: &mut Unstructured<'_>) -> Drawn<Self> {
        let workers = NonZeroU16::new(*bytes.choose(&[2, 1, 3, 2])?);
        let mut config = Config::with_workers(workers.unwrap_or(NonZeroU16::MIN));
        config.policy = *bytes.choose(&[Policy::Forced(Forced::Speculative), Policy::Auto])?;
        Ok(Self { config, has_handles: bytes.ratio(2, 3)?, blocks: bytes.int_in_range(1..=4)? })
    }
}

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let case = Case::from_bytes(bytes);
    let choices = &bytes[bytes.len().saturating_sub(CHOICES)..];
    let choices = Choices::draw(&mut Unstructured::new(choices));
    let Ok(Choices { config, has_handles, blocks: count }) = choices else { return Ok(()) };
    let blocks = blocks(Block::from(&case.block), count);
    let first = &blocks[0].0;
    // All blocks have the rules of the first one.
    let theirs = EthBlockExecutorFactory::new(Receipts, spec(first), EthEvmFactory::default());
    let expected = run_upon_each_other(&theirs, &blocks, case.database());
    let kept = Kept::take(spec(first), config, has_handles);
    let state = (first.parent_hash, case.database());
    *kept.handles.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    let found = run_upon_each_other(&kept.factory, &blocks, case.database());
    let Config { workers, policy, .. } = config;
    let what =
        format!("{:?}, {} workers, {:?}, handles: {has_handles}", first.cfg.spec, workers, policy);
    let is_whole = expected.0.len() == blocks.len() && expected.0.iter().all(Result::is_ok);
    reached::note(if is_whole { "alloy, all blocks" } else { "alloy, an invalid block" });
    if kept.factory.executions().blocks > 0 {
        reached::note(if has_handles { "alloy, handles" } else { "alloy, served" });
    }
    kept.keep();
    compare(&expected, &found).map_err(|wrong| format!("{what}: {wrong}"))
}

impl Kept {
    /// Returns a kept factory or a new one.
    fn take(spec: ForkSpec, config: Config, has_handles: bool) -> Self {
        let made = format!("{spec:?} {config:?} {has_handles}");
        let kept = KEPT.with_borrow_mut(|kept| {
            let at = kept.iter().position(|one| one.made == made)?;
            Some(kept.remove(at))
        });
        kept.unwrap_or_else(|| {
            let (handles, factory) =
                (Handles::default(), BraidExecutorFactory::new(Receipts, spec, config));
            let states = Arc::clone(&handles);
            let factory = match has_handles {
                false => factory,
                true => factory.with_handles(move |parent| {
                    let state = states.lock().unwrap_or_else(PoisonError::into_inner);
                    state
                        .clone()
                        .filter(|(hash, _)| *hash == parent)
                        .map(|(_, state)| Cloned(state))
                }),
            };
            Self { made, factory, handles }
        })
    }

    /// Keeps the factory, in place of the least recently used one. One that had a seeded bug is not
    /// used again.
    fn keep(self) {
        if active().is_some() {
            return;
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() == MOST {
                kept.remove(0);
            }
            kept.push(self);
        });
    }
}

/// Results of the blocks, up to the first that fails, and the changes of all of them.
type Ran = (Vec<Result<BlockExecutionResult<EthereumReceipt>, String>>, BundleState);

fn compare(theirs: &Ran, ours: &Ran) -> Result<(), String> {
    if theirs.0 != ours.0 {
        return Err(format!("{:?} instead of {:?}", ours.0, theirs.0));
    }
    let nothing = BlockExecutionResult::default();
    let [theirs, ours] = [theirs, ours].map(|(results, bundle)| {
        let last = results.last().and_then(|result| result.as_ref().ok()).unwrap_or(&nothing);
        Execution {
            outcomes: Vec::new(),
            receipts: &last.receipts,
            requests: &last.requests,
            gas_used: last.gas_used,
            blob_gas_used: last.blob_gas_used,
            bundle,
        }
    });
    let found = differences(&theirs, &ours);
    if found.is_empty() { Ok(()) } else { Err(format!("{:?}", found.lines())) }
}

fn spec(block: &Block) -> ForkSpec {
    ForkSpec::new(block.cfg.spec, &block.rules, block.env.number.saturating_to())
}

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

/// Splits a block into `count` consecutive ones.
fn blocks(mut block: Block, count: usize) -> Vec<(Block, Transactions)> {
    let mut blocks = Vec::new();
    let share = block.transactions.len().div_ceil(count).max(1);
    for index in 0..count {
        let rest = block.transactions.split_off(share.min(block.transactions.len()));
        let transactions = block.transactions.iter().map(|tx| (tx.clone(), envelope(tx))).collect();
        blocks.push((block.clone(), transactions));
        block.transactions = rest;
        block.env.number += U256::ONE;
        block.env.timestamp += U256::from(12);
        block.parent_hash = keccak256([index as u8]);
    }
    blocks
}
