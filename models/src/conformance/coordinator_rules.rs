//! What the coordinator may do: order of commits, admission, bounds, and what each command leaves.

use super::World;
use super::batch_runs::private;
use super::runs::Runs;
use super::store_rules::{StoreRules, Why, ensure};
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::mv::Location;
use braid_evm::protocol::{Command, Event, Failure, Job, JobReport, Limits, Verdict};

/// A command whose effects are looked at when the coordinator does the next thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Performing {
    Discard(TxIndex),
    Skip(TxIndex),
}

/// A question that is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Admit(TxIndex),
    AdmitGroup(Chunk),
    Claim(Job),
    TakeOver(Job),
    Compare(BatchId, TxIndex),
}

/// The coordinator as it must be.
#[derive(Debug)]
pub struct CoordinatorRules {
    pub(super) limits: Limits,
    transactions: u32,
    /// The lowest index that is not committed.
    pub frontier: TxIndex,
    /// Jobs in the channel, on workers, or reported and not heard of.
    pub(super) jobs: Vec<Job>,
    pub(super) here: Option<Job>,
    pub(super) sent: Vec<JobReport>,
    pub(super) admitted: Option<bool>,
    /// The group that the block has room for.
    pub(super) admitted_group: Option<Chunk>,
    /// The final failure of the frontier.
    pub(super) failed: Option<Failure>,
    /// The check that was asked for, and whether it counts.
    asked: Option<(TxIndex, bool)>,
    /// The admission or the claim that was asked for.
    pub(super) question: Option<Question>,
    /// Jobs that were taken back; their messages are answered as void.
    pub(super) taken_back: Vec<Job>,
    /// Jobs that were taken over and are not answered; their reports do not count.
    pub(super) left_behind: Vec<Job>,
    pub(super) taken_over: u32,
    performing: Option<Performing>,
    cancelled: bool,
    broken: bool,
    pub(super) stopped: bool,
    finished: bool,
    /// Another round goes on from the frontier: what was published above it goes.
    handed_over: bool,
    /// The block had been cancelled when work was stopped: what was published above the frontier goes.
    settles: bool,
}

impl CoordinatorRules {
    /// The beginning of a round that goes on from `frontier`, of a block of this number of transactions.
    #[must_use]
    pub const fn new(limits: Limits, frontier: TxIndex, transactions: u32) -> Self {
        Self {
            limits,
            transactions,
            frontier,
            jobs: Vec::new(),
            here: None,
            sent: Vec::new(),
            admitted: None,
            admitted_group: None,
            failed: None,
            asked: None,
            question: None,
            taken_back: Vec::new(),
            left_behind: Vec::new(),
            taken_over: 0,
            performing: None,
            cancelled: false,
            broken: false,
            stopped: false,
            finished: false,
            handed_over: false,
            settles: false,
        }
    }

    /// Most runs of one transaction (I9). A job that was taken over ran it up to twice.
    #[must_use]
    pub const fn bound(&self) -> u32 {
        let taken_over = if self.taken_over > 0 { 2 } else { 0 };
        self.limits.max_speculative_runs + 1 + taken_over
    }

    /// The transaction whose entries the coordinator is turning into estimates.
    #[must_use]
    pub fn discards(&self, tx: TxIndex) -> bool {
        self.performing == Some(Performing::Discard(tx))
    }

    /// The transaction whose entries the coordinator is withdrawing: the one that is left out, and all above the frontier of a
    /// round that is handed over.
    #[must_use]
    pub fn withdraws(&self, tx: TxIndex) -> bool {
        let is_above = self.finished && (self.handed_over || self.cancelled) && tx >= self.frontier;
        is_above || self.performing == Some(Performing::Skip(tx))
    }

    /// The store hears that everything below `frontier` is final.
    ///
    /// # Errors
    /// It is not, or what was left out is still there (I15).
    pub(super) fn frontier_moved<L: Location>(
        &self,
        frontier: TxIndex,
        world: &World<L>,
    ) -> Result<(), Why> {
        ensure(frontier == self.frontier, || format!("the frontier is no {frontier}"))?;
        let World { store, batches, .. } = world;
        batches.history.is_complete(store)?;
        let Some(Performing::Skip(tx)) = self.performing else { return Ok(()) };
        let left = store.cells.entries_of(tx).next();
        ensure(left.is_none(), || format!("I15: the frontier passes {tx}, which leaves {left:?}"))
    }

