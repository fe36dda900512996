//! `braid-lab t8n`: a stateless transition, like geth's `evm t8n` and that of the executable
//! specification (`ethereum-spec-evm t8n`).
//!
//! Input are a state, an environment and transactions as JSON; output are the state after them and
//! the header fields that they determine. Transactions that cannot be in the block are skipped and
//! listed. Braid executes the transactions in build mode. The two tools differ in some points, in
//! which this one follows the tool in parentheses:
//!
//! - the roots of transactions and receipts, and the body, cover the included transactions (geth);
//! - rewards are paid only before the merge (the specification); without `--state.reward`, none is
//!   paid, and a reward of zero touches the beneficiary (geth);
//! - a JSON transaction that no block could contain is rejected individually (the specification);
//! - missing hashes of blocks, forks and fields end with geth's exit codes;
//! - system contracts that are missing or fail cause a `blockException` (the specification);
//! - from Amsterdam on, `blockAccessList` is the RLP of the block's access list, with its hash (the
//!   specification), unless there is a `blockException`;
//! - receipts have geth's fields, and the specification's `succeeded` and `bloom`.

mod alloc;
mod database;
mod difficulty;
mod env;
mod error;
mod fields;
pub mod fork;
mod rejection;
mod result;
mod sign;
mod transactions;

pub use alloc::to_json;
pub use error::{Failure, FailureKind};

use alloy_consensus::Header;
use alloy_evm::{EvmEnv, FromRecoveredTx};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use braid_blocks::{
    block::ChainRules,
    sequential::{ForkSpec, request_contracts},
    state_root::PlainState,
};
use braid_evm::{
    Block, BlockErrorKind, BlockOutput, BlockPosition, Cloned, Config, Executor, Mode,
};
use database::{AllocDatabase, GivenHashes, MissingBlockHash};
use env::{Derived, Env};
use fork::Fork;
use revm::{context::TxEnv, primitives::hardfork::SpecId};
use serde_json::Value;
use std::{ops::ControlFlow, sync::Arc};
use transactions::{Read, Rules};

/// The deposit contract that the tools use for every chain: mainnet's.
const DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");

/// Input of a transition.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The state before.
    pub alloc: Value,
    /// The environment of the block.
    pub env: Value,
    /// The transactions: objects, or RLP in hex.
    pub txs: Value,
    /// Blob parameters that replace the fork's.
    pub blob_params: Option<Value>,
}

/// Options of a transition.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the fork, or of a transition between two forks.
    pub fork: String,
    /// Chain id.
    pub chain_id: u64,
    /// Block reward before the merge, in wei; negative for none, not even a touch.
    pub reward: i128,
    /// Whether to run only the first transaction, without the calls and payments around a block's
    /// transactions.
    pub state_test: bool,
    /// Configuration of the executor; the mode is always build.
    pub config: Config,
}

/// Output of a transition.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The state after.
    pub alloc: PlainState,
    /// Roots, receipts, rejected transactions.
    pub result: Value,
    /// RLP of the included transactions.
    pub body: Bytes,
}

/// Parsed input and derived values.
struct Prepared<'a> {
    options: &'a Options,
    fork: Fork,
    env: Env<'a>,
    derived: Derived,
    alloc: PlainState,
    transactions: Vec<Read>,
}

/// Results of the execution.
struct Ran {
    output: BlockOutput,
    /// State roots after each included transaction; only before Byzantium.
    roots: Vec<B256>,
    /// Why the block is invalid, for reasons other than its transactions.
    exception: Option<String>,
}

/// Executes a transition.
///
/// # Errors
/// Returns a [`Failure`], with geth's exit code.
pub fn transition(input: &Input, options: &Options) -> Result<Transition, Failure> {
    let env = Env::from_json(&input.env)?;
    let mut fork = fork::find(&options.fork, env.number, env.timestamp)?;
    if let (Some(params), Some(blobs)) = (&input.blob_params, &mut fork.blobs) {
        result::set_blob_params(blobs, params, fork.spec)?;
    }
    let derived = env.derive(&fork, options.state_test)?;
    let mut alloc = alloc::from_json(&input.alloc)?;
    if fork.dao {
        alloc::apply_dao_fork(&mut alloc);
    }
    let rules = Rules { spec: fork.spec, chain_id: options.chain_id };
    let mut transactions = rules.read(&input.txs)?;
    if options.state_test {
        transactions.truncate(1);
    }
    let mut prepared = Prepared { options, fork, env, derived, alloc, transactions };
    let block = Arc::new(prepared.block());
    let ran = prepared.run(Arc::clone(&block))?;
    prepared.settle(&ran);
    Ok(result::transition(prepared, &block, ran))
}

