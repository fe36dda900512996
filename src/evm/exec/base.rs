//! The state before the transactions: a database with overlays.

use super::activity::DatabaseActivity;
use super::location::{Account, Code, EvmLocation, EvmValue};
use crate::evm::bal::prefetch::{Prefetch, PrefetchItem};
use crate::evm::bal::prepared_list::{PreparedList, index_of};
use crate::ids::{TxIndex, WorkerId};
use crate::worker::Base;
use alloy_eip7928::BlockAccessIndex;
use alloy_primitives::map::{B256Map, HashMap};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use core::fmt::Debug;
use revm::DatabaseRef;
use revm::database::{BundleAccount, BundleState};
use revm::state::{AccountInfo, Bytecode};
use std::sync::{Arc, OnceLock};

/// Opens one handle per worker onto the state before the block: a clone, or a read transaction of a
/// store that requires one per thread.
///
/// A handle stays on the thread that opened it, so it need not be `Send` or `Sync`. Its error type
/// comes back unchanged in [`BlockErrorKind::Base`](crate::BlockErrorKind::Base).
///
/// [`BlockRequest::execute`](crate::BlockRequest::execute) returns as soon as the result is
/// complete; a worker that the system has preempted may hold its handle for some milliseconds
/// longer. A store whose writes wait for readers calls
/// [`Executor::wait_idle`](crate::Executor::wait_idle) first.
pub trait StateSource: Send + Sync {
    /// A worker's handle.
    ///
    /// `basic_ref` returns `None` for an account that does not exist. It may omit an account's
    /// code; a code that it returns must match the code hash. Code next to the hash of the empty
    /// code is ignored.
    type State: DatabaseRef;

    /// Opens a handle for `worker`, on the worker's thread. All handles must see the same state. A
    /// block may open several handles for a worker, one after the other.
    ///
    /// # Errors
    /// Returns an error if the state cannot be opened. The transaction that the worker was about to
    /// run fails with this error if the error recurs once the transaction is the lowest uncommitted
    /// one, as it always is in a sequential segment.
    fn open(&self, worker: WorkerId) -> Result<Self::State, <Self::State as DatabaseRef>::Error>;

    /// Whether reads through different handles overlap in time. If they do not, more workers do not
    /// help when reads take long: see [`io_workers`](crate::Config::io_workers).
    fn reads_overlap(&self) -> bool {
        true
    }
}

impl<S: StateSource + ?Sized> StateSource for &S {
    type State = S::State;

    fn open(&self, worker: WorkerId) -> Result<S::State, <S::State as DatabaseRef>::Error> {
        (**self).open(worker)
    }

    fn reads_overlap(&self) -> bool {
        (**self).reads_overlap()
    }
}

/// Error of a read of `S`.
pub(in crate::evm) type DbError<S> = <<S as StateSource>::State as DatabaseRef>::Error;

/// A source that clones its state for each handle.
#[derive(Clone, Copy, Debug)]
pub struct Cloned<D>(pub D);

impl<D: DatabaseRef + Clone + Send + Sync> StateSource for Cloned<D> {
    type State = D;

    fn open(&self, _: WorkerId) -> Result<D, D::Error> {
        Ok(self.0.clone())
    }
}

/// State changes on top of the database: changes of the pre-block calls, and of a parent block that
/// is not written yet. The newest layer comes first.
#[derive(Debug, Default)]
pub(in crate::evm) struct Overlay {
    layers: Vec<Arc<BundleState>>,
}

impl Overlay {
    /// Adds `layer` as the newest one.
    pub(in crate::evm) fn push(&mut self, layer: Arc<BundleState>) {
        if !layer.is_empty() || !layer.contracts.is_empty() {
            self.layers.insert(0, layer);
        }
    }

    /// The account in the newest layer that contains it.
    pub(in crate::evm) fn account(&self, address: &Address) -> Option<&BundleAccount> {
        self.layers.iter().find_map(|layer| layer.account(address))
    }
}

/// Maximum number of block hashes that a handle caches: all that BLOCKHASH can ask for. A custom EVM
/// may ask for more.
const MAX_BLOCK_HASHES: usize = 256;

