//! What one incarnation sees: the store below its index, over the base state.

use super::machine::Base;
use super::{Context, Point};
use crate::ids::TxIndex;
use crate::mv::{Digests, Latest, Location, Origin, ReadSet, Resolution, Store};

/// Why a view stopped answering.
#[derive(Debug)]
pub enum Stop<E> {
    /// It met an estimate of this lower transaction.
    Blocked(TxIndex),
    /// It was asked for what is settled only where everything below is final.
    TooEarly,
    /// The base state could not be read.
    Base(E),
}

/// A read was refused because the view has stopped. The cause stays in the view, latched: it is
/// found there even if the machine swallows this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Where a view finds what the block has written.
#[derive(Debug)]
enum Below<'a, L: Location> {
    /// Any of it may change yet.
    Versions(&'a Store<L>),
    /// All of it is final, so nothing has to be recorded.
    Final {
        latest: Latest<L>,
        /// What was there before, below this index.
        under: Option<(&'a Store<L>, TxIndex)>,
        /// Whether that is all of it.
        is_complete: bool,
    },
    /// Transactions between that and the reader have not run, or somewhere else: see
    /// [`Parts`](super::Parts).
    Part {
        /// What those of the same part have written.
        latest: Latest<L>,
        under: Option<(&'a Store<L>, TxIndex)>,
        /// What was read from below the part.
        reads: Digests,
    },
}

/// The state below one transaction, with a record of everything that was seen of it.
#[derive(Debug)]
pub struct View<'a, L: Location, B: Base<L>, X> {
    below: Below<'a, L>,
    context: &'a X,
    base: B,
    reader: TxIndex,
    reads: ReadSet<L>,
    stop: Option<Stop<B::Error>>,
    /// Everything below the reader was final when it began.
    is_final: bool,
}

impl<'a, L: Location, B: Base<L>, X: Context> View<'a, L, B, X> {
    /// A view over `store`, with misses answered by `base`.
    pub fn new(store: &'a Store<L>, base: B, context: &'a X) -> Self {
        Self::over(Below::Versions(store), base, context)
    }

    /// A view over `latest`, and that over what lies in a store below an index, with misses answered by
    /// `base`: everything below is final.
    pub fn after(
        latest: Latest<L>,
        under: Option<(&'a Store<L>, TxIndex)>,
        base: B,
        context: &'a X,
    ) -> Self {
        Self::over(Below::Final { latest, under, is_complete: true }, base, context)
    }

    /// A view over what transactions of the same part of a block have left, over what lies in a store below
    /// an index, with misses answered by `base`. It notes what it reads from below the part in the manner
    /// of `reads`.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn of_part(
        reads: Digests,
        under: Option<(&'a Store<L>, TxIndex)>,
        base: B,
        context: &'a X,
    ) -> Self {
        Self::over(Below::Part { latest: Latest::default(), under, reads }, base, context)
    }

    /// What was read from below the part, since it was asked last.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn take_reads(&mut self) -> Option<Digests> {
        match &mut self.below {
            Below::Part { reads, .. } => Some(reads.take()),
            Below::Versions(_) | Below::Final { .. } => None,
        }
    }

    /// How many locations were read from below the part, since they were taken last.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn reads_from_below(&self) -> usize {
        match &self.below {
            Below::Part { reads, .. } => reads.len(),
            Below::Versions(_) | Below::Final { .. } => 0,
        }
    }

    /// Whether what the block has written is all in what the view is over, if that is final. If not,
    /// the machine holds the rest and asks for none of it.
    pub fn set_complete(&mut self, complete: bool) {
        if let Below::Final { is_complete, .. } = &mut self.below {
            *is_complete = complete;
        }
    }

    fn over(below: Below<'a, L>, base: B, context: &'a X) -> Self {
        let (reader, reads) = (TxIndex(0), ReadSet::default());
        Self { below, context, base, reader, reads, stop: None, is_final: false }
    }

    /// What the block has written, if all of it is final, or what its part has.
    pub fn latest_mut(&mut self) -> Option<&mut Latest<L>> {
        match &mut self.below {
            Below::Versions(_) => None,
            Below::Final { latest, .. } | Below::Part { latest, .. } => Some(latest),
        }
    }

    /// The base value of `location`, if the store has needed it.
    #[must_use]
    pub fn known_base(&self, location: &L) -> Option<L::Value> {
        match self.below {
            Below::Versions(store) => store.base(location),
            Below::Final { .. } | Below::Part { .. } => None,
        }
    }

    /// Tells the store the value of `location` before the block, which is known otherwise: nobody has to
    /// ask the base state for it.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn know_base(&self, location: &L, value: L::Value) {
        if let Below::Versions(store) = self.below {
            store.seed(location, value);
        }
    }

    /// What `location`, which has no scope, would be read as at the moment, if this block has left
    /// something there. It may change unnoticed: only a read counts.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn peek(&self, location: &L) -> Option<L::Value> {
        match self.below {
            Below::Versions(store) => store.peek(location, self.reader),
            Below::Final { .. } | Below::Part { .. } => None,
        }
    }

    /// Whether all that it is over is final.
    pub(crate) const fn is_over_final(&self) -> bool {
        self.is_final || matches!(self.below, Below::Final { .. })
    }

    /// Forgets the last incarnation and looks at the state below `reader` from now on.
    pub fn begin(&mut self, reader: TxIndex) {
        self.context.yield_at(Point::Begin);
        self.reader = reader;
        self.is_final = match self.below {
            Below::Versions(store) => store.is_final_below(reader),
            Below::Final { is_complete, .. } => is_complete,
            Below::Part { .. } => false,
        };
        self.reads.clear();
        self.stop = None;
    }

    /// The reads since `begin`, and what stopped them, if anything did.
    pub fn end(&mut self) -> (ReadSet<L>, Option<Stop<B::Error>>) {
        // The next incarnation is likely to read about as much.
        let next = ReadSet::with_capacity(self.reads.records().len());
        (core::mem::replace(&mut self.reads, next), self.stop.take())
    }

    /// Whether it has refused an answer since `begin`.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// The handle of the base state.
    pub fn base_mut(&mut self) -> &mut B {
        &mut self.base
    }

    /// Latches an error of the base state that arose outside a recorded read.
    pub fn fail(&mut self, error: B::Error) -> Stopped {
        self.stop.get_or_insert(Stop::Base(error));
        Stopped
    }

    /// Goes on only if everything below the reader was final when it began. If not, the transaction
    /// waits for the frontier.
    ///
    /// # Errors
    /// [`Stopped`], as from a read that met an estimate.
    pub fn wait_until_final(&mut self) -> Result<(), Stopped> {
        if self.is_final {
            return Ok(());
        }
        self.stop.get_or_insert(Stop::TooEarly);
        Err(Stopped)
    }

    /// What was handed out unread is not what lies there, which comes `from` there: the run is in vain.
    /// The next one may begin once whoever wrote it has reported, or else at the frontier.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn give_up(&mut self, from: Origin) {
        self.stop.get_or_insert(match from {
            Origin::Base => Stop::TooEarly,
            Origin::Value(by) | Origin::Tombstone(by) | Origin::Folded(by) => Stop::Blocked(by.tx),
        });
    }

    /// The same for a location that is credited as transactions commit (see
    /// [`credits`](super::Workload::credits)): what is final anyway is at hand.
    ///
    /// # Errors
    /// [`Stopped`], as from a read that met an estimate.
    pub fn wait_for_credits(&mut self) -> Result<(), Stopped> {
        if self.is_over_final() {
            return Ok(());
        }
        self.wait_until_final()
    }

    /// What the transaction sees at `location`: the same answer each time (I5).
    ///
    /// # Errors
    /// [`Stopped`] from the first estimate or base error on, until the next `begin`.
    pub fn read(&mut self, location: &L) -> Result<L::Value, Stopped> {
        self.read_from(location).map(|(value, _)| value)
    }

    /// The same, and where it comes from.
    ///
    /// # Errors
    /// [`Stopped`], as from [`read`](Self::read).
    pub fn read_from(&mut self, location: &L) -> Result<(L::Value, Origin), Stopped> {
        if self.stop.is_some() {
            return Err(Stopped);
        }
        let (latest, under, reads) = match &mut self.below {
            Below::Versions(store) => {
                let store = *store;
                return self.read_version(store, location);
            }
            Below::Final { latest, under, .. } => (latest, under, None),
            Below::Part { latest, under, reads } => (latest, under, Some(reads)),
        };
        let read = latest.read(location, || {
            if let Some(reads) = reads {
                reads.add(location);
            }
            match under {
                Some((store, end)) => store.newest(location, *end, || self.base.read(location)),
                None => Ok((self.base.read(location)?, Origin::Base)),
            }
        });
        read.map_err(|error| self.fail(error))
    }

    fn read_version(
        &mut self,
        store: &Store<L>,
        location: &L,
    ) -> Result<(L::Value, Origin), Stopped> {
        let hash = store.hash(location);
        if let Some(seen) = self.reads.seen(hash, location) {
            return Ok((seen.value.clone(), seen.origin));
        }
        self.context.yield_at(Point::Read);
        let mut resolution = if self.is_final {
            store.resolve_hashed(hash, location, self.reader)
        } else {
            store.resolve_ahead(hash, location, self.reader)
        };
        if let Resolution::NeedsBase(chain) = resolution {
            self.context.yield_at(Point::BaseRead);
            let value = self.base.read(location).map_err(|error| self.fail(error))?;
            resolution = store.supply_base(chain, location, self.reader, value);
        }
        match resolution {
            Resolution::Resolved(seen) => {
                let answer = (seen.value.clone(), seen.origin);
                self.reads.push(location.clone(), seen);
                Ok(answer)
            }
            Resolution::Blocked(on) => {
                self.stop = Some(Stop::Blocked(on));
                Err(Stopped)
            }
            Resolution::NeedsBase(_) => unreachable!("the base value has just been supplied"),
        }
    }
}
