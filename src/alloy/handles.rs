//! Per-worker database handles, whose reads bypass the caller's database.

use crate::evm::{AnySource, AnyState, StateSource};
use crate::ids::WorkerId;
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::Encodable2718;
use alloy_evm::block::{BlockExecutionError, BlockExecutor, BlockExecutorFactory};
use alloy_evm::eth::receipt_builder::ReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory};
use alloy_evm::{EvmEnv, EvmFactory, FromRecoveredTx, FromTxWithEncoded};
use alloy_primitives::{Address, B256, Bytes, Log, U256, map::AddressSet};
use core::fmt;
use revm::DatabaseRef;
use revm::context::{BlockEnv, TxEnv};
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State, WrapDatabaseRef};
use revm::database_interface::ErasedError;
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};

/// The parent of a block.
pub(super) struct ParentBlock {
    pub(super) hash: B256,
    pub(super) beacon_block_root: Option<B256>,
}

/// The effects of the pre-block calls.
pub(super) struct PreBlock {
    pub(super) changes: BundleState,
    /// Accounts that the calls have committed, also without a change.
    pub(super) committed: AddressSet,
}

type OpenHandle = dyn Fn(B256) -> Option<AnySource<'static>> + Send + Sync;
type BeforeTransactions = dyn Fn(EvmEnv, ParentBlock, AnyState<'static>) -> Result<PreBlock, BlockExecutionError>
    + Send
    + Sync;

/// Opens handles on the state after a block, and runs the pre-block calls on them.
pub(super) struct Handles {
    open: Box<OpenHandle>,
    before: Box<BeforeTransactions>,
}

impl Handles {
    /// Creates handles that are opened by `open`. `ethereum` performs the pre-block calls.
    pub(super) fn new<S, R, Spec, F>(
        open: impl Fn(B256) -> Option<S> + Send + Sync + 'static,
        ethereum: EthBlockExecutorFactory<R, Spec, F>,
    ) -> Self
    where
        S: StateSource + 'static,
        R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>
            + Send
            + Sync
            + 'static,
        Spec: EthExecutorSpec + Send + Sync + 'static,
        F: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv> + Send + Sync + 'static,
        TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
        <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    {
        let before = move |env, parent: ParentBlock, handle| {
            let state = State::builder().with_database(WrapDatabaseRef(Handle(handle)));
            let mut state = state.with_bundle_update().build();
            let evm = ethereum.evm_factory().create_evm(&mut state, env);
            let context = EthBlockExecutionCtx {
                parent_hash: parent.hash,
                parent_beacon_block_root: parent.beacon_block_root,
                ommers: &[],
                withdrawals: None,
                extra_data: Bytes::new(),
                tx_count_hint: None,
                slot_number: None,
            };
            ethereum.create_executor(evm, context).apply_pre_execution_changes()?;
            let committed = state.transition_state.iter().flat_map(|it| it.transitions.keys());
            let committed = committed.copied().collect();
            state.merge_transitions(BundleRetention::PlainState);
            Ok(PreBlock { changes: state.take_bundle(), committed })
        };
        let open = move |parent| open(parent).map(AnySource::new);
        Self { open: Box::new(open), before: Box::new(before) }
    }

    /// Opens the state after the block with the hash `parent`; `None` if it is not available.
    pub(super) fn open(&self, parent: B256) -> Option<AnySource<'static>> {
        (self.open)(parent)
    }

    /// Returns the effects of the pre-block calls on `source`.
    ///
    /// # Errors
    /// Returns an error if a system call or a read of a handle fails.
    pub(super) fn before_transactions(
        &self,
        env: EvmEnv,
        parent: ParentBlock,
        source: &AnySource<'static>,
    ) -> Result<PreBlock, BlockExecutionError> {
        let handle = source.open(WorkerId(0)).map_err(BlockExecutionError::other)?;
        (self.before)(env, parent, handle)
    }
}

/// A handle with the traits that alloy-evm requires.
struct Handle(AnyState<'static>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl DatabaseRef for Handle {
    type Error = ErasedError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ErasedError> {
        self.0.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ErasedError> {
        self.0.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ErasedError> {
        self.0.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ErasedError> {
        self.0.block_hash_ref(number)
    }
}
