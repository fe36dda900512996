//! An explanation as JSON: the fields that docs/EXPLAIN.md documents.

use super::{
    bounds::OnWorkers,
    explanation::{Changed, Costs, Explanation},
};
use serde::Serialize;

/// All that is said of a block.
#[derive(Debug, Serialize)]
pub struct BlockFields {
    /// Transactions of the block.
    txs: usize,
    /// Bounds in gas.
    gas: CostFields,
    /// Bounds in nanoseconds; null if nothing was timed.
    time_ns: Option<CostFields>,
    /// Transactions that look at the beneficiary's balance.
    reads_fees: Vec<usize>,
    /// The block with the change that was asked for.
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
    critical_path: Vec<StepFields>,
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
    /// What it waited for, of the transaction before it on the path.
    waited_for: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ChangedFields {
    without: Vec<String>,
    sharded: Vec<String>,
    /// Those of both that no transaction touches.
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
        let steps = costs.critical_path.iter().zip(&costs.path_costs);
        let bounds = &costs.bounds;
        Self {
            work: bounds.work,
            longest: bounds.longest,
            chain: bounds.chain,
            late_read: bounds.late_read,
            workers: bounds.workers.iter().map(on).collect(),
            critical_path: steps
                .map(|(step, cost)| StepFields {
                    transaction: step.transaction,
                    cost: *cost,
                    waited_for: texts(&step.waited_for),
                })
                .collect(),
        }
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
