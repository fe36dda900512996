//! Faults during the execution of hostile blocks in every strategy: databases that fail, are slow
//! or panic at a random read on any thread, a failing writer, and cancellation at a random time.
//! Every other stream has access lists, for which trie work reads the store during execution.
//!
//! 1. An error names its block and is the error of the store. A panic's payload is passed on; a
//!    panic of the writer becomes an error.
//! 2. The chain is unchanged: its head, its state, and nothing of the block is in the store.
//!    Durable blocks stay durable.
//! 3. Without the fault, the same block succeeds with the result of sequential execution, on the
//!    same chain, or after reopening it if the writer has ended.
//! 4. No run hangs.
//!
//! `BRAID_CHAIN_FAULT_RUNS` sets the number of runs; `BRAID_CHAIN_FAULT_SEED` selects a single one.

use crate::{
    ahead::lists,
    streams::{begun, config},
    support::{Kind, Seen, Stream, Subject, Trouble, Troubled, each_seed},
};
use braid_chain::ChainConfig;
use braid_evm::{AccessList, Executor, Forced, Policy};
use std::{collections::BTreeMap, env, sync::Arc};

const POLICIES: [Policy; 5] = [
    Policy::Auto,
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::Alternate),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Sequential,
];

/// Returns a configuration with one to four workers, one of the policies, and two blocks that can
/// be unwound.
pub(crate) fn random_config(seed: u64) -> ChainConfig {
    let mut config = config(1 + (seed / 7 % 4) as u16);
    config.executor.policy = POLICIES[(seed / 3) as usize % POLICIES.len()];
    config.keep.undo_blocks = 2;
    config
}

/// Returns the access lists of the blocks, for every other stream.
pub(crate) fn with_lists(seed: u64, stream: &Stream) -> Vec<Arc<AccessList>> {
    if seed.is_multiple_of(2) {
        Vec::new()
    } else {
        lists(stream).into_iter().map(Arc::new).collect()
    }
}

fn run(seed: u64) -> (Kind, Seen) {
    let stream = Stream::new(seed, 1 + seed % 4);
    let (config, trouble) = (random_config(seed), Trouble::new(seed));
    let kind = trouble.kind;
    let store = Troubled { inner: begun(&stream), trouble };
    let mut executor = Executor::new(config.executor).expect("threads");
    let lists = with_lists(seed, &stream);
    let (stream, executor, seen) = (&stream, &mut executor, Seen::default());
    let mut subject = Subject { stream, store, config, executor, lists: &lists, seen };
    subject.run();
    (kind, subject.seen)
}

/// Adds up the counts by kind.
fn add(sums: &mut BTreeMap<Kind, (u64, Seen)>, kind: Kind, seen: Seen) {
    let (runs, sum) = sums.entry(kind).or_default();
    *runs += 1;
    sum.blocks += seen.blocks;
    sum.refused += seen.refused;
    sum.writer += seen.writer;
    sum.panicked += seen.panicked;
    sum.cancelled += seen.cancelled;
    for (sum, seen) in sum.strategies.iter_mut().zip(seen.strategies) {
        *sum += seen;
    }
}

#[test]
fn a_block_that_failed_executes_on_the_same_chain() {
    let number = |name| env::var(name).ok().and_then(|it| it.parse().ok());
    let runs = number("BRAID_CHAIN_FAULT_RUNS").unwrap_or(1_000);
    let one = number("BRAID_CHAIN_FAULT_SEED");
    let seeds = one.map_or(0..runs, |seed| seed..seed + 1);
    let mut sums = BTreeMap::new();
    each_seed(seeds, run).into_iter().for_each(|(kind, seen)| add(&mut sums, kind, seen));
    for (kind, (runs, seen)) in &sums {
        println!("{kind:?}: {runs} runs, {seen:?}");
    }
    if one.is_none() && runs >= 1_000 {
        each_kind_was_seen(&sums);
    }
}

/// Asserts that each kind of fault occurred: without faults the checks prove nothing.
fn each_kind_was_seen(sums: &BTreeMap<Kind, (u64, Seen)>) {
    for kind in Kind::ALL {
        let (runs, seen) = sums[&kind];
        let Seen { refused, writer, panicked, cancelled, .. } = seen;
        let struck = match kind {
            Kind::ReadSlow | Kind::WriteSlow => {
                assert_eq!((refused, writer, panicked, cancelled), (0, 0, 0, 0), "{kind:?}");
                continue;
            }
            Kind::ReadFails => refused.min(writer),
            Kind::ReadPanics => panicked.min(writer),
            Kind::WriteFails | Kind::WriteFailsLate | Kind::WritePanics => writer,
            Kind::Cancelled => cancelled,
        };
        assert!(struck > 0, "{kind:?}: {runs} runs, {seen:?}");
    }
    let strategies = |index: usize| sums.values().map(|(_, seen)| seen.strategies[index]).sum();
    assert!([0, 1, 2].map(strategies).iter().all(|count: &u64| *count > 0), "{sums:?}");
}
