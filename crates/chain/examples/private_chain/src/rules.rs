//! Rules of the private chain: id, accounts, gas, fees, and a precompile.

use super::precompile::Holdings;
use alloy_consensus::Header;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, address, hex};
use braid_chain::Rules;
use braid_evm::{Block, ChainRules, Config, Executor};
use revm::context_interface::cfg::GasId;
use std::{io, sync::Arc};

/// EIP-155 chain id.
pub(crate) const CHAIN_ID: u64 = 7_007;
/// Accounts that the load generator sends from.
pub(crate) const ACCOUNTS: u64 = 100;
/// Balance of each account in the first block, in wei: 1,000 ether.
const FUNDS: u128 = 1_000 * 10_u128.pow(18);
/// Gas limit of a block.
const GAS_LIMIT: u64 = 1_000_000_000;
/// Time of the first block, in seconds since 1970. Each later block is one second after its parent.
const FIRST_TIME: u64 = 1_800_000_000;
/// The account that blocks name as their producer. Fees are zero, so it earns nothing.
const PRODUCER: Address = address!("0xb10c000000000000000000000000000000000000");
/// Contract that calls [`Holdings`] with the addresses in its call data, and stores the answer in
/// the slot whose number is the caller's address.
pub(crate) const RECORDER: Address = address!("0xc0de000000000000000000000000000000000001");

/// The account with this number, from 0 to [`ACCOUNTS`]` - 1`.
pub(crate) fn account(number: u64) -> Address {
    let first = U256::from_be_slice(&hex!("acc0000000000000000000000000000000000000"));
    Address::from_word((first + U256::from(number)).into())
}

/// The state that the chain begins with, and its forks: all up to Osaka.
pub(crate) fn genesis() -> Genesis {
    let config = ChainConfig {
        chain_id: CHAIN_ID,
        terminal_total_difficulty: Some(U256::ZERO),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time: Some(0),
        ..ChainConfig::default()
    };
    let funded = GenesisAccount::default().with_balance(U256::from(FUNDS));
    let recorder = GenesisAccount::default().with_nonce(Some(1)).with_code(Some(recorder()));
    let accounts = (0..ACCOUNTS).map(|number| (account(number), funded.clone()));
    Genesis {
        config,
        coinbase: PRODUCER,
        timestamp: FIRST_TIME,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(0),
        alloc: accounts.chain([(RECORDER, recorder)]).collect(),
        ..Genesis::default()
    }
}

/// The block of `header` without transactions.
pub(crate) fn template(header: &Header) -> Block {
    let (mut cfg, env) = Rules::new(genesis().config).environment(header);
    // The first write to a slot costs as much as a later one: 5,000 gas, not 22,100. What comes back
    // if the slot is zero again in the same transaction must be as much as was paid.
    let write = cfg.gas_params.get(GasId::sstore_reset_without_cold_load_cost());
    let rules = [GasId::sstore_set_without_load_cost(), GasId::sstore_set_refund()];
    cfg.gas_params.override_gas(rules.map(|rule| (rule, write)));
    Block {
        cfg,
        env,
        parent_hash: header.parent_hash,
        // Ethereum's system contracts are not there.
        rules: ChainRules { system_calls: false, ..ChainRules::default() },
        ..Block::default()
    }
}

/// An executor that knows the chain's precompile.
pub(crate) fn executor(config: Config) -> io::Result<Executor> {
    Ok(Executor::new(config)?.with_precompiles(vec![Arc::new(Holdings)]))
}

fn recorder() -> Bytes {
    // Copy the call data into memory; call the precompile with it, which overwrites the first word.
    let ask = hex!("36 5f 5f 37 6020 5f 36 5f 73");
    // Revert, unless the call succeeded and returned something.
    let check = hex!("5a fa 3d 02 6028 57 5f 5f fd 5b");
    // Store the first word in the caller's slot, and log it.
    let keep = hex!("5f 51 33 55 6020 5f a0 00");
    [&ask, Holdings::ADDRESS.as_slice(), &check, &keep].concat().into()
}
