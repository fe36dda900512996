//! The state of the protocol and its small, total transitions.

use super::batch::Batch;
use super::counters::Counters;
use super::events::{Event, Failure, Job};
use super::mutants::{Mutant, is_mutant};
use super::plan::{Limits, Plan, Policy};
use super::private::Private;
use super::slot::{Slot, Status};
use crate::error::Invariant;
use crate::ids::{Chunk, Incarnation, PerTx, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why a block ends before its last transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// The transaction failed at the frontier.
    Failed(TxIndex, Failure),
    /// The block has no room for the transaction.
    NoRoom(TxIndex),
    /// The caller wanted no more.
    Cancelled,
    /// Speculation was mostly wasted, and the caller goes on from the frontier by other means.
    HandedOver,
}

/// A question to the owner that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Awaiting {
    Recheck(TxIndex),
    Validate(TxIndex),
    Admit(TxIndex),
    Claim(TxIndex),
    TakeOver(TxIndex),
    Withdraw(TxIndex),
    Compare(TxIndex),
    Publish(TxIndex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Running,
    /// Cancelled: what has run is committed, as far as it goes.
    Settling {
        stop_sent: bool,
    },
    Halting {
        stop_sent: bool,
    },
    Finished,
}

/// Whether the frontier has passed admission, validation, or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FrontierState {
    pub(super) admitted: Option<bool>,
    pub(super) valid: bool,
    pub(super) failure: Option<Failure>,
    pub(super) claim_asked: Option<Job>,
    /// Its job comes no nearer to its end.
    pub(super) is_stalled: bool,
    /// A member of a private batch has run there by itself.
    pub(super) has_run: bool,
}

/// What became of speculation lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Recent {
    pub(super) commits: u32,
    /// Runs whose result is of no use.
    pub(super) discarded: u32,
    /// Commits of speculative runs, the first or second of their transaction.
    pub(super) kept: u32,
}

/// The commit protocol of one block. See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    pub(super) limits: Limits,
    pub(super) mutant: Mutant,
    /// Of all transactions, where any of them are in no private batch.
    pub(super) slots: PerTx<Slot>,
    /// One past the last transaction.
    pub(super) end: TxIndex,
    pub(super) private: Private,
    pub(super) frontier: TxIndex,
    /// First index that was not dispatched in order. Below it each pending transaction but the
    /// frontier is in `ready`.
    pub(super) fresh: TxIndex,
    /// Indices that became pending again.
    pub(super) ready: BTreeSet<TxIndex>,
    /// Transactions that are dispatched before their turn.
    pub(super) longest: BTreeSet<TxIndex>,
    pub(super) waiters: BTreeMap<TxIndex, Vec<TxIndex>>,
    pub(super) rechecks: BTreeSet<TxIndex>,
    pub(super) discards: VecDeque<TxIndex>,
    pub(super) in_flight: u32,
    pub(super) here: Option<Job>,
    /// Jobs that were taken over and are not answered.
    pub(super) left_behind: Vec<Job>,
    pub(super) awaiting: Option<Awaiting>,
    pub(super) at_frontier: FrontierState,
    pub(super) phase: Phase,
    pub(super) halt: Option<Halt>,
    /// End of the stretch that runs in order.
    pub(super) in_order_until: TxIndex,
    /// Since the last look at the discard rate.
    pub(super) recent: Recent,
    pub(super) counters: Counters,
}

