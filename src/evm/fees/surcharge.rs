//! A fee of a chain's own, beside that of Ethereum.

use alloy_primitives::{Address, U256};
use core::fmt::Debug;
use revm::context::TxEnv;

/// A fee that every transaction pays on top of its gas, as rollups charge for publishing it.
///
/// The sender pays it before anything else happens, also if the transaction reverts; who cannot
/// is rejected for lack of funds, before nonce and gas are looked at. The receiver has it after the
/// execution, before the beneficiary has its reward, so that the transaction itself does not see it
/// there. What a transaction that is left out would have paid is not taken.
///
/// What the receiver gets is deferred like the beneficiary's reward, so that transactions do not
/// depend on each other through it, unless the receiver is the beneficiary.
pub trait Surcharge: Debug + Send + Sync {
    /// Who gets it.
    fn receiver(&self) -> Address;

    /// Wei that `tx` pays; no account is touched if that is zero.
    ///
    /// It is asked several times, on several threads, and must be a function of the transaction
    /// alone: what it needs of the chain (the price of data) has to be known before the block.
    fn amount(&self, tx: &TxEnv) -> U256;
}
