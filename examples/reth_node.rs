//! The three types that a reth node needs to execute whole blocks with Braid: `ConfigureEvm`,
//! `ConfigureEngineEvm` and `ExecutorBuilder`.
//!
//! reth's crates are not published, so the module `stand_ins` has traits of the same names with the
//! methods that matter here, and the two loops in which reth executes blocks. Everything outside of
//! it is what a node writes. The program executes a block in both loops and compares the results
//! with alloy-evm's own factory; it has not been run in reth.
//!
//! `cargo run --example reth_node`

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{BlockBody, Header, Signed, TxEip1559, TxEnvelope};
use alloy_eips::eip7840::BlobParams;
use alloy_evm::EvmEnv;
use alloy_evm::eth::receipt_builder::AlloyReceiptBuilder;
use alloy_evm::eth::spec::EthSpec;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmFactory};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::{Config, StateSource, WorkerId};
use revm::bytecode::Bytecode;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, CacheDB, EmptyDB, State, WrapDatabaseRef};
use revm::state::AccountInfo;
use stand_ins::{
    Block, BuilderContext, ConfigureEngineEvm, ConfigureEvm, ExecutorBuilder, Payload, Provider,
    StateProviderFactory, execute_one, new_payload,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

/// reth's traits and loops, reduced to what the types below meet.
mod stand_ins {
    use super::*;
    use alloy_evm::block::{
        BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory,
    };
    use alloy_evm::precompiles::PrecompilesMap;
    use alloy_evm::{Database, EvmFactory};
    use core::fmt::Debug;
    use revm::context::{BlockEnv, TxEnv};
    use revm::primitives::hardfork::SpecId;

    /// Stands for `SealedBlock`, with recovered senders.
    pub(super) type Block = alloy_consensus::Block<Recovered<TxEnvelope>>;
    /// Stands for the execution payload of the Engine API.
    pub(super) type Payload = Block;
    /// Stands for a state provider: a read transaction of the node's store.
    pub(super) type Provider = CacheDB<EmptyDB>;
    pub(super) type Receipt = alloy_consensus::ReceiptEnvelope;

    /// Stands for `reth_storage_api::StateProviderFactory`.
    pub(super) trait StateProviderFactory: Send + Sync {
        /// Opens the state after the block `hash`, if it is in the store.
        fn state_by_block_hash(&self, hash: B256) -> Option<Provider>;
    }

    /// Stands for `reth_evm::ConfigureEvm`.
    pub(super) trait ConfigureEvm: Clone + Debug + Send + Sync + Unpin {
        type Error: Error + Send + Sync + 'static;
        type BlockExecutorFactory: for<'a> BlockExecutorFactory<
                Transaction = TxEnvelope,
                Receipt = Receipt,
                ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
                EvmFactory: EvmFactory<
                    Tx = TxEnv,
                    Spec = SpecId,
                    BlockEnv = BlockEnv,
                    Precompiles = PrecompilesMap,
                >,
            >;

        fn block_executor_factory(&self) -> &Self::BlockExecutorFactory;
        fn evm_env(&self, header: &Header) -> Result<EvmEnv, Self::Error>;
        fn context_for_block<'a>(
            &self,
            block: &'a Block,
        ) -> Result<EthBlockExecutionCtx<'a>, Self::Error>;
    }

    /// Stands for `reth_evm::ConfigureEngineEvm`.
    pub(super) trait ConfigureEngineEvm<ExecutionData>: ConfigureEvm {
        fn evm_env_for_payload(&self, payload: &ExecutionData) -> Result<EvmEnv, Self::Error>;
        fn context_for_payload<'a>(
            &self,
            payload: &'a ExecutionData,
        ) -> Result<EthBlockExecutionCtx<'a>, Self::Error>;
        fn tx_iterator_for_payload(
            &self,
            payload: &ExecutionData,
        ) -> Result<impl Iterator<Item = Recovered<TxEnvelope>>, Self::Error>;
    }

    /// Stands for `reth_node_builder::BuilderContext`.
    #[derive(Debug)]
    pub(super) struct BuilderContext<P> {
        pub(super) chain_spec: EthSpec,
        pub(super) provider: P,
    }

    /// Stands for `reth_node_builder::components::ExecutorBuilder`, whose method is asynchronous.
    pub(super) trait ExecutorBuilder<P> {
        type Evm: ConfigureEvm;

        fn build_evm(self, context: &BuilderContext<P>) -> Result<Self::Evm, Box<dyn Error>>;
    }

    /// What `BasicBlockExecutor::execute_one` does, for the pipeline's execution stage, for
    /// re-execution, and for backfills of execution extensions: one call for the whole block.
    pub(super) fn execute_one<C: ConfigureEvm, DB: Database>(
        config: &C,
        state: &mut State<DB>,
        block: &Block,
    ) -> Result<BlockExecutionResult<Receipt>, Box<dyn Error>> {
        let factory = config.block_executor_factory();
        let evm = factory.evm_factory().create_evm(&mut *state, config.evm_env(&block.header)?);
        let executor = factory.create_executor(evm, config.context_for_block(block)?);
        let result = executor.execute_block(block.body.transactions.iter())?;
        state.merge_transitions(BundleRetention::Reverts);
        Ok(result)
    }

    /// What the engine does for `engine_newPayload`: one call for each transaction, because its
    /// state-root task hears of each of them.
    pub(super) fn new_payload<C: ConfigureEngineEvm<Payload>, DB: Database>(
        config: &C,
        state: &mut State<DB>,
        payload: &Payload,
    ) -> Result<BlockExecutionResult<Receipt>, Box<dyn Error>> {
        let factory = config.block_executor_factory();
        let env = config.evm_env_for_payload(payload)?;
        let evm = factory.evm_factory().create_evm(&mut *state, env);
        let mut executor = factory.create_executor(evm, config.context_for_payload(payload)?);
        executor.apply_pre_execution_changes()?;
        for transaction in config.tx_iterator_for_payload(payload)? {
            let _gas = executor.execute_transaction(transaction)?;
        }
        let result: Result<_, BlockExecutionError> = executor.apply_post_execution_changes();
        state.merge_transitions(BundleRetention::Reverts);
        Ok(result?)
    }
}

