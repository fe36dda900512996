//! Blocks for loom tests: one counter, two transactions, published or in private batches.

use super::loom_list::TinyList;
use super::machine::{
    Base, BatchMachine, BatchStart, Effects, Ledger, Machine, RanBatch, Workload,
};
use super::shared::{BlockEnd, Shared};
use super::stop::{NoResult, Stop};
use super::view::View;
use super::{CancellationToken, Context, work};
use crate::ids::{Chunk, Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Entry, Location, ReadSet, Store};
use crate::protocol::{Limits, Plan, Protocol};
use crate::runtime::Threads;
use crate::sync::SeqCst;
use loom::sync::Arc;
use loom::thread;

pub(super) const PREEMPTIONS: usize = 2;
/// Maximum number of executions of a transaction before it waits for the frontier.
pub(super) const CAP: u32 = 2;

/// The only location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Counter;

impl Location for Counter {
    type Value = u32;
    type Delta = u32;

    fn scope(&self) -> Option<Self> {
        None
    }

    fn is_scope(&self) -> bool {
        false
    }

    fn destroyed(&self) -> u32 {
        0
    }

    fn fold(value: &mut u32, delta: &u32) {
        *value += delta;
    }
}

/// The base value of the counter: before the block, or below a transaction according to a list.
pub(super) struct TinyBase(u32);

impl Base<Counter> for TinyBase {
    type Error = ();

    fn read(&mut self, _: &Counter) -> Result<u32, ()> {
        Ok(self.0)
    }
}

/// The action of a transaction on the counter. Its output is the value that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Adds one.
    Increment,
    /// Is rejected if it reads this value.
    RejectOn(u32),
    /// Panics if it reads this value.
    PanicOn(u32),
    /// Adds one when it commits, without a read.
    Tip,
    /// Reads the counter once all tips below are published.
    ReadCredits,
}

pub(super) struct TinyBlock {
    pub(super) acts: [Act; 2],
    /// The list that private batches read: the counter after each transaction.
    pub(super) list: Option<TinyList>,
}

pub(super) struct TinyMachine<'a, X> {
    acts: [Act; 2],
    view: View<'a, Counter, TinyBase, &'a X>,
}

impl<X: Context> Machine for TinyMachine<'_, X> {
    type Location = Counter;
    type Output = u32;
    type Rejection = ();
    type BaseError = ();

    fn begin(&mut self, tx: TxIndex) {
        self.view.begin(tx);
    }

    fn begin_second(&mut self, tx: TxIndex) {
        self.view.begin_second(tx);
    }

    fn run(&mut self, tx: TxIndex) -> Result<Effects<Counter, u32>, ()> {
        run_over(self.acts[tx.position()], &mut self.view)
    }

    fn end(&mut self) -> (ReadSet<Counter>, Option<Stop<()>>) {
        self.view.end()
    }
}

/// Performs `act` on the state of `view`.
fn run_over<X: Context>(
    act: Act,
    view: &mut View<'_, Counter, TinyBase, &X>,
) -> Result<Effects<Counter, u32>, ()> {
    if act == Act::Tip {
        return Ok(Effects { writes: Vec::new(), output: 0, cost: 1 });
    } else if act == Act::ReadCredits {
        view.wait_for_credits().map_err(|_| ())?;
    }
    let output = view.read(&Counter).map_err(|_| ())?;
    let writes = match act {
        Act::Increment => vec![(Counter, Entry::Value(output + 1))],
        Act::RejectOn(value) if value == output => return Err(()),
        // Unwinds without the panic hook, which would print for each execution.
        Act::PanicOn(value) if value == output => std::panic::resume_unwind(Box::new("toy")),
        Act::RejectOn(_) | Act::PanicOn(_) | Act::Tip | Act::ReadCredits => Vec::new(),
    };
    Ok(Effects { writes, output, cost: 1 })
}

/// Result of a transaction in a private batch: its output and its writes.
type TinyGroup = (u32, TinyWrites);

