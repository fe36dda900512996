//! Twists that a block does not contain itself: an unwritten parent, a surcharge and a precompile,
//! and failing databases. The last two bytes of an input select one.

use crate::faulty::{Fault, Faults, Faulty, Unreadable};
use crate::hooked::Read;
use crate::lineup::{SETTINGS, listing};
use crate::memory::MemoryDatabase;
use crate::oracle::{Expected, compare_prefix};
use crate::own::{Publishing, Teller};
use crate::plain::{self, Own};
use alloy_primitives::{Address, U256};
use braid_evm::ids::WorkerId;
use braid_evm::mutants::{Bug, active, seed};
use braid_evm::{
    Block, BlockErrorKind, BlockPosition, Cloned, Executor, Mode, Policy, StateSource,
};
use revm::context::TxEnv;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Settings under which each block is executed: on one worker, forced to speculate, and with the
/// default strategy.
const WAYS: [(u16, Policy); 3] = [SETTINGS[0], SETTINGS[3], (2, Policy::Auto)];

/// Number of transactions of a block whose bundle several workers build.
const MANY: usize = 40;

/// Checks `block` with the twist that the last bytes of `input` select.
pub(super) fn check(block: &Block, database: &MemoryDatabase, input: &[u8]) -> Result<(), String> {
    // On threads, a bug of the engine may keep a block from ending.
    let _bug = seed(active().filter(|bug| Bug::EVM.contains(bug)));
    let mut last = input.iter().rev().copied().chain([0, 0]);
    let (Some(kind), Some(choice)) = (last.next(), last.next()) else { return Ok(()) };
    let checked = match kind % 4 {
        0 => unreadable(block, database, choice),
        1 => unopened(block, database, choice),
        _ => own(block, database, kind, choice),
    };
    checked.map_err(|wrong| format!("twist {kind} {choice}, {:?}: {wrong}", block.cfg.spec))
}

fn new_executor((workers, policy): (u16, Policy), mode: Mode) -> Executor {
    listing(workers, policy, mode)
}

/// A location read by sequential execution is unreadable: the same error must occur at the same
/// transaction.
fn unreadable(block: &Block, database: &MemoryDatabase, choice: u8) -> Result<(), String> {
    let mode = if choice.is_multiple_of(2) { Mode::Validate } else { Mode::Build };
    let Some(at) = unreadable_place(block, mode, database, choice / 2) else { return Ok(()) };
    let faulty = Fault::At(at).of(database.clone());
    let expected = Expected::new(block, mode, &faulty);
    WAYS.into_iter().try_for_each(|way| {
        let found = new_executor(way, mode).block(block.clone()).database(faulty.clone()).execute();
        expected.compare_with_list(&found, true).map_err(|wrong| format!("{way:?}: {wrong}"))
    })
}

/// Returns a location that sequential execution reads; `choice` selects it.
pub(super) fn unreadable_place(
    block: &Block,
    mode: Mode,
    database: &MemoryDatabase,
    choice: u8,
) -> Option<Read> {
    let reads = Faults::new(Fault::Never);
    drop(Expected::new(block, mode, &reads.of(database.clone())));
    let asked: Vec<Read> = reads.asked().into_iter().collect();
    asked.get(usize::from(choice) % asked.len().max(1)).copied()
}

/// A source that opens a limited number of handles.
#[derive(Debug)]
struct Opens {
    database: MemoryDatabase,
    left: AtomicU64,
}

impl StateSource for Opens {
    type State = Faulty<MemoryDatabase>;

    fn open(&self, _: WorkerId) -> Result<Self::State, Unreadable> {
        let take = |left: u64| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        left.map_err(|_| Unreadable(Read::BlockHash(0)))?;
        Ok(Fault::Never.of(self.database.clone()))
    }
}

