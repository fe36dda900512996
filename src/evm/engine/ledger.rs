//! The ledger of committed transactions: admission by block gas, cumulative gas, outcomes, and the
//! stream to the caller.

use super::feed::BundleFeed;
use super::stream::Stream;
use crate::evm::bal::accesses::{AccessRecords, Accesses};
use crate::evm::bal::declaration::Undeclared;
use crate::evm::block::committed::Committed;
use crate::evm::block::gas::{BlockGas, blob_gas};
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::bundle::output_builder::OutputBuilder;
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::change::{AccountChange, ChangeKind};
use crate::evm::exec::input::{Block, regular_gas_limit};
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::trial::Trial;
use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::evm::exec::work::Work;
use crate::ids::TxIndex;
use crate::sync::Sender;
use crate::thresholds::LONG_WORK_GAS;
use alloy_primitives::{U256, map::AddressMap};
use core::ops::Range;
use revm::context::result::ResultGas;
use std::sync::Arc;

/// Outcomes of the committed prefix, or of one batch.
#[derive(Debug)]
pub(in crate::evm) struct EvmLedger {
    block: Arc<Block>,
    /// Index of the first transaction in `outcomes`; non-zero in a batch's ledger.
    first: usize,
    /// Gas used by the transactions before the first one.
    before: BlockGas,
    gas: BlockGas,
    /// Gas for which the block must have room to admit these transactions; tracked only if the
    /// block has not admitted them yet.
    pub(super) required: BlockGas,
    /// Outcomes of the transactions. Combined changes of several transactions are stored with the
    /// last of them. Results of the first transactions may have been moved out: see
    /// [`split_into`](Self::split_into).
    pub(in crate::evm) outcomes: Vec<TxOutcome>,
    /// Shard mask of each transaction's changes: see `bundle_shards`.
    pub(in crate::evm) shard_masks: Vec<u64>,
    stream: Stream,
    /// Channel to the worker that builds the bundle while transactions run, if there is one.
    pub(in crate::evm) feed: Option<BundleFeed>,
    /// Total work of the transactions.
    pub(in crate::evm) work: Work,
    /// Decides, during speculation, whether it costs more than it saves.
    pub(in crate::evm) trial: Option<Trial>,
    /// Transactions that ran long, with their work in units: see [`Work`].
    pub(in crate::evm) long: Vec<(TxIndex, u64)>,
    /// Balances of accounts with code that the committed prefix has changed.
    balances: AddressMap<U256>,
    /// Accesses of the executed transactions, if an access list is being built.
    #[expect(
        clippy::vec_box,
        reason = "they arrive boxed; unboxing would copy them for each list"
    )]
    pub(in crate::evm) accesses: Vec<Box<Accesses>>,
    /// Marks of the block's own access list that the transactions accessed: see [`AccessRecords`].
    pub(in crate::evm) marks: Vec<u32>,
    /// Transactions that accessed undeclared state, with the access.
    pub(in crate::evm) undeclared: Vec<(TxIndex, Undeclared)>,
    /// Outcomes, receipts and bundle built so far.
    pub(in crate::evm) output_builder: OutputBuilder,
}

impl EvmLedger {
    pub(in crate::evm) fn new(block_context: &BlockContext) -> Self {
        let empty = Self::for_batch(block_context, 0..0, BlockGas::default());
        Self { stream: Stream::new(block_context), ..empty }
    }

    /// Creates the ledger of a batch; `before` is the gas that the block used before it.
    pub(in crate::evm) fn for_batch(
        block_context: &BlockContext,
        transactions: Range<usize>,
        before: BlockGas,
    ) -> Self {
        Self {
            block: Arc::clone(&block_context.block),
            first: transactions.start,
            before,
            gas: BlockGas::default(),
            required: BlockGas::default(),
            outcomes: Vec::with_capacity(transactions.len()),
            shard_masks: Vec::with_capacity(transactions.len()),
            stream: Stream::default(),
            feed: None,
            work: Work::default(),
            trial: None,
            long: Vec::new(),
            balances: AddressMap::default(),
            accesses: Vec::new(),
            marks: Vec::new(),
            undeclared: Vec::new(),
            output_builder: OutputBuilder::default(),
        }
    }

