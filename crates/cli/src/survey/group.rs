//! Many blocks together: the distribution of their bounds, what limits them, and what their
//! conflict chains wait for.

use super::{
    chain::{ChainStep, Role},
    row::{BlockRow, Limit},
};
use crate::{
    explain::{Kind, function_name},
    serialize,
};
use alloy_primitives::{Address, hex};
use braid_blocks::statistics::quantiles;
use serde::{Serialize, Serializer};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Blocks of one fork, or of all forks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Group {
    /// The fork; null for all blocks.
    pub fork: Option<String>,
    /// Number of blocks.
    pub blocks: usize,
    /// Number of transactions.
    pub txs: usize,
    /// Gas of all transactions.
    pub gas: u64,
    /// Sum of the gas of the longest transaction of each block.
    pub longest: u64,
    /// Sum of the gas of the late-read chain of each block.
    pub late_read: u64,
    /// Sum of the gas of the conflict chain of each block.
    pub chain: u64,
    /// Bounds on the speed-up, and the speed-ups reached.
    pub speedups: Speedups,
    /// Number of blocks that Braid executes faster, simulated, than their conflict chain
    /// allows an engine that runs conflicting transactions one after the other.
    pub passed: usize,
    /// Number of blocks that were measured while the machine was busy.
    pub busy: usize,
    /// What limits the blocks.
    pub limits: Vec<LimitRow>,
    /// Kinds of locations at which the conflict chains wait, the most expensive first.
    pub kinds: Vec<KindRow>,
    /// Accounts at which the conflict chains wait, the most expensive first.
    pub accounts: Vec<ContractRow>,
    /// Number of further accounts.
    pub other_accounts: usize,
}

/// Distributions of speed-ups over the blocks; null where no block has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Speedups {
    /// On an unlimited number of workers, if no transaction waits.
    pub no_conflicts: Option<Spread>,
    /// On an unlimited number of workers, with late reads.
    pub late_read: Option<Spread>,
    /// On an unlimited number of workers, if conflicting transactions run one after the other.
    pub chain: Option<Spread>,
    /// Same, on the requested number of workers.
    pub chain_on_workers: Option<Spread>,
    /// Braid on these simulated workers.
    pub simulated: Option<Spread>,
    /// Braid on this machine.
    pub measured: Option<Spread>,
}

/// Distribution of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Minimum.
    pub lowest: f64,
    /// First quartile.
    pub first_quartile: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub third_quartile: f64,
    /// Maximum.
    pub highest: f64,
}

impl Spread {
    /// Computes the distribution of `numbers`, with linear interpolation; `None` if there are none.
    #[must_use]
    pub fn of(numbers: Vec<f64>) -> Option<Self> {
        let [lowest, first_quartile, median, third_quartile, highest] =
            quantiles(numbers, [0.0, 0.25, 0.5, 0.75, 1.0])?;
        Some(Self { lowest, first_quartile, median, third_quartile, highest })
    }
}

/// Blocks with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LimitRow {
    /// The limit.
    pub limit: Limit,
    /// Number of blocks.
    pub blocks: usize,
    /// Gas of the blocks.
    pub gas: u64,
}

/// A kind of location at which conflict chains wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KindRow {
    /// Kind of the locations.
    pub kind: Kind,
    /// Gas of the transactions that wait at such a location.
    pub chain_cost: u64,
    /// Gas of the transactions that wait at no other kind of location.
    pub alone: u64,
    /// Number of the transactions that wait at such a location.
    pub waits: usize,
    /// Number of their blocks.
    pub blocks: usize,
}

/// An account at which conflict chains wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractRow {
    /// The account.
    #[serde(serialize_with = "serialize::display")]
    pub account: Address,
    /// Role of the account.
    pub role: Role,
    /// Gas of the transactions that wait at it.
    pub chain_cost: u64,
    /// Gas of the transactions that wait at no other account.
    pub alone: u64,
    /// Number of the transactions that wait at it.
    pub waits: usize,
    /// Number of their blocks.
    pub blocks: usize,
    /// Kinds of its locations, the most expensive first.
    pub kinds: Vec<Kind>,
    /// Its functions that these transactions call, the most frequent first.
    pub functions: Vec<Function>,
    /// Forks of these blocks, the oldest first.
    pub forks: Vec<String>,
}

/// A called function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// First four bytes of the input.
    #[serde(serialize_with = "selector")]
    pub selector: [u8; 4],
    /// Its signature, if it belongs to a standard.
    pub signature: Option<&'static str>,
    /// Number of transactions that call it.
    pub transactions: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn selector<S: Serializer>(selector: &[u8; 4], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&hex::encode_prefixed(selector))
}

/// Totals for a kind or an account.
#[derive(Default)]
struct Sum {
    chain_cost: u64,
    alone: u64,
    waits: usize,
    blocks: BTreeSet<usize>,
}

impl Sum {
    fn add(&mut self, block: usize, cost: u64, is_alone: bool) {
        self.chain_cost += cost;
        self.alone += if is_alone { cost } else { 0 };
        self.waits += 1;
        self.blocks.insert(block);
    }
}

