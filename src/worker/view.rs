//! What one incarnation sees: the store below its index, over the base state.

mod prefix;
mod second;

use super::machine::Base;
use super::stop::{Stop, Stopped};
use super::{Activity, Interrupt, Point};
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{AccessLog, Latest, Location, Origin, ReadSet, Resolution, Store};

/// Reads of a run between two beats.
const READS_EACH: usize = 8;

/// Where a view finds what the block has written.
#[derive(Debug)]
enum Below<'a, L: Location> {
    /// Any of it may change yet.
    Versions(&'a Store<L>),
    /// All of it is final: nothing has to be recorded unless the accesses of a stretch in order are
    /// compared.
    Final {
        latest: Latest<L>,
        /// What was there before, below this index.
        under: Option<(&'a Store<L>, TxIndex)>,
        /// Whether that is all of it.
        is_complete: bool,
        /// What the stretch in order has accessed.
        log: Option<AccessLog<L>>,
    },
    /// The committed prefix below a snapshot, under what those of the same private batch have
    /// written.
    Snapshot {
        latest: Latest<L>,
        store: &'a Store<L>,
        snapshot: TxIndex,
        /// The first transaction of the run.
        first: TxIndex,
        /// Another worker runs the same: this run shows nothing of itself, and ends once the
        /// frontier moves on.
        is_second: bool,
        /// What the batch has accessed, while there is one.
        log: Option<AccessLog<L>>,
    },
}

/// The state below one transaction, with a record of everything that was seen of it.
#[derive(Debug)]
pub struct View<'a, L: Location, B: Base<L>, X> {
    below: Below<'a, L>,
    /// What private batches run on.
    store: Option<&'a Store<L>>,
    context: X,
    base: B,
    reader: TxIndex,
    reads: ReadSet<L>,
    stop: Option<Stop<B::Error>>,
    /// Everything below the reader was final when it began.
    is_final: bool,
    /// The run is one that goes on beside another of the same transaction: it is remembered
    /// nowhere.
    is_second: bool,
    /// Who runs, if speculative runs end once something has changed that they have read.
    worker: Option<WorkerId>,
}

impl<'a, L: Location, B: Base<L>, X: Interrupt> View<'a, L, B, X> {
    /// A view over `store`, with misses answered by `base`.
    pub fn new(store: &'a Store<L>, base: B, context: X) -> Self {
        Self::over(Below::Versions(store), base, context)
    }

    /// The same view, of `worker`: its speculative runs end once something has changed that they
    /// have read.
    #[must_use]
    pub fn of_worker(self, worker: WorkerId) -> Self {
        Self { worker: Some(worker), ..self }
    }

    /// Whether what the block has written is all in what the view is over, if that is final. If
    /// not, the machine holds the rest and asks for none of it.
    pub fn set_complete(&mut self, complete: bool) {
        if let Below::Final { is_complete, .. } = &mut self.below {
            *is_complete = complete;
        }
    }

    fn over(below: Below<'a, L>, base: B, context: X) -> Self {
        let (reader, reads) = (TxIndex(0), ReadSet::default());
        let (store, stop, is_final, is_second) = (None, None, false, false);
        let worker = None;
        Self { below, store, context, base, reader, reads, stop, is_final, is_second, worker }
    }

    /// What the block has written, if all of it is final, or what its batch has.
    pub fn latest_mut(&mut self) -> Option<&mut Latest<L>> {
        match &mut self.below {
            Below::Versions(_) => None,
            Below::Final { latest, .. } | Below::Snapshot { latest, .. } => Some(latest),
        }
    }

    /// The base value of `location`, if the store has needed it.
    #[must_use]
    pub fn known_base(&self, location: &L) -> Option<L::Value> {
        match self.below {
            Below::Versions(store) => store.base(location),
            Below::Final { .. } | Below::Snapshot { .. } => None,
        }
    }

    /// Tells the store the value of `location` before the block, which is known otherwise: no run
    /// has to ask the base state for it.
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
            Below::Final { .. } | Below::Snapshot { .. } => None,
        }
    }

    /// The base state, if it answers every read of a location without deltas: in a sequential run
    /// whose writes are all in the machine's journal still.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn unwritten_base(&mut self) -> Option<&mut B> {
        match &self.below {
            Below::Final { latest, under: None, log: None, .. }
                if !latest.has_values() && self.stop.is_none() =>
            {
                Some(&mut self.base)
            }
            _ => None,
        }
    }

    /// Whether all that it is over is final.
    pub(crate) const fn is_over_final(&self) -> bool {
        self.is_final || self.is_in_order()
    }

    /// Whether it is the view of a stretch in order: each of its transactions is over what is final.
    pub(crate) const fn is_in_order(&self) -> bool {
        matches!(self.below, Below::Final { .. })
    }

    /// Forgets the last incarnation and looks at the state below `reader` from now on.
    pub fn begin(&mut self, reader: TxIndex) {
        self.context.yield_at(Point::Begin);
        self.context.tell(Activity::Run(reader));
        self.reader = reader;
        self.is_final = match self.below {
            Below::Versions(store) => store.is_final_below(reader),
            Below::Final { is_complete, .. } => is_complete,
            Below::Snapshot { store, first, is_second, .. } => {
                if !is_second {
                    store.beat(first, false);
                }
                false
            }
        };
        self.reads.clear();
        (self.stop, self.is_second) = (None, false);
    }

    /// The reads since `begin`, and what stopped them, if anything did.
    pub fn end(&mut self) -> (ReadSet<L>, Option<Stop<B::Error>>) {
        if !matches!(self.below, Below::Versions(_)) {
            // Reads of a prefix are not recorded here.
            return (ReadSet::default(), self.stop.take());
        }
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

    /// Takes back the error of the base state that stopped the run, if one did: the read that found
    /// it need not be made.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn take_failure(&mut self) -> Option<B::Error> {
        match self.stop.take() {
            Some(Stop::Base(error)) => Some(error),
            other => {
                self.stop = other;
                None
            }
        }
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

    /// What was handed out unread is not what lies there, which comes `from` there: the run is
    /// wasted. The next one may begin once the transaction that wrote it has reported, or else at
    /// the frontier.
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
        match &mut self.below {
            Below::Versions(store) => {
                let store = *store;
                self.read_version(store, location)
            }
            Below::Snapshot { .. } | Below::Final { .. } => self.read_prefix(location),
        }
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
        if self.is_second {
            return self.read_second(store, location);
        }
        if self.is_overtaken() {
            return Err(Stopped);
        }
        if self.reads.records().len().is_multiple_of(READS_EACH) {
            store.beat(self.reader, false);
        }
        let mut resolution = if self.is_final {
            store.resolve_hashed(hash, location, self.reader)
        } else {
            store.resolve_ahead(hash, location, self.reader)
        };
        if let Resolution::NeedsBase(chain) = resolution {
            self.context.yield_at(Point::BaseRead);
            store.beat(self.reader, true);
            let value = self.base.read(location).map_err(|error| self.fail(error))?;
            store.beat(self.reader, false);
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
