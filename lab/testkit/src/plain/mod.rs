//! Plain revm over `State`, one transaction after the other: the oracle for features that
//! alloy-evm's block executor lacks, namely a bundle to continue, a surcharge, a custom precompile,
//! and declared accesses.

pub mod declared;

use crate::own::{Publishing, Teller, Told};
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Bytes, Log, U256, map::AddressSet};
use braid_blocks::compare::braid::outputs;
use braid_blocks::sequential::{Lists, SequentialOutcome, SequentialOutput, SkipReason};
use braid_evm::{Block, BlockError, BlockOutput, ChainRules};
use core::fmt::Display;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, Cfg, CfgEnv, Context, ContextTr, Evm, JournalTr, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State, WrapDatabaseRef};
use revm::database_interface::bal::EvmDatabaseError;
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EthPrecompiles, FrameResult, Handler, MainBuilder, MainContext, MainnetContext,
    PrecompileProvider, post_execution, pre_execution, precompile_output_to_interpreter_result,
};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{CallInputs, InitialAndFloorGas, InterpreterResult};
use revm::precompile::{PrecompileHalt, PrecompileOutput};
use revm::primitives::hardfork::SpecId;
use revm::{Database, DatabaseCommit, DatabaseRef};
use std::marker::PhantomData;

/// Blob gas of one blob (EIP-4844).
const GAS_PER_BLOB: u64 = 1 << 17;

/// Features of a custom chain, and the bundle below its block.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The bundle to continue.
    pub parent: Option<BundleState>,
    /// The fee that each sender pays.
    pub surcharge: Option<Publishing>,
    /// Its precompile.
    pub precompile: Option<Teller>,
}

type PlainState<D> = State<WrapDatabaseRef<D>>;
type PlainContext<DB> = MainnetContext<DB>;
type Transacted<D> = Result<ExecutionResult, EVMError<EvmDatabaseError<<D as DatabaseRef>::Error>>>;

/// Returns `block` with only its transactions.
#[must_use]
pub fn bare(block: &Block) -> Block {
    let mut bare = block.clone();
    bare.withdrawals = None;
    bare.ommers.clear();
    bare.rules = ChainRules { block_reward: Some(0), system_calls: false, ..ChainRules::default() };
    bare
}

/// Executes the transactions of a [`bare`] block. Invalid ones, and any that do not fit into the
/// block, are skipped.
pub fn build<D: DatabaseRef>(block: &Block, database: D, own: &Own) -> SequentialOutput {
    build_with(block, database, own, |_, tx, state| transact(block, tx, own, state))
}

/// Executes the transactions of a [`bare`] block, which declare their accesses, and returns those
/// that left their declarations.
pub fn build_declared<D: DatabaseRef>(
    block: &Block,
    database: D,
) -> (SequentialOutput, Vec<declared::Left>) {
    let mut left = Vec::new();
    let mut output = build_with(block, database, &Own::default(), |place, tx, state| {
        let (result, how) = declared::transact(block, tx, state)?;
        left.extend(how.map(|(at, is_change)| (place, at, is_change)));
        Ok(result)
    });
    // The list would lack the accesses of transactions that halt by the rule.
    output.access_list = None;
    (output, left)
}

fn build_with<D: DatabaseRef>(
    block: &Block,
    database: D,
    own: &Own,
    mut transact: impl FnMut(usize, &TxEnv, &mut PlainState<D>) -> Transacted<D>,
) -> SequentialOutput {
    let state = State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update();
    let mut state = match &own.parent {
        Some(parent) => state.with_bundle_prestate(parent.clone()).build(),
        None => state.build(),
    };
    let (lists, mut index) = (Lists::default(), 1);
    lists.listen(&mut state);
    let mut output = SequentialOutput {
        outcomes: Vec::new(),
        receipts: Vec::new(),
        requests: Requests::default(),
        gas_used: 0,
        blob_gas_used: 0,
        bundle: BundleState::default(),
        access_list: None,
    };
    let mut used = Used::default();
    for (place, tx) in block.transactions.iter().enumerate() {
        if let Err(available) = used.leaves_room(block, tx) {
            let reason = SkipReason::BlockGas { limit: tx.gas_limit, available };
            output.outcomes.push(SequentialOutcome::Skipped(reason));
            continue;
        }
        lists.set_index(&mut state, index);
        match transact(place, tx, &mut state) {
            Ok(mut result) => {
                index += 1;
                used.add(block, &result);
                output.blob_gas_used += GAS_PER_BLOB * tx.blob_hashes.len() as u64;
                output.receipts.push(EthereumReceipt {
                    tx_type: TxType::try_from(tx.tx_type).unwrap_or_default(),
                    success: result.is_success(),
                    cumulative_gas_used: used.all,
                    logs: take_logs(&mut result),
                });
                output.outcomes.push(SequentialOutcome::Executed(result));
            }
            Err(EVMError::Transaction(invalid)) => {
                output.outcomes.push(SequentialOutcome::Skipped(SkipReason::Invalid(invalid)));
            }
            Err(other) => panic!("the oracle cannot go on: {other:?}"),
        }
    }
    output.access_list = Some(lists.take(&mut state));
    state.merge_transitions(BundleRetention::Reverts);
    output.bundle = state.take_bundle();
    output.gas_used = used.regular.max(used.state);
    output
}

/// Compares Braid's output with the oracle's.
///
/// # Errors
/// Returns the differences in words.
pub fn compare<E: Display>(
    expected: &SequentialOutput,
    found: &Result<BlockOutput, BlockError<E>>,
) -> Result<(), String> {
    let found = found.as_ref().map_err(|error| format!("expected success, found {error}"))?;
    let different = outputs(expected, found);
    if different.is_empty() { Ok(()) } else { Err(different.to_string()) }
}

