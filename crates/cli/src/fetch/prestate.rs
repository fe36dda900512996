//! The part of the state before a block that the node's prestate tracer returns.
//!
//! The tracer returns, for each transaction, the accounts and slots that it touches, with their
//! values before that transaction. For the first transaction that touches a location, that is the
//! value before the block, because no earlier transaction has changed it. The calls before the
//! transactions may have, so the accounts they call are never taken from the tracer.

use super::{Client, FetchError, Tracer, block::Found};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use braid_terminal::Transport;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, btree_map::Entry};

/// Accounts by address, with their values before the block.
#[derive(Debug, Default)]
pub(super) struct Prestate {
    pub(super) accounts: BTreeMap<Address, Traced>,
}

/// An account in the tracer's output. Zero or empty fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Traced {
    #[serde(default)]
    pub(super) balance: U256,
    #[serde(default, deserialize_with = "nonce")]
    pub(super) nonce: u64,
    #[serde(default)]
    pub(super) code: Bytes,
    #[serde(default)]
    pub(super) storage: BTreeMap<B256, B256>,
}

/// Parses a nonce: geth writes numbers, others hex quantities.
fn nonce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Nonce {
        Number(u64),
        Quantity(U64),
    }
    Ok(match Nonce::deserialize(deserializer)? {
        Nonce::Number(nonce) => nonce,
        Nonce::Quantity(nonce) => nonce.to(),
    })
}

/// The tracer's output for one transaction.
#[derive(Debug, Deserialize)]
struct Trace {
    result: BTreeMap<Address, Traced>,
}

/// Runs the tracer. Returns nothing if the node does not support it and it is optional.
pub(super) fn of_block<T: Transport>(
    client: &Client<T>,
    found: &Found,
    tracer: Tracer,
    notes: &mut Vec<String>,
) -> Result<Prestate, FetchError> {
    if tracer == Tracer::Never || found.block.transactions.is_empty() {
        return Ok(Prestate::default());
    }
    let how = serde_json::json!({ "tracer": "prestateTracer" });
    let traces: Vec<Trace> = match client.call("debug_traceBlockByNumber", (found.tag(), how)) {
        Ok(traces) => traces,
        Err(error) if error.is_not_served() && tracer == Tracer::Auto => {
            notes.push(format!("read without a tracer, one call at a time: {error}"));
            return Ok(Prestate::default());
        }
        Err(error) => return Err(error.into()),
    };
    let mut prestate = Prestate::default();
    for trace in traces {
        prestate.add(trace.result);
    }
    for address in changed_before_transactions() {
        prestate.accounts.remove(&address);
    }
    Ok(prestate)
}

/// Returns the accounts that may change before the first transaction.
fn changed_before_transactions() -> impl Iterator<Item = Address> {
    let system = [HISTORY_STORAGE_ADDRESS, BEACON_ROOTS_ADDRESS, DAO_HARDFORK_BENEFICIARY];
    system.into_iter().chain(DAO_HARDFORK_ACCOUNTS)
}

impl Prestate {
    /// Adds the accesses of the next transaction; locations that an earlier one touched keep their
    /// values.
    fn add(&mut self, touched: BTreeMap<Address, Traced>) {
        for (address, later) in touched {
            match self.accounts.entry(address) {
                Entry::Vacant(unseen) => {
                    unseen.insert(later);
                }
                Entry::Occupied(mut seen) => {
                    for (slot, value) in later.storage {
                        seen.get_mut().storage.entry(slot).or_insert(value);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_seen_first_stays() {
        let [a, b] = [1, 2].map(Address::with_last_byte);
        let [one, two, three] = [1, 2, 3].map(B256::with_last_byte);
        let mut prestate = Prestate::default();
        let first = json!({
            (a.to_string()): { "balance": "0x5", "storage": { (one.to_string()): one } },
        });
        let later = json!({ (one.to_string()): two, (two.to_string()): three });
        let second = json!({
            (a.to_string()): { "balance": "0x4", "nonce": 1, "storage": later },
            (b.to_string()): { "balance": "0x9", "nonce": "0x7", "code": "0x00" },
        });
        for trace in [first, second] {
            prestate.add(serde_json::from_value(trace).expect("a trace"));
        }
        let expected = Traced {
            balance: U256::from(5),
            storage: BTreeMap::from([(one, one), (two, three)]),
            ..Traced::default()
        };
        assert_eq!(prestate.accounts[&a], expected);
        let expected = Traced {
            balance: U256::from(9),
            nonce: 7,
            code: Bytes::from_static(&[0]),
            storage: BTreeMap::new(),
        };
        assert_eq!(prestate.accounts[&b], expected);
    }
}
