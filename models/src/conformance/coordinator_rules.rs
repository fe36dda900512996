//! Rules for the coordinator: order of commits, admission, limits, and effects of commands.

use super::World;
use super::runs::Runs;
use super::store_rules::{StoreRules, Why, ensure};
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::mv::Location;
use braid_evm::protocol::{Command, Event, Failure, Job, JobReport, Limits, Verdict};

/// A command whose effects are checked when the coordinator takes its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Performing {
    Abort(TxIndex),
    Skip(TxIndex),
}

/// A question that must be answered before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Admit(TxIndex),
    AdmitGroup(Chunk),
    Claim(Job),
    Help(Job),
    Compare(BatchId, TxIndex),
}

/// Reference state of the coordinator.
#[derive(Debug)]
pub struct CoordinatorRules {
    pub(super) limits: Limits,
    transactions: u32,
    /// The lowest uncommitted transaction.
    pub frontier: TxIndex,
    /// Jobs in the channel, on workers, or in reports that the protocol has not received.
    pub(super) jobs: Vec<Job>,
    pub(super) owner_job: Option<Job>,
    pub(super) sent: Vec<JobReport>,
    pub(super) admitted: Option<bool>,
    /// The group that the block has room for.
    pub(super) admitted_group: Option<Chunk>,
    /// The final failure of the transaction at the frontier.
    pub(super) failed: Option<Failure>,
    /// The transaction whose check was requested, and whether the verdict is binding.
    requested_check: Option<(TxIndex, bool)>,
    /// The command that the coordinator must answer next.
    pub(super) question: Option<Question>,
    /// Jobs that were claimed back; their messages are answered as void.
    pub(super) taken_back: Vec<Job>,
    /// Jobs that were taken over and are not answered; their reports do not count.
    pub(super) superseded: Vec<Job>,
    pub(super) helped_transactions: u32,
    performing: Option<Performing>,
    cancelled: bool,
    broken: bool,
    pub(super) stopped: bool,
    finished: bool,
    /// Whether another segment continues from the frontier, so that entries above it are withdrawn.
    fell_back: bool,
    /// Whether the block was cancelled before work stopped, so that entries above the frontier are
    /// withdrawn.
    settles: bool,
}

impl CoordinatorRules {
    /// Creates the state at the start of a segment at `frontier`, in a block of `transactions`
    /// transactions.
    #[must_use]
    pub const fn new(limits: Limits, frontier: TxIndex, transactions: u32) -> Self {
        Self {
            limits,
            transactions,
            frontier,
            jobs: Vec::new(),
            owner_job: None,
            sent: Vec::new(),
            admitted: None,
            admitted_group: None,
            failed: None,
            requested_check: None,
            question: None,
            taken_back: Vec::new(),
            superseded: Vec::new(),
            helped_transactions: 0,
            performing: None,
            cancelled: false,
            broken: false,
            stopped: false,
            finished: false,
            fell_back: false,
            settles: false,
        }
    }

    /// Returns the maximum number of runs of a transaction (I9). A job that was taken over may have
    /// run it twice.
    #[must_use]
    pub const fn bound(&self) -> u32 {
        let helped_transactions = if self.helped_transactions > 0 { 2 } else { 0 };
        self.limits.max_speculative_runs + 1 + helped_transactions
    }

    /// Returns whether the coordinator is turning the entries of `tx` into estimates.
    #[must_use]
    pub fn is_aborting(&self, tx: TxIndex) -> bool {
        self.performing == Some(Performing::Abort(tx))
    }

    /// Returns whether the coordinator is withdrawing the entries of `tx`: a skipped transaction,
    /// or one above the frontier of a segment that fell back or was cancelled.
    #[must_use]
    pub fn is_withdrawing(&self, tx: TxIndex) -> bool {
        let is_above = self.finished && (self.fell_back || self.cancelled) && tx >= self.frontier;
        is_above || self.performing == Some(Performing::Skip(tx))
    }

    /// Checks that every transaction below the store's new `frontier` is final.
    ///
    /// # Errors
    /// Returns the reason if a transaction is not final, or if a skipped one has entries (I15).
    pub(super) fn frontier_moved<L: Location>(
        &self,
        frontier: TxIndex,
        world: &World<L>,
    ) -> Result<(), Why> {
        ensure(frontier == self.frontier, || format!("the frontier is no {frontier}"))?;
        let store = &world.store;
        let Some(Performing::Skip(tx)) = self.performing else { return Ok(()) };
        let entry = store.cells.entries_of(tx).next();
        ensure(entry.is_none(), || format!("I15: the frontier passes {tx}, which leaves {entry:?}"))
    }

