//! Private batches in the model: the steps of their workers, and the owner's commands.

use crate::Scenario;
use crate::batches::{Carry, PrivateRun};
use crate::scenario::{Kind, credits};
use crate::state::{Report, State, Worker};
use braid_evm::error::Invariant;
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{Command, Event, Failure, Job, RunMode};

/// Result of a transaction in a private batch; without a result, the failure.
type Ran = Result<PrivateRun, Option<Failure>>;

impl State {
    /// Runs a transaction of a private batch in one step, because no other worker sees its writes.
    pub(crate) fn step_private(
        &mut self,
        worker: usize,
        mut report: Report,
        tx: usize,
        scenario: &Scenario,
    ) {
        let is_in_order = matches!(report.job.mode, RunMode::Sequential { .. });
        let skips = is_in_order && scenario.limits.skip_rejected;
        let run = match self.run_private(&report, tx, scenario) {
            Ok(run) => run,
            Err(Some(Failure::Rejected)) if skips => PrivateRun::skipped(tx),
            Err(None) if skips && scenario.run_skips => PrivateRun::skipped(tx),
            Err(failure) => {
                report.batch.held = Some(TxIndex(tx as u32));
                report.batch.failure = failure;
                return self.end_private(report, scenario);
            }
        };
        report.private.push(run);
        let next = report.job.batch().and_then(|batch| scenario.next_member(batch, tx));
        let end = report.job.chunk.end.position();
        match next.filter(|next| *next < end && !self.stopped) {
            Some(next) => self.start(worker, report, next, 1),
            None => self.end_private(report, scenario),
        }
    }

    fn run_private(&mut self, report: &Report, tx: usize, scenario: &Scenario) -> Ran {
        let program = scenario.txs[tx];
        let is_in_order = matches!(report.job.mode, RunMode::Sequential { .. });
        let (mut value, mut read) = (0, None);
        if let Some(location) = program.read {
            (value, read) = match scenario.told(tx, location).filter(|_| !is_in_order) {
                Some(told) => (told, None),
                None => self.read_private(report, location)?,
            };
        }
        match program.kind {
            // Above the frontier, neither the credits nor the room left are known.
            Kind::ReadsCredits if !is_in_order => return Err(None),
            Kind::NoRoom if is_in_order => return Err(None),
            Kind::ReadsCredits => {
                let own = report.private.iter().filter(|run| run.value.is_some()).count() as u8;
                value = value.wrapping_add(credits(&self.outcomes)).wrapping_add(own);
            }
            _ => {}
        }
        let written = program.run(tx, value).map_err(Some)?;
        if !is_in_order && !scenario.is_claimed(tx, written) {
            // It runs again sequentially, on the committed state.
            return Err(Some(Failure::Rejected));
        }
        Ok(PrivateRun { tx, value: Some(value), read, written })
    }

    /// Returns the value that the transaction reads, and the location if the value predates the
    /// run. A sequential run reads carried writes and below them the store; any other run reads its
    /// snapshot.
    fn read_private(
        &mut self,
        report: &Report,
        location: usize,
    ) -> Result<(u8, Option<usize>), Option<Failure>> {
        let own = report.private.iter().rev().filter_map(|run| run.written);
        if let Some((_, own)) = own.into_iter().find(|(at, _)| *at == location) {
            return Ok((own, None));
        }
        let (below, carried) = match report.job.mode {
            RunMode::Private { .. } => (self.batches.snapshot_of(&report.job), &[][..]),
            _ => (report.carry.first, &report.carry.left[..]),
        };
        if let Some((.., value)) = carried.iter().rev().find(|(_, at, _)| *at == location) {
            return Ok((*value, Some(location)));
        }
        let Ok(seen) = self.store.resolve(location, below) else {
            self.violation = Some("an estimate below a snapshot");
            return Err(None);
        };
        Ok((seen.value, Some(location)))
    }

    /// Reports the run, with consecutive transactions in one group or each in its own.
    fn end_private(&mut self, mut report: Report, scenario: &Scenario) {
        for run in &report.private {
            let first = TxIndex(run.tx as u32);
            let end = first.next();
            match report.batch.groups.last_mut() {
                Some(last) if scenario.grouped && last.end == first => last.end = end,
                _ => report.batch.groups.push(Chunk { first, end }),
            }
        }
        self.reports.push(report);
    }

