//! A chain's states equal those of sequential revm after each block, whatever the writer's pace,
//! the number of workers, and the points at which the chain is closed and reopened.

use crate::support::{Kind, Lagging, Reference, Stream, Troubled, contents};
use alloy_primitives::B256;
use braid_chain::{
    Chain, ChainBlock, ChainConfig, ChainError, EmbeddedStore, Head, Keep, MemoryStore, StateRoots,
    StateStore, StoreError, create, open, unwind, verify,
};
use braid_evm::{Block, Config, Forced, Policy};
use proptest::{collection, prelude::*, test_runner::TestRunner};
use revm::DatabaseRef;
use std::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};

pub(crate) fn config(workers: u16) -> ChainConfig {
    let mut config = ChainConfig::default();
    config.executor = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    // No cache, one that evicts nodes, and one that keeps all nodes.
    config.keep.node_cache = [0, 3_000, 1 << 20][usize::from(workers) % 3];
    // With one worker, nodes are written with each block.
    config.keep.node_flush_blocks = u64::from(workers) * 2 - 1;
    config
}

pub(crate) fn block((block, hash): &(Block, B256)) -> ChainBlock {
    ChainBlock { block: block.clone(), hash: *hash, ..ChainBlock::default() }
}

/// Returns the block with the state root in its header.
fn with_root(stream: &Stream, index: usize) -> ChainBlock {
    let mut block = block(&stream.blocks[index]);
    block.expected.state_root = Some(stream.states[index + 1].root());
    block
}

/// Executes the blocks from `first` on, and compares each with sequential execution. `lags` are
/// numbers of unwritten blocks when the next block executes.
fn run<S: StateStore + Clone>(
    store: &S,
    stream: &Stream,
    config: ChainConfig,
    first: usize,
    lags: &[usize],
) {
    let (lagging, permits) = Lagging::new(store.clone());
    let mut chain = Chain::open(lagging, config).expect("a chain");
    // Dropped before the chain, which waits for its writer, which waits for permits.
    let permits = permits;
    let mut ahead = 0;
    for (index, lag) in (first..).zip(lags) {
        // With two unwritten blocks, the third needs a permit, after some time to run on top of
        // both.
        let full = ahead == 2;
        let executed = std::thread::scope(|scope| {
            if full {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(2));
                    permits.send(()).expect("the writer is there");
                });
            }
            chain.execute(with_root(stream, index)).expect("a valid block")
        });
        ahead -= usize::from(full);
        let expected = &stream.outputs[index];
        assert_eq!(executed.output.receipts, expected.receipts, "receipts of block {index}");
        assert_eq!(executed.output.gas_used, expected.gas_used, "gas of block {index}");
        ahead += 1;
        while ahead > *lag {
            permits.send(()).expect("the writer is there");
            ahead -= 1;
        }
        if *lag == 0 {
            let durable = chain.flush().expect("it is written");
            assert_eq!(durable, chain.head());
        }
    }
    // Without a sender, every write is permitted.
    drop(permits);
    drop(chain);
    let reader = open(store).expect("a chain");
    let last = first + lags.len();
    assert_eq!(contents(&reader), stream.states[last].contents(), "after block {last}");
    let verified = verify(&reader).expect("all is as it must be");
    assert_eq!(Some(verified.state_root), reader.state_root().expect("reads"));
    assert_eq!(verified.state_root, stream.states[last].root(), "after block {last}");
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    workers: u16,
    policy: Policy,
    /// For each time that the chain is opened, the number of unwritten blocks at each block.
    lags: Vec<Vec<usize>>,
    /// Maximum number of blocks to unwind at the end.
    back: usize,
}

fn plans() -> impl Strategy<Value = Plan> {
    let policy = prop_oneof![Just(Policy::Auto), Just(Policy::Forced(Forced::Speculative))];
    // The writer's queue holds two blocks; a third waits for the first.
    let lags = collection::vec(collection::vec(0_usize..=2, 1..5), 1..3);
    let plan = (any::<u64>(), 1_u16..=4, policy, lags, 0_usize..6);
    plan.prop_map(|(seed, workers, policy, lags, back)| Plan { seed, workers, policy, lags, back })
}

fn holds<S: StateStore + Clone>(plan: &Plan, reopen: impl Fn() -> S) {
    let blocks = plan.lags.iter().map(Vec::len).sum::<usize>();
    let stream = Stream::new(plan.seed, blocks as u64);
    let mut config = config(plan.workers);
    config.executor.policy = plan.policy;
    create(&reopen(), b"{}", &stream.states[0].batch(stream.head), StateRoots::Computed)
        .expect("an empty store");
    let mut first = 0;
    for lags in &plan.lags {
        run(&reopen(), &stream, config, first, lags);
        first += lags.len();
    }
    let back = plan.back.min(blocks);
    unwinds(&reopen(), &stream, back);
    // Execute the unwound blocks again.
    run(&reopen(), &stream, config, blocks - back, &vec![1; back]);
}

