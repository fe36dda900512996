//! Divides a block's accounts into jobs for the workers, and collects the results.

use super::block_effects::BlockEffects;
use super::bucket::BucketFolds;
use super::folded::{AccountReverted, FoldedAccount};
use super::undo::{LargeAccount, UndoneSlots};
use crate::evm::exec::bundle_shards::{BUNDLE_SHARDS, BundleShards};
use alloy_primitives::{Address, B256, map::AddressMap};
use core::cmp::Reverse;
use revm::bytecode::Bytecode;
use revm::database::BundleAccount;

/// A part of building the bundle, done by one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) enum BundleJob {
    /// Folds the accounts of a bucket, given by the bit mask of its shards.
    Fold(u64),
    /// Computes the slot reverts of an account with very many slots.
    Undo(LargeAccount),
}

/// Result of a [`BundleJob`].
pub(in crate::evm) enum BundleJobResult {
    /// A bucket and its reverts.
    Folded(FoldedBucket, Vec<AccountReverted>),
    Undone(Address, Option<UndoneSlots>),
}

/// A bucket's part of the bundle, without reverts.
pub(in crate::evm) struct FoldedBucket {
    pub(in crate::evm) shards: u64,
    pub(in crate::evm) accounts: Vec<(Address, BundleAccount)>,
    /// New codes.
    pub(super) contracts: Vec<(B256, Bytecode)>,
    /// Accounts whose slot reverts are computed in separate jobs.
    pub(super) undone_separately: Vec<Address>,
    /// Size of the reverts in revm's units (`size_hint`).
    pub(super) reverts_size: usize,
}

impl FoldedBucket {
    /// Finishes `folds`; also returns their reverts if `wants_reverts` is set.
    pub(in crate::evm) fn new(
        shards: u64,
        folds: BucketFolds<'_>,
        wants_reverts: bool,
    ) -> (Self, Vec<AccountReverted>) {
        // Nearly every account has an entry. Entries are large, and growing would move them.
        let accounts = Vec::with_capacity(folds.len());
        let mut reverts = Vec::with_capacity(if wants_reverts { folds.len() } else { 0 });
        let mut this = Self {
            shards,
            accounts,
            contracts: Vec::new(),
            undone_separately: Vec::new(),
            reverts_size: 0,
        };
        for (address, folded) in folds.finish() {
            let is_reverted = folded.is_reverted();
            let FoldedAccount { account, revert, contract, is_undone_separately } = folded;
            this.undone_separately.extend(is_undone_separately.then_some(address));
            this.accounts.push((address, account));
            this.contracts.extend(contract);
            if wants_reverts && is_reverted {
                this.reverts_size += revert.size_hint();
                reverts.push((address, revert));
            }
        }
        (this, reverts)
    }
}

/// Appends `parts` to `joined`.
pub(in crate::evm) fn append_reverts(
    joined: &mut Vec<AccountReverted>,
    parts: Vec<Vec<AccountReverted>>,
) {
    let mut parts = parts.into_iter();
    if joined.is_empty() {
        *joined = parts.next().unwrap_or_default();
    }
    joined.reserve(parts.as_slice().iter().map(Vec::len).sum());
    parts.for_each(|mut part| joined.append(&mut part));
}

/// The caller's progress through the jobs.
pub(in crate::evm) struct BundleJobs {
    /// Which jobs are done.
    done: Vec<bool>,
    /// Buckets folded by other workers that are not in the bundle yet.
    pub(in crate::evm) folded: Vec<FoldedBucket>,
    pub(in crate::evm) reverts: Vec<Vec<AccountReverted>>,
    pub(in crate::evm) undone: AddressMap<UndoneSlots>,
}

impl BundleJobs {
    pub(in crate::evm) fn new(jobs: usize) -> Self {
        Self {
            done: vec![false; jobs],
            folded: Vec::new(),
            reverts: Vec::new(),
            undone: AddressMap::default(),
        }
    }

    /// The first job that is not done.
    pub(in crate::evm) fn first_unfinished(&self) -> Option<usize> {
        self.done.iter().position(|done| !done)
    }

    /// Marks a job as done. Returns false if it was already done: a preempted worker may finish a
    /// job that the caller has done in the meantime.
    pub(in crate::evm) fn mark_done(&mut self, job: usize) -> bool {
        self.done.get_mut(job).is_some_and(|done| !core::mem::replace(done, true))
    }

    /// Accepts the result of a job, unless the job was already done.
    pub(in crate::evm) fn accept(&mut self, job: usize, result: BundleJobResult) {
        if !self.mark_done(job) {
            return;
        }
        match result {
            BundleJobResult::Folded(folded, reverts) => {
                self.folded.push(folded);
                self.reverts.push(reverts);
            }
            BundleJobResult::Undone(address, slots) => {
                self.undone.extend(slots.map(|slots| (address, slots)));
            }
        }
    }
}

/// Divides the shards into up to `shares` buckets and returns them as jobs, the bucket with the
/// most changes first: an account that every transaction changes keeps a worker busy for as long as
/// many other accounts together. Slot reverts of the `large` accounts, which have very many slots,
/// are separate jobs.
pub(in crate::evm) fn plan_jobs(
    effects: &BlockEffects,
    bundle_shards: &BundleShards,
    shares: usize,
    large: &[LargeAccount],
) -> Vec<BundleJob> {
    let shares = shares.min(BUNDLE_SHARDS as usize);
    if shares <= 1 {
        return vec![BundleJob::Fold(u64::MAX); shares];
    }
    let mut changes = [0; BUNDLE_SHARDS as usize];
    let mut count = |mut shard_mask: u64, times: usize| {
        while shard_mask != 0 {
            if let Some(count) = changes.get_mut(shard_mask.trailing_zeros() as usize) {
                *count += times;
            }
            shard_mask &= shard_mask - 1;
        }
    };
    effects.shard_masks.iter().for_each(|shard_mask| count(*shard_mask, 1));
    count(bundle_shards.shard(&effects.receivers.beneficiary.0), effects.shard_masks.len());
    large.iter().for_each(|large| count(bundle_shards.shard(&large.address), large.slots));
    let weigh = |share| {
        let shards = || (share..BUNDLE_SHARDS as usize).step_by(shares);
        let weight = shards().filter_map(|shard| changes.get(shard)).sum::<usize>();
        (Reverse(weight), shards().fold(0, |shards, shard| shards | 1 << shard))
    };
    let mut buckets: Vec<(Reverse<usize>, u64)> = (0..shares).map(weigh).collect();
    buckets.sort_unstable();
    let mut jobs: Vec<_> = buckets.into_iter().map(|(_, shards)| BundleJob::Fold(shards)).collect();
    // The bucket with the most changes stays first.
    jobs.splice(1..1, large.iter().copied().map(BundleJob::Undo));
    jobs
}
