//! The end of a block from Prague on, as in the executable specification.

use crate::support::scene::{Scene, contract, pay};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
use alloy_primitives::U256;
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::{Position, request_contracts};
use revm::bytecode::opcode;
use revm::primitives::hardfork::SpecId;

const SPECS: [SpecId; 3] = [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];

#[test]
fn a_contract_for_requests_without_code_makes_the_block_invalid() {
    for spec in SPECS {
        for missing in request_contracts(spec) {
            for wei in [None, Some(5)] {
                let mut scene = Scene::on(spec);
                let [alice, bob] = scene.senders();
                scene.remove(missing);
                if let Some(wei) = wei {
                    scene.fund(missing, wei);
                }
                scene.send(alice, pay(bob, 1));
                let error = scene.fail();
                assert_eq!(error.at, Position::PostBlock, "{spec:?}");
                assert!(error.to_string().contains("does not contain code"), "{error}");
                scene.block.rules.system_calls = false;
                scene.play();
            }
        }
    }
}

#[test]
fn withdrawals_are_paid_before_the_calls() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let code = Code::new().op(opcode::SELFBALANCE).sstore_top(0).op(opcode::STOP);
        let address = scene.put(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(code));
        let withdrawal = Withdrawal { address, amount: 0x64, ..Withdrawal::default() };
        scene.block.withdrawals = Some(vec![withdrawal]);
        let played = scene.play();
        assert_eq!(played.slot(address, 0), Some(U256::from(0x17_4876_e800_u64)), "{spec:?}");
    }
}

#[test]
fn a_withdrawal_of_nothing_is_a_touch_before_the_calls() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob, empty] = scene.senders();
        scene.put(empty, MemoryAccount::default());
        let withdrawal = Withdrawal { address: empty, ..Withdrawal::default() };
        scene.block.withdrawals = Some(vec![withdrawal]);
        scene.send(alice, pay(bob, 1));
        assert_eq!(scene.play().balance(empty), None, "{spec:?}");
    }
}

/// A private chain without the request contracts has no requests, but calls the contracts before
/// the transactions nevertheless.
#[test]
fn a_chain_may_have_no_contracts_for_requests() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        request_contracts(spec).into_iter().for_each(|contract| scene.remove(contract));
        let keeps = Code::new().push(0).op(opcode::CALLDATALOAD).sstore_top(0).op(opcode::STOP);
        scene.put(HISTORY_STORAGE_ADDRESS, contract(keeps));
        let withdrawal = Withdrawal { address: bob, amount: 1, ..Withdrawal::default() };
        scene.block.withdrawals = Some(vec![withdrawal]);
        scene.send(alice, pay(bob, 1));
        scene.block.rules.requests = false;
        let parent = U256::from_be_bytes(scene.block.parent_hash.0);
        assert_eq!(scene.play().slot(HISTORY_STORAGE_ADDRESS, 0), Some(parent), "{spec:?}");
        scene.block.rules.requests = true;
        assert_eq!(scene.fail().at, Position::PostBlock, "{spec:?}");
    }
}
