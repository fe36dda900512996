//! A transaction's view of the state, which serves as revm's database. It records every read,
//! except balances that are loaded into the journal and that no instruction reads (see `balances`).

use super::balances::{Announced, Balances, ChangedBalances};
use super::base::BlockBase;
use super::block_context::BlockContext;
use super::change::AccountChange;
use super::location::{Account, Code, EvmLocation, EvmValue};
use super::payees::Payees;
use super::stopped::ViewStopped;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{AccessLog, Latest, Origin, ReadSet, Store};
use crate::worker::{AnyInterrupt, Stop, View};
use alloy_primitives::{Address, B256, U256, map::AddressSet};
use revm::DatabaseRef;
use smallvec::SmallVec;

mod database;
mod low;
mod payees;

/// Number of jumps between two checks whether a run is still useful: a microsecond or less.
const JUMPS_PER_CHECK: u32 = 32;

/// Whether unwritten slots of an account have their base values.
enum BaseSlots {
    /// The account has a nonce or code before the block.
    Always,
    /// The account has neither, and no lower transaction has touched it.
    SoFar,
    /// The account does not exist, or a lower transaction has touched it.
    Never,
}

/// View of the state below one transaction, for revm.
pub(in crate::evm) struct EvmView<'a, D: DatabaseRef>
where
    BlockBase<D>: crate::worker::Base<EvmLocation, Error = D::Error>,
{
    pub(super) inner: View<'a, EvmLocation, BlockBase<D>, AnyInterrupt<'a>>,
    /// Slots of untouched accounts without nonce and code, with the values that this incarnation
    /// has read: see `base_slot`.
    pinned_slots: Vec<(Address, U256, U256)>,
    /// Accounts with a nonce or code before the block. Most accounts whose slots are read have one.
    with_base_slots: AddressSet,
    /// The last account that `has_base_slots` found in `with_base_slots`; saves the look-up for
    /// consecutive slots.
    last_with_base_slots: Option<Address>,
    balances: Balances,
    changed_balances: &'a ChangedBalances,
    /// Accounts that receive blind credits, which apply when transactions commit.
    credited: SmallVec<[Address; 2]>,
    payees: &'a Payees,
    /// Accounts in the journal that may be precompiles; `None` if accesses are not recorded.
    possible_precompiles: Option<Vec<Address>>,
    /// Whether there are user-defined precompiles, which may have any address.
    has_own_precompiles: bool,
    /// Whether the caller's database caches reads beyond the block.
    caches_outlive_block: bool,
    /// Number of jumps so far with abort checks.
    jumps: u32,
}

impl<'a, D: DatabaseRef> EvmView<'a, D> {
    /// Creates a view over `store` for a block with this `block_context`.
    pub(in crate::evm) fn new(
        block_context: &'a BlockContext,
        store: &'a Store<EvmLocation>,
        base: BlockBase<D>,
        context: AnyInterrupt<'a>,
    ) -> Self {
        Self::over(block_context, View::new(store, base, context))
    }

    /// Assigns the view to `worker`: see [`View::of_worker`].
    pub(in crate::evm) fn of_worker(self, worker: WorkerId) -> Self {
        Self { inner: self.inner.of_worker(worker), ..self }
    }

    /// Creates a view for private batches and sequential runs: see [`View::of_prefix`].
    pub(in crate::evm) fn of_prefix(
        block_context: &'a BlockContext,
        store: &'a Store<EvmLocation>,
        base: BlockBase<D>,
        context: AnyInterrupt<'a>,
    ) -> Self {
        Self::over(block_context, View::of_prefix(store, base, context))
    }

    /// Begins a private batch at `first`, on the committed prefix below `snapshot`.
    pub(in crate::evm) fn begin_batch(
        &mut self,
        first: TxIndex,
        snapshot: TxIndex,
        log: Option<AccessLog<EvmLocation>>,
        is_second: bool,
    ) {
        // The list provides the values that the block has written, so the store is not searched.
        let reads_list = self.inner.base_mut().set_reads_list(true);
        let snapshot = if reads_list { TxIndex(0) } else { snapshot };
        self.inner.begin_batch(first, snapshot, log, is_second);
    }

