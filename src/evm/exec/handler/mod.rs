//! revm's handler with eight changes: the beneficiary's reward is a blind credit; the transaction's
//! changes are taken before the journal drops them; earlier changes in the window are taken before
//! an error reverts them; codes that revm drops are remembered; a surcharge is charged if there is
//! one; accesses are recorded if a list is requested; a transaction halts on an undeclared access;
//! and its gas for state is summed up.

use super::block_context::BlockContext;
use super::change::AccountChange;
use super::context::{BlockEvm, EvmContext};
use super::journal::take_changes;
use super::stopped::ViewStopped;
use super::window::Window;
use super::work::ForState;
use crate::evm::bal::accesses::AccessRecords;
use crate::evm::bal::declaration::Undeclared;
use crate::evm::bal::mismatch::AccessListMismatch;
use crate::evm::bal::recorder::Recorder;
use crate::ids::TxIndex;
use alloy_primitives::{Address, U256};
use core::cell::{Cell, RefCell};
use core::marker::PhantomData;
use revm::DatabaseRef;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, ResultGas};
use revm::context::{Block as _, Cfg, Evm, Transaction};
use revm::context_interface::context::take_error;
use revm::context_interface::{ContextTr, JournalTr, LocalContextTr};
use revm::handler::evm::ContextDbError;
use revm::handler::instructions::InstructionProvider;
use revm::handler::{
    EthFrame, EvmTr, FrameData, FrameInitOrResult, FrameResult, Handler, ItemOrResult,
    MainnetHandler, post_execution, pre_execution,
};
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    FrameInput, GasTracker, InitialAndFloorGas, InstructionResult, InterpreterAction,
};
use revm::primitives::hardfork::SpecId;
use revm::state::{Bytecode, EvmState};
use smallvec::SmallVec;

mod declared;
mod payments;

/// Runs one transaction like revm's own handler, except that the reward does not touch the
/// beneficiary's account unless the transaction itself has done so.
pub(super) struct BlockHandler<'r, 'a, D: DatabaseRef> {
    block_context: &'r BlockContext,
    /// Combines the transaction's changes with earlier ones where possible.
    window: Option<&'r mut Window>,
    /// The reward, if it is a blind credit.
    pub(super) reward: Cell<Option<U256>>,
    /// The surcharge that the sender has paid and that is not credited yet.
    pub(super) surcharge: Cell<Option<U256>>,
    /// The transaction's changes, if journals are shared.
    pub(super) changes: Vec<AccountChange>,
    /// Whether the next transaction may share the journal.
    pub(super) goes_on: bool,
    /// Gas and accesses for state: see `work`.
    pub(super) for_state: ForState,
    /// Changes of earlier transactions in the window, if this one cannot be combined with them.
    pub(super) earlier: Vec<AccountChange>,
    /// Addresses at which the transaction has tried to create a contract.
    creations: SmallVec<[Address; 2]>,
    /// Recorder of the transaction's accesses, if they are recorded.
    pub(super) recorder: Option<RefCell<Recorder>>,
    kept: Option<Box<AccessRecords>>,
    /// The transaction's undeclared access.
    undeclared: Option<Box<Undeclared>>,
    tx: TxIndex,
    /// The transaction's difference from the block's list.
    pub(super) mismatch: Option<Box<AccessListMismatch>>,
    marker: PhantomData<(&'a (), D)>,
}

impl<'r, D: DatabaseRef> BlockHandler<'r, '_, D> {
    pub(super) fn new(
        block_context: &'r BlockContext,
        tx: TxIndex,
        window: Option<&'r mut Window>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            block_context,
            window,
            reward: Cell::new(None),
            surcharge: Cell::new(None),
            changes: Vec::new(),
            goes_on: false,
            for_state: ForState::default(),
            earlier: Vec::new(),
            creations: SmallVec::new_const(),
            recorder: recorder.map(RefCell::new),
            kept: None,
            undeclared: None,
            tx,
            mismatch: None,
            marker: PhantomData,
        }
    }
}

