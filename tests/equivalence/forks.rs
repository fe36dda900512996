//! A block with a bit of everything, under the rules of every fork.

use crate::support::scene::{Scene, call, call_with, create, pay, storage};
use alloy_primitives::{Address, B256, U256, keccak256};
use braid_blocks::code::{Code, deploying};
use braid_blocks::fork::FORKS;
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

fn mixed(spec: SpecId) -> Scene {
    let mut scene = Scene::on(spec);
    let senders: [Address; 6] = scene.senders();
    let empty = scene.put(Address::repeat_byte(0x11), MemoryAccount::default());
    let counter = scene.contract(0, Code::new().increment(0, 1).sload(0).log_top(3));
    let mortal = Code::new().op(opcode::CALLDATASIZE).if_nonzero(|code| code.selfdestruct(empty));
    let mortal = scene.contract(1, mortal.increment(2, 1));
    let account = MemoryAccount {
        balance: U256::from(77),
        storage: storage([(2, 20)]),
        ..scene.account(mortal).clone()
    };
    scene.put(mortal, account);
    let caller = Code::new().call(counter, 0, 60_000).call(mortal, 1, 60_000).op(opcode::ADD);
    let caller = caller.sstore_top(0).sload(0).op(opcode::COINBASE).op(opcode::BALANCE);
    let caller = scene.contract(2, caller.op(opcode::ADD).sstore_top(1));
    scene.fund(caller, 10);
    let init = deploying(Code::new().increment(0, 5));
    let factory = scene.contract(3, Code::new().create2(&init, 0, 3).sstore_top(0));
    let child = factory.create2(B256::from(U256::from(3)), keccak256(&init));
    let thief = scene.contract(4, Code::new().call_by(opcode::CALLCODE - 2, counter, 9).revert());
    for round in 0..3_u64 {
        for (index, sender) in senders.into_iter().enumerate() {
            let tx = match (index + round as usize) % 9 {
                0 => call(counter),
                1 => call(caller),
                2 => call_with(mortal, 1),
                3 => pay(empty, round),
                4 => call(factory),
                5 => call(child),
                6 => create(deploying(Code::new().increment(1, round))),
                7 => call(thief),
                _ => TxEnv { gas_limit: 30_000, ..call(counter) },
            };
            scene.send(sender, tx);
        }
    }
    scene
}

#[test]
fn a_mixed_block_under_every_fork() {
    for (_, spec) in FORKS {
        let scene = mixed(spec);
        scene.play();
        scene.build();
    }
}

/// Without system calls, and with a custom reward.
#[test]
fn a_mixed_block_with_rules_of_its_own() {
    for (_, spec) in FORKS {
        let mut scene = mixed(spec);
        scene.block.rules.system_calls = false;
        scene.block.rules.block_reward = Some(1_234_567);
        scene.play();
        let mut scene = mixed(spec);
        scene.block.env.number = U256::ZERO;
        let root = scene.block.parent_beacon_block_root;
        scene.block.parent_beacon_block_root = root.map(|_| B256::ZERO);
        scene.play();
    }
}
