//! Sequential re-execution of a block's transactions on the state before the block.

use crate::{error::RpcError, params, shared::Shared, stored::StoredBlock};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, Bytes};
use braid_chain::{PastState, Rules, Snapshot, StateTries};
use revm::{
    Context, Database, DatabaseCommit, ExecuteCommitEvm, MainBuilder, MainContext,
    SystemCallCommitEvm,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::JournalTr,
    database::{
        AccountStatus, BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention,
    },
    primitives::hardfork::SpecId,
    state::Account,
};

/// State and environment for re-executing a block.
pub(crate) struct Replay<S> {
    /// The state after the parent.
    pub(crate) parent: PastState<S>,
    pub(crate) cfg: CfgEnv,
    pub(crate) env: BlockEnv,
}

impl<S: Snapshot> Replay<S> {
    /// Opens the state before `block`.
    ///
    /// # Errors
    /// The block is the first one, or the state before it is not kept.
    pub(crate) fn of(shared: &Shared<S>, block: &StoredBlock) -> Result<Self, RpcError> {
        let parent = block.number().checked_sub(1).filter(|_| block.number() > shared.first());
        let untraceable = || RpcError::Override("genesis is not traceable".to_owned());
        let parent = params::state(shared, Some(parent.ok_or_else(untraceable)?.into()))?;
        let (cfg, env) = shared.producer.rules.environment(&block.header);
        Ok(Self { parent, cfg, env })
    }

    /// Applies the changes before the first transaction to `db`.
    pub(crate) fn begin<DB: Database + DatabaseCommit>(
        &self,
        db: &mut DB,
        rules: &Rules,
        block: &StoredBlock,
    ) -> Result<(), RpcError> {
        if let Some(dao) = rules.chain_rules(&block.header).dao_fork {
            drain(db, &dao.drained, dao.beneficiary)?;
        }
        let header = &block.header;
        let parents = (header.parent_hash, header.parent_beacon_block_root);
        call_before(db, (&self.cfg, &self.env), parents)
    }
}

/// Returns a transaction in the EVM's form.
pub(crate) fn transaction(block: &StoredBlock, index: usize) -> Option<TxEnv> {
    let transaction = block.transactions.get(index)?;
    Some(TxEnv::from_recovered_tx(transaction.inner(), transaction.signer()))
}

/// Converts an error that is not the EVM's.
pub(crate) fn failed(error: impl ToString) -> RpcError {
    RpcError::Internal(error.to_string())
}

/// Moves all ether of `drained` to `beneficiary`.
fn drain<DB: Database + DatabaseCommit>(
    db: &mut DB,
    drained: &[Address],
    beneficiary: Address,
) -> Result<(), RpcError> {
    for from in drained {
        let mut giver = db.basic(*from).map_err(failed)?.unwrap_or_default();
        let mut taker = db.basic(beneficiary).map_err(failed)?.unwrap_or_default();
        taker.balance = taker.balance.saturating_add(giver.balance);
        giver.balance = Default::default();
        let changed = [(*from, giver), (beneficiary, taker)].into_iter().map(|(address, info)| {
            let mut account = Account::from(info);
            account.mark_touch();
            (address, account)
        });
        db.commit(changed.collect());
    }
    Ok(())
}

/// Calls the contracts that record the parent's beacon root (EIP-4788) and hash (EIP-2935).
pub(crate) fn call_before<DB: Database + DatabaseCommit>(
    db: &mut DB,
    (cfg, env): (&CfgEnv, &BlockEnv),
    (parent, root): (B256, Option<B256>),
) -> Result<(), RpcError> {
    let root = root.filter(|_| cfg.spec.is_enabled_in(SpecId::CANCUN));
    let parent = cfg.spec.is_enabled_in(SpecId::PRAGUE).then_some(parent);
    for (contract, data) in [(BEACON_ROOTS_ADDRESS, root), (HISTORY_STORAGE_ADDRESS, parent)] {
        if let Some(data) = data {
            system_call(db, (cfg, env), contract, data.0.into(), false)?;
        }
    }
    Ok(())
}

/// Calls a system contract and returns its output; an account without code is not called.
/// Precompiles are warm after the transactions of a block, as they are in `braid-evm`.
pub(crate) fn system_call<DB: Database + DatabaseCommit>(
    db: &mut DB,
    (cfg, env): (&CfgEnv, &BlockEnv),
    contract: Address,
    data: Bytes,
    has_warm_precompiles: bool,
) -> Result<Bytes, RpcError> {
    let info = db.basic(contract).map_err(failed)?;
    if info.is_none_or(|info| info.is_empty_code_hash()) {
        return Ok(Bytes::new());
    }
    let context = Context::mainnet().with_db(db).with_cfg(cfg.clone()).with_block(env.clone());
    let mut evm = context.build_mainnet();
    if has_warm_precompiles {
        evm.ctx.journaled_state.warm_precompiles(evm.precompiles.warm_addresses());
    }
    let called = evm.system_call_commit(contract, data).map_err(failed)?;
    Ok(called.into_output().unwrap_or_default())
}

/// State of a replay that records its changes.
pub(crate) type Changing<S> = State<WrapDatabaseRef<PastState<S>>>;

pub(crate) fn changing<S: Snapshot>(state: PastState<S>) -> Changing<S> {
    State::builder().with_database_ref(state).with_bundle_update().build()
}

/// Takes the changes since the last call. An account that was destroyed before that call, and not
/// again since, keeps its storage.
pub(crate) fn take_changes<DB: Database>(state: &mut State<DB>) -> BundleState {
    let transitions = state.transition_state.iter().flat_map(|it| &it.transitions);
    let cleared = transitions.filter(|(_, it)| it.storage_was_destroyed);
    let cleared: Vec<Address> = cleared.map(|(address, _)| *address).collect();
    state.merge_transitions(BundleRetention::PlainState);
    let mut changes = state.take_bundle();
    for (address, account) in &mut changes.state {
        if account.was_destroyed() && account.info.is_some() && !cleared.contains(address) {
            account.status = AccountStatus::Changed;
        }
    }
    changes
}

/// Returns the state root after each transaction of a block before Byzantium, whose receipts
/// contain it; `None` for other blocks, if the state before the block is not kept, and on a chain
/// without state roots.
pub(crate) fn roots<S: Snapshot>(
    shared: &Shared<S>,
    block: &StoredBlock,
) -> Result<Option<Vec<B256>>, RpcError> {
    let rules = &shared.producer.rules;
    let is_later = rules.spec(&block.header).is_enabled_in(SpecId::BYZANTIUM);
    if is_later || block.transactions.is_empty() {
        return Ok(None);
    }
    let replay = match Replay::of(shared, block) {
        Err(RpcError::OldState { .. }) => return Ok(None),
        replay => replay?,
    };
    let Some(mut tries) = StateTries::of(&replay.parent)? else { return Ok(None) };
    let mut state = changing(replay.parent.clone());
    replay.begin(&mut state, rules, block)?;
    let mut roots = Vec::new();
    for tx in (0..block.transactions.len()).map_while(|index| transaction(block, index)) {
        let context = Context::mainnet().with_db(&mut state).with_cfg(replay.cfg.clone());
        let mut evm = context.with_block(replay.env.clone()).build_mainnet();
        evm.transact_commit(tx).map_err(failed)?;
        roots.push(tries.apply(&take_changes(&mut state))?);
    }
    Ok(Some(roots))
}
