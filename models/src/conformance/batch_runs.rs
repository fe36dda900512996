//! Rules for runs of private batches: their members, their reads, and their number.

use super::reference::Reference;
use super::store_rules::{Why, ensure};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::{ExactGroup, Found, Location};
use braid_evm::protocol::{BatchReport, Job, JobReport};
use std::collections::HashMap;

/// Results of the last run of a batch.
#[derive(Clone, Debug)]
pub(super) struct RecordedRun<L: Location> {
    /// The job that ran.
    pub(super) job: Job,
    /// Index below which every transaction was committed and in the store when the job was
    /// requested.
    pub(super) snapshot: TxIndex,
    /// Accesses of each group.
    pub(super) groups: Vec<ExactGroup<L>>,
    /// Number of committed groups.
    pub(super) committed: usize,
    /// The member after the groups, if it has no result.
    pub(super) held: Option<TxIndex>,
    /// The lowest member that the last verdict forbids; `None` if no verdict was requested.
    pub(super) verdict: Option<Option<TxIndex>>,
    /// Whether the protocol has received the report.
    pub(super) is_received: bool,
}

impl<L: Location> RecordedRun<L> {
    /// Returns the group that commits next.
    #[must_use]
    pub(super) fn next(&self) -> Option<Chunk> {
        self.groups.get(self.committed).map(|group| group.txs)
    }

    /// Returns whether the last verdict forbids the group that starts at `tx`.
    #[must_use]
    pub(super) fn is_forbidden(&self, tx: TxIndex) -> bool {
        self.verdict.flatten().is_some_and(|conflict| conflict <= tx)
    }
}

/// A private batch.
#[derive(Debug)]
pub(super) struct OneBatch<L: Location> {
    /// The transactions.
    pub(super) txs: Chunk,
    /// Number of runs that were requested and not claimed back.
    pub(super) runs: u32,
    /// The requested run that has not ended, and whether it has started.
    pub(super) requested: Option<(Job, bool)>,
    /// Runs that a helper finished before the worker that had claimed them reported their start.
    unbegun: Vec<Job>,
    /// Results of the last run.
    pub(super) ran: Option<RecordedRun<L>>,
}

impl<L: Location> OneBatch<L> {
    /// Creates a batch before its first run.
    #[must_use]
    pub(super) const fn new(txs: Chunk) -> Self {
        Self { txs, runs: 0, requested: None, unbegun: Vec::new(), ran: None }
    }

    /// Checks the request for a run.
    ///
    /// # Errors
    /// Returns the reason if the run is not permitted.
    pub(super) fn request_run(&mut self, job: Job) -> Result<(), Why> {
        ensure(self.requested.is_none(), || {
            format!("{job:?} runs what {:?} runs", self.requested)
        })?;
        ensure(self.ran.as_ref().and_then(RecordedRun::next).is_none(), || {
            format!("{job:?} runs what has results already")
        })?;
        ensure(job.incarnation.0 == 0 && self.runs == 0, || {
            format!("I9: {job:?} is the run {} of its batch", self.runs)
        })?;
        ensure(job.chunk == self.txs, || format!("{job:?} is not all of {:?}", self.txs))?;
        self.runs += 1;
        self.requested = Some((job, false));
        self.ran = None;
        Ok(())
    }

    /// Checks that the run can be claimed back.
    ///
    /// # Errors
    /// Returns the reason if a worker has started it.
    pub(super) fn take_back(&mut self, job: Job) -> Result<(), Why> {
        let out = self.requested.take();
        ensure(out == Some((job, false)), || format!("{job:?} is taken back from {out:?}"))?;
        self.runs -= 1;
        Ok(())
    }

    /// Checks the start of a run.
    ///
    /// # Errors
    /// Returns the reason if it was not requested, or has already started.
    pub(super) fn begin(&mut self, job: Job) -> Result<(), Why> {
        if let Some(at) = self.unbegun.iter().position(|other| *other == job) {
            self.unbegun.swap_remove(at);
            return Ok(());
        }
        let asked = self.requested == Some((job, false));
        ensure(asked, || format!("{job:?} begins, and {:?} is asked for", self.requested))?;
        self.requested = Some((job, true));
        Ok(())
    }

