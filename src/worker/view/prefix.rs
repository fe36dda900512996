//! Views of transactions that run one after the other: on a snapshot, or in a sequential run.

use super::{Below, Stopped, View};
use crate::ids::TxIndex;
use crate::mv::{AccessLog, Entry, Latest, Location, Origin, Store};
use crate::worker::machine::Base;
use crate::worker::{Interrupt, Point};

impl<'a, L: Location> Below<'a, L> {
    /// Returns an empty snapshot of `store`.
    fn snapshot(store: &'a Store<L>) -> Self {
        Self::Snapshot {
            latest: Latest::default(),
            store,
            snapshot: TxIndex(0),
            first: TxIndex(0),
            is_second: false,
            log: None,
        }
    }
}

impl<'a, L: Location, B: Base<L>, X: Interrupt> View<'a, L, B, X> {
    /// Creates a view for private batches and sequential runs, over committed prefixes in `store`;
    /// `base` answers reads that the store cannot. `begin_batch` or `begin_sequential` comes first.
    pub fn of_prefix(store: &'a Store<L>, base: B, context: X) -> Self {
        let mut view = Self::over(Below::snapshot(store), base, context);
        view.store = Some(store);
        view
    }

    /// Starts a private batch at `first`, on the committed prefix below `snapshot`, and logs its
    /// accesses in `new`. `is_second` means that another worker runs the same batch.
    pub fn begin_batch(
        &mut self,
        first: TxIndex,
        snapshot: TxIndex,
        new: Option<AccessLog<L>>,
        is_second: bool,
    ) {
        if !matches!(self.below, Below::Snapshot { .. })
            && let Some(store) = self.store
        {
            self.below = Below::snapshot(store);
        }
        let Below::Snapshot { latest, snapshot: at, first: begin, is_second: second, log, .. } =
            &mut self.below
        else {
            return;
        };
        latest.clear();
        (*at, *begin, *second, *log) = (snapshot, first, is_second, new);
    }

    /// Starts a sequential run on `latest`, over the entries of the store below `first`, all of
    /// which are final.
    pub fn begin_sequential(&mut self, latest: Latest<L>, first: TxIndex) {
        // Below the first transaction there is only the base state.
        let under = self.store.filter(|_| first.0 > 0).map(|store| (store, first));
        self.below = Below::Final { latest, under, is_complete: true };
    }

    /// Returns the accesses of the batch, up to the end of its last group.
    pub fn end_batch(&mut self) -> Option<AccessLog<L>> {
        self.log_mut()?.forget_rest();
        match &mut self.below {
            Below::Snapshot { log, .. } => log.take(),
            Below::Versions(_) | Below::Final { .. } => None,
        }
    }

    /// Returns the log of the batch's accesses, if there is one.
    pub fn log_mut(&mut self) -> Option<&mut AccessLog<L>> {
        match &mut self.below {
            Below::Snapshot { log, .. } => log.as_mut(),
            Below::Versions(_) | Below::Final { .. } => None,
        }
    }

    /// Keeps the `writes` of transaction `tx` of the batch, for the next one to read.
    pub fn keep(&mut self, tx: TxIndex, writes: &[(L, Entry<L>)]) {
        let (latest, mut log) = match &mut self.below {
            Below::Snapshot { latest, log, .. } => (latest, log.as_mut()),
            Below::Final { latest, .. } => (latest, None),
            Below::Versions(_) => return,
        };
        for (location, entry) in writes {
            if let Some(log) = &mut log {
                log.write(location);
            }
            latest.put(tx, location.clone(), entry.clone());
        }
    }

    /// Reads from the newer writes, or else from the committed prefix below them.
    pub(super) fn read_prefix(&mut self, location: &L) -> Result<(L::Value, Origin), Stopped> {
        if self.is_overtaken() {
            return Err(Stopped);
        }
        let Self { below, context, base, .. } = self;
        let (latest, under, shows, mut log) = match below {
            Below::Versions(_) => return Err(Stopped),
            Below::Final { latest, under, .. } => (latest, *under, None, None),
            Below::Snapshot { latest, store, snapshot, first, is_second, log } => {
                // Below the first transaction there is only the base state.
                let under = (snapshot.0 > 0).then_some((*store, *snapshot));
                (latest, under, (!*is_second).then_some((*store, *first)), log.as_mut())
            }
        };
        let beat = |in_base| {
            if let Some((store, first)) = shows {
                store.beat(first, in_base);
            }
        };
        context.yield_at(Point::Read);
        let mut is_own = true;
        let read = latest.read(location, || {
            is_own = false;
            beat(false);
            let mut base = || {
                context.yield_at(Point::BaseRead);
                beat(true);
                let value = base.read(location);
                beat(false);
                value
            };
            let found = match under {
                None => (base()?, Origin::Base),
                Some((store, end)) => store.newest(location, end, base)?,
            };
            if let Some(log) = &mut log {
                log.read(location, &found.0);
            }
            Ok(found)
        });
        if let (true, Ok((_, Origin::Tombstone(_))), Some(log)) = (is_own, &read, log) {
            log.read_ended(location);
        }
        read.map_err(|error| self.fail(error))
    }
}
