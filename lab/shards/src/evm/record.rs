//! Converts a block to an agreed order: a sequential run records the accesses of each transaction.
//! In Calvin, this is the reconnaissance phase; a block that declares the accesses of its
//! transactions needs none.

use super::machine::Evm;
use super::run::{EvmOutput, EvmTx, Kind, Left, Missing, Source, Surroundings, run};
use super::state::{AccountValue, EvmKey, EvmValue};
use crate::machine::Values;
use crate::order::{Entry, ShardId};
use braid_blocks::block::Block;
use braid_blocks::sequential;
use revm::DatabaseRef;
use revm::primitives::{Address, B256, Bytes, U256, address, hardfork::SpecId, keccak256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A block as an order, with the values that it reads from the state before it.
#[derive(Debug)]
pub struct Recorded {
    /// System calls, transactions, system calls, rewards and withdrawals.
    pub entries: Vec<Entry<Evm>>,
    /// Values before the block of all keys that it accesses.
    pub base: Values<Evm>,
    /// Number of entries before the first transaction.
    pub before: usize,
    /// Recipient of the fees.
    pub beneficiary: Address,
    /// Number of transactions.
    pub transactions: usize,
}

impl Recorded {
    /// Returns the accounts of each system call and transaction.
    #[must_use]
    pub fn accounts(&self) -> Vec<Vec<Address>> {
        let account = |key: &EvmKey| match key {
            EvmKey::Account(address) | EvmKey::Slot(address, _) => Some(*address),
            EvmKey::Fees(_) => None,
        };
        let of = |entry: &Entry<Evm>| -> Vec<Address> {
            let keys = entry.reads.union(&entry.writes).filter_map(account);
            keys.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let credits = |entry: &&Entry<Evm>| !matches!(entry.tx.kind, Kind::Credits(_));
        self.entries.iter().filter(credits).map(of).collect()
    }

    /// Takes the entries out, for [`Agreed::new`](crate::Agreed::new).
    pub fn take_entries(&mut self) -> Vec<Entry<Evm>> {
        core::mem::take(&mut self.entries)
    }
}

impl EvmKey {
    /// Returns the shard of the key, given the shard of each account.
    #[must_use]
    pub fn home(&self, home: impl Fn(&Address) -> ShardId) -> ShardId {
        match self {
            Self::Account(address) | Self::Slot(address, _) => home(address),
            Self::Fees(shard) => *shard,
        }
    }
}

/// Hashes an account, to spread accounts evenly over shards.
#[must_use]
pub fn hash(address: &Address) -> u64 {
    let hash = keccak256(address);
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Why a block cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The base state cannot be read.
    #[error("the state before the block cannot be read: {0}")]
    Database(String),
    /// A transaction is invalid.
    #[error("entry {index} of the block is invalid: {why}; shards execute valid blocks only")]
    Invalid {
        /// Index among the entries.
        index: usize,
        /// The reason.
        why: String,
    },
    /// The block applies the DAO fork.
    #[error(
        "the DAO fork, which drains accounts by name, is not executed on shards; leave this block out"
    )]
    DaoFork,
}

/// The state during the recording.
struct World<'a, D> {
    database: &'a D,
    now: Values<Evm>,
    before: Values<Evm>,
    failed: Option<String>,
}

impl<D: DatabaseRef> World<'_, D> {
    fn value(&mut self, key: EvmKey) -> EvmValue {
        if let Some(value) = self.now.get(&key) {
            return value.clone();
        }
        let value = match self.load(key) {
            Ok(value) => value,
            Err(error) => {
                self.failed.get_or_insert(error.to_string());
                EvmValue::Nothing
            }
        };
        self.before.insert(key, value.clone());
        self.now.insert(key, value.clone());
        value
    }

    fn load(&self, key: EvmKey) -> Result<EvmValue, D::Error> {
        Ok(match key {
            EvmKey::Account(address) => {
                let mut info = self.database.basic_ref(address)?;
                if let Some(info) = info.as_mut().filter(|info| info.code.is_none()) {
                    info.code = Some(self.database.code_by_hash_ref(info.code_hash)?);
                }
                info.map_or(EvmValue::Nothing, |info| {
                    EvmValue::Account(AccountValue::new(Some(info)))
                })
            }
            EvmKey::Slot(address, slot) => {
                let value = self.database.storage_ref(address, slot)?;
                if value.is_zero() { EvmValue::Nothing } else { EvmValue::Slot { value, life: 0 } }
            }
            EvmKey::Fees(_) => EvmValue::Nothing,
        })
    }
}

/// Records the reads of one run.
struct Recorder<'w, 'a, D> {
    world: &'w mut World<'a, D>,
    reads: BTreeSet<EvmKey>,
    hashes: BTreeMap<u64, B256>,
}

impl<D: DatabaseRef> Source for Recorder<'_, '_, D> {
    fn value(&mut self, key: EvmKey) -> Result<EvmValue, Missing> {
        self.reads.insert(key);
        Ok(self.world.value(key))
    }

    fn hash(&mut self, number: u64) -> B256 {
        let hash = self.world.database.block_hash_ref(number);
        let hash = hash.unwrap_or_else(|error| {
            self.world.failed.get_or_insert(error.to_string());
            B256::ZERO
        });
        self.hashes.insert(number, hash);
        hash
    }
}