    /// Checks the effects of the last command.
    fn settle<L: Location>(&mut self, store: &StoreRules<L>, withdrawn: bool) -> Result<(), Why> {
        match self.performing.take() {
            Some(Performing::Abort(tx)) => {
                let entry = store.cells.entries_of(tx).find(|(.., entry)| entry.is_some());
                ensure(entry.is_none(), || format!("{tx} is aborted and leaves {entry:?}"))?;
            }
            Some(Performing::Skip(tx)) => {
                let entry = store.cells.entries_of(tx).next();
                ensure(entry.is_none(), || format!("I15: {tx} is skipped and leaves {entry:?}"))?;
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
        // A cancelled block commits the transactions that have run before it ends.
        let goes_on = !self.stopped || (self.cancelled && !self.broken);
        ensure(goes_on, || format!("{tx} is looked at after the end"))
    }

    pub(super) fn advance_to(&mut self, frontier: TxIndex) {
        self.frontier = frontier;
        (self.admitted, self.admitted_group, self.failed) = (None, None, None);
    }

    /// Checks an event that the protocol receives.
    ///
    /// # Errors
    /// Returns the reason if the event did not occur.
    pub(super) fn check_event<L: Location>(
        &mut self,
        event: &Event,
        world: &mut World<L>,
    ) -> Result<(), Why> {
        ensure(!self.finished, || format!("{event:?} after the end"))?;
        self.settle(&world.store, matches!(event, Event::Withdrawn { .. }))?;
        match event {
            Event::Reported(report) => {
                if self.take_superseded(report)? {
                    return Ok(());
                }
                self.reported(report)?;
                world.batches.reported(report, true)
            }
            Event::Checked { tx, verdict } => {
                let found = world.runs.get_mut(tx.position()).and_then(Runs::take_verdict);
                let valid = *verdict == Verdict::Valid;
                let counts = self.requested_check.take().filter(|(asked, _)| asked == tx);
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
                    let is_private = *claimed && job.batch().is_some();
                    if is_private { world.batches.take_back(job) } else { Ok(()) }
                }
                _ => Err(format!("no command asked for {event:?}")),
            },
            Event::Helped { tx, taken } => match self.question.take() {
                Some(Question::Help(job)) if job.chunk.first == *tx => {
                    if *taken {
                        self.take_over(job, world)
                    } else {
                        Ok(())
                    }
                }
                _ => Err(format!("{event:?} answers nothing")),
            },
            Event::Stalled | Event::Unprofitable | Event::Withdrawn { .. } => Ok(()),
            Event::Compared { tx, conflict } => match self.question.take() {
                Some(Question::Compare(id, asked)) if asked == *tx => {
                    world.batches.compared(id, *tx, *conflict)
                }
                _ => Err(format!("no command asked for {event:?}")),
            },
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
        self.supersede(job);
        if job.batch().is_some() {
            return world.batches.take_back(job);
        }
        // A worker whose run has no result may have reported before its job was taken over.
        let reported_runs = self.unreceived_runs(job);
        let runs = world.runs.get_mut(job.chunk.first.position());
        runs.into_iter().for_each(|runs| runs.supersede(job, reported_runs));
        Ok(())
    }

    /// Checks a command of the protocol.
    ///
    /// # Errors
    /// Returns the reason if the command is not permitted.
    pub(super) fn check_command<L: Location>(
        &mut self,
        command: &Command,
        world: &mut World<L>,
    ) -> Result<(), Why> {
        ensure(!self.finished, || format!("{command:?} after the end"))?;
        ensure(self.question.is_none() && self.requested_check.is_none(), || {
            format!("{command:?} with a question open")
        })?;
        self.settle(&world.store, false)?;
        // Pending writes of earlier segments are published before the first command.
        world.batches.history.end_publishing(&world.store)?;
        match command {
            Command::Dispatch(job) => self.dispatch(*job, world),
            Command::RunHere(job) => self.run_here(*job, world),
            Command::Claim(job) => {
                self.question = Some(Question::Claim(*job));
                self.at_frontier(job.chunk.first)?;
                ensure(self.is_sent(*job), || format!("{job:?} is not in the channel"))
            }
            Command::Help(job) => {
                self.question = Some(Question::Help(*job));
                self.at_frontier(job.chunk.first)?;
                let is_under_way = self.is_sent(*job) || self.owner_job == Some(*job);
                ensure(is_under_way, || format!("{job:?} is not under way"))
            }
            Command::Recheck(tx) => {
                self.requested_check = Some((*tx, false));
                ensure(*tx > self.frontier, || format!("a hint for the frontier {tx}"))
            }
            Command::Validate(tx) => {
                self.requested_check = Some((*tx, true));
                self.at_frontier(*tx)
            }
            Command::Admit(tx) => {
                self.question = Some(Question::Admit(*tx));
                self.at_frontier(*tx)
            }
            Command::Abort(tx) => {
                self.performing = Some(Performing::Abort(*tx));
                ensure(*tx >= self.frontier, || format!("{tx} is final and aborted"))
            }
            Command::Commit(tx) => self.commit(*tx, world),
            Command::Skip(tx) => self.skip(*tx),
            Command::StopWork => self.stop_work(world),
            Command::Finish => self.finish(),
            Command::Compare { .. } | Command::AdmitGroup { .. } | Command::CommitGroup { .. } => {
                self.check_batch_command(command, world)
            }
        }
    }

    fn skip(&mut self, tx: TxIndex) -> Result<(), Why> {
        self.at_frontier(tx)?;
        let refused = self.admitted == Some(false);
        ensure(refused || self.failed == Some(Failure::Rejected), || {
            format!("{tx} is skipped without a reason")
        })?;
        self.performing = Some(Performing::Skip(tx));
        self.advance_to(tx.next());
        Ok(())
    }

    /// Returns whether `job` was put into the channel and not taken back.
    fn is_sent(&self, job: Job) -> bool {
        self.jobs.contains(&job) && !self.taken_back.contains(&job)
    }

    fn stop_work<L: Location>(&mut self, world: &mut World<L>) -> Result<(), Why> {
        let refused = self.admitted == Some(false);
        let first = !core::mem::replace(&mut self.stopped, true);
        ensure(first, || "work is stopped twice".to_owned())?;
        self.settles = self.cancelled;
        let is_stuck = world.batches.is_stuck(self.frontier, refused);
        let fallback = self.limits.fallback.is_some() || is_stuck;
        self.fell_back = fallback;
        let ends = self.cancelled || self.broken || refused || self.failed.is_some();
        world.batches.seen.fell_back += u64::from(fallback && !ends);
        ensure(ends || fallback, || {
            format!("I12: the block ends at {} without a reason", self.frontier)
        })
    }

    fn run_here<L: Location>(&mut self, job: Job, world: &mut World<L>) -> Result<(), Why> {
        self.at_frontier(job.chunk.first)?;
        ensure(!self.stopped, || format!("{job:?} runs after the end"))?;
        ensure(self.owner_job.replace(job).is_none(), || {
            "two jobs outside the channel".to_owned()
        })?;
        if job.batch().is_some() {
            return world.batches.request_run(job);
        }
        ensure(self.admitted == Some(true), || format!("{job:?} was not admitted"))
    }

    fn dispatch<L: Location>(&mut self, job: Job, world: &mut World<L>) -> Result<(), Why> {
        let (first, jobs) = (job.chunk.first, self.jobs.len() + self.superseded.len());
        let end = self.frontier.0.saturating_add(self.limits.window);
        ensure(first > self.frontier, || format!("I8: {first} is queued at the frontier"))?;
        ensure(first.0 < end, || format!("{first} is dispatched beyond the window {end}"))?;
        ensure(jobs < self.limits.job_capacity as usize, || format!("{jobs} jobs are under way"))?;
        ensure(!self.stopped, || format!("{job:?} is dispatched after the end"))?;
        self.jobs.push(job);
        match job.batch() {
            Some(_) => world.batches.request_run(job),
            None => Ok(()),
        }
    }

    fn commit<L: Location>(&mut self, tx: TxIndex, world: &mut World<L>) -> Result<(), Why> {
        self.at_frontier(tx)?;
        ensure(self.admitted == Some(true), || format!("{tx} was not admitted"))?;
        let World { store, runs, .. } = world;
        let runs = runs.get(tx.position()).ok_or_else(|| format!("there is no {tx}"))?;
        runs.is_valid(tx, &store.cells)?;
        runs.is_published(tx, &store.cells)?;
        self.advance_to(tx.next());
        Ok(())
    }

    /// Checks the end of the block (I13).
    fn finish(&mut self) -> Result<(), Why> {
        self.finished = true;
        let is_late = |sent: &JobReport| self.superseded.contains(&sent.job);
        let is_answered = self.sent.iter().all(is_late);
        ensure(self.jobs.is_empty() && self.owner_job.is_none() && is_answered, || {
            format!("I13: the end, with {:?} under way", self.jobs)
        })?;
        ensure(self.stopped || self.frontier.0 == self.transactions, || {
            format!("the end at {} without a reason", self.frontier)
        })
    }

    /// Checks the end of the trace.
    ///
    /// # Errors
    /// Returns the reason if the block has not ended, or if a cancelled block left entries above
    /// the frontier.
    pub fn check_end<L: Location>(&self, store: &StoreRules<L>) -> Result<(), Why> {
        ensure(self.finished, || "the trace stops before the block does".to_owned())?;
        let above = (self.frontier.0..self.transactions).filter(|_| self.settles);
        match above.flat_map(|tx| store.cells.entries_of(TxIndex(tx))).next() {
            Some((location, ..)) => Err(format!("{location:?} is left above {}", self.frontier)),
            None => Ok(()),
        }
    }
}
