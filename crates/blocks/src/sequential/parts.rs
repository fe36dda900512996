//! Helpers for the block executor: its view of a transaction, receipts, rewards.

use super::ForkSpec;
use crate::block::{Block, ChainRules, Ommer};
use alloy_consensus::{
    EthereumReceipt, Header, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope,
    TxLegacy, TxType, transaction::Recovered,
};
use alloy_eips::eip7685::Requests;
use alloy_evm::{
    Evm,
    block::{BlockExecutionError, calc, state_changes::post_block_balance_increments},
    eth::eip6110,
    eth::receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
};
use alloy_primitives::{Address, B256, Signature, U256, map::AddressMap};
use revm::context::{TxEnv, result::ExecutionResult};

/// Builds receipts without blooms, which are computed later if needed.
#[derive(Clone, Copy, Debug)]
pub struct Receipts;

impl ReceiptBuilder for Receipts {
    type Transaction = TxEnvelope;
    type Receipt = EthereumReceipt;

    fn build_receipt<E: Evm>(&self, ctx: ReceiptBuilderCtx<'_, TxType, E>) -> EthereumReceipt {
        EthereumReceipt {
            tx_type: ctx.tx_type,
            success: ctx.result.is_success(),
            cumulative_gas_used: ctx.cumulative_gas_used,
            logs: ctx.result.into_logs(),
        }
    }
}

/// Returns the result without its logs; the output's bytes are shared, not copied.
pub(super) fn without_logs(result: &ExecutionResult) -> ExecutionResult {
    match result {
        ExecutionResult::Success { reason, gas, output, .. } => ExecutionResult::Success {
            reason: *reason,
            gas: *gas,
            logs: Vec::new(),
            output: output.clone(),
        },
        ExecutionResult::Revert { gas, output, .. } => {
            ExecutionResult::Revert { gas: *gas, logs: Vec::new(), output: output.clone() }
        }
        ExecutionResult::Halt { reason, gas, .. } => {
            ExecutionResult::Halt { reason: reason.clone(), gas: *gas, logs: Vec::new() }
        }
    }
}

/// Returns a transaction with the fields that the block executor reads: type, gas limit, number of
/// blobs.
///
/// The EVM runs on the [`TxEnv`]. Signature and hash are blank, because the executor would only
/// print them.
#[must_use]
pub fn envelope(tx: &TxEnv) -> Recovered<TxEnvelope> {
    let gas_limit = tx.gas_limit;
    let shell = match tx.tx_type {
        1 => Signed::new_unchecked(TxEip2930 { gas_limit, ..TxEip2930::default() }, BLANK, HASH)
            .into(),
        2 => Signed::new_unchecked(TxEip1559 { gas_limit, ..TxEip1559::default() }, BLANK, HASH)
            .into(),
        3 => {
            let blob_versioned_hashes = tx.blob_hashes.clone();
            let inner = TxEip4844 { gas_limit, blob_versioned_hashes, ..TxEip4844::default() };
            Signed::new_unchecked(inner, BLANK, HASH).into()
        }
        4 => Signed::new_unchecked(TxEip7702 { gas_limit, ..TxEip7702::default() }, BLANK, HASH)
            .into(),
        _ => {
            Signed::new_unchecked(TxLegacy { gas_limit, ..TxLegacy::default() }, BLANK, HASH).into()
        }
    };
    Recovered::new_unchecked(shell, tx.caller)
}

const BLANK: Signature = Signature::new(U256::ZERO, U256::ZERO, false);
const HASH: B256 = B256::ZERO;

/// Returns the rewards of a block whose rules set their own reward, in wei by account; otherwise
/// empty.
///
/// A zero reward is left out: it touches no account.
pub(super) fn own_rewards(
    rules: &ChainRules,
    beneficiary: Address,
    number: u64,
    ommers: &[Header],
) -> AddressMap<u128> {
    let mut rewards = AddressMap::default();
    if let Some(base) = rules.block_reward.filter(|base| *base > 0) {
        for ommer in ommers {
            *rewards.entry(ommer.beneficiary).or_default() +=
                calc::ommer_reward(base, number, ommer.number);
        }
        *rewards.entry(beneficiary).or_default() += calc::block_reward(base, ommers.len());
    }
    rewards
}

/// Returns the wei that rewards and withdrawals of `block` add to balances.
#[must_use]
pub fn increments(block: &Block) -> AddressMap<u128> {
    let number = block.env.number.saturating_to();
    let ommer = |ommer: &Ommer| Header {
        beneficiary: ommer.beneficiary,
        number: ommer.number,
        ..Header::default()
    };
    let ommers: Vec<Header> = block.ommers.iter().map(ommer).collect();
    let spec = ForkSpec::new(block.cfg.spec, &block.rules, number).for_executor(&block.rules);
    let withdrawals = block.withdrawals.as_deref();
    let mut all = post_block_balance_increments(spec, &block.env, &ommers, withdrawals);
    for (address, amount) in own_rewards(&block.rules, block.env.beneficiary, number, &ommers) {
        *all.entry(address).or_default() += amount;
    }
    all
}

/// Returns the EIP-6110 deposits of a block whose rules forbid system calls, but not requests by
/// logs.
pub(super) fn deposits(
    spec: &ForkSpec,
    receipts: &[EthereumReceipt],
) -> Result<Requests, BlockExecutionError> {
    let mut requests = Requests::default();
    let deposits = eip6110::parse_deposits_from_receipts(spec, receipts)?;
    if !deposits.is_empty() {
        requests.push_request_with_type(eip6110::DEPOSIT_REQUEST_TYPE, deposits);
    }
    Ok(requests)
}
