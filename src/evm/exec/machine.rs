//! One worker's EVM: runs a transaction and returns its write set and its output.

use super::balances::Announced;
use super::base::BlockBase;
use super::block_context::BlockContext;
use super::change::{AccountChange, all_changes};
use super::context::{BlockEvm, EvmContext};
use super::effects::{Writes, pin_slots, write_set};
use super::handler::BlockHandler;
use super::keccak::KeccakCache;
use super::location::EvmLocation;
use super::opcodes::{with_abort_checks, with_announced_reads, with_keccak_cache};
use super::precompile::BlockPrecompiles;
use super::rejection::Rejection;
use super::tx_output::TxOutput;
use super::view::EvmView;
use super::window::Window;
use super::work::{Work, expected_accounts};
#[cfg(feature = "alloy")]
use crate::evm::bal::accesses::Accesses;
use crate::evm::bal::recorder::Recorder;
use crate::evm::fees::blind_credits::BlindCredits;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{ReadSet, Store};
use crate::thresholds::LONG_WORK_GAS;
use crate::worker::{AnyInterrupt, Effects, Machine, Stop};
use core::ops::Range;
use revm::context::result::EVMError;
use revm::context::{BlockEnv, CfgEnv, Evm, TxEnv};
use revm::context_interface::context::ContextError;
use revm::context_interface::{JournalTr, LocalContextTr};
use revm::handler::Handler;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::{EvmState, TransactionId};
use revm::{Context as RevmContext, DatabaseRef};
use std::cell::RefCell;
use std::sync::Arc;

/// Result of one run of a transaction.
pub(in crate::evm) struct TxRun {
    pub(in crate::evm) result: Result<Arc<TxOutput>, Rejection>,
    /// Whether the next transaction may share the journal.
    pub(in crate::evm) keeps_journal: bool,
    /// Changes of the window's transactions, if this one could not be combined with them.
    pub(in crate::evm) earlier: Vec<AccountChange>,
}

/// Maximum capacity, in accounts, that a journal keeps when it is cleared.
const MAX_KEPT_CAPACITY: usize = 256;

/// A worker's EVM over its view.
pub(in crate::evm) struct EvmMachine<'a, D: DatabaseRef> {
    evm: BlockEvm<'a, D>,
    block_context: &'a BlockContext,
    /// The default instructions, while instructions with abort checks are in use.
    usual: Option<EthInstructions<EthInterpreter, EvmContext<'a, D>>>,
    /// The recorder of the last transaction, kept to reuse its memory.
    recorder: Option<Recorder>,
}

/// Builds revm's EVM for the block, over `view`.
pub(super) fn build_evm<'a, D: DatabaseRef>(
    block_context: &'a BlockContext,
    view: EvmView<'a, D>,
) -> BlockEvm<'a, D> {
    let block = &*block_context.block;
    let spec = block.cfg.spec;
    let context = RevmContext::<BlockEnv, TxEnv, CfgEnv, _>::new(view, spec)
        .with_chain(KeccakCache::new())
        .with_block(&block.env)
        .with_tx(&block_context.blank)
        .with_cfg(block.cfg.clone());
    let precompiles =
        BlockPrecompiles::new(spec, Arc::clone(&block_context.extensions.precompiles));
    let mut instructions = EthInstructions::new_mainnet_with_spec(spec);
    if block_context.caches_keccak {
        instructions = with_keccak_cache(instructions);
    }
    Evm::new(context, instructions, precompiles)
}

impl<'a, D: DatabaseRef> EvmMachine<'a, D> {
    pub(in crate::evm) fn new(
        block_context: &'a BlockContext,
        store: &'a Store<EvmLocation>,
        base: BlockBase<D>,
        worker: WorkerId,
        context: AnyInterrupt<'a>,
    ) -> Self {
        let view = EvmView::new(block_context, store, base, context).of_worker(worker);
        if !block_context.extensions.announces_balance_reads() {
            return Self::over(block_context, view);
        }
        Self::with_announced_reads(block_context, view.with_announced_balances(Announced::All))
    }

