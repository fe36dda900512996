//! Seeded bugs of the Ethereum layer, for the tests that must notice them.

#[cfg(feature = "mutants")]
mod all;

#[cfg(feature = "mutants")]
use crate::mv::StoreMutant;
#[cfg(feature = "mutants")]
use crate::worker::WorkerMutant;

/// A deliberate bug, chosen at run time. Without the feature `mutants` there is only `None`.
#[cfg_attr(
    not(any(feature = "testing", feature = "mutants")),
    expect(unreachable_pub, reason = "tests alone name it")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvmMutant {
    /// The shipped behaviour.
    #[default]
    None,
    /// A reward that overflows the balance fails its transaction.
    #[cfg(feature = "mutants")]
    RewardOverflowFails,
    /// I11: a reward that overflows the balance sets it to the maximum.
    #[cfg(feature = "mutants")]
    RewardOverflowFills,
    /// I11: the reward is recorded as a delta even if the transaction has loaded the beneficiary.
    #[cfg(feature = "mutants")]
    RewardAlwaysDeferred,
    /// I4: the beneficiary's balance is read from the base state, without recording the read.
    #[cfg(feature = "mutants")]
    BeneficiaryUnrecorded,
    /// I3: a missing account equals an empty one.
    #[cfg(feature = "mutants")]
    AbsentEqualsEmpty,
    /// I4: a transaction that changes the code of an account publishes only its nonce.
    #[cfg(feature = "mutants")]
    CodeChangeUnrecorded,
    /// Deleting an account keeps its storage.
    #[cfg(feature = "mutants")]
    TombstoneLost,
    /// I14: a shared journal continues after a self-destruct.
    #[cfg(feature = "mutants")]
    JournalOutlivesDestroyed,
    /// I14: a shared journal continues after a creation.
    #[cfg(feature = "mutants")]
    JournalOutlivesCreated,
    /// I14: a shared journal continues after an account that was left empty.
    #[cfg(feature = "mutants")]
    JournalOutlivesEmptied,
    /// I14: a shared journal continues after an error.
    #[cfg(feature = "mutants")]
    JournalOutlivesError,
    /// A code that revm has dropped, together with its record of the account, counts as never
    /// known.
    #[cfg(feature = "mutants")]
    CodeForgottenTwice,
    /// Same, for transactions with their own journals.
    #[cfg(feature = "mutants")]
    CodeForgottenUnshared,
    /// The bundle does not list the empty code of an account if revm has dropped it and a
    /// transaction has loaded it again.
    #[cfg(feature = "mutants")]
    CodeLearntUntold,
    /// A replayed transaction runs on a state without the deltas of earlier transactions.
    #[cfg(feature = "mutants")]
    ReplayWithoutCredits,
    /// A token ends a block only between two segments.
    #[cfg(feature = "mutants")]
    TokenUnheard,
    /// Transactions that a pool handed out stay in the block although a token kept them from
    /// running.
    #[cfg(feature = "mutants")]
    RestOfPoolKept,
    /// A cached hash is returned for all inputs that share its cache entry.
    #[cfg(feature = "mutants")]
    HashOfAnother,
    /// A hash is computed even if the gas does not suffice.
    #[cfg(feature = "mutants")]
    HashUnpaid,
    /// I12: the EVM keeps an error for the next transaction.
    #[cfg(feature = "mutants")]
    ErrorKept,
    /// I12: an account counts as absent once a read of it has failed.
    #[cfg(feature = "mutants")]
    FailureCached,
    /// Admission counts the gas limits of earlier transactions instead of the gas they used.
    #[cfg(feature = "mutants")]
    AdmissionByLimit,
    /// I15: a skipped transaction has a receipt.
    #[cfg(feature = "mutants")]
    SkipReceiptKept,
    /// The bundle does not record that storage was wiped if the account is created again.
    #[cfg(feature = "mutants")]
    WipeForgotten,
    /// The bundle reverts only the last change of a slot.
    #[cfg(feature = "mutants")]
    RevertOfSecond,
    /// Sequential: changes that leave the journal are lost.
    #[cfg(feature = "mutants")]
    JournalLost,
    /// Sequential: changes still in the journal are ignored.
    #[cfg(feature = "mutants")]
    JournalForgotten,
    /// I11: no transaction of the block reads rewards recorded as deltas.
    #[cfg(feature = "mutants")]
    RewardUnseen,
    /// Sequential: a transaction that creates, destroys or empties an account joins the window.
    #[cfg(feature = "mutants")]
    WindowKeepsLives,
    /// Sequential: accounts touched by a skipped transaction stay in the window.
    #[cfg(feature = "mutants")]
    WindowKeepsTouches,
    /// Sequential: changes of a transaction that was refused a read stay in the journal.
    #[cfg(feature = "mutants")]
    StoppedStays,
    /// Sequential: slots changed by the transactions of a window are lost.
    #[cfg(feature = "mutants")]
    WindowLosesSlots,
    /// Entries published above the frontier stay after the fallback to sequential execution.
    #[cfg(feature = "mutants")]
    SpeculationStays,
    /// Pending writes of a sequential run are not handed back.
    #[cfg(feature = "mutants")]
    HandBackLost,
    /// Pending writes of a sequential run are handed back without the deltas.
    #[cfg(feature = "mutants")]
    HandBackUnsummed,
    /// I11: the surcharge is recorded as a delta even if the transaction has loaded the receiver.
    #[cfg(feature = "mutants")]
    SurchargeAlwaysDeferred,
    /// I11: the balance of an account that receives rewards as deltas is read before they are
    /// known.
    #[cfg(feature = "mutants")]
    CreditReadEarly,
    /// I11: a transaction that reads the beneficiary's balance after paying it reads the balance
    /// from before the block.
    #[cfg(feature = "mutants")]
    PaymentLookedAt,
    /// Reading the balance of a payee turns earlier blind credits in the journal into changes.
    #[cfg(feature = "mutants")]
    LookForgetsPayment,
    /// The commit callback does not receive blind credits.
    #[cfg(feature = "mutants")]
    PaymentUntold,
    /// A contract may be created at the address of a payee without a read of its balance.
    #[cfg(feature = "mutants")]
    CreationUncounted,
    /// A payee that was destroyed can still be paid with a blind credit.
    #[cfg(feature = "mutants")]
    GonePayeeUnmarked,
    /// I11: the beneficiary is paid with a blind credit even if it has code, or might overflow.
    #[cfg(feature = "mutants")]
    PayeeStaysPlain,
    /// I3: a beneficiary that has got code is marked by its balance, which may be unchanged.
    #[cfg(feature = "mutants")]
    PayeeMarkedByBalance,
    /// Blind credits to the beneficiary, apart from fees, are lost.
    #[cfg(feature = "mutants")]
    PaymentLost,
    /// I11: the frontier moves before the deltas are in the store.
    #[cfg(feature = "mutants")]
    CreditAfterFrontier,
    /// I4: a read of the balance of an account with code is not recorded.
    #[cfg(feature = "mutants")]
    BalanceUncounted,
    /// A balance that a transaction has not read stays at its value before the block.
    #[cfg(feature = "mutants")]
    BalanceNotFilledIn,
    /// A contract that is created again has the balance it had when it was destroyed.
    #[cfg(feature = "mutants")]
    BalanceOfEarlierLife,
    /// An account that changes after its part of the bundle was finished has two reverts.
    #[cfg(feature = "mutants")]
    RevertTwice,
    /// Sequential: transactions after those that another worker has folded are missing from the
    /// bundle.
    #[cfg(feature = "mutants")]
    TailLost,
    /// I3: the reads of a contiguous batch are not compared with earlier writes.
    #[cfg(feature = "mutants")]
    PartUnchecked,
    /// A contiguous batch commits although the block has no room for its transactions.
    #[cfg(feature = "mutants")]
    PartNotAdmitted,
    /// I11: later transactions do not see the deltas of a contiguous batch.
    #[cfg(feature = "mutants")]
    PartCreditsLost,
    /// An authorization of the beneficiary counts as a payment to it.
    #[cfg(feature = "mutants")]
    PayeeUncounted,
    /// Calls after the transactions ignore pending writes of batches.
    #[cfg(feature = "mutants")]
    PendingUnasked,
    /// Pending writes to accounts that a system call needs count as taken over, but are not.
    #[cfg(feature = "mutants")]
    PendingUntaken,
    /// Balances changed by a batch are unknown to transactions that have not read them.
    #[cfg(feature = "mutants")]
    PartBalancesLost,
    /// I3: the reads of grouped batches are not compared with the writes of others in the same
    /// round.
    #[cfg(feature = "mutants")]
    LaneUnchecked,
    /// The journal of a private batch is kept for the next one on the same worker.
    #[cfg(feature = "mutants")]
    BatchJournalKept,
    /// I11: later transactions do not see the deltas of grouped batches.
    #[cfg(feature = "mutants")]
    LaneCreditsLost,
    /// A transaction in a grouped batch commits although the block has no room for it.
    #[cfg(feature = "mutants")]
    LaneNotAdmitted,
    /// The writes of a round of grouped batches are not folded into the bundle during the next
    /// round.
    #[cfg(feature = "mutants")]
    LaneUnfolded,
    /// A store created after contiguous batches treats their commits as not final.
    #[cfg(feature = "mutants")]
    NewStoreUntold,
    /// The ledger does not restore outcomes that it lent to a worker that folds during a round.
    #[cfg(feature = "mutants")]
    LentLost,
    /// The reverts of accounts that other workers than the caller have folded are lost.
    #[cfg(feature = "mutants")]
    BucketRevertsLost,
    /// The reverts of slots that another worker has built, for an account with very many slots, are
    /// lost.
    #[cfg(feature = "mutants")]
    UndoneSlotsLost,
    /// An account of a parent's bundle that a block changes loses its unchanged slots.
    #[cfg(feature = "mutants")]
    ParentSlotsLost,
    /// Accesses of a failing call are missing from the access list.
    #[cfg(feature = "mutants")]
    RevertedAccessLost,
    /// A slot that a transaction reads and its own access list names is missing from the block's
    /// list.
    #[cfg(feature = "mutants")]
    ListedSlotLost,
    /// A transaction is not compared with the block's access list.
    #[cfg(feature = "mutants")]
    ClaimUnchecked,
    /// The listed state below an index includes the changes at that index.
    #[cfg(feature = "mutants")]
    ClaimOfIndexItself,
    /// Listed items that no transaction has accessed are not detected.
    #[cfg(feature = "mutants")]
    UnusedClaimPasses,
    /// Fewer changes than listed at an index are accepted.
    #[cfg(feature = "mutants")]
    ClaimMissed,
    /// Reads from the access list in private batches are logged as reads from the snapshot.
    #[cfg(feature = "mutants")]
    ToldReadsLogged,
    /// The list is also read where a transaction may clear storage that no list names.
    #[cfg(feature = "mutants")]
    ToldBeforeCancun,
    /// Order, duplicates and indices of a list are not validated.
    #[cfg(feature = "mutants")]
    ListUnvalidated,
    /// Calls and credits after the transactions are not compared with the list.
    #[cfg(feature = "mutants")]
    EndUncompared,
    /// The list also says that an account exists which was empty before the block, and which a
    /// transaction may have touched.
    #[cfg(feature = "mutants")]
    EmptyTold,
    /// A transaction that differs from the list runs again before the block ends.
    #[cfg(feature = "mutants")]
    WrongRunsAgain,
    /// Transactions above one that differs from the list still run on listed values.
    #[cfg(feature = "mutants")]
    RunsBeyondWrong,
    /// With slow storage, no worker prefetches the listed values.
    #[cfg(feature = "mutants")]
    NothingReadAhead,
    /// An untrusted list is ignored.
    #[cfg(feature = "mutants")]
    HintUnread,
    /// The indices of an untrusted list are taken for indices of transactions.
    #[cfg(feature = "mutants")]
    HintShifted,
    /// Deltas for the beneficiary change no balance in the access list.
    #[cfg(feature = "mutants")]
    CreditUnlisted,
    /// Blind credits to the beneficiary are also listed as a balance of the transaction.
    #[cfg(feature = "mutants")]
    PaymentListedTwice,
    /// The accesses of a batch are listed in the wrong order.
    #[cfg(feature = "mutants")]
    ListedOutOfOrder,
    /// A skipped transaction has an index in the access list.
    #[cfg(feature = "mutants")]
    SkipListed,
    /// A sender, callee or fee receiver that is warm from the start is missing from the access
    /// list.
    #[cfg(feature = "mutants")]
    WarmPartyUnlisted,
    /// A precompile that code calls is missing from the access list.
    #[cfg(feature = "mutants")]
    PrecompileUnlisted,
    /// Accesses before gas runs out for authorizations or the first frame are missing from the
    /// access list.
    #[cfg(feature = "mutants")]
    FirstAccessLost,
    /// Of the calls before or after the transactions, only the first is in the access list.
    #[cfg(feature = "mutants")]
    SecondCallUnlisted,
    /// Deltas of transactions whose changes were merged are lost.
    #[cfg(feature = "mutants")]
    DeferredLost,
    /// Deltas of transactions whose changes were merged are applied after these changes.
    #[cfg(feature = "mutants")]
    DeferredLate,
    /// A transaction may write a slot that it has declared as read-only.
    #[cfg(feature = "mutants")]
    UndeclaredChangePasses,
    /// A transaction that has left its declaration keeps its changes.
    #[cfg(feature = "mutants")]
    UndeclaredStays,
    /// A creation that has left its declaration does not raise the sender's nonce.
    #[cfg(feature = "mutants")]
    UndeclaredNonceLost,
    /// A declared read does not depend on lower transactions that may change the value.
    #[cfg(feature = "mutants")]
    DeclaredReadsUntied,
    /// A transaction that may change values which lower ones declare as reads is not in their batch
    /// if that batch has later members.
    #[cfg(feature = "mutants")]
    DeclaredChangesUntied,
}

#[cfg(feature = "mutants")]
impl EvmMutant {
    /// Returns the bug of the workers behind this one, if only a block reveals it.
    pub(super) const fn of_workers(self) -> WorkerMutant {
        match self {
            Self::SpeculationStays => WorkerMutant::SpeculationStays,
            Self::CreditAfterFrontier => WorkerMutant::FrontierBeforeCredit,
            _ => WorkerMutant::None,
        }
    }

    /// Returns the bug of the conflict index behind this one, if only a block reveals it.
    pub(super) const fn of_store(self) -> StoreMutant {
        match self {
            Self::PartUnchecked | Self::LaneUnchecked => StoreMutant::OutsidersIgnored,
            _ => StoreMutant::None,
        }
    }
}

macro_rules! is_evm_mutant {
    ($value:expr, $name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = matches!($value, $crate::evm::EvmMutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = {
            let _ = $value;
            false
        };
        on
    }};
}
pub(super) use is_evm_mutant;
