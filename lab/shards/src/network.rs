//! The simulated network: the faults of messages and shards, which a seed decides.

use braid_evm::runtime::simulated::Random;

/// Ticks of the virtual clock in one round, the delay of a message without faults.
pub const ROUND: u64 = 10;

/// Kinds and frequencies of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Seed of everything that is random.
    pub seed: u64,
    /// Maximum delay of most messages, in ticks; the minimum is one tick. `None`: exactly one
    /// round.
    pub delay: Option<u64>,
    /// Messages per thousand that are ten times as late.
    pub late: u64,
    /// Messages per thousand that are lost.
    pub lost: u64,
    /// Messages per thousand that are duplicated.
    pub doubled: u64,
    /// Total number of restarts of shards.
    pub restarts: u64,
    /// Ticks after which a shard resends what is not acknowledged.
    pub timer: u64,
    /// Maximum time between two parts of the order that arrive at a shard, in ticks. `None`: the
    /// whole order is there from the start.
    pub order: Option<u64>,
    /// Number of events after which the simulation gives up.
    pub most_events: u64,
}

/// Number of events after which the simulation gives up: far more than any terminating order needs.
const MOST_EVENTS: u64 = 4_000_000;

impl Options {
    /// Returns a network without faults, on which a message takes one round, for figures.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            seed: 0,
            delay: None,
            late: 0,
            lost: 0,
            doubled: 0,
            restarts: 0,
            timer: 1_000 * ROUND,
            order: None,
            most_events: MOST_EVENTS,
        }
    }

    /// Returns a network with all kinds of faults, whose frequencies follow from the seed.
    #[must_use]
    pub fn faulty(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut some = |most: u64| if random.chance(1, 4) { 0 } else { random.below(most) };
        Self {
            seed,
            delay: Some(2 + some(4 * ROUND)),
            late: some(100),
            lost: some(300),
            doubled: some(300),
            restarts: some(8),
            timer: ROUND + some(10 * ROUND),
            order: Some(some(3 * ROUND)),
            most_events: MOST_EVENTS,
        }
    }

    /// Returns when the copies of a message that is sent at `now` arrive.
    pub(crate) fn arrivals(&self, random: &mut Random, now: u64) -> Vec<u64> {
        let Some(longest) = self.delay else { return vec![now + ROUND] };
        let copies = if random.chance(self.lost, 1_000) {
            0
        } else {
            1 + u64::from(random.chance(self.doubled, 1_000))
        };
        let mut arrival = |_| {
            let delay = 1 + random.below(longest);
            now + if random.chance(self.late, 1_000) { 10 * delay } else { delay }
        };
        (0..copies).map(&mut arrival).collect()
    }
}
