//! revm's database: what one transaction sees. All that it can have seen is recorded; a balance
//! that lies in the journal and that no instruction looks at is not (see `balances`).

use super::balances::{Announced, Balances, Moved};
use super::base::BlockBase;
use super::block_context::BlockContext;
use super::change::AccountChange;
use super::location::{Account, Code, EvmLocation, EvmValue};
use super::payees::Payees;
use super::stopped::ViewStopped;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{AccessLog, Latest, Origin, ReadSet, Store};
use crate::worker::{AnyInterrupt, Stop, View};
use alloy_primitives::{Address, B256, U256, map::AddressSet};
use revm::DatabaseRef;
use smallvec::SmallVec;

mod database;
mod low;
mod payees;

/// Jumps between two looks at whether a run is still of use: a microsecond or less.
const JUMPS_PER_LOOK: u32 = 32;

/// Whether unwritten slots of an account hold what the database has there.
enum BaseSlots {
    /// It has nonce or code before the block.
    Always,
    /// It has neither, and no transaction below has touched it.
    SoFar,
    /// There is no such account, or a transaction below has touched it.
    Never,
}

/// The state below one transaction, as revm asks for it.
pub(in crate::evm) struct EvmView<'a, D: DatabaseRef>
where
    BlockBase<D>: crate::worker::Base<EvmLocation, Error = D::Error>,
{
    pub(super) inner: View<'a, EvmLocation, BlockBase<D>, AnyInterrupt<'a>>,
    /// Slots of untouched accounts without nonce and code, as this incarnation has seen them.
    remembered: Vec<(Address, U256, U256)>,
    /// Accounts that have a nonce or code before the block, as most have whose slots are read.
    solid: AddressSet,
    /// Account that `has_base_slots` found in `solid` last: saves the look-up for consecutive slots.
    last_solid: Option<Address>,
    balances: Balances,
    moved: &'a Moved,
    /// Who is credited as transactions commit.
    credited: SmallVec<[Address; 2]>,
    payees: &'a Payees,
    /// Accounts in the journal that may be precompiles, if it is recorded what transactions access.
    low: Option<Vec<Address>>,
    /// Whether precompiles may live anywhere.
    has_own_precompiles: bool,
    /// Whether what is read stays in the caller's database.
    reads_stay: bool,
    /// Jumps so far of runs that can be abandoned.
    jumps: u32,
    mutant: EvmMutant,
}

impl<'a, D: DatabaseRef> EvmView<'a, D> {
    /// A view over `store` in a block by `block_context`.
    pub(in crate::evm) fn new(
        block_context: &'a BlockContext,
        store: &'a Store<EvmLocation>,
        base: BlockBase<D>,
        context: AnyInterrupt<'a>,
    ) -> Self {
        Self::over(block_context, View::new(store, base, context))
    }

    /// The same view, of `worker`: see [`View::of_worker`].
    pub(in crate::evm) fn of_worker(self, worker: WorkerId) -> Self {
        Self { inner: self.inner.of_worker(worker), ..self }
    }

    /// A view for private batches, over snapshots of `store`.
    pub(in crate::evm) fn of_batches(
        block_context: &'a BlockContext,
        store: &'a Store<EvmLocation>,
        base: BlockBase<D>,
        context: AnyInterrupt<'a>,
    ) -> Self {
        Self::over(block_context, View::of_batches(store, base, context))
    }

    /// A private batch begins at `first`, on the committed prefix below `snapshot`.
    pub(in crate::evm) fn begin_batch(
        &mut self,
        (first, snapshot, is_second): (TxIndex, TxIndex, bool),
        log: Option<AccessLog<EvmLocation>>,
    ) {
        // What the block has written the list tells: it is not looked for in the store.
        let is_told = self.inner.base_mut().set_telling(true);
        let snapshot = if is_told { TxIndex(0) } else { snapshot };
        self.inner.begin_batch(first, snapshot, log, is_second);
    }

    /// A stretch in order begins, on `latest`, and that on what lies in the store below `first`.
    pub(in crate::evm) fn begin_in_order(
        &mut self,
        latest: Latest<EvmLocation>,
        first: TxIndex,
        log: Option<AccessLog<EvmLocation>>,
    ) {
        self.inner.base_mut().set_telling(false);
        self.inner.begin_in_order(latest, first, log);
    }

    /// What the private batch has accessed so far.
    pub(in crate::evm) fn log_mut(&mut self) -> Option<&mut AccessLog<EvmLocation>> {
        self.inner.log_mut()
    }

    /// What the private batch has accessed, which is over.
    pub(in crate::evm) fn end_batch(&mut self) -> Option<AccessLog<EvmLocation>> {
        self.inner.end_batch()
    }

