//! Adapter that runs the EVMs of an `EvmFactory` on the workers.
//!
//! Such an EVM pays fees itself: it loads the beneficiary and adds to its balance. If that load
//! were recorded, each transaction would depend on the one before it. But the code of a transaction
//! cannot observe an account that is loaded after its outermost call has ended. So if a fee account
//! is loaded then, the EVM gets a placeholder account, and the amount that it adds to the balance
//! of the placeholder is the fee.

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

/// How the EVMs of a factory pay fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fees {
    /// With recorded reads and writes of any kind. Each transaction depends on every earlier
    /// transaction that paid a fee to the same account, so transactions hardly ever run in
    /// parallel.
    Recorded,
    /// By additions only. After the outermost call of a transaction has ended, the EVM only adds to
    /// the balances of the beneficiary and the vault, as revm's journal does (an addition that
    /// overflows is dropped), and nothing else that it does depends on these two accounts. Frames
    /// are reported to the inspector, as by revm's `InspectorHandler`, and the inspector does not
    /// change the execution.
    ///
    /// If the result shows any change other than an addition, the transaction runs again with every
    /// read recorded. An amount that depends on the balance cannot be detected; results are then
    /// wrong.
    Deferred {
        /// A second account that every transaction pays, such as the fee vault of a rollup.
        vault: Option<Address>,
    },
}

/// Receiver of a second fee that the EVM itself charges.
#[derive(Debug)]
pub(super) struct Vault(pub(super) Address);

impl Surcharge for Vault {
    fn receiver(&self) -> Address {
        self.0
    }

    /// Never called: the EVM determines the amount.
    fn amount(&self, _: &TxEnv) -> U256 {
        U256::ZERO
    }
}

/// Runs EVMs of the factory `F` on the workers.
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
    fn allows_blind_credits(&self) -> bool {
        self.fees != Fees::Recorded
    }

    fn run(
        &self,
        view: &mut dyn Database<Error = ViewStopped>,
        block: &Block,
        tx: &TxEnv,
        credits: [Option<Address>; 2],
    ) -> Result<CustomRun, Rejection> {
        let env = || EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
        if self.fees != Fees::Recorded && credits != [None; 2] {
            let watch = FeeWatch::new(credits);
            let masked = MaskedView { view, watch: Some(&watch) };
            let mut evm = self.factory.create_evm_with_inspector(masked, env(), Frames(&watch));
            evm.set_inspector_enabled(true);
            // After an error the transaction runs again, because a placeholder may have caused it.
            if let Ok(ResultAndState { result, mut state }) = evm.transact_raw(tx.clone())
                && let Some(credits) = watch.take(&mut state)
            {
                return Ok(CustomRun { result, state, credits });
            }
        }
        let mut evm = self.factory.create_evm(MaskedView { view, watch: None }, env());
        let ran = evm.transact_raw(tx.clone()).map_err(rejection)?;
        Ok(CustomRun { result: ran.result, state: ran.state, credits: [None; 2] })
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

/// Observes one transaction: when its outermost call ends, and which fee accounts are loaded after
/// that.
#[derive(Debug)]
struct FeeWatch {
    credits: [Option<Address>; 2],
    loaded: [Cell<bool>; 2],
    /// Number of calls and creations that have begun and not ended.
    open_frames: Cell<u64>,
    has_ended: Cell<bool>,
    /// Whether anything other than an addition to a balance happened.
    is_broken: Cell<bool>,
}

impl FeeWatch {
    fn new(credits: [Option<Address>; 2]) -> Self {
        Self {
            credits,
            loaded: Default::default(),
            open_frames: Cell::new(0),
            has_ended: Cell::new(false),
            is_broken: Cell::new(false),
        }
    }

    /// Returns whether the fee account `address` was loaded; `None` if it is no fee account.
    fn loaded_flag(&self, address: Address) -> Option<&Cell<bool>> {
        let mut flags = self.credits.iter().zip(&self.loaded);
        flags.find(|(credits, _)| **credits == Some(address)).map(|(_, loaded)| loaded)
    }

    fn begin(&self) {
        // Code must not run after a placeholder was loaded.
        let is_visible = self.loaded.iter().any(Cell::get);
        self.is_broken.set(self.is_broken.get() || is_visible);
        self.has_ended.set(false);
        self.open_frames.set(self.open_frames.get().saturating_add(1));
    }

    fn end(&self) {
        let open_frames = self.open_frames.get().saturating_sub(1);
        self.open_frames.set(open_frames);
        self.has_ended.set(open_frames == 0);
    }

    /// Removes the placeholders from `state` and returns the amounts added to them; `None` if
    /// anything else happened to them.
    fn take(&self, state: &mut EvmState) -> Option<[Option<U256>; 2]> {
        let mut amounts = [None; 2];
        for ((address, loaded), amount) in self.credits.iter().zip(&self.loaded).zip(&mut amounts) {
            if let Some(address) = address.filter(|_| loaded.get()) {
                let Some(account) = state.remove(&address) else { continue };
                *amount = if account.is_touched() { Some(amount_added(&account)?) } else { None };
            }
        }
        (!self.is_broken.get()).then_some(amounts)
    }
}

/// Returns the placeholder for a fee account. Its balance leaves room for additions and
/// subtractions.
fn placeholder() -> AccountInfo {
    AccountInfo { balance: U256::ONE << 255, nonce: 1, ..AccountInfo::default() }
}

/// Returns the amount added to the balance of a placeholder; `None` if anything else changed.
fn amount_added(account: &Account) -> Option<U256> {
    let before = placeholder();
    let is_only_credited = account.info.nonce == before.nonce
        && account.info.code_hash == before.code_hash
        && account.storage.is_empty()
        && !account.is_created()
        && !account.is_selfdestructed();
    account.info.balance.checked_sub(before.balance).filter(|_| is_only_credited)
}

/// The database of the EVM: the view, with placeholders for fee accounts.
struct MaskedView<'a> {
    view: &'a mut dyn Database<Error = ViewStopped>,
    watch: Option<&'a FeeWatch>,
}

impl fmt::Debug for MaskedView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskedView").finish_non_exhaustive()
    }
}

impl Database for MaskedView<'_> {
    type Error = ViewStopped;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewStopped> {
        let watch = self.watch.filter(|watch| watch.has_ended.get());
        match watch.and_then(|watch| watch.loaded_flag(address)) {
            Some(loaded) => {
                loaded.set(true);
                Ok(Some(placeholder()))
            }
            None => self.view.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewStopped> {
        self.view.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewStopped> {
        if let Some(watch) = self.watch
            && watch.loaded_flag(address).is_some_and(Cell::get)
        {
            watch.is_broken.set(true);
        }
        self.view.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewStopped> {
        self.view.block_hash(number)
    }
}

/// Inspector that reports frames to a [`FeeWatch`].
struct Frames<'a>(&'a FeeWatch);

impl<CTX, T: InterpreterTypes, I, R> Inspector<CTX, T, I, R> for Frames<'_> {
    fn frame_start(&mut self, _: &mut CTX, _: &mut I) -> Option<R> {
        self.0.begin();
        None
    }

    fn frame_end(&mut self, _: &mut CTX, _: &I, _: &mut R) {
        self.0.end();
    }
}
