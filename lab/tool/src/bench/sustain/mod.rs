//! Sustained load: a chain of blocks is built, executed, and written with its receipts to the
//! embedded store, for a given time.
//!
//! Braid and sequential revm execute the same transactions in blocks of the same size, on the same
//! store with the same writer thread.

mod figures;
mod supply;
mod timed;

pub use figures::{Second, StageSeconds, SustainFigures};

use alloy_consensus::{EthereumReceipt, Header, TxReceipt, proofs::calculate_receipt_root};
use alloy_genesis::Genesis;
use alloy_primitives::{B256, Bloom, Keccak256};
use braid_blocks::{
    sequential::Plain,
    workload::{Load, LoadStream, Signing, WorkloadError, load},
};
use braid_chain::{
    Chain, ChainConfig, ChainError, EmbeddedStore, ExecutedBlock, Head, Keep, Rules, StateRoots,
    StateStore, StoreError, create, genesis,
};
use braid_evm::{Block, Config, Rejection, TransactionPool};
use figures::Meter;
use revm::context::TxEnv;
use std::{
    num::NonZeroU32,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use supply::{Source, Supply};
use thiserror::Error;
use timed::TimedStore;

/// Blocks per second of the chain's own time.
const BLOCKS_PER_SECOND: u64 = 8;
/// Upper limit of a transaction's gas limit; the block's gas limit fits all of its transactions.
const MOST_GAS: u64 = 400_000;

/// The engine that executes the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Braid.
    Braid,
    /// Sequential revm.
    Sequential,
}

/// Settings of a sustained load.
#[derive(Clone, Copy, Debug)]
pub struct Sustain {
    /// The kind of transactions.
    pub load: Load,
    /// Number of sending accounts.
    pub accounts: NonZeroU32,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Transactions per block.
    pub size: NonZeroU32,
    /// Duration.
    pub time: Duration,
    /// Maximum number of blocks.
    pub blocks: u64,
    /// Number of transactions that are signed before the clock starts, and whose senders are
    /// recovered during the run; with 0, senders are known.
    pub signed: u64,
    /// Whether the state root of each block is computed.
    pub state_roots: bool,
    /// Size of the store's read cache in bytes.
    pub cache: u64,
    /// Configuration of the executor.
    pub executor: Config,
}

