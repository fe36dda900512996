//! What the protocol hears and what it asks for.

use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};

/// How the transactions of a job run, and what their results are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunMode {
    /// Some lower transaction may still change; its result waits for the frontier.
    Speculative,
    /// The first transaction of the chunk is the frontier: its run is final.
    Frontier,
    /// The members of a private batch from the first transaction of the chunk on, which ends with
    /// the last one; those of others may lie between them. They run on the committed prefix below
    /// the snapshot, and no other run reads what they write before it commits.
    Private {
        /// The batch.
        batch: BatchId,
        /// Everything below it is committed and can be read.
        snapshot: TxIndex,
    },
    /// A stretch in order: the members of a private batch in the chunk. The first one is the
    /// frontier. Everything below it is committed, no other batch's transactions lie between, and
    /// none commits before this run has reported: what it sees is final, an error too.
    InOrder {
        /// The batch.
        batch: BatchId,
        /// The run begins with what the last one in order has left, journal included: all of that
        /// is committed, and nothing else since. Without it, what lies below is all in the store.
        continues: bool,
    },
}

impl RunMode {
    /// The private batch that a job whose first transaction is `first` runs, and the snapshot on
    /// which it does.
    #[must_use]
    pub const fn private(self, first: TxIndex) -> Option<(BatchId, TxIndex)> {
        match self {
            Self::Private { batch, snapshot } => Some((batch, snapshot)),
            Self::InOrder { batch, .. } => Some((batch, first)),
            Self::Speculative | Self::Frontier => None,
        }
    }
}

impl Job {
    /// The private batch that it runs, and the snapshot on which it does.
    #[must_use]
    pub const fn private(&self) -> Option<(BatchId, TxIndex)> {
        self.mode.private(self.chunk.first)
    }
}

/// Transactions to run, in order, on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Which transactions.
    pub chunk: Chunk,
    /// Incarnation of the first transaction's run, or number of earlier runs of the private batch;
    /// it tells this job from an older one for the same index.
    pub incarnation: Incarnation,
    /// Whether the first run is final.
    pub mode: RunMode,
}

/// Why a run has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The transaction is invalid on the state that it saw.
    Rejected,
    /// The database failed, or user code panicked.
    Fatal,
}

/// What became of one transaction of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxReport {
    /// Runs in this job: 2 after a re-run in place, else 1.
    pub runs: u32,
    /// What the last run came to.
    pub result: RunResult,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunResult {
    /// It ran and its write set is published.
    Executed {
        /// Higher transactions that had read a location which this publication changed.
        stale_readers: Vec<TxIndex>,
    },
    /// It met an estimate of a lower transaction. Nothing is published.
    Blocked {
        /// That lower transaction.
        on: TxIndex,
    },
    /// It asked for something that is settled only once everything below is committed: it waits for
    /// the frontier. Nothing is published.
    TooEarly,
    /// It has no result. Nothing is published.
    Failed(Failure),
}

/// The one message that answers a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// One entry for each transaction that ran, lowest first. What is missing at the end of the
    /// chunk was not run. Only the last entry may be other than `Executed`. Empty for a private
    /// batch.
    pub results: Vec<TxReport>,
    /// How far a private batch came.
    pub batch: BatchReport,
    /// The job had been claimed by the owner before a worker took it: it ran elsewhere.
    pub void: bool,
}

impl JobReport {
    /// The report of a job that has run nothing.
    #[must_use]
    pub fn unrun(job: Job) -> Self {
        Self { job, results: Vec::new(), batch: BatchReport::default(), void: false }
    }
}

/// How far a run of a private batch came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BatchReport {
    /// Transactions that have run, in order: those of one group are neighbours and commit together.
    pub groups: Vec<Chunk>,
    /// The member after them if it must not run above the frontier: it is invalid or failed on what
    /// it saw, or asked for what is settled only there. Nothing of it is left.
    pub held: Option<TxIndex>,
    /// Why it has no result, if that is final: in a stretch in order.
    pub failure: Option<Failure>,
}

