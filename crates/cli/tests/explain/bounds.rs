//! Chains, late reads and list schedules computed by hand.

use alloy_primitives::{Address, U256};
use braid_cli::explain::{Graph, Location, Need, Rule, Step};

fn location(slot: u64) -> Location {
    Location::Slot(Address::ZERO, U256::from(slot))
}

/// Cost of a transaction and its dependencies: the earlier transaction, the slot, and the cost up
/// to the read.
type Transaction = (u64, &'static [(usize, u64, u64)]);

fn graph(transactions: &[Transaction]) -> Graph {
    let mut graph = Graph::default();
    for (cost, needs) in transactions {
        let need = |&(writer, slot, position): &(usize, u64, u64)| Need {
            writer,
            location: location(slot),
            position,
        };
        graph.push(*cost, needs.iter().map(need).collect());
    }
    graph
}

fn spans(graph: &Graph, rule: Rule) -> [u64; 4] {
    [1, 2, 3, 64].map(|workers| graph.span(rule, workers))
}

#[test]
fn without_needs_only_the_longest_transaction_is_left() {
    let graph = graph(&[(4, &[]), (3, &[]), (3, &[]), (2, &[])]);
    // Two workers: 4 and 2, 3 and 3. Three: 4; 3 and 2; 3.
    for rule in [Rule::Whole, Rule::LateRead, Rule::Nothing] {
        assert_eq!(spans(&graph, rule), [12, 6, 5, 4]);
        assert_eq!(graph.chain(rule), 4);
    }
    let bounds = graph.bounds(&[2]);
    assert_eq!((bounds.work, bounds.longest, bounds.chain, bounds.late_read), (12, 4, 4, 4));
    // A single transaction is not a chain.
    assert_eq!(graph.conflict_chain(), [Step { transaction: 0, waited_for: vec![] }]);
}

#[test]
fn a_chain_runs_one_after_the_other_and_late_reads_overlap() {
    let graph = graph(&[(10, &[]), (10, &[(0, 1, 7)]), (10, &[(1, 1, 7)]), (5, &[])]);
    assert_eq!(graph.chain(Rule::Whole), 30);
    // The second starts at 10 - 7, the third at 13 - 7.
    assert_eq!(graph.chain(Rule::LateRead), 16);
    assert_eq!(graph.chain(Rule::Nothing), 10);
    assert_eq!(spans(&graph, Rule::Whole), [35, 30, 30, 30]);
    // Two workers: 0 to 10 and 3 to 13; the third from 10, where a worker is free; the last from
    // 13.
    assert_eq!(spans(&graph, Rule::LateRead), [35, 20, 16, 16]);
    // Two workers: 10 and 10, then 10 and 5.
    assert_eq!(spans(&graph, Rule::Nothing), [35, 20, 15, 10]);
    let waited = |slot| vec![location(slot)];
    assert_eq!(
        graph.conflict_chain(),
        [
            Step { transaction: 0, waited_for: vec![] },
            Step { transaction: 1, waited_for: waited(1) },
            Step { transaction: 2, waited_for: waited(1) },
        ]
    );
}

#[test]
fn a_read_at_the_end_waits_for_nothing_that_ended_before() {
    // The second one reads after 8 of 9 a value written at 5.
    let graph = graph(&[(5, &[]), (9, &[(0, 1, 8)])]);
    assert_eq!((graph.chain(Rule::Whole), graph.chain(Rule::LateRead)), (14, 9));
}

#[test]
fn the_path_follows_what_was_waited_for_longest() {
    // Transaction 3 waits for 1, which ends at 7, and for 2, which ends at 6: two of its waits are
    // for 1.
    let needs: [Transaction; 4] =
        [(2, &[]), (5, &[(0, 9, 0)]), (6, &[]), (1, &[(1, 4, 0), (2, 5, 0), (1, 3, 0)])];
    let path = graph(&needs).conflict_chain();
    let transactions: Vec<usize> = path.iter().map(|step| step.transaction).collect();
    assert_eq!(transactions, [0, 1, 3]);
    assert_eq!(path[2].waited_for, [location(3), location(4)]);
    assert_eq!(graph(&needs).chain(Rule::Whole), 8);
}

#[test]
fn a_worker_takes_the_lowest_transaction_that_may_begin() {
    // Two workers: 0 (0 to 3) and 1 (0 to 1); 2 depends on 0, so 3 starts at 1 (to 5), then 2 at 3
    // (to 5).
    let graph = graph(&[(3, &[]), (1, &[]), (2, &[(0, 1, 0)]), (4, &[])]);
    assert_eq!(spans(&graph, Rule::Whole), [10, 5, 5, 5]);
}

#[test]
#[should_panic(expected = "needs point back")]
fn a_transaction_needs_no_later_one() {
    graph(&[(1, &[(0, 1, 0)])]);
}
