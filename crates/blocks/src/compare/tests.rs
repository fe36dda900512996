//! 1. An execution equals itself, whatever the order of its reverts.
//! 2. Each kind of difference is found and named.
//! 3. An access list is present if and only if it was requested.

use super::braid::ExpectedList;
use super::{Differences, Execution, differences};
use crate::sequential::{AccessLists, SequentialOutcome, SequentialOutput, SkipReason};
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_eip7928::{AccountChanges, bal::Bal};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Log, U256};
use braid_evm::BlockOutput;
use revm::{
    context::result::SuccessReason,
    context::result::{ExecutionResult, HaltReason, InvalidTransaction, Output, ResultGas},
    database::{
        AccountRevert, AccountStatus, BundleAccount, BundleState, RevertToSlot,
        states::{StorageSlot, reverts::AccountInfoRevert, reverts::Reverts},
    },
    state::{AccountInfo, Bytecode},
};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const SLOT: U256 = U256::ONE;

fn info(balance: u64) -> AccountInfo {
    AccountInfo { balance: U256::from(balance), nonce: 3, code: None, ..AccountInfo::default() }
}

fn revert(account: AccountInfoRevert) -> AccountRevert {
    AccountRevert {
        account,
        storage: [(SLOT, RevertToSlot::Some(U256::from(7)))].into_iter().collect(),
        previous_status: AccountStatus::Loaded,
        wipe_storage: false,
    }
}

fn bundle() -> BundleState {
    let slot = StorageSlot::new_changed(U256::from(7), U256::from(8));
    let alice = BundleAccount::new(
        Some(info(10)),
        Some(info(9)),
        [(SLOT, slot)].into_iter().collect(),
        AccountStatus::Changed,
    );
    let bob =
        BundleAccount::new(None, Some(info(1)), Default::default(), AccountStatus::InMemoryChange);
    let code = Bytecode::new_legacy(Bytes::from_static(&[0x5f]));
    let reverts = vec![vec![
        (ALICE, revert(AccountInfoRevert::RevertTo(info(10)))),
        (BOB, revert(AccountInfoRevert::DeleteIt)),
    ]];
    BundleState {
        state: [(ALICE, alice), (BOB, bob)].into_iter().collect(),
        contracts: [(B256::repeat_byte(1), code)].into_iter().collect(),
        reverts: Reverts::new(reverts),
        state_size: 3,
        reverts_size: 4,
    }
}

fn output() -> SequentialOutput {
    let gas = ResultGas::default().with_total_gas_spent(21_000);
    let success = ExecutionResult::Success {
        reason: SuccessReason::Stop,
        gas,
        logs: Vec::new(),
        output: Output::Call(Bytes::from_static(b"out")),
    };
    let log = Log::new_unchecked(ALICE, vec![B256::ZERO], Bytes::from_static(b"log"));
    SequentialOutput {
        outcomes: vec![
            SequentialOutcome::Executed(success),
            SequentialOutcome::Skipped(SkipReason::BlockGas { limit: 2, available: 1 }),
        ],
        receipts: vec![EthereumReceipt {
            tx_type: TxType::Eip1559,
            success: true,
            cumulative_gas_used: 21_000,
            logs: vec![log],
        }],
        requests: Requests::default(),
        gas_used: 21_000,
        blob_gas_used: 0,
        bundle: bundle(),
        access_list: None,
    }
}

/// Returns the differences that `change` causes in an execution.
fn lines(change: impl FnOnce(&mut SequentialOutput)) -> Vec<String> {
    let expected = output();
    let mut found = expected.clone();
    change(&mut found);
    differences(&Execution::from(&expected), &Execution::from(&found)).lines().to_vec()
}

/// Asserts that `change` is detected, and that a line contains all of `words`.
#[track_caller]
fn noticed(words: &[&str], change: impl FnOnce(&mut SequentialOutput)) {
    let lines = lines(change);
    let named = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(named, "{words:?} is in none of {lines:#?}");
}

fn alice(output: &mut SequentialOutput) -> &mut BundleAccount {
    output.bundle.state.get_mut(&ALICE).expect("Alice is in the bundle")
}

fn alice_revert(output: &mut SequentialOutput) -> &mut AccountRevert {
    &mut output.bundle.reverts[0][0].1
}

