//! `braid fetch` with a simulated node that serves a generated block. `cargo xtask anvil` tests it
//! with a real node.
//!
//! 1. With and without a tracer, the recording consists of the values that execution reads, as they
//!    were before the block. State shown by later transactions is not used.
//! 2. Transient failures are retried a bounded number of times, and others are not.
//! 3. Errors name the method and say what to do.
//! 4. Inconsistent receipts, state, headers and transactions are noticed, each kind separately.
//! 5. An access list is recorded if it matches the execution.
//! 6. Every variant of the errors is produced.
//! 7. The tool: exit codes, messages, and no output file unless everything was right.

mod errors;
mod node;
mod tool;

use braid_blocks::block_file::BlockFile;
use braid_cli::{
    access_list,
    fetch::{FetchError, RpcErrorKind, Tracer, TransportError, Wanted},
};
use node::{Fault, Node, record, wanted};
use serde_json::{Value, json};

const NO_TRACER: Option<Fault> = Some(Fault::Rpc(-32601, "no such method"));

#[track_caller]
fn refused(node: &Node, wanted: &Wanted) -> FetchError {
    match record(node, wanted) {
        Ok(_) => panic!("recorded"),
        Err(error) => error,
    }
}

/// Asserts that every account and slot of the recording equals the original's, and that the missing
/// ones were not read.
#[track_caller]
fn is_part_of(found: &BlockFile, original: &BlockFile) {
    for (address, account) in &found.pre_state {
        let whole = &original.pre_state[address];
        assert_eq!(account.balance, whole.balance, "{address}");
        assert_eq!(account.nonce, whole.nonce, "{address}");
        assert_eq!(account.code_hash, whole.code_hash, "{address}");
        for (slot, value) in &account.storage {
            assert_eq!(whole.storage.get(slot), Some(value), "{address} {slot}");
        }
    }
    assert_eq!(found.block, original.block);
    assert!(found.pre_state.len() > 30, "only {} accounts", found.pre_state.len());
}

#[test]
fn an_access_list_is_recorded_if_it_is_the_blocks() {
    let listed = Wanted { access_list: true, ..wanted() };
    let node = Node::honest();
    let found = record(&node, &listed).expect("records").access_list;
    let (block, database) = node.answers.file.to_block().expect("a block");
    assert_eq!(found, access_list::list_of((&block).into(), database).ok());
    assert!(found.is_some_and(|list| list.len() > 30));
    assert_eq!(record(&Node::honest(), &wanted()).expect("records").access_list, None);

    let answered = |answer: fn(&Value) -> Option<Fault>| {
        Node::meddled(move |method, _, honest| match method {
            "eth_getBlockAccessList" => answer(honest),
            _ => None,
        })
    };
    let lies = answered(|honest| {
        let mut list = honest.clone();
        let mut balances = list.as_array_mut()?.iter_mut();
        let balances = balances.find_map(|account| account.get_mut("balanceChanges"))?;
        balances[0]["value"] = "0x7".into();
        Some(Fault::Result(list))
    });
    let error = refused(&lies, &listed).to_string();
    assert!(error.contains("balance: listed 0x7, executed 0x"), "{error}");
    let error = refused(&answered(|_| Some(Fault::Result(Value::Null))), &listed);
    assert!(matches!(error, FetchError::NoAccessList { .. }), "{error}");
    let error = refused(&answered(|_| NO_TRACER), &listed);
    assert_eq!(error.method(), Some("eth_getBlockAccessList"), "{error}");
}

