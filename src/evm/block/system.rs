//! Steps before the first and after the last transaction: system calls, rewards, withdrawals, and
//! the irregular state change of the DAO fork.

use super::requests::no_code;
use crate::evm::bal::step_accesses::StepAccesses;
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::change::{AccountChange, all_changes};
use crate::evm::exec::input::Block;
use crate::evm::exec::precompile::BlockPrecompiles;
use alloy_eips::eip7685::Requests;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes, U256, address, map::AddressMap};
use revm::context::result::{EVMError, ExecutionResult};
use revm::context_interface::JournalTr;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State};
use revm::database_interface::bal::EvmDatabaseError;
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, EvmState, TransactionId};
use revm::{Context, Database, DatabaseCommit, MainBuilder, MainContext, SystemCallEvm};
use std::sync::Arc;

/// Contract and type of builders' deposit requests (EIP-8282).
const BUILDER_DEPOSITS: (Address, u8) =
    (address!("0000BFF46984E3725691FA540A8C7589300D8282"), 0x03);

/// Contract and type of builders' exit requests (EIP-8282).
const BUILDER_EXITS: (Address, u8) = (address!("000064D678505AD48F8CCB093BC65613800E8282"), 0x04);

/// Failure of a step outside the transactions.
#[derive(Debug)]
pub(in crate::evm) enum SystemError<E> {
    /// The state could not be read.
    Database(EvmDatabaseError<E>),
    /// A system contract is missing, or failed.
    Contract(String),
}

/// The state on which system contracts are called.
enum Below<DB: Database> {
    /// The bare database, for a block without system calls: creating revm's `State` costs some
    /// 15,000 instructions, as much as a transfer.
    Database(DB),
    /// The database with the changes of the calls so far.
    State(Box<State<DB>>),
}

/// Calls system contracts over a database and keeps the changes of each call.
pub(in crate::evm) struct SystemCalls<'a, DB: Database> {
    block_context: &'a BlockContext,
    below: Below<DB>,
    pub(in crate::evm) effects: Vec<AccountChange>,
    /// Accesses of the calls, if an access list is being built or checked.
    pub(in crate::evm) step_accesses: StepAccesses,
    /// Whether precompiles are warm. revm warms them at the first transaction of an EVM, so they
    /// are cold before the transactions and warm after them. No real system contract calls a
    /// precompile, but results must be equal in every case.
    pub(in crate::evm) warm_precompiles: bool,
}

impl<'a, DB: Database> SystemCalls<'a, DB> {
    pub(in crate::evm) fn new(block_context: &'a BlockContext, database: DB) -> Self {
        let block = &block_context.block;
        let calls = block.rules.system_calls && block.cfg.spec.is_enabled_in(SpecId::CANCUN);
        let below = if calls {
            let state = State::builder().with_database(database).with_bundle_update();
            Below::State(Box::new(state.build()))
        } else {
            Below::Database(database)
        };
        Self {
            block_context,
            below,
            effects: Vec::new(),
            step_accesses: StepAccesses::default(),
            warm_precompiles: false,
        }
    }

    /// Returns the account after the calls so far.
    pub(in crate::evm) fn account(
        &mut self,
        address: Address,
    ) -> Result<Option<AccountInfo>, EvmDatabaseError<DB::Error>> {
        match &mut self.below {
            Below::Database(database) => {
                database.basic(address).map_err(EvmDatabaseError::Database)
            }
            Below::State(state) => state.basic(address),
        }
    }

    /// Returns the changes made by the calls since the previous call of this method.
    pub(in crate::evm) fn take_changes(&mut self) -> BundleState {
        let Below::State(state) = &mut self.below else { return BundleState::default() };
        state.merge_transitions(BundleRetention::PlainState);
        state.take_bundle()
    }

    /// Returns the database, the changes of each call, and the accesses of all calls.
    pub(in crate::evm) fn into_parts(self) -> (DB, Vec<AccountChange>, StepAccesses) {
        let database = match self.below {
            Below::Database(database) => database,
            Below::State(state) => state.database,
        };
        (database, self.effects, self.step_accesses)
    }