    /// Begins a sequential run on `latest`, over the entries of the store below `first`.
    pub(in crate::evm) fn begin_sequential(&mut self, latest: Latest<EvmLocation>, first: TxIndex) {
        self.inner.base_mut().set_reads_list(false);
        self.inner.begin_sequential(latest, first);
    }

    /// Access log of the current private batch.
    pub(in crate::evm) fn log_mut(&mut self) -> Option<&mut AccessLog<EvmLocation>> {
        self.inner.log_mut()
    }

    /// Ends the private batch and returns its access log.
    pub(in crate::evm) fn end_batch(&mut self) -> Option<AccessLog<EvmLocation>> {
        self.inner.end_batch()
    }

    fn over(
        block_context: &'a BlockContext,
        inner: View<'a, EvmLocation, BlockBase<D>, AnyInterrupt<'a>>,
    ) -> Self {
        Self {
            inner,
            pinned_slots: Vec::new(),
            with_base_slots: AddressSet::default(),
            last_with_base_slots: None,
            balances: Balances::default(),
            changed_balances: &block_context.changed_balances,
            credited: block_context.receivers().collect(),
            payees: &block_context.payees,
            possible_precompiles: block_context.records_accesses().then(Vec::new),
            has_own_precompiles: !block_context.extensions.precompiles.is_empty(),
            caches_outlive_block: block_context.extensions.caches_outlive_block(),
            jumps: 0,
        }
    }

    /// Sets the accounts whose balance reads the instructions announce.
    pub(super) const fn with_announced_balances(mut self, announced: Announced) -> Self {
        self.balances.set_announced(announced);
        self
    }

    /// Resets the records at the end of the journal that was filled from this view.
    pub(super) fn end_journal(&mut self) {
        self.balances.clear();
        if let Some(possible_precompiles) = &mut self.possible_precompiles {
            possible_precompiles.clear();
        }
    }

    /// Marks the balance of `address` as read; called before the transaction reads or changes it.
    pub(super) fn mark_balance_read(&mut self, address: Address) {
        // In a sequential segment every balance is read when it is loaded.
        if self.inner.is_sequential() || mutant!(BalanceUncounted) {
            return;
        }
        if self.payees.contains(address) {
            return self.mark_payee_read(address);
        }
        if !self.balances.announces_all() {
            return;
        }
        let Some(unread) = self.balances.mark_read(address) else { return };
        let location = EvmLocation::Balance(address);
        self.inner.store_base(&location, EvmValue::Balance(unread.base));
        // The journal's value was loaded without a recorded read.
        if let Ok((balance, from)) = self.inner.read_from(&location)
            && balance != EvmValue::Balance(unread.loaded)
        {
            self.inner.stop_on_mismatch(from);
        }
    }

    /// Whether the account is in the journal and no instruction has read its balance.
    pub(super) fn is_balance_unread(&self, address: Address) -> bool {
        self.balances.unread(address).is_some()
    }

    /// Replaces an unread balance in `change` by the one before the block. The ledger fills in the
    /// actual balance when the transaction commits.
    pub(super) fn settle_balance(&mut self, change: &mut AccountChange) {
        let Some(unread) = self.balances.unread(change.address) else { return };
        match (&mut change.before, &mut change.after) {
            (Some(before), Some(after)) if before.code_hash == after.code_hash => {
                before.balance = unread.base;
                after.balance = unread.base;
                change.knows_balance = false;
            }
            // Without code the balance is part of the account.
            _ => self.mark_balance_read(change.address),
        }
    }

    /// Sets whether the view contains everything that the block has written.
    pub(in crate::evm) fn set_complete(&mut self, complete: bool) {
        self.inner.set_complete(complete);
    }

    /// Fails unless the view contains everything that the block has written. For reads that bypass
    /// the view.
    pub(in crate::evm) fn require_complete(&mut self) -> Result<(), ViewStopped> {
        Ok(self.inner.wait_until_final()?)
    }

