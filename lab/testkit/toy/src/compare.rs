//! Compares what the engine made of a toy block with the reference.

use super::ledger::{ToyLedger, ToyOutcome};
use super::location::{ToyLocation, universe};
use super::machine::{BaseFailed, ToyWorkload};
use super::program::{ToyBlock, ToyRejection};
use super::reference::{Reference, ReferenceError};
use braid_evm::error::Invariant;
use braid_evm::ids::TxIndex;
use braid_evm::mv::Resolution;
use braid_evm::protocol::Halt;
use braid_evm::worker::{BlockEnd, NoResult, Stop};

/// How the engine and the reference differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The engine found one of its own rules broken.
    #[error("a rule is broken: {0}")]
    Broken(Invariant),
    /// The block ended for another reason, or at another transaction.
    #[error("the block ended with {got}, not with {expected}")]
    End {
        /// What the engine says.
        got: String,
        /// What the reference says.
        expected: String,
    },
    /// Outcomes came out of order, twice, or not at all.
    #[error("outcome {position} is said to be of transaction {tx}")]
    Order {
        /// Position in the ledger.
        position: usize,
        /// The transaction.
        tx: TxIndex,
    },
    /// There are more or fewer outcomes than committed transactions.
    #[error("{outcomes} outcomes below frontier {frontier}")]
    Count {
        /// Outcomes in the ledger.
        outcomes: usize,
        /// The frontier.
        frontier: TxIndex,
    },
    /// A transaction came to something else.
    #[error("transaction {tx} came to {got:?}, not to {expected:?}")]
    Outcome {
        /// The transaction.
        tx: TxIndex,
        /// What the engine says.
        got: ToyOutcome,
        /// What the reference says.
        expected: ToyOutcome,
    },
    /// The state after the committed prefix is another.
    #[error("{location:?} is {got}, not {expected:?}, below frontier {frontier}")]
    State {
        /// Where.
        location: ToyLocation,
        /// What the store says.
        got: String,
        /// What the reference says.
        expected: Option<u64>,
        /// The frontier.
        frontier: TxIndex,
    },
    /// I9: a transaction ran more often than the cap and one.
    #[error("transaction {tx} ran {runs} times")]
    WorkBound {
        /// The transaction.
        tx: TxIndex,
        /// Its runs, counted by the machine.
        runs: u32,
    },
}

/// Compares the end of a block with the reference. `cap`: speculative runs of one transaction.
///
/// # Errors
/// The first difference.
pub fn compare(
    end: &BlockEnd<ToyWorkload, ToyLedger>,
    expected: &Reference,
    cap: u32,
) -> Result<(), Mismatch> {
    if let Some(broken) = &end.broken {
        return Err(Mismatch::Broken(broken.clone()));
    }
    let outcomes = end.ledger.outcomes();
    if outcomes.len() != end.frontier.position() {
        return Err(Mismatch::Count { outcomes: outcomes.len(), frontier: end.frontier });
    }
    for (position, (tx, got)) in outcomes.iter().enumerate() {
        if tx.position() != position {
            return Err(Mismatch::Order { position, tx: *tx });
        }
        match expected.outcomes.get(position) {
            Some(outcome) if outcome == got => {}
            Some(outcome) => {
                let (got, expected) = (got.clone(), outcome.clone());
                return Err(Mismatch::Outcome { tx: *tx, got, expected });
            }
            None => return Err(Mismatch::Order { position, tx: *tx }),
        }
    }
    compare_end(end, expected)?;
    compare_state(end, expected)?;
    let runs = (0..).map(TxIndex).take(end.workload.block().transactions.len());
    for (tx, runs) in runs.map(|tx| (tx, end.workload.runs(tx))) {
        if runs > cap + 1 {
            return Err(Mismatch::WorkBound { tx, runs });
        }
    }
    Ok(())
}

fn compare_end(
    end: &BlockEnd<ToyWorkload, ToyLedger>,
    expected: &Reference,
) -> Result<(), Mismatch> {
    let got = match (end.halt, &end.error) {
        // A cancelled block, or one that is handed over, is a prefix of the whole one: that was
        // compared already.
        (Some(Halt::Cancelled | Halt::Fallback), None) => return Ok(()),
        (None, None) => {
            (end.frontier.position() == end.workload.block().transactions.len()).then_some(None)
        }
        (Some(halt), Some(error)) => halted_with(halt, error, end.frontier).map(Some),
        (Some(_), None) | (None, Some(_)) => None,
    };
    if got == Some(expected.error) {
        return Ok(());
    }
    let got = format!("{:?}, {:?}, frontier {}", end.halt, end.error, end.frontier);
    Err(Mismatch::End { got, expected: format!("{:?}", expected.error) })
}

/// The halt in the words of the reference, or nothing if it contradicts itself.
fn halted_with(
    halt: Halt,
    error: &NoResult<ToyRejection, BaseFailed>,
    frontier: TxIndex,
) -> Option<(TxIndex, ReferenceError)> {
    let (tx, error) = match (halt, error) {
        (Halt::NoRoom(tx), NoResult::Rejected(reason)) => (tx, ReferenceError::NoRoom(*reason)),
        (Halt::Failed(tx, _), NoResult::Rejected(reason)) => {
            (tx, ReferenceError::Rejected(*reason))
        }
        (Halt::Failed(tx, _), NoResult::Stopped(Stop::Base(BaseFailed(location)))) => {
            (tx, ReferenceError::Base(*location))
        }
        (Halt::Failed(tx, _), NoResult::Panicked(_)) => (tx, ReferenceError::Panicked),
        (Halt::Failed(_, _), NoResult::Stopped(_))
        | (Halt::NoRoom(_) | Halt::Cancelled | Halt::Fallback, _) => return None,
    };
    (tx == frontier).then_some((tx, error))
}

fn compare_state(
    end: &BlockEnd<ToyWorkload, ToyLedger>,
    expected: &Reference,
) -> Result<(), Mismatch> {
    let Some(state) = expected.states.get(end.frontier.position()) else {
        return Err(Mismatch::Count { outcomes: expected.states.len(), frontier: end.frontier });
    };
    for location in universe() {
        let got = settle(end, location);
        let expected = state.get(&location).copied().flatten();
        if got != Ok(expected) {
            let got = got.map_or_else(|got| got, |value| format!("{value:?}"));
            return Err(Mismatch::State { location, got, expected, frontier: end.frontier });
        }
    }
    Ok(())
}

/// The value of `location` after the committed prefix, or what is in the way of one.
fn settle(
    end: &BlockEnd<ToyWorkload, ToyLedger>,
    location: ToyLocation,
) -> Result<Option<u64>, String> {
    let block: &ToyBlock = end.workload.block();
    let mut resolution = end.store.resolve(&location, end.frontier);
    if let Resolution::NeedsBase(chain) = resolution {
        // Also where the read fails: no run has needed the value so far.
        let base = block.base.get(&location).copied();
        resolution = end.store.supply_base(chain, &location, end.frontier, base);
    }
    match resolution {
        Resolution::Resolved(resolved) => Ok(resolved.value),
        Resolution::Blocked(on) => Err(format!("an estimate of transaction {on}")),
        Resolution::NeedsBase(_) => Err("the base value, asked for twice".into()),
    }
}
