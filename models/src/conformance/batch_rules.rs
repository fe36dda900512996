//! What the coordinator may do with private batches: who runs, what the commit rule says, and what is in the store when.

use super::batch_runs::{Bases, OneBatch, Ran, private};
use super::history::History;
use super::in_order::InOrder;
use super::reference::Reference;
use super::store_rules::{Why, ensure};
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::mv::{ExactGroup, Location};
use braid_evm::protocol::{Batch, Failure, Job, JobReport, Plan, RunMode};

/// What was seen of private batches in traces: proof that the rare things occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenBatches {
    /// Runs that ended.
    pub runs: u64,
    /// Groups that were committed.
    pub commits: u64,
    /// Groups that were committed although others had been since their snapshot.
    pub above_others: u64,
    /// Verdicts that forbid something.
    pub conflicts: u64,
    /// Verdicts that forbid what the exact rule allows.
    pub false_alarms: u64,
    /// Members that were committed after a run at the frontier.
    pub held: u64,
    /// Results that were thrown away.
    pub discards: u64,
    /// Publications before something reads, with several groups or one.
    pub publications: u64,
    /// Groups that were published as they were committed, beside published transactions.
    pub published: u64,
    /// Transactions outside all batches that were committed while a batch had results or ran.
    pub beside: u64,
    /// Runs that were taken back from the channel.
    pub claims: u64,
    /// Runs in order.
    pub in_order: u64,
    /// Runs in order that went on from the one before.
    pub continued: u64,
    /// Publications of what a run in order had handed on.
    pub carried: u64,
    /// Blocks that were handed over, as the rest of a batch could not go on.
    pub handed_over: u64,
}

impl SeenBatches {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.commits += other.commits;
        self.above_others += other.above_others;
        self.conflicts += other.conflicts;
        self.false_alarms += other.false_alarms;
        self.held += other.held;
        self.discards += other.discards;
        self.publications += other.publications;
        self.published += other.published;
        self.beside += other.beside;
        self.claims += other.claims;
        self.in_order += other.in_order;
        self.continued += other.continued;
        self.carried += other.carried;
        self.handed_over += other.handed_over;
    }
}

/// The private batches as they must be.
#[derive(Debug)]
pub struct BatchRules<L: Location> {
    batches: Vec<OneBatch<L>>,
    /// They read what a list tells, and nothing from a snapshot.
    is_told: bool,
    /// There are published transactions beside them.
    is_mixed: bool,
    /// What runs in order hand on.
    in_order: InOrder,
    /// What was committed.
    pub(super) history: History<L>,
    /// Base values.
    pub(super) bases: Bases<L>,
    /// What was seen.
    pub seen: SeenBatches,
}

impl<L: Location> BatchRules<L> {
    /// The batches of a block that is cut up so.
    #[must_use]
    pub fn new(plan: &Plan, stride: u32) -> Self {
        Self {
            batches: plan.private.iter().cloned().map(OneBatch::new).collect(),
            is_told: false,
            is_mixed: !plan.chunks.is_empty(),
            in_order: InOrder::new(plan, stride),
            history: History::default(),
            bases: Bases::default(),
            seen: SeenBatches::default(),
        }
    }

    /// The same of batches that read what a list tells.
    #[must_use]
    pub fn of_told(mut self) -> Self {
        (self.is_told, self.history.is_told) = (true, true);
        self
    }

    /// An earlier round of the block has left this.
    pub fn go_on_from(&mut self, before: Self) {
        (self.history, self.bases) = (before.history, before.bases);
    }

    fn batch(&mut self, id: BatchId) -> Result<&mut OneBatch<L>, Why> {
        self.batches.get_mut(id.0 as usize).ok_or_else(|| format!("there is no {id:?}"))
    }

    fn of_job(&mut self, job: Job) -> Result<&mut OneBatch<L>, Why> {
        let (id, _) = private(job).ok_or_else(|| format!("{job:?} is none of a batch"))?;
        self.batch(id)
    }