/// One worker's base state.
#[derive(Debug)]
pub(in crate::evm) struct BlockBase<D: DatabaseRef> {
    state: D,
    worker: WorkerId,
    activity: Arc<DatabaseActivity>,
    /// Number of reads of `state` so far.
    reads: u32,
    overlay: Arc<Overlay>,
    /// The account that was read last, because its parts are read one after the other.
    last: Option<(Address, Option<AccountInfo>)>,
    codes: B256Map<Bytecode>,
    /// Hashes of the first blocks that were asked for, by number.
    block_hashes: HashMap<u64, B256>,
    /// An account whose slots are all zero, whatever `state` contains; its slots are not read.
    slotless: Option<Address>,
    /// The block's access list, if the state may be read from it.
    access_list: Option<Arc<PreparedList>>,
    /// The index below which the list is read; `None` if the current reader does not use the list.
    below: Option<BlockAccessIndex>,
    /// Whether the next transactions read from the list.
    reads_list: bool,
    /// The prefetched state of the list's accounts and slots, if it is prefetched.
    prefetch: Option<Arc<Prefetch>>,
}

impl<D: DatabaseRef> BlockBase<D> {
    pub(in crate::evm) fn new(state: D, overlay: Arc<Overlay>) -> Self {
        Self {
            state,
            worker: WorkerId(0),
            activity: Arc::default(),
            reads: 0,
            overlay,
            last: None,
            codes: B256Map::default(),
            block_hashes: HashMap::default(),
            slotless: None,
            access_list: None,
            below: None,
            reads_list: false,
            prefetch: None,
        }
    }

    /// Sets an access list from which the state below each transaction is read.
    pub(in crate::evm) fn with_list(mut self, list: Option<&Arc<PreparedList>>) -> Self {
        self.access_list = list.cloned();
        self
    }

    /// Sets the prefetched state, which all workers share.
    pub(in crate::evm) fn with_prefetch(mut self, prefetch: Option<&Arc<Prefetch>>) -> Self {
        self.prefetch = prefetch.cloned();
        self
    }

    /// Prefetches `item`, so that no transaction has to wait for it. An error is ignored: it
    /// matters only if a transaction reads the item.
    pub(in crate::evm) fn prefetch(&mut self, item: PrefetchItem) {
        match item {
            PrefetchItem::Account(address) if self.overlay.account(&address).is_none() => {
                let info = self.fetch(address).ok().flatten();
                if let Some(info) = info
                    && !info.is_empty_code_hash()
                    && info.code.is_none()
                {
                    let _ = self.code(info.code_hash);
                }
            }
            PrefetchItem::Account(_) => {}
            PrefetchItem::Slot(address, slot) => _ = self.slot(address, slot),
        }
    }

    /// Sets whether the next transactions read from the list, if there is one. Returns whether they
    /// do.
    pub(super) fn set_reads_list(&mut self, reads_list: bool) -> bool {
        self.reads_list = reads_list && self.access_list.is_some();
        self.reads_list
    }

    /// Treats all slots of `account`, and of no other account, as zero from now on.
    pub(super) const fn set_slotless(&mut self, account: Option<Address>) {
        self.slotless = account;
    }

    /// Sets the next reader.
    pub(super) fn set_reader(&mut self, reader: TxIndex) {
        let below = self.reads_list.then(|| index_of(reader));
        if below != self.below {
            self.below = below;
            self.last = None;
        }
    }

    /// Whether the state is read from the list.
    pub(super) const fn reads_list(&self) -> bool {
        self.below.is_some()
    }

    /// Whether the list may be wrong for the current reader: a lower index has differed from it.
    pub(super) fn is_above_mismatch(&self) -> bool {
        self.listed().is_some_and(|(list, below)| list.is_above_mismatch(below))
    }

    /// The list and the reader's index, if the state is read from the list.
    fn listed(&self) -> Option<(&PreparedList, BlockAccessIndex)> {
        Some((self.access_list.as_deref()?, self.below?))
    }

    /// Whether the slot is read from the list: the block has written it.
    pub(super) fn is_listed(&self, address: Address, slot: U256) -> bool {
        self.listed().is_some_and(|(list, below)| list.slot_below(below, &address, slot).is_some())
    }

    /// The account before the transactions, ignoring the list.
    pub(super) fn account_before(
        &mut self,
        address: Address,
    ) -> Result<Option<AccountInfo>, D::Error> {
        let Some(below) = self.below.take() else { return self.account(address) };
        self.last = None;
        let before = self.account(address);
        self.below = Some(below);
        self.last = None;
        before
    }

    /// Counts the reads of `worker` in `activity`.
    pub(in crate::evm) fn with_activity(
        self,
        worker: WorkerId,
        activity: Arc<DatabaseActivity>,
    ) -> Self {
        Self { worker, activity, ..self }
    }

