//! Views: the state that one incarnation reads, which is the store below its index over the base
//! state.

mod prefix;
mod second;

use super::machine::Base;
use super::stop::{Stop, Stopped};
use super::{Activity, Interrupt, Point};
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{AccessLog, Latest, Location, Origin, ReadSet, Resolution, Store};

/// Number of reads between two progress signals.
const READS_PER_BEAT: usize = 8;

/// The writes of the block below the transaction.
#[derive(Debug)]
enum StateBelow<'a, L: Location> {
    /// The multi-version store: values may still change.
    Versions(&'a Store<L>),
    /// The state of a sequential run: everything below is final, and reads are not recorded.
    Final {
        latest: Latest<L>,
        /// The state before the run: the store below this index.
        prefix: Option<(&'a Store<L>, TxIndex)>,
        /// Whether `latest` and `under` contain all writes.
        is_complete: bool,
    },
    /// The writes of a private batch, over the committed prefix below a snapshot.
    Snapshot {
        latest: Latest<L>,
        store: &'a Store<L>,
        snapshot: TxIndex,
        /// The first transaction of the run.
        first: TxIndex,
        /// Whether another worker runs the same batch. This run signals no progress, and ends once
        /// the frontier moves.
        is_second: bool,
        /// Accesses of the batch, while it runs.
        log: Option<AccessLog<L>>,
    },
}

/// The state below one transaction, with a record of all reads.
#[derive(Debug)]
pub struct View<'a, L: Location, B: Base<L>, X> {
    below: StateBelow<'a, L>,
    /// The store that private batches run on.
    store: Option<&'a Store<L>>,
    context: X,
    base: B,
    reader: TxIndex,
    reads: ReadSet<L>,
    stop: Option<Stop<B::Error>>,
    /// Whether everything below the reader was final when the run began.
    is_final: bool,
    /// Whether another worker runs the same transaction. The run of a helper is registered nowhere.
    is_second: bool,
    /// The worker; `None` if speculative runs do not end early when their reads change.
    worker: Option<WorkerId>,
}

impl<'a, L: Location, B: Base<L>, X: Interrupt> View<'a, L, B, X> {
    /// Creates a view over `store`; `base` answers reads that the store cannot.
    pub fn new(store: &'a Store<L>, base: B, context: X) -> Self {
        Self::over(StateBelow::Versions(store), base, context)
    }

    /// Assigns the view to `worker`: speculative runs now end once a value that they have read has
    /// changed.
    #[must_use]
    pub fn of_worker(self, worker: WorkerId) -> Self {
        Self { worker: Some(worker), ..self }
    }

    /// Sets whether the view contains all writes of a sequential run. If not, the machine holds the
    /// missing ones and does not read them from the view.
    pub fn set_complete(&mut self, complete: bool) {
        if let StateBelow::Final { is_complete, .. } = &mut self.below {
            *is_complete = complete;
        }
    }

    fn over(below: StateBelow<'a, L>, base: B, context: X) -> Self {
        Self {
            below,
            store: None,
            context,
            base,
            reader: TxIndex(0),
            reads: ReadSet::default(),
            stop: None,
            is_final: false,
            is_second: false,
            worker: None,
        }
    }

    /// Returns the writes of a sequential run or of the private batch.
    pub fn latest_mut(&mut self) -> Option<&mut Latest<L>> {
        match &mut self.below {
            StateBelow::Versions(_) => None,
            StateBelow::Final { latest, .. } | StateBelow::Snapshot { latest, .. } => Some(latest),
        }
    }

    /// Returns the base value of `location`, if the store has needed it.
    #[must_use]
    pub fn known_base(&self, location: &L) -> Option<L::Value> {
        match self.below {
            StateBelow::Versions(store) => store.base(location),
            StateBelow::Final { .. } | StateBelow::Snapshot { .. } => None,
        }
    }

