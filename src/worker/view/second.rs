//! Runs that end before they have come to anything: those beside another run of the same
//! transaction, and those on what has changed.

use super::{Below, Stop, Stopped, View};
use crate::ids::TxIndex;
use crate::mv::{Location, Origin, Store};
use crate::worker::machine::Base;
use crate::worker::{Interrupt, Point};

impl<L: Location, B: Base<L>, X: Interrupt> View<'_, L, B, X> {
    /// Forgets the last incarnation and looks at the state below the frontier `reader`, which
    /// another worker may be running: all of it is final, and the run stops once the frontier moves
    /// on.
    pub fn begin_second(&mut self, reader: TxIndex) {
        self.begin(reader);
        self.is_second = true;
        if !self.is_final {
            self.stop = Some(Stop::TooEarly);
        }
    }

    /// Whether what it reads may change before it is final.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn is_speculative(&self) -> bool {
        matches!(self.below, Below::Versions(_)) && !self.is_final
    }

    /// Whether the run goes on beside another one of the same transaction, or of the same batch.
    pub const fn is_second(&self) -> bool {
        self.is_second || matches!(self.below, Below::Snapshot { is_second: true, .. })
    }

    /// Whether the run is of no use any more: something has changed that it has read, or the
    /// frontier has moved on from it where it goes on beside another one. It stops.
    pub(crate) fn is_overtaken(&mut self) -> bool {
        if let (Below::Versions(store), Some(worker)) = (&self.below, self.worker)
            && !self.is_final
            && store.has_overtaken(worker, self.reader, &self.reads)
        {
            self.stop.get_or_insert(Stop::Overtaken);
            return true;
        }
        let (store, first, is_second) = match &self.below {
            Below::Versions(store) => (*store, self.reader, self.is_second),
            Below::Snapshot { store, first, is_second, .. } => (*store, *first, *is_second),
            Below::Final { .. } => return false,
        };
        let overtaken = is_second && store.is_final_below(first.next());
        if overtaken {
            self.stop.get_or_insert(Stop::TooEarly);
        }
        overtaken
    }

    pub(super) fn read_second(
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