    /// Checks the end of a run by its worker or, with `is_second`, by a helper, on the state below
    /// the index `below`.
    ///
    /// # Errors
    /// Returns the reason if the run has not started, or did not run the members in order.
    pub(super) fn end(
        &mut self,
        job: Job,
        groups: &[ExactGroup<L>],
        (held, is_second): (Option<TxIndex>, bool),
        below: TxIndex,
    ) -> Result<(), Why> {
        if is_second && self.requested == Some((job, false)) {
            self.requested = Some((job, true));
            self.unbegun.push(job);
        }
        let begun = self.requested == Some((job, true)) && self.ran.is_none();
        ensure(begun, || format!("{job:?} ends, and {:?} runs", self.requested))?;
        let ran = groups.iter().flat_map(|group| group.txs.indices()).chain(held);
        let ran: Vec<TxIndex> = ran.collect();
        let right: Vec<TxIndex> = job.chunk.indices().take(ran.len()).collect();
        ensure(ran == right, || format!("{job:?} has run {ran:?}, not {right:?}"))?;
        let (snapshot, committed, verdict, is_received) = (below, 0, None, false);
        let groups = groups.to_vec();
        self.ran =
            Some(RecordedRun { job, snapshot, groups, committed, held, verdict, is_received });
        Ok(())
    }

    /// Compares a worker's report with the run.
    ///
    /// # Errors
    /// Returns the reason if they differ.
    pub(super) fn is_ended_with(&self, report: &JobReport) -> Result<(), Why> {
        let expected_report = |ran: &RecordedRun<L>| BatchReport {
            groups: ran.groups.iter().map(|group| group.txs).collect(),
            held: ran.held,
        };
        let ran = self.ran.as_ref().filter(|ran| ran.job == report.job && !ran.is_received);
        let right =
            ran.map(expected_report).as_ref() == Some(&report.batch) && report.results.is_empty();
        ensure(right, || format!("{ran:?} is reported as {report:?}"))
    }

    /// Checks that the protocol may receive the report.
    ///
    /// # Errors
    /// Returns the reason if the run was not requested.
    pub(super) fn receive_report(&mut self, report: &JobReport) -> Result<(), Why> {
        let job = report.job;
        ensure(self.requested.take() == Some((job, true)), || format!("{job:?} is not asked for"))?;
        let Some(ran) = &mut self.ran else { return Err(format!("{job:?} has left nothing")) };
        ran.is_received = true;
        // A run that was stopped before its first transaction leaves no results.
        if ran.groups.is_empty() && ran.held.is_none() {
            self.ran = None;
        }
        Ok(())
    }

    /// Returns the results whose next group starts at `tx`.
    ///
    /// # Errors
    /// Returns the reason if there are none.
    pub(super) fn results_at(&mut self, tx: TxIndex) -> Result<&mut RecordedRun<L>, Why> {
        let begins = |ran: &&mut RecordedRun<L>| {
            ran.is_received && ran.next().is_some_and(|group| group.first == tx)
        };
        let ran = self.ran.as_mut().filter(begins);
        ran.ok_or_else(|| format!("no results of a private batch begin at {tx}"))
    }
}

/// Base values that batches have read without the store, at the first transaction of a block.
#[derive(Debug)]
pub(super) struct Bases<L: Location>(HashMap<L, L::Value>);

impl<L: Location> Default for Bases<L> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<L: Location> Bases<L> {
    /// Records the base value that the store has for `location`.
    ///
    /// # Errors
    /// Returns the reason if a batch has read another value (I5).
    pub(super) fn set(&mut self, location: &L, value: &L::Value) -> Result<(), Why> {
        let known = self.0.entry(location.clone()).or_insert_with(|| value.clone());
        ensure(known == value, || {
            format!("I5: the base value of {location:?} is {value:?}, and {known:?} was read")
        })
    }

    /// Compares the reads of a group with the values below its snapshot.
    ///
    /// # Errors
    /// Returns the reason if they differ.
    pub(super) fn compare(
        &mut self,
        group: &ExactGroup<L>,
        snapshot: TxIndex,
        cells: &Reference<L>,
    ) -> Result<(), Why> {
        for (location, value) in &group.reads {
            let Some(value) = value else { continue };
            let expected = match cells.resolve(location, snapshot) {
                Found::Seen(_, value) => value,
                Found::UnknownBase => {
                    self.0.entry(location.clone()).or_insert_with(|| value.clone()).clone()
                }
                Found::Blocked(on) => {
                    return Err(format!(
                        "{location:?} is read below {snapshot}, where {on} is open"
                    ));
                }
            };
            ensure(*value == expected, || {
                format!("{:?} has read {value:?} at {location:?}, not {expected:?}", group.txs)
            })?;
        }
        Ok(())
    }
}
