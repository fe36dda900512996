//! Seeded bugs of the executor and of the crates above it, for the targets that must find them.

use braid_chain::mutants as chain;
use braid_evm::mutants::{Bug, seed};
use braid_node::mutants as node;
use core::fmt;

/// A seeded bug of the executor or of a crate above it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seeded {
    /// A bug of the executor.
    Executor(Bug),
    /// A bug of a chain.
    Chain(chain::Bug),
    /// A bug of a node.
    Node(node::Bug),
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executor(bug) => bug.fmt(f),
            Self::Chain(bug) => bug.fmt(f),
            Self::Node(bug) => bug.fmt(f),
        }
    }
}

impl Seeded {
    /// Returns the bugs of which each must be noticed by some committed input of the target `target`.
    #[must_use]
    pub fn of(target: &str) -> Vec<Self> {
        match target {
            "rlp" => chain::Bug::RLP.map(Self::Chain).into(),
            "pool" => chain::Bug::POOL.map(Self::Chain).into(),
            "chain" => chain::Bug::CHAIN.map(Self::Chain).into(),
            "genesis" => chain::Bug::GENESIS.map(Self::Chain).into(),
            "json_rpc" => node::Bug::ALL.map(Self::Node).into(),
            name => of_executor(name).into_iter().map(Self::Executor).collect(),
        }
    }

    /// Returns the bug of `target`, or of the executor, with this name.
    #[must_use]
    pub fn named(target: &str, name: &str) -> Option<Self> {
        let of_executor = [Bug::PROTOCOL, Bug::STORE, Bug::WORKERS, Bug::EVM].concat();
        let bugs = Self::of(target).into_iter().chain(of_executor.into_iter().map(Self::Executor));
        bugs.into_iter().find(|bug| format!("{bug:?}") == name)
    }

    /// Runs `body` with this bug on this thread.
    pub fn with<T>(self, body: impl FnOnce() -> T) -> T {
        match self {
            Self::Executor(bug) => {
                let _bug = seed(bug);
                body()
            }
            Self::Chain(bug) => chain::with_bug(Some(bug), body),
            Self::Node(bug) => node::with_bug(Some(bug), body),
        }
    }
}

/// Returns the bugs of the executor that the inputs of a family must notice in one execution each.
fn of_family(name: &str) -> &'static [Bug] {
    match name {
        "strategies" => &[
            Bug::PartUnchecked,
            Bug::BatchJournalKept,
            Bug::HandBackLost,
            Bug::HandBackUnsummed,
            Bug::AdmissionByLimit,
        ],
        "fees" => &[
            Bug::RewardAlwaysDeferred,
            Bug::RewardUnseen,
            Bug::SurchargeAlwaysDeferred,
            Bug::CreditReadEarly,
            Bug::PaymentLost,
            Bug::PartCreditsLost,
            Bug::BeneficiaryUnrecorded,
            Bug::BalanceUncounted,
        ],
        "forks" => &[
            Bug::AbsentEqualsEmpty,
            Bug::SkipReceiptKept,
            Bug::CodeChangeUnrecorded,
            Bug::RewardUnseen,
            Bug::RevertOfSecond,
            Bug::WipeForgotten,
            Bug::JournalOutlivesDestroyed,
        ],
        "journals" => &[
            Bug::JournalOutlivesDestroyed,
            Bug::JournalOutlivesError,
            Bug::FailureCached,
            Bug::JournalLost,
            Bug::WindowLosesSlots,
            Bug::WindowKeepsLives,
        ],
        "bundle" => &[
            Bug::RevertOfSecond,
            Bug::BalanceNotFilledIn,
            Bug::RevertTwice,
            Bug::TailLost,
            Bug::ParentSlotsLost,
            Bug::WipeForgotten,
        ],
        "lists" => &[
            Bug::ClaimUnchecked,
            Bug::UnusedClaimPasses,
            Bug::ClaimMissed,
            Bug::ListUnvalidated,
            Bug::EndUncompared,
        ],
        "alloy" => &[
            Bug::AbsentEqualsEmpty,
            Bug::CodeChangeUnrecorded,
            Bug::RewardAlwaysDeferred,
            Bug::RewardUnseen,
            Bug::BeneficiaryUnrecorded,
        ],
        "declared" => &[
            Bug::UndeclaredChangePasses,
            Bug::UndeclaredStays,
            Bug::UndeclaredNonceLost,
            Bug::DeferredLost,
            Bug::AnyValueValid,
            Bug::PartUnchecked,
        ],
        _ => &[],
    }
}

/// Returns the bugs of the executor that some input of `target` must notice.
fn of_executor(target: &str) -> Vec<Bug> {
    match target {
        // `StampOutsideLock` needs two threads.
        "version_chain" => vec![
            Bug::SkipOneRead,
            Bug::AnyValueValid,
            Bug::OldOverwrites,
            Bug::StampReused,
            Bug::FoldPastValue,
            Bug::CheckpointOpen,
            Bug::ReadsOwnIndex,
            Bug::EstimateLost,
            Bug::ScopeIgnored,
            Bug::BaseReplaced,
            Bug::HintLost,
        ],
        // Only loom checks the hand-over of the lock.
        "protocol_events" => {
            let others = Bug::PROTOCOL.iter().copied();
            others.filter(|bug| *bug != Bug::CoordinatorNotLookedAgain).collect()
        }
        name if !of_family(name).is_empty() => of_family(name).to_vec(),
        name => {
            let mut bugs = vec![Bug::AnyValueValid, Bug::ReadsOwnIndex];
            // The workloads in the files read too little for these bugs.
            if name != "block_file" {
                bugs.extend([Bug::SkipOneRead, Bug::FoldPastValue]);
            }
            // These bugs need a surcharge or a precompile.
            if name == "block_equivalence" {
                bugs.extend([Bug::SurchargeAlwaysDeferred, Bug::JournalOutlivesEmptied]);
            }
            bugs.extend([
                Bug::SkipValidation,
                Bug::CommitSkipsOne,
                Bug::SpeculativeError,
                Bug::SkipKeepsEntries,
                Bug::AdmissionSkipped,
                Bug::TailKept,
            ]);
            bugs
        }
    }
}
