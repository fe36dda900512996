//! Execution of simulated blocks.

use super::{
    logs::{Indexed, Logs},
    plan::Plan,
};
use crate::{
    error::RpcError,
    header::{base_fee, excess_blob_gas},
    overrides::{CallPrecompiles, MovedPrecompiles, override_blob_fee, override_state},
    places::Place,
    replay::{Changing, call_before, changing, failed, system_call, take_changes},
    stored::{RpcBlock, StoredBlock},
    words::{self, Fees},
};
use alloy_consensus::{
    Block, BlockBody, EMPTY_OMMER_ROOT_HASH, EthereumReceipt, Header, Transaction as _, TxEip4844,
    TxReceipt, TxType,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
    transaction::Recovered,
};
use alloy_eips::{
    eip4895::Withdrawals,
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE},
    eip7685::Requests,
};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, Bloom, Bytes, Signature, TxKind, U256};
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{
    BlockTransactionsKind, Log as RpcLog, TransactionRequest,
    simulate::{SimCallResult, SimulateError, SimulatedBlock},
};
use braid_chain::{PastState, Rules, Snapshot, StateTries, pool::SignedTransaction};
use braid_evm::push_deposits;
use revm::{
    Context, Database, DatabaseCommit, InspectEvm, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::result::{
        EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState,
    },
    primitives::hardfork::SpecId,
    state::Account,
};
use std::cmp::Ordering;

/// Code of the error for a block without enough gas for a call.
const BLOCK_GAS: i32 = -38_015;

/// How blocks are simulated, and what is returned of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) transfers: bool,
    pub(super) is_validated: bool,
    pub(super) has_full_transactions: bool,
}

/// A chain of simulated blocks.
pub(super) struct Simulation<'r, S: Snapshot> {
    rules: &'r Rules,
    modes: Modes,
    state: Changing<S>,
    /// `None` on a chain without state roots.
    tries: Option<StateTries<S>>,
    parent: Header,
    parent_hash: B256,
    /// Gas that all calls together may still use.
    gas: u64,
}

/// A block that is being executed.
struct Building {
    header: Header,
    cfg: CfgEnv,
    env: BlockEnv,
    precompiles: MovedPrecompiles,
    logs: Logs,
    gas_used: u64,
    blob_gas_used: u64,
    transactions: Vec<Recovered<SignedTransaction>>,
    receipts: Vec<EthereumReceipt>,
    calls: Vec<(SimCallResult, Vec<Indexed>)>,
}

impl<'r, S: Snapshot> Simulation<'r, S> {
    pub(super) fn new(
        rules: &'r Rules,
        modes: Modes,
        gas: u64,
        (base, state): (&StoredBlock, PastState<S>),
    ) -> Result<Self, RpcError> {
        let tries = StateTries::of(&state)?;
        let (parent, parent_hash) = (base.header.clone(), base.hash);
        Ok(Self { rules, modes, state: changing(state), tries, parent, parent_hash, gas })
    }

    /// Executes the next block.
    pub(super) fn block(
        &mut self,
        plan: Plan,
        place: &Place,
    ) -> Result<SimulatedBlock<RpcBlock>, RpcError> {
        let Plan { changes, state, calls, .. } = &plan;
        let header = self.header(&plan);
        let (mut cfg, mut env) = self.rules.environment(&header);
        if let Some(fee) = changes.fields.blob_base_fee {
            override_blob_fee(&mut env, fee.saturating_to());
        }
        for (number, hash) in changes.fields.block_hash.iter().flatten() {
            self.state.block_hashes.insert(*number, *hash);
        }
        // Only a transaction in a real block has these limits.
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        cfg.disable_eip3607 = true;
        cfg.disable_nonce_check = !self.modes.is_validated;
        let precompiles = override_state(&mut self.state, cfg.spec, state.clone())?;
        let parents = (header.parent_hash, header.parent_beacon_block_root);
        call_before(&mut self.state, (&cfg, &env), parents)?;
        let logs = Logs::new(self.modes.transfers);
        let mut building = Building {
            header,
            cfg,
            env,
            precompiles,
            logs,
            gas_used: 0,
            blob_gas_used: 0,
            transactions: Vec::new(),
            receipts: Vec::new(),
            calls: Vec::new(),
        };
        for call in calls {
            place.check()?;
            self.call(&mut building, call)?;
        }
        place.check()?;
        let withdrawals = Withdrawals::new(changes.withdrawals.clone().unwrap_or_default());
        self.end(building, withdrawals)
    }