    /// Creates a machine for private batches and sequential runs, where the balance of a contract
    /// counts as read as soon as the account is loaded.
    pub(in crate::evm) fn of_prefix(block_context: &'a BlockContext, view: EvmView<'a, D>) -> Self {
        if !block_context.batches_credit_blindly() {
            return Self::over(block_context, view);
        }
        Self::with_announced_reads(block_context, view.with_announced_balances(Announced::Payees))
    }

    fn with_announced_reads(block_context: &'a BlockContext, view: EvmView<'a, D>) -> Self {
        let mut machine = Self::over(block_context, view);
        machine.evm.instruction = with_announced_reads(machine.evm.instruction);
        machine
    }

    /// Creates a machine over `view` with the default instructions. `view` must belong to a block
    /// with this `block_context`.
    pub(in crate::evm) fn over(block_context: &'a BlockContext, view: EvmView<'a, D>) -> Self {
        Self { evm: build_evm(block_context, view), block_context, usual: None, recorder: None }
    }

    /// Prepares the recorder for the next transaction; `None` if accesses are not recorded.
    fn begin_recording(&mut self) -> Option<Recorder> {
        if !self.block_context.records_accesses() {
            return None;
        }
        // The recorder is lost if the transaction panics.
        let recorder = self.recorder.take();
        let mut recorder = recorder.unwrap_or_else(Recorder::new);
        recorder.begin();
        Some(recorder)
    }

    /// Selects instructions with abort checks for runs that may become useless: helper runs, runs
    /// on an access list, and speculative runs that may take long.
    fn choose_instructions(&mut self, tx: TxIndex) {
        let tx = self.block_context.block.transactions.get(tx.position());
        let view = self.evm.ctx.journaled_state.db_mut();
        let may_become_useless = view.inner.is_second()
            || view.inner.base_mut().reads_list()
            || view.inner.is_speculative() && tx.is_some_and(|tx| tx.gas_limit >= LONG_WORK_GAS);
        if may_become_useless == self.usual.is_some() {
            return;
        }
        self.evm.instruction = match self.usual.take() {
            Some(usual) => usual,
            None => {
                let usual = self.usual.insert(self.evm.instruction.clone()).clone();
                let reads_list = self.block_context.readable_list().is_some();
                with_abort_checks(usual, reads_list, self.block_context.caches_keccak)
            }
        };
    }

