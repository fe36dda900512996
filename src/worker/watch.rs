//! Observation of the frontier's progress by a waiting worker.

use super::claims::Begun;
use super::machine::{LedgerOf, Workload};
use super::shared::Shared;
use super::{Context, Point};
use crate::ids::{Incarnation, TxIndex};
use crate::mv::Beat;
use crate::sync::SeqCst;

/// Observations of the frontier by a waiting worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StallWatch {
    last: Option<(TxIndex, Beat)>,
    /// The run that the worker has helped with; it helps with each only once.
    helped: Option<(TxIndex, Incarnation)>,
}

impl StallWatch {
    /// Starts waiting.
    pub(super) fn begin<W: Workload, G: LedgerOf<W>>(
        &mut self,
        shared: &Shared<W, G>,
        context: &impl Context,
    ) {
        self.last = None;
        self.stalled(shared, context);
    }

    /// Records that the worker has helped with `begun`.
    pub(super) const fn note_helped(&mut self, begun: Begun) {
        self.helped = Some(begun.run());
    }

    /// Returns the job that a worker runs at the frontier, if it has made no progress since the
    /// last call.
    pub(super) fn stalled<W: Workload, G: LedgerOf<W>>(
        &mut self,
        shared: &Shared<W, G>,
        context: &impl Context,
    ) -> Option<Begun> {
        let frontier = TxIndex(shared.frontier.load(SeqCst));
        let beat = shared.store.beat_of(frontier);
        let is_same = self.last.replace((frontier, beat)) == Some((frontier, beat));
        if !is_same || beat.is_in_base() {
            return None;
        }
        let may_help = |begun: &Begun| self.helped != Some(begun.run());
        shared.begun(frontier).filter(may_help)?;
        // This worker may be preempted here, too: the check after it decides.
        context.yield_at(Point::Coordinator);
        shared.begun(frontier).filter(may_help)
    }
}
