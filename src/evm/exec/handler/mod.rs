//! revm's handler with eight changes:
//!
//! - The beneficiary's reward is a blind credit.
//! - The transaction's changes are taken before the journal drops them.
//! - Earlier changes in the window are taken before an error reverts them.
//! - Codes that revm drops are recorded.
//! - Surcharges are deducted and credited.
//! - Accesses are recorded if a list is requested.
//! - An undeclared access halts the transaction.
//! - The gas and accesses that the transaction spends on state are summed up.

use super::block_context::BlockContext;
use super::change::AccountChange;
use super::context::{BlockEvm, EvmContext};
use super::journal::take_changes;
use super::stopped::ViewStopped;
use super::window::Window;
use super::work::StateCost;
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
    /// Combines the transaction's changes with earlier transactions' changes, if possible.
    window: Option<&'r mut Window>,
    /// The reward, if it is a blind credit.
    pub(super) reward: Cell<Option<U256>>,
    /// The surcharge that was deducted from the sender and is not credited yet.
    pub(super) surcharge: Cell<Option<U256>>,
    /// The transaction's changes, if journals are shared.
    pub(super) changes: Vec<AccountChange>,
    /// Whether the next transaction may share the journal.
    pub(super) keeps_journal: bool,
    /// Gas and accesses spent on state.
    pub(super) state_cost: StateCost,
    /// Changes of the window's transactions, if this one cannot be combined with them.
    pub(super) earlier: Vec<AccountChange>,
    /// Addresses at which the transaction has tried to create a contract.
    creations: SmallVec<[Address; 2]>,
    /// Recorder of the transaction's accesses, if they are recorded.
    pub(super) recorder: Option<RefCell<Recorder>>,
    access_records: Option<Box<AccessRecords>>,
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
            keeps_journal: false,
            state_cost: StateCost::default(),
            earlier: Vec::new(),
            creations: SmallVec::new_const(),
            recorder: recorder.map(RefCell::new),
            access_records: None,
            undeclared: None,
            tx,
            mismatch: None,
            marker: PhantomData,
        }
    }
}

impl<'a, D: DatabaseRef> BlockHandler<'_, 'a, D> {
    /// Takes the current transaction's accesses and changes before the journal drops them.
    fn take_outputs(&mut self, evm: &mut BlockEvm<'a, D>) -> Result<(), EVMError<ViewStopped>> {
        let journal = &mut evm.ctx.journaled_state;
        if self.block_context.shares_journals
            && journal.db().inner.has_stopped()
            && !mutant!(StoppedStays)
        {
            // revm may have swallowed the error of the stopped view; the run has no output.
            return Err(EVMError::Database(ViewStopped));
        }
        if self.recorder.is_some() {
            self.take_accesses(evm)?;
        }
        let journal = &mut evm.ctx.journaled_state;
        if self.block_context.shares_journals || !mutant!(CodeForgottenUnshared) {
            self.record_dropped_codes(&mut journal.state);
        }
        if let Some(window) = &mut self.window {
            if window.add(journal) {
                self.keeps_journal = true;
                return Ok(());
            }
            self.earlier = window.take_before_last(journal);
        }
        if self.block_context.shares_journals {
            (self.changes, self.keeps_journal) = take_changes(journal);
        }
        Ok(())
    }

    /// Begins a frame like revm. Records the address of a creation, because revm drops the code
    /// there. Returns the frame's result if the frame ends before it begins.
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
            evm.ctx.journaled_state.db_mut().announce_creation(address);
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

    /// Records the accesses in the journal's entries, before revm reverts some of the entries.
    fn note_entries(&self, context: &EvmContext<'a, D>) {
        if mutant!(FirstAccessLost) {
            return;
        }
        if let Some(mut recorder) = self.recorder.as_ref().and_then(|it| it.try_borrow_mut().ok()) {
            recorder.note_entries(&context.journaled_state);
            recorder.truncate_entries(0);
        }
    }

    /// Runs a frame like revm, but records its accesses before revm reverts its effects.
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
        recorder.truncate_entries(ctx.journaled_state.journal.len());
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
    pub(super) fn take_access_records(
        &mut self,
        credits: [Option<U256>; 2],
    ) -> Option<Box<AccessRecords>> {
        let mut records = self.access_records.take()?;
        records.set_credits(credits);
        Some(records)
    }

    /// Removes the beneficiary's balance from the recorded accesses: the transaction has paid the
    /// beneficiary with a blind credit, so its balance is not known.
    pub(super) fn forget_beneficiary_balance(&mut self) {
        if let Some(accesses) = self.access_records.as_mut().and_then(|it| it.accesses.as_mut())
            && !mutant!(PaymentListedTwice)
        {
            accesses.forget_balance(self.block_context.block.env.beneficiary);
        }
    }

    /// Records in the journal that revm has dropped empty codes in failed creations. If the call
    /// around a creation fails as well, revm also drops the code from its record of the account
    /// before the transaction, and the changes would not show the drop. So the record of a touched
    /// account is restored. An untouched account has no changes, but if it does not exist, the next
    /// transaction must find the empty code.
    fn record_dropped_codes(&mut self, journal: &mut EvmState) {
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

    /// As in revm, but takes earlier changes before reverting an error: a revert does not restore
    /// codes that revm has dropped.
    fn run(&mut self, evm: &mut Self::Evm) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        self.run_without_catch_error(evm).or_else(|error| {
            if let Some(window) = &mut self.window {
                self.earlier = window.take_before_last(&evm.ctx.journaled_state);
            }
            self.catch_error(evm, error)
        })
    }

    /// As in revm, but records the accesses if the gas runs out here, because revm reverts them.
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

    /// As in revm, but records the accesses so far if the gas runs out here, because revm reverts
    /// them.
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

    /// As in revm, but takes the transaction's changes before the journal drops them.
    fn execution_result(
        &mut self,
        evm: &mut Self::Evm,
        result: FrameResult,
        gas: ResultGas,
    ) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        take_error::<Self::Error, _>(evm.ctx.error())?;
        let result = post_execution::output(&mut evm.ctx, result, gas);
        self.state_cost = StateCost::of(&evm.ctx.journaled_state.journal);
        self.take_outputs(evm)?;
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
        self.announce_balance_reads(&mut evm.ctx);
        self.deduct_surcharge(&mut evm.ctx)?;
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
        // If the account is in the journal, its read is recorded, and a blind credit gains nothing,
        // unless the transaction only paid the account.
        let journal = &context.journaled_state;
        let is_loaded = journal.evm_state().contains_key(&beneficiary)
            && !journal.db().is_balance_unread(beneficiary)
            && !mutant!(RewardAlwaysDeferred);
        if !self.block_context.has_blind_rewards || is_loaded {
            context.journaled_state.db_mut().mark_balance_read(beneficiary);
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
