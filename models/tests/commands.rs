//! Commands of the protocol, one by one: rules that only a wrong owner can break, and costs that no other test sees.

#[path = "commands/helping.rs"]
mod helping;
#[path = "commands/longest.rs"]
mod longest;
#[path = "commands/waste.rs"]
mod waste;

use braid_evm::error::Invariant;
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::protocol::{
    BatchReport, Chunks, Command, Event, Failure, Job, JobReport, Limits, Plan, Protocol,
    RunResult, Status, TxReport, Verdict,
};
use std::collections::VecDeque;

const CAP: u32 = 2;

fn limits() -> Limits {
    Limits {
        window: 8,
        job_capacity: 4,
        max_speculative_runs: CAP,
        skip_rejected: false,
        shared_chunks: false,
        fallback: None,
    }
}

fn tx(index: u32) -> TxIndex {
    TxIndex(index)
}

fn done() -> RunResult {
    RunResult::Executed { stale_readers: Vec::new() }
}

fn report(job: Job, runs: u32, result: RunResult) -> Event {
    ran(job, vec![TxReport { runs, result }])
}

fn ran(job: Job, results: Vec<TxReport>) -> Event {
    Event::Reported(JobReport { job, results, batch: BatchReport::default(), void: false })
}

/// The next command, which must be a job for the channel.
fn dispatched(protocol: &mut Protocol) -> Job {
    match protocol.poll() {
        Ok(Some(Command::Dispatch(job))) => job,
        other => panic!("no job, but {other:?}"),
    }
}

/// Takes all jobs for the channel, and runs the frontier.
fn run_here(protocol: &mut Protocol) -> Job {
    loop {
        match protocol.poll().expect("no rule is broken") {
            Some(Command::Dispatch(_)) => {}
            Some(Command::Admit(tx)) => {
                protocol.apply(Event::Admitted { tx, fits: true }).expect("it was asked");
            }
            Some(Command::RunHere(job)) => return job,
            other => panic!("the frontier does not run, but {other:?}"),
        }
    }
}

/// What a block came to.
#[derive(Debug, Default)]
struct Driven {
    /// The frontier at which each job went out.
    sent_at: Vec<u32>,
    longest_chunk: u32,
}

/// Runs a block with one worker; `speculate` says what becomes of the n-th job from the channel.
fn drive(protocol: &mut Protocol, speculate: impl Fn(usize) -> RunResult) -> Driven {
    drive_with(protocol, |number| TxReport { runs: 1, result: speculate(number) })
}

/// The same, where a job may take more runs than one.
fn drive_with(protocol: &mut Protocol, speculate: impl Fn(usize) -> TxReport) -> Driven {
    let (mut driven, mut channel) = (Driven::default(), VecDeque::new());
    loop {
        let command = protocol.poll().expect("no rule is broken");
        let event = match command {
            Some(Command::Dispatch(job)) => {
                channel.push_back((driven.sent_at.len(), job));
                driven.sent_at.push(protocol.frontier().0);
                let length = job.chunk.end.0 - job.chunk.first.0;
                driven.longest_chunk = driven.longest_chunk.max(length);
                continue;
            }
            Some(Command::RunHere(job)) => report(job, 1, done()),
            Some(Command::Admit(tx)) => Event::Admitted { tx, fits: true },
            Some(Command::Claim(job)) => Event::Claimed { tx: job.chunk.first, claimed: false },
            Some(Command::Recheck(tx) | Command::Validate(tx)) => {
                Event::Checked { tx, verdict: Verdict::Valid }
            }
            Some(Command::Skip(tx)) => Event::Withdrawn { tx, stale_readers: Vec::new() },
            Some(Command::Abort(_) | Command::Commit(_) | Command::StopWork) => continue,
            Some(Command::Finish) => return driven,
            Some(other) => panic!("{other:?} in a block without private batches"),
            None => {
                let (number, job) = channel.pop_front().expect("a job can go on");
                ran(job, vec![speculate(number)])
            }
        };
        protocol.apply(event).expect("it was asked");
    }
}

/// I9 above the frontier and at it.
#[test]
fn too_many_runs_are_a_broken_rule() {
    for (runs, allowed) in [(CAP, true), (CAP + 1, false)] {
        let mut protocol = Protocol::new(limits(), &Plan::singles(2));
        let job = dispatched(&mut protocol);
        let applied = protocol.apply(report(job, runs, done()));
        let broken = Err(Invariant::WorkBound { tx: tx(1), runs });
        assert_eq!(applied, if allowed { Ok(()) } else { broken });
    }
    for (runs, allowed) in [(CAP + 1, true), (CAP + 2, false)] {
        let mut protocol = Protocol::new(limits(), &Plan::singles(1));
        let job = run_here(&mut protocol);
        let applied = protocol.apply(report(job, runs, done()));
        let broken = Err(Invariant::WorkBound { tx: tx(0), runs });
        assert_eq!(applied, if allowed { Ok(()) } else { broken });
    }
}

