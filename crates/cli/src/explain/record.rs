//! Records what each transaction reads and writes in a sequential run with plain revm.
//!
//! The run shares no code with the parallel engine. A transaction reads a location if its result
//! depends on the value, and writes it if it changes the value. Fees to the beneficiary do not
//! count as writes; nor do they count as reads of a transaction that reads the beneficiary's
//! balance, because the engine defers them.

use super::{
    location::Location,
    names::Names,
    preimages::Preimages,
    watch::{Load, Site, Tape, Watch},
};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use braid_blocks::block::Block;
use core::mem;
use revm::{
    Context, DatabaseCommit, DatabaseRef, ExecuteEvm, InspectEvm, MainBuilder, MainContext,
    MainnetEvm, SystemCallCommitEvm,
    context::{BlockEnv, CfgEnv, Journal, TxEnv, result::ExecutionResult},
    context_interface::transaction::{AuthorizationTr, Transaction as _},
    primitives::hardfork::SpecId,
    state::{Account, EvmState},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use thiserror::Error;

/// A recorded block.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Transactions, in block order.
    pub transactions: Vec<Recorded>,
    /// Inputs of the hashes that were computed.
    pub preimages: Preimages,
    /// Whether times were measured; otherwise all times are 0.
    pub timed: bool,
    /// Names from compilers, if there are any.
    pub names: Names,
}

/// A recorded transaction.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Account that pays for it.
    pub sender: Address,
    /// Account that it calls; `None` if it creates a contract.
    pub callee: Option<Address>,
    /// First four bytes of its input, if the input has at least four.
    pub selector: Option<[u8; 4]>,
    /// Gas used.
    pub gas: u64,
    /// Time of the execution, without commit.
    pub time: Duration,
    /// Locations that it read or wrote, in order.
    pub accesses: Vec<Access>,
    /// Contracts that were called during the transaction, with the first four bytes of the input;
    /// without duplicates.
    pub calls: Vec<(Address, [u8; 4])>,
    /// Its logs.
    pub logs: Vec<Log>,
    /// Whether it read the beneficiary's balance, and thus the fees of all transactions before.
    pub reads_fees: bool,
    /// Accesses of contracts to their own slots, ether and nonces, without duplicates.
    pub sites: Vec<Site>,
}

/// An access of a transaction to a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The location.
    pub location: Location,
    /// Gas that the transaction's code had spent before the first access, without the intrinsic
    /// gas.
    pub gas: u64,
    /// Time from the start of the transaction to the first access.
    pub time: Duration,
    /// Values before and after, if they differ. For code, the hashes.
    pub written: Option<(U256, U256)>,
}

/// Why a block could not be recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A system call before the first transaction failed.
    #[error("before the first transaction: {0}")]
    PreBlock(String),
    /// A transaction is invalid, or its state is missing.
    #[error("transaction {index}: {reason}")]
    Transaction {
        /// Index of the transaction.
        index: usize,
        /// The error.
        reason: String,
    },
}

type Journaled<D> = Context<BlockEnv, TxEnv, CfgEnv, Tape<D>, Journal<Tape<D>>, ()>;
type Evm<D> = MainnetEvm<Journaled<D>, Watch>;

/// Runs `block` on `database` once to record the accesses, and then `rounds` times to measure; the
/// fastest round of each transaction counts.
///
/// # Errors
/// Returns an error if the block is invalid or the database fails.
pub fn record<D: DatabaseRef + Clone>(
    block: &Block,
    database: &D,
    rounds: u32,
) -> Result<Recording, RecordError> {
    let mut recording = seen(block, database.clone())?;
    recording.timed = rounds > 0;
    for round in 0..rounds {
        let mut run = begin(block, database.clone())?;
        for (index, recorded) in recording.transactions.iter_mut().enumerate() {
            run.ctx.journaled_state.database.begin();
            let executed = run.transact(block.transactions[index].clone());
            let took = run.ctx.journaled_state.database.elapsed();
            let executed = executed.map_err(|error| failed(index, &error))?;
            if round == 0 || took < recorded.time {
                recorded.time = took;
                let loads = first_loads(&run.ctx.journaled_state.database.loads);
                for access in &mut recorded.accesses {
                    let load = loads.get(&loaded(&access.location));
                    access.time = load.map_or(Duration::ZERO, |load| load.time).min(took);
                }
            }
            run.ctx.journaled_state.database.commit(executed.state);
        }
    }
    Ok(recording)
}

