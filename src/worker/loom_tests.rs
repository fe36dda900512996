//! Whole tiny blocks: two workers, two transactions, the real [`work`], role, channels, protocol
//! and store, under every schedule with two preemptions.
//!
//! loom reports a lost wake-up as a deadlock. Run with
//! `RUSTFLAGS="--cfg braid_loom" cargo test --no-default-features --lib --release loom`.

use super::coordinator::give_up;
use super::machine::{Base, Effects, Ledger, Machine, TxError, Workload};
use super::shared::{BlockEnd, Shared};
use super::view::{Stop, View};
use super::{Context, work};
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{Entry, Location, ReadSet, Store};
use crate::protocol::{Failure, Halt, Limits, Plan, Policy, Protocol};
use crate::runtime::Threads;
use crate::sync::SeqCst;
use crate::sync::loom_model::explore;
use loom::sync::Arc;
use loom::thread;

const PREEMPTIONS: usize = 2;
/// Runs of one transaction before it waits for the frontier.
const CAP: u32 = 2;

/// The one location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Counter;

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

struct Zero;

impl Base<Counter> for Zero {
    type Error = ();

    fn read(&mut self, _: &Counter) -> Result<u32, ()> {
        Ok(0)
    }
}

/// What a transaction does with the counter. Its output is what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Adds one.
    Increment,
    /// Is rejected if it sees this.
    RejectOn(u32),
    /// Panics if it sees this.
    PanicOn(u32),
    /// Adds one when it commits, without a look.
    Tip,
    /// Looks once all tips below it are there.
    Look,
}

struct Tiny([Act; 2]);

struct TinyMachine<'a, X> {
    acts: [Act; 2],
    view: View<'a, Counter, Zero, X>,
}

impl<X: Context> Machine for TinyMachine<'_, X> {
    type Location = Counter;
    type Output = u32;
    type Rejection = ();
    type BaseError = ();

    fn begin(&mut self, tx: TxIndex) {
        self.view.begin(tx);
    }

    fn run(&mut self, tx: TxIndex) -> Result<Effects<Counter, u32>, ()> {
        let act = self.acts[tx.position()];
        if act == Act::Tip {
            return Ok(Effects { writes: Vec::new(), output: 0, cost: 1 });
        } else if act == Act::Look {
            self.view.wait_for_credits().map_err(|_| ())?;
        }
        let output = self.view.read(&Counter).map_err(|_| ())?;
        let writes = match act {
            Act::Increment => vec![(Counter, Entry::Value(output + 1))],
            Act::RejectOn(value) if value == output => return Err(()),
            // Unwinds without calling the panic hook, which would print for each execution.
            Act::PanicOn(value) if value == output => std::panic::resume_unwind(Box::new("toy")),
            Act::RejectOn(_) | Act::PanicOn(_) | Act::Tip | Act::Look => Vec::new(),
        };
        Ok(Effects { writes, output, cost: 1 })
    }

    fn end(&mut self) -> (ReadSet<Counter>, Option<Stop<()>>) {
        self.view.end()
    }
}

impl Workload for Tiny {
    type Location = Counter;
    type Output = u32;
    type Rejection = ();
    type BaseError = ();
    type Machine<'a, X: Context + 'a> = TinyMachine<'a, X>;

    /// Where the first one tips every commit does: the last one's tip is seen by nobody.
    fn credits(&self, _: &u32, mut credit: impl FnMut(Counter, u32)) {
        if self.0[0] == Act::Tip {
            credit(Counter, 1);
        }
    }

    fn machine<'a, X: Context + 'a>(
        &'a self,
        _: WorkerId,
        store: &'a Store<Counter>,
        context: &'a X,
    ) -> Result<TinyMachine<'a, X>, ()> {
        Ok(TinyMachine { acts: self.0, view: View::new(store, Zero, context) })
    }
}

/// The outcomes in order: what was seen, or nothing for a skip.
#[derive(Debug, Default)]
struct Outcomes(Vec<(TxIndex, Option<u32>)>);

impl Ledger for Outcomes {
    type Output = u32;
    type Rejection = ();

    fn admit(&mut self, _: TxIndex) -> Result<(), ()> {
        Ok(())
    }

    fn commit(&mut self, tx: TxIndex, output: u32) {
        self.0.push((tx, Some(output)));
    }

    fn skip(&mut self, tx: TxIndex, (): ()) {
        self.0.push((tx, None));
    }
}

type End = BlockEnd<Tiny, Outcomes>;

