//! Waits, locations, contracts and speed-ups.

use super::Subject;
use braid_blocks::workload::Preset;
use braid_cli::explain::{Axis, Question, Rule, WhatIf, explain};
use braid_cli::page::BlockPage;
use std::collections::BTreeSet;

const QUESTION: Question =
    Question { what_if: WhatIf::NOTHING, workers: 8, also: Vec::new(), axis: Axis::Gas, top: 5 };

fn page(subject: &Subject, measured: &[(usize, f64)]) -> BlockPage {
    let explanation = explain(&subject.recording, &QUESTION);
    let simulated = Some(subject.simulated.clone());
    let about = (&explanation, &QUESTION);
    BlockPage::new(&subject.recording, about, "words".to_owned(), measured, simulated)
}

#[test]
fn waits_locations_and_costs_are_those_of_the_recording() {
    for preset in [Preset::Mainnet, Preset::Erc20Hot, Preset::Lending] {
        let subject = Subject::new(preset, 200, 8);
        let page = page(&subject, &[]);
        let chain = subject.graph.chain(Rule::Whole);
        assert_eq!(page.transactions.iter().map(|it| it.ends).max(), Some(chain));
        for (index, row) in page.transactions.iter().enumerate() {
            let recorded = &subject.recording.transactions[index];
            assert_eq!(
                (row.gas, row.cost, row.sender),
                (recorded.gas, recorded.gas, recorded.sender)
            );
            assert_eq!((row.to, row.time_ns), (recorded.callee, None));
        }
        // Each dependency is a wait at a location, and there are no other waits.
        let needed: BTreeSet<(usize, usize, String)> = subject
            .graph
            .needs()
            .iter()
            .enumerate()
            .flat_map(|(reader, needs)| {
                needs.iter().map(move |need| (need.writer, reader, need.location.to_string()))
            })
            .collect();
        assert_eq!(page.other_locations, 0);
        let location = |index: usize| page.locations[index].location.clone();
        let waited: BTreeSet<(usize, usize, String)> = page
            .waits
            .iter()
            .flat_map(|it| it.locations.iter().map(move |at| (it.writer, it.reader, location(*at))))
            .collect();
        assert!(!needed.is_empty(), "{preset:?}");
        assert_eq!(waited, needed, "{preset:?}");
        for row in &page.locations {
            let readers = |writes: bool| {
                let at = needed.iter().filter(|(.., location)| *location == row.location);
                let of = at.map(|(writer, reader, _)| if writes { *writer } else { *reader });
                of.collect::<BTreeSet<usize>>().len()
            };
            assert_eq!((row.waiting, row.writers), (readers(false), readers(true)));
        }
        let costs: Vec<u64> = page.locations.iter().map(|row| row.chain_cost).collect();
        assert!(costs.is_sorted_by(|one, other| one >= other), "{costs:?}");
        assert!(costs[0] > 0 && costs[0] <= chain);
    }
}

#[test]
fn the_matrix_of_contracts_has_every_wait_once() {
    let subject = Subject::new(Preset::Mainnet, 300, 8);
    let page = page(&subject, &[]);
    let pairs: usize = page.callees.cells.iter().map(|cell| cell.pairs).sum();
    assert_eq!(pairs, page.waits.len());
    assert!(page.callees.names.len() <= 20);
    let name = |transaction: usize| {
        let to = subject.recording.transactions[transaction].callee;
        let name = to.map_or("new contract".to_owned(), |it| it.to_string());
        if page.callees.names.contains(&name) { name } else { "others".to_owned() }
    };
    for cell in &page.callees.cells {
        let [waits, waits_for] =
            [cell.waits, cell.waits_for].map(|index| page.callees.names[index].clone());
        let readers: BTreeSet<usize> = page
            .waits
            .iter()
            .filter(|it| name(it.reader) == waits && name(it.writer) == waits_for)
            .map(|it| it.reader)
            .collect();
        assert_eq!(cell.transactions, readers.len(), "{waits} waits for {waits_for}");
        let cost: u64 = readers.iter().map(|&it| subject.graph.costs()[it]).sum();
        assert_eq!(cell.cost, cost);
    }
}

#[test]
fn speedups_are_measured_or_simulated() {
    let subject = Subject::new(Preset::Swaps, 60, 8);
    let page = page(&subject, &[(2, 1.5), (8, 3.0)]);
    let rows: Vec<(usize, Option<f64>, bool)> =
        page.speedups.iter().map(|it| (it.workers, it.measured, it.simulated.is_some())).collect();
    assert_eq!(rows, [(1, None, true), (2, Some(1.5), false), (8, Some(3.0), true)]);
    assert_eq!(page.speedups[2].simulated, subject.simulated.speedup(8));
    assert_eq!(page.timeline.as_ref().map(|it| it.workers), Some(8));
}
