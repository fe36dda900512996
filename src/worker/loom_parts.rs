//! Three parts and two workers, under every schedule with two preemptions.

use super::mutants::WorkerMutant;
use super::parts::Parts;
use super::{Context, Point};
use crate::sync::Receiver;
use crate::sync::loom_model::explore;
use loom::sync::Arc;
use loom::thread;

const PREEMPTIONS: usize = 2;

struct Still;

impl Context for Still {
    fn yield_at(&self, _: Point) {}

    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }
}

/// The parts that were adopted, `last` being the last one that may be, and all others that were run.
fn run(mutant: WorkerMutant, last: usize) -> (Vec<usize>, Vec<usize>) {
    let (parts, inbox) = Parts::new(0..3, 2, 1);
    #[cfg(feature = "mutants")]
    let parts = parts.with_mutant(mutant);
    #[cfg(not(feature = "mutants"))]
    assert_eq!(mutant, WorkerMutant::None);
    let parts = Arc::new(parts);
    let others = Arc::clone(&parts);
    let other = thread::spawn(move || others.help(&Still, |range| range.start));
    let mut adopted = Vec::new();
    let adopt = |part: Option<usize>| {
        let part = part.expect("nobody fails");
        adopted.push(part);
        part < last
    };
    let mut in_vain: Vec<usize> = parts.lead(&inbox, &Still, |range| range.start, adopt).collect();
    other.join().expect("the other worker ends");
    in_vain.extend(core::iter::from_fn(|| inbox.try_recv().ok()).filter_map(|(_, part)| part));
    (adopted, in_vain)
}

#[test]
fn loom_parts_are_adopted_in_order() {
    explore("parts", PREEMPTIONS, 70, || {
        let (adopted, in_vain) = run(WorkerMutant::None, 2);
        assert_eq!((adopted, in_vain), (vec![0, 1, 2], vec![]));
    });
}

#[test]
fn loom_parts_end_with_one_that_does_not_hold() {
    explore("parts_in_vain", PREEMPTIONS, 85, || {
        let (adopted, in_vain) = run(WorkerMutant::None, 1);
        assert_eq!(adopted, [0, 1]);
        assert!(matches!(in_vain[..], [] | [2]), "{in_vain:?}");
    });
}

/// The seeded bug. See the next test.
#[cfg(feature = "mutants")]
#[test]
#[ignore = "fails, as it should"]
fn loom_parts_out_of_order() {
    explore("parts_out_of_order", PREEMPTIONS, 1, || {
        let (adopted, _) = run(WorkerMutant::PartsOutOfOrder, 2);
        assert_eq!(adopted, [0, 1, 2]);
    });
}

#[cfg(feature = "mutants")]
#[test]
fn loom_catches_parts_out_of_order() {
    crate::sync::loom_model::assert_fails_alone(
        "worker::loom_parts::loom_parts_out_of_order",
        "left: [",
    );
}