type TinyWrites = Vec<(Counter, Entry<Counter>)>;

pub(super) struct TinyBatches<'a, X> {
    workload: &'a TinyBlock,
    view: View<'a, Counter, TinyBase, &'a X>,
    groups: Vec<(Chunk, TinyGroup)>,
}

impl<X: Context> BatchMachine for TinyBatches<'_, X> {
    type Location = Counter;
    type Group = TinyGroup;
    type Rejection = ();
    type BaseError = ();

    fn begin(&mut self, start: BatchStart<Counter>) {
        self.groups.clear();
        let BatchStart { txs, mut snapshot, mut log, is_second } = start;
        if self.workload.list.is_some() {
            (snapshot, log) = (TxIndex(0), log.of_writes());
        }
        self.view.begin_batch(txs.first, snapshot, Some(log), is_second);
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), NoResult<(), ()>> {
        let list = self.workload.list.as_ref();
        if list.is_some_and(|list| list.is_beyond_wrong(tx)) {
            return Err(NoResult::TOO_EARLY);
        }
        self.view.base_mut().0 = list.map_or(0, |list| list.below(tx));
        self.view.begin(tx);
        let ran = run_over(self.workload.acts[tx.position()], &mut self.view);
        let (_, stop) = self.view.end();
        if let (Some(list), Ok(ran)) = (list, &ran)
            && list.differs(tx, &ran.writes)
        {
            return Err(NoResult::TOO_EARLY);
        }
        let (Ok(Effects { writes, output, .. }), None) = (ran, stop) else {
            return Err(NoResult::Rejected(()));
        };
        self.view.keep(tx, &writes);
        let txs = Chunk { first: tx, end: tx.next() };
        if let Some(log) = self.view.log_mut() {
            log.end_group(txs);
        }
        self.groups.push((txs, (output, writes)));
        Ok(())
    }

    fn end(&mut self) -> RanBatch<Counter, TinyGroup> {
        let groups = core::mem::take(&mut self.groups);
        RanBatch { groups, log: self.view.end_batch() }
    }
}

impl Workload for TinyBlock {
    type Location = Counter;
    type Output = u32;
    type Rejection = ();
    type BaseError = ();
    type Machine<'a, X: Context + 'a> = TinyMachine<'a, X>;
    type Group = TinyGroup;
    type Batches<'a, X: Context + 'a> = TinyBatches<'a, X>;

    /// If the first transaction tips, every commit does: no transaction reads the last one's tip.
    fn credits(&self, _: &u32, mut credit: impl FnMut(Counter, u32)) {
        if self.acts[0] == Act::Tip {
            credit(Counter, 1);
        }
    }

    fn machine<'a, X: Context + 'a>(
        &'a self,
        _: WorkerId,
        store: &'a Store<Counter>,
        context: &'a X,
    ) -> Result<TinyMachine<'a, X>, ()> {
        Ok(TinyMachine { acts: self.acts, view: View::new(store, TinyBase(0), context) })
    }

    fn batches<'a, X: Context + 'a>(
        &'a self,
        _: WorkerId,
        store: &'a Store<Counter>,
        context: &'a X,
    ) -> Result<TinyBatches<'a, X>, ()> {
        let view = View::of_prefix(store, TinyBase(0), context);
        Ok(TinyBatches { workload: self, view, groups: Vec::new() })
    }
}

/// The outcomes, in block order: the value read, or `None` for a skip.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Outcomes, each with its transaction.
    outcomes: Vec<(TxIndex, Option<u32>)>,
    /// Writes of committed groups.
    writes: Vec<(TxIndex, TinyWrites)>,
}

impl Ledger for Outcomes {
    type Output = u32;
    type Rejection = ();
    type Group = TinyGroup;

    fn admit(&mut self, _: TxIndex) -> Result<(), ()> {
        Ok(())
    }

    fn commit(&mut self, tx: TxIndex, output: u32) {
        self.outcomes.push((tx, Some(output)));
    }

