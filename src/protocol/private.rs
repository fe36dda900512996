//! Private batches: dispatch, comparison, commit group by group, and what becomes of the rest.
//!
//! A private batch runs on the committed prefix below its snapshot *s*. Its transaction *f* may commit once everything
//! below *f* is committed, if nobody outside the batch has written, from *s* to *f*, what the batch has accessed up to
//! and including *f*. From the first one that may not, the rest is discarded. `docs/PROTOCOL.md` has the proof.

use super::batch::Batch;
use super::events::{BatchReport, Command, Job, JobReport, Mode};
use super::mutants::is_mutant;
use super::state::{Awaiting, Halt, Protocol};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the protocol keeps of the private batches of a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Private {
    batches: Vec<PrivateBatch>,
    /// Batches that are not over, by their lowest member that is not final.
    heads: BTreeMap<TxIndex, BatchId>,
    /// Those heads whose batches wait to run.
    ready: BTreeSet<TxIndex>,
    /// What lies below it is in the store.
    published: TxIndex,
    /// Whether there are published transactions beside the batches: they may read what a batch has committed.
    is_mixed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PrivateBatch {
    members: Batch,
    /// Runs so far: also the incarnation of the next one.
    runs: u32,
    state: BatchState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum BatchState {
    /// Its members from the head on wait for a run.
    Waiting,
    /// In a job, perhaps not begun.
    InFlight(Job),
    /// It has run, and some of it waits to be committed.
    Ended(Ended),
    /// All members are final.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ended {
    /// Groups that have run and are not committed.
    groups: VecDeque<Chunk>,
    /// The member after them, if it must run at the frontier.
    held: Option<TxIndex>,
    /// The rule allows all groups below `conflict`, or all, if nobody else commits from `compared` on.
    compared: TxIndex,
    conflict: Option<TxIndex>,
    /// Members that have committed from `compared` on.
    own: u32,
    /// Where it began.
    snapshot: TxIndex,
}

type Polled = Result<Option<Command>, Invariant>;

impl Private {
    pub(super) fn new(first: TxIndex, batches: &[Batch], is_mixed: bool) -> Self {
        let heads = batches.iter().zip(0..).filter_map(|(batch, id)| Some((batch.first()?, BatchId(id))));
        let heads: BTreeMap<_, _> = heads.collect();
        let ready = heads.keys().copied().collect();
        let waiting = |members: &Batch| PrivateBatch {
            members: members.clone(),
            runs: 0,
            state: BatchState::Waiting,
        };
        let batches = batches.iter().map(waiting).collect();
        Self { batches, heads, ready, published: first, is_mixed }
    }

    /// The batch whose turn it is to commit `tx`.
    pub(super) fn head(&self, tx: TxIndex) -> Option<BatchId> {
        self.heads.get(&tx).copied()
    }

    pub(super) const fn published(&self) -> TxIndex {
        self.published
    }

    pub(super) fn is_over(&self) -> bool {
        self.heads.is_empty()
    }

    fn batch(&self, id: BatchId) -> Option<&PrivateBatch> {
        self.batches.get(id.0 as usize)
    }

    fn batch_mut(&mut self, id: BatchId, tx: TxIndex) -> Result<&mut PrivateBatch, Invariant> {
        self.batches.get_mut(id.0 as usize).ok_or(Invariant::MissingResult { tx })
    }

    /// The head `tx` of its batch is final, and everything below `frontier`.
    pub(super) fn advance(&mut self, tx: TxIndex, frontier: TxIndex) {
        if self.published == tx || self.is_mixed {
            // It was run at the frontier, or left out: what it has left is in the store.
            self.published = frontier;
        }
        self.pass(tx, frontier);
    }

    /// The same for a group, which is published later unless there is somebody to read it.
    fn advance_group(&mut self, group: Chunk) {
        if self.is_mixed {
            self.published = group.end;
        }
        self.pass(group.first, group.end);
    }

    /// For seeded bugs: the next group of the first batch that has ended.
    fn first_ended(&self) -> Option<(BatchId, Chunk)> {
        self.heads.values().find_map(|id| match &self.batch(*id)?.state {
            BatchState::Ended(ended) => Some((*id, *ended.groups.front()?)),
            BatchState::Waiting | BatchState::InFlight(_) | BatchState::Over => None,
        })
    }

    fn pass(&mut self, head: TxIndex, frontier: TxIndex) {
        let Some(id) = self.heads.remove(&head) else { return };
        self.ready.remove(&head);
        let Some(batch) = self.batches.get_mut(id.0 as usize) else { return };
        let next = batch.members.from(frontier).next();
        let Some(next) = next else {
            batch.state = BatchState::Over;
            return;
        };
        self.heads.insert(next, id);
        // What is left of it after one that ran at the frontier runs on a later snapshot.
        let is_rest = |ended: &Ended| ended.groups.is_empty() && ended.held == Some(head);
        if matches!(&batch.state, BatchState::Ended(ended) if is_rest(ended)) {
            batch.state = BatchState::Waiting;
        }
        if batch.state == BatchState::Waiting {
            self.ready.insert(next);
        }
    }
}

impl Ended {
    fn of(snapshot: TxIndex, report: BatchReport) -> Self {
        let BatchReport { groups, held } = report;
        let (compared, conflict, own) = (snapshot, None, 0);
        Self { groups: groups.into(), held, compared, conflict, own, snapshot }
    }

    /// Whether all from the snapshot up to `frontier` are members: what is next is valid by construction.
    fn is_in_order(&self, frontier: TxIndex) -> bool {
        self.compared == self.snapshot && self.is_current(frontier)
    }

    /// Whether nobody else has committed from `compared` up to `frontier`.
    const fn is_current(&self, frontier: TxIndex) -> bool {
        self.compared.0 + self.own == frontier.0
    }
}

impl Protocol {
    /// Whether a private batch may still run or commit.
    #[must_use]
    pub fn has_private(&self) -> bool {
        !self.private.is_over()
    }

    /// Whether `tx` is a member of a private batch: no chunk holds it.
    #[must_use]
    pub fn is_private(&self, tx: TxIndex) -> bool {
        self.slots.get(tx).is_none_or(|slot| slot.chunk_end == TxIndex(0))
    }

    /// The private batches.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.private.batches.iter().map(|batch| &batch.members)
    }

    /// What committed transactions below it have left is in the store.
    #[must_use]
    pub fn published(&self) -> TxIndex {
        if self.private.is_mixed || self.slots.first() < self.slots.end() {
            return self.frontier;
        }
        self.private.published()
    }

    /// The lowest private batch above the frontier that waits to run, if it may go out.
    pub(super) fn next_batch(&mut self) -> Polled {
        let full = self.in_flight >= self.limits.job_capacity;
        if self.in_order() || (full && !is_mutant!(self.mutant, CapacityIgnored)) {
            return Ok(None);
        }
        let window_end = TxIndex(self.frontier.0.saturating_add(self.limits.window));
        let first = self.private.ready.range(self.frontier.next()..).next().copied();
        let is_in = |first: &TxIndex| *first < window_end || is_mutant!(self.mutant, WindowIgnored);
        let Some(first) = first.filter(is_in) else { return Ok(None) };
        let Some(id) = self.private.head(first) else { return Ok(None) };
        let cap = self.limits.max_speculative_runs;
        let is_spent = self.private.batch(id).is_some_and(|batch| batch.runs >= cap);
        if is_spent && !is_mutant!(self.mutant, Uncapped) {
            // Each of its members waits for the frontier.
            self.private.ready.remove(&first);
            return self.next_batch();
        }
        if let Some(publish) = self.publish_for(id) {
            return Ok(Some(publish));
        }
        let job = self.start_batch(id, first)?;
        self.in_flight += 1;
        Ok(Some(Command::Dispatch(job)))
    }

    /// Whoever reads below the frontier finds in the store what private batches have committed.
    pub(super) fn publish_below(&mut self) -> Option<Command> {
        let first = self.private.published;
        let end = self.frontier;
        if self.private.is_mixed || first >= end || is_mutant!(self.mutant, PublishForgotten) {
            return None;
        }
        self.private.published = end;
        self.awaiting = Some(Awaiting::Publish(first));
        Some(Command::Publish(Chunk { first, end }))
    }

    /// The same before a run of the batch `id`. The first run takes the snapshot that is there: what was committed since
    /// is compared. Where that was wasted the next run sees all that is committed.
    fn publish_for(&mut self, id: BatchId) -> Option<Command> {
        let has_run = self.private.batch(id).is_some_and(|batch| batch.runs > 0);
        if has_run { self.publish_below() } else { None }
    }

    fn start_batch(&mut self, id: BatchId, first: TxIndex) -> Result<Job, Invariant> {
        let is_forgotten = is_mutant!(self.mutant, PublishForgotten);
        let published = if self.private.is_mixed { self.frontier } else { self.private.published };
        let snapshot = if is_forgotten { self.frontier } else { published };
        if !is_mutant!(self.mutant, BatchTwice) {
            self.private.ready.remove(&first);
        }
        let batch = self.private.batch_mut(id, first)?;
        let chunk = Chunk { first, end: batch.members.end() };
        let mode = Mode::Private { batch: id, snapshot };
        let job = Job { chunk, incarnation: Incarnation(batch.runs), mode };
        batch.runs += 1;
        batch.state = BatchState::InFlight(job);
        Ok(job)
    }

    pub(super) fn on_batch_report(
        &mut self,
        report: JobReport,
        (id, snapshot): (BatchId, TxIndex),
    ) -> Result<(), Invariant> {
        let JobReport { job, batch: mut report, void, .. } = report;
        if void {
            return Ok(());
        }
        let tx = job.chunk.first;
        let is_known = self.private.batch(id).is_some_and(|batch| batch.state == BatchState::InFlight(job));
        let begins = report.groups.first().is_none_or(|group| group.first == tx);
        if !is_known || !begins {
            return Err(Invariant::UnexpectedEvent { tx, event: "Reported" });
        }
        if is_mutant!(self.mutant, HeldCommitted) {
            let held = report.held.take().map(|first| Chunk { first, end: first.next() });
            report.groups.extend(held);
        }
        let runs = report.groups.iter().map(|group| group.len()).sum::<u32>();
        self.counters.runs += u64::from(runs);
        self.counters.failed += u64::from(report.held.is_some());
        let late = is_mutant!(self.mutant, SnapshotLate);
        let compared = if late { self.frontier.max(snapshot) } else { snapshot };
        let is_empty = report.groups.is_empty() && report.held.is_none();
        let batch = self.private.batch_mut(id, tx)?;
        if is_empty {
            // It was to stop before it began.
            batch.state = BatchState::Waiting;
            self.private.ready.insert(tx);
        } else {
            batch.state = BatchState::Ended(Ended::of(compared, report));
        }
        Ok(())
    }

    pub(super) fn on_batch_claimed(&mut self, id: BatchId, tx: TxIndex) -> Result<(), Invariant> {
        let batch = self.private.batch_mut(id, tx)?;
        batch.state = BatchState::Waiting;
        batch.runs = batch.runs.saturating_sub(1);
        self.private.ready.insert(tx);
        Ok(())
    }

    pub(super) fn on_compared(
        &mut self,
        tx: TxIndex,
        conflict: Option<TxIndex>,
    ) -> Result<(), Invariant> {
        self.answer(Awaiting::Compare(tx), "Compared")?;
        let frontier = self.frontier;
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        (ended.compared, ended.own, ended.conflict) = (frontier, 0, conflict);
        Ok(())
    }

    /// The batch that ends at `tx`, the frontier, if it has run.
    fn ended_at(&mut self, tx: TxIndex) -> Option<&mut Ended> {
        let id = self.private.head(tx)?;
        match &mut self.private.batches.get_mut(id.0 as usize)?.state {
            BatchState::Ended(ended) => Some(ended),
            BatchState::Waiting | BatchState::InFlight(_) | BatchState::Over => None,
        }
    }

    /// What is next for the frontier `tx`, which is a member of the batch `id`.
    pub(super) fn poll_batch(&mut self, id: BatchId, tx: TxIndex) -> Polled {
        let cap = self.limits.max_speculative_runs;
        let batch = self.private.batch_mut(id, tx)?;
        match &batch.state {
            BatchState::Waiting if batch.runs >= cap => self.poll_held(tx),
            BatchState::Waiting => match self.publish_for(id) {
                Some(publish) => Ok(Some(publish)),
                None => {
                    let job = self.start_batch(id, tx)?;
                    self.here = Some(job);
                    Ok(Some(Command::RunHere(job)))
                }
            },
            BatchState::InFlight(job) => {
                let job = *job;
                if self.here == Some(job) || self.at_frontier.claim_asked == Some(job) {
                    return Ok(None);
                }
                if is_mutant!(self.mutant, BatchOvertakes)
                    && let Some((id, group)) = self.private.first_ended()
                {
                    return self.commit_group(id, group);
                }
                self.at_frontier.claim_asked = Some(job);
                Ok(self.ask(Awaiting::Claim(tx), Command::Claim(job)))
            }
            BatchState::Ended(ended) if ended.held == Some(tx) => self.poll_held(tx),
            BatchState::Ended(ended) => match ended.groups.front().copied() {
                Some(group) => self.poll_group(id, group),
                None => {
                    batch.state = BatchState::Waiting;
                    self.poll_batch(id, tx)
                }
            },
            BatchState::Over => Err(Invariant::MissingResult { tx }),
        }
    }

    /// The next group of the batch `id` begins at the frontier.
    fn poll_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let (tx, frontier) = (group.first, self.frontier);
        let mutant = self.mutant;
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        let once = is_mutant!(mutant, ComparedOnce) && ended.compared > TxIndex(0);
        let is_current = ended.is_current(frontier) || once;
        let conflict = ended.conflict;
        if !is_current && !is_mutant!(mutant, OutsidersUnchecked) {
            return Ok(self.ask(Awaiting::Compare(tx), Command::Compare { batch: id, tx }));
        }
        if conflict.is_some_and(|conflict| conflict <= tx) {
            return self.discard_batch(id, tx);
        }
        match self.at_frontier.admitted {
            None if is_mutant!(mutant, GroupUnadmitted) => {
                self.at_frontier.admitted = Some(true);
                self.poll_group(id, group)
            }
            None => Ok(self.ask(Awaiting::Admit(tx), Command::AdmitGroup { batch: id, group })),
            Some(false) if group.len() == 1 => self.refuse(tx),
            // Which of them has no room shows at the frontier, one by one.
            Some(false) => {
                self.at_frontier.admitted = None;
                let discarded = self.discard_batch(id, tx);
                if let Ok(batch) = self.private.batch_mut(id, tx) {
                    let report = BatchReport { groups: Vec::new(), held: Some(tx) };
                    batch.state = BatchState::Ended(Ended::of(frontier, report));
                    self.private.ready.remove(&tx);
                }
                discarded
            }
            Some(true) => self.commit_group(id, group),
        }
    }

    fn commit_group(&mut self, id: BatchId, group: Chunk) -> Polled {
        let tx = group.first;
        let Some(ended) = self.ended_at(tx) else { return Err(Invariant::MissingResult { tx }) };
        let speculative = if ended.is_in_order(tx) { 0 } else { group.len() };
        ended.groups.pop_front();
        ended.own += group.len();
        self.counters.speculative_commits += u64::from(speculative);
        self.private.advance_group(group);
        self.advance_to(group)?;
        let publish = self.private.is_mixed;
        if publish {
            self.awaiting = Some(Awaiting::Publish(tx));
        }
        Ok(Some(Command::CommitGroup { batch: id, group, publish }))
    }

    /// Throws away what is left of the results of the batch `id`, from the frontier `tx` on.
    pub(super) fn discard_batch(&mut self, id: BatchId, tx: TxIndex) -> Polled {
        let keeps_tail = is_mutant!(self.mutant, BatchTailKept);
        let Some(ended) = self.ended_at(tx) else { return Ok(None) };
        let runs = ended.groups.iter().map(|group| group.len()).sum();
        if keeps_tail && ended.groups.len() > 1 {
            // The seeded bug runs the first one again at the frontier, and keeps what follows.
            ended.groups.pop_front();
            (ended.conflict, ended.held) = (None, Some(tx));
            (ended.compared, ended.own) = (tx.next(), 0);
            return self.poll_held(tx);
        }
        self.count_waste(runs);
        if self.limits.hands_over_rest {
            self.begin_halt(Halt::HandedOver);
            return self.poll();
        }
        self.private.batch_mut(id, tx)?.state = BatchState::Waiting;
        self.private.ready.insert(tx);
        Ok(Some(Command::DiscardBatch(id)))
    }

    /// The seeded bug `HaltCommitsBatch`.
    pub(super) fn commit_after_halt(&mut self) -> Option<Command> {
        let (id, group) = self.private.first_ended()?;
        let is_next = is_mutant!(self.mutant, HaltCommitsBatch) && group.first == self.frontier;
        if is_next { self.commit_group(id, group).ok()? } else { None }
    }

    /// A member of a private batch that runs at the frontier by itself.
    fn poll_held(&mut self, tx: TxIndex) -> Polled {
        if self.limits.hands_over_rest {
            self.begin_halt(Halt::HandedOver);
            return self.poll();
        }
        if let Some(failure) = self.at_frontier.failure {
            return self.fail(tx, failure);
        }
        if self.at_frontier.has_run {
            self.advance(tx)?;
            return Ok(Some(Command::Commit(tx)));
        }
        if self.here.is_some() {
            return Ok(None);
        }
        match self.at_frontier.admitted {
            None => Ok(self.ask(Awaiting::Admit(tx), Command::Admit(tx))),
            Some(false) => self.refuse(tx),
            Some(true) => match self.publish_below() {
                Some(publish) => Ok(Some(publish)),
                None => {
                    let chunk = Chunk { first: tx, end: tx.next() };
                    let job = Job { chunk, incarnation: Incarnation(0), mode: Mode::Frontier };
                    self.here = Some(job);
                    Ok(Some(Command::RunHere(job)))
                }
            },
        }
    }

    /// I15: before `tx` is left out, what its batch has computed on top of it goes.
    pub(super) fn discard_rest_of(&mut self, tx: TxIndex) -> Polled {
        let (frontier, keeps) = (self.frontier, is_mutant!(self.mutant, SkipKeepsBatch));
        let Some(ended) = self.ended_at(tx) else { return Ok(None) };
        if keeps {
            ended.groups.pop_front();
        }
        if ended.groups.is_empty() || keeps {
            return Ok(None);
        }
        let runs = ended.groups.iter().map(|group| group.len()).sum();
        *ended = Ended::of(frontier, BatchReport { groups: Vec::new(), held: Some(tx) });
        self.count_waste(runs);
        let id = self.private.head(tx).ok_or(Invariant::MissingResult { tx })?;
        Ok(Some(Command::DiscardBatch(id)))
    }

    pub(super) fn on_published(
        &mut self,
        tx: TxIndex,
        stale_readers: &[TxIndex],
    ) -> Result<(), Invariant> {
        self.answer(Awaiting::Publish(tx), "Published")?;
        self.note_stale(stale_readers)
    }
}
