//! Streams of random blocks on one state, with few accounts that create, destroy, delegate and pay
//! each other across blocks.

use super::Reference;
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::sequential::{self, SequentialOutput};
use braid_chain::Head;
use braid_evm::Block;
use braid_testkit::hostile::generate::Case;
use revm::primitives::hardfork::SpecId;
use std::collections::BTreeMap;

/// Number of the block before the first one.
const FIRST: u64 = 999;

const FORKS: [SpecId; 7] = [
    SpecId::FRONTIER,
    SpecId::SPURIOUS_DRAGON,
    SpecId::ISTANBUL,
    SpecId::LONDON,
    SpecId::CANCUN,
    SpecId::PRAGUE,
    SpecId::OSAKA,
];

/// Blocks, with their sequential results.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The block before the first one.
    pub(crate) head: Head,
    /// The state before the first block, and after each block.
    pub(crate) states: Vec<Reference>,
    /// The blocks, with their hashes.
    pub(crate) blocks: Vec<(Block, B256)>,
    /// Sequential results of the blocks.
    pub(crate) outputs: Vec<SequentialOutput>,
}

impl Stream {
    /// Returns the stream for `seed`.
    pub(crate) fn new(seed: u64, blocks: u64) -> Self {
        let spec = FORKS[seed as usize % FORKS.len()];
        let senders = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6].map(Address::repeat_byte);
        let case = |block| Case::with_senders(keccak_seed(seed, block), spec, &senders);
        let mut accounts = BTreeMap::new();
        for block in 0..blocks {
            // If several cases have an address, the first account counts.
            for (address, account) in case(block).accounts {
                accounts.entry(address).or_insert(account);
            }
        }
        let head = head(FIRST);
        let states = vec![Reference::new(&accounts, head)];
        let mut stream = Self { head, states, blocks: Vec::new(), outputs: Vec::new() };
        (0..blocks).for_each(|block| stream.push(case(block).block));
        stream
    }

    /// Returns number and hash of a block.
    pub(crate) fn head_of(&self, index: usize) -> Head {
        head(FIRST + 1 + index as u64)
    }

    fn push(&mut self, mut block: Block) {
        let state = self.states.last().expect("the first state");
        let number = FIRST + 1 + self.blocks.len() as u64;
        let ommer_shift = number - block.env.number.to::<u64>();
        block.env.number = U256::from(number);
        block.env.timestamp += U256::from(12 * ommer_shift);
        block.ommers.iter_mut().for_each(|ommer| ommer.number += ommer_shift);
        block.parent_hash = head(number - 1).hash;
        let mut sent = BTreeMap::<Address, u64>::new();
        for transaction in &mut block.transactions {
            let before = sent.entry(transaction.caller).or_default();
            transaction.nonce = state.nonce(transaction.caller) + *before;
            *before += 1;
        }
        // Transactions that are invalid by now are skipped, as with a pool, and the chain gets the
        // others.
        let build =
            |block: &Block| sequential::build(&braid_blocks::block::Block::from(block), state);
        let built = build(&block).or_else(|_| {
            // Some of the states have failing system contracts.
            block.rules.system_calls = false;
            build(&block)
        });
        let built = built.expect("nothing else fails");
        let mut outcomes = built.outcomes.iter();
        block.transactions.retain(|_| {
            matches!(outcomes.next(), Some(sequential::SequentialOutcome::Executed(_)))
        });
        let oracle = braid_blocks::block::Block::from(&block);
        let output = sequential::execute(&oracle, state).expect("what is left is valid");
        let mut after = state.clone();
        after.apply(head(number), &output.bundle);
        self.states.push(after);
        self.outputs.push(output);
        self.blocks.push((block, head(number).hash));
    }
}

fn head(number: u64) -> Head {
    Head { number, hash: keccak256(number.to_be_bytes()) }
}

fn keccak_seed(seed: u64, block: u64) -> u64 {
    let hash = keccak256([seed.to_be_bytes(), block.to_be_bytes()].concat());
    u64::from_be_bytes(hash[..8].try_into().expect("8 bytes"))
}