/// Gas of a block so far.
#[derive(Default)]
struct Used {
    /// Gas as counted by receipts.
    all: u64,
    /// Gas as counted by the block: all of it up to Osaka, one of two kinds since (EIP-8037).
    regular: u64,
    /// Gas of the second kind, for state.
    state: u64,
}

impl Used {
    /// Checks that `tx` fits into the block; the error is the gas that is left.
    fn leaves_room(&self, block: &Block, tx: &TxEnv) -> Result<(), u64> {
        let (limit, cap) = (block.env.gas_limit, block.cfg.tx_gas_limit_cap());
        if tx.gas_limit.min(cap) > limit - self.regular {
            return Err(limit - self.regular);
        }
        // The cap applies to the regular kind.
        if tx.gas_limit > limit - self.state && block.cfg.spec.is_enabled_in(SpecId::AMSTERDAM) {
            return Err(limit - self.state);
        }
        Ok(())
    }

    fn add(&mut self, block: &Block, result: &ExecutionResult) {
        self.all += result.tx_gas_used();
        if block.cfg.spec.is_enabled_in(SpecId::AMSTERDAM) {
            self.regular += result.gas().block_regular_gas_used();
            self.state += result.gas().block_state_gas_used();
        } else {
            self.regular = self.all;
        }
    }
}

fn take_logs(result: &mut ExecutionResult) -> Vec<Log> {
    match result {
        ExecutionResult::Success { logs, .. }
        | ExecutionResult::Revert { logs, .. }
        | ExecutionResult::Halt { logs, .. } => core::mem::take(logs),
    }
}

fn transact<DB: Database>(
    block: &Block,
    tx: &TxEnv,
    own: &Own,
    state: &mut State<DB>,
) -> Result<ExecutionResult, EVMError<EvmDatabaseError<DB::Error>>> {
    let context: MainnetContext<&mut State<DB>> =
        Context::<BlockEnv, TxEnv, CfgEnv, _>::mainnet().with_db(state);
    let context = context.with_block(block.env.clone()).with_cfg(block.cfg.clone());
    let precompiles = Precompiles::new(block.cfg.spec, own.precompile);
    let mut evm = context.with_tx(tx.clone()).build_mainnet().with_precompiles(precompiles);
    let ran = Fees(own.surcharge, PhantomData).run(&mut evm);
    let changes = evm.ctx.journal_mut().finalize();
    drop(evm);
    let result = ran?;
    state.commit(changes);
    Ok(result)
}

type PlainEvm<DB> = Evm<
    MainnetContext<DB>,
    (),
    EthInstructions<EthInterpreter, MainnetContext<DB>>,
    Precompiles,
    EthFrame<EthInterpreter>,
>;

/// revm's handler with the fee.
struct Fees<DB>(Option<Publishing>, PhantomData<DB>);

impl<DB: Database> Handler for Fees<DB> {
    type Evm = PlainEvm<DB>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let fee = self.0.map_or(U256::ZERO, |own| own.price(&evm.ctx.tx));
        if !fee.is_zero() {
            let caller = evm.ctx.tx.caller;
            let mut account = evm.ctx.journal_mut().load_account_mut(caller)?.data;
            let balance = *account.balance();
            let Some(left) = balance.checked_sub(fee) else {
                let (fee, balance) = (Box::new(fee), Box::new(balance));
                return Err(InvalidTransaction::LackOfFundForMaxFee { fee, balance }.into());
            };
            account.set_balance(left);
        }
        pre_execution::validate_against_state_and_deduct_caller(&mut evm.ctx)
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        if let Some(own) = self.0 {
            let fee = own.price(&evm.ctx.tx);
            if !fee.is_zero() {
                evm.ctx.journal_mut().balance_incr(own.vault, fee)?;
            }
        }
        Ok(post_execution::reward_beneficiary(&mut evm.ctx, result.gas())?)
    }
}

/// Ethereum's precompiles and the custom one.
struct Precompiles {
    ethereum: EthPrecompiles,
    own: Option<Teller>,
    warm: AddressSet,
}

impl Precompiles {
    fn new(spec: SpecId, own: Option<Teller>) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let mut warm = ethereum.warm_addresses().clone();
        warm.extend(own.map(|own| own.at));
        Self { ethereum, own, warm }
    }
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: SpecId) -> bool {
        // Each transaction has an EVM of its own, made for the fork; the addresses are warmed.
        false
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(own) = self.own.filter(|own| own.at == inputs.bytecode_address) else {
            return PrecompileProvider::<C>::run(&mut self.ethereum, context, inputs);
        };
        let input = inputs.input.as_bytes(context).to_vec();
        let failed = |_: <C::Db as Database>::Error| String::from("the database failed");
        let of = own.of.unwrap_or(inputs.caller);
        let account = context.journal_mut().load_account(of).map_err(failed)?;
        let balance = account.data.info.balance;
        let slot = context.journal_mut().sload(of, U256::ZERO).map_err(failed)?.data;
        let reservoir = inputs.reservoir;
        let output = match Teller::tell(&input, balance, slot) {
            Told::This(output) => PrecompileOutput::new(Teller::GAS, output, reservoir),
            Told::Reverted => PrecompileOutput::revert(Teller::GAS, Bytes::new(), reservoir),
            Told::Failed => PrecompileOutput::halt(PrecompileHalt::other_static("no"), reservoir),
        };
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}
