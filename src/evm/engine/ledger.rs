//! Keeps the outcomes: block-gas admission, cumulative gas, the stream to the caller.

use super::feed::Feed;
use super::stream::Stream;
use crate::evm::bal::accesses::{Accesses, Kept};
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
use crate::evm::exec::work::{LONG, Work};
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use crate::ids::TxIndex;
use crate::sync::Sender;
use alloy_primitives::{U256, map::AddressMap};
use core::ops::Range;
use revm::context::result::ResultGas;
use std::sync::Arc;

/// The outcomes of the committed prefix.
#[derive(Debug)]
pub(in crate::evm) struct EvmLedger {
    block: Arc<Block>,
    /// Whose outcome is the first one: not that of the block's first transaction in one of a part.
    first: usize,
    /// Gas of those before the first one.
    before: BlockGas,
    gas: BlockGas,
    /// Room that its transactions need to be admitted, if the block has not admitted them yet.
    pub(super) asked: BlockGas,
    /// What several have left together lies with the last of them; what was lent to a worker that
    /// folds beside a round is not here during it. The results of the first ones may be somewhere
    /// else: see [`split_into`](Self::split_into).
    pub(in crate::evm) outcomes: Vec<TxOutcome>,
    /// Shards of the changes of each: see `bundle_shards`.
    pub(in crate::evm) shard_masks: Vec<u64>,
    stream: Stream,
    /// To the worker that makes the bundle of what commits, if one does.
    pub(in crate::evm) feed: Option<Feed>,
    /// How much work its transactions were together.
    pub(in crate::evm) work: Work,
    /// Whether speculation costs more than it saves, while there is any.
    pub(in crate::evm) trial: Option<Trial>,
    /// Transactions that took long, and how long: see `work`.
    pub(in crate::evm) long: Vec<(TxIndex, u64)>,
    /// Balances of accounts with code, where the committed prefix has changed them.
    balances: AddressMap<U256>,
    /// What its executed transactions have accessed, if an access list is asked for.
    #[expect(clippy::vec_box, reason = "they come boxed, and are not moved for each list of them")]
    pub(in crate::evm) accesses: Vec<Box<Accesses>>,
    /// What they have accessed of the list that the block comes with: see [`Kept`].
    pub(in crate::evm) marks: Vec<u32>,
    /// Transactions that have left what they declare, and how.
    pub(in crate::evm) undeclared: Vec<(TxIndex, Undeclared)>,
    /// What was made of committed transactions.
    pub(in crate::evm) output_builder: OutputBuilder,
    pub(super) mutant: EvmMutant,
}

impl EvmLedger {
    pub(in crate::evm) fn new(block_context: &BlockContext) -> Self {
        let part = Self::of_part(block_context, 0..0, BlockGas::default());
        Self { stream: Stream::new(block_context), ..part }
    }

    /// The ledger of a part of a block, where those before it have used that much gas.
    pub(in crate::evm) fn of_part(
        block_context: &BlockContext,
        transactions: Range<usize>,
        before: BlockGas,
    ) -> Self {
        let (block, mutant) = (Arc::clone(&block_context.block), block_context.mutant);
        let outcomes = Vec::with_capacity(transactions.len());
        let shard_masks = Vec::with_capacity(transactions.len());
        let (gas, asked) = Default::default();
        let (first, balances) = (transactions.start, AddressMap::default());
        let (stream, feed, work, long, accesses, marks, output_builder) = Default::default();
        let (undeclared, trial) = (Vec::new(), None);
        Self {
            block,
            first,
            before,
            gas,
            asked,
            outcomes,
            shard_masks,
            stream,
            feed,
            work,
            trial,
            long,
            balances,
            accesses,
            marks,
            undeclared,
            output_builder,
            mutant,
        }
    }

    /// What those of `transactions` have left that it knows of. Most have nothing: what they have
    /// changed was taken together with others.
    pub(in crate::evm) fn left_of(
        &self,
        transactions: Range<usize>,
    ) -> impl Iterator<Item = (TxIndex, &Arc<TxOutput>)> {
        let outcomes = self.outcomes_of(transactions);
        outcomes.filter_map(|(tx, outcome)| Some((tx, outcome.as_ref().ok()?.as_ref()?)))
    }

    /// What became of those of `transactions` that it knows of.
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

    /// Adds to `split`, which has them of those before, the results of the last transactions. They
    /// are not here any more then.
    pub(in crate::evm) fn split_into(&mut self, split: &mut OutcomesBuilder) {
        let Self { block, first, outcomes, mutant, .. } = self;
        let transactions = block.transactions.iter().skip(split.end());
        let left = split.end().saturating_sub(*first);
        for (tx, outcome) in transactions.zip(outcomes.iter_mut().skip(left)) {
            split.take(tx, outcome, *mutant);
        }
    }

