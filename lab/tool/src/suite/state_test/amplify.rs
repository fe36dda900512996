//! Turns state tests into blocks: all transactions of a file in one block on the same state.
//!
//! A state test has one transaction, which cannot run in parallel. But its alternatives call the
//! same hostile contracts on the same state, so as a block they conflict in every way that the
//! authors of the suites thought of. The suites do not state the result of such a block; plain revm
//! executes it sequentially, and everything is compared.

use super::{Test, model::Indexes};
use crate::suite::{
    Verdict,
    database::{SuiteDatabase, SuiteHashes, yielding},
    network::{self, Rules},
};
use alloy_primitives::{Address, B256, TxKind};
use braid_blocks::{
    block::{Block, ChainRules},
    compare::braid,
    sequential::{self, OnInvalid, Prepared},
    state_root::PlainState,
    workload::random::{self, Random},
};
use braid_evm::{Executor, Mode, Stats};
use braid_testkit::hostile::declared::Declared;
use revm::context::TxEnv;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Minimum number of transactions; a file with fewer repeats some.
const FEWEST: usize = 8;

/// Maximum number of transactions; a file with more becomes several blocks.
const MOST: usize = 64;

/// Tests that would run for minutes when repeated, and touch no state that could conflict.
const TOO_LONG: [&str; 2] = ["CALLBlake2f_MaxRounds", "loopMul"];

/// Result of a block made from a state test.
#[derive(Clone, Debug)]
pub struct Amplified {
    /// Name of the fork in the test.
    pub fork: String,
    /// Seed of the order.
    pub seed: u64,
    /// Number of transactions.
    pub transactions: usize,
    /// Number of invalid transactions, which both executions skipped.
    pub left_out: usize,
    /// Passed if both executions agree in everything.
    pub verdict: Verdict,
    /// Counters of the parallel execution.
    pub stats: Stats,
}

impl Amplified {
    fn skipped(fork: &str, seed: u64) -> Self {
        let why = "it takes minutes when repeated, and touches no state";
        Self {
            fork: fork.to_owned(),
            seed,
            transactions: 0,
            left_out: 0,
            verdict: Verdict::Skipped(why.to_owned()),
            stats: Stats::default(),
        }
    }
}

impl Test {
    /// Puts the transactions of each fork into blocks in an order that `seed` decides, runs them
    /// with `executor` and with plain revm, and compares everything. The executor must be in build
    /// mode: invalid transactions are skipped, and that is compared too. With `declared`, the
    /// transactions declare what they access, some of them wrongly.
    pub fn amplify(
        &self,
        executor: &mut Executor,
        seed: u64,
        declared: bool,
        wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(Amplified),
    ) {
        debug_assert_eq!(executor.config().engine.mode, Mode::Build);
        for (fork, cases) in self.inner.post.iter().filter(|(fork, _)| wanted(fork)) {
            let Ok(rules) = network::rules(fork, &self.inner.config) else { continue };
            let indexes: BTreeSet<Indexes> = cases.iter().map(|case| case.indexes).collect();
            let mut transactions: Vec<TxEnv> = indexes
                .into_iter()
                .filter_map(|at| self.inner.transaction.transaction(at, self.chain_id()).ok())
                .collect();
            if transactions.is_empty() {
                continue;
            }
            if TOO_LONG.contains(&self.name.as_str()) {
                each(Amplified::skipped(fork, seed));
                continue;
            }
            let mut choices = Random::new(seed, &format!("{}/{fork}", self.name));
            choices.shuffle(&mut transactions);
            let alone = transactions.len();
            let more: Vec<_> =
                transactions.iter().cycle().take(FEWEST.saturating_sub(alone)).cloned().collect();
            transactions.extend(more);
            for chunk in transactions.chunks(MOST) {
                let (block, database) = self.mixed(rules, chunk.to_vec(), &mut choices);
                let mut amplified = match declared {
                    true => compare_declared(executor, &block, &database, &mut choices),
                    false => compare(executor, &block, &database),
                };
                amplified.fork.clone_from(fork);
                amplified.seed = seed;
                each(amplified);
            }
        }
    }