    fn block(&self) -> &'a Block {
        &self.block_context.block
    }

    /// Stores the parent's hash (EIP-2935) and its beacon root (EIP-4788).
    pub(in crate::evm) fn before_transactions(&mut self) -> Result<(), SystemError<DB::Error>> {
        let block = self.block();
        if matches!(self.below, Below::Database(_)) {
            return Ok(());
        }
        let genesis = block.env.number.is_zero();
        if block.cfg.spec.is_enabled_in(SpecId::PRAGUE) && !genesis {
            let hash = Bytes::copy_from_slice(block.parent_hash.as_slice());
            self.call(eip2935::HISTORY_STORAGE_ADDRESS, hash)?;
        }
        let Some(root) = block.parent_beacon_block_root else {
            let missing = "the block has no parent beacon block root (EIP-4788)";
            return Err(SystemError::Contract(missing.into()));
        };
        if genesis {
            let message = "the first block has a parent beacon block root (EIP-4788)";
            let is_valid = root.is_zero();
            return if is_valid { Ok(()) } else { Err(SystemError::Contract(message.into())) };
        }
        let root = Bytes::copy_from_slice(root.as_slice());
        self.call(eip4788::BEACON_ROOTS_ADDRESS, root)?;
        Ok(())
    }

    /// Whether system contracts are called after the transactions.
    pub(in crate::evm) fn has_calls_after(&self) -> bool {
        let block = self.block();
        let is_requested = block.rules.system_calls && block.rules.requests;
        is_requested && block.cfg.spec.is_enabled_in(SpecId::PRAGUE)
    }

    /// Pays the withdrawals (EIP-4895), then collects the requests of system contracts (EIP-7002,
    /// EIP-7251, EIP-8282). The order is that of the executable specification; the contracts may
    /// read balances.
    ///
    /// # Errors
    /// Returns an error, which makes the block invalid, if a contract has no code or a call fails.
    pub(in crate::evm) fn after_transactions(
        &mut self,
        requests: &mut Requests,
    ) -> Result<(), SystemError<DB::Error>> {
        if !self.has_calls_after() {
            return Ok(());
        }
        let spec = self.block().cfg.spec;
        self.pay(withdrawals(self.block())).map_err(SystemError::Database)?;
        let prague = [
            (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7002::WITHDRAWAL_REQUEST_TYPE),
            (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_TYPE),
        ];
        let amsterdam = [BUILDER_DEPOSITS, BUILDER_EXITS];
        let amsterdam = amsterdam.iter().filter(|_| spec.is_enabled_in(SpecId::AMSTERDAM));
        let contracts = prague.iter().chain(amsterdam);
        for (contract, _) in contracts.clone() {
            self.require_code(*contract)?;
        }
        for (contract, kind) in contracts {
            let output = match self.call(*contract, Bytes::new())? {
                ExecutionResult::Success { output, .. } => output.into_data(),
                failed => {
                    let message = format!("contract {contract} did not succeed: {failed:?}");
                    return Err(SystemError::Contract(message));
                }
            };
            if !output.is_empty() {
                requests.push_request_with_type(*kind, output);
            }
        }
        Ok(())
    }

    /// Adds `increments`, in wei, to balances.
    fn pay(&mut self, increments: AddressMap<u128>) -> Result<(), EvmDatabaseError<DB::Error>> {
        let mut paid = EvmState::default();
        for (address, amount) in increments {
            let mut account = match self.account(address)? {
                Some(info) => Account::from(info),
                None => Account::new_not_existing(TransactionId::ZERO),
            };
            let balance = &mut account.info.balance;
            *balance = balance.saturating_add(U256::from(amount));
            account.mark_touch();
            paid.insert(address, account);
        }
        self.record(paid);
        Ok(())
    }

    /// Returns an error if `contract` has no code.
    fn require_code(&mut self, contract: Address) -> Result<(), SystemError<DB::Error>> {
        let info = self.account(contract).map_err(SystemError::Database)?;
        let has_code = |info: &AccountInfo| !info.is_empty_code_hash() && !info.code_hash.is_zero();
        if info.as_ref().is_some_and(has_code) {
            return Ok(());
        }
        Err(SystemError::Contract(no_code(contract)))
    }

    /// Records the changes and accesses of a step, and applies them to the state.
    fn record(&mut self, journal: EvmState) {
        if self.block_context.uses_list() {
            self.step_accesses.add_call(&journal);
        }
        self.effects.extend(all_changes(journal.clone()));
        if let Below::State(state) = &mut self.below {
            state.commit(journal);
        }
    }

    fn call(
        &mut self,
        contract: Address,
        data: Bytes,
    ) -> Result<ExecutionResult, SystemError<DB::Error>> {
        let block = self.block();
        let Below::State(state) = &mut self.below else {
            let message = "the block is of a fork without system contracts";
            return Err(SystemError::Contract(message.into()));
        };
        let precompiles = BlockPrecompiles::new(
            block.cfg.spec,
            Arc::clone(&self.block_context.extensions.precompiles),
        );
        let mut evm = Context::mainnet()
            .with_db(&mut **state)
            .with_block(block.env.clone())
            .with_cfg(block.cfg.clone())
            .build_mainnet()
            .with_precompiles(precompiles);
        if self.warm_precompiles {
            evm.ctx.journaled_state.warm_precompiles(evm.precompiles.addresses());
        }
        let called = evm.system_call(contract, data);
        let called = called.map_err(|error| match error {
            EVMError::Database(error) => SystemError::Database(error),
            other => SystemError::Contract(format!("contract {contract}: {other}")),
        })?;
        self.record(called.state);
        Ok(called.result)
    }
}

