//! Runs one transaction of a block on plain revm, with reads from any source.

use super::state::{AccountValue, EvmDelta, EvmKey, EvmValue};
use crate::order::ShardId;
use revm::context::result::{EVMError, ExecutionResult, HaltReason};
use revm::context::{BlockEnv, CfgEnv, Context, Evm as RevmEvm, JournalTr, Transaction, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database_interface::DBErrorMarker;
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EthPrecompiles, FrameResult, Handler, MainBuilder, MainContext, MainnetContext,
};
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::{Address, B256, Bytes, KECCAK_EMPTY, U256, hardfork::SpecId};
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use revm::{Database, SystemCallEvm};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// The context of all transactions of a block.
#[derive(Debug)]
pub struct Surroundings {
    pub(crate) cfg: CfgEnv,
    pub(crate) env: BlockEnv,
    /// Number of shards; each counts fees.
    pub(crate) shards: u16,
}

/// Kind of an entry.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A transaction.
    Tx {
        /// The transaction.
        tx: Box<TxEnv>,
        /// Shard that counts the fee; `None` if the transaction accesses the beneficiary, which is
        /// then paid as part of the run.
        fees: Option<ShardId>,
    },
    /// A call of a system contract, before or after the transactions.
    SystemCall(Address, Bytes),
    /// Rewards and withdrawals.
    Credits(Vec<(Address, u128)>),
}

/// An entry of a block's order.
#[derive(Clone, Debug)]
pub struct EvmTx {
    pub(crate) kind: Kind,
    pub(crate) around: Arc<Surroundings>,
    /// Hashes of earlier blocks that the entry reads.
    pub(crate) hashes: BTreeMap<u64, B256>,
}

/// Output of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EvmOutput {
    /// The transaction was executed.
    Executed(ExecutionResult),
    /// The transaction is invalid, and changes nothing.
    Refused(String),
    /// Balances were credited.
    Credited,
}

/// A key that was read but not declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not among the declared reads")]
pub(crate) struct Missing(pub(crate) EvmKey);

impl DBErrorMarker for Missing {}

/// Answers reads.
pub(crate) trait Source {
    /// Returns the value at `key`.
    fn value(&mut self, key: EvmKey) -> Result<EvmValue, Missing>;

    /// Returns the hash of an earlier block.
    fn hash(&mut self, number: u64) -> B256;
}

/// Effects of a run.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) output: EvmOutput,
    pub(crate) writes: Vec<(EvmKey, EvmValue)>,
    pub(crate) deltas: Vec<(EvmKey, EvmDelta)>,
    /// Whether the EVM has loaded the beneficiary.
    pub(crate) accesses_beneficiary: bool,
}

/// revm's view of a source.
struct View<'a, S> {
    source: &'a mut S,
    around: &'a Surroundings,
}

impl<S: Source> View<'_, S> {
    /// Returns the account, and the fees that belong to its balance.
    fn account(&mut self, address: Address) -> Result<(AccountValue, U256), Missing> {
        let account = self.source.value(EvmKey::Account(address))?.account();
        let mut fees = U256::ZERO;
        if address == self.around.env.beneficiary {
            for shard in 0..self.around.shards {
                let counted = self.source.value(EvmKey::Fees(ShardId(shard)))?.fees();
                fees = fees.wrapping_add(counted);
            }
        }
        Ok((account, fees))
    }
}

