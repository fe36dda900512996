//! Limit on the number of recorded instructions, whose records take memory.

use revm::{
    Inspector, context::ContextTr, context_interface::ContextError, interpreter::Interpreter,
};

/// Maximum number of instructions whose records a response contains.
const STEPS: u64 = 500_000;

/// Ends an execution after too many instructions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepLimit {
    /// Whether instructions are recorded at all.
    pub(super) is_on: bool,
    pub(super) taken: u64,
}

impl<CTX: ContextTr> Inspector<CTX> for StepLimit {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        self.taken = self.taken.saturating_add(u64::from(self.is_on));
        if self.taken > STEPS {
            let why = format!("more than {STEPS} instructions to record: use another tracer");
            *context.error() = Err(ContextError::Custom(why));
            interpreter.halt_fatal();
        }
    }
}
