//! Fees that transactions pay: `eth_gasPrice`, `eth_maxPriorityFeePerGas`, `eth_feeHistory`.

use crate::{
    clock::now, error::RpcError, params, places::Place, shared::Shared, stored::StoredBlock,
};
use alloy_consensus::{Header, Transaction};
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::FeeHistory;
use braid_chain::Snapshot;
use core::ops::RangeInclusive;
use revm::context::BlockEnv;

/// Number of blocks from whose tips the suggested tip is computed.
const BLOCKS: u64 = 20;

/// Minimum suggested tip, in wei; 0 on a chain without fees.
const LEAST_TIP: u128 = 1;

/// Returns the suggested tip: the median of the tips in the last blocks.
pub(crate) fn tip<S: Snapshot>(shared: &Shared<S>) -> u128 {
    let view = shared.view();
    let head = view.head.number();
    let has_fees = view.head.header.base_fee_per_gas != Some(0);
    let blocks: Vec<_> = {
        let history = shared.history();
        let numbers = head.saturating_sub(BLOCKS - 1)..=head;
        numbers.filter_map(|number| history.by_number(number)).collect()
    };
    // Blocks whose receipts were pruned are skipped.
    let tips = blocks.iter().filter_map(|block| tips(block).ok()).flatten();
    let mut tips: Vec<u128> = tips.map(|(tip, _)| tip).collect();
    tips.sort_unstable();
    let least = if has_fees { LEAST_TIP } else { 0 };
    tips.get(tips.len() / 2).copied().unwrap_or(least).max(least)
}

/// Returns a gas price with which a transaction can be included in the next block.
pub(crate) fn price<S: Snapshot>(shared: &Shared<S>) -> u128 {
    u128::from(shared.view().next_base_fee).saturating_add(tip(shared))
}

/// Returns the tip and the gas used of each transaction.
fn tips(block: &StoredBlock) -> Result<Vec<(u128, u64)>, RpcError> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let each = block.transactions.iter().zip(block.receipts()?).map(|(tx, receipt)| {
        let used = receipt.cumulative_gas_used.saturating_sub(before);
        before = receipt.cumulative_gas_used;
        (tx.effective_tip_per_gas(base_fee).unwrap_or_default(), used)
    });
    Ok(each.collect())
}

/// For each percentile, returns the tip at which transactions, in order of tips, have used this
/// percentage of the block's gas.
fn rewards(block: &StoredBlock, percentiles: &[f64]) -> Result<Vec<u128>, RpcError> {
    let mut tips = tips(block)?;
    tips.sort_unstable();
    let of = |percentile: &f64| {
        let wanted = block.header.gas_used as f64 * percentile / 100.0;
        let mut sum = 0_u64;
        let reached = tips.iter().find(|(_, used)| {
            sum = sum.saturating_add(*used);
            sum as f64 >= wanted
        });
        reached.or(tips.last()).map_or(0, |(tip, _)| *tip)
    };
    Ok(percentiles.iter().map(of).collect())
}

/// The header of a block, and the tips at the percentiles.
type Row = (Header, Vec<u128>);

/// Returns the header and the rewards of each block, and the number of the first one. A request with
/// percentiles needs receipts: blocks up to the last one without are left out, unless that is the
/// newest one.
fn rows<S: Snapshot>(
    shared: &Shared<S>,
    place: &Place,
    numbers: RangeInclusive<u64>,
    percentiles: &[f64],
) -> Result<(u64, Vec<Row>), RpcError> {
    let (mut first, newest) = numbers.into_inner();
    let mut rows = Vec::new();
    for number in (first..=newest).rev() {
        place.check()?;
        let row = match percentiles.is_empty() {
            true => shared.header(number)?.map(|header| Ok((header, Vec::new()))),
            false => shared.block(number)?.map(|block| {
                rewards(&block, percentiles).map(|rewards| (block.header.clone(), rewards))
            }),
        };
        match row {
            Some(Ok(row)) => rows.push(row),
            None | Some(Err(_)) if number < newest => {
                first = number.saturating_add(1);
                break;
            }
            Some(Err(error)) => return Err(error),
            None => return Err(RpcError::UnknownBlock(number.to_string(), newest)),
        }
    }
    rows.reverse();
    Ok((first, rows))
}

/// Returns the price of blob gas; 0 before Cancun.
pub(crate) fn blob_price(env: &BlockEnv) -> u128 {
    env.blob_excess_gas_and_price.map_or(0, |blob| blob.blob_gasprice)
}

/// Implements `eth_feeHistory`: base fees, gas used ratios, and tips.
pub(crate) fn history<S: Snapshot>(
    shared: &Shared<S>,
    place: &Place,
    count: u64,
    newest: BlockNumberOrTag,
    percentiles: &[f64],
) -> Result<FeeHistory, RpcError> {
    let rising = percentiles.is_sorted_by(|one, next| one <= next);
    if !rising || percentiles.iter().any(|it| !(0.0..=100.0).contains(it)) {
        return Err(RpcError::Params("percentiles must rise, from 0 to 100".to_owned()));
    }
    if percentiles.len() > 100 {
        return Err(RpcError::Limit { limit: 100, what: "percentiles" });
    }
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let view = shared.view();
    let head = view.head.number();
    let newest = params::number(shared, head, newest);
    if newest > head {
        return Err(RpcError::UnknownBlock(newest.to_string(), head));
    }
    let oldest = shared.history().oldest_kept().unwrap_or(head);
    if newest < oldest {
        return Err(RpcError::OldBlocks { from: newest, to: newest, oldest });
    }
    let first = newest.saturating_add(1).saturating_sub(count).max(oldest);
    let after = match newest < head {
        true => shared.header(newest.saturating_add(1))?,
        false => None,
    };
    let rules = &shared.producer.rules;
    let next_blob_price = match &after {
        Some(after) => blob_price(&rules.environment(after).1),
        None => blob_price(&shared.producer.next_environment(&view.head, now()).1),
    };
    let (first, rows) = rows(shared, place, first..=newest, percentiles)?;
    let mut answer = FeeHistory { oldest_block: first, ..FeeHistory::default() };
    let mut rewards_of = Vec::new();
    for (header, rewards) in rows {
        answer.base_fee_per_gas.push(u128::from(header.base_fee_per_gas.unwrap_or_default()));
        answer.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit.max(1) as f64);
        answer.base_fee_per_blob_gas.push(blob_price(&rules.environment(&header).1));
        let used = header.blob_gas_used.unwrap_or_default();
        let most = rules.chain_rules(&header).max_blob_gas.unwrap_or_default().max(1);
        answer.blob_gas_used_ratio.push(used as f64 / most as f64);
        rewards_of.push(rewards);
    }
    // One more entry: the base fee of the block after the range.
    let after =
        after.map_or(view.next_base_fee, |header| header.base_fee_per_gas.unwrap_or_default());
    answer.base_fee_per_gas.push(u128::from(after));
    answer.base_fee_per_blob_gas.push(next_blob_price);
    answer.reward = (!percentiles.is_empty()).then_some(rewards_of);
    Ok(answer)
}
