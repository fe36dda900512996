//! An explanation as JSON, with the fields that docs/EXPLAIN.md documents.

use super::{
    bounds::OnWorkers,
    conflicts::{Conflict, Gain},
    decode::Kind,
    explanation::{Changed, Costs, Explanation},
    lines::SourceLine,
    totals::Costly,
};
use alloy_primitives::{Address, hex};
use serde::Serialize;

/// The explanation of a block.
#[derive(Debug, Serialize)]
pub struct BlockFields {
    /// Number of transactions.
    txs: usize,
    /// Bounds in gas.
    gas: CostFields,
    /// Bounds in nanoseconds; null if nothing was timed.
    time_ns: Option<CostFields>,
    /// Locations at which transactions wait, the most expensive first.
    conflicts: Vec<ConflictFields>,
    /// Number of further locations at which transactions wait.
    other_conflicts: usize,
    /// Transactions that read the beneficiary's balance.
    reads_fees: Vec<usize>,
    /// The block after the requested change.
    #[serde(skip_serializing_if = "Option::is_none")]
    what_if: Option<ChangedFields>,
}

#[derive(Debug, Serialize)]
struct CostFields {
    work: u64,
    longest: u64,
    chain: u64,
    late_read: u64,
    workers: Vec<WorkerFields>,
    conflict_chain: Vec<StepFields>,
}

#[derive(Debug, Serialize)]
struct WorkerFields {
    workers: usize,
    chain: u64,
    late_read: u64,
    no_conflicts: u64,
}

#[derive(Debug, Serialize)]
struct StepFields {
    transaction: usize,
    cost: u64,
    /// Locations at which it waited for the preceding transaction on the path.
    waited_for: Vec<String>,
}

/// A conflict. Costs are in gas, or in nanoseconds if conflicts are ordered by time.
#[derive(Debug, Serialize)]
struct ConflictFields {
    account: Address,
    locations: Vec<String>,
    kind: Kind,
    words: String,
    chain_cost: u64,
    waits: usize,
    own_chain: u64,
    transactions: Vec<usize>,
    functions: Vec<FunctionFields>,
    callees: Vec<CalleeFields>,
    without: GainFields,
    without_those_above: GainFields,
    sharded: Option<GainFields>,
    lines: Vec<SourceLine>,
    advice: &'static str,
}

/// The most expensive locations over many blocks.
#[derive(Debug, Serialize)]
pub struct CostlyFields {
    locations: Vec<String>,
    kind: Kind,
    words: String,
    chain_cost: u64,
    waits: usize,
    blocks: usize,
}

impl From<&Costly> for CostlyFields {
    fn from(it: &Costly) -> Self {
        Self {
            locations: texts(&it.locations),
            kind: it.kind,
            words: it.words.clone(),
            chain_cost: it.chain_cost,
            waits: it.waits,
            blocks: it.blocks,
        }
    }
}

#[derive(Debug, Serialize)]
struct FunctionFields {
    selector: String,
    /// Null if the function is in no ABI and no standard.
    signature: Option<String>,
    transactions: usize,
}

#[derive(Debug, Serialize)]
struct CalleeFields {
    /// Null for a new contract.
    address: Option<Address>,
    transactions: usize,
}

#[derive(Debug, Serialize)]
struct GainFields {
    chain: u64,
    on_workers: u64,
}

#[derive(Debug, Serialize)]
struct ChangedFields {
    without: Vec<String>,
    sharded: Vec<String>,
    /// Members of `without` and `sharded` that no transaction accesses.
    untouched: Vec<String>,
    gas: CostFields,
    time_ns: Option<CostFields>,
}

impl From<&Explanation> for BlockFields {
    fn from(it: &Explanation) -> Self {
        Self {
            txs: it.transactions,
            gas: CostFields::from(&it.gas),
            time_ns: it.time.as_ref().map(CostFields::from),
            conflicts: it.conflicts.first.iter().map(ConflictFields::from).collect(),
            other_conflicts: it.conflicts.others,
            reads_fees: it.reads_fees.clone(),
            what_if: it.changed.as_ref().map(ChangedFields::from),
        }
    }
}

impl From<&Costs> for CostFields {
    fn from(costs: &Costs) -> Self {
        let on = |on: &OnWorkers| WorkerFields {
            workers: on.workers,
            chain: on.chain,
            late_read: on.late_read,
            no_conflicts: on.no_conflicts,
        };
        let steps = costs.conflict_chain.iter().zip(&costs.path_costs);
        let bounds = &costs.bounds;
        Self {
            work: bounds.work,
            longest: bounds.longest,
            chain: bounds.chain,
            late_read: bounds.late_read,
            workers: bounds.workers.iter().map(on).collect(),
            conflict_chain: steps
                .map(|(step, cost)| StepFields {
                    transaction: step.transaction,
                    cost: *cost,
                    waited_for: texts(&step.waited_for),
                })
                .collect(),
        }
    }
}

impl From<&Conflict> for ConflictFields {
    fn from(it: &Conflict) -> Self {
        let functions = it.functions.iter().map(|function| FunctionFields {
            selector: hex::encode_prefixed(function.what),
            signature: it.signatures.get(&function.what).cloned(),
            transactions: function.transactions,
        });
        let callees = it
            .callees
            .iter()
            .map(|callee| CalleeFields { address: callee.what, transactions: callee.transactions });
        Self {
            account: it.account,
            locations: texts(&it.locations),
            kind: it.kind,
            words: it.words.clone(),
            chain_cost: it.chain_cost,
            waits: it.waits,
            own_chain: it.own_chain,
            transactions: it.transactions.clone(),
            functions: functions.collect(),
            callees: callees.collect(),
            without: it.without.into(),
            without_those_above: it.without_those_above.into(),
            sharded: it.sharded.map(GainFields::from),
            lines: it.lines.iter().cloned().collect(),
            advice: it.kind.advice(),
        }
    }
}

impl From<Gain> for GainFields {
    fn from(gain: Gain) -> Self {
        Self { chain: gain.chain, on_workers: gain.on_workers }
    }
}

impl From<&Changed> for ChangedFields {
    fn from(changed: &Changed) -> Self {
        Self {
            without: texts(&changed.what_if.without),
            sharded: texts(&changed.what_if.sharded),
            untouched: texts(&changed.untouched),
            gas: CostFields::from(&changed.gas),
            time_ns: changed.time.as_ref().map(CostFields::from),
        }
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}
