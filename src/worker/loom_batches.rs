//! Tiny blocks with private batches: two workers, the real [`work`](super::work), coordinator,
//! channels, protocol and store, under every schedule with two preemptions. Run as `loom_tests`.

use super::loom_hasty::run_helping;
use super::loom_machine::{
    Act, End, LIMITS, PREEMPTIONS, Sometimes, new_shared, outcomes, protocol_of, run, run_shared,
};
use super::machine::TxError;
use super::shared::Shared;
use crate::ids::{Chunk, TxIndex};
#[cfg(feature = "mutants")]
use crate::mutants::{Bug, seed};
use crate::protocol::{Failure, Halt, Limits, Plan, Protocol};
use crate::sync::loom_model::explore;

/// Each transaction is in a private batch of its own.
fn plan() -> Plan {
    let batch = |tx| Chunk { first: TxIndex(tx), end: TxIndex(tx + 1) };
    Plan { private: vec![batch(0), batch(1)], ..Plan::default() }
}

fn two_batches(skip_rejected: bool) -> Protocol {
    protocol_of(&plan(), skip_rejected)
}

/// Reads, and has no other effect in these stories.
const READ: Act = Act::RejectOn(9);

fn committed_to(end: &End, expected: &[Option<u32>]) {
    assert_eq!(outcomes(end), expected);
    assert_eq!(end.halt, None);
}

/// The second batch conflicts with the first one, so the segment ends between them. The second
/// transaction then runs sequentially, on the writes of the first one.
#[test]
fn loom_batches_with_a_conflict_end_as_in_order() {
    static CLAIM: Sometimes = Sometimes::new();
    explore("batches_conflict", PREEMPTIONS, 300, || {
        let end = run([Act::Increment; 2], two_batches(false), false);
        assert_eq!((outcomes(&end), end.halt), (vec![Some(0)], Some(Halt::HandedOver)));
        assert_eq!(end.counters.aborts, 1);
        CLAIM.note(end.counters.claims > 0);
        let rest = Chunk { first: TxIndex(1), end: TxIndex(2) };
        let (first, private) = (rest.first, vec![rest]);
        let plan = Plan { first, private, continues: true, ..Plan::default() };
        let End { workload, ledger, store, .. } = end;
        let carry = Some(ledger.carry());
        let shared = Shared::with_protocol(workload, ledger, store, 1, in_order(&plan));
        committed_to(&run_shared(shared.carrying(carry), false), &[Some(0), Some(1)]);
    });
    assert!(CLAIM.has_happened(), "no batch was taken back from the channel");
}

#[test]
fn loom_batches_that_do_not_meet_commit_what_ran_ahead() {
    static SPECULATIVE: Sometimes = Sometimes::new();
    static CLAIM: Sometimes = Sometimes::new();
    explore("batches_apart", PREEMPTIONS, 300, || {
        let end = run([READ, Act::Increment], two_batches(false), false);
        committed_to(&end, &[Some(0), Some(0)]);
        assert_eq!(end.counters.aborts, 0, "they have nothing in common");
        SPECULATIVE.note(end.counters.speculative_commits > 0);
        CLAIM.note(end.counters.claims > 0);
    });
    assert!(SPECULATIVE.has_happened(), "nothing ran above the frontier");
    assert!(CLAIM.has_happened(), "no batch was taken back from the channel");
}

#[test]
fn loom_batch_ends_while_the_block_halts() {
    explore("batch_halt", PREEMPTIONS, 300, || {
        let end = run([Act::RejectOn(0), Act::Increment], two_batches(false), false);
        assert_eq!((outcomes(&end), end.halt), (vec![], Some(Halt::HandedOver)));
    });
}