    /// What the last command has left.
    fn settle<L: Location>(&mut self, store: &StoreRules<L>, withdrawn: bool) -> Result<(), Why> {
        match self.performing.take() {
            Some(Performing::Discard(tx)) => {
                let left = store.cells.entries_of(tx).find(|(.., entry)| entry.is_some());
                ensure(left.is_none(), || format!("{tx} is discarded and leaves {left:?}"))?;
            }
            Some(Performing::Skip(tx)) => {
                let left = store.cells.entries_of(tx).next();
                ensure(left.is_none(), || format!("I15: {tx} is skipped and leaves {left:?}"))?;
                ensure(withdrawn, || format!("the skip of {tx} is not answered"))?;
            }
            None => ensure(!withdrawn, || "a withdrawal without a skip".to_owned())?,
        }
        ensure(store.frontier == self.frontier, || {
            format!("the store's frontier is {}, not {}", store.frontier, self.frontier)
        })
    }

    pub(super) fn at_frontier(&self, tx: TxIndex) -> Result<(), Why> {
        ensure(tx == self.frontier, || {
            format!("I2: {tx} is not the frontier, which is {}", self.frontier)
        })?;
        // What has run is committed before a cancelled block ends.
        let goes_on = !self.stopped || (self.cancelled && !self.broken);
        ensure(goes_on, || format!("{tx} is looked at after the end"))
    }

    pub(super) fn advance_to(&mut self, frontier: TxIndex) {
        self.frontier = frontier;
        (self.admitted, self.admitted_group, self.failed) = (None, None, None);
    }

    /// The protocol hears of something.
    ///
    /// # Errors
    /// It did not happen.
    pub(super) fn heard<L: Location>(
        &mut self,
        event: &Event,
        world: &mut World<L>,
    ) -> Result<(), Why> {
        ensure(!self.finished, || format!("{event:?} after the end"))?;
        self.settle(&world.store, matches!(event, Event::Withdrawn { .. }))?;
        match event {
            Event::Reported(report) => {
                if self.is_late(report)? {
                    return Ok(());
                }
                self.reported(report)?;
                world.batches.reported(report, true)
            }
            Event::Checked { tx, verdict } => {
                let found = world.runs.get_mut(tx.position()).and_then(Runs::take_verdict);
                let valid = *verdict == Verdict::Valid;
                let counts = self.asked.take().filter(|(asked, _)| asked == tx);
                let counts = counts.ok_or_else(|| format!("no command asked for {event:?}"))?.1;
                let right = found == Some((valid, counts));
                ensure(right, || format!("the check of {tx} came to {found:?}"))
            }
            Event::Admitted { tx, fits } => {
                self.admitted = Some(*fits);
                match self.question.take() {
                    Some(Question::Admit(asked)) if asked == *tx => Ok(()),
                    Some(Question::AdmitGroup(group)) if group.first == *tx => {
                        self.admitted_group = fits.then_some(group);
                        Ok(())
                    }
                    _ => Err(format!("no command asked for {event:?}")),
                }
            }
            Event::Claimed { tx, claimed } => match self.question.take() {
                Some(Question::Claim(job)) if job.chunk.first == *tx => {
                    self.taken_back.extend(claimed.then_some(job));
                    let is_private = *claimed && private(job).is_some();
                    if is_private { world.batches.take_back(job) } else { Ok(()) }
                }
                _ => Err(format!("no command asked for {event:?}")),
            },
            Event::TakenOver { tx, taken } => match self.question.take() {
                Some(Question::TakeOver(job)) if job.chunk.first == *tx => {
                    if *taken {
                        self.take_over(job, world)
                    } else {
                        Ok(())
                    }
                }
                _ => Err(format!("{event:?} answers nothing")),
            },
            Event::Stalled | Event::GivenUp | Event::Withdrawn { .. } => Ok(()),
            Event::Compared { tx, conflict } => match self.question.take() {
                Some(Question::Compare(id, asked)) if asked == *tx => {
                    world.batches.compared(id, *tx, *conflict)
                }
                _ => Err(format!("no command asked for {event:?}")),
            },
            Event::Published { tx, stale_readers } => {
                world.batches.history.is_complete(&world.store)?;
                world.batches.history.end_publishing(*tx, stale_readers)
            }
            Event::Cancelled => {
                self.cancelled = true;
                Ok(())
            }
            Event::Broken => {
                self.broken = true;
                Ok(())
            }
        }
    }

