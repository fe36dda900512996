//! What decides between the thread that executes blocks and the one that writes them: no threads,
//! no locks, no store. `writer.rs` puts it behind a lock; `model.rs` explores it.

#[cfg(test)]
mod model;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod properties;

#[cfg(test)]
use mutants::Mutant;
use std::{collections::VecDeque, fmt::Debug, hash::Hash};

/// Blocks that may be executed and not durable while the next one executes.
pub(crate) const AHEAD: usize = 2;

/// Whether the seeded bug is at work: never, except in tests.
macro_rules! is_mutant {
    ($pipeline:expr, $bug:ident) => {{
        #[cfg(test)]
        let at_work = $pipeline.mutant == Mutant::$bug;
        #[cfg(not(test))]
        let at_work = false;
        at_work
    }};
}

/// A block that says which one it is.
pub(crate) trait Named {
    /// What names a block.
    type Name: Copy + Debug + Eq + Hash;

    fn name(&self) -> Self::Name;
}

/// Why nothing is written any more. `N` names a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriterEnded<N, E> {
    /// This block could not be written.
    Failed(N, E),
    /// The writer is gone: by a panic, or because it was told to end.
    Gone,
}

/// The end of a pipeline of blocks `B`.
pub(crate) type WriterEndedFor<B, E> = WriterEnded<<B as Named>::Name, E>;

/// Executed blocks `B` on their way to the store. `E` says why one could not be written.
///
/// A thread that is told `None` sleeps and asks again after it was woken. Whatever is called, a
/// thread that sleeps is to be woken afterwards if [`take_wake`](Self::take_wake) says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pipeline<B: Named, E> {
    /// Executed blocks that are not durable, oldest first.
    pending: VecDeque<B>,
    /// Whether the writer has the oldest of them.
    is_writing: bool,
    /// The last durable block.
    durable: B::Name,
    end: Option<WriterEndedFor<B, E>>,
    /// No block comes any more: the writer ends once all are durable.
    is_closed: bool,
    /// Something has changed for which a thread may sleep.
    wakes: bool,
    #[cfg(test)]
    mutant: Mutant,
}

impl<B: Clone + Named, E: Clone> Pipeline<B, E> {
    /// Nothing is on its way; the store ends with `durable`.
    pub(crate) const fn new(durable: B::Name) -> Self {
        Self {
            pending: VecDeque::new(),
            is_writing: false,
            durable,
            end: None,
            is_closed: false,
            wakes: false,
            #[cfg(test)]
            mutant: Mutant::None,
        }
    }

    /// The last durable block.
    pub(crate) const fn durable(&self) -> B::Name {
        self.durable
    }

    /// Whether the threads that sleep are to be woken. Says so once for each change.
    pub(crate) const fn take_wake(&mut self) -> bool {
        core::mem::replace(&mut self.wakes, false)
    }

    /// Blocks that a reader has to put over the store, newest first. The store may hold the oldest
    /// of them already.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &B> {
        let newest = usize::from(is_mutant!(self, NewestMissing));
        let reversed = is_mutant!(self, LayersReversed);
        let count = self.pending.len().saturating_sub(newest);
        let oldest = usize::from(is_mutant!(self, DroppedEarly) && self.is_writing);
        (oldest..count).filter_map(move |at| {
            let from_oldest = if reversed { at } else { (count + oldest).checked_sub(at + 1)? };
            self.pending.get(from_oldest)
        })
    }

    /// Whether blocks are still written.
    pub(crate) fn check(&self) -> Result<(), WriterEndedFor<B, E>> {
        match &self.end {
            Some(WriterEnded::Failed(..)) if is_mutant!(self, FailureUntold) => Ok(()),
            Some(end) => Err(end.clone()),
            None => Ok(()),
        }
    }

    /// Takes an executed block, or says why no block is written any more: then this one never
    /// was. `None`: there is no room yet.
    pub(crate) fn offer(&mut self, block: &B) -> Option<Result<(), WriterEndedFor<B, E>>> {
        if let Err(end) = self.check() {
            if is_mutant!(self, RefusedStays) {
                self.pending.push_back(block.clone());
            }
            return Some(Err(end));
        }
        let room = AHEAD + usize::from(is_mutant!(self, ThreeAhead));
        if self.pending.len() >= room {
            return None;
        }
        self.pending.push_back(block.clone());
        self.wakes |= !is_mutant!(self, BlockUnheard);
        Some(Ok(()))
    }

    /// The block that the writer writes next; the inner `None`: it ends. The outer `None`: there
    /// is nothing to write yet.
    pub(crate) fn take(&mut self) -> Option<Option<B>> {
        if self.end.is_some() && !is_mutant!(self, GoesOnAfterFailure) {
            return Some(None);
        }
        if self.is_closed && is_mutant!(self, ClosedEarly) {
            return Some(None);
        }
        let newest = is_mutant!(self, NewestFirst);
        let next = if newest { self.pending.back() } else { self.pending.front() };
        let Some(block) = next.cloned() else {
            return self.is_closed.then_some(None);
        };
        self.is_writing = true;
        if is_mutant!(self, DurableEarly) {
            self.durable = block.name();
        }
        Some(Some(block))
    }

    /// The block that the writer took, which is on its way no longer.
    fn taken(&mut self) -> Option<B> {
        if core::mem::take(&mut self.is_writing) { self.pending.pop_front() } else { None }
    }

    /// The block that the writer took is durable.
    pub(crate) fn written(&mut self) {
        if let Some(block) = self.taken() {
            self.durable = block.name();
        }
        self.wakes |= !is_mutant!(self, RoomUnheard);
    }

    /// The block that the writer took could not be written: nothing after it is.
    pub(crate) fn failed(&mut self, error: E) {
        let newest = is_mutant!(self, NewestBlamed);
        let block = if newest { self.pending.back() } else { self.pending.front() };
        let end = block.map_or(WriterEnded::Gone, |block| WriterEnded::Failed(block.name(), error));
        self.end.get_or_insert(end);
        if is_mutant!(self, GoesOnAfterFailure) {
            self.taken();
        }
        self.wakes |= !is_mutant!(self, EndUnheard);
    }

    /// The writer is gone.
    pub(crate) fn gone(&mut self) {
        if !is_mutant!(self, EndUntold) {
            self.end.get_or_insert(WriterEnded::Gone);
        }
        self.wakes |= !is_mutant!(self, EndUnheard);
    }

    /// No block comes any more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.wakes |= !is_mutant!(self, CloseUnheard);
    }

    /// Whether all blocks are durable: the last of them, or why one never will be. `None`: not yet.
    pub(crate) fn flushed(&self) -> Option<Result<B::Name, WriterEndedFor<B, E>>> {
        if let Err(end) = self.check() {
            return Some(Err(end));
        }
        let being_written = usize::from(is_mutant!(self, FlushedEarly) && self.is_writing);
        (self.pending.len() == being_written).then_some(Ok(self.durable))
    }
}
