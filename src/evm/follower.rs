//! Where transactions run one after the other, another worker folds what they have left into the bundle
//! while the caller runs on.

use super::assembly::Growing;
use super::base::StateSource;
use super::crew::Crew;
use super::error::Rejection;
use super::ledger::Committed;
use super::machine::TxOutput;
use super::session::{Failure, Session};
use crate::config::Config;
use crate::ids::WorkerId;
use crate::protocol::Policy;
use crate::runtime::{Task, Threads};
use crate::sync::{Mutex, Receiver, Sender, bounded};
use crate::worker::Context;
use core::ops::ControlFlow;
use std::sync::Arc;

/// Transactions below which waking somebody is not worth it.
const WORTH_WAKING: usize = 1_000;
/// Batches of a block: each time somebody is woken, and what comes last is waited for.
const BATCHES: usize = 64;
/// The most transactions that are handed over at once.
const LARGEST: usize = 1_024;

/// What transactions up to `end` have left.
struct Batch {
    outputs: Vec<Arc<TxOutput>>,
    end: usize,
}

/// Hands over what is settled.
pub(super) struct Feed {
    batches: Sender<Batch>,
    /// Everything below was handed over.
    end: usize,
    /// Transactions that make a batch.
    batch: usize,
}

impl Feed {
    /// Hands over what has become of transactions, if there are enough of them. Nothing that they have
    /// changed may be missing.
    pub(super) fn send(&mut self, outcomes: &[Result<Arc<TxOutput>, Rejection>]) {
        let new = outcomes.get(self.end..).unwrap_or_default();
        if new.len() >= self.batch {
            self.end = outcomes.len();
            let outputs = new.iter().flatten().cloned().collect();
            // There is room for all of them; who does not listen any more is not needed.
            let _ = self.batches.try_send(Batch { outputs, end: self.end });
        }
    }
}

/// The part of the others: one of them does it.
struct Follower {
    work: Mutex<Option<(Growing, Receiver<Batch>)>>,
    done: Mutex<Option<Growing>>,
}

impl Task for Follower {
    fn run(&self, _: WorkerId) {
        let Some((mut bundle, batches)) = self.work.lock().take() else { return };
        // Between batches the core is somebody else's.
        while let Some(Batch { outputs, end }) = Threads::SLEEPY.recv(&batches) {
            bundle.extend(outputs.iter(), end);
        }
        *self.done.lock() = Some(bundle);
    }
}

impl<S: StateSource> Session<S> {
    /// Runs what has not run of the transactions below `end` one after the other, and lets somebody else
    /// fold what they leave, if there is enough of it.
    pub(super) fn run_in_order<'env, F, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let left = self.left(end);
        if left < WORTH_WAKING && config.policy == Policy::Auto {
            self.growing = None;
        }
        let Some(growing) = self.growing.take() else {
            return self.run_alone(end, config.mode, on_commit, None);
        };
        let batch = (left / BATCHES).clamp(1, LARGEST);
        let unfolded = end.saturating_sub(growing.transactions());
        let (batches, inbox) = bounded(unfolded.div_ceil(batch));
        let feed = Feed { batches, end: growing.transactions(), batch };
        let work = Mutex::new(Some((growing, inbox)));
        let follower = Arc::new(Follower { work, done: Mutex::new(None) });
        let task: Arc<dyn Task + 'env> = follower.clone();
        let (mut session, failure) =
            crew.run(&task, || self.run_alone(end, config.mode, on_commit, Some(feed)));
        // Without it, by a bug of ours, the bundle is made of the outcomes when all have run.
        session.growing = follower.done.lock().take();
        (session, failure)
    }
}
