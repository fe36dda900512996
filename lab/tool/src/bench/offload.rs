//! The part of a block that hardware other than the processor could compute: hashes and
//! precompiles.
//!
//! The block is executed with an inspector that records the inputs. The same hashes and precompiles
//! are then timed alone, and so is the block, executed sequentially. The difference is the block's
//! time if they took no time at all: an upper bound on what any such hardware can save, before the
//! time that moving inputs and results takes.

use alloy_primitives::{Address, Bytes, keccak256};
use braid_blocks::{block::Block, block_file::FileDatabase, timing::Pauses};
use braid_cli::bench::sequential;
use braid_evm::{BlockOutput, Cloned, Config, Executor, TxIndex};
use core::{hint::black_box, num::NonZeroU16};
use revm::{
    Inspector,
    bytecode::opcode,
    context::ContextTr,
    interpreter::{
        CallInputs, CallOutcome, Interpreter,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, MemoryTr},
    },
    precompile::{PrecompileSpecId, Precompiles},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Gas of a hash, and of each word of its input.
const HASH_GAS: [u64; 2] = [30, 6];

/// Totals of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Number of calls.
    pub calls: u64,
    /// Bytes of their inputs.
    pub bytes: u64,
    /// Gas charged for the calls.
    pub gas: u64,
    /// Time of the calls in sequence.
    pub time: Duration,
}

impl Part {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.bytes += other.bytes;
        self.gas += other.gas;
        self.time += other.time;
    }
}

/// Work that one or several blocks could offload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Gas of all transactions.
    pub gas: u64,
    /// Time of sequential execution.
    pub time: Duration,
    /// The KECCAK256 instruction.
    pub keccak: Part,
    /// Precompiles, by address.
    pub precompiles: BTreeMap<Address, Part>,
}

impl Offload {
    /// Returns the total of all work that could be offloaded.
    #[must_use]
    pub fn all(&self) -> Part {
        let mut all = self.keccak;
        self.precompiles.values().for_each(|part| all.add(*part));
        all
    }

    /// Adds another block.
    pub fn add(&mut self, other: &Self) {
        self.gas += other.gas;
        self.time += other.time;
        self.keccak.add(other.keccak);
        for (address, part) in &other.precompiles {
            self.precompiles.entry(*address).or_default().add(*part);
        }
    }

    /// Returns the upper bound on the speed-up if `part` takes no time.
    #[must_use]
    pub fn limit(&self, part: Part) -> f64 {
        let left = self.time.saturating_sub(part.time).as_secs_f64();
        self.time.as_secs_f64() / left.max(f64::MIN_POSITIVE)
    }
}

/// Inputs of hashes and precompiles.
#[derive(Debug, Default)]
struct Inputs {
    hashes: Vec<Vec<u8>>,
    calls: Vec<(Address, Bytes, u64)>,
}

/// Inspector that records the inputs.
struct Note<'p> {
    precompiles: &'p Precompiles,
    inputs: &'p mut Inputs,
}

impl<C: ContextTr> Inspector<C, EthInterpreter> for Note<'_> {
    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, _: &mut C) {
        if interpreter.bytecode.opcode() != opcode::KECCAK256 {
            return;
        }
        let word = |index| interpreter.stack.peek(index).unwrap_or_default();
        let (offset, size) = (word(0).saturating_to::<usize>(), word(1).saturating_to::<usize>());
        // Memory beyond the end reads as zero. A size that cannot be paid for ends the frame.
        let held = interpreter.memory.size().saturating_sub(offset).min(size);
        let is_paid = (size as u64 / 32).saturating_mul(HASH_GAS[1]) <= interpreter.gas.remaining();
        if is_paid {
            let mut input = vec![0; size];
            if held > 0 {
                input[..held].copy_from_slice(&interpreter.memory.slice_len(offset, held));
            }
            self.inputs.hashes.push(input);
        }
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if self.precompiles.contains(&inputs.bytecode_address) {
            let input = Bytes::copy_from_slice(&inputs.input.as_bytes(context));
            self.inputs.calls.push((inputs.bytecode_address, input, inputs.gas_limit));
        }
        None
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OffloadError(String);

/// Measures the work that `block` could offload. Each time is the shortest of `rounds`.
///
/// # Errors
/// Returns an error if the block does not execute.
pub fn offload(
    block: &Block,
    database: &FileDatabase,
    rounds: u32,
) -> Result<Offload, OffloadError> {
    let failed = |error: &dyn core::fmt::Display| OffloadError(error.to_string());
    let mut config = Config::with_workers(NonZeroU16::MIN);
    config.keep_changes = true;
    let mut executor = Executor::new(config).map_err(|error| failed(&error))?;
    let output = executor.block(braid_evm::Block::from(block)).database(database.clone()).execute();
    let output = output.map_err(|error| failed(&error))?;
    let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(block.cfg.spec));
    let inputs = inputs(block, database, &output, precompiles)?;
    let mut found = Offload { gas: output.gas_used, time: Duration::MAX, ..Offload::default() };
    for _ in 0..rounds.max(1) {
        let whole = sequential(block, database.clone(), Pauses::default()).wall;
        found.time = found.time.min(whole);
        shortest(&mut found, measured(&inputs, precompiles));
    }
    Ok(found)
}

