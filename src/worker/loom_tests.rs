//! loom tests of whole blocks: two workers, two transactions, the real [`work`], coordinator,
//! channels, protocol and store, under every schedule with two preemptions.
//!
//! loom reports a lost wake-up as a deadlock. Run with
//! `RUSTFLAGS="--cfg braid_loom" cargo test --no-default-features --lib --release loom`.

use super::coordinate::fail_block;
use super::loom_hasty::run_helping;
use super::loom_machine::{Act, PREEMPTIONS, Sometimes, new_protocol, new_shared, outcomes, run};
use super::stop::NoResult;
use super::{Context, work};
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
#[cfg(feature = "mutants")]
use crate::mutants::{Bug, seed};
use crate::protocol::{Failure, Halt};
use crate::runtime::Threads;
use crate::sync::loom_model::explore;
use loom::sync::Arc;
use loom::thread;

#[test]
fn loom_block_with_a_conflict_ends_as_in_order() {
    static DISCARD: Sometimes = Sometimes::new();
    static CLAIM: Sometimes = Sometimes::new();
    static SPECULATIVE: Sometimes = Sometimes::new();
    explore("conflict", PREEMPTIONS, 900, || {
        let end = run([Act::Increment; 2], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!(end.halt, None);
        DISCARD.note(end.counters.aborts > 0);
        CLAIM.note(end.counters.claims > 0);
        SPECULATIVE.note(end.counters.speculative_commits > 0);
    });
    assert!(DISCARD.has_happened(), "no run was overtaken");
    assert!(CLAIM.has_happened(), "no job was taken back");
    assert!(SPECULATIVE.has_happened(), "nothing ran above the frontier");
}

/// Seeded bug: the holder of the lock does not check for reports after releasing it. See the next
/// test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "deadlocks, as it should"]
fn loom_lock_that_is_not_looked_at_again() {
    let _bug = seed(Bug::CoordinatorNotLookedAgain);
    explore("lock_not_looked_again", PREEMPTIONS, 1, || {
        let end = run([Act::Increment; 2], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
    });
}

#[cfg(feature = "mutants")]
#[test]
fn loom_catches_a_coordinator_that_is_not_looked_at_again() {
    crate::sync::loom_model::assert_fails_alone(
        "worker::loom_tests::loom_lock_that_is_not_looked_at_again",
        "deadlock; threads",
    );
}

#[test]
fn loom_rejection_halts_with_a_job_in_flight() {
    explore("rejection", PREEMPTIONS, 390, || {
        let end = run([Act::RejectOn(0), Act::Increment], new_protocol(false), false);
        assert_eq!(outcomes(&end), []);
        assert_eq!(end.halt, Some(Halt::Failed(TxIndex(0), Failure::Rejected)));
        assert!(matches!(end.error, Some(NoResult::Rejected(()))), "{:?}", end.error);
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
        let end = run([Act::Tip, Act::ReadCredits], new_protocol(false), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        EARLY.note(end.counters.blocked > 0);
    });
    assert!(EARLY.has_happened(), "no run had to wait for the credit");
}

/// Seeded bug: see the next test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "fails, as it should"]
fn loom_credit_after_the_frontier_moved() {
    let _bug = seed(Bug::CreditAfterFrontier);
    explore("credit_after_the_frontier", PREEMPTIONS, 1, || {
        let end = run([Act::Tip, Act::ReadCredits], new_protocol(false), false);
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
        // A block that was cancelled just before its end may be complete.
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
        assert!(matches!(end.error, Some(NoResult::Panicked(_))), "{:?}", end.error);
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

/// The fault is a flag outside the lock, so posting it and trying the lock use two atomics. loom
/// cannot check that this requires the fences of `try_lock` and its guard: in loom, a failed
/// `try_lock` always reads the newest state of the lock.
#[test]
fn loom_lost_worker_ends_the_block() {
    static BROKEN: Sometimes = Sometimes::new();
    explore("lost_worker", PREEMPTIONS, 300, || {
        let shared = Arc::new(new_shared([Act::Increment; 2], new_protocol(false)));
        let lost = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                // In loom, a real panic would appear as a panic of all threads.
                if let Some(message) = Threads::BLOCKING.recv(&shared.jobs) {
                    let _ = shared.claim(message.job);
                    fail_block(&shared, Invariant::WorkersGone);
                }
            }
        });
        work(&shared, WorkerId(0), &Threads::BLOCKING);
        lost.join().expect("no worker panics");
        let end = shared.end().expect("taken once");
        let committed = outcomes(&end);
        assert!(committed.len() == 2 || end.broken == Some(Invariant::WorkersGone));
        BROKEN.note(end.broken.is_some());
    });
    assert!(BROKEN.has_happened(), "the lost job never mattered");
}

#[test]
fn loom_frontier_that_two_workers_run_is_committed_once() {
    static HELPED: Sometimes = Sometimes::new();
    static LATE: Sometimes = Sometimes::new();
    explore("helping", PREEMPTIONS, 900, || {
        let end = run_helping(new_shared([Act::Increment; 2], new_protocol(false)));
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!(end.halt, None);
        HELPED.note(end.counters.helped_transactions > 0);
        LATE.note(end.counters.helped_transactions == 0);
    });
    assert!(HELPED.has_happened(), "no job was taken over");
    assert!(LATE.has_happened(), "the first worker never came before");
}
