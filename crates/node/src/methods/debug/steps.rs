//! Limits on what a tracer records.

use crate::error::RpcError;
use revm::{
    Inspector, context::ContextTr, context_interface::ContextError, interpreter::Interpreter,
};
use revm_inspectors::tracing::{DebugInspector, TraceLimitBehavior, TraceLimits, TracingInspector};

/// Maximum memory, in bytes, for the records of instructions, and for copies of inputs and of the
/// EVM's memory.
const RECORDED_BYTES: usize = 128 << 20;
/// Memory of the record of one instruction, without its stack, in bytes.
const STEP_BYTES: usize = 256;
/// Memory of one item of the stack.
const ITEM_BYTES: usize = 32;

/// Ends an execution whose records of instructions take too much memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepLimit {
    /// Whether instructions are recorded at all.
    is_on: bool,
    bytes: usize,
}

impl StepLimit {
    /// Limits what `tracer` records.
    ///
    /// # Errors
    /// The records of the tracer cannot be limited.
    pub(super) fn of(tracer: DebugInspector) -> Result<(Self, DebugInspector), RpcError> {
        let is_on = matches!(tracer, DebugInspector::Default(..));
        let tracer = match tracer {
            DebugInspector::Default(it, config) => DebugInspector::Default(limited(it), config),
            DebugInspector::CallTracer(it, config) => {
                DebugInspector::CallTracer(limited(it), config)
            }
            DebugInspector::PreStateTracer(it, config) => {
                DebugInspector::PreStateTracer(limited(it), config)
            }
            DebugInspector::FlatCallTracer(it) => DebugInspector::FlatCallTracer(limited(it)),
            DebugInspector::FourByte(_) | DebugInspector::Noop(_) => tracer,
            _ => return Err(RpcError::Params("unsupported tracer".to_owned())),
        };
        Ok((Self { is_on, bytes: 0 }, tracer))
    }

    /// Returns the error for an execution that was ended.
    pub(super) fn check<T>(&self, ran: Result<T, RpcError>) -> Result<T, RpcError> {
        match self.bytes > RECORDED_BYTES {
            true => Err(RpcError::Limit {
                limit: RECORDED_BYTES as u64,
                what: "bytes for the records of instructions",
            }),
            false => ran,
        }
    }
}

/// Limits the copies that a tracer makes.
pub(super) fn limited(tracer: TracingInspector) -> TracingInspector {
    let limits = TraceLimits::default().set_max_recorded_bytes(Some(RECORDED_BYTES));
    tracer.with_limits(limits.set_behavior(TraceLimitBehavior::Halt))
}

impl<CTX: ContextTr> Inspector<CTX> for StepLimit {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if !self.is_on {
            return;
        }
        let stack = interpreter.stack.len().saturating_mul(ITEM_BYTES);
        self.bytes = self.bytes.saturating_add(STEP_BYTES).saturating_add(stack);
        if self.bytes > RECORDED_BYTES {
            *context.error() = Err(ContextError::Custom("too many instructions".to_owned()));
            interpreter.halt_fatal();
        }
    }
}
