//! Access lists (EIP-7928) in transition tools and block tests. No official tests with lists are
//! available, so a block of Amsterdam that `braid-lab t8n` builds is converted to a block test.
//!
//! 1. The list from `braid-lab t8n` has each change at its index, and the hash that the output
//!    states.
//! 2. With its list, given field by field, as RLP, in `rlp_decoded`, or not at all, the block
//!    passes.
//! 3. A wrong list is rejected with the error name of the test.

use alloy_consensus::{
    Block, BlockBody, EthereumTxEnvelope, Header, SignableTransaction, TxEip4844, TxLegacy,
    constants::EMPTY_OMMER_ROOT_HASH, proofs::calculate_withdrawals_root,
};
use alloy_eip7928::{AccountChanges, BlockAccessIndex, NonceChange, bal::Bal};
use alloy_eips::{eip2935, eip4788, eip4895::Withdrawals, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, b256};
use alloy_rlp::Decodable;
use braid_blocks::{
    code::Code,
    keys::Key,
    state_root::{PlainAccount, PlainState},
};
use braid_evm::{Config, Executor, Forced, Policy};
use braid_lab::suite::{Verdict, block_test};
use braid_lab::t8n::{Input, Options, to_json, transition};
use revm::bytecode::{Bytecode, opcode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU16;

type Envelope = EthereumTxEnvelope<TxEip4844>;

const KEY: B256 = b256!("45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8");
const SENDER: Address = address!("a94f5374fce5edbc8e2a8697c15331677e6ebf0b");
const COUNTER: Address = address!("00000000000000000000000000000000000000aa");
const STRANGER: Address = address!("00000000000000000000000000000000000000ab");
const COINBASE: Address = address!("00000000000000000000000000000000000000cc");
/// Contracts that the protocol calls from Amsterdam on (EIP-8282).
const BUILDERS: [Address; 2] = [
    address!("0000BFF46984E3725691FA540A8C7589300D8282"),
    address!("000064D678505AD48F8CCB093BC65613800E8282"),
];
const CALLS: u64 = 6;

fn config() -> Config {
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("not 0"));
    (config.policy, config.access_list) = (Policy::Forced(Forced::AccessList), true);
    config
}

/// Returns the state before the block: a contract that counts and reads a balance, the account that
/// calls it, and the system contracts.
fn before() -> PlainState {
    let mut state = PlainState::default();
    let counter = Code::new().increment(1, 1).balance(STRANGER).sload(7).op(opcode::STOP);
    let stop = Bytes::from_static(&[opcode::STOP]);
    let mut codes = BTreeMap::from([
        (COUNTER, counter.bytes()),
        (eip4788::BEACON_ROOTS_ADDRESS, eip4788::BEACON_ROOTS_CODE.clone()),
        (eip2935::HISTORY_STORAGE_ADDRESS, eip2935::HISTORY_STORAGE_CODE.clone()),
        (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, stop.clone()),
        (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, stop.clone()),
    ]);
    codes.extend(BUILDERS.map(|builder| (builder, stop.clone())));
    for (address, code) in codes {
        let code = Bytecode::new_raw(code);
        state.insert(address, PlainAccount { nonce: 1, code, ..PlainAccount::default() });
    }
    let balance = U256::from(10).pow(U256::from(18));
    state.insert(SENDER, PlainAccount { balance, ..PlainAccount::default() });
    state
}

