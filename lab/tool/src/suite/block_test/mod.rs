//! Block tests: chains of blocks, some of them invalid.
//!
//! Blocks are decoded from RLP, and senders are recovered from signatures. A block is executed on
//! the state of its parent, wherever in the tree of blocks that is, and the results are compared
//! with its header. Rules of headers and uncles belong to a node: a block that only violates such
//! rules is not executed, and is counted under the name of its exception.

mod import;
mod model;

use super::{
    Verdict, database,
    exceptions::{self, Refusal},
    network::Network,
};
use alloy_primitives::{B256, U256};
use braid_blocks::state_root::PlainState;
use braid_evm::{Executor, Stats};
use import::{Imported, Importer};
use model::{ChainTest, TestBlock};
use std::collections::{BTreeMap, HashMap};

/// Result of a chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Name of the network in the test.
    pub network: String,
    /// Verdict on the chain.
    pub verdict: Verdict,
    /// Number of executed blocks that match their headers.
    pub valid: usize,
    /// Number of blocks that were rejected for the reason that the test states.
    pub refused: usize,
    /// Number of blocks that violate a rule of headers or uncles, by the name of the exception.
    pub out_of_scope: BTreeMap<String, usize>,
    /// Number of transactions in valid blocks.
    pub transactions: usize,
    /// Counters of the executor.
    pub stats: Stats,
}

/// A block of the tree, with the state after it.
#[derive(Clone, Debug)]
struct Node {
    parent: B256,
    number: u64,
    /// Total difficulty, including this block.
    total_difficulty: U256,
    state: PlainState,
}

/// A parsed test.
#[derive(Clone, Debug)]
pub struct Test {
    inner: ChainTest,
}

impl Test {
    /// Parses a test.
    ///
    /// # Errors
    /// Returns a description of the error.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map(|inner| Self { inner }).map_err(|error| error.to_string())
    }

    /// Returns the name of the network in the test.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.inner.network
    }

    /// Runs the whole chain.
    pub fn run(&self, executor: &mut Executor) -> Chain {
        let mut chain = Chain {
            network: self.inner.network.clone(),
            verdict: Verdict::Passed,
            valid: 0,
            refused: 0,
            out_of_scope: BTreeMap::new(),
            transactions: 0,
            stats: Stats::default(),
        };
        match Network::named(&self.inner.network, &self.inner.config) {
            Ok(network) => {
                if let Err(why) = self.run_on(&network, executor, &mut chain) {
                    chain.verdict = Verdict::Failed(why);
                }
            }
            Err(why) => chain.verdict = Verdict::Skipped(why),
        }
        chain
    }

    fn run_on(
        &self,
        network: &Network,
        executor: &mut Executor,
        chain: &mut Chain,
    ) -> Result<(), String> {
        let mut tree = self.genesis()?;
        for (place, block) in self.inner.blocks.iter().enumerate() {
            let named = |why: String| format!("block {}: {why}", place.saturating_add(1));
            if !block.expect_exception.is_empty()
                && !exceptions::are_of_execution(&block.expect_exception)
            {
                let name = block.expect_exception.join("|");
                let count = chain.out_of_scope.entry(name).or_default();
                *count = count.saturating_add(1);
                continue;
            }
            let mut importer = Importer::new(network, &tree, self.inner.config.chain_id());
            let imported = importer.import(block, executor).map_err(named)?;
            if let Some((hash, node)) = judge(block, imported, chain).map_err(named)? {
                tree.insert(hash, node);
            }
        }
        self.judge_end(&tree)
    }

    /// Returns a tree with only the first block.
    fn genesis(&self) -> Result<HashMap<B256, Node>, String> {
        let genesis = &self.inner.genesis_block_header;
        let state = database::state(&self.inner.pre);
        let root = state.root();
        if root != genesis.state_root {
            let expected = genesis.state_root;
            return Err(format!("state root before the chain: expected {expected}, found {root}"));
        }
        let node = Node {
            parent: B256::ZERO,
            number: genesis.number.to_u64().unwrap_or_default(),
            total_difficulty: genesis.difficulty.saturating(),
            state,
        };
        Ok([(genesis.hash, node)].into())
    }

    /// Checks that the last block was accepted, and that its state is the expected final state.
    fn judge_end(&self, tree: &HashMap<B256, Node>) -> Result<(), String> {
        let last = self.inner.lastblockhash;
        let node = tree.get(&last).ok_or_else(|| format!("the last block {last} was refused"))?;
        // The header already covers the whole state; this checks the accounts that the test lists.
        let listed = self.inner.post_state.as_ref();
        if let Some(what) = listed.and_then(|listed| database::difference(listed, &node.state)) {
            return Err(format!("state at the end: the {what} is another one than listed"));
        }
        let found = node.state.root();
        match self.inner.post_state_hash.filter(|expected| *expected != found) {
            Some(expected) => {
                Err(format!("state at the end: expected root {expected}, found {found}"))
            }
            None => Ok(()),
        }
    }
}

/// Compares the outcome of a block with the expected one, and returns an accepted block.
fn judge(
    block: &TestBlock,
    imported: Result<Imported, Refusal>,
    chain: &mut Chain,
) -> Result<Option<(B256, Node)>, String> {
    let expected = &block.expect_exception;
    let names = expected.join("|");
    match imported {
        Ok(imported) if expected.is_empty() => {
            chain.valid = chain.valid.saturating_add(1);
            chain.transactions = chain.transactions.saturating_add(imported.transactions);
            add(&mut chain.stats, &imported.stats);
            Ok(Some((imported.hash, imported.node)))
        }
        Ok(_) => Err(format!("expected {names}, but it was accepted")),
        Err(refusal) if refusal.is_one_of(expected) => {
            chain.refused = chain.refused.saturating_add(1);
            Ok(None)
        }
        Err(refusal) if expected.is_empty() => Err(format!("refused: {}", refusal.why)),
        Err(refusal) => Err(format!("expected {names}, found: {}", refusal.why)),
    }
}

fn add(sum: &mut Stats, more: &Stats) {
    sum.workers = sum.workers.max(more.workers);
    sum.transactions = sum.transactions.saturating_add(more.transactions);
    sum.incarnations = sum.incarnations.saturating_add(more.incarnations);
    sum.aborts = sum.aborts.saturating_add(more.aborts);
    sum.speculative_commits = sum.speculative_commits.saturating_add(more.speculative_commits);
}
