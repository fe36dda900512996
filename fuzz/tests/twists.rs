//! The comparisons with plain revm notice an executor that lacks the chain's extensions or the
//! parent's bundle, and rare features of blocks do occur.

use braid_evm::{Cloned, Executor, Forced, Mode, Policy};
use braid_fuzz::generate::Case;
use braid_fuzz::lineup::listing;
use braid_fuzz::oracle::Expected;
use braid_fuzz::own::{Publishing, Teller};
use braid_fuzz::plain::{self, Own};
use std::sync::Arc;

const SEEDS: core::ops::Range<u64> = 0..60;

fn new_executor() -> Executor {
    listing(2, Policy::Forced(Forced::Speculative), Mode::Build)
}

/// Returns the number of random blocks whose results differ if Braid is not told of `own`.
fn noticed(own: impl Fn(&Case) -> Own) -> usize {
    let mut executor = new_executor();
    let differs = |seed: &u64| {
        let case = Case::from_seed(*seed);
        let (block, database) = (plain::bare(&case.block), case.database());
        let plainly = plain::build(&block, &database, &Own::default());
        let found = executor.block(block.clone()).database(database.clone()).execute();
        plain::compare(&plainly, &found).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let expected = plain::build(&block, &database, &own(&case));
        plain::compare(&expected, &found).is_err()
    };
    SEEDS.filter(differs).count()
}

#[test]
fn a_fee_that_is_not_taken_is_noticed() {
    let vault = alloy_primitives::Address::repeat_byte(0xfe);
    let surcharge = Some(Publishing { vault, per_byte: 7 });
    let noticed = noticed(|_| Own { surcharge, ..Own::default() });
    assert!(noticed > 30, "{noticed}");
}

#[test]
fn a_precompile_that_is_not_there_is_noticed() {
    let at = |case: &Case| case.accounts.keys().next_back().copied().unwrap_or_default();
    let noticed = noticed(|case| {
        let precompile = Some(Teller { at: at(case), of: None });
        Own { precompile, ..Own::default() }
    });
    assert!(noticed > 5, "{noticed}");
}

#[test]
fn a_parent_that_is_left_out_is_noticed() {
    let (mut executor, mut noticed) = (new_executor(), 0);
    for seed in SEEDS {
        let case = Case::from_seed(seed);
        let (block, database) = (plain::bare(&case.block), case.database());
        let below = plain::build(&block, &database, &Own::default());
        let own = Own { parent: Some(below.bundle.clone()), ..Own::default() };
        let expected = plain::build(&block, &database, &own);
        let block = Arc::new(block);
        let source = || Cloned(database.clone());
        let found =
            executor.block(Arc::clone(&block)).state(source()).parent(below.bundle).execute();
        plain::compare(&expected, &found).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let found = executor.block(block).state(source()).execute();
        noticed += usize::from(plain::compare(&expected, &found).is_err());
    }
    assert!(noticed > 50, "{noticed}");
}

#[test]
fn few_blocks_have_deposits_or_system_contracts_that_fail() {
    let (mut deposits, mut failed, mut own_rules) = (0, 0, 0);
    for seed in 0..1_000 {
        let case = Case::from_seed(seed);
        let rules = &case.block.rules;
        own_rules += usize::from(!rules.system_calls || rules.block_reward.is_some());
        let concerned = rules.deposit_contract.is_some() || case.accounts.len() > 12;
        if !concerned {
            continue;
        }
        match Expected::new(&case.block, Mode::Build, &case.database()).into_result() {
            Ok(output) => {
                deposits += output.requests.iter().filter(|request| request[0] == 0).count();
            }
            Err(_) => failed += 1,
        }
    }
    assert!(deposits > 10 && failed > 5 && own_rules > 100, "{deposits}, {failed}, {own_rules}");
}
