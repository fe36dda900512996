//! Seeded bugs, which tests must detect: `docs/SEEDED_BUGS.md` describes each.
//!
//! `mutant!(Name)` marks the code that a bug breaks. Without the feature `mutants` it is the
//! constant `false`. With the feature, it depends on the thread, so that tests of one process do
//! not disturb each other: a test seeds a bug with `seed`, and worker threads inherit the bug of
//! the caller with each task. All fibers of a simulation and all threads of a loom test run on one
//! thread. The threads of `AsyncExecutor` and of `alloy`'s executor inherit no bug.

/// Whether the seeded bug `Name`, or one of `Name | Other`, is active.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($($bug:ident)|+) => {
        matches!($crate::mutants::active(), Some($($crate::mutants::Bug::$bug)|+))
    };
}

/// Whether the seeded bug `Name`, or one of `Name | Other`, is active: never.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($($bug:ident)|+) => {
        false
    };
}

#[cfg(feature = "mutants")]
pub use active::{Bug, Seeded, active, seed};

/// Wraps `body` so that it runs with the seeded bug of this thread on another thread.
#[cfg(feature = "evm")]
pub(crate) fn inherit_bug<R>(body: impl FnOnce() -> R) -> impl FnOnce() -> R {
    #[cfg(feature = "mutants")]
    let bug = active();
    move || {
        #[cfg(feature = "mutants")]
        let _bug = seed(bug);
        body()
    }
}

#[cfg(feature = "mutants")]
mod active {
    use core::cell::Cell;
    use core::marker::PhantomData;

    /// Declares the bugs, and a list for each layer.
    macro_rules! bugs {
        ($($(#[$about:meta])* $layer:ident: $($bug:ident),+;)+) => {
            /// A seeded bug.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            #[allow(missing_docs, reason = "docs/data/seeded_bugs.tsv describes each")]
            pub enum Bug {
                $($($bug,)+)+
            }

            impl Bug {
                $($(#[$about])* pub const $layer: &[Self] = &[$(Self::$bug),+];)+
            }
        };
    }

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Returns the bug of this thread.
    #[must_use]
    pub fn active() -> Option<Bug> {
        ACTIVE.get()
    }

    /// Makes `bug` the bug of this thread until the guard is dropped; `None` means no bug.
    #[must_use = "the bug is active as long as the guard lives"]
    pub fn seed(bug: impl Into<Option<Bug>>) -> Seeded {
        Seeded { before: ACTIVE.replace(bug.into()), _not_send: PhantomData }
    }

    /// Guard that restores the bug that the thread had before [`seed`].
    #[derive(Debug)]
    pub struct Seeded {
        before: Option<Bug>,
        /// Keeps the guard on its thread.
        _not_send: PhantomData<*const ()>,
    }

    impl Drop for Seeded {
        fn drop(&mut self) {
            ACTIVE.set(self.before);
        }
    }

    bugs! {
        /// The bugs of the protocol.
        PROTOCOL:
            SkipValidation, NamingLost, CommitSkipsOne, DiscardKeepsEntries, WakeUpLost, Uncapped,
            FrontierQueued, SpeculativeError, SkipKeepsEntries, HaltLeavesJobs, TailKept,
            LateBlockedWaits, EarlyRunForgotten, WindowIgnored, LongestIgnoreWindow,
            AdmissionSkipped, CoordinatorNotLookedAgain, CapacityIgnored, HintIsVerdict,
            CommitsTwice, ErrorCached, FrontierCapped, FatalSkipped, OutsidersUnchecked,
            SnapshotLate, GroupUnadmitted, HeldCommitted, BatchTwice, BatchOvertakes,
            HaltCommitsBatch, LateReportCounts;
        /// The bugs of the store.
        STORE:
            SkipOneRead, OldOverwrites, StampReused, FoldPastValue, CheckpointOpen, HintLost,
            BaseReplaced, StampOutsideLock, ReadsOwnIndex, EstimateLost, ScopeIgnored, ScopeSilent,
            AnyValueValid, AbsentEqualsZero, WrongReader, HintByValue, MissUnnoticed, ReleasedEarly,
            FoldPastTombstone, PredictsHigher, NotEmptied, OutsidersIgnored, WritesUncompared;
        /// The bugs of workers and the coordinator.
        WORKERS:
            ReportBeforePublish, LeftoversKept, LatchIgnored, ReportChannelShort, ErrorOfAnother,
            FrontierBeforeWithdrawal, StaleNotSent, ChunkGoesOn, ClaimedTwice, RunsForEver,
            BatchGoesOn, GroupUnindexed, LatePublished, SecondOfAnother,
            NeverHelps, ReportedTwice, TakenBackHelped, SpeculationStays;
        /// The bugs of the Ethereum layer.
        EVM:
            RewardOverflowFails, RewardOverflowFills, RewardAlwaysDeferred, BeneficiaryUnrecorded,
            AbsentEqualsEmpty, CodeChangeUnrecorded, TombstoneLost, JournalOutlivesDestroyed,
            JournalOutlivesCreated, JournalOutlivesEmptied, JournalOutlivesError,
            CodeForgottenTwice, CodeForgottenUnshared, CodeLearntUntold, ReplayWithoutCredits,
            TokenUnheard, RestOfPoolKept, HashOfAnother, HashUnpaid, ErrorKept, FailureCached,
            AdmissionByLimit, SkipReceiptKept, WipeForgotten, RevertOfSecond, JournalLost,
            JournalForgotten, RewardUnseen, WindowKeepsLives, WindowKeepsTouches, StoppedStays,
            WindowLosesSlots, HandBackLost, HandBackUnsummed, CarryDropped,
            SurchargeAlwaysDeferred, CreditReadEarly, PaymentLookedAt, LookForgetsPayment,
            PaymentUntold, CreationUncounted, GonePayeeUnmarked, PayeeStaysPlain,
            PayeeMarkedByBalance, PaymentLost, CreditAfterFrontier, BalanceUncounted,
            BalanceNotFilledIn, BalanceOfEarlierLife, RevertTwice, TailLost, PartUnchecked,
            PartNotAdmitted, PartCreditsLost, PayeeUncounted, PendingUnasked, PendingUntaken,
            PartBalancesLost, BatchJournalKept, SingleNotAdmitted,
            NewStoreUntold, BucketRevertsLost, UndoneSlotsLost,
            ParentSlotsLost, RevertedAccessLost, ListedSlotLost, ClaimUnchecked, ClaimOfIndexItself,
            UnusedClaimPasses, ClaimMissed, ToldReadsLogged, ToldBeforeCancun, ListUnvalidated,
            EndUncompared, EmptyTold, WrongRunsAgain, RunsBeyondWrong, NothingReadAhead, HintUnread,
            HintShifted, CreditUnlisted, PaymentListedTwice, ListedOutOfOrder, SkipListed,
            WarmPartyUnlisted, PrecompileUnlisted, FirstAccessLost, SecondCallUnlisted,
            DeferredLost, DeferredLate, UndeclaredChangePasses, UndeclaredStays,
            UndeclaredNonceLost, DeclaredReadsUnordered;
    }
}
