//! What a toy transaction does: a short program over one accumulator.

use super::location::{ACCOUNTS, SLOTS, ToyLocation};
use braid_evm::worker::Stopped;
use std::collections::{BTreeMap, BTreeSet};

/// Where a step reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Always here.
    At(ToyLocation),
    /// The slot of this account that the accumulator picks.
    PickedSlot(u8),
    /// The balance of the account that the accumulator picks.
    PickedBalance,
}

/// How much a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// This.
    Fixed(u64),
    /// The accumulator, cut down to a small number so that values meet by chance.
    Accumulator,
}

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Mixes a value into the accumulator.
    Read(Place),
    /// The same, but the program goes on if the read is refused, as a precompile may.
    Glance(Place),
    /// Writes an absolute value.
    Write(Place, Amount),
    /// Adds to the balance of an account without reading it.
    Credit(u8, Amount),
    /// Takes from the balance of an account, or rejects the transaction.
    Spend(u8, u64),
    /// Ends the life of an account: its balance and slots are absent afterwards.
    Destroy(u8),
    /// Skips the next steps if the accumulator is odd.
    SkipIfOdd(u8),
    /// Rejects the transaction if the low bits of the accumulator are this.
    RejectIf(u8),
    /// Panics if the low bits of the accumulator are this.
    PanicIf(u8),
    /// Waits until as many transactions as were arranged have come here once.
    Meet,
}

/// A toy transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToyTx {
    /// What it does.
    pub steps: Vec<Step>,
    /// How much of the block's room it asks for.
    pub limit: u64,
}

/// A toy block, with the state before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToyBlock {
    /// The transactions.
    pub transactions: Vec<ToyTx>,
    /// Base values; what is missing is absent.
    pub base: BTreeMap<ToyLocation, u64>,
    /// Locations whose base value cannot be read.
    pub failing: BTreeSet<ToyLocation>,
    /// How much room the block has.
    pub room: u64,
}

/// Why a toy transaction is not in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToyRejection {
    /// Its own check failed on this value.
    Unwilling(u64),
    /// It could not pay.
    Poor {
        /// What it had.
        balance: u64,
    },
    /// The block had too little room left.
    NoRoom {
        /// What was left.
        left: u64,
    },
}

/// What a toy transaction tells: every value that it saw, and its last accumulator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToyOutput {
    /// Values in the order in which they were read.
    pub seen: Vec<Option<u64>>,
    /// The accumulator at the end.
    pub accumulator: u64,
}

/// Why a program did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halted {
    /// The state gave no answer.
    Stopped,
    /// The transaction is invalid.
    Rejected(ToyRejection),
}

impl From<Stopped> for Halted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// The state as one program sees it, its own changes included.
pub trait ToyState {
    /// The value at `location`.
    ///
    /// # Errors
    /// [`Stopped`] if there is no answer.
    fn read(&mut self, location: ToyLocation) -> Result<Option<u64>, Stopped>;

    /// Sets a balance or a slot.
    fn write(&mut self, location: ToyLocation, value: u64);

    /// Adds to a balance.
    fn credit(&mut self, account: u8, amount: u64);

    /// Ends a life.
    fn destroy(&mut self, account: u8);

    /// Waits for the others.
    fn meet(&mut self) {}
}

const SMALL: u64 = 5;

fn mix(accumulator: u64, value: Option<u64>) -> u64 {
    let value = value.map_or(7, |value| value.wrapping_add(11));
    accumulator.rotate_left(9).wrapping_add(value).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3
}

fn place(place: Place, accumulator: u64) -> ToyLocation {
    let picked = |count: u8| u8::try_from(accumulator % u64::from(count)).unwrap_or(0);
    match place {
        Place::At(location) => location,
        Place::PickedSlot(account) => ToyLocation::Slot(account, picked(SLOTS)),
        Place::PickedBalance => ToyLocation::Balance(picked(ACCOUNTS)),
    }
}

fn low_bits(accumulator: u64) -> u8 {
    u8::try_from(accumulator & 7).unwrap_or(0)
}

/// Runs a program.
///
/// # Errors
/// Why it did not come to its end.
///
/// # Panics
/// If the program says so.
pub fn run_program(steps: &[Step], state: &mut impl ToyState) -> Result<ToyOutput, Halted> {
    let mut output = ToyOutput { seen: Vec::new(), accumulator: 1 };
    let mut skip = 0;
    for step in steps {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        let accumulator = output.accumulator;
        let amount = |amount| match amount {
            Amount::Fixed(value) => value,
            Amount::Accumulator => accumulator % SMALL,
        };
        match *step {
            Step::Read(from) => see(&mut output, state.read(place(from, accumulator))?),
            Step::Glance(from) => {
                if let Ok(value) = state.read(place(from, accumulator)) {
                    see(&mut output, value);
                }
            }
            Step::Write(to, value) => state.write(place(to, accumulator), amount(value)),
            Step::Credit(account, value) => state.credit(account, amount(value)),
            Step::Spend(account, price) => spend(&mut output, state, account, price)?,
            Step::Destroy(account) => state.destroy(account),
            Step::SkipIfOdd(count) => skip = if accumulator % 2 == 1 { count } else { 0 },
            Step::RejectIf(bits) if low_bits(accumulator) == bits => {
                return Err(Halted::Rejected(ToyRejection::Unwilling(accumulator)));
            }
            // Not `panic!`: that would print a message for each of many thousand panics.
            Step::PanicIf(bits) if low_bits(accumulator) == bits => {
                std::panic::resume_unwind(Box::new("toy panic"))
            }
            Step::RejectIf(_) | Step::PanicIf(_) => {}
            Step::Meet => state.meet(),
        }
    }
    Ok(output)
}

fn see(output: &mut ToyOutput, value: Option<u64>) {
    output.seen.push(value);
    output.accumulator = mix(output.accumulator, value);
}

fn spend(
    output: &mut ToyOutput,
    state: &mut impl ToyState,
    account: u8,
    price: u64,
) -> Result<(), Halted> {
    let location = ToyLocation::Balance(account);
    let value = state.read(location)?;
    see(output, value);
    let balance = value.unwrap_or(0);
    let rest = balance.checked_sub(price);
    let rest = rest.ok_or(Halted::Rejected(ToyRejection::Poor { balance }))?;
    state.write(location, rest);
    Ok(())
}
