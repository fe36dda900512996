//! Random blocks that come with an access list in which something is wrong: every way of executing them gives the same
//! error and the same prefix, and never a result.
//!
//! `BRAID_SEED=n` replays one block and prints it; `BRAID_HOSTILE_LISTS=n` tries that many, from that seed on or from
//! 0.

use alloy_eip7928::bal::Bal;
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::{
    At, Block, BlockError, BlockErrorKind, BlockOutput, Config, Executor, Forced, Mode, Policy,
};
use braid_testkit::generate::Case;
use std::num::NonZeroU16;
use std::sync::Arc;

const BLOCKS: u64 = 60;
/// Wrong lists for each block.
const LISTS: u64 = 4;
const WAYS: [(u16, Policy); 5] = [
    (1, Policy::InOrder),
    (2, Policy::Forced(Forced::Speculative)),
    (1, Policy::Forced(Forced::AccessList)),
    (2, Policy::Forced(Forced::AccessList)),
    (3, Policy::Forced(Forced::AccessList)),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Numbers that follow from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    fn pick<'l, T>(&mut self, all: &'l mut [T]) -> Option<&'l mut T> {
        let place = self.below(all.len());
        all.get_mut(place)
    }

    fn remove<T>(&mut self, all: &mut Vec<T>) {
        if !all.is_empty() {
            all.remove(self.below(all.len()));
        }
    }
}

/// Does something to `list`, of a block with as many transactions.
fn spoil(list: &mut Vec<AccountChanges>, transactions: usize, draw: &mut Numbers) {
    let index = BlockAccessIndex::new(draw.below(transactions + 3) as u64);
    let (value, kind) = (U256::from(draw.below(4)), draw.below(16));
    let place = draw.below(list.len());
    match kind {
        0 => draw.remove(list),
        1 => list.truncate(place),
        2 => list.insert(place, AccountChanges::new(Address::repeat_byte(0x77))),
        3 if !list.is_empty() => list.swap(0, place),
        _ => {}
    }
    let Some(account) = draw.pick(list) else { return };
    match kind {
        4 => draw.remove(&mut account.storage_reads),
        5 => draw.remove(&mut account.storage_changes),
        6 => account.storage_reads.push(U256::MAX),
        7 => draw.remove(&mut account.balance_changes),
        8 => draw.remove(&mut account.nonce_changes),
        9 => draw.remove(&mut account.code_changes),
        10 => account.balance_changes.push(BalanceChange::new(index, value)),
        11 => account.nonce_changes.push(NonceChange::new(index, draw.below(3) as u64)),
        12 => {
            let code = [&[][..], &[0xef], &[0xef, 1, 0], &[0x5b; 30]][draw.below(4)];
            account.code_changes.push(CodeChange::new(index, Bytes::from(code)));
        }
        13 => {
            let changes = vec![StorageChange::new(index, value)];
            account.storage_changes.push(SlotChanges::new(U256::MAX, changes));
        }
        14 => {
            if let Some(slot) = draw.pick(&mut account.storage_changes) {
                slot.changes.push(StorageChange::new(index, value));
            }
        }
        15 => {
            if let Some(slot) = draw.pick(&mut account.storage_changes)
                && let Some(change) = draw.pick(&mut slot.changes)
            {
                change.new_value = value;
            }
        }
        _ => {
            if let Some(change) = draw.pick(&mut account.balance_changes) {
                change.post_balance = value;
            }
        }
    }
}

fn executor((workers, policy): (u16, Policy)) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.mode, config.access_list) = (policy, Mode::Validate, true);
    Executor::new(config).expect("threads start")
}

/// Where a block ended, why, in words, whether that is its list, and what it left.
type Ended = (At, String, bool, Box<BlockOutput>);

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
        let Ok(right) = executors[0].execute(case.block.clone(), database.clone()) else {
            continue;
        };
        let list = right.access_list.clone().expect("it was asked for");
        for round in 0..LISTS {
            let mut spoiled = list.iter().cloned().collect();
            let mut draw = Numbers(seed * LISTS + round);
            spoil(&mut spoiled, case.block.transactions.len(), &mut draw);
            let is_right = spoiled == list.as_slice();
            let access_list = Some(Arc::new(Bal::new(spoiled)));
            let block = Arc::new(Block { access_list, ..case.block.clone() });
            if count == 1 {
                println!("{block:#?}");
            }
            let mut all = executors
                .iter_mut()
                .map(|executor| ended(executor.execute(Arc::clone(&block), database.clone())));
            let expected = all.next().expect("one way");
            match &expected {
                Ok(output) => assert!(is_right && same(output, &right), "BRAID_SEED={seed}"),
                Err((at, why, is_list, left)) => {
                    assert!(left.requests.is_empty(), "BRAID_SEED={seed}: the block has no end");
                    assert!(!is_right && *is_list, "BRAID_SEED={seed}: {at:?}: {why}");
                    wrong += 1;
                    late += u64::from(*at != At::PreBlock);
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
