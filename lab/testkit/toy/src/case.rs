//! One random test case: a block, how it is cut up, and the limits under which it runs.

use super::claims::ToyClaims;
use super::generator::{Shape, random_block};
use super::ledger::ToyLedger;
use super::machine::ToyWorkload;
use super::program::{Step, ToyBlock};
use super::reference::{Reference, reference};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::Store;
use braid_evm::protocol::{Chunks, Jobs, Limits, Plan, Protocol};
use braid_evm::runtime::simulated::Random;
use braid_evm::worker::Shared;
use std::sync::Arc;

/// Workers that may tell each other what they run; more may take part.
const MOST_WORKERS: usize = 8;

/// A toy block with everything that the engine needs beside threads.
#[derive(Clone, Debug)]
pub struct ToyCase {
    /// The block.
    pub block: Arc<ToyBlock>,
    /// Bounds and choices.
    pub limits: Limits,
    /// How it is cut up.
    pub plan: Plan,
    /// Steps of a chunk after which it gives way to the frontier.
    pub patience: u64,
    /// Number of shards of the store.
    pub shards: usize,
    /// The list that the block comes with, which private batches read.
    pub claims: Option<Arc<ToyClaims>>,
}

impl ToyCase {
    /// The case of this seed: tight limits and odd hints, so that every path is taken.
    #[must_use]
    pub fn random(random: &mut Random) -> Self {
        let long = random.chance(1, 40);
        let shape = Shape {
            transactions: if long { 160 } else { 4 + random.below(37) },
            steps: if long { 4 } else { 2 + random.below(8) },
            faults: random.chance(1, 2),
        };
        let block = Arc::new(random_block(random, shape));
        let limits = random_limits(random);
        let plan = random_plan(random, TxIndex(0), block.transactions.len());
        let shards = 1 << random.small(4);
        Self { block, limits, plan, patience: random.below(30), shards, claims: None }
    }

    /// The same in private batches.
    #[must_use]
    pub fn random_private(random: &mut Random) -> Self {
        let mut case = Self::random(random);
        make_private(&mut case.plan);
        case
    }

    /// A block, all of it in private batches that read a list. The list is right, or it lies of one transaction, which
    /// is returned. No account is destroyed: a list does not name what goes with it.
    #[must_use]
    pub fn random_listed(random: &mut Random) -> (Self, Option<TxIndex>) {
        let mut case = Self::random(random);
        make_private(&mut case.plan);
        let mut block = ToyBlock::clone(&case.block);
        for tx in &mut block.transactions {
            tx.steps.retain(|step| !matches!(step, Step::Destroy(_)));
        }
        case.block = Arc::new(block);
        let right = ToyClaims::of(&case.reference());
        let (claims, wrong) = if random.chance(1, 3) { (right, None) } else { right.lie(random) };
        case.claims = Some(Arc::new(claims));
        (case, wrong)
    }

    /// What the block must come to.
    #[must_use]
    pub fn reference(&self) -> Reference {
        reference(&self.block, self.limits.skip_rejected)
    }

    /// The protocol of the case.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        Protocol::new(self.limits, &self.plan)
    }

    /// The block, ready for workers.
    #[must_use]
    pub fn shared(&self) -> Shared<ToyWorkload, ToyLedger> {
        let workload = ToyWorkload::new(Arc::clone(&self.block)).with_claims(self.claims.clone());
        let ledger = workload.ledger();
        let store = Store::new(self.shards).with_workers(MOST_WORKERS);
        Shared::with_protocol(workload, ledger, store, self.patience, self.protocol())
    }
}

/// Tight limits.
pub(super) fn random_limits(random: &mut Random) -> Limits {
    let widest = if random.chance(1, 2) { 6 } else { 64 };
    let window = 1 + random.below(widest);
    Limits {
        window: u32::try_from(window).unwrap_or(1),
        job_capacity: 1 + u32::from(random.small(6)),
        max_speculative_runs: 1 + u32::from(random.small(3)),
        skip_rejected: random.chance(1, 2),
        shared_chunks: random.chance(1, 4),
        fallback: None,
    }
}

/// Makes the chunks of `plan` private batches.
pub(super) fn make_private(plan: &mut Plan) {
    plan.jobs = Jobs::Batches(plan.jobs.ranges().to_vec());
}

/// Cuts up the `transactions` transactions from `first` on.
pub(super) fn random_plan(random: &mut Random, first: TxIndex, transactions: usize) -> Plan {
    let count = u32::try_from(transactions).unwrap_or(u32::MAX);
    let end = TxIndex(first.0.saturating_add(count));
    let longest = 1 + random.small(5);
    let mut chunks = Chunks::default();
    let mut next = first;
    while next < end {
        let length = 1 + u32::from(random.small(longest));
        let chunk = Chunk { first: next, end: TxIndex((next.0 + length).min(end.0)) };
        chunks.ranges.push(chunk);
        next = chunk.end;
    }
    if random.chance(1, 3) {
        for tx in first.0..end.0 {
            if random.chance(1, 8) {
                chunks.frontier_only.push(TxIndex(tx));
            }
            if tx > 0 && random.chance(1, 5) {
                let on = u32::try_from(random.below(u64::from(tx))).unwrap_or(0);
                chunks.dependencies.push((TxIndex(tx), TxIndex(on)));
            }
        }
    }
    chunks.dependencies.retain(|(_, on)| *on >= first);
    // Nothing is drawn for it, so all else about a seed stays.
    let goes_first = |tx: &u32| count % 4 == 3 && tx % 5 == 4;
    chunks.longest = (first.0..end.0).filter(goes_first).map(TxIndex).collect();
    Plan { first, jobs: Jobs::Chunks(chunks) }
}
