//! Checks the end of a block from Prague on, where alloy-evm 0.39 deviates from the specification:
//! our executor for alloy-evm must give the specified results.

use super::running::{Factory, run, run_one_by_one, run_upon_each_other, state_over};
use super::{Left, Ours, Receipts, WORKERS, config, context, ours, shells, spec, theirs};
use crate::support::scene::{
    ETHER, Scene, authorization, call, contract, create, delegate, pay, rich,
};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
use alloy_evm::block::{BlockExecutor, BlockExecutorFactory};
use alloy_evm::{EthEvmFactory, EvmEnv, EvmFactory};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use braid_blocks::block::Block;
use braid_blocks::code::{Code, deploying};
use braid_blocks::faulty::Fault;
use braid_blocks::hooked::Read;
use braid_blocks::memory::MemoryAccount;
use braid_blocks::sequential::request_contracts;
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::{Cloned, Policy};
use revm::DatabaseRef;
use revm::bytecode::{Bytecode, opcode};
use revm::database::BundleState;
use revm::inspector::Inspector;
use revm::interpreter::{CallInputs, CallOutcome, InterpreterTypes};
use revm::primitives::hardfork::SpecId;

const SPECS: [SpecId; 3] = [SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];

/// Returns the block in the types of the oracle.
fn plain(scene: &Scene) -> Block {
    Block::from(&scene.block)
}

/// Returns factories with each number of workers, with forced speculation and with the default
/// policy, without handles and with those of `states`.
fn factories<D>(
    block: &Block,
    states: impl Fn(B256) -> Option<D> + Clone + Send + Sync + 'static,
) -> Vec<(String, Ours)>
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let mut factories = Vec::new();
    for workers in WORKERS {
        for policy in [config(workers).policy, Policy::Auto] {
            let mut config = config(workers);
            config.policy = policy;
            let states = states.clone();
            let plain = BraidExecutorFactory::new(Receipts, spec(block), config);
            let own = plain.clone().with_handles(move |parent| states(parent).map(Cloned));
            let what = format!("{workers} workers, {policy:?}");
            factories.extend([(format!("{what}, handles"), own), (what, plain)]);
        }
    }
    factories
}

