//! A chain on a failing store. Executes a stream of blocks; after each failure, checks that nothing
//! has changed, and executes the same block without the failure.

use super::{Asked, Kind, Reference, Stream, Trouble, Troubled, contents, same};
use alloy_primitives::B256;
use braid_blocks::compare;
use braid_chain::{
    Chain, ChainBlock, ChainConfig, ChainError, ExecutedBlock, Head, MemoryStore, StoreError, open,
    verify,
};
use braid_evm::{AccessList, Block, BlockErrorKind, BlockOutput, Executor, Stats};
use std::{
    mem,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
};

/// Outcome of an attempt to execute a block.
#[derive(Debug)]
enum Attempt {
    /// Executed, with the result of sequential execution.
    Executed(Stats),
    /// Rejected by the chain.
    Refused(ChainError),
    /// Cancelled, after a prefix with the result of sequential execution.
    Cancelled,
    /// Ended by the panic that the test requested.
    Panicked,
}

/// Counts over all attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Executed blocks.
    pub(crate) blocks: u64,
    /// Blocks that ran partly speculatively, sequentially, and in contiguous batches.
    pub(crate) strategies: [u64; 3],
    /// Failures before a block was handed to the writer, and failures of the writer.
    pub(crate) refused: u64,
    pub(crate) writer: u64,
    pub(crate) panicked: u64,
    pub(crate) cancelled: u64,
}

/// A chain in memory with injected faults.
#[derive(Debug)]
pub(crate) struct Subject<'s> {
    pub(crate) stream: &'s Stream,
    pub(crate) store: Troubled<MemoryStore>,
    pub(crate) config: ChainConfig,
    /// Executes blocks that may be cancelled, which a chain does not offer.
    pub(crate) executor: &'s mut Executor,
    /// The access list of each block, or empty. With lists, the trie work reads the store, too.
    pub(crate) lists: &'s [Arc<AccessList>],
    pub(crate) seen: Seen,
}

type TroubledChain = Chain<Troubled<MemoryStore>>;