fn new_protocol(skip_rejected: bool) -> Protocol {
    let limits = Limits {
        window: 2,
        job_capacity: 1,
        max_speculative_runs: CAP,
        policy: Policy::ForceSpeculative,
        skip_rejected,
        shared_chunks: false,
        hands_over: None,
    };
    Protocol::new(limits, &Plan::singles(2))
}

/// Whether something has happened in at least one execution of a story.
#[derive(Debug)]
struct Sometimes(std::sync::atomic::AtomicBool);

impl Sometimes {
    const fn new() -> Self {
        Self(std::sync::atomic::AtomicBool::new(false))
    }

    fn note(&self, happened: bool) {
        self.0.fetch_or(happened, SeqCst);
    }

    fn has_happened(&self) -> bool {
        self.0.load(SeqCst)
    }
}

fn new_shared(acts: [Act; 2], protocol: Protocol) -> Shared<Tiny, Outcomes> {
    Shared::with_protocol(Tiny(acts), Outcomes::default(), Store::new(1), 1, protocol)
}

/// Runs a block on this thread and one other. `cancel`: a third one wants no more, at some point.
fn run(acts: [Act; 2], protocol: Protocol, cancel: bool) -> End {
    run_shared(new_shared(acts, protocol), cancel)
}

fn run_shared(shared: Shared<Tiny, Outcomes>, cancel: bool) -> End {
    let shared = Arc::new(shared);
    let other = thread::spawn({
        let shared = Arc::clone(&shared);
        move || work(&shared, WorkerId(1), &Threads::SLEEPY)
    });
    let caller = cancel.then(|| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || shared.cancel())
    });
    work(&shared, WorkerId(0), &Threads::SLEEPY);
    for thread in caller.into_iter().chain([other]) {
        thread.join().expect("no worker panics");
    }
    let end = Arc::try_unwrap(shared).expect("all workers have returned").into_end();
    assert_eq!(end.broken, None, "a rule was broken");
    assert!(end.counters.runs <= u64::from(2 * (CAP + 1)), "work is bounded (I9)");
    end
}

fn outcomes(end: &End) -> Vec<Option<u32>> {
    let in_order = end.ledger.0.iter().enumerate().all(|(at, (tx, _))| tx.position() == at);
    assert!(in_order, "I2: {:?}", end.ledger);
    assert_eq!(end.frontier.position(), end.ledger.0.len());
    end.ledger.0.iter().map(|(_, outcome)| *outcome).collect()
}

