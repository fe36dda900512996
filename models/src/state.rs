//! The state of a model.

use crate::batches::{Batches, Carry, PrivateRun};
use crate::store::{Seen, Store};
use crate::{MOST_TRANSACTIONS, Scenario, Serial};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{BatchReport, Job, Mutant, Protocol, RunMode, RunResult};
use std::collections::VecDeque;

/// What one run left, as a worker reports it and the owner keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Runs in this job so far.
    pub runs: u32,
    /// The recorded read.
    pub seen: Option<Seen>,
    /// The value that it computed with, recorded or not.
    pub value: u8,
    /// Location and value of the entry that it left.
    pub written: Option<(usize, u8)>,
}

/// Where a worker stands in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It reads next.
    Read,
    /// It compares its read next.
    Check,
    /// It publishes next.
    Publish,
    /// It removes what the previous incarnation left, next.
    Withdraw,
}

/// A worker.
#[expect(clippy::large_enum_variant, reason = "a model has three workers, most of them busy")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    /// Without a job.
    Idle,
    /// At a transaction of a job.
    Busy {
        /// The report that it will send, so far.
        report: Report,
        /// The transaction.
        tx: usize,
        /// Where it stands.
        stage: Stage,
        /// Its run.
        run: Run,
        /// Readers that its publication has made stale so far.
        stale: Vec<TxIndex>,
    },
}

/// A report on its way, with what the owner keeps of each run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// The job.
    pub job: Job,
    /// What became of each transaction that ran.
    pub results: Vec<(RunResult, Run)>,
    /// What each transaction of a private batch has left so far.
    pub private: Vec<PrivateRun>,
    /// What a run in order goes on from.
    pub carry: Carry,
    /// How far a private batch came.
    pub batch: BatchReport,
    /// The job did not go through the channel.
    pub is_here: bool,
    /// It was claimed before a worker took it.
    pub void: bool,
}

impl Report {
    /// Whether the job went through the channel.
    #[must_use]
    pub const fn is_speculative(&self) -> bool {
        !self.is_here
    }
}

/// What the owner knows of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// The recorded read of the last result.
    pub seen: Option<Seen>,
    /// What the last result was computed from.
    pub value: u8,
    /// Where the last publication left an entry.
    pub written: Option<usize>,
    /// Whether there is a result.
    pub has_output: bool,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Which scenario of the model.
    pub scenario: usize,
    /// The shipped protocol.
    pub protocol: Protocol,
    /// The abstract store.
    pub store: Store,
    /// Jobs on their way.
    pub channel: VecDeque<Job>,
    /// Sorted, as their names do not matter.
    pub workers: Vec<Worker>,
    /// Job that the holder of the lock has to run.
    pub here: Option<Job>,
    /// Reports on their way, in no order.
    pub reports: Vec<Report>,
    /// What the owner keeps.
    pub records: [Record; MOST_TRANSACTIONS],
    /// How far the newest job has come, by its first transaction: an incarnation has two stages, begun and published.
    pub claims: [u32; MOST_TRANSACTIONS],
    /// Runs, counted by the workers.
    pub runs: [u32; MOST_TRANSACTIONS],
    /// For each committed transaction what it read; nothing if it was skipped.
    pub outcomes: Vec<Option<u8>>,
    /// What the owner keeps of private batches, and what was committed.
    pub batches: Batches,
    /// Workers are to return jobs unrun.
    pub stopped: bool,
    /// The caller has cancelled.
    pub cancelled: bool,
    /// The block is over.
    pub finished: bool,
    /// A validation at the frontier failed at least once.
    pub had_conflict: bool,
    /// A rule that the protocol found broken.
    pub broken: Option<String>,
    /// A rule that the model found broken while it performed a command.
    pub violation: Option<&'static str>,
}

impl State {
    /// The beginning of a block, before the owner's first look.
    #[must_use]
    pub fn new(
        (index, scenario, serial): (usize, &Scenario, &Serial),
        workers: usize,
        mutant: Mutant,
    ) -> Self {
        let (carried, first) = (scenario.begun.0 as usize, scenario.begun.1 as usize);
        let written = serial.written.get(..first).unwrap_or_default();
        let mut batches = Batches::new(scenario.batches.len(), scenario.claims.is_some());
        batches.go_on_from(written, carried);
        let mut store = Store::default();
        for (tx, written) in written.iter().enumerate().take(carried) {
            if let Some((location, value)) = written {
                store.publish(*location, (tx, 0), *value);
            }
        }
        Self {
            scenario: index,
            protocol: Protocol::new(scenario.limits, &scenario.plan()).with_mutant(mutant),
            store,
            channel: VecDeque::new(),
            workers: vec![Worker::Idle; workers],
            here: None,
            reports: Vec::new(),
            records: [Record::default(); MOST_TRANSACTIONS],
            claims: [0; MOST_TRANSACTIONS],
            runs: [0; MOST_TRANSACTIONS],
            outcomes: serial.outcomes[..written.len()].to_vec(),
            batches,
            stopped: false,
            cancelled: false,
            finished: false,
            had_conflict: false,
            broken: None,
            violation: None,
        }
    }

    /// Takes the right to run `job`.
    pub fn claim(&mut self, job: Job) -> bool {
        let mine = match job.mode {
            RunMode::Private { .. } | RunMode::InOrder { .. } => job.incarnation.0 + 1,
            RunMode::Speculative | RunMode::Frontier => 2 * job.incarnation.0 + 1,
        };
        let claim = match job.mode {
            RunMode::Private { batch, .. } | RunMode::InOrder { batch, .. } => {
                self.batches.claim_mut(batch)
            }
            RunMode::Speculative | RunMode::Frontier => {
                &mut self.claims[job.chunk.first.position()]
            }
        };
        let won = *claim < mine;
        *claim = mine.max(*claim);
        won
    }

    /// Takes the right to publish the first transaction of `job`, which is in no private batch.
    pub fn may_publish(&mut self, job: Job) -> bool {
        let mine = 2 * job.incarnation.0 + 2;
        let claim = &mut self.claims[job.chunk.first.position()];
        let won = *claim < mine;
        *claim = mine.max(*claim);
        won
    }

    /// Brings what has no order into one.
    pub fn sort(&mut self) {
        let rank = |report: &Report| {
            let Job { chunk, incarnation, .. } = report.job;
            (chunk.first, incarnation, report.is_here, report.void)
        };
        self.reports.sort_by_key(rank);
        self.workers.sort_by_key(|worker| match worker {
            Worker::Idle => None,
            Worker::Busy { report, .. } => Some(rank(report)),
        });
    }

    /// Jobs that went through the channel and are not answered.
    #[must_use]
    pub fn speculative_jobs(&self) -> usize {
        let busy = self.workers.iter().filter_map(|worker| match worker {
            Worker::Busy { report, .. } => Some(report),
            Worker::Idle => None,
        });
        let unanswered = busy.chain(&self.reports).filter(|report| report.is_speculative());
        self.channel.len() + unanswered.count()
    }
}
