//! Counts which strategies, transitions and endings the inputs of a process have reached.
//!
//! A fuzzer that finds nothing for hours proves nothing by itself; the counts show what it covered.

use braid_evm::{BlockError, BlockErrorKind, BlockOutput, Config, Forced, Policy, Stats};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts of the strategies, transitions and endings reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached(BTreeMap<String, u64>);

static REACHED: Mutex<Reached> = Mutex::new(Reached(BTreeMap::new()));

fn all() -> MutexGuard<'static, Reached> {
    // Counts are valid even if a thread panicked while it held them.
    REACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the counts of this process so far.
#[must_use]
pub fn reached() -> Reached {
    all().clone()
}

impl Reached {
    /// Returns how often `what` was reached.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    fn add(&mut self, what: String) {
        *self.0.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| writeln!(f, "reached {what}: {count}"))
    }
}

/// Counts an input that uses `what`.
pub(super) fn note(what: &str) {
    all().add(what.to_owned());
}

/// Counts how a block was executed with `config`, and how it ended.
pub(super) fn note_block<E>(config: &Config, found: &Result<BlockOutput, BlockError<E>>) {
    let (stats, ending) = match found {
        Ok(output) => (output.stats, "complete"),
        Err(error) => (error.committed.stats, ending(&error.kind)),
    };
    let mut all = all();
    all.add(format!("ending, {ending}"));
    all.add(format!("workers, {}", config.workers));
    all.add(format!("mode, {:?}", config.engine.mode));
    let policy = config.policy;
    for (happened, what) in facts(config.policy, &stats) {
        if happened {
            all.add(format!("{policy:?}, {what}"));
        }
    }
}

const fn ending<E>(kind: &BlockErrorKind<E>) -> &'static str {
    match kind {
        BlockErrorKind::Base(_) => "unreadable",
        BlockErrorKind::Cancelled => "cancelled",
        BlockErrorKind::AccessList(_) => "list",
        _ => "invalid",
    }
}

/// Returns what the statistics say about the path of a block.
fn facts(policy: Policy, stats: &Stats) -> [(bool, &'static str); 13] {
    let speculates = stats.speculative_commits + stats.aborts > 0;
    let forced = policy == Policy::Forced(Forced::Speculative);
    [
        (true, "blocks"),
        (stats.sequential, "sequential on one thread"),
        (stats.speculative_commits > 0, "speculation is committed"),
        (stats.aborts > 0, "a run is aborted"),
        (stats.estimate_reads > 0, "a read meets an estimate"),
        (stats.claims > 0, "a job is taken back"),
        (stats.fallback_segments > 0, "speculation is given up"),
        (stats.learned_conflict_segments > 0, "waste is predicted"),
        (stats.scheduled_early > 0, "a long transaction begins first"),
        (stats.helped_transactions > 0, "the caller takes over"),
        (stats.contiguous_batches > 0, "contiguous batches"),
        (stats.contiguous_batches > 0 && speculates, "batches, then speculation"),
        (forced && stats.transactions > 0 && !speculates, "nothing speculates"),
    ]
}
