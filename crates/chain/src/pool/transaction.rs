//! Signed transactions, and the checks that need no state.

use super::error::PoolError;
use crate::rlp::recover_sender;
use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, U256};
use revm::{
    Context, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{
        either::Either,
        result::{EVMError, InvalidTransaction},
    },
    database::EmptyDB,
    handler::{EthFrame, Handler, MainnetHandler},
};
use std::{convert::Infallible, mem, num::NonZeroUsize, sync::Arc};

/// A signed transaction, without the sidecar of a blob transaction.
pub type SignedTransaction = EthereumTxEnvelope<TxEip4844>;

/// Maximum length of an encoded transaction in bytes, as in geth.
const MAX_ENCODED: usize = 128 << 10;

/// Memory of a transaction in a pool in addition to its encoding, in bytes: its fields twice, once
/// signed and once for the EVM, and its entries in the pool's maps.
const OVERHEAD: usize = 2_048;

/// Rules that a transaction must obey whatever the state.
#[derive(Clone, Debug)]
pub struct Admission {
    cfg: CfgEnv,
    env: BlockEnv,
    least_fee: u128,
}

impl Admission {
    /// Creates the rules of a block with this configuration and environment. Its base fee is
    /// ignored: a transaction that pays less waits for a lower base fee.
    #[must_use]
    pub fn new(cfg: CfgEnv, env: BlockEnv) -> Self {
        Self { cfg, env: BlockEnv { basefee: 0, ..env }, least_fee: 0 }
    }

    /// Rejects transactions that pay less than `fee`, the lowest base fee that the chain can have:
    /// they would wait for ever.
    #[must_use]
    pub const fn with_least_fee(mut self, fee: u64) -> Self {
        self.least_fee = fee as u128;
        self
    }

    /// Runs the checks that the EVM does before it reads the state.
    fn check(&self, tx: &TxEnv) -> Result<(), InvalidTransaction> {
        type Error = EVMError<Infallible, InvalidTransaction>;
        let context = Context::mainnet().with_db(EmptyDB::new());
        let context = context.with_cfg(self.cfg.clone()).with_block(self.env.clone());
        let mut evm = context.with_tx(tx.clone()).build_mainnet();
        let handler = MainnetHandler::<_, Error, EthFrame<_>>::default();
        let checked = handler.validate_env(&mut evm);
        let checked = checked.and_then(|()| handler.validate_initial_tx_gas(&mut evm));
        match checked {
            Err(EVMError::Transaction(invalid)) => Err(invalid),
            // An environment with a missing field makes the block fail, not this transaction.
            Err(_) | Ok(_) => Ok(()),
        }
    }
}

/// Converts `signed` for the EVM, without recovering the authorities of EIP-7702.
fn env_of(signed: &SignedTransaction, sender: Address) -> TxEnv {
    let SignedTransaction::Eip7702(signed) = signed else {
        return TxEnv::from_recovered_tx(signed, sender);
    };
    let mut tx = signed.tx().clone();
    let authorizations = mem::take(&mut tx.authorization_list);
    let env = TxEnv::from_recovered_tx(&tx, sender);
    TxEnv { authorization_list: authorizations.into_iter().map(Either::Left).collect(), ..env }
}

/// A transaction that has passed all checks that need no state, ready for a pool.
#[derive(Clone, Debug)]
pub struct PoolTransaction {
    signed: SignedTransaction,
    env: TxEnv,
    cost: U256,
    bytes: usize,
}

impl PoolTransaction {
    /// Checks `signed` against all rules that need no state. `sender` must be its signer.
    ///
    /// # Errors
    /// Returns the rule that the transaction violates.
    pub fn new(
        signed: SignedTransaction,
        sender: Address,
        admission: &Admission,
    ) -> Result<Arc<Self>, PoolError> {
        Ok(Arc::new(Self::checked(signed, sender, admission)?).with_authorities())
    }

