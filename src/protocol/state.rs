//! State of the protocol, and its transitions.

use super::counters::Counters;
use super::events::{Event, Failure, Job};
use super::plan::{Chunks, Jobs, Limits, Plan};
use super::private::PrivateBatches;
use super::slot::{Slot, Status};
use crate::error::Invariant;
use crate::ids::{Chunk, Incarnation, PerTx, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why the protocol ended before its last transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// The transaction failed at the frontier.
    Failed(TxIndex, Failure),
    /// The block has no room for the transaction.
    NoRoom(TxIndex),
    /// The caller cancelled the block, or the owner found a broken invariant.
    Cancelled,
    /// Speculation was wasted or did not pay, or the next member of a private batch must not
    /// commit, does not fit into the block, or has no result. The caller continues from the
    /// frontier with another segment.
    Fallback,
}

/// A command that the owner has not answered yet, with its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OpenCommand {
    Recheck(TxIndex),
    Validate(TxIndex),
    Admit(TxIndex),
    Claim(TxIndex),
    Help(TxIndex),
    Withdraw(TxIndex),
    Compare(TxIndex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Running,
    /// The block was cancelled; results are committed up to the first transaction without one.
    Settling {
        stop_sent: bool,
    },
    Halting {
        stop_sent: bool,
    },
    Finished,
}

/// Progress of the frontier transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FrontierState {
    pub(super) admitted: Option<bool>,
    pub(super) valid: bool,
    pub(super) failure: Option<Failure>,
    pub(super) claim_requested: Option<Job>,
    /// Whether the frontier's job makes no progress.
    pub(super) is_stalled: bool,
}

/// Counts of commits and aborts since the last check for waste.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RecentCounts {
    pub(super) commits: u32,
    /// Aborted executions.
    pub(super) aborts: u32,
    /// Commits of speculative executions that were the first or second of their transaction.
    pub(super) kept: u32,
}

/// The commit protocol of one block: see the [module documentation](super).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    pub(super) limits: Limits,
    /// State of the transactions in chunks; empty if they are in private batches.
    pub(super) slots: PerTx<Slot>,
    /// One past the last transaction.
    pub(super) end: TxIndex,
    pub(super) private: PrivateBatches,
    pub(super) frontier: TxIndex,
    /// First index that dispatch in block order has not reached. Below it, each pending transaction
    /// except the frontier is in `ready`.
    pub(super) dispatch_cursor: TxIndex,
    /// Transactions that became pending during the block.
    pub(super) ready: BTreeSet<TxIndex>,
    /// The plan's longest transactions, which are dispatched before all others.
    pub(super) longest: BTreeSet<TxIndex>,
    /// Transactions that are blocked, by the transaction that they wait for.
    pub(super) waiters: BTreeMap<TxIndex, Vec<TxIndex>>,
    /// Executed transactions whose reads may have changed.
    pub(super) rechecks: BTreeSet<TxIndex>,
    /// Transactions whose entries must become estimates.
    pub(super) to_abort: VecDeque<TxIndex>,
    /// Number of jobs in the channel or on workers.
    pub(super) in_flight: u32,
    /// The job that the owner runs outside the channel.
    pub(super) owner_job: Option<Job>,
    /// Jobs that were taken over and are not answered yet.
    pub(super) superseded: Vec<Job>,
    pub(super) open_command: Option<OpenCommand>,
    pub(super) frontier_state: FrontierState,
    pub(super) phase: Phase,
    pub(super) halt: Option<Halt>,
    pub(super) recent: RecentCounts,
    pub(super) counters: Counters,
}

impl Protocol {
    /// Creates the protocol of a block that is divided by `plan`.
    #[must_use]
    pub fn new(limits: Limits, plan: &Plan) -> Self {
        let ranges = plan.jobs.ranges();
        let ends = core::iter::once(plan.first).chain(ranges.iter().map(|range| range.end));
        debug_assert!(
            ranges.iter().zip(ends).all(|(range, end)| range.first == end && !range.is_empty()),
            "jobs are contiguous"
        );
        let no_chunks = Chunks::default();
        let chunks = match &plan.jobs {
            Jobs::Chunks(chunks) => chunks,
            Jobs::Batches(_) => &no_chunks,
        };
        let ends = chunks.ranges.iter().flat_map(|chunk| chunk.indices().map(|_| chunk.end));
        let slot = |chunk_end| Slot {
            status: Status::Pending,
            runs: 0,
            job: None,
            chunk_end,
            frontier_only: false,
            possibly_stale: false,
            final_run: false,
            helped: false,
        };
        let mut slots = PerTx::new(plan.first, ends.map(slot));
        let mut waiters: BTreeMap<TxIndex, Vec<TxIndex>> = BTreeMap::new();
        for &(tx, on) in chunks.dependencies.iter().filter(|(tx, on)| on < tx) {
            if let Some(slot) = slots.get_mut(tx) {
                slot.status = Status::Blocked { on };
                waiters.entry(on).or_default().push(tx);
            }
        }
        for tx in &chunks.frontier_only {
            if let Some(slot) = slots.get_mut(*tx) {
                slot.frontier_only = true;
                slot.status = Status::Parked;
            }
        }
        Self {
            limits,
            slots,
            end: plan.end(),
            private: PrivateBatches::new(plan.first, plan.jobs.batches()),
            frontier: plan.first,
            dispatch_cursor: plan.first,
            ready: BTreeSet::new(),
            longest: chunks.longest.iter().copied().collect(),
            waiters,
            rechecks: BTreeSet::new(),
            to_abort: VecDeque::new(),
            in_flight: 0,
            owner_job: None,
            superseded: Vec::new(),
            open_command: None,
            frontier_state: FrontierState::default(),
            phase: Phase::Running,
            halt: None,
            recent: RecentCounts::default(),
            counters: Counters::default(),
        }
    }

