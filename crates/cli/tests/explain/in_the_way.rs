//! The reported conflicts, their order, and the predictions without them.

use super::by_hand::{COUNTER, FIRST, LATER, call, contract, recorded, sender};
use alloy_primitives::{Address, Bytes, U256, bytes};
use braid_blocks::workload::Preset;
use braid_cli::explain::{
    Axis, Conflicts, Counted, Gain, Graph, Kind, Location, Question, Recording, Rule, Target,
    Totals, WhatIf, conflicts, explain, record, words,
};

/// Code that adds one to slots 0 and 1.
const TWO_COUNTERS: Bytes = bytes!("5f546001015f5560015460010160015500");

fn by_gas(recording: &Recording) -> Conflicts {
    conflicts(recording, Axis::Gas, 16, 5)
}

fn counters(contracts: &[(Address, u8)], code: &Bytes) -> Recording {
    let codes: Vec<(Address, Bytes)> = contracts.iter().map(|it| (it.0, code.clone())).collect();
    let mut from = 0..;
    let calls = contracts.iter().flat_map(|(address, count)| {
        from.by_ref()
            .take(usize::from(*count))
            .map(|from| call(from, 0, *address, 0))
            .collect::<Vec<_>>()
    });
    recorded(calls.collect(), &codes)
}

#[test]
fn a_counter_is_named_with_its_gain() {
    let found = by_gas(&counters(&[(contract(), 5)], &COUNTER));
    assert_eq!((found.first.len(), found.others), (1, 0));
    let counter = &found.first[0];
    assert_eq!(counter.locations, [Location::Slot(contract(), U256::ZERO)]);
    let words = format!("counter in slot 0 of {}, incremented by 1", contract());
    assert_eq!((counter.kind, &counter.words), (Kind::Counter, &words));
    assert_eq!((counter.chain_cost, counter.waits), (4 * LATER, 4));
    assert_eq!(counter.own_chain, FIRST + 4 * LATER);
    assert_eq!(counter.transactions, [0, 1, 2, 3, 4]);
    assert_eq!(counter.callees, [Counted { what: Some(contract()), transactions: 5 }]);
    // The input is empty, so there is no function.
    assert_eq!(counter.functions, []);
    let alone = Gain { chain: FIRST, on_workers: FIRST };
    assert_eq!((counter.without, counter.without_those_above), (alone, alone));
    assert_eq!(counter.sharded, Some(alone));
}

#[test]
fn locations_are_in_order_of_what_they_cost_on_the_chain_and_then_of_their_own_chains() {
    let [most, more, few] = [0xc1, 0xc2, 0xc3].map(Address::repeat_byte);
    let recording = counters(&[(few, 2), (most, 4), (more, 3)], &COUNTER);
    let found = by_gas(&recording);
    let accounts: Vec<Address> = found.first.iter().map(|it| it.account).collect();
    assert_eq!(accounts, [most, more, few]);
    let costs: Vec<(u64, u64)> =
        found.first.iter().map(|it| (it.chain_cost, it.own_chain)).collect();
    let chain = |count: u64| FIRST + (count - 1) * LATER;
    assert_eq!(costs, [(3 * LATER, chain(4)), (0, chain(3)), (0, chain(2))]);
    let gains: Vec<[u64; 2]> =
        found.first.iter().map(|it| [it.without.chain, it.without_those_above.chain]).collect();
    assert_eq!(gains, [[chain(3), chain(3)], [chain(4), chain(2)], [chain(4), FIRST]]);
    let one = conflicts(&recording, Axis::Gas, 16, 1);
    assert_eq!((one.first.len(), one.others), (1, 2));
    assert_eq!(one.first[0], found.first[0]);
}

#[test]
fn locations_of_a_contract_at_which_the_same_transactions_wait_are_one() {
    let found = by_gas(&counters(&[(contract(), 3)], &TWO_COUNTERS));
    assert_eq!(found.first.len(), 1);
    let slots = [0, 1].map(|slot| Location::Slot(contract(), U256::from(slot)));
    let both = &found.first[0];
    assert_eq!((&both.locations[..], both.kind), (&slots[..], Kind::Counter));
    assert!(both.words.contains("slot 0") && both.words.contains("slot 1"), "{}", both.words);
    // Removing only one of them frees nothing.
    assert!(both.without.chain < both.own_chain);
    let one = WhatIf { without: vec![Target::Location(slots[0])], ..WhatIf::NOTHING };
    let recording = counters(&[(contract(), 3)], &TWO_COUNTERS);
    let graph = Graph::new(&recording, Axis::Gas, &one);
    assert_eq!(graph.chain(Rule::Whole), both.own_chain);
}

