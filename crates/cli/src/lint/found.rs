//! Derives findings from recordings of blocks.

use super::finding::{Conflict, Example, Finding, Function};
use crate::explain::{
    Kind, Location, Meaning, Recorded, Recording, SlotPath, SlotStep, SourceLine, decode,
    source_lines,
};
use alloy_primitives::{Address, U256};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A recorded block.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Name of the block file.
    pub file: &'a str,
    /// Path of the block file.
    pub path: &'a str,
    /// Accesses of its transactions.
    pub recording: &'a Recording,
    /// Accounts that have code before the block.
    pub contracts: &'a BTreeSet<Address>,
    /// Recipient of the fees, which are no conflict.
    pub beneficiary: Address,
}

/// A variable of a contract.
type Variable = (Address, String);

/// Facts about a variable in all blocks.
#[derive(Debug)]
struct Known {
    /// Kind of its locations; the most specific one of several.
    kind: Kind,
    /// Name of the contract.
    name: Option<String>,
    /// Conflicts, by their two functions.
    conflicts: BTreeMap<[Option<[u8; 4]>; 2], Sum>,
}

#[derive(Debug)]
struct Sum {
    functions: [Function; 2],
    pairs: u64,
    locations: BTreeSet<Location>,
    blocks: usize,
    last_block: usize,
    example: Example,
    lines: BTreeSet<SourceLine>,
}

/// Findings of the blocks so far.
#[derive(Debug, Default)]
pub struct Lint {
    /// Contracts whose variables are checked; all if empty.
    only: BTreeSet<Address>,
    /// Contracts of `only` that a transaction has touched.
    touched: BTreeSet<Address>,
    variables: BTreeMap<Variable, Known>,
    blocks: usize,
    transactions: usize,
}

/// A transaction that accesses a location.
struct Visitor {
    transaction: usize,
    sender: Address,
    /// Functions that access the location, and whether each one writes.
    functions: BTreeMap<Option<[u8; 4]>, bool>,
    writes: bool,
}

/// Transactions of one sender that access a location through one function.
#[derive(Default)]
struct Group {
    visits: u64,
    writes: u64,
    /// The first transaction, and the first one that writes.
    first: Option<usize>,
    writer: Option<usize>,
}

/// Number of pairs of transactions, with an example, by two functions.
type Pairs = BTreeMap<[Option<[u8; 4]>; 2], (u64, [usize; 2])>;

type Groups = BTreeMap<(Option<[u8; 4]>, Address), Group>;

impl Lint {
    /// Creates an empty collection that checks the contracts `only`, or all if there are none.
    #[must_use]
    pub fn new(only: impl IntoIterator<Item = Address>) -> Self {
        Self { only: only.into_iter().collect(), ..Self::default() }
    }

    /// Returns the numbers of blocks and transactions that were checked.
    #[must_use]
    pub const fn looked_at(&self) -> (usize, usize) {
        (self.blocks, self.transactions)
    }

    /// Returns the requested contracts that no transaction has touched.
    pub fn untouched(&self) -> impl Iterator<Item = &Address> {
        self.only.difference(&self.touched)
    }

    /// Checks a block.
    pub fn add(&mut self, subject: &Subject<'_>) {
        self.blocks += 1;
        self.transactions += subject.recording.transactions.len();
        let accesses = subject.recording.transactions.iter().flat_map(|it| &it.accesses);
        let accounts = accesses.map(|access| access.location.account());
        self.touched.extend(accounts.filter(|account| self.only.contains(account)));
        let senders: BTreeSet<Address> =
            subject.recording.transactions.iter().map(|it| it.sender).collect();
        let is_asked = |location: &Location| {
            let account = location.account();
            let is_variable = match location {
                Location::Slot(..) => true,
                Location::Balance(_) | Location::Nonce(_) | Location::Code(_) => {
                    subject.contracts.contains(&account)
                        && !senders.contains(&account)
                        && account != subject.beneficiary
                }
            };
            is_variable && (self.only.is_empty() || self.only.contains(&account))
        };
        for (location, visitors) in visitors(subject.recording, is_asked) {
            self.location(subject, &location, &visitors);
        }
    }

    fn location(&mut self, subject: &Subject<'_>, location: &Location, visitors: &[Visitor]) {
        let mut groups = Groups::new();
        for visitor in visitors {
            for (function, writes) in &visitor.functions {
                let group = groups.entry((*function, visitor.sender)).or_default();
                group.visits += 1;
                group.first.get_or_insert(visitor.transaction);
                if *writes {
                    group.writes += 1;
                    group.writer.get_or_insert(visitor.transaction);
                }
            }
        }
        let pairs = pairs(&groups);
        if pairs.is_empty() {
            return;
        }
        let (variable, meaning) = variable(subject.recording, location);
        let known = self.variables.entry((location.account(), variable)).or_insert_with(|| Known {
            kind: meaning.kind,
            name: subject.recording.names.contract(&location.account()).map(str::to_owned),
            conflicts: BTreeMap::new(),
        });
        known.kind = known.kind.min(meaning.kind);
        for (functions, (count, example)) in pairs {
            let sum = known.conflicts.entry(functions).or_insert_with(|| {
                let named = |function: Option<[u8; 4]>| {
                    let name = function.and_then(|it| subject.recording.names.function(it));
                    Function::new(function, name)
                };
                Sum {
                    functions: functions.map(named),
                    pairs: 0,
                    locations: BTreeSet::new(),
                    blocks: 0,
                    last_block: 0,
                    example: Example {
                        file: subject.file.to_owned(),
                        path: subject.path.to_owned(),
                        transactions: example,
                        location: location.to_string(),
                        words: meaning.words.clone(),
                    },
                    lines: BTreeSet::new(),
                }
            });
            sum.pairs += count;
            sum.locations.insert(*location);
            // A block counts once per conflict, whatever its number of locations.
            sum.blocks += usize::from(sum.last_block != self.blocks);
            sum.last_block = self.blocks;
            let are_these = |function| functions.contains(&function);
            sum.lines.extend(source_lines(subject.recording, &[*location], are_these));
        }
    }

