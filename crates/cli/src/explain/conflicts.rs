//! Locations at which transactions wait, ordered by cost.

use super::{
    bounds::{Axis, Graph, Rule, Step},
    decode::{self, Kind, Meaning},
    lines::{SourceLine, source_lines},
    location::{Location, Target},
    record::Recording,
    what_if::WhatIf,
};
use alloy_primitives::Address;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Locations of one account at which the same transactions wait, and which would have to be removed
/// together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The account of the locations.
    pub account: Address,
    /// The locations, in order.
    pub locations: Vec<Location>,
    /// Kind of the locations; the most specific one of several.
    pub kind: Kind,
    /// Description of the locations.
    pub words: String,
    /// Lines of source that store there, then lines that load; empty without a source map.
    pub lines: BTreeSet<SourceLine>,
    /// Cost of the transactions on the conflict chain that wait here.
    pub chain_cost: u64,
    /// Number of these transactions.
    pub waits: usize,
    /// Cost of the longest chain if transactions conflicted nowhere else.
    pub own_chain: u64,
    /// Transactions that write here, or read an earlier write.
    pub transactions: Vec<usize>,
    /// Functions of the account that these transactions call, the most frequent first.
    pub functions: Vec<Counted<[u8; 4]>>,
    /// Known signatures of these functions.
    pub signatures: BTreeMap<[u8; 4], String>,
    /// Accounts that these transactions call at the top level, the most frequent first; `None`
    /// creates a contract.
    pub callees: Vec<Counted<Option<Address>>>,
    /// The block without conflicts here.
    pub without: Gain,
    /// The block without conflicts here and at all locations with a higher cost.
    pub without_those_above: Gain,
    /// The block if each sender had these locations for itself; `None` if they are not storage.
    pub sharded: Option<Gain>,
}

impl Conflict {
    /// Returns the signature of a function, or its selector if that is unknown.
    #[must_use]
    pub(super) fn function(&self, selector: [u8; 4]) -> String {
        let known = self.signatures.get(&selector).cloned();
        known.unwrap_or_else(|| alloy_primitives::hex::encode_prefixed(selector))
    }
}

/// A value, and the number of transactions that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<T> {
    /// The value.
    pub what: T,
    /// Number of transactions.
    pub transactions: usize,
}

/// Costs of a block after a change, on the axis by which conflicts are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// Cost of the conflict chain.
    pub chain: u64,
    /// Cost from start to end on the requested number of workers, with [`Rule::Whole`].
    pub on_workers: u64,
}

/// Locations at which transactions wait.
#[derive(Clone, Debug, Default)]
pub struct Conflicts {
    /// The first ones, ordered by cost.
    pub first: Vec<Conflict>,
    /// Number of the others.
    pub others: usize,
}

impl Conflicts {
    /// Returns whether no transaction waits anywhere.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty() && self.others == 0
    }
}

/// Facts about a location before it is decoded.
#[derive(Default)]
struct Found {
    /// Transactions that wait here.
    readers: BTreeSet<usize>,
    writers: BTreeSet<usize>,
    /// Those on the conflict chain.
    on_path: BTreeSet<usize>,
    own_chain: u64,
}

/// Locations at which the same transactions wait, at the same cost.
struct Group {
    account: Address,
    locations: Vec<Location>,
    on_path: BTreeSet<usize>,
    own_chain: u64,
    transactions: BTreeSet<usize>,
}

/// Returns the `top` most expensive locations by `axis`, with the cost of the block on `workers`
/// without them.
#[must_use]
pub fn conflicts(recording: &Recording, axis: Axis, workers: usize, top: usize) -> Conflicts {
    let graph = Graph::new(recording, axis, &WhatIf::NOTHING);
    let mut groups = grouped(found(recording, &graph));
    let cost = |steps: &BTreeSet<usize>| steps.iter().map(|&it| graph.costs()[it]).sum::<u64>();
    groups.sort_by_key(|group| {
        (Reverse(cost(&group.on_path)), Reverse(group.own_chain), group.locations.first().copied())
    });
    let others = groups.len().saturating_sub(top);
    groups.truncate(top);
    let gain = |what_if: &WhatIf| {
        let graph = Graph::new(recording, axis, what_if);
        Gain { chain: graph.chain(Rule::Whole), on_workers: graph.span(Rule::Whole, workers) }
    };
    let mut above = WhatIf::default();
    let first = groups.into_iter().map(|group| {
        let chain_cost = cost(&group.on_path);
        let targets = group.locations.iter().copied().map(Target::Location);
        let alone = WhatIf { without: targets.clone().collect(), ..WhatIf::default() };
        above.without.extend(targets);
        let is_storage = group.locations.iter().all(|it| matches!(it, Location::Slot(..)));
        let sharded = WhatIf { sharded: group.locations.clone(), ..WhatIf::default() };
        let meaning = meaning(recording, &group);
        let functions = functions(recording, &group);
        let signature =
            |it: &Counted<[u8; 4]>| Some((it.what, recording.names.function(it.what)?.to_owned()));
        Conflict {
            signatures: functions.iter().filter_map(signature).collect(),
            kind: meaning.kind,
            words: meaning.words,
            lines: source_lines(recording, &group.locations, |_| true),
            chain_cost,
            waits: group.on_path.len(),
            own_chain: group.own_chain,
            functions,
            callees: callees(recording, &group),
            without: gain(&alone),
            without_those_above: gain(&above),
            sharded: is_storage.then(|| gain(&sharded)),
            account: group.account,
            locations: group.locations,
            transactions: group.transactions.into_iter().collect(),
        }
    });
    Conflicts { first: first.collect(), others }
}

