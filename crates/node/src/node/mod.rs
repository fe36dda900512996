//! A node that makes blocks from the transactions in its pool.

use crate::{
    checkpoint::Checkpoints,
    clock::Clock,
    clock::now,
    dev::{Dev, Request},
    error::NodeError,
    fees::blob_price,
    header::{self, Producer},
    limits::NodeConfig,
    restart::{self, kept_blocks},
    shared::{Shared, View, account},
    stored::StoredBlock,
};
use alloy_consensus::{Header, transaction::Recovered};
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::Address;
use alloy_rlp::Encodable;
use braid_chain::{
    Built, Chain, Executed, ExecutedBlock, Head, LayeredState, Rules, Sealed, StateStore, genesis,
    open,
    pool::{Fill, Pool, PoolHandle, PoolTransaction, SenderAccount, SignedTransaction},
};
use braid_evm::{Block, ChainRules, Executor, Outcome, Rejection, TransactionPool};
pub use control::Mining;
use crossbeam_channel::{Receiver, after, bounded, never, select};
pub use follow::Follower;
use revm::{DatabaseRef, context::TxEnv, database::BundleState, primitives::hardfork::SpecId};
use std::{
    cell::RefCell,
    convert::Infallible,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

mod control;
mod follow;
#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;

/// Maximum time to wait without checking the clock again, which may have been set.
const LOOK: Duration = Duration::from_secs(1);

/// A block that the node has made.
#[derive(Debug)]
pub struct Mined {
    /// Result of building the block.
    pub built: Built,
    /// Time spent on making the block.
    pub time: Duration,
}

/// Receives notifications about the blocks that a node makes.
pub trait Observer {
    /// Called before the node makes or executes a block, or finds that there is nothing to include in one.
    fn begin(&mut self) {}

    /// Called after a block was made.
    fn mined(&mut self, mined: &Mined);

    /// Called after a [`Follower`] has executed a block, which took `time`.
    fn executed(&mut self, _executed: &Executed, _time: Duration) {}
}

impl Observer for () {
    fn mined(&mut self, _: &Mined) {}
}

/// A chain that makes its own blocks, with its pool of transactions.
#[derive(Debug)]
pub struct Node<S: StateStore> {
    chain: Chain<S>,
    pool: Pool,
    /// The last block.
    parent: Arc<StoredBlock>,
    shared: Arc<Shared<S::Snapshot>>,
    woken: Receiver<()>,
    /// Commands of a development node's clients.
    commands: Receiver<Request>,
}

impl<S: StateStore> Node<S> {
    /// Opens the chain in `store`.
    ///
    /// # Errors
    /// The store holds no chain, or not its last block, which the next block would continue; or the
    /// system refused to start threads.
    pub fn open(store: S, config: NodeConfig) -> Result<Self, NodeError> {
        let executor = Executor::new(config.chain.executor);
        let executor = executor.map_err(braid_chain::ChainError::Thread)?;
        Self::open_with(store, executor, config)
    }

    /// Opens the chain in `store` with the caller's executor.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(store: S, executor: Executor, config: NodeConfig) -> Result<Self, NodeError> {
        let reader = open(&store)?;
        let (head, genesis) = (reader.head(), genesis::decode(&reader.genesis()?)?);
        let producer = Producer {
            rules: Rules::new(genesis.config.clone()),
            beneficiary: genesis.coinbase,
            clock: Clock::new(config.is_dev),
        };
        // Refused even before the fork begins: otherwise the node would stop at that time, and not
        // start again.
        if producer.rules.has_amsterdam() {
            return Err(NodeError::Amsterdam);
        }
        let first = restart::first(&reader, &genesis)?;
        let oldest = reader.oldest_block()?.unwrap_or(head.number.saturating_add(1));
        let blocks = kept_blocks(&reader, &genesis, &config)?;
        let blocks: Vec<_> = blocks.into_iter().map(Arc::new).collect();
        let parent = blocks.last().filter(|block| block.hash == head.hash).map(Arc::clone);
        let parent = parent.ok_or(NodeError::NoBlock { number: head.number })?;
        let (mut keep, history) = (config.chain.keep, config.history_blocks.max(1));
        (keep.receipt_blocks, keep.rlp_blocks) = (history, history);
        let chain = Chain::open_with(store, executor, keep)?;
        let view = view(&producer, &parent, chain.state()?);
        let mut pool = Pool::new(config.pool, head, view.next_base_fee);
        pool.set_blob_fee(view.next_blob_fee);
        let (wake, woken) = bounded(1);
        let durable = chain.durable_head();
        let (dev, commands) = config.is_dev.then(Dev::new).unzip();
        let shared = Shared::new(producer, pool.handle(), durable, view, &config, (wake, dev));
        shared.begin(first.map(Arc::new), oldest);
        blocks.into_iter().for_each(|block| shared.remember(block));
        let (shared, commands) = (Arc::new(shared), commands.unwrap_or_else(never));
        Ok(Self { chain, pool, parent, shared, woken, commands })
    }

    /// Returns the state that a server shares with the node.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared<S::Snapshot>> {
        Arc::clone(&self.shared)
    }

    /// Returns the node's chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain<S> {
        &self.chain
    }

    /// Lets clients of servers that are started later ask for checkpoints (`braid_checkpoint`),
    /// which are written into `folder`.
    /// `report` is told how each one ended.
    ///
    /// # Errors
    /// The folder cannot be created or read.
    pub fn write_checkpoints_to(&self, folder: &Path, report: fn(String)) -> io::Result<()> {
        let open = Box::new(self.chain.durable_state());
        let checkpoints = Arc::new(Checkpoints::new(folder, open, report)?);
        self.shared.checkpoints.get_or_init(|| checkpoints);
        Ok(())
    }

    /// Keeps the pool in `file` over a restart: adds the transactions of the file that are still
    /// valid, and appends each one that is admitted later. A file that cannot be read or written is
    /// not an error: `report` gets a message about it, and one with the number of transactions read.
    ///
    /// The file has the transactions of the last moment even if the process is killed; after a power
    /// failure the last ones may be missing. What cannot be read is set aside in a file with the
    /// ending `.unread`. Call this once, on a node that makes blocks; transactions that
    /// [development nodes](NodeConfig::is_dev) admit without a signature are not added again.
    pub fn keep_pool_in(&self, file: &Path, report: fn(String)) {
        self.shared.keep_pool_in(file, now(), report);
    }

    /// Returns the number of seconds by which the last block's time is ahead of the clock. Until
    /// the clock has caught up, no block is [made](Self::run).
    #[must_use]
    pub fn seconds_ahead(&self) -> u64 {
        self.parent.header.timestamp.saturating_sub(now())
    }

    /// Makes blocks while transactions wait, until `stopped` is disconnected; all blocks are
    /// durable when it returns. Makes at most one block per `interval`, and at most one per second
    /// of the clock. `observer` is notified of each block.
    ///
    /// # Errors
    /// A block failed. Clients of the server receive the error; the blocks made before are durable,
    /// unless the store failed.
    pub fn run(
        &mut self,
        interval: Duration,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
    ) -> Result<Head, NodeError> {
        let ran = self.make(interval, stopped, observer);
        self.end(ran)
    }

    /// Makes all blocks durable, and tells clients that no more are made.
    fn end(&mut self, ran: Result<(), NodeError>) -> Result<Head, NodeError> {
        let flushed = self.chain.flush().map_err(NodeError::from);
        self.shared.show();
        let ran = ran.and(flushed);
        self.shared.stop(match &ran {
            Ok(_) => "the node has stopped".to_owned(),
            Err(error) => error.to_string(),
        });
        self.shared.close_pool();
        // Clients that wait for a command learn that nobody carries it out.
        self.commands = never();
        ran
    }

    fn make(
        &mut self,
        interval: Duration,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
    ) -> Result<(), NodeError> {
        let mut due = Instant::now();
        loop {
            // A block has the clock's time, and a later time than its parent.
            let wait = due.saturating_duration_since(Instant::now());
            let wait = wait.max(header::until_after(&self.parent.header));
            select! {
                recv(stopped) -> _ => return Ok(()),
                recv(after(wait.min(LOOK))) -> _ => {}
            }
            if wait > LOOK {
                continue;
            }
            let begun = Instant::now();
            observer.begin();
            match self.step(now())? {
                Some(mined) => {
                    observer.mined(&mined);
                    due = begun.checked_add(interval).unwrap_or(begun);
                }
                // No block is made unless it can include a transaction, or lowers the base fee for
                // one.
                None => select! {
                    recv(stopped) -> _ => return Ok(()),
                    recv(self.woken) -> _ => {}
                },
            }
        }
    }

    /// Makes a block if transactions wait. The block is empty if the base fee must fall before the
    /// first transaction can be included. `now` is in seconds since 1970; a block is at least one
    /// second later than its parent. Clients see the block once it is durable.
    ///
    /// # Errors
    /// The block failed, or the state after it cannot be read. The node is then unusable: drop it,
    /// and open the store again.
    pub fn step(&mut self, now: u64) -> Result<Option<Mined>, NodeError> {
        let pool = self.pool.handle();
        let view = self.shared.made();
        let waits = || view.do_fees_fall && pool.waits_for_base_fee(view.least_base_fee);
        if pool.status().ready == 0 && !waits() {
            return Ok(None);
        }
        self.force(now).map(Some)
    }

    /// Makes a block, even an empty one.
    fn force(&mut self, now: u64) -> Result<Mined, NodeError> {
        let begun = Instant::now();
        let (stored, built) = self.build(now)?;
        if let Some(stored) = stored {
            self.shared.producer.clock.made(now, stored.header.timestamp);
            self.publish(Arc::new(stored), &built.changes)?;
        }
        Ok(Mined { built, time: begun.elapsed() })
    }

    /// Builds the next block from the pool.
    fn build(&mut self, now: u64) -> Result<(Option<StoredBlock>, Built), NodeError> {
        let producer = &self.shared.producer;
        let header = producer.next(&self.parent, now);
        let mut template = template(&producer.rules, &header, &self.chain.state()?)?;
        // Impersonated contracts send transactions.
        template.cfg.disable_eip3607 = self.shared.dev().is_some();
        let has_requests = template.cfg.spec.is_enabled_in(SpecId::PRAGUE);
        // Since the last block, a fork with other prices may have begun.
        self.pool.set_blob_fee(blob_price(&template.env));
        let (handed_out, mut stored) = (RefCell::default(), None);
        let mut source = Recorded { fill: self.pool.fill(), handed_out: &handed_out };
        let built = self.chain.build_with_root(template, &mut source, |built, root| {
            let included = included(&handed_out.borrow(), &built.output.outcomes);
            let signed = included.iter().map(|it| it.inner().clone()).collect();
            let block = header::seal(header, &built.output, root, signed, has_requests);
            let rlp = alloy_rlp::encode(&block);
            let (hash, size) = (block.header.hash_slow(), block.length());
            let receipts = built.output.receipts.clone();
            let block = StoredBlock::new(hash, block.header, included, Some(receipts), size);
            stored = Some(block.with_blob_price(&producer.rules));
            Sealed { hash, rlp: rlp.into(), ..Sealed::default() }
        })?;
        Ok((stored, built))
    }

    /// Publishes a block to the server and to the pool.
    fn publish(
        &mut self,
        block: Arc<StoredBlock>,
        executed: &ExecutedBlock,
    ) -> Result<(), NodeError> {
        self.parent = Arc::clone(&block);
        let view = view(&self.shared.producer, &block, self.chain.state()?);
        let (head, base_fee, blob_fee) = (executed.head, view.next_base_fee, view.next_blob_fee);
        let Self { pool, shared, .. } = self;
        let (handle, is_dev) = (pool.handle(), shared.dev().is_some());
        shared.publish(
            view,
            |state| changed_senders(&handle, state, &executed.changes, is_dev),
            |changed| {
                pool.set_blob_fee(blob_fee);
                pool.applied(head, base_fee, changed);
            },
        )?;
        Ok(())
    }
}

