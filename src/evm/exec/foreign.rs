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
pub(crate) trait ForeignEvm: Debug + Send + Sync {
    /// Whether it ever sets anything aside.
    fn sets_aside(&self) -> bool;

    /// Runs `tx` of `block` on the state that `view` shows. What it adds to the balances of the
    /// accounts `aside` it may set aside, if it has not read them.
    ///
    /// # Errors
    /// The transaction is invalid, or the EVM gives up. If `view` has stopped, the error is not
    /// looked at.
    fn run(
        &self,
        view: &mut dyn Database<Error = ViewStopped>,
        block: &Block,
        tx: &TxEnv,
        aside: [Option<Address>; 2],
    ) -> Result<ForeignRun, Rejection>;
}

/// What a foreign EVM made of a transaction.
#[derive(Debug)]
pub(crate) struct ForeignRun {
    pub(crate) result: ExecutionResult,
    /// Every account that was loaded, as revm's journal leaves it.
    pub(crate) state: EvmState,
    /// Wei that were set aside for those who might have them so, and that `state` does not have.
    pub(crate) aside: [Option<U256>; 2],
}