impl Prepared<'_> {
    fn since(&self, spec: SpecId) -> bool {
        self.fork.spec.is_enabled_in(spec)
    }

    /// Returns whether touching an empty account deletes it (EIP-161).
    fn clears(&self) -> bool {
        self.since(SpecId::SPURIOUS_DRAGON)
    }

    /// Returns the valid transactions, with their index in the input.
    fn readable(&self) -> impl Iterator<Item = (usize, &(alloy_consensus::TxEnvelope, Address))> {
        let read = self.transactions.iter().enumerate();
        read.filter_map(|(index, read)| Some((index, read.as_ref().ok()?)))
    }

    fn block(&self) -> Block {
        let (env, derived) = (&self.env, &self.derived);
        let header = Header {
            number: env.number,
            timestamp: env.timestamp,
            gas_limit: env.gas_limit,
            beneficiary: env.coinbase,
            difficulty: derived.difficulty.unwrap_or_default(),
            mix_hash: derived.random.unwrap_or_default(),
            base_fee_per_gas: derived.base_fee,
            excess_blob_gas: derived.excess_blob_gas,
            ..Header::default()
        };
        let chain = ForkSpec::new(self.fork.spec, &ChainRules::default(), env.number);
        let evm = EvmEnv::for_eth_block(&header, chain, self.options.chain_id, self.fork.blobs);
        let (cfg, mut block_env) = (evm.cfg_env, evm.block_env);
        block_env.slot_num = env.slot_number;
        let with_system = !self.options.state_test;
        let transactions = self.readable();
        Block {
            cfg,
            env: block_env,
            transactions: transactions
                .map(|(_, (envelope, sender))| TxEnv::from_recovered_tx(envelope, *sender))
                .collect(),
            parent_hash: env.parent_hash(),
            parent_beacon_block_root: derived.beacon_root,
            withdrawals: derived.withdrawals.clone().filter(|_| with_system),
            ommers: Vec::new(),
            rules: braid_evm::ChainRules {
                deposit_contract: with_system.then_some(DEPOSIT_CONTRACT),
                // The DAO fork is already in the state, and rewards are paid separately, with
                // distances and amounts that no chain has.
                dao_fork: None,
                block_reward: Some(0),
                system_calls: with_system,
                requests: true,
                max_blob_gas: self.fork.blobs.map(|params| params.max_blob_gas_per_block()),
                declared_accesses: false,
            },
            access_list: None,
            access_list_hint: None,
        }
    }

    fn run(&self, block: Arc<Block>) -> Result<Ran, Failure> {
        let mut config = self.options.config;
        config.engine.mode = Mode::Build;
        config.access_list = self.since(SpecId::AMSTERDAM);
        let mut executor = Executor::new(config)
            .map_err(|error| Failure::new(FailureKind::Io, format!("no threads: {error}")))?;
        let database = AllocDatabase::of(&self.alloc, GivenHashes(self.env.block_hashes.clone()));
        let beneficiary = block.env.beneficiary;
        let with_roots = !self.since(SpecId::BYZANTIUM);
        let (mut roots, mut running) = (Vec::new(), self.alloc.clone());
        let result = executor
            .block(block)
            .state(Cloned(database))
            .on_commit(|committed| {
                if with_roots && committed.result().is_some() {
                    let reward = committed.reward().map(|amount| (beneficiary, amount));
                    let clears = self.clears();
                    alloc::apply_transaction(&mut running, committed.changes(), reward, clears);
                    roots.push(running.root());
                }
                ControlFlow::Continue(())
            })
            .execute();
        match result {
            Ok(output) => Ok(Ran { output, roots, exception: None }),
            Err(error) => match (error.at, error.kind) {
                (BlockPosition::PostBlock, BlockErrorKind::SystemCall(message)) => {
                    let called = || format!("system call failed to execute: {message}");
                    let exception = Some(self.missing_contract(&message).unwrap_or_else(called));
                    Ok(Ran { output: *error.committed, roots, exception })
                }
                (_, BlockErrorKind::Base(MissingBlockHash(number))) => Err(Failure::new(
                    FailureKind::MissingBlockHash,
                    format!("getHash({number}) invoked, blockhash for that block not provided"),
                )),
                (at, kind) => Err(Failure::new(FailureKind::Evm, format!("{at}: {kind}"))),
            },
        }
    }

    /// Returns the specification's wording of `message`, if that says that a request contract has
    /// no code.
    fn missing_contract(&self, message: &str) -> Option<String> {
        let contracts = request_contracts(self.fork.spec);
        let missing = contracts.into_iter().find(|it| message.contains(&it.to_string()))?;
        let has_code = self.alloc.get(&missing).is_some_and(|account| !account.code.is_empty());
        (!has_code).then(|| format!("System contract address {missing:?} does not contain code"))
    }

    /// Applies the results of the execution to the state.
    fn settle(&mut self, ran: &Ran) {
        self.alloc.apply(&ran.output.bundle);
        let clears = self.clears();
        if !self.since(SpecId::MERGE) && !self.options.state_test {
            self.pay_rewards();
        }
        // The output of an invalid block ends before its withdrawals are paid.
        if ran.exception.is_some() {
            for withdrawal in self.derived.withdrawals.clone().unwrap_or_default() {
                alloc::pay(&mut self.alloc, withdrawal.address, withdrawal.amount_wei(), clears);
            }
        }
    }

    /// Pays the rewards of Yellow Paper section 11.3 for any distance of an ommer: beyond eight
    /// generations, its reward is negative.
    fn pay_rewards(&mut self) {
        let Ok(reward) = u128::try_from(self.options.reward).map(U256::from) else { return };
        let clears = self.clears();
        let mut own = reward;
        for (address, delta) in self.env.ommers.clone() {
            own += reward >> 5;
            let share = reward.wrapping_mul(U256::from(8).wrapping_sub(U256::from(delta)));
            let negative = delta > 8;
            let part = if negative {
                // Division rounds down, as an arithmetic shift of a negative number does.
                U256::ZERO.wrapping_sub((U256::ZERO.wrapping_sub(share) + U256::from(7)) >> 3)
            } else {
                share >> 3
            };
            alloc::pay(&mut self.alloc, address, part, clears);
        }
        alloc::pay(&mut self.alloc, self.env.coinbase, own, clears);
    }
}