    /// Returns the findings, those with the most frequent conflict first.
    #[must_use]
    pub fn finish(self) -> Vec<Finding> {
        let mut findings: BTreeMap<(Address, Kind), Finding> = BTreeMap::new();
        for ((contract, variable), Known { kind, name, conflicts }) in self.variables {
            let finding = findings.entry((contract, kind)).or_insert_with(|| Finding {
                contract,
                name,
                kind,
                conflicts: Vec::new(),
                advice: kind.advice(),
            });
            finding.conflicts.extend(conflicts.into_values().map(|sum| Conflict {
                variable: variable.clone(),
                functions: sum.functions,
                pairs: sum.pairs,
                locations: sum.locations.len(),
                blocks: sum.blocks,
                example: sum.example,
                lines: sum.lines.into_iter().collect(),
            }));
        }
        let mut findings: Vec<Finding> = findings.into_values().collect();
        for finding in &mut findings {
            finding.conflicts.sort_by_key(|it| Reverse(it.pairs));
        }
        findings.sort_by_key(|it| Reverse(it.conflicts.first().map(|it| it.pairs)));
        findings
    }
}

/// Returns the transactions at each requested location that several transactions access and one
/// writes.
fn visitors(
    recording: &Recording,
    is_asked: impl Fn(&Location) -> bool,
) -> BTreeMap<Location, Vec<Visitor>> {
    let mut found: BTreeMap<Location, Vec<Visitor>> = BTreeMap::new();
    for (transaction, it) in recording.transactions.iter().enumerate() {
        for access in it.accesses.iter().filter(|access| is_asked(&access.location)) {
            let writes = access.written.is_some();
            found.entry(access.location).or_default().push(Visitor {
                transaction,
                sender: it.sender,
                functions: functions(it, &access.location, writes),
                writes,
            });
        }
    }
    found.retain(|_, visitors| visitors.len() > 1 && visitors.iter().any(|it| it.writes));
    found
}

/// Returns the functions of the contract through which a transaction accessed a location, and
/// whether each one writes there. A function writes a location that the transaction `writes` if its
/// own call frames store there.
fn functions(
    transaction: &Recorded,
    location: &Location,
    writes: bool,
) -> BTreeMap<Option<[u8; 4]>, bool> {
    let mut found = BTreeMap::new();
    for site in transaction.sites.iter().filter(|site| site.location == *location) {
        *found.entry(site.function).or_default() |= site.stores && writes;
    }
    if let Location::Code(account) = location {
        let calls = transaction.calls.iter().filter(|(callee, _)| callee == account);
        found.extend(calls.map(|(_, selector)| (Some(*selector), writes)));
    }
    if found.is_empty() { BTreeMap::from([(None, writes)]) } else { found }
}

/// Counts pairs of transactions of different senders by their functions, with an example of each.
fn pairs(groups: &Groups) -> Pairs {
    let mut found = Pairs::new();
    let all: Vec<_> = groups.iter().collect();
    for (index, ((function, sender), one)) in all.iter().enumerate() {
        for ((second, other_sender), other) in &all[index + 1..] {
            if sender == other_sender {
                continue;
            }
            let without = (one.visits - one.writes) * (other.visits - other.writes);
            let count = one.visits * other.visits - without;
            let example = match (one.writer, other.first, one.first, other.writer) {
                (Some(writer), Some(first), ..) | (_, _, Some(first), Some(writer)) => {
                    [writer.min(first), writer.max(first)]
                }
                _ => continue,
            };
            let pair = found.entry([*function, *second]).or_insert((0, example));
            pair.0 += count;
            pair.1 = pair.1.min(example);
        }
    }
    found
}

/// Returns the variable at `location` for any key, and the meaning of the location.
fn variable(recording: &Recording, location: &Location) -> (String, Meaning) {
    let meaning = decode(recording, location);
    let Location::Slot(contract, slot) = location else {
        let what = match location {
            Location::Balance(_) => "ether of the contract",
            Location::Nonce(_) => "nonce of the contract",
            _ => "code of the contract",
        };
        return (what.to_owned(), meaning);
    };
    let path = recording.preimages.path(*slot);
    let fields = recording.names.fields(contract, &path);
    // Of variables that share a slot, only those whose bytes change count.
    let written = recording.transactions.iter().filter_map(|it| {
        let at = it.accesses.binary_search_by_key(location, |access| access.location).ok()?;
        it.accesses[at].written
    });
    let written: Vec<(U256, U256)> = written.collect();
    let changed: Vec<&str> = fields
        .iter()
        .filter(|field| written.iter().any(|(before, after)| field.differs(*before, *after)))
        .map(|field| field.pattern.as_str())
        .collect();
    if changed.is_empty() { (pattern(&path), meaning) } else { (changed.join(", "), meaning) }
}

/// Formats the path to a slot, for any key.
fn pattern(path: &SlotPath) -> String {
    let mut text = if path.root < U256::from(u64::MAX) {
        format!("slot {}", path.root)
    } else {
        format!("slot {:#x}", path.root)
    };
    for step in &path.steps {
        match step {
            SlotStep::Key(_) | SlotStep::Bytes(_) | SlotStep::Element(_) => text += "[*]",
            SlotStep::Member(member) => text += &format!(" + {member}"),
        }
    }
    text
}
