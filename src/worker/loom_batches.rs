//! loom tests of blocks with private batches: two workers, the real [`work`](super::work),
//! coordinator, channels, protocol and store, under every schedule with two preemptions. Run them
//! like `loom_tests`.

use super::loom_hasty::run_helping;
use super::loom_machine::{
    Act, End, PREEMPTIONS, Sometimes, new_shared, outcomes, protocol_of, run, run_shared,
};
use super::shared::Shared;
use crate::ids::{Chunk, TxIndex};
#[cfg(feature = "mutants")]
use crate::mutants::{Bug, seed};
use crate::protocol::{Chunks, Halt, Jobs, Plan, Protocol};
use crate::sync::loom_model::explore;

/// Returns a plan with each transaction in its own private batch.
fn plan() -> Plan {
    let batch = |tx| Chunk { first: TxIndex(tx), end: TxIndex(tx + 1) };
    Jobs::Batches(vec![batch(0), batch(1)]).into()
}

fn two_batches(skip_rejected: bool) -> Protocol {
    protocol_of(&plan(), skip_rejected)
}

/// Only reads in these tests: no transaction reads 9.
const READ: Act = Act::RejectOn(9);

fn committed_to(end: &End, expected: &[Option<u32>]) {
    assert_eq!(outcomes(end), expected);
    assert_eq!(end.halt, None);
}

/// The second batch conflicts with the first one, so the segment ends between them. The second
/// transaction then runs in another segment, on the writes of the first one.
#[test]
fn loom_batches_with_a_conflict_end_as_in_order() {
    static CLAIM: Sometimes = Sometimes::new();
    explore("batches_conflict", PREEMPTIONS, 300, || {
        let end = run([Act::Increment; 2], two_batches(false), false);
        assert_eq!((outcomes(&end), end.halt), (vec![Some(0)], Some(Halt::Fallback)));
        assert_eq!(end.counters.aborts, 1);
        CLAIM.note(end.counters.claims > 0);
        let rest = Chunk { first: TxIndex(1), end: TxIndex(2) };
        let plan = Chunks { ranges: vec![rest], ..Chunks::default() }.into();
        let End { workload, ledger, store, .. } = end;
        ledger.publish(&store);
        let protocol = protocol_of(&plan, false);
        let shared = Shared::with_protocol(workload, ledger, store, 1, protocol);
        committed_to(&run_shared(shared, false), &[Some(0), Some(1)]);
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
        assert_eq!((outcomes(&end), end.halt), (vec![], Some(Halt::Fallback)));
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

/// The idle caller also runs the batch of the other worker. One of them reports it.
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
