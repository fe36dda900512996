//! Upper bounds on the speed of a block, from one recorded sequential run.
//!
//! The four bounds are pure arithmetic over the costs of transactions (gas or nanoseconds) and
//! their dependencies.

use super::{location::Location, record::Recording, what_if::WhatIf};
use core::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Unit of the cost of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// Gas used.
    #[default]
    Gas,
    /// Measured nanoseconds.
    Time,
}

/// When a transaction waits for its dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It begins after the end of every transaction it depends on.
    Whole,
    /// It waits at its first read of each earlier write, for the end of the writer.
    LateRead,
    /// It never waits, as if the block had its access list.
    Nothing,
}

/// A dependency: a transaction reads a write of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Index of the last transaction before it that wrote the location.
    pub writer: usize,
    /// The location.
    pub location: Location,
    /// Cost of the reader up to its first access to the location.
    pub position: u64,
}

/// Dependencies between transactions, and the cost of each transaction.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    costs: Vec<u64>,
    needs: Vec<Vec<Need>>,
}

/// A transaction on the conflict chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the transaction.
    pub transaction: usize,
    /// Locations at which it waited for the preceding transaction on the path; empty for the first
    /// one.
    pub waited_for: Vec<Location>,
}

/// The four bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Cost of all transactions.
    pub work: u64,
    /// Cost of the most expensive transaction.
    pub longest: u64,
    /// Cost of the longest chain of dependent transactions that run one after the other.
    pub chain: u64,
    /// Same, if each waits only at its first read of an earlier write.
    pub late_read: u64,
    /// Bounds on each number of workers.
    pub workers: Vec<OnWorkers>,
}

/// Cost from start to end on a number of workers, each of which takes the lowest transaction that
/// is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnWorkers {
    /// Number of workers.
    pub workers: usize,
    /// With [`Rule::Whole`].
    pub chain: u64,
    /// With [`Rule::LateRead`].
    pub late_read: u64,
    /// With [`Rule::Nothing`].
    pub no_conflicts: u64,
}

/// Returns the speed-up of an execution that costs `span` over the sequential cost `work`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub fn ratio(work: u64, span: u64) -> f64 {
    if span == 0 { 1.0 } else { work as f64 / span as f64 }
}

impl Graph {
    /// Computes the dependencies in `recording`, as changed by `what_if`.
    #[must_use]
    pub fn new(recording: &Recording, axis: Axis, what_if: &WhatIf) -> Self {
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos());
        let cost = |gas, time| match axis {
            Axis::Gas => gas,
            Axis::Time => nanoseconds(time).unwrap_or(u64::MAX),
        };
        let mut graph = Self::default();
        let mut writers = HashMap::new();
        for (index, transaction) in recording.transactions.iter().enumerate() {
            let whole = cost(transaction.gas, transaction.time);
            let mut needs = Vec::new();
            for access in &transaction.accesses {
                let Some(key) = what_if.key(&access.location, transaction.sender) else { continue };
                if let Some(writer) = writers.get(&key) {
                    let position = cost(access.gas, access.time).min(whole);
                    needs.push(Need { writer: *writer, location: access.location, position });
                }
                if access.written.is_some() {
                    writers.insert(key, index);
                }
            }
            graph.push(whole, needs);
        }
        graph
    }

    /// Adds a transaction.
    ///
    /// # Panics
    /// Panics if the transaction depends on itself or a later one.
    pub fn push(&mut self, cost: u64, needs: Vec<Need>) {
        assert!(needs.iter().all(|need| need.writer < self.costs.len()), "needs point back");
        self.costs.push(cost);
        self.needs.push(needs);
    }

    /// Returns the cost of each transaction.
    #[must_use]
    pub fn costs(&self) -> &[u64] {
        &self.costs
    }

    /// Returns the dependencies of each transaction.
    #[must_use]
    pub fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }

    /// Returns all four bounds, the last one for each number of `workers`.
    #[must_use]
    pub fn bounds(&self, workers: &[usize]) -> Bounds {
        Bounds {
            work: self.work(),
            longest: self.costs.iter().copied().max().unwrap_or_default(),
            chain: self.chain(Rule::Whole),
            late_read: self.chain(Rule::LateRead),
            workers: workers
                .iter()
                .map(|&workers| OnWorkers {
                    workers,
                    chain: self.span(Rule::Whole, workers),
                    late_read: self.span(Rule::LateRead, workers),
                    no_conflicts: self.span(Rule::Nothing, workers),
                })
                .collect(),
        }
    }

    /// Returns the cost of all transactions.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.costs.iter().sum()
    }

    /// Returns the cost from start to end on an unlimited number of workers.
    #[must_use]
    pub fn chain(&self, rule: Rule) -> u64 {
        self.ends(rule).into_iter().max().unwrap_or_default()
    }

    /// Returns when each transaction ends if each begins as soon as `rule` allows.
    #[must_use]
    pub fn ends(&self, rule: Rule) -> Vec<u64> {
        let mut ends: Vec<u64> = Vec::with_capacity(self.costs.len());
        for (cost, needs) in self.costs.iter().zip(&self.needs) {
            let begins = needs.iter().map(|need| rule.begin(need, ends[need.writer])).max();
            ends.push(begins.unwrap_or_default() + cost);
        }
        ends
    }

    /// Returns the longest chain of dependent transactions, with [`Rule::Whole`].
    ///
    /// Of several chains of equal length, the one that ends first is returned. A step that waits
    /// equally long for several transactions follows the last of them.
    #[must_use]
    pub fn conflict_chain(&self) -> Vec<Step> {
        let ends = self.ends(Rule::Whole);
        let last = (0..ends.len()).max_by_key(|&index| (ends[index], Reverse(index)));
        let mut path = Vec::new();
        let mut next = last;
        while let Some(transaction) = next {
            let needs = &self.needs[transaction];
            let before = needs.iter().map(|need| need.writer).max_by_key(|&it| (ends[it], it));
            let of_it = needs.iter().filter(|need| Some(need.writer) == before);
            let waited_for: BTreeSet<Location> = of_it.map(|need| need.location).collect();
            path.push(Step { transaction, waited_for: waited_for.into_iter().collect() });
            next = before;
        }
        path.reverse();
        path
    }

    /// Returns the cost from start to end on `workers` workers, by list scheduling: each idle
    /// worker takes the lowest transaction that may begin.
    #[must_use]
    pub fn span(&self, rule: Rule, workers: usize) -> u64 {
        let mut schedule = Schedule::new(self, rule);
        let mut free: BinaryHeap<Reverse<u64>> = (0..workers.max(1)).map(|_| Reverse(0)).collect();
        let mut span = 0;
        let mut now = 0;
        while let Some(Reverse(since)) = free.pop() {
            now = now.max(since);
            let Some((begins, transaction)) = schedule.next(now) else { break };
            now = begins;
            let ends = begins + self.costs[transaction];
            schedule.began(transaction, ends);
            span = span.max(ends);
            free.push(Reverse(ends));
        }
        span
    }
}

