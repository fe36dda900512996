//! What the owner keeps of private batches: their results, an index of committed writes, and the model's own history,
//! from which the commit rule is computed anew.

use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{BatchReport, Job};

/// What a transaction of a private batch has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrivateRun {
    /// The transaction.
    pub tx: usize,
    /// What it was computed from.
    pub value: u8,
    /// The location that it has read from the snapshot, or not at all.
    pub read: Option<usize>,
    /// Where it has written, and what.
    pub written: Option<(usize, u8)>,
}

/// Neighbours that commit together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its transactions.
    pub txs: Chunk,
    /// What they have left.
    pub runs: Vec<PrivateRun>,
    /// Whether the batch has accessed a location up to the end of the group.
    pub accessed: [bool; crate::LOCATIONS],
}

/// What the last run of a batch has left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ran {
    /// The job.
    pub job: Job,
    /// Groups that are not committed.
    pub groups: Vec<Group>,
}

/// What one committed transaction has written, or nothing if it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// Where.
    pub written: Option<usize>,
    /// The run of a private batch that it was in.
    pub job: Option<Job>,
}

/// What runs in order have left for the next one: all that was written from `first` on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Carry {
    /// What lies below it is in the store.
    pub first: usize,
    /// (transaction, location, value), in order.
    pub left: Vec<(usize, usize, u8)>,
}

/// Everything about private batches that the protocol does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batches {
    /// For each batch what its last run has left.
    pub ran: Vec<Option<Ran>>,
    /// For each batch one more than the incarnation begun last.
    claims: Vec<u32>,
    /// What the owner compares with: committed writes, as (transaction, location, batch).
    index: Vec<(usize, usize, Option<BatchId>)>,
    /// What was committed, by transaction.
    pub history: Vec<Committed>,
    /// Committed and not in the store: (transaction, location, value).
    pub unpublished: Vec<(usize, usize, u8)>,
    /// What the last run in order has left for the next one.
    pub carry: Option<Carry>,
    /// What the run in order goes on from that is asked for and not begun.
    pub handed: Option<Carry>,
    /// A group was committed that the rule forbids.
    pub is_forbidden: bool,
    /// A list tells what batches read: nothing that others commit changes it.
    is_told: bool,
}

/// The batch and the snapshot of a private job.
pub(crate) const fn private(job: &Job) -> Option<(BatchId, TxIndex)> {
    job.private()
}

impl Batches {
    pub(crate) fn new(batches: usize, is_told: bool) -> Self {
        Self {
            ran: vec![None; batches],
            claims: vec![0; batches],
            index: Vec::new(),
            history: Vec::new(),
            unpublished: Vec::new(),
            carry: None,
            handed: None,
            is_forbidden: false,
            is_told,
        }
    }

    /// An earlier round has committed these writes. Those below `carried` are in the store.
    pub(crate) fn go_on_from(&mut self, written: &[Option<(usize, u8)>], carried: usize) {
        for (tx, written) in written.iter().enumerate() {
            let location = written.map(|(location, _)| location);
            self.history.push(Committed { written: location, job: None });
            let entry = written.filter(|_| tx >= carried);
            self.unpublished.extend(entry.map(|(location, value)| (tx, location, value)));
        }
        let left = self.unpublished.clone();
        self.carry = (carried < written.len()).then_some(Carry { first: carried, left });
    }

    /// Whether `carry` has what was committed since it began, and nothing else.
    pub(crate) fn is_carried_exactly(&self, carry: &Carry) -> bool {
        let written = self.history.iter().enumerate().skip(carry.first);
        let written = written.filter_map(|(tx, by)| Some((tx, by.written?)));
        written.eq(carry.left.iter().map(|(tx, location, _)| (*tx, *location)))
    }

    pub(crate) fn claim_mut(&mut self, batch: BatchId) -> &mut u32 {
        &mut self.claims[batch.0 as usize]
    }

    /// Whether the job was taken back, or begun.
    #[must_use]
    pub fn is_claimed(&self, job: &Job) -> Option<bool> {
        let (batch, _) = private(job)?;
        Some(self.claims[batch.0 as usize] > job.incarnation.0)
    }