    /// Makes the header of the next block, with the fields that are known before its calls.
    fn header(&self, plan: &Plan) -> Header {
        let (fields, parent) = (&plan.changes.fields, &self.parent);
        let is_merged = self.is_merged(plan);
        let difficulty = fields.difficulty.unwrap_or(parent.difficulty);
        let mut header = Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: fields.coinbase.unwrap_or(parent.beneficiary),
            difficulty: if is_merged { U256::ZERO } else { difficulty },
            number: plan.number,
            gas_limit: fields.gas_limit.unwrap_or(parent.gas_limit),
            timestamp: plan.time,
            mix_hash: fields.random.unwrap_or_default(),
            ..Header::default()
        };
        let spec = self.rules.spec(&header);
        let since = |fork| spec.is_enabled_in(fork);
        if since(SpecId::LONDON) {
            let next = || if self.modes.is_validated { base_fee(self.rules, parent) } else { 0 };
            let fee = fields.base_fee.map(|fee| fee.saturating_to());
            header.base_fee_per_gas = Some(fee.unwrap_or_else(next));
        }
        if since(SpecId::CANCUN) {
            let params = self.rules.blob_params(spec, header.timestamp);
            header.excess_blob_gas = Some(excess_blob_gas(params, parent));
            header.parent_beacon_block_root = Some(fields.beacon_root.unwrap_or_default());
        }
        header
    }

    /// Whether the block has no proof of work.
    fn is_merged(&self, plan: &Plan) -> bool {
        let config = self.rules.config();
        self.parent.difficulty.is_zero()
            || config.merge_netsplit_block.is_some_and(|since| since <= plan.number)
            || config.shanghai_time.is_some_and(|since| since <= plan.time)
    }

    /// Executes the next call of a block.
    fn call(
        &mut self,
        building: &mut Building,
        request: &TransactionRequest,
    ) -> Result<(), RpcError> {
        let from = request.from.unwrap_or_default();
        let left = building.header.gas_limit.saturating_sub(building.gas_used);
        let asked = request.gas.unwrap_or(left);
        if asked > left {
            let why = format!("block gas limit reached: remaining: {left}, required: {asked}");
            return Err(RpcError::Coded(BLOCK_GAS, why));
        }
        let gas_limit = asked.min(self.gas);
        let account = self.state.basic(from).map_err(failed)?;
        let next = account.map_or(0, |account| account.nonce);
        let nonce = request.nonce.unwrap_or(next);
        if self.modes.is_validated {
            check_nonce(nonce, next, gas_limit)?;
        }
        let has_base_fee = building.header.base_fee_per_gas.is_some();
        let signed = unsigned(request, building.cfg.chain_id, (nonce, gas_limit), has_base_fee)?;
        let mut tx = TxEnv::from_recovered_tx(&signed, from);
        if !self.modes.is_validated {
            // revm refuses the highest nonce even if nonces are not checked.
            tx.nonce = nonce.min(u64::MAX - 1);
        }
        let ResultAndState { result, state } = self.execute(building, tx)?;
        self.state.commit(state);
        let used = result.tx_gas_used();
        self.gas = self.gas.checked_sub(used).ok_or_else(|| {
            let remaining = self.gas;
            let why = format!("RPC gas cap exhausted: need {used}, remaining {remaining}");
            RpcError::Coded(BLOCK_GAS, why)
        })?;
        building.add(signed, from, result, asked > gas_limit);
        Ok(())
    }

    fn execute(&mut self, building: &mut Building, tx: TxEnv) -> Result<ResultAndState, RpcError> {
        let Building { cfg, env, precompiles, logs, .. } = building;
        let mut cfg = cfg.clone();
        // A call without fees runs whatever the base fee is.
        let is_free = tx.gas_price == 0 && tx.gas_priority_fee.unwrap_or_default() == 0;
        cfg.disable_base_fee = is_free && !self.modes.is_validated;
        let fees = Fees::of(&tx, env.basefee);
        let (from, gas) = (tx.caller, tx.gas_limit);
        let precompiles = CallPrecompiles::new(cfg.spec, precompiles);
        let context = Context::mainnet().with_db(&mut self.state).with_cfg(cfg);
        let evm = context.with_block(env.clone()).build_mainnet_with_inspector(&mut *logs);
        let ran = evm.with_precompiles(precompiles).inspect_tx(tx);
        let mut ran = ran.map_err(|error| match error {
            EVMError::Transaction(why) => {
                let words = words::invalid(&why, fees);
                let words = format!("err: {words} (supplied gas {gas})");
                RpcError::Coded(code(&why), words)
            }
            error => failed(error),
        })?;
        if !self.modes.is_validated {
            wrap_nonce(&mut ran, from);
        }
        Ok(ran)
    }

    /// Finishes a block after its calls.
    fn end(
        &mut self,
        building: Building,
        withdrawals: Withdrawals,
    ) -> Result<SimulatedBlock<RpcBlock>, RpcError> {
        let spec = building.cfg.spec;
        let since = |fork| spec.is_enabled_in(fork);
        let withdrawals = since(SpecId::SHANGHAI).then_some(withdrawals);
        self.pay(&building, withdrawals.as_ref())?;
        // The contracts that collect requests may read balances.
        let requests = since(SpecId::PRAGUE).then(|| self.requests(&building)).transpose()?;
        let Building { mut header, transactions, receipts, calls, .. } = building;
        header.gas_used = building.gas_used;
        header.blob_gas_used = since(SpecId::CANCUN).then_some(building.blob_gas_used);
        header.requests_hash = requests.map(|requests| requests.requests_hash());
        header.withdrawals_root = withdrawals.as_deref().map(|it| calculate_withdrawals_root(it));
        let blooms: Vec<_> = receipts.iter().map(TxReceipt::with_bloom_ref).collect();
        header.receipts_root = calculate_receipt_root(&blooms);
        header.logs_bloom = blooms.iter().fold(Bloom::ZERO, |all, one| all | one.logs_bloom);
        let bodies: Vec<_> = transactions.iter().map(|it| it.inner().clone()).collect();
        header.transactions_root = calculate_transaction_root(&bodies);
        let changes = take_changes(&mut self.state);
        let root = self.tries.as_mut().map(|tries| tries.apply(&changes)).transpose()?;
        header.state_root = root.unwrap_or_default();
        let hash = header.hash_slow();
        self.state.block_hashes.insert(header.number, hash);
        (self.parent, self.parent_hash) = (header.clone(), hash);
        let body = BlockBody { transactions: bodies, ommers: Vec::new(), withdrawals };
        let block = Block { header, body };
        let (size, Block { header, body }) = (block.length(), block);
        let calls = calls.into_iter().enumerate().map(|(index, (mut call, logs))| {
            let at = (index, transactions.get(index).map(|it| *it.hash()));
            call.logs = located(&header, hash, at, logs);
            call
        });
        let calls = calls.collect();
        let block = StoredBlock::new(hash, header, transactions, Some(receipts), size);
        let block = block.with_foreign(self.rules, Vec::new(), body.withdrawals);
        let kind = match self.modes.has_full_transactions {
            true => BlockTransactionsKind::Full,
            false => BlockTransactionsKind::Hashes,
        };
        Ok(SimulatedBlock { inner: block.block(kind), calls })
    }

    /// Collects the requests of system contracts.
    fn requests(&mut self, building: &Building) -> Result<Requests, RpcError> {
        let mut requests = Requests::default();
        if let Some(contract) = self.rules.chain_rules(&building.header).deposit_contract {
            let logs = building.receipts.iter().flat_map(|receipt| &receipt.logs);
            push_deposits(&mut requests, contract, logs).map_err(failed)?;
        }
        let has_transactions = !building.transactions.is_empty();
        let at = (&building.cfg, &building.env);
        for (contract, kind) in [
            (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE),
            (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE),
        ] {
            let output =
                system_call(&mut self.state, at, contract, Bytes::new(), has_transactions)?;
            if !output.is_empty() {
                requests.push_request_with_type(kind, output);
            }
        }
        Ok(requests)
    }

    /// Pays withdrawals and, before the merge, the reward of the block.
    fn pay(
        &mut self,
        building: &Building,
        withdrawals: Option<&Withdrawals>,
    ) -> Result<(), RpcError> {
        let header = &building.header;
        let reward = match building.cfg.spec {
            _ if header.difficulty.is_zero() => None,
            spec if spec.is_enabled_in(SpecId::PETERSBURG) => Some(2),
            spec if spec.is_enabled_in(SpecId::BYZANTIUM) => Some(3),
            _ => Some(5),
        };
        let ether = U256::from(10_u64.pow(18));
        let reward = reward.map(|count| (header.beneficiary, U256::from(count) * ether));
        let paid = withdrawals.into_iter().flat_map(|it| it.iter());
        let paid = paid.map(|it| (it.address, U256::from(it.amount_wei())));
        for (address, amount) in reward.into_iter().chain(paid) {
            let mut info = self.state.basic(address).map_err(failed)?.unwrap_or_default();
            info.balance = info.balance.saturating_add(amount);
            let mut account = Account::from(info);
            account.mark_touch();
            self.state.commit([(address, account)].into_iter().collect());
        }
        Ok(())
    }
}

