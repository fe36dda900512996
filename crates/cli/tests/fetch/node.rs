//! A simulated node that has one generated block, and can be made to fail.

use alloy_eip7928::BlockAccessIndex;
use alloy_primitives::{Address, B256, U64, U256};
use braid_blocks::{
    block_file::{BlockFile, PreAccount},
    sequential,
    workload::{Workload, WorkloadSpec, generate},
};
use braid_cli::{
    access_list,
    fetch::{Client, FetchError, Patience, Recording, Transport, TransportError, Wanted, fetch},
};
use braid_evm::AccessList;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// A signed block of swaps, with contracts, storage and logs; some calls revert.
static BLOCK: LazyLock<Arc<Answers>> = LazyLock::new(|| {
    let file = generate(&WorkloadSpec::new(Workload::Dex, 30, 50, 5)).expect("generates");
    Arc::new(Answers::new(file))
});

type State = BTreeMap<Address, PreAccount>;

/// Answers of an honest node.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) file: BlockFile,
    after: State,
    receipts: Value,
    list: Value,
}

impl Answers {
    fn new(file: BlockFile) -> Self {
        let (block, database) = file.to_block().expect("a block");
        let output = sequential::execute(&block, database).expect("executes");
        let mut before = 0;
        let receipts = output.receipts.iter().map(|receipt| {
            let used = receipt.cumulative_gas_used - before;
            before = receipt.cumulative_gas_used;
            json!({
                "status": U64::from(receipt.success), "gasUsed": U64::from(used),
                "cumulativeGasUsed": U64::from(before), "logs": receipt.logs,
            })
        });
        let receipts = Value::Array(receipts.collect());
        let mut after = file.pre_state.clone();
        for (address, changed) in &output.bundle.state {
            let account = after.entry(*address).or_default();
            let info = changed.info.clone().unwrap_or_default();
            account.balance = info.balance;
            account.nonce = info.nonce;
            for (slot, value) in &changed.storage {
                account.storage.insert(*slot, value.present_value);
            }
        }
        let (block, database) = file.to_block().expect("a block");
        let list = access_list::list_of((&block).into(), database).expect("executes");
        Self { file, after, receipts, list: list_json(&list) }
    }

    fn code(&self, account: &PreAccount) -> Value {
        let code = account.code_hash.and_then(|hash| self.file.codes.get(&hash));
        json!(code.cloned().unwrap_or_default())
    }

    fn number(&self) -> u64 {
        self.file.block.header.inner.number
    }

    /// Returns the answer of an honest node.
    fn honest(&self, method: &str, params: &Value) -> Value {
        let header = &self.file.block.header.inner;
        match method {
            "eth_chainId" => json!(U64::from(self.file.meta.chain_id)),
            "web3_clientVersion" => json!("fake/1"),
            "eth_getBlockByNumber" => {
                let asked: Option<U64> = serde_json::from_value(params[0].clone()).ok();
                match asked.map(|number| number.to::<u64>()) {
                    None => json!(self.file.block),
                    Some(number) if number == header.number => json!(self.file.block),
                    Some(number) if number + 1 == header.number => {
                        json!({ "hash": header.parent_hash })
                    }
                    Some(_) => Value::Null,
                }
            }
            "eth_getBlockReceipts" => self.receipts.clone(),
            "eth_getBlockAccessList" => {
                assert_eq!(*params, json!([U64::from(self.number())]), "another block");
                self.list.clone()
            }
            "debug_traceBlockByNumber" => self.traces(),
            "eth_getProof" => self.proof(params),
            _ => self.state(method, params),
        }
    }

    /// Returns the state before the block.
    fn state(&self, method: &str, params: &Value) -> Value {
        let address: Address = serde_json::from_value(params[0].clone()).expect("an address");
        let account = self.file.pre_state.get(&address).cloned().unwrap_or_default();
        let at = if method == "eth_getStorageAt" { &params[2] } else { &params[1] };
        assert_eq!(*at, json!(U64::from(self.number() - 1)), "{method}: another state");
        match method {
            "eth_getBalance" => json!(account.balance),
            "eth_getTransactionCount" => json!(U64::from(account.nonce)),
            "eth_getCode" => self.code(&account),
            "eth_getStorageAt" => {
                let slot: U256 = serde_json::from_value(params[1].clone()).expect("a slot");
                json!(B256::from(account.storage.get(&slot).copied().unwrap_or_default()))
            }
            other => panic!("the recorder has no need of {other}"),
        }
    }

    fn proof(&self, params: &Value) -> Value {
        let (address, slots): (Address, Vec<U256>) =
            serde_json::from_value(json!([params[0], params[1]])).expect("address and slots");
        assert_eq!(params[2], json!(U64::from(self.number())), "another state");
        let account = self.after.get(&address).cloned().unwrap_or_default();
        let value = |slot: &U256| account.storage.get(slot).copied().unwrap_or_default();
        let slots = slots.iter().map(|slot| json!({ "key": slot, "value": value(slot) }));
        json!({
            "balance": account.balance, "nonce": U64::from(account.nonce),
            "codeHash": account.code_hash.unwrap_or_default(),
            "storageProof": Vec::from_iter(slots),
        })
    }

