//! Incremental bundle: built while the block's transactions commit.

use super::assembly::BundleAssembly;
use super::block_effects::BlockEffects;
use super::fold::{AccountFold, BundleProgress};
use super::folded::{FoldedAccount, new_code};
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::tx_output::{TxOutcome, TxOutput};
use crate::evm::fees::blind_credits::BlindCredits;
use crate::evm::fees::receivers::Receivers;
use alloy_primitives::Address;
use alloy_primitives::map::{AddressMap, B256Map};
use revm::bytecode::Bytecode;
use revm::database::BundleState;
use revm::state::AccountInfo;
use std::sync::Arc;

/// Accounts of a running block. An account is finished after its first change, and reopened if it
/// changes again.
struct Accounts {
    finished: BundleAssembly,
    /// New codes of finished accounts, with the number of accounts that have each. A code that is
    /// replaced later must not enter the bundle.
    codes: B256Map<(usize, Bytecode)>,
    /// Accounts that changed more than once, or whose finished entry would not show all changes so
    /// far.
    open: AddressMap<Box<AccountFold>>,
    /// The bundle to continue; accounts in it stay `open`.
    parent: Option<Arc<BundleState>>,
}

impl Accounts {
    fn apply(&mut self, change: &AccountChange, progress: BundleProgress) {
        let address = change.address;
        if let Some(fold) = self.open.get_mut(&address) {
            fold.expect_slots(change.slots.len(), progress);
            fold.apply(change);
        } else if let Some(mut fold) = self.continued(&address) {
            fold.apply(change);
            self.open.insert(address, fold);
        } else if self.finished.add_plain(change) {
            // The most common case.
        } else if let Some(mut fold) = reopen(&mut self.finished, &mut self.codes, &address) {
            fold.apply(change);
            self.open.insert(address, Box::new(fold));
        } else {
            match AccountFold::after(change).finish_early() {
                Ok(folded) => self.add(address, folded),
                Err(fold) => {
                    self.open.insert(address, fold);
                }
            }
        }
    }

    /// Returns a fold that continues the account in the parent's bundle, if it has the account.
    fn continued(&self, address: &Address) -> Option<Box<AccountFold>> {
        let parent = self.parent.as_ref()?.account(address)?;
        Some(Box::new(AccountFold::after_parent(parent)))
    }

    fn add(&mut self, address: Address, mut folded: FoldedAccount) {
        if let Some((hash, code)) = folded.contract.take() {
            self.codes.entry(hash).or_insert((0, code)).0 += 1;
        }
        self.finished.add(address, folded);
    }

    /// Returns the fold of an account for an effect other than a change. `before` is the account
    /// before the block, used if this is its first effect.
    fn open(&mut self, address: Address, before: &Option<AccountInfo>) -> &mut AccountFold {
        let continued =
            if self.open.contains_key(&address) { None } else { self.continued(&address) };
        let Self { finished, codes, open, .. } = self;
        open.entry(address).or_insert_with(|| {
            if let Some(continued) = continued {
                return continued;
            }
            let new_fold = || AccountFold::before(before.clone());
            Box::new(reopen(finished, codes, &address).unwrap_or_else(new_fold))
        })
    }

    fn finish(self) -> BundleState {
        let Self { finished: mut assembly, codes, open, parent } = self;
        let codes = codes.into_iter().filter(|(_, (accounts, _))| *accounts > 0);
        assembly.add_codes(codes.map(|(hash, (_, code))| (hash, code)));
        if !open.is_empty() && !mutant!(RevertTwice) {
            assembly.remove_reverts(|address| open.contains_key(address));
        }
        assembly.expect(open.len());
        for (address, fold) in open {
            let folded = match parent.as_ref().and_then(|parent| parent.account(&address)) {
                Some(parent) => fold.finish_after(parent),
                None => fold.finish(false),
            };
            if let Some(folded) = folded {
                assembly.add(address, folded);
            }
        }
        match parent {
            Some(parent) => assembly.onto(Arc::unwrap_or_clone(parent)).finish(),
            None => assembly.finish(),
        }
    }
}