    fn checked(
        signed: SignedTransaction,
        sender: Address,
        admission: &Admission,
    ) -> Result<Self, PoolError> {
        if signed.is_eip4844() {
            return Err(PoolError::Blobs);
        }
        let encoded = signed.encode_2718_len();
        if encoded > MAX_ENCODED {
            return Err(PoolError::Oversized { bytes: encoded, limit: MAX_ENCODED });
        }
        let env = env_of(&signed, sender);
        admission.check(&env).map_err(PoolError::Invalid)?;
        let (max_fee, least) = (env.gas_price, admission.least_fee);
        if max_fee < least {
            return Err(PoolError::Underpriced { max_fee, least });
        }
        let fees = U256::from(env.gas_price).saturating_mul(U256::from(env.gas_limit));
        let cost = fees.saturating_add(env.value);
        let bytes = encoded.saturating_mul(2).saturating_add(OVERHEAD);
        Ok(Self { signed, env, cost, bytes })
    }

    /// Checks `signed` like [`new`](Self::new), and then recovers its sender, which takes longer
    /// than the checks. Does not recover the authorities of EIP-7702.
    ///
    /// # Errors
    /// The signature is invalid, or as for [`new`](Self::new).
    pub fn recover_sender(
        signed: SignedTransaction,
        admission: &Admission,
    ) -> Result<Arc<Self>, PoolError> {
        let mut checked = Self::checked(signed, Address::ZERO, admission)?;
        checked.env.caller = recover_sender(&checked.signed, true).ok_or(PoolError::Signature)?;
        Ok(Arc::new(checked))
    }

    /// Recovers the transaction's authorities of EIP-7702. There can be hundreds of signatures,
    /// which the EVM would otherwise recover in each execution.
    #[must_use]
    pub fn with_authorities(self: Arc<Self>) -> Arc<Self> {
        if !self.signed.is_eip7702() {
            return self;
        }
        let Self { signed, env, cost, bytes } = Arc::unwrap_or_clone(self);
        let env = TxEnv::from_recovered_tx(&signed, env.caller);
        Arc::new(Self { signed, env, cost, bytes })
    }

    /// Runs [`recover_sender`](Self::recover_sender) and
    /// [`with_authorities`](Self::with_authorities).
    ///
    /// # Errors
    /// As for [`recover_sender`](Self::recover_sender).
    pub fn recover(
        signed: SignedTransaction,
        admission: &Admission,
    ) -> Result<Arc<Self>, PoolError> {
        Self::recover_sender(signed, admission).map(Self::with_authorities)
    }

    /// Returns the transaction's hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        *self.signed.hash()
    }

    /// Returns the signed transaction.
    #[must_use]
    pub const fn signed(&self) -> &SignedTransaction {
        &self.signed
    }

    /// Returns the transaction as the EVM takes it.
    #[must_use]
    pub const fn env(&self) -> &TxEnv {
        &self.env
    }

    /// Returns the signer of the transaction.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.env.caller
    }

    /// Returns the nonce.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.env.nonce
    }

    /// Returns the maximum that the transaction can cost its sender: gas limit times fee, plus
    /// value.
    #[must_use]
    pub const fn cost(&self) -> U256 {
        self.cost
    }

    /// Returns the size that counts towards the pool's limit: twice the encoding, plus 2 KiB.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the maximum fee per gas.
    #[must_use]
    pub const fn max_fee(&self) -> u128 {
        self.env.gas_price
    }

    /// Returns the maximum tip per gas: the maximum fee if the transaction has no separate tip.
    #[must_use]
    pub fn max_tip(&self) -> u128 {
        let tip = self.signed.max_priority_fee_per_gas();
        tip.unwrap_or(self.env.gas_price).min(self.env.gas_price)
    }

    /// Returns the tip per gas in a block with this base fee; `None` if the transaction does not
    /// pay that.
    #[must_use]
    pub fn tip(&self, base_fee: u128) -> Option<u128> {
        self.max_fee().checked_sub(base_fee).map(|most| most.min(self.max_tip()))
    }
}

/// [Recovers](PoolTransaction::recover) the senders of many transactions on `threads` threads.
/// The results are in the order of `signed`.
#[must_use]
pub fn recover_all(
    signed: Vec<SignedTransaction>,
    admission: &Admission,
    threads: NonZeroUsize,
) -> Vec<Result<Arc<PoolTransaction>, PoolError>> {
    let share = signed.len().div_ceil(threads.get()).max(1);
    let mut signed = signed.into_iter();
    let recover = |it| PoolTransaction::recover(it, admission);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        loop {
            let part: Vec<_> = signed.by_ref().take(share).collect();
            if part.is_empty() {
                break;
            }
            running.push(scope.spawn(move || part.into_iter().map(recover).collect::<Vec<_>>()));
        }
        let joined = running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}
