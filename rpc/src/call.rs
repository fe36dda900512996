//! `eth_call`: running a transaction that no block has, on the state after the last block.

use crate::{error::RpcError, shared::View};
use alloy_primitives::{Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use braid_chain::Snapshot;
use revm::{
    Context, DatabaseRef, ExecuteEvm, MainBuilder, MainContext,
    context::TxEnv,
    context_interface::result::{EVMError, ExecutionResult},
    database::WrapDatabaseRef,
};

/// The transaction that a client describes.
pub(crate) fn transaction<S: Snapshot>(
    view: &View<S>,
    request: &TransactionRequest,
    gas_limit: u64,
) -> Result<TxEnv, RpcError> {
    let caller = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => view.state.basic_ref(caller)?.map_or(0, |account| account.nonce),
    };
    if request.max_fee_per_blob_gas.is_some() || request.blob_versioned_hashes.is_some() {
        return Err(RpcError::Params("blobs are not supported".to_owned()));
    }
    let builder = TxEnv::builder()
        .caller(caller)
        .nonce(nonce)
        .kind(request.to.unwrap_or(TxKind::Create))
        .value(request.value.unwrap_or_default())
        .data(request.input.clone().into_input().unwrap_or_default())
        .gas_limit(gas_limit)
        .chain_id(Some(request.chain_id.unwrap_or(view.cfg.chain_id)))
        .gas_price(request.max_fee_per_gas.or(request.gas_price).unwrap_or_default())
        .gas_priority_fee(request.max_priority_fee_per_gas.or_else(|| {
            // A fee of its own says that the transaction is of the type that has a tip.
            request.max_fee_per_gas.map(|_| 0)
        }))
        .access_list(request.access_list.clone().unwrap_or_default())
        .authorization_list_signed(request.authorization_list.clone().unwrap_or_default());
    builder.build().map_err(|error| RpcError::Params(format!("no transaction: {error:?}")))
}

/// Runs `tx`. Without a gas price nothing is paid, and the base fee is zero.
pub(crate) fn run<S: Snapshot>(view: &View<S>, tx: TxEnv) -> Result<ExecutionResult, RpcError> {
    let (mut cfg, mut env) = (view.cfg.clone(), view.env.clone());
    // It is for transactions in a block.
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    // Wallets ask about transactions that come after others which wait.
    cfg.disable_nonce_check = true;
    if tx.gas_price == 0 {
        env.basefee = 0;
    }
    let context = Context::mainnet().with_db(WrapDatabaseRef(view.state.clone()));
    let mut evm = context.with_cfg(cfg).with_block(env).build_mainnet();
    match evm.transact(tx) {
        Ok(done) => Ok(done.result),
        Err(EVMError::Transaction(invalid)) => Err(RpcError::Invalid(invalid)),
        Err(EVMError::Database(error)) => Err(RpcError::State(error)),
        Err(error) => Err(RpcError::Internal(error.to_string())),
    }
}

/// What a transaction returned, or why it failed.
pub(crate) fn output(result: ExecutionResult) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(RpcError::Halted(reason)),
    }
}

/// Gas for a call: what the client asks for, but no more than `limit` and than a block has.
pub(crate) fn gas<S>(view: &View<S>, request: &TransactionRequest, limit: u64) -> u64 {
    request.gas.unwrap_or(limit).min(limit).min(view.env.gas_limit)
}
