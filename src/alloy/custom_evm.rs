//! The EVM of an `EvmFactory` in the workers.
//!
//! Such an EVM pays fees as it likes: it loads the beneficiary and adds to its balance. Recorded,
//! that would make each transaction depend on the one before it. But what is loaded only when the
//! outermost call has ended can no longer be seen by the code of the transaction. So a balance that
//! is loaded then, of an account that gets fees, is not read: the EVM is shown a made-up account,
//! and what it has added to that is the fee.

use crate::evm::{Block, CustomEvm, CustomRun, Rejection, Surcharge, ViewStopped};
use alloy_evm::{Evm, EvmEnv, EvmError, EvmFactory, InvalidTxError};
use alloy_primitives::{Address, B256, U256};
use core::cell::Cell;
use core::fmt;
use revm::context::result::{EVMError, HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm::interpreter::InterpreterTypes;
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use revm::{Database, Inspector};

/// How the EVM of a factory pays fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fees {
    /// In whatever way. Each transaction is taken to depend on all before it that paid a fee to the
    /// same account, so hardly any two of them run at the same time.
    Recorded,
    /// By additions only: once the outermost call of a transaction has ended, the EVM does nothing
    /// with the beneficiary and the vault but add to their balances, as revm's journal does it (a
    /// sum that does not fit is dropped), and nothing that it does depends on these two accounts.
    /// Frames are reported to the inspector, as revm's `InspectorHandler` does it; with an
    /// inspector it executes as without one.
    ///
    /// What other than an addition can be seen in the result makes the transaction run again with
    /// every read recorded. An amount that depends on the balance cannot be seen: results are wrong
    /// then.
    Deferred {
        /// A second account that every transaction pays, such as that of a rollup's fees.
        vault: Option<Address>,
    },
}

/// Who gets the EVM's own second fee. How much it is the EVM says.
#[derive(Debug)]
pub(super) struct Vault(pub(super) Address);

impl Surcharge for Vault {
    fn receiver(&self) -> Address {
        self.0
    }

    /// Ours is not asked.
    fn amount(&self, _: &TxEnv) -> U256 {
        U256::ZERO
    }
}

/// The EVMs of `F` as the workers use them.
pub(super) struct FactoryEvm<F> {
    pub(super) factory: F,
    pub(super) fees: Fees,
}

impl<F> fmt::Debug for FactoryEvm<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactoryEvm").field("fees", &self.fees).finish_non_exhaustive()
    }
}

impl<F> CustomEvm for FactoryEvm<F>
where
    F: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv, HaltReason = HaltReason>
        + Send
        + Sync,
{
    fn can_defer(&self) -> bool {
        self.fees != Fees::Recorded
    }

    fn run(
        &self,
        view: &mut dyn Database<Error = ViewStopped>,
        block: &Block,
        tx: &TxEnv,
        deferred: [Option<Address>; 2],
    ) -> Result<CustomRun, Rejection> {
        let env = || EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
        if self.fees != Fees::Recorded && deferred != [None; 2] {
            let watch = Watch::new(deferred);
            let shown = Shown { view, watch: Some(&watch) };
            let mut evm = self.factory.create_evm_with_inspector(shown, env(), Frames(&watch));
            evm.set_inspector_enabled(true);
            // An error may come of an account that was made up.
            if let Ok(ResultAndState { result, mut state }) = evm.transact_raw(tx.clone())
                && let Some(deferred) = watch.take(&mut state)
            {
                return Ok(CustomRun { result, state, deferred });
            }
        }
        let mut evm = self.factory.create_evm(Shown { view, watch: None }, env());
        let ran = evm.transact_raw(tx.clone()).map_err(rejection)?;
        Ok(CustomRun { result: ran.result, state: ran.state, deferred: [None; 2] })
    }
}

fn rejection<E: EvmError>(error: E) -> Rejection {
    match error.try_into_invalid_tx_err() {
        Ok(invalid) => match invalid.as_invalid_tx_err() {
            Some(invalid) => Rejection::Invalid(invalid.clone()),
            None => Rejection::Custom(invalid.to_string()),
        },
        Err(error) => {
            let error: &dyn core::any::Any = &error;
            match error.downcast_ref::<EVMError<ViewStopped>>() {
                Some(EVMError::Header(invalid)) => Rejection::Header(*invalid),
                Some(EVMError::Custom(message)) => Rejection::Custom(message.clone()),
                _ => Rejection::Custom("the EVM failed".to_owned()),
            }
        }
    }
}