#[test]
fn an_execution_equals_itself_in_any_order() {
    assert_eq!(lines(|_| ()), Vec::<String>::new());
    assert_eq!(lines(|output| output.bundle.reverts[0].reverse()), Vec::<String>::new());
    let code = Some(Bytecode::new_legacy(Bytes::from_static(&[0x00])));
    assert_eq!(
        lines(|output| alice(output).info.as_mut().expect("she lives").code = code),
        [""; 0]
    );
}

#[test]
fn outcomes_are_compared_in_full() {
    let result = |output: &mut SequentialOutput, result| {
        output.outcomes[0] = SequentialOutcome::Executed(result);
    };
    let gas = ResultGas::default().with_total_gas_spent(21_000);
    let success = |reason, gas, output: &'static [u8]| ExecutionResult::Success {
        reason,
        gas,
        logs: Vec::new(),
        output: Output::Call(Bytes::from_static(output)),
    };
    noticed(&["transaction 0", "status"], |output| {
        result(output, success(SuccessReason::Return, gas, b"out"));
    });
    noticed(&["transaction 0", "status"], |output| {
        let output_bytes = Bytes::from_static(b"out");
        result(output, ExecutionResult::Revert { gas, logs: Vec::new(), output: output_bytes });
    });
    noticed(&["transaction 0", "status"], |output| {
        let reason = HaltReason::InvalidFEOpcode;
        result(output, ExecutionResult::Halt { reason, gas, logs: Vec::new() });
    });
    noticed(&["transaction 0", "gas"], |output| {
        result(output, success(SuccessReason::Stop, gas.with_refunded(1), b"out"));
    });
    noticed(&["transaction 0", "output"], |output| {
        result(output, success(SuccessReason::Stop, gas, b"tuo"));
    });
    noticed(&["transaction 0", "created address"], |output| {
        let created = Output::Create(Bytes::from_static(b"out"), Some(BOB));
        let mut changed = success(SuccessReason::Stop, gas, b"out");
        if let ExecutionResult::Success { output, .. } = &mut changed {
            *output = created;
        }
        result(output, changed);
    });
    noticed(&["number of outcomes", "expected 2, found 1"], |output| {
        output.outcomes.pop();
    });
}

#[test]
fn what_is_left_out_is_compared() {
    noticed(&["transaction 1", "reason"], |output| {
        let reason = SkipReason::Invalid(InvalidTransaction::NonceTooHigh { tx: 2, state: 1 });
        output.outcomes[1] = SequentialOutcome::Skipped(reason);
    });
    noticed(&["transaction 1", "expected to be skipped"], |output| {
        output.outcomes[1] = output.outcomes[0].clone();
    });
    noticed(&["transaction 0", "expected to be executed"], |output| {
        output.outcomes[0] = output.outcomes[1].clone();
    });
}

#[test]
fn receipts_logs_and_the_block_are_compared() {
    noticed(&["receipt 0", "type"], |output| output.receipts[0].tx_type = TxType::Legacy);
    noticed(&["receipt 0", "success"], |output| output.receipts[0].success = false);
    noticed(&["receipt 0", "cumulative"], |output| output.receipts[0].cumulative_gas_used += 1);
    noticed(&["receipt 0", "log 0"], |output| output.receipts[0].logs[0].address = BOB);
    noticed(&["transaction 0", "log 0"], |output| output.receipts[0].logs[0].address = BOB);
    noticed(&["receipt 0", "number of logs"], |output| output.receipts[0].logs.clear());
    noticed(&["number of receipts"], |output| output.receipts.clear());
    noticed(&["block", "requests"], |output| {
        output.requests.push_request_with_type(1, [1, 2]);
    });
    noticed(&["block", "gas used"], |output| output.gas_used += 1);
    noticed(&["block", "blob gas used"], |output| output.blob_gas_used += 1);
}