    /// Returns whether the owner checks for reports again after releasing the lock: true, except
    /// with the seeded bug `CoordinatorNotLookedAgain`.
    pub(crate) fn checks_again(&self) -> bool {
        !mutant!(CoordinatorNotLookedAgain)
    }

    /// Returns the limits of the block.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the number of transactions, including those before the plan's first one.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.end.0
    }

    /// Iterates over the indices that have individual state: all, unless the transactions are in
    /// private batches.
    pub fn published_range(&self) -> impl Iterator<Item = TxIndex> + use<> {
        (self.slots.first().0..self.slots.end().0).map(TxIndex)
    }

    /// Returns whether the block has no transaction.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the lowest index that is not committed.
    #[must_use]
    pub const fn frontier(&self) -> TxIndex {
        self.frontier
    }

    /// Returns the status of transaction `tx`.
    #[must_use]
    pub fn status(&self, tx: TxIndex) -> Option<Status> {
        if tx < self.frontier {
            return Some(Status::Final);
        }
        let private = (tx < self.end).then_some(Status::Private);
        self.slots.get(tx).map(|slot| slot.status).or(private)
    }

    /// Returns the number of executions of transaction `tx` so far.
    #[must_use]
    pub fn runs(&self, tx: TxIndex) -> u32 {
        self.slots.get(tx).map_or(0, |slot| slot.runs)
    }

    /// Iterates over the longest transactions, with the number of their executions so far.
    pub fn longest(&self) -> impl Iterator<Item = (TxIndex, u32)> {
        self.longest.iter().map(|tx| (*tx, self.runs(*tx)))
    }

    /// Returns the number of jobs in the channel or on workers, including the one outside the
    /// channel.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight + u32::from(self.owner_job.is_some())
    }

    /// Returns whether the block is over.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }

    /// Returns why the block ended early, if it did.
    #[must_use]
    pub const fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// Returns the counters so far.
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
        let is_uncapped = mutant!(Uncapped);
        let cap = self.limits.max_speculative_runs;
        let slot = self.slot_mut(tx)?;
        if slot.frontier_only || (slot.runs >= cap && !is_uncapped) {
            slot.status = Status::Parked;
        } else {
            slot.status = Status::Pending;
            self.ready.insert(tx);
        }
        Ok(())
    }

    /// Wakes the transactions that wait for `tx`.
    pub(super) fn wake_waiters(&mut self, tx: TxIndex) -> Result<(), Invariant> {
        if mutant!(WakeUpLost) {
            return Ok(());
        }
        for waiter in self.waiters.remove(&tx).unwrap_or_default() {
            if self.slot(waiter)?.status == (Status::Blocked { on: tx }) {
                self.make_pending(waiter)?;
            }
        }
        Ok(())
    }

    /// Marks `readers`, whose reads may have changed. The mark stays until they are dispatched
    /// again, because the store names a reader only once.
    pub(super) fn mark_stale(&mut self, readers: &[TxIndex]) -> Result<(), Invariant> {
        let is_lost = mutant!(NamingLost);
        for &reader in readers {
            // A reader beyond the plan ran in an earlier segment; it will start over as a first
            // incarnation.
            let Some(slot) = self.slots.get_mut(reader) else { continue };
            slot.possibly_stale |= !is_lost;
            if slot.status == Status::Executed {
                self.rechecks.insert(reader);
            }
        }
        Ok(())
    }

    /// Creates the job for `chunk`; its first transaction determines the incarnation.
    pub(super) fn job(&self, chunk: Chunk, mode: super::RunMode) -> Result<Job, Invariant> {
        let incarnation = Incarnation(self.slot(chunk.first)?.runs);
        Ok(Job { chunk, incarnation, mode })
    }

    /// Applies an event.
    ///
    /// # Errors
    /// Returns an [`Invariant`] if the event answers no command or breaks a rule. The owner then
    /// ends the block; the protocol can only be used to drain jobs after that.
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
                self.close(OpenCommand::Admit(tx), "Admitted")?;
                self.frontier_state.admitted = Some(fits);
                Ok(())
            }
            Event::Claimed { tx, claimed } => {
                self.close(OpenCommand::Claim(tx), "Claimed")?;
                self.on_claimed(tx, claimed)
            }
            Event::Stalled => {
                self.frontier_state.is_stalled = true;
                Ok(())
            }
            Event::Unprofitable => {
                self.fall_back();
                Ok(())
            }
            Event::Helped { tx, taken } => {
                self.close(OpenCommand::Help(tx), "Helped")?;
                if taken { self.on_helped(tx) } else { Ok(()) }
            }
            Event::Withdrawn { tx, stale_readers } => {
                self.close(OpenCommand::Withdraw(tx), "Withdrawn")?;
                self.mark_stale(&stale_readers)?;
                self.advance(tx)
            }
            Event::Compared { tx, conflict } => self.on_compared(tx, conflict),
        }
    }

    /// Closes the command `answered`, which `event` answers. Fails if it is not open.
    pub(super) fn close(
        &mut self,
        answered: OpenCommand,
        event: &'static str,
    ) -> Result<(), Invariant> {
        if self.open_command.take_if(|open| *open == answered).is_none() {
            let (OpenCommand::Recheck(tx)
            | OpenCommand::Validate(tx)
            | OpenCommand::Admit(tx)
            | OpenCommand::Claim(tx)
            | OpenCommand::Help(tx)
            | OpenCommand::Withdraw(tx)
            | OpenCommand::Compare(tx)) = answered;
            return Err(Invariant::UnexpectedEvent { tx, event });
        }
        Ok(())
    }
}
