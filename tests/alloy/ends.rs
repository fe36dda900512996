//! Checks the end of a block from Prague on, where alloy-evm 0.39 deviates from the specification:
//! our executor for alloy-evm must give the specified results.

use super::running::{run, run_one_by_one, run_upon_each_other};
use super::{Left, WORKERS, ours, shells};
use crate::support::scene::{Scene, authorization, call, contract, delegate, pay};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use braid_blocks::block::Block;
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::request_contracts;
use revm::bytecode::opcode;
use revm::database::BundleState;
use revm::primitives::hardfork::SpecId;

const SPECS: [SpecId; 3] = [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];

/// Returns the block in the types of the oracle.
fn plain(scene: &Scene) -> Block {
    Block::from(&scene.block)
}

/// Returns the results of the block, executed as a whole and transaction by transaction.
fn left(scene: &Scene, workers: u16) -> [Left; 2] {
    let (block, transactions) = (plain(scene), shells(&scene.block.transactions));
    let factory = ours(&block, workers);
    [
        run(&factory, &block, &transactions, scene.database()),
        run_one_by_one(&factory, &block, &transactions, scene.database()),
    ]
}

fn slot(bundle: &BundleState, address: Address, slot: u64) -> Option<U256> {
    let slot = bundle.account(&address)?.storage.get(&U256::from(slot));
    slot.map(|slot| slot.present_value)
}

/// Returns a block with one payment.
fn payment(spec: SpecId) -> Scene {
    let mut scene = Scene::on(spec);
    let [alice, bob] = scene.senders();
    scene.send(alice, pay(bob, 1));
    scene
}

