//! A toy block in rounds: each goes on from where the one before has stopped, with other bounds and
//! cut up in another way.

use super::case::{ToyCase, make_private, random_limits, random_plan};
use super::ledger::ToyLedger;
use super::location::ToyLocation;
use super::machine::ToyWorkload;
use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Entry, Store};
use braid_evm::protocol::{Halt, Waste};
use braid_evm::runtime::simulated::Random;
use braid_evm::worker::{BlockEnd, Shared};

/// Writes of private batches, which are not in the store.
pub type ToyRest = Vec<(Version, ToyLocation, Entry<ToyLocation>)>;

/// What the private batches of a round have left.
fn rest(end: &ToyEnd) -> ToyRest {
    let left = end.ledger.left_from(end.published);
    let entries = left.flat_map(|(tx, entries)| {
        let version = Version { tx: *tx, incarnation: Incarnation(0) };
        entries.iter().map(move |(location, entry)| (version, *location, entry.clone()))
    });
    entries.collect()
}

/// Puts the rest into the store, where a later round reads it.
pub fn publish(store: &Store<ToyLocation>, rest: ToyRest) {
    for (version, location, entry) in rest {
        store.publish(version, &location, entry, &mut Vec::new());
    }
}

/// Puts the rest of a round into the store.
pub fn publish_rest(end: &mut ToyEnd) {
    publish(&end.store, rest(end));
    end.published = end.frontier;
}

/// A toy block in progress.
pub type ToyShared = Shared<ToyWorkload, ToyLedger>;

/// What a round of a toy block has come to.
pub type ToyEnd = BlockEnd<ToyWorkload, ToyLedger>;

impl ToyCase {
    /// The first round of a block, which may end in the middle of it.
    #[must_use]
    pub fn random_round(random: &mut Random) -> Self {
        let mut case = Self::random_private(random);
        case.cut(random, TxIndex(0));
        case
    }

    /// The round after the one that has come to `end`, if the block is not over, and what its store lacks: it
    /// has to be [published](publish) before the round begins.
    ///
    /// # Errors
    /// `end`: it is over.
    pub fn next_round(
        &self,
        random: &mut Random,
        end: ToyEnd,
    ) -> Result<(Self, ToyShared, ToyRest), Box<ToyEnd>> {
        let first = end.frontier;
        let goes_on = end.broken.is_none() && matches!(end.halt, None | Some(Halt::Fallback));
        if !goes_on || first.position() >= self.block.transactions.len() {
            return Err(Box::new(end));
        }
        let mut next = self.clone();
        next.cut(random, first);
        let rest = rest(&end);
        let BlockEnd { workload, ledger, store, .. } = end;
        let protocol = next.protocol();
        let shared = Shared::with_protocol(workload, ledger, store, next.patience, protocol);
        Ok((next, shared, rest))
    }

    /// Cuts up what is left from `first` on, or the beginning of that.
    fn cut(&mut self, random: &mut Random, first: TxIndex) {
        let skip_rejected = self.limits.skip_rejected;
        self.limits = random_limits(random);
        self.limits.skip_rejected = skip_rejected;
        let (runs, commits) = (1 + u32::from(random.small(3)), 1 + u32::from(random.small(4)));
        let waste = Waste { runs, kept: random.below(u64::from(commits) + 1) as u32, commits };
        self.limits.fallback = random.chance(1, 3).then_some(waste);
        let left = self.block.transactions.len() - first.position();
        let length =
            if random.chance(1, 2) { left } else { 1 + random.below(left as u64) as usize };
        self.plan = random_plan(random, first, length);
        if random.chance(2, 3) {
            make_private(&mut self.plan);
        }
    }
}
