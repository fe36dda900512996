//! Rules for private batches in the coordinator: permitted runs, permitted commits, and publication
//! of their writes.

use super::batch_runs::{Bases, OneBatch};
use super::history::History;
use super::reference::Reference;
use super::store_rules::{Why, ensure};
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::mv::{ExactGroup, Location};
use braid_evm::protocol::{Job, JobReport, Plan};

/// Events of private batches counted in traces, as evidence that rare ones occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenBatches {
    /// Finished runs.
    pub runs: u64,
    /// Committed groups.
    pub commits: u64,
    /// Groups committed after a commit of another job since their snapshot.
    pub above_others: u64,
    /// Verdicts that forbid a commit.
    pub conflicts: u64,
    /// Verdicts that forbid a commit which the exact rule permits.
    pub false_alarms: u64,
    /// Runs claimed back from the channel.
    pub claims: u64,
    /// Segments that began with the publication of pending writes.
    pub published: u64,
    /// Segments that fell back because a batch could not continue.
    pub fell_back: u64,
}

impl SeenBatches {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.commits += other.commits;
        self.above_others += other.above_others;
        self.conflicts += other.conflicts;
        self.false_alarms += other.false_alarms;
        self.claims += other.claims;
        self.published += other.published;
        self.fell_back += other.fell_back;
    }
}

/// Reference state of the private batches.
#[derive(Debug)]
pub struct BatchRules<L: Location> {
    batches: Vec<OneBatch<L>>,
    /// Index below which everything was committed before the segment.
    first: TxIndex,
    /// Whether batches read from an access list instead of a snapshot.
    is_listed: bool,
    /// History of commits.
    pub(super) history: History<L>,
    /// Base values that batches have read.
    pub(super) bases: Bases<L>,
    /// Counts of observed events.
    pub seen: SeenBatches,
}

