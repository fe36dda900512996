//! The conflict chain of a block: its transactions and the accounts at which they wait.

use crate::explain::{Costs, Kind, Location, Recording, decode};
use alloy_primitives::Address;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// A transaction of a conflict chain that waits for the preceding one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStep {
    /// Cost of the transaction.
    pub cost: u64,
    /// Accounts at which it waits.
    pub visits: Vec<Visit>,
}

/// An account at which a transaction waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The account.
    pub account: Address,
    /// Role of the account at this wait.
    pub role: Role,
    /// Kinds of the locations.
    pub kinds: Vec<Kind>,
    /// Functions of the account that the transaction calls.
    pub selectors: Vec<[u8; 4]>,
}

/// Role of an account in the blocks. Later variants are more specific.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its balance is waited for; whether it has code is unknown.
    #[default]
    Account,
    /// It sends transactions.
    Sender,
    /// It has storage or creates contracts.
    Contract,
}

/// Returns the steps of the conflict chain of `costs`, with the accounts at which each one waits.
#[must_use]
pub fn steps(recording: &Recording, costs: &Costs) -> Vec<ChainStep> {
    let mut kinds: HashMap<Location, Kind> = HashMap::new();
    let mut kind_of = |location: &Location| {
        *kinds.entry(*location).or_insert_with(|| decode(recording, location).kind)
    };
    let path = costs.conflict_chain.iter().zip(&costs.path_costs);
    let waiting = path.filter(|(step, _)| !step.waited_for.is_empty());
    let mut found = Vec::new();
    for (step, &cost) in waiting {
        let transaction = &recording.transactions[step.transaction];
        let mut visits: BTreeMap<Address, Visit> = BTreeMap::new();
        for location in &step.waited_for {
            let (account, kind) = (location.account(), kind_of(location));
            let calls = transaction.calls.iter().filter(|(callee, _)| *callee == account);
            let visit = visits.entry(account).or_insert_with(|| Visit {
                account,
                role: Role::default(),
                kinds: Vec::new(),
                selectors: calls.map(|(_, selector)| *selector).collect(),
            });
            visit.role = visit.role.max(role(kind));
            if !visit.kinds.contains(&kind) {
                visit.kinds.push(kind);
            }
        }
        for visit in visits.values_mut().filter(|it| it.kinds.contains(&Kind::SameSender)) {
            // A sender pays for gas, so its balance conflicts wherever its nonce does.
            visit.kinds.retain(|kind| *kind != Kind::NativeBalance);
        }
        found.push(ChainStep { cost, visits: visits.into_values().collect() });
    }
    found
}

/// Returns the role of an account with a location of this kind.
const fn role(kind: Kind) -> Role {
    match kind {
        Kind::NativeBalance | Kind::Code => Role::Account,
        Kind::SameSender => Role::Sender,
        _ => Role::Contract,
    }
}