    fn take_over<L: Location>(&mut self, job: Job, world: &mut World<L>) -> Result<(), Why> {
        self.leave_behind(job);
        if private(job).is_some() {
            return world.batches.take_back(job);
        }
        // A worker that has no result to publish may have told so before its job was taken over.
        let told = self.told_of_first(job);
        let runs = world.runs.get_mut(job.chunk.first.position());
        runs.into_iter().for_each(|runs| runs.leave_behind(job, told));
        Ok(())
    }

    /// The protocol asks for something.
    ///
    /// # Errors
    /// It must not.
    pub(super) fn told<L: Location>(
        &mut self,
        command: &Command,
        world: &mut World<L>,
    ) -> Result<(), Why> {
        ensure(!self.finished, || format!("{command:?} after the end"))?;
        ensure(self.question.is_none() && self.asked.is_none(), || {
            format!("{command:?} with a question open")
        })?;
        self.settle(&world.store, false)?;
        ensure(!world.batches.history.is_publishing(), || {
            format!("{command:?} with a publication open")
        })?;
        match command {
            Command::Dispatch(job) => self.dispatch(*job, world),
            Command::RunHere(job) => self.run_here(*job, world),
            Command::Claim(job) => {
                self.question = Some(Question::Claim(*job));
                self.at_frontier(job.chunk.first)?;
                ensure(self.jobs.contains(job), || format!("{job:?} is not in the channel"))
            }
            Command::TakeOver(job) => {
                self.question = Some(Question::TakeOver(*job));
                self.at_frontier(job.chunk.first)?;
                let is_under_way = self.jobs.contains(job) || self.here == Some(*job);
                ensure(is_under_way, || format!("{job:?} is not under way"))
            }
            Command::Recheck(tx) => {
                self.asked = Some((*tx, false));
                ensure(*tx > self.frontier, || format!("a hint for the frontier {tx}"))
            }
            Command::Validate(tx) => {
                self.asked = Some((*tx, true));
                self.at_frontier(*tx)
            }
            Command::Admit(tx) => {
                self.question = Some(Question::Admit(*tx));
                self.at_frontier(*tx)
            }
            Command::Discard(tx) => {
                self.performing = Some(Performing::Discard(*tx));
                ensure(*tx >= self.frontier, || format!("{tx} is final and discarded"))
            }
            Command::Commit(tx) => self.commit(*tx, world),
            Command::Skip(tx) => self.skip(*tx, world),
            Command::StopWork => self.stop_work(world),
            Command::Finish => self.finish(),
            Command::Compare { .. }
            | Command::AdmitGroup { .. }
            | Command::CommitGroup { .. }
            | Command::Publish { .. }
            | Command::DiscardBatch(_) => self.told_of_batch(command, world),
        }
    }

    fn skip<L: Location>(&mut self, tx: TxIndex, world: &mut World<L>) -> Result<(), Why> {
        self.at_frontier(tx)?;
        let refused = self.admitted == Some(false);
        let failed = self.failed.or(world.batches.failure_in_order(tx));
        ensure(refused || failed == Some(Failure::Rejected), || {
            format!("{tx} is skipped without a reason")
        })?;
        world.batches.nothing_left_of(tx)?;
        world.batches.skip(tx);
        self.performing = Some(Performing::Skip(tx));
        self.advance_to(tx.next());
        Ok(())
    }

