//! One shard: a pure state machine. Events go in, messages come out; there is no clock, no thread
//! and no disk.
//!
//! A transaction runs on each shard that has a key it may write, on the same values: shards push
//! the values of their keys, as they are below the transaction in the order. Values are read from a
//! log of versions, so a transaction waits only for earlier writers of its reads.
//!
//! A message is identified by its sender and its transaction: a duplicate changes nothing. An
//! acknowledgement says which transactions the receiver has committed, not which messages it has
//! received, because received messages are lost when it restarts.

use crate::durable::Durable;
use crate::machine::{Machine, Values};
use crate::order::{Agreed, ShardId};
use braid_evm::ids::TxIndex;
use std::collections::{BTreeMap, BTreeSet};

/// A message from one shard to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message<K, V> {
    /// The values of the sender's keys as `tx` reads them.
    Values {
        /// The transaction.
        tx: TxIndex,
        /// Its reads of the sender's keys.
        values: BTreeMap<K, V>,
    },
    /// The sender has committed every transaction that it runs below an index.
    Committed {
        /// The first transaction that it has not committed.
        below: TxIndex,
    },
}

/// A message of the machine `M`.
pub type MessageOf<M> = Message<<M as Machine>::Key, <M as Machine>::Value>;

/// Messages with their receivers.
pub type Messages<M> = Vec<(ShardId, MessageOf<M>)>;

/// An event at a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<K, V> {
    /// The order has arrived below this transaction.
    Arrived(TxIndex),
    /// A message has arrived from a shard.
    Received(ShardId, Message<K, V>),
    /// Messages without acknowledgement must be resent.
    Timer,
}

/// An event of the machine `M`.
pub type EventOf<M> = Event<<M as Machine>::Key, <M as Machine>::Value>;

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard<M: Machine> {
    id: ShardId,
    durable: Durable<M>,
    /// Values received for transactions that are not committed, by transaction and sender.
    inbox: BTreeMap<TxIndex, BTreeMap<ShardId, Values<M>>>,
    /// By shard: the index below which it has committed, so that nothing is owed to it.
    acknowledged: Vec<TxIndex>,
    /// By shard: the last acknowledgement sent to it.
    told: Vec<TxIndex>,
    /// Values in transit, by transaction and receiver.
    sent: BTreeSet<(TxIndex, ShardId)>,
}

impl<M: Machine> Shard<M> {
    /// Starts a shard, or restarts it from its durable part. The timer sends what it owes.
    #[must_use]
    pub fn new(agreed: &Agreed<M>, id: ShardId, durable: Durable<M>) -> Self {
        // Received acknowledgements are lost, but only values that all others had acknowledged were
        // folded.
        let known = vec![durable.folded; usize::from(agreed.shards())];
        let mut shard = Self {
            id,
            inbox: BTreeMap::new(),
            told: known.clone(),
            acknowledged: known,
            sent: BTreeSet::new(),
            durable,
        };
        if mutant!(RestartOwesNothing) {
            let committed = shard.durable.watermark(agreed, id);
            shard.acknowledged.fill(committed);
        }
        if mutant!(FoldedTwice) {
            shard.durable.folded = TxIndex(0);
        }
        shard
    }

    /// Returns the id of the shard.
    #[must_use]
    pub const fn id(&self) -> ShardId {
        self.id
    }

    /// Returns the part that must be durable before the messages of the last event are sent.
    #[must_use]
    pub const fn durable(&self) -> &Durable<M> {
        &self.durable
    }