/// Why the load could not be sustained.
#[derive(Debug, Error)]
pub enum SustainError {
    /// The transactions could not be generated.
    #[error("the load cannot be made: {0}")]
    Workload(#[from] WorkloadError),
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sequential revm rejected a block.
    #[error("sequential revm: {0}")]
    Sequential(String),
    /// A transaction was skipped although all are valid.
    #[error("block {0}: a transaction was left out")]
    LeftOut(u64),
    /// The signature of a transaction recovers to no key.
    #[error("a signature is invalid")]
    Signature,
    /// The system could not start a thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Runs a load on a new chain in the empty folder `folder`. `on_second` receives each whole second.
///
/// # Errors
/// Returns an error if the chain fails.
pub fn sustain(
    what: &Sustain,
    engine: Engine,
    folder: &Path,
    mut on_second: impl FnMut(&Second),
) -> Result<SustainFigures, SustainError> {
    let signing = if what.signed > 0 { Signing::Signed } else { Signing::Unsigned };
    let (genesis, stream) = load(what.load, what.accounts, what.seed, signing)?;
    let source = source(stream, what.signed)?;
    let store = EmbeddedStore::open_with_cache(folder, what.cache)?;
    let first = first_block(&store, &genesis, what.state_roots)?;
    let (store, written) = TimedStore::new(store);
    let mut config = ChainConfig::default();
    config.executor = what.executor;
    config.keep = Keep::default();
    let chain = Chain::open(store, config)?;
    let rules = Rules::new(genesis.config);
    let supply = Supply::start(source, what.size.get() as usize)?;
    let mut run = Run { chain, rules, parent: first, meter: Meter::start(engine) };
    while run.meter.elapsed() < what.time && (run.meter.hashes.len() as u64) < what.blocks {
        let waiting = Instant::now();
        let Some(transactions) = supply.next() else { break };
        let transactions = transactions?;
        run.meter.stages.waiting_for_transactions += waiting.elapsed().as_secs_f64();
        run.block(engine, transactions, &mut on_second)?;
    }
    let waiting = Instant::now();
    run.chain.flush()?;
    run.meter.stages.waiting_for_writer += waiting.elapsed().as_secs_f64();
    let supplying = supply.end();
    let Run { chain, rules, parent, meter } = run;
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    let mut figures = meter.end(&written, supplying);
    drop(chain);
    let restarted = Instant::now();
    let store = EmbeddedStore::open_with_cache(folder, what.cache)?;
    let chain = Chain::open(store, config)?;
    Run { chain, rules, parent, meter: Meter::start(engine) }.empty_block()?;
    figures.restart = restarted.elapsed();
    Ok(figures)
}

/// Returns the source of transactions. Unless `signed` is 0, all of them are signed first.
fn source(stream: LoadStream, signed: u64) -> Result<Source, SustainError> {
    if signed == 0 {
        return Ok(Source::Known(Box::new(stream)));
    }
    Ok(Source::Signed(stream.into_signed(signed)?))
}

/// Creates the chain and returns its first header.
fn first_block(
    store: &EmbeddedStore,
    genesis: &Genesis,
    state_roots: bool,
) -> Result<Header, SustainError> {
    let header = genesis::header(genesis);
    let head = Head { number: header.number, hash: header.hash_slow() };
    let roots = if state_roots { StateRoots::Computed } else { StateRoots::Disabled };
    create(store, &genesis::encode(genesis)?, &genesis::batch(genesis, head), roots)?;
    Ok(header)
}

/// A chain under load.
struct Run<S: StateStore> {
    chain: Chain<S>,
    rules: Rules,
    /// Header of the parent, with only the fields that the next block needs.
    parent: Header,
    meter: Meter,
}

impl<S: StateStore> Run<S> {
    fn block(
        &mut self,
        engine: Engine,
        transactions: Vec<TxEnv>,
        on_second: &mut impl FnMut(&Second),
    ) -> Result<(), SustainError> {
        let begun = Instant::now();
        self.meter.begin_block(begun);
        let count = transactions.len() as u64;
        let template = self.template(count);
        let made = match engine {
            Engine::Braid => self.build(template, transactions)?,
            Engine::Sequential => self.execute(Block { transactions, ..template })?,
        };
        if made.receipts != count {
            return Err(SustainError::LeftOut(self.chain.head().number));
        }
        self.meter.gas += made.gas;
        self.meter.failed += made.failed;
        self.meter.alone += u64::from(made.alone);
        let stages = &mut self.meter.stages;
        stages.executing += (made.executed - begun).as_secs_f64();
        stages.receipts += (made.sealed - made.executed).as_secs_f64();
        stages.waiting_for_writer += made.sealed.elapsed().as_secs_f64();
        self.meter.end_block(self.chain.head().hash, count, on_second);
        Ok(())
    }

    /// Appends a block without transactions, and waits until it is durable.
    fn empty_block(&mut self) -> Result<(), SustainError> {
        let template = self.template(1);
        self.execute(template)?;
        self.chain.flush()?;
        Ok(())
    }

    /// Returns the next block without its transactions.
    fn template(&mut self, count: u64) -> Block {
        let head = self.chain.head();
        self.parent.number = head.number + 1;
        if self.parent.number.is_multiple_of(BLOCKS_PER_SECOND) {
            self.parent.timestamp += 1;
        }
        self.parent.gas_limit = count * MOST_GAS;
        let (cfg, env) = self.rules.environment(&self.parent);
        Block {
            cfg,
            env,
            parent_hash: head.hash,
            parent_beacon_block_root: Some(B256::ZERO),
            withdrawals: Some(Vec::new()),
            rules: self.rules.chain_rules(&self.parent),
            ..Block::default()
        }
    }

    fn build(&mut self, template: Block, transactions: Vec<TxEnv>) -> Result<Made, SustainError> {
        let (mut made, parent) = (None, template.parent_hash);
        let mut pool = Ready(transactions.into_iter());
        self.chain.build(template, &mut pool, |built| {
            let executed = Instant::now();
            let (gas, receipts) = (built.output.gas_used, &built.output.receipts);
            let hash = hash(parent, gas, receipts);
            made = Some(Made::new(executed, built.output.stats.sequential, gas, receipts));
            hash
        })?;
        made.ok_or(SustainError::LeftOut(self.chain.head().number))
    }

    fn execute(&mut self, block: Block) -> Result<Made, SustainError> {
        let (number, parent) = (self.chain.head().number + 1, block.parent_hash);
        let plain = Plain::owning((&block).into());
        let (done, rest) = plain.run_keeping(self.chain.state()?);
        let done = done.map_err(|error| SustainError::Sequential(error.to_string()))?;
        drop(rest);
        let executed = Instant::now();
        let hash = hash(parent, done.gas_used, &done.receipts);
        let made = Made::new(executed, true, done.gas_used, &done.receipts);
        let head = Head { number, hash };
        let (changes, receipts) = (done.bundle, Arc::default());
        self.chain.append(ExecutedBlock {
            head,
            changes,
            state_root: None,
            receipts,
            rlp: Default::default(),
            header: Default::default(),
        })?;
        Ok(made)
    }
}

/// Figures of a block.
struct Made {
    executed: Instant,
    sealed: Instant,
    alone: bool,
    gas: u64,
    receipts: u64,
    failed: u64,
}

impl Made {
    fn new(executed: Instant, alone: bool, gas: u64, receipts: &[EthereumReceipt]) -> Self {
        let failed = receipts.iter().filter(|receipt| !receipt.success).count() as u64;
        let (sealed, receipts) = (Instant::now(), receipts.len() as u64);
        Self { executed, sealed, alone, gas, receipts, failed }
    }
}

/// Hashes a block's parent hash, gas, receipts root and bloom filter. The header's own hash also
/// covers the state root, which is computed later.
fn hash(parent: B256, gas: u64, receipts: &[EthereumReceipt]) -> B256 {
    let receipts: Vec<_> = receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    let bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
    let mut hasher = Keccak256::new();
    hasher.update(parent);
    hasher.update(gas.to_be_bytes());
    hasher.update(calculate_receipt_root(&receipts));
    hasher.update(bloom);
    hasher.finalize()
}

/// A pool that holds the transactions of one block.
struct Ready(std::vec::IntoIter<TxEnv>);

impl TransactionPool for Ready {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.next()
    }

    // Skipped transactions show up as missing receipts.
    fn skipped(&mut self, _: &TxEnv, _: &Rejection) {}
}
