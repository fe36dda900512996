//! Export of the state as a genesis file in geth's format, and of blocks in RLP.

use crate::{AccountRecord, Snapshot, StateReader, StoreError, genesis};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, hex};
use core::ops::RangeInclusive;
use std::io::{self, Write};
use thiserror::Error;

/// Progress of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Number of accounts written.
    pub accounts: u64,
    /// Number of slots written; zero slots are not stored.
    pub slots: u64,
}

/// Progress of an export of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportedBlocks {
    /// Number of blocks written.
    pub blocks: u64,
    /// Number of bytes written.
    pub bytes: u64,
}

/// Reason why the state or blocks could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The header of the last block is unknown, and so are the number and time that determine the
    /// rules of the next block.
    #[error(
        "the chain does not hold the header of its last block {number}, whose number, time and base fee belong into \
         the file; execute one more block, or run `braid-node unwind` to the first block"
    )]
    NoHeader {
        /// Number of the block.
        number: u64,
    },
    /// The block's transactions are not kept.
    #[error(
        "the chain does not hold block {number} with its transactions: it is older than `--history` keeps, or came \
         from a block file; begin with a later block"
    )]
    NoBlock {
        /// Number of the block.
        number: u64,
    },
    /// The output returned an error.
    #[error(
        "the output cannot be written: {0}; what is there is incomplete: free space, or choose another place"
    )]
    Output(#[from] io::Error),
}

/// Writes the state of `reader` as a genesis file in geth's format: the configuration that the
/// chain began with, and the current accounts as `alloc`. Number, time, base fee, gas limit and
/// difficulty are those of the last block, so a chain that begins with this file continues under
/// the same rules. It has the same state and state root, but its first block is not the last block
/// of `reader`.
///
/// Only one account and one slot are in memory at a time; `progress` is called after each of them.
///
/// # Errors
/// The header of the last block is unknown, or the store or the output failed. The output is then
/// not a valid genesis file.
pub fn export<S: Snapshot>(
    reader: &StateReader<S>,
    out: &mut impl Write,
    progress: impl FnMut(Exported),
) -> Result<Exported, ExportError> {
    let fields = genesis::encode(&after(reader)?)?;
    // The stored genesis has no accounts, and an empty `alloc`, which is skipped below.
    let fields: serde_json::Map<_, _> = serde_json::from_slice(&fields).map_err(io::Error::from)?;
    out.write_all(b"{\n")?;
    for (name, value) in fields.iter().filter(|(name, _)| *name != "alloc") {
        writeln!(out, "\"{name}\": {value},")?;
    }
    out.write_all(b"\"alloc\": {")?;
    let mut alloc = Alloc { reader, out, progress, exported: Exported::default() };
    for entry in reader.accounts() {
        let (address, account) = entry?;
        if account == AccountRecord::empty() && mutant!(EmptyAccountUnexported) {
            continue;
        }
        alloc.account(address, account)?;
    }
    alloc.out.write_all(b"\n}\n}\n")?;
    Ok(alloc.exported)
}

/// Writes the blocks with these numbers in RLP, one after the other, as `geth export` does.
///
/// Only one block is in memory at a time; `progress` is called after each of them.
///
/// # Errors
/// A block is not kept with its transactions, or the store or the output failed. The output then
/// has the blocks before that one.
pub fn export_blocks<S: Snapshot>(
    reader: &StateReader<S>,
    numbers: RangeInclusive<u64>,
    out: &mut impl Write,
    mut progress: impl FnMut(ExportedBlocks),
) -> Result<ExportedBlocks, ExportError> {
    let mut exported = ExportedBlocks::default();
    for number in numbers {
        let block = reader.block(number)?.ok_or(ExportError::NoBlock { number })?;
        out.write_all(&block)?;
        exported.blocks = exported.blocks.saturating_add(1);
        exported.bytes = exported.bytes.saturating_add(block.len() as u64);
        progress(exported);
    }
    Ok(exported)
}

/// Returns the genesis of the chain, with the header fields of its last block.
fn after<S: Snapshot>(reader: &StateReader<S>) -> Result<Genesis, ExportError> {
    let genesis = genesis::decode(&reader.genesis()?)?;
    let head = reader.head();
    let is_first = match reader.first_block()? {
        Some(first) => first.head == head,
        None => genesis::header(&genesis).number == head.number,
    };
    if is_first {
        return Ok(genesis);
    }
    let header = reader.header()?.ok_or(ExportError::NoHeader { number: head.number })?;
    Ok(Genesis {
        number: Some(header.number),
        timestamp: header.timestamp,
        parent_hash: Some(header.parent_hash),
        gas_limit: header.gas_limit,
        difficulty: header.difficulty,
        mix_hash: header.mix_hash,
        base_fee_per_gas: header.base_fee_per_gas.map(u128::from),
        blob_gas_used: header.blob_gas_used,
        excess_blob_gas: header.excess_blob_gas,
        ..genesis
    })
}

/// Writes the accounts.
struct Alloc<'a, S, W, P> {
    reader: &'a StateReader<S>,
    out: &'a mut W,
    progress: P,
    exported: Exported,
}

impl<S: Snapshot, W: Write, P: FnMut(Exported)> Alloc<'_, S, W, P> {
    fn account(&mut self, address: Address, account: AccountRecord) -> Result<(), ExportError> {
        let AccountRecord { nonce, balance, code_hash } = account;
        let nonce = if mutant!(ExportedNonceLost) { 0 } else { nonce };
        let balance = match mutant!(LargeBalanceCut) {
            true => balance.min(U256::from(u128::MAX)),
            false => balance,
        };
        let comma = if self.exported.accounts == 0 { "" } else { "," };
        write!(
            self.out,
            "{comma}\n\"{address:#x}\": {{\"nonce\": \"{nonce:#x}\", \"balance\": \"{balance:#x}\""
        )?;
        if code_hash != KECCAK256_EMPTY {
            let code = self.reader.code(code_hash)?;
            write!(self.out, ", \"code\": \"{}\"", hex::encode_prefixed(code))?;
        }
        let mut comma = ", \"storage\": {";
        let mut end = "}";
        for slot in self.reader.slots(address) {
            let (slot, value) = slot?;
            let (slot, value) = (B256::from(slot), B256::from(value));
            write!(self.out, "{comma}\n  \"{slot:#x}\": \"{value:#x}\"")?;
            (comma, end) = (",", "}}");
            self.exported.slots = self.exported.slots.saturating_add(1);
            (self.progress)(self.exported);
        }
        self.out.write_all(end.as_bytes())?;
        self.exported.accounts = self.exported.accounts.saturating_add(1);
        (self.progress)(self.exported);
        Ok(())
    }
}