/// Unwinds blocks, and compares the state with the one before them.
fn unwinds<S: StateStore + Clone>(store: &S, stream: &Stream, back: usize) {
    let last = stream.blocks.len() - back;
    let head = unwind(store, back as u64, Keep::default().root_threads).expect("they are kept");
    assert_eq!(head.number, stream.head.number + last as u64);
    let reader = open(store).expect("a chain");
    assert_eq!(reader.head(), head);
    assert_eq!(contents(&reader), stream.states[last].contents(), "back after block {last}");
    let root = verify(&reader).expect("all is as it must be").state_root;
    assert_eq!(root, stream.states[last].root(), "back after block {last}");
    assert_eq!(reader.block_hash(head.number + 1).expect("reads"), None);
    assert_eq!(reader.undo(head.number + 1).expect("reads"), None);
}

#[test]
fn states_are_those_of_sequential_execution() {
    let cases = std::env::var("BRAID_CHAIN_STREAMS").ok().and_then(|it| it.parse().ok());
    let config = |cases| ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    };
    let in_memory = |plan| {
        let store = MemoryStore::new();
        holds(&plan, || store.clone());
        Ok(())
    };
    let cases = cases.unwrap_or(64);
    TestRunner::new(config(cases)).run(&plans(), in_memory).unwrap_or_else(|why| panic!("{why}"));
    let in_folder = |plan| {
        let folder = tempfile::tempdir().expect("a folder");
        holds(&plan, || EmbeddedStore::open_with_cache(folder.path(), 1 << 20).expect("a store"));
        Ok(())
    };
    let few = (cases / 8).max(1);
    TestRunner::new(config(few)).run(&plans(), in_folder).unwrap_or_else(|why| panic!("{why}"));
    #[cfg(braid_rocksdb)]
    let in_rocks = |plan| {
        let folder = tempfile::tempdir().expect("a folder");
        holds(&plan, || crate::store::rocks(folder.path()));
        Ok(())
    };
    #[cfg(braid_rocksdb)]
    TestRunner::new(config(few)).run(&plans(), in_rocks).unwrap_or_else(|why| panic!("{why}"));
}

pub(crate) fn begun(stream: &Stream) -> MemoryStore {
    begun_with(&stream.states[0], stream.head)
}

/// Returns the store of a chain that starts with `state` after block `head`.
pub(crate) fn begun_with(state: &Reference, head: Head) -> MemoryStore {
    let store = MemoryStore::new();
    create(&store, b"{}", &state.batch(head), StateRoots::Computed).expect("an empty store");
    store
}

/// Returns the result of `test`; fails if it hangs.
pub(crate) fn within_a_minute<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || send.send(test()));
    receive.recv_timeout(Duration::from_secs(60)).expect("it ends, and without a panic")
}

#[test]
fn flush_returns_when_the_writer_fails() {
    for fault in [Kind::WriteFails, Kind::WritePanics] {
        within_a_minute(move || {
            let stream = Stream::new(8, 1);
            let faulty = Troubled::lasting(begun(&stream), fault, 0);
            let (store, permits) = Lagging::new(faulty);
            let mut chain = Chain::open(store, config(1)).expect("a chain");
            chain.execute(block(&stream.blocks[0])).expect("a valid block");
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    // By this time, `flush` is usually waiting.
                    std::thread::sleep(Duration::from_millis(20));
                    permits.send(()).expect("the writer is there");
                });
                chain.flush().expect_err("the write fails");
            });
        });
    }
}

#[test]
fn a_failing_writer_is_reported_with_its_block_and_nothing_hangs() {
    within_a_minute(failing_writers);
}

fn failing_writers() {
    for fault in [Kind::WriteFails, Kind::WritePanics] {
        for at in 0..4 {
            let stream = Stream::new(4, 8);
            let store = begun(&stream);
            let mut chain = Chain::open(Troubled::lasting(store.clone(), fault, at), config(2))
                .expect("a chain");
            let failed = stream.blocks.iter().find_map(|next| chain.execute(block(next)).err());
            let error = failed.unwrap_or_else(|| chain.flush().expect_err("a write failed"));
            let number = stream.head.number + 1 + at;
            match (fault, &error) {
                (Kind::WriteFails, ChainError::Writer { number: found, .. }) => {
                    assert_eq!(*found, number)
                }
                (Kind::WritePanics, ChainError::WriterEnded { .. }) => {}
                _ => panic!("{error}"),
            }
            let again = chain.execute(block(&stream.blocks[0])).expect_err("it has ended");
            assert_eq!(again.to_string(), chain.flush().expect_err("it has ended").to_string());
            assert_eq!(chain.durable().number, stream.head.number + at);
            let head = chain.head().number;
            let after =
                chain.state().expect("it reads").block_hash_ref(head + 1).expect("it reads");
            assert_eq!(after, B256::ZERO, "the state has block {} beyond its head", head + 1);
            drop(chain);
            let reader = open(&store).expect("a chain");
            assert_eq!(contents(&reader), stream.states[at as usize].contents());
        }
    }
}

