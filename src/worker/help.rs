//! Helping: the idle caller of a block also runs the frontier, if the worker that runs it seems to
//! be preempted.
//!
//! The helper runs in parallel with the worker, reads only final state, and publishes nothing. With
//! the result in hand, the helper asks for the right to publish, so the run that ends first
//! publishes. A worker that was merely slow loses nothing, and the block is delayed by one run at
//! most.
//!
//! For a private batch, the helper runs everything that the worker has begun, on the same snapshot.
//! Both runs have the same result, nothing is published before it commits, and the first to end
//! reports it.
//!
//! Only the caller helps: a block ends when its caller returns, so a preempted caller delays the
//! block anyway.

use super::Context;
use super::Waited;
use super::actor::Actor;
use super::claims::Begun;
use super::coordinate::coordinate;
use super::machine::{LedgerOf, Workload};
use super::message::{JobMessage, Next};
use crate::ids::{TxIndex, WorkerId};

impl<W, G, X> Actor<'_, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Waits for the next task. Returns `None` once the block is over.
    pub(super) fn next(&mut self) -> Option<Next<W>> {
        let helps = !mutant!(NeverHelps);
        loop {
            let waited = match self.worker {
                WorkerId::CALLER if helps => self.wait_watching(),
                _ => Ok(self.context.recv(&self.shared.jobs)),
            };
            match waited {
                Ok(None) => return None,
                Ok(Some(message)) => {
                    let is_mine = self.shared.claim(message.job);
                    return Some(if is_mine {
                        Next::Run(message)
                    } else {
                        Next::GiveBack(message)
                    });
                }
                Err(stalled) => {
                    self.watch.note_helped(stalled);
                    let next = match stalled {
                        Begun::Transaction(tx) => self.help(tx).map(Next::Run),
                        Begun::Batch(job) => {
                            self.run_batch_second(job).map(Box::new).map(Next::Report)
                        }
                    };
                    if next.is_some() {
                        return next;
                    }
                }
            }
        }
    }

    /// Waits for a job, or until the frontier is stalled.
    fn wait_watching(&mut self) -> Result<Option<JobMessage<W>>, Begun> {
        let Self { shared, context, watch, .. } = self;
        let mut stalled = None;
        watch.begin(shared, *context);
        let is_stalled = || {
            stalled = watch.stalled(shared, *context);
            stalled.is_some()
        };
        match (context.recv_unless(&shared.jobs, is_stalled), stalled) {
            (Waited::Message(message), _) => Ok(Some(message)),
            (Waited::Stalled, Some(begun)) => Err(begun),
            (Waited::Closed | Waited::Stalled, _) => Ok(None),
        }
    }

    /// Runs the frontier `tx` in parallel with the worker that is running it. Returns a job to run
    /// at once: usually the same transaction, whose result is then already known.
    fn help(&mut self, tx: TxIndex) -> Option<JobMessage<W>> {
        let ran = self.run_second(tx);
        if !ran.recurs() {
            return None;
        }
        self.second = Some((tx, ran));
        let here = coordinate(self.shared, self.context, Some(tx));
        if here.is_none() {
            self.second = None;
        }
        here
    }
}