    /// Returns the transactions whose values this shard owed to `to` and will not send again.
    pub fn settled<'a>(
        &self,
        agreed: &'a Agreed<M>,
        to: ShardId,
    ) -> impl Iterator<Item = TxIndex> + use<'a, M> {
        let acknowledged = self.acknowledged[to.position()];
        let dues = agreed.dues_from(self.id, to, TxIndex(0)).iter().copied();
        dues.take_while(move |tx| *tx < acknowledged)
    }

    /// Returns the number of uncommitted transactions with received values.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inbox.len()
    }

    /// Returns the maximum number of messages that are stored or in transit, over all pairs of
    /// shards.
    #[must_use]
    pub fn most_pending(&self, agreed: &Agreed<M>) -> usize {
        let mut from = vec![0_usize; usize::from(agreed.shards())];
        let mut to = from.clone();
        for sender in self.inbox.values().flat_map(BTreeMap::keys) {
            from[sender.position()] += 1;
        }
        let is_due = |(tx, to): &&(TxIndex, ShardId)| *tx >= self.acknowledged[to.position()];
        for (_, receiver) in self.sent.iter().filter(is_due) {
            to[receiver.position()] += 1;
        }
        from.into_iter().chain(to).max().unwrap_or(0)
    }

    /// Handles an event and returns the messages to send.
    pub fn handle(&mut self, agreed: &Agreed<M>, event: EventOf<M>) -> Messages<M> {
        let mut out = Vec::new();
        match event {
            Event::Arrived(below) => {
                self.durable.arrived = self.durable.arrived.max(below).min(agreed.end());
            }
            Event::Received(from, Message::Values { tx, values }) => {
                self.receive(agreed, from, tx, values, &mut out);
            }
            Event::Received(from, Message::Committed { below }) => {
                let known = &mut self.acknowledged[from.position()];
                *known = if mutant!(OldAcknowledgementCounts) { below } else { below.max(*known) };
            }
            Event::Timer if mutant!(NothingAgain) => {}
            Event::Timer => self.sent.clear(),
        }
        self.go_on(agreed, &mut out);
        out
    }

    fn receive(
        &mut self,
        agreed: &Agreed<M>,
        from: ShardId,
        tx: TxIndex,
        values: Values<M>,
        out: &mut Messages<M>,
    ) {
        if !self.durable.is_committed(tx) {
            self.inbox.entry(tx).or_default().entry(from).or_insert(values);
            if mutant!(FinishedEarly) {
                out.push((from, Message::Committed { below: tx.next() }));
            }
        } else if !mutant!(LateUnacknowledged) {
            // The acknowledgement was lost or is in transit.
            let below = self.durable.watermark(agreed, self.id);
            out.push((from, Message::Committed { below }));
        }
    }

    /// Makes all possible progress.
    fn go_on(&mut self, agreed: &Agreed<M>, out: &mut Messages<M>) {
        loop {
            let low = self.low(agreed);
            self.durable.fold(low);
            let mut end = TxIndex(low.0.saturating_add(agreed.window()));
            if mutant!(WindowIgnored) {
                end = agreed.end();
            }
            let end = end.min(self.durable.arrived);
            let parts = agreed.parts_from(self.id, low).iter().take_while(|tx| **tx < end);
            let mut has_run = false;
            for tx in parts {
                has_run |= self.run(agreed, *tx);
                self.serve(agreed, *tx, out);
            }
            if !has_run {
                break;
            }
        }
        let acknowledged = &self.acknowledged;
        self.sent.retain(|(tx, to)| *tx >= acknowledged[to.position()]);
        self.tell(agreed, out);
    }

    /// Returns the first transaction that this shard has yet to run or whose values it owes:
    /// everything below can be folded.
    fn low(&self, agreed: &Agreed<M>) -> TxIndex {
        let owed = agreed.shard_ids().filter_map(|to| {
            agreed.dues_from(self.id, to, self.acknowledged[to.position()]).first().copied()
        });
        let own = self.durable.watermark(agreed, self.id);
        if mutant!(FoldsUnacknowledged) {
            return own;
        }
        owed.fold(own, TxIndex::min)
    }

    /// Runs and commits `tx` if this shard runs it and all values are there.
    fn run(&mut self, agreed: &Agreed<M>, tx: TxIndex) -> bool {
        let is_active = agreed.roles()[tx.position()].active.contains(&self.id);
        if !is_active || self.durable.is_committed(tx) {
            return false;
        }
        let Some(values) = self.values(agreed, tx) else { return false };
        let (mut writes, outcome) = agreed.run(tx, &values);
        writes.retain(|key, _| agreed.home(key) == Some(self.id));
        self.durable.log.insert(tx, writes);
        self.durable.outcomes.insert(tx, outcome);
        self.inbox.remove(&tx);
        true
    }

    /// Returns all values that `tx` reads, once they are there.
    fn values(&self, agreed: &Agreed<M>, tx: TxIndex) -> Option<Values<M>> {
        let entry = &agreed.entries()[tx.position()];
        let received = self.inbox.get(&tx);
        // The cheaper check first.
        let came = received.map_or(0, BTreeMap::len);
        if came < agreed.senders(tx, self.id).count() && !mutant!(OneSenderSuffices) {
            return None;
        }
        let mut values = self.own_values(agreed, tx)?;
        let mut came = 0;
        for sender in agreed.senders(tx, self.id) {
            match received.and_then(|received| received.get(&sender)) {
                Some(received) => {
                    came += 1;
                    values.extend(received.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                None if mutant!(OneSenderSuffices) => {}
                None => return None,
            }
        }
        if mutant!(OneSenderSuffices) {
            if came == 0 && agreed.senders(tx, self.id).next().is_some() {
                return None;
            }
            entry.reads.iter().for_each(|key| {
                values.entry(key.clone()).or_default();
            });
        }
        Some(values)
    }

    /// Returns the values of this shard's keys as `tx` reads them.
    fn own_values(&self, agreed: &Agreed<M>, tx: TxIndex) -> Option<Values<M>> {
        let reads = agreed.reads_at(tx, self.id);
        let values = self.durable.values_below(agreed, reads, tx);
        if values.is_none() && mutant!(EarlierWriterIgnored) {
            let base = |key: &M::Key| {
                let value = self.durable.base.get(key).cloned();
                (key.clone(), value.unwrap_or_default())
            };
            return Some(reads.iter().map(base).collect());
        }
        values
    }

    /// Sends the values of this shard's keys to the shards that run `tx` and have not been sent
    /// them.
    fn serve(&mut self, agreed: &Agreed<M>, tx: TxIndex, out: &mut Messages<M>) {
        let roles = &agreed.roles()[tx.position()];
        if !roles.serving.contains(&self.id) {
            return;
        }
        let waits = |to: &&ShardId| {
            **to != self.id
                && self.acknowledged[to.position()] <= tx
                && !self.sent.contains(&(tx, **to))
        };
        let mut to = roles.active.iter().filter(waits).copied().peekable();
        if to.peek().is_none() {
            return;
        }
        let to: Vec<ShardId> = to.collect();
        let Some(values) = self.served(agreed, tx) else { return };
        for to in to {
            self.sent.insert((tx, to));
            out.push((to, Message::Values { tx, values: values.clone() }));
        }
    }

    /// Returns the values to send for `tx`.
    fn served(&self, agreed: &Agreed<M>, tx: TxIndex) -> Option<Values<M>> {
        let reads = agreed.reads_at(tx, self.id);
        let at = |below| self.durable.values_below(agreed, reads, below);
        if mutant!(ServesAfterRun) {
            return at(tx.next()).or_else(|| at(tx));
        }
        if mutant!(ServesNewest) {
            let newest = self.durable.log.last_key_value().map_or(tx, |(last, _)| last.next());
            return at(newest).or_else(|| at(tx));
        }
        self.own_values(agreed, tx)
    }

    /// Tells the senders of values how far this shard has committed.
    fn tell(&mut self, agreed: &Agreed<M>, out: &mut Messages<M>) {
        let below = self.durable.watermark(agreed, self.id);
        for to in agreed.shard_ids() {
            let dues = agreed.dues_from(to, self.id, self.told[to.position()]);
            if dues.first().is_some_and(|tx| *tx < below) {
                self.told[to.position()] = below;
                out.push((to, Message::Committed { below }));
            }
        }
    }
}
