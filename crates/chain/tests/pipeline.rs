//! The pipeline on real threads: callers that wait when the writer ends, and the layers of a state.
//! The model in `src/pipeline` covers every interleaving, but neither the lock nor the store.

use crate::{
    streams::{begun, block, config, within_a_minute},
    support::{Kind, Lagging, Stream, Troubled, same},
};
use alloy_primitives::B256;
use braid_chain::{
    Chain, ChainError, MemorySnapshot, MemoryStore, StateStore, StoreError, WRITER_THREAD, Writes,
};
use crossbeam_channel::Sender;
use revm::DatabaseRef;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Delay after which another thread is usually waiting.
const SOON: Duration = Duration::from_millis(30);

fn store(stream: &Stream, at: u64, fault: Kind) -> (Lagging<Troubled<MemoryStore>>, Sender<()>) {
    Lagging::new(Troubled::lasting(begun(stream), fault, at))
}

/// Runs `wait`, which needs the writer to continue, and lets the writer continue.
fn meanwhile<T>(permits: &Sender<()>, wait: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SOON);
            permits.send(()).expect("the writer is there");
        });
        wait()
    })
}

/// Returns whether the error reports a writer that ended with `fault` at block `number`.
fn is_end(error: &ChainError, fault: Kind, number: u64) -> bool {
    match (fault, error) {
        (Kind::WriteFails, ChainError::Writer { number: found, .. })
        | (Kind::WritePanics, ChainError::WriterEnded { number: found }) => *found == number,
        _ => false,
    }
}

#[test]
fn a_block_that_waits_for_room_is_refused_when_the_writer_ends() {
    for fault in [Kind::WriteFails, Kind::WritePanics] {
        within_a_minute(move || {
            let stream = Stream::new(10, 4);
            let (store, permits) = store(&stream, 0, fault);
            let mut chain = Chain::open(store, config(2)).expect("a chain");
            let permits = permits;
            for next in &stream.blocks[..2] {
                chain.execute(block(next)).expect("a valid block");
            }
            let third = || chain.execute(block(&stream.blocks[2]));
            let refused = meanwhile(&permits, third).expect_err("the first block fails");
            assert!(is_end(&refused, fault, 1000), "{refused}");
            // The chain is as it was before the third block, and reports the error from now on.
            assert_eq!((chain.head().number, chain.durable().number), (1001, 999));
            let state = chain.state().expect("it reads");
            assert_eq!(state.block_hash_ref(1001).expect("it reads"), stream.blocks[1].1);
            assert_eq!(state.block_hash_ref(1002).expect("it reads"), B256::ZERO);
            same(&state, &stream.states[2]);
            for index in [2, 3] {
                let again = chain.execute(block(&stream.blocks[index])).expect_err("it has ended");
                assert!(is_end(&again, fault, 1000), "{again}");
            }
        });
    }
}

#[test]
fn flush_says_which_block_ended_the_writer() {
    for fault in [Kind::WriteFails, Kind::WritePanics] {
        within_a_minute(move || {
            let stream = Stream::new(11, 2);
            let (store, permits) = store(&stream, 1, fault);
            let mut chain = Chain::open(store, config(1)).expect("a chain");
            let permits = permits;
            for next in &stream.blocks {
                chain.execute(block(next)).expect("a valid block");
            }
            permits.send(()).expect("the writer is there");
            let ended = meanwhile(&permits, || chain.flush()).expect_err("the second fails");
            assert!(is_end(&ended, fault, 1001), "{ended}");
            assert_eq!(chain.durable().number, 1000);
        });
    }
}

/// A store in which, once `armed`, a block is written and acknowledged between the start and the
/// return of a snapshot.
struct Overtaken {
    inner: Lagging<MemoryStore>,
    permits: Sender<()>,
    armed: Arc<AtomicBool>,
}

impl StateStore for Overtaken {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        let snapshot = self.inner.snapshot()?;
        let is_writer = thread::current().name() == Some(WRITER_THREAD);
        if !is_writer && self.armed.swap(false, Ordering::SeqCst) {
            self.permits.send(()).expect("the store is there");
            thread::sleep(SOON);
        }
        Ok(snapshot)
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        self.inner.write(writes)
    }
}

/// A state whose layers are read after the snapshot would lack a block written in between.
#[test]
fn a_state_has_the_block_that_is_written_while_it_is_made() {
    within_a_minute(|| {
        let stream = Stream::new(12, 1);
        let (inner, permits) = Lagging::new(begun(&stream));
        let armed = Arc::new(AtomicBool::new(false));
        let store = Overtaken { inner, permits: permits.clone(), armed: Arc::clone(&armed) };
        let mut chain = Chain::open(store, config(1)).expect("a chain");
        chain.execute(block(&stream.blocks[0])).expect("a valid block");
        armed.store(true, Ordering::SeqCst);
        let state = chain.state().expect("it reads");
        assert!(!armed.load(Ordering::SeqCst), "the writer was let in");
        assert_eq!(chain.flush().expect("it is written").number, 1000);
        assert_eq!(state.block_hash_ref(1000).expect("it reads"), stream.blocks[0].1);
        same(&state, &stream.states[1]);
    });
}
