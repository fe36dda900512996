//! Collects a transaction's accesses for the block's access list, and compares them with the
//! transaction's declaration if the chain has declared accesses.

use super::BlockHandler;
use crate::evm::bal::declaration::{Declaration, Undeclared};
use crate::evm::exec::context::{BlockEvm, EvmContext};
use crate::evm::exec::journal::KEPT_TOUCHED;
use crate::evm::exec::stopped::ViewStopped;
use alloy_primitives::Bytes;
use core::cell::RefCell;
use revm::DatabaseRef;
use revm::context::result::EVMError;
use revm::context::{Block as _, Transaction};
use revm::context_interface::JournalTr;
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::handler::FrameResult;
use revm::interpreter::InstructionResult;
use revm::interpreter::interpreter_action::FrameInit;

impl<'a, D: DatabaseRef> BlockHandler<'_, 'a, D> {
    /// Records accesses that revm's journal has no entry for: accounts that are warm from the
    /// beginning, and reads of user-defined precompiles.
    fn note_warm_accesses(&mut self, evm: &mut BlockEvm<'a, D>) {
        let Some(recorder) = self.recorder.as_mut().map(RefCell::get_mut) else {
            return;
        };
        let journal = &evm.ctx.journaled_state;
        evm.precompiles.reads.drain(..).for_each(|(of, slot)| recorder.note(of, slot));
        let caller = evm.ctx.tx.caller();
        let to = evm.ctx.tx.kind().to().copied();
        let surcharge = self.block_context.extensions.surcharge.as_ref();
        let paid = [surcharge.map(|it| it.receiver()), Some(evm.ctx.block.beneficiary())];
        for party in paid.into_iter().chain([Some(caller), to]).flatten() {
            let is_listed = !mutant!(WarmPartyUnlisted);
            if journal.warm_addresses.is_warm(&party) && is_listed {
                recorder.note(party, None);
            }
        }
    }

    /// Takes the accesses of the current transaction and compares them with the block's list.
    pub(super) fn take_accesses(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
    ) -> Result<(), EVMError<ViewStopped>> {
        let is_used = self.block_context.uses_list();
        if is_used {
            self.note_warm_accesses(evm);
        }
        let journal = &mut evm.ctx.journaled_state;
        if let Some(recorder) = self.recorder.as_mut().map(RefCell::get_mut) {
            if is_used {
                let accesses =
                    recorder.take(&mut journal.inner, journal.database.possible_precompiles());
                match self.block_context.compare_accesses(self.tx, accesses) {
                    Ok(records) => self.access_records = Some(Box::new(records)),
                    Err(wrong) => {
                        self.mismatch = Some(wrong);
                        return Err(EVMError::Custom("the access list is wrong".to_owned()));
                    }
                }
            }
            journal.database.clear_possible_precompiles();
        }
        if let Some(undeclared) = self.undeclared.take() {
            self.access_records.get_or_insert_default().undeclared = Some(undeclared);
        }
        Ok(())
    }

    /// Runs the frames of a transaction with declared accesses. If it makes an undeclared access,
    /// all effects of the frames are reverted and the transaction halts.
    pub(super) fn run_declared(
        &mut self,
        evm: &mut BlockEvm<'a, D>,
        first: FrameInit,
    ) -> Result<FrameResult, EVMError<ViewStopped>> {
        let was_touched = is_ripemd_touched(evm);
        let checkpoint = evm.ctx.journaled_state.checkpoint();
        let mut result = self.run_frames(evm, first)?;
        self.undeclared = self.first_undeclared_access(evm).map(Box::new);
        if self.undeclared.is_none() || mutant!(UndeclaredStays) {
            evm.ctx.journaled_state.checkpoint_commit();
            return Ok(result);
        }
        self.note_entries(&evm.ctx);
        evm.ctx.journaled_state.checkpoint_revert(checkpoint);
        let journal = &mut evm.ctx.journaled_state.inner.state;
        if let Some(ripemd) = journal.get_mut(&KEPT_TOUCHED).filter(|_| !was_touched) {
            ripemd.unmark_touch();
        }
        // A creation drops the empty code at its address, and the revert does not restore it.
        for address in &self.creations {
            let account = journal.get_mut(address).filter(|it| !it.is_touched());
            if let Some(account) = account.filter(|it| it.info.is_empty_code_hash()) {
                account.info.code.get_or_insert_default();
            }
        }
        if evm.ctx.tx.kind().is_create() && !mutant!(UndeclaredNonceLost) {
            // The revert has undone the nonce increment of the frame.
            let caller = evm.ctx.tx.caller();
            evm.ctx.journaled_state.load_account_mut(caller)?.bump_nonce();
        }
        halt(&mut result);
        Ok(result)
    }

    fn first_undeclared_access(&mut self, evm: &mut BlockEvm<'a, D>) -> Option<Undeclared> {
        self.note_warm_accesses(evm);
        let EvmContext { journaled_state: journal, tx, .. } = &mut evm.ctx;
        let recorder = self.recorder.as_mut().map(RefCell::get_mut)?;
        let accesses =
            recorder.accesses_so_far(&mut journal.inner, journal.database.possible_precompiles());
        accesses.first_undeclared(&Declaration::of(tx))
    }
}

/// Whether [`KEPT_TOUCHED`] is touched. A revert does not undo that.
fn is_ripemd_touched<D: DatabaseRef>(evm: &BlockEvm<'_, D>) -> bool {
    let journal = &evm.ctx.journaled_state.inner.state;
    journal.get(&KEPT_TOUCHED).is_some_and(revm::state::Account::is_touched)
}

/// Turns `result` of the outermost frame into a halt. The handler's next step uses up its gas.
fn halt(result: &mut FrameResult) {
    if let FrameResult::Create(created) = result {
        created.address = None;
    }
    let ended = result.interpreter_result_mut();
    ended.result = InstructionResult::OutOfGas;
    ended.output = Bytes::new();
}
