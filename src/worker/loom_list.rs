//! loom tests of private batches that read an access list: a correct list, and lists that are wrong
//! for one transaction. Run them like `loom_tests`.

use super::loom_hasty::run_helping;
use super::loom_machine::{
    Act, Counter, End, LIMITS, Outcomes, PREEMPTIONS, Sometimes, TinyBlock, outcomes, run_shared,
};
use super::shared::Shared;
use crate::ids::{Chunk, TxIndex};
use crate::mv::{Entry, Store};
use crate::protocol::{Halt, Jobs, Plan, Protocol};
use crate::sync::Mutex;
use crate::sync::loom_model::explore;

/// An access list: the counter after each transaction.
pub(super) struct TinyList {
    list: [u32; 2],
    /// The lowest transaction that a run found to differ from the list.
    wrong: Mutex<Option<TxIndex>>,
}

impl TinyList {
    pub(super) fn below(&self, tx: TxIndex) -> u32 {
        tx.position().checked_sub(1).and_then(|last| self.list.get(last)).copied().unwrap_or(0)
    }

    pub(super) fn is_beyond_wrong(&self, tx: TxIndex) -> bool {
        self.wrong.lock().is_some_and(|wrong| wrong < tx)
    }

    /// Returns, and records, whether the writes of `tx` differ from the list.
    pub(super) fn differs(&self, tx: TxIndex, writes: &[(Counter, Entry<Counter>)]) -> bool {
        let differs = writes != [(Counter, Entry::Value(self.list[tx.position()]))];
        if differs {
            let mut wrong = self.wrong.lock();
            *wrong = Some(wrong.map_or(tx, |wrong| wrong.min(tx)));
        }
        differs
    }
}

/// Creates a block of two increments, each in its own batch, with an access list.
fn listed(list: [u32; 2]) -> Shared<TinyBlock, Outcomes> {
    let batch = |tx| Chunk { first: TxIndex(tx), end: TxIndex(tx + 1) };
    let plan = Plan::from(Jobs::Batches(vec![batch(0), batch(1)]));
    let protocol = Protocol::new(LIMITS, &plan);
    let list = Some(TinyList { list, wrong: Mutex::new(None) });
    let workload = TinyBlock { acts: [Act::Increment; 2], list };
    Shared::with_protocol(workload, Outcomes::default(), Store::new(1), 1, protocol)
}

fn first_wrong(end: &End) -> Option<TxIndex> {
    end.workload.list.as_ref().and_then(|listed| *listed.wrong.lock())
}

#[test]
fn loom_listed_batches_commit_what_ran_ahead() {
    static SPECULATIVE: Sometimes = Sometimes::new();
    explore("listed_right", PREEMPTIONS, 300, || {
        let end = run_shared(listed([1, 2]), false);
        assert_eq!(outcomes(&end), [Some(0), Some(1)]);
        assert_eq!((end.halt, end.counters.aborts, first_wrong(&end)), (None, 0, None));
        SPECULATIVE.note(end.counters.speculative_commits > 0);
    });
    assert!(SPECULATIVE.has_happened(), "nothing ran above the frontier");
}

/// Results above that transaction, which read its listed value, are dropped.
#[test]
fn loom_the_first_that_differs_ends_the_block() {
    static ABOVE: Sometimes = Sometimes::new();
    static STOPPED: Sometimes = Sometimes::new();
    explore("listed_wrong_first", PREEMPTIONS, 300, || {
        let end = run_shared(listed([7, 8]), false);
        assert_eq!(outcomes(&end), []);
        assert_eq!(end.halt, Some(Halt::Fallback));
        assert_eq!(first_wrong(&end), Some(TxIndex(0)), "its run has found it");
        ABOVE.note(end.counters.runs > 0);
        STOPPED.note(end.counters.runs == 0);
    });
    assert!(ABOVE.has_happened(), "the second one never ran");
    assert!(STOPPED.has_happened(), "the second one never was too late to run");
}

#[test]
fn loom_what_differs_is_known_when_its_turn_comes() {
    explore("listed_wrong_second", PREEMPTIONS, 300, || {
        let end = run_shared(listed([1, 9]), false);
        assert_eq!(outcomes(&end), [Some(0)]);
        assert_eq!(end.halt, Some(Halt::Fallback));
        assert_eq!(first_wrong(&end), Some(TxIndex(1)), "its run has found it");
    });
}

/// The idle caller also runs the batch of the other worker. Both runs have the same result.
#[test]
fn loom_listed_batch_is_run_by_two() {
    static SECOND: Sometimes = Sometimes::new();
    explore("listed_helped", PREEMPTIONS, 300, || {
        let end = run_helping(listed([1, 9]));
        assert_eq!(outcomes(&end), [Some(0)]);
        assert_eq!((end.halt, first_wrong(&end)), (Some(Halt::Fallback), Some(TxIndex(1))));
        SECOND.note(end.counters.helped_batches > 0);
    });
    assert!(SECOND.has_happened(), "the caller was never the first to end");
}
