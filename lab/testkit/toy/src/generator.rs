//! Random toy blocks: few locations, so that transactions meet.

use super::location::{ACCOUNTS, SLOTS, ToyLocation, universe};
use super::program::{Amount, Place, Step, ToyBlock, ToyTx};
use braid_evm::runtime::simulated::Random;

/// How hostile a random block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Most transactions; at least 1.
    pub transactions: u64,
    /// Most steps of a transaction; at least 1.
    pub steps: u64,
    /// Whether transactions may be rejected, panic, or read what cannot be read.
    pub faults: bool,
}

/// The block of this seed.
#[must_use]
pub fn random_block(random: &mut Random, shape: Shape) -> ToyBlock {
    let count = 1 + random.below(shape.transactions);
    // Most blocks are mild: a fault in every transaction would end each block at once.
    let mood = Mood {
        rejects: shape.faults && random.chance(1, 2),
        panics: shape.faults && random.chance(1, 8),
        destroys: random.chance(1, 3),
        rewards: random.chance(1, 4),
        // 2 locations to all of them.
        slots: 1 + random.small(SLOTS),
        accounts: 1 + random.small(ACCOUNTS),
    };
    let transactions = (0..count).map(|_| random_tx(random, shape.steps, mood)).collect();
    let mut block = ToyBlock { transactions, ..ToyBlock::default() };
    for location in universe() {
        if random.chance(2, 3) {
            block.base.insert(location, random.below(40));
        }
        if shape.faults && random.chance(1, 60) {
            block.failing.insert(location);
        }
    }
    block.room =
        if shape.faults && random.chance(1, 4) { random.below(count * 3) } else { 1 << 40 };
    block
}

#[derive(Clone, Copy)]
struct Mood {
    rejects: bool,
    panics: bool,
    destroys: bool,
    /// Every transaction credits one account, as all pay one beneficiary.
    rewards: bool,
    slots: u8,
    accounts: u8,
}

fn random_tx(random: &mut Random, steps: u64, mood: Mood) -> ToyTx {
    let count = 1 + random.below(steps);
    let mut steps: Vec<_> = (0..count).map(|_| random_step(random, mood)).collect();
    if mood.rewards {
        steps.push(Step::Credit(0, Amount::Accumulator));
    }
    ToyTx { steps, limit: 1 + random.below(4) }
}

fn random_place(random: &mut Random, mood: Mood) -> Place {
    let account = random.small(mood.accounts);
    match random.below(8) {
        0 => Place::PickedSlot(account),
        1 => Place::PickedBalance,
        2 | 3 => Place::At(ToyLocation::Balance(account)),
        _ => Place::At(ToyLocation::Slot(account, random.small(mood.slots))),
    }
}

fn random_step(random: &mut Random, mood: Mood) -> Step {
    let account = random.small(mood.accounts);
    let amount =
        if random.chance(1, 2) { Amount::Accumulator } else { Amount::Fixed(random.below(4)) };
    match random.below(24) {
        0..=6 => Step::Read(random_place(random, mood)),
        7 if mood.destroys => Step::Read(Place::At(ToyLocation::Life(account))),
        8 => Step::Glance(random_place(random, mood)),
        9..=13 => Step::Write(random_place(random, mood), amount),
        14..=16 => Step::Credit(account, amount),
        17 if mood.rejects => Step::Spend(account, random.below(20)),
        18 if mood.destroys => Step::Destroy(account),
        19 | 20 => Step::SkipIfOdd(1 + random.small(2)),
        21 if mood.rejects => Step::RejectIf(random.small(8)),
        22 if mood.panics && random.chance(1, 3) => Step::PanicIf(random.small(8)),
        _ => Step::Read(random_place(random, mood)),
    }
}