impl<'a, D: DatabaseRef> BlockHandler<'_, 'a, D> {
    /// Takes the current transaction's changes before the journal drops them.
    fn take(&mut self, evm: &mut BlockEvm<'a, D>) -> Result<(), EVMError<ViewStopped>> {
        let journal = &mut evm.ctx.journaled_state;
        if self.block_context.shares && journal.db().inner.has_stopped() && !mutant!(StoppedStays) {
            // The stopped view's error may have been swallowed on the way; the run has no output.
            return Err(EVMError::Database(ViewStopped));
        }
        if self.recorder.is_some() {
            self.take_accesses(evm)?;
        }
        let journal = &mut evm.ctx.journaled_state;
        if self.block_context.shares || !mutant!(CodeForgottenUnshared) {
            self.remember_codes(&mut journal.state);
        }
        if let Some(window) = &mut self.window {
            if window.add(journal) {
                self.goes_on = true;
                return Ok(());
            }
            self.earlier = window.take_before_last(journal);
        }
        if self.block_context.shares {
            (self.changes, self.goes_on) = take_changes(journal);
        }
        Ok(())
    }

    /// Begins a frame like revm. A creation's address is recorded, as revm drops the code there.
    /// Returns the result of a frame that ends before it begins.
    #[inline]
    fn init_frame(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
        init: FrameInit,
    ) -> Result<ItemOrResult<(), FrameResult>, EVMError<ViewStopped>> {
        if let FrameInput::Create(inputs) = &init.frame_input {
            let creator = evm.ctx.journaled_state.evm_state().get(&inputs.caller());
            let address = creator.map(|creator| inputs.created_address(creator.info.nonce));
            return self.init_creation(evm, address, init);
        }
        Ok(evm.frame_init(init)?.map_item(|_| ()))
    }

    /// Begins a creation at `address`, which is `None` if there is no creator.
    fn init_creation(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
        address: Option<Address>,
        init: FrameInit,
    ) -> Result<ItemOrResult<(), FrameResult>, EVMError<ViewStopped>> {
        if let Some(address) = address {
            // A creation reads the account at its address.
            evm.ctx.journaled_state.db_mut().count_creation(address);
        }
        let begun = evm.frame_init(init)?.map_item(|_| ());
        let has_begun = match &begun {
            ItemOrResult::Item(()) => true,
            ItemOrResult::Result(result) => {
                result.interpreter_result().result == InstructionResult::OverflowPayment
            }
        };
        self.creations.extend(address.filter(|_| has_begun));
        Ok(begun)
    }

    /// Records the accesses in the journal's entries before revm reverts some of them.
    fn note_entries(&self, context: &EvmContext<'a, D>) {
        if mutant!(FirstAccessLost) {
            return;
        }
        if let Some(mut recorder) = self.recorder.as_ref().and_then(|it| it.try_borrow_mut().ok()) {
            recorder.note_entries(&context.journaled_state);
            recorder.keep_entries(0);
        }
    }

    /// Runs a frame like revm. If revm reverts the frame's effects, its accesses are recorded
    /// first.
    fn run_frame(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
    ) -> Result<FrameInitOrResult<EthFrame>, EVMError<ViewStopped>> {
        let Some(recorder) = self.recorder.as_mut().map(RefCell::get_mut) else {
            return Ok(evm.frame_run()?);
        };
        let Evm { ctx, instruction, frame_stack, .. } = evm;
        let frame = frame_stack.get();
        let table = instruction.instruction_table();
        let gas = instruction.gas_table();
        let action = frame.interpreter.run_plain(table, gas, ctx);
        if let InterpreterAction::Return(result) = &action {
            // A successful creation may still fail afterwards.
            let stays = result.is_ok() && matches!(frame.data, FrameData::Call(_));
            if !stays {
                recorder.note_entries(&ctx.journaled_state);
            }
        }
        let next: FrameInitOrResult<EthFrame> =
            frame.process_next_action::<_, ContextDbError<EvmContext<'a, D>>>(ctx, action)?;
        recorder.keep_entries(ctx.journaled_state.journal.len());
        if next.is_result() {
            frame.set_finished(true);
        }
        Ok(next)
    }

    /// Runs frames until the outermost one has ended.
    fn run_frames(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
        first_frame_input: FrameInit,
    ) -> Result<FrameResult, EVMError<ViewStopped>> {
        if let ItemOrResult::Result(result) = self.init_frame(evm, first_frame_input)? {
            return Ok(result);
        }
        loop {
            let result = match self.run_frame(evm)? {
                ItemOrResult::Item(init) => match self.init_frame(evm, init)? {
                    ItemOrResult::Item(()) => continue,
                    ItemOrResult::Result(result) => result,
                },
                ItemOrResult::Result(result) => result,
            };
            if let Some(result) = evm.frame_return_result(result)? {
                return Ok(result);
            }
        }
    }

    /// Takes the recorded accesses. `credits`: the reward and the surcharge, if they are blind
    /// credits.
    pub(super) fn take_kept(&mut self, credits: [Option<U256>; 2]) -> Option<Box<AccessRecords>> {
        let mut kept = self.kept.take()?;
        kept.set_credits(credits);
        Some(kept)
    }

    /// Removes the beneficiary's balance from the accesses: the transaction has paid it with a
    /// blind credit, so the balance is not known.
    pub(super) fn forget_payee(&mut self) {
        if let Some(accesses) = self.kept.as_mut().and_then(|kept| kept.accesses.as_mut())
            && !mutant!(PaymentListedTwice)
        {
            accesses.forget_balance(self.block_context.block.env.beneficiary);
        }
    }

    /// Remembers empty codes that revm has dropped in failed creations. If the call around the
    /// creation fails as well, revm also drops its record of the account before the transaction,
    /// and the changes would not show that the code was dropped: for touched accounts that record
    /// is restored. An untouched account has no changes to report; one that does not exist has no
    /// code for the next transaction, and gets that recorded.
    fn remember_codes(&mut self, journal: &mut EvmState) {
        let keeps = !mutant!(CodeForgottenTwice);
        for address in self.creations.drain(..).filter(|_| keeps) {
            let account = journal.get_mut(&address).filter(|it| it.info.code.is_none());
            let Some(account) = account else { continue };
            if account.is_touched() {
                account.original_info_mut().code = Some(Bytecode::default());
            } else if account.is_loaded_as_not_existing() {
                account.info.code = Some(Bytecode::default());
            }
        }
    }
}

