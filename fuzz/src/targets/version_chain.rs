//! Checks operations on the store with every property, against an ordered map.

use arbitrary::{Result, Unstructured};
use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::Entry;
use braid_toy::store::{Amount, Op, Place, Property, Script};

/// Maximum number of operations in a script.
const LONGEST: usize = 160;

pub(super) fn check(bytes: &[u8]) -> core::result::Result<(), String> {
    let script = script(&mut Unstructured::new(bytes));
    Property::ALL.into_iter().try_for_each(|property| {
        let run = script.run(property);
        run.map_err(|broken| format!("{property:?}: {broken}\n{script:#?}"))
    })
}

/// Returns the operations that the bytes represent.
fn script(bytes: &mut Unstructured<'_>) -> Script {
    let shards = if bytes.ratio(1, 2).unwrap_or(false) { 4 } else { 1 };
    let mut ops = Vec::new();
    while ops.len() < LONGEST && !bytes.is_empty() {
        let Ok(op) = op(bytes) else { break };
        ops.push(op);
    }
    Script { shards, ops }
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    Ok(match bytes.int_in_range(0..=31_u8)? {
        0..=9 => Op::Publish(version(bytes)?, place(bytes)?, entry(bytes)?),
        10 | 11 => Op::Credits {
            place: place(bytes)?,
            from: bytes.int_in_range(0..=7)?,
            len: bytes.int_in_range(17..=35)?,
            amount: credit(bytes)?,
        },
        12..=14 => Op::Withdraw(version(bytes)?, place(bytes)?),
        15..=17 => Op::Estimate(version(bytes)?, place(bytes)?),
        18..=25 => {
            let count = bytes.int_in_range(1..=4)?;
            let reader = tx(bytes)?.next();
            Op::Run(reader, (0..count).map(|_| place(bytes)).collect::<Result<_>>()?)
        }
        26 => Op::Crowd { place: place(bytes)?, from: bytes.int_in_range(0..=7)? },
        27 => Op::Seed(place(bytes)?, amount(bytes)?),
        28 => Op::Frontier(TxIndex(bytes.int_in_range(0..=47)?)),
        _ => Op::Check,
    })
}

fn place(bytes: &mut Unstructured<'_>) -> Result<Place> {
    let account = bytes.int_in_range(0..=1)?;
    Ok(match bytes.int_in_range(0..=7_u8)? {
        0..=2 => Place::Balance(account),
        3..=5 => Place::Slot(account, bytes.int_in_range(0..=1)?),
        _ => Place::Life(account),
    })
}

/// Draws a transaction: mostly one of few that conflict often, sometimes one of enough for long
/// folds.
fn tx(bytes: &mut Unstructured<'_>) -> Result<TxIndex> {
    let last = if bytes.ratio(1, 5)? { 47 } else { 7 };
    bytes.int_in_range(0..=last).map(TxIndex)
}

fn version(bytes: &mut Unstructured<'_>) -> Result<Version> {
    Ok(Version { tx: tx(bytes)?, incarnation: Incarnation(bytes.int_in_range(0..=3)?) })
}

fn amount(bytes: &mut Unstructured<'_>) -> Result<Amount> {
    bytes
        .choose(&[
            Amount::Absent,
            Amount::Empty,
            Amount::Number(0),
            Amount::Number(1),
            Amount::Number(200),
        ])
        .copied()
}

fn credit(bytes: &mut Unstructured<'_>) -> Result<u8> {
    bytes.choose(&[0, 1, 100, 200]).copied()
}

fn entry(bytes: &mut Unstructured<'_>) -> Result<Entry<Place>> {
    Ok(match bytes.int_in_range(0..=5_u8)? {
        0 | 1 => Entry::Value(amount(bytes)?),
        2..=4 => Entry::Delta(credit(bytes)?),
        _ => Entry::Tombstone,
    })
}
