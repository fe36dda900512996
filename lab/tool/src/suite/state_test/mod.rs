//! State tests: one transaction on a state, in all its alternatives and in each fork.

pub mod amplify;
mod model;

pub use model::Indexes;

use super::{
    Verdict,
    database::{self, SuiteDatabase, SuiteHashes},
    exceptions::{self, Refusal},
    network::{self, Rules},
};
use alloy_primitives::{B256, Log, keccak256};
use braid_blocks::state_root::PlainState;
use braid_evm::{Block, BlockError, BlockOutput, ChainRules, Executor};
use model::{Expected, StateTest};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    primitives::hardfork::SpecId,
};
use std::convert::Infallible;

/// Result of one alternative in one fork.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the fork in the test.
    pub fork: String,
    /// The alternative.
    pub indexes: Indexes,
    /// Verdict on the case.
    pub verdict: Verdict,
    /// State root after the transaction; `None` if it was not run.
    pub state_root: Option<B256>,
    /// Hash of the logs; `None` if the transaction was not run or is invalid.
    pub logs_hash: Option<B256>,
    /// Gas used; 0 if the transaction is invalid.
    pub gas_used: u64,
}

impl Case {
    /// Creates a case without results.
    #[must_use]
    pub fn new(fork: &str, indexes: Indexes, verdict: Verdict) -> Self {
        Self {
            fork: fork.to_owned(),
            indexes,
            verdict,
            state_root: None,
            logs_hash: None,
            gas_used: 0,
        }
    }
}

/// A parsed test.
#[derive(Clone, Debug)]
pub struct Test {
    name: String,
    inner: StateTest,
    state: PlainState,
    database: SuiteDatabase,
}

impl Test {
    /// Parses the test called `name`.
    ///
    /// # Errors
    /// Returns a description of the error.
    pub fn parse(name: &str, json: &str) -> Result<Self, String> {
        let inner: StateTest = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let state = database::state(&inner.pre);
        let database = SuiteDatabase::of(&state, SuiteHashes::OfNumbers);
        Ok(Self { name: name.to_owned(), inner, state, database })
    }

    /// Returns the name of the test.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs every alternative in every fork whose name `wanted` accepts.
    pub fn run(
        &self,
        executor: &mut Executor,
        wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(Case),
    ) {
        for (fork, cases) in self.inner.post.iter().filter(|(fork, _)| wanted(fork)) {
            match network::rules(fork, &self.inner.config) {
                Ok(rules) => {
                    for expected in cases {
                        each(self.run_one(executor, fork, rules, expected));
                    }
                }
                Err(why) => {
                    let skipped = |case: &Expected| {
                        Case::new(fork, case.indexes, Verdict::Skipped(why.clone()))
                    };
                    cases.iter().map(skipped).for_each(&mut *each);
                }
            }
        }
    }

    fn run_one(
        &self,
        executor: &mut Executor,
        fork: &str,
        rules: Rules,
        expected: &Expected,
    ) -> Case {
        let mut case = Case::new(fork, expected.indexes, Verdict::Passed);
        let transaction = self.inner.transaction.transaction(expected.indexes, self.chain_id());
        let result = match transaction {
            Ok(transaction) => {
                let block = self.block(rules, vec![transaction]);
                judge_error(executor.block(block).database(self.database.clone()).execute())
            }
            Err(refusal) => Ok(Err(refusal)),
        };
        case.verdict = match result {
            Ok(Ok(output)) => self.judge_output(&mut case, expected, &output),
            Ok(Err(refusal)) => self.judge_refusal(&mut case, expected, &refusal),
            Err(failure) => Verdict::Failed(failure),
        };
        case
    }

    fn judge_output(&self, case: &mut Case, expected: &Expected, output: &BlockOutput) -> Verdict {
        let mut state = self.state.clone();
        state.apply(&output.bundle);
        let (root, logs) = (state.root(), logs_hash(output));
        (case.state_root, case.logs_hash) = (Some(root), Some(logs));
        case.gas_used = output.gas_used;
        if !expected.expect_exception.is_empty() {
            let names = expected.expect_exception.join("|");
            return Verdict::Failed(format!("expected {names}, but it was executed"));
        }
        compared("logs", expected.logs, logs)
            .or_else(|| compared("state root", expected.hash, root))
            .map_or(Verdict::Passed, Verdict::Failed)
    }

