//! The private chain of docs/PRIVATE_CHAIN.md.
//!
//! 1. Each block equals that of plain revm with the same configuration and precompile, both written
//!    again here, on any number of workers.
//! 2. A different gas rule is noticed, and so is a precompile that is missing everywhere or on
//!    other threads.
//! 3. A process that is killed and restarted reaches the same state as one that is not.

use crate::{
    streams::{config, within_a_minute},
    support::{Reference, contents},
};
use alloy_evm::precompiles::PrecompileInput;
use alloy_primitives::{Address, U256, address};
use braid_blocks::memory::MemoryAccount;
use braid_blocks::{
    compare::braid::outputs,
    sequential::{OnInvalid, Prepared, SequentialOutput},
};
use braid_chain::{Built, Head, MemoryStore, genesis, open, verify};
use braid_evm::{Config, Executor, Forced, Policy};
use example::{node::Node, rules};
use revm::{
    context::CfgEnv,
    context_interface::cfg::GasId,
    precompile::{PrecompileError, PrecompileHalt, PrecompileOutput, PrecompileResult},
    primitives::hardfork::SpecId,
};

mod bugs;
mod kills;

#[allow(dead_code, reason = "`main` is of the example alone")]
#[path = "../../examples/private_chain/src/main.rs"]
pub(crate) mod example;

const SEED: u64 = 1;
const TRANSACTIONS: u64 = 120;
/// Address of the precompile.
const HOLDINGS: Address = address!("0x0000000000000000000000000000000000010000");
/// Gas of the first write to a slot, beyond the access, on mainnet and on this chain.
const MAINNET_WRITE: u64 = 19_900;
const WRITE: u64 = 2_800;

/// The chain's precompile, as a function for alloy-evm.
fn holdings(mut input: PrecompileInput<'_>) -> PrecompileResult {
    let length = input.data.len();
    let gas = 200 + 700 * (length as u64 / 32);
    if !length.is_multiple_of(32) || gas > input.gas {
        return Ok(PrecompileOutput::halt(PrecompileHalt::other_static("no"), input.reservoir));
    }
    let mut sum = U256::ZERO;
    for end in (32..=length).step_by(32) {
        let account = Address::from_slice(&input.data[end - 20..end]);
        let loaded = input.internals_mut().load_account(account);
        let loaded = loaded.map_err(|error| PrecompileError::Fatal(error.to_string()))?;
        sum += loaded.data.info.balance;
    }
    Ok(PrecompileOutput::new(gas, sum.to_be_bytes_vec().into(), input.reservoir))
}

/// Returns the chain's configuration. `write` is the gas of the first write to a slot.
fn configuration(write: u64) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(7_007);
    let rules = [GasId::sstore_set_without_load_cost(), GasId::sstore_set_refund()];
    cfg.gas_params.override_gas(rules.map(|rule| (rule, write)));
    cfg
}

/// Sequential revm on a state in memory.
struct Oracle {
    write: u64,
    state: Reference,
}

impl Oracle {
    /// Creates the oracle before the first block. `write` is the gas of the first write to a slot.
    fn new(write: u64) -> Self {
        let genesis = rules::genesis();
        let head = Head { number: 0, hash: genesis::header(&genesis).hash_slow() };
        let accounts = genesis.alloc.into_iter().map(|(address, account)| {
            let (balance, nonce) = (account.balance, account.nonce.unwrap_or_default());
            let code = account.code.unwrap_or_default();
            (address, MemoryAccount { balance, nonce, code, ..MemoryAccount::default() })
        });
        Self { write, state: Reference::new(&accounts.collect(), head) }
    }

    /// Returns the sequential results of the transactions of `built`.
    fn execute(&self, built: &Built) -> SequentialOutput {
        let mut block = braid_blocks::block::Block::from(&*built.block);
        block.cfg = configuration(self.write);
        let block = Prepared::new(&block).with_precompile(HOLDINGS, holdings);
        block.run(&self.state, OnInvalid::Skip).expect("the state is in memory")
    }