/// Reads the accounts of pool senders that a block has changed. Other accounts are not read:
/// reading an account with code would read the whole code.
fn changed_senders<D: DatabaseRef>(
    pool: &PoolHandle,
    state: &D,
    changes: &BundleState,
    is_dev: bool,
) -> Result<Vec<(Address, SenderAccount)>, D::Error> {
    let senders = pool.senders_among(changes.state.keys()).into_iter();
    senders.map(|sender| Ok((sender, account(state, sender, is_dev)?))).collect()
}

/// Records which transactions a pool hands out, for the body of the block.
struct Recorded<'p> {
    fill: Fill<'p>,
    handed_out: &'p RefCell<Vec<Arc<PoolTransaction>>>,
}

impl TransactionPool for Recorded<'_> {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        let next = self.fill.next(gas_left)?;
        self.handed_out.borrow_mut().extend(self.fill.handed_out().last().cloned());
        Some(next)
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        self.fill.skipped(tx, reason);
    }
}

/// Returns the transactions of the pool that the block includes.
fn included(
    handed_out: &[Arc<PoolTransaction>],
    outcomes: &[Outcome],
) -> Vec<Recovered<SignedTransaction>> {
    let each = handed_out.iter().zip(outcomes);
    let executed = each.filter(|(_, outcome)| matches!(outcome, Outcome::Executed(_)));
    let recovered =
        executed.map(|(it, _)| Recovered::new_unchecked(it.signed().clone(), it.sender()));
    recovered.collect()
}

