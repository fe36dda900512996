//! Synchronization between the thread that executes blocks and the thread that writes them, as a
//! state machine without threads, locks or a store. `writer.rs` puts it behind a lock; `model.rs`
//! explores its states.

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;

use std::{collections::VecDeque, fmt::Debug, hash::Hash};

/// Maximum number of executed blocks that are not durable while the next one executes.
pub(crate) const AHEAD: usize = 2;

/// A block that can be identified.
pub(crate) trait Named {
    /// Identifier of a block.
    type Name: Copy + Debug + Eq + Hash;

    fn name(&self) -> Self::Name;
}

/// Reason why no more blocks are written. `N` identifies a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriterEnded<N, E> {
    /// The block could not be written.
    Failed(N, E),
    /// The writer's thread has ended: it panicked, or was asked to end.
    Gone,
}

/// Reason why no more blocks of type `B` are written.
pub(crate) type WriterEndedFor<B, E> = WriterEnded<<B as Named>::Name, E>;

/// Executed blocks `B` on their way to the store. `E` is the error of a write.
///
/// If a method returns `None`, the calling thread must sleep, and call it again when it is woken.
/// After each call, sleeping threads must be woken if [`take_wake`](Self::take_wake) returns true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pipeline<B: Named, E> {
    /// Executed blocks that are not durable yet, oldest first.
    pending: VecDeque<B>,
    /// Whether the writer has taken the oldest of them.
    is_writing: bool,
    /// The last durable block.
    durable: B::Name,
    end: Option<WriterEndedFor<B, E>>,
    /// Whether no more blocks will come: the writer ends once all blocks are durable.
    is_closed: bool,
    /// Whether something has changed that a thread may be waiting for.
    wakes: bool,
}

impl<B: Clone + Named, E: Clone> Pipeline<B, E> {
    /// Creates a pipeline without blocks, for a store whose last block is `durable`.
    pub(crate) const fn new(durable: B::Name) -> Self {
        Self {
            pending: VecDeque::new(),
            is_writing: false,
            durable,
            end: None,
            is_closed: false,
            wakes: false,
        }
    }

    /// Returns the last durable block.
    pub(crate) const fn durable(&self) -> B::Name {
        self.durable
    }

    /// Whether sleeping threads must be woken. Returns true once per change.
    pub(crate) const fn take_wake(&mut self) -> bool {
        core::mem::replace(&mut self.wakes, false)
    }

    /// Returns the blocks that a reader must layer over the store, newest first. The store may
    /// already hold the oldest of them.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &B> {
        let newest = usize::from(mutant!(NewestMissing));
        let reversed = mutant!(LayersReversed);
        let count = self.pending.len().saturating_sub(newest);
        let oldest = usize::from(mutant!(DroppedEarly) && self.is_writing);
        (oldest..count).filter_map(move |at| {
            let from_oldest = if reversed { at } else { (count + oldest).checked_sub(at + 1)? };
            self.pending.get(from_oldest)
        })
    }

    /// Returns an error if no more blocks are written.
    pub(crate) fn check(&self) -> Result<(), WriterEndedFor<B, E>> {
        match &self.end {
            Some(WriterEnded::Failed(..)) if mutant!(FailureUntold) => Ok(()),
            Some(end) => Err(end.clone()),
            None => Ok(()),
        }
    }

    /// Adds an executed block, or returns the reason why no more blocks are written; then the block
    /// is not part of the chain. `None` means that there is no room yet.
    pub(crate) fn offer(&mut self, block: &B) -> Option<Result<(), WriterEndedFor<B, E>>> {
        if let Err(end) = self.check() {
            if mutant!(RefusedStays) {
                self.pending.push_back(block.clone());
            }
            return Some(Err(end));
        }
        let room = AHEAD + usize::from(mutant!(ThreeAhead));
        if self.pending.len() >= room {
            return None;
        }
        self.pending.push_back(block.clone());
        self.wakes |= !mutant!(BlockUnheard);
        Some(Ok(()))
    }

    /// Returns the next block to write. The inner `None` tells the writer to end; the outer `None`
    /// means that there is nothing to write yet.
    pub(crate) fn take(&mut self) -> Option<Option<B>> {
        if self.end.is_some() && !mutant!(GoesOnAfterFailure) {
            return Some(None);
        }
        if self.is_closed && mutant!(ClosedEarly) {
            return Some(None);
        }
        let newest = mutant!(NewestFirst);
        let next = if newest { self.pending.back() } else { self.pending.front() };
        let Some(block) = next.cloned() else {
            return self.is_closed.then_some(None);
        };
        self.is_writing = true;
        if mutant!(DurableEarly) {
            self.durable = block.name();
        }
        Some(Some(block))
    }

    /// Removes the block that the writer took, and returns it.
    fn taken(&mut self) -> Option<B> {
        if core::mem::take(&mut self.is_writing) { self.pending.pop_front() } else { None }
    }

    /// Records that the block which the writer took is durable.
    pub(crate) fn written(&mut self) {
        if let Some(block) = self.taken() {
            self.durable = block.name();
        }
        self.wakes |= !mutant!(RoomUnheard);
    }

    /// Records that the block which the writer took could not be written, nor any block after it.
    pub(crate) fn failed(&mut self, error: E) {
        let newest = mutant!(NewestBlamed);
        let block = if newest { self.pending.back() } else { self.pending.front() };
        let end = block.map_or(WriterEnded::Gone, |block| WriterEnded::Failed(block.name(), error));
        self.end.get_or_insert(end);
        if mutant!(GoesOnAfterFailure) {
            self.taken();
        }
        self.wakes |= !mutant!(EndUnheard);
    }

    /// Records that the writer's thread has ended.
    pub(crate) fn gone(&mut self) {
        if !mutant!(EndUntold) {
            self.end.get_or_insert(WriterEnded::Gone);
        }
        self.wakes |= !mutant!(EndUnheard);
    }

    /// Records that no more blocks will come.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.wakes |= !mutant!(CloseUnheard);
    }

    /// Continues after another durable block, because the store was changed while no block was
    /// pending. Returns whether that is so.
    pub(crate) fn rebase(&mut self, durable: B::Name) -> bool {
        let is_idle = self.pending.is_empty();
        if is_idle {
            self.durable = durable;
        }
        is_idle
    }

    /// Returns the last block once all blocks are durable, or the reason why some never will be.
    /// `None` means that the writer is not done yet.
    pub(crate) fn flushed(&self) -> Option<Result<B::Name, WriterEndedFor<B, E>>> {
        if let Err(end) = self.check() {
            return Some(Err(end));
        }
        let being_written = usize::from(mutant!(FlushedEarly) && self.is_writing);
        (self.pending.len() == being_written).then_some(Ok(self.durable))
    }
}
