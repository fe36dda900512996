//! Output of geth's tracers for a transaction, both of one that runs again and in a sequential
//! execution.

use super::{Position, SequentialError, prepared::Frame};
use crate::block::Block;
use alloy_evm::Evm;
use alloy_evm::block::BlockExecutionError;
use alloy_rpc_types_trace::geth::{
    CallConfig, CallFrame, DefaultFrame, GethDefaultTracingOptions, PreStateConfig, PreStateFrame,
};
use revm::context::Context;
use revm::context::result::ResultAndState;
use revm::{DatabaseCommit, DatabaseRef, InspectEvm, MainBuilder, MainContext};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};

/// One of geth's tracers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// Accounts and slots that the transaction loads, as they were before it.
    Prestate,
    /// Its calls.
    Call,
    /// Its instructions, with the stack before each.
    Struct,
}

/// Output of a tracer, in geth's format.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Trace {
    /// Accounts and slots before the transaction.
    Prestate(PreStateFrame),
    /// The outermost call, with nested calls.
    Call(Box<CallFrame>),
    /// The instructions.
    Struct(DefaultFrame),
}

/// A transaction that was traced in a sequential execution.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Index of the transaction.
    pub tx: usize,
    /// Its result, and everything that it loaded.
    pub ran: ResultAndState,
    /// The tracer's output.
    pub trace: Trace,
}

impl Tracer {
    /// All tracers.
    pub const ALL: [Self; 3] = [Self::Prestate, Self::Call, Self::Struct];

    /// Returns an inspector that records what the tracer needs.
    #[must_use]
    pub fn inspector(self) -> TracingInspector {
        TracingInspector::new(match self {
            Self::Prestate => TracingInspectorConfig::none(),
            Self::Call => TracingInspectorConfig::from_geth_call_config(&call_config()),
            Self::Struct => TracingInspectorConfig::from_geth_config(&Default::default()),
        })
    }

    /// Returns the trace of a transaction on the state `before`, from the inspector that has
    /// inspected it.
    ///
    /// # Errors
    /// Returns the errors of `before`.
    pub fn trace<D: DatabaseRef>(
        self,
        inspector: TracingInspector,
        ran: &ResultAndState,
        before: D,
    ) -> Result<Trace, D::Error> {
        let gas = ran.result.tx_gas_used();
        let traces = inspector.into_geth_builder();
        Ok(match self {
            Self::Prestate => {
                let config = PreStateConfig::default();
                Trace::Prestate(traces.geth_prestate_traces(ran, &config, before)?)
            }
            Self::Call => Trace::Call(Box::new(traces.geth_call_traces(call_config(), gas))),
            Self::Struct => {
                let returned = ran.result.output().cloned().unwrap_or_default();
                let options = GethDefaultTracingOptions::default();
                Trace::Struct(traces.geth_traces(gas, returned, options))
            }
        })
    }
}

fn call_config() -> CallConfig {
    CallConfig::default().with_log()
}

/// Returns the output of `tracer` for each transaction of `block` that is executed, in a sequential
/// execution with an inspected EVM for each.
///
/// # Errors
/// Returns an error if the database, a pre-block call or a transaction failed.
pub fn trace_all<D: DatabaseRef>(
    block: &Block,
    db: D,
    tracer: Tracer,
    is_executed: impl Fn(usize) -> bool,
) -> Result<Vec<Traced>, SequentialError<D::Error>>
where
    D::Error: 'static,
{
    let mut traces = Vec::new();
    let (ended, _) = Frame::new(block).run_keeping(db, block.transactions.len(), |executor| {
        let state = executor.evm.db_mut();
        let executed = block.transactions.iter().enumerate().filter(|(tx, _)| is_executed(*tx));
        for (index, tx) in executed {
            let failed =
                |error: String| (Position::Transaction(index), BlockExecutionError::msg(error));
            let mut evm = Context::mainnet()
                .with_db(&mut **state)
                .with_block(block.env.clone())
                .with_cfg(block.cfg.clone())
                .build_mainnet_with_inspector(tracer.inspector());
            let ran = evm.inspect_tx(tx.clone()).map_err(|error| failed(error.to_string()))?;
            let inspector = evm.inspector;
            let trace = tracer.trace(inspector, &ran, &**state);
            let trace = trace.map_err(|error| failed(error.to_string()))?;
            state.commit(ran.state.clone());
            traces.push(Traced { tx: index, ran, trace });
        }
        Ok(Vec::new())
    });
    ended.map(|_| traces)
}
