//! Blocks that run sequentially while another worker folds the results into the bundle. Most
//! accounts are finished after their first change, and some of them change again.
//!
//! Changes of consecutive transactions are handed over together until one creates a contract, so
//! each part of these blocks ends with a creation.

use crate::support::scene::{BENEFICIARY, Scene, authorization, call, create, delegate, pay};
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_evm::{Mode, Policy};
use braid_testkit::lineup::executor;
use braid_testkit::oracle::Expected;
use revm::bytecode::opcode::{ISZERO, SSTORE};
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

const RECEIVER: Address = Address::repeat_byte(0x70);

fn end_of_part(scene: &mut Scene, part: u64) {
    let sender = scene.sender(part);
    scene.send(sender, create(deploying(Code::new().increment(part, 1))));
}

#[test]
fn accounts_that_were_finished_change_again() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob, carol] = scene.senders();
    let counter = scene.contract(0, Code::new().increment(0, 1));
    // A new account, an existing one, one with storage, and the receiver of fees.
    scene.send(alice, pay(RECEIVER, 1));
    scene.send(bob, call(counter));
    end_of_part(&mut scene, 0);
    scene.send(carol, pay(RECEIVER, 2));
    scene.send(carol, pay(BENEFICIARY, 2));
    scene.send(alice, call(counter));
    end_of_part(&mut scene, 1);
    scene.send(bob, pay(RECEIVER, 4));
    // The last changes are fewer than one hand-over takes.
    for index in 10..21 {
        let sender = scene.sender(index);
        scene.send(sender, pay(RECEIVER, 1));
    }
    let played = scene.play();
    assert_eq!(played.slot(counter, 0), Some(U256::from(2)));
    let received = played.account(RECEIVER).info.as_ref().map(|info| info.balance);
    assert_eq!(received, Some(U256::from(18)));
}

/// After two delegations, only the code of the second is new after the block.
#[test]
fn codes_that_were_finished_are_replaced() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let targets = [Address::repeat_byte(0x11), Address::repeat_byte(0x22)];
    scene.send(bob, delegate(vec![authorization(alice, targets[0], 0)], RECEIVER));
    end_of_part(&mut scene, 0);
    scene.send(bob, delegate(vec![authorization(alice, targets[1], 1)], RECEIVER));
    let played = scene.play();
    let codes: Vec<B256> = played.output().bundle.contracts.keys().copied().collect();
    let delegation = |to: Address| keccak256([&[0xef, 0x01, 0x00], to.as_slice()].concat());
    assert!(codes.contains(&delegation(targets[1])) && !codes.contains(&delegation(targets[0])));
}

/// A slot that is restored is unchanged over the block, and the revert shows it.
#[test]
fn what_was_finished_is_undone() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    let up = scene.contract(0, Code::new().increment(0, 1));
    let flip = scene.contract(1, Code::new().sload(0).op(ISZERO).push(0).op(SSTORE));
    scene.send(alice, call(flip));
    scene.send(alice, call(up));
    end_of_part(&mut scene, 0);
    scene.send(bob, call(flip));
    let played = scene.play();
    assert!(!played.output().bundle.state.contains_key(&flip));
    assert_eq!(played.slot(up, 0), Some(U256::from(1)));
}

/// Payments among few accounts, and sometimes to a new one: enough that another worker follows, and
/// that many are handed over at once.
#[test]
fn many_payments_have_a_bundle_thread() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let senders: Vec<Address> = (0..40).map(|index| scene.sender(index)).collect();
    for index in 0..2_007_usize {
        let to = match index % 9 {
            0 => Address::left_padding_from(&(index + 5_000).to_be_bytes()),
            1 => BENEFICIARY,
            _ => senders[index * index % 40],
        };
        scene.send(senders[index % 40], TxEnv { gas_limit: 21_000, ..pay(to, 1) });
        if index % 700 == 650 {
            end_of_part(&mut scene, 100 + index as u64);
        }
    }
    scene.block.env.gas_limit = 100_000_000;
    let (block, database) = (Arc::new(scene.block.clone()), scene.database());
    let expected = Expected::new(&block, Mode::Validate, &database);
    for (workers, policy) in [(2, Policy::Auto), (2, Policy::Sequential), (8, Policy::Sequential)] {
        let mut executor = executor(workers, policy, Mode::Validate);
        for _ in 0..3 {
            let found = executor.block(Arc::clone(&block)).database(database.clone()).execute();
            expected.compare(&found).unwrap_or_else(|difference| panic!("{difference}"));
            let stats = found.expect("a valid block").stats;
            // Contiguous batches are not tried, because even the first ones conflict.
            assert!(stats.sequential && stats.speculative_commits == 0, "{workers}, {policy:?}");
        }
    }
}

/// If the caller receives each commit, each transaction is handed over separately.
#[test]
fn a_stream_comes_to_the_same() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let [alice, bob] = scene.senders();
    for part in 0..3 {
        scene.send(alice, pay(RECEIVER, 1));
        end_of_part(&mut scene, part);
        scene.send(bob, pay(RECEIVER, 2));
    }
    let expected = scene.play();
    let block = Arc::new(scene.block.clone());
    for workers in [1, 2, 3] {
        let mut executor = executor(workers, Policy::Sequential, Mode::Validate);
        let mut heard = 0;
        let count = |_| {
            heard += 1;
            core::ops::ControlFlow::Continue(())
        };
        let output = executor
            .block(Arc::clone(&block))
            .state(braid_evm::Cloned(scene.database()))
            .on_commit(count)
            .execute();
        assert_eq!(output.expect("a valid block").bundle, expected.output().bundle);
        assert_eq!(heard, block.transactions.len());
    }
}
