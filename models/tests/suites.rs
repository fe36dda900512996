//! The small suites, all orders of events on two workers: nothing breaks, and everything rare
//! occurs somewhere. Of the full ones a sample; `cargo xtask models` explores them whole.

use braid_models::{Exploration, Scenario, Suite, explore, full_suites, suites};

/// Of this number of blocks of the full suites one is explored.
const SAMPLED: usize = 71;

#[test]
fn every_order_of_events_is_right() {
    let mut all = Exploration::default();
    for suite in suites() {
        let explored = explore(&suite, 2);
        println!("{}: {} blocks, {} states", suite.name, explored.blocks, explored.states);
        assert!(explored.broken.is_empty(), "{}: {}", suite.name, explored.broken.join("\n"));
        all.add(explored);
    }
    let missing: Vec<_> = all.expected.difference(&all.occurred).collect();
    assert!(missing.is_empty(), "never occurred: {missing:?}");
    // A model that lost its actions would pass everything else.
    assert!(all.states > 1_000_000, "only {} states", all.states);
}

#[test]
fn a_sample_of_the_full_suites_is_right_on_three_workers() {
    for mut suite in full_suites() {
        suite.scenarios = suite.scenarios.into_iter().step_by(SAMPLED).collect();
        let explored = explore(&suite, 3);
        println!("{}: {} blocks, {} states", suite.name, explored.blocks, explored.states);
        assert!(explored.broken.is_empty(), "{}: {}", suite.name, explored.broken.join("\n"));
    }
}

/// The blocks that come with a list, changed: whether any rule is broken then.
fn breaks_told(change: fn(&mut Scenario)) -> bool {
    let is_listed = |suite: &Suite| suite.name == "batches that read a list";
    let mut suite = suites().into_iter().find(is_listed).expect("there is such a suite");
    suite.scenarios.iter_mut().for_each(change);
    !explore(&suite, 2).broken.is_empty()
}

#[test]
fn a_list_is_compared_and_the_first_difference_ends_the_block() {
    assert!(!breaks_told(|_| {}));
    assert!(breaks_told(|scenario| scenario.trusts_list = true));
}
