//! System calls before the first and after the last transaction, and their interaction with
//! transactions.

use super::parts::{run, seeded};
use crate::support::scene::{BENEFICIARY, ETHER, Scene, call, call_with, contract, pay, storage};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use braid_blocks::block::mainnet_dao_fork;
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::{Position, SequentialErrorKind};
use braid_evm::{Forced, Policy};
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

const SPECS: [SpecId; 4] = [SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];
const DEPOSITS: Address = Address::repeat_byte(0xde);
/// Address of the builder contract (EIP-8282).
const BUILDER: Address = address!("0000BFF46984E3725691FA540A8C7589300D8282");

/// Code that stores the first word of its data in slot 0, and counts its calls in slot 1.
fn recorder() -> Code {
    Code::new().push(0).op(opcode::CALLDATALOAD).sstore_top(0).increment(1, 1)
}

/// Code that returns slot 0 and clears it, or sets it if called with data.
fn queue() -> Code {
    let code = Code::new()
        .op(opcode::CALLDATASIZE)
        .if_nonzero(|code| code.push(0).op(opcode::CALLDATALOAD).sstore_top(0).op(opcode::STOP));
    code.sload(0).sstore(0, 0).return_top()
}

#[test]
fn contracts_called_before_the_block_are_read_and_written_in_it() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let contracts = [eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS];
        for address in contracts {
            let account = MemoryAccount { storage: storage([(1, 7)]), ..contract(recorder()) };
            scene.put(address, account);
        }
        let look = Code::new().call_by(opcode::DELEGATECALL, contracts[1], 90_000);
        let look = scene.contract(0, look.sstore_top(5));
        for address in contracts {
            scene.send(alice, call_with(address, 42));
            scene.send(bob, call(look));
            scene.send(carol, pay(address, 1));
        }
        let played = scene.play();
        assert_eq!(played.slot(contracts[1], 1), Some(U256::from(10)), "{spec:?}");
    }
}

/// The beneficiary's account before the first call is not the one that the first transaction finds.
#[test]
fn a_contract_called_before_the_block_pays_the_beneficiary() {
    let mut scene = Scene::on(SpecId::CANCUN);
    let code = Code::new().call(BENEFICIARY, 5, 50_000);
    let balance = U256::from(100);
    scene.put(eip4788::BEACON_ROOTS_ADDRESS, MemoryAccount { balance, ..contract(code) });
    let code = Code::new().address(BENEFICIARY).op(opcode::BALANCE);
    let ask =
        scene.contract(0, code.sload(0).push(1).op(opcode::ADD).op(opcode::SSTORE).increment(0, 1));
    for index in 0..6 {
        let sender = scene.sender(index);
        let tx = if index % 2 == 0 { call(ask) } else { pay(Address::repeat_byte(0x70), 1) };
        scene.send(sender, tx);
    }
    assert_eq!(scene.play().slot(ask, 1), Some(U256::from(5)));
}

/// Transactions find the state that the pre-block calls leave, whatever that is.
#[test]
fn transactions_find_what_the_first_calls_left() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let history = eip2935::HISTORY_STORAGE_ADDRESS;
    let answering = Code::new()
        .op(opcode::CALLDATASIZE)
        .if_nonzero(|code| code.push(0).op(opcode::CALLDATALOAD).sstore_top(0).op(opcode::STOP));
    scene.put(history, contract(answering.sload(0).return_top()));
    let ask = Code::new().push(32).push(0).push(0).push(0).push(0).address(history).op(opcode::GAS);
    let ask = ask.op(opcode::CALL).op(opcode::POP).push(0).op(opcode::MLOAD).sstore_top(3);
    let ask = scene.contract(0, ask);
    scene.send(alice, call(ask));
    scene.send(bob, call(ask));
    let played = scene.play();
    let parent = U256::from_be_bytes(scene.block.parent_hash.0);
    assert_eq!(played.slot(ask, 3), Some(parent));
}

#[test]
fn requests_come_from_what_the_transactions_queued() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol] = scene.senders();
        let withdrawals = eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
        let consolidations = eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
        for address in [withdrawals, consolidations, BUILDER] {
            scene.put(address, contract(queue()));
        }
        scene.send(alice, call_with(withdrawals, 5));
        scene.send(bob, call_with(consolidations, 6));
        scene.send(carol, call_with(withdrawals, 7));
        scene.send(alice, call_with(BUILDER, 8));
        let played = scene.play();
        let expected = if spec.is_enabled_in(SpecId::AMSTERDAM) { 3 } else { 2 };
        let requests = &played.output().requests;
        assert_eq!(requests.len(), expected, "{spec:?}");
        assert_eq!(requests[0].last(), Some(&7), "{spec:?}");
        // Set and cleared again: unchanged over the block.
        assert_eq!(played.output().bundle.account(&withdrawals), None, "{spec:?}");
    }
}

