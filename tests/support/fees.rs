//! A rollup's fee for publishing a transaction, implemented as a surcharge of Braid and in revm's
//! handler, as an EVM of alloy-evm.

use alloy_evm::eth::{EthEvmBuilder, EthEvmContext};
use alloy_evm::precompiles::PrecompilesMap;
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::Surcharge;
use revm::context::result::{EVMError, HaltReason, InvalidTransaction, ResultAndState};
use revm::context::{BlockEnv, CfgEnv, ContextTr, DBErrorMarker, JournalTr, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, FrameResult, Handler, PrecompileProvider};
use revm::handler::{SystemCallEvm, post_execution, pre_execution};
use revm::inspector::{InspectorHandler, NoOpInspector};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{InitialAndFloorGas, InterpreterResult};
use revm::primitives::hardfork::SpecId;
use revm::{Context, Inspector};
use std::marker::PhantomData;

/// Returns the fee for publishing a transaction, with `per_byte` wei for each zero byte. A plain
/// payment is free, because in real blocks it often empties the account.
fn price(tx: &TxEnv, per_byte: u64) -> U256 {
    if tx.data.is_empty() && !tx.value.is_zero() {
        return U256::ZERO;
    }
    let bytes: u64 = tx.data.iter().map(|byte| if *byte == 0 { 1 } else { 4 }).sum();
    U256::from(per_byte) * U256::from(bytes + tx.nonce % 3)
}

/// The fee and its receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing {
    pub(crate) vault: Address,
    pub(crate) per_byte: u64,
}

impl Surcharge for Publishing {
    fn receiver(&self) -> Address {
        self.vault
    }

    fn amount(&self, tx: &TxEnv) -> U256 {
        price(tx, self.per_byte)
    }
}

/// What an EVM does with the beneficiary in addition to the reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Nothing,
    /// Takes one ether away, if there is one.
    Burns,
    /// Raises the nonce.
    Counts,
    /// Writes a slot.
    Stores,
    /// Adds a share of the balance. Nothing shows that the sum depends on it.
    Shares,
}

/// revm's EVM for Ethereum.
type Inner<DB, I, P> = revm::context::Evm<
    EthEvmContext<DB>,
    I,
    EthInstructions<EthInterpreter, EthEvmContext<DB>>,
    P,
    EthFrame,
>;

/// revm's handler with the same rule, for sequential execution.
pub(crate) struct Reference<DB, I, P>(Publishing, Conduct, PhantomData<(DB, I, P)>);

impl<DB, I, P> Handler for Reference<DB, I, P>
where
    DB: revm::Database,
    P: PrecompileProvider<EthEvmContext<DB>, Output = InterpreterResult>,
{
    type Evm = Inner<DB, I, P>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let fee = price(&evm.ctx.tx, self.0.per_byte);
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
        let fee = price(&evm.ctx.tx, self.0.per_byte);
        if !fee.is_zero() {
            evm.ctx.journal_mut().balance_incr(self.0.vault, fee)?;
        }
        post_execution::reward_beneficiary(&mut evm.ctx, result.gas())?;
        let beneficiary = evm.ctx.block.beneficiary;
        let journal = evm.ctx.journal_mut();
        match self.1 {
            Conduct::Nothing => {}
            Conduct::Burns => {
                journal
                    .load_account_mut(beneficiary)?
                    .data
                    .decr_balance(U256::from(10_u64.pow(18)));
            }
            Conduct::Counts => {
                journal.load_account_mut(beneficiary)?.data.bump_nonce();
            }
            Conduct::Stores => {
                journal.touch_account(beneficiary);
                journal.sstore(beneficiary, U256::ONE, U256::from(2))?;
            }
            Conduct::Shares => {
                let balance = *journal.load_account_mut(beneficiary)?.data.balance();
                journal.balance_incr(beneficiary, balance >> 7)?;
            }
        }
        Ok(())
    }
}

impl<DB, I, P> InspectorHandler for Reference<DB, I, P>
where
    DB: revm::Database,
    I: Inspector<EthEvmContext<DB>>,
    P: PrecompileProvider<EthEvmContext<DB>, Output = InterpreterResult>,
{
    type IT = EthInterpreter;
}

/// An EVM of alloy-evm that charges the fee itself.
pub(crate) struct PublishingEvm<DB: Database, I> {
    inner: Inner<DB, I, PrecompilesMap>,
    rules: (Publishing, Conduct),
    inspect: bool,
}

impl<DB: Database, I: Inspector<EthEvmContext<DB>>> Evm for PublishingEvm<DB, I> {
    type DB = DB;
    type Tx = TxEnv;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;
    type Inspector = I;

    fn block(&self) -> &BlockEnv {
        &self.inner.ctx.block
    }

    fn cfg_env(&self) -> &CfgEnv {
        &self.inner.ctx.cfg
    }

    fn chain_id(&self) -> u64 {
        self.inner.ctx.cfg.chain_id
    }

    fn transact_raw(&mut self, tx: TxEnv) -> Result<ResultAndState, Self::Error> {
        self.inner.ctx.tx = tx;
        let mut handler = Reference(self.rules.0, self.rules.1, PhantomData);
        let result = match self.inspect {
            true => handler.inspect_run(&mut self.inner),
            false => handler.run(&mut self.inner),
        };
        let state = self.inner.ctx.journal_mut().finalize();
        result.map(|result| ResultAndState::new(result, state))
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState, Self::Error> {
        self.inner.system_call_with_caller(caller, contract, data)
    }

    fn finish(self) -> (DB, EvmEnv) {
        let Context { block: block_env, cfg: cfg_env, journaled_state, .. } = self.inner.ctx;
        (journaled_state.database, EvmEnv { block_env, cfg_env })
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspect = enabled;
    }

    fn components(&self) -> (&DB, &I, &PrecompilesMap) {
        let inner = &self.inner;
        (&inner.ctx.journaled_state.database, &inner.inspector, &inner.precompiles)
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut PrecompilesMap) {
        let inner = &mut self.inner;
        (&mut inner.ctx.journaled_state.database, &mut inner.inspector, &mut inner.precompiles)
    }
}

/// Factory of these EVMs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishingFactory(pub(crate) Publishing, pub(crate) Conduct);

impl EvmFactory for PublishingFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = PublishingEvm<DB, I>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> PublishingEvm<DB, NoOpInspector> {
        let inner = EthEvmBuilder::new(db, env).build().into_inner();
        PublishingEvm { inner, rules: (self.0, self.1), inspect: false }
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> PublishingEvm<DB, I> {
        let inner = EthEvmBuilder::new(db, env).inspector(inspector).build().into_inner();
        PublishingEvm { inner, rules: (self.0, self.1), inspect: true }
    }
}