    /// The latest values of the block if all of them are final, or of the private batch.
    pub(in crate::evm) fn latest_mut(&mut self) -> Option<&mut Latest<EvmLocation>> {
        self.inner.latest_mut()
    }

    pub(in crate::evm) fn begin(&mut self, reader: TxIndex) {
        self.inner.begin(reader);
        self.inner.base_mut().set_reader(reader);
        self.pinned_slots.clear();
    }

    /// Whether the run has become useless. If so, it stops.
    pub(super) fn is_useless(&mut self) -> bool {
        self.inner.is_overtaken() || self.reads_mismatched_list()
    }

    /// Like [`is_useless`](Self::is_useless), but checks only one call in [`JUMPS_PER_CHECK`],
    /// which ends a loop soon enough.
    pub(super) fn is_useless_at_jump(&mut self) -> bool {
        self.jumps = self.jumps.wrapping_add(1);
        self.jumps.is_multiple_of(JUMPS_PER_CHECK) && self.is_useless()
    }

    /// Whether the run reads from an access list that is known to be wrong. If so, it stops.
    fn reads_mismatched_list(&mut self) -> bool {
        self.inner.base_mut().is_above_mismatch() && self.inner.wait_until_final().is_err()
    }

    /// Begins a helper's run of the frontier, at the same time as another worker's run.
    pub(super) fn begin_second(&mut self, reader: TxIndex) {
        self.inner.begin_second(reader);
        self.pinned_slots.clear();
    }

    /// Slots that later transactions must see with the same values: see `base_slot`.
    pub(in crate::evm) fn pinned_slots(&self) -> &[(Address, U256, U256)] {
        &self.pinned_slots
    }

    pub(in crate::evm) fn end(&mut self) -> (ReadSet<EvmLocation>, Option<Stop<D::Error>>) {
        self.inner.end()
    }

    fn account_from(&mut self, address: Address) -> Result<(Option<Account>, Origin), ViewStopped> {
        let is_credited = self.credited.contains(&address);
        if is_credited && mutant!(BeneficiaryUnrecorded) {
            return Ok((self.base_account(address)?, Origin::Base));
        }
        if is_credited && !mutant!(CreditReadEarly) {
            self.inner.wait_for_credits()?;
        }
        let (EvmValue::Account(account), from) =
            self.inner.read_from(&EvmLocation::Account(address))?
        else {
            return Err(ViewStopped);
        };
        // A transaction that touches an existing empty account deletes it. Lists do not contain the
        // deletion, which affects the refund of a delegation, so the account is read once
        // everything below is final.
        let may_be_gone = from == Origin::Base && account.is_some_and(Account::is_empty);
        if may_be_gone && self.inner.base_mut().reads_list() && !mutant!(EmptyTold) {
            self.inner.wait_until_final()?;
        }
        Ok((account, from))
    }

    fn code(&mut self, address: Address) -> Result<Code, ViewStopped> {
        match self.inner.read(&EvmLocation::Code(address))? {
            EvmValue::Code(code) => Ok(code),
            _ => Err(ViewStopped),
        }
    }

    /// Reads the balance of an account with code.
    fn balance(&mut self, address: Address) -> Result<U256, ViewStopped> {
        match self.inner.read(&EvmLocation::Balance(address))? {
            EvmValue::Balance(balance) => Ok(balance),
            _ => Err(ViewStopped),
        }
    }

