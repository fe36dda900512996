//! Everything that a transaction can read, while others change it.

use crate::support::scene::{Scene, call, call_with, contract, pay, storage};
use alloy_primitives::{Address, B256, U256};
use braid_blocks::code::Code;
use braid_blocks::fork::FORKS;
use braid_blocks::memory::{MemoryAccount, MemoryDatabase};
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::context_interface::transaction::{AccessList, AccessListItem};
use revm::primitives::hardfork::SpecId;

#[test]
fn hashes_of_blocks() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let mut code = Code::new();
        for (slot, number) in [999, 998, 744, 743, 1_000, 0].into_iter().enumerate() {
            code = code.push(number).op(opcode::BLOCKHASH).sstore_top(1 + slot as u64);
        }
        let look = scene.contract(0, code.increment(0, 1));
        for sender in [alice, bob, carol] {
            scene.send(sender, call(look));
        }
        let played = scene.play();
        let hash = |number| U256::from_be_bytes(MemoryDatabase::hash_of_block(number).0);
        assert_eq!(played.slot(look, 1), Some(hash(999)), "{name}");
        assert_eq!(played.slot(look, 3), Some(hash(744)), "{name}");
        assert_eq!(played.slot(look, 4), None, "{name}");
    }
}

/// A long chain of dependent transactions: each reads what the one before wrote.
#[test]
pub(crate) fn one_hot_slot() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let double = Code::new().sload(0).push(3).op(opcode::MUL).push(1).op(opcode::ADD);
    let double = scene.contract(0, double.sstore_top(0));
    for index in 0..60 {
        let sender = scene.sender(index);
        scene.send(sender, call(double));
    }
    let played = scene.play();
    let expected = (0..60).fold(U256::ZERO, |value, _| value * U256::from(3) + U256::ONE);
    assert_eq!(played.slot(double, 0), Some(expected));
}

/// The location of a write depends on a read, so a wrong run leaves entries at other locations than
/// the right one.
#[test]
fn the_place_of_a_write_depends_on_a_read() {
    for spec in [SpecId::FRONTIER, SpecId::ISTANBUL, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let scatter = Code::new().op(opcode::CALLER).sload(0).push(100).op(opcode::ADD);
        let scatter = scatter.op(opcode::SSTORE).increment(0, 1);
        let reader = Address::repeat_byte(0x31);
        let scatter = scene.contract(0, scatter);
        // Reads the location that the last writer should have chosen, by passing it as data.
        let probe = Code::new().call_by(opcode::DELEGATECALL, scatter, 100_000).sstore_top(900);
        scene.put(reader, contract(probe));
        for index in 0..24 {
            let sender = scene.sender(index);
            scene.send(sender, call(if index % 3 == 2 { reader } else { scatter }));
        }
        scene.play();
    }
}

/// Funds that move in a circle: balances are read, written and only passed through.
#[test]
fn payments_in_a_circle() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: [Address; 6] = scene.senders();
    let forward = |to: Address| {
        let code = Code::new().push(0).push(0).push(0).push(0).op(opcode::CALLVALUE);
        code.address(to).push(30_000).op(opcode::CALL).sstore_top(0)
    };
    let contracts: Vec<Address> = (0..6)
        .map(|index| scene.contract(index, forward(senders[(index as usize + 1) % 6])))
        .collect();
    for round in 0..4 {
        for (index, sender) in senders.into_iter().enumerate() {
            scene.send(sender, pay(contracts[index], 1_000 * (round + 1)));
        }
    }
    scene.play();
}

#[test]
fn the_size_and_hash_of_code_and_balances_of_others() {
    for spec in [SpecId::PETERSBURG, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let fresh = Address::repeat_byte(0x44);
        let mut look = Code::new();
        for address in [alice, bob, fresh, Address::with_last_byte(1), Address::ZERO] {
            look = look.address(address).op(opcode::EXTCODEHASH);
            look = look.address(address).op(opcode::EXTCODESIZE).op(opcode::ADD);
            look = look.balance(address).op(opcode::ADD).sload(0).op(opcode::XOR).sstore_top(0);
        }
        let look = scene.contract(0, look);
        for _ in 0..4 {
            scene.send(carol, call(look));
            scene.send(alice, pay(fresh, 1));
            scene.send(bob, call(look));
        }
        scene.play();
    }
}

/// Refunds, warm and cold accesses, and access lists.
#[test]
fn gas_depends_on_values_and_lists() {
    for spec in [SpecId::ISTANBUL, SpecId::BERLIN, SpecId::LONDON, SpecId::OSAKA, SpecId::AMSTERDAM]
    {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let swap = Code::new().sload(0).sload(1).sstore_top(0).sstore_top(1);
        let swap = scene.contract(0, swap);
        let account = MemoryAccount { storage: storage([(0, 5)]), ..scene.account(swap).clone() };
        scene.put(swap, account);
        let list = AccessList(vec![AccessListItem {
            address: swap,
            storage_keys: vec![B256::ZERO, B256::with_last_byte(1)],
        }]);
        for sender in [alice, bob, carol] {
            scene.send(sender, call(swap));
            if spec.is_enabled_in(SpecId::BERLIN) {
                let listed = TxEnv { tx_type: 1, access_list: list.clone(), ..call(swap) };
                scene.send(sender, listed);
            }
        }
        scene.play();
    }
}