#[test]
fn accounts_of_the_bundle_are_compared() {
    fn present(output: &mut SequentialOutput) -> &mut AccountInfo {
        alice(output).info.as_mut().expect("she lives")
    }
    let address = ALICE.to_string();
    noticed(&[&address, "status"], |output| alice(output).status = AccountStatus::Destroyed);
    noticed(&[&address, "balance"], |output| present(output).balance += U256::ONE);
    noticed(&[&address, "nonce"], |output| present(output).nonce += 1);
    noticed(&[&address, "code hash"], |output| present(output).code_hash = B256::ZERO);
    noticed(&[&address, "expected some"], |output| alice(output).info = None);
    noticed(&[&address, "original information: balance"], |output| {
        alice(output).original_info = Some(info(11));
    });
    noticed(&[&address, "original information: expected some"], |output| {
        alice(output).original_info = None;
    });
    noticed(&[&address, "slot 1", "original value"], |output| {
        let slot = StorageSlot::new_changed(U256::from(6), U256::from(8));
        alice(output).storage.insert(SLOT, slot);
    });
    noticed(&[&address, "slot 1", "present value"], |output| {
        let slot = StorageSlot::new_changed(U256::from(7), U256::from(9));
        alice(output).storage.insert(SLOT, slot);
    });
    noticed(&[&address, "slot 1", "not there"], |output| alice(output).storage.clear());
    noticed(&[&address, "slot 5", "not expected"], |output| {
        alice(output).storage.insert(U256::from(5), StorageSlot::default());
    });
    noticed(&[&address, "not there"], |output| {
        output.bundle.state.remove(&ALICE);
    });
    noticed(&[&KECCAK256_EMPTY.to_string(), "not expected"], |output| {
        output.bundle.contracts.insert(KECCAK256_EMPTY, Bytecode::default());
    });
    noticed(&["contract", "code"], |output| {
        let code = Bytecode::new_legacy(Bytes::from_static(&[0x60]));
        output.bundle.contracts.insert(B256::repeat_byte(1), code);
    });
}

#[test]
fn reverts_and_sizes_of_the_bundle_are_compared() {
    noticed(&["number of blocks"], |output| output.bundle.reverts.clear());
    noticed(&["number of entries", "expected 2, found 3"], |output| {
        let twice = output.bundle.reverts[0][0].clone();
        output.bundle.reverts[0].push(twice);
    });
    noticed(&["reverts 0", "not there"], |output| {
        output.bundle.reverts[0].remove(0);
    });
    noticed(&["reverts 0", "kind of revert"], |output| {
        alice_revert(output).account = AccountInfoRevert::DoNothing;
    });
    noticed(&["reverts 0", "information before the block: balance"], |output| {
        alice_revert(output).account = AccountInfoRevert::RevertTo(info(11));
    });
    noticed(&["reverts 0", "previous status"], |output| {
        alice_revert(output).previous_status = AccountStatus::Changed;
    });
    noticed(&["reverts 0", "wiped"], |output| alice_revert(output).wipe_storage = true);
    noticed(&["reverts 0", "slot 1", "value before the block"], |output| {
        alice_revert(output).storage.insert(SLOT, RevertToSlot::Destroyed);
    });
    noticed(&["reverts 0", "slot 1", "not there"], |output| alice_revert(output).storage.clear());
    noticed(&["state size"], |output| output.bundle.state_size += 1);
    noticed(&["reverts size"], |output| output.bundle.reverts_size += 1);
}

#[test]
fn long_lists_are_cut_but_counted() {
    let mut all = Differences::default();
    (0..13).for_each(|number| all.add(|| format!("difference {number}")));
    assert_eq!((all.lines().len(), all.total()), (10, 13));
    assert!(all.to_string().ends_with("difference 9\nand 3 more\n"), "{all}");
}

#[test]
fn a_missing_or_needless_access_list_is_noticed() {
    let (revm, own, doubtful, rewarded) = Default::default();
    let known = AccessLists { revm, own, doubtful, rewarded, before_end: None };
    let known = ExpectedList::Known(&known);
    let found = |access_list| {
        let mut found = BlockOutput::default();
        found.access_list = access_list;
        found
    };
    let (none, empty) = (found(None), found(Some(Bal::default())));
    let other = found(Some(Bal::new(vec![AccountChanges::new(ALICE)])));
    let cases = [
        (ExpectedList::Absent, [true, false, false]),
        (ExpectedList::Unknown, [false, true, true]),
        (known, [false, true, false]),
    ];
    for (expected, is_right) in cases {
        let judged = [&none, &empty, &other].map(|found| expected.difference(found).is_none());
        assert_eq!(judged, is_right, "{expected:?}");
    }
}
