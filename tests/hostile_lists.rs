//! Random blocks with a wrong access list: every strategy gives the same error and the same prefix,
//! and never a result.
//!
//! `BRAID_SEED=n` replays one block and prints it; `BRAID_HOSTILE_LISTS=n` tries that many, from
//! that seed on or from 0.

use alloy_eip7928::bal::Bal;
use braid_evm::{
    Block, BlockError, BlockErrorKind, BlockOutput, BlockPosition, Config, Executor, Forced, Mode,
    Policy,
};
use braid_testkit::generate::Case;
use braid_testkit::spoil::{draws, spoil};
use std::num::NonZeroU16;
use std::sync::Arc;

const BLOCKS: u64 = 60;
/// Number of wrong lists for each block.
const LISTS: u64 = 4;
const WAYS: [(u16, Policy); 5] = [
    (1, Policy::Sequential),
    (2, Policy::Forced(Forced::Speculative)),
    (1, Policy::Forced(Forced::AccessList)),
    (2, Policy::Forced(Forced::AccessList)),
    (3, Policy::Forced(Forced::AccessList)),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn executor((workers, policy): (u16, Policy)) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.engine.mode, config.access_list) = (policy, Mode::Validate, true);
    Executor::new(config).expect("threads start")
}

/// End of a block: position, error text, whether the list caused it, and the output.
type Ended = (BlockPosition, String, bool, Box<BlockOutput>);

fn ended<E: core::fmt::Display>(
    found: Result<BlockOutput, BlockError<E>>,
) -> Result<Box<BlockOutput>, Ended> {
    found.map(Box::new).map_err(|error| {
        let is_list = matches!(error.kind, BlockErrorKind::AccessList(_));
        (error.at, error.kind.to_string(), is_list, error.committed)
    })
}

fn same(found: &BlockOutput, expected: &BlockOutput) -> bool {
    found.outcomes == expected.outcomes
        && found.receipts == expected.receipts
        && found.bundle == expected.bundle
        && found.access_list == expected.access_list
}

#[test]
fn a_wrong_list_never_changes_a_result() {
    let mut executors = WAYS.map(executor);
    let first = number("BRAID_SEED");
    let count = number("BRAID_HOSTILE_LISTS").unwrap_or(if first.is_some() { 1 } else { BLOCKS });
    let (mut wrong, mut late) = (0, 0);
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        let case = Case::from_seed(seed);
        let database = case.database();
        let Ok(right) = executors[0].block(case.block.clone()).database(database.clone()).execute()
        else {
            continue;
        };
        let list = right.access_list.clone().expect("it was asked for");
        for round in 0..LISTS {
            let mut spoiled = list.iter().cloned().collect();
            let draw = &mut draws(seed * LISTS + round);
            spoil(&mut spoiled, case.block.transactions.len(), draw);
            let is_right = spoiled == list.as_slice();
            let access_list = Some(Arc::new(Bal::new(spoiled)));
            let block = Arc::new(Block { access_list, ..case.block.clone() });
            if count == 1 {
                println!("{block:#?}");
            }
            let mut all = executors.iter_mut().map(|executor| {
                ended(executor.block(Arc::clone(&block)).database(database.clone()).execute())
            });
            let expected = all.next().expect("one way");
            match &expected {
                Ok(output) => assert!(is_right && same(output, &right), "BRAID_SEED={seed}"),
                Err((at, why, is_list, left)) => {
                    assert!(left.requests.is_empty(), "BRAID_SEED={seed}: the block has no end");
                    assert!(!is_right && *is_list, "BRAID_SEED={seed}: {at:?}: {why}");
                    wrong += 1;
                    late += u64::from(*at != BlockPosition::PreBlock);
                }
            }
            for (way, found) in WAYS.into_iter().skip(1).zip(all) {
                let is_same = match (&found, &expected) {
                    (Ok(found), Ok(expected)) => same(found, expected),
                    (Err(found), Err(expected)) => {
                        (found.0, &found.1) == (expected.0, &expected.1)
                            && same(&found.3, &expected.3)
                    }
                    _ => false,
                };
                assert!(is_same, "BRAID_SEED={seed}, list {round}, {way:?}: {found:#?}");
            }
        }
    }
    println!("{wrong} wrong lists, {late} of them found while the block ran");
    assert!(count < BLOCKS || late > wrong / 3, "{late} of {wrong}");
}