#[derive(Default)]
struct AccountSum {
    sum: Sum,
    role: Role,
    kinds: BTreeMap<Kind, u64>,
    selectors: BTreeMap<[u8; 4], usize>,
    forks: BTreeSet<(u8, String)>,
}

type Blocks<'a> = [(&'a BlockRow, &'a [ChainStep])];

impl Group {
    pub(super) fn new(fork: Option<String>, blocks: &Blocks<'_>, top: usize) -> Self {
        let rows = || blocks.iter().map(|(row, _)| *row);
        let (accounts, other_accounts) = accounts(blocks, top);
        Self {
            fork,
            blocks: blocks.len(),
            txs: rows().map(|row| row.txs).sum(),
            gas: rows().map(|row| row.gas).sum(),
            longest: rows().map(|row| row.longest).sum(),
            late_read: rows().map(|row| row.late_read).sum(),
            chain: rows().map(|row| row.chain).sum(),
            speedups: speedups(blocks),
            busy: rows().filter(|row| row.busy_share.is_some()).count(),
            passed: rows().filter(|row| row.passes_the_chain()).count(),
            limits: limits(blocks),
            kinds: kinds(blocks),
            accounts,
            other_accounts,
        }
    }
}

fn speedups(blocks: &Blocks<'_>) -> Speedups {
    let spread = |of: &dyn Fn(&BlockRow) -> Option<f64>| {
        Spread::of(blocks.iter().filter_map(|(row, _)| of(row)).collect())
    };
    Speedups {
        no_conflicts: spread(&|row| Some(row.speedup(row.longest))),
        late_read: spread(&|row| Some(row.speedup(row.late_read))),
        chain: spread(&|row| Some(row.speedup(row.chain))),
        chain_on_workers: spread(&|row| Some(row.speedup(row.chain_on_workers))),
        simulated: spread(&|row| row.simulated_speedup),
        measured: spread(&|row| row.measured_speedup),
    }
}

fn limits(blocks: &Blocks<'_>) -> Vec<LimitRow> {
    let row = |limit: Limit| {
        let of_it = || blocks.iter().filter(move |(row, _)| row.limit == limit);
        let gas = of_it().map(|(row, _)| row.gas).sum();
        LimitRow { limit, blocks: of_it().count(), gas }
    };
    Limit::ALL.map(row).to_vec()
}

fn kinds(blocks: &Blocks<'_>) -> Vec<KindRow> {
    let mut sums: BTreeMap<Kind, Sum> = BTreeMap::new();
    for (block, (_, chain)) in blocks.iter().enumerate() {
        for step in *chain {
            let kinds: BTreeSet<Kind> =
                step.visits.iter().flat_map(|it| &it.kinds).copied().collect();
            for kind in &kinds {
                sums.entry(*kind).or_default().add(block, step.cost, kinds.len() == 1);
            }
        }
    }
    let row = |(kind, sum): (Kind, Sum)| {
        let Sum { chain_cost, alone, waits, blocks } = sum;
        KindRow { kind, chain_cost, alone, waits, blocks: blocks.len() }
    };
    let mut rows: Vec<KindRow> = sums.into_iter().map(row).collect();
    rows.sort_by_key(|row| (Reverse(row.chain_cost), row.kind));
    rows
}

fn accounts(blocks: &Blocks<'_>, top: usize) -> (Vec<ContractRow>, usize) {
    let mut sums: BTreeMap<Address, AccountSum> = BTreeMap::new();
    for (block, (row, chain)) in blocks.iter().enumerate() {
        for step in *chain {
            for visit in &step.visits {
                let sum = sums.entry(visit.account).or_default();
                sum.sum.add(block, step.cost, step.visits.len() == 1);
                sum.role = sum.role.max(visit.role);
                for kind in &visit.kinds {
                    *sum.kinds.entry(*kind).or_default() += step.cost;
                }
                for selector in &visit.selectors {
                    *sum.selectors.entry(*selector).or_default() += 1;
                }
                let (order, fork) = row.fork_in_order();
                sum.forks.insert((order, fork.to_owned()));
            }
        }
    }
    let mut rows: Vec<ContractRow> = sums.into_iter().map(account).collect();
    rows.sort_by_key(|row| (Reverse(row.chain_cost), row.account));
    let others = rows.len().saturating_sub(top);
    rows.truncate(top);
    (rows, others)
}

fn account((account, sum): (Address, AccountSum)) -> ContractRow {
    let mut kinds: Vec<(Kind, u64)> = sum.kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, cost)| (Reverse(*cost), *kind));
    let mut functions: Vec<Function> = sum
        .selectors
        .into_iter()
        .map(|(selector, transactions)| Function {
            selector,
            signature: function_name(selector),
            transactions,
        })
        .collect();
    functions.sort_by_key(|it| (Reverse(it.transactions), it.selector));
    ContractRow {
        account,
        role: sum.role,
        chain_cost: sum.sum.chain_cost,
        alone: sum.sum.alone,
        waits: sum.sum.waits,
        blocks: sum.sum.blocks.len(),
        kinds: kinds.into_iter().map(|(kind, _)| kind).collect(),
        functions,
        forks: sum.forks.into_iter().map(|(_, fork)| fork).collect(),
    }
}