#[test]
fn a_contract_for_requests_without_code_makes_the_block_invalid() {
    for spec in SPECS {
        for missing in request_contracts(spec) {
            for wei in [None, Some(5)] {
                let mut scene = payment(spec);
                scene.remove(missing);
                if let Some(wei) = wei {
                    scene.fund(missing, wei);
                }
                for workers in WORKERS {
                    for (result, _) in left(&scene, workers) {
                        let error = result.expect_err("the block is invalid");
                        let named = format!("{missing} does not contain code");
                        assert!(error.contains(&named), "{spec:?}: {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn withdrawals_are_paid_before_the_calls() {
    for spec in SPECS {
        let mut scene = payment(spec);
        let code = Code::new().op(opcode::SELFBALANCE).sstore_top(0).op(opcode::STOP);
        let address = scene.put(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(code));
        let withdrawal = Withdrawal { address, amount: 0x64, ..Withdrawal::default() };
        scene.block.withdrawals = Some(vec![withdrawal]);
        for workers in WORKERS {
            for (result, bundle) in left(&scene, workers) {
                assert!(result.is_ok(), "{result:?}");
                let wei = U256::from(0x17_4876_e800_u64);
                assert_eq!(slot(&bundle, address, 0), Some(wei), "{spec:?}");
                assert_eq!(bundle.account(&address).unwrap().info.as_ref().unwrap().balance, wei);
            }
        }
    }
}

/// Gas of a balance read of a warm precompile, two pushes, and dropping the balance.
const WARM_LOOK: u64 = 107;

/// Returns a contract that stores and returns the gas of a balance read of a precompile.
fn looks() -> MemoryAccount {
    let code = Code::new().op(opcode::GAS).balance(Address::with_last_byte(2)).op(opcode::POP);
    let code = code.op(opcode::GAS).op(opcode::SWAP1).op(opcode::SUB).op(opcode::DUP1);
    contract(code.sstore_top(0).return_top())
}

/// The first transaction of an EVM makes precompiles warm, whichever worker runs it.
#[test]
fn calls_after_transactions_meet_warm_precompiles() {
    for spec in SPECS {
        for payments in 1..=2 {
            let mut scene = Scene::on(spec);
            let [alice, bob] = scene.senders();
            scene.put(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, looks());
            for _ in 0..payments {
                scene.send(alice, pay(bob, 1));
            }
            let expected = scene.play();
            let warm = Some(U256::from(WARM_LOOK));
            assert_eq!(expected.slot(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 0), warm, "{spec:?}");
            for workers in WORKERS {
                for (result, bundle) in left(&scene, workers) {
                    let found = slot(&bundle, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 0);
                    assert_eq!(found, warm, "{spec:?}, {workers} workers");
                    let requests = result.expect("a valid block").requests;
                    assert_eq!(requests[0][1..], U256::from(WARM_LOOK).to_be_bytes::<32>());
                }
            }
        }
    }
}

/// An account without nonce and code has slots in the database. Once it is created, its slots are
/// zero, also for a later block over the same `State`.
#[test]
fn what_is_read_beside_sequential_execution_does_not_stay() {
    let mut scene = Scene::on(SpecId::PRAGUE);
    let [alice, bob] = scene.senders();
    let odd = Address::repeat_byte(0x77);
    let storage = [(U256::ZERO, U256::from(7))].into_iter().collect();
    let made_up = MemoryAccount { balance: U256::ONE, storage, ..MemoryAccount::default() };
    scene.put(odd, made_up);
    let sum = Code::new().sload(0).push(100).op(opcode::ADD).sstore_top(1);
    let target = scene.contract(0, sum.op(opcode::STOP));
    scene.send(alice, delegate(vec![authorization(odd, target, 0)], bob));
    scene.send(bob, call(odd));
    let first = (plain(&scene), shells(&scene.block.transactions));
    let mut next = scene.clone();
    next.block.transactions.clear();
    next.send(bob, call(odd));
    let second = (plain(&next), shells(&next.block.transactions));
    for workers in WORKERS {
        let factory = ours(&first.0, workers);
        let blocks = [first.clone(), second.clone()];
        let (results, bundle) = run_upon_each_other(&factory, &blocks, scene.database());
        let last = results.last().expect("two blocks").as_ref().expect("a valid block");
        assert_eq!(slot(&bundle, odd, 1), Some(U256::from(100)), "{workers} workers");
        assert_eq!(last.gas_used, 25_312, "{workers} workers");
    }
}

/// Offset and length of each field of a deposit event (EIP-6110).
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
/// Length of the event in bytes.
const LENGTH: usize = 576;

/// Returns the data of a deposit event with its fields at these offsets.
fn event(offsets: [usize; 5], length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    for (index, (offset, (_, length))) in offsets.into_iter().zip(FIELDS).enumerate() {
        data[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
        data[offset + 31] = length as u8;
        data[offset + 32..offset + 32 + length].fill(index as u8 + 1);
    }
    data
}

#[test]
fn deposits_of_another_layout_make_the_block_invalid() {
    let right = FIELDS.map(|(offset, _)| offset);
    let apart = core::array::from_fn(|index| right[index] + 32 * (index + 1));
    let swapped = [right[0], 320, 256, right[3], right[4]];
    for (data, is_valid) in [
        (event(right, LENGTH), true),
        // An unused word precedes each field.
        (event(apart, LENGTH + 5 * 32), false),
        // Two fields are swapped.
        (event(swapped, LENGTH), false),
        // The data is one word longer.
        (event(right, LENGTH + 32), false),
    ] {
        let mut scene = Scene::on(SpecId::PRAGUE);
        let [alice] = scene.senders();
        let topic = keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)");
        let code = Code::new().memory(&data).push(U256::from_be_bytes(topic.0));
        let code = code.push(data.len() as u64).push(0).op(opcode::LOG1).op(opcode::STOP);
        let deposits = scene.contract(0, code);
        scene.block.rules.deposit_contract = Some(deposits);
        scene.send(alice, call(deposits));
        for workers in WORKERS {
            for (result, _) in left(&scene, workers) {
                match result {
                    Ok(result) => {
                        assert!(is_valid, "{} bytes", data.len());
                        let fields: Vec<u8> = FIELDS
                            .into_iter()
                            .zip(1..)
                            .flat_map(|((_, length), byte)| vec![byte; length])
                            .collect();
                        assert_eq!(result.requests[0], Bytes::from([vec![0], fields].concat()));
                    }
                    Err(error) => assert!(!is_valid && error.contains("EIP-6110"), "{error}"),
                }
            }
        }
    }
}