fn inputs(
    block: &Block,
    database: &FileDatabase,
    output: &BlockOutput,
    precompiles: &Precompiles,
) -> Result<Inputs, OffloadError> {
    let mut inputs = Inputs::default();
    for index in 0..block.transactions.len() {
        let tx = TxIndex(u32::try_from(index).unwrap_or(u32::MAX));
        let note = Note { precompiles, inputs: &mut inputs };
        let again = output.replay(tx, Cloned(database.clone()), note);
        again.map_err(|error| OffloadError(error.to_string()))?;
    }
    Ok(inputs)
}

/// Keeps the shorter times.
fn shortest(found: &mut Offload, round: (Part, BTreeMap<Address, Part>)) {
    let keep = |kept: &mut Part, new: Part| {
        let time = if kept.calls == 0 { new.time } else { kept.time.min(new.time) };
        *kept = Part { time, ..new };
    };
    keep(&mut found.keccak, round.0);
    for (address, part) in round.1 {
        keep(found.precompiles.entry(address).or_default(), part);
    }
}

/// Computes all inputs once.
fn measured(inputs: &Inputs, precompiles: &Precompiles) -> (Part, BTreeMap<Address, Part>) {
    let mut keccak = Part::default();
    let begun = Instant::now();
    for input in &inputs.hashes {
        black_box(keccak256(black_box(input)));
    }
    keccak.time = begun.elapsed();
    for input in &inputs.hashes {
        let words = input.len().div_ceil(32) as u64;
        let gas = HASH_GAS[0] + HASH_GAS[1] * words;
        keccak.add(Part { calls: 1, bytes: input.len() as u64, gas, time: Duration::ZERO });
    }
    let mut parts: BTreeMap<Address, Part> = BTreeMap::new();
    for (address, input, limit) in &inputs.calls {
        let Some(precompile) = precompiles.get(address) else { continue };
        let begun = Instant::now();
        let ended = black_box(precompile.execute(black_box(input), *limit, 0));
        let time = begun.elapsed();
        let gas = ended.map_or(0, |output| output.gas_used);
        let part = Part { calls: 1, bytes: input.len() as u64, gas, time };
        parts.entry(*address).or_default().add(part);
    }
    (keccak, parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::{Attack, Preset};

    #[test]
    fn hashes_and_precompiles_are_counted() {
        let staged = Attack::Mispriced.stage(100, 1).unwrap();
        let found = offload(&staged.block, &staged.database, 1).unwrap();
        // Every other one of four transactions multiplies 40 times, 96 bytes at a time, for 6,000
        // gas each.
        let multiply = Address::with_last_byte(7);
        let part = found.precompiles[&multiply];
        assert_eq!((part.calls, part.bytes, part.gas), (80, 80 * 96, 80 * 6_000));
        assert_eq!(found.precompiles.len(), 1);
        assert!(part.time > Duration::ZERO && found.time > Duration::ZERO);
        assert!(found.limit(found.all()) > 1.0);

        let (block, database) = Preset::Erc20.block(10, 1).unwrap().to_block().unwrap();
        let found = offload(&block, &database, 1).unwrap();
        // The balance slots of both parties, at least, are hashes of two words.
        assert!(found.keccak.calls >= 20 && found.keccak.bytes >= 20 * 64, "{found:?}");
        assert_eq!(found.keccak.gas, found.keccak.calls * 42, "{found:?}");
        assert!(found.precompiles.is_empty());
    }

    #[test]
    fn sums_and_limits_are_those_of_the_parts() {
        let part = |calls, time| Part {
            calls,
            bytes: 2 * calls,
            gas: 3 * calls,
            time: Duration::from_millis(time),
        };
        let mut found = Offload { gas: 10, time: Duration::from_millis(100), ..Offload::default() };
        found.keccak = part(1, 20);
        found.precompiles.insert(Address::ZERO, part(2, 30));
        assert_eq!(found.all(), part(3, 50));
        assert!((found.limit(found.all()) - 2.0).abs() < 1e-9);
        assert!((found.limit(found.keccak) - 1.25).abs() < 1e-9);
        found.add(&found.clone());
        assert_eq!((found.gas, found.all()), (20, part(6, 100)));
    }
}