    /// Iterates over the outputs of `transactions` that are in the ledger. Most transactions have
    /// none if their changes were combined with later ones.
    pub(in crate::evm) fn outputs_of(
        &self,
        transactions: Range<usize>,
    ) -> impl Iterator<Item = (TxIndex, &Arc<TxOutput>)> {
        let outcomes = self.outcomes_of(transactions);
        outcomes.filter_map(|(tx, outcome)| Some((tx, outcome.as_ref().ok()?.as_ref()?)))
    }

    /// Iterates over the outcomes of `transactions` that are in the ledger.
    fn outcomes_of(
        &self,
        transactions: Range<usize>,
    ) -> impl Iterator<Item = (TxIndex, &TxOutcome)> {
        let from = transactions.start.saturating_sub(self.first);
        let end = from.saturating_add(transactions.len()).min(self.outcomes.len());
        let known = self.outcomes.get(from..end).unwrap_or_default();
        let known = (self.first.saturating_add(from)..).zip(known);
        known.map(|(tx, outcome)| (TxIndex(u32::try_from(tx).unwrap_or(u32::MAX)), outcome))
    }

    /// Moves the results of the transactions that `outcomes_builder` lacks into it.
    pub(in crate::evm) fn split_into(&mut self, outcomes_builder: &mut OutcomesBuilder) {
        let Self { block, first, outcomes, .. } = self;
        let transactions = block.transactions.iter().skip(outcomes_builder.end());
        let skipped = outcomes_builder.end().saturating_sub(*first);
        for (tx, outcome) in transactions.zip(outcomes.iter_mut().skip(skipped)) {
            outcomes_builder.take(tx, outcome);
        }
    }

    /// Returns the gas needed to admit the ledger's transactions and `tx`, which runs next.
    pub(super) fn required_with(&self, tx: TxIndex) -> BlockGas {
        let Self { block, gas, .. } = self;
        let mut required = self.required;
        let Some(tx) = block.transactions.get(tx.position()) else { return required };
        let limit = regular_gas_limit(block, tx.gas_limit);
        required.regular = required.regular.max(gas.admitted(block).saturating_add(limit));
        required.state = required.state.max(gas.state.saturating_add(tx.gas_limit));
        required.blob = required.blob.max(gas.blob.saturating_add(blob_gas(tx)));
        required
    }

    /// Checks that the block has room for `tx`, the next transaction.
    ///
    /// As in alloy-evm's `EthBlockExecutor`, this check precedes the transaction's own validation.
    pub(super) fn check_room(&self, tx: TxIndex) -> Result<(), Rejection> {
        let Some(tx) = self.block.transactions.get(tx.position()) else { return Ok(()) };
        let amsterdam = self.block.cfg.enable_amsterdam_eip8037;
        let used = self.admitted_gas();
        let available = self.block.env.gas_limit.saturating_sub(used);
        let limit = tx.gas_limit;
        if regular_gas_limit(&self.block, limit) > available {
            return Err(Rejection::BlockGas { limit, available });
        }
        let available = self.block.env.gas_limit.saturating_sub(self.before.state + self.gas.state);
        if amsterdam && limit > available {
            return Err(Rejection::BlockGas { limit, available });
        }
        let requested = blob_gas(tx);
        let room = self.block.rules.max_blob_gas.unwrap_or(u64::MAX);
        let available = room.saturating_sub(self.before.blob + self.gas.blob);
        if requested > available {
            return Err(Rejection::BlobGas { requested, available });
        }
        Ok(())
    }

