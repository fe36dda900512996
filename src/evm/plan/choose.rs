//! Choice of the strategy for the next transactions of a block.

use super::choice::{Choice, Rest, Tried};
use super::features::{Features, ListUse};
use super::feedback::Feedback;
use super::progress::Progress;
use super::strategy::{Reason, Strategy};
use super::trials::Trials;
use crate::config::{Forced, Policy};
use crate::thresholds::{
    LARGE_BLOCK_TXS, MAX_CONFLICTING_WORKERS, SEQUENTIAL_WORKERS, SHORTEST_PREDICTED_TRIAL,
};

/// Number of transactions of a forced batch, and number of transactions per worker that run in
/// forced batches before a sequential segment.
const FORCED: usize = 2;
const FORCED_TOGETHER: usize = 8;

/// Chooses the strategy for the next transactions. `feedback`: `None` if the executor does not
/// outlive the block.
pub(in crate::evm) fn choose(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    rest: Rest<'_>,
) -> Choice {
    let choice = choose_strategy(features, feedback, progress, rest);
    let transactions = choice.end.saturating_sub(rest.first);
    let most = match choice.strategy {
        // One worker folds, and a second one takes over if the first is preempted.
        Strategy::Sequential => SEQUENTIAL_WORKERS,
        // If storage is slow, speculative runs fetch values for the others.
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
    rest: Rest<'_>,
) -> Choice {
    if let Some((length, reason)) = progress.next_sequential {
        let is_rest = length >= rest.left() || features.sequential_reason().is_some();
        if reason == Reason::ShortTransactions && is_rest {
            return rest.sequential(reason);
        }
        return rest.up_to(length, rest.choice(Strategy::Sequential, reason));
    }
    let reads_list = features.setting.list == ListUse::Read;
    let by_policy = |strategy| rest.choice(strategy, Reason::Policy);
    match features.policy {
        Policy::Auto => by_features(features, feedback, progress, rest),
        Policy::Sequential => rest.sequential(Reason::Policy),
        Policy::Forced(Forced::Speculative) => by_policy(Strategy::Speculative),
        Policy::Forced(Forced::Alternate) => {
            rest.up_to(progress.trials.length(), by_policy(Strategy::Speculative))
        }
        Policy::Forced(Forced::ContiguousBatches) => {
            let choice = Choice { shortest: FORCED, ..by_policy(Strategy::ContiguousBatches) };
            rest.up_to(FORCED_TOGETHER * features.setting.workers, choice)
        }
        Policy::Forced(Forced::AccessList) if reads_list => {
            Choice { shortest: FORCED, ..by_policy(Strategy::AccessList) }
        }
        Policy::Forced(Forced::AccessList) => by_policy(Strategy::Sequential),
    }
}

fn by_features(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    rest: Rest<'_>,
) -> Choice {
    let sequential = features.sequential_reason();
    if features.reads_list() {
        let choice = rest.choice(Strategy::AccessList, Reason::AccessList);
        // Batches of one transaction are 1.12, 1.13 and 1.18 times as fast as batches of four on 2,
        // 8 and 16 cores.
        return Choice { shortest: 1, ..choice };
    }
    // Known for certain: no other strategy can do better.
    if sequential == Some(Reason::OneChain) {
        return rest.sequential(Reason::OneChain);
    }
    let knows_chain = || {
        let asked = features.learns && !features.setting.is_wide;
        feedback.filter(|_| asked).is_some_and(|it| it.calls.expects_chain(rest.transactions()))
    };
    let is_first = rest.first == 0 && !features.setting.is_pool;
    if is_first && sequential.is_none() && knows_chain() {
        return rest.sequential(Reason::LearnedConflicts);
    }
    let mut untried = Tried::default();
    if let (false, Some(reason)) = (progress.tried.contiguous, features.contiguous) {
        // Without feedback an executor cannot remember that batches conflicted: it tries them only
        // in large blocks, where there is most to gain.
        let tries = match feedback {
            Some(feedback) => !features.learns || feedback.tries_contiguous(),
            None => features.transactions >= LARGE_BLOCK_TXS,
        };
        if tries {
            let choice = rest.choice(Strategy::ContiguousBatches, reason);
            return Choice { shortest: features.first_batch, ..choice };
        }
        untried.contiguous = true;
    }
    if may_predict(features, feedback, progress, rest) {
        // Without feedback an executor cannot remember that predictions did not pay.
        if feedback.is_some_and(|it| !features.learns || it.tries_predictions()) {
            return Choice { untried, ..speculative(progress, rest, Reason::Contended) };
        }
        untried.predictions = true;
    }
    let choice = match sequential {
        Some(reason) => rest.sequential(reason),
        None if rest.first > 0 && knows_chain() => {
            rest.choice(Strategy::Sequential, Reason::LearnedConflicts)
        }
        None if features.setting.is_wide => speculative(progress, rest, Reason::SlowStorage),
        None => speculative(progress, rest, Reason::Default),
    };
    Choice { untried, ..choice }
}

/// Speculation, in trials as long as enough transactions are left. A trial of predicted
/// dependencies spans several chains of them, if there are several.
fn speculative(progress: &Progress, rest: Rest<'_>, reason: Reason) -> Choice {
    let choice = rest.choice(Strategy::Speculative, reason);
    let is_long = Trials::is_worthwhile(rest.left());
    let trial = progress.trials.length();
    let trial =
        if reason == Reason::Contended { trial.max(SHORTEST_PREDICTED_TRIAL) } else { trial };
    rest.up_to(if is_long { trial } else { rest.left() }, choice)
}

/// Whether predicted dependencies may help: they have paid in this block, transactions of this block
/// have conflicted, or predictions paid in the last block that tried them.
fn may_predict(
    features: &Features,
    feedback: Option<&Feedback>,
    progress: &Progress,
    rest: Rest<'_>,
) -> bool {
    let have_paid = features.learns && feedback.is_some_and(Feedback::predictions_have_paid);
    let is_enough =
        Trials::is_worthwhile(rest.left()) && !Features::are_cheap(features.mean_gas, 1);
    let begins = is_enough && (have_paid || progress.is_contended);
    let is_of_use = progress.predictions_pay || begins;
    is_of_use && !progress.tried.predictions && features.may_batch()
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

    /// First choice for `block` by an executor that has executed no block yet.
    fn first(block: &Block, policy: Policy, setting: Setting) -> (Strategy, Reason) {
        let features = features(block, policy, setting);
        let progress = Progress::new(policy, true);
        let rest = Rest { all: &block.transactions, first: 0 };
        let choice = choose(&features, Some(&Feedback::default()), &progress, rest);
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
            // Each transaction needs the fee that the previous one has paid, so every other batch
            // conflicts.
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
            let rest = Rest { all: &block.transactions, first: 0 };
            let progress = Progress::new(Policy::Auto, true);
            choose(&features, Some(&Feedback::default()), &progress, rest).workers
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

    /// Tries every strategy once, as each of them fails.
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
            let rest = Rest { all: &block.transactions, first: at };
            let choice = choose(&features, Some(&feedback), &progress, rest);
            path.push((choice.strategy, choice.reason, at));
            let sequential = choice.strategy == Strategy::Sequential;
            let next = if sequential { choice.end } else { at + 10 };
            let outcome =
                SegmentOutcome { first: at, next, all, fell_back: true, has_failed: false };
            let found = SegmentFindings { as_cheap: 0, is_contended: true };
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
        let rest = |first| Rest { all: &block.transactions, first };
        let trial = choose(&features, Some(&feedback), &progress, rest(0));
        assert_eq!((trial.strategy, trial.end), (Strategy::Speculative, 128));
        let outcome =
            SegmentOutcome { first: 0, next: 128, all, fell_back: false, has_failed: false };
        for (is_contended, reason) in [(false, Reason::Default), (true, Reason::Contended)] {
            let found = SegmentFindings { as_cheap: 0, is_contended };
            progress.learn(Policy::Auto, &trial, &outcome, found);
            let next = choose(&features, Some(&feedback), &progress, rest(128));
            assert_eq!(
                (next.strategy, next.reason, next.end),
                (Strategy::Speculative, reason, 600)
            );
            // Nothing is tried in the rest of a short block.
            let short = choose(&features, Some(&feedback), &progress, rest(400));
            assert_eq!((short.strategy, short.reason), (Strategy::Speculative, Reason::Default));
        }
        let choice = choose(&features, Some(&feedback), &progress, rest(128));
        feedback.learn(&SegmentFeedback {
            block: &block,
            choice: &choice,
            outcome,
            least: 32,
            may_fall_back: true,
            seen: &Default::default(),
        });
        let progress = Progress::new(Policy::Auto, true);
        let first = choose(&features, Some(&feedback), &progress, rest(0));
        let contended = (Strategy::Speculative, Reason::Contended);
        assert_eq!((first.strategy, first.reason, first.end), (contended.0, contended.1, 600));
        // After a trial, they go on up to the end if they have paid.
        let short = (Strategy::Sequential, Reason::ShortTransactions);
        let aborted = (Strategy::Sequential, Reason::Aborts);
        for (fell_back, as_cheap, expected) in
            [(false, 0, contended), (false, 50, short), (true, 0, aborted)]
        {
            let outcome = SegmentOutcome { first: 0, next: 400, all, fell_back, has_failed: false };
            let mut progress = Progress::new(Policy::Auto, true);
            progress.learn(
                Policy::Auto,
                &first,
                &outcome,
                SegmentFindings { as_cheap, is_contended: false },
            );
            let next = choose(&features, Some(&feedback), &progress, rest(400));
            assert_eq!((next.strategy, next.reason), expected);
        }
    }

    /// An executor whose threads do not outlive the block remembers nothing, and tries nothing that
    /// may fail.
    #[test]
    fn what_is_not_remembered_is_not_tried() {
        let progress = Progress::new(Policy::Auto, true);
        for (block, expected) in [
            (payments(900), (Strategy::Sequential, Reason::ShortTransactions)),
            (payments(2_000), (Strategy::ContiguousBatches, Reason::DisjointStart)),
            (calls(300, 90_000, |_| 0), (Strategy::Speculative, Reason::Default)),
        ] {
            let features = features(&block, Policy::Auto, TWO);
            let rest = Rest { all: &block.transactions, first: 0 };
            let choice = choose(&features, None, &progress, rest);
            assert_eq!((choice.strategy, choice.reason), expected);
        }
    }
}