    /// What became of those from `from` on, which is not here until it is [taken
    /// back](Self::take_back).
    pub(in crate::evm) fn lend(&mut self, from: usize) -> Vec<TxOutcome> {
        let take =
            |outcome: &mut TxOutcome| outcome.as_mut().map(Option::take).map_err(|why| why.clone());
        self.outcomes.iter_mut().skip(from.saturating_sub(self.first)).map(take).collect()
    }

    /// What became of those from `from` on, which was [lent](Self::lend): a bundle that was made of
    /// it may be lost with the worker that goes on with it.
    pub(in crate::evm) fn take_back(&mut self, from: usize, lent: Vec<TxOutcome>) {
        if is_evm_mutant!(self.mutant, LentLost) {
            return;
        }
        let own = self.outcomes.iter_mut().skip(from.saturating_sub(self.first));
        own.zip(lent).for_each(|(own, lent)| *own = lent);
    }

    /// Room that its transactions and `tx`, which runs next, need to be admitted.
    pub(super) fn asked_with(&self, tx: TxIndex) -> BlockGas {
        let (block, gas, mut asked) = (&self.block, &self.gas, self.asked);
        let Some(tx) = block.transactions.get(tx.position()) else { return asked };
        let limit = regular_gas_limit(block, tx.gas_limit);
        asked.regular = asked.regular.max(gas.admitted(block).saturating_add(limit));
        asked.state = asked.state.max(gas.state.saturating_add(tx.gas_limit));
        asked.blob = asked.blob.max(gas.blob.saturating_add(blob_gas(tx)));
        asked
    }

    /// Whether the block has room for `tx`, which comes next.
    ///
    /// As alloy-evm's `EthBlockExecutor` does it: before the transaction's own checks.
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
        let asked = blob_gas(tx);
        let room = self.block.rules.max_blob_gas.unwrap_or(u64::MAX);
        let available = room.saturating_sub(self.before.blob + self.gas.blob);
        if asked > available {
            return Err(Rejection::BlobGas { asked, available });
        }
        Ok(())
    }

    /// Whether each transaction of `part`, which comes next, would be admitted.
    pub(super) fn has_room_for(&self, part: &Self) -> bool {
        let Self { block, gas, .. } = self;
        let limit = block.env.gas_limit;
        let room = block.rules.max_blob_gas.unwrap_or(u64::MAX);
        // Each sum fits by itself, or its transaction would not have been admitted to the part.
        let fits = |used: u64, asked, room: u64| asked <= room.saturating_sub(used);
        fits(gas.admitted(block), part.asked.regular, limit)
            && (!block.cfg.enable_amsterdam_eip8037 || fits(gas.state, part.asked.state, limit))
            && fits(gas.blob, part.asked.blob, room)
            || is_evm_mutant!(self.mutant, PartNotAdmitted)
    }

    /// Adds `part`, which comes next.
    pub(super) fn append(&mut self, mut part: Self) {
        let mut cumulative = self.gas.cumulative;
        for (tx, outcome) in part.outcomes_of(part.first..usize::MAX) {
            if !self.stream.is_heard() {
                break;
            }
            let Some(outcome) = outcome.clone().transpose() else { continue };
            cumulative += outcome.as_ref().map_or(0, |output| output.result.tx_gas_used());
            self.stream.send(tx, cumulative, outcome);
        }
        self.gas = self.gas.plus(part.gas);
        if self.outcomes.capacity() == 0 && part.outcomes.len() == self.block.transactions.len() {
            // Better than room for both.
            (self.outcomes, self.shard_masks) = (part.outcomes, part.shard_masks);
        } else {
            self.make_room();
            self.outcomes.append(&mut part.outcomes);
            self.shard_masks.append(&mut part.shard_masks);
        }
        self.work = self.work.plus(part.work);
        self.long.append(&mut part.long);
        if is_evm_mutant!(self.mutant, ListedOutOfOrder) {
            core::mem::swap(&mut self.accesses, &mut part.accesses);
        }
        self.accesses.append(&mut part.accesses);
        self.marks.append(&mut part.marks);
        self.undeclared.append(&mut part.undeclared);
        if !is_evm_mutant!(self.mutant, PartBalancesLost) {
            self.balances.extend(part.balances);
        }
    }

    /// Room for all transactions of the block, once it is clear that they do not come together.
    fn make_room(&mut self) {
        if self.outcomes.capacity() == 0 {
            self.outcomes.reserve_exact(self.block.transactions.len());
            self.shard_masks.reserve_exact(self.block.transactions.len());
        }
    }

    /// Outcomes and receipts of all that are committed are made; and what they have left is in the
    /// bundle, if one grows.
    pub(in crate::evm) fn catch_up(&mut self) {
        let mut output_builder = core::mem::take(&mut self.output_builder);
        output_builder.bundle_up_to(&self.outcomes);
        self.split_into(&mut output_builder.split);
        self.output_builder = output_builder;
    }

    /// Sends what commits from now on to `stream`.
    pub(in crate::evm) fn stream_to(&mut self, stream: Option<Sender<Committed>>) {
        self.stream.set(stream);
    }

    /// The block with more transactions.
    pub(in crate::evm) fn set_block(&mut self, block: Arc<Block>) {
        self.block = block;
    }

    pub(in crate::evm) const fn gas(&self) -> BlockGas {
        self.gas
    }

    /// Gas of the committed prefix that counts for admission.
    fn admitted_gas(&self) -> u64 {
        if is_evm_mutant!(self.mutant, AdmissionByLimit) {
            let committed = self.block.transactions.iter().zip(&self.outcomes);
            let executed = committed.filter(|(_, outcome)| outcome.is_ok());
            let limits = executed.map(|(tx, _)| tx.gas_limit).sum::<u64>();
            return self.before.admitted(&self.block).saturating_add(limits);
        }
        self.before.plus(self.gas).admitted(&self.block)
    }

    /// Adds what became of `tx`, which comes next.
    pub(super) fn push(&mut self, tx: TxIndex, outcome: TxOutcome) {
        if self.stream.is_heard()
            && let Some(outcome) = outcome.clone().transpose()
        {
            self.stream.send(tx, self.gas.cumulative, outcome);
        }
        self.make_room();
        if is_evm_mutant!(self.mutant, SkipListed) && outcome.is_err() {
            self.accesses.push(Box::default());
        }
        let output = outcome.as_ref().ok().and_then(Option::as_ref);
        self.shard_masks.push(output.map_or(0, |output| output.shard_mask));
        self.outcomes.push(outcome);
    }
}