/// Handles stop opening at some time: the result must be right, or that error with the transactions
/// committed before.
fn unopened(block: &Block, database: &MemoryDatabase, choice: u8) -> Result<(), String> {
    let opens = u64::from(choice % 5);
    let expected = Expected::new(block, Mode::Build, &Fault::Never.of(database.clone()));
    WAYS.into_iter().try_for_each(|way| {
        let source = Opens { database: database.clone(), left: AtomicU64::new(opens) };
        let found = new_executor(way, Mode::Build).block(block.clone()).state(source).execute();
        let checked = match &found {
            Err(error) if matches!(error.kind, BlockErrorKind::Base(_)) => match error.at {
                BlockPosition::PreBlock if opens > 0 => Err("it could be opened".into()),
                BlockPosition::PreBlock => Ok(()),
                _ if opens == 0 => Err(format!("it could not be opened, and found {error}")),
                _ => compare_prefix(block, Mode::Build, database, &error.committed, true),
            },
            _ => expected.compare_with_list(&found, true),
        };
        checked.map_err(|wrong| format!("{way:?}, {opens} handles: {wrong}"))
    })
}

/// Checks the transactions alone, in two blocks, the second on the bundle of the first, or repeated
/// in one block, with a surcharge or a precompile.
fn own(block: &Block, database: &MemoryDatabase, kind: u8, choice: u8) -> Result<(), String> {
    let block = plain::bare(block);
    let mut own = extras(&block, kind, choice);
    let (surcharge, precompile) = (own.surcharge, own.precompile);
    let halves = if choice & 4 == 0 { halved(block) } else { vec![repeated(block)] };
    let mut executors = WAYS.map(|way| with(new_executor(way, Mode::Build), &own));
    for (half, block) in halves.into_iter().map(Arc::new).enumerate() {
        let expected = plain::build(&block, database, &own);
        for (executor, way) in executors.iter_mut().zip(WAYS) {
            let source = Cloned(database.clone());
            let found = match own.parent.clone() {
                None => executor.block(Arc::clone(&block)).state(source).execute(),
                Some(parent) => {
                    executor.block(Arc::clone(&block)).state(source).parent(parent).execute()
                }
            };
            plain::compare(&expected, &found).map_err(|wrong| {
                format!("block {half}, {way:?}: {wrong}\n{surcharge:?}, {precompile:?}")
            })?;
        }
        own.parent = Some(expected.bundle);
    }
    Ok(())
}

/// Returns the surcharge and the precompile that `kind` and `choice` select.
pub(super) fn extras(block: &Block, kind: u8, choice: u8) -> Own {
    let precompile = (choice & 1 == 1).then(|| {
        let at = match choice >> 5 {
            // One of the accounts that contracts call, or one of Ethereum's precompiles.
            at @ 0..=2 => Address::repeat_byte(0xe0 + at),
            at => Address::with_last_byte(at - 2),
        };
        let of = (choice & 24 != 0).then(|| Address::repeat_byte(0xdf + (choice >> 3 & 3)));
        Teller { at, of }
    });
    let surcharge = (choice & 2 == 2).then(|| {
        let vault = match kind >> 2 & 3 {
            0 => Address::repeat_byte(0xfe),
            1 => block.transactions.first().map_or(Address::ZERO, |tx| tx.caller),
            2 => Address::repeat_byte(0xc0),
            _ => block.env.beneficiary,
        };
        Publishing { vault, per_byte: 7 }
    });
    Own { parent: None, surcharge, precompile }
}

/// Splits a block into two, with half of the transactions each.
pub(super) fn halved(mut block: Block) -> Vec<Block> {
    let mut second = block.clone();
    second.transactions = block.transactions.split_off(block.transactions.len() / 2);
    second.env.number += U256::ONE;
    vec![block, second]
}

/// Repeats the transactions with consecutive nonces.
pub(super) fn repeated(mut block: Block) -> Block {
    let once = block.transactions.clone();
    let mut nonces: BTreeMap<Address, u64> =
        once.iter().map(|tx| (tx.caller, tx.nonce.saturating_add(1))).collect();
    for tx in once.iter().cycle().take(MANY.saturating_sub(once.len())) {
        let nonce = nonces.entry(tx.caller).or_default();
        block.transactions.push(TxEnv { nonce: *nonce, ..tx.clone() });
        *nonce = nonce.saturating_add(1);
    }
    block
}

/// Adds the chain's extensions to the executor.
fn with(mut executor: Executor, own: &Own) -> Executor {
    if let Some(surcharge) = own.surcharge {
        executor = executor.with_surcharge(Arc::new(surcharge));
    }
    match own.precompile {
        Some(teller) => executor.with_precompiles(vec![Arc::new(teller)]),
        None => executor,
    }
}