    fn skip(&mut self, tx: TxIndex, (): ()) {
        self.outcomes.push((tx, None));
    }

    fn is_unprofitable(&self) -> bool {
        false
    }

    fn admits(&mut self, _: Chunk, _: &TinyGroup) -> bool {
        true
    }

    fn commit_group(&mut self, txs: Chunk, (output, writes): TinyGroup) {
        self.commit(txs.first, output);
        self.writes.push((txs.first, writes));
    }
}

impl Outcomes {
    /// Puts the writes of the committed groups into `store`, for the next segment.
    pub(super) fn publish(&self, store: &Store<Counter>) {
        for (tx, writes) in &self.writes {
            let version = Version { tx: *tx, incarnation: Incarnation(0) };
            for (location, entry) in writes {
                store.publish(version, location, entry.clone(), &mut Vec::new());
            }
        }
    }
}

pub(super) type End = BlockEnd<TinyBlock, Outcomes>;

pub(super) fn new_protocol(skip_rejected: bool) -> Protocol {
    protocol_of(&Plan::singles(2), skip_rejected)
}

/// Returns the protocol of a block that is divided by `plan`.
pub(super) fn protocol_of(plan: &Plan, skip_rejected: bool) -> Protocol {
    Protocol::new(Limits { skip_rejected, ..LIMITS }, plan)
}

/// Limits for two workers.
pub(super) const LIMITS: Limits = Limits {
    window: 2,
    job_capacity: 1,
    max_speculative_runs: CAP,
    skip_rejected: false,
    shared_chunks: false,
    fallback: None,
};

/// Records whether an event happened in at least one execution of a test.
#[derive(Debug)]
pub(super) struct Sometimes(std::sync::atomic::AtomicBool);

impl Sometimes {
    pub(super) const fn new() -> Self {
        Self(std::sync::atomic::AtomicBool::new(false))
    }

    pub(super) fn note(&self, happened: bool) {
        self.0.fetch_or(happened, SeqCst);
    }

    pub(super) fn has_happened(&self) -> bool {
        self.0.load(SeqCst)
    }
}

pub(super) fn new_shared(acts: [Act; 2], protocol: Protocol) -> Shared<TinyBlock, Outcomes> {
    Shared::with_protocol(
        TinyBlock { acts, list: None },
        Outcomes::default(),
        Store::new(1),
        1,
        protocol,
    )
}

/// Runs a block on this thread and another one. With `cancel`, a third thread cancels the block at
/// any point.
pub(super) fn run(acts: [Act; 2], protocol: Protocol, cancel: bool) -> End {
    run_shared(new_shared(acts, protocol), cancel)
}

pub(super) fn run_shared(shared: Shared<TinyBlock, Outcomes>, cancel: bool) -> End {
    let token = CancellationToken::new();
    let shared = Arc::new(shared.with_token(cancel.then(|| token.clone())));
    let other = thread::spawn({
        let shared = Arc::clone(&shared);
        move || work(&shared, WorkerId(1), &Threads::BLOCKING)
    });
    let caller = cancel.then(|| thread::spawn(move || token.cancel()));
    work(&shared, WorkerId(0), &Threads::BLOCKING);
    for thread in caller.into_iter().chain([other]) {
        thread.join().expect("no worker panics");
    }
    let end = shared.end().expect("taken once");
    assert_eq!(end.broken, None, "a rule was broken");
    assert!(end.counters.runs <= u64::from(2 * (CAP + 1)), "work is bounded (I9)");
    end
}

pub(super) fn outcomes(end: &End) -> Vec<Option<u32>> {
    let in_order = end.ledger.outcomes.iter().enumerate().all(|(at, (tx, _))| tx.position() == at);
    assert!(in_order, "I2: {:?}", end.ledger);
    assert_eq!(end.frontier.position(), end.ledger.outcomes.len());
    end.ledger.outcomes.iter().map(|(_, outcome)| *outcome).collect()
}