    /// Advances to the state after `built`, if the oracle's block is equal.
    fn check(&mut self, built: &Built) -> Result<SequentialOutput, String> {
        let expected = self.execute(built);
        let bundle = built.changes.changes.clone();
        let mut found = built.output.clone();
        found.bundle = bundle;
        let different = outputs(&expected, &found);
        if !different.is_empty() {
            return Err(format!("block {}: {different}", built.changes.head.number));
        }
        self.state.apply(built.changes.head, &expected.bundle);
        Ok(expected)
    }
}

fn forced(workers: u16, policy: Policy) -> Config {
    let mut config = config(workers).executor;
    config.policy = policy;
    config
}

/// Returns the states of the chain, including the first, if its blocks equal those of the oracle.
fn states(executor: Executor, write: u64, blocks: u64) -> Result<Vec<Reference>, String> {
    let store = MemoryStore::new();
    let mut node = Node::open(store.clone(), executor).expect("an empty store");
    let mut oracle = Oracle::new(write);
    let mut states = vec![oracle.state.clone()];
    for _ in 0..blocks {
        let (built, left_out) = node.block(SEED, TRANSACTIONS).expect("it is built");
        oracle.check(&built)?;
        assert_eq!((left_out, built.output.receipts.len() as u64), (0, TRANSACTIONS));
        assert!(built.output.receipts.iter().all(|receipt| receipt.success));
        // The chain's own time, independent of the clock.
        let number = built.changes.head.number;
        assert_eq!(built.block.env.timestamp, U256::from(1_800_000_000 + number));
        states.push(oracle.state.clone());
    }
    node.chain.flush().expect("all is written");
    let reader = open(&store).expect("a chain");
    assert_eq!(contents(&reader), oracle.state.contents());
    assert_eq!(verify(&reader).expect("all is as it must be").state_root, oracle.state.root());
    Ok(states)
}

#[test]
fn each_block_equals_sequential_revm() {
    for (workers, policy) in [
        (1, Policy::Auto),
        (2, Policy::Auto),
        (2, Policy::Forced(Forced::Speculative)),
        (3, Policy::Forced(Forced::Speculative)),
    ] {
        within_a_minute(move || {
            let executor = rules::executor(forced(workers, policy)).expect("threads");
            states(executor, WRITE, 12).unwrap_or_else(|different| panic!("{different}"));
        });
    }
}

/// Checks the rules with figures that do not come from the chain's configuration.
#[test]
fn the_chains_own_rules_take_effect() {
    let executor =
        rules::executor(forced(2, Policy::Forced(Forced::Speculative))).expect("threads");
    let mut node = Node::open(MemoryStore::new(), executor).expect("an empty store");
    let (built, _) = node.block(SEED, TRANSACTIONS).expect("it is built");
    let mut oracle = Oracle::new(WRITE);
    let mainnet = Oracle::new(MAINNET_WRITE).execute(&built);
    oracle.check(&built).unwrap_or_else(|different| panic!("{different}"));

    // Each caller of the contract has a new slot.
    let slots = oracle.state.slots.len() as u64;
    assert!(slots > 20, "{slots}");
    let saved = mainnet.gas_used - built.output.gas_used;
    assert_eq!(saved, slots * (MAINNET_WRITE - WRITE));
    // Two accounts hold 2,000 ether, and have paid or received less than one.
    let ether = U256::from(10).pow(U256::from(18));
    for ((contract, _), held) in &oracle.state.slots {
        assert_eq!(*contract, rules::RECORDER);
        assert!(*held > ether * U256::from(1_999) && *held < ether * U256::from(2_001), "{held}");
    }
    assert_eq!(built.block.cfg.gas_params, configuration(WRITE).gas_params);
    // Gas is free.
    assert_eq!(oracle.state.accounts.get(&built.block.env.beneficiary), None);
    let all = oracle.state.accounts.values().fold(U256::ZERO, |all, account| all + account.1);
    assert_eq!(all, ether * U256::from(100 * 1_000));
}
