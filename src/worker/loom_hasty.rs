//! loom tests with a caller that helps.

use super::loom_machine::{End, Outcomes, TinyBlock};
use super::shared::Shared;
use super::{Context, Interrupt, Point, Waited, work};
use crate::ids::WorkerId;
use crate::runtime::Threads;
use crate::sync::{Receiver, TryRecvError};
use loom::sync::Arc;
use loom::thread;

/// A caller that helps as soon as it is idle.
pub(super) struct EagerHelper;

impl Interrupt for EagerHelper {
    fn yield_at(&self, _: Point) {}
}

impl Context for EagerHelper {
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }

    fn recv_unless<T>(
        &self,
        channel: &Receiver<T>,
        mut is_stalled: impl FnMut() -> bool,
    ) -> Waited<T> {
        match channel.try_recv() {
            Err(TryRecvError::Empty) if is_stalled() => Waited::Stalled,
            Err(TryRecvError::Empty) => self.recv(channel).map_or(Waited::Closed, Waited::Message),
            found => found.map_or(Waited::Closed, Waited::Message),
        }
    }
}

/// Runs a block on this thread, which helps, and on one other.
pub(super) fn run_helping(shared: Shared<TinyBlock, Outcomes>) -> End {
    let shared = Arc::new(shared);
    let other = thread::spawn({
        let shared = Arc::clone(&shared);
        move || work(&shared, WorkerId(1), &Threads::BLOCKING)
    });
    work(&shared, WorkerId::CALLER, &EagerHelper);
    other.join().expect("no worker panics");
    let end = shared.end().expect("taken once");
    assert_eq!(end.broken, None, "a rule was broken");
    end
}
