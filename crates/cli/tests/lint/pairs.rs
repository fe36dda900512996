//! Compares findings with a comparison of every two transactions.

use super::compiled;
use crate::explain::by_hand::{call, contract, recorded};
use alloy_primitives::{Address, Bytes, U256, bytes};
use braid_blocks::{
    block_file::BlockFile,
    workload::{Workload, WorkloadSpec, generate},
};
use braid_cli::{
    explain::{Access, Instruction, Kind, Location, Recorded, Recording, Site, names, record},
    lint::{Conflict, Finding, Lint, Subject},
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
        let found: Vec<&Conflict> = found.iter().flat_map(|it| &it.conflicts).collect();
        let pairs: u64 = found.iter().map(|it| it.pairs).sum();
        let compared = compared(&recording);
        assert_eq!(pairs, u64::try_from(compared.len()).unwrap(), "{kind} {hot}");
        for finding in found {
            let [first, second] = finding.example.transactions;
            let location = finding.example.location.parse().expect("a location");
            assert!(compared.contains(&(first, second, location)), "{kind}: {finding:?}");
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
        assert!(found.iter().all(|it| it.contract == contract));
        let found: Vec<Conflict> = found.into_iter().flat_map(|it| it.conflicts).collect();
        assert!(found.iter().all(|it| it.pairs == 190 && it.locations == 1));
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
    let found: Vec<&Conflict> = found.iter().flat_map(|it| &it.conflicts).collect();
    let names = |it: &Conflict| it.functions.clone().map(|function| function.to_string());
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
}

#[test]
fn a_pool_is_one_finding_with_advice_about_pools() {
    let (file, recording) = block(Workload::Range, 100, 50);
    let found = findings(&file, &recording);
    let most = |it: &Finding| it.conflicts.iter().map(|it| it.pairs).max();
    assert!(found.iter().all(|it| most(it) == Some(it.conflicts[0].pairs)));
    assert!(found.windows(2).all(|pair| most(&pair[0]) >= most(&pair[1])));
    let [first, others @ ..] = &found[..] else { panic!("no finding") };
    assert_eq!((first.kind, first.advice), (Kind::Pool, Kind::Pool.advice()));
    assert!(first.conflicts.len() >= 6, "{first:#?}");
    // The others are the balances of the pool in its two tokens.
    assert!(others.iter().all(|it| it.kind == Kind::TokenBalance), "{others:#?}");
    assert!(others.iter().all(|it| it.contract != first.contract), "{others:#?}");
}

#[test]
fn a_function_writes_a_slot_only_if_its_own_frames_store_there() {
    const READS: [u8; 4] = [1; 4];
    const STORES: [u8; 4] = [2; 4];
    let contract = Address::repeat_byte(9);
    let site = |function, stores| Site {
        location: Location::Slot(contract, U256::ZERO),
        function: Some(function),
        instruction: Some(Instruction { code: contract, counter: usize::from(stores) }),
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
        .flat_map(|it| &it.conflicts)
        .map(|it| (it.functions.clone().map(|it| it.to_string()).join(" "), it.pairs))
        .collect();
    // The read of the first conflicts with the write of the second, and the reverse.
    let both = ("0x01010101 0x02020202".to_owned(), 2);
    assert_eq!(found, [both, ("0x02020202 0x02020202".to_owned(), 1)]);
}

/// Code that pays 1 wei to another account if the selector is 0x02020202: PUSH0 CALLDATALOAD PUSH1
/// 0xe0 SHR PUSH4 0x02020202 EQ PUSH1 15 JUMPI STOP JUMPDEST; PUSH0 four times, PUSH1 1 PUSH1 0xdd
/// PUSH0 CALL STOP.
const PAYS: Bytes = bytes!("5f3560e01c630202020214600f57005b5f5f5f5f600160dd5ff100");

#[test]
fn conflicts_at_ether_name_only_functions_that_move_it() {
    let send = |from: u8, selector: u8, value| {
        let mut call = call(from, 0, contract(), value);
        call.data = Bytes::from(vec![selector; 4]);
        call
    };
    // Two payments to the contract, one from it, and a call that moves nothing.
    let calls = vec![send(0, 1, 5), send(1, 3, 0), send(2, 2, 0), send(3, 1, 5)];
    let recording = recorded(calls, &[(contract(), PAYS)]);
    let mut lint = Lint::new([]);
    lint.add(&Subject {
        file: "block",
        path: "block.json",
        recording: &recording,
        contracts: &BTreeSet::from([contract()]),
        beneficiary: Address::ZERO,
    });
    let findings = lint.finish();
    let [finding] = &findings[..] else { panic!("one finding: {findings:#?}") };
    assert_eq!((finding.contract, finding.kind), (contract(), Kind::NativeBalance));
    let found = finding
        .conflicts
        .iter()
        .map(|it| (it.functions.clone().map(|it| it.to_string()).join(" "), it.pairs));
    let two = ("0x01010101 0x02020202".to_owned(), 2);
    assert_eq!(found.collect::<Vec<_>>(), [two, ("0x01010101 0x01010101".to_owned(), 1)]);
}
