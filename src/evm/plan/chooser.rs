//! The planner's state for one block: its features, its progress, and its segments so far.

use super::choice::{Choice, Remaining};
use super::choose::choose;
use super::features::{Features, Setting};
use super::feedback::{Feedback, SegmentFeedback};
use super::longest::LongRuns;
use super::partition::count_cheap_following;
use super::progress::{Progress, SegmentFindings, SegmentOutcome, is_cheap, is_mostly_access};
use super::strategy::{Segment, Strategy};
use crate::config::Policy;
use crate::evm::exec::input::Block;
use crate::evm::exec::work::Work;
use crate::ids::TxIndex;
use crate::protocol::Waste;
use crate::thresholds::{
    CONTENDED_ONE_IN, LONG_WORK_GAS, MAX_CONFLICTING_WORKERS, MIN_MEASURED_TXS,
};
use core::ops::Range;

/// Chooses the strategies of one block.
#[derive(Debug)]
pub(in crate::evm) struct StrategyChooser {
    pub(in crate::evm) features: Features,
    progress: Progress,
    /// Segments so far that committed a transaction.
    segments: Vec<Segment>,
    /// Maximum number of workers that have run a segment.
    workers: usize,
    totals: Totals,
    /// Choice for the first segment, until the segment begins.
    first: Option<Choice>,
    /// Whether the block has a store with room for the writes of its transactions.
    pub(in crate::evm) has_store: bool,
}

/// Totals of a block so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct Totals {
    /// Work of the committed transactions.
    pub(in crate::evm) work: Work,
    /// Aborted runs.
    pub(in crate::evm) aborts: u64,
    /// Whether storage seems slow.
    pub(in crate::evm) is_slow: bool,
}

/// Summary of how a block has run.
#[derive(Debug)]
pub(in crate::evm) struct HasRun {
    pub(in crate::evm) segments: Vec<Segment>,
    /// Maximum number of workers that have run a segment.
    pub(in crate::evm) workers: usize,
    /// Whether all transactions ran sequentially on the calling thread.
    pub(in crate::evm) is_sequential: bool,
}

impl StrategyChooser {
    pub(in crate::evm) fn new(features: Features) -> Self {
        // On slow storage speculation never falls back to sequential, because speculative runs
        // fetch values for later runs.
        let progress = Progress::new(features.policy, !features.setting.is_wide);
        let segments = Vec::new();
        Self {
            features,
            progress,
            segments,
            workers: 1,
            totals: Totals::default(),
            first: None,
            has_store: false,
        }
    }

    /// Chooses how the first transactions of `block` run.
    pub(in crate::evm) fn choose_first(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
    ) -> Choice {
        let first = self.choose(feedback, block, 0);
        *self.first.insert(first)
    }

    /// Chooses how the transactions of `block` from `first` on run next.
    pub(in crate::evm) fn choose(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        first: usize,
    ) -> Choice {
        let remaining = Remaining { all: &block.transactions, first };
        let choice = self.first.take();
        choice.unwrap_or_else(|| {
            choose(&self.features, feedback.as_deref(), &self.progress, remaining)
        })
    }

    /// Returns how the block has run.
    pub(in crate::evm) fn end(self) -> HasRun {
        let is_sequential = |segment: &Segment| segment.strategy == Strategy::Sequential;
        // If no segment committed, the features decide.
        let is_known = !self.segments.is_empty() || self.features.sequential_reason().is_some();
        let is_sequential = is_known && self.segments.iter().all(is_sequential);
        HasRun { segments: self.segments, workers: self.workers, is_sequential }
    }

    /// Transactions of the segment from `first` on that start before their turn.
    pub(in crate::evm) fn longest(
        &self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        first: usize,
        choice: &Choice,
    ) -> Vec<TxIndex> {
        let feedback = feedback.filter(|_| self.learns() && !self.features.setting.is_wide);
        feedback.map(|it| it.longest.of(block, first..choice.end)).unwrap_or_default()
    }

    /// Evaluates the transactions of `segment`, after which the block has these `totals`. On slow
    /// storage no transaction counts as cheap: speculative runs fetch values for later runs.
    fn evaluate(
        &mut self,
        block: &Block,
        segment: Range<usize>,
        strategy: Strategy,
        totals: Totals,
    ) -> SegmentFindings {
        let transactions = segment.len();
        let before = core::mem::replace(&mut self.totals, totals);
        let Setting { workers, is_wide, .. } = self.features.setting;
        let aborts = totals.aborts.saturating_sub(before.aborts);
        let work = totals.work.minus(before.work);
        // The alternative to a sequential segment is speculation.
        let is_shared = matches!(strategy, Strategy::Speculative | Strategy::Sequential);
        let work = if is_shared { work } else { work.in_batches() };
        let is_slow = is_wide || totals.is_slow;
        // Fewer transactions are not conclusive.
        let is_cheap = transactions >= MIN_MEASURED_TXS
            && is_cheap(transactions, work, workers.min(MAX_CONFLICTING_WORKERS));
        let is_access = work.units >= LONG_WORK_GAS && is_mostly_access(work, workers);
        let is_cheap = !is_slow && (is_cheap || is_access);
        SegmentFindings {
            cheap_following: if is_cheap { count_cheap_following(block, segment) } else { 0 },
            is_contended: aborts.saturating_mul(CONTENDED_ONE_IN) > transactions as u64,
        }
    }

