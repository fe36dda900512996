//! A transaction of an executed block once more, alone, with an inspector.
//!
//! What each transaction has changed is kept as it commits, if [`Config::keeps_changes`] asks for
//! it. The state that a transaction saw is the state before the block, what the pre-block calls
//! have changed, and what the transactions below it have changed: that is put together here, and
//! plain revm runs the transaction on it.
//!
//! [`Config::keeps_changes`]: crate::Config::keeps_changes

use super::commit::{Codes, add_reward};
use super::committed::{Committed, OnCommit};
use crate::evm::exec::any::{AnySource, AnyState};
use crate::evm::exec::base::{BlockBase, DbError, Overlay, StateSource};
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::extensions::Extensions;
use crate::evm::exec::input::Block;
use crate::evm::exec::precompile::BlockPrecompiles;
use crate::evm::exec::rejection::Rejection;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use crate::ids::{TxIndex, WorkerId};
use alloy_primitives::{Address, B256, U256};
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::ControlFlow;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{Cfg, Context, ContextTr, Evm, JournalTr};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database::State;
use revm::database_interface::ErasedError;
use revm::database_interface::bal::EvmDatabaseError;
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, FrameResult, Handler, MainBuilder, MainContext, MainnetContext, post_execution,
    pre_execution,
};
use revm::inspector::InspectorHandler;
use revm::interpreter::InitialAndFloorGas;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::{AccountInfo, Bytecode, EvmState};
use revm::{Database, DatabaseCommit, DatabaseRef, Inspector};
use std::sync::Arc;

/// What is kept of a block to run its transactions again.
#[derive(Clone)]
pub(in crate::evm) struct Replay {
    block: Arc<Block>,
    extensions: Extensions,
    /// The parent's bundle, and what the pre-block calls have changed.
    overlay: Arc<Overlay>,
    committed: Vec<Committed>,
    mutant: EvmMutant,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.committed.len();
        f.debug_struct("Replay").field("transactions", &kept).finish_non_exhaustive()
    }
}

/// The state before a block, as a replay reads it.
pub struct ReplayBase<'s>(RefCell<BlockBase<AnyState<'s>>>);

impl fmt::Debug for ReplayBase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBase").finish_non_exhaustive()
    }
}

/// revm's context in a replay: what an inspector is asked to inspect.
pub type ReplayContext<'s> = MainnetContext<State<ReplayBase<'s>>>;

/// A transaction that ran again.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed<'s, I> {
    /// How it ended: as in the block, unless the inspector has interfered. One that left what it
    /// declares (`BlockOutput::undeclared`) halted in the block, and goes on here.
    pub result: ExecutionResult,
    /// All that it has loaded, with what it has changed; not committed anywhere.
    pub state: EvmState,
    /// The state that it saw.
    pub before: State<ReplayBase<'s>>,
    /// The inspector, with what it has recorded.
    pub inspector: I,
}

/// Why a transaction cannot run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// Nothing was kept: it was not asked for, or an EVM of the caller's ran the block.
    #[error(
        "nothing was kept of the block: set `Config::keeps_changes` and execute it again, not with \
         an EVM of your own"
    )]
    NotKept,
    /// The block ended before it, or has no such transaction.
    #[error(
        "transaction {tx} cannot run again: {known} transactions of the block are committed; \
         choose one of these, or the one after them"
    )]
    Unknown {
        /// Which one.
        tx: TxIndex,
        /// Number of transactions that were committed, or left out.
        known: usize,
    },
    /// It is not in the block (build mode only).
    #[error("transaction {tx} was left out of the block, choose another one: {reason}")]
    Skipped {
        /// Which one.
        tx: TxIndex,
        /// Why.
        reason: Rejection,
    },
    /// It is the one for which the block is invalid.
    #[error("transaction {tx} is invalid: {reason}")]
    Invalid {
        /// Which one.
        tx: TxIndex,
        /// Why.
        reason: InvalidTransaction,
    },
    /// The state before the block could not be read.
    #[error("the database failed: {0}; once it can be read, replay again")]
    Base(E),
    /// A precompile or the block's environment is to blame.
    #[error("transaction {tx} cannot run again: {message}; correct the block or the precompile")]
    Failed {
        /// Which one.
        tx: TxIndex,
        /// Why.
        message: String,
    },
}