impl Subject<'_> {
    /// Executes all blocks of the stream despite all failures.
    pub(crate) fn run(&mut self) {
        let mut chain = self.open();
        loop {
            let index = self.index(chain.head());
            self.trouble().arm(true);
            let attempt = match self.stream.blocks.get(index) {
                Some(_) => self.attempt(&mut chain, index),
                None => match chain.flush() {
                    Ok(_) => break,
                    Err(error) => Attempt::Refused(error),
                },
            };
            let is_cancelled = matches!(attempt, Attempt::Cancelled);
            match attempt {
                Attempt::Executed(stats) => {
                    self.count(&stats);
                    continue;
                }
                Attempt::Cancelled => self.seen.cancelled += 1,
                Attempt::Panicked => self.seen.panicked += 1,
                Attempt::Refused(error) => {
                    let (executing, durable) = (chain.head().number + 1, chain.durable().number);
                    assert!(names_its_block(&error, executing, durable), "{error:?}");
                    let is_writer = !matches!(error, ChainError::Block { .. });
                    *(if is_writer { &mut self.seen.writer } else { &mut self.seen.refused }) += 1;
                }
            }
            assert_eq!(is_cancelled, self.trouble().kind == Kind::Cancelled);
            assert_eq!(self.index(chain.head()), index, "the head stays");
            self.trouble().arm(false);
            chain = self.after_a_failure(chain);
        }
        drop(chain);
        let reader = open(&self.store.inner).expect("a chain");
        let last = self.stream.states.last().expect("a state");
        assert_eq!(contents(&reader), last.contents(), "after the last block");
        assert_eq!(verify(&reader).expect("all is as it must be").state_root, last.root());
    }

    fn open(&self) -> TroubledChain {
        Chain::open(self.store.clone(), self.config).expect("a chain")
    }

    fn trouble(&self) -> &Arc<Trouble> {
        &self.store.trouble
    }

    fn index(&self, head: Head) -> usize {
        (head.number - self.stream.head.number) as usize
    }

    /// Returns the state after the blocks below `index`.
    fn state(&self, index: usize) -> &Reference {
        &self.stream.states[index]
    }

    fn count(&mut self, stats: &Stats) {
        self.seen.blocks += 1;
        let Stats { speculative_commits, fallback_segments, contiguous_batches, .. } = *stats;
        let counts = [speculative_commits, fallback_segments, contiguous_batches];
        for (sum, count) in self.seen.strategies.iter_mut().zip(counts) {
            *sum += u64::from(count > 0);
        }
    }

    /// Checks that the chain is unchanged, and executes the next block without a failure, on the
    /// same chain unless its writer has ended.
    fn after_a_failure(&mut self, mut chain: TroubledChain) -> TroubledChain {
        let executed = self.index(chain.head());
        same(&chain.state().expect("it reads"), self.state(executed));
        let flushed = chain.flush();
        let durable = self.index(chain.durable());
        match flushed {
            Ok(_) => assert_eq!(durable, executed, "all that was executed is durable"),
            Err(error) => {
                let number = chain.durable().number;
                assert!(names_its_block(&error, 0, number), "{error:?}");
                drop(chain);
                chain = self.open();
            }
        }
        let index = self.index(chain.head());
        assert!((durable..=executed).contains(&index), "{durable} to {executed}: {index}");
        let reader = open(&self.store.inner).expect("a chain");
        assert_eq!(contents(&reader), self.state(index).contents(), "after a failure");
        if index < self.stream.blocks.len() {
            match self.attempt(&mut chain, index) {
                Attempt::Executed(stats) => self.count(&stats),
                other => panic!("the same block without a failure: {other:?}"),
            }
            assert_eq!(self.index(chain.flush().expect("it is written")), index + 1);
        }
        chain
    }

    fn attempt(&mut self, chain: &mut TroubledChain, index: usize) -> Attempt {
        if self.trouble().kind == Kind::Cancelled {
            self.by_executor(chain, index)
        } else {
            self.by_chain(chain, index)
        }
    }

    fn block(&self, index: usize) -> (Block, B256) {
        let (mut block, hash) = self.stream.blocks[index].clone();
        block.access_list = self.lists.get(index).cloned();
        (block, hash)
    }

    fn by_chain(&self, chain: &mut TroubledChain, index: usize) -> Attempt {
        let (block, hash) = self.block(index);
        let block = ChainBlock { block, hash, ..ChainBlock::default() };
        match catch_unwind(AssertUnwindSafe(|| chain.execute(block))) {
            Ok(Ok(executed)) => {
                let mut output = executed.output;
                output.bundle = executed.changes.changes.clone();
                self.is_as_in_sequence(index, &output);
                Attempt::Executed(output.stats)
            }
            Ok(Err(error)) => Attempt::Refused(error),
            Err(payload) => {
                assert_eq!(payload.downcast_ref(), Some(&Asked), "the payload comes through");
                Attempt::Panicked
            }
        }
    }

    fn by_executor(&mut self, chain: &mut TroubledChain, index: usize) -> Attempt {
        let state = chain.state().expect("it reads");
        let trouble = Arc::clone(self.trouble());
        let (block, hash) = self.block(index);
        let executed = thread::scope(|scope| {
            if let Some(moment) = trouble.moment() {
                let cancelled = &trouble.cancelled;
                scope.spawn(move || {
                    thread::sleep(moment);
                    cancelled.store(true, SeqCst);
                });
            }
            self.executor
                .block(block)
                .state(state)
                .on_commit(|_| {
                    let cancelled = trouble.cancelled.load(SeqCst);
                    if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .execute()
        });
        match executed {
            Ok(mut output) => {
                self.is_as_in_sequence(index, &output);
                let head = Head { number: chain.head().number + 1, hash };
                let (changes, receipts) = (mem::take(&mut output.bundle), Arc::default());
                let executed = ExecutedBlock {
                    head,
                    changes,
                    state_root: None,
                    receipts,
                    rlp: Default::default(),
                    header: Default::default(),
                };
                let appended = chain.append(executed);
                appended.map_or_else(Attempt::Refused, |()| Attempt::Executed(output.stats))
            }
            Err(error) => {
                assert!(matches!(error.kind, BlockErrorKind::Cancelled), "{error}");
                let (committed, expected) =
                    (&error.committed.receipts, &self.stream.outputs[index].receipts);
                assert_eq!(committed[..], expected[..committed.len()], "what was committed");
                Attempt::Cancelled
            }
        }
    }

    fn is_as_in_sequence(&self, index: usize, output: &BlockOutput) {
        let differences = compare::braid::outputs(&self.stream.outputs[index], output);
        assert!(differences.is_empty(), "block {index}: {:?}", differences.lines());
    }
}

/// Returns whether the error is the one that the test requested and names the block: `executing`,
/// or the one after `durable`.
fn names_its_block(error: &ChainError, executing: u64, durable: u64) -> bool {
    let asked = |error: &StoreError| matches!(error.root(), StoreError::Backend(error) if error.is::<Asked>());
    match error {
        ChainError::Block { number, kind: BlockErrorKind::Base(error), .. } => {
            *number == executing && asked(error)
        }
        ChainError::Writer { number, error } => *number == durable + 1 && asked(error),
        ChainError::WriterEnded { number } => *number == durable + 1,
        _ => false,
    }
}
