//! The small suites, all orders of events on two workers: nothing breaks, and everything rare
//! occurs somewhere. `cargo xtask models` explores the full ones.

use braid_models::{Explored, explore, suites};

#[test]
fn every_order_of_events_is_right() {
    let mut all = Explored::default();
    for suite in suites() {
        let explored = explore(&suite, 2);
        assert!(explored.broken.is_empty(), "{}: {}", suite.name, explored.broken.join("\n"));
        all.add(explored);
    }
    let missing: Vec<_> = all.wanted.difference(&all.occurred).collect();
    assert!(missing.is_empty(), "never occurred: {missing:?}");
    // A model that lost its actions would pass everything else.
    assert!(all.states > 1_000_000, "only {} states", all.states);
}