impl Building {
    /// Adds an executed call.
    fn add(
        &mut self,
        signed: SignedTransaction,
        from: Address,
        result: ExecutionResult,
        is_capped: bool,
    ) {
        let logs = self.logs.take();
        let used = result.tx_gas_used();
        self.gas_used = self.gas_used.saturating_add(used);
        self.blob_gas_used =
            self.blob_gas_used.saturating_add(signed.blob_gas_used().unwrap_or_default());
        let gas = *result.gas();
        let mut call = SimCallResult {
            gas_used: used,
            max_used_gas: Some(gas.total_gas_spent().max(used)),
            status: result.is_success(),
            ..SimCallResult::default()
        };
        call.error = error(&result, is_capped);
        self.receipts.push(EthereumReceipt {
            tx_type: signed.tx_type(),
            success: result.is_success(),
            cumulative_gas_used: self.gas_used,
            logs: if result.is_success() { result.logs().to_vec() } else { Vec::new() },
        });
        if let ExecutionResult::Success { output, .. } = result {
            call.return_data = output.into_data();
        }
        self.transactions.push(Recovered::new_unchecked(signed, from));
        self.calls.push((call, logs));
    }
}

/// Describes why a call failed.
fn error(result: &ExecutionResult, is_capped: bool) -> Option<SimulateError> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(SimulateError {
            code: SimulateError::EXECUTION_REVERTED_CODE,
            message: RpcError::reverted(output.clone()).to_string(),
            data: Some(output.clone()),
        }),
        ExecutionResult::Halt { reason, .. } => {
            let mut message = halted(reason);
            if is_capped {
                message.push_str(" (gas limit was capped by the RPC server's global gas cap)");
            }
            let code = SimulateError::VM_EXECUTION_ERROR_CODE;
            Some(SimulateError { code, message, data: None })
        }
    }
}

