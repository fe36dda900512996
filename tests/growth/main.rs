//! Twice as much of anything takes at most 2.3 times the work, in every strategy.
//!
//! Work is the amount of allocation, which is nearly equal in each run. Work without allocation
//! shows in processor time, which includes the noise of other programs and of polling threads: the
//! limit there is 3, and 4 would be quadratic. Both are counted for the whole process, so these
//! tests are a separate program and run in turn.

mod measured;
mod scenes;

use braid_evm::{
    BlockErrorKind, CancellationToken, Cloned, Config, Executor, Forced, Mode, Outcome, Policy,
    Rejection, TransactionPool, TxIndex,
};
use core::num::NonZeroU16;
use core::ops::ControlFlow;
use measured::{Work, measure};
use revm::context::TxEnv;
use revm::inspector::NoOpInspector;
use scenes::{Growing, LEAST};
use std::sync::Arc;
use std::sync::Mutex;

/// Maximum ratios for a doubling: of allocation and of processor time.
const MOST: (f64, f64) = (2.3, 3.0);

/// Numbers of workers, with policies.
const STRATEGIES: [(u16, Policy); 6] = [
    (1, Policy::Sequential),
    (2, Policy::Sequential),
    (2, Policy::Auto),
    (2, Policy::Forced(Forced::Speculative)),
    (2, Policy::Forced(Forced::Alternate)),
    (2, Policy::Forced(Forced::ContiguousBatches)),
];
/// Same, for dependent transactions: how many runs abort on two workers is random.
const CONTENDED: [(u16, Policy); 6] = [
    (1, Policy::Sequential),
    (2, Policy::Sequential),
    (2, Policy::Auto),
    (1, Policy::Forced(Forced::Speculative)),
    (1, Policy::Forced(Forced::Alternate)),
    (2, Policy::Forced(Forced::ContiguousBatches)),
];
/// Only speculative runs are published again.
const SPECULATIVE: [(u16, Policy); 1] = [(2, Policy::Forced(Forced::Speculative))];
const LISTED: [(u16, Policy); 2] = [(1, Policy::Auto), (2, Policy::Forced(Forced::AccessList))];

static TURN: Mutex<()> = Mutex::new(());

fn executor((workers, policy): (u16, Policy), mode: Mode) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("not 0"));
    (config.policy, config.engine.mode, config.learn) = (policy, mode, false);
    config.io_workers = Some(config.workers);
    Executor::new(config).expect("threads start")
}

/// Operation on a block.
type Run = fn(&mut Executor, &Growing);

fn execute(executor: &mut Executor, scene: &Growing) {
    execute_in_segments(executor, scene);
}

/// Executes the block of `scene`; returns the number of its segments.
fn execute_in_segments(executor: &mut Executor, scene: &Growing) -> usize {
    let request = executor.block(Arc::clone(&scene.block)).database(scene.database.clone());
    let output = request.execute().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(output.outcomes.len(), scene.block.transactions.len());
    output.segments.len()
}

/// Fails if the work of `run` on blocks of `scene` grows too fast.
fn grows(
    name: &str,
    mode: Mode,
    strategies: &[(u16, Policy)],
    scene: fn(u64) -> Growing,
    run: Run,
) {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let scenes = [LEAST, 2 * LEAST, 4 * LEAST].map(scene);
    for strategy in strategies {
        let (mut least, mut small) = ([Work::MOST; 3], Work::NONE);
        // Other load on the machine can only add to the time.
        let is_slow = (0..6).all(|_| {
            let works = [0, 1, 2].map(|size| {
                let mut executor = executor(*strategy, mode);
                measure(|| run(&mut executor, &scenes[size]))
            });
            small = small.most(works[0]);
            for (least, work) in least.iter_mut().zip(works) {
                *least = least.least(work);
            }
            least[2].exceeds(small, (MOST.0 * MOST.0, MOST.1 * MOST.1))
        });
        println!("{name}, {strategy:?}: {least:?}");
        assert!(!is_slow, "{name}, {strategy:?}: {least:?}");
    }
}

#[test]
fn payments() {
    grows("payments", Mode::Validate, &STRATEGIES, scenes::payments, execute);
}

#[test]
fn rejected_transactions() {
    grows("rejected", Mode::Build, &STRATEGIES, scenes::rejected, execute);
}

#[test]
fn transactions_without_room() {
    grows("without room", Mode::Build, &STRATEGIES, scenes::without_room, execute);
}

/// Hands out transactions in order.
struct Waiting(std::vec::IntoIter<TxEnv>);

impl TransactionPool for Waiting {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.next()
    }

    fn skipped(&mut self, _: &TxEnv, _: &Rejection) {}
}

#[test]
fn skipped_transactions_of_a_pool() {
    grows("skipped", Mode::Build, &STRATEGIES, scenes::rejected, |executor, scene| {
        let mut block = (*scene.block).clone();
        let transactions = core::mem::take(&mut block.transactions);
        let (all, mut pool) = (transactions.len(), Waiting(transactions.into_iter()));
        let request = executor.block(block).database(scene.database.clone());
        let built = request.build(&mut pool).unwrap_or_else(|error| panic!("{error}"));
        let outcomes = built.output.outcomes;
        let skipped = outcomes.iter().filter(|it| matches!(it, Outcome::Skipped(_))).count();
        assert_eq!((outcomes.len(), skipped), (all, all / 2));
    });
}

#[test]
fn credited_accounts() {
    grows("credited", Mode::Validate, &CONTENDED, scenes::credited, execute);
}

