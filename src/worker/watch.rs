//! Detection of a stalled frontier by a waiting worker.

use super::claims::FrontierRun;
use super::machine::{LedgerOf, Workload};
use super::shared::Shared;
use super::{Context, Point};
use crate::ids::{Incarnation, TxIndex};
use crate::mv::Beat;
use crate::sync::SeqCst;

/// Detects that the run of the frontier makes no progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StallWatch {
    last: Option<(TxIndex, Beat)>,
    /// The last run that the worker has helped with. It helps with each run only once.
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
    pub(super) const fn note_helped(&mut self, begun: FrontierRun) {
        self.helped = Some(begun.id());
    }

    /// Returns the run of the frontier, if it has made no progress since the last call.
    pub(super) fn stalled<W: Workload, G: LedgerOf<W>>(
        &mut self,
        shared: &Shared<W, G>,
        context: &impl Context,
    ) -> Option<FrontierRun> {
        let frontier = TxIndex(shared.frontier.load(SeqCst));
        let beat = shared.store.beat_of(frontier);
        let is_same = self.last.replace((frontier, beat)) == Some((frontier, beat));
        if !is_same || beat.is_in_base() {
            return None;
        }
        let may_help = |begun: &FrontierRun| self.helped != Some(begun.id());
        shared.frontier_run(frontier).filter(may_help)?;
        // This worker may be preempted here, so it checks again.
        context.yield_at(Point::Coordinator);
        shared.frontier_run(frontier).filter(may_help)
    }
}
