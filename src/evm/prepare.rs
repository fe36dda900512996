//! Steps before the transactions: validates the block's own access list, runs the pre-block calls,
//! and reads the recipients of blind credits.

use super::bal::mismatch::AccessListError;
use super::bal::prepared_list::PreparedList;
use super::block::error::{BlockError, BlockErrorKind, BlockPosition};
use super::block::output::BlockOutput;
use super::block::system::{SystemCalls, SystemError};
use super::bundle::block_effects::BlockEffects;
use super::exec::balances::ChangedBalances;
use super::exec::base::{BlockBase, DbError, Overlay, StateSource};
use super::exec::block_context::BlockContext;
use super::exec::bundle_shards::BundleShards;
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::exec::payees::Payees;
use super::fees::receivers::Receivers;
use super::plan::frequent_payees;
use crate::config::{Config, Mode};
use crate::ids::WorkerId;
use crate::panics::caught;
use alloy_eip7928::BlockAccessIndex;
use alloy_primitives::Address;
use revm::DatabaseRef;
use revm::database::BundleState;
use revm::database_interface::bal::EvmDatabaseError;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use std::sync::Arc;

/// Runs the steps before the transactions. `is_pool`: whether transactions are added later.
pub(super) fn begin<S: StateSource>(
    block: Arc<Block>,
    is_pool: bool,
    source: &S,
    extensions: Extensions,
    parent: Option<Arc<BundleState>>,
    config: &Config,
) -> Result<(BlockContext, BlockEffects, Arc<Overlay>), BlockError<DbError<S>>> {
    let mut effects = BlockEffects {
        receivers: Receivers {
            touch_creates: !block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
            ..Receivers::default()
        },
        parent,
        ..BlockEffects::default()
    };
    let prepared = prepare(&block, is_pool, source, extensions, config, &mut effects);
    let (block_context, overlay) = prepared.map_err(|kind| {
        let bundle = effects.parent.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        let committed = Box::new(BlockOutput { bundle, ..BlockOutput::default() });
        BlockError { at: BlockPosition::PreBlock, kind, committed }
    })?;
    Ok((block_context, effects, Arc::new(overlay)))
}

/// Validates the block's own access list. Ignores it if a block is built.
fn prepared_list(
    block: &Block,
    config: &Config,
) -> Result<Option<Arc<PreparedList>>, AccessListError> {
    let list = block.access_list.as_ref().filter(|_| config.engine.mode == Mode::Validate);
    let Some(list) = list else { return Ok(None) };
    let is_limited = block.cfg.spec.is_enabled_in(SpecId::AMSTERDAM);
    let gas = is_limited.then_some(block.env.gas_limit);
    let list = PreparedList::new(list, block.transactions.len(), gas)?;
    Ok(Some(Arc::new(list)))
}

