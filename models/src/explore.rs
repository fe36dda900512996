//! Exploration of suites, in batches on all cores.

use crate::{BlockModel, Suite};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of blocks explored together. The states of more blocks would need too much memory.
const BATCH: usize = 1_500;

/// Results of exploring a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exploration {
    /// Number of blocks.
    pub blocks: usize,
    /// Number of distinct states.
    pub states: usize,
    /// Number of steps between states.
    pub steps: usize,
    /// Length of the longest path.
    pub depth: usize,
    /// Broken properties, each with a path that shows it.
    pub broken: Vec<String>,
    /// Expected rare events that occurred.
    pub occurred: BTreeSet<&'static str>,
    /// Expected rare events.
    pub expected: BTreeSet<&'static str>,
}

impl Exploration {
    /// Adds the results of `other`.
    pub fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.states += other.states;
        self.steps += other.steps;
        self.depth = self.depth.max(other.depth);
        self.broken.extend(other.broken);
        self.occurred.extend(other.occurred);
        self.expected.extend(other.expected);
    }
}

/// Explores `model`, a model of `blocks` blocks, exhaustively.
pub(crate) fn explore_model<M>(model: M, blocks: usize) -> Exploration
where
    M: Model + Send + Sync + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
    M::State: std::fmt::Debug + std::hash::Hash + Clone + PartialEq + Send + Sync + 'static,
{
    let properties = model.properties();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let mut explored = Exploration {
        blocks,
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        ..Exploration::default()
    };
    if !checker.is_done() {
        explored.broken.push("a batch was not explored to its end".to_owned());
    }
    for property in properties {
        let found = checker.discovery(property.name);
        if property.expectation == Expectation::Sometimes {
            explored.expected.insert(property.name);
            explored.occurred.extend(found.map(|_| property.name));
        } else if let Some(path) = found {
            explored.broken.push(format!("{}\n{path}", property.name));
        }
    }
    explored
}

/// Explores every order of events of every block of `suite` on `workers` workers. Ends soon after a
/// property is found broken.
#[must_use]
pub fn explore(suite: &Suite, workers: usize) -> Exploration {
    let batches: Vec<_> = suite.scenarios.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Exploration::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(batches.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let model = BlockModel::new(batch.to_vec(), workers);
                    let explored = explore_model(model, batch.len());
                    if !explored.broken.is_empty() {
                        next.store(batches.len(), Ordering::Relaxed);
                    }
                    all.lock().expect("no batch panics").add(explored);
                }
            });
        }
    });
    all.into_inner().expect("no batch panics")
}