#[test]
fn created_contracts() {
    grows("created", Mode::Validate, &STRATEGIES, scenes::created, execute);
}

#[test]
fn destroyed_contracts() {
    grows("destroyed", Mode::Validate, &STRATEGIES, scenes::destroyed, execute);
}

#[test]
fn authorised_transactions() {
    grows("authorised", Mode::Validate, &STRATEGIES, scenes::authorised, execute);
}

#[test]
fn log_topics() {
    grows("log topics", Mode::Validate, &STRATEGIES, scenes::log_topics, execute);
}

#[test]
fn calls_of_one_counter() {
    grows("counter", Mode::Validate, &CONTENDED, scenes::counter, execute);
}

#[test]
fn access_list_entries() {
    grows("access-list entries", Mode::Validate, &STRATEGIES, scenes::access_list_entries, execute);
}

#[test]
fn a_write_set_that_is_published_again() {
    grows("republished", Mode::Validate, &SPECULATIVE, scenes::republished, |executor, scene| {
        let request = executor.block(Arc::clone(&scene.block)).database(scene.database.clone());
        let output = request.execute().unwrap_or_else(|error| panic!("{error}"));
        assert!(output.stats.incarnations > 2, "nothing was published again: {:?}", output.stats);
    });
}

#[test]
fn withdrawals() {
    grows("withdrawals", Mode::Validate, &STRATEGIES, scenes::withdrawals, execute);
}

#[test]
fn ommers() {
    grows("ommers", Mode::Validate, &STRATEGIES, scenes::ommers, execute);
}

#[test]
fn requests() {
    grows("requests", Mode::Validate, &STRATEGIES, scenes::requests, execute);
}

#[test]
fn deposits() {
    grows("deposits", Mode::Validate, &STRATEGIES, scenes::deposits, |executor, scene| {
        let request = executor.block(Arc::clone(&scene.block)).database(scene.database.clone());
        let output = request.execute().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.requests[0].len(), 1 + 192 * scene.block.transactions.len());
    });
}

#[test]
fn listed_transactions() {
    grows("listed", Mode::Validate, &LISTED, scenes::listed, execute);
}

#[test]
fn cancelled_transactions() {
    grows("cancelled", Mode::Validate, &STRATEGIES, scenes::payments, |executor, scene| {
        let (token, all) = (CancellationToken::new(), scene.block.transactions.len());
        let last = scene.block.transactions[all - 1].caller;
        let database = scene.cancelling(last, token.clone());
        let request = executor.block(Arc::clone(&scene.block)).database(database);
        match request.cancel(token).execute() {
            Ok(output) => assert_eq!(output.outcomes.len(), all),
            Err(error) => assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}"),
        }
    });
}

#[test]
fn streamed_transactions() {
    grows("streamed", Mode::Validate, &STRATEGIES, scenes::payments, |executor, scene| {
        let request = executor.block(Arc::clone(&scene.block)).database(scene.database.clone());
        let mut heard = 0;
        let request = request.on_commit(|_| {
            heard += 1;
            ControlFlow::Continue(())
        });
        let output = request.execute().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.outcomes.len(), heard);
    });
}

#[test]
fn replayed_transactions() {
    grows("replayed", Mode::Validate, &STRATEGIES, scenes::payments, |executor, scene| {
        let mut config = *executor.config();
        config.keep_changes = true;
        let mut executor = Executor::new(config).expect("threads start");
        let request = executor.block(Arc::clone(&scene.block)).database(scene.database.clone());
        let output = request.execute().unwrap_or_else(|error| panic!("{error}"));
        let mut replays = output.replays(Cloned(scene.database.clone())).expect("it was kept");
        let mut replayed = 0;
        while let Some(again) = replays.replay_next(NoOpInspector) {
            let again = again.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again.tx, TxIndex(replayed));
            replayed += 1;
        }
        assert_eq!(replayed as usize, scene.block.transactions.len());
    });
}

/// After the second block of a size, an executor's memory is that of the block before: no run
/// allocates more than the runs before it, and the executor keeps nothing more.
#[test]
fn memory_of_later_blocks_is_that_of_earlier_ones() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let scene = scenes::payments(LEAST);
    for strategy in STRATEGIES {
        let mut executor = executor(strategy, Mode::Validate);
        // If strategies alternate, the schedule decides how many segments there are.
        let alternates = strategy.1 == Policy::Forced(Forced::Alternate);
        let run = |executor: &mut Executor| {
            let mut segments = 0;
            let work = measure(|| segments = execute_in_segments(executor, &scene));
            if alternates { work.per(segments) } else { work }
        };
        let runs = |runs: usize, executor: &mut Executor| {
            (0..runs).map(|_| run(executor)).fold(Work::MOST, Work::least)
        };
        runs(2, &mut executor);
        let early = (0..3).map(|_| run(&mut executor)).fold(Work::NONE, Work::most);
        let mut late = Work::MOST;
        // A worker that is preempted may drop its part of a block late: that is no growth.
        let kept = (0..3).map(|_| measure(|| late = runs(8, &mut executor)).kept()).min();
        let kept = kept.expect("some runs");
        println!("{strategy:?}: {early:?}, {late:?}, {kept} bytes kept");
        assert!(!late.exceeds(early, (1.1, 1e3)), "{strategy:?}: {early:?}, {late:?}");
        assert!(kept < 16_384, "{strategy:?}: eight blocks leave {kept} bytes");
    }
}