    /// Returns the traces. The first transaction touches everything, and all later ones show the
    /// state after the block, which the tool must not use.
    fn traces(&self) -> Value {
        let trace = |state: &State| {
            let accounts = state.iter().map(|(address, account)| {
                let storage = account.storage.iter();
                let storage: BTreeMap<B256, B256> =
                    storage.map(|(slot, value)| ((*slot).into(), (*value).into())).collect();
                let account = json!({
                    "balance": account.balance, "nonce": account.nonce,
                    "code": self.code(account), "storage": storage,
                });
                (address.to_string(), account)
            });
            json!({ "result": Value::Object(accounts.collect()) })
        };
        let later = self.file.block.transactions.len() - 1;
        let mut traces = vec![trace(&self.file.pre_state)];
        traces.extend(std::iter::repeat_n(trace(&self.after), later));
        Value::Array(traces)
    }
}

/// Returns the list in the format of execution-apis, which omits empty parts.
fn list_json(list: &AccessList) -> Value {
    let change = |index: BlockAccessIndex, value: Value| json!({ "index": U64::from(index.get()), "value": value });
    let accounts = list.iter().map(|account| {
        let slots = account.storage_changes.iter().map(|slot| {
            let changes = slot.changes.iter();
            let changes =
                changes.map(|it| change(it.block_access_index, json!(B256::from(it.new_value))));
            json!({ "key": B256::from(slot.slot), "changes": Vec::from_iter(changes) })
        });
        let reads = account.storage_reads.iter().map(|slot| json!(B256::from(*slot)));
        let balances = account.balance_changes.iter();
        let balances = balances.map(|it| change(it.block_access_index, json!(it.post_balance)));
        let nonces = account.nonce_changes.iter();
        let nonces = nonces.map(|it| change(it.block_access_index, json!(U64::from(it.new_nonce))));
        let codes = account.code_changes.iter().map(
            |it| json!({ "index": U64::from(it.block_access_index.get()), "code": it.new_code }),
        );
        let mut object = json!({ "address": account.address });
        for (name, values) in [
            ("storageChanges", Vec::from_iter(slots)),
            ("storageReads", Vec::from_iter(reads)),
            ("balanceChanges", Vec::from_iter(balances)),
            ("nonceChanges", Vec::from_iter(nonces)),
            ("codeChanges", Vec::from_iter(codes)),
        ] {
            if !values.is_empty() {
                object[name] = Value::Array(values);
            }
        }
        object
    });
    Value::Array(accounts.collect())
}

/// Answer in place of an honest result.
#[derive(Clone)]
pub(crate) enum Fault {
    Transport(TransportError),
    Rpc(i64, &'static str),
    Result(Value),
}

/// A function of the method, the number of its earlier calls, and the honest answer.
type Meddle = Box<dyn Fn(&str, usize, &Value) -> Option<Fault>>;

pub(crate) struct Node {
    pub(crate) answers: Arc<Answers>,
    meddle: Meddle,
    calls: RefCell<BTreeMap<String, usize>>,
    exchanges: Cell<usize>,
}

impl Node {
    pub(crate) fn honest() -> Self {
        Self::meddled(|_, _, _| None)
    }

    pub(crate) fn meddled(meddle: impl Fn(&str, usize, &Value) -> Option<Fault> + 'static) -> Self {
        Self {
            answers: Arc::clone(&BLOCK),
            meddle: Box::new(meddle),
            calls: RefCell::default(),
            exchanges: Cell::new(0),
        }
    }

    /// Returns the response to a request, both as bytes.
    pub(crate) fn answer(&self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.exchanges.set(self.exchanges.get() + 1);
        let request: Value = serde_json::from_slice(request).expect("a request in JSON");
        assert_eq!(request["jsonrpc"], "2.0");
        let method = request["method"].as_str().expect("a method");
        let honest = self.answers.honest(method, &request["params"]);
        let before = {
            let mut calls = self.calls.borrow_mut();
            let count = calls.entry(method.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        let mut answer = json!({ "jsonrpc": "2.0", "id": request["id"] });
        match (self.meddle)(method, before, &honest) {
            None => answer["result"] = honest,
            Some(Fault::Result(result)) => answer["result"] = result,
            Some(Fault::Rpc(code, message)) => {
                answer["error"] = json!({ "code": code, "message": message });
            }
            Some(Fault::Transport(error)) => return Err(error),
        }
        Ok(answer.to_string().into_bytes())
    }
}

impl Transport for &Node {
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.answer(request)
    }

    fn origin(&self) -> &str {
        "http://fake"
    }
}

/// Returns the default request for a recording.
pub(crate) fn wanted() -> Wanted {
    Wanted {
        number: None,
        fork: None,
        tracer: Default::default(),
        check_state: true,
        access_list: false,
    }
}

/// Records from `node` without waiting between attempts.
pub(crate) fn record(node: &Node, wanted: &Wanted) -> Result<Recording, FetchError> {
    let patience =
        Patience { attempts: 3, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
    fetch(&Client::new(node, patience), wanted)
}