fn call(nonce: u64) -> Envelope {
    let transaction = TxLegacy {
        chain_id: Some(1),
        nonce,
        gas_price: 9,
        gas_limit: 300_000,
        to: TxKind::Call(COUNTER),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    let signature = Key::new(KEY).expect("a key").sign(transaction.signature_hash());
    EthereumTxEnvelope::Legacy(transaction.into_signed(signature))
}

fn genesis() -> Header {
    Header {
        state_root: before().root(),
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(calculate_withdrawals_root(&[])),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        ..Header::default()
    }
}

/// Returns the output of `braid-lab t8n` for the calls in `fork`.
fn transitioned(fork: &str) -> Value {
    let transactions: Vec<Envelope> = (0..CALLS).map(call).collect();
    let input = Input {
        alloc: to_json(&before()),
        env: json!({
            "currentCoinbase": COINBASE, "currentGasLimit": "0x1c9c380", "currentNumber": "1",
            "currentTimestamp": "1000", "currentBaseFee": "0x7", "currentRandom": B256::ZERO,
            "withdrawals": [{"index": "0x0", "validatorIndex": "0x0", "address": STRANGER,
                "amount": "0x1"}],
            "parentBeaconBlockRoot": B256::with_last_byte(5), "currentExcessBlobGas": "0x0",
            "slotNumber": "0x9", "blockHashes": {"0": genesis().hash_slow()},
        }),
        txs: json!(Bytes::from(alloy_rlp::encode(&transactions))),
        blob_params: None,
    };
    let fork = fork.to_owned();
    let options = Options { fork, chain_id: 1, reward: -1, state_test: false, config: config() };
    transition(&input, &options).expect("a transition").result
}

fn list_of(result: &Value) -> Bal {
    let bytes: Bytes = field(result, "blockAccessList");
    Bal::decode(&mut &bytes[..]).expect("a list")
}

fn field<T: serde::de::DeserializeOwned>(result: &Value, name: &str) -> T {
    serde_json::from_value(result[name].clone()).unwrap_or_else(|why| panic!("{name}: {why}"))
}

fn number(result: &Value, name: &str) -> u64 {
    field::<U256>(result, name).to()
}

#[test]
fn a_transition_has_the_list_of_the_block_from_amsterdam_on() {
    let result = transitioned("Amsterdam");
    assert_eq!(result["rejected"], json!([]));
    let list = list_of(&result);
    assert_eq!(field::<B256>(&result, "blockAccessListHash"), list.compute_hash());
    let counter = list.iter().find(|account| account.address == COUNTER).expect("it is called");
    let changes = &counter.storage_changes[0].changes;
    let changes: Vec<_> =
        changes.iter().map(|it| (it.block_access_index.get(), it.new_value.to::<u64>())).collect();
    assert_eq!(changes, (1..=CALLS).map(|index| (index, index)).collect::<Vec<_>>());
    assert_eq!(counter.storage_reads, [U256::from(7)]);
    let stranger = list.iter().find(|account| account.address == STRANGER).expect("it is paid");
    assert_eq!(stranger.balance_changes[0].block_access_index.get(), CALLS + 1);
    let first = BlockAccessIndex::PRE_EXECUTION;
    for called in [eip4788::BEACON_ROOTS_ADDRESS, eip2935::HISTORY_STORAGE_ADDRESS] {
        let account = list.iter().find(|account| account.address == called).expect("called");
        assert_eq!(account.storage_changes[0].changes[0].block_access_index, first);
    }
    for called in BUILDERS {
        assert!(list.iter().any(|account| account.address == called && account.is_empty()));
    }
    assert_eq!(transitioned("Osaka")["blockAccessList"], Value::Null);
}

/// Returns a block test of one block, with the access-list `hash` in its header.
fn test(hash: B256) -> Value {
    let result = transitioned("Amsterdam");
    let withdrawal = json!({"index": "0x0", "validatorIndex": "0x0", "address": STRANGER,
        "amount": "0x1"});
    let withdrawals = Withdrawals::new(vec![serde_json::from_value(withdrawal).expect("one")]);
    let genesis = genesis();
    let header = Header {
        parent_hash: genesis.hash_slow(),
        number: 1,
        timestamp: 1_000,
        beneficiary: COINBASE,
        state_root: field(&result, "stateRoot"),
        transactions_root: field(&result, "txRoot"),
        receipts_root: field(&result, "receiptsRoot"),
        logs_bloom: field(&result, "logsBloom"),
        gas_used: number(&result, "gasUsed"),
        withdrawals_root: Some(field(&result, "withdrawalsRoot")),
        requests_hash: Some(field(&result, "requestsHash")),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::with_last_byte(5)),
        block_access_list_hash: Some(hash),
        slot_number: Some(9),
        ..genesis.clone()
    };
    let transactions = (0..CALLS).map(call).collect();
    let last = header.hash_slow();
    let withdrawals = Some(withdrawals);
    let block: Block<Envelope> =
        Block { header, body: BlockBody { transactions, ommers: vec![], withdrawals } };
    json!({
        "network": "Amsterdam",
        "genesisBlockHeader": {"hash": genesis.hash_slow(), "stateRoot": genesis.state_root,
            "difficulty": "0x00", "number": "0x00"},
        "config": {"chainid": "0x01"},
        "pre": to_json(&before()),
        "blocks": [{"rlp": Bytes::from(alloy_rlp::encode(&block))}],
        "lastblockhash": last,
        "postStateHash": result["stateRoot"],
    })
}

/// Converts a list to the format of execution-spec-tests.
fn written(list: &Bal) -> Value {
    let index = |index: BlockAccessIndex| json!(format!("{:#04x}", index.get()));
    let account = |account: &AccountChanges| {
        let slots = account.storage_changes.iter().map(|slot| {
            let change = |it: &alloy_eip7928::StorageChange| {
                json!({"blockAccessIndex": index(it.block_access_index),
                    "postValue": it.new_value})
            };
            let changes: Vec<_> = slot.changes.iter().map(change).collect();
            json!({"slot": slot.slot, "slotChanges": changes})
        });
        let balances = account.balance_changes.iter().map(|it| {
            json!({"blockAccessIndex": index(it.block_access_index),
                "postBalance": it.post_balance})
        });
        let nonces = account.nonce_changes.iter().map(|it| {
            json!({"blockAccessIndex": index(it.block_access_index),
                "postNonce": format!("{:#04x}", it.new_nonce)})
        });
        let codes = account.code_changes.iter().map(
            |it| json!({"blockAccessIndex": index(it.block_access_index), "newCode": it.new_code}),
        );
        json!({
            "address": account.address, "storageReads": account.storage_reads,
            "storageChanges": slots.collect::<Vec<_>>(),
            "balanceChanges": balances.collect::<Vec<_>>(),
            "nonceChanges": nonces.collect::<Vec<_>>(),
            "codeChanges": codes.collect::<Vec<_>>(),
        })
    };
    list.iter().map(account).collect()
}