/// Queues, slots and balances that batches of the block have changed: of accounts with code,
/// without code, and of a new account; and balances of an account that destroys itself.
#[test]
pub(crate) fn what_follows_parts_finds_what_they_have_changed() {
    let [cancun, osaka, amsterdam] = [SpecId::CANCUN, SpecId::OSAKA, SpecId::AMSTERDAM];
    for (spec, destroys) in
        [(cancun, false), (osaka, false), (amsterdam, false), (SpecId::SHANGHAI, true)]
    {
        let mut scene = Scene::on(spec);
        let [alice, bob, carol, dave] = scene.senders();
        let queue = scene.put(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(queue()));
        let other = eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
        let other = scene.put(other, contract(Code::new().increment(3, 1)));
        let quiet = scene.contract(1, recorder());
        let mortal = scene.contract(2, Code::new().selfdestruct(Address::repeat_byte(0x15)));
        let fresh = Address::repeat_byte(0x12);
        scene.fund(mortal, 1_000);
        scene.send(alice, call_with(queue, 5));
        scene.send(bob, pay(fresh, 7));
        scene.send(carol, TxEnv { value: U256::from(9), ..call_with(quiet, 3) });
        // The transaction that calls a second contract gets all the gas there is.
        let last = match spec {
            _ if destroys => call(mortal),
            SpecId::OSAKA => call(other),
            _ => call_with(quiet, 4),
        };
        scene.send(dave, last);
        let receivers = [alice, bob, carol, dave, fresh, quiet, mortal];
        let withdrawal =
            |(index, address)| Withdrawal { index, validator_index: 7, address, amount: 1 + index };
        scene.block.withdrawals = Some((0..).zip(receivers).map(withdrawal).collect());
        for workers in [1, 2, 3, 8] {
            let stats = run(
                &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
                &scene,
                scene.database(),
            );
            assert!(stats.contiguous_batches >= 2, "{spec:?}, {workers}: {stats:?}");
        }
        let played = scene.play();
        // Set and cleared again, where the queue was called.
        let is_asked = spec.is_enabled_in(SpecId::PRAGUE);
        assert_eq!(played.output().bundle.account(&queue).is_none(), is_asked, "{spec:?}");
        assert_eq!(played.balance(fresh), Some(U256::from(5_000_000_007_u64)), "{spec:?}");
    }
}

#[test]
fn a_request_contract_that_fails_makes_the_block_invalid() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        // Fails because of a transaction's write.
        let code = Code::new()
            .op(opcode::CALLDATASIZE)
            .if_nonzero(|code| code.sstore(0, 1).op(opcode::STOP));
        let code = code.sload(0).if_nonzero(Code::revert);
        scene.put(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, contract(code));
        scene.send(alice, pay(bob, 1));
        scene.play();
        scene.send(bob, call_with(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, 1));
        let error = scene.fail();
        assert_eq!(error.at, Position::PostBlock, "{spec:?}");
        assert!(matches!(error.kind, SequentialErrorKind::Other(_)));
    }
}

/// The remaining gas shows whether an address is warm.
#[test]
fn system_contracts_meet_precompiles_warm_only_after_a_transaction() {
    for spec in [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        for transactions in [0, 1, 2] {
            let mut scene = Scene::on(spec);
            let [alice, bob] = scene.senders();
            let measure = Code::new().op(opcode::GAS).balance(Address::with_last_byte(2));
            let measure = measure.op(opcode::POP).op(opcode::GAS).op(opcode::SWAP1);
            let measure = measure.op(opcode::SUB).sstore_top(0);
            let contracts = [
                eip2935::HISTORY_STORAGE_ADDRESS,
                eip4788::BEACON_ROOTS_ADDRESS,
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            ];
            for address in contracts {
                scene.put(address, contract(measure.clone()));
            }
            for _ in 0..transactions {
                scene.send(alice, pay(bob, 1));
            }
            let played = scene.play();
            let [before, after] = [contracts[0], contracts[3]].map(|at| played.slot(at, 0));
            assert_eq!(before == after, transactions == 0, "{spec:?}");
            scene.block.transactions.truncate(1);
            scene.block.transactions.iter_mut().for_each(|tx| tx.nonce += 1);
            scene.build();
        }
    }
}

/// Returns the data of a deposit event in the layout of EIP-6110.
fn deposit_event() -> Vec<u8> {
    let mut data = vec![0; 576];
    let fields = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
    for (index, (offset, length)) in fields.into_iter().enumerate() {
        data[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
        data[offset + 31] = length;
        data[offset + 32..offset + 32 + usize::from(length)].fill(index as u8 + 1);
    }
    data
}

/// Code that logs its data under the topic of a deposit.
fn deposit_contract() -> Code {
    let topic = U256::from_be_slice(&alloy_primitives::hex!(
        "649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5"
    ));
    let code = Code::new().op(opcode::CALLDATASIZE).push(0).push(0).op(opcode::CALLDATACOPY);
    code.push(topic).op(opcode::CALLDATASIZE).push(0).op(opcode::LOG1)
}

#[test]
fn deposits_become_requests() {
    for spec in [SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM] {
        for system_calls in [true, false] {
            let mut scene = Scene::on(spec);
            let [alice, bob, carol] = scene.senders();
            scene.put(DEPOSITS, contract(deposit_contract()));
            scene.block.rules.deposit_contract = Some(DEPOSITS);
            scene.block.rules.system_calls = system_calls;
            for sender in [alice, bob, carol] {
                let data = Bytes::from(deposit_event());
                scene.send(sender, TxEnv { data, ..call(DEPOSITS) });
            }
            let played = scene.play();
            let expected = usize::from(spec.is_enabled_in(SpecId::PRAGUE));
            assert_eq!(played.output().requests.len(), expected, "{spec:?} {system_calls}");
        }
    }
}

#[test]
fn a_malformed_deposit_makes_the_block_invalid() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.put(DEPOSITS, contract(deposit_contract()));
    scene.block.rules.deposit_contract = Some(DEPOSITS);
    let mut data = deposit_event();
    data[31] ^= 1;
    scene.send(alice, TxEnv { data: deposit_event().into(), ..call(DEPOSITS) });
    scene.send(bob, TxEnv { data: data.into(), ..call(DEPOSITS) });
    assert_eq!(scene.fail().at, Position::PostBlock);
}

