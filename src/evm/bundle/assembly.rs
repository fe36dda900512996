//! Puts accounts into a block's bundle: all at its end, or as transactions commit.

use super::block_effects::BlockEffects;
use super::fold::AccountFold;
use super::folded::{AccountReverted, FoldedAccount, new_code};
use super::shares::Folded;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::spread::CELLS;
use crate::evm::exec::tx_output::{Fate, TxOutput};
use crate::evm::fees::aside::Aside;
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_primitives::Address;
use alloy_primitives::map::{AddressMap, B256Map, Entry};
use revm::bytecode::Bytecode;
use revm::database::states::reverts::Reverts;
use revm::database::{BundleAccount, BundleState};
use revm::state::AccountInfo;

/// Room for more accounts than the first bucket suggests: one more for each `MARGIN` of them.
const MARGIN: usize = 8;

/// A bundle that is put together.
pub(in crate::evm) struct Assembly {
    bundle: BundleState,
    /// What is needed to undo the block, if it is wanted.
    reverts: Option<Vec<AccountReverted>>,
    /// Whose slots are undone by what is made somewhere else.
    apart: Vec<Address>,
}

impl Assembly {
    pub(in crate::evm) fn new(reverts: bool) -> Self {
        Self { bundle: BundleState::default(), reverts: reverts.then(Vec::new), apart: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bundle.state.is_empty()
    }

    /// How many accounts there is room for.
    fn room(&self) -> usize {
        let reverts = self.reverts.as_ref().map_or(usize::MAX, Vec::capacity);
        self.bundle.state.capacity().min(reverts)
    }

    /// Makes room for `accounts` more accounts: they are large, and growing would move them.
    pub(super) fn expect(&mut self, accounts: usize) {
        self.bundle.state.reserve(accounts);
        if let Some(reverts) = &mut self.reverts {
            reverts.reserve(accounts);
        }
    }

    /// Adds accounts that are not in it.
    pub(in crate::evm) fn add(&mut self, accounts: impl Iterator<Item = (Address, FoldedAccount)>) {
        let Self { bundle, reverts, apart } = self;
        for (address, FoldedAccount { account, revert, contract, is_undone_apart }) in accounts {
            apart.extend(is_undone_apart.then_some(address));
            bundle.state_size += account.size_hint();
            bundle.state.insert(address, account);
            if let Some((hash, code)) = contract {
                bundle.contracts.insert(hash, code);
            }
            if let Some(reverts) = reverts {
                bundle.reverts_size += revert.size_hint();
                reverts.push((address, revert));
            }
        }
    }

    /// Adds what others have folded; what undoes it is with them.
    pub(in crate::evm) fn add_folded(&mut self, folded: Folded) {
        let Folded { accounts, contracts, state_size, reverts_size, apart, .. } = folded;
        let Self { bundle, .. } = self;
        self.apart.extend(apart);
        bundle.state.extend(accounts);
        bundle.contracts.extend(contracts);
        bundle.state_size += state_size;
        bundle.reverts_size += reverts_size;
    }

    /// What undoes the accounts so far, without the accounts that others have folded. It is not
    /// here any more then.
    pub(in crate::evm) fn take_reverts(&mut self) -> Vec<AccountReverted> {
        self.reverts.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Adds an account that the bundle does not have yet, if its change is of the plainest kind.
    /// Returns whether it was added.
    fn add_plain(&mut self, change: &AccountChange) -> bool {
        let Self { bundle, reverts, .. } = self;
        let Entry::Vacant(place) = bundle.state.entry(change.address) else { return false };
        let Some(FoldedAccount { account, revert, .. }) = FoldedAccount::plain(change) else {
            return false;
        };
        bundle.state_size += account.size_hint();
        place.insert(account);
        if let Some(reverts) = reverts {
            bundle.reverts_size += revert.size_hint();
            reverts.push((change.address, revert));
        }
        true
    }

    /// Whose slots are undone by what is made somewhere else. They are not here any more then.
    pub(in crate::evm) fn take_apart(&mut self) -> Vec<Address> {
        core::mem::take(&mut self.apart)
    }

    /// Takes out an account; its revert stays.
    fn take(&mut self, address: &Address) -> Option<BundleAccount> {
        let account = self.bundle.state.remove(address)?;
        self.bundle.state_size -= account.size_hint();
        Some(account)
    }

    /// Takes out the reverts of accounts that are `gone`.
    fn forget_reverts(&mut self, gone: impl Fn(&Address) -> bool) {
        let Self { bundle, reverts, .. } = self;
        if let Some(reverts) = reverts {
            reverts.retain(|(address, revert)| {
                let stays = !gone(address);
                if !stays {
                    bundle.reverts_size -= revert.size_hint();
                }
                stays
            });
        }
    }

    /// The bundle, with one entry of reverts for the block.
    pub(in crate::evm) fn finish(self) -> BundleState {
        let Self { mut bundle, reverts, .. } = self;
        bundle.reverts = Reverts::new(vec![reverts.unwrap_or_default()]);
        bundle
    }
}

/// Makes room for all accounts when the first bucket is there, `cells` with `accounts` in them.
pub(in crate::evm) fn expect(assembly: &mut Assembly, cells: u64, accounts: usize) {
    if !assembly.is_empty() {
        return;
    }
    let cells = cells.count_ones() as usize;
    if cells as u64 == CELLS {
        return assembly.expect(accounts);
    }
    let all = accounts * CELLS as usize / cells.max(1);
    assembly.expect(all + all / MARGIN);
}

/// Accounts of a block that goes on. An account that has changed once is finished at once, as if
/// nothing else happened to it.
struct Accounts {
    finished: Assembly,
    /// New codes of the finished ones, and how many of them have each: one that is replaced later
    /// does not get into the bundle.
    codes: B256Map<(usize, Bytecode)>,
    /// To which more has happened, or whose part of the bundle does not tell what has.
    open: AddressMap<Box<AccountFold>>,
    mutant: EvmMutant,
}

impl Accounts {
    fn apply(&mut self, change: &AccountChange, progress: (usize, usize)) {
        let address = change.address;
        if let Some(fold) = self.open.get_mut(&address) {
            fold.expect_slots(change.slots.len(), progress);
            fold.apply(change);
        } else if self.finished.add_plain(change) {
            // As most are.
        } else if let Some(mut fold) =
            resume(&mut self.finished, &mut self.codes, &address, self.mutant)
        {
            fold.apply(change);
            self.open.insert(address, Box::new(fold));
        } else {
            match AccountFold::after(change, self.mutant).finish_early() {
                Ok(folded) => self.add(address, folded),
                Err(fold) => {
                    self.open.insert(address, fold);
                }
            }
        }
    }

    fn add(&mut self, address: Address, mut folded: FoldedAccount) {
        if let Some((hash, code)) = folded.contract.take() {
            self.codes.entry(hash).or_insert((0, code)).0 += 1;
        }
        self.finished.add(core::iter::once((address, folded)));
    }

    /// The account, to which something else happens than a change, and which is as in `before` if
    /// that is the first thing.
    fn open(&mut self, address: Address, before: &Option<AccountInfo>) -> &mut AccountFold {
        let Self { finished, codes, open, mutant } = self;
        open.entry(address).or_insert_with(|| {
            let begun = || AccountFold::before(before.clone()).with_mutant(*mutant);
            Box::new(resume(finished, codes, &address, *mutant).unwrap_or_else(begun))
        })
    }

    fn finish(self) -> BundleState {
        let Self { finished: mut assembly, codes, open, mutant } = self;
        let codes = codes.into_iter().filter(|(_, (accounts, _))| *accounts > 0);
        assembly.bundle.contracts.extend(codes.map(|(hash, (_, code))| (hash, code)));
        if !open.is_empty() && !is_evm_mutant!(mutant, RevertTwice) {
            assembly.forget_reverts(|address| open.contains_key(address));
        }
        assembly.expect(open.len());
        let open = open.into_iter();
        assembly.add(open.filter_map(|(address, fold)| Some((address, fold.finish(false)?))));
        assembly.finish()
    }
}

/// Takes back what was finished of an account, if anything was.
fn resume(
    finished: &mut Assembly,
    codes: &mut B256Map<(usize, Bytecode)>,
    address: &Address,
    mutant: EvmMutant,
) -> Option<AccountFold> {
    let account = finished.take(address)?;
    if let Some((hash, _)) = new_code(account.info.as_ref(), account.original_info.as_ref())
        && let Some((accounts, _)) = codes.get_mut(&hash)
    {
        *accounts -= 1;
    }
    Some(AccountFold::resumed(account, mutant))
}

/// A bundle that grows as transactions commit.
pub(in crate::evm) struct GrowingBundle {
    accounts: Accounts,
    /// Who is paid what transactions have set aside, as they are before the block.
    beneficiary: (Address, Option<AccountInfo>),
    surcharged: (Address, Option<AccountInfo>),
    touch_creates: bool,
    /// How many transactions it has in it, of how many.
    progress: (usize, usize),
}

impl GrowingBundle {
    /// Starts from the pre-block changes, with room for `transactions` transactions.
    pub(super) fn new(effects: &BlockEffects, transactions: usize, reverts: bool) -> Self {
        let (finished, open) = (Assembly::new(reverts), AddressMap::default());
        let mut growing = Self {
            accounts: Accounts {
                finished,
                codes: B256Map::default(),
                open,
                mutant: effects.mutant,
            },
            beneficiary: effects.beneficiary.clone(),
            surcharged: effects.surcharged.clone(),
            touch_creates: effects.touch_creates,
            progress: (0, transactions),
        };
        growing.apply(&effects.before);
        growing
    }

    /// Adds what the next transactions have left.
    pub(super) fn extend(&mut self, outcomes: &[Fate]) {
        let first = self.progress.0;
        let left = (first..).zip(outcomes).filter_map(|(place, fate)| match fate {
            Ok(Some(output)) => Some((place, &**output)),
            Ok(None) | Err(_) => None,
        });
        self.extend_up_to(first + outcomes.len(), left);
    }

    /// Adds what the next transactions up to `end` have left; each with its place.
    pub(in crate::evm) fn extend_up_to<'o>(
        &mut self,
        end: usize,
        left: impl Iterator<Item = (usize, &'o TxOutput)>,
    ) {
        for (place, output) in left {
            self.progress.0 = place;
            self.add(output);
        }
        self.progress.0 = end;
    }

    /// How many transactions it has.
    pub(in crate::evm) const fn transactions(&self) -> usize {
        self.progress.0
    }

    fn add(&mut self, output: &TxOutput) {
        let late = is_evm_mutant!(self.accounts.mutant, AsideLate);
        if !late {
            self.pay(&output.aside);
        }
        self.apply(&output.changes);
        if late {
            self.pay(&output.aside);
        }
    }

    /// Adds to the bundle what it does not have of the effects of a whole block.
    pub(in crate::evm) fn complete(&mut self, effects: &BlockEffects) {
        let rest = effects.outcomes.get(self.progress.0..).unwrap_or_default();
        let lost = is_evm_mutant!(effects.mutant, TailLost);
        let rest = if lost { &[] } else { rest };
        rest.iter().flatten().flatten().for_each(|output| self.add(output));
        self.apply(&effects.after);
        for (address, before) in &effects.drained {
            self.accounts.open(*address, before).drain();
        }
        for (address, amount, before) in &effects.increments {
            self.accounts.open(*address, before).increment(*amount);
        }
    }

    /// The bundle of the block.
    pub(in crate::evm) fn finish(self) -> BundleState {
        self.accounts.finish()
    }

    fn apply(&mut self, changes: &[AccountChange]) {
        self.expect(changes.len());
        for change in changes {
            self.accounts.apply(change, self.progress);
        }
    }

    /// Makes room for `more` accounts, and for the accounts to come if the rest of the block is as
    /// what has been seen of it.
    fn expect(&mut self, more: usize) {
        let Self { accounts: Accounts { finished, .. }, progress: (seen, all), .. } = self;
        let accounts = finished.bundle.state.len();
        if accounts + more > finished.room() {
            let expected = accounts.saturating_mul(*all) / (*seen).max(1);
            let left = expected.saturating_sub(accounts);
            finished.expect(left.min(8 * accounts).max(more));
        }
    }

    /// What transactions have set aside.
    fn pay(&mut self, aside: &Aside) {
        let Self { accounts, beneficiary, surcharged, touch_creates, .. } = self;
        let (touch_creates, mutant) = (*touch_creates, accounts.mutant);
        let paid = [(surcharged, &*aside.surcharges), (beneficiary, &aside.rewards)];
        for ((address, before), amounts) in paid.into_iter().filter(|(_, paid)| !paid.is_empty()) {
            let account = accounts.open(*address, before);
            for &amount in amounts {
                account.reward(Reward { amount, touch_creates, mutant });
            }
        }
    }
}
