//! Our own tests in the formats of execution-spec-tests, so that the runners are tested without
//! external data: right tests pass, and each error fails.

use alloy_consensus::{
    Block, BlockBody, EthereumTxEnvelope, Header, SignableTransaction, TxEip4844, TxLegacy,
    constants::EMPTY_OMMER_ROOT_HASH, proofs,
};
use alloy_eips::{eip4895::Withdrawals, eip7702::Authorization};
use alloy_primitives::{Address, B256, Bloom, Bytes, TxKind, U256, address, b256, hex};
use braid_blocks::{
    keys::Key,
    state_root::{PlainAccount, PlainState},
};
use braid_evm::{Config, Executor, Forced, Mode, Policy};
use braid_lab::suite::{Kind, Verdict, block_test, kind, state_test, tests_in};
use revm::state::Bytecode;
use serde_json::{Value, json};
use std::num::NonZeroU16;

type Envelope = EthereumTxEnvelope<TxEip4844>;

const KEY: B256 = b256!("45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8");
const SENDER: Address = address!("a94f5374fce5edbc8e2a8697c15331677e6ebf0b");
const RECEIVER: Address = address!("00000000000000000000000000000000000000aa");
const COINBASE: Address = address!("00000000000000000000000000000000000000cc");
/// Hash of an empty list of logs.
const NO_LOGS: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
const ETHER: u64 = 1_000_000_000_000_000_000;

fn executor(mode: Mode) -> Executor {
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("not 0"));
    config.policy = Policy::Forced(Forced::Speculative);
    config.engine.mode = mode;
    Executor::new(config).expect("threads start")
}

fn state(balances: &[(Address, u64, u64)]) -> PlainState {
    let mut state = PlainState::default();
    for (address, balance, nonce) in balances {
        let balance = U256::from(*balance);
        state.insert(*address, PlainAccount { balance, nonce: *nonce, ..PlainAccount::default() });
    }
    state
}

/// Returns a test of a transfer of 7 or 8 wei in Osaka, and of one that its sender cannot pay.
fn state_test() -> Value {
    let price = 10 * 21_000;
    let after =
        |value: u64| state(&[(SENDER, ETHER - value - price, 1), (RECEIVER, value, 0)]).root();
    let case = |value: usize, hash: B256| {
        json!({"hash": hash, "logs": NO_LOGS, "txbytes": "0x",
            "indexes": {"data": 0, "gas": 0, "value": value}, "state": {}})
    };
    let mut poor = case(2, state(&[(SENDER, ETHER, 0)]).root());
    poor["expectException"] =
        json!(["TransactionException.INSUFFICIENT_ACCOUNT_FUNDS", "TransactionException.OTHER"]);
    json!({
        "env": {"currentCoinbase": COINBASE, "currentGasLimit": "0x055d4a80", "currentNumber": "1",
            "currentTimestamp": "0x03e8", "currentDifficulty": "0x00", "currentBaseFee": "0x0a",
            "currentRandom": "0x00", "currentExcessBlobGas": "0x00", "aNewField": []},
        "pre": {SENDER.to_string(): {"nonce": "0x00", "balance": format!("{ETHER:#x}"),
            "code": "0x", "storage": {}}},
        "transaction": {"nonce": "0x00", "gasPrice": "0x0a", "gasLimit": ["0x5208"],
            "to": RECEIVER, "value": ["0x07", "0x8", "0x0de0b6b3a7640001"], "data": ["0x"],
            "sender": SENDER, "secretKey": KEY},
        "post": {"Osaka": [case(0, after(7)), case(1, after(8)), poor]},
        "config": {"chainid": "0x01", "blobSchedule": {"Osaka":
            {"target": "0x06", "max": "0x09", "baseFeeUpdateFraction": "0x4c6964"}}},
        "_info": {"fixture-format": "state_test"},
    })
}

fn run_state_test(test: &Value) -> Vec<Verdict> {
    let test = state_test::Test::parse("transfer", &test.to_string()).expect("parses");
    let mut verdicts = Vec::new();
    test.run(&mut executor(Mode::Validate), &|_| true, &mut |case| verdicts.push(case.verdict));
    verdicts
}

