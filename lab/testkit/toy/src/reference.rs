//! Sequential execution over an ordered map: what a toy block must come to.

use super::ledger::ToyOutcome;
use super::location::{SLOTS, ToyLocation, universe};
use super::program::{Halted, ToyBlock, ToyRejection, ToyState, run_program};
use braid_evm::ids::TxIndex;
use braid_evm::worker::Stopped;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why the block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    /// The transaction is invalid.
    Rejected(ToyRejection),
    /// The block has no room for it.
    NoRoom(ToyRejection),
    /// This base value cannot be read.
    Base(ToyLocation),
    /// The program panicked.
    Panicked,
}

/// What one transaction comes to.
pub type ReferenceOutcome = Result<ToyOutcome, ReferenceError>;

/// What a block comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The outcomes up to the end of the block or the error.
    pub outcomes: Vec<ToyOutcome>,
    /// The transaction that ended the block, and why.
    pub error: Option<(TxIndex, ReferenceError)>,
    /// For each prefix, from the empty one on, the value of each location after it.
    pub states: Vec<BTreeMap<ToyLocation, Option<u64>>>,
}

/// Runs `block` in order. `skip`: leave rejected transactions out and go on.
#[must_use]
pub fn reference(block: &ToyBlock, skip: bool) -> Reference {
    let mut state: BTreeMap<_, _> = universe()
        .map(|location| (location, Cell { value: base(block, location), from_base: true }))
        .collect();
    let mut left = block.room;
    let mut result = Reference { outcomes: Vec::new(), error: None, states: vec![values(&state)] };
    for (tx, index) in block.transactions.iter().zip(0..) {
        let fits = tx.limit <= left;
        let mut run = Run { block, state: state.clone(), failed: None };
        let outcome = if fits {
            run_one(&tx.steps, &mut run)
        } else {
            Err(ReferenceError::NoRoom(ToyRejection::NoRoom { left }))
        };
        match outcome {
            Ok(outcome) => {
                left -= tx.limit;
                state = run.state;
                result.outcomes.push(outcome);
            }
            Err(ReferenceError::Rejected(reason) | ReferenceError::NoRoom(reason)) if skip => {
                result.outcomes.push(ToyOutcome::Skipped(reason));
            }
            Err(error) => {
                result.error = Some((TxIndex(index), error));
                break;
            }
        }
        result.states.push(values(&state));
    }
    result
}

fn run_one(steps: &[super::program::Step], run: &mut Run<'_>) -> ReferenceOutcome {
    let ended = catch_unwind(AssertUnwindSafe(|| run_program(steps, run)));
    // A read that had no answer counts even if the program went on.
    if let Some(location) = run.failed {
        return Err(ReferenceError::Base(location));
    }
    match ended {
        Ok(Ok(output)) => Ok(ToyOutcome::Executed(output)),
        Ok(Err(Halted::Rejected(reason))) => Err(ReferenceError::Rejected(reason)),
        Ok(Err(Halted::Stopped)) | Err(_) => Err(ReferenceError::Panicked),
    }
}

fn base(block: &ToyBlock, location: ToyLocation) -> Option<u64> {
    block.base.get(&location).copied()
}

fn values(state: &BTreeMap<ToyLocation, Cell>) -> BTreeMap<ToyLocation, Option<u64>> {
    state.iter().map(|(location, cell)| (*location, cell.value)).collect()
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    value: Option<u64>,
    /// Reading it needs the base value.
    from_base: bool,
}

struct Run<'a> {
    block: &'a ToyBlock,
    state: BTreeMap<ToyLocation, Cell>,
    failed: Option<ToyLocation>,
}

impl ToyState for Run<'_> {
    fn read(&mut self, location: ToyLocation) -> Result<Option<u64>, Stopped> {
        if self.failed.is_some() {
            return Err(Stopped);
        }
        let cell = self.state.get(&location).copied();
        let cell = cell.unwrap_or(Cell { value: None, from_base: false });
        if cell.from_base && self.block.failing.contains(&location) {
            self.failed = Some(location);
            return Err(Stopped);
        }
        Ok(cell.value)
    }

    fn write(&mut self, location: ToyLocation, value: u64) {
        self.state.insert(location, Cell { value: Some(value), from_base: false });
    }

    fn credit(&mut self, account: u8, amount: u64) {
        if let Some(cell) = self.state.get_mut(&ToyLocation::Balance(account)) {
            cell.value = Some(cell.value.unwrap_or(0).wrapping_add(amount));
        }
    }

    fn destroy(&mut self, account: u8) {
        let slots = (0..SLOTS).map(|slot| ToyLocation::Slot(account, slot));
        let ends = [ToyLocation::Life(account), ToyLocation::Balance(account)];
        for location in slots.chain(ends) {
            self.state.insert(location, Cell { value: None, from_base: false });
        }
    }
}
