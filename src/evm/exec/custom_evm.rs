//! A custom EVM that runs in the workers.

use super::input::Block;
use super::rejection::Rejection;
use super::stopped::ViewStopped;
use alloy_primitives::{Address, U256};
use core::fmt::Debug;
use revm::Database;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::state::EvmState;

/// An EVM that runs whole transactions against any database.
pub(crate) trait CustomEvm: Debug + Send + Sync {
    /// Whether payments may be blind credits.
    fn allows_blind_credits(&self) -> bool;

    /// Runs `tx` of `block` on the state behind `view`. Credits to the accounts in `credits` may
    /// be blind if their balances have not been read.
    ///
    /// # Errors
    /// Returns a rejection if the transaction is invalid or the EVM fails. It is ignored if `view`
    /// has stopped.
    fn run(
        &self,
        view: &mut dyn Database<Error = ViewStopped>,
        block: &Block,
        tx: &TxEnv,
        credits: [Option<Address>; 2],
    ) -> Result<CustomRun, Rejection>;
}

/// Result of a transaction that ran in a custom EVM.
#[derive(Debug)]
pub(crate) struct CustomRun {
    pub(crate) result: ExecutionResult,
    /// Every loaded account, as revm's journal leaves it.
    pub(crate) state: EvmState,
    /// Blind credits in wei, in the order of the accounts passed to [`CustomEvm::run`]; not
    /// contained in `state`.
    pub(crate) credits: [Option<U256>; 2],
}