/// Returns the block with this `header`, without transactions.
fn template<D: DatabaseRef>(rules: &Rules, header: &Header, state: &D) -> Result<Block, D::Error> {
    let (cfg, env) = rules.environment(header);
    // A private chain may lack the contracts for requests.
    let mut requests = true;
    if cfg.spec.is_enabled_in(SpecId::PRAGUE) {
        for address in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            let info = state.basic_ref(address)?;
            requests &= info.is_some_and(|info| !info.is_empty_code_hash());
        }
    }
    Ok(Block {
        cfg,
        env,
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        withdrawals: header.withdrawals_root.map(|_| Vec::new()),
        rules: ChainRules { requests, ..rules.chain_rules(header) },
        ..Block::default()
    })
}

/// Makes the view of the chain after `head`.
fn view<S>(producer: &Producer, head: &Arc<StoredBlock>, state: LayeredState<S>) -> View<S> {
    let header = producer.next(head, now());
    let (_, env) = producer.rules.environment(&header);
    let least_base_fee = header::least_base_fee(&producer.rules, &head.header, env.basefee);
    View {
        head: Arc::clone(head),
        state,
        next_base_fee: env.basefee,
        next_blob_fee: blob_price(&env),
        least_base_fee,
        do_fees_fall: env.basefee > least_base_fee || producer.do_blob_fees_fall(&header),
    }
}
