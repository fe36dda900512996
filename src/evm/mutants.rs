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
    /// A reward that does not fit fails its transaction.
    #[cfg(feature = "mutants")]
    RewardOverflowFails,
    /// I11: a reward that does not fit fills the account up.
    #[cfg(feature = "mutants")]
    RewardOverflowFills,
    /// I11: the reward is deferred also if the transaction has loaded the beneficiary.
    #[cfg(feature = "mutants")]
    RewardAlwaysDeferred,
    /// I4: the beneficiary's balance is taken from the base state, and that is not recorded.
    #[cfg(feature = "mutants")]
    BeneficiaryUnrecorded,
    /// I3: an account that is not there passes for an empty one.
    #[cfg(feature = "mutants")]
    AbsentEqualsEmpty,
    /// I4: who changes the code of an account publishes its nonce only.
    #[cfg(feature = "mutants")]
    CodeChangeUnrecorded,
    /// The end of an account leaves its storage alone.
    #[cfg(feature = "mutants")]
    TombstoneLost,
    /// I14: a shared journal goes on after a self-destruct.
    #[cfg(feature = "mutants")]
    JournalOutlivesDestroyed,
    /// I14: a shared journal goes on after a creation.
    #[cfg(feature = "mutants")]
    JournalOutlivesCreated,
    /// I14: a shared journal goes on after an account that was left empty.
    #[cfg(feature = "mutants")]
    JournalOutlivesEmptied,
    /// I14: a shared journal goes on after an error.
    #[cfg(feature = "mutants")]
    JournalOutlivesError,
    /// A code that revm has forgotten, together with what it had noted of it, counts as one that
    /// was never known.
    #[cfg(feature = "mutants")]
    CodeForgottenTwice,
    /// The same where each transaction has a journal of its own.
    #[cfg(feature = "mutants")]
    CodeForgottenUnshared,
    /// That there is no code, which revm has forgotten and a transaction has loaded again, is not
    /// told in the bundle.
    #[cfg(feature = "mutants")]
    CodeLearntUntold,
    /// A transaction that runs again does so on a state without what those before it have deferred
    ///.
    #[cfg(feature = "mutants")]
    ReplayWithoutCredits,
    /// A token ends a block between two stretches only.
    #[cfg(feature = "mutants")]
    TokenUnheard,
    /// What a pool has handed out and a token has kept from running stays in the block.
    #[cfg(feature = "mutants")]
    RestOfPoolKept,
    /// A hash that is remembered answers for all inputs that have its place.
    #[cfg(feature = "mutants")]
    HashOfAnother,
    /// There is a hash for who cannot pay for it.
    #[cfg(feature = "mutants")]
    HashUnpaid,
    /// I12: the EVM keeps an error for the next transaction.
    #[cfg(feature = "mutants")]
    ErrorKept,
    /// I12: an account that could not be read once counts as absent from then on.
    #[cfg(feature = "mutants")]
    FailureCached,
    /// Admission counts what earlier transactions may use, not what they have used.
    #[cfg(feature = "mutants")]
    AdmissionByLimit,
    /// I15: a skipped transaction has a receipt.
    #[cfg(feature = "mutants")]
    SkipReceiptKept,
    /// The bundle forgets that storage ended with the account, if that comes back.
    #[cfg(feature = "mutants")]
    WipeForgotten,
    /// The bundle undoes a slot's last change only.
    #[cfg(feature = "mutants")]
    RevertOfSecond,
    /// In order: what leaves the journal is lost.
    #[cfg(feature = "mutants")]
    JournalLost,
    /// In order: what is still in the journal counts as untouched.
    #[cfg(feature = "mutants")]
    JournalForgotten,
    /// I11: no transaction of the block sees a reward that was deferred.
    #[cfg(feature = "mutants")]
    RewardUnseen,
    /// In order: who creates, destroys or empties an account is taken together with others.
    #[cfg(feature = "mutants")]
    WindowKeepsLives,
    /// In order: accounts that a transaction has touched stay among those of the window, though it
    /// is left out.
    #[cfg(feature = "mutants")]
    WindowKeepsTouches,
    /// In order: what a transaction has left that was refused a read stays in the journal.
    #[cfg(feature = "mutants")]
    StoppedStays,
    /// In order: the slots that transactions of a window have changed are forgotten.
    #[cfg(feature = "mutants")]
    WindowLosesSlots,
    /// What was published above the frontier stays when others take over.
    #[cfg(feature = "mutants")]
    SpeculationStays,
    /// What transactions that ran in order have left is not handed back.
    #[cfg(feature = "mutants")]
    HandBackLost,
    /// What was deferred by transactions that ran in order is not handed back.
    #[cfg(feature = "mutants")]
    HandBackUnsummed,
    /// I11: the surcharge is deferred also if the transaction has loaded the receiver.
    #[cfg(feature = "mutants")]
    SurchargeAlwaysDeferred,
    /// I11: the balance of an account for which rewards are deferred is read before they are
    /// known.
    #[cfg(feature = "mutants")]
    CreditReadEarly,
    /// I11: who looks at the balance of the beneficiary after he has paid it sees the one before
    /// the block.
    #[cfg(feature = "mutants")]
    PaymentLookedAt,
    /// A look at the balance of a payee makes changes of it out of what was paid before in the
    /// journal.
    #[cfg(feature = "mutants")]
    LookForgetsPayment,
    /// Who hears of each commit does not hear what is paid to accounts that many pay.
    #[cfg(feature = "mutants")]
    PaymentUntold,
    /// A contract may be created where a payee is, without a look at what that owns.
    #[cfg(feature = "mutants")]
    CreationUncounted,
    /// A payee that was destroyed is still paid as if it was there.
    #[cfg(feature = "mutants")]
    GonePayeeUnmarked,
    /// I11: the beneficiary is paid unseen also when it has got code, or all the ether there is.
    #[cfg(feature = "mutants")]
    PayeeStaysPlain,
    /// I3: a beneficiary that has got code is marked with what it owns, which may be what it owned.
    #[cfg(feature = "mutants")]
    PayeeMarkedByBalance,
    /// What the beneficiary is paid unseen beside the fees is lost.
    #[cfg(feature = "mutants")]
    PaymentLost,
    /// I11: the frontier moves before what was deferred is there.
    #[cfg(feature = "mutants")]
    CreditAfterFrontier,
    /// I4: who looks at the balance of an account with code does not say so.
    #[cfg(feature = "mutants")]
    BalanceUncounted,
    /// A balance that a transaction has not looked at stays the one before the block.
    #[cfg(feature = "mutants")]
    BalanceNotFilledIn,
    /// The balance of a contract that comes back is the one that it went with.
    #[cfg(feature = "mutants")]
    BalanceOfEarlierLife,
    /// An account that changes again after its part of the bundle was finished has two reverts.
    #[cfg(feature = "mutants")]
    RevertTwice,
    /// In order: what transactions leave after another worker has folded the others is not in the
    /// bundle.
    #[cfg(feature = "mutants")]
    TailLost,
    /// I3: what a part of the block has read is not compared with what those before it have
    /// written.
    #[cfg(feature = "mutants")]
    PartUnchecked,
    /// A part of the block is committed although there is no room for its transactions.
    #[cfg(feature = "mutants")]
    PartNotAdmitted,
    /// I11: what transactions of a part have deferred is not there for those who come later.
    #[cfg(feature = "mutants")]
    PartCreditsLost,
    /// An authorization of the beneficiary counts as a payment to it.
    #[cfg(feature = "mutants")]
    PayeeUncounted,
    /// What follows the transactions does not ask what parts have changed.
    #[cfg(feature = "mutants")]
    PendingUnasked,
    /// What parts have changed of accounts that a system call needs counts as taken over, and was
    /// not.
    #[cfg(feature = "mutants")]
    PendingUntaken,
    /// Balances that a part has changed are not known to those who have not looked at them.
    #[cfg(feature = "mutants")]
    PartBalancesLost,
    /// I3: what lanes have read is not compared with what others of the same round have written.
    #[cfg(feature = "mutants")]
    LaneUnchecked,
    /// The journal of a private batch is there for the next one on the same worker.
    #[cfg(feature = "mutants")]
    BatchJournalKept,
    /// I11: what transactions in lanes have deferred is not there for those who come later.
    #[cfg(feature = "mutants")]
    LaneCreditsLost,
    /// A transaction in a lane is committed although the block has no room for it.
    #[cfg(feature = "mutants")]
    LaneNotAdmitted,
    /// What a round of lanes has left is not folded into the bundle while the next one runs.
    #[cfg(feature = "mutants")]
    LaneUnfolded,
    /// A store that comes after neighbours takes what they have committed for open.
    #[cfg(feature = "mutants")]
    NewStoreUntold,
    /// The ledger does not get back what it has lent to a worker that folds beside a round.
    #[cfg(feature = "mutants")]
    LentLost,
    /// What undoes the accounts that others than the caller have folded is lost.
    #[cfg(feature = "mutants")]
    BucketRevertsLost,
    /// What undoes the slots of an account with very many of them, which another worker has made,
    /// is lost.
    #[cfg(feature = "mutants")]
    UndoneSlotsLost,
    /// An account of a parent's bundle that a block changes loses the slots that the block does not
    /// change.
    #[cfg(feature = "mutants")]
    ParentSlotsLost,
    /// What a call has accessed that fails is not in the access list.
    #[cfg(feature = "mutants")]
    RevertedAccessLost,
    /// A slot that a transaction's own list names, and that it reads, is not in the access list.
    #[cfg(feature = "mutants")]
    ListedSlotLost,
    /// What a transaction has done is not compared with the list that its block comes with.
    #[cfg(feature = "mutants")]
    ClaimUnchecked,
    /// The state below an index is told as the list has it at the index.
    #[cfg(feature = "mutants")]
    ClaimOfIndexItself,
    /// What the list has and nothing has accessed is not looked for.
    #[cfg(feature = "mutants")]
    UnusedClaimPasses,
    /// Fewer changes than the list has at an index are enough.
    #[cfg(feature = "mutants")]
    ClaimMissed,
    /// What private batches read of the list counts as read from their snapshot.
    #[cfg(feature = "mutants")]
    ToldReadsLogged,
    /// The list also tells the state where a transaction may clear storage that no list names.
    #[cfg(feature = "mutants")]
    ToldBeforeCancun,
    /// Order, duplicates and indices of a list are not checked.
    #[cfg(feature = "mutants")]
    ListUnvalidated,
    /// What follows the transactions is not compared with the list.
    #[cfg(feature = "mutants")]
    EndUncompared,
    /// A list also tells that an account is there which is empty before the block, and which a
    /// transaction may have touched.
    #[cfg(feature = "mutants")]
    EmptyTold,
    /// A transaction that differs from the list runs once more before its block ends.
    #[cfg(feature = "mutants")]
    WrongRunsAgain,
    /// Transactions run on what the list tells beyond one that differs from it.
    #[cfg(feature = "mutants")]
    RunsBeyondWrong,
    /// Where storage is slow no worker reads ahead what the list names.
    #[cfg(feature = "mutants")]
    NothingReadAhead,
    /// A list that is not trusted is not read.
    #[cfg(feature = "mutants")]
    HintUnread,
    /// Its indices are taken for places of transactions.
    #[cfg(feature = "mutants")]
    HintShifted,
    /// What is deferred for the beneficiary changes no balance in the access list.
    #[cfg(feature = "mutants")]
    CreditUnlisted,
    /// What the beneficiary is paid unseen stands in the access list as a balance of its own, too.
    #[cfg(feature = "mutants")]
    PaymentListedTwice,
    /// The parts of what a batch has accessed are in the access list in the wrong order.
    #[cfg(feature = "mutants")]
    ListedOutOfOrder,
    /// A transaction that is left out has an index in the access list.
    #[cfg(feature = "mutants")]
    SkipListed,
    /// Who sends a transaction, is called or gets the fees is not in the access list if it is warm
    /// from the beginning.
    #[cfg(feature = "mutants")]
    WarmPartyUnlisted,
    /// A precompile that code calls is not in the access list.
    #[cfg(feature = "mutants")]
    PrecompileUnlisted,
    /// What was accessed before the gas for authorizations or the first frame has run out is not in
    /// the access list.
    #[cfg(feature = "mutants")]
    FirstAccessLost,
    /// Of the calls on one side of the transactions only the first one is in the access list.
    #[cfg(feature = "mutants")]
    SecondCallUnlisted,
    /// What transactions that were taken together have deferred is lost.
    #[cfg(feature = "mutants")]
    DeferredLost,
    /// It comes after what they have changed together.
    #[cfg(feature = "mutants")]
    DeferredLate,
    /// A transaction may change what it has declared that it only reads.
    #[cfg(feature = "mutants")]
    UndeclaredChangePasses,
    /// A transaction that has left what it declares keeps what it has changed.
    #[cfg(feature = "mutants")]
    UndeclaredStays,
    /// A creation that has left what it declares does not raise its sender's nonce.
    #[cfg(feature = "mutants")]
    UndeclaredNonceLost,
    /// Who declares that it reads what a lower transaction may change is not tied to that.
    #[cfg(feature = "mutants")]
    DeclaredReadsUntied,
    /// Who may change what lower ones declare that they read is not in their batch, though others
    /// of it come after.
    #[cfg(feature = "mutants")]
    DeclaredChangesUntied,
}

#[cfg(feature = "mutants")]
impl EvmMutant {
    /// The bug of the workers that it stands for, where only a block shows that.
    pub(super) const fn of_workers(self) -> WorkerMutant {
        match self {
            Self::SpeculationStays => WorkerMutant::SpeculationStays,
            Self::CreditAfterFrontier => WorkerMutant::FrontierBeforeCredit,
            _ => WorkerMutant::None,
        }
    }

    /// The same of the conflict index.
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