/// Handles on the state after one block: each worker opens a state provider of its own.
struct ProviderHandles {
    providers: Arc<dyn StateProviderFactory>,
    block: B256,
}

impl StateSource for ProviderHandles {
    type State = Provider;

    fn open(&self, _: WorkerId) -> Result<Provider, Infallible> {
        // With a real store, return its error if the state has been pruned meanwhile.
        Ok(self.providers.state_by_block_hash(self.block).expect("it is not pruned"))
    }
}

/// The node's EVM configuration. A node keeps reth's `EthEvmConfig` in it and delegates everything
/// that is not shown here.
#[derive(Clone, Debug)]
struct BraidEvmConfig {
    chain_spec: EthSpec,
    factory: BraidExecutorFactory,
}

impl BraidEvmConfig {
    fn new(chain_spec: EthSpec, providers: Arc<dyn StateProviderFactory>) -> Self {
        let config = Config::default();
        let factory =
            BraidExecutorFactory::new(AlloyReceiptBuilder::default(), chain_spec.clone(), config);
        // Without handles, all reads go through the caller's `State`. The pipeline writes many
        // blocks at once: for all but the first, the parent is not in the store yet.
        let factory = factory.with_handles(move |parent| {
            providers.state_by_block_hash(parent)?;
            Some(ProviderHandles { providers: Arc::clone(&providers), block: parent })
        });
        Self { chain_spec, factory }
    }
}

impl ConfigureEvm for BraidEvmConfig {
    type Error = Infallible;
    type BlockExecutorFactory = BraidExecutorFactory;

    fn block_executor_factory(&self) -> &BraidExecutorFactory {
        &self.factory
    }

    fn evm_env(&self, header: &Header) -> Result<EvmEnv, Infallible> {
        Ok(EvmEnv::for_eth_block(header, &self.chain_spec, 1, Some(BlobParams::cancun())))
    }

    fn context_for_block<'a>(
        &self,
        block: &'a Block,
    ) -> Result<EthBlockExecutionCtx<'a>, Infallible> {
        Ok(context(block))
    }
}

impl ConfigureEngineEvm<Payload> for BraidEvmConfig {
    fn evm_env_for_payload(&self, payload: &Payload) -> Result<EvmEnv, Infallible> {
        self.evm_env(&payload.header)
    }

    fn context_for_payload<'a>(
        &self,
        payload: &'a Payload,
    ) -> Result<EthBlockExecutionCtx<'a>, Infallible> {
        self.context_for_block(payload)
    }

    fn tx_iterator_for_payload(
        &self,
        payload: &Payload,
    ) -> Result<impl Iterator<Item = Recovered<TxEnvelope>>, Infallible> {
        // A real payload has encoded transactions, which are decoded and recovered here.
        Ok(payload.body.transactions.clone().into_iter())
    }
}

/// Given to the node's `ComponentsBuilder::executor`.
#[derive(Clone, Copy, Debug, Default)]
struct BraidExecutorBuilder;

impl<P: StateProviderFactory + Clone + 'static> ExecutorBuilder<P> for BraidExecutorBuilder {
    type Evm = BraidEvmConfig;

    fn build_evm(self, context: &BuilderContext<P>) -> Result<BraidEvmConfig, Box<dyn Error>> {
        let providers = Arc::new(context.provider.clone());
        Ok(BraidEvmConfig::new(context.chain_spec.clone(), providers))
    }
}

