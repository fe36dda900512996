//! What the protocol hears and what it asks for.

use crate::ids::{Chunk, Incarnation, TxIndex};

/// Whether a job may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Some lower transaction may still change; its result waits for the frontier.
    Speculative,
    /// The first transaction of the chunk is the frontier: its run is final.
    Frontier,
}

/// Transactions to run, in order, on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Which transactions.
    pub chunk: Chunk,
    /// Incarnation of the first transaction's run; it tells this job from an older one for the
    /// same index.
    pub incarnation: Incarnation,
    /// Whether the first run is final.
    pub mode: Mode,
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
    /// chunk was not run. Only the last entry may be other than `Executed`.
    pub results: Vec<TxReport>,
    /// The job had been claimed by the owner before a worker took it: it ran elsewhere.
    pub void: bool,
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
    /// Answer to [`Command::Admit`].
    Admitted {
        /// The frontier.
        tx: TxIndex,
        /// Whether the block has room for it.
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
    /// The caller wants no more.
    Cancelled,
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
    /// Compare the reads of an executed transaction, by version; a hint. Answer:
    /// [`Event::Checked`].
    Recheck(TxIndex),
    /// Turn the entries of a transaction into estimates. No answer.
    Discard(TxIndex),
    /// Has the block room for the frontier? Answer: [`Event::Admitted`].
    Admit(TxIndex),
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