#[test]
fn senders_payees_and_creators_are_told_apart() {
    let payee = Address::repeat_byte(0x99);
    let pay = |from, nonce, to| call(from, nonce, to, 7);
    let kinds = |recording: &Recording| {
        let first = by_gas(recording).first;
        first.into_iter().map(|it| (it.kind, it.words)).collect::<Vec<_>>()
    };
    let same = recorded(vec![pay(1, 0, payee), pay(1, 1, Address::repeat_byte(0x98))], &[]);
    let words = format!("sender {}: its transactions run in nonce order", sender(1));
    assert_eq!(kinds(&same), [(Kind::SameSender, words)]);
    let paid = recorded(vec![pay(1, 0, payee), pay(2, 0, payee)], &[]);
    let words = format!("native balance of {payee}, which is only paid into");
    assert_eq!(kinds(&paid), [(Kind::NativeBalance, words)]);
    // One sender pays another one, who then sends.
    let passed_on = recorded(vec![pay(1, 0, sender(2)), pay(2, 0, payee)], &[]);
    let words = format!("native balance of sender {}", sender(2));
    assert_eq!(kinds(&passed_on), [(Kind::NativeBalance, words)]);
    // PUSH0 PUSH0 PUSH0 CREATE STOP: creates an empty contract on each call.
    let factory = [(contract(), bytes!("5f5f5ff000"))];
    let created = recorded(vec![call(1, 0, contract(), 0), call(2, 0, contract(), 0)], &factory);
    let words = format!("nonce of {}, which creates contracts", contract());
    assert_eq!(kinds(&created), [(Kind::NonceChain, words)]);
}

#[test]
fn the_balance_of_a_hot_recipient_is_named() {
    let file = Preset::Erc20Hot.block(12, 2).expect("generates");
    let (block, database) = file.to_block().expect("a block");
    let recording = record(&block, &database, 0).expect("a valid block");
    let gas: Vec<u64> = recording.transactions.iter().map(|it| it.gas).collect();
    let work: u64 = gas.iter().sum();
    let token = recording.transactions[0].callee.expect("a call");
    let recipient = Address::from_slice(&block.transactions[0].data[16..36]);
    let found = by_gas(&recording);
    let first = &found.first[0];
    assert_eq!(first.words, format!("balance of {recipient} in token {token}"));
    assert_eq!((first.kind, first.waits), (Kind::TokenBalance, 11));
    assert_eq!((first.chain_cost, first.own_chain), (work - gas[0], work));
    let transfer = [0xa9, 0x05, 0x9c, 0xbb];
    assert_eq!(first.functions, [Counted { what: transfer, transactions: 12 }]);
    assert_eq!(first.without.chain, *gas.iter().max().expect("some"));
}

#[test]
fn many_blocks_add_up() {
    let other = Address::repeat_byte(0xc9);
    let question =
        Question { what_if: WhatIf::NOTHING, workers: 16, also: vec![], axis: Axis::Gas, top: 5 };
    let mut totals = Totals::default();
    for counts in [&[(contract(), 3), (other, 2)][..], &[(other, 4)], &[(contract(), 3)]] {
        let recording = counters(counts, &COUNTER);
        totals.add(&recording, &explain(&recording, &question), Axis::Gas);
    }
    assert_eq!((totals.blocks, totals.transactions), (3, 12));
    assert_eq!(totals.work, 4 * FIRST + 8 * LATER);
    assert_eq!((totals.longest, totals.chain), (3 * FIRST, 3 * FIRST + 7 * LATER));
    let (costly, others) = totals.costly(1);
    assert_eq!(others, 1);
    assert_eq!(costly[0].locations, [Location::Slot(contract(), U256::ZERO)]);
    assert_eq!((costly[0].chain_cost, costly[0].waits, costly[0].blocks), (4 * LATER, 4, 2));
    assert_eq!(costly[0].kind, Kind::Counter);
    let (both, others) = totals.costly(9);
    assert_eq!((both.len(), others, both[1].chain_cost), (2, 0, 3 * LATER));
}

