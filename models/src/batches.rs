//! The owner's state of private batches: their results, an index of committed writes, and a
//! separate history, from which the model recomputes the commit rule.

use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{BatchReport, Job};

/// Result of a transaction in a private batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrivateRun {
    /// The transaction.
    pub tx: usize,
    /// The value that the transaction read.
    pub value: u8,
    /// The location read from the snapshot, if any.
    pub read: Option<usize>,
    /// The location and value written, if any.
    pub written: Option<(usize, u8)>,
}

/// Contiguous transactions that commit together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The transactions.
    pub txs: Chunk,
    /// Their results.
    pub runs: Vec<PrivateRun>,
    /// Whether the batch has accessed each location up to the end of the group.
    pub accessed: [bool; crate::LOCATIONS],
}

/// Results of the last run of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchResults {
    /// The job that ran.
    pub job: Job,
    /// Groups that are not committed yet.
    pub groups: Vec<Group>,
}

/// A committed or skipped transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// The location written, if any.
    pub written: Option<usize>,
    /// The job of the private batch that ran it, if any.
    pub job: Option<Job>,
}

/// State of private batches that the owner keeps outside the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batches {
    /// Results of the last run, by batch.
    pub ran: Vec<Option<BatchResults>>,
    /// One more than the last started incarnation, by batch.
    claims: Vec<u32>,
    /// The owner's index of committed writes, as (transaction, location, batch).
    index: Vec<(usize, usize, BatchId)>,
    /// Number of transactions that earlier segments have committed.
    first: usize,
    /// Committed transactions, by index.
    pub history: Vec<Committed>,
    /// Committed writes that are not in the store, as (transaction, location, value).
    pub unpublished: Vec<(usize, usize, u8)>,
    /// Whether a group was committed against the commit rule.
    pub is_forbidden: bool,
    /// Whether batches read from an access list, so that no commit of another batch invalidates
    /// their reads.
    is_listed: bool,
}

impl Batches {
    pub(crate) fn new(batches: usize, is_listed: bool) -> Self {
        Self {
            ran: vec![None; batches],
            claims: vec![0; batches],
            index: Vec::new(),
            first: 0,
            history: Vec::new(),
            unpublished: Vec::new(),
            is_forbidden: false,
            is_listed,
        }
    }

    /// Adds the writes that earlier segments committed, which are in the store.
    pub(crate) fn continue_from(&mut self, written: &[Option<(usize, u8)>]) {
        self.first = written.len();
        let locations = written.iter().map(|written| written.map(|(location, _)| location));
        self.history.extend(locations.map(|written| Committed { written, job: None }));
    }

    pub(crate) fn claim_mut(&mut self, batch: BatchId) -> &mut u32 {
        &mut self.claims[batch.0 as usize]
    }

    /// Returns whether the job was claimed or started; `None` if it is not private.
    #[must_use]
    pub fn is_claimed(&self, job: &Job) -> Option<bool> {
        let batch = job.batch()?;
        Some(self.claims[batch.0 as usize] > job.incarnation.0)
    }

    /// Stores the results of a run.
    pub(crate) fn keep(
        &mut self,
        job: Job,
        runs: Vec<PrivateRun>,
        report: &BatchReport,
        void: bool,
    ) {
        let Some(batch) = job.batch().filter(|_| !void) else { return };
        let mut accessed = [false; crate::LOCATIONS];
        let mut runs = runs.into_iter();
        let group = |txs: &Chunk| {
            let runs: Vec<_> = runs.by_ref().take(txs.len() as usize).collect();
            for run in &runs {
                let written = run.written.map(|(location, _)| location);
                run.read.into_iter().chain(written).for_each(|location| accessed[location] = true);
            }
            Group { txs: *txs, runs, accessed }
        };
        let groups = report.groups.iter().map(group).collect();
        self.ran[batch.0 as usize] = Some(BatchResults { job, groups });
    }

    pub(crate) fn skip(&mut self) {
        self.history.push(Committed { written: None, job: None });
    }

    /// Commits the next group of the batch, if there is one.
    pub(crate) fn commit_group(&mut self, batch: BatchId, txs: Chunk) -> Option<Group> {
        let ran = self.ran[batch.0 as usize].as_mut()?;
        if ran.groups.first()?.txs != txs {
            return None;
        }
        let job = ran.job;
        let group = ran.groups.remove(0);
        self.is_forbidden |= self.conflicts(&group, &job);
        for run in &group.runs {
            let written = run.written.map(|(location, _)| location);
            self.index.extend(written.map(|location| (run.tx, location, batch)));
            self.history.push(Committed { written, job: Some(job) });
        }
        Some(group)
    }

    /// Returns whether, according to the history, a job other than `job` has committed a write
    /// since the snapshot to a location that the group or an earlier group has accessed.
    #[must_use]
    pub fn conflicts(&self, group: &Group, job: &Job) -> bool {
        !self.is_listed && self.writes_of_others(job).any(|location| group.accessed[location])
    }

    /// Returns the index below which everything was committed before the private batches began.
    pub(crate) fn snapshot(&self) -> usize {
        self.first
    }

    /// Iterates over the locations that other jobs have written since the snapshot.
    fn writes_of_others(&self, job: &Job) -> impl Iterator<Item = usize> {
        let since = self.history.iter().skip(self.first);
        since.filter(|by| by.job != Some(*job)).filter_map(|by| by.written)
    }

    /// Returns the owner's verdict, which is computed from its index.
    pub(crate) fn first_conflict(&self, batch: BatchId) -> Option<TxIndex> {
        let ran = self.ran[batch.0 as usize].as_ref()?;
        let conflicts = |group: &&Group| {
            self.index.iter().any(|(_, location, by)| *by != batch && group.accessed[*location])
        };
        ran.groups.iter().find(conflicts).filter(|_| !self.is_listed).map(|group| group.txs.first)
    }

    /// Returns whether the owner's index has every write of the segment.
    #[must_use]
    pub fn has_all(&self) -> bool {
        let written = self.history.iter().enumerate().skip(self.first);
        let mut written = written.filter_map(|(tx, by)| Some((tx, by.written?)));
        written.all(|(tx, at)| self.index.iter().any(|(by, there, _)| (*by, *there) == (tx, at)))
    }

    /// Returns whether a private group was committed after another job's commit since its snapshot.
    #[must_use]
    pub fn has_commit_above_others(&self) -> bool {
        self.history.iter().enumerate().any(|(tx, by)| {
            let Some(job) = by.job else { return false };
            let since = self.history.get(self.first..tx).unwrap_or_default();
            since.iter().any(|other| other.job != Some(job))
        })
    }

    /// Returns whether a batch that has run has a group that must not commit.
    #[must_use]
    pub fn has_conflict(&self) -> bool {
        let mut ran = self.ran.iter().flatten();
        ran.any(|ran| ran.groups.iter().any(|group| self.conflicts(group, &ran.job)))
    }
}