#[test]
fn a_state_test_passes_and_each_wrong_expectation_fails() {
    assert_eq!(run_state_test(&state_test()), [const { Verdict::Passed }; 3]);
    // The sender is derived from its key.
    let mut keyed = state_test();
    keyed["transaction"].as_object_mut().expect("an object").remove("sender");
    assert_eq!(run_state_test(&keyed), [const { Verdict::Passed }; 3]);

    let wrong = B256::repeat_byte(1);
    let spoil = |path: &str, value: Value| {
        let mut test = state_test();
        *test.pointer_mut(path).expect("there") = value;
        let failed = run_state_test(&test);
        let failed = failed.iter().enumerate().filter(|(_, verdict)| **verdict != Verdict::Passed);
        failed.map(|(case, _)| case).collect::<Vec<_>>()
    };
    assert_eq!(spoil("/post/Osaka/0/hash", json!(wrong)), [0]);
    assert_eq!(spoil("/post/Osaka/1/logs", json!(wrong)), [1]);
    assert_eq!(spoil("/post/Osaka/2/hash", json!(wrong)), [2], "a refusal leaves the state");
    let other = json!("TransactionException.NONCE_MISMATCH_TOO_LOW");
    assert_eq!(spoil("/post/Osaka/2/expectException", other.clone()), [2], "another reason");
    assert_eq!(spoil("/transaction/value/2", json!("0x01")), [2], "nothing wrong with it");
    assert_eq!(spoil("/transaction/nonce", json!("0x01")), [0, 1, 2], "invalid, without notice");
}

/// A delegation in the format of execution-spec-tests, with the parity under both of its names.
#[test]
fn a_delegation_is_read() {
    const TARGET: Address = Address::with_last_byte(0xdd);
    let key = Key::new(B256::repeat_byte(7)).expect("a key");
    let authority = key.address();
    let authorization = Authorization { chain_id: U256::ZERO, address: TARGET, nonce: 0 };
    let signature = key.sign(authorization.signature_hash());
    let parity = u8::from(signature.v());
    let mut after = state(&[(SENDER, ETHER - 7 - 10 * 46_000, 1), (RECEIVER, 7, 0)]);
    let code = Bytecode::new_eip7702(TARGET);
    after.insert(authority, PlainAccount { nonce: 1, code, ..PlainAccount::default() });

    let mut test = state_test();
    let transaction = test["transaction"].as_object_mut().expect("an object");
    transaction.remove("gasPrice");
    transaction.insert("maxFeePerGas".into(), json!("0x0a"));
    transaction.insert("maxPriorityFeePerGas".into(), json!("0x00"));
    transaction.insert("gasLimit".into(), json!(["0x0186a0"]));
    transaction.insert(
        "authorizationList".into(),
        json!([{"chainId": "0x00", "address": TARGET,
        "nonce": "0x00", "v": format!("{parity:#04x}"), "yParity": format!("{parity:#04x}"),
        "r": signature.r(), "s": signature.s(), "signer": authority}]),
    );
    test["post"]["Osaka"].as_array_mut().expect("cases").truncate(1);
    test["post"]["Osaka"][0]["hash"] = json!(after.root());
    assert_eq!(run_state_test(&test), [Verdict::Passed]);

    test["transaction"]["to"] = json!("");
    test["post"]["Osaka"][0]["hash"] = json!(state(&[(SENDER, ETHER, 0)]).root());
    test["post"]["Osaka"][0]["expectException"] =
        json!("TransactionException.TYPE_4_TX_CONTRACT_CREATION");
    assert_eq!(run_state_test(&test), [Verdict::Passed], "it cannot create a contract");
}

#[test]
fn what_cannot_be_run_is_said_so() {
    let mut test = state_test();
    test["post"] = json!({"Constantinople": test["post"]["Osaka"]});
    let verdicts = run_state_test(&test);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Skipped(_))), "{verdicts:?}");
    test["pre"] = json!("everything");
    state_test::Test::parse("", &test.to_string()).expect_err("no state test");
}

#[test]
fn kinds_of_tests_are_told_apart() {
    let file = json!({"a": state_test(), "b": chain(&Chain::default()), "c": {"x": 1}, "d": 5,
        "e": {"engineNewPayloads": [], "post": {}, "transaction": {}}});
    let tests = tests_in(file.to_string().as_bytes()).expect("JSON");
    let kinds: Vec<Kind> = tests.values().map(|test| kind(test)).collect();
    assert_eq!(kinds, [Kind::State, Kind::Blocks, Kind::Other, Kind::Other, Kind::Engine]);
    assert!(tests_in(b"[1, 2]").expect("JSON").is_empty());
    tests_in(b"{").expect_err("no JSON");
}

