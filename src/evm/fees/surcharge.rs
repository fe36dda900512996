//! A chain's own fee on top of Ethereum's.

use alloy_primitives::{Address, U256};
use core::fmt::Debug;
use revm::context::TxEnv;

/// A fee that every transaction pays on top of gas, such as a rollup's charge for publishing data.
///
/// The sender pays before anything else happens, even if the transaction reverts. A sender without
/// sufficient balance is rejected for lack of funds before nonce and gas are checked. The receiver
/// is credited after the execution and before the beneficiary's reward, so the transaction itself
/// does not see the credit. A skipped transaction pays nothing.
///
/// Credits to the receiver are balance deltas, as is the beneficiary's reward, so transactions do
/// not conflict on the receiver's balance, unless the receiver is the beneficiary.
pub trait Surcharge: Debug + Send + Sync {
    /// The account that receives the fee.
    fn receiver(&self) -> Address;

    /// The fee of `tx` in wei; no account is touched if it is zero.
    ///
    /// Called several times and on several threads, it must be a function of the transaction alone.
    /// Anything it needs from the chain, such as the price of data, must be known before the block.
    fn amount(&self, tx: &TxEnv) -> U256;
}
