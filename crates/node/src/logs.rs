//! `eth_getLogs`.

use crate::{error::RpcError, params, places::Place, shared::Shared, stored::StoredBlock};
use alloy_consensus::Header;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::BloomInput;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use braid_chain::Snapshot;

/// Returns the logs that match `filter`; fails if there are more than `limit`.
pub(crate) fn logs<S: Snapshot>(
    shared: &Shared<S>,
    place: &Place,
    limit: usize,
    filter: &Filter,
) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    let mut add = |block: &StoredBlock| {
        found.extend(block.logs()?.filter(|log| filter.matches(&log.inner)));
        match found.len() > limit {
            true => Err(RpcError::Limit { limit: limit as u64, what: "logs" }),
            false => Ok(()),
        }
    };
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let block = shared.block_by_hash(hash)?.ok_or(RpcError::UnknownHash(hash))?;
            if may_have(&block.header, filter) {
                add(&block)?;
            }
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let head = shared.view().head.number();
            let number = |tag: Option<BlockNumberOrTag>| {
                params::number(shared, head, tag.unwrap_or_default())
            };
            let (from, to) = (number(from_block), number(to_block));
            check_range(shared, from, to, head)?;
            for number in from..=to {
                place.check()?;
                let gone = || RpcError::OldBlocks { from, to, oldest: number.saturating_add(1) };
                if may_have(&shared.header(number)?.ok_or_else(gone)?, filter) {
                    add(&*shared.block(number)?.ok_or_else(gone)?)?;
                }
            }
        }
    }
    Ok(found)
}

/// Returns the logs of a new block that match `filter`, whose range of blocks applies only if it is
/// given by numbers.
pub(crate) fn of_block(block: &StoredBlock, filter: &Filter) -> Result<Vec<Log>, RpcError> {
    let number = |tag: Option<BlockNumberOrTag>| tag.and_then(|tag| tag.as_number());
    let is_within = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => hash == block.hash,
        FilterBlockOption::Range { from_block, to_block } => {
            number(from_block).is_none_or(|from| from <= block.number())
                && number(to_block).is_none_or(|to| block.number() <= to)
        }
    };
    if !is_within || !may_have(&block.header, filter) {
        return Ok(Vec::new());
    }
    Ok(block.logs()?.filter(|log| filter.matches(&log.inner)).collect())
}

/// Checks that there are blocks from `from` to `to`. `head` is the last block of the chain.
fn check_range<S: Snapshot>(
    shared: &Shared<S>,
    from: u64,
    to: u64,
    head: u64,
) -> Result<(), RpcError> {
    if from > to {
        return Err(RpcError::Params(format!(
            "invalid block range params: fromBlock {from} is after toBlock {to}"
        )));
    }
    if to > head {
        // geth's words. Otherwise, a client could miss the logs of blocks that do not exist yet.
        let words = "block range extends beyond current head block";
        return Err(RpcError::Params(format!("{words}: the latest one is {head}")));
    }
    let oldest = shared.history().oldest_kept().unwrap_or_default();
    match from < oldest {
        true => Err(RpcError::OldBlocks { from, to, oldest }),
        false => Ok(()),
    }
}

/// Whether the block may have a matching log, according to its bloom filter.
fn may_have(header: &Header, filter: &Filter) -> bool {
    let bloom = header.logs_bloom;
    if bloom.is_zero() {
        return false;
    }
    let has = |value: &[u8]| bloom.contains_input(BloomInput::Raw(value));
    let address = filter.address.is_empty() || filter.address.iter().any(|it| has(it.as_slice()));
    let topics = filter.topics.iter();
    address
        && topics.into_iter().all(|any| any.is_empty() || any.iter().any(|it| has(it.as_slice())))
}
