//! Choice of the strategy for the next transactions of a block.

use super::choice::{Choice, Remaining, Tried};
use super::features::{Features, ListUse};
use super::feedback::Feedback;
use super::progress::Progress;
use super::strategy::{Reason, Strategy};
use super::trials::Trials;
use crate::config::{Forced, Policy};
use crate::thresholds::{
    LARGE_BLOCK_TXS, MAX_CONFLICTING_WORKERS, SEQUENTIAL_WORKERS, SHORTEST_PREDICTED_TRIAL,
};

/// Minimum number of transactions of a forced batch.
const FORCED_BATCH: usize = 2;

/// Number of transactions per worker that run in forced batches before a sequential segment.
const FORCED_PER_WORKER: usize = 8;

/// Chooses the strategy for the next transactions. `feedback`: `None` if the executor does not
/// outlive the block.
pub(in crate::evm) fn choose(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    remaining: Remaining<'_>,
) -> Choice {
    let choice = choose_strategy(features, feedback, progress, remaining);
    let transactions = choice.end.saturating_sub(remaining.first);
    let most = match choice.strategy {
        // One worker folds changes; a second one helps if the first is preempted.
        Strategy::Sequential => SEQUENTIAL_WORKERS,
        // On slow storage, speculative runs fetch values for later runs.
        _ if features.setting.is_wide => features.setting.workers,
        Strategy::Speculative => MAX_CONFLICTING_WORKERS,
        Strategy::ContiguousBatches | Strategy::AccessList => {
            transactions.div_ceil(choice.shortest.max(1))
        }
    };
    Choice { workers: features.setting.workers.min(most), ..choice }
}

fn choose_strategy(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    remaining: Remaining<'_>,
) -> Choice {
    if let Some((length, reason)) = progress.next_sequential {
        let runs_to_end = length >= remaining.count() || features.sequential_reason().is_some();
        if reason == Reason::ShortTransactions && runs_to_end {
            return remaining.sequential(reason);
        }
        return remaining.up_to(length, remaining.choice(Strategy::Sequential, reason));
    }
    let reads_list = features.setting.list == ListUse::Read;
    let by_policy = |strategy| remaining.choice(strategy, Reason::Policy);
    match features.policy {
        Policy::Auto => by_features(features, feedback, progress, remaining),
        Policy::Sequential => remaining.sequential(Reason::Policy),
        Policy::Forced(Forced::Speculative) => by_policy(Strategy::Speculative),
        Policy::Forced(Forced::Alternate) => {
            remaining.up_to(progress.trials.length(), by_policy(Strategy::Speculative))
        }
        Policy::Forced(Forced::ContiguousBatches) => {
            let choice =
                Choice { shortest: FORCED_BATCH, ..by_policy(Strategy::ContiguousBatches) };
            remaining.up_to(FORCED_PER_WORKER * features.setting.workers, choice)
        }
        Policy::Forced(Forced::AccessList) if reads_list => {
            Choice { shortest: FORCED_BATCH, ..by_policy(Strategy::AccessList) }
        }
        Policy::Forced(Forced::AccessList) => by_policy(Strategy::Sequential),
    }
}

fn by_features(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    remaining: Remaining<'_>,
) -> Choice {
    let sequential = features.sequential_reason();
    if features.reads_list() {
        let choice = remaining.choice(Strategy::AccessList, Reason::AccessList);
        // Batches of one transaction are 1.12, 1.13 and 1.18 times as fast as batches of four on 2,
        // 8 and 16 cores.
        return Choice { shortest: 1, ..choice };
    }
    // The declared accesses are certain, so no other strategy can do better.
    if sequential == Some(Reason::OneChain) {
        return remaining.sequential(Reason::OneChain);
    }
    let knows_chain = || {
        let uses_feedback = features.learns && !features.setting.is_wide;
        feedback
            .filter(|_| uses_feedback)
            .is_some_and(|it| it.calls.expects_chain(remaining.transactions()))
    };
    let is_first = remaining.first == 0 && !features.setting.is_pool;
    if is_first && sequential.is_none() && knows_chain() {
        return remaining.sequential(Reason::LearnedConflicts);
    }
    let mut skipped = Tried::default();
    if let (false, Some(reason)) = (progress.tried.contiguous, features.contiguous) {
        // Without feedback an executor cannot remember that batches conflicted, so it tries them
        // only in large blocks, where they gain most.
        let tries = match feedback {
            Some(feedback) => !features.learns || feedback.tries_contiguous(),
            None => features.transactions >= LARGE_BLOCK_TXS,
        };
        if tries {
            let choice = remaining.choice(Strategy::ContiguousBatches, reason);
            return Choice { shortest: features.first_batch, ..choice };
        }
        skipped.contiguous = true;
    }
    if may_predict(features, feedback, progress, remaining) {
        // Without feedback an executor cannot remember that predictions did not pay.
        if feedback.is_some_and(|it| !features.learns || it.tries_predictions()) {
            return Choice { skipped, ..speculative(progress, remaining, Reason::Contended) };
        }
        skipped.predictions = true;
    }
    let choice = match sequential {
        Some(reason) => remaining.sequential(reason),
        None if remaining.first > 0 && knows_chain() => {
            remaining.choice(Strategy::Sequential, Reason::LearnedConflicts)
        }
        None if features.setting.is_wide => speculative(progress, remaining, Reason::SlowStorage),
        None => speculative(progress, remaining, Reason::Default),
    };
    Choice { skipped, ..choice }
}