fn found(recording: &Recording, graph: &Graph) -> BTreeMap<Location, Found> {
    let mut all: BTreeMap<Location, Found> = BTreeMap::new();
    for (reader, needs) in graph.needs().iter().enumerate() {
        for need in needs {
            let found = all.entry(need.location).or_default();
            found.readers.insert(reader);
            found.writers.insert(need.writer);
        }
    }
    for Step { transaction, waited_for } in graph.conflict_chain() {
        for location in waited_for {
            all.entry(location).or_default().on_path.insert(transaction);
        }
    }
    // When the last writer of each location ends, if transactions wait nowhere else.
    let mut ends: HashMap<Location, u64> = HashMap::new();
    for (transaction, cost) in recording.transactions.iter().zip(graph.costs()) {
        for access in &transaction.accesses {
            let Some(found) = all.get_mut(&access.location) else { continue };
            let end = ends.get(&access.location).copied().unwrap_or_default() + cost;
            found.own_chain = found.own_chain.max(end);
            if access.written.is_some() {
                ends.insert(access.location, end);
            }
        }
    }
    all
}

/// Groups locations of an account: on the path, those at which the same transactions of the path
/// wait; off the path, those at which the same transactions wait.
fn grouped(all: BTreeMap<Location, Found>) -> Vec<Group> {
    let mut groups: BTreeMap<(Address, bool, BTreeSet<usize>), Group> = BTreeMap::new();
    for (location, found) in all {
        let is_on_path = !found.on_path.is_empty();
        let same = if is_on_path { found.on_path.clone() } else { found.readers.clone() };
        let account = location.account();
        let group = groups.entry((account, is_on_path, same)).or_insert_with(|| Group {
            account,
            locations: Vec::new(),
            on_path: found.on_path,
            own_chain: 0,
            transactions: BTreeSet::new(),
        });
        group.locations.push(location);
        group.own_chain = group.own_chain.max(found.own_chain);
        group.transactions.extend(found.readers);
        group.transactions.extend(found.writers);
    }
    groups.into_values().collect()
}

fn meaning(recording: &Recording, group: &Group) -> Meaning {
    let meanings = group.locations.iter().map(|it| decode::decode(recording, it)).collect();
    together(group.account, &group.locations, meanings)
}

/// Describes several locations of an account as one.
pub(super) fn together(
    account: Address,
    locations: &[Location],
    mut meanings: Vec<Meaning>,
) -> Meaning {
    let is_senders = |it: &Location| matches!(it, Location::Nonce(_) | Location::Balance(_));
    if locations.iter().all(is_senders)
        && meanings.iter().any(|meaning| meaning.kind == Kind::SameSender)
    {
        let words = format!("sender {account}: its transactions run in nonce order");
        return Meaning { kind: Kind::SameSender, words };
    }
    meanings.sort_by_key(|meaning| meaning.kind);
    let mut words: Vec<String> = meanings.iter().map(|meaning| meaning.words.clone()).collect();
    let kind = meanings.first().map_or(Kind::Slot, |meaning| meaning.kind);
    match words.len() {
        0 | 1 => Meaning { kind, words: words.pop().unwrap_or_default() },
        count => {
            let more = format!("{}; and {} more locations of {account}", words[0], count - 1);
            let words = if count == 2 { words.join("; and ") } else { more };
            Meaning { kind, words }
        }
    }
}

fn counted<T: Copy + Ord>(each: impl Iterator<Item = T>) -> Vec<Counted<T>> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for what in each {
        *counts.entry(what).or_default() += 1;
    }
    let counted = |(what, transactions)| Counted { what, transactions };
    let mut all: Vec<Counted<T>> = counts.into_iter().map(counted).collect();
    all.sort_by_key(|it| Reverse(it.transactions));
    all
}

fn functions(recording: &Recording, group: &Group) -> Vec<Counted<[u8; 4]>> {
    let calls = group.transactions.iter().flat_map(|&it| &recording.transactions[it].calls);
    counted(calls.filter(|(contract, _)| *contract == group.account).map(|(_, selector)| *selector))
}

fn callees(recording: &Recording, group: &Group) -> Vec<Counted<Option<Address>>> {
    counted(group.transactions.iter().map(|&it| recording.transactions[it].callee))
}