#[test]
fn an_amplified_state_test_equals_plain_revm() {
    let test = state_test::Test::parse("transfer", &state_test().to_string()).expect("parses");
    let mut blocks = Vec::new();
    let mut executor = executor(Mode::Build);
    for seed in 0..16 {
        test.amplify(&mut executor, seed, false, &|_| true, &mut |block| blocks.push(block));
    }
    assert_eq!(blocks.len(), 16);
    for block in &blocks {
        assert_eq!(block.verdict, Verdict::Passed, "seed {}", block.seed);
        assert_eq!(block.transactions, 8);
    }
    let left_out: usize = blocks.iter().map(|block| block.left_out).sum();
    assert!((16..96).contains(&left_out), "{left_out}: a third cannot be paid");
}

#[test]
fn an_amplified_state_test_of_declared_accesses_equals_plain_revm() {
    let test = state_test::Test::parse("transfer", &state_test().to_string()).expect("parses");
    let mut config = Config::with_workers(NonZeroU16::new(2).expect("some"));
    (config.policy, config.engine.mode) = (Policy::Forced(Forced::Speculative), Mode::Build);
    let mut executor = Executor::new(config).expect("threads start");
    let mut speculative = 0;
    for seed in 0..1_000 {
        test.amplify(&mut executor, seed, true, &|_| true, &mut |block| {
            assert_eq!(block.verdict, Verdict::Passed, "seed {}", block.seed);
            speculative += block.stats.speculative_commits;
        });
        // On a busy machine, a block may be over before the second thread begins.
        if seed >= 16 && speculative > 0 {
            return;
        }
    }
    panic!("no transaction was committed speculatively");
}

/// Errors in the second block of [`chain`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Chain {
    nonce: Option<u64>,
    state_root: Option<B256>,
    gas_used: Option<u64>,
    exception: Option<&'static str>,
}

/// Returns the state after this number of blocks of [`chain`].
fn after(blocks: u64) -> PlainState {
    // The gas price is only the base fee, which is burnt.
    state(&[(SENDER, ETHER - blocks * (7 * 21_000 + 1), blocks), (RECEIVER, blocks, 0)])
}

/// Returns block `number` of [`chain`], with the errors in `spoiled`.
fn block(number: u64, genesis: &Header, parent: B256, spoiled: &Chain) -> Block<Envelope> {
    let transaction = transfer(spoiled.nonce.unwrap_or(number - 1));
    let receipt = alloy_consensus::EthereumReceipt::<alloy_consensus::TxType> {
        tx_type: alloy_consensus::TxType::Legacy,
        success: true,
        cumulative_gas_used: 21_000,
        logs: Vec::new(),
    };
    let receipt = alloy_consensus::TxReceipt::with_bloom_ref(&receipt);
    let cancun = number == 2;
    let header = Header {
        parent_hash: parent,
        number,
        timestamp: if cancun { 15_000 } else { 14_999 },
        state_root: spoiled.state_root.unwrap_or_else(|| after(number).root()),
        gas_used: spoiled.gas_used.unwrap_or(21_000),
        transactions_root: proofs::calculate_transaction_root(std::slice::from_ref(&transaction)),
        receipts_root: proofs::calculate_receipt_root(&[receipt]),
        logs_bloom: Bloom::ZERO,
        beneficiary: COINBASE,
        blob_gas_used: cancun.then_some(0),
        excess_blob_gas: cancun.then_some(0),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        ..genesis.clone()
    };
    let withdrawals = Some(Withdrawals::default());
    Block {
        header,
        body: BlockBody { transactions: vec![transaction], ommers: vec![], withdrawals },
    }
}

/// Returns a test of two blocks, the second of which is the first of Cancun.
pub(crate) fn chain(wrong: &Chain) -> Value {
    let genesis = Header {
        state_root: after(0).root(),
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(proofs::calculate_withdrawals_root(&[])),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        ..Header::default()
    };
    let first = block(1, &genesis, genesis.hash_slow(), &Chain::default());
    let second = block(2, &genesis, first.header.hash_slow(), wrong);
    let rlp = |block: &Block<Envelope>| Bytes::from(alloy_rlp::encode(block));
    let mut blocks = json!([{"rlp": rlp(&first)}, {"rlp": rlp(&second), "blocknumber": "2"}]);
    let (mut last, mut valid) = (second.header.hash_slow(), 2);
    if let Some(exception) = wrong.exception {
        blocks[1]["expectException"] = json!(exception);
        (last, valid) = (first.header.hash_slow(), 1);
    }
    let accounts = |state: &PlainState| {
        let account = |(address, account): (&Address, &PlainAccount)| {
            let account = json!({"balance": account.balance, "code": "0x", "storage": {},
                "nonce": format!("{:#x}", account.nonce)});
            (address.to_string(), account)
        };
        state.iter().map(account).collect::<serde_json::Map<_, _>>()
    };
    json!({
        "network": "ShanghaiToCancunAtTime15k",
        "genesisBlockHeader": {"hash": genesis.hash_slow(), "stateRoot": genesis.state_root,
            "difficulty": "0x00", "number": "0x00"},
        "genesisRLP": "0x", "sealEngine": "NoProof", "config": {"network": "x", "chainid": "0x01"},
        "pre": accounts(&after(0)),
        "blocks": blocks,
        "lastblockhash": last,
        "postState": accounts(&after(valid)),
    })
}

