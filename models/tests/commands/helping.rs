//! The frontier's job is taken over from a worker that is suspended.

use super::{dispatched, done, limits, report, run_here, tx};
use braid_evm::protocol::{Command, Event, Plan, Protocol, RunMode, RunResult};

/// The next command that is not answered with yes, or nothing.
fn next(protocol: &mut Protocol, claimed: bool) -> Option<Command> {
    loop {
        let event = match protocol.poll().expect("no rule is broken") {
            Some(Command::Admit(tx)) => Event::Admitted { tx, fits: true },
            Some(Command::Claim(job)) => Event::Claimed { tx: job.chunk.first, claimed },
            Some(Command::Commit(_)) => continue,
            other => return other,
        };
        protocol.apply(event).expect("it was asked");
    }
}

/// A worker has begun the frontier's job and is suspended.
#[test]
fn a_stalled_job_is_taken_over_once_and_its_report_counts_for_nothing() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = dispatched(&mut protocol);
    let here = run_here(&mut protocol);
    protocol.apply(report(here, 1, done())).expect("it was sent");
    assert_eq!(next(&mut protocol, false), None);
    // Its worker publishes at that moment: a hint that comes later asks again.
    for taken in [false, true] {
        protocol.apply(Event::Stalled).expect("a hint");
        assert_eq!(next(&mut protocol, false), Some(Command::Help(job)));
        let answer = Event::Helped { tx: tx(1), taken };
        protocol.apply(answer.clone()).expect("it was asked");
        protocol.apply(answer).expect_err("it was asked once");
    }
    assert_eq!((protocol.counters().helped_transactions, protocol.in_flight()), (1, 0));
    let Some(Command::RunHere(again)) = next(&mut protocol, false) else { panic!("no run") };
    assert_eq!((again.mode, again.incarnation.0), (RunMode::Frontier, 1));
    // It happens once.
    protocol.apply(Event::Stalled).expect("a hint");
    assert_eq!(next(&mut protocol, false), None);
    assert!(protocol.is_superseded(job));
    protocol.apply(report(job, 1, RunResult::Blocked { on: tx(0) })).expect("it comes late");
    assert!(!protocol.is_superseded(job));
    assert_eq!((protocol.counters().blocked, protocol.in_flight()), (0, 1));
    protocol.apply(report(again, 1, done())).expect("it was sent");
    assert_eq!(next(&mut protocol, false), Some(Command::Finish));
}

/// The block does not wait for the worker of a job that was taken over.
#[test]
fn a_block_ends_before_the_late_report() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = dispatched(&mut protocol);
    let here = run_here(&mut protocol);
    protocol.apply(report(here, 1, done())).expect("it was sent");
    assert_eq!(next(&mut protocol, false), None);
    protocol.apply(Event::Stalled).expect("a hint");
    assert_eq!(next(&mut protocol, false), Some(Command::Help(job)));
    protocol.apply(Event::Helped { tx: tx(1), taken: true }).expect("it was asked");
    let Some(Command::RunHere(again)) = next(&mut protocol, false) else { panic!("no run") };
    protocol.apply(report(again, 1, done())).expect("it was sent");
    assert_eq!(next(&mut protocol, false), Some(Command::Finish));
    assert!(protocol.is_finished() && protocol.is_superseded(job));
}