#[test]
fn withdrawals_go_to_accounts_of_all_kinds() {
    for spec in [SpecId::SHANGHAI, SpecId::CANCUN, SpecId::OSAKA, SpecId::AMSTERDAM] {
        let mut scene = Scene::on(spec);
        let [alice, bob, heir] = scene.senders();
        let empty = scene.put(Address::repeat_byte(0x11), MemoryAccount::default());
        let mortal = scene.contract(0, Code::new().selfdestruct(heir));
        let fresh = Address::repeat_byte(0x12);
        let full = Address::repeat_byte(0x13);
        let untouched = scene.put(Address::repeat_byte(0x14), MemoryAccount::default());
        let balance = U256::MAX - U256::from(ETHER);
        scene.put(full, MemoryAccount { balance, ..Default::default() });
        scene.send(alice, call(mortal));
        scene.send(bob, pay(alice, 1));
        let receivers = [alice, empty, mortal, fresh, fresh, untouched, full];
        let withdrawal = |(index, address): (usize, Address)| Withdrawal {
            index: index as u64,
            validator_index: 7,
            address,
            amount: if index == 5 { 0 } else { 1 + index as u64 },
        };
        scene.block.withdrawals = Some(receivers.into_iter().enumerate().map(withdrawal).collect());
        let played = scene.play();
        assert_eq!(played.balance(fresh), Some(U256::from(9_000_000_000_u64)), "{spec:?}");
        // A withdrawal of zero touches the account, and so deletes it.
        assert_eq!(played.balance(untouched), None, "{spec:?}");
    }
}

/// The DAO fork moves the balances that the block's own transactions leave.
#[test]
fn the_dao_fork_drains_what_the_transactions_leave() {
    let dao = mainnet_dao_fork();
    let mut scene = Scene::on(SpecId::HOMESTEAD);
    let [alice, bob, carol] = scene.senders();
    scene.block.rules.dao_fork = Some(dao.clone());
    let [first, second, third, ..] = dao.drained[..] else { panic!("a long list") };
    scene.put(first, MemoryAccount { balance: U256::from(1_000), ..Default::default() });
    scene.put(second, MemoryAccount { nonce: 1, balance: U256::from(1), ..Default::default() });
    scene.put(dao.beneficiary, contract(Code::new().increment(0, 1)));
    scene.send(alice, pay(first, 5));
    scene.send(bob, pay(third, 6));
    scene.send(carol, pay(dao.beneficiary, 7));
    for workers in [1, 2, 3, 8] {
        let stats = run(
            &mut seeded(workers, Policy::Forced(Forced::ContiguousBatches)),
            &scene,
            scene.database(),
        );
        assert!(stats.contiguous_batches >= 2, "{workers}: {stats:?}");
    }
    let played = scene.play();
    assert_eq!(played.balance(dao.beneficiary), Some(U256::from(1_019)));
    // An account left empty is deleted, even before EIP-161.
    assert_eq!(played.balance(first), None);
    assert_eq!(played.balance(second), Some(U256::ZERO));
}

#[test]
fn the_dao_fork_finds_nothing_to_drain() {
    let dao = mainnet_dao_fork();
    for account in [None, Some(MemoryAccount::default()), Some(contract(Code::new()))] {
        let mut scene = Scene::on(SpecId::HOMESTEAD);
        let [alice, bob] = scene.senders();
        scene.block.rules.dao_fork = Some(dao.clone());
        if let Some(account) = account {
            scene.put(dao.beneficiary, account.clone());
            scene.put(dao.drained[0], account);
        }
        scene.send(alice, pay(bob, 5));
        scene.play();
    }
}

#[test]
fn a_block_without_the_root_of_its_beacon_block_is_invalid() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    scene.block.parent_beacon_block_root = None;
    assert_eq!(scene.fail().at, Position::PreBlock);
    scene.block.parent_beacon_block_root = Some(B256::ZERO);
    scene.play();
    // The genesis block must not have one.
    scene.block.env.number = U256::ZERO;
    scene.play();
    scene.block.parent_beacon_block_root = Some(B256::repeat_byte(1));
    assert_eq!(scene.fail().at, Position::PreBlock);
}