    fn over(
        block_context: &'a BlockContext,
        inner: View<'a, EvmLocation, BlockBase<D>, AnyInterrupt<'a>>,
    ) -> Self {
        Self {
            inner,
            remembered: Vec::new(),
            solid: AddressSet::default(),
            last_solid: None,
            balances: Balances::default(),
            moved: &block_context.moved,
            credited: block_context.receivers().collect(),
            payees: &block_context.payees,
            low: block_context.records_accesses().then(Vec::new),
            has_own_precompiles: !block_context.extensions.precompiles.is_empty(),
            reads_stay: block_context.extensions.reads_stay(),
            jumps: 0,
            mutant: block_context.mutant,
        }
    }

    /// The same, where each instruction that looks at one of these balances says so first.
    pub(super) const fn with_announced_balances(mut self, announced: Announced) -> Self {
        self.balances.set_announced(announced);
        self
    }

    /// The journal that was filled from here is at an end.
    pub(super) fn end_journal(&mut self) {
        self.balances.clear();
        if let Some(low) = &mut self.low {
            low.clear();
        }
    }

    /// The transaction is about to look at the balance of `address`, or to change it.
    pub(super) fn count_balance(&mut self, address: Address) {
        // In a sequential stretch every balance is read when it is loaded.
        if self.inner.is_in_order() || is_evm_mutant!(self.mutant, BalanceUncounted) {
            return;
        }
        if self.payees.contains(address) {
            return self.count_payee(address);
        }
        if !self.balances.are_all_announced() {
            return;
        }
        let Some(unseen) = self.balances.count(address) else { return };
        let location = EvmLocation::Balance(address);
        self.inner.know_base(&location, EvmValue::Balance(unseen.base));
        // What the journal holds is not recorded.
        if let Ok((balance, from)) = self.inner.read_from(&location)
            && balance != EvmValue::Balance(unseen.loaded)
        {
            self.inner.give_up(from);
        }
    }

    /// Whether the journal has the account, and no instruction has looked at its balance.
    pub(super) fn is_unseen(&self, address: Address) -> bool {
        self.balances.unseen(address).is_some()
    }

    /// A balance that the transaction has not looked at is the one before the block: what it is by
    /// then is known when the transaction commits.
    pub(super) fn settle_balance(&mut self, change: &mut AccountChange) {
        let Some(unseen) = self.balances.unseen(change.address) else { return };
        match (&mut change.before, &mut change.after) {
            (Some(before), Some(after)) if before.code_hash == after.code_hash => {
                (before.balance, after.balance) = (unseen.base, unseen.base);
                change.knows_balance = false;
            }
            // Without code the balance lies with the account.
            _ => self.count_balance(change.address),
        }
    }

    /// Whether all that the block has written is in what the view is over.
    pub(in crate::evm) fn set_complete(&mut self, complete: bool) {
        self.inner.set_complete(complete);
    }

    /// Refuses an answer unless the view is over all of it: for reads beside the view.
    pub(in crate::evm) fn require_complete(&mut self) -> Result<(), ViewStopped> {
        Ok(self.inner.wait_until_final()?)
    }

    /// What the block has written, if all of it is final, or what its batch has.
    pub(in crate::evm) fn latest_mut(&mut self) -> Option<&mut Latest<EvmLocation>> {
        self.inner.latest_mut()
    }

    pub(in crate::evm) fn begin(&mut self, reader: TxIndex) {
        self.inner.begin(reader);
        self.inner.base_mut().tell_below(reader);
        self.remembered.clear();
    }

    /// Whether the run is of no use any more. It stops then.
    pub(super) fn is_of_no_use(&mut self) -> bool {
        self.inner.is_overtaken() || self.reads_wrong_list()
    }

    /// The same, asked at each jump. It looks at one in `JUMPS_PER_LOOK`: a loop ends soon enough.
    pub(super) fn is_of_no_use_at_jump(&mut self) -> bool {
        self.jumps = self.jumps.wrapping_add(1);
        self.jumps.is_multiple_of(JUMPS_PER_LOOK) && self.is_of_no_use()
    }

    /// Whether the run reads values of an access list that turned out to be wrong. It stops then.
    fn reads_wrong_list(&mut self) -> bool {
        self.inner.base_mut().is_beyond_wrong() && self.inner.wait_until_final().is_err()
    }

    /// The same beside another run of the frontier.
    pub(super) fn begin_second(&mut self, reader: TxIndex) {
        self.inner.begin_second(reader);
        self.remembered.clear();
    }

    /// Slots that later transactions must find as this one has seen them: see `base_slot`.
    pub(in crate::evm) fn remembered(&self) -> &[(Address, U256, U256)] {
        &self.remembered
    }

    pub(in crate::evm) fn end(&mut self) -> (ReadSet<EvmLocation>, Option<Stop<D::Error>>) {
        self.inner.end()
    }

