//! The state of the model of a block.

use crate::batches::{Batches, PrivateRun};
use crate::store::{Seen, Store};
use crate::{MOST_TRANSACTIONS, Scenario, SequentialResult};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{BatchReport, Job, Protocol, RunMode, RunResult};
use std::collections::VecDeque;

/// Data of a run, which a worker reports and the owner keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Number of runs in this job so far.
    pub runs: u32,
    /// The recorded read.
    pub seen: Option<Seen>,
    /// The value that the transaction read, whether the read is recorded or not.
    pub value: u8,
    /// Location and value of the entry.
    pub written: Option<(usize, u8)>,
}

/// Next step of a worker in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Read.
    Read,
    /// Compare the read.
    Check,
    /// Publish the write.
    Publish,
    /// Remove an entry of the previous incarnation.
    Withdraw,
}

/// A worker.
#[expect(clippy::large_enum_variant, reason = "a model has three workers, most of them busy")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    /// Has no job.
    Idle,
    /// Is running a transaction of a job.
    Busy {
        /// The report that it will send.
        report: Report,
        /// The transaction.
        tx: usize,
        /// Its next step.
        stage: Stage,
        /// Its current run.
        run: Run,
        /// Readers that its publication has invalidated so far.
        stale: Vec<TxIndex>,
    },
}

/// A report in transit, with data of each run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// The job.
    pub job: Job,
    /// Results of the transactions that ran.
    pub results: Vec<(RunResult, Run)>,
    /// Results of the transactions of a private batch so far.
    pub private: Vec<PrivateRun>,
    /// Progress of a private batch.
    pub batch: BatchReport,
    /// Whether the owner runs the job outside the channel.
    pub is_owner_job: bool,
    /// Whether the job was claimed before a worker took it.
    pub void: bool,
}

impl Report {
    /// Returns whether the job went through the channel.
    #[must_use]
    pub const fn is_speculative(&self) -> bool {
        !self.is_owner_job
    }
}

/// The owner's record of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Recorded read of the last result.
    pub seen: Option<Seen>,
    /// Value from which the last result was computed.
    pub value: u8,
    /// Location of the last published entry.
    pub written: Option<usize>,
    /// Whether there is a result.
    pub has_output: bool,
}

/// Complete state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Index of the scenario in the model.
    pub scenario: usize,
    /// The shipped protocol.
    pub protocol: Protocol,
    /// The abstract store.
    pub store: Store,
    /// Jobs in the channel.
    pub channel: VecDeque<Job>,
    /// Workers, sorted because their identities do not matter.
    pub workers: Vec<Worker>,
    /// Job that the owner must run outside the channel.
    pub owner_job: Option<Job>,
    /// Reports in transit, in no particular order.
    pub reports: Vec<Report>,
    /// The owner's records.
    pub records: [Record; MOST_TRANSACTIONS],
    /// Progress of the newest job, by its first transaction. An incarnation has two stages: begun
    /// and published.
    pub claims: [u32; MOST_TRANSACTIONS],
    /// Number of runs, counted by the workers.
    pub runs: [u32; MOST_TRANSACTIONS],
    /// The value that each committed transaction read; `None` if it was skipped.
    pub outcomes: Vec<Option<u8>>,
    /// The owner's state of private batches, and the history of commits.
    pub batches: Batches,
    /// Whether workers return jobs without running them.
    pub stopped: bool,
    /// Whether the caller has cancelled.
    pub cancelled: bool,
    /// Whether the block has ended.
    pub finished: bool,
    /// Whether a validation at the frontier has failed.
    pub had_conflict: bool,
    /// The invariant that the protocol reported as broken.
    pub broken: Option<String>,
    /// The rule that the model found broken while performing a command.
    pub violation: Option<&'static str>,
}

impl State {
    /// Creates the state at the start of a block, before the owner's first step.
    #[must_use]
    pub fn new(
        (index, scenario, sequential): (usize, &Scenario, &SequentialResult),
        workers: usize,
    ) -> Self {
        let first = scenario.begun as usize;
        let written = sequential.written.get(..first).unwrap_or_default();
        let mut batches = Batches::new(scenario.batches.len(), scenario.list.is_some());
        batches.continue_from(written);
        let mut store = Store::default();
        for (tx, written) in written.iter().enumerate() {
            if let Some((location, value)) = written {
                store.publish(*location, (tx, 0), *value);
            }
        }
        Self {
            scenario: index,
            protocol: Protocol::new(scenario.limits, &scenario.plan()),
            store,
            channel: VecDeque::new(),
            workers: vec![Worker::Idle; workers],
            owner_job: None,
            reports: Vec::new(),
            records: [Record::default(); MOST_TRANSACTIONS],
            claims: [0; MOST_TRANSACTIONS],
            runs: [0; MOST_TRANSACTIONS],
            outcomes: sequential.outcomes[..written.len()].to_vec(),
            batches,
            stopped: false,
            cancelled: false,
            finished: false,
            had_conflict: false,
            broken: None,
            violation: None,
        }
    }

    /// Claims the right to run `job`.
    pub fn claim(&mut self, job: Job) -> bool {
        let stage = match job.mode {
            RunMode::Private { .. } => job.incarnation.0 + 1,
            RunMode::Speculative | RunMode::Frontier => 2 * job.incarnation.0 + 1,
        };
        let claim = match job.mode {
            RunMode::Private { batch } => self.batches.claim_mut(batch),
            RunMode::Speculative | RunMode::Frontier => {
                &mut self.claims[job.chunk.first.position()]
            }
        };
        let won = *claim < stage;
        *claim = stage.max(*claim);
        won
    }

    /// Claims the right to publish the first transaction of `job`, which is not a private batch.
    pub fn may_publish(&mut self, job: Job) -> bool {
        let stage = 2 * job.incarnation.0 + 2;
        let claim = &mut self.claims[job.chunk.first.position()];
        let won = *claim < stage;
        *claim = stage.max(*claim);
        won
    }

    /// Sorts the unordered parts, so that equal states compare equal.
    pub fn sort(&mut self) {
        let rank = |report: &Report| {
            let Job { chunk, incarnation, .. } = report.job;
            (chunk.first, incarnation, report.is_owner_job, report.void)
        };
        self.reports.sort_by_key(rank);
        self.workers.sort_by_key(|worker| match worker {
            Worker::Idle => None,
            Worker::Busy { report, .. } => Some(rank(report)),
        });
    }

    /// Returns the number of unanswered jobs that went through the channel.
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