#[test]
fn runs_are_counted_for_each_transaction() {
    assert!(Protocol::new(limits(), &Plan::singles(0)).is_empty());
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    assert!(!protocol.is_empty() && !protocol.is_finished());
    let job = run_here(&mut protocol);
    protocol.apply(report(job, 1, done())).expect("it ran");
    assert_eq!([0, 1, 2].map(|index| protocol.runs(tx(index))), [1, 0, 0]);
}

/// I8: there is nothing below the frontier that it could wait for.
#[test]
fn a_blocked_frontier_is_a_broken_rule() {
    let ranges = vec![Chunk { first: tx(1), end: tx(2) }];
    let plan = Plan::from(Chunks { ranges, ..Chunks::default() });
    let mut protocol = Protocol::new(limits(), &plan);
    let job = run_here(&mut protocol);
    let applied = protocol.apply(report(job, 1, RunResult::Blocked { on: tx(0) }));
    assert_eq!(applied, Err(Invariant::FrontierBlocked { tx: tx(1), on: tx(0) }));
}

/// What is settled only at the frontier is asked for there: no run above it could end otherwise.
#[test]
fn what_comes_too_early_waits_for_the_frontier() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(3));
    let job = dispatched(&mut protocol);
    protocol.apply(report(job, 1, RunResult::TooEarly)).expect("it was sent");
    assert_eq!(protocol.status(job.chunk.first), Some(Status::Parked));
    assert_eq!(protocol.counters().blocked, 1);
    let mut protocol = Protocol::new(limits(), &Plan::singles(1));
    let here = run_here(&mut protocol);
    let applied = protocol.apply(report(here, 1, RunResult::TooEarly));
    assert_eq!(applied, Err(Invariant::FrontierBlocked { tx: tx(0), on: tx(0) }));
}

#[test]
fn an_answer_to_no_question_is_a_broken_rule() {
    let stale_readers = Vec::new();
    let answers = [
        ("Admitted", Event::Admitted { tx: tx(0), fits: true }),
        ("Checked", Event::Checked { tx: tx(0), verdict: Verdict::Valid }),
        ("Claimed", Event::Claimed { tx: tx(0), claimed: true }),
        ("Withdrawn", Event::Withdrawn { tx: tx(0), stale_readers }),
    ];
    for (event, answer) in answers {
        let mut protocol = Protocol::new(limits(), &Plan::singles(2));
        let unexpected = Err(Invariant::UnexpectedEvent { tx: tx(0), event });
        assert_eq!(protocol.apply(answer), unexpected);
    }
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = dispatched(&mut protocol);
    protocol.apply(report(job, 1, done())).expect("it was sent");
    let unexpected = Err(Invariant::UnexpectedEvent { tx: tx(1), event: "Reported" });
    assert_eq!(protocol.apply(report(job, 1, done())), unexpected, "a second report");
}

/// Of a job that was taken back and sent again, the first one's report is not the second one's.
#[test]
fn a_report_of_another_job_is_a_broken_rule() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(3));
    let job = dispatched(&mut protocol);
    let failed = RunResult::Failed(Failure::Fatal);
    protocol.apply(report(job, 1, RunResult::Blocked { on: tx(0) })).expect("it was sent");
    let here = run_here(&mut protocol);
    protocol.apply(report(here, 1, done())).expect("it was sent");
    let unexpected = Err(Invariant::UnexpectedEvent { tx: tx(1), event: "Reported" });
    assert_eq!(protocol.apply(report(job, 1, failed)), unexpected);
}

#[test]
fn a_chunk_goes_out_whole_as_far_as_it_may() {
    let chunk = |first, end| Chunk { first: tx(first), end: tx(end) };
    let plan = |dependencies: &[(u32, u32)]| {
        Plan::from(Chunks {
            ranges: vec![chunk(0, 1), chunk(1, 5), chunk(5, 6)],
            dependencies: dependencies.iter().map(|(of, on)| (tx(*of), tx(*on))).collect(),
            ..Chunks::default()
        })
    };
    let sent = |limits, plan: &Plan| dispatched(&mut Protocol::new(limits, plan)).chunk;
    assert_eq!(sent(limits(), &plan(&[])), chunk(1, 5));
    assert_eq!(sent(Limits { window: 3, ..limits() }, &plan(&[])), chunk(1, 3));
    // What one of the same job will have published is no reason to wait; what is below it is.
    assert_eq!(sent(limits(), &plan(&[(2, 1), (3, 2)])), chunk(1, 5));
    assert_eq!(sent(limits(), &plan(&[(3, 0)])), chunk(1, 3));
    // Nor are transactions that ran before.
    let mut protocol = Protocol::new(limits(), &plan(&[]));
    let job = dispatched(&mut protocol);
    let blocked = TxReport { runs: 1, result: RunResult::Blocked { on: tx(0) } };
    let results = vec![TxReport { runs: 1, result: done() }, blocked];
    protocol.apply(ran(job, results)).expect("it was sent");
    assert_eq!(dispatched(&mut protocol).chunk, chunk(3, 5));
    // The frontier takes the rest of its chunk along.
    let whole = Chunks { ranges: vec![chunk(0, 3)], ..Chunks::default() };
    let mut protocol = Protocol::new(limits(), &whole.into());
    let first = run_here(&mut protocol);
    assert_eq!(first.chunk, chunk(0, 1), "the rest is in the channel");
}