/// Runs `block` on `database` and records its accesses. `home` maps accounts to one of `shards`
/// shards.
///
/// # Errors
/// Returns the reason why the block cannot be recorded.
pub fn record<D: DatabaseRef>(
    block: &Block,
    database: &D,
    shards: u16,
    home: impl Fn(&Address) -> ShardId,
) -> Result<Recorded, RecordError> {
    if block.rules.dao_fork {
        return Err(RecordError::DaoFork);
    }
    let (cfg, env) = (block.cfg.clone(), block.env.clone());
    let (beneficiary, around) = (env.beneficiary, Arc::new(Surroundings { cfg, env, shards }));
    let (before, after) = calls(block);
    let call = |(contract, data)| Kind::SystemCall(contract, data);
    let tx = |tx: &revm::context::TxEnv| Kind::Tx {
        fees: Some(home(&tx.caller)),
        tx: Box::new(tx.clone()),
    };
    let counts = (before.len(), block.transactions.len());
    let kinds = before.into_iter().map(call).chain(block.transactions.iter().map(tx));
    let credits = Kind::Credits(sequential::increments(block).into_iter().collect());
    let kinds = kinds.chain(after.into_iter().map(call)).chain([credits]);

    let (now, old) = (Values::<Evm>::new(), Values::<Evm>::new());
    let mut world = World { database, now, before: old, failed: None };
    let mut entries = Vec::new();
    for (index, kind) in kinds.enumerate() {
        let tx = EvmTx { kind, around: Arc::clone(&around), hashes: BTreeMap::new() };
        let entry = record_one(&mut world, tx, index)?;
        if let Some(error) = world.failed.take() {
            return Err(RecordError::Database(error));
        }
        entries.push(entry);
    }
    let base = world.before;
    Ok(Recorded { entries, base, before: counts.0, beneficiary, transactions: counts.1 })
}

/// Returns whether the beneficiary receives nothing and is empty or absent, so that the touch may
/// delete or create it.
fn touches_empty<D: DatabaseRef>(
    world: &mut World<'_, D>,
    left: &Left,
    beneficiary: Address,
) -> bool {
    if left.deltas.iter().any(|(key, _)| matches!(key, EvmKey::Fees(_))) {
        return false;
    }
    let fees = world.now.values().map(EvmValue::fees);
    let fees = fees.fold(U256::ZERO, U256::wrapping_add);
    let account = world.value(EvmKey::Account(beneficiary)).account();
    account.info(fees).is_none_or(|info| info.is_empty())
}

fn record_one<D: DatabaseRef>(
    world: &mut World<'_, D>,
    mut tx: EvmTx,
    index: usize,
) -> Result<Entry<Evm>, RecordError> {
    let invalid = |why: String| RecordError::Invalid { index, why };
    let attempt = |world: &mut World<'_, D>, tx: &EvmTx| {
        let mut recorder = Recorder { world, reads: BTreeSet::new(), hashes: BTreeMap::new() };
        let left = run(tx, &mut recorder).map_err(|missing| invalid(missing.to_string()))?;
        Ok((left, recorder.reads, recorder.hashes))
    };
    let beneficiary = tx.around.env.beneficiary;
    let (mut left, mut reads, mut hashes) = attempt(world, &tx)?;
    if let (Kind::Tx { fees, .. }, true) =
        (&mut tx.kind, left.accesses_beneficiary || touches_empty(world, &left, beneficiary))
    {
        *fees = None;
        (left, reads, hashes) = attempt(world, &tx)?;
    }
    let Left { output, writes, deltas, .. } = left;
    if let EvmOutput::Refused(why) = output {
        return Err(invalid(why));
    }
    let keys = writes.iter().map(|(key, _)| *key).chain(deltas.iter().map(|(key, _)| *key));
    let declared = keys.collect();
    for (key, value) in writes {
        // The value before must be in the base even if nothing has read it.
        world.value(key);
        world.now.insert(key, value);
    }
    for (key, delta) in deltas {
        let mut value = world.value(key);
        delta.add_to(&mut value);
        world.now.insert(key, value);
    }
    tx.hashes = hashes;
    Ok(Entry { tx, reads, writes: declared })
}

/// Predeploys of EIP-8282, in call order.
const BUILDER_REQUESTS: [Address; 2] = [
    address!("0000BFF46984E3725691FA540A8C7589300D8282"),
    address!("000064D678505AD48F8CCB093BC65813600E8282"),
];

/// Calls of system contracts, each with its data.
type Calls = Vec<(Address, Bytes)>;

/// Returns the calls before and after the transactions.
fn calls(block: &Block) -> (Calls, Calls) {
    use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
    let (mut before, mut after) = (Calls::new(), Calls::new());
    if !block.rules.system_calls || block.env.number.is_zero() {
        return (before, after);
    }
    let spec = block.cfg.spec;
    if spec.is_enabled_in(SpecId::PRAGUE) {
        before.push((eip2935::HISTORY_STORAGE_ADDRESS, block.parent_hash.0.into()));
    }
    if block.rules.requests && spec.is_enabled_in(SpecId::PRAGUE) {
        after.push((eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, Bytes::new()));
        after.push((eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, Bytes::new()));
    }
    if block.rules.requests && spec.is_enabled_in(SpecId::AMSTERDAM) {
        after.extend(BUILDER_REQUESTS.map(|contract| (contract, Bytes::new())));
    }
    if let Some(root) =
        block.parent_beacon_block_root.filter(|_| spec.is_enabled_in(SpecId::CANCUN))
    {
        before.push((eip4788::BEACON_ROOTS_ADDRESS, root.0.into()));
    }
    (before, after)
}