#[test]
fn a_block_that_fails_leaves_the_chain_as_it_was() {
    let stream = Stream::new(5, 3);
    let mut chain = Chain::open(begun(&stream), config(2)).expect("a chain");
    let first = block(&stream.blocks[0]);
    let mut wrong = first.clone();
    wrong.expected.gas_used = Some(1);
    let error = chain.execute(wrong).expect_err("another gas").to_string();
    assert!(error.starts_with("block 1000: the header states gas used 1, "), "{error}");
    let mut poor = first.clone();
    poor.block.transactions.insert(0, revm::context::TxEnv { nonce: 77, ..Default::default() });
    let error = chain.execute(poor).expect_err("an invalid transaction").to_string();
    assert!(error.starts_with("block 1000, transaction 0: "), "{error}");
    let late = chain.execute(block(&stream.blocks[1])).expect_err("block 1000 is missing");
    assert!(matches!(late, ChainError::Number { number: 1001, head: 999 }), "{late}");
    let mut orphan = first.clone();
    orphan.block.parent_hash = B256::ZERO;
    let orphan = chain.execute(orphan).expect_err("another parent");
    assert!(matches!(orphan, ChainError::Parent { number: 1000, .. }), "{orphan}");
    assert_eq!(chain.head(), stream.head);
    for next in &stream.blocks {
        chain.execute(block(next)).expect("a valid block");
    }
    let last = Head { number: 1002, hash: stream.blocks[2].1 };
    assert_eq!(chain.flush().expect("it is written"), last);
}

#[test]
fn at_most_two_blocks_are_ahead_of_the_durable_one() {
    within_a_minute(two_ahead);
}

fn two_ahead() {
    let stream = Stream::new(6, 4);
    let (store, permits) = Lagging::new(begun(&stream));
    let mut chain = Chain::open(store, config(1)).expect("a chain");
    let permits = permits;
    chain.execute(block(&stream.blocks[0])).expect("a valid block");
    chain.execute(block(&stream.blocks[1])).expect("a valid block");
    assert_eq!(chain.durable(), stream.head);
    let third = std::thread::spawn(move || {
        chain.execute(block(&stream.blocks[2])).expect("a valid block");
        chain
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!third.is_finished(), "the third block waits for the first");
    permits.send(()).expect("the writer is there");
    let chain = third.join().expect("no panic");
    assert_eq!(chain.head().number, 1002);
    drop(permits);
    assert_eq!(chain.flush().expect("it is written").number, 1002);
}

#[test]
fn a_block_with_another_state_root_is_not_written() {
    let stream = Stream::new(9, 3);
    let store = begun(&stream);
    let mut chain = Chain::open(store.clone(), config(1)).expect("a chain");
    chain.execute(with_root(&stream, 0)).expect("a valid block");
    let mut wrong = with_root(&stream, 1);
    wrong.expected.state_root = Some(B256::ZERO);
    // The writer compares the root, after later blocks may have been executed.
    let refused = chain.execute(wrong).map(|_| ()).and_then(|()| chain.flush().map(|_| ()));
    let error = refused.expect_err("another root").to_string();
    assert!(
        error.starts_with("block 1001 was executed and could not be written: the header"),
        "{error}"
    );
    drop(chain);
    let reader = open(&store).expect("a chain");
    assert_eq!(contents(&reader), stream.states[1].contents());
}

#[test]
fn undo_is_kept_for_as_many_blocks_as_asked() {
    let stream = Stream::new(7, 4);
    let store = begun(&stream);
    let mut few = config(1);
    few.keep = Keep::blocks(2);
    let mut chain = Chain::open(store.clone(), few).expect("a chain");
    for next in &stream.blocks {
        chain.execute(block(next)).expect("a valid block");
    }
    drop(chain);
    let reader = open(&store).expect("a chain");
    let kept = [1000, 1001, 1002, 1003].map(|number| reader.undo(number).expect("reads").is_some());
    assert_eq!(kept, [false, false, true, true]);
    let refused = unwind(&store, 3, NonZeroUsize::MIN).expect_err("two are kept");
    assert!(matches!(refused, StoreError::NoUndo { number: 1001, kept: 2 }), "{refused}");
    assert_eq!(open(&store).expect("a chain").head().number, 1003);
}

#[test]
fn keeping_fewer_blocks_removes_what_is_older() {
    let stream = Stream::new(7, 5);
    let store = begun(&stream);
    for (blocks, keep) in [(&stream.blocks[..4], 4), (&stream.blocks[4..], 2)] {
        let mut config = config(1);
        config.keep = Keep::blocks(keep);
        let mut chain = Chain::open(store.clone(), config).expect("a chain");
        for next in blocks {
            chain.execute(block(next)).expect("a valid block");
        }
    }
    let reader = open(&store).expect("a chain");
    let kept = (1000..1005).map(|number| reader.undo(number).expect("reads").is_some());
    assert_eq!(kept.collect::<Vec<_>>(), [false, false, false, true, true]);
}
