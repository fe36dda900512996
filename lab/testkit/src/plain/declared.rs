//! A second implementation of the rule of declared accesses, with plain revm and an inspector: a
//! transaction runs as usual and, if it has left its declaration, again as one that halts at once.

use super::{PlainContext, PlainState};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::{Block, Declaration, DeclaredLocation};
use revm::context::result::{EVMError, ExecResultAndState, ExecutionResult};
use revm::context::{BlockEnv, CfgEnv, Context, ContextTr, JournalTr, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database::{State, WrapDatabaseRef};
use revm::database_interface::bal::EvmDatabaseError;
use revm::inspector::InspectEvm;
use revm::interpreter::{
    CallInputs, CallOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, InterpreterResult,
};
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use revm::{Database, DatabaseCommit, DatabaseRef, Inspector, MainBuilder, MainContext};
use std::collections::BTreeMap;

/// Accesses to accounts and slots, and whether each one changes.
pub type Accesses = BTreeMap<(Address, Option<U256>), bool>;

/// An account or slot, and whether only the change was not declared.
type At = ((Address, Option<U256>), bool);

/// An undeclared access of a transaction: its index, the account or slot, and whether only the
/// change was not declared.
pub type Left = (usize, (Address, Option<U256>), bool);

/// Inspects the journal when the outermost frame ends: before the transaction the journal is empty,
/// and afterwards it contains fees.
#[derive(Default)]
struct Watch {
    depth: usize,
    seen: Option<Accesses>,
    /// Whether the outermost frame halts before its first instruction.
    halts: bool,
}

fn accesses_of(journal: &EvmState) -> Accesses {
    let mut all = Accesses::new();
    for (address, account) in journal {
        let before = account.original_info();
        let after = &account.info;
        let is_gone = account.is_touched() && account.is_selfdestructed();
        let is_same = (before.balance, before.nonce, before.code_hash)
            == (after.balance, after.nonce, after.code_hash);
        let was_there =
            (before.balance, before.nonce) != (U256::ZERO, 0) || !before.is_empty_code_hash();
        let is_changed = account.is_touched() && if is_gone { was_there } else { !is_same };
        all.insert((*address, None), is_changed);
        for (key, slot) in &account.storage {
            let value = if is_gone { U256::ZERO } else { slot.present_value };
            all.insert((*address, Some(*key)), value != slot.original_value);
        }
    }
    all
}

impl Watch {
    const fn begin(&mut self) -> bool {
        self.depth += 1;
        self.depth == 1 && self.halts
    }

    fn end<DB: Database>(&mut self, context: &mut PlainContext<DB>) {
        self.depth -= 1;
        if self.depth == 0 {
            self.seen = Some(accesses_of(context.journal().evm_state()));
        }
    }
}

fn halted(limit: u64, reservoir: u64) -> InterpreterResult {
    let gas = Gas::new_spent_with_reservoir(limit, reservoir);
    InterpreterResult { result: InstructionResult::OutOfGas, output: Bytes::new(), gas }
}

impl<DB: Database> Inspector<PlainContext<DB>> for Watch {
    fn call(&mut self, _: &mut PlainContext<DB>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.begin().then(|| {
            let halted = halted(inputs.gas_limit, inputs.reservoir);
            let charged_new_account_state_gas = inputs.charged_new_account_state_gas;
            CallOutcome { charged_new_account_state_gas, ..CallOutcome::new(halted, 0..0) }
        })
    }

    fn call_end(&mut self, context: &mut PlainContext<DB>, _: &CallInputs, _: &mut CallOutcome) {
        self.end(context);
    }

    fn create(
        &mut self,
        context: &mut PlainContext<DB>,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.begin().then(|| {
            let sender = context.journal_mut().load_account_mut(inputs.caller());
            sender.expect("it was loaded").data.bump_nonce();
            let halted = halted(inputs.gas_limit(), inputs.reservoir());
            let charged_create_state_gas = inputs.charged_create_state_gas();
            CreateOutcome { charged_create_state_gas, ..CreateOutcome::new(halted, None) }
        })
    }

    fn create_end(
        &mut self,
        context: &mut PlainContext<DB>,
        _: &CreateInputs,
        _: &mut CreateOutcome,
    ) {
        self.end(context);
    }
}

/// Returns the declaration of `tx`, as docs/DECLARED.md defines it.
#[must_use]
pub fn declared(tx: &TxEnv) -> Accesses {
    let mut all = Accesses::new();
    let mut add = |place, may_change: bool| *all.entry(place).or_insert(false) |= may_change;
    let is_divider = |of: Address, slots: usize| of == tx.caller && slots == 0;
    let mut reads = tx.access_list.iter().any(|it| is_divider(it.address, it.storage_keys.len()));
    for item in tx.access_list.iter() {
        reads &= !is_divider(item.address, item.storage_keys.len());
        add((item.address, None), item.storage_keys.is_empty() && !reads);
        for key in &item.storage_keys {
            add((item.address, Some(U256::from_be_bytes(key.0))), !reads);
        }
    }
    match tx.kind.to() {
        Some(to) => add((*to, None), tx.value > U256::ZERO),
        None => add((tx.caller.create(tx.nonce), None), true),
    }
    for signed in &tx.authorization_list {
        let signer = signed
            .as_ref()
            .either(|signed| signed.recover_authority().ok(), |recovered| recovered.authority());
        if let Some(signer) = signer {
            add((signer, None), true);
        }
    }
    add((tx.caller, None), true);
    all
}

/// Returns the first entry of `seen` that was not declared.
fn first_left(seen: &Accesses, declared: &Accesses) -> Option<At> {
    seen.iter().find_map(|(place, is_changed)| match declared.get(place) {
        None => Some((*place, false)),
        Some(may_change) => (*is_changed && !may_change).then_some((*place, true)),
    })
}

type Ran<DB> = Result<
    (ExecResultAndState<ExecutionResult>, Option<Accesses>),
    EVMError<EvmDatabaseError<<DB as Database>::Error>>,
>;

fn run<DB: Database>(block: &Block, tx: &TxEnv, state: &mut State<DB>, halts: bool) -> Ran<DB> {
    let context: PlainContext<&mut State<DB>> =
        Context::<BlockEnv, TxEnv, CfgEnv, _>::mainnet().with_db(state);
    let context = context.with_block(block.env.clone()).with_cfg(block.cfg.clone());
    let watch = Watch { halts, ..Watch::default() };
    let mut evm = context.build_mainnet_with_inspector(watch);
    let ran = evm.inspect_tx(tx.clone())?;
    Ok((ran, evm.inspector.seen.take()))
}

type Transacted<DB> =
    Result<(ExecutionResult, Option<At>), EVMError<EvmDatabaseError<<DB as Database>::Error>>>;

/// Runs `tx` by the rule, and returns how it has left its declaration.
pub(super) fn transact<DB: Database>(
    block: &Block,
    tx: &TxEnv,
    state: &mut State<DB>,
) -> Transacted<DB> {
    let (mut ran, seen) = run(block, tx, state, false)?;
    let left = seen.and_then(|seen| first_left(&seen, &declared(tx)));
    if left.is_some() {
        (ran, _) = run(block, tx, state, true)?;
    }
    state.commit(ran.state);
    Ok((ran.result, left))
}

/// Adds declarations of the accesses in sequential execution, without the rule, to the transactions
/// of `block`. An access list costs gas, so a transaction may behave differently with it.
pub fn declare<D: DatabaseRef>(block: &Block, database: D) -> Block {
    let mut state: PlainState<D> =
        State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update().build();
    let mut block = block.clone();
    let has_lists = block.cfg.spec.is_enabled_in(SpecId::BERLIN);
    for place in 0..block.transactions.len() {
        let mut tx = block.transactions[place].clone();
        if !has_lists {
            continue;
        }
        for _ in 0..2 {
            let Ok((_, Some(seen))) = run(&block, &tx, &mut state, false) else { break };
            let seen = seen.into_iter();
            let place = |((address, slot), change)| (DeclaredLocation { address, slot }, change);
            Declaration::declare(&mut tx, seen.map(place));
        }
        if let Ok((ran, _)) = run(&block, &tx, &mut state, false) {
            state.commit(ran.state);
            block.transactions[place] = tx;
        }
    }
    block
}