/// I14: what shared a journal with a stale run goes with it, and nothing else does.
#[test]
fn the_rest_of_a_chunk_goes_with_what_it_shared_a_journal_with() {
    let chunk = |first, end| Chunk { first: tx(first), end: tx(end) };
    let ranges = vec![chunk(0, 1), chunk(1, 4), chunk(4, 6)];
    let plan = Plan::from(Chunks { ranges, ..Chunks::default() });
    for (shared_chunks, expected) in [(true, vec![2, 3]), (false, vec![2])] {
        let mut protocol = Protocol::new(Limits { shared_chunks, ..limits() }, &plan);
        for chunk in [chunk(1, 4), chunk(4, 6)] {
            let job = dispatched(&mut protocol);
            assert_eq!(job.chunk, chunk);
            let results = chunk.indices().map(|_| TxReport { runs: 1, result: done() }).collect();
            let reported = ran(job, results);
            protocol.apply(reported).expect("it was sent");
        }
        let job = run_here(&mut protocol);
        let result = RunResult::Executed { stale_readers: vec![tx(2)] };
        protocol.apply(report(job, 1, result)).expect("it ran");
        let mut aborts = Vec::new();
        loop {
            match protocol.poll().expect("no rule is broken") {
                Some(Command::Recheck(stale)) => {
                    let verdict = Verdict::Stale;
                    protocol.apply(Event::Checked { tx: stale, verdict }).expect("it was asked");
                }
                Some(Command::Abort(tx)) => aborts.push(tx.0),
                Some(Command::Dispatch(_)) => break,
                _ => {}
            }
        }
        assert_eq!(aborts, expected, "shared: {shared_chunks}");
    }
}

/// Hints hold back the transactions that they concern, and no others.
#[test]
fn who_waits_for_another_or_for_the_frontier_is_not_sent() {
    let sent = |chunks: Chunks| {
        let mut protocol = Protocol::new(limits(), &chunks.into());
        [(); 2].map(|()| dispatched(&mut protocol).chunk.first.0)
    };
    assert_eq!(sent(Chunks::singles(5)), [1, 2]);
    let dependencies = vec![(tx(2), tx(1))];
    assert_eq!(sent(Chunks { dependencies, ..Chunks::singles(5) }), [1, 3]);
    assert_eq!(sent(Chunks { frontier_only: vec![tx(1)], ..Chunks::singles(5) }), [2, 3]);
}

#[test]
fn what_happened_is_counted() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = dispatched(&mut protocol);
    protocol.apply(report(job, 1, RunResult::Blocked { on: tx(0) })).expect("it was sent");
    let counters = protocol.counters();
    assert_eq!((counters.runs, counters.blocked, counters.aborts), (1, 1, 1));
    // Two runs in one job: the first was of no use.
    let here = run_here(&mut protocol);
    protocol.apply(report(here, 2, done())).expect("it was sent");
    assert_eq!((protocol.counters().runs, protocol.counters().aborts), (3, 2));
    // Its job lies unclaimed in the channel when the frontier comes.
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = dispatched(&mut protocol);
    let here = run_here(&mut protocol);
    protocol.apply(report(here, 1, done())).expect("it was sent");
    let mut claimed = false;
    while !claimed {
        match protocol.poll().expect("no rule is broken") {
            Some(Command::Admit(tx)) => protocol.apply(Event::Admitted { tx, fits: true }),
            Some(Command::Claim(of)) => {
                assert_eq!(of, job);
                claimed = true;
                protocol.apply(Event::Claimed { tx: tx(1), claimed })
            }
            Some(Command::Commit(_)) => Ok(()),
            other => panic!("no claim, but {other:?}"),
        }
        .expect("it was asked");
    }
    assert_eq!((protocol.counters().claims, protocol.in_flight()), (1, 1));
    assert_eq!(protocol.runs(tx(1)), 0);
    let again = run_here(&mut protocol);
    assert_eq!(
        protocol.in_flight(),
        2,
        "the job that lies in the channel counts until it is answered"
    );
    protocol.apply(report(again, 1, done())).expect("it was sent");
    let void = JobReport { job, results: Vec::new(), batch: BatchReport::default(), void: true };
    protocol.apply(Event::Reported(void)).expect("it was sent");
    assert_eq!(protocol.counters().speculative_commits, 0);
}

/// Before the rest of a block was handed over, speculation may have reached further than it does now.
#[test]
fn no_reader_beyond_the_end_is_waited_for() {
    let mut protocol = Protocol::new(limits(), &Plan::singles(2));
    let job = run_here(&mut protocol);
    let stale_readers = vec![tx(1), tx(7)];
    let named = report(job, 1, RunResult::Executed { stale_readers });
    protocol.apply(named).expect("no rule is broken");
}
