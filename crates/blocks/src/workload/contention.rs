//! A family of blocks for a sweep over contention: each call computes and increments one of a few
//! slots.

use super::{
    Placement, Signing, WorkloadError, draft,
    random::Random,
    world::{Call, World},
};
use crate::{block_file::BlockFile, code::Code};
use alloy_primitives::{Bytes, U256, keccak256};
use core::fmt;
use revm::bytecode::opcode;

/// Loop iterations that take about a microsecond in revm.
const ITERATIONS_IN_A_MICROSECOND: u64 = 32;
/// Gas of one iteration.
const ITERATION_GAS: u64 = 40;
/// Maximum number of iterations within a transaction's gas limit (EIP-7825).
const MOST_ITERATIONS: u64 = 300_000;
/// Maximum gas of a call without its loops: the call itself, its data, two cold slots.
const CALL_GAS: u64 = 40_000;

/// Order in which calls access the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Uniformly random.
    Random,
    /// Random, the k-th slot with a weight of 1/k.
    Skewed,
    /// One slot after the other.
    InTurn,
    /// Runs of this many consecutive calls access the same slot.
    Runs(u32),
}

/// When a call accesses its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// Before it computes.
    First,
    /// After half of its computation.
    Middle,
    /// After it has computed.
    Last,
}

/// The property of a call that predicts its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToldBy {
    /// The callee: there is one contract per slot.
    Callee,
    /// The first argument.
    Argument,
    /// The caller: there is one per slot.
    Caller,
    /// Nothing: a table in storage names the slot.
    Nothing,
}

/// A block of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contention {
    /// Number of slots; 0 counts as 1.
    pub slots: u32,
    /// Order in which calls access the slots.
    pub order: Order,
    /// When a call accesses its slot.
    pub when: When,
    /// Duration of a call's computation, in approximate microseconds of revm.
    pub micros: u32,
    /// The property of a call that predicts its slot.
    pub told_by: ToldBy,
}

impl Contention {
    /// The base point of a sweep: forty slots in random order, predicted by the first argument, in
    /// the middle of 20 us.
    pub const BASE: Self = Self {
        slots: 40,
        order: Order::Random,
        when: When::Middle,
        micros: 20,
        told_by: ToldBy::Argument,
    };

    /// Returns the default number of calls of the block: some 80 milliseconds of work.
    #[must_use]
    pub const fn transactions(self) -> u32 {
        if self.micros > 50 { 1_000 } else { 4_000 }
    }

    /// Generates the block with this number of calls, without signatures and unsealed.
    ///
    /// # Errors
    /// Returns an error only if the generator is at fault.
    pub fn block(self, transactions: u32, seed: u64) -> Result<BlockFile, WorkloadError> {
        let note = format!("{self}, {transactions} transactions, seed {seed}");
        draft(seed, Signing::Unsigned, &Placement::DEFAULT, note, |world| {
            self.calls(world, transactions, Code::new())
        })
    }

    /// Makes calls of contracts whose code starts with `begin`.
    pub(super) fn calls(
        self,
        world: &mut World,
        count: u32,
        begin: Code,
    ) -> Result<Vec<Call>, WorkloadError> {
        let slots = self.slots.max(1);
        let code = self.code(begin);
        let contracts = if self.told_by == ToldBy::Callee { slots } else { 1 };
        for place in 0..contracts {
            world.state.deploy_code(world.address("contended", place.into()), &code);
        }
        let mut random = Random::new(world.seed, "contention");
        (0..count).map(|number| self.call(world, number, self.slot(number, &mut random))).collect()
    }

    /// Draws the slot of a call.
    fn slot(self, number: u32, random: &mut Random) -> u32 {
        let slots = self.slots.max(1);
        let any = |random: &mut Random, below: u32| random.below(below.into()) as u32;
        match self.order {
            Order::Random => any(random, slots),
            Order::Skewed => super::choice::skewed(random, slots.into()) as u32,
            Order::InTurn => number % slots,
            Order::Runs(length) => number / length.max(1) % slots,
        }
    }

    fn call(self, world: &mut World, number: u32, slot: u32) -> Result<Call, WorkloadError> {
        let told = self.told_by;
        let sender = if told == ToldBy::Caller { slot } else { number };
        let place = if told == ToldBy::Callee { slot } else { 0 };
        let to = world.address("contended", place.into());
        let from = world.sender(sender.into())?.address;
        let argument = match told {
            ToldBy::Callee | ToldBy::Caller => U256::ZERO,
            ToldBy::Argument => U256::from(slot),
            ToldBy::Nothing => U256::from(number),
        };
        let counter = match told {
            ToldBy::Callee => U256::ZERO,
            ToldBy::Caller => hashed(from.into_word().into()),
            ToldBy::Argument | ToldBy::Nothing => hashed(U256::from(slot)),
        };
        if told == ToldBy::Nothing {
            world.state.set(to, argument, counter);
        }
        // As in most calls, the slot is written when it is not zero.
        world.state.set(to, counter, U256::from(1));
        let all = u64::from(self.micros) * ITERATIONS_IN_A_MICROSECOND;
        let before = match self.when {
            When::First => 0,
            When::Middle => all / 2,
            When::Last => all,
        };
        let input = input(argument, before, all - before);
        // A wallet adds a fifth to the estimated gas.
        let gas_limit = (CALL_GAS + all * ITERATION_GAS) * 6 / 5;
        Ok(Call { sender: sender.into(), to, value: U256::ZERO, input, gas_limit })
    }

