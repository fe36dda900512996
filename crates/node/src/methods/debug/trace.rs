//! Executing transactions with a tracer.

use super::{
    Traced,
    steps::{StepLimit, limited},
};
use crate::{
    call::{self, Environment},
    error::RpcError,
    places::Place,
    replay::{Replay, failed, transaction},
    shared::Shared,
    stored::StoredBlock,
    words::Fees,
};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    geth::{GethDebugTracingOptions, GethTrace},
    parity::LocalizedTransactionTrace,
};
use braid_chain::{PastState, Snapshot};
use revm::{
    Context, DatabaseCommit, InspectEvm, Inspector, MainBuilder, MainContext, context::TxEnv,
    context_interface::result::ResultAndState, database::CacheDB, handler::MainnetContext,
    inspector::NoOpInspector,
};
use revm_inspectors::tracing::{
    DebugInspector, TracingInspector, TracingInspectorConfig, TransactionContext,
};

/// The database of a trace.
type Db<S> = CacheDB<PastState<S>>;

/// Tracing of the transactions in a block.
pub(super) struct Tracing<'a, S> {
    shared: &'a Shared<S>,
    place: &'a Place,
    block: &'a StoredBlock,
}

impl<'a, S: Snapshot> Tracing<'a, S> {
    pub(super) const fn new(
        shared: &'a Shared<S>,
        place: &'a Place,
        block: &'a StoredBlock,
    ) -> Self {
        Self { shared, place, block }
    }

    /// Traces the transaction with this index, or all of them, with one of geth's tracers.
    pub(super) fn geth(
        &self,
        only: Option<usize>,
        options: &GethDebugTracingOptions,
    ) -> Result<Vec<Traced>, RpcError> {
        let mut traced = Vec::new();
        self.each(only, |replay, db, tx, index| {
            let mut inspector = tracer(options)?;
            let ran = inspect(replay, db, tx.clone(), &mut inspector);
            let ran = inspector.0.check(ran)?;
            let hash = self.block.transactions.get(index).map(|it| *it.hash()).unwrap_or_default();
            let context = TransactionContext {
                block_hash: Some(self.block.hash),
                tx_index: Some(index),
                tx_hash: Some(hash),
            };
            let (_, tracer) = &mut inspector;
            let result = tracer.get_result(Some(context), tx, &replay.env, &ran, db);
            traced.push(Traced { tx_hash: hash, result: result.map_err(failed)? });
            Ok(ran)
        })?;
        Ok(traced)
    }

    /// Traces the calls of the transaction with this index, or of all of them.
    pub(super) fn parity(
        &self,
        only: Option<usize>,
    ) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        let mut traced = Vec::new();
        self.each(only, |replay, db, tx, index| {
            let config = TracingInspectorConfig::default_parity();
            let mut tracer = limited(TracingInspector::new(config));
            let ran = inspect(replay, db, tx.clone(), &mut tracer)?;
            tracer.set_transaction_gas_limit(tx.gas_limit);
            tracer.set_transaction_caller(tx.caller);
            let info = TransactionInfo {
                hash: self.block.transactions.get(index).map(|it| *it.hash()),
                index: Some(index as u64),
                block_hash: Some(self.block.hash),
                block_number: Some(self.block.number()),
                base_fee: self.block.header.base_fee_per_gas,
                block_timestamp: Some(self.block.header.timestamp),
            };
            traced.extend(tracer.into_parity_builder().into_localized_transaction_traces(info));
            Ok(ran)
        })?;
        Ok(traced)
    }

    /// Executes the block's transactions up to the last traced one, and calls `trace` for each traced
    /// one.
    fn each(
        &self,
        only: Option<usize>,
        mut trace: impl FnMut(&Replay<S>, &mut Db<S>, &TxEnv, usize) -> Result<ResultAndState, RpcError>,
    ) -> Result<(), RpcError> {
        let replay = Replay::of(self.shared, self.block)?;
        let mut db = CacheDB::new(replay.parent.clone());
        replay.begin(&mut db, &self.shared.producer.rules, self.block)?;
        let end = only.map_or(self.block.transactions.len(), |index| index.saturating_add(1));
        for index in 0..end {
            self.place.check()?;
            let Some(tx) = transaction(self.block, index) else { break };
            let ran = match only.is_none_or(|only| only == index) {
                true => trace(&replay, &mut db, &tx, index)?,
                false => inspect(&replay, &mut db, tx, NoOpInspector)?,
            };
            db.commit(ran.state);
        }
        Ok(())
    }
}

/// Executes a transaction with an inspector.
fn inspect<'d, S: Snapshot, I>(
    replay: &Replay<S>,
    db: &'d mut Db<S>,
    tx: TxEnv,
    inspector: I,
) -> Result<ResultAndState, RpcError>
where
    I: Inspector<MainnetContext<&'d mut Db<S>>>,
{
    let context = Context::mainnet().with_db(db).with_cfg(replay.cfg.clone());
    let context = context.with_block(replay.env.clone());
    context.build_mainnet_with_inspector(inspector).inspect_tx(tx).map_err(failed)
}

/// Makes the tracer that a client asks for.
fn tracer(options: &GethDebugTracingOptions) -> Result<(StepLimit, DebugInspector), RpcError> {
    let tracer = DebugInspector::new(options.clone());
    let tracer = tracer.map_err(|error| RpcError::Params(error.to_string()))?;
    StepLimit::of(tracer)
}

/// Traces a call.
pub(super) fn call<S: Snapshot>(
    at: &Environment<S>,
    tx: TxEnv,
    options: &GethDebugTracingOptions,
) -> Result<GethTrace, RpcError> {
    let mut evm = call::evm(at, &tx, tracer(options)?);
    let ran = call::checked(evm.inspect_tx(tx.clone()), Fees::new(at, &tx));
    let ran = evm.inspector.0.check(ran)?;
    let (_, tracer) = &mut evm.inspector;
    let mut state = at.state.clone();
    tracer.get_result(None, &tx, &at.env, &ran, &mut state).map_err(failed)
}