    /// Reads the balance of an account with code for the journal, where it may stay unread.
    /// `account` was read `from` this origin.
    ///
    /// A transaction with an unread balance may commit even if the account no longer comes from the
    /// base state, provided that it is equal: the ledger then fills in the balance.
    fn loaded_balance(
        &mut self,
        address: Address,
        account: Account,
        from: Origin,
        code_hash: B256,
    ) -> Result<U256, ViewStopped> {
        if self.credited.contains(&address) {
            return Ok(account.balance);
        }
        let base = account.balance;
        let may_have_changed = self.changed_balances.may_have(address);
        let is_base = from == Origin::Base;
        if is_base && !may_have_changed && self.inner.is_over_final() {
            return Ok(base);
        }
        // revm treats a code hash of zero as no code and therefore reads the balance.
        let may_stay_unread = self.balances.announces_all()
            && !code_hash.is_zero()
            && self.balances.may_stay_unread(address);
        if !is_base || self.inner.is_over_final() || !may_stay_unread {
            if is_base {
                self.inner.store_base(&EvmLocation::Balance(address), EvmValue::Balance(base));
            }
            return self.balance(address);
        }
        let present = may_have_changed.then(|| self.inner.peek(&EvmLocation::Balance(address)));
        let loaded = match present.flatten() {
            Some(EvmValue::Balance(balance)) => balance,
            _ => base,
        };
        self.balances.insert_unread(address, loaded, base);
        Ok(loaded)
    }

    /// Value of a slot that nothing in this block has written. `value`: its base value, which is
    /// not zero.
    ///
    /// If an account had neither nonce nor code before the block, revm's `State` reads all of its
    /// storage as zero once the account has been touched, except for slots that it has cached by
    /// then. On a real chain the storage of every such account is zero anyway; test suites have
    /// artificial accounts, and results must be equal for them too.
    ///
    /// So the value depends on what lower transactions touched, not only on what they wrote.
    /// Validation by value cannot detect that, so such a slot is read once everything below is
    /// final.
    fn base_slot(
        &mut self,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<U256, ViewStopped> {
        match self.has_base_slots(address)? {
            BaseSlots::Always => Ok(value),
            BaseSlots::SoFar => {
                self.pinned_slots.push((address, slot, value));
                Ok(value)
            }
            BaseSlots::Never => Ok(U256::ZERO),
        }
    }

    /// Whether unwritten slots of the account have their base values. If the answer may still
    /// change, the transaction waits until all of the state below is final.
    fn has_base_slots(&mut self, address: Address) -> Result<BaseSlots, ViewStopped> {
        if self.last_with_base_slots == Some(address) {
            return Ok(BaseSlots::Always);
        }
        if self.with_base_slots.contains(&address) {
            self.last_with_base_slots = Some(address);
            return Ok(BaseSlots::Always);
        }
        let location = EvmLocation::Account(address);
        let before = match self.inner.known_base(&location) {
            Some(EvmValue::Account(before)) => before,
            _ => self.base_account(address)?,
        };
        if before.is_some_and(|before| !before.is_blank()) {
            self.with_base_slots.insert(address);
            self.last_with_base_slots = Some(address);
            return Ok(BaseSlots::Always);
        }
        let (account, from) = self.account_from(address)?;
        // A transaction that only touches the account writes a marker at the balance.
        let balance = before.map_or(U256::ZERO, |before| before.balance);
        self.inner.store_base(&EvmLocation::Balance(address), EvmValue::Balance(balance));
        let (_, touched) = self.inner.read_from(&EvmLocation::Balance(address))?;
        let is_base = from == Origin::Base && touched == Origin::Base;
        if is_base && account.is_none() {
            // The account does not exist, whatever storage the database has for it.
            return Ok(BaseSlots::Never);
        }
        self.inner.wait_until_final()?;
        Ok(if is_base { BaseSlots::SoFar } else { BaseSlots::Never })
    }

    /// Handles a database error at a slot that nothing in this block has written: sequential
    /// execution reads the slot only if the account has base slots.
    fn failed_slot(&mut self, address: Address, error: D::Error) -> Result<U256, ViewStopped> {
        match self.has_base_slots(address)? {
            BaseSlots::Always | BaseSlots::SoFar => Err(self.inner.fail(error).into()),
            BaseSlots::Never => Ok(U256::ZERO),
        }
    }

    fn base_account(&mut self, address: Address) -> Result<Option<Account>, ViewStopped> {
        match self.inner.base_mut().account_before(address) {
            Ok(before) => Ok(before.as_ref().map(Account::of)),
            Err(error) => Err(self.inner.fail(error).into()),
        }
    }
}