    /// Whether each transaction of `batch`, which comes next, would be admitted.
    pub(super) fn has_room_for(&self, batch: &Self) -> bool {
        let Self { block, gas, .. } = self;
        let limit = block.env.gas_limit;
        let room = block.rules.max_blob_gas.unwrap_or(u64::MAX);
        // Each transaction was admitted to the batch, so it fits into the limit by itself.
        let fits = |used: u64, required, room: u64| required <= room.saturating_sub(used);
        fits(gas.admitted(block), batch.required.regular, limit)
            && (!block.cfg.enable_amsterdam_eip8037 || fits(gas.state, batch.required.state, limit))
            && fits(gas.blob, batch.required.blob, room)
            || mutant!(PartNotAdmitted)
    }

    /// Appends `batch`, which comes next.
    pub(super) fn append(&mut self, mut batch: Self) {
        let mut cumulative = self.gas.cumulative;
        for (tx, outcome) in batch.outcomes_of(batch.first..usize::MAX) {
            if !self.stream.has_receiver() {
                break;
            }
            let Some(outcome) = outcome.clone().transpose() else { continue };
            cumulative += outcome.as_ref().map_or(0, |output| output.result.tx_gas_used());
            self.stream.send(tx, cumulative, outcome);
        }
        self.gas = self.gas.plus(batch.gas);
        if self.outcomes.capacity() == 0 && batch.outcomes.len() == self.block.transactions.len() {
            // Taking the batch's vectors is cheaper than copying into new ones.
            self.outcomes = batch.outcomes;
            self.shard_masks = batch.shard_masks;
        } else {
            self.make_room();
            self.outcomes.append(&mut batch.outcomes);
            self.shard_masks.append(&mut batch.shard_masks);
        }
        self.work = self.work.plus(batch.work);
        self.long.append(&mut batch.long);
        if mutant!(ListedOutOfOrder) {
            core::mem::swap(&mut self.accesses, &mut batch.accesses);
        }
        self.accesses.append(&mut batch.accesses);
        self.marks.append(&mut batch.marks);
        self.undeclared.append(&mut batch.undeclared);
        if !mutant!(PartBalancesLost) {
            self.balances.extend(batch.balances);
        }
    }

    /// Reserves room for all transactions of the block, unless a single batch contains all of them.
    fn make_room(&mut self) {
        if self.outcomes.capacity() == 0 {
            self.outcomes.reserve_exact(self.block.transactions.len());
            self.shard_masks.reserve_exact(self.block.transactions.len());
        }
    }

    /// Builds the outcomes and receipts of all committed transactions, and adds their changes to
    /// the bundle if one is growing.
    pub(in crate::evm) fn catch_up(&mut self) {
        let mut output_builder = core::mem::take(&mut self.output_builder);
        output_builder.bundle_up_to(&self.outcomes);
        self.split_into(&mut output_builder.outcomes_builder);
        self.output_builder = output_builder;
    }

    /// Sends every further commit to `stream`.
    pub(in crate::evm) fn stream_to(&mut self, stream: Option<Sender<Committed>>) {
        self.stream.set(stream);
    }

    /// Whether commits are streamed to the caller.
    pub(in crate::evm) const fn is_streamed(&self) -> bool {
        self.stream.has_receiver()
    }

    /// Replaces the block by one with more transactions.
    pub(in crate::evm) fn set_block(&mut self, block: Arc<Block>) {
        self.block = block;
    }

    pub(in crate::evm) const fn gas(&self) -> BlockGas {
        self.gas
    }

    /// Gas of the committed prefix that counts for admission.
    fn admitted_gas(&self) -> u64 {
        if mutant!(AdmissionByLimit) {
            let committed = self.block.transactions.iter().zip(&self.outcomes);
            let executed = committed.filter(|(_, outcome)| outcome.is_ok());
            let limits = executed.map(|(tx, _)| tx.gas_limit).sum::<u64>();
            return self.before.admitted(&self.block).saturating_add(limits);
        }
        self.before.plus(self.gas).admitted(&self.block)
    }

