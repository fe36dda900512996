//! Runs shards on the simulated network, from the first transaction to the last, with a virtual
//! clock.

use crate::durable::Durable;
use crate::machine::{Machine, Outcome, Values};
use crate::network::{Options, ROUND};
use crate::order::{Agreed, ShardId};
use crate::shard::{Event, EventOf, Message, MessageOf, Messages, Shard};
use braid_evm::ids::TxIndex;
use braid_evm::runtime::simulated::Random;
use std::collections::BTreeMap;

/// Counters of the network and the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages with values, including resent ones.
    pub values: u64,
    /// Acknowledgements.
    pub acknowledgements: u64,
    /// Bytes of the values, with their keys.
    pub bytes: u64,
    /// Messages that were lost.
    pub lost: u64,
    /// Messages that were duplicated.
    pub doubled: u64,
    /// Restarts.
    pub restarts: u64,
    /// Maximum number of messages that were stored or in transit for a pair of shards.
    pub most_pending: usize,
    /// Length of the longest log of a shard.
    pub longest_log: usize,
    /// Runs: each transaction runs on each of its active shards.
    pub runs: u64,
    /// When the last transaction was committed on the last shard, in ticks.
    pub ticks: u64,
}

impl Traffic {
    /// Returns the rounds of network delay until the last transaction was committed.
    #[must_use]
    pub const fn rounds(&self) -> u64 {
        self.ticks.div_ceil(ROUND)
    }
}

/// Combined results of all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated<M: Machine> {
    /// Outcome of each transaction.
    pub outcomes: Vec<Outcome<M>>,
    /// The state after the last transaction.
    pub state: Values<M>,
    /// Counters of the simulation.
    pub traffic: Traffic,
}

/// An error in a simulation. Each one is a bug of the shards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// Two shards disagree about a transaction.
    #[error("transaction {tx} came to something else at shard {}: it ran on other values", shard.0)]
    Disagreement {
        /// The transaction.
        tx: TxIndex,
        /// The second of the shards.
        shard: ShardId,
    },
    /// A bound was exceeded.
    #[error("{pending} messages of one pair of shards and a log of {log}, in a window of {window}")]
    Unbounded {
        /// Number of messages of a pair of shards.
        pending: usize,
        /// Number of entries of the log.
        log: usize,
        /// The bound of both.
        window: u32,
    },
    /// The simulation does not terminate.
    #[error("no end after {0} events: a shard waits for something that never comes")]
    Endless(u64),
}

/// A future event.
#[derive(Debug)]
enum Next<M: Machine> {
    Shard(ShardId, EventOf<M>),
    /// The shard stops; if `torn`, during its next event, after writing its log.
    Stop {
        shard: ShardId,
        torn: bool,
    },
    Start(ShardId),
}

/// A shard, unless it is down.
#[derive(Debug)]
struct Seat<M: Machine> {
    shard: Shard<M>,
    is_down: bool,
    is_torn: bool,
}

struct Simulation<'a, M: Machine> {
    agreed: &'a Agreed<M>,
    options: Options,
    random: Random,
    seats: Vec<Seat<M>>,
    /// Events by time and sequence number.
    queue: BTreeMap<(u64, u64), Next<M>>,
    number: u64,
    traffic: Traffic,
}

/// Executes the order on `base`, the state before the first transaction.
///
/// # Errors
/// Returns an error if the shards have a bug.
pub fn simulate<M: Machine>(
    agreed: &Agreed<M>,
    base: &Values<M>,
    options: Options,
) -> Result<Simulated<M>, SimulationError> {
    Simulation::new(agreed, base, options).end()
}

impl<'a, M: Machine> Simulation<'a, M> {
    fn new(agreed: &'a Agreed<M>, base: &Values<M>, options: Options) -> Self {
        let seat = |id: ShardId| {
            let shard = Shard::new(agreed, id, Durable::new(agreed, id, base));
            Seat { shard, is_down: false, is_torn: false }
        };
        let mut simulation = Self {
            agreed,
            options,
            random: Random::new(options.seed),
            seats: agreed.shard_ids().map(seat).collect(),
            queue: BTreeMap::new(),
            number: 0,
            traffic: Traffic::default(),
        };
        simulation.plan();
        simulation
    }

    /// Queues the events that do not depend on the shards.
    fn plan(&mut self) {
        let end = self.agreed.end();
        for shard in self.agreed.shard_ids() {
            let (mut at, mut arrived) = (0, TxIndex(0));
            while arrived < end {
                let more = match self.options.order {
                    Some(longest) => {
                        at += self.random.below(longest + 1);
                        1 + self.random.small(9)
                    }
                    None => u8::MAX,
                };
                arrived = TxIndex(arrived.0.saturating_add(more.into())).min(end);
                self.put(at, Next::Shard(shard, Event::Arrived(arrived)));
            }
            self.put(self.options.timer, Next::Shard(shard, Event::Timer));
        }
        // Most orders take no more rounds than they have transactions.
        let horizon = 1 + u64::from(end.0) * 2 * ROUND;
        for _ in 0..self.options.restarts {
            let shard = self.random.below(self.agreed.shards().into());
            let shard = ShardId(u16::try_from(shard).unwrap_or(0));
            let (at, torn) = (self.random.below(horizon), self.random.chance(1, 2));
            self.put(at, Next::Stop { shard, torn });
        }
    }

