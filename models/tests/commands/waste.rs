//! When speculation is given up.

use super::{done, drive, drive_with, limits};
use braid_evm::protocol::{
    Event, Failure, Halt, Limits, Plan, Protocol, RunResult, TxReport, Waste,
};

/// Without a caller that goes on by other means speculation goes on, however much is thrown away.
#[test]
fn waste_that_is_not_handed_over_is_borne() {
    let failed = || RunResult::Failed(Failure::Rejected);
    let mut protocol = Protocol::new(limits(), &Plan::singles(140));
    let driven = drive(&mut protocol, |_| failed());
    let counters = protocol.counters();
    assert_eq!((counters.fallback_segments, protocol.halt()), (0, None));
    assert_eq!(counters.failed, driven.sent_at.len() as u64);
    assert!(driven.sent_at.iter().any(|at| (33..96).contains(at)), "{:?}", driven.sent_at);
}

/// Where the caller goes on by other means the block ends there, after as many runs as was asked for.
#[test]
fn waste_ends_a_block_that_is_handed_over() {
    for (most, commits) in [(12, 32), (28, 32), (28, 40)] {
        for wasted in [most - 1, most] {
            let fallback = Some(Waste { runs: most, kept: u32::MAX, commits });
            let limits = Limits { fallback, ..limits() };
            let mut protocol = Protocol::new(limits, &Plan::singles(140));
            let failed = || RunResult::Failed(Failure::Rejected);
            drive(&mut protocol, |job| if job < wasted as usize { failed() } else { done() });
            let expected = (wasted == most).then_some(Halt::Fallback);
            assert_eq!(protocol.halt(), expected, "{wasted} of {most} in {commits}");
            assert_eq!(protocol.frontier().0, if wasted == most { commits } else { 140 });
        }
    }
}

/// The owner may know better. Where the block cannot be handed over the hint changes nothing.
#[test]
fn speculation_is_given_up_where_the_owner_says_so() {
    for fallback in [None, Some(Waste { runs: 30, kept: 6, commits: 32 })] {
        let limits = Limits { fallback, ..limits() };
        let mut protocol = Protocol::new(limits, &Plan::singles(20));
        protocol.apply(Event::Unprofitable).expect("a hint");
        drive(&mut protocol, |_| done());
        let expected = fallback.map(|_| Halt::Fallback);
        assert_eq!(protocol.halt(), expected);
        let counters = protocol.counters();
        assert_eq!(counters.fallback_segments, u64::from(expected.is_some()));
        assert_eq!(protocol.frontier().0, if expected.is_some() { 0 } else { 20 });
    }
}

/// However much is thrown away: where some of it is kept, speculation goes on.
#[test]
fn speculation_that_is_kept_is_not_given_up() {
    for (kept, is_given_up) in [(0, false), (8, false), (9, true), (20, true)] {
        let fallback = Some(Waste { runs: 10, kept, commits: 20 });
        let limits = Limits { fallback, ..limits() };
        let mut protocol = Protocol::new(limits, &Plan::singles(20));
        // The first one runs at the frontier; of the others ten are thrown away.
        let failed = || RunResult::Failed(Failure::Rejected);
        drive(&mut protocol, |job| if job < 10 { failed() } else { done() });
        let counters = protocol.counters();
        assert_eq!((counters.aborts, counters.fallback_segments), (10, u64::from(is_given_up)));
    }
}

/// What was thrown away twice has waited for others: that its third run is kept does not count.
#[test]
fn what_ran_three_times_is_not_kept() {
    for (runs, is_given_up) in [(2, false), (3, true)] {
        let fallback = Some(Waste { runs: 10, kept: 6, commits: 20 });
        let limits = Limits { fallback, max_speculative_runs: 4, ..limits() };
        let mut protocol = Protocol::new(limits, &Plan::singles(20));
        // The first one runs at the frontier.
        drive_with(&mut protocol, |_| TxReport { runs, result: done() });
        let counters = protocol.counters();
        assert_eq!(counters.speculative_commits, 19, "{runs}");
        assert_eq!(counters.aborts, 19 * u64::from(runs - 1));
        assert_eq!(counters.fallback_segments, u64::from(is_given_up), "{runs}");
    }
}
