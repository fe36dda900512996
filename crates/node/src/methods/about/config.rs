//! `eth_config` (EIP-7910): the forks of the chain that begin at a time.

use crate::{error::RpcError, shared::Shared};
use alloy_consensus::Header;
use alloy_eips::{
    eip2124::ForkHash,
    eip7910::{EthConfig, EthForkConfig, SystemContract},
};
use alloy_genesis::ChainConfig;
use alloy_primitives::{B256, Bytes};
use braid_chain::{Rules, Snapshot};
use revm::{
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
};

/// Returns the current fork, the next one, and the last one that is scheduled.
pub(super) fn config<S: Snapshot>(shared: &Shared<S>) -> Result<EthConfig, RpcError> {
    let first = shared.history().first().cloned();
    let first = first.ok_or_else(|| RpcError::Internal("the first block is unknown".to_owned()))?;
    let (rules, now) = (&shared.producer.rules, shared.view().head.header.timestamp);
    let fork = |at| fork(rules, (&first.header, first.hash), at);
    let times = times(rules.config());
    let current = times.iter().rev().find(|time| **time <= now);
    let next = times.iter().find(|time| **time > now).map(|time| fork(*time)).transpose()?;
    let last = times.last().filter(|_| next.is_some()).map(|time| fork(*time)).transpose()?;
    let none = "no fork with blobs (Cancun or a later one) has begun";
    let current = current.ok_or_else(|| RpcError::Override(none.to_owned()))?;
    Ok(EthConfig { current: fork(*current)?, next, last })
}

/// Describes the fork that begins at this time.
fn fork(rules: &Rules, first: (&Header, B256), at: u64) -> Result<EthForkConfig, RpcError> {
    let header = Header { timestamp: at, number: u64::MAX, ..Header::default() };
    let spec = rules.spec(&header);
    let none = || RpcError::Override("a fork before Cancun has no blobs".to_owned());
    let blob_schedule = rules.blob_params(spec, at).ok_or_else(none)?;
    let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(spec));
    let precompiles = precompiles.addresses().filter_map(|address| {
        let precompile = precompiles.get(address)?;
        Some((precompile.id().name().to_owned(), *address))
    });
    let mut system_contracts: std::collections::BTreeMap<_, _> =
        SystemContract::cancun().into_iter().collect();
    if spec.is_enabled_in(SpecId::PRAGUE) {
        let deposits = rules.chain_rules(&header).deposit_contract;
        system_contracts.extend(SystemContract::prague(deposits));
    }
    Ok(EthForkConfig {
        activation_time: if at <= first.0.timestamp { 0 } else { at },
        blob_schedule,
        chain_id: rules.chain_id(),
        fork_id: fork_id(rules.config(), first, at),
        precompiles: precompiles.collect(),
        system_contracts,
    })
}

/// Identifies the forks up to a time (EIP-6122).
fn fork_id(config: &ChainConfig, (first, hash): (&Header, B256), at: u64) -> Bytes {
    let mut blocks: Vec<u64> = blocks(config);
    blocks.sort_unstable();
    let times = times(config).into_iter().filter(|time| *time > first.timestamp && *time <= at);
    let mut forks: Vec<u64> = blocks.into_iter().filter(|block| *block > 0).chain(times).collect();
    forks.dedup();
    let mut id = ForkHash::from(hash);
    forks.into_iter().for_each(|fork| id += fork);
    Bytes::copy_from_slice(&id.0)
}

/// Numbers of the blocks at which forks begin.
fn blocks(config: &ChainConfig) -> Vec<u64> {
    let blocks = [
        config.homestead_block,
        config.dao_fork_block,
        config.eip150_block,
        config.eip155_block,
        config.eip158_block,
        config.byzantium_block,
        config.constantinople_block,
        config.petersburg_block,
        config.istanbul_block,
        config.muir_glacier_block,
        config.berlin_block,
        config.london_block,
        config.arrow_glacier_block,
        config.gray_glacier_block,
        config.merge_netsplit_block,
    ];
    blocks.into_iter().flatten().collect()
}

/// Times at which forks begin, ascending, each once.
fn times(config: &ChainConfig) -> Vec<u64> {
    let times = [
        config.shanghai_time,
        config.cancun_time,
        config.prague_time,
        config.osaka_time,
        config.bpo1_time,
        config.bpo2_time,
        config.bpo3_time,
        config.bpo4_time,
        config.bpo5_time,
        config.amsterdam_time,
    ];
    let mut times: Vec<u64> = times.into_iter().flatten().collect();
    times.sort_unstable();
    times.dedup();
    times
}