impl Protocol {
    /// A block of the transactions of `plan.chunks` and `plan.private`.
    #[must_use]
    pub fn new(limits: Limits, plan: &Plan) -> Self {
        let chunks_end = plan.chunks.iter().map(|chunk| chunk.end);
        let batches_end = plan.private.iter().map(Batch::end);
        let end = chunks_end.chain(batches_end).max().unwrap_or(plan.first);
        let is_published = !plan.chunks.is_empty();
        let slots_end = if is_published { end } else { plan.first };
        let member = |_| Slot {
            status: Status::Private,
            runs: 0,
            job: None,
            chunk_end: TxIndex(0),
            frontier_only: false,
            possibly_stale: false,
            final_run: false,
            taken_over: false,
        };
        let mut slots = PerTx::new(plan.first, (plan.first.0..slots_end.0).map(member));
        for chunk in &plan.chunks {
            for tx in chunk.indices() {
                if let Some(slot) = slots.get_mut(tx) {
                    (slot.status, slot.chunk_end) = (Status::Pending, chunk.end);
                }
            }
        }
        let mut private = Private::new(plan);
        // A stretch in order goes on from what is carried; no other run can.
        let is_in_order = limits.policy == Policy::InOrder && private.head(plan.first).is_some();
        private.owes &= !is_in_order || private.is_mixed;
        let mut waiters: BTreeMap<TxIndex, Vec<TxIndex>> = BTreeMap::new();
        for &(tx, on) in plan.dependencies.iter().filter(|(tx, on)| on < tx) {
            if let Some(slot) = slots.get_mut(tx) {
                slot.status = Status::Blocked { on };
                waiters.entry(on).or_default().push(tx);
            }
        }
        for tx in &plan.frontier_only {
            if let Some(slot) = slots.get_mut(*tx) {
                slot.frontier_only = true;
                slot.status = Status::Parked;
            }
        }
        Self {
            limits,
            mutant: Mutant::default(),
            slots,
            end,
            private,
            frontier: plan.first,
            fresh: plan.first,
            ready: BTreeSet::new(),
            longest: plan.longest.iter().copied().collect(),
            waiters,
            rechecks: BTreeSet::new(),
            discards: VecDeque::new(),
            in_flight: 0,
            here: None,
            left_behind: Vec::new(),
            awaiting: None,
            at_frontier: FrontierState::default(),
            phase: Phase::Running,
            halt: None,
            in_order_until: TxIndex(0),
            recent: Recent::default(),
            counters: Counters::default(),
        }
    }

    /// The same protocol with a seeded bug.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// Whether its owner looks for reports once more after releasing the lock: always, but for
    /// a seeded bug.
    pub(crate) fn looks_again(&self) -> bool {
        !is_mutant!(self.mutant, CoordinatorNotLookedAgain)
    }