    /// Checks the request for a run of a private batch: its snapshot must be readable as a whole, it
    /// must be the first run unless it is sequential, and no other run of the batch may be running or
    /// have results.
    pub(crate) fn begins_private(&mut self, job: Job) {
        let Some(batch) = job.batch() else { return };
        let snapshot = self.batches.snapshot_of(&job);
        let is_in_order = matches!(job.mode, RunMode::Sequential { .. });
        if !is_in_order && job.incarnation.0 > 0 {
            self.violation = Some("a batch runs again");
        }
        let is_carried = matches!(job.mode, RunMode::Sequential { continues: true, .. });
        if !is_carried && self.is_unpublished_below(snapshot) {
            self.violation = Some("a batch begins before what is below it is published");
        }
        let is_left = |ran: &crate::Ran| !ran.groups.is_empty();
        if self.batches.ran[batch.0 as usize].as_ref().is_some_and(is_left) {
            self.violation = Some("a batch runs that has results");
        }
        let is_same = |other: &Job| {
            let is_late = self.protocol.is_left_behind(*other);
            !is_late && other.batch() == Some(batch)
        };
        let busy = self.workers.iter().any(|worker| match worker {
            Worker::Busy { report, .. } => is_same(&report.job),
            Worker::Idle => false,
        });
        let reported = self.reports.iter().any(|report| is_same(&report.job) && !report.void);
        let is_open = |job: &&Job| self.batches.is_claimed(job) == Some(false);
        let queued = self.channel.iter().filter(is_open).any(is_same);
        if busy || reported || queued {
            self.violation = Some("two runs of a batch at a time");
        }
    }

    fn is_unpublished_below(&self, end: usize) -> bool {
        self.batches.unpublished.iter().any(|(tx, ..)| *tx < end)
    }

    /// Checks the request for a sequential run: it starts from all commits, and its members are
    /// consecutive.
    pub(crate) fn begins_in_order(&mut self, job: Job, scenario: &Scenario) {
        let RunMode::Sequential { batch, continues } = job.mode else { return };
        let carry = self.batches.carry.take().filter(|_| continues);
        let carry = match carry {
            Some(carry) => carry,
            None if continues => return self.violation = Some("nothing is carried"),
            None => Carry { first: job.chunk.first.position(), left: Vec::new() },
        };
        if self.is_unpublished_below(carry.first) || !self.batches.is_carried_exactly(&carry) {
            self.violation = Some("what is carried is not what was committed");
        }
        if job.chunk.indices().any(|tx| scenario.batch_of(tx) != Some(batch)) {
            self.violation = Some("a run sequentially has another batch's transactions");
        }
        if job.chunk.len() > scenario.limits.stride {
            self.violation = Some("a run sequentially is longer than its stride");
        }
        self.batches.handed = Some(carry);
    }

    /// Performs a command that concerns only private batches.
    pub(crate) fn perform_private(
        &mut self,
        command: Command,
        scenario: &Scenario,
    ) -> Result<(), Invariant> {
        let event = match command {
            Command::Compare { batch, tx } => {
                let conflict = self.batches.first_conflict(batch);
                Event::Compared { tx, conflict }
            }
            Command::AdmitGroup { group, .. } => {
                let fits = group.indices().all(|tx| Self::fits(scenario, tx));
                Event::Admitted { tx: group.first, fits }
            }
            Command::CommitGroup { batch, group } => return self.commit_group(batch, group),
            other => unreachable!("{other:?} concerns no batch"),
        };
        self.protocol.apply(event)
    }

    fn commit_group(&mut self, batch: BatchId, txs: Chunk) -> Result<(), Invariant> {
        let missing = Invariant::MissingResult { tx: txs.first };
        let group = self.batches.commit_group(batch, txs).ok_or(missing)?;
        for run in group.runs {
            self.settle(TxIndex(run.tx as u32), run.value);
            let entry = run.written.map(|(location, value)| (run.tx, location, value));
            self.batches.unpublished.extend(entry);
        }
        Ok(())
    }
}
