//! How the accounts of a block are shared out among those who fold them, and what comes back.

use super::assembly::Assembly;
use super::bundle::{BlockEffects, CELLS, Folds, Spread};
use super::folded::FoldedAccount;
use alloy_primitives::{Address, B256};
use core::cmp::Reverse;
use revm::bytecode::Bytecode;
use revm::database::{AccountRevert, BundleAccount};

/// By how much of what the first bucket suggests there may be more accounts: one in so many.
const MARGIN: usize = 8;

/// What undoes the block's changes to an account.
pub(super) type AccountReverted = (Address, AccountRevert);

/// One bucket's part of the bundle, but for what undoes it.
pub(super) struct Folded {
    pub(super) cells: u64,
    pub(super) accounts: Vec<(Address, BundleAccount)>,
    /// New codes.
    pub(super) contracts: Vec<(B256, Bytecode)>,
    /// What the bundle counts them as.
    pub(super) state_size: usize,
    pub(super) reverts_size: usize,
}

impl Folded {
    /// What `folds` come to, and what undoes that, if it is `wanted`.
    pub(super) fn new(cells: u64, folds: Folds<'_>, wanted: bool) -> (Self, Vec<AccountReverted>) {
        // Nearly all come to something; they are large, and growing would move them.
        let accounts = Vec::with_capacity(folds.len());
        let mut reverts = Vec::with_capacity(if wanted { folds.len() } else { 0 });
        let contracts = Vec::new();
        let mut this = Self { cells, accounts, contracts, state_size: 0, reverts_size: 0 };
        for (address, FoldedAccount { account, revert, contract }) in folds.finish() {
            this.state_size += account.size_hint();
            this.accounts.push((address, account));
            this.contracts.extend(contract);
            if wanted {
                this.reverts_size += revert.size_hint();
                reverts.push((address, revert));
            }
        }
        (this, reverts)
    }
}

/// All of `parts` one after the other.
pub(super) fn join(parts: Vec<Vec<AccountReverted>>) -> Vec<AccountReverted> {
    let all = parts.iter().map(Vec::len).sum::<usize>();
    let mut parts = parts.into_iter();
    let mut joined = parts.next().unwrap_or_default();
    joined.reserve_exact(all - joined.len());
    parts.for_each(|mut part| joined.append(&mut part));
    joined
}

/// What has become of the buckets, as far as the caller knows.
#[derive(Default)]
pub(super) struct Buckets {
    pub(super) unfolded: usize,
    /// By others, and not in the bundle yet.
    pub(super) folded: Vec<Folded>,
    /// Others could not fold them.
    pub(super) given_back: Vec<u64>,
}

impl Buckets {
    pub(super) fn take(&mut self, theirs: Result<Folded, u64>) {
        match theirs {
            Ok(folded) => {
                self.folded.push(folded);
                self.unfolded -= 1;
            }
            Err(cells) => self.given_back.push(cells),
        }
    }
}

/// Makes room for all accounts when the first bucket is there, `cells` with `accounts` in them.
pub(super) fn expect(assembly: &mut Assembly, cells: u64, accounts: usize) {
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

/// Shares the cells out among up to `shares` buckets. Those with the most changes come first: an account
/// that all transactions change keeps one worker busy for as long as many others do.
pub(super) fn shared_out(effects: &BlockEffects, spread: &Spread, shares: usize) -> Vec<u64> {
    let shares = shares.min(CELLS as usize);
    if shares <= 1 {
        return vec![u64::MAX; shares];
    }
    let mut changes = [0; CELLS as usize];
    let mut count = |mut mask: u64, times: usize| {
        while mask != 0 {
            if let Some(count) = changes.get_mut(mask.trailing_zeros() as usize) {
                *count += times;
            }
            mask &= mask - 1;
        }
    };
    effects.masks.iter().for_each(|mask| count(*mask, 1));
    count(spread.cell(&effects.beneficiary.0), effects.masks.len());
    let weigh = |share| {
        let cells = || (share..CELLS as usize).step_by(shares);
        let weight = cells().filter_map(|cell| changes.get(cell)).sum::<usize>();
        (Reverse(weight), cells().fold(0, |cells, cell| cells | 1 << cell))
    };
    let mut buckets: Vec<(Reverse<usize>, u64)> = (0..shares).map(weigh).collect();
    buckets.sort_unstable();
    buckets.into_iter().map(|(_, cells)| cells).collect()
}