/// Chooses speculation, in trials while enough transactions are left. A trial of predicted
/// dependencies is long enough to span several chains.
fn speculative(progress: &Progress, remaining: Remaining<'_>, reason: Reason) -> Choice {
    let choice = remaining.choice(Strategy::Speculative, reason);
    let is_long = Trials::is_worthwhile(remaining.count());
    let trial = progress.trials.length();
    let trial =
        if reason == Reason::Contended { trial.max(SHORTEST_PREDICTED_TRIAL) } else { trial };
    remaining.up_to(if is_long { trial } else { remaining.count() }, choice)
}

/// Whether predicted dependencies may help: they have paid in this block, transactions of this
/// block have conflicted, or predictions paid in the last block that tried them.
fn may_predict(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    remaining: Remaining<'_>,
) -> bool {
    let have_paid = features.learns && feedback.is_some_and(Feedback::predictions_have_paid);
    let is_long_enough =
        Trials::is_worthwhile(remaining.count()) && !Features::are_cheap(features.mean_gas, 1);
    let begins = is_long_enough && (have_paid || progress.is_contended);
    let is_promising = progress.predictions_pay || begins;
    is_promising && !progress.tried.predictions && features.may_batch()
}

#[cfg(test)]
mod tests {
    use super::super::features::Setting;
    use super::super::feedback::SegmentFeedback;
    use super::super::progress::{SegmentFindings, SegmentOutcome};
    use super::*;
    use crate::config::Config;
    use crate::evm::exec::input::Block;
    use crate::evm::exec::payees::Payees;
    use alloy_primitives::{Address, TxKind, U256};
    use revm::context::TxEnv;
    use std::num::NonZeroU16;

    const TWO: Setting = Setting {
        workers: 2,
        is_wide: false,
        shares_journals: true,
        list: ListUse::Nothing,
        is_pool: false,
    };

    fn address(number: usize) -> Address {
        Address::left_padding_from(&(number as u64 + 1).to_be_bytes())
    }

    /// Calls of one contract with this gas limit, each by a different sender.
    fn calls(count: usize, gas_limit: u64, argument: impl Fn(usize) -> usize) -> Block {
        let call = |number: usize| TxEnv {
            caller: address(1_000 + number),
            kind: TxKind::Call(address(0)),
            data: [&[7; 4], address(argument(number)).into_word().as_slice()].concat().into(),
            gas_limit,
            ..TxEnv::default()
        };
        Block { transactions: (0..count).map(call).collect(), ..Block::default() }
    }

    /// Payments, each between two accounts that no other payment uses.
    fn payments(count: usize) -> Block {
        let pay = |number: usize| TxEnv {
            caller: address(2 * number),
            kind: TxKind::Call(address(2 * number + 1)),
            value: U256::ONE,
            gas_limit: 21_000,
            ..TxEnv::default()
        };
        Block { transactions: (0..count).map(pay).collect(), ..Block::default() }
    }

    fn features(block: &Block, policy: Policy, setting: Setting) -> Features {
        let config = Config { policy, ..Config::with_workers(NonZeroU16::MIN) };
        Features::of(block, Payees::NONE, &config, setting)
    }

    /// The first choice for `block` of an executor that has executed no block yet.
    fn first(block: &Block, policy: Policy, setting: Setting) -> (Strategy, Reason) {
        let features = features(block, policy, setting);
        let progress = Progress::new(policy, true);
        let remaining = Remaining { all: &block.transactions, first: 0 };
        let choice = choose(&features, Some(&Feedback::default()), &progress, remaining);
        (choice.strategy, choice.reason)
    }

