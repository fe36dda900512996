//! Executing a block.

use crate::{
    failure::Failure,
    input::{Input, which},
    state::Subject,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::{block_file::BlockFile, verify::SegmentRecord};
use braid_evm::{BlockOutput, ExecutedStatus, Executor, Outcome, Stats};
use revm::{context::result::Output, database::BundleState, state::AccountInfo};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct ExecutionLine<'a> {
    file: &'a str,
    block: u64,
    hash: B256,
    chain_id: u64,
    fork: &'a str,
    gas: u64,
    blob_gas: u64,
    transactions: Vec<TransactionLine>,
    requests: Vec<Bytes>,
    changes: Vec<ChangeLine>,
    segments: Vec<SegmentRecord>,
    stats: StatsLine,
}

#[derive(Serialize)]
struct TransactionLine {
    index: usize,
    hash: B256,
    /// `success`, `revert`, `halt` or `skipped`.
    status: &'static str,
    reason: Option<String>,
    gas: u64,
    cumulative_gas: u64,
    output: Bytes,
    created: Option<Address>,
    logs: Vec<LogLine>,
}

#[derive(Serialize)]
struct LogLine {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// An account that the block changed.
#[derive(Serialize)]
struct ChangeLine {
    address: Address,
    before: Option<AccountLine>,
    after: Option<AccountLine>,
    storage: BTreeMap<U256, (U256, U256)>,
}

#[derive(Serialize)]
struct AccountLine {
    balance: U256,
    nonce: u64,
    code_hash: B256,
}

#[derive(Serialize)]
struct StatsLine {
    workers: u64,
    sequential: bool,
    incarnations: u64,
    aborts: u64,
    estimate_reads: u64,
    speculative_commits: u64,
}

/// Executes the block of `input` and returns what it leaves, as JSON.
pub(crate) fn execute(
    executor: &mut Executor,
    input: &Input,
    name: &str,
) -> Result<Vec<u8>, Failure> {
    let file = input.load(name)?;
    let Subject { block, state, .. } =
        Subject::new(&file).map_err(|error| Failure::field(name, error))?;
    let output = executor
        .block(braid_evm::Block::from(&block))
        .database(state)
        .execute()
        .map_err(|error| Failure::parallel(name, which(&file), error))?;
    let header = &file.block.header;
    let line = ExecutionLine {
        file: name,
        block: header.inner.number,
        hash: header.hash,
        chain_id: file.meta.chain_id,
        fork: &file.meta.fork,
        gas: output.gas_used,
        blob_gas: output.blob_gas_used,
        transactions: transactions(&file, &output)?,
        requests: output.requests.iter().cloned().collect(),
        changes: changes(&output.bundle),
        segments: output.segments.iter().map(SegmentRecord::from).collect(),
        stats: StatsLine::from(&output.stats),
    };
    serde_json::to_vec(&line).map_err(|error| Failure::Internal(error.to_string()))
}

fn transactions(file: &BlockFile, output: &BlockOutput) -> Result<Vec<TransactionLine>, Failure> {
    let unusable = |error| Failure::field("", error);
    let whole = file.transactions().map_err(unusable)?;
    let (mut receipts, mut before) = (output.receipts.iter(), 0);
    let lines = output.outcomes.iter().zip(whole).enumerate().map(|(index, (outcome, whole))| {
        let mut line = TransactionLine {
            index,
            hash: *whole.inner.inner().tx_hash(),
            status: "skipped",
            reason: None,
            gas: 0,
            cumulative_gas: before,
            output: Bytes::new(),
            created: None,
            logs: Vec::new(),
        };
        let executed = match outcome {
            Outcome::Skipped(rejection) => {
                line.reason = Some(rejection.to_string());
                return line;
            }
            Outcome::Executed(executed) => executed,
        };
        (line.status, line.reason) = match &executed.status {
            ExecutedStatus::Success { reason, output } => {
                line.output = output.data().clone();
                if let Output::Create(_, address) = output {
                    line.created = *address;
                }
                ("success", Some(format!("{reason:?}")))
            }
            ExecutedStatus::Revert { output } => {
                line.output = output.clone();
                ("revert", None)
            }
            ExecutedStatus::Halt { reason } => ("halt", Some(format!("{reason:?}"))),
        };
        if let Some(receipt) = receipts.next() {
            line.cumulative_gas = receipt.cumulative_gas_used;
            line.gas = receipt.cumulative_gas_used.saturating_sub(before);
            before = receipt.cumulative_gas_used;
            let log = |log: &alloy_primitives::Log| LogLine {
                address: log.address,
                topics: log.topics().to_vec(),
                data: log.data.data.clone(),
            };
            line.logs = receipt.logs.iter().map(log).collect();
        }
        line
    });
    Ok(lines.collect())
}

/// The accounts of `bundle` that have changed, in order.
fn changes(bundle: &BundleState) -> Vec<ChangeLine> {
    let account = |info: &AccountInfo| AccountLine {
        balance: info.balance,
        nonce: info.nonce,
        code_hash: info.code_hash,
    };
    let same = |one: Option<&AccountInfo>, other: Option<&AccountInfo>| match (one, other) {
        (Some(one), Some(other)) => {
            (one.balance, one.nonce, one.code_hash) == (other.balance, other.nonce, other.code_hash)
        }
        (one, other) => one.is_none() && other.is_none(),
    };
    let mut lines: Vec<ChangeLine> = bundle
        .state
        .iter()
        .filter_map(|(address, it)| {
            let changed = it.storage.iter().filter(|(_, slot)| slot.is_changed());
            let storage: BTreeMap<_, _> = changed
                .map(|(slot, it)| (*slot, (it.previous_or_original_value, it.present_value)))
                .collect();
            let (before, after) = (it.original_info.as_ref(), it.info.as_ref());
            (!storage.is_empty() || !same(before, after)).then(|| ChangeLine {
                address: *address,
                before: before.map(account),
                after: after.map(account),
                storage,
            })
        })
        .collect();
    lines.sort_by_key(|line| line.address);
    lines
}

impl From<&Stats> for StatsLine {
    fn from(stats: &Stats) -> Self {
        Self {
            workers: stats.workers,
            sequential: stats.sequential,
            incarnations: stats.incarnations,
            aborts: stats.aborts,
            estimate_reads: stats.estimate_reads,
            speculative_commits: stats.speculative_commits,
        }
    }
}