impl<S: Source> Database for View<'_, S> {
    type Error = Missing;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Missing> {
        let (account, fees) = self.account(address)?;
        Ok(account.info(fees))
    }

    /// Not needed: accounts come with their code.
    fn code_by_hash(&mut self, _: B256) -> Result<Bytecode, Missing> {
        Ok(Bytecode::default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Missing> {
        let life = self.source.value(EvmKey::Account(address))?.account().life;
        Ok(self.source.value(EvmKey::Slot(address, slot))?.slot(life))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Missing> {
        Ok(self.source.hash(number))
    }
}

type PlainEvm<DB> = RevmEvm<
    MainnetContext<DB>,
    (),
    EthInstructions<EthInterpreter, MainnetContext<DB>>,
    EthPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// revm's handler, which counts the fee instead of paying it if `apart` is set.
struct Fees<DB> {
    apart: bool,
    counted: Cell<U256>,
    database: PhantomData<DB>,
}

impl<DB: Database> Handler for Fees<DB> {
    type Evm = PlainEvm<DB>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        let (block, cfg) = (&evm.ctx.block, &evm.ctx.cfg);
        let base_fee = u128::from(block.basefee);
        let mut price = evm.ctx.tx.effective_gas_price(base_fee);
        if cfg.spec.is_enabled_in(SpecId::LONDON) {
            price = price.saturating_sub(base_fee);
        }
        let gas = result.gas();
        let used = gas.used().saturating_sub(gas.reservoir());
        let fee = U256::from(price * u128::from(used));
        if self.apart {
            self.counted.set(fee);
        } else {
            let beneficiary = block.beneficiary;
            evm.ctx.journaled_state.load_account_mut(beneficiary)?.incr_balance(fee);
        }
        Ok(())
    }
}

/// Runs `tx` on `source`.
pub(crate) fn run<S: Source>(tx: &EvmTx, source: &mut S) -> Result<Left, Missing> {
    let mut left = Left {
        output: EvmOutput::Credited,
        writes: Vec::new(),
        deltas: Vec::new(),
        accesses_beneficiary: false,
    };
    if let Kind::Credits(credits) = &tx.kind {
        let credit = |(address, amount): &(Address, u128)| {
            (EvmKey::Account(*address), EvmDelta::Credit(U256::from(*amount)))
        };
        left.deltas.extend(credits.iter().map(credit));
        return Ok(left);
    }
    let (output, state, fee) = execute(tx, View { source, around: &tx.around })?;
    left.output = output;
    let beneficiary = tx.around.env.beneficiary;
    left.accesses_beneficiary = state.contains_key(&beneficiary);
    if let (Kind::Tx { fees: Some(shard), .. }, false) = (&tx.kind, fee.is_zero()) {
        left.deltas.push((EvmKey::Fees(*shard), EvmDelta::Fee(fee)));
    }
    let mut view = View { source, around: &tx.around };
    for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
        let before = view.account(*address)?;
        changes(tx, *address, account, before, &mut left.writes);
    }
    Ok(left)
}

/// Returns the EVM's state and the counted fee.
fn execute<S: Source>(
    tx: &EvmTx,
    view: View<'_, S>,
) -> Result<(EvmOutput, EvmState, U256), Missing> {
    let context: MainnetContext<View<'_, S>> =
        Context::<BlockEnv, TxEnv, CfgEnv, _>::mainnet().with_db(view);
    let context = context.with_block(tx.around.env.clone()).with_cfg(tx.around.cfg.clone());
    let mut fee = U256::ZERO;
    let (ran, state) = match &tx.kind {
        Kind::Tx { tx, fees } => {
            let mut evm = context.with_tx((**tx).clone()).build_mainnet();
            let counted = Cell::new(U256::ZERO);
            let mut handler = Fees { apart: fees.is_some(), counted, database: PhantomData };
            let ran = handler.run(&mut evm);
            fee = handler.counted.get();
            (ran, evm.ctx.journaled_state.finalize())
        }
        Kind::SystemCall(contract, data) => {
            let mut evm = context.build_mainnet();
            let ran = evm.system_call_one(*contract, data.clone());
            (ran, evm.ctx.journaled_state.finalize())
        }
        Kind::Credits(_) => return Ok((EvmOutput::Credited, EvmState::default(), fee)),
    };
    match ran {
        Ok(result) => Ok((EvmOutput::Executed(result), state, fee)),
        Err(EVMError::Database(missing)) => Err(missing),
        Err(error) => Ok((EvmOutput::Refused(error.to_string()), EvmState::default(), fee)),
    }
}

/// Returns the changes of a touched account.
fn changes(
    tx: &EvmTx,
    address: Address,
    account: &Account,
    (before, fees): (AccountValue, U256),
    writes: &mut Vec<(EvmKey, EvmValue)>,
) {
    let clears_empty = tx.around.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
    let mut after = AccountValue::new(Some(account.info.clone()));
    after.life = before.life;
    let is_gone = account.is_selfdestructed() || (clears_empty && account.is_empty());
    if is_gone {
        after = AccountValue { life: before.life, ..AccountValue::default() };
    }
    // A handmade state may have storage where real accounts have none. As in revm's `State`, an
    // account without nonce and code loses such storage when it changes, and an empty account when
    // it is deleted.
    let was_bare = before.life == 0 && before.nonce == 0 && before.code_hash == KECCAK_EMPTY;
    let drops = was_bare && before.info(fees).is_some() && (is_gone || after != before);
    if drops || account.is_selfdestructed() || account.is_created() {
        after.life += 1;
    } else if after.code_hash == before.code_hash {
        after.code.clone_from(&before.code);
    }
    after.balance = after.balance.wrapping_sub(fees);
    let life = after.life;
    if after != before {
        writes.push((EvmKey::Account(address), EvmValue::Account(after)));
    }
    if !is_gone {
        let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
        writes.extend(slots.map(|(slot, value)| {
            let value = EvmValue::Slot { value: value.present_value, life };
            (EvmKey::Slot(address, *slot), value)
        }));
    }
}
