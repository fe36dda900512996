//! Rules for runs of transactions: reads, writes, and checks.

use super::reference::Reference;
use super::store_rules::{Why, ensure};
use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Change, Entry, Found, Location, Origin};
use braid_evm::protocol::{Job, RunResult, TxReport};
use braid_evm::trace::Ticket;
use braid_evm::worker::RunEnd;
use std::collections::{BTreeSet, HashMap};

/// State of a check between its start and its end, while others may publish.
#[derive(Clone, Debug)]
struct Check {
    by_value: bool,
    /// Whether each read was valid at some time.
    held: Vec<bool>,
    /// Whether some read was invalid at some time.
    failed: bool,
}

/// Runs of one transaction.
#[derive(Clone, Debug)]
pub struct Runs<L: Location> {
    /// Runs that started.
    pub count: u32,
    /// Runs as a member of a private batch.
    in_batch: u32,
    since_report: u32,
    /// Time of the last report.
    sent: Option<Ticket>,
    running: bool,
    /// Lookups of the current run, in order.
    looks: Vec<(L, Found<L>)>,
    end: Option<RunEnd<L>>,
    named: Vec<TxIndex>,
    check: Option<Check>,
    /// Verdict of the last check, and whether it compared by value.
    verdict: Option<(bool, bool)>,
    /// Run of a job that was taken over. It may still continue, and its results do not count.
    superseded_run: Option<(Job, Box<Self>)>,
}

impl<L: Location> Default for Runs<L> {
    fn default() -> Self {
        let (looks, named) = (Vec::new(), Vec::new());
        let (check, verdict, end, sent) = (None, None, None, None);
        let (count, in_batch, since_report, running) = (0, 0, 0, false);
        Self {
            count,
            in_batch,
            since_report,
            sent,
            running,
            looks,
            end,
            named,
            check,
            verdict,
            superseded_run: None,
        }
    }
}

fn holds<L: Location>(
    cells: &Reference<L>,
    reader: TxIndex,
    (location, origin, value): (&L, Origin, &L::Value),
    by_value: bool,
) -> bool {
    let Found::Seen(now, now_value) = cells.resolve(location, reader) else { return false };
    let folded = matches!(origin, Origin::Folded(_));
    (now == origin && !folded) || ((by_value || folded) && now_value == *value)
}