/// Returns the results of the block, executed as a whole by each factory, and transaction by
/// transaction.
fn left(scene: &Scene) -> Vec<(String, Left)> {
    let (block, transactions) = (plain(scene), shells(&scene.block.transactions));
    let singly = run_one_by_one(&ours(&block, 1), &block, &transactions, scene.database());
    let database = scene.database();
    let whole = factories(&block, move |_| Some(database.clone())).into_iter();
    let whole = whole.map(|(what, factory)| {
        let left = run(&factory, &block, &transactions, scene.database());
        (what, left)
    });
    whole.chain([("one by one".to_owned(), singly)]).collect()
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
                for (what, (result, _)) in left(&scene) {
                    let error = result.expect_err("the block is invalid");
                    let named = format!("{missing} does not contain code");
                    assert!(error.contains(&named), "{spec:?}, {what}: {error}");
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
        for (what, (result, bundle)) in left(&scene) {
            assert!(result.is_ok(), "{what}: {result:?}");
            let wei = U256::from(0x17_4876_e800_u64);
            assert_eq!(slot(&bundle, address, 0), Some(wei), "{spec:?}, {what}");
            assert_eq!(bundle.account(&address).unwrap().info.as_ref().unwrap().balance, wei);
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

/// The first transaction of an EVM makes precompiles warm, whichever worker runs it, whoever sends
/// it, and whatever it calls.
#[test]
fn calls_after_transactions_meet_warm_precompiles() {
    type Fill = fn(&mut Scene);
    let blocks: [(&str, Fill); 6] = [
        ("a payment", |scene| {
            let [alice, bob] = scene.senders();
            scene.send(alice, pay(bob, 1));
        }),
        ("two payments", |scene| {
            let [alice, bob] = scene.senders();
            scene.send(alice, pay(bob, 1));
            scene.send(alice, pay(bob, 1));
        }),
        ("all senders are delegated", |scene| {
            let [alice, bob] = scene.senders().map(|sender| delegated(scene, sender));
            scene.send(alice, pay(bob, 1));
            scene.send(bob, pay(bob, 1));
        }),
        ("the only plain sender is paid first", |scene| {
            let [alice] = scene.senders().map(|sender| delegated(scene, sender));
            let poor = Address::repeat_byte(0x33);
            scene.send(alice, pay(poor, ETHER));
            scene.send(poor, pay(alice, 1));
        }),
        ("a call of a contract", |scene| {
            let [alice] = scene.senders().map(|sender| delegated(scene, sender));
            let counter = scene.contract(0, Code::new().increment(0, 1));
            scene.send(alice, call(counter));
        }),
        ("a contract is created", |scene| {
            let [alice] = scene.senders().map(|sender| delegated(scene, sender));
            scene.send(alice, create(deploying(Code::new().increment(0, 1))));
        }),
    ];
    for (name, fill) in blocks {
        for spec in SPECS {
            let mut scene = Scene::on(spec);
            scene.put(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, looks());
            fill(&mut scene);
            let expected = scene.play();
            let warm = Some(U256::from(WARM_LOOK));
            assert_eq!(expected.slot(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 0), warm, "{spec:?}");
            for (what, (result, bundle)) in left(&scene) {
                let found = slot(&bundle, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 0);
                assert_eq!(found, warm, "{name}, {spec:?}, {what}");
                let requests = result.expect("a valid block").requests;
                assert_eq!(requests[0][1..], U256::from(WARM_LOOK).to_be_bytes::<32>());
            }
        }
    }
}

/// Counts the calls of transactions.
#[derive(Default)]
struct Calls(usize);

impl<C, I: InterpreterTypes> Inspector<C, I> for Calls {
    fn call(&mut self, _: &mut C, _: &mut CallInputs) -> Option<CallOutcome> {
        self.0 += 1;
        None
    }
}

/// Returns the number of calls that an inspector sees in a block.
fn seen<F>(factory: &F, scene: &Scene) -> usize
where
    F: Factory + BlockExecutorFactory<EvmFactory = EthEvmFactory>,
{
    let (block, transactions) = (plain(scene), shells(&scene.block.transactions));
    let mut state = state_over(scene.database());
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let mut calls = Calls::default();
    let evm = factory.evm_factory().create_evm_with_inspector(&mut state, env, &mut calls);
    let executor = factory.create_executor(evm, context(&block));
    let result = executor.execute_block(transactions);
    assert!(result.is_ok(), "{:?}", result.err());
    calls.0
}

/// Neither the transactions that workers run nor the one that makes precompiles warm.
#[test]
fn an_inspector_sees_only_what_runs_on_the_calling_thread() {
    for spec in SPECS {
        let scene = payment(spec);
        let expected = seen(&theirs(&plain(&scene)), &scene);
        assert_eq!(expected, 1, "{spec:?}");
        let database = scene.database();
        for (what, factory) in factories(&plain(&scene), move |_| Some(database.clone())) {
            let found = seen(&factory, &scene);
            let by_workers = usize::try_from(factory.executions().transactions).expect("one");
            assert_eq!(found, expected - by_workers, "{spec:?}, {what}");
        }
    }
}

/// Code of a delegated sender, which reads and writes.
const DELEGATE: Address = Address::repeat_byte(0xde);

/// Delegates `sender` to a contract.
fn delegated(scene: &mut Scene, sender: Address) -> Address {
    scene.put(DELEGATE, contract(Code::new().increment(0, 1)));
    let code = Bytecode::new_eip7702(DELEGATE).original_bytes();
    scene.put(sender, MemoryAccount { nonce: 1, code, ..rich() })
}

/// Warming precompiles reads nothing that sequential execution does not read.
#[test]
fn a_delegate_that_is_never_called_is_not_read() {
    for spec in SPECS {
        let mut scene = Scene::on(spec);
        let [alice, bob] = scene.senders();
        let alice = delegated(&mut scene, alice);
        scene.send(alice, pay(bob, 1));
        let (block, transactions) = (plain(&scene), shells(&scene.block.transactions));
        let database = Fault::PanicAt(Read::Account(DELEGATE)).of(scene.database());
        let own = database.clone();
        for (what, factory) in factories(&block, move |_| Some(own.clone())) {
            let (result, _) = run(&factory, &block, &transactions, database.clone());
            assert!(result.is_ok(), "{spec:?}, {what}: {result:?}");
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
    next.block.parent_hash = B256::repeat_byte(0x5e);
    next.block.transactions.clear();
    next.send(bob, call(odd));
    let second = (plain(&next), shells(&next.block.transactions));
    let unread = Read::Slot(odd, U256::ZERO);
    // The handles hold the state before the first block alone.
    let parent = first.0.parent_hash;
    for fault in [Fault::Never, Fault::At(unread)] {
        let database = fault.of(scene.database());
        let opened = database.clone();
        let states = move |hash| (hash == parent).then(|| opened.clone());
        for (what, factory) in factories(&first.0, states) {
            let blocks = [first.clone(), second.clone()];
            let (results, bundle) = run_upon_each_other(&factory, &blocks, database.clone());
            let results: Result<Vec<_>, _> = results.into_iter().collect();
            let gas = results.expect("valid blocks").last().map(|last| last.gas_used);
            assert_eq!(slot(&bundle, odd, 1), Some(U256::from(100)), "{what}");
            assert_eq!(gas, Some(25_312), "{what}");
        }
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
        for (what, (result, _)) in left(&scene) {
            match result {
                Ok(result) => {
                    assert!(is_valid, "{what}: {} bytes", data.len());
                    let fields: Vec<u8> = FIELDS
                        .into_iter()
                        .zip(1..)
                        .flat_map(|((_, length), byte)| vec![byte; length])
                        .collect();
                    assert_eq!(result.requests[0], Bytes::from([vec![0], fields].concat()));
                }
                Err(error) => assert!(!is_valid && error.contains("EIP-6110"), "{what}: {error}"),
            }
        }
    }
}
