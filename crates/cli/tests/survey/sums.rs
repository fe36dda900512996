//! Sums and distributions, computed by hand.

use alloy_primitives::Address;
use braid_cli::{
    explain::{Bounds, Costs, Kind, OnWorkers},
    survey::{
        BlockRow, ChainStep, FailedRow, Gathering, Limit, Origin, Reached, Role, Spread, Visit,
        words,
    },
};

fn bounds(work: u64, longest: u64, chain: u64) -> Bounds {
    let on = OnWorkers { workers: 4, chain, late_read: chain, no_conflicts: longest };
    Bounds { work, longest, chain, late_read: chain, workers: vec![on] }
}

fn row(file: &str, fork: &str, bounds: Bounds) -> BlockRow {
    let origin = Origin { file: file.to_owned(), chain_id: 1, block: 7, fork: fork.to_owned() };
    let costs = Costs { bounds, conflict_chain: Vec::new(), path_costs: Vec::new() };
    BlockRow::new(origin, (10, &costs), 4, Reached::default(), None)
}

#[test]
fn quartiles_lie_on_straight_lines() {
    assert_eq!(Spread::of(Vec::new()), None);
    let of = |numbers: &[f64]| {
        let it = Spread::of(numbers.to_vec()).expect("numbers");
        [it.lowest, it.first_quartile, it.median, it.third_quartile, it.highest]
    };
    assert_eq!(of(&[3.0]), [3.0; 5]);
    assert_eq!(of(&[4.0, 0.0]), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(of(&[5.0, 1.0, 2.0, 4.0, 3.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(of(&[1.0, 2.0, 3.0, 4.0]), [1.0, 1.75, 2.5, 3.25, 4.0]);
}

#[test]
fn the_greatest_of_three_lower_bounds_is_the_limit() {
    // On four workers, each has a share of 25.
    for (longest, chain, limit) in [
        (10, 20, Limit::Workers),
        (10, 27, Limit::Workers),
        (10, 28, Limit::Conflicts),
        (30, 30, Limit::Longest),
        (30, 33, Limit::Longest),
        (30, 34, Limit::Conflicts),
        (25, 25, Limit::Longest),
    ] {
        assert_eq!(Limit::of(&bounds(100, longest, chain), 4), limit, "{longest} {chain}");
    }
}

#[test]
fn what_waits_at_two_locations_counts_at_both_and_alone_at_none() {
    let (token, sender) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let visit = |account, role, kinds: &[Kind]| Visit {
        account,
        role,
        kinds: kinds.to_vec(),
        selectors: vec![[0xa9, 0x05, 0x9c, 0xbb]],
    };
    let at_token = |kinds: &[Kind]| visit(token, Role::Contract, kinds);
    let chain = vec![
        ChainStep { cost: 100, visits: vec![at_token(&[Kind::TokenBalance])] },
        ChainStep {
            cost: 10,
            visits: vec![
                at_token(&[Kind::TokenBalance, Kind::Counter]),
                visit(sender, Role::Sender, &[Kind::SameSender]),
            ],
        },
    ];
    let mut gathering = Gathering::default();
    gathering.add(row("new", "OSAKA", bounds(200, 100, 110)), chain.clone());
    gathering.add_failed(FailedRow::new("bad".to_owned(), "no block".to_owned()));
    gathering.add(row("old", "Spurious", bounds(400, 100, 110)), chain);
    let survey = gathering.finish(1);
    assert_eq!(survey.blocks.len(), 3);
    let forks: Vec<_> = survey.groups.iter().map(|it| it.fork.as_deref()).collect();
    assert_eq!(forks, [None, Some("SPURIOUS_DRAGON"), Some("OSAKA")]);
    let all = &survey.groups[0];
    assert_eq!((all.blocks, all.txs, all.gas, all.chain), (2, 20, 600, 220));
    let kinds: Vec<_> = all
        .kinds
        .iter()
        .map(|it| (it.kind, it.chain_cost, it.alone, it.waits, it.blocks))
        .collect();
    let rest = |kind| (kind, 20, 0, 2, 2);
    assert_eq!(
        kinds,
        [(Kind::TokenBalance, 220, 200, 4, 2), rest(Kind::SameSender), rest(Kind::Counter)]
    );
    let [account] = &all.accounts[..] else { panic!("one account") };
    assert_eq!((account.account, account.role, all.other_accounts), (token, Role::Contract, 1));
    assert_eq!(
        (account.chain_cost, account.alone, account.waits, account.blocks),
        (220, 200, 4, 2)
    );
    assert_eq!(account.forks, ["SPURIOUS_DRAGON", "OSAKA"]);
    assert_eq!(account.functions[0].signature, Some("transfer(address,uint256)"));
    assert_eq!(account.functions[0].transactions, 4);
    let chain = all.speedups.chain.expect("blocks");
    assert!((chain.lowest - 200.0 / 110.0).abs() < 1e-9 && all.speedups.simulated.is_none());
    let table = words::contracts(all, 10);
    assert!(table.contains("token balance, counter; transfer"), "{table}");
    let limits = words::limits(&survey.groups, 4);
    assert!(limits.contains("all                   2  0 (0 %)    2 (100 %)"), "{limits}");
}
