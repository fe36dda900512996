//! What the protocol says of private batches, command by command.

use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::protocol::{BatchReport, Command, Event, Job, JobReport, Jobs, Limits, Protocol};

const fn chunk(first: u32, end: u32) -> Chunk {
    Chunk { first: TxIndex(first), end: TxIndex(end) }
}

fn protocol() -> Protocol {
    let limits = Limits {
        window: 8,
        job_capacity: 4,
        max_speculative_runs: 2,
        skip_rejected: false,
        shared_chunks: false,
        fallback: None,
    };
    Protocol::new(limits, &Jobs::Batches(vec![chunk(0, 1), chunk(1, 3)]).into())
}

fn report(protocol: &mut Protocol, job: Job, groups: &[Chunk], void: bool) {
    let batch = BatchReport { groups: groups.to_vec(), held: None };
    let report = JobReport { job, results: Vec::new(), batch, void };
    protocol.apply(Event::Reported(report)).expect("it was sent");
}

/// Performs commands up to the next job for this worker; no job in the channel was begun.
fn run_here(protocol: &mut Protocol, sent: &mut Vec<Job>) -> Option<Job> {
    loop {
        let event = match protocol.poll().expect("no rule is broken")? {
            Command::Dispatch(job) => {
                sent.push(job);
                continue;
            }
            Command::RunHere(job) => return Some(job),
            Command::Compare { tx, .. } => Event::Compared { tx, conflict: None },
            Command::AdmitGroup { group, .. } => Event::Admitted { tx: group.first, fits: true },
            Command::Claim(job) => Event::Claimed { tx: job.chunk.first, claimed: true },
            Command::CommitGroup { .. } => continue,
            Command::Finish => return None,
            other => panic!("no rule needs {other:?}"),
        };
        protocol.apply(event).expect("it was asked");
    }
}

/// A batch that was taken back runs at the frontier as the same job: nothing was published since. The message that
/// comes back from the channel is no answer to that.
#[test]
fn a_void_report_is_not_of_the_run_at_the_frontier() {
    let (mut protocol, mut sent) = (protocol(), Vec::new());
    let first = run_here(&mut protocol, &mut sent).expect("the first batch is at the frontier");
    report(&mut protocol, first, &[chunk(0, 1)], false);
    let second = run_here(&mut protocol, &mut sent).expect("the second one was taken back");
    assert_eq!(sent, [second]);
    assert_eq!(protocol.in_flight(), 2);
    report(&mut protocol, second, &[], true);
    assert_eq!(protocol.in_flight(), 1);
    assert_eq!(protocol.poll(), Ok(None), "it runs");
    report(&mut protocol, second, &[chunk(1, 2), chunk(2, 3)], false);
    assert_eq!(run_here(&mut protocol, &mut sent), None);
    assert!(protocol.is_finished());
    assert_eq!(protocol.counters().claims, 1);
}