impl<E> ReplayError<E> {
    fn map<F>(self, base: impl FnOnce(E) -> F) -> ReplayError<F> {
        match self {
            Self::NotKept => ReplayError::NotKept,
            Self::Unknown { tx, known } => ReplayError::Unknown { tx, known },
            Self::Skipped { tx, reason } => ReplayError::Skipped { tx, reason },
            Self::Invalid { tx, reason } => ReplayError::Invalid { tx, reason },
            Self::Base(error) => ReplayError::Base(base(error)),
            Self::Failed { tx, message } => ReplayError::Failed { tx, message },
        }
    }
}

impl Replay {
    /// See [`BlockOutput::replay`](crate::BlockOutput::replay).
    pub(super) fn inspect<'s, S, I>(
        &self,
        tx: TxIndex,
        source: S,
        inspector: I,
    ) -> Result<Replayed<'s, I>, ReplayError<DbError<S>>>
    where
        S: StateSource + 's,
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
        DbError<S>: core::error::Error + Send + Sync + 'static,
    {
        let replayed = self.run(tx, &AnySource::new(source), inspector);
        replayed.map_err(|error| {
            error.map(|error| match error.into_inner().downcast() {
                Ok(error) => *error,
                Err(_) => unreachable!("a replay reads from one source"),
            })
        })
    }

    fn run<'s, I>(
        &self,
        tx: TxIndex,
        source: &AnySource<'s>,
        inspector: I,
    ) -> Result<Replayed<'s, I>, ReplayError<ErasedError>>
    where
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
    {
        let known = self.committed.len();
        let transaction = self.block.transactions.get(tx.position());
        let transaction = transaction.filter(|_| tx.position() <= known);
        let transaction = transaction.ok_or(ReplayError::Unknown { tx, known })?;
        if let Some(reason) = self.committed.get(tx.position()).and_then(Committed::rejection) {
            return Err(ReplayError::Skipped { tx, reason: reason.clone() });
        }
        let state = source.open(WorkerId(0)).map_err(ReplayError::Base)?;
        let before = self.before(tx, state).map_err(|error| failed(tx, error))?;
        let Block { cfg, env, .. } = &*self.block;
        let own = Arc::clone(&self.extensions.precompiles);
        let context: ReplayContext<'s> = Context::mainnet().with_db(before);
        let mut evm = context
            .with_block(env.clone())
            .with_cfg(cfg.clone())
            .with_tx(transaction.clone())
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(BlockPrecompiles::new(cfg.spec, own));
        let mut handler = ReplayHandler { extensions: &self.extensions, marker: PhantomData };
        let ran = handler.inspect_run(&mut evm);
        let state = evm.ctx.journal_mut().finalize();
        let result = ran.map_err(|error| match error {
            EVMError::Database(error) => failed(tx, error),
            EVMError::Transaction(reason) => ReplayError::Invalid { tx, reason },
            other => ReplayError::Failed { tx, message: other.to_string() },
        })?;
        let Evm { ctx, inspector, .. } = evm;
        Ok(Replayed { result, state, before: ctx.journaled_state.database, inspector })
    }

    /// The state that `tx` saw.
    fn before<'s>(
        &self,
        tx: TxIndex,
        state: AnyState<'s>,
    ) -> Result<State<ReplayBase<'s>>, EvmDatabaseError<ErasedError>> {
        let base = BlockBase::new(state, Arc::clone(&self.overlay));
        let base = ReplayBase(RefCell::new(base));
        let mut state = State::builder().with_database(base).build();
        let (mut codes, spec) = (Codes::default(), self.block.cfg.spec);
        let vault = self.extensions.surcharge.as_ref().map(|surcharge| surcharge.receiver());
        let beneficiary = Some(self.block.env.beneficiary);
        for committed in self.committed.iter().take(tx.position()) {
            let mut changes = codes.state_of(committed, |address| state.basic(address))?;
            for (receiver, amount) in
                [(vault, committed.surcharge()), (beneficiary, committed.reward())]
            {
                let is_lost = is_evm_mutant!(self.mutant, ReplayWithoutCredits);
                let amount = amount.filter(|_| !is_lost);
                let (Some(receiver), Some(amount)) = (receiver, amount) else { continue };
                let now = state.basic(receiver)?;
                add_reward(&mut changes, receiver, amount, now, spec);
            }
            state.commit(changes);
        }
        Ok(state)
    }
}

/// The state could not be read.
fn failed(tx: TxIndex, error: EvmDatabaseError<ErasedError>) -> ReplayError<ErasedError> {
    match error {
        EvmDatabaseError::Database(error) => ReplayError::Base(error),
        EvmDatabaseError::Bal(error) => ReplayError::Failed { tx, message: error.to_string() },
    }
}

