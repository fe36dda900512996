//! Signed transactions, and the checks that need no state.

use super::error::PoolError;
use crate::rlp::recover_sender;
use alloy_consensus::{EthereumTxEnvelope, Transaction, TxEip4844, TxEip4844WithSidecar};
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{BYTES_PER_BLOB, DATA_GAS_PER_BLOB},
    eip7594::BlobTransactionSidecarVariant,
};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, U256};
use revm::{
    Context, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        either::Either,
        result::{EVMError, InvalidTransaction},
    },
    database::EmptyDB,
    handler::{EthFrame, Handler, MainnetHandler},
};
use std::{convert::Infallible, mem, num::NonZeroUsize, sync::Arc};

/// A signed transaction, without the sidecar of a blob transaction.
pub type SignedTransaction = EthereumTxEnvelope<TxEip4844>;

/// A signed transaction as wallets send it: a blob transaction has its sidecar, with the proofs of
/// EIP-4844 or the cell proofs of EIP-7594.
pub type NetworkTransaction = EthereumTxEnvelope<TxEip4844WithSidecar>;

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
    /// Creates the rules of a block with this configuration and environment. Its base fee and its
    /// price of blob gas are ignored: a transaction that pays less waits until they have fallen.
    #[must_use]
    pub fn new(cfg: CfgEnv, env: BlockEnv) -> Self {
        // The lowest price of blob gas.
        let free = BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 };
        let blob_excess_gas_and_price = env.blob_excess_gas_and_price.map(|_| free);
        let env = BlockEnv { basefee: 0, blob_excess_gas_and_price, ..env };
        Self { cfg, env, least_fee: 0 }
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
    sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
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
        Ok(Arc::new(Self::checked(signed, None, sender, admission)?).with_authorities())
    }

    fn checked(
        signed: SignedTransaction,
        sidecar: Option<BlobTransactionSidecarVariant>,
        sender: Address,
        admission: &Admission,
    ) -> Result<Self, PoolError> {
        if signed.is_eip4844() && sidecar.is_none() {
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
        let blob_gas = (env.blob_hashes.len() as u64).saturating_mul(DATA_GAS_PER_BLOB);
        let blob_fees = U256::from(env.max_fee_per_blob_gas).saturating_mul(U256::from(blob_gas));
        let cost = fees.saturating_add(blob_fees).saturating_add(env.value);
        let bytes = encoded.saturating_mul(2).saturating_add(OVERHEAD);
        let bytes = bytes.saturating_add(sidecar.as_ref().map_or(0, size_of_sidecar));
        Ok(Self { signed, env, cost, bytes, sidecar: sidecar.map(Arc::new) })
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
        Self::recover_with(signed, None, admission)
    }

    /// Like [`recover_sender`](Self::recover_sender), for a transaction with its sidecar. Does not
    /// check the proofs of the sidecar.
    ///
    /// # Errors
    /// As for [`recover_sender`](Self::recover_sender).
    pub fn recover_network(
        transaction: NetworkTransaction,
        admission: &Admission,
    ) -> Result<Arc<Self>, PoolError> {
        let mut sidecar = None;
        let signed = transaction.map_eip4844(|it| {
            let (tx, its) = it.into_parts();
            sidecar = Some(its);
            tx
        });
        Self::recover_with(signed, sidecar, admission)
    }

    fn recover_with(
        signed: SignedTransaction,
        sidecar: Option<BlobTransactionSidecarVariant>,
        admission: &Admission,
    ) -> Result<Arc<Self>, PoolError> {
        let mut checked = Self::checked(signed, sidecar, Address::ZERO, admission)?;
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
        let mut all = Arc::unwrap_or_clone(self);
        all.env = TxEnv::from_recovered_tx(&all.signed, all.env.caller);
        Arc::new(all)
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

    /// Returns the sidecar of a blob transaction.
    #[must_use]
    pub const fn sidecar(&self) -> Option<&Arc<BlobTransactionSidecarVariant>> {
        self.sidecar.as_ref()
    }

    /// Encodes the transaction with its sidecar, as nodes send it to each other: [typed
    /// transactions](NetworkTransaction) are strings of RLP.
    pub fn encode_network(&self, out: &mut Vec<u8>) {
        match (&self.signed, &self.sidecar) {
            (SignedTransaction::Eip4844(signed), Some(sidecar)) => {
                let with = |tx| TxEip4844WithSidecar { tx, sidecar: (**sidecar).clone() };
                NetworkTransaction::Eip4844(signed.clone().map(with)).network_encode(out);
            }
            (signed, _) => signed.network_encode(out),
        }
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
    /// value, plus the fee of its blobs.
    #[must_use]
    pub const fn cost(&self) -> U256 {
        self.cost
    }

    /// Returns the size that counts towards the pool's limit: twice the encoding, plus 2 KiB, plus
    /// the sidecar.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the maximum fee per gas.
    #[must_use]
    pub const fn max_fee(&self) -> u128 {
        self.env.gas_price
    }

    /// Returns the maximum fee per blob gas; `None` if the transaction has no blobs.
    #[must_use]
    pub fn max_blob_fee(&self) -> Option<u128> {
        self.signed.max_fee_per_blob_gas()
    }

    /// Returns the maximum tip per gas: the maximum fee if the transaction has no separate tip.
    #[must_use]
    pub fn max_tip(&self) -> u128 {
        let tip = self.signed.max_priority_fee_per_gas();
        tip.unwrap_or(self.env.gas_price).min(self.env.gas_price)
    }

    /// Whether the transaction pays this fee per blob gas, if it has blobs.
    pub(super) fn pays_for_blobs(&self, fee: u128) -> bool {
        self.max_blob_fee().is_none_or(|most| most >= fee)
    }

    /// Returns the tip per gas in a block with this base fee; `None` if the transaction does not
    /// pay that.
    #[must_use]
    pub fn tip(&self, base_fee: u128) -> Option<u128> {
        self.max_fee().checked_sub(base_fee).map(|most| most.min(self.max_tip()))
    }
}

/// Returns the memory of a sidecar in bytes.
fn size_of_sidecar(sidecar: &BlobTransactionSidecarVariant) -> usize {
    let (blobs, points) = match sidecar {
        BlobTransactionSidecarVariant::Eip4844(it) => {
            (it.blobs.len(), it.commitments.len().saturating_add(it.proofs.len()))
        }
        BlobTransactionSidecarVariant::Eip7594(it) => {
            (it.blobs.len(), it.commitments.len().saturating_add(it.cell_proofs.len()))
        }
    };
    blobs.saturating_mul(BYTES_PER_BLOB).saturating_add(points.saturating_mul(48))
}

/// [Recovers](PoolTransaction::recover) the senders of many transactions on `threads` threads.
/// The results are in the order of `signed`.
#[must_use]
pub fn recover_all(
    signed: Vec<SignedTransaction>,
    admission: &Admission,
    threads: NonZeroUsize,
) -> Vec<Result<Arc<PoolTransaction>, PoolError>> {
    in_parts(signed, threads, |it| PoolTransaction::recover(it, admission))
}

/// Like [`recover_all`], for transactions with their sidecars, whose proofs are not checked.
#[must_use]
pub fn recover_all_network(
    transactions: Vec<NetworkTransaction>,
    admission: &Admission,
    threads: NonZeroUsize,
) -> Vec<Result<Arc<PoolTransaction>, PoolError>> {
    in_parts(transactions, threads, |it| {
        PoolTransaction::recover_network(it, admission).map(PoolTransaction::with_authorities)
    })
}

/// Calls `recover` for each item on `threads` threads.
fn in_parts<T: Send, R: Send>(
    items: Vec<T>,
    threads: NonZeroUsize,
    recover: impl Fn(T) -> R + Copy + Send,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.get()).max(1);
    let mut items = items.into_iter();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        loop {
            let part: Vec<_> = items.by_ref().take(share).collect();
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