    pub(in crate::evm) const fn block_context(&self) -> &'a BlockContext {
        self.block_context
    }

    /// The EVM's view of the state.
    pub(in crate::evm) fn view_mut(&mut self) -> &mut EvmView<'a, D> {
        self.evm.ctx.journaled_state.db_mut()
    }

    /// Reserves capacity in the journal for the accounts of these transactions.
    pub(in crate::evm) fn expect(&mut self, transactions: Range<usize>) {
        let transactions =
            self.block_context.block.transactions.get(transactions).unwrap_or_default();
        let journal = &mut self.evm.ctx.journaled_state.state;
        if journal.is_empty() {
            journal.reserve(expected_accounts(transactions));
        }
    }

    pub(in crate::evm) fn journal(&self) -> &EvmState {
        &self.evm.ctx.journaled_state.state
    }

    /// Ends the journal and returns its state. Later transactions read from the view again.
    pub(in crate::evm) fn end_journal(&mut self) -> EvmState {
        self.view_mut().end_journal();
        self.evm.ctx.journaled_state.finalize()
    }

    /// Moves the journal out between two transactions. Later transactions read from the view again.
    pub(in crate::evm) fn take_journal(&mut self) -> (EvmState, TransactionId) {
        self.view_mut().end_journal();
        let journal = &mut self.evm.ctx.journaled_state.inner;
        (core::mem::take(&mut journal.state), journal.transaction_id)
    }

    /// Restores a journal that [`take_journal`](Self::take_journal) has moved out.
    pub(in crate::evm) fn put_journal(&mut self, state: EvmState, transaction: TransactionId) {
        let journal = &mut self.evm.ctx.journaled_state.inner;
        journal.state = state;
        journal.transaction_id = transaction;
    }

    /// Ends the journal and drops its state.
    pub(in crate::evm) fn clear_journal(&mut self) {
        let mut state = self.end_journal();
        // The next chunk's journal will be about as large. Clearing unused capacity takes time.
        if state.capacity() <= MAX_KEPT_CAPACITY {
            state.clear();
            self.evm.ctx.journaled_state.state = state;
        }
    }

    /// Undoes a run that panicked. Returns the changes in `window`.
    pub(in crate::evm) fn undo(&mut self, window: Option<&mut Window>) -> Vec<AccountChange> {
        let journal = &mut self.evm.ctx.journaled_state;
        let earlier = window.map(|window| window.take_before_last(journal));
        journal.discard_tx();
        self.evm.ctx.local.clear();
        self.evm.frame_stack.clear();
        earlier.unwrap_or_default()
    }

    /// Runs the transaction at `index`, for which the view must have begun, and adds it to `window`
    /// if there is one.
    pub(in crate::evm) fn run_tx(&mut self, index: TxIndex, window: Option<&mut Window>) -> TxRun {
        if let Some(tx) = self.block_context.block.transactions.get(index.position()) {
            #[cfg(feature = "alloy")]
            if let Some(evm) = &self.block_context.extensions.evm {
                return self.run_custom(&**evm, index, tx);
            }
            self.evm.ctx.tx = tx;
        }
        if mutant!(JournalOutlivesError) {
            self.evm.ctx.error = Ok(());
        }
        self.evm.precompiles.begin();
        let recorder = self.begin_recording();
        let mut handler = BlockHandler::new(self.block_context, index, window, recorder);
        let result = handler.run(&mut self.evm);
        self.recorder = handler.recorder.take().map(RefCell::into_inner);
        // revm keeps an error of the outermost call here, and does not clear it if the reward then
        // fails. The next transaction would report it.
        if !mutant!(ErrorKept) {
            self.evm.ctx.error = Ok(());
        }
        if mutant!(JournalOutlivesError) && result.is_err() {
            handler.keeps_journal = true;
            // Signals `begin_chunk`.
            self.evm.ctx.error = Err(ContextError::Custom(String::new()));
        }
        let keeps_journal = handler.keeps_journal;
        let earlier = core::mem::take(&mut handler.earlier);
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                let wrong = handler.mismatch.take().map(Rejection::AccessList);
                let reason = wrong.unwrap_or_else(|| rejection(error));
                return TxRun { result: Err(reason), keeps_journal, earlier };
            }
        };
        let mut changes = core::mem::take(&mut handler.changes);
        let mut reward = handler.reward.take();
        let surcharge = handler.surcharge.take();
        if !self.block_context.shares_journals {
            changes = all_changes(self.evm.ctx.journaled_state.finalize());
        }
        let mut paid = self.view_mut().take_payments(&mut changes);
        self.view_mut().check_payments(&paid);
        let beneficiary = self.block_context.block.env.beneficiary;
        if let Some(nth) = paid.iter().position(|(payee, _)| *payee == beneficiary) {
            handler.forget_beneficiary_balance();
            reward = Some(reward.unwrap_or_default().saturating_add(paid.swap_remove(nth).1));
        }
        let access_records = handler.take_access_records([reward, surcharge]);
        let credits =
            BlindCredits { payments: paid.into_vec(), ..BlindCredits::of(reward, surcharge) };
        changes.iter_mut().for_each(|change| self.view_mut().settle_balance(change));
        let shard_mask = self.block_context.bundle_shards.shard_mask(&changes);
        let precompiles = self.evm.precompiles.gas;
        let work = Work::of(result.tx_gas_used(), handler.state_cost, precompiles);
        let output = TxOutput { result, changes, shard_mask, credits, work, access_records };
        TxRun { result: Ok(Arc::new(output)), keeps_journal, earlier }
    }

    /// Runs a transaction in a custom EVM, which has a separate journal for each transaction.
    #[cfg(feature = "alloy")]
    fn run_custom(
        &mut self,
        evm: &dyn super::custom_evm::CustomEvm,
        index: TxIndex,
        tx: &TxEnv,
    ) -> TxRun {
        let block_context = self.block_context;
        let beneficiary =
            block_context.has_blind_rewards.then_some(block_context.block.env.beneficiary);
        let surcharge = block_context.extensions.surcharge.as_ref();
        let surcharge = surcharge.filter(|_| block_context.has_blind_surcharges);
        let credits = [beneficiary, surcharge.map(|surcharge| surcharge.receiver())];
        let ran = evm.run(self.view_mut(), &block_context.block, tx, credits);
        let result = ran.and_then(|ran| {
            let mut access_records = None;
            if block_context.records_accesses() {
                let compared =
                    block_context.compare_accesses(index, &Accesses::of_state(&ran.state));
                let mut records = Box::new(compared.map_err(Rejection::AccessList)?);
                records.set_credits(ran.credits);
                access_records = Some(records);
            }
            let changes = all_changes(ran.state);
            let [reward, surcharge] = ran.credits;
            let result = ran.result;
            let shard_mask = block_context.bundle_shards.shard_mask(&changes);
            let credits = BlindCredits::of(reward, surcharge);
            // Loaded accounts and slots are not counted.
            let work = Work { units: result.tx_gas_used(), accesses: 0 };
            Ok(Arc::new(TxOutput { result, changes, shard_mask, credits, work, access_records }))
        });
        TxRun { result, keeps_journal: false, earlier: Vec::new() }
    }

    /// Write set of the transaction that has just run.
    pub(super) fn writes_of(&mut self, output: &TxOutput) -> Writes {
        let mut writes = write_set(&output.changes, self.block_context);
        pin_slots(&mut writes, &output.changes, self.view_mut().pinned_slots());
        writes
    }
}