fn run(test: &Value) -> block_test::Chain {
    let test = block_test::Test::parse(&test.to_string()).expect("parses");
    test.run(&mut Executor::new(config()).expect("threads start"))
}

#[test]
fn a_block_passes_with_its_list_in_every_form() {
    let list = list_of(&transitioned("Amsterdam"));
    let without = test(list.compute_hash());
    let with = |field: &str, value: Value| {
        let mut test = without.clone();
        test["blocks"][0][field] = value;
        run(&test)
    };
    let rlp = json!(Bytes::from(alloy_rlp::encode(&list)));
    for found in [
        run(&without),
        with("blockAccessList", written(&list)),
        with("blockAccessList", rlp),
        with("rlp_decoded", json!({"blockAccessList": written(&list)})),
    ] {
        assert_eq!(found.verdict, Verdict::Passed);
        assert_eq!((found.valid, found.transactions), (1, CALLS as usize));
    }
    // Each call depends on the preceding one, and none ran twice, so the block was executed by its
    // list.
    let stats = with("blockAccessList", written(&list)).stats;
    assert_eq!((stats.aborts, stats.incarnations), (0, CALLS), "{stats:?}");
}

/// Returns wrong lists, each with an error name of the tests for it.
fn wrong_lists(right: &Bal) -> Vec<(Bal, &'static str)> {
    let spoiled = |change: &dyn Fn(&mut Vec<AccountChanges>)| {
        let mut list: Vec<_> = right.iter().cloned().collect();
        change(&mut list);
        Bal::new(list)
    };
    let at = |address: Address| {
        right.iter().position(|account| account.address == address).expect("listed")
    };
    let (counter, last) = (at(COUNTER), right.len());
    vec![
        (spoiled(&|list| drop(list.remove(counter))), "INVALID_BAL_MISSING_ACCOUNT"),
        (
            spoiled(&|list| list.insert(last, AccountChanges::new(Address::repeat_byte(0xff)))),
            "INVALID_BAL_EXTRA_ACCOUNT",
        ),
        (
            spoiled(&|list| {
                list[counter].storage_changes[0].changes[2].new_value = U256::from(77);
            }),
            "INVALID_BLOCK_ACCESS_LIST",
        ),
        (
            spoiled(&|list| {
                let change = NonceChange::new(BlockAccessIndex::new(CALLS + 2), 3);
                list[counter].nonce_changes.push(change);
            }),
            "INCORRECT_BLOCK_FORMAT|BlockException.INVALID_BLOCK_ACCESS_LIST",
        ),
        (
            spoiled(&|list| list[counter].storage_reads.extend((8..20_000).map(U256::from))),
            "BLOCK_ACCESS_LIST_GAS_LIMIT_EXCEEDED",
        ),
    ]
}

#[test]
fn a_wrong_list_is_refused_by_its_name() {
    let right = list_of(&transitioned("Amsterdam"));
    for (list, name) in wrong_lists(&right) {
        // The header has the hash of the wrong list, as from a dishonest builder.
        let mut test = test(list.compute_hash());
        test["blocks"][0]["rlp_decoded"] = json!({"blockAccessList": written(&list)});
        assert!(matches!(run(&test).verdict, Verdict::Failed(_)), "{name}: without notice");
        let genesis = test["genesisBlockHeader"]["hash"].clone();
        test["blocks"][0]["expectException"] = json!(format!("BlockException.{name}"));
        (test["lastblockhash"], test["postStateHash"]) = (genesis, json!(before().root()));
        let found = run(&test);
        assert_eq!((found.verdict, found.refused), (Verdict::Passed, 1), "{name}");
        test["blocks"][0]["expectException"] = json!("BlockException.INVALID_STATE_ROOT");
        assert!(matches!(run(&test).verdict, Verdict::Failed(_)), "{name}: another name");
    }
    // The hash in the header matches neither the given list nor the one that execution builds.
    let mut test = test(B256::repeat_byte(1));
    test["blocks"][0]["expectException"] = json!("BlockException.INVALID_BAL_HASH");
    (test["lastblockhash"], test["postStateHash"]) =
        (test["genesisBlockHeader"]["hash"].clone(), json!(before().root()));
    assert_eq!(run(&test).verdict, Verdict::Passed);
    test["blocks"][0]["blockAccessList"] = written(&right);
    assert_eq!(run(&test).verdict, Verdict::Passed);
    // An unreadable list is rejected, too.
    test["blocks"][0]["blockAccessList"] = json!("0xc1");
    assert_eq!(run(&test).verdict, Verdict::Passed);
}