fn failed(index: usize, reason: &dyn core::fmt::Display) -> RecordError {
    RecordError::Transaction { index, reason: reason.to_string() }
}

/// Creates the state before the first transaction and an EVM on it.
fn begin<D: DatabaseRef>(block: &Block, database: D) -> Result<Evm<D>, RecordError> {
    let mut tape = Tape::new(database);
    let fails = |error: String| RecordError::PreBlock(error);
    if block.rules.dao_fork {
        let mut moved = U256::ZERO;
        for account in DAO_HARDFORK_ACCOUNTS {
            let account = tape.state.load_account(account);
            let info = &mut account.map_err(|error| fails(error.to_string()))?.info;
            moved += mem::take(&mut info.balance);
        }
        let receiver = tape.state.load_account(DAO_HARDFORK_BENEFICIARY);
        receiver.map_err(|error| fails(error.to_string()))?.info.balance += moved;
    }
    let mut evm = Context::mainnet()
        .with_db(tape)
        .with_cfg(block.cfg.clone())
        .with_block(block.env.clone())
        .build_mainnet_with_inspector(Watch::default());
    let spec = block.cfg.spec;
    let mut calls: Vec<(Address, Bytes)> = Vec::new();
    if block.rules.system_calls && spec.is_enabled_in(SpecId::PRAGUE) {
        calls.push((HISTORY_STORAGE_ADDRESS, block.parent_hash.0.into()));
    }
    if let Some(root) = block.parent_beacon_block_root
        && block.rules.system_calls
        && spec.is_enabled_in(SpecId::CANCUN)
    {
        calls.push((BEACON_ROOTS_ADDRESS, root.0.into()));
    }
    for (contract, input) in calls {
        evm.system_call_commit(contract, input).map_err(|error| fails(error.to_string()))?;
    }
    Ok(evm)
}

/// Records everything but times.
fn seen<D: DatabaseRef>(block: &Block, database: D) -> Result<Recording, RecordError> {
    let mut evm = begin(block, database)?;
    let mut transactions = Vec::with_capacity(block.transactions.len());
    for (index, transaction) in block.transactions.iter().enumerate() {
        evm.ctx.journaled_state.database.begin();
        evm.inspector.begin();
        let executed = evm.inspect_tx(transaction.clone());
        let executed = executed.map_err(|error| failed(index, &error))?;
        let tape = &mut evm.ctx.journaled_state.database;
        let seen = Seen {
            transaction,
            env: &block.env,
            spec: block.cfg.spec,
            result: executed.result,
            state: &executed.state,
            loads: first_loads(&tape.loads),
            watch: &mut evm.inspector,
        };
        transactions.push(seen.recorded());
        tape.commit(executed.state);
    }
    let preimages = mem::take(&mut evm.inspector.preimages);
    Ok(Recording { transactions, preimages, ..Recording::default() })
}

/// A database read: an account, or one of its slots.
type Loaded = (Address, Option<U256>);

fn loaded(location: &Location) -> Loaded {
    match location {
        Location::Slot(account, slot) => (*account, Some(*slot)),
        other => (other.account(), None),
    }
}

fn first_loads(loads: &[Load]) -> HashMap<Loaded, Load> {
    let mut first = HashMap::with_capacity(loads.len());
    for load in loads {
        first.entry((load.account, load.slot)).or_insert(*load);
    }
    first
}

/// A transaction that has run, before its changes are committed.
struct Seen<'a> {
    transaction: &'a TxEnv,
    env: &'a BlockEnv,
    spec: SpecId,
    result: ExecutionResult,
    state: &'a EvmState,
    loads: HashMap<Loaded, Load>,
    watch: &'a mut Watch,
}

