//! Blocks of unusual shapes, for a search for the slowest: calls that conflict at slots, payments,
//! one giant call, producers that take part.

use super::{
    Placement, Signing, WorkloadError,
    contention::{Contention, Order, ToldBy, When},
    draft,
    producer::{Parties, Producer},
    random::Random,
    seal,
    world::{Call, World},
};
use crate::{block_file::BlockFile, code::Code};
use alloy_primitives::{Address, Bytes, U256};
use core::fmt;
use revm::bytecode::opcode;

/// Gas of a payment.
const PAYMENT_GAS: u64 = 21_000;
/// Maximum gas limit of a transaction (EIP-7825).
const MOST_GAS: u64 = 1 << 24;

/// Parameters of a block, except its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Its calls.
    pub contention: Contention,
    /// Number of its transactions.
    pub transactions: u32,
    /// Percent of the transactions that are payments among a few accounts instead.
    pub payments: u8,
    /// Number of accounts that are paid; 0 counts as 1.
    pub paid: u32,
    /// Number of accounts that send the calls; with 0, each has its own.
    pub senders: u32,
    /// Gas limit of a call, in percent of the gas that it uses.
    pub limit: u32,
    /// One call that takes many times as long as the others: its position in percent of the block,
    /// and the factor.
    pub giant: Option<(u8, u32)>,
    /// The recipient of the fees.
    pub producer: Producer,
}

impl Shape {
    /// The start of a search.
    pub const BASE: Self = Self {
        contention: Contention::BASE,
        transactions: 400,
        payments: 0,
        paid: 20,
        senders: 0,
        limit: 120,
        giant: None,
        producer: Producer::Apart,
    };

    /// Generates the block, without signatures and unsealed.
    ///
    /// # Errors
    /// Returns an error only if the generator is at fault.
    pub fn block(self, seed: u64) -> Result<BlockFile, WorkloadError> {
        let mut parties = Parties::default();
        let note = format!("{self}, seed {seed}");
        let mut file = draft(seed, Signing::Unsigned, &Placement::DEFAULT, note, |world| {
            self.calls(world, &mut parties)
        })?;
        self.producer.apply(&mut file, &parties);
        Ok(file)
    }