fn context(block: &Block) -> EthBlockExecutionCtx<'_> {
    EthBlockExecutionCtx {
        parent_hash: block.header.parent_hash,
        parent_beacon_block_root: block.header.parent_beacon_block_root,
        ommers: &block.body.ommers,
        withdrawals: block.body.withdrawals.as_deref().map(|list| Cow::Borrowed(list.as_slice())),
        extra_data: block.header.extra_data.clone(),
        tx_count_hint: Some(block.body.transactions.len()),
        slot_number: None,
    }
}

/// The store of this program: the state after each block in it.
#[derive(Clone, Default)]
struct Store(Arc<BTreeMap<B256, Provider>>);

impl StateProviderFactory for Store {
    fn state_by_block_hash(&self, hash: B256) -> Option<Provider> {
        self.0.get(&hash).cloned()
    }
}

/// The configuration of a node without Braid, for comparison.
#[derive(Clone, Debug)]
struct AlloyEvmConfig(BraidEvmConfig, EthBlockExecutorFactory);

impl ConfigureEvm for AlloyEvmConfig {
    type Error = Infallible;
    type BlockExecutorFactory = EthBlockExecutorFactory;

    fn block_executor_factory(&self) -> &EthBlockExecutorFactory {
        &self.1
    }

    fn evm_env(&self, header: &Header) -> Result<EvmEnv, Infallible> {
        self.0.evm_env(header)
    }

    fn context_for_block<'a>(
        &self,
        block: &'a Block,
    ) -> Result<EthBlockExecutionCtx<'a>, Infallible> {
        Ok(context(block))
    }
}

const PAYERS: u64 = 200;
const COUNTER: Address = Address::repeat_byte(0xc0);
const PARENT: B256 = B256::repeat_byte(0x11);

fn payer(number: u64) -> Address {
    Address::from_word(U256::from(0xa000 + number).into())
}

/// A call of one counter by each payer; the signatures are not checked here.
fn calls() -> Vec<Recovered<TxEnvelope>> {
    let call = |number| {
        let to = TxKind::Call(COUNTER);
        // Without call data, it would count as a payment, which is too short to share.
        let input = Bytes::from_static(&hex!("06661abd"));
        let inner = TxEip1559 { chain_id: 1, gas_limit: 60_000, to, input, ..TxEip1559::default() };
        let signature = Signature::new(U256::ZERO, U256::ZERO, false);
        Recovered::new_unchecked(
            Signed::new_unchecked(inner, signature, B256::ZERO).into(),
            payer(number),
        )
    };
    (0..PAYERS).map(call).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut genesis = Provider::default();
    for number in 0..PAYERS {
        genesis.insert_account_info(payer(number), AccountInfo::from_balance(U256::from(100)));
    }
    // The code counts the calls of each caller in a slot, so the calls do not conflict.
    let code = Bytecode::new_raw(hex!("3354600101335500").into());
    genesis.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
    let header = Header {
        parent_hash: PARENT,
        number: 19_900_000,
        timestamp: 1_716_000_000, // Cancun, on mainnet
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    let body = BlockBody { transactions: calls(), ..BlockBody::default() };
    let block = Block { header, body };

    let provider = Store(Arc::new([(PARENT, genesis.clone())].into()));
    let context = BuilderContext { chain_spec: EthSpec::mainnet(), provider };
    let config = BraidExecutorBuilder.build_evm(&context)?;
    let fresh = || -> State<WrapDatabaseRef<Provider>> {
        let state = State::builder().with_database(WrapDatabaseRef(genesis.clone()));
        state.with_bundle_update().build()
    };

    let ethereum = EthBlockExecutorFactory::new(
        AlloyReceiptBuilder::default(),
        EthSpec::mainnet(),
        EthEvmFactory::default(),
    );
    let mut state = fresh();
    let expected = execute_one(&AlloyEvmConfig(config.clone(), ethereum), &mut state, &block)?;
    let expected: (_, BundleState) = (expected, state.take_bundle());

    // Whole blocks: on all workers.
    let mut state = fresh();
    let found = execute_one(&config, &mut state, &block)?;
    assert_eq!((found, state.take_bundle()), expected);
    // Transaction by transaction: sequential.
    let mut state = fresh();
    let found = new_payload(&config, &mut state, &block)?;
    assert_eq!((found, state.take_bundle()), expected);

    let counted = config.factory.executions();
    println!(
        "{} block with {} transactions executed whole; {} transactions executed one at a time",
        counted.blocks, counted.transactions, counted.sequential
    );
    assert_eq!((counted.transactions, counted.sequential), (PAYERS, PAYERS));
    Ok(())
}