    /// Makes `call`, one of the block's calls, compute `times` as long.
    pub(super) fn lengthen(self, call: &mut Call, times: u32) {
        let all = u64::from(self.micros) * ITERATIONS_IN_A_MICROSECOND * u64::from(times);
        let mut input = call.input.to_vec();
        // The last argument: the iterations at the end.
        if let Some(after) = input.last_chunk_mut::<8>() {
            *after = all.min(MOST_ITERATIONS).to_be_bytes();
        }
        call.input = input.into();
        call.gas_limit =
            CALL_GAS + (all.min(MOST_ITERATIONS) + all / u64::from(times.max(1))) * ITERATION_GAS;
    }

    /// Returns code that computes, increments the slot, and computes again. Arguments: the value
    /// that predicts the slot, iterations before, iterations after.
    fn code(self, begin: Code) -> Bytes {
        let argument = |code: Code, at: u64| code.push(at).op(opcode::CALLDATALOAD);
        let hash =
            |code: Code| code.push(0).op(opcode::MSTORE).push(32).push(0).op(opcode::KECCAK256);
        let mut code = repeat(argument(begin, 36));
        code = match self.told_by {
            ToldBy::Callee => code.push(0),
            ToldBy::Argument => hash(argument(code, 4)),
            ToldBy::Caller => hash(code.op(opcode::CALLER)),
            ToldBy::Nothing => argument(code, 4).op(opcode::SLOAD),
        };
        code = code.op(opcode::DUP1).op(opcode::SLOAD).push(1).op(opcode::ADD);
        code = code.op(opcode::SWAP1).op(opcode::SSTORE);
        repeat(argument(code, 68)).op(opcode::STOP).bytes()
    }
}

/// Counts the number on the stack down to zero.
fn repeat(code: Code) -> Code {
    let start = code.len() as u64;
    let code = code.op(opcode::JUMPDEST).op(opcode::DUP1);
    let body =
        |code: Code| code.push(1).op(opcode::SWAP1).op(opcode::SUB).push(start).op(opcode::JUMP);
    code.if_nonzero(body).op(opcode::POP)
}

fn hashed(key: U256) -> U256 {
    keccak256(key.to_be_bytes::<32>()).into()
}

fn input(argument: U256, before: u64, after: u64) -> Bytes {
    let mut input = vec![0xc0, 0x7e, 0x7d, 0xed];
    for word in [argument, U256::from(before), U256::from(after)] {
        input.extend(word.to_be_bytes::<32>());
    }
    input.into()
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Skewed => f.write_str("skewed"),
            Self::InTurn => f.write_str("in turn"),
            Self::Runs(length) => write!(f, "runs of {length}"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Middle => "middle",
            Self::Last => "last",
        })
    }
}

impl fmt::Display for ToldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callee => "callee",
            Self::Argument => "argument",
            Self::Caller => "caller",
            Self::Nothing => "nothing",
        })
    }
}

impl fmt::Display for Contention {
    /// Formats as `40 slots, random, middle, 20 us, told by argument`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slots, order, when, micros, told_by } = self;
        write!(f, "{slots} slots, {order}, {when}, {micros} us, told by {told_by}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::{OnInvalid, Prepared};
    use std::collections::BTreeMap;

    /// Returns the counters after a block: how often each slot was incremented.
    fn counts(contention: Contention, transactions: u32) -> Vec<u64> {
        let file = contention.block(transactions, 1).unwrap();
        let (block, database) = file.to_block().unwrap();
        let output = Prepared::new(&block).run(database, OnInvalid::Reject).unwrap();
        assert!(output.receipts.iter().all(|receipt| receipt.success), "{contention}");
        let mut counts = BTreeMap::new();
        for (address, account) in &output.bundle.state {
            for (slot, value) in &account.storage {
                let before: u64 = value.previous_or_original_value.to();
                if before == 1 {
                    counts.insert((*address, *slot), value.present_value.to::<u64>() - before);
                }
            }
        }
        counts.into_values().collect()
    }

    #[test]
    fn every_call_increments_the_slot_that_it_is_meant_for() {
        for told_by in [ToldBy::Callee, ToldBy::Argument, ToldBy::Caller, ToldBy::Nothing] {
            for when in [When::First, When::Middle, When::Last] {
                let base = Contention { told_by, when, micros: 2, ..Contention::BASE };
                let in_turn = Contention { slots: 4, order: Order::InTurn, ..base };
                assert_eq!(counts(in_turn, 20), [5; 4], "{in_turn}");
                let one = Contention { slots: 0, ..base };
                assert_eq!(counts(one, 7), [7], "{one}");
            }
        }
    }

    #[test]
    fn orders_are_what_their_names_say() {
        let of = |order| {
            let contention = Contention { order, slots: 4, ..Contention::BASE };
            let mut random = Random::new(1, "order");
            (0..4_000).map(|number| contention.slot(number, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(of(Order::InTurn)[..6], [0, 1, 2, 3, 0, 1]);
        assert_eq!(of(Order::Runs(2))[..10], [0, 0, 1, 1, 2, 2, 3, 3, 0, 0]);
        let share = |slots: &[u32]| slots.iter().filter(|slot| **slot == 0).count();
        assert!((900..1_100).contains(&share(&of(Order::Random))));
        assert!((1_800..2_050).contains(&share(&of(Order::Skewed))));
    }
}
