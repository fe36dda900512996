//! Blocks that a chain builds from a pool, and blocks executed elsewhere, equal those of sequential
//! execution.

use crate::{
    streams::{begun, config, within_a_minute},
    support::{Stream, contents},
};
use alloy_primitives::{Address, B256};
use braid_chain::{Chain, ChainError, ExecutedBlock, MemoryStore, open, verify};
use braid_evm::{Block, BuiltBlock, Rejection, TransactionPool};
use revm::context::TxEnv;
use std::sync::Arc;

const BLOCKS: u64 = 6;
/// Account without ether.
const POOR: Address = Address::repeat_byte(0xee);

/// Hands out the transactions of a block, each followed by an invalid one.
struct Pool {
    ready: Vec<TxEnv>,
    left_out: usize,
}

impl Pool {
    fn new(transactions: &[TxEnv]) -> Self {
        let invalid = |tx: &TxEnv| TxEnv { caller: POOR, nonce: 7, ..tx.clone() };
        let mut ready: Vec<_> =
            transactions.iter().flat_map(|tx| [tx.clone(), invalid(tx)]).collect();
        ready.reverse();
        Self { ready, left_out: 0 }
    }
}

impl TransactionPool for Pool {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.ready.pop()
    }

    fn skipped(&mut self, tx: &TxEnv, _: &Rejection) {
        assert_eq!(tx.caller, POOR, "a valid transaction was left out");
        self.left_out += 1;
    }
}

/// Asserts that the store holds the whole stream.
fn is_whole(store: &MemoryStore, stream: &Stream) {
    let reader = open(store).expect("a chain");
    let last = stream.states.last().expect("a state");
    assert_eq!(contents(&reader), last.contents());
    assert_eq!(verify(&reader).expect("all is as it must be").state_root, last.root());
}

#[test]
fn what_is_built_equals_sequential_execution() {
    for seed in 20..27 {
        within_a_minute(move || {
            let stream = Stream::new(seed, BLOCKS);
            let store = begun(&stream);
            let mut chain = Chain::open(store.clone(), config(2)).expect("a chain");
            for (index, (block, hash)) in stream.blocks.iter().enumerate() {
                let mut pool = Pool::new(&block.transactions);
                let template = Block { transactions: Vec::new(), ..block.clone() };
                let expected = &stream.outputs[index];
                let seal = |built: &BuiltBlock| {
                    assert_eq!(built.output.receipts, expected.receipts, "block {index}");
                    *hash
                };
                // Blocks with a root in the header alternate with others, two at a time.
                let built = if index % 4 < 2 {
                    chain.build_with_root(template, &mut pool, |built, root| {
                        assert_eq!(root, Some(stream.states[index + 1].root()), "block {index}");
                        seal(built)
                    })
                } else {
                    chain.build(template, &mut pool, seal)
                };
                let built = built.expect("it is built");
                let valid = block.transactions.len();
                assert_eq!((pool.left_out, built.block.transactions.len()), (valid, 2 * valid));
                assert_eq!(built.output.receipts, expected.receipts, "block {index}");
                assert_eq!(built.output.gas_used, expected.gas_used, "block {index}");
                assert_eq!((chain.head().hash, built.changes.head), (*hash, chain.head()));
            }
            assert_eq!(chain.durable_head().roots_ahead(), 0, "no block had an access list");
            drop(chain);
            is_whole(&store, &stream);
        });
    }
}

#[test]
fn a_template_that_does_not_follow_the_head_is_refused() {
    let stream = Stream::new(20, 2);
    let mut chain = Chain::open(begun(&stream), config(1)).expect("a chain");
    let [first, second] = [0, 1].map(|at| &stream.blocks[at].0);
    let other = Block { parent_hash: B256::ZERO, ..first.clone() };
    for (template, is_number) in [(second.clone(), true), (other, false)] {
        let refused = chain
            .build(template, &mut Pool::new(&[]), |_| -> B256 { unreachable!("it is no block") });
        match refused.expect_err("it does not follow") {
            ChainError::Number { number: 1001, head: 999 } => assert!(is_number),
            ChainError::Parent { number: 1000, .. } => assert!(!is_number),
            error => panic!("{error}"),
        }
    }
    assert_eq!(chain.head(), stream.head);
}

#[test]
fn blocks_that_were_executed_elsewhere_are_appended() {
    for seed in 20..27 {
        within_a_minute(move || {
            let stream = Stream::new(seed, BLOCKS);
            let store = begun(&stream);
            let mut chain = Chain::open(store.clone(), config(1)).expect("a chain");
            for index in 0..stream.blocks.len() {
                let executed = |index: usize| ExecutedBlock {
                    head: stream.head_of(index),
                    changes: stream.outputs[index].bundle.clone(),
                    state_root: Some(stream.states[index + 1].root()),
                    receipts: Arc::default(),
                    rlp: Default::default(),
                    header: Default::default(),
                };
                if index + 1 < stream.blocks.len() {
                    let early = chain.append(executed(index + 1)).expect_err("one is missing");
                    assert!(matches!(early, ChainError::Number { .. }), "{early}");
                }
                chain.append(executed(index)).expect("it follows");
                assert_eq!(chain.head(), stream.head_of(index));
            }
            drop(chain);
            is_whole(&store, &stream);
        });
    }
}