    pub(in crate::evm) fn account(
        &mut self,
        address: Address,
    ) -> Result<Option<AccountInfo>, D::Error> {
        if let Some((last, info)) = &self.last
            && *last == address
        {
            return Ok(info.clone());
        }
        let info = match self.overlay.account(&address) {
            Some(account) => account.info.clone(),
            None => self.fetch(address)?,
        };
        let info = match self.listed() {
            Some((list, below)) => list.account_below(below, &address, info),
            None => info,
        };
        self.last = Some((address, info.clone()));
        Ok(info)
    }

    fn fetch(&mut self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        let kept = self.prefetch.as_deref().and_then(|prefetch| prefetch.account(&address));
        if let Some(info) = kept.and_then(OnceLock::get) {
            return Ok(info.clone());
        }
        let read = || self.state.basic_ref(address);
        let mut info = self.activity.read(self.worker, &mut self.reads, read);
        // As in revm's `State`, an empty account has no code, even if the database reports a hash
        // of zero.
        if let Ok(Some(info)) = &mut info
            && info.is_empty()
        {
            info.code_hash = KECCAK256_EMPTY;
        }
        if mutant!(FailureCached) && info.is_err() {
            self.last = Some((address, None));
        }
        if let (Some(kept), Ok(info)) = (kept, &info) {
            let _ = kept.set(info.clone());
        }
        info
    }

    fn slot(&mut self, address: Address, slot: U256) -> Result<U256, D::Error> {
        if let Some((list, below)) = self.listed()
            && let Some(value) = list.slot_below(below, &address, slot)
        {
            return Ok(value);
        }
        let accounts = self.overlay.layers.iter().filter_map(|layer| layer.account(&address));
        if let Some(value) = accounts.filter_map(|account| account.storage_slot(slot)).next() {
            return Ok(value);
        }
        if self.slotless == Some(address) {
            return Ok(U256::ZERO);
        }
        let kept = self.prefetch.as_deref().and_then(|prefetch| prefetch.slot(&address, slot));
        if let Some(value) = kept.and_then(OnceLock::get) {
            return Ok(*value);
        }
        let read = || self.state.storage_ref(address, slot);
        let value = self.activity.read(self.worker, &mut self.reads, read);
        if let (Some(kept), Ok(value)) = (kept, &value) {
            let _ = kept.set(*value);
        }
        value.or_else(|error| match self.account(address) {
            // The account was created in this block: sequential execution would not have read the
            // slot.
            Ok(None) => Ok(U256::ZERO),
            _ => Err(error),
        })
    }

    pub(super) fn code(&mut self, hash: B256) -> Result<Bytecode, D::Error> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let overlaid = self.overlay.layers.iter().find_map(|layer| layer.contracts.get(&hash));
        let prefetch = self.prefetch.as_deref();
        let kept = || prefetch.and_then(|prefetch| prefetch.code(&hash));
        let code = match overlaid.cloned().or_else(kept) {
            Some(code) => code,
            None => {
                let code = self.state.code_by_hash_ref(hash)?;
                if let Some(prefetch) = prefetch {
                    prefetch.cache_code(hash, &code);
                }
                code
            }
        };
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    pub(super) fn block_hash(&mut self, number: u64) -> Result<B256, D::Error> {
        if let Some(hash) = self.block_hashes.get(&number) {
            return Ok(*hash);
        }
        let hash = self.state.block_hash_ref(number)?;
        if self.block_hashes.len() < MAX_BLOCK_HASHES {
            self.block_hashes.insert(number, hash);
        }
        Ok(hash)
    }
}

impl<D: DatabaseRef> Base<EvmLocation> for BlockBase<D>
where
    D::Error: Debug + Send,
{
    type Error = D::Error;

    fn read(&mut self, location: &EvmLocation) -> Result<EvmValue, D::Error> {
        Ok(match location {
            EvmLocation::Account(address) => {
                EvmValue::Account(self.account(*address)?.as_ref().map(Account::of))
            }
            EvmLocation::Code(address) => {
                EvmValue::Code(self.account(*address)?.as_ref().map(Code::of).unwrap_or_default())
            }
            EvmLocation::Balance(address) => EvmValue::Balance(
                self.account(*address)?.map(|info| info.balance).unwrap_or_default(),
            ),
            EvmLocation::Storage(address, slot) => EvmValue::Slot(self.slot(*address, *slot)?),
            EvmLocation::Lifecycle(_) => EvmValue::Life,
        })
    }
}

// The pre-block calls run over the same layers with revm's own `State`.
impl<D: DatabaseRef> revm::Database for BlockBase<D> {
    type Error = D::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        self.account(address)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, D::Error> {
        self.code(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, D::Error> {
        self.slot(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, D::Error> {
        Self::block_hash(self, number)
    }
}