/// Keeps what commits, for replays.
pub(in crate::evm) struct CommitRecorder(Option<Vec<Committed>>);

impl CommitRecorder {
    /// `keeps`: nothing is kept otherwise.
    pub(in crate::evm) fn new(keeps: bool) -> Self {
        Self(keeps.then(Vec::new))
    }

    /// Runs `transactions` with what hears of each commit: `on_commit` after the recorder.
    pub(in crate::evm) fn listen<R>(
        &mut self,
        on_commit: Option<OnCommit<'_>>,
        transactions: impl FnOnce(Option<OnCommit<'_>>) -> R,
    ) -> R {
        let Some(kept) = &mut self.0 else { return transactions(on_commit) };
        let mut on_commit = on_commit;
        transactions(Some(&mut |committed: Committed| {
            kept.push(committed.clone());
            on_commit.as_mut().map_or(ControlFlow::Continue(()), |on_commit| on_commit(committed))
        }))
    }

    /// What it has kept of a block by `block_context` over `overlay`.
    pub(in crate::evm) fn end(
        self,
        block_context: &BlockContext,
        overlay: &Arc<Overlay>,
    ) -> Option<Replay> {
        let committed = self.0.filter(|_| !block_context.extensions.has_own_evm())?;
        let (block, extensions) =
            (Arc::clone(&block_context.block), block_context.extensions.clone());
        let (overlay, mutant) = (Arc::clone(overlay), block_context.mutant);
        Some(Replay { block, extensions, overlay, committed, mutant })
    }
}

/// revm's handler, and the surcharge.
struct ReplayHandler<'r, 's, I> {
    extensions: &'r Extensions,
    marker: PhantomData<(&'s (), I)>,
}

type ReplayEvm<'s, I> = Evm<
    ReplayContext<'s>,
    I,
    EthInstructions<EthInterpreter, ReplayContext<'s>>,
    BlockPrecompiles,
    EthFrame<EthInterpreter>,
>;

impl<'s, I> Handler for ReplayHandler<'_, 's, I> {
    type Evm = ReplayEvm<'s, I>;
    type Error = EVMError<EvmDatabaseError<ErasedError>>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        if let Some(amount) = self.amount(evm) {
            let sender = evm.ctx.tx.caller;
            let mut sender = evm.ctx.journal_mut().load_account_mut(sender)?.data;
            if !sender.decr_balance(amount) {
                let (fee, balance) = (Box::new(amount), Box::new(*sender.balance()));
                return Err(InvalidTransaction::LackOfFundForMaxFee { fee, balance }.into());
            }
        }
        pre_execution::validate_against_state_and_deduct_caller(&mut evm.ctx)
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        if let (Some(amount), Some(surcharge)) = (self.amount(evm), &self.extensions.surcharge) {
            let receiver = surcharge.receiver();
            evm.ctx.journal_mut().load_account_mut(receiver)?.incr_balance(amount);
        }
        Ok(post_execution::reward_beneficiary(&mut evm.ctx, result.gas())?)
    }
}

impl<'s, I: Inspector<ReplayContext<'s>, EthInterpreter>> InspectorHandler
    for ReplayHandler<'_, 's, I>
{
    type IT = EthInterpreter;
}

impl<'s, I> ReplayHandler<'_, 's, I> {
    /// What the transaction pays on top of its gas, if anything.
    fn amount(&self, evm: &ReplayEvm<'s, I>) -> Option<U256> {
        let amount = self.extensions.surcharge.as_ref()?.amount(&evm.ctx.tx);
        (!amount.is_zero() && !evm.ctx.cfg.is_fee_charge_disabled()).then_some(amount)
    }
}

impl Database for ReplayBase<'_> {
    type Error = ErasedError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ErasedError> {
        self.0.get_mut().basic(address)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ErasedError> {
        self.0.get_mut().code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ErasedError> {
        self.0.get_mut().storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ErasedError> {
        Database::block_hash(self.0.get_mut(), number)
    }
}

impl DatabaseRef for ReplayBase<'_> {
    type Error = ErasedError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ErasedError> {
        self.0.borrow_mut().basic(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ErasedError> {
        self.0.borrow_mut().code_by_hash(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ErasedError> {
        self.0.borrow_mut().storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ErasedError> {
        Database::block_hash(&mut *self.0.borrow_mut(), number)
    }
}
