//! Hashes: Braid implements KECCAK256 itself for short inputs that are already in memory.

use crate::support::scene::{Scene, call, call_with};
use alloy_primitives::{U256, keccak256};
use braid_blocks::code::Code;
use braid_blocks::fork::FORKS;
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::primitives::hardfork::SpecId;

/// Lengths around those that mappings, arrays and CREATE2 hash, and around the longest cached one.
const LENGTHS: [usize; 14] = [0, 1, 31, 32, 33, 63, 64, 65, 85, 94, 95, 96, 97, 160];

/// Each transaction hashes prefixes of its memory twice, the first time where memory may have to
/// grow. There are more inputs than cache entries.
#[test]
pub(crate) fn more_inputs_than_places() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let code = Code::new().push(0).op(opcode::CALLDATALOAD).push(0).op(opcode::MSTORE);
    let hash = |code: Code, length: usize| code.push(length).push(0).op(opcode::KECCAK256);
    // The sum of all hashes: a slot for each would exceed the gas of a transaction.
    let code = LENGTHS.into_iter().fold(code.push(0), |code, length| {
        let twice = hash(hash(code, length), length).push(3).op(opcode::MUL);
        twice.op(opcode::ADD).op(opcode::ADD)
    });
    let hashes = scene.contract(0, code.op(opcode::CALLER).op(opcode::SSTORE));
    for word in 0..60 {
        let sender = scene.sender(word);
        scene.send(sender, call_with(hashes, word));
    }
    let played = scene.play();
    for word in 0..60 {
        let sender = U256::from_be_slice(scene.block.transactions[word as usize].caller.as_slice());
        let mut memory = [0; 160];
        memory[..32].copy_from_slice(&U256::from(word).to_be_bytes::<32>());
        let sum = LENGTHS.into_iter().fold(U256::ZERO, |sum, length| {
            let hash = U256::from_be_bytes(keccak256(&memory[..length]).0);
            sum.wrapping_add(hash.wrapping_mul(U256::from(4)))
        });
        let slot = played.account(hashes).storage.get(&sender);
        assert_eq!(slot.map(|slot| slot.present_value), Some(sum), "word {word}");
    }
}

/// Invalid operands fail as in revm: no operand, and offsets and lengths that exceed any memory or
/// cost more than the gas left.
#[test]
fn operands_that_cannot_be() {
    let huge = [U256::from(u64::MAX), U256::from(1_u128 << 64), U256::MAX];
    for (name, spec) in FORKS {
        let mut scene = Scene::on(spec);
        let words = [U256::ZERO, U256::ONE, U256::from(95)];
        let pairs = words.into_iter().flat_map(|word| huge.map(|huge| (word, huge)));
        let pairs = pairs.flat_map(|(word, huge)| [(word, huge), (huge, word)]);
        let code = |(length, offset): (U256, U256)| {
            let code = Code::new().push(1).push(64).op(opcode::MSTORE);
            code.push(length).push(offset).op(opcode::KECCAK256).sstore_top(0)
        };
        let short = [Code::new(), Code::new().push(64)];
        let codes = pairs.map(code).chain(short.map(|code| code.op(opcode::KECCAK256)));
        for (index, code) in codes.enumerate() {
            let contract = scene.contract(index as u64, code);
            let sender = scene.sender(index as u64);
            scene.send(sender, call(contract));
        }
        let played = scene.play();
        let transactions = scene.block.transactions.len();
        let count = (0..transactions).filter(|tx| played.ok(*tx)).count();
        assert_eq!(count, 3, "{name}: of nothing, wherever it is");
    }
}

/// Gas limits that end before a hash, during it, and after it.
#[test]
pub(crate) fn gas_ends_at_a_hash() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let code = Code::new().push(1).push(64).op(opcode::MSTORE);
    let hash = |code: Code| code.push(64).push(0).op(opcode::KECCAK256).op(opcode::POP);
    let contract = scene.contract(0, hash(hash(code)));
    for index in 0..130 {
        let sender = scene.sender(index);
        scene.send(sender, TxEnv { gas_limit: 21_000 + index, ..call(contract) });
    }
    let played = scene.play();
    // Two words each: twice 30 + 2 * 6, and the instructions around them.
    let needed = (0..130).find(|tx| played.ok(*tx)).expect("there is enough in the end");
    let around = 3 + 3 + 3 + 3 * 3 + 2 * (3 + 3 + 2);
    assert_eq!(needed, around + 2 * (30 + 2 * 6));
    assert!((needed..130).all(|tx| played.ok(tx)));
    assert_eq!(played.gas(0), 21_000);
}

/// A called contract has its own memory.
#[test]
fn a_call_hashes_its_own_memory() {
    let mut scene = Scene::on(SpecId::OSAKA);
    let word = |code: Code, word: u64| code.push(word).push(0).op(opcode::MSTORE);
    let hash = |code: Code| code.push(64).push(0).op(opcode::KECCAK256);
    let inner = word(Code::new(), 2).push(0).push(32).op(opcode::MSTORE);
    let inner = scene.contract(0, hash(hash(inner).sstore_top(0)).sstore_top(1));
    let outer = word(Code::new(), 1).push(3).push(32).op(opcode::MSTORE);
    let outer = hash(outer).sstore_top(0).call(inner, 0, 100_000).op(opcode::POP);
    let outer = scene.contract(1, hash(outer).sstore_top(1));
    let [alice, bob] = scene.senders();
    scene.send(alice, call(outer));
    scene.send(bob, call(outer));
    let played = scene.play();
    let hashed = |words: [u64; 2]| {
        let words = words.map(|word| U256::from(word).to_be_bytes::<32>());
        Some(U256::from_be_bytes(keccak256(words.concat()).0))
    };
    for slot in [0, 1] {
        assert_eq!(played.slot(inner, slot), hashed([2, 0]));
        assert_eq!(played.slot(outer, slot), hashed([1, 3]));
    }
}
