//! The agreed order of transactions, and everything that follows from it alone: which shards take
//! part in a transaction, which ones run it, and which values they send to each other. All shards
//! compute the same from it and never ask each other.

use crate::machine::{Machine, Values, Writes};
use crate::machine::{Outcome, Undeclared};
use braid_evm::ids::TxIndex;
use std::collections::{BTreeMap, BTreeSet};

/// Index of a shard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// Returns the id as an index.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

/// A transaction of the order with its declared accesses.
#[derive(Debug)]
pub struct Entry<M: Machine> {
    /// The transaction.
    pub tx: M::Tx,
    /// All keys that it may read.
    pub reads: BTreeSet<M::Key>,
    /// All keys that it may write.
    pub writes: BTreeSet<M::Key>,
}

/// Shards that take part in a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Shards that run it: every shard with a key that it may write. Without any, the first shard
    /// with a key that it reads; without that, shard 0.
    pub active: BTreeSet<ShardId>,
    /// Shards with a key that it may read. They send its value to every other active shard.
    pub serving: BTreeSet<ShardId>,
}

impl Roles {
    /// Computes the roles in a transaction with these accesses.
    pub fn new<'a, K: 'a>(
        reads: impl IntoIterator<Item = &'a K>,
        writes: impl IntoIterator<Item = &'a K>,
        home: impl Fn(&K) -> ShardId,
    ) -> Self {
        let serving: BTreeSet<ShardId> = reads.into_iter().map(&home).collect();
        let mut active: BTreeSet<ShardId> = writes.into_iter().map(&home).collect();
        if active.is_empty() {
            active.insert(serving.first().copied().unwrap_or_default());
        }
        Self { active, serving }
    }

    /// Returns the number of shards that take part.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.active.union(&self.serving).count()
    }

    /// Returns sender and receiver of each message with values for the transaction.
    pub fn messages(&self) -> impl Iterator<Item = (ShardId, ShardId)> + '_ {
        let to = |from: ShardId| self.active.iter().map(move |to| (from, *to));
        self.serving.iter().flat_map(move |from| to(*from)).filter(|(from, to)| from != to)
    }
}

/// The order, as every shard knows it.
#[derive(Debug)]
pub struct Agreed<M: Machine> {
    entries: Vec<Entry<M>>,
    roles: Vec<Roles>,
    homes: BTreeMap<M::Key, ShardId>,
    /// By transaction and shard: the keys that it reads there.
    reads: Vec<BTreeMap<ShardId, Vec<M::Key>>>,
    /// By key: the transactions that may write it, in order.
    writers: BTreeMap<M::Key, Vec<TxIndex>>,
    /// By shard: the transactions in which it takes part.
    parts: Vec<Vec<TxIndex>>,
    /// By shard: the transactions that it runs.
    runs: Vec<Vec<TxIndex>>,
    /// By sender and receiver: the transactions whose values are due.
    dues: BTreeMap<(ShardId, ShardId), Vec<TxIndex>>,
    shards: u16,
    window: u32,
}

impl<M: Machine> Agreed<M> {
    /// Creates the order `entries` over `shards` shards; `home` maps keys to shards. No shard runs
    /// further than `window` transactions (at least 1) ahead of the first one that it must keep.
    #[must_use]
    pub fn new(
        entries: Vec<Entry<M>>,
        shards: u16,
        window: u32,
        home: impl Fn(&M::Key) -> ShardId,
    ) -> Self {
        let (shards, window) = (shards.max(1), window.max(1));
        let home = |key: &M::Key| ShardId(home(key).0 % shards);
        let none = || vec![Vec::new(); usize::from(shards)];
        let (roles, homes, reads) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (writers, parts, runs, dues) = (BTreeMap::new(), none(), none(), BTreeMap::new());
        let mut agreed =
            Self { entries, roles, homes, reads, writers, parts, runs, dues, shards, window };
        for (tx, entry) in (0..).map(TxIndex).zip(&agreed.entries) {
            for key in entry.reads.iter().chain(&entry.writes) {
                agreed.homes.entry(key.clone()).or_insert_with(|| home(key));
            }
            for key in &entry.writes {
                agreed.writers.entry(key.clone()).or_default().push(tx);
            }
            let mut reads = BTreeMap::<ShardId, Vec<M::Key>>::new();
            for key in &entry.reads {
                reads.entry(home(key)).or_default().push(key.clone());
            }
            agreed.reads.push(reads);
            let roles = Roles::new(&entry.reads, &entry.writes, home);
            for shard in roles.active.union(&roles.serving) {
                agreed.parts[shard.position()].push(tx);
            }
            for shard in &roles.active {
                agreed.runs[shard.position()].push(tx);
            }
            for pair in roles.messages() {
                agreed.dues.entry(pair).or_default().push(tx);
            }
            agreed.roles.push(roles);
        }
        agreed
    }