    /// The batch that holds `tx`.
    fn of(&self, tx: TxIndex) -> Option<&OneBatch<L>> {
        let holds = |members: &Batch| members.from(tx).next() == Some(tx);
        self.batches.iter().find(|batch| holds(&batch.members))
    }

    /// Whether the rest of the batch of the frontier `tx` may not go on: then the block may be handed over.
    #[must_use]
    pub fn is_stuck(&self, tx: TxIndex, cap: u32) -> bool {
        let Some(batch) = self.of(tx) else { return false };
        let is_forbidden = |ran: &Ran<L>| {
            ran.is_heard
                && match ran.next() {
                    Some(_) => ran.is_forbidden(tx),
                    None => ran.held == Some(tx),
                }
        };
        let is_spent = batch.runs >= cap && batch.out.is_none();
        batch.ran.as_ref().map_or(is_spent, is_forbidden)
    }

    /// The protocol wants a run of a private batch.
    ///
    /// # Errors
    /// It must not.
    pub fn ask(&mut self, job: Job, frontier: TxIndex, cap: u32) -> Result<(), Why> {
        let below = match job.mode {
            RunMode::InOrder { continues, .. } => {
                self.seen.in_order += 1;
                self.seen.continued += u64::from(continues);
                self.in_order.ask(job, continues)?
            }
            _ => private(job).map_or(frontier, |(_, snapshot)| snapshot),
        };
        self.history.is_published(below)?;
        self.of_job(job)?.ask(job, frontier, cap)
    }

    /// The protocol wants a run of `tx` by itself, at the frontier.
    ///
    /// # Errors
    /// Something of its batch may still run or commit before it.
    pub fn run_alone(&mut self, tx: TxIndex) -> Result<(), Why> {
        self.history.is_published(tx)?;
        self.nothing_left_of(tx)
    }

    /// Whatever the batch of `tx` has computed is committed or thrown away (I15).
    ///
    /// # Errors
    /// It is not.
    pub fn nothing_left_of(&self, tx: TxIndex) -> Result<(), Why> {
        let Some(batch) = self.of(tx) else { return Ok(()) };
        ensure(batch.out.is_none(), || format!("{tx} is in {:?}, which runs", batch.out))?;
        let left = batch.ran.as_ref().and_then(Ran::next);
        ensure(left.is_none(), || format!("I15: {left:?} was computed for the batch of {tx}"))
    }

    /// The run that was asked for is taken back.
    ///
    /// # Errors
    /// It has begun.
    pub fn take_back(&mut self, job: Job) -> Result<(), Why> {
        self.seen.claims += 1;
        self.of_job(job)?.take_back(job)
    }

    /// A worker begins.
    ///
    /// # Errors
    /// No command has asked for it.
    pub fn began(&mut self, job: Job) -> Result<(), Why> {
        self.of_job(job)?.begin(job)
    }

    /// A worker has ended.
    ///
    /// # Errors
    /// It ran something else, or has read something else than there is at its snapshot.
    pub fn ended(
        &mut self,
        job: Job,
        groups: &[ExactGroup<L>],
        (held, is_second): (Option<TxIndex>, bool),
        cells: &Reference<L>,
    ) -> Result<(), Why> {
        self.seen.runs += 1;
        // A run in order has the rest in its own hands.
        let below = match job.mode {
            RunMode::InOrder { .. } => self.in_order.running,
            _ => private(job).map_or(TxIndex(0), |(_, snapshot)| snapshot),
        };
        let has_read = groups.iter().any(|group| !group.reads.is_empty());
        ensure(!self.is_told || !has_read, || format!("{job:?} has read from its snapshot"))?;
        for group in groups {
            self.bases.compare(group, below, cells)?;
        }
        self.of_job(job)?.end(job, groups, (held, is_second))
    }

    /// A worker reports what came of `job`, or the protocol hears of it.
    ///
    /// # Errors
    /// Something else did.
    pub fn reported(&mut self, report: &JobReport, is_heard: bool) -> Result<(), Why> {
        let job = report.job;
        if private(job).is_none() || report.void {
            return Ok(());
        }
        if is_heard {
            self.in_order.hear(report);
        }
        let batch = self.of_job(job)?;
        if is_heard { batch.hear(report) } else { batch.is_ended_with(report) }
    }

