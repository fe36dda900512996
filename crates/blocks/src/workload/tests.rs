//! Properties of generated blocks.
//!
//! 1. The same specification gives the same bytes, another seed gives others.
//! 2. Every transaction succeeds, at a cost in the range of its kind.
//! 3. `hot` is the measured share of transactions with the same recipient or pool.
//! 4. Parties are distinct or few, as the specification says.
//! 5. The header agrees with the file: transactions root, hash, state root; signatures with `from`.
//! 6. Blocks of the demo chain follow each other.

use super::*;
use crate::errors::Made;
use alloy_consensus::{
    EMPTY_ROOT_HASH, Transaction as _, proofs::calculate_transaction_root,
    transaction::SignerRecoverable,
};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::Transaction;
use std::collections::{BTreeMap, BTreeSet};

const ALL: [Workload; 4] = [Workload::Transfers, Workload::Erc20, Workload::Dex, Workload::Range];

fn unsigned(kind: Workload, transactions: u32, hot: u8) -> WorkloadSpec {
    WorkloadSpec::new(kind, transactions, hot, 42).unsigned()
}

fn make(spec: &WorkloadSpec) -> BlockFile {
    generate(spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"))
}

fn transactions(file: &BlockFile) -> &[Transaction] {
    file.block.transactions.as_transactions().unwrap()
}

fn json(file: &BlockFile) -> Vec<u8> {
    serde_json::to_vec(file).unwrap()
}

fn gas(file: &BlockFile) -> &[u64] {
    file.expected.tx_gas_used.as_deref().unwrap()
}

fn all_succeed(file: &BlockFile) -> bool {
    file.expected.tx_success.as_ref().unwrap().iter().all(|success| *success)
}

/// Returns where transactions of a kind conflict: the recipient of the payment, or the pool.
fn meeting_point(kind: Workload, transaction: &Transaction) -> Address {
    match kind {
        Workload::Transfers => transaction.to().unwrap(),
        // Both calls name it in their first argument.
        Workload::Erc20 | Workload::Dex | Workload::Range => {
            Address::from_slice(&transaction.input()[16..36])
        }
        Workload::MintSerial | Workload::MintCounter | Workload::MintParallel => {
            transaction.inner.signer()
        }
    }
}

/// Returns the number of transactions at the busiest recipient or pool.
fn busiest(kind: Workload, file: &BlockFile) -> usize {
    let mut counts = BTreeMap::<_, usize>::new();
    for transaction in transactions(file) {
        *counts.entry(meeting_point(kind, transaction)).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

#[test]
fn the_same_specification_gives_the_same_bytes() {
    for kind in ALL {
        let spec = unsigned(kind, 40, 20);
        assert_eq!(json(&make(&spec)), json(&make(&spec)), "{kind}");
        let other = WorkloadSpec { seed: 43, ..spec.clone() };
        assert_ne!(json(&make(&spec)), json(&make(&other)), "{kind}");
    }
}

#[test]
fn gas_is_that_of_the_kind() {
    let ranges = [
        (Workload::Transfers, 21_000..=21_000),
        (Workload::Erc20, 50_000..=53_000),
        (Workload::Dex, 110_000..=160_000),
        (Workload::Range, 100_000..=260_000),
    ];
    for (kind, range) in ranges {
        let file = make(&unsigned(kind, 60, 0));
        assert!(all_succeed(&file), "{kind}");
        assert!(gas(&file).iter().all(|gas| range.contains(gas)), "{kind}: {:?}", gas(&file));
    }
}

#[test]
fn hot_is_the_share_that_meets() {
    for kind in ALL {
        assert_eq!(busiest(kind, &make(&unsigned(kind, 300, 0))), 1, "{kind}");
        let half = make(&unsigned(kind, 300, 50));
        assert!(all_succeed(&half), "{kind}");
        assert!((120..180).contains(&busiest(kind, &half)), "{kind}: {}", busiest(kind, &half));
        assert_eq!(busiest(kind, &make(&unsigned(kind, 300, 100))), 300, "{kind}");
    }
}

#[test]
fn a_share_above_the_whole_is_refused() {
    let error = generate(&unsigned(Workload::Dex, 1, 101)).unwrap_err();
    assert!(matches!(error, WorkloadError::HotShare { percent: 101 }), "{error}");
    let mut made = Made::default();
    made.add(&error, &["at most 100 percent", "101"]);
    // Internal errors, which no user input causes.
    let own = ["Artifact", "Execution", "Key", "Overflow"];
    made.has_all_of(include_str!("mod.rs"), "WorkloadError", &own);
}

#[test]
fn parties_are_distinct_unless_said_otherwise() {
    for kind in ALL {
        let file = make(&unsigned(kind, 100, 0));
        let senders: BTreeSet<_> = transactions(&file).iter().map(|tx| tx.inner.signer()).collect();
        assert_eq!(senders.len(), 100, "{kind}");
        let points: BTreeSet<_> =
            transactions(&file).iter().map(|tx| meeting_point(kind, tx)).collect();
        assert_eq!(points.len(), 100, "{kind}");
        assert!(senders.is_disjoint(&points), "{kind}");
    }
}

#[test]
fn populations_can_be_small_and_shared() {
    for kind in ALL {
        let twenty = Spread::among(20);
        let spec = WorkloadSpec {
            parties: Parties { senders: twenty, recipients: twenty, shared: true },
            contracts: Spread::ONE,
            ..unsigned(kind, 400, 0)
        };
        let file = make(&spec);
        assert!(all_succeed(&file), "{kind}");
        let mut accounts = BTreeSet::new();
        for transaction in transactions(&file) {
            accounts.insert(transaction.inner.signer());
            if !matches!(kind, Workload::Dex | Workload::Range) {
                accounts.insert(meeting_point(kind, transaction));
            }
        }
        assert_eq!(accounts.len(), 20, "{kind}");
    }
}

#[test]
fn one_sender_pays_all() {
    let spec = WorkloadSpec {
        parties: Parties { senders: Spread::ONE, ..Parties::DISTINCT },
        ..unsigned(Workload::Erc20, 50, 0)
    };
    let file = make(&spec);
    assert!(all_succeed(&file));
    let nonces: Vec<_> = transactions(&file).iter().map(|tx| tx.nonce()).collect();
    assert_eq!(nonces, (0..50).collect::<Vec<_>>());
}

#[test]
fn one_pool_stands_thousands_of_trades() {
    for (kind, range) in [(Workload::Dex, 100_000..150_000), (Workload::Range, 125_000..180_000)] {
        let file = make(&WorkloadSpec { contracts: Spread::ONE, ..unsigned(kind, 2_000, 0) });
        assert!(all_succeed(&file), "{kind}");
        let mean = file.expected.gas_used.unwrap() / 2_000;
        assert!(range.contains(&mean), "{kind}: {mean}");
    }
}

#[test]
fn the_header_agrees_with_the_file() {
    for kind in ALL {
        let file = make(&unsigned(kind, 30, 30));
        let header = &file.block.header;
        let envelopes: Vec<_> = transactions(&file).iter().map(|tx| tx.inner.inner()).collect();
        assert_eq!(header.transactions_root, calculate_transaction_root(&envelopes), "{kind}");
        assert_eq!(header.hash, header.inner.hash_slow(), "{kind}");
        assert_eq!(Some(header.gas_used), file.expected.gas_used, "{kind}");
        assert_eq!(Some(header.state_root), file.expected.state_root, "{kind}");
        assert_eq!(header.gas_used, gas(&file).iter().sum::<u64>(), "{kind}");
        let read: BlockFile = serde_json::from_slice(&json(&file)).unwrap();
        assert_eq!(read, file, "{kind}");
    }
}

#[test]
fn signatures_are_those_of_the_senders() {
    for kind in ALL {
        let file = make(&WorkloadSpec::new(kind, 10, 30, 42));
        for transaction in transactions(&file) {
            let signer = transaction.inner.inner().recover_signer().unwrap();
            assert_eq!(signer, transaction.inner.signer(), "{kind}");
        }
        assert!(all_succeed(&file), "{kind}");
    }
}

#[test]
fn pools_start_at_the_tick_of_their_reserves() {
    let file = make(&unsigned(Workload::Dex, 1, 0));
    let (block, database) = file.to_block().unwrap();
    let output = crate::sequential::execute(&block, database).unwrap();
    let log = output.receipts[0].logs.last().unwrap();
    // The last word of a pool's `Swap` is the tick after the trade, which moves it by less than
    // one.
    let tick = U256::from_be_slice(log.data.data.rchunks(32).next().unwrap());
    let distance = tick.abs_diff(U256::from(pool::START_TICK));
    assert!(distance <= U256::from(1), "{tick}");
}

#[test]
fn the_empty_block_is_a_block() {
    let file = make(&unsigned(Workload::Erc20, 0, 0));
    assert_eq!(file.expected.gas_used, Some(0));
    assert_eq!(file.block.header.receipts_root, EMPTY_ROOT_HASH);
}

#[test]
fn the_state_root_depends_on_accounts_and_slots() {
    let mut state = state::State::default();
    assert_eq!(state.root(), EMPTY_ROOT_HASH);
    let address = Address::repeat_byte(1);
    state.fund(address, U256::from(1));
    let with_account = state.root();
    state.set(address, U256::from(1), U256::from(2));
    assert_ne!(state.root(), with_account);
    state.set(address, U256::from(1), U256::ZERO);
    assert_eq!(state.root(), with_account);
}

#[test]
fn blocks_of_the_demo_chain_fit_each_other() {
    let chain = demo(7).unwrap();
    assert_eq!(chain.len(), 6);
    for file in &chain {
        assert!((185..=250).contains(&transactions(file).len()));
        let gas = file.block.header.gas_used;
        assert!((19_000_000..=29_000_000).contains(&gas), "{gas}");
        assert!(all_succeed(file));
    }
    for pair in chain.windows(2) {
        let (parent, child) = (&pair[0].block.header, &pair[1].block.header);
        assert_eq!(child.parent_hash, parent.hash);
        assert_eq!(child.number, parent.number + 1);
        let before =
            state::State { accounts: pair[1].pre_state.clone(), ..Default::default() }.root();
        assert_eq!(before, parent.state_root);
        assert_ne!(child.base_fee_per_gas, parent.base_fee_per_gas);
    }
    assert_eq!(chain, demo(7).unwrap());
}
