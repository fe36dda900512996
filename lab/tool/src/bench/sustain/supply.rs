//! The thread that supplies the transactions, block by block.

use super::SustainError;
use alloy_consensus::TxEnvelope;
use alloy_evm::FromRecoveredTx;
use braid_blocks::workload::LoadStream;
use braid_chain::rlp::recover_senders;
use crossbeam_channel::{Receiver, bounded};
use revm::context::TxEnv;
use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Number of blocks whose transactions are prepared in advance.
const AHEAD: usize = 2;

/// Source of the transactions.
#[derive(Debug)]
pub(super) enum Source {
    /// Generated on demand, with known senders.
    Known(Box<LoadStream>),
    /// Signed before the clock started. The thread recovers each sender from the signature.
    Signed(Vec<TxEnvelope>),
}

/// The transactions of one block after the other.
#[derive(Debug)]
pub(super) struct Supply {
    blocks: Receiver<Result<Vec<TxEnv>, SustainError>>,
    thread: JoinHandle<Duration>,
}

impl Supply {
    /// Starts the thread. Each block has `size` transactions.
    pub(super) fn start(source: Source, size: usize) -> std::io::Result<Self> {
        Self::of(Blocks::new(source, size))
    }

    fn of(
        mut source: impl Iterator<Item = Result<Vec<TxEnv>, SustainError>> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, blocks) = bounded(AHEAD);
        let run = move || {
            let mut busy = Duration::ZERO;
            loop {
                let begun = Instant::now();
                let Some(block) = source.next() else { return busy };
                busy += begun.elapsed();
                if sender.send(block).is_err() {
                    return busy;
                }
            }
        };
        let thread = thread::Builder::new().name("supply".to_owned()).spawn(run)?;
        Ok(Self { blocks, thread })
    }

    /// Returns the next block's transactions, or `None` at the end.
    pub(super) fn next(&self) -> Option<Result<Vec<TxEnv>, SustainError>> {
        self.blocks.recv().ok()
    }

    /// Ends the thread and returns how long it was busy.
    ///
    /// # Panics
    /// Resumes a panic of the thread, which [`next`](Self::next) reports as the end of the
    /// transactions.
    pub(super) fn end(self) -> Duration {
        drop(self.blocks);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Transactions in blocks of one size.
struct Blocks {
    source: Source,
    size: usize,
    next: usize,
}

impl Blocks {
    const fn new(source: Source, size: usize) -> Self {
        Self { source, size, next: 0 }
    }
}

impl Iterator for Blocks {
    type Item = Result<Vec<TxEnv>, SustainError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Known(stream) => {
                Some(Ok((0..self.size).map(|_| stream.transaction()).collect()))
            }
            Source::Signed(signed) => {
                let block = signed.get(self.next..self.next + self.size)?;
                self.next += self.size;
                Some(all_recovered(block))
            }
        }
    }
}

/// Recovers the senders of the transactions on all cores.
fn all_recovered(signed: &[TxEnvelope]) -> Result<Vec<TxEnv>, SustainError> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let senders = recover_senders(&signed.iter().collect::<Vec<_>>(), true, threads);
    let senders = senders.map_err(|_| SustainError::Signature)?;
    let transactions = signed.iter().zip(senders);
    Ok(transactions.map(|(signed, sender)| TxEnv::from_recovered_tx(signed, sender)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        iter,
        panic::{AssertUnwindSafe, catch_unwind},
    };

    #[test]
    fn a_panic_on_the_thread_is_no_end_of_the_transactions() {
        let supply = Supply::of(iter::from_fn(|| resume_unwind(Box::new("no more")))).unwrap();
        assert!(supply.next().is_none());
        let payload = catch_unwind(AssertUnwindSafe(|| supply.end())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"no more"));
    }
}