    /// Appends the outcome of the next transaction, `tx`.
    pub(super) fn push(&mut self, tx: TxIndex, outcome: TxOutcome) {
        if self.stream.has_receiver()
            && let Some(outcome) = outcome.clone().transpose()
        {
            self.stream.send(tx, self.gas.cumulative, outcome);
        }
        self.make_room();
        if mutant!(SkipListed) && outcome.is_err() {
            self.accesses.push(Box::default());
        }
        let output = outcome.as_ref().ok().and_then(Option::as_ref);
        self.shard_masks.push(output.map_or(0, |output| output.shard_mask));
        self.outcomes.push(outcome);
    }
}

impl EvmLedger {
    /// Fills in the balances that the next transaction has not read. Everything below it is final.
    pub(super) fn fill_in(&mut self, changes: &mut [AccountChange]) {
        for change in changes {
            if change.kind != ChangeKind::Changed && !mutant!(BalanceOfEarlierLife) {
                // After it is destroyed and created again, the account may equal the one before the
                // block.
                let balance = change.after.as_ref().map_or(U256::ZERO, |after| after.balance);
                self.balances.insert(change.address, balance);
            }
            let (Some(before), Some(after)) = (&mut change.before, &mut change.after) else {
                continue;
            };
            if !change.knows_balance {
                let present = self.balances.get(&change.address);
                if let Some(balance) = present.filter(|_| !mutant!(BalanceNotFilledIn)) {
                    before.balance = *balance;
                    after.balance = *balance;
                }
                change.knows_balance = true;
            } else if before.balance != after.balance && !before.is_empty_code_hash() {
                self.balances.insert(change.address, after.balance);
            }
        }
    }

    /// Stores the combined changes of several transactions with the last executed one.
    pub(in crate::evm) fn store_combined(&mut self, mut output: TxOutput) {
        self.fill_in(&mut output.changes);
        let outcomes = self.outcomes.iter_mut().zip(&mut self.shard_masks).rev();
        let last =
            outcomes.filter_map(|(outcome, shards)| Some((outcome.as_mut().ok()?, shards))).next();
        let Some((last @ None, shards)) = last else {
            unreachable!("the last executed transaction has no output of its own")
        };
        *shards = output.shard_mask;
        *last = Some(Arc::new(output));
    }

    /// Commits the next transaction, `tx`, whose result and gas are recorded elsewhere. `output`
    /// has its changes, unless they are combined with others.
    pub(in crate::evm) fn commit_changes(
        &mut self,
        tx: TxIndex,
        mut output: Option<Arc<TxOutput>>,
    ) {
        if let Some(output) = &mut output {
            let Some(only) = Arc::get_mut(output) else {
                unreachable!("the output is shared only after its commit")
            };
            self.fill_in(&mut only.changes);
        }
        self.push(tx, Ok(output));
    }

    /// Records the work of `tx`.
    pub(in crate::evm) fn note_work(&mut self, tx: TxIndex, work: Work) {
        self.work = self.work.plus(work);
        if let Some(trial) = &mut self.trial {
            trial.note(work);
        }
        if work.units >= LONG_WORK_GAS {
            self.long.push((tx, work.units));
        }
    }

    /// Records the accesses of `tx`, which commits next.
    pub(super) fn record_accesses(&mut self, tx: TxIndex, records: Option<Box<AccessRecords>>) {
        let Some(records) = records else { return };
        self.accesses.extend(records.accesses);
        self.marks.extend(records.marks);
        self.undeclared.extend(records.undeclared.map(|access| (tx, *access)));
    }

    pub(super) fn add_gas(&mut self, tx: TxIndex, gas: &ResultGas) {
        let tx = self.block.transactions.get(tx.position());
        self.gas = self.gas.plus(BlockGas::of(tx, gas));
    }
}