    /// What is compared, and may be admitted, next: results of this batch begin at `tx`.
    ///
    /// # Errors
    /// They do not.
    pub fn results_at(&mut self, id: BatchId, tx: TxIndex) -> Result<Chunk, Why> {
        let ran = self.batch(id)?.results_at(tx)?;
        ran.next().ok_or_else(|| format!("no results at {tx}"))
    }

    /// A verdict. It may forbid more than the exact rule, never less.
    ///
    /// # Errors
    /// It forbids less.
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
        let (told, exact) = (conflict.map_or(never, |at| at.max(tx)), exact.unwrap_or(never));
        seen.conflicts += u64::from(conflict.is_some());
        seen.false_alarms += u64::from(told < exact);
        ensure(told <= exact, || {
            format!("{:?} may commit up to {conflict:?}, it was said, and not {exact}", ran.job)
        })
    }

    /// A group is committed.
    ///
    /// # Errors
    /// The commit rule forbids it, or it is not the next one.
    pub fn commit_group(&mut self, id: BatchId, group: Chunk, publish: bool) -> Result<(), Why> {
        let Self { batches, history, seen, is_mixed, .. } = self;
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
        ensure(publish == *is_mixed, || format!("{group:?} is published: {publish}"))?;
        seen.commits += 1;
        seen.above_others += u64::from(history.has_outsiders(ran));
        seen.published += u64::from(publish);
        let writes = ran.groups.get(ran.committed).map(|group| group.writes.clone());
        ran.committed += 1;
        history.commit_group(ran.job, group, &writes.unwrap_or_default());
        if publish { history.begin_publishing(group) } else { Ok(()) }
    }

    /// Why `tx`, which a run in order has come to, has no result, if that is final.
    #[must_use]
    pub fn failure_in_order(&self, tx: TxIndex) -> Option<Failure> {
        let ran = self.of(tx)?.ran.as_ref()?;
        ran.failure.filter(|_| ran.held == Some(tx) && ran.next().is_none())
    }

    /// `tx` is left out.
    pub fn skip(&mut self, tx: TxIndex) {
        self.in_order.skip(tx);
    }

    /// What others have committed is put into the store.
    ///
    /// # Errors
    /// It is there already.
    pub fn publish(&mut self, txs: Chunk, carried: bool, frontier: TxIndex) -> Result<(), Why> {
        self.seen.publications += 1;
        self.seen.carried += u64::from(carried);
        self.in_order.publish(carried, frontier)?;
        let right = txs.end == frontier;
        ensure(right, || format!("{txs:?} is published below the frontier {frontier}"))?;
        self.history.begin_publishing(txs)
    }

    /// Results are thrown away. `refused`: the transaction at the frontier is left out.
    ///
    /// # Errors
    /// There are none, or they may commit.
    pub fn discard(&mut self, id: BatchId, frontier: TxIndex, refused: bool) -> Result<(), Why> {
        self.seen.discards += 1;
        let batch = self.batch(id)?;
        let ran = batch.results_at(frontier)?;
        ensure(refused || ran.is_forbidden(frontier), || {
            format!("{:?} is thrown away without a reason", ran.job)
        })?;
        batch.ran = None;
        Ok(())
    }

    /// `tx` is committed after a run at the frontier, or beside the batches.
    ///
    /// # Errors
    /// Its batch has results for it.
    pub fn commit_single<'l>(
        &mut self,
        tx: TxIndex,
        writes: impl Iterator<Item = &'l L>,
    ) -> Result<(), Why> {
        self.nothing_left_of(tx)?;
        let is_member = self.of(tx).is_some();
        let is_live = self.batches.iter().any(|batch| batch.out.is_some() || batch.ran.is_some());
        self.seen.held += u64::from(is_member);
        self.seen.beside += u64::from(!is_member && is_live);
        self.history.commit_single(tx, writes);
        Ok(())
    }
}
