//! Every suite, all orders of events: nothing breaks, and everything rare occurs somewhere.

use braid_models::{BlockModel, suites};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;

#[test]
fn every_order_of_events_is_right() {
    let mut occurred = BTreeSet::new();
    let mut wanted = BTreeSet::new();
    let mut states = 0;
    for suite in suites() {
        let model = BlockModel::new(suite.scenarios, 2);
        let properties = model.properties();
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        assert!(checker.is_done(), "{} was not explored to its end", suite.name);
        states += checker.unique_state_count();
        for property in properties {
            let found = checker.discovery(property.name);
            if property.expectation == Expectation::Sometimes {
                wanted.insert(property.name);
                occurred.extend(found.map(|_| property.name));
            } else if let Some(path) = found {
                panic!("{}: {} is broken:\n{path}", suite.name, property.name);
            }
        }
    }
    let missing: Vec<_> = wanted.difference(&occurred).collect();
    assert!(missing.is_empty(), "never occurred: {missing:?}");
    // A model that lost its actions would pass everything else.
    assert!(states > 1_000_000, "only {states} states");
}