#[test]
fn loom_block_with_a_conflict_ends_as_in_order() {
    static DISCARD: Sometimes = Sometimes::new();
    static CLAIM: Sometimes = Sometimes::new();
    static SPECULATIVE: Sometimes = Sometimes::new();
    explore("conflict", PREEMPTIONS, 900, || {
        let end = run([Act::Increment; 2], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!(end.halt, None);
        DISCARD.note(end.counters.discarded > 0);
        CLAIM.note(end.counters.claims > 0);
        SPECULATIVE.note(end.counters.speculative_commits > 0);
    });
    assert!(DISCARD.has_happened(), "no run was overtaken");
    assert!(CLAIM.has_happened(), "no job was taken back");
    assert!(SPECULATIVE.has_happened(), "nothing ran above the frontier");
}

/// The seeded bug: post, try, and nobody looks again. See the next test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "deadlocks, as it should"]
fn loom_role_that_is_not_looked_at_again() {
    explore("role_not_looked_again", PREEMPTIONS, 1, || {
        let mutant = crate::protocol::Mutant::RoleNotLookedAgain;
        let end = run([Act::Increment; 2], new_protocol(false).with_mutant(mutant), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
    });
}

#[cfg(feature = "mutants")]
#[test]
fn loom_catches_a_role_that_is_not_looked_at_again() {
    crate::sync::loom_model::assert_fails_alone(
        "worker::loom_tests::loom_role_that_is_not_looked_at_again",
        "deadlock; threads",
    );
}

#[test]
fn loom_rejection_halts_with_a_job_in_flight() {
    explore("rejection", PREEMPTIONS, 390, || {
        let end = run([Act::RejectOn(0), Act::Increment], new_protocol(false), false);
        assert_eq!(outcomes(&end), []);
        assert_eq!(end.halt, Some(Halt::Failed(TxIndex(0), Failure::Rejected)));
        assert!(matches!(end.error, Some(TxError::Rejected(()))), "{:?}", end.error);
    });
}

#[test]
fn loom_skip_withdraws_before_the_frontier_moves() {
    explore("skip", PREEMPTIONS, 600, || {
        let end = run([Act::RejectOn(0), Act::Increment], new_protocol(true), false);
        assert_eq!(outcomes(&end), [None, Some(0)]);
        assert_eq!(end.halt, None);
    });
}

#[test]
fn loom_credit_is_there_before_the_frontier_moves() {
    static EARLY: Sometimes = Sometimes::new();
    explore("credit", PREEMPTIONS, 300, || {
        let end = run([Act::Tip, Act::Look], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        EARLY.note(end.counters.blocked > 0);
    });
    assert!(EARLY.has_happened(), "nobody had to wait for the credit");
}

/// The seeded bug. See the next test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "fails, as it should"]
fn loom_credit_after_the_frontier_moved() {
    explore("credit_after_the_frontier", PREEMPTIONS, 1, || {
        let mutant = super::mutants::WorkerMutant::FrontierBeforeCredit;
        let shared = new_shared([Act::Tip, Act::Look], new_protocol(false)).with_mutant(mutant);
        let end = run_shared(shared, false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
    });
}

#[cfg(feature = "mutants")]
#[test]
fn loom_catches_a_credit_after_the_frontier_moved() {
    crate::sync::loom_model::assert_fails_alone(
        "worker::loom_tests::loom_credit_after_the_frontier_moved",
        "a rule was broken",
    );
}

#[test]
fn loom_speculative_rejection_is_dropped() {
    explore("speculative_rejection", PREEMPTIONS, 650, || {
        let end = run([Act::Increment, Act::RejectOn(0)], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!(end.halt, None);
    });
}

#[test]
fn loom_cancellation_with_a_job_in_flight() {
    static ENDED_AT: [Sometimes; 3] = [const { Sometimes::new() }; 3];
    explore("cancellation", PREEMPTIONS, 30000, || {
        let end = run([Act::Increment; 2], new_protocol(false), true);
        let outcomes = outcomes(&end);
        assert_eq!(outcomes, [Some(0), Some(1)][..outcomes.len()]);
        // A block that was cancelled just before its last word may be complete.
        let is_complete = end.halt.is_none() && outcomes.len() == 2;
        assert!(is_complete || end.halt == Some(Halt::Cancelled), "{:?}", end.halt);
        ENDED_AT[outcomes.len()].note(true);
    });
    assert!(ENDED_AT.iter().all(Sometimes::has_happened), "{ENDED_AT:?}");
}

#[test]
fn loom_panic_with_a_job_in_flight() {
    explore("panic", PREEMPTIONS, 390, || {
        let end = run([Act::PanicOn(0), Act::Increment], new_protocol(false), false);
        assert_eq!(outcomes(&end), []);
        assert_eq!(end.halt, Some(Halt::Failed(TxIndex(0), Failure::Fatal)));
        assert!(matches!(end.error, Some(TxError::Panicked(_))), "{:?}", end.error);
    });
}

#[test]
fn loom_speculative_panic_is_dropped() {
    explore("speculative_panic", PREEMPTIONS, 650, || {
        let end = run([Act::Increment, Act::PanicOn(0)], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!(end.halt, None);
    });
}

/// The fault is a flag beside the lock, so here "post, try, look again" goes over two words.
/// That this takes the fences of `try_lock` and its guard is an argument and not seen here: a
/// try that fails always reads the newest state of the lock in loom.
#[test]
fn loom_lost_worker_ends_the_block() {
    static BROKEN: Sometimes = Sometimes::new();
    explore("lost_worker", PREEMPTIONS, 300, || {
        let shared = Arc::new(new_shared([Act::Increment; 2], new_protocol(false)));
        let lost = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                // A real panic would look to loom as if all its threads panicked.
                if let Some(message) = Threads::SLEEPY.recv(&shared.jobs) {
                    let _ = shared.claim(message.job);
                    give_up(&shared, Invariant::WorkersGone);
                }
            }
        });
        work(&shared, WorkerId(0), &Threads::SLEEPY);
        lost.join().expect("no worker panics");
        let end = Arc::try_unwrap(shared).expect("all workers have returned").into_end();
        let committed = outcomes(&end);
        assert!(committed.len() == 2 || end.broken == Some(Invariant::WorkersGone));
        BROKEN.note(end.broken.is_some());
    });
    assert!(BROKEN.has_happened(), "the lost job never mattered");
}