    fn put(&mut self, at: u64, next: Next<M>) {
        self.queue.insert((at, self.number), next);
        self.number += 1;
    }

    fn end(mut self) -> Result<Simulated<M>, SimulationError> {
        let mut events = 0;
        while !self.is_finished() {
            let Some(((now, _), next)) = self.queue.pop_first() else {
                return Err(SimulationError::Endless(events));
            };
            events += 1;
            if events > self.options.most_events {
                return Err(SimulationError::Endless(events));
            }
            let shard = self.take(now, next);
            self.traffic.ticks = now;
            self.is_bounded(shard)?;
        }
        self.result()
    }

    fn take(&mut self, now: u64, next: Next<M>) -> ShardId {
        let id = match &next {
            Next::Shard(id, _) | Next::Stop { shard: id, .. } | Next::Start(id) => *id,
        };
        match next {
            Next::Shard(id, event) => {
                if event == Event::Timer {
                    self.put(now + self.options.timer, Next::Shard(id, Event::Timer));
                }
                let agreed = self.agreed;
                let seat = &mut self.seats[id.position()];
                if seat.is_down {
                    // The order is stored by the parties that agreed on it, so it arrives again.
                    if matches!(event, Event::Arrived(_)) {
                        self.put(now + ROUND, Next::Shard(id, event));
                    }
                    return id;
                }
                let messages = seat.shard.handle(agreed, event);
                if core::mem::take(&mut seat.is_torn) {
                    self.stop(now, id);
                } else {
                    self.send(now, id, messages);
                }
            }
            Next::Stop { shard, torn: true } => self.seats[shard.position()].is_torn = true,
            Next::Stop { shard, torn: false } => self.stop(now, shard),
            Next::Start(shard) => self.restart(shard),
        }
        id
    }

    fn stop(&mut self, now: u64, id: ShardId) {
        if !core::mem::replace(&mut self.seats[id.position()].is_down, true) {
            self.traffic.restarts += 1;
            let down = 1 + self.random.below(20 * ROUND);
            self.put(now + down, Next::Start(id));
        }
    }

    /// Restarts a shard from its durable part alone.
    fn restart(&mut self, id: ShardId) {
        let agreed = self.agreed;
        let seat = &mut self.seats[id.position()];
        let shard = Shard::new(agreed, id, seat.shard.durable().clone());
        *seat = Seat { shard, is_down: false, is_torn: false };
    }

    fn send(&mut self, now: u64, from: ShardId, messages: Messages<M>) {
        for (to, message) in messages {
            self.count(&message);
            let arrivals = self.options.arrivals(&mut self.random, now);
            match arrivals.len() {
                0 => self.traffic.lost += 1,
                1 => {}
                _ => self.traffic.doubled += 1,
            }
            for at in arrivals {
                let event = Event::Received(from, message.clone());
                self.put(at, Next::Shard(to, event));
            }
        }
    }

    fn count(&mut self, message: &MessageOf<M>) {
        match message {
            Message::Values { values, .. } => {
                self.traffic.values += 1;
                let sizes = values.iter().map(|(key, value)| M::size(key, value));
                self.traffic.bytes += sizes.sum::<u64>();
            }
            Message::Committed { .. } => self.traffic.acknowledgements += 1,
        }
    }

    fn is_finished(&self) -> bool {
        let end = self.agreed.end();
        let done =
            |seat: &Seat<M>| seat.shard.durable().watermark(self.agreed, seat.shard.id()) >= end;
        self.seats.iter().all(done)
    }

    /// Checks that `id` stays within the window.
    fn is_bounded(&mut self, id: ShardId) -> Result<(), SimulationError> {
        let window = self.agreed.window();
        let shard = &self.seats[id.position()].shard;
        let (pending, log) = (shard.most_pending(self.agreed), shard.durable().log_length());
        let bound = window as usize;
        if pending > bound || log > bound {
            return Err(SimulationError::Unbounded { pending, log, window });
        }
        self.traffic.most_pending = self.traffic.most_pending.max(pending);
        self.traffic.longest_log = self.traffic.longest_log.max(log);
        Ok(())
    }

    /// Combines the parts of all shards.
    fn result(mut self) -> Result<Simulated<M>, SimulationError> {
        let mut outcomes: BTreeMap<TxIndex, &Outcome<M>> = BTreeMap::new();
        for seat in &self.seats {
            for (tx, outcome) in seat.shard.durable().outcomes() {
                self.traffic.runs += 1;
                if *outcomes.entry(*tx).or_insert(outcome) != outcome {
                    return Err(SimulationError::Disagreement { tx: *tx, shard: seat.shard.id() });
                }
            }
        }
        let outcomes = outcomes.into_values().cloned().collect();
        let parts = self
            .seats
            .iter()
            .filter_map(|seat| seat.shard.durable().state(self.agreed, seat.shard.id()));
        let state = parts.flatten().collect();
        Ok(Simulated { outcomes, state, traffic: self.traffic })
    }
}
