//! Transactions that are dispatched before their turn.

use super::{dispatched, limits, report, tx};
use braid_evm::ids::Chunk;
use braid_evm::protocol::{Chunks, Limits, Plan, Protocol, RunResult};

#[test]
fn the_longest_go_first_and_by_themselves() {
    let chunk = |first, end| Chunk { first: tx(first), end: tx(end) };
    let ranges = vec![chunk(0, 1), chunk(1, 6)];
    let chunks = Chunks { ranges, longest: vec![tx(4)], ..Chunks::default() };
    let plan = Plan::from(chunks.clone());
    let wide = Limits { window: 8, job_capacity: 4, ..limits() };
    let mut protocol = Protocol::new(wide, &plan);
    assert_eq!(protocol.longest().collect::<Vec<_>>(), [(tx(4), 0)]);
    let long = dispatched(&mut protocol);
    assert_eq!(long.chunk, chunk(4, 5));
    assert_eq!([(); 2].map(|()| dispatched(&mut protocol).chunk), [chunk(1, 4), chunk(5, 6)]);
    // Once it has run it goes like any other.
    let blocked = RunResult::Blocked { on: tx(0) };
    protocol.apply(report(long, 1, blocked)).expect("it was sent");
    assert_eq!(protocol.longest().collect::<Vec<_>>(), [(tx(4), 1)]);
    // Beyond the window it waits; one that waits for another does, too, and no job takes it along.
    let narrow = Limits { window: 3, ..wide };
    assert_eq!(dispatched(&mut Protocol::new(narrow, &plan)).chunk, chunk(1, 3));
    let waiting = Chunks { dependencies: vec![(tx(4), tx(0))], ..chunks };
    let mut protocol = Protocol::new(wide, &waiting.into());
    assert_eq!([(); 2].map(|()| dispatched(&mut protocol).chunk), [chunk(1, 4), chunk(5, 6)]);
}