    /// Whether feedback from earlier blocks is used, and this block adds to it.
    const fn learns(&self) -> bool {
        self.features.learns && matches!(self.features.policy, Policy::Auto)
    }

    /// Learns from a segment, after which the block has these `totals`.
    pub(in crate::evm) fn learn(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        choice: &Choice,
        outcome: SegmentOutcome,
        mut long_runs: LongRuns,
        totals: Totals,
    ) {
        let is_needed =
            self.features.has_choice() || matches!(self.features.policy, Policy::Forced(_));
        let found = if is_needed {
            self.evaluate(block, outcome.first..outcome.next, choice.strategy, totals)
        } else {
            SegmentFindings::default()
        };
        self.progress.learn(self.features.policy, choice, &outcome, found);
        if choice.strategy != Strategy::Sequential {
            self.workers = self.workers.max(choice.workers);
        }
        if let Some(feedback) = feedback.filter(|_| self.learns()) {
            if outcome.has_failed {
                long_runs.started_early.clear();
            }
            feedback.learn(&SegmentFeedback {
                block,
                choice,
                outcome,
                least: Waste::on(choice.workers).commits as usize,
                may_fall_back: !self.features.setting.is_wide,
                long_runs: &long_runs,
            });
        }
        let to_u32 = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let first = to_u32(outcome.first);
        let end = to_u32(outcome.next);
        let Choice { strategy, reason, .. } = *choice;
        match self.segments.last_mut() {
            _ if first == end => {}
            Some(last) if (last.strategy, last.reason) == (strategy, reason) => last.end = end,
            _ => self.segments.push(Segment { first, end, strategy, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::ListUse;
    use super::super::strategy::Reason;
    use super::*;
    use crate::config::Config;
    use crate::evm::exec::payees::Payees;
    use alloy_primitives::{Address, TxKind};
    use revm::context::TxEnv;
    use std::num::NonZeroU16;

    /// Calls of one contract. The first 600 have a small gas limit, the others a large one.
    fn block() -> Block {
        let call = |number: u64| TxEnv {
            caller: Address::left_padding_from(&(number + 1_000).to_be_bytes()),
            kind: TxKind::Call(Address::repeat_byte(0xcc)),
            data: vec![7; 36].into(),
            gas_limit: if number < 600 { 60_000 } else { 6_000_000 },
            ..TxEnv::default()
        };
        Block { transactions: (0..900).map(call).collect(), ..Block::default() }
    }

    /// The choice after the first 128 calls, which have these `totals`: strategy, reason and end.
    fn after_trial(totals: Totals) -> (Strategy, Reason, usize) {
        let block = block();
        let setting = Setting {
            workers: 2,
            is_wide: false,
            shares_journals: true,
            list: ListUse::Nothing,
            is_pool: false,
        };
        let config = Config::with_workers(NonZeroU16::MIN);
        let features = Features::of(&block, Payees::NONE, &config, setting);
        let mut chooser = StrategyChooser::new(features);
        let trial = chooser.choose(None, &block, 0);
        assert_eq!((trial.strategy, trial.end), (Strategy::Speculative, 128));
        let outcome =
            SegmentOutcome { first: 0, next: 128, all: 900, fell_back: false, has_failed: false };
        chooser.learn(None, &block, &trial, outcome, LongRuns::default(), totals);
        let Choice { strategy, reason, end, .. } = chooser.choose(None, &block, 128);
        (strategy, reason, end)
    }

    #[test]
    fn what_was_cheap_runs_in_order_as_far_as_others_look_like_it() {
        let totals = |each: u64| {
            let work = Work { units: each * 128, accesses: 0 };
            Totals { work, ..Totals::default() }
        };
        let cheap = (Strategy::Sequential, Reason::ShortTransactions);
        // 472 calls with the same gas limit and 15 with a hundred times that: sixteen times the gas
        // of the 128.
        let (strategy, reason, end) = after_trial(totals(9_000));
        assert_eq!((strategy, reason, end), (cheap.0, cheap.1, 615));
        let shared = (Strategy::Speculative, Reason::Default, 900);
        assert_eq!(after_trial(totals(30_000)), shared);
        // On slow storage, speculative runs fetch values for later runs.
        assert_eq!(after_trial(Totals { is_slow: true, ..totals(9_000) }), shared);
    }
}