impl EvmLedger {
    /// Puts in the balances at which the transaction that is next has not looked: what lies below
    /// it is final.
    pub(super) fn fill_in(&mut self, changes: &mut [AccountChange]) {
        for change in changes {
            if change.kind != ChangeKind::Changed
                && !is_evm_mutant!(self.mutant, BalanceOfEarlierLife)
            {
                // One that is destroyed and created again may look as it did before the block.
                let balance = change.after.as_ref().map_or(U256::ZERO, |after| after.balance);
                self.balances.insert(change.address, balance);
            }
            let (Some(before), Some(after)) = (&mut change.before, &mut change.after) else {
                continue;
            };
            if !change.knows_balance {
                let present = self.balances.get(&change.address);
                if let Some(balance) =
                    present.filter(|_| !is_evm_mutant!(self.mutant, BalanceNotFilledIn))
                {
                    (before.balance, after.balance) = (*balance, *balance);
                }
                change.knows_balance = true;
            } else if before.balance != after.balance && !before.is_empty_code_hash() {
                self.balances.insert(change.address, after.balance);
            }
        }
    }

    /// Gives the last transaction that was executed what it and others have left together.
    pub(in crate::evm) fn give(&mut self, mut left: TxOutput) {
        self.fill_in(&mut left.changes);
        let kept = self.outcomes.iter_mut().zip(&mut self.shard_masks).rev();
        let last =
            kept.filter_map(|(outcome, shards)| Some((outcome.as_mut().ok()?, shards))).next();
        let Some((last @ None, shards)) = last else {
            unreachable!("a transaction has left it, and has nothing else")
        };
        *shards = left.shard_mask;
        *last = Some(Arc::new(left));
    }

    /// Commits `tx`, which is next, whose result and gas are somewhere else, with what it has left
    /// by itself.
    pub(in crate::evm) fn commit_left(&mut self, tx: TxIndex, mut left: Option<Arc<TxOutput>>) {
        if let Some(left) = left.as_mut().and_then(Arc::get_mut) {
            self.fill_in(&mut left.changes);
        }
        self.push(tx, Ok(left));
    }

    /// Notes how much work `tx` was.
    pub(in crate::evm) fn note_work(&mut self, tx: TxIndex, work: Work) {
        self.work = self.work.plus(work);
        if let Some(trial) = &mut self.trial {
            trial.note(work);
        }
        if work.all >= LONG {
            self.long.push((tx, work.all));
        }
    }

    /// Keeps what `tx` has accessed, which commits next.
    pub(super) fn keep(&mut self, tx: TxIndex, kept: Option<Box<Kept>>) {
        let Some(kept) = kept else { return };
        self.accesses.extend(kept.accesses);
        self.marks.extend(kept.marks);
        self.undeclared.extend(kept.undeclared.map(|how| (tx, *how)));
    }

    pub(super) fn add_gas(&mut self, tx: TxIndex, gas: &ResultGas) {
        let tx = self.block.transactions.get(tx.position());
        self.gas = self.gas.plus(BlockGas::of(tx, gas));
    }
}
