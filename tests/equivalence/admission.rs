//! Transactions that must not be in the block: an error that names them, or a block without them.

use crate::support::scene::{BENEFICIARY, ETHER, Scene, call, contract, create, pay, rich};
use alloy_primitives::{Address, B256, Bytes, U256};
use braid_blocks::code::Code;
use braid_blocks::fork::FORKS;
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::{Position, SequentialError, SequentialErrorKind, SkipReason};
use core::convert::Infallible;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use revm::context_interface::transaction::{AccessList, AccessListItem};
use revm::primitives::hardfork::SpecId;

#[track_caller]
fn invalid(error: &SequentialError<Infallible>, tx: usize) -> &InvalidTransaction {
    assert_eq!(error.at, Position::Transaction(tx));
    match &error.kind {
        SequentialErrorKind::Invalid(SkipReason::Invalid(reason)) => reason,
        other => panic!("{other}"),
    }
}

/// Returns 150 transfers of a few senders. Number 100 is `bad`, and its sender has three more after
/// it.
fn long_block(bad: impl FnOnce(Address) -> TxEnv, poor: MemoryAccount) -> Scene {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 5] = scene.senders();
    let poor = scene.put(Address::repeat_byte(0x99), poor);
    // Small gas limits, so that several transactions form a chunk.
    let pay = |to, wei| TxEnv { gas_limit: 30_000, ..pay(to, wei) };
    for index in 0..100 {
        scene.send(senders[index % 5], pay(senders[(index + 1) % 5], 1));
    }
    scene.block.transactions.push(TxEnv { caller: poor, ..bad(senders[0]) });
    for index in 101..150 {
        if index % 16 == 0 {
            scene.send(poor, pay(senders[0], 1));
        } else {
            scene.send(senders[index % 5], pay(senders[(index + 3) % 5], 1));
        }
    }
    scene
}

#[test]
fn transaction_100_has_a_nonce_gap() {
    let scene = long_block(|to| TxEnv { nonce: 7, ..pay(to, 1) }, rich());
    let error = scene.fail();
    assert_eq!(*invalid(&error, 100), InvalidTransaction::NonceTooHigh { tx: 7, state: 0 });
    assert_eq!(scene.build().all_skipped(), [100]);
}

/// Transactions after the gap are skipped too, because the sender's later nonces depend on it.
#[test]
fn transaction_100_has_a_nonce_gap_and_others_follow_it() {
    let mut scene = long_block(|to| TxEnv { nonce: 7, ..pay(to, 1) }, rich());
    let poor = Address::repeat_byte(0x99);
    for tx in &mut scene.block.transactions[101..] {
        if tx.caller == poor {
            tx.nonce += 8;
        }
    }
    assert_eq!(scene.build().all_skipped(), [100, 112, 128, 144]);
    invalid(&scene.fail(), 100);
}

#[test]
fn transaction_100_has_no_funds() {
    let poor = MemoryAccount { balance: U256::from(1_000), ..Default::default() };
    let scene = long_block(|to| pay(to, 1), poor);
    let error = scene.fail();
    assert!(matches!(invalid(&error, 100), InvalidTransaction::LackOfFundForMaxFee { .. }));
    assert_eq!(scene.build().all_skipped(), [100, 112, 128, 144]);
}

#[test]
fn transaction_100_does_not_fit_the_block() {
    let mut scene = long_block(|to| TxEnv { gas_limit: 9_000_000, ..pay(to, 1) }, rich());
    scene.block.env.gas_limit = 10_000_000;
    let error = scene.fail();
    assert_eq!(error.at, Position::Transaction(100));
    let SequentialErrorKind::Invalid(SkipReason::BlockGas { limit, available }) = error.kind else {
        panic!("{error}")
    };
    assert_eq!((limit, available), (9_000_000, 10_000_000 - 2_100_000));
    assert!(scene.build().all_skipped().contains(&100));
}

/// An earlier transaction decides whether a later one can be paid.
#[test]
fn funds_come_and_go_within_the_block() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let [first, second, third] = [0x91, 0x92, 0x93].map(Address::repeat_byte);
        let one = MemoryAccount { balance: U256::ONE, ..Default::default() };
        scene.put(first, one.clone());
        scene.put(third, one);
        let enough = 10 * 21_000 + 5;
        scene.put(second, MemoryAccount { balance: U256::from(2 * enough), ..Default::default() });
        let small = |tx| TxEnv { gas_limit: 21_000, ..tx };
        // Funds of the first transaction arrive before it, and funds of the third after it.
        scene.send(alice, small(pay(first, 2 * enough)));
        scene.send(first, small(pay(second, 5)));
        scene.send(second, small(pay(bob, enough)));
        scene.send(second, small(pay(bob, enough)));
        scene.send(third, small(pay(bob, 1)));
        scene.send(alice, small(pay(third, 2 * enough)));
        let retried = TxEnv { caller: third, nonce: 0, ..small(pay(bob, 1)) };
        scene.block.transactions.push(retried);
        assert_eq!(scene.build().all_skipped(), [3, 4], "{name}");
        invalid(&scene.fail(), 3);
    }
}