/// Returns the balance increments at the end of the block, in wei: rewards and withdrawals. An
/// increment of zero touches the account, too.
pub(in crate::evm) fn balance_increments(block: &Block) -> AddressMap<u128> {
    let mut increments = rewards(block);
    for (address, amount) in withdrawals(block) {
        add(&mut increments, address, amount);
    }
    increments
}

/// Returns block and ommer rewards, in wei; by default none after the merge.
pub(in crate::evm) fn rewards(block: &Block) -> AddressMap<u128> {
    let mut rewards = AddressMap::default();
    let reward = block.rules.block_reward.unwrap_or_else(|| reward_by_fork(block.cfg.spec));
    if reward > 0 {
        for ommer in &block.ommers {
            let share = ommer_reward(reward, block.env.number, ommer.number);
            add(&mut rewards, ommer.beneficiary, share);
        }
        let inclusion = (reward / 32).saturating_mul(block.ommers.len() as u128);
        add(&mut rewards, block.env.beneficiary, reward.saturating_add(inclusion));
    }
    rewards
}

/// Returns the withdrawals (EIP-4895, from Shanghai), in wei.
fn withdrawals(block: &Block) -> AddressMap<u128> {
    let mut withdrawals = AddressMap::default();
    if block.cfg.spec.is_enabled_in(SpecId::SHANGHAI) {
        for withdrawal in block.withdrawals.iter().flatten() {
            add(&mut withdrawals, withdrawal.address, withdrawal.amount_wei().saturating_to());
        }
    }
    withdrawals
}

fn add(increments: &mut AddressMap<u128>, address: Address, amount: u128) {
    let sum = increments.entry(address).or_default();
    *sum = sum.saturating_add(amount);
}

/// Returns the default block reward of a fork, in wei (Yellow Paper section 11.3, EIP-649,
/// EIP-1234, EIP-3675).
fn reward_by_fork(spec: SpecId) -> u128 {
    const ETHER: u128 = 1_000_000_000_000_000_000;
    if spec.is_enabled_in(SpecId::MERGE) {
        0
    } else if spec.is_enabled_in(SpecId::PETERSBURG) {
        2 * ETHER
    } else if spec.is_enabled_in(SpecId::BYZANTIUM) {
        3 * ETHER
    } else {
        5 * ETHER
    }
}

/// Returns the reward of an ommer, an eighth less for each generation (Yellow Paper section 11.3).
fn ommer_reward(reward: u128, block: U256, ommer: u64) -> u128 {
    let block: u64 = block.saturating_to();
    let share = ommer.saturating_add(8).saturating_sub(block);
    u128::from(share).saturating_mul(reward) / 8
}