#[test]
fn a_recording_has_what_execution_reads() {
    let node = Node::honest();
    let traced = record(&node, &wanted()).expect("records");
    is_part_of(&traced.file, &node.answers.file);
    assert!(traced.notes.is_empty(), "{:?}", traced.notes);
    assert!(traced.file.meta.verified.contains(&"postState".to_owned()));

    let bare = Node::meddled(|method, _, _| NO_TRACER.filter(|_| method.starts_with("debug_")));
    let asked = record(&bare, &wanted()).expect("records");
    assert_eq!(asked.file.pre_state, traced.file.pre_state);
    assert_eq!(asked.file.codes, traced.file.codes);
    assert!(asked.calls > traced.calls + 100, "{} and {}", asked.calls, traced.calls);
    assert!(asked.notes[0].contains("--http.api eth,debug"), "{:?}", asked.notes);

    let number = node.answers.file.block.header.inner.number;
    let never = Wanted { number: Some(number), tracer: Tracer::Never, ..wanted() };
    let node = Node::meddled(|method, _, _| {
        assert!(!method.starts_with("debug_"), "it was told not to");
        None
    });
    assert_eq!(record(&node, &never).expect("records").file.pre_state, traced.file.pre_state);
}

#[test]
fn what_may_pass_is_asked_for_again() {
    for passing in [
        || Fault::Transport(TransportError::TimedOut),
        || Fault::Transport(TransportError::Status(503)),
        || Fault::Rpc(-32005, "limit exceeded"),
    ] {
        let node = Node::meddled(move |method, before, _| {
            (method == "eth_getBlockReceipts" && before < 2).then(passing)
        });
        record(&node, &wanted()).expect("the third attempt is answered");
        let node =
            Node::meddled(move |method, _, _| (method == "eth_getBlockReceipts").then(passing));
        let error = refused(&node, &wanted());
        assert_eq!(error.method(), Some("eth_getBlockReceipts"));
    }
}

#[test]
fn what_cannot_pass_is_asked_for_once() {
    let node = Node::meddled(|_, before, _| {
        assert_eq!(before, 0, "asked again");
        Some(Fault::Transport(TransportError::Status(401)))
    });
    let error = refused(&node, &wanted());
    let FetchError::Rpc(rpc) = &error else { panic!("{error}") };
    assert!(matches!(rpc.kind, RpcErrorKind::Transport { attempts: 1, .. }), "{error}");
    assert!(error.to_string().contains("refuses the key"), "{error}");
}

#[test]
fn errors_name_the_method_and_say_what_to_do() {
    type Row = (&'static str, fn() -> Fault, &'static str);
    let rows: [Row; 6] = [
        ("debug_traceBlockByNumber", || Fault::Rpc(-32601, "no"), "--http.api eth,debug"),
        ("eth_getBalance", || Fault::Rpc(-32000, "missing trie node abc"), "archive node"),
        ("eth_getBlockReceipts", || Fault::Transport(TransportError::TimedOut), "--timeout"),
        ("eth_chainId", || Fault::Result(json!("abc")), "is this an Ethereum node?"),
        (
            "eth_chainId",
            || Fault::Transport(TransportError::Unreachable("refused".to_owned())),
            "check the URL",
        ),
        ("eth_getCode", || Fault::Result(Value::Null), "is this an Ethereum node?"),
    ];
    for (method, fault, advice) in rows {
        let node = Node::meddled(move |called, _, _| (called == method).then(fault));
        let tracer = if method.starts_with("debug_") { Tracer::Always } else { Tracer::Never };
        let error = refused(&node, &Wanted { tracer, ..wanted() });
        assert_eq!(error.method(), Some(method), "{error}");
        let text = error.to_string();
        assert!(text.contains(method) && text.contains(advice), "{text}");
    }
}

/// Returns the honest answer with the value at `pointer` replaced.
fn spoiled(honest: &Value, pointer: &str, value: Value) -> Option<Fault> {
    let mut answer = honest.clone();
    *answer.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
    Some(Fault::Result(answer))
}

