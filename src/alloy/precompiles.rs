//! A factory of Ethereum's EVMs with custom precompiles of alloy-evm.

use alloy_evm::eth::EthEvmContext;
use alloy_evm::precompiles::PrecompilesMap;
use alloy_evm::{Database, EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory};
use core::fmt;
use revm::Inspector;
use revm::context::result::{EVMError, HaltReason};
use revm::context::{BlockEnv, DBErrorMarker, TxEnv};
use revm::inspector::NoOpInspector;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// A factory of Ethereum's EVMs with custom precompiles. A function adds, replaces or removes any
/// [`DynPrecompile`](alloy_evm::precompiles::DynPrecompile), including precompiles that write
/// state.
///
/// Pass it to
/// [`BraidExecutorFactory::with_evm_factory`](super::BraidExecutorFactory::with_evm_factory), with
/// [`Fees::Deferred`](super::Fees::Deferred). Workers, and the calls that execute a single
/// transaction, then have the same precompiles. The function is called for each EVM. A precompile
/// must be a function of its input and of the state that it reads through the EVM, because a
/// transaction may run several times. A [`Precompile`](crate::Precompile), which can read state but
/// not write it, is faster, because Braid's own EVM runs it.
#[derive(Clone)]
pub struct PrecompileEvmFactory {
    change: Arc<dyn Fn(&mut PrecompilesMap) + Send + Sync>,
}

impl fmt::Debug for PrecompileEvmFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrecompileEvmFactory").finish_non_exhaustive()
    }
}

impl PrecompileEvmFactory {
    /// Creates a factory whose EVMs have Ethereum's precompiles, changed by `change`.
    pub fn new(change: impl Fn(&mut PrecompilesMap) + Send + Sync + 'static) -> Self {
        Self { change: Arc::new(change) }
    }

    fn changed<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        mut evm: EthEvm<DB, I, PrecompilesMap>,
    ) -> EthEvm<DB, I, PrecompilesMap> {
        (self.change)(evm.precompiles_mut());
        evm
    }
}

impl EvmFactory for PrecompileEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = EthEvm<DB, I, PrecompilesMap>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> Self::Evm<DB, NoOpInspector> {
        self.changed(EthEvmFactory::default().create_evm(db, env))
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        self.changed(EthEvmFactory::default().create_evm_with_inspector(db, env, inspector))
    }
}