#[test]
fn nothing_is_in_the_way_of_a_block_whose_longest_transaction_costs_more_than_any_chain() {
    let spins = bytes!("5b5a6103e81060005700");
    let code = [(contract(), spins)];
    let pair = vec![call(1, 0, contract(), 0), call(2, 0, sender(9), 1), call(2, 1, sender(8), 1)];
    let question = |top| Question {
        what_if: WhatIf::NOTHING,
        workers: 16,
        also: vec![],
        axis: Axis::Gas,
        top,
    };
    let recording = recorded(pair, &code);
    for top in [0, 5] {
        let question = question(top);
        let text = words::block(&explain(&recording, &question), &question);
        assert!(text.contains("Conflicts do not limit this block"), "{text}");
        assert!(
            !text.contains("No transaction waits") && !text.contains("What limits the block"),
            "{text}"
        );
        assert_eq!(
            text.contains("Shorter chains, which do not limit the block:"),
            top > 0,
            "{text}"
        );
    }
    let recording = recorded(vec![call(1, 0, sender(7), 1), call(2, 0, sender(8), 1)], &[]);
    let text = words::block(&explain(&recording, &question(5)), &question(5));
    assert!(text.contains("No transaction waits for another."), "{text}");
    assert!(!text.contains("wait here, on shorter chains"), "{text}");
}

#[test]
fn a_chain_of_payments_is_no_bound_of_braid() {
    let question =
        Question { what_if: WhatIf::NOTHING, workers: 16, also: vec![], axis: Axis::Gas, top: 5 };
    let payments = recorded((0..5).map(|from| call(from, 0, sender(9), 1)).collect(), &[]);
    let text = words::block(&explain(&payments, &question), &question);
    assert!(text.contains("Braid can be faster, because it adds payments"), "{text}");
    // One sender, whose nonce only its own transactions determine.
    let nonces = recorded((0..5).map(|nonce| call(1, nonce, sender(9), 1)).collect(), &[]);
    let text = words::block(&explain(&nonces, &question), &question);
    assert!(
        text.contains("The longest conflict chain has 5") && !text.contains("Braid can"),
        "{text}"
    );
}

#[test]
fn words_say_what_a_change_frees_and_why_nothing_changes() {
    let [most, few] = [0xc1, 0xc3].map(Address::repeat_byte);
    let recording = counters(&[(few, 2), (most, 4)], &COUNTER);
    let what_if = WhatIf { without: vec![Target::Account(most)], ..WhatIf::NOTHING };
    let question = Question { what_if, workers: 3, also: vec![], axis: Axis::Gas, top: 5 };
    let text = words::block(&explain(&recording, &question), &question);
    // The chain is 43,110 plus three times 26,010. The work is two and four of these, 190,260.
    // Without the longer counter, three workers end at 69,120: 43,110 and 26,010 of the other one;
    // the same; two of 26,010.
    for line in [
        "The longest conflict chain has 4 transactions and costs 121 kgas of 190 kgas: 2 -> 3 -> 4 -> 5.",
        " 1. counter in slot 0 of 0xC1C1c1c1C1C1C1c1c1C1C1C1c1C1C1C1c1C1c1c1, incremented by 1",
        "3 transactions of the chain wait, 78.0 kgas",
        "    without it: conflict chain 121 kgas -> 69.1 kgas, bound on 3 workers 1.57x -> 2.75x",
        "    with one counter per sender: conflict chain 121 kgas -> 69.1 kgas, bound on 3 workers 1.57x -> 2.75x",
        "not on the longest chain; its own chain costs 69.1 kgas",
        "    without it: no gain: another chain is longer",
        "    without it and the entries above: conflict chain 121 kgas -> 43.1 kgas",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(
        text.contains(&format!("Without {most}:\n  conflict chain 121 kgas -> 69.1 kgas")),
        "{text}"
    );
}