/// Reopens a finished account, if there is one.
fn reopen(
    finished: &mut BundleAssembly,
    codes: &mut B256Map<(usize, Bytecode)>,
    address: &Address,
) -> Option<AccountFold> {
    let account = finished.take(address)?;
    if let Some((hash, _)) = new_code(account.info.as_ref(), account.original_info.as_ref())
        && let Some((accounts, _)) = codes.get_mut(&hash)
    {
        *accounts -= 1;
    }
    Some(AccountFold::reopened(account))
}

/// A bundle that grows as transactions commit.
pub(in crate::evm) struct BundleBuilder {
    accounts: Accounts,
    receivers: Receivers,
    progress: BundleProgress,
}

impl BundleBuilder {
    /// Creates a bundle with the pre-block changes and room for `transactions` transactions.
    pub(super) fn new(effects: &BlockEffects, transactions: usize, reverts: bool) -> Self {
        let mut builder = Self {
            accounts: Accounts {
                finished: BundleAssembly::new(reverts),
                codes: B256Map::default(),
                open: AddressMap::default(),
                parent: effects.parent.clone(),
            },
            receivers: effects.receivers.clone(),
            progress: BundleProgress { seen: 0, all: transactions },
        };
        builder.apply(&effects.before);
        builder
    }

    /// Adds the changes of the next transactions.
    pub(super) fn extend(&mut self, outcomes: &[TxOutcome]) {
        let first = self.progress.seen;
        let outputs = (first..).zip(outcomes).filter_map(|(index, outcome)| match outcome {
            Ok(Some(output)) => Some((index, &**output)),
            Ok(None) | Err(_) => None,
        });
        self.extend_up_to(first + outcomes.len(), outputs);
    }

    /// Adds the changes of the next transactions, below `end`: outputs with their indices.
    pub(in crate::evm) fn extend_up_to<'o>(
        &mut self,
        end: usize,
        outputs: impl Iterator<Item = (usize, &'o TxOutput)>,
    ) {
        for (index, output) in outputs {
            self.progress.seen = index;
            self.add(output);
        }
        self.progress.seen = end;
    }

    /// Number of transactions in the bundle.
    pub(in crate::evm) const fn transactions(&self) -> usize {
        self.progress.seen
    }

    fn add(&mut self, output: &TxOutput) {
        let late = mutant!(DeferredLate);
        if !late {
            self.pay(&output.credits);
        }
        self.apply(&output.changes);
        if late {
            self.pay(&output.credits);
        }
    }

    /// Adds the effects of the block that the bundle does not contain yet.
    pub(in crate::evm) fn complete(&mut self, effects: &BlockEffects) {
        let tail = effects.outcomes.get(self.progress.seen..).unwrap_or_default();
        let lost = mutant!(TailLost);
        let tail = if lost { &[] } else { tail };
        tail.iter().flatten().flatten().for_each(|output| self.add(output));
        self.apply(&effects.after);
        for (address, before) in &effects.drained {
            self.accounts.open(*address, before).drain();
        }
        for (address, amount, before) in &effects.increments {
            self.accounts.open(*address, before).increment(*amount);
        }
    }

    /// Finishes the bundle of the block.
    pub(in crate::evm) fn finish(self) -> BundleState {
        self.accounts.finish()
    }

    fn apply(&mut self, changes: &[AccountChange]) {
        self.expect(changes.len());
        for change in changes {
            self.accounts.apply(change, self.progress);
        }
    }

    /// Reserves room for `more` accounts and for later ones.
    fn expect(&mut self, more: usize) {
        let finished = &mut self.accounts.finished;
        let accounts = finished.len();
        if accounts + more > finished.room() {
            finished.expect(self.progress.room(accounts, more));
        }
    }

    /// Adds blind credits of transactions.
    fn pay(&mut self, credits: &BlindCredits) {
        let Self { accounts, receivers, .. } = self;
        receivers.credit(credits, |(address, before), amounts| {
            let account = accounts.open(*address, before);
            amounts.iter().for_each(|amount| account.reward(receivers.reward(*amount)));
        });
    }
}
