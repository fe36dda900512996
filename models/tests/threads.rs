//! Random toy blocks on real threads: the pool, overlap, cancellation, panics, lost workers.

use braid_evm::error::Invariant;
use braid_evm::ids::{TxIndex, WorkerId};
use braid_evm::mv::Store;
use braid_evm::protocol::{Failure, Halt, Limits, Plan, Protocol};
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::{Pool, Seat, Task, Threads};
use braid_evm::worker::{BlockEnd, Context, Interrupt, NoResult, Point, Shared, work};
use braid_toy::{
    Amount, Place, Rendezvous, Step, ToyBlock, ToyCase, ToyLedger, ToyLocation, ToyTx, ToyWorkload,
    compare, reference,
};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

const WORKERS: [u16; 4] = [1, 2, 3, 8];

struct ToyTask {
    shared: Shared<ToyWorkload, ToyLedger>,
}

impl Task for ToyTask {
    fn run(&self, worker: WorkerId, _: Seat<'_>) {
        work(&self.shared, worker, &Threads::BLOCKING);
    }
}

fn run_with<X: Context>(
    pool: &mut Pool,
    shared: Shared<ToyWorkload, ToyLedger>,
    context: impl FnOnce(&Arc<ToyTask>) -> X,
) -> BlockEnd<ToyWorkload, ToyLedger> {
    let toy = Arc::new(ToyTask { shared });
    let task: Arc<dyn Task> = Arc::<ToyTask>::clone(&toy);
    let own = context(&toy);
    pool.run(&task, |_| work(&toy.shared, WorkerId(0), &own));
    drop((task, own));
    toy.shared.end().expect("taken once")
}

fn run(
    pool: &mut Pool,
    shared: Shared<ToyWorkload, ToyLedger>,
) -> BlockEnd<ToyWorkload, ToyLedger> {
    run_with(pool, shared, |_| Threads::BLOCKING)
}

fn limits() -> Limits {
    Limits {
        window: 16,
        job_capacity: 8,
        max_speculative_runs: 2,
        skip_rejected: false,
        shared_chunks: false,
        fallback: None,
    }
}

fn block(programs: Vec<Vec<Step>>) -> Arc<ToyBlock> {
    let transactions = programs.into_iter().map(|steps| ToyTx { steps, limit: 1 }).collect();
    Arc::new(ToyBlock { transactions, room: 1_000, ..ToyBlock::default() })
}

fn shared(workload: ToyWorkload) -> Shared<ToyWorkload, ToyLedger> {
    let count = u32::try_from(workload.block().transactions.len()).expect("a small block");
    let ledger = workload.ledger();
    let protocol = Protocol::new(limits(), &Plan::singles(count));
    Shared::with_protocol(workload, ledger, Store::new(4), 1_000, protocol)
}

#[test]
fn random_blocks_equal_the_reference_on_one_pool_for_many_blocks() {
    for workers in WORKERS {
        let mut pool = Pool::new(workers).expect("threads start");
        let mut aborts = 0;
        for seed in 0..1_500 {
            let case = ToyCase::random(&mut Random::new(seed));
            let end = run(&mut pool, case.shared());
            let compared = compare(&end, &case.reference(), case.limits.max_speculative_runs);
            assert_eq!(compared, Ok(()), "seed {seed}, {workers} workers");
            aborts += end.counters.aborts;
        }
        println!("{workers} workers: {aborts} aborted");
    }
}

/// Two transactions wait for each other inside their runs: an engine that runs one at a time
/// would give up after ten seconds, with a peak of 1.
#[test]
fn two_transactions_run_at_the_same_time() {
    for workers in [2, 3, 8] {
        let mut pool = Pool::new(workers).expect("threads start");
        for _ in 0..50 {
            let slot = |slot| Step::Write(Place::At(ToyLocation::Slot(0, slot)), Amount::Fixed(1));
            let block = block(vec![vec![Step::Meet, slot(0)], vec![Step::Meet, slot(1)]]);
            let workload = ToyWorkload::new(Arc::clone(&block));
            let end = run(&mut pool, shared(workload.with_rendezvous(Rendezvous::new(2))));
            assert_eq!(compare(&end, &reference(&block, false), 2), Ok(()));
            assert!(end.workload.peak() >= 2, "{} at a time", end.workload.peak());
        }
    }
}

/// Cancels the block at a point of the calling thread's choice.
struct CancelAt {
    task: Weak<ToyTask>,
    points: Cell<u64>,
}

