//! Whether the run of the frontier comes nearer to its end, as a worker that waits sees it.

use super::claims::Begun;
use super::machine::{LedgerOf, Workload};
use super::shared::Shared;
use super::{Context, Point};
use crate::ids::{Incarnation, TxIndex};
use crate::mv::Beat;
use crate::sync::SeqCst;

/// What a worker that waits has seen of the frontier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    last: Option<(TxIndex, Beat)>,
    /// What it has run beside another worker: it does so once.
    helped: Option<(TxIndex, Incarnation)>,
}

impl Watch {
    /// From now on the worker waits.
    pub(super) fn begin<W: Workload, G: LedgerOf<W>>(
        &mut self,
        shared: &Shared<W, G>,
        context: &impl Context,
    ) {
        self.last = None;
        self.stalled(shared, context);
    }

    /// It has run what another worker has `begun`.
    pub(super) const fn note_helped(&mut self, begun: Begun) {
        self.helped = Some(begun.run());
    }

    /// What a worker runs at the frontier, if it has come no nearer to its end since the last
    /// question.
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
        // The system may suspend this worker, too: the look after that counts.
        context.yield_at(Point::Coordinator);
        shared.begun(frontier).filter(may_help)
    }
}