    #[test]
    fn a_block_gets_its_strategy_for_a_reason() {
        let auto = |block: &Block, setting| first(block, Policy::Auto, setting);
        let each = |number: usize| number;
        let hundred = |gas| calls(100, gas, |_| 0);
        let listed = |list| Setting { list, ..TWO };
        let sequential = Strategy::Sequential;
        let speculative = Strategy::Speculative;
        let one = Setting { workers: 1, ..TWO };
        let pool = Setting { is_pool: true, ..TWO };
        let wide = Setting { is_wide: true, ..TWO };
        let alone = Setting { shares_journals: false, ..TWO };
        for (block, setting, strategy, reason) in [
            (payments(2_000), one, sequential, Reason::OneWorker),
            (payments(90), TWO, sequential, Reason::TooLittleGas),
            (payments(2_000), TWO, Strategy::ContiguousBatches, Reason::DisjointStart),
            (payments(900), TWO, Strategy::ContiguousBatches, Reason::Independent),
            (payments(2_000), alone, sequential, Reason::ShortTransactions),
            (payments(2_000), wide, speculative, Reason::SlowStorage),
            (payments(2_000), pool, speculative, Reason::Default),
            (calls(300, 90_000, each), TWO, Strategy::ContiguousBatches, Reason::Independent),
            (calls(300, 90_000, |_| 0), TWO, speculative, Reason::Default),
            (hundred(90_000), TWO, speculative, Reason::Default),
            (hundred(90_000), listed(ListUse::Read), Strategy::AccessList, Reason::AccessList),
            (hundred(90_000), listed(ListUse::Compared), sequential, Reason::AccessList),
            (hundred(19_000), listed(ListUse::Read), sequential, Reason::TooLittleGas),
            // Each transaction reads the beneficiary's balance after the previous one, so batches
            // conflict.
            (calls(300, 90_000, each), listed(ListUse::Compared), sequential, Reason::AccessList),
        ] {
            let found = auto(&block, setting);
            assert_eq!(found, (strategy, reason), "{} of {setting:?}", block.transactions.len());
        }
    }

    #[test]
    fn a_policy_is_obeyed() {
        let block = calls(100, 90_000, |_| 0);
        for (policy, strategy) in [
            (Policy::Sequential, Strategy::Sequential),
            (Policy::Forced(Forced::Speculative), Strategy::Speculative),
            (Policy::Forced(Forced::Alternate), Strategy::Speculative),
            (Policy::Forced(Forced::ContiguousBatches), Strategy::ContiguousBatches),
            (Policy::Forced(Forced::AccessList), Strategy::Sequential),
        ] {
            assert_eq!(first(&block, policy, TWO), (strategy, Reason::Policy));
        }
        let listed = Setting { list: ListUse::Read, ..TWO };
        let expected = (Strategy::AccessList, Reason::Policy);
        assert_eq!(first(&block, Policy::Forced(Forced::AccessList), listed), expected);
    }

    #[test]
    fn no_worker_is_woken_that_is_of_no_use() {
        let many = Setting { workers: 16, ..TWO };
        let workers = |block: &Block, setting| {
            let features = features(block, Policy::Auto, setting);
            let remaining = Remaining { all: &block.transactions, first: 0 };
            let progress = Progress::new(Policy::Auto, true);
            choose(&features, Some(&Feedback::default()), &progress, remaining).workers
        };
        let listed = Setting { list: ListUse::Read, ..many };
        let compared = Setting { list: ListUse::Compared, ..many };
        let wide = Setting { is_wide: true, ..many };
        let calls = |count| calls(count, 900_000, |_| 0);
        assert_eq!(workers(&payments(5_000), many), 16);
        assert_eq!([100, 300].map(|count| workers(&calls(count), many)), [8, 8]);
        assert_eq!([5, 300].map(|count| workers(&calls(count), listed)), [5, 16]);
        assert_eq!((workers(&calls(300), compared), workers(&calls(300), wide)), (3, 16));
    }

