//! Blocks of an attacker in virtual time and by the clock, held against what is promised (docs/SECURITY.md).

mod clock;

pub use clock::{BESIDE, Clocked, clocked};

use alloy_eip7928::AccountChanges;
use alloy_eip7928::bal::Bal;
use alloy_primitives::U256;
use braid_cli::{
    access_list::list_of,
    bench::{
        peak_of,
        priced::{Trial, Virtual, VirtualError},
    },
    explain,
};
use braid_evm::{Config, Executor};
use braid_testkit::{
    sequential::{OnInvalid, Plain, Prepared},
    workload::{Attack, Lie, Staged},
};
use core::num::NonZeroU16;
use std::sync::Arc;

/// Wall time that a block should take at most, in sequential time.
pub const WALL: f64 = 1.15;
/// Processor time that the runs of its transactions should take at most, in sequential time.
pub const CPU: f64 = 2.0;

/// Whether a block takes no more than is aimed at.
#[must_use]
pub fn is_kept(found: &Virtual) -> bool {
    found.slower() * WALL >= 1.0 && found.runs <= CPU
}

/// How the attack, with one in `by` of its transactions, runs on each number of `workers`.
///
/// # Errors
/// A result is not the sequential one, or a wrong access list was not noticed; the generator is at fault.
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

/// The block as Braid is given it: with its lie, if it has one.
fn shared(staged: &Staged) -> Result<Arc<braid_evm::Block>, VirtualError> {
    let mut shared = braid_evm::Block::from(&staged.block);
    if let Some(lie) = staged.lie {
        shared.access_list = Some(Arc::new(lying(staged, lie)?));
    }
    Ok(Arc::new(shared))
}

/// The block's access list, with a lie in it.
fn lying(staged: &Staged, lie: Lie) -> Result<Bal, VirtualError> {
    let list = list_of((&staged.block).into(), staged.database.clone());
    let list = list.map_err(invalid)?;
    let mut accounts: Vec<AccountChanges> = list.iter().cloned().collect();
    match lie {
        Lie::All => accounts.iter_mut().for_each(|account| account.storage_changes.clear()),
        Lie::Last => {
            let changes = accounts.iter_mut().flat_map(|account| &mut account.storage_changes);
            let changes = changes.flat_map(|slot| &mut slot.changes);
            // Of the slots that the block's own transactions change; its last index is no transaction's.
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

/// What the memory of a block depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Workers.
    pub workers: u16,
    /// Transactions.
    pub transactions: u64,
    /// Places that its transactions read or write, each once for each transaction.
    pub accesses: u64,
    /// Bytes of the codes that it creates, and of what it logs.
    pub bytes: u64,
}

/// Bytes that each worker may need: an EVM with its stack and memory, handles, buffers.
const WORKER_BYTES: u64 = 28 << 20;
/// Bytes for each transaction: its slot, run, receipt, outcome, and its place in the bundle.
const TRANSACTION_BYTES: u64 = 6 << 10;
/// Bytes for each access: the read record, the entry in the store and its chain, the change with its revert.
const ACCESS_BYTES: u64 = 1 << 10;
/// Copies of what is created or logged: in a run, in the bundle, in the result, and one on the way.
const COPIES: u64 = 4;

impl Extent {
    /// Of an attack, with one in `by` of its transactions.
    ///
    /// # Errors
    /// The generator is at fault.
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

    /// Bytes that executing it adds at most, its result included. A run that is discarded leaves nothing behind: of
    /// each transaction the store has one version, so neither their number nor the order of events is in it.
    #[must_use]
    pub const fn most_bytes(self) -> u64 {
        let Self { workers, transactions, accesses, bytes } = self;
        workers as u64 * WORKER_BYTES
            + transactions * TRANSACTION_BYTES
            + accesses * ACCESS_BYTES
            + COPIES * bytes
    }
}

/// Bytes by which executing an attack lets this process grow, its result included; on no worker: sequential revm.
/// `None` where the system does not tell. Call it in a process of its own: see [`peak_of`].
///
/// # Errors
/// It does not execute.
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