#[test]
fn loom_batch_ends_while_the_block_is_cancelled() {
    static ENDED_AT: [Sometimes; 3] = [const { Sometimes::new() }; 3];
    explore("batch_cancellation", PREEMPTIONS, 10_000, || {
        let end = run([READ, Act::Increment], two_batches(false), true);
        let outcomes = outcomes(&end);
        assert_eq!(outcomes, [Some(0), Some(0)][..outcomes.len()]);
        let is_complete = end.halt.is_none() && outcomes.len() == 2;
        assert!(is_complete || end.halt == Some(Halt::Cancelled), "{:?}", end.halt);
        ENDED_AT[outcomes.len()].note(true);
    });
    assert!(ENDED_AT.iter().all(Sometimes::has_happened), "{ENDED_AT:?}");
}

/// Returns a sequential protocol that reports after each transaction.
fn in_order(plan: &Plan) -> Protocol {
    Protocol::new(Limits { is_sequential: true, stride: 1, ..LIMITS }, plan)
}

/// Returns a plan with both transactions in one batch.
fn one_batch() -> Plan {
    let all = Chunk { first: TxIndex(0), end: TxIndex(2) };
    Plan { private: vec![all], ..Plan::default() }
}

#[test]
fn loom_runs_in_order_go_on_from_each_other() {
    explore("in_order", PREEMPTIONS, 100, || {
        let end = run([Act::Increment; 2], in_order(&one_batch()), false);
        committed_to(&end, &[Some(0), Some(1)]);
        assert_eq!(end.published, TxIndex(0), "only the second run needs the first");
        assert!(end.carry.is_some(), "a run may go on from the second");
    });
}

#[test]
fn loom_run_in_order_ends_while_the_block_is_cancelled() {
    static ENDED_AT: [Sometimes; 3] = [const { Sometimes::new() }; 3];
    explore("in_order_cancellation", PREEMPTIONS, 1_000, || {
        let end = run([Act::Increment; 2], in_order(&one_batch()), true);
        let outcomes = outcomes(&end);
        assert_eq!(outcomes, [Some(0), Some(1)][..outcomes.len()]);
        ENDED_AT[outcomes.len()].note(true);
    });
    assert!(ENDED_AT.iter().all(Sometimes::has_happened), "{ENDED_AT:?}");
}

#[test]
fn loom_error_in_order_ends_the_block() {
    explore("in_order_error", PREEMPTIONS, 100, || {
        let end = run([Act::Increment, Act::RejectOn(1)], in_order(&one_batch()), false);
        assert_eq!(outcomes(&end), [Some(0)]);
        assert_eq!(end.halt, Some(Halt::Failed(TxIndex(1), Failure::Rejected)));
        assert!(matches!(end.error, Some(TxError::Rejected(()))), "{:?}", end.error);
    });
}

/// The caller also runs the batch of the other worker as soon as it is idle; one of them reports
/// it.
#[test]
fn loom_batch_is_run_by_two_and_reported_once() {
    static SECOND: Sometimes = Sometimes::new();
    static FIRST: Sometimes = Sometimes::new();
    explore("batches_helped", PREEMPTIONS, 300, || {
        let end = run_helping(new_shared([READ, Act::Increment], two_batches(false)));
        committed_to(&end, &[Some(0), Some(0)]);
        SECOND.note(end.counters.helped_batches > 0);
        FIRST.note(end.counters.helped_batches == 0);
    });
    assert!(SECOND.has_happened(), "the caller was never the first to end");
    assert!(FIRST.has_happened(), "the worker was never the first to end");
}

/// Seeded bug: see the next test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "fails, as it should"]
fn loom_batch_that_was_taken_back_is_helped() {
    let _bug = seed(Bug::TakenBackHelped);
    explore("taken_back_helped", PREEMPTIONS, 1, || {
        run_helping(new_shared([READ, Act::Increment], two_batches(false)));
    });
}

#[cfg(feature = "mutants")]
#[test]
fn loom_catches_a_batch_that_was_taken_back_and_is_helped() {
    crate::sync::loom_model::assert_fails_alone(
        "worker::loom_batches::loom_batch_that_was_taken_back_is_helped",
        "a rule was broken",
    );
}