/// Verdict of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Each recorded read still resolves to what was seen.
    Valid,
    /// Some read resolves to something else.
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
        /// What the check found.
        verdict: Verdict,
    },
    /// Answer to [`Command::Compare`].
    Compared {
        /// The frontier.
        tx: TxIndex,
        /// The lowest member of the batch that the commit rule forbids if no outsider commits
        /// before it; none if it allows all that have run.
        conflict: Option<TxIndex>,
    },
    /// Answer to [`Command::CommitGroup`] and [`Command::Publish`]: these had read something that
    /// is there now.
    Published {
        /// The first transaction that was published.
        tx: TxIndex,
        /// Higher readers of the new entries.
        stale_readers: Vec<TxIndex>,
    },
    /// Answer to [`Command::Admit`] and [`Command::AdmitGroup`].
    Admitted {
        /// The frontier.
        tx: TxIndex,
        /// Whether the block has room for it, or for each of the group.
        fits: bool,
    },
    /// Answer to [`Command::Claim`].
    Claimed {
        /// First transaction of the job.
        tx: TxIndex,
        /// True if no worker had taken the job, and now none will run it.
        claimed: bool,
    },
    /// Answer to [`Command::Skip`]: these had read something that the skip withdrew.
    Withdrawn {
        /// The skipped transaction.
        tx: TxIndex,
        /// Higher readers of the withdrawn entries.
        stale_readers: Vec<TxIndex>,
    },
    /// The frontier's job has come no nearer to its end for a while: the system may have suspended
    /// its worker. A hint.
    Stalled,
    /// Answer to [`Command::TakeOver`].
    TakenOver {
        /// First transaction of the job.
        tx: TxIndex,
        /// True if its worker has published nothing of the job, and now never will.
        taken: bool,
    },
    /// What has committed shows that speculation costs more than it saves. Where the block can be
    /// [handed over](super::Limits::hands_over) it is.
    GivenUp,
    /// The caller wants no more. No further transaction runs; results that still hold are committed.
    Cancelled,
    /// The owner has found a rule broken. Nothing is committed from now on.
    Broken,
}

/// Output of the protocol: what its owner has to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Command {
    /// Put the job into the channel. No answer; a report will come.
    Dispatch(Job),
    /// Run the job at once, outside the channel. No answer; a report will come.
    RunHere(Job),
    /// Take the job whose first transaction this is back from the channel, unless a worker has
    /// begun it. Answer: [`Event::Claimed`].
    Claim(Job),
    /// Take the right to publish the first transaction of this job, the frontier's, from the worker
    /// that has begun it, unless it has begun to publish. Answer: [`Event::TakenOver`]. The
    /// worker's report is ignored then, whenever it comes.
    TakeOver(Job),
    /// Compare the reads of an executed transaction, by version; a hint. Answer:
    /// [`Event::Checked`].
    Recheck(TxIndex),
    /// Turn the entries of a transaction into estimates. No answer.
    Discard(TxIndex),
    /// Has the block room for the frontier? Answer: [`Event::Admitted`].
    Admit(TxIndex),
    /// Compare what a private batch, whose next group begins at the frontier, has accessed with
    /// what others have committed since its snapshot. Answer: [`Event::Compared`].
    Compare {
        /// The batch.
        batch: BatchId,
        /// The frontier.
        tx: TxIndex,
    },
    /// Has the block room for each transaction of this group of a private batch, which begins at
    /// the frontier? Answer: [`Event::Admitted`].
    AdmitGroup {
        /// The batch.
        batch: BatchId,
        /// The group.
        group: Chunk,
    },
    /// Hand out the outcomes of this group; they are final. Answer: [`Event::Published`].
    CommitGroup {
        /// The batch.
        batch: BatchId,
        /// The group.
        group: Chunk,
        /// Put what it has left into the store before the frontier moves: there are transactions
        /// that may read it.
        publish: bool,
    },
    /// Put into the store what committed transactions of private batches have left: a run is about
    /// to read there. Answer: [`Event::Published`].
    Publish {
        /// These.
        txs: Chunk,
        /// What the last run in order was to hand on is all of it, each location once: no run goes
        /// on from that now.
        carried: bool,
    },
    /// Throw the rest of the results of a private batch away. No answer.
    DiscardBatch(BatchId),
    /// Compare the reads of the frontier, with authority. Answer: [`Event::Checked`].
    Validate(TxIndex),
    /// Hand out the outcome of the frontier, after what it credits is published; it is final. No
    /// answer.
    Commit(TxIndex),
    /// The frontier is left out of the block: withdraw all its entries. Answer:
    /// [`Event::Withdrawn`].
    Skip(TxIndex),
    /// Let workers return jobs unrun from now on. No answer.
    StopWork,
    /// The block is over and no job is in flight. Nothing follows.
    Finish,
}
