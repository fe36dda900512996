//! Whether the run of the frontier comes nearer to its end, as a worker that waits sees it.

use super::claims::Begun;
use super::machine::{LedgerOf, Workload};
use super::shared::Shared;
use crate::ids::TxIndex;
use crate::mv::Beat;
use crate::sync::SeqCst;

/// What a worker that waits has seen of the frontier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    last: Option<(TxIndex, Beat)>,
    /// The frontier that it has run beside another worker: it does so once.
    helped: Option<TxIndex>,
}

impl Watch {
    /// From now on the worker waits.
    pub(super) fn begin<W: Workload, G: LedgerOf<W>>(&mut self, shared: &Shared<W, G>) {
        self.last = None;
        self.stalled(shared);
    }

    /// It has run `frontier` beside another worker.
    pub(super) const fn note_helped(&mut self, frontier: TxIndex) {
        self.helped = Some(frontier);
    }

    /// What a worker runs at the frontier, if it has come no nearer to its end since the last
    /// question.
    pub(super) fn stalled<W: Workload, G: LedgerOf<W>>(
        &mut self,
        shared: &Shared<W, G>,
    ) -> Option<Begun> {
        let frontier = TxIndex(shared.frontier.load(SeqCst));
        let beat = shared.store.beat_of(frontier);
        let is_same = self.last.replace((frontier, beat)) == Some((frontier, beat));
        let stalls = is_same && !beat.is_in_base() && self.helped != Some(frontier);
        if stalls { shared.begun(frontier) } else { None }
    }
}
