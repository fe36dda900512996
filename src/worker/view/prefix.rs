//! Views over a committed prefix: of private batches and of sequential runs.

use super::{StateBelow, Stopped, View};
use crate::ids::TxIndex;
use crate::mv::{AccessLog, Entry, Latest, Location, Origin, Store};
use crate::worker::machine::Base;
use crate::worker::{Interrupt, Point};

impl<'a, L: Location> StateBelow<'a, L> {
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
    /// `base` answers reads that the store cannot. Call `begin_batch` or `begin_sequential` first.
    pub fn of_prefix(store: &'a Store<L>, base: B, context: X) -> Self {
        let mut view = Self::over(StateBelow::snapshot(store), base, context);
        view.store = Some(store);
        view
    }

    /// Starts a private batch at `first`, on the committed prefix below `snapshot`, and records its
    /// accesses in `new_log`. `is_second` means that another worker runs the same batch.
    pub fn begin_batch(
        &mut self,
        first: TxIndex,
        snapshot: TxIndex,
        new_log: Option<AccessLog<L>>,
        is_second: bool,
    ) {
        if !matches!(self.below, StateBelow::Snapshot { .. })
            && let Some(store) = self.store
        {
            self.below = StateBelow::snapshot(store);
        }
        let StateBelow::Snapshot {
            latest,
            snapshot: old_snapshot,
            first: old_first,
            is_second: old_second,
            log,
            ..
        } = &mut self.below
        else {
            return;
        };
        latest.clear();
        (*old_snapshot, *old_first, *old_second, *log) = (snapshot, first, is_second, new_log);
    }

    /// Starts a sequential run on `latest`, over the entries of the store below `first`, all of
    /// which are final.
    pub fn begin_sequential(&mut self, latest: Latest<L>, first: TxIndex) {
        // The store has no entry below the first transaction of a block.
        let prefix = self.store.filter(|_| first.0 > 0).map(|store| (store, first));
        self.below = StateBelow::Final { latest, prefix, is_complete: true };
    }

    /// Returns the accesses of the batch, up to the end of its last group.
    pub fn end_batch(&mut self) -> Option<AccessLog<L>> {
        self.log_mut()?.forget_rest();
        match &mut self.below {
            StateBelow::Snapshot { log, .. } => log.take(),
            StateBelow::Versions(_) | StateBelow::Final { .. } => None,
        }
    }

    /// Returns the log of the batch's accesses, if there is one.
    pub fn log_mut(&mut self) -> Option<&mut AccessLog<L>> {
        match &mut self.below {
            StateBelow::Snapshot { log, .. } => log.as_mut(),
            StateBelow::Versions(_) | StateBelow::Final { .. } => None,
        }
    }

    /// Keeps the `writes` of transaction `tx`, for later transactions of the batch or run.
    pub fn keep(&mut self, tx: TxIndex, writes: &[(L, Entry<L>)]) {
        let (latest, mut log) = match &mut self.below {
            StateBelow::Snapshot { latest, log, .. } => (latest, log.as_mut()),
            StateBelow::Final { latest, .. } => (latest, None),
            StateBelow::Versions(_) => return,
        };
        for (location, entry) in writes {
            if let Some(log) = &mut log {
                log.write(location);
            }
            latest.put(tx, location.clone(), entry.clone());
        }
    }

    /// Reads from the writes of the batch or run, or else from the committed prefix.
    pub(super) fn read_prefix(&mut self, location: &L) -> Result<(L::Value, Origin), Stopped> {
        if self.is_overtaken() {
            return Err(Stopped);
        }
        let Self { below, context, base, .. } = self;
        let (latest, prefix, signals, mut log) = match below {
            StateBelow::Versions(_) => return Err(Stopped),
            StateBelow::Final { latest, prefix, .. } => (latest, *prefix, None, None),
            StateBelow::Snapshot { latest, store, snapshot, first, is_second, log } => {
                // The store has no entry below the first transaction of a block.
                let prefix = (snapshot.0 > 0).then_some((*store, *snapshot));
                (latest, prefix, (!*is_second).then_some((*store, *first)), log.as_mut())
            }
        };
        let beat = |in_base| {
            if let Some((store, first)) = signals {
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
            let found = match prefix {
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