impl Rule {
    /// Returns the earliest start of a reader that depends on a writer that ends at `end`.
    fn begin(self, need: &Need, end: u64) -> u64 {
        match self {
            Self::Whole => end,
            Self::LateRead => end.saturating_sub(need.position),
            Self::Nothing => 0,
        }
    }
}

/// Transactions that have not begun, in list scheduling.
struct Schedule<'a> {
    graph: &'a Graph,
    rule: Rule,
    /// For each transaction, the number of dependencies whose end is not known yet.
    unknown: Vec<usize>,
    /// Earliest start of each transaction, by the known ends.
    ready: Vec<u64>,
    /// Readers of each transaction.
    readers: Vec<Vec<(usize, Need)>>,
    /// Transactions with a known earliest start in the future, the earliest first.
    later: BinaryHeap<Reverse<(u64, usize)>>,
    /// Transactions that may begin now, the lowest first.
    available: BinaryHeap<Reverse<usize>>,
}

impl<'a> Schedule<'a> {
    fn new(graph: &'a Graph, rule: Rule) -> Self {
        let count = graph.costs.len();
        let mut readers = vec![Vec::new(); count];
        let mut unknown = vec![0; count];
        if rule != Rule::Nothing {
            for (reader, needs) in graph.needs.iter().enumerate() {
                unknown[reader] = needs.len();
                for need in needs {
                    readers[need.writer].push((reader, *need));
                }
            }
        }
        let first = (0..count).filter(|&index| unknown[index] == 0);
        let later = first.map(|index| Reverse((0, index))).collect();
        let (ready, available) = (vec![0; count], BinaryHeap::new());
        Self { graph, rule, unknown, ready, readers, later, available }
    }

    /// Returns the transaction that begins next on a worker that is idle from `now` on, and its
    /// start.
    fn next(&mut self, now: u64) -> Option<(u64, usize)> {
        let mut begins = now;
        loop {
            while let Some(&Reverse((ready, index))) = self.later.peek()
                && ready <= begins
            {
                self.later.pop();
                self.available.push(Reverse(index));
            }
            if let Some(Reverse(index)) = self.available.pop() {
                return Some((begins, index));
            }
            // Every transaction that has begun has a known end, so there is always one to wait for.
            begins = self.later.peek()?.0.0;
        }
    }

    /// Records that a transaction has begun and will end at `end`.
    fn began(&mut self, transaction: usize, end: u64) {
        debug_assert!(transaction < self.graph.costs.len());
        for (reader, need) in std::mem::take(&mut self.readers[transaction]) {
            self.ready[reader] = self.ready[reader].max(self.rule.begin(&need, end));
            self.unknown[reader] -= 1;
            if self.unknown[reader] == 0 {
                self.later.push(Reverse((self.ready[reader], reader)));
            }
        }
    }
}