impl<L: Location> Runs<L> {
    /// Checks the start of a run, of which `bound` are permitted.
    ///
    /// # Errors
    /// Returns the reason if the transaction is already running, or has run too often.
    pub fn begin(&mut self, tx: TxIndex, bound: u32) -> Result<(), Why> {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.begin(tx, bound);
        }
        ensure(!self.running, || format!("two runs of {tx} at a time"))?;
        self.count += 1;
        self.since_report += 1;
        self.is_bounded(tx, bound)?;
        self.running = true;
        self.looks.clear();
        self.named.clear();
        (self.end, self.verdict) = (None, None);
        Ok(())
    }

    /// Marks the job as taken over: its worker's results no longer count. `reported_runs` is the
    /// number of runs in a report that was sent and not received.
    pub fn supersede(&mut self, job: Job, reported_runs: u32) {
        let runs = core::mem::take(&mut self.since_report);
        let (running, looks, check) = (self.running, self.looks.clone(), self.check.take());
        let (end, verdict) = (self.end.take(), self.verdict.take());
        let superseded_run =
            Self { since_report: runs, running, looks, end, check, verdict, ..Self::default() };
        self.superseded_run = Some((job, Box::new(superseded_run)));
        // The job counts as one run.
        self.count = self.count + 1 - runs - reported_runs;
        self.running = false;
        self.looks.clear();
        self.named.clear();
    }

    /// Returns the run of `job`, if it was taken over.
    pub fn superseded_run_of(&mut self, job: Job) -> Option<&mut Self> {
        let superseded = self.superseded_run.as_mut().filter(|(superseded, _)| *superseded == job);
        superseded.map(|(_, run)| &mut **run)
    }

    /// Checks that a worker returns a job whose results do not count.
    ///
    /// # Errors
    /// Returns the reason if the transaction is running or being checked.
    pub fn returned(&mut self, ticket: Ticket, job: Job) -> Result<(), Why> {
        let Some(superseded_run) = self.superseded_run_of(job) else { return Ok(()) };
        (superseded_run.since_report, superseded_run.sent) = (0, Some(ticket));
        let is_done = !superseded_run.running && superseded_run.check.is_none();
        ensure(is_done, || format!("{job:?} is returned as it runs or is checked"))
    }

    /// Records the result of a helper's run at the frontier, which counts.
    ///
    /// # Errors
    /// Returns the reason if another run counts, too, or if the run has no result.
    pub fn ran_second(&mut self, tx: TxIndex, end: &RunEnd<L>, bound: u32) -> Result<(), Why> {
        let is_first = !self.running && self.since_report == 0;
        ensure(is_first, || format!("{tx} runs beside a run that counts"))?;
        let reads = match end {
            RunEnd::Effects { reads, .. } => &reads[..],
            RunEnd::Failed => &[],
            RunEnd::Blocked(_) | RunEnd::TooEarly | RunEnd::Overtaken => {
                return Err(format!("{tx} counts and came to {end:?}"));
            }
        };
        self.count += 1;
        self.since_report = 1;
        self.is_bounded(tx, bound)?;
        // The origin of the reads is unknown; the commit compares values.
        let seen = |value: &L::Value| Found::Seen(Origin::Base, value.clone());
        self.looks = reads.iter().map(|(at, value)| (at.clone(), seen(value))).collect();
        self.end = Some(end.clone());
        Ok(())
    }

    fn is_bounded(&self, tx: TxIndex, bound: u32) -> Result<(), Why> {
        let count = self.count + self.in_batch;
        ensure(count <= bound, || format!("I9: {tx} runs {count} times"))
    }

    /// Records the end of a run in a private batch.
    ///
    /// # Errors
    /// Returns the reason if the transaction has run too often.
    pub fn ran_in_batch(&mut self, tx: TxIndex, bound: u32) -> Result<(), Why> {
        self.in_batch += 1;
        self.is_bounded(tx, bound)
    }

    /// Checks the lookup of a location, in a run or in a check.
    ///
    /// # Errors
    /// Returns the reason if the location was already read, or if the run had been stopped.
    pub fn look(&mut self, tx: TxIndex, location: &L, found: &Found<L>) -> Result<(), Why> {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.look(tx, location, found);
        }
        if !self.running {
            return ensure(self.check.is_some(), || format!("{tx} looks without a run"));
        }
        let stopped = self.looks.iter().any(|(_, found)| matches!(found, Found::Blocked(_)));
        ensure(!stopped, || format!("{tx} goes on after it was blocked"))?;
        let again = self.looks.iter().position(|(before, _)| before == location);
        if let Some((_, before)) = again.map(|again| self.looks.remove(again)) {
            ensure(before == Found::UnknownBase, || format!("I5: {tx} has read {location:?}"))?;
        }
        self.looks.push((location.clone(), found.clone()));
        Ok(())
    }

    /// Returns whether the transaction may have been running when `ticket` was drawn, because no
    /// report of its last run had been sent.
    #[must_use]
    pub fn ran_at(&self, ticket: Ticket) -> bool {
        let is_superseded_running = self
            .superseded_run
            .as_ref()
            .is_some_and(|(_, superseded_run)| superseded_run.ran_at(ticket));
        is_superseded_running
            || self.since_report > 0
            || self.sent.is_some_and(|sent| sent >= ticket)
    }

    fn reads(&self) -> impl Iterator<Item = (&L, Origin, &L::Value)> {
        self.looks.iter().filter_map(|(location, found)| match found {
            Found::Seen(origin, value) => Some((location, *origin, value)),
            Found::Blocked(_) | Found::UnknownBase => None,
        })
    }

    /// Checks the end of a run.
    ///
    /// # Errors
    /// Returns the reason if the end does not follow from the reads.
    pub fn end(&mut self, tx: TxIndex, end: &RunEnd<L>) -> Result<(), Why> {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.end(tx, end);
        }
        ensure(self.running, || format!("{tx} ends without a run"))?;
        self.running = false;
        let blocked = self.looks.iter().find_map(|(_, found)| match found {
            Found::Blocked(on) => Some(*on),
            Found::Seen(..) | Found::UnknownBase => None,
        });
        let unanswered = self.looks.iter().any(|(_, found)| *found == Found::UnknownBase);
        let right = match end {
            RunEnd::Blocked(on) => blocked == Some(*on),
            // The trace of the store does not show why the run ended.
            RunEnd::TooEarly | RunEnd::Overtaken | RunEnd::Failed => blocked.is_none(),
            RunEnd::Effects { reads, .. } => {
                let seen = self.reads().map(|(location, _, value)| (location, value));
                let recorded = reads.iter().map(|(location, value)| (location, value));
                blocked.is_none() && !unanswered && seen.eq(recorded)
            }
        };
        ensure(right, || format!("{tx} saw {:?} and ends with {end:?}", self.looks))?;
        self.end = Some(end.clone());
        Ok(())
    }

    /// Returns the version of the last run.
    #[must_use]
    pub const fn version(&self, tx: TxIndex) -> Version {
        Version { tx, incarnation: Incarnation(self.count.saturating_sub(1)) }
    }

    /// Checks the change of an entry by a worker.
    ///
    /// # Errors
    /// Returns the reason if the change does not belong to the run.
    pub fn publishes(
        &mut self,
        version: Version,
        (location, change): (&L, &Change<L>),
        stale: &[TxIndex],
    ) -> Result<(), Why> {
        let Some(RunEnd::Effects { writes, .. }) = self.end.as_ref().filter(|_| !self.running)
        else {
            return Err(format!("{version} publishes without a result"));
        };
        let written = writes.iter().find(|(written, _)| written == location);
        let right = match change {
            Change::Put(entry) => written.is_some_and(|(_, written)| written == entry),
            Change::Remove => written.is_none(),
            Change::Estimate => false,
        };
        ensure(right && version == self.version(version.tx), || {
            format!("{version} has no business with {change:?} at {location:?}")
        })?;
        self.named.extend(stale);
        Ok(())
    }

    /// Checks that the store has exactly the writes of the last run, and none of older runs (I7).
    ///
    /// # Errors
    /// Returns the reason if it has others.
    pub fn is_published(&self, tx: TxIndex, cells: &Reference<L>) -> Result<(), Why> {
        let Some(RunEnd::Effects { writes, .. }) = &self.end else {
            return Err(format!("{tx} has no result"));
        };
        let writes: HashMap<&L, &Entry<L>> = writes.iter().map(|(at, entry)| (at, entry)).collect();
        let incarnation = self.version(tx).incarnation;
        let mut count = 0;
        for (location, by, entry) in cells.entries_of(tx) {
            count += 1;
            let wanted = writes.get(location).copied();
            ensure(by == incarnation && entry.is_some() && entry == wanted, || {
                format!("{tx} has left {entry:?} of incarnation {} at {location:?}", by.0)
            })?;
        }
        ensure(count == writes.len(), || format!("{tx} has published {count} entries"))
    }

    /// Checks the report of a transaction as it is sent.
    ///
    /// # Errors
    /// Returns the reason if the report differs from the run, or if the run is not published.
    pub fn sent(
        &mut self,
        ticket: Ticket,
        (tx, report): (TxIndex, &TxReport),
        cells: &Reference<L>,
    ) -> Result<(), Why> {
        ensure(self.check.is_none(), || format!("{tx} is reported as it is checked"))?;
        self.sent = Some(ticket);
        let TxReport { runs, result } = report;
        ensure(*runs == core::mem::take(&mut self.since_report), || {
            format!("{tx} is said to have run {runs} times")
        })?;
        let right = match (result, &self.end) {
            (RunResult::Executed { stale_readers }, Some(RunEnd::Effects { writes, .. })) => {
                self.is_published(tx, cells)?;
                // A transaction that ends a life names all readers above it, because reads of slots
                // look up their scope only after some scope was written.
                let ends_life = writes.iter().any(|(location, _)| location.is_scope());
                let above = |reader: &&TxIndex| ends_life && **reader > tx;
                let reported: BTreeSet<&TxIndex> = stale_readers.iter().collect();
                let named: BTreeSet<&TxIndex> = self.named.iter().collect();
                reported.is_superset(&named) && reported.difference(&named).all(above)
            }
            (RunResult::Blocked { on }, Some(RunEnd::Blocked(by))) => on == by,
            (RunResult::TooEarly, Some(RunEnd::TooEarly | RunEnd::Overtaken)) => true,
            (RunResult::TooEarly, Some(RunEnd::Effects { .. } | RunEnd::Failed)) => {
                matches!(self.verdict, Some((false, _)))
            }
            (RunResult::Failed(_), Some(RunEnd::Failed)) => true,
            _ => false,
        };
        ensure(right, || format!("{tx} ended with {:?} and reports {result:?}", self.end))
    }

    /// Starts a check of the transaction's reads.
    ///
    /// # Errors
    /// Returns the reason if the transaction is running.
    pub fn begin_check(
        &mut self,
        tx: TxIndex,
        by_value: bool,
        cells: &Reference<L>,
    ) -> Result<(), Why> {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.begin_check(tx, by_value, cells);
        }
        ensure(!self.running && self.check.is_none(), || format!("{tx} is checked as it runs"))?;
        let held = vec![false; self.reads().count()];
        self.check = Some(Check { by_value, held, failed: false });
        self.compare(tx, cells);
        Ok(())
    }

    /// Updates the check after a change of the store.
    pub fn compare(&mut self, tx: TxIndex, cells: &Reference<L>) {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.compare(tx, cells);
        }
        let Some(mut check) = self.check.take() else { return };
        for (read, held) in self.reads().zip(&mut check.held) {
            let now = holds(cells, tx, read, check.by_value);
            *held |= now;
            check.failed |= !now;
        }
        self.check = Some(check);
    }

    /// Ends a check.
    ///
    /// # Errors
    /// Returns the reason if the verdict was wrong at all times during the check.
    pub fn end_check(&mut self, tx: TxIndex, verdict: bool) -> Result<(), Why> {
        if let Some((_, superseded_run)) = &mut self.superseded_run {
            return superseded_run.end_check(tx, verdict);
        }
        let check = self.check.take().ok_or_else(|| format!("no check of {tx} began"))?;
        let right = if verdict { check.held.iter().all(|held| *held) } else { check.failed };
        ensure(right, || format!("the reads of {tx} were said to hold: {verdict}"))?;
        self.verdict = Some((verdict, check.by_value));
        Ok(())
    }

    /// Takes the verdict on the last run's reads, and whether the check was by value.
    pub fn take_verdict(&mut self) -> Option<(bool, bool)> {
        self.verdict.take()
    }

    /// Checks that each read still resolves to an equal value (I3), even if the engine did not
    /// check.
    ///
    /// # Errors
    /// Returns the reason if a read is stale.
    pub fn is_valid(&self, tx: TxIndex, cells: &Reference<L>) -> Result<(), Why> {
        ensure(!self.running, || format!("I2: {tx} is committed as it runs"))?;
        ensure(self.check.is_none(), || format!("I2: {tx} is committed as it is checked"))?;
        let stale = self.reads().find(|read| !holds(cells, tx, *read, true));
        ensure(stale.is_none(), || format!("I3: {tx} is committed after reading {stale:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_evm::ids::Chunk;
    use braid_evm::protocol::RunMode;
    use braid_toy::ToyLocation;

    /// A job that was taken over counts as one run, whatever its worker has done.
    #[test]
    fn a_job_that_is_taken_over_counts_once() {
        let tx = TxIndex(1);
        let chunk = Chunk { first: tx, end: tx.next() };
        let job = Job { chunk, incarnation: Incarnation(0), mode: RunMode::Speculative };
        let report = TxReport { runs: 1, result: RunResult::TooEarly };
        for reached in 0..=3 {
            let mut runs = Runs::<ToyLocation>::default();
            let mut reported_runs = 0;
            if reached >= 1 {
                runs.begin(tx, 3).unwrap();
            }
            if reached >= 2 {
                runs.end(tx, &RunEnd::TooEarly).unwrap();
            }
            if reached >= 3 {
                runs.sent(Ticket::default(), (tx, &report), &Reference::default()).unwrap();
                reported_runs = report.runs;
            }
            runs.supersede(job, reported_runs);
            runs.ran_second(tx, &RunEnd::Failed, 3).unwrap();
            assert_eq!(runs.version(tx).incarnation, Incarnation(1), "after {reached} steps");
        }
    }
}
