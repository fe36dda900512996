//! Helping: the idle caller of a block also runs the frontier, if the worker that runs it seems
//! preempted.
//!
//! The helper runs in parallel with the worker, reads only final state, and publishes nothing. When
//! it has the result, it asks for the right to publish, so the run that finishes first publishes.
//! If the worker was not preempted, the block is delayed by at most one run.
//!
//! For a private batch, the helper runs the whole batch on the same snapshot. Both runs have the
//! same result, nothing is published before it commits, and the worker that finishes first reports
//! it.
//!
//! Only the caller helps: a block ends when its caller returns, so a preempted caller delays the
//! block anyway.

use super::actor::Actor;
use super::claims::FrontierRun;
use super::coordinate::coordinate;
use super::machine::{LedgerOf, Workload};
use super::message::{JobMessage, NextTask};
use super::{Context, Waited};
use crate::ids::{TxIndex, WorkerId};

impl<W, G, X> Actor<'_, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Waits for the next task. Returns `None` once the block is over.
    pub(super) fn next(&mut self) -> Option<NextTask<W>> {
        let helps = !mutant!(NeverHelps);
        loop {
            let waited = match self.worker {
                WorkerId::CALLER if helps => self.wait_for_job(),
                _ => Ok(self.context.recv(&self.shared.jobs)),
            };
            match waited {
                Ok(None) => return None,
                Ok(Some(message)) => {
                    let is_claimed = self.shared.claim(message.job);
                    return Some(if is_claimed {
                        NextTask::Run(message)
                    } else {
                        NextTask::Return(message)
                    });
                }
                Err(stalled) => {
                    self.watch.note_helped(stalled);
                    let next = match stalled {
                        FrontierRun::Transaction(tx) => self.help(tx).map(NextTask::Run),
                        FrontierRun::Batch(job) => {
                            self.help_with_batch(job).map(Box::new).map(NextTask::Report)
                        }
                    };
                    if next.is_some() {
                        return next;
                    }
                }
            }
        }
    }

    /// Waits for a job. Returns `Err` if the frontier is stalled.
    fn wait_for_job(&mut self) -> Result<Option<JobMessage<W>>, FrontierRun> {
        let Self { shared, context, watch, .. } = self;
        let mut stalled = None;
        watch.begin(shared, *context);
        let is_stalled = || {
            stalled = watch.stalled(shared, *context);
            stalled.is_some()
        };
        match (context.recv_unless(&shared.jobs, is_stalled), stalled) {
            (Waited::Message(message), _) => Ok(Some(message)),
            (Waited::Stalled, Some(run)) => Err(run),
            (Waited::Closed | Waited::Stalled, _) => Ok(None),
        }
    }

    /// Runs the frontier `tx` in parallel with the worker that is running it. Returns a job to run
    /// at once: usually the same transaction, whose result is already in `helper_run`.
    fn help(&mut self, tx: TxIndex) -> Option<JobMessage<W>> {
        let ran = self.run_as_helper(tx);
        if !ran.recurs() {
            return None;
        }
        self.helper_run = Some((tx, ran));
        let owner_job = coordinate(self.shared, self.context, Some(tx));
        if owner_job.is_none() {
            self.helper_run = None;
        }
        owner_job
    }
}