#[test]
fn everything_that_makes_a_transaction_invalid() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let coded = scene.put(
        Address::repeat_byte(0x97),
        MemoryAccount { balance: U256::from(ETHER), ..contract(Code::new().op(opcode::STOP)) },
    );
    let exhausted =
        scene.put(Address::repeat_byte(0x98), MemoryAccount { nonce: u64::MAX, ..rich() });
    let base = pay(bob, 1);
    let blob = |hash: B256, fee| TxEnv {
        tx_type: 3,
        gas_priority_fee: Some(1),
        blob_hashes: vec![hash],
        max_fee_per_blob_gas: fee,
        ..base.clone()
    };
    let version_1 = |byte| {
        let mut hash = B256::repeat_byte(byte);
        hash.0[0] = 1;
        hash
    };
    let alike = |tx: TxEnv| TxEnv { caller: alice, nonce: 0, ..tx };
    let bad = [
        TxEnv { caller: coded, nonce: 1, ..base.clone() },
        TxEnv { caller: exhausted, nonce: u64::MAX, ..base.clone() },
        alike(TxEnv { gas_limit: 20_000, ..base.clone() }),
        alike(TxEnv { gas_limit: 40_000_000, ..base.clone() }),
        alike(TxEnv { gas_limit: 20_000_000, ..base.clone() }),
        alike(TxEnv { gas_price: 6, ..base.clone() }),
        alike(TxEnv { tx_type: 2, gas_priority_fee: Some(11), ..base.clone() }),
        alike(TxEnv { chain_id: Some(2), ..base.clone() }),
        alike(TxEnv { value: U256::MAX, ..base.clone() }),
        alike(create(Bytes::from(vec![0; 60_000]))),
        alike(blob(version_1(1), 0)),
        alike(blob(B256::ZERO, 9)),
        alike(TxEnv { blob_hashes: vec![], ..blob(version_1(1), 9) }),
        alike(TxEnv { blob_hashes: vec![version_1(2); 10], ..blob(version_1(1), 9) }),
        alike(TxEnv { tx_type: 4, gas_priority_fee: Some(1), ..base.clone() }),
    ];
    let count = bad.len();
    for tx in bad {
        scene.block.transactions.push(tx);
        scene.send(bob, pay(alice, 1));
    }
    let expected: Vec<usize> = (0..count).map(|index| 2 * index).collect();
    assert_eq!(scene.build().all_skipped(), expected);
    for index in 0..count {
        let mut single = scene.clone();
        let bad = scene.block.transactions[2 * index].clone();
        single.block.transactions = vec![scene.block.transactions[1].clone(), bad];
        assert_eq!(single.fail().at, Position::Transaction(1), "{index}");
    }
}

/// Transaction types that the fork does not know.
#[test]
fn transaction_types_begin_with_their_fork() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let list =
            AccessList(vec![AccessListItem { address: bob, storage_keys: vec![B256::ZERO] }]);
        let typed = |tx_type: u8| TxEnv {
            tx_type,
            gas_priority_fee: (tx_type >= 2).then_some(1),
            access_list: list.clone(),
            ..pay(bob, 1)
        };
        let mut hash = B256::ZERO;
        hash.0[0] = 1;
        let blob = TxEnv { blob_hashes: vec![hash], max_fee_per_blob_gas: 5, ..typed(3) };
        let signed = vec![crate::support::scene::authorization(carol, bob, 0)];
        let delegating = TxEnv { authorization_list: signed, ..typed(4) };
        let expected = [SpecId::BERLIN, SpecId::LONDON, SpecId::CANCUN, SpecId::PRAGUE];
        let mut skipped = Vec::new();
        let typed = [typed(1), typed(2), blob, delegating].into_iter().zip(expected).enumerate();
        for (index, (tx, since)) in typed {
            scene.send(alice, tx);
            scene.send(bob, pay(alice, 1));
            if !spec.is_enabled_in(since) {
                skipped.push(2 * index);
                let last = scene.nonce(alice) - 1;
                scene.set_nonce(alice, last);
            }
        }
        let built = scene.build();
        assert_eq!(built.all_skipped(), skipped, "{name}");
        if spec.is_enabled_in(SpecId::CANCUN) {
            assert_eq!(built.output().blob_gas_used, 131_072, "{name}");
        }
        if let Some(first) = skipped.first() {
            invalid(&scene.fail(), *first);
        }
    }
}