impl<L: Location> BatchRules<L> {
    /// Creates the rules for the batches of `plan`.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            batches: plan.jobs.batches().iter().copied().map(OneBatch::new).collect(),
            first: plan.first,
            is_listed: false,
            history: History::default(),
            bases: Bases::default(),
            seen: SeenBatches::default(),
        }
    }

    /// Makes the batches read from an access list.
    #[must_use]
    pub fn with_list(mut self) -> Self {
        (self.is_listed, self.history.is_listed) = (true, true);
        self
    }

    /// Continues from the history of an earlier segment of the block. Pending writes are published
    /// first.
    pub fn continue_from(&mut self, before: Self) {
        (self.history, self.bases) = (before.history, before.bases);
        self.seen.published += u64::from(self.history.begin_publishing());
    }

    fn batch(&mut self, id: BatchId) -> Result<&mut OneBatch<L>, Why> {
        self.batches.get_mut(id.0 as usize).ok_or_else(|| format!("there is no {id:?}"))
    }

    fn batch_of_job(&mut self, job: Job) -> Result<&mut OneBatch<L>, Why> {
        let id = job.batch().ok_or_else(|| format!("{job:?} is none of a batch"))?;
        self.batch(id)
    }

    /// Returns the batch that contains `tx`.
    fn batch_of(&self, tx: TxIndex) -> Option<&OneBatch<L>> {
        self.batches.iter().find(|batch| batch.txs.first <= tx && tx < batch.txs.end)
    }

    /// Returns whether the segment may fall back at the frontier `tx`: its batch has run, and `tx`
    /// must not commit or has no result. `refused` means that the block has no room for `tx`.
    #[must_use]
    pub fn is_stuck(&self, tx: TxIndex, refused: bool) -> bool {
        let ran =
            self.batch_of(tx).and_then(|batch| batch.ran.as_ref()).filter(|ran| ran.is_received);
        ran.is_some_and(|ran| match ran.next() {
            Some(_) => refused || ran.is_forbidden(tx),
            None => ran.held == Some(tx),
        })
    }

    /// Checks a command to run a private batch.
    ///
    /// # Errors
    /// Returns the reason if the run is not permitted.
    pub fn request_run(&mut self, job: Job) -> Result<(), Why> {
        self.history.is_published(self.first)?;
        self.batch_of_job(job)?.request_run(job)
    }

    /// Checks a command to claim `job` back from the channel.
    ///
    /// # Errors
    /// Returns the reason if a worker has started the job.
    pub fn take_back(&mut self, job: Job) -> Result<(), Why> {
        self.seen.claims += 1;
        self.batch_of_job(job)?.take_back(job)
    }

    /// Checks the start of a run.
    ///
    /// # Errors
    /// Returns the reason if no command requested the run.
    pub fn began(&mut self, job: Job) -> Result<(), Why> {
        self.batch_of_job(job)?.begin(job)
    }

    /// Checks the end of a run.
    ///
    /// # Errors
    /// Returns the reason if the worker ran wrong members, or read values that differ from its
    /// snapshot.
    pub fn ended(
        &mut self,
        job: Job,
        groups: &[ExactGroup<L>],
        (held, is_second): (Option<TxIndex>, bool),
        cells: &Reference<L>,
    ) -> Result<(), Why> {
        self.seen.runs += 1;
        let has_read = groups.iter().any(|group| !group.reads.is_empty());
        ensure(!self.is_listed || !has_read, || format!("{job:?} has read from its snapshot"))?;
        for group in groups {
            self.bases.compare(group, self.first, cells)?;
        }
        let snapshot = self.first;
        self.batch_of_job(job)?.end(job, groups, (held, is_second), snapshot)
    }

    /// Checks a report as it is sent or, with `is_received`, as it is received.
    ///
    /// # Errors
    /// Returns the reason if the report differs from the run.
    pub fn reported(&mut self, report: &JobReport, is_received: bool) -> Result<(), Why> {
        let job = report.job;
        if job.batch().is_none() || report.void {
            return Ok(());
        }
        let batch = self.batch_of_job(job)?;
        if is_received { batch.receive_report(report) } else { batch.is_ended_with(report) }
    }

    /// Returns the next group of the batch, which must start at `tx`, for comparison or admission.
    ///
    /// # Errors
    /// Returns the reason if the results do not start there.
    pub fn results_at(&mut self, id: BatchId, tx: TxIndex) -> Result<Chunk, Why> {
        let ran = self.batch(id)?.results_at(tx)?;
        ran.next().ok_or_else(|| format!("no results at {tx}"))
    }

    /// Checks a verdict, which may forbid more commits than the exact rule, but not fewer.
    ///
    /// # Errors
    /// Returns the reason if it permits a forbidden commit.
    pub fn compared(
        &mut self,
        id: BatchId,
        tx: TxIndex,
        conflict: Option<TxIndex>,
    ) -> Result<(), Why> {
        let Self { batches, history, seen, .. } = self;
        let batch = batches.get_mut(id.0 as usize).ok_or("no such batch")?;
        let ran = batch.results_at(tx)?;
        let exact = history.first_conflict(ran, ran.committed);
        ran.verdict = Some(conflict);
        let never = TxIndex(u32::MAX);
        let (allowed, exact) = (conflict.map_or(never, |at| at.max(tx)), exact.unwrap_or(never));
        seen.conflicts += u64::from(conflict.is_some());
        seen.false_alarms += u64::from(allowed < exact);
        ensure(allowed <= exact, || {
            format!("{:?} may commit up to {conflict:?}, it was said, and not {exact}", ran.job)
        })
    }

    /// Checks the commit of a group.
    ///
    /// # Errors
    /// Returns the reason if the commit rule forbids the commit, or if the group is not the next
    /// one.
    pub fn commit_group(&mut self, id: BatchId, group: Chunk) -> Result<(), Why> {
        let Self { batches, history, seen, .. } = self;
        let batch = batches.get_mut(id.0 as usize).ok_or("no such batch")?;
        let ran = batch.results_at(group.first)?;
        let next = ran.next();
        ensure(next == Some(group), || format!("{group:?} is committed before {next:?}"))?;
        let conflict = history.first_conflict(ran, ran.committed);
        ensure(conflict.is_none_or(|conflict| conflict > group.first), || {
            format!("I3: {group:?} is committed, which outsiders forbid: {ran:?}")
        })?;
        let is_forbidden = ran.is_forbidden(group.first);
        ensure(!is_forbidden, || format!("{group:?} is committed against the verdict"))?;
        seen.commits += 1;
        seen.above_others += u64::from(history.has_later_commits(ran));
        let writes = ran.groups.get(ran.committed).map(|group| group.writes.clone());
        ran.committed += 1;
        history.commit_group(ran.job, group, &writes.unwrap_or_default());
        Ok(())
    }
}
