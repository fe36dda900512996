//! Compares findings with a comparison of every two transactions.

use super::compiled;
use alloy_primitives::{Address, U256};
use braid_blocks::{
    block_file::BlockFile,
    workload::{Workload, WorkloadSpec, generate},
};
use braid_cli::{
    explain::{Access, Location, Recorded, Recording, Site, names, record},
    lint::{Finding, Lint, Subject},
};
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

fn block(kind: Workload, transactions: u32, hot: u8) -> (BlockFile, Recording) {
    let file =
        generate(&WorkloadSpec::new(kind, transactions, hot, 3).unsigned()).expect("a block");
    let (block, database) = file.to_block().expect("whole");
    let recording = record(&block, &database, 0).expect("runs");
    (file, recording)
}

fn findings(file: &BlockFile, recording: &Recording) -> Vec<Finding> {
    let contracts = file.pre_state.iter().filter(|(_, account)| account.code_hash.is_some());
    let contracts: BTreeSet<Address> = contracts.map(|(address, _)| *address).collect();
    let mut lint = Lint::new([]);
    let beneficiary = file.block.header.inner.beneficiary;
    lint.add(&Subject {
        file: "block",
        path: "block.json",
        recording,
        contracts: &contracts,
        beneficiary,
    });
    lint.finish()
}

/// Returns the pairs of transactions of different senders that conflict at a slot, with the slot.
fn compared(recording: &Recording) -> BTreeSet<(usize, usize, Location)> {
    let mut found = BTreeSet::new();
    for (second, other) in recording.transactions.iter().enumerate() {
        for (first, one) in recording.transactions.iter().enumerate().take(second) {
            for access in one.accesses.iter().filter(|_| one.sender != other.sender) {
                let same = other.accesses.iter().find(|it| it.location == access.location);
                let is_slot = matches!(access.location, Location::Slot(..));
                if is_slot && same.is_some_and(|it| it.written.or(access.written).is_some()) {
                    found.insert((first, second, access.location));
                }
            }
        }
    }
    found
}

#[test]
fn pairs_are_those_of_every_two_transactions() {
    for (kind, hot) in [
        (Workload::MintSerial, 0),
        (Workload::MintSerial, 40),
        (Workload::MintCounter, 20),
        (Workload::MintParallel, 40),
        (Workload::Erc20, 50),
        (Workload::Erc20, 0),
    ] {
        let (file, recording) = block(kind, 40, hot);
        let found = findings(&file, &recording);
        let pairs: u64 = found.iter().map(|it| it.pairs).sum();
        let compared = compared(&recording);
        assert_eq!(pairs, u64::try_from(compared.len()).unwrap(), "{kind} {hot}");
        for finding in &found {
            let [first, second] = finding.example.transactions;
            let place = finding.example.location.parse().expect("a place");
            assert!(compared.contains(&(first, second, place)), "{kind}: {finding:?}");
        }
    }
}

#[test]
fn each_change_of_the_collectible_takes_a_finding_away() {
    let compiled = names::read(&compiled(), Path::new("lab/contracts")).expect("names");
    let variables = |kind: Workload| {
        let (file, mut recording) = block(kind, 20, 0);
        let name = match kind {
            Workload::MintSerial => "SerialMint",
            _ => "CounterMint",
        };
        let it = compiled.iter().find(|it| it.name == name).expect("the contract");
        let contract = recording.transactions[0].callee.expect("a call");
        recording.names.add(contract, &Arc::new(it.clone()));
        let found = findings(&file, &recording);
        assert!(
            found.iter().all(|it| it.pairs == 190 && it.places == 1 && it.contract == contract)
        );
        assert!(found.iter().all(
            |it| it.functions[0].to_string() == "mint()" && it.functions[0] == it.functions[1]
        ));
        let names: BTreeSet<String> = found.into_iter().map(|it| it.variable).collect();
        names.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(variables(Workload::MintSerial), ["lastMinter", "nextId"]);
    assert_eq!(variables(Workload::MintCounter), ["nextId"]);
    let (file, recording) = block(Workload::MintParallel, 20, 0);
    assert!(findings(&file, &recording).is_empty());
}

#[test]
fn two_functions_that_meet_are_named_both() {
    // A swap takes one token with transferFrom and gives the other with transfer.
    let (file, recording) = block(Workload::Dex, 40, 50);
    let found = findings(&file, &recording);
    let names = |it: &Finding| it.functions.clone().map(|function| function.to_string());
    let transfer = "transfer(address,uint256)".to_owned();
    let from = "transferFrom(address,address,uint256)".to_owned();
    let both = [transfer.clone(), from.clone()];
    assert!(
        found.iter().any(|it| {
            let mut names = names(it);
            names.sort();
            names == both && it.variable == "slot 0[*]"
        }),
        "{found:#?}"
    );
    assert!(found.iter().any(|it| names(it) == [from.clone(), from.clone()]));
    assert!(found.windows(2).all(|pair| pair[0].pairs >= pair[1].pairs));
}

#[test]
fn a_function_writes_a_slot_only_if_its_own_frames_store_there() {
    const READS: [u8; 4] = [1; 4];
    const STORES: [u8; 4] = [2; 4];
    let contract = Address::repeat_byte(9);
    let site = |function, stores| Site {
        contract,
        slot: U256::ZERO,
        function: Some(function),
        code: contract,
        counter: usize::from(stores),
        stores,
    };
    // Two transactions; each reads the slot and then writes it, as a swap does with a balance.
    let transaction = |sender: u8| Recorded {
        sender: Address::repeat_byte(sender),
        accesses: vec![Access {
            location: Location::Slot(contract, U256::ZERO),
            gas: 0,
            time: Duration::ZERO,
            written: Some((U256::ZERO, U256::from(sender))),
        }],
        sites: vec![site(READS, false), site(STORES, false), site(STORES, true)],
        ..Recorded::default()
    };
    let mut lint = Lint::new([contract, Address::ZERO]);
    let transactions = vec![transaction(1), transaction(2)];
    lint.add(&Subject {
        file: "block",
        path: "block.json",
        recording: &Recording { transactions, ..Recording::default() },
        contracts: &BTreeSet::from([contract]),
        beneficiary: Address::ZERO,
    });
    assert_eq!(lint.untouched().collect::<Vec<_>>(), [&Address::ZERO]);
    let found: Vec<(String, u64)> = lint
        .finish()
        .iter()
        .map(|it| (it.functions.clone().map(|it| it.to_string()).join(" "), it.pairs))
        .collect();
    // The read of the first conflicts with the write of the second, and the reverse.
    let both = ("0x01010101 0x02020202".to_owned(), 2);
    assert_eq!(found, [both, ("0x02020202 0x02020202".to_owned(), 1)]);
}
