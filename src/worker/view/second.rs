//! Views of runs that may end early: runs of a helper, and runs whose reads have changed.

use super::{StateBelow, Stop, Stopped, View};
use crate::ids::TxIndex;
use crate::mv::{Location, Origin, Store};
use crate::worker::machine::Base;
use crate::worker::{Interrupt, Point};

impl<L: Location, B: Base<L>, X: Interrupt> View<'_, L, B, X> {
    /// Drops the last incarnation and moves to the state below the frontier `reader`, for a helper:
    /// another worker may be running `reader`. That state is final, and the run stops once the
    /// frontier moves.
    pub fn begin_second(&mut self, reader: TxIndex) {
        self.begin(reader);
        self.is_second = true;
        if !self.is_final {
            self.stop = Some(Stop::TooEarly);
        }
    }

    /// Returns whether the values that the run reads may still change.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn is_speculative(&self) -> bool {
        matches!(self.below, StateBelow::Versions(_)) && !self.is_final
    }

    /// Returns whether another worker runs the same transaction or batch.
    pub const fn is_second(&self) -> bool {
        self.is_second || matches!(self.below, StateBelow::Snapshot { is_second: true, .. })
    }

    /// Stops the run and returns true if its result would not be used: because a value that it has
    /// read has changed, or because it is a helper's run and the frontier has moved.
    pub(crate) fn is_overtaken(&mut self) -> bool {
        if let (StateBelow::Versions(store), Some(worker)) = (&self.below, self.worker)
            && !self.is_final
            && store.has_overtaken(worker, self.reader, &self.reads)
        {
            self.stop.get_or_insert(Stop::Overtaken);
            return true;
        }
        let (store, first, is_second) = match &self.below {
            StateBelow::Versions(store) => (*store, self.reader, self.is_second),
            StateBelow::Snapshot { store, first, is_second, .. } => (*store, *first, *is_second),
            StateBelow::Final { .. } => return false,
        };
        let overtaken = is_second && store.is_final_below(first.next());
        if overtaken {
            self.stop.get_or_insert(Stop::TooEarly);
        }
        overtaken
    }

    pub(super) fn read_as_helper(
        &mut self,
        store: &Store<L>,
        location: &L,
    ) -> Result<(L::Value, Origin), Stopped> {
        if self.is_overtaken() {
            return Err(Stopped);
        }
        let Self { base, context, reader, .. } = self;
        let base = || {
            context.yield_at(Point::BaseRead);
            base.read(location)
        };
        let seen = store.resolve_settled(store.hash(location), location, *reader, base);
        let seen = seen.map_err(|error| self.fail(error))?;
        let answer = (seen.value.clone(), seen.origin);
        self.reads.push(location.clone(), seen);
        Ok(answer)
    }
}
