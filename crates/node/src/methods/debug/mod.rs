//! `debug_trace*` and `trace_*`: what the instructions and calls of transactions do.

mod steps;
mod trace;

use super::{Answer, Args, Context, add, lookup::required};
use crate::{call, error::RpcError, overrides::BlockChanges, params, stored::StoredBlock};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::{
    geth::{GethDebugTracingOptions, GethTrace},
    parity::LocalizedTransactionTrace,
};
use braid_chain::Snapshot;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use trace::Tracing;

/// Trace of a transaction in a block.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Traced {
    tx_hash: B256,
    result: GethTrace,
}

/// Options of `debug_traceCall`, without the tracer's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CallOptions {
    state_overrides: Option<StateOverride>,
    block_overrides: Option<BlockChanges>,
}

/// Registers the methods.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "debug_traceTransaction", |it, args| {
        let (block, index) = transaction(it, &args.next()?)?;
        let options = args.maybe::<GethDebugTracingOptions>()?.unwrap_or_default();
        let traced = Tracing::new(&it.shared, &args.place, &block).geth(Some(index), &options)?;
        let none = || RpcError::Internal("the transaction was not executed".to_owned());
        Ok(traced.into_iter().next().ok_or_else(none)?.result)
    })?;
    add(module, "debug_traceBlockByNumber", |it, args| {
        let block = required(&it.shared, args.next::<BlockNumberOrTag>()?.into())?;
        traced(it, args, &block)
    })?;
    add(module, "debug_traceBlockByHash", |it, args| {
        let block = required(&it.shared, args.next::<B256>()?.into())?;
        traced(it, args, &block)
    })?;
    add(module, "debug_traceCall", trace_call)?;
    add(module, "trace_transaction", |it, args| {
        let hash = args.next()?;
        let found = it.shared.mined(hash)?;
        let Some((block, index)) = found else { return Ok(None) };
        let tracing = Tracing::new(&it.shared, &args.place, &block);
        Ok(Some(tracing.parity(Some(index))?))
    })?;
    add(module, "trace_block", |it, args| {
        let block = params::block(&it.shared, args.next::<BlockId>()?)?;
        let all = |block: Arc<StoredBlock>| -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
            Tracing::new(&it.shared, &args.place, &block).parity(None)
        };
        Ok(block.map(all).transpose()?)
    })
}

/// Finds a transaction in a block.
fn transaction<S: Snapshot>(
    it: &Context<S>,
    hash: &B256,
) -> Result<(Arc<StoredBlock>, usize), RpcError> {
    let found = it.shared.mined(*hash)?;
    found.ok_or_else(|| RpcError::Override("transaction not found".to_owned()))
}

fn traced<S: Snapshot>(
    it: &Context<S>,
    args: &mut Args<'_>,
    block: &StoredBlock,
) -> Answer<Vec<Traced>> {
    let options = args.maybe::<GethDebugTracingOptions>()?.unwrap_or_default();
    Ok(Tracing::new(&it.shared, &args.place, block).geth(None, &options)?)
}

fn trace_call<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Answer<GethTrace> {
    let request = args.next::<TransactionRequest>()?;
    let at = params::environment(&it.shared, args.maybe()?.unwrap_or_default())?;
    let options = args.maybe::<Value>()?.unwrap_or_else(|| Value::Object(Default::default()));
    let wrong = |error: serde_json::Error| RpcError::Params(error.to_string());
    let of_tracer = GethDebugTracingOptions::deserialize(&options).map_err(wrong)?;
    let of_call = CallOptions::deserialize(&options).map_err(wrong)?;
    let at = at.overridden(of_call.state_overrides, of_call.block_overrides)?;
    let tx = call::transaction(&at, &request, call::gas(&at, &request, it.limits.call_gas))?;
    Ok(trace::call(&at, tx, &of_tracer)?)
}
