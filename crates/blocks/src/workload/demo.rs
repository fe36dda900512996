//! The built-in chain: realistic blocks for a newcomer without data.

use super::{
    Parties, Placement, WorkloadError,
    apps::{App, AppTraffic},
    assemble::Assembly,
    choice::{Hot, Picker, Spread},
    dex::{Dex, Kind},
    erc20::Erc20,
    random::Random,
    seal::seal,
    state::State,
    transfers::Transfers,
    wallet::Signing,
    world::{Call, Payments, Traffic, World},
};
use crate::block_file::{BlockFile, PreAccount};
use alloy_consensus::Header;
use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{B256, U256};
use std::{mem, num::NonZeroU32};

/// Number of blocks of the chain.
const BLOCKS: u64 = 6;
/// Seconds between blocks.
const BLOCK_SECONDS: u64 = 12;
/// Number of accounts that pay, transfer and swap.
const USERS: u32 = 1_000;
/// Minimum and maximum number of transactions of a block, which use 20 to 28 Mgas, like busy blocks
/// of mainnet.
const TRANSACTIONS: (u64, u64) = (185, 250);
/// Percent of a block's transactions: token transfers, swaps, payouts, rollup batches. The rest are
/// native transfers. On average they use 108,000 gas; those of 29 blocks of mainnet from May 2024
/// to June 2026 used 100,000.
const MIX: [u64; 4] = [22, 38, 8, 4];

/// Generates a chain of six blocks that resemble mainnet's: native transfers among a thousand
/// accounts, a fourth of them to four hubs; transfers of twelve tokens and swaps on thirty pools, a
/// few of each popular; payouts of one token to ten recipients each; and batches that rollups post.
/// Each block starts from the state after the preceding one.
///
/// # Errors
/// Returns an error only if the generator is at fault.
pub fn demo(seed: u64) -> Result<Vec<BlockFile>, WorkloadError> {
    blocks(seed, BLOCKS, Signing::Unsigned, |_| Placement::DEFAULT)
}

/// Generates a chain of such blocks, signed and numbered from 1, with its genesis. The headers are
/// complete. `header` computes the header of the genesis.
///
/// # Errors
/// As [`demo`].
pub fn demo_chain(
    seed: u64,
    count: u64,
    header: impl FnOnce(&Genesis) -> Header,
) -> Result<(Genesis, Vec<BlockFile>), WorkloadError> {
    let mut genesis = Genesis::default();
    let files = blocks(seed, count, Signing::Signed, |state| {
        genesis = genesis_of(state);
        let header = header(&genesis);
        Placement {
            number: header.number + 1,
            timestamp: header.timestamp + BLOCK_SECONDS,
            parent_hash: header.hash_slow(),
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
        }
    })?;
    Ok((genesis, files))
}

/// Returns a genesis of mainnet's rules with all forks that generated blocks follow.
pub(super) fn genesis_of(state: &State) -> Genesis {
    let account = |account: &PreAccount| GenesisAccount {
        nonce: Some(account.nonce),
        balance: account.balance,
        code: account.code_hash.and_then(|hash| state.codes.get(&hash)).cloned(),
        storage: (!account.storage.is_empty()).then(|| {
            let slots = account.storage.iter();
            slots.map(|(slot, value)| (B256::from(*slot), B256::from(*value))).collect()
        }),
        ..GenesisAccount::default()
    };
    let alloc = state.accounts.iter().map(|(address, it)| (*address, account(it))).collect();
    let since = Some(0);
    let config = ChainConfig {
        chain_id: crate::fork::MAINNET,
        london_block: since,
        shanghai_time: since,
        cancun_time: since,
        prague_time: since,
        osaka_time: since,
        terminal_total_difficulty: Some(U256::ZERO),
        ..ChainConfig::default()
    };
    Genesis {
        config,
        timestamp: Placement::DEFAULT.timestamp,
        gas_limit: 60_000_000,
        base_fee_per_gas: Some(Placement::DEFAULT.base_fee.into()),
        alloc,
        ..Genesis::default()
    }
}

/// Generates `count` blocks on a new state, the first one at `place`.
fn blocks(
    seed: u64,
    count: u64,
    signing: Signing,
    place: impl FnOnce(&State) -> Placement,
) -> Result<Vec<BlockFile>, WorkloadError> {
    let mut world = World::new(seed, signing, Placement::DEFAULT.timestamp);
    let mut traffic = Mixed::new(&mut world)?;
    // Calls do not depend on the state, and the accounts they need must exist before the first
    // block, so all calls are drawn first.
    let calls =
        (0..count).map(|block| traffic.block(&mut world, block)).collect::<Result<Vec<_>, _>>()?;
    let mut state = mem::take(&mut world.state);
    let mut placement = place(&state);
    let mut assembly = Assembly::new(seed);
    let mut files = Vec::new();
    for calls in calls {
        let mut file = assembly.block(&mut world.wallets, state, &calls, &placement)?;
        file.meta.notes.push(format!("demo chain, seed {seed}"));
        state = seal(&mut file)?;
        placement = child(&file);
        files.push(file);
    }
    Ok(files)
}

/// Returns the position of a sealed block's child.
fn child(file: &BlockFile) -> Placement {
    let header = &file.block.header;
    Placement {
        number: header.number + 1,
        timestamp: header.timestamp + BLOCK_SECONDS,
        parent_hash: header.hash,
        base_fee: calc_next_block_base_fee(
            header.gas_used,
            header.gas_limit,
            header.base_fee_per_gas.unwrap_or_default(),
            BaseFeeParams::ethereum(),
        ),
    }
}

/// All kinds of traffic on one state.
#[derive(Debug)]
struct Mixed {
    transfers: Transfers,
    tokens: Erc20,
    swaps: Dex,
    payouts: AppTraffic,
    rollups: AppTraffic,
}

impl Mixed {
    fn new(world: &mut World) -> Result<Self, WorkloadError> {
        let users = Spread::among(USERS);
        let parties = Parties { senders: users, recipients: users, shared: true };
        let skewed = |count| Spread::Skewed(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        let hubs = Hot { percent: 25, parties: NonZeroU32::new(4).unwrap_or(NonZeroU32::MIN) };
        Ok(Self {
            transfers: Transfers::new(Payments::new(parties, hubs)),
            tokens: Erc20::new(skewed(12), Payments::new(parties, Hot::NONE))?,
            swaps: Dex::new(
                world,
                Kind::Range,
                Picker::new(skewed(30), Hot::NONE),
                Picker::new(users, Hot::NONE),
            )?,
            payouts: AppTraffic::new(world, App::StablecoinBatch)?,
            rollups: AppTraffic::new(world, App::RollupBatch)?,
        })
    }

    /// Draws the calls of one block, in random order.
    fn block(&mut self, world: &mut World, block: u64) -> Result<Vec<Call>, WorkloadError> {
        let mut random = Random::new(world.seed, &format!("block {block}"));
        let total = random.between(TRANSACTIONS.0, TRANSACTIONS.1);
        let counts = MIX.map(|percent| total * percent / 100);
        let transfers = total - counts.iter().sum::<u64>();
        let kinds: [&mut dyn Traffic; 4] =
            [&mut self.tokens, &mut self.swaps, &mut self.payouts, &mut self.rollups];
        let mut calls = Vec::new();
        for _ in 0..transfers {
            calls.push(self.transfers.call(world, &mut random)?);
        }
        for (traffic, count) in kinds.into_iter().zip(counts) {
            for _ in 0..count {
                calls.push(traffic.call(world, &mut random)?);
            }
        }
        random.shuffle(&mut calls);
        Ok(calls)
    }
}