/// The block fills up: a transaction that does not fit is skipped, and a smaller one still fits.
#[test]
fn block_gas_runs_out_in_the_middle() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        // Writes a new slot each time, so that it uses both kinds of gas in Amsterdam.
        let burn = Code::new().sload(0).push(1).op(opcode::ADD).op(opcode::DUP1);
        let burn = scene.contract(0, burn.op(opcode::DUP1).op(opcode::SSTORE).sstore_top(0));
        scene.block.env.gas_limit = 600_000;
        for _ in 0..5 {
            scene.send(alice, TxEnv { gas_limit: 150_000, ..call(burn) });
            scene.send(bob, TxEnv { gas_limit: 200_000, ..call(burn) });
            scene.send(carol, TxEnv { gas_limit: 21_000, ..pay(alice, 1) });
        }
        let error = scene.fail();
        let SequentialErrorKind::Invalid(SkipReason::BlockGas { .. }) = error.kind else {
            panic!("{name}: {error}")
        };
        let built = scene.build();
        assert!(!built.all_skipped().is_empty(), "{name}");
        assert!(built.output().gas_used <= 600_000, "{name}");
    }
}

/// A refund makes room for the next transaction.
#[test]
pub(crate) fn refunds_make_room() {
    for spec in [SpecId::ISTANBUL, SpecId::LONDON, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let mut clear = Code::new();
        for slot in 0..10 {
            clear = clear.sstore(slot, 0);
        }
        let clear = scene.contract(0, clear);
        let slots = crate::support::scene::storage(core::array::from_fn::<_, 10, _>(|slot| {
            (slot as u64, 1)
        }));
        let account = MemoryAccount { storage: slots, ..scene.account(clear).clone() };
        scene.put(clear, account);
        scene.send(alice, TxEnv { gas_limit: 150_000, ..call(clear) });
        scene.send(bob, TxEnv { gas_limit: 21_000, ..pay(carol, 1) });
        scene.send(carol, TxEnv { gas_limit: 21_000, ..pay(bob, 1) });
        for limit in [150_000, 160_000, 170_000, 171_000, 192_000] {
            scene.block.env.gas_limit = limit;
            scene.build();
        }
    }
}

#[test]
fn blocks_of_nothing_and_of_one() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        assert_eq!(scene.play().output().gas_used, 0, "{name}");
        scene.send(alice, pay(bob, 1));
        assert!(scene.play().ok(0), "{name}");
        let mut scene = Scene::on(spec);
        scene.block.transactions.push(TxEnv { caller: bob, nonce: 3, ..pay(alice, 1) });
        assert_eq!(scene.build().all_skipped(), [0], "{name}");
        invalid(&scene.fail(), 0);
    }
}

/// No transaction of the block can be executed.
#[test]
pub(crate) fn a_block_of_invalid_transactions_is_built_empty() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    for nonce in 1..40 {
        let caller = if nonce % 3 == 0 { alice } else { bob };
        scene.block.transactions.push(TxEnv { caller, nonce, ..pay(BENEFICIARY, 1) });
    }
    let built = scene.build();
    assert_eq!(built.all_skipped().len(), 39);
    assert_eq!(built.output().gas_used, 0);
}

/// Each skip decides which later transactions are valid.
#[test]
fn skips_depend_on_skips() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let poor = Address::repeat_byte(0x99);
    scene.put(poor, MemoryAccount { balance: U256::from(250_000), ..Default::default() });
    let small = |tx| TxEnv { gas_limit: 21_000, ..tx };
    // The first transaction is too expensive, so the funds remain for the next one, and are spent
    // after that.
    let tx = |nonce, tx: TxEnv| TxEnv { caller: poor, nonce, ..small(tx) };
    scene.block.transactions.push(tx(0, pay(alice, 100_000)));
    scene.send(alice, small(pay(bob, 1)));
    scene.block.transactions.push(tx(0, pay(alice, 30_000)));
    scene.send(bob, small(pay(carol, 1)));
    scene.block.transactions.push(tx(1, pay(alice, 0)));
    scene.send(carol, small(pay(poor, 300_000)));
    scene.block.transactions.push(tx(1, pay(alice, 1)));
    scene.block.transactions.push(tx(1, pay(alice, 1)));
    assert_eq!(scene.build().all_skipped(), [0, 4, 7]);
    invalid(&scene.fail(), 0);
}

/// The second transaction of a contiguous batch has no result in it, and no room when it runs at
/// the frontier. The first one has room.
#[test]
fn what_has_no_result_asks_for_no_room() {
    let mut scene = Scene::on(SpecId::OSAKA);
    scene.put(BENEFICIARY, contract(Code::new()));
    let senders: [Address; 4] = scene.senders();
    let look = Code::new().op(opcode::COINBASE).op(opcode::BALANCE).push(0).op(opcode::SSTORE);
    let look = scene.contract(0, look);
    for (index, sender) in senders.into_iter().enumerate() {
        let tx = if index == 3 {
            call(look)
        } else {
            pay(Address::with_last_byte(0xd0 + index as u8), 1)
        };
        scene.send(sender, TxEnv { gas_limit: if index == 3 { 60_000 } else { 21_000 }, ..tx });
    }
    scene.block.env.gas_limit = 3 * 21_000 + 59_999;
    assert_eq!(scene.fail().at, Position::Transaction(3));
    assert_eq!(scene.build().all_skipped(), [3]);
}