impl Interrupt for CancelAt {
    fn yield_at(&self, _: Point) {
        let left = self.points.get();
        self.points.set(left.saturating_sub(1));
        if left == 1
            && let Some(task) = self.task.upgrade()
        {
            task.shared.cancel();
        }
    }
}

impl Context for CancelAt {
    fn recv<T>(&self, channel: &crossbeam_channel::Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }
}

#[test]
fn a_cancelled_block_leaves_a_committed_prefix() {
    for workers in WORKERS {
        let mut pool = Pool::new(workers).expect("threads start");
        let (mut cancelled, mut whole) = (0, 0);
        for seed in 0..500 {
            let case = ToyCase::random(&mut Random::new(seed));
            let end = run_with(&mut pool, case.shared(), |task| CancelAt {
                task: Arc::downgrade(task),
                points: Cell::new(1 + seed % 90),
            });
            let compared = compare(&end, &case.reference(), case.limits.max_speculative_runs);
            assert_eq!(compared, Ok(()), "seed {seed}, {workers} workers");
            match end.halt {
                Some(Halt::Cancelled) => cancelled += 1,
                _ => whole += 1,
            }
        }
        assert!(cancelled > 0 && whole > 0, "{cancelled} cancelled, {whole} not");
    }
}

#[test]
fn a_panic_is_the_error_of_the_lowest_transaction_that_panics() {
    let bump = |slot| {
        let place = Place::At(ToyLocation::Slot(0, slot));
        vec![Step::Read(place), Step::Write(place, Amount::Accumulator)]
    };
    // The accumulator starts at 1.
    let panics = || vec![Step::PanicIf(1)];
    for workers in WORKERS {
        let mut pool = Pool::new(workers).expect("threads start");
        for _ in 0..100 {
            let block = block(vec![bump(0), bump(0), panics(), bump(1), panics()]);
            let end = run(&mut pool, shared(ToyWorkload::new(Arc::clone(&block))));
            assert_eq!(end.halt, Some(Halt::Failed(TxIndex(2), Failure::Fatal)));
            let Some(NoResult::Panicked(payload)) = &end.error else { panic!("{:?}", end.error) };
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"toy panic"));
            assert_eq!(compare(&end, &reference(&block, false), 2), Ok(()));
        }
    }
}

/// A worker that dies outside a transaction ends the block with a broken rule; the pool goes on.
#[test]
fn a_lost_worker_ends_the_block_and_leaves_the_pool_usable() {
    let mut pool = Pool::new(3).expect("threads start");
    let programs = || (0..20).map(|_| vec![Step::Credit(0, Amount::Fixed(1))]).collect();
    for lost in [0, 1, 2] {
        let (mut broken, mut unharmed) = (0, 0);
        for _ in 0..100 {
            let workload = ToyWorkload::new(block(programs())).with_lost_worker(WorkerId(lost));
            match catch_unwind(AssertUnwindSafe(|| run(&mut pool, shared(workload)))) {
                Ok(end) if end.broken == Some(Invariant::WorkersGone) => broken += 1,
                Ok(end) => {
                    assert_eq!((end.broken, end.frontier), (None, TxIndex(20)));
                    unharmed += 1;
                }
                // Worker 0 is the calling thread: its panic is the caller's.
                Err(_) => broken += u32::from(lost == 0),
            }
        }
        assert!(broken > 0 || lost > 0, "worker {lost}: {broken} broken, {unharmed} unharmed");
        let end = run(&mut pool, shared(ToyWorkload::new(block(programs()))));
        assert_eq!((end.broken, end.frontier), (None, TxIndex(20)));
    }
}

#[test]
fn an_empty_block_ends_and_a_dropped_pool_leaves_no_thread() {
    struct Witness;
    impl Task for Witness {
        fn run(&self, _: WorkerId, _: Seat<'_>) {}
    }
    for workers in WORKERS {
        let mut pool = Pool::new(workers).expect("threads start");
        assert_eq!(pool.workers(), usize::from(workers));
        let end = run(&mut pool, shared(ToyWorkload::new(block(Vec::new()))));
        assert_eq!((end.frontier, end.halt, end.broken), (TxIndex(0), None, None));
        let task: Arc<dyn Task> = Arc::new(Witness);
        assert_eq!(pool.run(&task, |_| 7), 7);
        drop(pool);
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
