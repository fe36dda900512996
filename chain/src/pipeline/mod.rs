//! What decides between the thread that executes blocks and the one that writes them: no threads,
//! no locks, no store. `writer.rs` puts it behind a lock; `model.rs` explores it.

#[cfg(test)]
mod model;
#[cfg(test)]
mod mutants;

#[cfg(test)]
use mutants::Mutant;
use std::collections::VecDeque;

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

/// Why nothing is written any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End<E> {
    /// A block could not be written.
    Failed(E),
    /// The writer is gone: by a panic, or because it was told to end.
    Gone,
}

/// Executed blocks `B` on their way to the store. `H` names a block, `E` says why one could not be
/// written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pipeline<B, H, E> {
    /// Executed blocks that are not durable, oldest first.
    pending: VecDeque<B>,
    /// Whether the writer has the oldest of them.
    is_writing: bool,
    /// The last durable block.
    durable: H,
    end: Option<End<E>>,
    /// No block comes any more: the writer ends once all are durable.
    is_closed: bool,
    #[cfg(test)]
    mutant: Mutant,
}

impl<B: Clone, H: Copy, E: Clone> Pipeline<B, H, E> {
    /// Nothing is on its way; the store ends with `durable`.
    pub(crate) const fn new(durable: H) -> Self {
        Self {
            pending: VecDeque::new(),
            is_writing: false,
            durable,
            end: None,
            is_closed: false,
            #[cfg(test)]
            mutant: Mutant::None,
        }
    }

    /// The last durable block.
    pub(crate) const fn durable(&self) -> H {
        self.durable
    }

    /// Blocks that a reader has to put over the store, newest first. The store may hold the oldest
    /// of them already.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &B> {
        let newest = usize::from(is_mutant!(self, NewestMissing));
        let reversed = is_mutant!(self, LayersReversed);
        let count = self.pending.len().saturating_sub(newest);
        (0..count).filter_map(move |at| {
            let from_oldest = if reversed { at } else { count.checked_sub(at + 1)? };
            self.pending.get(from_oldest)
        })
    }

    /// Whether blocks are still written.
    pub(crate) fn check(&self) -> Result<(), End<E>> {
        match &self.end {
            Some(End::Failed(_)) if is_mutant!(self, FailureUntold) => Ok(()),
            Some(end) => Err(end.clone()),
            None => Ok(()),
        }
    }

    /// Takes an executed block, or says why no block is written any more: then this one never
    /// was. `None`: there is no room yet.
    pub(crate) fn offer(&mut self, block: &B) -> Option<Result<(), End<E>>> {
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
        Some(Ok(()))
    }

    /// The block that the writer writes next; the inner `None`: it ends. The outer `None`: there
    /// is nothing to write yet.
    pub(crate) fn take(&mut self) -> Option<Option<B>> {
        if self.end.is_some() && !is_mutant!(self, GoesOnAfterFailure) {
            return Some(None);
        }
        let block = self.pending.front().cloned();
        if block.is_none() {
            return self.is_closed.then_some(None);
        }
        self.is_writing = true;
        if is_mutant!(self, DroppedEarly) {
            self.pending.pop_front();
            self.is_writing = false;
        }
        Some(block)
    }

    /// The block that the writer took is durable; `head` names it.
    pub(crate) fn written(&mut self, head: H) {
        if core::mem::take(&mut self.is_writing) {
            self.pending.pop_front();
        }
        self.durable = head;
    }

    /// The block that the writer took could not be written: nothing after it is.
    pub(crate) fn failed(&mut self, error: E) {
        if is_mutant!(self, GoesOnAfterFailure) && core::mem::take(&mut self.is_writing) {
            self.pending.pop_front();
        }
        self.end.get_or_insert(End::Failed(error));
    }

    /// The writer is gone.
    pub(crate) fn gone(&mut self) {
        if !is_mutant!(self, EndUntold) {
            self.end.get_or_insert(End::Gone);
        }
    }

    /// No block comes any more.
    pub(crate) const fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether all blocks are durable: the last of them, or why it never will be. `None`: not yet.
    pub(crate) fn flushed(&self) -> Option<Result<H, End<E>>> {
        let being_written = usize::from(is_mutant!(self, FlushedEarly) && self.is_writing);
        if self.pending.len() == being_written {
            return Some(Ok(self.durable));
        }
        self.check().err().map(Err)
    }
}