    /// Returns a block of `transactions`. Some keep their sender, with consecutive nonces. Others
    /// get a sender of their own with the same account, so that they need not wait for each other.
    /// The beneficiary may be an account that takes part.
    fn mixed(
        &self,
        rules: Rules,
        mut transactions: Vec<TxEnv>,
        choices: &mut Random,
    ) -> (Block, SuiteDatabase) {
        let mut state = self.state.clone();
        let mut sent = 0;
        let receiver = transactions.first().map(|first| (first.caller, first.kind));
        for transaction in &mut transactions {
            if choices.below(4) == 0 {
                transaction.nonce = transaction.nonce.saturating_add(sent);
                sent = sent.saturating_add(1);
            } else {
                transaction.caller = twin(&mut state, transaction.caller, choices.bits());
            }
        }
        let mut env = self.env(rules);
        if choices.below(4) > 0 {
            // Room for all transactions; otherwise the block may be full before its end.
            let gas = transactions.iter().fold(0_u64, |sum, tx| sum.saturating_add(tx.gas_limit));
            env.gas_limit = env.gas_limit.max(gas);
        }
        match (choices.below(4), receiver) {
            (0, Some((sender, _))) => env.beneficiary = sender,
            (1, Some((_, TxKind::Call(receiver)))) => env.beneficiary = receiver,
            _ => {}
        }
        let block = Block {
            cfg: self.cfg(rules),
            env,
            transactions,
            parent_hash: B256::ZERO,
            parent_beacon_block_root: Some(B256::ZERO),
            withdrawals: None,
            ommers: Vec::new(),
            rules: ChainRules { system_calls: false, ..ChainRules::default() },
        };
        (block, SuiteDatabase::of(&state, SuiteHashes::OfNumbers))
    }
}

/// Creates a copy of the account `sender`, at an address that `number` decides.
fn twin(state: &mut PlainState, sender: Address, number: u64) -> Address {
    let twin = Address::from_word(random::derive(number, "twin", 0));
    if let Some(account) = state.get(&sender).cloned() {
        state.insert(twin, account);
    }
    twin
}

/// Runs the block both ways and compares everything.
fn compare(executor: &mut Executor, block: &Block, database: &SuiteDatabase) -> Amplified {
    let prepared = Prepared::new(block);
    let makes_list = executor.config().access_list;
    let prepared = if makes_list { prepared.with_access_lists() } else { prepared };
    let expected = prepared.run(database.clone(), OnInvalid::Skip);
    let found =
        executor.block(braid_evm::Block::from(block)).database(yielding(database)).execute();
    let stats = found.as_ref().map(|output| output.stats).unwrap_or_default();
    let mut left_out = 0;
    let lines = match (&expected, &found) {
        (Ok(expected), Ok(found)) => {
            let outcomes = expected.outcomes.iter();
            left_out = outcomes
                .filter(|one| matches!(one, sequential::SequentialOutcome::Skipped(_)))
                .count();
            braid::outputs(expected, found).to_string()
        }
        (Err(expected), Err(found)) => braid::errors(expected, found).to_string(),
        (Ok(_), Err(found)) => format!("expected success, found the error \"{found}\""),
        (Err(expected), Ok(_)) => format!("expected the error \"{expected}\", found success"),
    };
    let verdict =
        if lines.is_empty() { Verdict::Passed } else { Verdict::Failed(lines.replace('\n', "; ")) };
    let transactions = block.transactions.len();
    Amplified { fork: String::new(), seed: 0, transactions, left_out, verdict, stats }
}

/// Same, with transactions that declare their accesses, as `choices` decides.
fn compare_declared(
    executor: &mut Executor,
    block: &Block,
    database: &SuiteDatabase,
    choices: &mut Random,
) -> Amplified {
    let block = braid_evm::Block::from(block);
    let mut draw = |end: usize| choices.below(end as u64) as usize;
    let declared = Declared::spoiled(&block, database, &mut draw);
    let found = executor.block(Arc::clone(&declared.block)).database(yielding(database)).execute();
    let stats = found.as_ref().map(|output| output.stats).unwrap_or_default();
    let verdict = match declared.judge(executor.config(), &found) {
        Ok(()) => Verdict::Passed,
        Err(lines) => Verdict::Failed(lines.replace('\n', "; ")),
    };
    let (transactions, left_out) = (block.transactions.len(), declared.skipped());
    Amplified { fork: String::new(), seed: 0, transactions, left_out, verdict, stats }
}
