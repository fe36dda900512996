//! Toy blocks on threads that give each other many chances to meet.

use braid_evm::ids::WorkerId;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::{Pool, Seat, Task, Threads};
use braid_evm::worker::{Context, Interrupt, Point, Shared, Waited, work};
use braid_models::conformance::Trace;
use braid_toy::{ToyCase, ToyLedger, ToyLocation, ToyWorkload};
use std::cell::Cell;
use std::sync::Arc;

/// Toy transactions are short: threads that never yield would hardly meet.
struct Restless(Cell<Random>);

impl Restless {
    fn new(seed: u64, worker: WorkerId) -> Self {
        Self(Cell::new(Random::new(seed << 8 | u64::from(worker.0))))
    }
}

impl Interrupt for Restless {
    fn yield_at(&self, _: Point) {
        let mut random = self.0.replace(Random::new(0));
        if random.chance(1, 3) {
            std::thread::yield_now();
        }
        self.0.set(random);
    }
}

impl Context for Restless {
    fn recv<T>(&self, channel: &crossbeam_channel::Receiver<T>) -> Option<T> {
        Threads::BLOCKING.recv(channel)
    }

    fn recv_unless<T>(
        &self,
        channel: &crossbeam_channel::Receiver<T>,
        is_stalled: impl FnMut() -> bool,
    ) -> Waited<T> {
        Threads::SPINNING.recv_unless(channel, is_stalled)
    }
}

struct ToyTask {
    shared: Shared<ToyWorkload, ToyLedger>,
    seed: u64,
}

impl Task for ToyTask {
    fn run(&self, worker: WorkerId, _: Seat<'_>) {
        work(&self.shared, worker, &Restless::new(self.seed, worker));
    }
}

/// Runs a block on the threads of `pool`; returns its trace.
pub(crate) fn run(pool: &mut Pool, case: &ToyCase, seed: u64) -> Trace<ToyLocation> {
    let toy = Arc::new(ToyTask { shared: case.shared().with_trace(), seed });
    let task: Arc<dyn Task> = Arc::<ToyTask>::clone(&toy);
    pool.run(&task, |seat| toy.run(WorkerId(0), seat));
    drop(task);
    pool.wait_idle();
    let end = toy.shared.end();
    drop(toy);
    end.expect("taken once").take_trace()
}
