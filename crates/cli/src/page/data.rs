//! The data that the page draws for one block.

use super::{
    callees::{Callees, callees},
    locations::{LocationRow, Wait, locations},
    simulated::Simulated,
    timeline::Timeline,
};
use crate::{
    explain::{Explanation, Graph, Question, Recording, Rule, WhatIf},
    serialize,
};
use alloy_primitives::{Address, hex};
use serde::{Serialize, Serializer};

/// A block on the page. Costs are in gas, or in nanoseconds if conflicts are ordered by time.
#[derive(Clone, Debug, Serialize)]
pub struct BlockPage {
    /// The text of `braid explain`.
    pub words: String,
    /// The transactions, in block order.
    pub transactions: Vec<TransactionRow>,
    /// Locations at which transactions wait, ordered by cost.
    pub locations: Vec<LocationRow>,
    /// Number of locations that have no row.
    pub other_locations: usize,
    /// Waits between transactions.
    pub waits: Vec<Wait>,
    /// The waits, by the contracts that the transactions call.
    pub callees: Callees,
    /// Speed-ups by number of workers.
    pub speedups: Vec<Speedup>,
    /// Activity of the simulated workers; null if the block cannot be simulated.
    pub timeline: Option<Timeline>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionRow {
    /// Account that pays for it.
    #[serde(serialize_with = "serialize::display")]
    pub sender: Address,
    /// Account that it calls; null if it creates a contract.
    #[serde(serialize_with = "display_some")]
    pub to: Option<Address>,
    /// First four bytes of its input.
    pub selector: Option<String>,
    /// Signature of the called function, if it is in an ABI or a standard.
    pub function: Option<String>,
    /// Gas used.
    pub gas: u64,
    /// Time of its execution; null if nothing was timed.
    pub time_ns: Option<u64>,
    /// Cost up to its end if conflicting transactions run one after the other, on an unlimited
    /// number of workers.
    pub ends: u64,
    /// Its own cost.
    pub cost: u64,
}

/// Speed-up on a number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speedup {
    /// Number of workers.
    pub workers: usize,
    /// Measured on threads of this machine; null if not measured.
    pub measured: Option<f64>,
    /// Simulated; null if not simulated.
    pub simulated: Option<f64>,
}

impl BlockPage {
    /// Collects the data of the block of `recording`. `measured` has pairs of workers and speed-up.
    #[must_use]
    pub fn new(
        recording: &Recording,
        (explanation, question): (&Explanation, &Question),
        words: String,
        measured: &[(usize, f64)],
        simulated: Option<Simulated>,
    ) -> Self {
        let (axis, costs) = explanation.ordered_by(question.axis);
        let graph = Graph::new(recording, axis, &WhatIf::NOTHING);
        let (rows, other_locations, waits) = locations(recording, &graph, &costs.conflict_chain);
        let callees = callees(recording, &graph, &waits);
        let speedups = speedups(measured, simulated.as_ref());
        Self {
            words,
            transactions: transactions(recording, &graph),
            locations: rows,
            other_locations,
            waits,
            callees,
            speedups,
            timeline: simulated.map(|it| it.timeline),
        }
    }
}

fn display_some<S: Serializer>(address: &Option<Address>, to: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serialize::display(address, to),
        None => to.serialize_none(),
    }
}

fn transactions(recording: &Recording, graph: &Graph) -> Vec<TransactionRow> {
    let ends = graph.ends(Rule::Whole);
    let rows = recording.transactions.iter().zip(graph.costs()).zip(ends);
    let rows = rows.map(|((it, &cost), ends)| TransactionRow {
        sender: it.sender,
        to: it.callee,
        selector: it.selector.map(hex::encode_prefixed),
        function: it
            .selector
            .and_then(|selector| recording.names.function(selector))
            .map(str::to_owned),
        gas: it.gas,
        time_ns: recording.timed.then(|| u64::try_from(it.time.as_nanos()).unwrap_or(u64::MAX)),
        ends,
        cost,
    });
    rows.collect()
}

fn speedups(measured: &[(usize, f64)], simulated: Option<&Simulated>) -> Vec<Speedup> {
    let times = simulated.into_iter().flat_map(|it| &it.times);
    let mut workers: Vec<usize> =
        times.map(|(workers, _)| *workers).chain(measured.iter().map(|(it, _)| *it)).collect();
    workers.sort_unstable();
    workers.dedup();
    let speedup = |workers: usize| {
        let of_it = measured.iter().find(|(count, _)| *count == workers);
        Speedup {
            workers,
            measured: of_it.map(|(_, it)| *it),
            simulated: simulated.and_then(|it| it.speedup(workers)),
        }
    };
    workers.into_iter().map(speedup).collect()
}