    /// The bounds that it was made with.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Number of transactions, those before the first one of the plan included.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.end.0
    }

    /// The indices for which something has to be kept one by one: all, unless every one is in a
    /// private batch.
    pub fn published_range(&self) -> impl Iterator<Item = TxIndex> + use<> {
        (self.slots.first().0..self.slots.end().0).map(TxIndex)
    }

    /// Whether the block has no transaction.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest index that is not committed.
    #[must_use]
    pub const fn frontier(&self) -> TxIndex {
        self.frontier
    }

    /// Where transaction `tx` stands.
    #[must_use]
    pub fn status(&self, tx: TxIndex) -> Option<Status> {
        if tx < self.frontier {
            return Some(Status::Final);
        }
        let private = (tx < self.end).then_some(Status::Private);
        self.slots.get(tx).map(|slot| slot.status).or(private)
    }

    /// Runs of transaction `tx` so far.
    #[must_use]
    pub fn runs(&self, tx: TxIndex) -> u32 {
        self.slots.get(tx).map_or(0, |slot| slot.runs)
    }

    /// The longest transactions, with their runs so far.
    pub fn longest(&self) -> impl Iterator<Item = (TxIndex, u32)> {
        self.longest.iter().map(|tx| (*tx, self.runs(*tx)))
    }

    /// Jobs in the channel or on workers, the one outside the channel included.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight + u32::from(self.here.is_some())
    }

    /// Whether the block is over.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }

    /// Why the block ended early, if it did.
    #[must_use]
    pub const fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// The counters so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn slot(&self, tx: TxIndex) -> Result<&Slot, Invariant> {
        self.slots.get(tx).ok_or(Invariant::MissingResult { tx })
    }

    pub(super) fn slot_mut(&mut self, tx: TxIndex) -> Result<&mut Slot, Invariant> {
        self.slots.get_mut(tx).ok_or(Invariant::MissingResult { tx })
    }

    /// Makes `tx` ready to be dispatched, or parks it if it has used up its runs (I9).
    pub(super) fn make_pending(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        let uncapped = is_mutant!(self.mutant, Uncapped);
        let cap = self.limits.max_speculative_runs;
        let slot = self.slot_mut(tx)?;
        if slot.frontier_only || (slot.runs >= cap && !uncapped) {
            slot.status = Status::Parked;
        } else {
            slot.status = Status::Pending;
            self.ready.insert(tx);
        }
        Ok(())
    }

    /// Wakes the transactions that wait for `tx`.
    pub(super) fn wake_waiters(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        if is_mutant!(self.mutant, WakeUpLost) {
            return Ok(());
        }
        for waiter in self.waiters.remove(&tx).unwrap_or_default() {
            if self.slot(waiter)?.status == (Status::Blocked { on: tx }) {
                self.make_pending(waiter)?;
            }
        }
        Ok(())
    }

    /// Notes that higher transactions may have read something that has changed. It stays noted
    /// until they run again: a reader is named once and then forgotten by the store.
    pub(super) fn note_stale(&mut self, readers: &[TxIndex]) -> Result<(), Invariant> {
        let lost = is_mutant!(self.mutant, NamingLost);
        for &reader in readers {
            // Before it was handed over the block may have reached further: who read then runs
            // anew.
            let Some(slot) = self.slots.get_mut(reader) else { continue };
            slot.possibly_stale |= !lost;
            if slot.status == Status::Executed {
                self.rechecks.insert(reader);
            }
        }
        Ok(())
    }

    /// The job for `chunk`; its first transaction decides the incarnation.
    pub(super) fn job(&self, chunk: Chunk, mode: super::RunMode) -> Result<Job, Invariant> {
        let incarnation = Incarnation(self.slot(chunk.first)?.runs);
        Ok(Job { chunk, incarnation, mode })
    }

    /// Takes one event in.
    ///
    /// # Errors
    /// [`Invariant`] if the event answers no command or breaks a rule. The owner then ends the
    /// block; the state of the protocol is of no further use than to drain jobs.
    pub fn apply(&mut self, event: Event) -> Result<(), Invariant> {
        let is_over = matches!(self.phase, Phase::Halting { .. } | Phase::Finished);
        if is_over && !matches!(event, Event::Reported(_)) {
            return Ok(());
        }
        match event {
            Event::Reported(report) => self.on_report(report),
            Event::Cancelled => {
                self.on_cancelled();
                Ok(())
            }
            Event::Broken => {
                self.begin_halt(Halt::Cancelled);
                Ok(())
            }
            Event::Checked { tx, verdict } => self.on_checked(tx, verdict),
            Event::Admitted { tx, fits } => {
                self.answer(Awaiting::Admit(tx), "Admitted")?;
                self.at_frontier.admitted = Some(fits);
                Ok(())
            }
            Event::Claimed { tx, claimed } => {
                self.answer(Awaiting::Claim(tx), "Claimed")?;
                self.on_claimed(tx, claimed)
            }
            Event::Stalled => {
                self.at_frontier.is_stalled = true;
                Ok(())
            }
            Event::GivenUp => self.on_given_up(),
            Event::TakenOver { tx, taken } => {
                self.answer(Awaiting::TakeOver(tx), "TakenOver")?;
                if taken { self.on_taken_over(tx) } else { Ok(()) }
            }
            Event::Withdrawn { tx, stale_readers } => {
                self.answer(Awaiting::Withdraw(tx), "Withdrawn")?;
                self.note_stale(&stale_readers)?;
                if self.private.carried == Some(tx) {
                    // It has left nothing.
                    self.private.carried = Some(tx.next());
                }
                self.advance(tx)
            }
            Event::Compared { tx, conflict } => self.on_compared(tx, conflict),
            Event::Published { tx, stale_readers } => self.on_published(tx, &stale_readers),
        }
    }

    pub(super) fn answer(
        &mut self,
        question: Awaiting,
        event: &'static str,
    ) -> Result<(), Invariant> {
        if self.awaiting.take_if(|awaiting| *awaiting == question).is_none() {
            let (Awaiting::Recheck(tx)
            | Awaiting::Validate(tx)
            | Awaiting::Admit(tx)
            | Awaiting::Claim(tx)
            | Awaiting::TakeOver(tx)
            | Awaiting::Withdraw(tx)
            | Awaiting::Compare(tx)
            | Awaiting::Publish(tx)) = question;
            return Err(Invariant::UnexpectedEvent { tx, event });
        }
        Ok(())
    }
}
