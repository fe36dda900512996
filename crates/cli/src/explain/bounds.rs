//! How fast a block could run: the four bounds, from one recorded sequential run.
//!
//! All of them are pure arithmetic over costs (gas or nanoseconds) and over which transaction needs which earlier one.

use super::{location::Location, record::Recording, what_if::WhatIf};
use core::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// What a transaction costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// Gas used.
    #[default]
    Gas,
    /// Nanoseconds measured.
    Time,
}

/// For what a transaction waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// To begin, for the end of all that it needs.
    Whole,
    /// At its first read of something that an earlier one writes, for the end of that one.
    LateRead,
    /// No wait at all, as where the block comes with its access list.
    Nothing,
}

/// A transaction reads what an earlier one has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Index of the last transaction before it that has written the location.
    pub writer: usize,
    /// Where.
    pub location: Location,
    /// Cost of the reader up to its first look there.
    pub position: u64,
}

/// Which transaction needs which, and what each one costs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    costs: Vec<u64>,
    needs: Vec<Vec<Need>>,
}

/// A transaction on the critical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index.
    pub transaction: usize,
    /// What it waited for, of the transaction before it on the path; empty for the first one.
    pub waited_for: Vec<Location>,
}

/// The four bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Cost of all transactions.
    pub work: u64,
    /// Cost of the most expensive one.
    pub longest: u64,
    /// The longest chain of transactions that need each other and run one after the other, whole.
    pub chain: u64,
    /// The same if each waits only at its first read of what an earlier one writes.
    pub late_read: u64,
    /// What is left on a number of workers.
    pub workers: Vec<OnWorkers>,
}

/// Cost from start to end on a number of workers that take the lowest transaction that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnWorkers {
    /// Workers.
    pub workers: usize,
    /// With [`Rule::Whole`].
    pub chain: u64,
    /// With [`Rule::LateRead`].
    pub late_read: u64,
    /// With [`Rule::Nothing`].
    pub no_conflicts: u64,
}

/// How many times faster than `work` something is that costs `span`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub fn ratio(work: u64, span: u64) -> f64 {
    if span == 0 { 1.0 } else { work as f64 / span as f64 }
}

impl Graph {
    /// Who needs whom in `recording`, as `what_if` changes it.
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
    /// If it needs itself or a later one.
    pub fn push(&mut self, cost: u64, needs: Vec<Need>) {
        assert!(needs.iter().all(|need| need.writer < self.costs.len()), "needs point back");
        self.costs.push(cost);
        self.needs.push(needs);
    }

    /// Cost of each transaction.
    #[must_use]
    pub fn costs(&self) -> &[u64] {
        &self.costs
    }

    /// What each transaction needs.
    #[must_use]
    pub fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }

    /// All four bounds, the last one for each number of `workers`.
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

    /// Cost of all transactions.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.costs.iter().sum()
    }

    /// Cost from start to end on any number of workers.
    #[must_use]
    pub fn chain(&self, rule: Rule) -> u64 {
        self.ends(rule).into_iter().max().unwrap_or_default()
    }

    /// When each transaction ends if each begins as soon as `rule` lets it.
    #[must_use]
    pub fn ends(&self, rule: Rule) -> Vec<u64> {
        let mut ends: Vec<u64> = Vec::with_capacity(self.costs.len());
        for (cost, needs) in self.costs.iter().zip(&self.needs) {
            let begins = needs.iter().map(|need| rule.begin(need, ends[need.writer])).max();
            ends.push(begins.unwrap_or_default() + cost);
        }
        ends
    }

    /// The longest chain of transactions that need each other, whole.
    ///
    /// Of several that are as long it is the one that ends first; of several transactions that a step waits for
    /// as long it is the last one.
    #[must_use]
    pub fn critical_path(&self) -> Vec<Step> {
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

    /// Cost from start to end on `workers` workers: list scheduling. Each worker that has nothing to do takes the
    /// lowest transaction that may begin.
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
    /// When a reader may begin for the sake of one need, whose writer ends at `end`.
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
    /// Needs of each transaction whose end is not known yet.
    unknown: Vec<usize>,
    /// When each transaction may begin, by the ends that are known.
    ready: Vec<u64>,
    /// Readers of each transaction.
    readers: Vec<Vec<(usize, Need)>>,
    /// Transactions that may begin at a known time, earliest first.
    later: BinaryHeap<Reverse<(u64, usize)>>,
    /// Transactions that may begin now, lowest first.
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

    /// The transaction that begins next on a worker that is free from `now` on, and when.
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
            // All that has begun has an end, so that something is always left to wait for.
            begins = self.later.peek()?.0.0;
        }
    }

    /// A transaction has begun and will end at `end`.
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
