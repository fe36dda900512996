//! User-defined precompiles, next to Ethereum's.

use alloy_primitives::{Address, Bytes, U256, map::AddressSet};
use core::fmt::Debug;
use revm::context::{Cfg, ContextTr};
use revm::context_interface::JournalTr;
use revm::handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result};
use revm::interpreter::{CallInputs, InterpreterResult};
use revm::precompile::{PrecompileError, PrecompileHalt, PrecompileOutput};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// A contract implemented in Rust.
///
/// # Contract
///
/// A call may run several times, on several threads at once, and on states that never become real;
/// only one run's result counts. It must therefore be a pure function of its input and of what it
/// reads through [`PrecompileState`], without side effects and without memory between calls, and it
/// must return when a read fails. It may panic: a panic on a state that never becomes real is
/// dropped, and one that recurs on the real state is re-raised on the calling thread.
pub trait Precompile: Debug + Send + Sync {
    /// Its address, which may be one of Ethereum's precompiles: that one is then overridden.
    fn address(&self) -> Address;

    /// Runs one call.
    ///
    /// # Errors
    /// [`StateUnavailable`], passed on from a read with `?`. Any other error rejects the
    /// transaction, as in revm.
    fn call(
        &self,
        call: PrecompileCall<'_>,
        state: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError>;
}

/// Precompiles of revm, which read no state, are given as they are.
impl Precompile for revm::precompile::Precompile {
    fn address(&self) -> Address {
        *self.address()
    }

    fn call(
        &self,
        call: PrecompileCall<'_>,
        _: &mut dyn PrecompileState,
    ) -> Result<PrecompileOutput, PrecompileError> {
        self.execute(call.input, call.gas_limit, call.reservoir)
    }
}

/// One call of a precompile.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PrecompileCall<'a> {
    /// Call data.
    pub input: &'a [u8],
    /// Maximum gas.
    pub gas_limit: u64,
    /// The caller.
    pub caller: Address,
    /// Value of the call in wei, already transferred.
    pub value: U256,
    /// Whether state changes are forbidden (a static call).
    pub is_static: bool,
    /// State gas left in the reservoir (EIP-8037); zero before Amsterdam.
    pub reservoir: u64,
}

impl PrecompileCall<'_> {
    /// Returns the result of a call that succeeds.
    #[must_use]
    pub const fn success(&self, gas_used: u64, output: Bytes) -> PrecompileOutput {
        PrecompileOutput::new(gas_used, output, self.reservoir)
    }

    /// Returns the result of a call that reverts; the unused gas is returned.
    #[must_use]
    pub const fn revert(&self, gas_used: u64, output: Bytes) -> PrecompileOutput {
        PrecompileOutput::revert(gas_used, output, self.reservoir)
    }

    /// Returns the result of a call that halts, and so uses all its gas.
    #[must_use]
    pub const fn halt(&self, reason: &'static str) -> PrecompileOutput {
        PrecompileOutput::halt(PrecompileHalt::other_static(reason), self.reservoir)
    }
}

/// A read failed or must wait for another transaction: return this error, the call will be
/// repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state is not available; the call will be repeated")]
pub struct StateUnavailable;

impl From<StateUnavailable> for PrecompileError {
    fn from(error: StateUnavailable) -> Self {
        Self::Fatal(error.to_string())
    }
}

/// The state that a precompile can read. Reads are recorded; they cost no gas by themselves.
pub trait PrecompileState {
    /// Balance in wei; zero if the account does not exist.
    ///
    /// # Errors
    /// [`StateUnavailable`]: return it.
    fn balance(&mut self, address: Address) -> Result<U256, StateUnavailable>;

    /// Value of a storage slot.
    ///
    /// # Errors
    /// [`StateUnavailable`]: return it.
    fn slot(&mut self, address: Address, slot: U256) -> Result<U256, StateUnavailable>;
}

/// The journal as a precompile reads it; records the reads.
struct JournalState<'c, C> {
    context: &'c mut C,
    reads: &'c mut Vec<(Address, Option<U256>)>,
}

impl<C: ContextTr> PrecompileState for JournalState<'_, C> {
    fn balance(&mut self, address: Address) -> Result<U256, StateUnavailable> {
        self.reads.push((address, None));
        let journal = self.context.journal_mut();
        let account = journal.load_account(address).map_err(|_| StateUnavailable)?;
        Ok(account.data.info.balance)
    }

    fn slot(&mut self, address: Address, slot: U256) -> Result<U256, StateUnavailable> {
        // The journal requires the account to be loaded before its slots.
        self.balance(address)?;
        self.reads.push((address, Some(slot)));
        let journal = self.context.journal_mut();
        let value = journal.sload(address, slot).map_err(|_| StateUnavailable)?;
        Ok(value.data)
    }
}

/// The precompiles of a block: Ethereum's and the user's own.
#[derive(Clone, Debug)]
pub(in crate::evm) struct BlockPrecompiles {
    ethereum: EthPrecompiles,
    own: Arc<[Arc<dyn Precompile>]>,
    /// Addresses of all precompiles; empty if the user has none.
    warm: AddressSet,
    /// Gas that the current transaction has used in Ethereum's precompiles.
    pub(super) gas: u64,
    /// Reads of the current transaction in the user's precompiles.
    pub(super) reads: Vec<(Address, Option<U256>)>,
}

impl BlockPrecompiles {
    pub(in crate::evm) fn new(spec: SpecId, own: Arc<[Arc<dyn Precompile>]>) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let mut warm = AddressSet::default();
        if !own.is_empty() {
            warm.clone_from(ethereum.warm_addresses());
            warm.extend(own.iter().map(|precompile| precompile.address()));
        }
        Self { ethereum, own, warm, gas: 0, reads: Vec::new() }
    }

    /// Resets the record for the next transaction.
    pub(super) fn begin(&mut self) {
        self.gas = 0;
        self.reads.clear();
    }

    /// Addresses of all precompiles.
    pub(in crate::evm) fn addresses(&self) -> &AddressSet {
        if self.own.is_empty() { self.ethereum.warm_addresses() } else { &self.warm }
    }
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for BlockPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        // The fork is fixed when the block's EVM is built; the first transaction still has to
        // warm the addresses.
        PrecompileProvider::<C>::set_spec(&mut self.ethereum, spec)
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let own = self.own.iter().find(|own| own.address() == inputs.bytecode_address);
        let Some(own) = own else {
            let result = PrecompileProvider::<C>::run(&mut self.ethereum, context, inputs)?;
            // A failed call uses up its gas but takes no time.
            let ran = result.as_ref().filter(|result| result.is_ok());
            let used = ran.map_or(0, |result| result.gas.total_gas_spent());
            self.gas = self.gas.saturating_add(used);
            return Ok(result);
        };
        let input = inputs.input.as_bytes(context).to_vec();
        let call = PrecompileCall {
            input: &input,
            gas_limit: inputs.gas_limit,
            caller: inputs.caller,
            value: inputs.value.get(),
            is_static: inputs.is_static,
            reservoir: inputs.reservoir,
        };
        let mut state = JournalState { context, reads: &mut self.reads };
        let output = own.call(call, &mut state).map_err(|error| error.to_string())?;
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.addresses()
    }
}
