//! Attack blocks in virtual time and on the clock, compared with the limits of docs/SECURITY.md.

mod clock;

pub use clock::{BESIDE, Clocked, clocked};

use alloy_eip7928::AccountChanges;
use alloy_eip7928::bal::Bal;
use alloy_primitives::U256;
use braid_blocks::{
    sequential::{OnInvalid, Plain, Prepared},
    workload::{Attack, Lie, Staged},
};
use braid_cli::{
    access_list::list_of,
    bench::{
        peak_of,
        priced::{Trial, Virtual, VirtualError},
    },
    explain,
};
use braid_evm::{Config, Executor};
use core::num::NonZeroU16;
use std::sync::Arc;

/// Upper limit of a block's wall time, in units of sequential time.
pub const WALL: f64 = 1.15;
/// Upper limit of the processor time of a block's runs, in units of sequential time.
pub const CPU: f64 = 2.0;

/// Returns whether a block stays within both limits.
#[must_use]
pub fn is_kept(found: &Virtual) -> bool {
    found.slower() * WALL >= 1.0 && found.runs <= CPU
}

/// Runs an attack in virtual time on each number of `workers`; one in `by` transactions attacks.
///
/// # Errors
/// Returns an error if a result differs from the sequential one, a wrong access list was accepted,
/// or the generator failed.
pub fn attacked(
    attack: Attack,
    (by, seed): (u32, u64),
    workers: &[NonZeroU16],
) -> Result<Vec<Virtual>, VirtualError> {
    let staged = attack.stage(by, seed).map_err(invalid)?;
    let shared = shared(&staged)?;
    let Staged { block, database, before, mispriced, lie } = &staged;
    let before = before.as_ref();
    let before =
        before.map(|(block, database)| (Arc::new(braid_evm::Block::from(block)), database));
    let before = before.as_ref().map(|(block, database)| (block, *database));
    let trial = Trial { block, shared: &shared, database, before, mispriced };
    if lie.is_some() { trial.refusals(workers) } else { trial.ratios(workers) }
}

/// Returns the block as Braid executes it, with a false access list if the attack has one.
fn shared(staged: &Staged) -> Result<Arc<braid_evm::Block>, VirtualError> {
    let mut shared = braid_evm::Block::from(&staged.block);
    if let Some(lie) = staged.lie {
        shared.access_list = Some(Arc::new(lying(staged, lie)?));
    }
    Ok(Arc::new(shared))
}

/// Returns the block's access list with one false entry.
fn lying(staged: &Staged, lie: Lie) -> Result<Bal, VirtualError> {
    let list = list_of((&staged.block).into(), staged.database.clone());
    let list = list.map_err(invalid)?;
    let mut accounts: Vec<AccountChanges> = list.iter().cloned().collect();
    match lie {
        Lie::All => accounts.iter_mut().for_each(|account| account.storage_changes.clear()),
        Lie::Last => {
            let changes = accounts.iter_mut().flat_map(|account| &mut account.storage_changes);
            let changes = changes.flat_map(|slot| &mut slot.changes);
            // Picks a slot that the block's own transactions change; the last index belongs to no
            // transaction.
            let last = changes.max_by_key(|change| change.block_access_index);
            if let Some(last) = last {
                last.new_value = last.new_value.wrapping_add(U256::ONE);
            }
        }
    }
    Ok(Bal::new(accounts))
}

fn invalid(error: impl core::fmt::Display) -> VirtualError {
    VirtualError::Invalid(error.to_string())
}

/// The quantities that determine the memory use of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of workers.
    pub workers: u16,
    /// Number of transactions.
    pub transactions: u64,
    /// Number of locations that the transactions read or write, counted once per transaction.
    pub accesses: u64,
    /// Bytes of created code and of logs.
    pub bytes: u64,
}

/// Bytes per worker: an EVM with its stack and memory, handles, buffers.
const WORKER_BYTES: u64 = 28 << 20;
/// Bytes per transaction: its slot, run, receipt, outcome, and its share of the bundle.
const TRANSACTION_BYTES: u64 = 6 << 10;
/// Bytes per access: the read record, the entry in the store and its chain, the change with its
/// revert.
const ACCESS_BYTES: u64 = 1 << 10;
/// Copies of created code and logs: in a run, in the bundle, in the result, and one in transit.
const COPIES: u64 = 4;

impl Extent {
    /// Returns the extent of an attack; one in `by` of its transactions attacks.
    ///
    /// # Errors
    /// Returns an error if the generator failed.
    pub fn of(attack: Attack, (by, seed): (u32, u64), workers: u16) -> Result<Self, VirtualError> {
        let Staged { block, database, .. } = attack.stage(by, seed).map_err(invalid)?;
        let recording = explain::record(&block, &database, 0).map_err(invalid)?;
        let output = Prepared::new(&block).run(database, OnInvalid::Reject).map_err(invalid)?;
        let codes = output.bundle.contracts.values().map(|code| code.original_bytes().len());
        let logs = recording.transactions.iter().flat_map(|recorded| &recorded.logs);
        let bytes = codes.sum::<usize>() + logs.map(|log| log.data.data.len()).sum::<usize>();
        let accesses = recording.transactions.iter().map(|recorded| recorded.accesses.len());
        Ok(Self {
            workers,
            transactions: recording.transactions.len() as u64,
            accesses: accesses.sum::<usize>() as u64,
            bytes: bytes as u64,
        })
    }

    /// Returns the most bytes that executing the block adds, its result included. Aborted runs do
    /// not count: the store keeps one version of each transaction, so the bound depends neither on
    /// the number of aborts nor on scheduling.
    #[must_use]
    pub const fn most_bytes(self) -> u64 {
        let Self { workers, transactions, accesses, bytes } = self;
        workers as u64 * WORKER_BYTES
            + transactions * TRANSACTION_BYTES
            + accesses * ACCESS_BYTES
            + COPIES * bytes
    }
}

/// Returns the growth of this process in bytes while it executes an attack, its result included;
/// with no workers, sequential revm executes it. `None` if the system does not report memory. Call
/// this in a process of its own: see [`peak_of`].
///
/// # Errors
/// Returns an error if the block does not execute.
pub fn peak(
    attack: Attack,
    (by, seed): (u32, u64),
    workers: Option<NonZeroU16>,
) -> Result<Option<u64>, VirtualError> {
    let Staged { block, database, .. } = attack.stage(by, seed).map_err(invalid)?;
    let Some(workers) = workers else {
        let plain = Plain::new(&block);
        return Ok(peak_of(|| plain.run_keeping(database)));
    };
    let block = Arc::new(braid_evm::Block::from(&block));
    let mut executor = Executor::new(Config::with_workers(workers)).map_err(invalid)?;
    let mut ended = Ok(());
    let peak = peak_of(|| {
        let output = executor.block(block).database(database).execute();
        ended = output.as_ref().map(|_| ()).map_err(ToString::to_string);
        output
    });
    ended.map_err(invalid)?;
    Ok(peak)
}