/// Transient storage ends with the transaction (EIP-1153).
#[test]
fn transient_storage() {
    for spec in [SpecId::CANCUN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let code = Code::new().push(0).op(opcode::TLOAD).sstore_top(1);
        let code = code.push(7).push(0).op(opcode::TSTORE).push(0).op(opcode::TLOAD);
        let code = code.sload(0).op(opcode::ADD).sstore_top(0);
        let code = scene.contract(0, code);
        for sender in [alice, bob, carol] {
            scene.send(sender, call(code));
        }
        let played = scene.play();
        assert_eq!(played.slot(code, 0), Some(U256::from(21)), "{spec:?}");
        assert_eq!(played.slot(code, 1), None, "{spec:?}");
    }
}

/// A slot that is restored is written, but not changed.
#[test]
fn values_that_return() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let set = Code::new().push(0).op(opcode::CALLDATALOAD).sstore_top(0);
    let set = scene.contract(0, set);
    let account = MemoryAccount { storage: storage([(0, 5)]), ..scene.account(set).clone() };
    scene.put(set, account);
    for value in [6, 5, 5, 0, 5] {
        scene.send(alice, call_with(set, value));
        scene.send(bob, pay(carol, 1));
        scene.send(carol, pay(bob, 1));
    }
    let played = scene.play();
    assert_eq!(played.balance(bob), Some(scene.account(bob).balance - U256::from(5 * 210_000)));
}

/// Logs of transactions that run again appear once and in order.
#[test]
fn logs() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let count = scene.contract(0, Code::new().increment(0, 1).sload(0).log_top(9));
    for index in 0..20 {
        let sender = scene.sender(index);
        scene.send(sender, call(count));
    }
    let played = scene.play();
    for (index, receipt) in played.output().receipts.iter().enumerate() {
        let data = U256::from_be_slice(&receipt.logs[0].data.data);
        assert_eq!(data, U256::from(index + 1));
    }
}

/// Blob transactions: their hashes and fee are visible, and the fee is paid.
#[test]
fn blobs() {
    for spec in [SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let look = Code::new().push(0).op(opcode::BLOBHASH).sload(0).op(opcode::XOR).sstore_top(0);
        let look = scene.contract(0, look.op(opcode::BLOBBASEFEE).sstore_top(1));
        for (index, sender) in [alice, bob, carol].into_iter().enumerate() {
            let mut hash = B256::repeat_byte(index as u8 + 3);
            hash.0[0] = 1;
            let tx = TxEnv {
                tx_type: 3,
                gas_priority_fee: Some(2),
                blob_hashes: vec![hash; index + 1],
                max_fee_per_blob_gas: 5,
                ..call(look)
            };
            scene.send(sender, tx);
        }
        let played = scene.play();
        assert_eq!(played.output().blob_gas_used, 6 * 131_072, "{spec:?}");
        assert_eq!(played.slot(look, 1), Some(U256::ONE), "{spec:?}");
    }
}

/// Precompiles, with inputs that other transactions change.
#[test]
fn precompiles() {
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let mut code = Code::new().sload(0).push(0).op(opcode::MSTORE);
        for address in 1..=9_u8 {
            let output = code.push(32).push(0).push(32).push(0).push(0);
            code = output.address(Address::with_last_byte(address)).push(20_000).op(opcode::CALL);
            code = code.op(opcode::POP);
        }
        let hash = scene.contract(0, code.push(0).op(opcode::MLOAD).sstore_top(0));
        for index in 0..9 {
            let sender = scene.sender(index);
            scene.send(sender, TxEnv { gas_limit: 900_000, ..call(hash) });
        }
        let played = scene.play();
        assert!(played.slot(hash, 0) > Some(U256::ZERO), "{name}");
    }
}

/// A transaction that runs out of gas only on the value that it finally reads.
#[test]
fn loops_as_long_as_a_slot_says() {
    for spec in [SpecId::FRONTIER, SpecId::OSAKA] {
        let mut scene = Scene::on(spec);
        // Recursion instead of a loop, as deep as slot 0 says.
        let own = Address::repeat_byte(0x61);
        let code = Code::new()
            .op(opcode::CALLDATASIZE)
            .if_nonzero(|code| code.increment(0, 700).op(opcode::STOP));
        let code = code.sload(0).if_nonzero(|code| {
            let code = code.push(1).sload(0).op(opcode::SUB).sstore_top(0);
            code.push(0)
                .push(0)
                .push(0)
                .push(0)
                .push(0)
                .address(own)
                .op(opcode::GAS)
                .op(opcode::CALL)
                .sstore_top(5)
        });
        scene.put(own, contract(code));
        for index in 0..12 {
            let sender = scene.sender(index);
            let tx = if index % 4 == 3 { call_with(own, 1) } else { call(own) };
            scene.send(sender, tx);
        }
        scene.play();
    }
}