/// Watches one transaction: where its outermost call ends, and which fee accounts are loaded later.
#[derive(Debug)]
struct Watch {
    deferred: [Option<Address>; 2],
    loaded: [Cell<bool>; 2],
    /// Calls and creations that have begun and not ended.
    open: Cell<u64>,
    has_ended: Cell<bool>,
    /// Something happened that is no addition to a balance.
    is_broken: Cell<bool>,
}

impl Watch {
    fn new(deferred: [Option<Address>; 2]) -> Self {
        Self {
            deferred,
            loaded: Default::default(),
            open: Cell::new(0),
            has_ended: Cell::new(false),
            is_broken: Cell::new(false),
        }
    }

    fn place(&self, address: Address) -> Option<&Cell<bool>> {
        let mut places = self.deferred.iter().zip(&self.loaded);
        places.find(|(deferred, _)| **deferred == Some(address)).map(|(_, loaded)| loaded)
    }

    fn begin(&self) {
        // What is made up must not be seen by code.
        let seen = self.loaded.iter().any(Cell::get);
        self.is_broken.set(self.is_broken.get() || seen);
        self.has_ended.set(false);
        self.open.set(self.open.get().saturating_add(1));
    }

    fn end(&self) {
        let open = self.open.get().saturating_sub(1);
        self.open.set(open);
        self.has_ended.set(open == 0);
    }

    /// Takes what was added to made-up accounts out of `state`; `None` if it was not only added.
    fn take(&self, state: &mut EvmState) -> Option<[Option<U256>; 2]> {
        let mut amounts = [None; 2];
        for ((address, loaded), amount) in self.deferred.iter().zip(&self.loaded).zip(&mut amounts)
        {
            if let Some(address) = address.filter(|_| loaded.get()) {
                let Some(account) = state.remove(&address) else { continue };
                *amount = if account.is_touched() { Some(added(&account)?) } else { None };
            }
        }
        (!self.is_broken.get()).then_some(amounts)
    }
}

/// An account that is shown instead of one that is not read. Neither what is added nor what is
/// taken away fits badly.
fn made_up() -> AccountInfo {
    AccountInfo { balance: U256::ONE << 255, nonce: 1, ..AccountInfo::default() }
}

/// What was added to the balance of a made-up account, if that is all.
fn added(account: &Account) -> Option<U256> {
    let before = made_up();
    let same = account.info.nonce == before.nonce
        && account.info.code_hash == before.code_hash
        && account.storage.is_empty()
        && !account.is_created()
        && !account.is_selfdestructed();
    account.info.balance.checked_sub(before.balance).filter(|_| same)
}

/// The state as it is shown to the EVM.
struct Shown<'a> {
    view: &'a mut dyn Database<Error = ViewStopped>,
    watch: Option<&'a Watch>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl Database for Shown<'_> {
    type Error = ViewStopped;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewStopped> {
        let watch = self.watch.filter(|watch| watch.has_ended.get());
        match watch.and_then(|watch| watch.place(address)) {
            Some(loaded) => {
                loaded.set(true);
                Ok(Some(made_up()))
            }
            None => self.view.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewStopped> {
        self.view.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewStopped> {
        if let Some(watch) = self.watch
            && watch.place(address).is_some_and(Cell::get)
        {
            watch.is_broken.set(true);
        }
        self.view.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewStopped> {
        self.view.block_hash(number)
    }
}

/// Tells `Watch` of frames.
struct Frames<'a>(&'a Watch);

impl<CTX, T: InterpreterTypes, I, R> Inspector<CTX, T, I, R> for Frames<'_> {
    fn frame_start(&mut self, _: &mut CTX, _: &mut I) -> Option<R> {
        self.0.begin();
        None
    }

    fn frame_end(&mut self, _: &mut CTX, _: &I, _: &mut R) {
        self.0.end();
    }
}
