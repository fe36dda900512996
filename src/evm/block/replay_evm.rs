//! revm's EVM for replays: its database, and its handler with the surcharge.

use crate::evm::exec::any::AnyState;
use crate::evm::exec::base::BlockBase;
use crate::evm::exec::extensions::Extensions;
use crate::evm::exec::precompile::BlockPrecompiles;
use alloy_primitives::{Address, B256, U256};
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use revm::context::result::{EVMError, HaltReason, InvalidTransaction};
use revm::context::{Cfg, ContextTr, Evm, JournalTr};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database::State;
use revm::database_interface::ErasedError;
use revm::database_interface::bal::EvmDatabaseError;
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, FrameResult, Handler, MainnetContext, post_execution, pre_execution,
};
use revm::inspector::InspectorHandler;
use revm::interpreter::InitialAndFloorGas;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::{AccountInfo, Bytecode};
use revm::{Database, DatabaseRef, Inspector};

/// Database of a replay: the state before the block.
pub struct ReplayBase<'s>(pub(super) RefCell<BlockBase<AnyState<'s>>>);

impl fmt::Debug for ReplayBase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBase").finish_non_exhaustive()
    }
}

/// revm's context in a replay, as inspectors receive it.
pub type ReplayContext<'s> = MainnetContext<State<ReplayBase<'s>>>;

/// revm's mainnet handler with the surcharge.
pub(super) struct ReplayHandler<'r, 's, I> {
    pub(super) extensions: &'r Extensions,
    pub(super) marker: PhantomData<(&'s (), I)>,
}

pub(super) type ReplayEvm<'s, I> = Evm<
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
                let fee = Box::new(amount);
                let balance = Box::new(*sender.balance());
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
    /// The surcharge of the transaction, unless it is zero or fees are disabled.
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