impl<'a, D: DatabaseRef> Handler for BlockHandler<'_, 'a, D> {
    type Evm = BlockEvm<'a, D>;
    type Error = EVMError<ViewStopped>;
    type HaltReason = HaltReason;

    /// As in revm. A revert may leave traces in the journal, namely codes that revm has dropped, so
    /// earlier changes are taken first.
    fn run(&mut self, evm: &mut Self::Evm) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        self.run_without_catch_error(evm).or_else(|error| {
            if let Some(window) = &mut self.window {
                self.earlier = window.take_before_last(&evm.ctx.journaled_state);
            }
            self.catch_error(evm, error)
        })
    }

    /// As in revm. If the gas runs out here, revm reverts the accesses, so they are recorded first.
    fn apply_eip7702_auth_list(
        &self,
        evm: &mut Self::Evm,
        gas: &mut GasTracker,
    ) -> Result<Option<u64>, Self::Error> {
        let refund = pre_execution::apply_eip7702_auth_list::<_, Self::Error>(&mut evm.ctx, gas)?;
        if refund.is_none() {
            self.note_entries(&evm.ctx);
        }
        Ok(refund)
    }

    /// As in revm. If the gas runs out here, revm reverts the accesses so far, so they are recorded
    /// first.
    fn first_frame_input(
        &mut self,
        evm: &mut Self::Evm,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameInit>, Self::Error> {
        let usual = &mut MainnetHandler::<Self::Evm, Self::Error, _>::default();
        let first = usual.first_frame_input(evm, gas)?;
        if first.is_none() {
            self.note_entries(&evm.ctx);
        }
        Ok(first)
    }

    /// As in revm, unless the transaction declares its accesses.
    fn run_exec_loop(
        &mut self,
        evm: &mut Self::Evm,
        first_frame_input: FrameInit,
    ) -> Result<FrameResult, Self::Error> {
        if self.block_context.is_declared() {
            return self.run_declared(evm, first_frame_input);
        }
        self.run_frames(evm, first_frame_input)
    }

    /// As in revm; takes the transaction's changes before the journal drops them.
    fn execution_result(
        &mut self,
        evm: &mut Self::Evm,
        result: FrameResult,
        gas: ResultGas,
    ) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        take_error::<Self::Error, _>(evm.ctx.error())?;
        let result = post_execution::output(&mut evm.ctx, result, gas);
        self.for_state = ForState::of(&evm.ctx.journaled_state.journal);
        self.take(evm)?;
        evm.ctx.journaled_state.commit_tx();
        evm.ctx.local.clear();
        evm.frame_stack.clear();
        Ok(result)
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        self.announce(&mut evm.ctx);
        self.charge(&mut evm.ctx)?;
        pre_execution::validate_against_state_and_deduct_caller(&mut evm.ctx)
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        exec_result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        let context = &mut evm.ctx;
        self.credit_surcharge(context)?;
        let beneficiary: Address = context.block.beneficiary();
        // The journal's account has been read, and that read is recorded, so a blind credit gains
        // nothing - unless the account was only paid.
        let journal = &context.journaled_state;
        let is_loaded = journal.evm_state().contains_key(&beneficiary)
            && !journal.db().is_unseen(beneficiary)
            && !mutant!(RewardAlwaysDeferred);
        if !self.block_context.defers || is_loaded {
            context.journaled_state.db_mut().count_balance(beneficiary);
            return post_execution::reward_beneficiary(context, exec_result.gas())
                .map_err(Into::into);
        }
        if context.cfg.is_fee_charge_disabled() {
            return Ok(());
        }
        // The same amount as in revm's `post_execution::reward_beneficiary`.
        let base_fee = u128::from(context.block.basefee());
        let mut price = context.tx.effective_gas_price(base_fee);
        if context.cfg.spec.is_enabled_in(SpecId::LONDON) {
            price = price.saturating_sub(base_fee);
        }
        let gas = exec_result.gas();
        let used = gas.used().saturating_sub(gas.reservoir());
        let reward = U256::from(price.wrapping_mul(u128::from(used)));
        if mutant!(RewardOverflowFails)
            && let Some(info) =
                revm::Database::basic(context.journaled_state.db_mut(), beneficiary)?
            && info.balance.checked_add(reward).is_none()
        {
            return Err(EVMError::Custom("the reward does not fit".to_owned()));
        }
        self.reward.set(Some(reward));
        Ok(())
    }
}