    fn account_from(&mut self, address: Address) -> Result<(Option<Account>, Origin), ViewStopped> {
        let is_credited = self.credited.contains(&address);
        if is_credited && is_evm_mutant!(self.mutant, BeneficiaryUnrecorded) {
            return Ok((self.base_account(address)?, Origin::Base));
        }
        if is_credited && !is_evm_mutant!(self.mutant, CreditReadEarly) {
            self.inner.wait_for_credits()?;
        }
        let (EvmValue::Account(account), from) =
            self.inner.read_from(&EvmLocation::Account(address))?
        else {
            return Err(ViewStopped);
        };
        // An account that is there and empty is gone once a transaction has touched it. No list
        // says that, and a delegation is refunded by it: it is read where what is below is final.
        let may_be_gone = from == Origin::Base && account.is_some_and(Account::is_empty);
        if may_be_gone && self.inner.base_mut().tells() && !is_evm_mutant!(self.mutant, EmptyTold) {
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

    /// The balance of an account with code.
    fn balance(&mut self, address: Address) -> Result<U256, ViewStopped> {
        match self.inner.read(&EvmLocation::Balance(address))? {
            EvmValue::Balance(balance) => Ok(balance),
            _ => Err(ViewStopped),
        }
    }

    /// The same, to be put into a journal, where it may stay unread. `account` comes `from` there.
    ///
    /// A transaction may commit with a balance unseen although the account is not that of the base
    /// state any more, if it equals that: the ledger knows the balance then.
    fn loaded_balance(
        &mut self,
        address: Address,
        (account, from): (Account, Origin),
        code_hash: B256,
    ) -> Result<U256, ViewStopped> {
        if self.credited.contains(&address) {
            return Ok(account.balance);
        }
        let base = account.balance;
        let has_moved = self.moved.may_have(address);
        let is_base = from == Origin::Base;
        if is_base && !has_moved && self.inner.is_over_final() {
            return Ok(base);
        }
        // revm takes an account with a hash of zero for one without code, and so looks at its
        // balance.
        let may_go_unseen = self.balances.are_all_announced()
            && !code_hash.is_zero()
            && self.balances.may_go_unseen(address);
        if !is_base || self.inner.is_over_final() || !may_go_unseen {
            if is_base {
                self.inner.know_base(&EvmLocation::Balance(address), EvmValue::Balance(base));
            }
            return self.balance(address);
        }
        let present = has_moved.then(|| self.inner.peek(&EvmLocation::Balance(address)));
        let loaded = match present.flatten() {
            Some(EvmValue::Balance(balance)) => balance,
            _ => base,
        };
        self.balances.leave_unseen(address, loaded, base);
        Ok(loaded)
    }

    /// A slot that nothing in this block has written, with this base value, which is not zero.
    ///
    /// revm's `State` takes what it has not read of an account's storage for zero once the account
    /// was touched, if it had neither nonce nor code before the block; what it has read by then, it
    /// remembers. For every account that came about on a chain the storage is zero anyway; test
    /// suites have made-up accounts, and equality has no exceptions.
    ///
    /// So the answer depends on what lower transactions did, not only on what they left, and no
    /// comparison of values can confirm it: such a slot is read where all of that is final.
    fn base_slot(
        &mut self,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<U256, ViewStopped> {
        match self.has_base_slots(address)? {
            BaseSlots::Always => Ok(value),
            BaseSlots::SoFar => {
                self.remembered.push((address, slot, value));
                Ok(value)
            }
            BaseSlots::Never => Ok(U256::ZERO),
        }
    }

    /// Whether slots of the account that nothing in this block has written hold what the database
    /// has there. If the answer may change, it is given where all of the state below is final.
    fn has_base_slots(&mut self, address: Address) -> Result<BaseSlots, ViewStopped> {
        if self.last_solid == Some(address) {
            return Ok(BaseSlots::Always);
        }
        if self.solid.contains(&address) {
            self.last_solid = Some(address);
            return Ok(BaseSlots::Always);
        }
        let location = EvmLocation::Account(address);
        let before = match self.inner.known_base(&location) {
            Some(EvmValue::Account(before)) => before,
            _ => self.base_account(address)?,
        };
        if before.is_some_and(|before| !before.is_blank()) {
            self.solid.insert(address);
            self.last_solid = Some(address);
            return Ok(BaseSlots::Always);
        }
        let (account, from) = self.account_from(address)?;
        // Who only touches it leaves that beside it.
        let balance = before.map_or(U256::ZERO, |before| before.balance);
        self.inner.know_base(&EvmLocation::Balance(address), EvmValue::Balance(balance));
        let (_, touched) = self.inner.read_from(&EvmLocation::Balance(address))?;
        let is_base = from == Origin::Base && touched == Origin::Base;
        if is_base && account.is_none() {
            // There is no account, whatever the database holds for its storage.
            return Ok(BaseSlots::Never);
        }
        self.inner.wait_until_final()?;
        Ok(if is_base { BaseSlots::SoFar } else { BaseSlots::Never })
    }

    /// The database has failed at a slot that nothing in this block has written: sequential
    /// execution asks only if the account has base slots.
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