fn halted(reason: &HaltReason) -> String {
    words::halted(reason, None)
}

/// Checks the nonce of a call as geth does, before the fees. `next` is the nonce of the sender.
fn check_nonce(nonce: u64, next: u64, gas: u64) -> Result<(), RpcError> {
    let why = match nonce.cmp(&next) {
        Ordering::Less => InvalidTransaction::NonceTooLow { tx: nonce, state: next },
        Ordering::Greater => InvalidTransaction::NonceTooHigh { tx: nonce, state: next },
        Ordering::Equal if nonce == u64::MAX => InvalidTransaction::NonceOverflowInTransaction,
        Ordering::Equal => return Ok(()),
    };
    let words = format!("err: {why} (supplied gas {gas})");
    Err(RpcError::Coded(code(&why), words))
}

/// Returns the code of the error for a call that cannot be executed.
const fn code(why: &InvalidTransaction) -> i32 {
    match why {
        InvalidTransaction::NonceTooLow { .. } => -38_010,
        InvalidTransaction::NonceTooHigh { .. } => -38_011,
        InvalidTransaction::GasPriceLessThanBasefee => -38_012,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. } => -38_013,
        InvalidTransaction::LackOfFundForMaxFee { .. } => -38_014,
        InvalidTransaction::CreateInitCodeSizeLimit => -38_025,
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => -32_602,
        _ => -32_603,
    }
}