    /// Same, with the results of the execution, as other commands expect of a block file.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn sealed_block(self, seed: u64) -> Result<BlockFile, WorkloadError> {
        let mut file = self.block(seed)?;
        seal::seal(&mut file)?;
        Ok(file)
    }

    fn calls(self, world: &mut World, parties: &mut Parties) -> Result<Vec<Call>, WorkloadError> {
        let begin = match self.producer {
            Producer::Read => Code::new().op(opcode::COINBASE).op(opcode::BALANCE).op(opcode::POP),
            _ => Code::new(),
        };
        let mut calls = self.contention.calls(world, self.transactions, begin)?;
        let mut random = Random::new(world.seed, "shape");
        // The first index that no other sender has.
        let producer = u64::from(self.transactions.max(self.contention.slots));
        parties.sender = world.sender(producer)?.address;
        parties.payee = world.address("payee", 0);
        parties.contract = calls.first().map_or(Address::ZERO, |call| call.to);
        let count = calls.len() as u64;
        let giant = self.giant.map(|(percent, times)| (count * u64::from(percent) / 100, times));
        for (number, call) in (0_u64..).zip(&mut calls) {
            call.gas_limit = call.gas_limit * u64::from(self.limit.max(120)) / 120;
            if let Some((_, times)) = giant.filter(|(place, _)| *place == number) {
                self.contention.lengthen(call, times);
            } else if random.percent(self.payments) {
                self.pay(call, number, world, &mut random);
            }
            call.gas_limit = call.gas_limit.min(MOST_GAS);
            let told_by_caller = self.contention.told_by == ToldBy::Caller;
            if self.senders > 0 && !told_by_caller {
                call.sender = random.below(self.senders.into());
            }
            if let Producer::Sends(distance) = self.producer
                && number.is_multiple_of(distance.max(1).into())
                && !told_by_caller
            {
                call.sender = producer;
            }
            world.sender(call.sender)?;
        }
        Ok(calls)
    }

    fn pay(self, call: &mut Call, number: u64, world: &mut World, random: &mut Random) {
        let is_producer = matches!(self.producer, Producer::Paid(distance) if number.is_multiple_of(distance.max(1).into()));
        let place = if is_producer { 0 } else { 1 + random.below(self.paid.max(1).into()) };
        call.to = world.address("payee", place);
        world.state.fund(call.to, U256::from(1));
        (call.value, call.input) = (U256::from(1 + number), Bytes::new());
        call.gas_limit = PAYMENT_GAS * u64::from(self.limit.max(120)) / 120;
    }

    /// Returns a shape that differs in one parameter.
    #[must_use]
    pub fn mutated(mut self, random: &mut Random) -> Self {
        let any = |random: &mut Random, of: &[u32]| {
            of.get(random.below(of.len() as u64) as usize).copied().unwrap_or_default()
        };
        let contention = &mut self.contention;
        match random.below(12) {
            0 => contention.slots = any(random, &[1, 2, 3, 4, 8, 16, 40, 100, 300, 1_000]),
            1 => {
                contention.order = match random.below(5) {
                    0 => Order::Random,
                    1 => Order::Skewed,
                    2 => Order::InTurn,
                    _ => Order::Runs(any(random, &[2, 5, 17, 33, 64, 100, 250])),
                }
            }
            2 => {
                contention.when = match random.below(3) {
                    0 => When::First,
                    1 => When::Middle,
                    _ => When::Last,
                }
            }
            3 => contention.micros = any(random, &[2, 5, 10, 20, 50, 100, 300]),
            4 => {
                contention.told_by = match random.below(4) {
                    0 => ToldBy::Callee,
                    1 => ToldBy::Argument,
                    2 => ToldBy::Caller,
                    _ => ToldBy::Nothing,
                }
            }
            5 => self.transactions = any(random, &[5, 20, 60, 150, 300, 400, 700, 1_200]),
            6 => self.payments = any(random, &[0, 5, 20, 50, 80, 100]) as u8,
            7 => self.paid = any(random, &[1, 2, 5, 20, 1_000]),
            8 => self.senders = any(random, &[0, 0, 1, 2, 5, 20, 100]),
            9 => self.limit = any(random, &[120, 150, 300, 1_000, 3_000]),
            10 => {
                let times = any(random, &[10, 50, 200, 1_000]);
                let places = [0, 1, 50, 90, 99];
                let place = any(random, &places) as u8;
                self.giant = random.percent(70).then_some((place, times));
            }
            _ => {
                self.producer = match random.below(8) {
                    0 => Producer::Apart,
                    1 => Producer::Empty,
                    2 => Producer::Absent,
                    3 => Producer::Sends(any(random, &[1, 2, 3, 10])),
                    4 => Producer::Called,
                    5 => Producer::Delegated,
                    6 => Producer::Read,
                    _ => Producer::Paid(any(random, &[1, 3, 10])),
                }
            }
        }
        self
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contention, transactions, payments, paid, senders, limit, giant, producer } =
            self;
        write!(f, "{transactions} transactions ({contention}")?;
        if *senders > 0 {
            write!(f, ", from {senders} senders")?;
        }
        write!(f, ", asking for {limit} %")?;
        if *payments > 0 {
            write!(f, ", {payments} % payments to {paid}")?;
        }
        if let Some((place, times)) = giant {
            write!(f, ", one {times} times as long at {place} %")?;
        }
        write!(f, "), producer {producer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::{OnInvalid, Prepared};

    #[test]
    fn every_shape_is_a_valid_block() {
        let mut random = Random::new(1, "mutations");
        let mut shape = Shape::BASE;
        for _ in 0..60 {
            shape = Shape { transactions: 40, ..shape.mutated(&mut random) };
            let mut quick = shape;
            quick.contention.micros = quick.contention.micros.min(5);
            let (block, database) = quick.block(1).unwrap().to_block().unwrap();
            let output = Prepared::new(&block).run(database, OnInvalid::Reject);
            let output = output.unwrap_or_else(|error| panic!("{quick}: {error}"));
            assert!(output.receipts.iter().all(|receipt| receipt.success), "{quick}");
        }
    }

    #[test]
    fn producers_are_what_their_names_say() {
        let of = |producer| {
            let payments = if matches!(producer, Producer::Paid(_)) { 50 } else { 0 };
            let shape = Shape { producer, payments, transactions: 30, ..Shape::BASE };
            let (block, _) = shape.block(1).unwrap().to_block().unwrap();
            let beneficiary = block.env.beneficiary;
            let sent = block.transactions.iter().filter(|tx| tx.caller == beneficiary).count();
            let to = block.transactions.iter().filter(|tx| tx.kind.to() == Some(&beneficiary));
            (sent, to.count())
        };
        assert_eq!(of(Producer::Apart), (0, 0));
        assert_eq!(of(Producer::Sends(3)), (10, 0));
        assert_eq!(of(Producer::Called), (0, 30));
        let (_, paid) = of(Producer::Paid(1));
        assert!((5..25).contains(&paid), "{paid}");
    }
}
