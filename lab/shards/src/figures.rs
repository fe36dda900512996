//! Figures of an order on shards: the traffic between shards, and the rounds of two ways of
//! agreeing on it.

use crate::machine::Machine;
use crate::order::Agreed;
use std::collections::BTreeMap;

/// Rounds from the locks of a transaction over several shards until the last one is released:
/// request the reads, receive them, prepare, vote, commit.
const TWO_PHASES: u64 = 5;

/// Figures that follow from the order alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Entries of the order.
    pub entries: u64,
    /// Entries in which several shards take part.
    pub crossing: u64,
    /// Shards that take part, summed over all entries.
    pub taking_part: u64,
    /// Runs: each entry at each of its active shards.
    pub runs: u64,
    /// Runs of the shard that has most.
    pub most_runs: u64,
    /// Messages with values.
    pub messages: u64,
    /// Bytes of these values.
    pub bytes: u64,
    /// Computed rounds of network delay until everything is committed, with two-phase commit over
    /// two-phase locking.
    pub two_phase_rounds: u64,
}

impl Figures {
    /// Computes the figures of `agreed`.
    #[must_use]
    pub fn new<M: Machine>(agreed: &Agreed<M>) -> Self {
        let mut figures = Self { entries: agreed.entries().len() as u64, ..Self::default() };
        let mut runs = vec![0_u64; usize::from(agreed.shards())];
        for (entry, roles) in agreed.entries().iter().zip(agreed.roles()) {
            figures.crossing += u64::from(roles.shards() > 1);
            figures.taking_part += roles.shards() as u64;
            figures.runs += roles.active.len() as u64;
            roles.active.iter().for_each(|shard| runs[shard.position()] += 1);
            for (from, _) in roles.messages() {
                figures.messages += 1;
                let own = entry.reads.iter().filter(|key| agreed.home(key) == Some(from));
                let sizes = own.map(|key| M::size(key, &M::Value::default()));
                figures.bytes += sizes.sum::<u64>();
            }
        }
        figures.most_runs = runs.into_iter().max().unwrap_or(0);
        figures.two_phase_rounds = two_phase_rounds(agreed);
        figures
    }
}

/// Returns when the last lock is released, if each transaction takes its locks in the agreed order
/// as soon as they are free.
///
/// A key that is written and not read counts as a delta, and deltas do not lock each other out.
/// This favours two-phase locking.
fn two_phase_rounds<M: Machine>(agreed: &Agreed<M>) -> u64 {
    /// When the last reader, the last delta and the last writer of a key have released it.
    #[derive(Clone, Copy, Default)]
    struct Released {
        readers: u64,
        adders: u64,
        writers: u64,
    }
    let (mut released, mut last) = (BTreeMap::<&M::Key, Released>::new(), 0);
    for (entry, roles) in agreed.entries().iter().zip(agreed.roles()) {
        let mut start = 0;
        for key in entry.reads.union(&entry.writes) {
            let before = released.get(key).copied().unwrap_or_default();
            let (reads, writes) = (entry.reads.contains(key), entry.writes.contains(key));
            start = start.max(before.writers);
            if writes {
                start = start.max(before.readers);
            }
            if reads {
                start = start.max(before.adders);
            }
        }
        let end = start + if roles.shards() > 1 { TWO_PHASES } else { 0 };
        for key in entry.reads.union(&entry.writes) {
            let at = released.entry(key).or_default();
            let (reads, writes) = (entry.reads.contains(key), entry.writes.contains(key));
            let slot = match (reads, writes) {
                (true, true) => &mut at.writers,
                (true, false) => &mut at.readers,
                (false, _) => &mut at.adders,
            };
            *slot = (*slot).max(end);
        }
        last = last.max(end);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::Figures;
    use crate::order::{Agreed, ShardId};
    use crate::toy::{Action, Toy, ToyTx};

    fn figures(transactions: &[(&[u16], &[u16])]) -> Figures {
        let tx = |(reads, writes): &(&[u16], &[u16])| {
            let actions = writes.iter().map(|key| (*key, Action::Mix)).collect();
            ToyTx { reads: reads.to_vec(), actions }.declared()
        };
        let entries = transactions.iter().map(tx).collect();
        Figures::new(&Agreed::<Toy>::new(entries, 2, 10, |key| ShardId(*key)))
    }

    #[test]
    fn figures_by_hand() {
        // Local; crossing, run at shard 1, one message; crossing, run at both, two messages.
        let all = figures(&[(&[0], &[0]), (&[0, 1], &[1]), (&[0, 1], &[0, 1])]);
        assert_eq!((all.entries, all.crossing, all.taking_part), (3, 2, 5));
        assert_eq!((all.runs, all.most_runs, all.messages, all.bytes), (4, 2, 3, 30));
        // The third waits for the second, which holds key 1 for five rounds.
        assert_eq!(all.two_phase_rounds, 10);
        // Deltas do not wait for each other; a reader waits for them.
        let deltas: (&[u16], &[u16]) = (&[0], &[1]);
        assert_eq!(figures(&[deltas, deltas]).two_phase_rounds, 5);
        assert_eq!(figures(&[deltas, (&[1], &[1])]).two_phase_rounds, 5);
        assert_eq!(figures(&[deltas, (&[1, 0], &[1])]).two_phase_rounds, 10);
    }
}