    /// Keeps what a run has left.
    pub(crate) fn keep(
        &mut self,
        job: Job,
        runs: Vec<PrivateRun>,
        report: &BatchReport,
        void: bool,
    ) {
        let Some((batch, _)) = private(&job).filter(|_| !void) else { return };
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
        self.ran[batch.0 as usize] = Some(Ran { job, groups });
    }

    /// A transaction is committed that is none of a batch, or ran at the frontier. The owner's index need not know it
    /// where no batch is left.
    pub(crate) fn commit_single(&mut self, written: Option<usize>, is_indexed: bool) {
        let tx = self.history.len();
        if is_indexed {
            self.index.extend(written.map(|location| (tx, location, None)));
        }
        self.history.push(Committed { written, job: None });
    }

    pub(crate) fn skip(&mut self) {
        self.history.push(Committed { written: None, job: None });
    }

    /// The next group of the batch is committed, if there is one.
    pub(crate) fn commit_group(&mut self, batch: BatchId, txs: Chunk) -> Option<Group> {
        let ran = self.ran[batch.0 as usize].as_mut()?;
        if ran.groups.first()?.txs != txs {
            return None;
        }
        let job = ran.job;
        let group = ran.groups.remove(0);
        self.is_forbidden |= self.meets(&group, &job);
        for run in &group.runs {
            let written = run.written.map(|(location, _)| location);
            self.index.extend(written.map(|location| (run.tx, location, Some(batch))));
            self.history.push(Committed { written, job: Some(job) });
        }
        Some(group)
    }

    /// Whether another run than `job` has committed, from its snapshot on, a write of what the group or one
    /// before it has accessed: by the history.
    #[must_use]
    pub fn meets(&self, group: &Group, job: &Job) -> bool {
        !self.is_told && self.outsiders(job).any(|location| group.accessed[location])
    }

    /// Locations that others have written since the snapshot of `job`.
    fn outsiders(&self, job: &Job) -> impl Iterator<Item = usize> {
        let snapshot = private(job).map_or(0, |(_, snapshot)| snapshot.position());
        let since = self.history.iter().skip(snapshot);
        since.filter(|by| by.job != Some(*job)).filter_map(|by| by.written)
    }

    /// The owner's verdict, from its index.
    pub(crate) fn first_conflict(&self, batch: BatchId) -> Option<TxIndex> {
        let ran = self.ran[batch.0 as usize].as_ref()?;
        let (_, snapshot) = private(&ran.job).filter(|_| !self.is_told)?;
        let meets = |group: &&Group| {
            self.index.iter().any(|(tx, location, by)| {
                *tx >= snapshot.position() && *by != Some(batch) && group.accessed[*location]
            })
        };
        ran.groups.iter().find(meets).map(|group| group.txs.first)
    }

    /// Whether the owner's index has every write since this snapshot.
    #[must_use]
    pub fn has_all_since(&self, snapshot: TxIndex) -> bool {
        let written = self.history.iter().enumerate().skip(snapshot.position());
        let mut written = written.filter_map(|(tx, by)| Some((tx, by.written?)));
        written.all(|(tx, at)| self.index.iter().any(|(by, there, _)| (*by, *there) == (tx, at)))
    }

    /// Whether a private group was committed although others had committed since its snapshot.
    #[must_use]
    pub fn has_commit_above_others(&self) -> bool {
        self.history.iter().enumerate().any(|(tx, by)| {
            let Some(job) = by.job else { return false };
            let snapshot = private(&job).map_or(0, |(_, snapshot)| snapshot.position());
            self.history[snapshot..tx].iter().any(|other| other.job != Some(job))
        })
    }

    /// Whether a run of a batch waits that the rule forbids to commit, or some of it.
    #[must_use]
    pub fn has_conflict(&self) -> bool {
        let mut ran = self.ran.iter().flatten();
        ran.any(|ran| ran.groups.iter().any(|group| self.meets(group, &ran.job)))
    }
}
