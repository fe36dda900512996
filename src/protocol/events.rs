//! Events and commands of the protocol.

use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};

/// How the transactions of a job run, and whether their results are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunMode {
    /// A lower transaction may still change; the result commits at the frontier.
    Speculative,
    /// The first transaction of the chunk is the frontier: its run is final.
    Frontier,
    /// The job runs a private batch on the snapshot, the committed prefix below the plan. No other
    /// run reads its writes before they commit.
    Private {
        /// The batch.
        batch: BatchId,
    },
}

impl Job {
    /// Returns the private batch of the job.
    #[must_use]
    pub const fn batch(&self) -> Option<BatchId> {
        match self.mode {
            RunMode::Private { batch } => Some(batch),
            RunMode::Speculative | RunMode::Frontier => None,
        }
    }
}

/// Transactions that one worker runs sequentially.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// The transactions.
    pub chunk: Chunk,
    /// Incarnation of the first transaction; 0 for a private batch, which runs once. The
    /// incarnation distinguishes this job from older ones for the same index.
    pub incarnation: Incarnation,
    /// The mode, which says whether the first run is final.
    pub mode: RunMode,
}

/// Why a run has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The transaction is invalid on the state that it read.
    Rejected,
    /// The database failed, or user code panicked.
    Fatal,
}

/// Result of a transaction in a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxReport {
    /// Executions in this job: 2 if the transaction was rerun at once, otherwise 1.
    pub runs: u32,
    /// Result of the last execution.
    pub result: RunResult,
}

/// Result of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunResult {
    /// The transaction ran, and its write set is published.
    Executed {
        /// Higher transactions that had read a location changed by this publication.
        stale_readers: Vec<TxIndex>,
    },
    /// The execution waits for a lower transaction: it read an estimate of it, or a location that
    /// the transaction will probably write or has changed. Nothing is published.
    Blocked {
        /// The lower transaction.
        on: TxIndex,
    },
    /// The execution needed a value that is final only once everything below is committed, so the
    /// transaction waits for the frontier. Nothing is published.
    TooEarly,
    /// The execution failed. Nothing is published.
    Failed(Failure),
}

/// A worker's answer to a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// One entry per transaction that ran, lowest first; transactions missing at the end of the
    /// chunk did not run. Only the last entry may differ from `Executed`. Empty for a private
    /// batch.
    pub results: Vec<TxReport>,
    /// Progress of a private batch.
    pub batch: BatchReport,
    /// Whether the owner had taken the job back before a worker received it.
    pub void: bool,
}

impl JobReport {
    /// Creates the report of a job of which no transaction ran.
    #[must_use]
    pub fn unrun(job: Job) -> Self {
        Self { job, results: Vec::new(), batch: BatchReport::default(), void: false }
    }
}

/// Progress of a run of a private batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BatchReport {
    /// Transactions that ran, in block order, in groups of contiguous transactions that commit
    /// together.
    pub groups: Vec<Chunk>,
    /// The member after the groups, if it has no result: it was invalid or failed on the state that
    /// it read, needed a value that is final only at the frontier, or has no room in the block. Its
    /// changes were dropped.
    pub held: Option<TxIndex>,
}

/// Verdict of a validation or a recheck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Each recorded read still resolves to the same version or value.
    Valid,
    /// A read resolves to another version or value.
    Stale,
}

/// Input of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker answered a job.
    Reported(JobReport),
    /// Answer to [`Command::Recheck`] or [`Command::Validate`].
    Checked {
        /// The transaction.
        tx: TxIndex,
        /// The verdict.
        verdict: Verdict,
    },
    /// Answer to [`Command::Compare`].
    Compared {
        /// The frontier.
        tx: TxIndex,
        /// The lowest member of the batch that must not commit; `None` if all members that have run
        /// may commit.
        conflict: Option<TxIndex>,
    },
    /// Answer to [`Command::Admit`] and [`Command::AdmitGroup`].
    Admitted {
        /// The frontier.
        tx: TxIndex,
        /// Whether the block has room for the transaction, or for each of the group.
        fits: bool,
    },
    /// Answer to [`Command::Claim`].
    Claimed {
        /// First transaction of the job.
        tx: TxIndex,
        /// True if no worker had begun the job, and none will.
        claimed: bool,
    },
    /// Answer to [`Command::Skip`].
    Withdrawn {
        /// The skipped transaction.
        tx: TxIndex,
        /// Higher readers of the withdrawn entries.
        stale_readers: Vec<TxIndex>,
    },
    /// A hint that the frontier's job has made no progress for a while: its worker may be
    /// preempted.
    Stalled,
    /// Answer to [`Command::Help`].
    Helped {
        /// First transaction of the job.
        tx: TxIndex,
        /// True if the worker has not published any transaction of the job, and never will.
        taken: bool,
    },
    /// The commits so far show that speculation costs more than it saves. If the limits allow it
    /// ([`fallback`](super::Limits::fallback)), the block ends with
    /// [`Halt::Fallback`](super::Halt::Fallback).
    Unprofitable,
    /// The caller cancelled the block. No further transaction runs; results that still hold are
    /// committed.
    Cancelled,
    /// The owner found a broken invariant. Nothing more is committed.
    Broken,
}

/// Output of the protocol: the owner's next task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Command {
    /// Put the job into the channel. No answer; a report will come.
    Dispatch(Job),
    /// Run the job at once, outside the channel. No answer; a report will come.
    RunHere(Job),
    /// Take this job back from the channel, unless a worker has begun it. Answer:
    /// [`Event::Claimed`].
    Claim(Job),
    /// Take the right to publish the first transaction of this job, the frontier's, from the worker
    /// that has begun it, unless it has begun to publish. Answer: [`Event::Helped`]. After that,
    /// the worker's report is ignored.
    Help(Job),
    /// Compare the reads of an executed transaction by version; a hint. Answer: [`Event::Checked`].
    Recheck(TxIndex),
    /// Turn the entries of a transaction into estimates. No answer.
    Abort(TxIndex),
    /// Check whether the block has room for the frontier. Answer: [`Event::Admitted`].
    Admit(TxIndex),
    /// Compare the accesses of a private batch, which begins at the frontier, with the writes that
    /// other batches have committed. Answer: [`Event::Compared`].
    Compare {
        /// The batch.
        batch: BatchId,
        /// The frontier.
        tx: TxIndex,
    },
    /// Check whether the block has room for each transaction of this group of a private batch,
    /// which begins at the frontier. Answer: [`Event::Admitted`].
    AdmitGroup {
        /// The batch.
        batch: BatchId,
        /// The group.
        group: Chunk,
    },
    /// Commit the outcomes of this group, which are final. No answer.
    CommitGroup {
        /// The batch.
        batch: BatchId,
        /// The group.
        group: Chunk,
    },
    /// Compare the reads of the frontier; the result is binding. Answer: [`Event::Checked`].
    Validate(TxIndex),
    /// Commit the outcome of the frontier, which is final, after publishing its credits. No answer.
    Commit(TxIndex),
    /// Skip the frontier: withdraw all its entries. Answer: [`Event::Withdrawn`].
    Skip(TxIndex),
    /// Make workers return jobs without running them from now on. No answer.
    StopWork,
    /// The block is over and no job is in flight. No command follows.
    Finish,
}