impl Seen<'_> {
    fn recorded(self) -> Recorded {
        let tx = self.transaction;
        let gas = self.result.tx_gas_used();
        let beneficiary = self.env.beneficiary;
        self.watch.balances.push(tx.caller);
        self.watch.nonces.push(tx.caller);
        self.watch.codes.push(tx.caller);
        for authorization in tx.authorization_list() {
            let authority = authorization.authority();
            self.watch.nonces.extend(authority);
            self.watch.codes.extend(authority);
        }
        let mut calls = mem::take(&mut self.watch.calls);
        calls.sort_unstable();
        calls.dedup();
        let mut sites = mem::take(&mut self.watch.sites);
        sites.sort_unstable();
        sites.dedup();
        let accesses = self.accesses();
        Recorded {
            sites,
            sender: tx.caller,
            callee: match tx.kind {
                TxKind::Call(callee) => Some(callee),
                TxKind::Create => None,
            },
            selector: tx.data.first_chunk().copied().filter(|_| tx.kind.is_call()),
            gas,
            time: Duration::ZERO,
            reads_fees: accesses.contains_key(&Location::Balance(beneficiary)),
            accesses: accesses.into_values().collect(),
            calls,
            logs: self.result.into_logs(),
        }
    }

    fn accesses(&self) -> BTreeMap<Location, Access> {
        let mut found = BTreeMap::new();
        let mut looked = |location: Location, written: Option<(U256, U256)>| {
            let load = self.loads.get(&loaded(&location));
            let gas = load.map_or(0, |load| load.gas);
            let new = Access { location, gas, time: Duration::ZERO, written };
            let access = found.entry(location).or_insert(new);
            access.written = access.written.or(written);
        };
        for (address, account) in self.state {
            for (location, written) in self.changes(*address, account) {
                looked(location, Some(written));
            }
            for (slot, value) in &account.storage {
                let written = value.is_changed() && !account.is_selfdestructed();
                let change = (value.original_value, value.present_value);
                looked(Location::Slot(*address, *slot), written.then_some(change));
            }
        }
        // An account that was not loaded was not read: the transaction ran out of gas before.
        let is_loaded = |address: &&Address| self.state.contains_key(*address);
        for address in self.watch.balances.iter().filter(is_loaded) {
            looked(Location::Balance(*address), None);
        }
        for address in self.watch.nonces.iter().filter(is_loaded) {
            looked(Location::Nonce(*address), None);
        }
        for address in self.watch.codes.iter().filter(is_loaded) {
            looked(Location::Code(*address), None);
            let code = self.state.get(address).and_then(|account| account.info.code.as_ref());
            if let Some(delegate) = code.and_then(|code| code.eip7702_address()) {
                looked(Location::Code(delegate), None);
            }
        }
        found
    }

    /// Returns the changes of the transaction to an account, except to its storage.
    fn changes(&self, address: Address, account: &Account) -> Vec<(Location, (U256, U256))> {
        let (mut before, mut after) = (account.original_info(), account.info.clone());
        if account.is_selfdestructed() {
            after = Default::default();
        }
        if address == self.env.beneficiary {
            let is_seen = self.watch.balances.contains(&address);
            let change = if is_seen { before.balance + self.fee() } else { after.balance };
            before.balance = change;
        }
        let pairs = [
            (Location::Balance(address), (before.balance, after.balance)),
            (Location::Nonce(address), (U256::from(before.nonce), U256::from(after.nonce))),
            (Location::Code(address), (before.code_hash.into(), after.code_hash.into())),
        ];
        pairs.into_iter().filter(|(_, (before, after))| before != after).collect()
    }

    /// Returns the beneficiary's fee for the transaction.
    fn fee(&self) -> U256 {
        let base_fee = u128::from(self.env.basefee);
        let mut price = self.transaction.effective_gas_price(base_fee);
        if self.spec.is_enabled_in(SpecId::LONDON) {
            price = price.saturating_sub(base_fee);
        }
        U256::from(price) * U256::from(self.result.tx_gas_used())
    }
}