/// Runs the pre-block calls and reads the recipients of blind credits.
fn prepare<S: StateSource>(
    block: &Arc<Block>,
    is_pool: bool,
    source: &S,
    extensions: Extensions,
    config: &Config,
    effects: &mut BlockEffects,
) -> Result<(BlockContext, Overlay), BlockErrorKind<DbError<S>>> {
    let mut overlay = Overlay::default();
    if let Some(parent) = &effects.parent {
        overlay.push(Arc::clone(parent));
    }
    let list = prepared_list(block, config).map_err(BlockErrorKind::AccessList)?;
    let has_list = list.is_some();
    let mut block_context = BlockContext {
        block: Arc::clone(block),
        extensions,
        has_blind_rewards: false,
        payees: Payees::default(),
        has_blind_surcharges: false,
        shares_journals: config.engine.share_journals
            && block.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
        caches_keccak: config.engine.cache_keccak,
        builds_list: config.access_list,
        access_list: list,
        reads_list: false,
        bundle_shards: BundleShards::default(),
        blank: Default::default(),
        changed_balances: Arc::new(ChangedBalances::default()),
    };
    let state = source.open(WorkerId(0)).map_err(BlockErrorKind::Base)?;
    let overlay = Arc::new(overlay);
    let mut base = BlockBase::new(state, Arc::clone(&overlay));
    let beneficiary = block.env.beneficiary;
    // A block without transactions does not read the beneficiary.
    let is_paid = is_pool || !block.transactions.is_empty();
    if is_paid && let Some(info) = try_read(&mut base, beneficiary) {
        // EIP-161 deletes a touched empty account together with any storage, so crediting an empty
        // account is not a plain addition. After the first fee, the account is not empty.
        let stays =
            effects.receivers.touch_creates || block_context.first_tx_pays_fee(config.engine.mode);
        let is_addition = |info: &AccountInfo| stays || !info.is_empty();
        // The beneficiary's balance after each transaction is compared with the list.
        block_context.has_blind_rewards = !has_list
            && block_context.extensions.allows_blind_credits()
            && info.as_ref().is_none_or(is_addition);
        effects.receivers.beneficiary = (beneficiary, info);
    }
    if let Some(surcharge) = &block_context.extensions.surcharge
        && surcharge.receiver() != beneficiary
        && is_paid
        && let Some(info) = try_read(&mut base, surcharge.receiver())
    {
        let is_addition =
            effects.receivers.touch_creates || info.as_ref().is_none_or(|info| !info.is_empty());
        block_context.has_blind_surcharges = !has_list && is_addition;
        effects.receivers.surcharged = (surcharge.receiver(), info);
    }
    if config.may_speculate() {
        read_frequent_payees(&block_context, &mut base, effects);
    }
    let (base, changes) = run_calls(&block_context, base, effects)?;
    drop(base);
    let mut overlay = Arc::into_inner(overlay).unwrap_or_default();
    overlay.push(Arc::new(changes));
    let credited = Some(&effects.receivers.beneficiary).filter(|_| block_context.has_blind_rewards);
    for (address, info) in credited.into_iter().chain(&effects.receivers.paid) {
        // The pre-block calls may have changed the account.
        let changed = overlay.account(address).map(|account| account.info.as_ref());
        block_context.payees.add(*address, changed.unwrap_or(info.as_ref()));
    }
    Ok((block_context, overlay))
}

/// Reads an account before the block. Ignores errors and panics, because they recur if a
/// transaction reads the account.
fn try_read<D: DatabaseRef>(
    base: &mut BlockBase<D>,
    address: Address,
) -> Option<Option<AccountInfo>> {
    caught(|| base.account(address)).ok()?.ok()
}

/// Reads the accounts that are paid often, because they may receive blind credits. Does nothing
/// unless every balance read is announced and accesses are not recorded.
fn read_frequent_payees<D: DatabaseRef>(
    block_context: &BlockContext,
    base: &mut BlockBase<D>,
    effects: &mut BlockEffects,
) {
    if !block_context.extensions.announces_balance_reads() || block_context.records_accesses() {
        return;
    }
    let known = [block_context.block.env.beneficiary, effects.receivers.surcharged.0];
    for address in
        frequent_payees(&block_context.block).into_iter().filter(|it| !known.contains(it))
    {
        if let Some(info) = try_read(base, address) {
            effects.receivers.paid.push((address, info));
        }
    }
}

/// Runs the pre-block calls and returns their changes.
fn run_calls<D: DatabaseRef>(
    block_context: &BlockContext,
    base: BlockBase<D>,
    effects: &mut BlockEffects,
) -> Result<(BlockBase<D>, BundleState), BlockErrorKind<D::Error>> {
    let mut calls = SystemCalls::new(block_context, base);
    calls.before_transactions().map_err(|error| match error {
        SystemError::Database(EvmDatabaseError::Database(error)) => BlockErrorKind::Base(error),
        SystemError::Database(EvmDatabaseError::Bal(error)) => {
            BlockErrorKind::SystemCall(error.to_string())
        }
        SystemError::Contract(message) => BlockErrorKind::SystemCall(message),
    })?;
    let changes = calls.take_changes();
    let (base, before, accessed) = calls.into_parts();
    effects.before = before;
    if let Some(list) = &block_context.access_list
        && block_context.extensions.compares_block_steps()
    {
        let before = list.compare(BlockAccessIndex::PRE_EXECUTION, &accessed.accesses());
        let wrong = |wrong| BlockErrorKind::AccessList(AccessListError::Mismatch(wrong));
        before.map_err(wrong)?;
    }
    let [step_accesses, _] = &mut effects.step_accesses;
    *step_accesses = accessed;
    Ok((base, changes))
}