    /// Returns the number of shards.
    #[must_use]
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// Returns all shards.
    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<M> {
        (0..self.shards).map(ShardId)
    }

    /// Returns how far a shard may run ahead.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.window
    }

    /// Returns the index after the last transaction.
    #[must_use]
    pub fn end(&self) -> TxIndex {
        TxIndex(u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    /// Returns the transactions.
    #[must_use]
    pub fn entries(&self) -> &[Entry<M>] {
        &self.entries
    }

    /// Returns the roles in each transaction.
    #[must_use]
    pub fn roles(&self) -> &[Roles] {
        &self.roles
    }

    /// Returns the shard of a key that some transaction declares.
    #[must_use]
    pub fn home(&self, key: &M::Key) -> Option<ShardId> {
        self.homes.get(key).copied()
    }

    /// Returns the declared keys with their shards.
    pub fn homes(&self) -> impl Iterator<Item = (&M::Key, ShardId)> {
        self.homes.iter().map(|(key, home)| (key, *home))
    }

    /// Returns the keys of `shard` that `tx` reads.
    pub(crate) fn reads_at(&self, tx: TxIndex, shard: ShardId) -> &[M::Key] {
        self.reads[tx.position()].get(&shard).map_or(&[], Vec::as_slice)
    }

    /// Returns the transactions below `below` that may write `key`, the last one first.
    pub(crate) fn writers_below(
        &self,
        key: &M::Key,
        below: TxIndex,
    ) -> impl Iterator<Item = TxIndex> + '_ {
        let writers = self.writers.get(key).map_or(&[][..], Vec::as_slice);
        writers[..writers.partition_point(|tx| *tx < below)].iter().rev().copied()
    }

    /// Returns the transactions from `from` on in which `shard` takes part.
    pub(crate) fn parts_from(&self, shard: ShardId, from: TxIndex) -> &[TxIndex] {
        since(&self.parts[shard.position()], from)
    }

    /// Returns the transactions from `from` on that `shard` runs.
    pub(crate) fn runs_from(&self, shard: ShardId, from: TxIndex) -> &[TxIndex] {
        since(&self.runs[shard.position()], from)
    }

    /// Returns the transactions from `low` on whose values `from` owes to `to`.
    pub(crate) fn dues_from(&self, from: ShardId, to: ShardId, low: TxIndex) -> &[TxIndex] {
        self.dues.get(&(from, to)).map_or(&[], |dues| since(dues, low))
    }

    /// Returns the shards that owe values of `tx` to `to`.
    pub(crate) fn senders(&self, tx: TxIndex, to: ShardId) -> impl Iterator<Item = ShardId> + '_ {
        let serving = &self.roles[tx.position()].serving;
        serving.iter().copied().filter(move |from| *from != to)
    }

    /// Runs `tx` on `values`, and checks that it writes nothing undeclared.
    pub(crate) fn run(&self, tx: TxIndex, values: &Values<M>) -> (Writes<M>, Outcome<M>) {
        let entry = &self.entries[tx.position()];
        match M::run(&entry.tx, values) {
            Err(undeclared) => (Writes::<M>::new(), Err(undeclared)),
            Ok(ran) => match ran.writes.keys().find(|key| !entry.writes.contains(*key)) {
                Some(key) => (Writes::<M>::new(), Err(Undeclared(key.clone()))),
                None => (ran.writes, Ok(ran.output)),
            },
        }
    }
}

fn since(all: &[TxIndex], from: TxIndex) -> &[TxIndex] {
    &all[all.partition_point(|tx| *tx < from)..]
}
