//! A block on its way: what it tells, what it has shown, and how it has run so far.

use super::choice::{Choice, Rest};
use super::choose::choose;
use super::features::{Features, Setting};
use super::feedback::{Feedback, StretchFeedback};
use super::longest::Seen;
use super::progress::{Found, Outcome, Progress, is_cheap};
use super::strategy::{Strategy, Stretch};
use super::thresholds::{CONTENDED_ONE_IN, WORKERS_THAT_MEET};
use crate::config::Policy;
use crate::evm::exec::input::Block;
use crate::ids::TxIndex;

/// What decides about one block.
#[derive(Debug)]
pub(in crate::evm) struct StrategyChooser {
    pub(in crate::evm) features: Features,
    progress: Progress,
    /// How it has run so far. What committed nothing is not there.
    path: Vec<Stretch>,
    /// The most workers that have run transactions together.
    workers: usize,
    totals: Totals,
    /// What was chosen for the first stretch, until that begins.
    first: Option<Choice>,
    /// Whether it has a store with room for what transactions leave.
    pub(in crate::evm) has_store: bool,
}

/// What a block has come to so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct Totals {
    /// Work of its committed transactions.
    pub(in crate::evm) work: u64,
    /// Runs that were discarded.
    pub(in crate::evm) discarded: u64,
}

/// How a block has run.
#[derive(Debug)]
pub(in crate::evm) struct HasRun {
    pub(in crate::evm) path: Vec<Stretch>,
    /// The most workers that have run transactions together.
    pub(in crate::evm) workers: usize,
    /// Whether the caller has run them all, in order.
    pub(in crate::evm) alone: bool,
}

impl StrategyChooser {
    pub(in crate::evm) fn new(features: Features) -> Self {
        // Where storage is slow speculation is never given up: what runs ahead reads for the
        // others.
        let progress = Progress::new(features.policy, !features.setting.is_wide);
        let path = Vec::new();
        Self {
            features,
            progress,
            path,
            workers: 1,
            totals: Totals::default(),
            first: None,
            has_store: false,
        }
    }

    /// How the first transactions of `block` will run.
    pub(in crate::evm) fn choose_first(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
    ) -> Choice {
        let first = self.choose(feedback, block, 0);
        *self.first.insert(first)
    }

    /// How the transactions of `block` from `first` on run next.
    pub(in crate::evm) fn choose(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        first: usize,
    ) -> Choice {
        let rest = Rest { all: &block.transactions, first };
        let choice = self.first.take();
        choice.unwrap_or_else(|| choose(&self.features, feedback.as_deref(), &self.progress, rest))
    }

    /// How the block has run.
    pub(in crate::evm) fn end(self) -> HasRun {
        let is_in_order = |stretch: &Stretch| stretch.strategy == Strategy::InOrder;
        let would = !self.path.is_empty() || self.features.runs_in_order().is_some();
        let alone = would && self.path.iter().all(is_in_order);
        HasRun { path: self.path, workers: self.workers, alone }
    }

    /// Transactions that begin before their turn in a stretch from `first` on.
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

    /// What the last `transactions` have turned out to be, with which the block has come to
    /// `totals`. Where storage is slow, what runs ahead reads for the others.
    fn find(&mut self, transactions: usize, totals: Totals) -> Found {
        let before = core::mem::replace(&mut self.totals, totals);
        let Setting { workers, is_wide, .. } = self.features.setting;
        let workers = workers.min(WORKERS_THAT_MEET);
        let discarded = totals.discarded.saturating_sub(before.discarded);
        let work = totals.work.saturating_sub(before.work);
        Found {
            is_cheap: !is_wide && is_cheap(transactions, work, workers),
            is_contended: discarded.saturating_mul(CONTENDED_ONE_IN) > transactions as u64,
        }
    }

    /// Whether what earlier blocks have shown counts, and this one will.
    const fn learns(&self) -> bool {
        self.features.learns && matches!(self.features.policy, Policy::Auto)
    }

    /// Learns from a stretch. `least`: commits with which speculation may be given up at all.
    pub(in crate::evm) fn learn(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        choice: &Choice,
        outcome: Outcome,
        (least, mut seen, totals): (u32, Seen, Totals),
    ) {
        let found = self.find(outcome.next.saturating_sub(outcome.first), totals);
        self.progress.learn(self.features.policy, choice, &outcome, found);
        if choice.strategy != Strategy::InOrder {
            self.workers = self.workers.max(choice.workers);
        }
        if let Some(feedback) = feedback.filter(|_| self.learns()) {
            if outcome.has_failed {
                seen.began.clear();
            }
            let (least, gives_up) = (least as usize, !self.features.setting.is_wide);
            feedback.learn(&StretchFeedback {
                block,
                choice,
                outcome,
                least,
                gives_up,
                seen: &seen,
            });
        }
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let (first, end) = (place(outcome.first), place(outcome.next));
        let Choice { strategy, reason, .. } = *choice;
        match self.path.last_mut() {
            _ if first == end => {}
            Some(last) if (last.strategy, last.reason) == (strategy, reason) => last.end = end,
            _ => self.path.push(Stretch { first, end, strategy, reason }),
        }
    }
}
