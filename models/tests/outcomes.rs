//! Simulated toy blocks against the reference, and random scripts on the store against an ordered
//! map: a short form of both, for those who change the engine by machine
//! (`cargo xtask cargo-mutants`).

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::Entry;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule, Simulator};
use braid_toy::store::{Amount, Op, Place, Property, Script};
use braid_toy::{ToyCase, compare};

const SEEDS: u64 = 6_000;
const SCRIPTS: u64 = 400;
/// Operations of a script, at most.
const LONGEST: u64 = 80;

#[test]
fn simulated_blocks_equal_the_reference() {
    let mut simulator = Simulator::new();
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let case = ToyCase::random(&mut random);
        let mut options = Options::new(1 + u16::from(random.small(4)), random.next_u64());
        options.step_limit = 100_000;
        if random.chance(1, 2) {
            options.schedule = Schedule::Bursts(20);
        }
        let ended = simulator.run(case.shared(), &options).expect("the block ends");
        let cap = case.limits.max_speculative_runs;
        assert_eq!(compare(&ended.end, &case.reference(), cap), Ok(()), "seed {seed}");
    }
}

fn place(random: &mut Random) -> Place {
    let account = random.small(2);
    match random.below(8) {
        0..=2 => Place::Balance(account),
        3..=5 => Place::Slot(account, random.small(2)),
        _ => Place::Life(account),
    }
}

/// Mostly few transactions that meet often; sometimes enough for long folds.
fn tx(random: &mut Random) -> TxIndex {
    let count = if random.chance(1, 5) { 48 } else { 8 };
    TxIndex(random.below(count) as u32)
}

fn version(random: &mut Random) -> Version {
    Version { tx: tx(random), incarnation: Incarnation(random.below(4) as u32) }
}

fn amount(random: &mut Random) -> Amount {
    match random.below(5) {
        0 => Amount::Absent,
        1 => Amount::Empty,
        number => Amount::Number([0, 1, 200][number as usize - 2]),
    }
}

fn credit(random: &mut Random) -> u8 {
    [0, 1, 100, 200][random.below(4) as usize]
}

fn entry(random: &mut Random) -> Entry<Place> {
    match random.below(6) {
        0 | 1 => Entry::Value(amount(random)),
        2..=4 => Entry::Delta(credit(random)),
        _ => Entry::Tombstone,
    }
}

fn op(random: &mut Random) -> Op {
    match random.below(33) {
        0..=9 => Op::Publish(version(random), place(random), entry(random)),
        10 | 11 => Op::Credits {
            place: place(random),
            from: random.below(8) as u32,
            len: 17 + random.below(19) as u32,
            amount: credit(random),
        },
        12..=14 => Op::Withdraw(version(random), place(random)),
        15..=17 => Op::Estimate(version(random), place(random)),
        18..=25 => {
            let reader = tx(random).next();
            Op::Run(reader, (0..=random.below(4)).map(|_| place(random)).collect())
        }
        26 => Op::Crowd { place: place(random), from: random.below(8) as u32 },
        27 => Op::Seed(place(random), amount(random)),
        28 | 29 => Op::Frontier(tx(random)),
        _ => Op::Check,
    }
}

#[test]
fn scripts_on_the_store_equal_an_ordered_map() {
    for seed in 0..SCRIPTS {
        let mut random = Random::new(seed);
        let shards = if random.chance(1, 2) { 4 } else { 1 };
        let ops = (0..=random.below(LONGEST)).map(|_| op(&mut random)).collect();
        let script = Script { shards, ops };
        for property in Property::ALL {
            let run = script.run(property);
            assert_eq!(run, Ok(()), "seed {seed}: {property:?}: {script:#?}");
        }
    }
}