/// Returns a signed transfer of one wei to the receiver.
fn transfer(nonce: u64) -> Envelope {
    let transaction = TxLegacy {
        chain_id: Some(1),
        nonce,
        gas_price: 7,
        gas_limit: 21_000,
        to: TxKind::Call(RECEIVER),
        value: U256::from(1),
        input: Bytes::new(),
    };
    let signature = Key::new(KEY).expect("a key").sign(transaction.signature_hash());
    EthereumTxEnvelope::Legacy(transaction.into_signed(signature))
}

fn run_chain(wrong: &Chain) -> block_test::Chain {
    let test = block_test::Test::parse(&chain(wrong).to_string()).expect("parses");
    test.run(&mut executor(Mode::Validate))
}

#[test]
fn a_chain_passes_and_each_wrong_block_is_refused_for_its_reason() {
    let right = run_chain(&Chain::default());
    assert_eq!(right.verdict, Verdict::Passed);
    assert_eq!((right.valid, right.transactions), (2, 2));

    let root = Some(B256::repeat_byte(1));
    let wrong = [
        (
            Chain { nonce: Some(5), ..Chain::default() },
            "TransactionException.NONCE_MISMATCH_TOO_HIGH",
        ),
        (
            Chain { nonce: Some(0), ..Chain::default() },
            "TransactionException.NONCE_MISMATCH_TOO_LOW",
        ),
        (Chain { state_root: root, ..Chain::default() }, "BlockException.INVALID_STATE_ROOT"),
        (Chain { gas_used: Some(21_001), ..Chain::default() }, "BlockException.INVALID_GAS_USED"),
    ];
    for (place, (fault, name)) in wrong.into_iter().enumerate() {
        let failed = |chain: &Chain| matches!(run_chain(chain).verdict, Verdict::Failed(_));
        assert!(failed(&fault), "{name}: without notice");
        let noticed = run_chain(&Chain { exception: Some(name), ..fault });
        assert_eq!(noticed.verdict, Verdict::Passed, "{name}");
        assert_eq!((noticed.valid, noticed.refused), (1, 1), "{name}");
        for (other_place, (_, other)) in wrong.into_iter().enumerate() {
            let misnamed = Chain { exception: Some(other), ..fault };
            assert_eq!(failed(&misnamed), other_place != place, "{name} called {other}");
        }
        let nothing_wrong = Chain { exception: Some(name), ..Chain::default() };
        assert!(failed(&nothing_wrong), "{name}: nothing is wrong");
    }
}

#[test]
fn blocks_that_break_rules_of_headers_are_counted_by_name() {
    let name = "BlockException.EXTRA_DATA_TOO_BIG";
    let chain = run_chain(&Chain { exception: Some(name), ..Chain::default() });
    assert_eq!(chain.verdict, Verdict::Passed);
    assert_eq!((chain.valid, chain.refused, chain.out_of_scope[name]), (1, 0, 1));
}

#[test]
fn bytes_that_are_no_block_are_refused() {
    let mut test = chain(&Chain { exception: Some("x"), ..Chain::default() });
    test["blocks"][1]["rlp"] = json!("0xc0");
    let run = |exception: &str, test: &mut Value| {
        test["blocks"][1]["expectException"] = json!(exception);
        let test = block_test::Test::parse(&test.to_string()).expect("parses");
        test.run(&mut executor(Mode::Validate)).verdict
    };
    let structure = "BlockException.RLP_STRUCTURES_ENCODING|BlockException.OTHER";
    assert_eq!(run(structure, &mut test), Verdict::Passed);
    assert!(matches!(run("BlockException.INVALID_GAS_USED", &mut test), Verdict::Failed(_)));
    let whole = hex::decode(test["blocks"][0]["rlp"].as_str().expect("hex")).expect("hex");
    test["blocks"][1]["rlp"] = json!(Bytes::from([whole, vec![0]].concat()));
    assert_eq!(run(structure, &mut test), Verdict::Passed);
}