    /// Stores the base value of `location`, so that no run has to read it from the base state.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn store_base(&self, location: &L, value: L::Value) {
        if let StateBelow::Versions(store) = self.below {
            store.seed(location, value);
        }
    }

    /// Returns the current value of `location`, which must have no scope, if the block has written
    /// it. The lookup is not recorded, so the value may change unnoticed.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn peek(&self, location: &L) -> Option<L::Value> {
        match self.below {
            StateBelow::Versions(store) => store.peek(location, self.reader),
            StateBelow::Final { .. } | StateBelow::Snapshot { .. } => None,
        }
    }

    /// Returns the base state, if it answers every read of a location without deltas: in a
    /// sequential run whose writes are all still in the machine's journal.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn unwritten_base(&mut self) -> Option<&mut B> {
        match &self.below {
            StateBelow::Final { latest, prefix: None, .. }
                if !latest.has_values() && self.stop.is_none() =>
            {
                Some(&mut self.base)
            }
            _ => None,
        }
    }

    /// Returns whether everything that the view reads is final.
    pub(crate) const fn is_over_final(&self) -> bool {
        self.is_final || self.is_sequential()
    }

    /// Returns whether this is the view of a sequential run, in which each transaction reads final
    /// state.
    pub(crate) const fn is_sequential(&self) -> bool {
        matches!(self.below, StateBelow::Final { .. })
    }

    /// Drops the last incarnation and moves to the state below `reader`.
    pub fn begin(&mut self, reader: TxIndex) {
        self.context.yield_at(Point::Begin);
        self.context.report(Activity::Run(reader));
        self.reader = reader;
        self.is_final = match self.below {
            StateBelow::Versions(store) => store.is_final_below(reader),
            StateBelow::Final { is_complete, .. } => is_complete,
            StateBelow::Snapshot { store, first, is_second, .. } => {
                if !is_second {
                    store.beat(first, false);
                }
                false
            }
        };
        self.reads.clear();
        (self.stop, self.is_second) = (None, false);
    }

    /// Returns the reads since `begin`, and why the view stopped, if it did.
    pub fn end(&mut self) -> (ReadSet<L>, Option<Stop<B::Error>>) {
        if !matches!(self.below, StateBelow::Versions(_)) {
            // Reads of a prefix are recorded in the access log, if at all.
            return (ReadSet::default(), self.stop.take());
        }
        // The next run will probably make as many reads.
        let next = ReadSet::with_capacity(self.reads.records().len());
        (core::mem::replace(&mut self.reads, next), self.stop.take())
    }

    /// Returns whether the view has stopped since `begin`.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Returns the handle of the base state.
    pub fn base_mut(&mut self) -> &mut B {
        &mut self.base
    }

    /// Stops the view because of an error of the base state. Keeps an earlier cause.
    pub fn fail(&mut self, error: B::Error) -> Stopped {
        self.stop.get_or_insert(Stop::Base(error));
        Stopped
    }

    /// Clears and returns the error of the base state that stopped the run, if one did: for a read
    /// that turned out not to be needed.
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

    /// Requires that everything below the reader was final when the run began. If not, the
    /// transaction waits for the frontier.
    ///
    /// # Errors
    /// Returns [`Stopped`], as from a read that met an estimate.
    pub fn wait_until_final(&mut self) -> Result<(), Stopped> {
        if self.is_final {
            return Ok(());
        }
        self.stop.get_or_insert(Stop::TooEarly);
        Err(Stopped)
    }

    /// Stops the view because the machine used a wrong value without reading it; the right value
    /// has the origin `from`. The next run starts once the transaction that wrote the right value
    /// has reported, or at the frontier.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn stop_on_mismatch(&mut self, from: Origin) {
        self.stop.get_or_insert(match from {
            Origin::Base => Stop::TooEarly,
            Origin::Value(by) | Origin::Tombstone(by) | Origin::Folded(by) => Stop::Blocked(by.tx),
        });
    }

    /// As [`wait_until_final`](Self::wait_until_final), for a location that is credited when
    /// transactions commit (see [`credits`](super::Workload::credits)). Returns at once if the view
    /// reads only final state.
    ///
    /// # Errors
    /// Returns [`Stopped`], as from a read that met an estimate.
    pub fn wait_for_credits(&mut self) -> Result<(), Stopped> {
        if self.is_over_final() {
            return Ok(());
        }
        self.wait_until_final()
    }

    /// Returns the value of `location` for the transaction. Each call returns the same value (I5).
    ///
    /// # Errors
    /// Returns [`Stopped`] once the view has stopped, until the next `begin`.
    pub fn read(&mut self, location: &L) -> Result<L::Value, Stopped> {
        self.read_from(location).map(|(value, _)| value)
    }

    /// As [`read`](Self::read), and also returns the origin of the value.
    ///
    /// # Errors
    /// Returns [`Stopped`], as from [`read`](Self::read).
    pub fn read_from(&mut self, location: &L) -> Result<(L::Value, Origin), Stopped> {
        if self.stop.is_some() {
            return Err(Stopped);
        }
        match &mut self.below {
            StateBelow::Versions(store) => {
                let store = *store;
                self.read_version(store, location)
            }
            StateBelow::Snapshot { .. } | StateBelow::Final { .. } => self.read_prefix(location),
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
            return self.read_as_helper(store, location);
        }
        if self.is_overtaken() {
            return Err(Stopped);
        }
        if self.reads.records().len().is_multiple_of(READS_PER_BEAT) {
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
            Resolution::NeedsBase(_) => unreachable!("the base value was just supplied"),
        }
    }
}
