//! Tiny blocks with private batches: two workers, the real [`work`](super::work), role, channels, protocol and store,
//! under every schedule with two preemptions. Run as `loom_tests`.

use super::loom_machine::{Act, End, PREEMPTIONS, Sometimes, outcomes, protocol_of, run};
use super::machine::TxError;
use crate::ids::{Chunk, TxIndex};
use crate::protocol::{Batch, Failure, Halt, Plan, Protocol};
use crate::sync::loom_model::explore;

/// Each transaction published or in a private batch of its own.
fn plan(is_private: [bool; 2]) -> Plan {
    let mut plan = Plan::default();
    for (tx, is_private) in (0..).zip(is_private) {
        let chunk = Chunk { first: TxIndex(tx), end: TxIndex(tx + 1) };
        if is_private {
            plan.private.push(Batch::Range(chunk));
        } else {
            plan.chunks.push(chunk);
        }
    }
    plan
}

fn two_batches(skip_rejected: bool) -> Protocol {
    protocol_of(&plan([true; 2]), skip_rejected)
}

/// Reads, and neither writes nor ends otherwise.
const READ: Act = Act::RejectOn(9);

fn committed_to(end: &End, expected: &[Option<u32>]) {
    assert_eq!(outcomes(end), expected);
    assert_eq!(end.halt, None);
}

#[test]
fn loom_batches_with_a_conflict_end_as_in_order() {
    static DISCARD: Sometimes = Sometimes::new();
    static CLAIM: Sometimes = Sometimes::new();
    explore("batches_conflict", PREEMPTIONS, 300, || {
        let end = run([Act::Increment; 2], two_batches(false), false);
        committed_to(&end, &[Some(0), Some(1)]);
        DISCARD.note(end.counters.discarded > 0);
        CLAIM.note(end.counters.claims > 0);
    });
    assert!(DISCARD.has_happened(), "no batch met a conflict");
    assert!(CLAIM.has_happened(), "no batch was taken back from the channel");
}

#[test]
fn loom_batches_that_do_not_meet_commit_what_ran_ahead() {
    static SPECULATIVE: Sometimes = Sometimes::new();
    static CLAIM: Sometimes = Sometimes::new();
    explore("batches_apart", PREEMPTIONS, 300, || {
        let end = run([READ, Act::Increment], two_batches(false), false);
        committed_to(&end, &[Some(0), Some(0)]);
        assert_eq!(end.counters.discarded, 0, "they have nothing in common");
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
        assert_eq!(outcomes(&end), []);
        assert_eq!(end.halt, Some(Halt::Failed(TxIndex(0), Failure::Rejected)));
        assert!(matches!(end.error, Some(TxError::Rejected(()))), "{:?}", end.error);
    });
}

#[test]
fn loom_batch_ends_while_the_block_is_cancelled() {
    static ENDED_AT: [Sometimes; 3] = [const { Sometimes::new() }; 3];
    explore("batch_cancellation", PREEMPTIONS, 10_000, || {
        let end = run([Act::Increment; 2], two_batches(false), true);
        let outcomes = outcomes(&end);
        assert_eq!(outcomes, [Some(0), Some(1)][..outcomes.len()]);
        let is_complete = end.halt.is_none() && outcomes.len() == 2;
        assert!(is_complete || end.halt == Some(Halt::Cancelled), "{:?}", end.halt);
        ENDED_AT[outcomes.len()].note(true);
    });
    assert!(ENDED_AT.iter().all(Sometimes::has_happened), "{ENDED_AT:?}");
}

#[test]
fn loom_batch_leaves_out_what_is_rejected_at_the_frontier() {
    explore("batch_skip", PREEMPTIONS, 300, || {
        let end = run([Act::RejectOn(0), Act::PanicOn(1)], two_batches(true), false);
        committed_to(&end, &[None, Some(0)]);
    });
}

/// The published transaction may have read before the batch below it committed.
#[test]
fn loom_published_reader_above_a_batch() {
    static DISCARD: Sometimes = Sometimes::new();
    static SPECULATIVE: Sometimes = Sometimes::new();
    explore("reader_above_a_batch", PREEMPTIONS, 300, || {
        let protocol = protocol_of(&plan([true, false]), false);
        let end = run([Act::Increment; 2], protocol, false);
        committed_to(&end, &[Some(0), Some(1)]);
        DISCARD.note(end.counters.discarded > 0);
        SPECULATIVE.note(end.counters.speculative_commits > 0);
    });
    assert!(DISCARD.has_happened(), "the reader was never overtaken");
    assert!(SPECULATIVE.has_happened(), "the reader never ran ahead and was right");
}

#[test]
fn loom_batch_above_a_published_writer() {
    static DISCARD: Sometimes = Sometimes::new();
    explore("batch_above_a_writer", PREEMPTIONS, 300, || {
        let protocol = protocol_of(&plan([false, true]), false);
        let end = run([Act::Increment; 2], protocol, false);
        committed_to(&end, &[Some(0), Some(1)]);
        DISCARD.note(end.counters.discarded > 0);
    });
    assert!(DISCARD.has_happened(), "the batch was never overtaken");
}