    /// Judges a rejected transaction, which must leave the state as it was.
    fn judge_refusal(&self, case: &mut Case, expected: &Expected, refusal: &Refusal) -> Verdict {
        let root = self.state.root();
        case.state_root = Some(root);
        let names = expected.expect_exception.join("|");
        if names.is_empty() {
            return Verdict::Failed(format!("expected an execution, found: {}", refusal.why));
        }
        if !refusal.is_one_of(&expected.expect_exception) {
            return Verdict::Failed(format!("expected {names}, found: {}", refusal.why));
        }
        compared("state root", expected.hash, root).map_or(Verdict::Passed, Verdict::Failed)
    }

    fn chain_id(&self) -> u64 {
        let stated = self.inner.env.current_chain_id.and_then(super::read::Number::to_u64);
        stated.unwrap_or_else(|| self.inner.config.chain_id())
    }

    /// Returns a block of `transactions` without system calls and reward, because a state test
    /// covers only its transaction.
    fn block(&self, rules: Rules, transactions: Vec<TxEnv>) -> Block {
        let chain_rules =
            ChainRules { system_calls: false, block_reward: Some(0), ..ChainRules::default() };
        Block {
            cfg: self.cfg(rules),
            env: self.env(rules),
            transactions,
            parent_beacon_block_root: Some(B256::ZERO),
            rules: chain_rules,
            ..Block::default()
        }
    }

    fn cfg(&self, rules: Rules) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(rules.spec).with_chain_id(self.chain_id());
        if let Some(blobs) = rules.blobs {
            cfg.set_max_blobs_per_tx(blobs.max_blobs_per_tx);
        }
        cfg
    }

    fn env(&self, rules: Rules) -> BlockEnv {
        let env = &self.inner.env;
        let merged = rules.spec.is_enabled_in(SpecId::MERGE);
        let random = env.current_random.map(|random| random.0);
        let mut block = BlockEnv {
            number: env.current_number.saturating(),
            beneficiary: env.current_coinbase,
            timestamp: env.current_timestamp.saturating(),
            gas_limit: env.current_gas_limit.to_u64().unwrap_or(u64::MAX),
            difficulty: env.current_difficulty.saturating(),
            prevrandao: merged.then(|| random.unwrap_or_default()),
            slot_num: env.slot_number.to_u64().unwrap_or_default(),
            ..BlockEnv::default()
        };
        // Files for several forks state a base fee for all of them.
        if rules.spec.is_enabled_in(SpecId::LONDON) {
            block.basefee = env.current_base_fee.to_u64().unwrap_or(u64::MAX);
        }
        if let Some(blobs) = rules.blobs {
            let excess = env.current_excess_blob_gas.to_u64().unwrap_or(u64::MAX);
            let fraction = u64::try_from(blobs.update_fraction).unwrap_or(u64::MAX);
            block.set_blob_excess_gas_and_price(excess, fraction);
        }
        block
    }
}

/// Distinguishes a rejection of the transaction from a failure of the executor.
fn judge_error(
    result: Result<BlockOutput, BlockError<Infallible>>,
) -> Result<Result<BlockOutput, Refusal>, String> {
    match result {
        Ok(output) => Ok(Ok(output)),
        Err(error) => match exceptions::of_block_error(&error.kind) {
            Some(refusal) => Ok(Err(refusal)),
            None => Err(error.to_string()),
        },
    }
}

/// Returns Keccak-256 of the RLP of all logs.
fn logs_hash(output: &BlockOutput) -> B256 {
    let logs: Vec<Log> = output.receipts.iter().flat_map(|receipt| receipt.logs.clone()).collect();
    keccak256(alloy_rlp::encode(&logs))
}

fn compared(what: &str, expected: B256, found: B256) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected}, found {found}"))
}
