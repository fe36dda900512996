//! A custom EVM in the workers.

use super::input::Block;
use super::rejection::Rejection;
use super::stopped::ViewStopped;
use alloy_primitives::{Address, U256};
use core::fmt::Debug;
use revm::Database;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::state::EvmState;

/// An EVM that runs whole transactions over any database.
pub(crate) trait CustomEvm: Debug + Send + Sync {
    /// Whether it ever defers anything.
    fn can_defer(&self) -> bool;

    /// Runs `tx` of `block` on the state that `view` shows. What it adds to the balances of the
    /// accounts `deferred` it may defer, if it has not read them.
    ///
    /// # Errors
    /// The transaction is invalid, or the EVM gives up. If `view` has stopped, the error is not
    /// looked at.
    fn run(
        &self,
        view: &mut dyn Database<Error = ViewStopped>,
        block: &Block,
        tx: &TxEnv,
        deferred: [Option<Address>; 2],
    ) -> Result<CustomRun, Rejection>;
}

/// What a custom EVM made of a transaction.
#[derive(Debug)]
pub(crate) struct CustomRun {
    pub(crate) result: ExecutionResult,
    /// Every account that was loaded, as revm's journal leaves it.
    pub(crate) state: EvmState,
    /// Wei that were deferred for those who might have them so, and that `state` does not have.
    pub(crate) deferred: [Option<U256>; 2],
}