    /// Every strategy fails, and each is tried once.
    #[test]
    fn what_does_not_hold_is_tried_once() {
        let block = calls(1_200, 90_000, |number| number);
        let features = features(&block, Policy::Auto, TWO);
        let feedback = Feedback::default();
        let mut progress = Progress::new(Policy::Auto, true);
        let all = block.transactions.len();
        let mut at = 0;
        let mut path = Vec::new();
        while at < all {
            let remaining = Remaining { all: &block.transactions, first: at };
            let choice = choose(&features, Some(&feedback), &progress, remaining);
            path.push((choice.strategy, choice.reason, at));
            let sequential = choice.strategy == Strategy::Sequential;
            let next = if sequential { choice.end } else { at + 10 };
            let outcome =
                SegmentOutcome { first: at, next, all, fell_back: true, has_failed: false };
            let found = SegmentFindings { cheap_following: 0, is_contended: true };
            progress.learn(Policy::Auto, &choice, &outcome, found);
            at = next;
        }
        let speculative = Strategy::Speculative;
        let sequential = Strategy::Sequential;
        let expected = [
            (Strategy::ContiguousBatches, Reason::DisjointStart, 0),
            (speculative, Reason::Contended, 10),
            (sequential, Reason::Aborts, 20),
            (speculative, Reason::Default, 84),
            (sequential, Reason::Aborts, 94),
            (speculative, Reason::Default, 1_118),
            (sequential, Reason::Aborts, 1_128),
        ];
        assert_eq!(path, expected);
    }

    /// Transactions wait for predicted dependencies once many have aborted; if that has paid, from
    /// the start of the next block.
    #[test]
    fn predictions_follow_aborts_or_begin_where_they_have_paid() {
        let block = calls(600, 90_000, |_| 0);
        let features = features(&block, Policy::Auto, TWO);
        let mut feedback = Feedback::default();
        let mut progress = Progress::new(Policy::Auto, true);
        let all = block.transactions.len();
        let remaining = |first| Remaining { all: &block.transactions, first };
        let trial = choose(&features, Some(&feedback), &progress, remaining(0));
        assert_eq!((trial.strategy, trial.end), (Strategy::Speculative, 128));
        let outcome =
            SegmentOutcome { first: 0, next: 128, all, fell_back: false, has_failed: false };
        for (is_contended, reason) in [(false, Reason::Default), (true, Reason::Contended)] {
            let found = SegmentFindings { cheap_following: 0, is_contended };
            progress.learn(Policy::Auto, &trial, &outcome, found);
            let next = choose(&features, Some(&feedback), &progress, remaining(128));
            assert_eq!(
                (next.strategy, next.reason, next.end),
                (Strategy::Speculative, reason, 600)
            );
            // Predictions are not tried if few transactions remain.
            let short = choose(&features, Some(&feedback), &progress, remaining(400));
            assert_eq!((short.strategy, short.reason), (Strategy::Speculative, Reason::Default));
        }
        let choice = choose(&features, Some(&feedback), &progress, remaining(128));
        feedback.learn(&SegmentFeedback {
            block: &block,
            choice: &choice,
            outcome,
            least: 32,
            may_fall_back: true,
            long_runs: &Default::default(),
        });
        let progress = Progress::new(Policy::Auto, true);
        let first = choose(&features, Some(&feedback), &progress, remaining(0));
        let contended = (Strategy::Speculative, Reason::Contended);
        assert_eq!((first.strategy, first.reason, first.end), (contended.0, contended.1, 600));
        // After a trial that has paid, predictions are used up to the end of the block.
        let short = (Strategy::Sequential, Reason::ShortTransactions);
        let aborted = (Strategy::Sequential, Reason::Aborts);
        for (fell_back, cheap_following, expected) in
            [(false, 0, contended), (false, 50, short), (true, 0, aborted)]
        {
            let outcome = SegmentOutcome { first: 0, next: 400, all, fell_back, has_failed: false };
            let mut progress = Progress::new(Policy::Auto, true);
            progress.learn(
                Policy::Auto,
                &first,
                &outcome,
                SegmentFindings { cheap_following, is_contended: false },
            );
            let next = choose(&features, Some(&feedback), &progress, remaining(400));
            assert_eq!((next.strategy, next.reason), expected);
        }
    }

    /// An executor whose threads do not outlive the block remembers nothing, so it does not try
    /// strategies that may fail.
    #[test]
    fn what_is_not_remembered_is_not_tried() {
        let progress = Progress::new(Policy::Auto, true);
        for (block, expected) in [
            (payments(900), (Strategy::Sequential, Reason::ShortTransactions)),
            (payments(2_000), (Strategy::ContiguousBatches, Reason::DisjointStart)),
            (calls(300, 90_000, |_| 0), (Strategy::Speculative, Reason::Default)),
        ] {
            let features = features(&block, Policy::Auto, TWO);
            let remaining = Remaining { all: &block.transactions, first: 0 };
            let choice = choose(&features, None, &progress, remaining);
            assert_eq!((choice.strategy, choice.reason), expected);
        }
    }
}