/// As in geth, the nonce of a sender that nobody checks becomes zero after the highest one.
fn wrap_nonce(ran: &mut ResultAndState, from: Address) {
    if let Some(account) = ran.state.get_mut(&from) {
        let highest = account.original_info().nonce == u64::MAX;
        if highest && account.info.nonce == u64::MAX {
            account.info.nonce = 0;
        }
    }
}

/// Makes the transaction of a call, with a signature of zeros: the response has its hash. Unless
/// the call says otherwise, it is one with a maximum fee.
fn unsigned(
    request: &TransactionRequest,
    chain_id: u64,
    (nonce, gas_limit): (u64, u64),
    has_base_fee: bool,
) -> Result<SignedTransaction, RpcError> {
    let stated = request.chain_id.unwrap_or(chain_id);
    if stated != chain_id {
        let why = format!("chainId does not match node's (have={stated}, want={chain_id})");
        return Err(RpcError::Override(why));
    }
    let has_maximum =
        request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && has_maximum {
        let why = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(RpcError::Override(why.to_owned()));
    }
    let mut filled = TransactionRequest { sidecar: None, ..request.clone() };
    let input = request.input.unique_input();
    let input = input.map_err(|error| RpcError::Params(error.to_string()))?.cloned();
    filled.input = input.unwrap_or_default().into();
    (filled.nonce, filled.gas) = (Some(nonce), Some(gas_limit));
    filled.to.get_or_insert(TxKind::Create);
    filled.value.get_or_insert(U256::ZERO);
    if request.gas_price.is_some() || !has_base_fee {
        filled.gas_price.get_or_insert(0);
        (filled.max_fee_per_gas, filled.max_priority_fee_per_gas) = (None, None);
        (filled.authorization_list, filled.blob_versioned_hashes) = (None, None);
        // As geth: a call with a gas price is a legacy transaction.
        filled.access_list = None;
    } else {
        filled.max_fee_per_gas.get_or_insert(0);
        filled.max_priority_fee_per_gas.get_or_insert(0);
    }
    if filled.blob_versioned_hashes.is_some() {
        filled.max_fee_per_blob_gas.get_or_insert(0);
    }
    // Without a signature, a legacy transaction names no chain.
    let has_chain = filled.preferred_type() != TxType::Legacy;
    filled.chain_id = has_chain.then_some(chain_id);
    let typed = filled.build_consensus_tx();
    let typed = typed.map_err(|error| RpcError::Params(error.error))?.map_eip4844(TxEip4844::from);
    Ok(typed.into_envelope(Signature::new(U256::ZERO, U256::ZERO, false)))
}

/// Returns the logs of a call with their place in the chain.
fn located(
    header: &Header,
    block_hash: B256,
    (index, transaction_hash): (usize, Option<B256>),
    logs: Vec<Indexed>,
) -> Vec<RpcLog> {
    let logs = logs.into_iter().map(|(log_index, inner)| RpcLog {
        inner,
        block_hash: Some(block_hash),
        block_number: Some(header.number),
        block_timestamp: Some(header.timestamp),
        transaction_hash,
        transaction_index: Some(index as u64),
        log_index: Some(log_index),
        removed: false,
    });
    logs.collect()
}