impl<D: DatabaseRef> Machine for EvmMachine<'_, D> {
    type Location = EvmLocation;
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type BaseError = D::Error;

    fn begin(&mut self, tx: TxIndex) {
        self.evm.ctx.journaled_state.db_mut().begin(tx);
        self.choose_instructions(tx);
    }

    fn begin_second(&mut self, tx: TxIndex) {
        self.evm.ctx.journaled_state.db_mut().begin_second(tx);
        self.choose_instructions(tx);
    }

    fn begin_chunk(&mut self) {
        if mutant!(JournalOutlivesError) && self.evm.ctx.error.is_err() {
            self.evm.ctx.error = Ok(());
            return;
        }
        self.clear_journal();
    }

    fn run(&mut self, tx: TxIndex) -> Result<Effects<EvmLocation, Arc<TxOutput>>, Rejection> {
        let TxRun { result, keeps_journal, .. } = self.run_tx(tx, None);
        // After an error, too: revm leaves loaded accounts in the journal.
        if !keeps_journal {
            self.clear_journal();
        }
        let output = result?;
        let writes = self.writes_of(&output);
        let cost = output.result.tx_gas_used();
        Ok(Effects { writes, output, cost })
    }

    fn may_skip(reason: &Rejection) -> bool {
        reason.may_skip()
    }

    fn end(&mut self) -> (ReadSet<EvmLocation>, Option<Stop<D::Error>>) {
        self.evm.ctx.journaled_state.db_mut().end()
    }
}

/// Converts an error of the EVM into a rejection. It is never a database error, because callers
/// check first whether the view has stopped.
fn rejection<E: core::fmt::Display>(error: EVMError<E>) -> Rejection {
    match error {
        EVMError::Transaction(invalid) => Rejection::Invalid(invalid),
        EVMError::Header(invalid) => Rejection::Header(invalid),
        other => Rejection::Custom(other.to_string()),
    }
}
