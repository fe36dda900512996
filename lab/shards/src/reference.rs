//! The reference: the transactions one after the other on one map. It shares only the machine with
//! the shards.

use crate::machine::{Machine, Outcome, Undeclared, Values, Write};
use crate::order::Entry;

/// Results of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<M: Machine> {
    /// Outcome of each transaction.
    pub outcomes: Vec<Outcome<M>>,
    /// The state after the last transaction.
    pub state: Values<M>,
}

/// Runs `entries` in order on `base`.
#[must_use]
pub fn reference<M: Machine>(entries: &[Entry<M>], base: &Values<M>) -> Reference<M> {
    let (mut state, mut outcomes) = (base.clone(), Vec::with_capacity(entries.len()));
    for entry in entries {
        let read = |key: &M::Key| (key.clone(), state.get(key).cloned().unwrap_or_default());
        let values = entry.reads.iter().map(read).collect();
        let ran = M::run(&entry.tx, &values).and_then(|ran| {
            match ran.writes.keys().find(|key| !entry.writes.contains(*key)) {
                Some(key) => Err(Undeclared(key.clone())),
                None => Ok(ran),
            }
        });
        outcomes.push(ran.map(|ran| {
            for (key, write) in ran.writes {
                match write {
                    Write::Set(value) => drop(state.insert(key, value)),
                    Write::Add(delta) => M::fold(state.entry(key).or_default(), &delta),
                }
            }
            ran.output
        }));
    }
    Reference { outcomes, state }
}