    fn stop_work<L: Location>(&mut self, world: &mut World<L>) -> Result<(), Why> {
        let refused = self.admitted == Some(false);
        let first = !core::mem::replace(&mut self.stopped, true);
        ensure(first, || "work is stopped twice".to_owned())?;
        self.settles = self.cancelled;
        let Limits { hands_over, hands_over_rest, max_speculative_runs, .. } = self.limits;
        let is_stuck = world.batches.is_stuck(self.frontier, max_speculative_runs);
        let hands_over = hands_over.is_some() || (hands_over_rest && is_stuck);
        self.handed_over = hands_over;
        let failed = self.failed.or(world.batches.failure_in_order(self.frontier));
        let ends = self.cancelled || self.broken || refused || failed.is_some();
        world.batches.seen.handed_over += u64::from(hands_over && !ends);
        ensure(ends || hands_over, || {
            format!("I12: the block ends at {} without a reason", self.frontier)
        })
    }

    fn run_here<L: Location>(&mut self, job: Job, world: &mut World<L>) -> Result<(), Why> {
        self.at_frontier(job.chunk.first)?;
        ensure(!self.stopped, || format!("{job:?} runs after the end"))?;
        ensure(self.here.replace(job).is_none(), || "two jobs outside the channel".to_owned())?;
        if private(job).is_some() {
            return world.batches.ask(job, self.frontier, self.limits.max_speculative_runs);
        }
        ensure(self.admitted == Some(true), || format!("{job:?} was not admitted"))?;
        world.batches.run_alone(self.frontier)
    }

    fn dispatch<L: Location>(&mut self, job: Job, world: &mut World<L>) -> Result<(), Why> {
        let (first, jobs) = (job.chunk.first, self.jobs.len() + self.left_behind.len());
        let end = self.frontier.0.saturating_add(self.limits.window);
        ensure(first > self.frontier, || format!("I8: {first} is queued at the frontier"))?;
        ensure(first.0 < end, || format!("{first} is dispatched beyond the window {end}"))?;
        ensure(jobs < self.limits.job_capacity as usize, || format!("{jobs} jobs are under way"))?;
        ensure(!self.stopped, || format!("{job:?} is dispatched after the end"))?;
        self.jobs.push(job);
        let is_private = private(job).is_some();
        if !is_private {
            return Ok(());
        }
        world.batches.ask(job, self.frontier, self.limits.max_speculative_runs)
    }

    fn commit<L: Location>(&mut self, tx: TxIndex, world: &mut World<L>) -> Result<(), Why> {
        self.at_frontier(tx)?;
        ensure(self.admitted == Some(true), || format!("{tx} was not admitted"))?;
        let World { store, runs, batches } = world;
        let runs = runs.get(tx.position()).ok_or_else(|| format!("there is no {tx}"))?;
        runs.is_valid(tx, &store.cells)?;
        runs.is_published(tx, &store.cells)?;
        batches.commit_single(tx, runs.writes())?;
        self.advance_to(tx.next());
        Ok(())
    }

    /// I13.
    fn finish(&mut self) -> Result<(), Why> {
        self.finished = true;
        let is_late = |sent: &JobReport| self.left_behind.contains(&sent.job);
        let is_answered = self.sent.iter().all(is_late);
        ensure(self.jobs.is_empty() && self.here.is_none() && is_answered, || {
            format!("I13: the end, with {:?} under way", self.jobs)
        })?;
        ensure(self.stopped || self.frontier.0 == self.transactions, || {
            format!("the end at {} without a reason", self.frontier)
        })
    }

    /// The trace is over.
    ///
    /// # Errors
    /// The block is not, or something is left in the `store` above the frontier of a cancelled one.
    pub fn over<L: Location>(&self, store: &StoreRules<L>) -> Result<(), Why> {
        ensure(self.finished, || "the trace stops before the block does".to_owned())?;
        let above = (self.frontier.0..self.transactions).filter(|_| self.settles);
        match above.flat_map(|tx| store.cells.entries_of(TxIndex(tx))).next() {
            Some((location, ..)) => Err(format!("{location:?} is left above {}", self.frontier)),
            None => Ok(()),
        }
    }
}