#[test]
fn a_tampered_receipt_is_noticed() {
    for (pointer, value) in [
        ("/3/status", json!("0x0")),
        ("/3/gasUsed", json!("0x5209")),
        ("/3/logs/0/data", json!("0x01")),
        ("/3/logs/0/address", json!("0x0000000000000000000000000000000000000007")),
        ("/3/logs", json!([])),
    ] {
        let node = Node::meddled(move |method, _, honest| match method {
            "eth_getBlockReceipts" => spoiled(honest, pointer, value.clone()),
            _ => None,
        });
        let error = refused(&node, &wanted());
        assert!(matches!(error, FetchError::Mismatch(_)), "{pointer}: {error}");
        assert!(error.to_string().contains("transaction 3"), "{pointer}: {error}");
    }
}

/// One wei more in a sender's account changes no receipt, but the state after the block.
#[test]
fn a_tampered_balance_is_noticed_by_the_state_after_the_block() {
    let sender = Node::honest().answers.file.transactions().expect("whole")[0].inner.signer();
    let tampered = || {
        let pointer = format!("/0/result/{sender}/balance");
        Node::meddled(move |method, _, honest| match method {
            "debug_traceBlockByNumber" => {
                spoiled(honest, &pointer, json!("0xffffffffffffffffffffff"))
            }
            _ => None,
        })
    };
    let error = refused(&tampered(), &wanted());
    assert!(error.to_string().contains(&format!("{sender} has balance")), "{error}");
    let unchecked = Wanted { check_state: false, ..wanted() };
    let recorded = record(&tampered(), &unchecked).expect("no receipt tells");
    assert!(!recorded.file.meta.verified.contains(&"postState".to_owned()));
}

#[test]
fn a_tampered_slot_or_code_is_noticed() {
    for (method, value) in [
        ("eth_getStorageAt", json!(format!("0x{:064x}", 3))),
        ("eth_getCode", json!("0x60016000f3")),
    ] {
        let empty = |honest: &Value| {
            honest.as_str().is_some_and(|text| text.trim_start_matches(['0', 'x']).is_empty())
        };
        let value = move || Fault::Result(value.clone());
        let node = Node::meddled(move |called, _, honest| {
            (called == method && !empty(honest)).then(&value)
        });
        let error = refused(&node, &Wanted { tracer: Tracer::Never, ..wanted() });
        assert!(!matches!(error, FetchError::Rpc(_)), "{method}: {error}");
    }
}

#[test]
fn a_block_that_contradicts_itself_is_refused() {
    for (pointer, value, what) in [
        ("/gasUsed", json!("0x1"), "the header's hash"),
        ("/transactions/0/value", json!("0x77"), "the transactions' root"),
        ("/transactions/0/from", json!(alloy_primitives::Address::ZERO), "the sender"),
    ] {
        let node = Node::meddled(move |method, before, honest| match (method, before) {
            ("eth_getBlockByNumber", 0) => spoiled(honest, pointer, value.clone()),
            _ => None,
        });
        let error = refused(&node, &wanted()).to_string();
        assert!(error.starts_with(what), "{pointer}: {error}");
    }
}

#[test]
fn blocks_that_cannot_be_had_are_said_so() {
    let far = Wanted { number: Some(u64::MAX - 1), ..wanted() };
    assert!(matches!(refused(&Node::honest(), &far), FetchError::NoBlock { .. }));
    let node = Node::meddled(|method, before, _| {
        let hash = json!({ "hash": alloy_primitives::B256::with_last_byte(1) });
        (method == "eth_getBlockByNumber" && before == 1).then_some(Fault::Result(hash))
    });
    assert!(matches!(refused(&node, &wanted()), FetchError::Reorganised { .. }));
}

#[test]
fn a_node_without_proofs_leaves_a_note() {
    let node = Node::meddled(|method, _, _| NO_TRACER.filter(|_| method == "eth_getProof"));
    let recorded = record(&node, &wanted()).expect("records");
    assert!(recorded.notes[0].contains("was not compared"), "{:?}", recorded.notes);
    assert_eq!(recorded.file.meta.notes, recorded.notes);
    assert!(!recorded.file.meta.verified.contains(&"postState".to_owned()));
}
