//! Genesis files of other tools, and the files that `braid-node export` writes.
//!
//! 1. A chain of the execution APIs' tests, whose forks follow each other, reaches the head in its
//!    file.
//! 2. A chain created from an exported state continues under the rules of that state.
//! 3. Besu's files are accepted; unused fields are named.
//! 4. Files that are no genesis, or demand rules that blocks would not follow, are refused.

use crate::{
    chain::{Demo, braid_node, chain, json},
    support::vectors,
};
use braid_blocks::workload::demo_chain;
use braid_chain::genesis;
use serde_json::{Value, json as value};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};
use tempfile::TempDir;

/// A folder for a genesis and the chains created from it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Returns the output of `init` for a genesis with this text.
    #[track_caller]
    fn init(&self, text: impl AsRef<[u8]>, code: i32) -> String {
        let (file, folder) = (self.path("genesis.json"), self.path("chain"));
        fs::write(&file, text).expect("written");
        let _ = fs::remove_dir_all(&folder);
        chain(&["init", "--genesis", &file, &folder], code)
    }
}

/// Returns a genesis with the rules of Osaka, and these additional fields.
fn with(config: Value, fields: Value) -> String {
    let mut genesis = value!({
        "config": {"chainId": 7, "terminalTotalDifficulty": 0, "osakaTime": 0},
        "alloc": {"0x00000000000000000000000000000000000000aa": {"balance": "0x1"}},
    });
    for (place, more) in [("/config", config), ("", fields)] {
        let object = genesis.pointer_mut(place).and_then(Value::as_object_mut).expect("an object");
        object.extend(more.as_object().expect("fields").clone());
    }
    genesis.to_string()
}

#[test]
fn a_chain_of_all_forks_has_its_head_and_goes_on_from_an_export() {
    let Some(vectors) = vectors("execution-apis") else { return };
    let at = |name: &str| vectors.join(name).to_str().expect("UTF-8").to_owned();
    let folder = Folder::new();
    let [first, state, copy] = ["first", "state.json.gz", "copy"].map(|name| folder.path(name));
    chain(&["init", "--genesis", &at("genesis.json"), &first], 0);
    let head = json(&["run", "--history", "1", &first, &at("chain.rlp")])["head"].clone();
    assert_eq!(head["number"], 54);
    let hash = head["hash"].as_str().expect("a hash");
    assert!(hash.starts_with("0xd226371d") && hash.ends_with("e7dcd7"), "{hash}");
    chain(&["verify", &first], 0);

    let exported = json(&["export", &first, &state]);
    let begun = json(&["init", "--genesis", &state, &copy]);
    assert_eq!((&begun["fork"], &begun["number"]), (&value!("Osaka"), &value!(54)));
    assert_eq!(begun["state_root"], exported["state_root"]);
    let digest = |folder: &str| json(&["inspect", folder, "digest"])["digest"].clone();
    assert_eq!(digest(&copy), digest(&first));
    // Exported again, after blocks were unwound: the header of block 53 is not kept.
    let again = folder.path("again.json");
    chain(&["export", &copy, &again], 0);
    let again: Value = serde_json::from_slice(&fs::read(again).expect("reads")).expect("JSON");
    assert_eq!((&again["number"], &again["timestamp"]), (&value!("0x36"), &value!("0x21c")));
    assert!(again["baseFeePerGas"].is_string() && again["parentHash"].is_string(), "{again}");
    chain(&["unwind", &first, "1"], 0);
    let text = chain(&["export", &first, &folder.path("unwound.json")], 2);
    assert!(text.contains("does not hold the header of its last block 53"), "{text}");
}

/// A wallet would find no block, so the node says what to do. Block files have no signatures.
#[test]
fn a_chain_whose_last_block_came_from_a_block_file_is_not_served() {
    let demo = Demo::new(1);
    let folder = demo.begun("chain");
    let (_, files) = demo_chain(1, 1, genesis::header).expect("generates");
    let file = demo.path("block.json");
    files[0].write(Path::new(&file)).expect("writes");
    chain(&["run", &folder, &file], 0);
    let text = chain(&["run", "--rpc", "0", &folder], 2);
    assert!(text.contains("last block 1 with its transactions"), "{text}");
    assert!(text.contains("braid-node export") && text.contains("braid-node unwind"), "{text}");
}

#[test]
fn an_imported_chain_is_served() {
    let demo = Demo::new(2);
    let folder = demo.begun("chain");
    chain(&["run", &folder, &demo.path("demo/blocks.rlp")], 0);
    let mut node = braid_node(&["run", "--rpc", "0", &folder]);
    let mut node = node.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    let lines = BufReader::new(node.stderr.take().expect("piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("json-rpc: ").map(str::to_owned));
    let url = url.expect("the node serves");
    let ask = |method: &str, params: Value| {
        let request = value!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = (request.to_string(), ureq::post(&url));
        let answer = request.1.header("content-type", "application/json").send(request.0);
        let text = answer.expect("an answer").body_mut().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["result"].clone()
    };
    for number in 0..=2 {
        let block = ask("eth_getBlockByNumber", value!([format!("{number:#x}"), true]));
        let receipts = ask("eth_getBlockReceipts", value!([block["hash"]]));
        let count = |value: &Value| value.as_array().expect("a list").len();
        assert_eq!(count(&receipts), count(&block["transactions"]), "block {number}");
        assert_eq!(ask("eth_getBlockByHash", value!([block["hash"], true])), block);
    }
    node.kill().and_then(|()| node.wait()).expect("ends");
}

/// The QBFT genesis of Besu's documentation.
const BESU: &str = r#"{
  "config": {
    "chainId": 1337, "berlinBlock": 0, "londonBlock": 0, "cancunTime": 0,
    "qbft": {"blockperiodseconds": 2, "epochlength": 30000}
  },
  "nonce": "0x0", "timestamp": "0x58ee40ba", "gasLimit": "0x47b760", "difficulty": "0x1",
  "mixHash": "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365",
  "coinbase": "0x0000000000000000000000000000000000000000",
  "alloc": {
    "fe3b557e8fb62b89f4916b721be55ceb828dbd73": {
      "privateKey": "8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63",
      "comment": "private key and this comment are ignored",
      "balance": 1000000000000000000000000
    }
  }
}"#;

#[test]
fn files_of_besu_are_understood() {
    let folder = Folder::new();
    let text = folder.init(BESU, 0);
    assert!(text.starts_with("chain id 1337, rules of Cancun\n"), "{text}");
    let unused =
        "genesis.json: without effect here: comment in alloc, config.qbft, privateKey in alloc";
    assert!(text.contains(unused), "{text}");
    let account =
        ["inspect", &folder.path("chain"), "account", "0xfe3b557e8fb62b89f4916b721be55ceb828dbd73"];
    assert_eq!(json(&account)["balance"], "1000000000000000000000000");
    // A byte-order mark is ignored, and so is capitalisation, as in geth.
    let same = |changed: &[u8]| {
        let changed = folder.init(changed, 0);
        assert_eq!(changed.lines().nth(1), text.lines().nth(1), "the hash of the first block");
    };
    same(&[&[0xef, 0xbb, 0xbf], BESU.as_bytes()].concat());
    same(BESU.replace("gasLimit", "gaslimit").replace("londonBlock", "londonblock").as_bytes());
    let extra = |name: &str| folder.init(with(value!({}), value!({name: "0x1234"})), 0);
    assert_eq!(extra("extradata"), extra("extraData"));
    assert_ne!(extra("extradata"), folder.init(with(value!({}), value!({})), 0));
    let total = "1000000000000000000000";
    let mined =
        BESU.replace("\"qbft\"", &format!("\"terminalTotalDifficulty\": {total}, \"qbft\""));
    folder.init(mined, 0);
    chain(&["inspect", &folder.path("chain")], 0);
}

#[test]
fn what_is_no_genesis_is_refused() {
    let folder = Folder::new();
    for (text, why) in [
        ("{}", "it has no config and no alloc"),
        ("[]", "expected an object"),
        (r#"{"config": {"chainId": 7}, "allocs": {}}"#, "it has no alloc, but allocs"),
        (
            r#"{"name": "x", "engine": {}, "params": {}, "genesis": {}, "accounts": {}}"#,
            "this is a chain specification of Nethermind",
        ),
        (
            r#"{"block": {}, "accounts": {}, "best_block_number": 1}"#,
            "this is a dump of anvil's state",
        ),
        (r#"{"config": {"chainId": 7}, "alloc": {}, "Alloc": {}}"#, "Alloc is there twice"),
        (r#"{"config": {"chainId": 7}, "alloc": {}} more"#, "trailing characters"),
        (r#"{"config": {"londonBlock": 0}, "alloc": {}}"#, "config has no chainId; state one"),
        (
            r#"{"config": {"chainId": 7}, "alloc": {"00000000000000000000000000000000000000aa": {"nonce": 1}}}"#,
            "alloc.00000000000000000000000000000000000000aa has no balance, at line 1",
        ),
        (
            "{\"config\": {\"chainId\": 7}, \"alloc\": {\"00000000000000000000000000000000000000aa\": {\"balance\": 1},\n\"0x00000000000000000000000000000000000000AA\": {\"balance\": 1}}}",
            "alloc.0x00000000000000000000000000000000000000AA is there twice, at line 2",
        ),
    ] {
        let said = folder.init(text, 2);
        assert!(said.contains("no genesis in geth's format: ") && said.contains(why), "{said}");
        assert!(!fs::exists(folder.path("chain")).expect("looks"), "nothing is created");
    }
}

#[test]
fn rules_that_blocks_would_not_obey_are_refused() {
    let folder = Folder::new();
    for (config, fields, why) in [
        (
            value!({"contractSizeLimit": 100_000}),
            value!({}),
            "config.contractSizeLimit asks for rules",
        ),
        (value!({"bogotaTime": 0}), value!({}), "config.bogotaTime asks for rules"),
        (value!({"verkleTime": 0}), value!({}), "config.verkleTime asks for rules"),
        (value!({"zeroBaseFee": "yes"}), value!({}), "config.zeroBaseFee is \"yes\"; write true"),
        (
            value!({"cancunTime": 8, "osakaTime": 7}),
            value!({}),
            "config.osakaTime is 7, before config.cancunTime",
        ),
        (
            value!({}),
            value!({"timestamp": "0xffffffffffffffff"}),
            "timestamp is 0xffffffffffffffff, after which no",
        ),
    ] {
        let said = folder.init(with(config, fields), 2);
        assert!(said.contains(why), "{said}");
    }
    for obeyed in [value!({"zeroBaseFee": true}), value!({"fixedBaseFee": true}), value!({})] {
        let said = folder.init(with(obeyed, value!({})), 0);
        assert!(
            said.starts_with("chain id 7, rules of Osaka\n") && !said.contains("warning"),
            "{said}"
        );
    }
    // Blocks of the fork can be executed, but not built.
    let said = folder.init(with(value!({"amsterdamTime": u32::MAX}), value!({})), 0);
    assert!(said.contains("warning: ") && said.contains("config has amsterdamTime"), "{said}");
    let said = chain(&["run", "--rpc", "0", &folder.path("chain")], 2);
    assert!(said.contains("create the chain again without amsterdamTime"), "{said}");
}

#[test]
fn system_contracts_that_are_not_called_are_named() {
    let folder = Folder::new();
    let [roots, history, withdrawals, consolidations] = [
        "0x000f3df6d732807ef1319fb7b8bb8522d0beac02",
        "0x0000f90827f1c53a10cb7a02335b175320002935",
        "0x00000961ef480eb55e80d19ad83579a64c007002",
        "0x0000bbddc7ce488642fb579f8b00f3a590007251",
    ];
    for (there, missing) in [
        (&[][..], None),
        (&[roots, history], None),
        (&[history, withdrawals], Some("0x0000BBdD")),
        (&[roots, history, withdrawals, consolidations], None),
    ] {
        let contract =
            |address: &&str| ((*address).to_owned(), value!({"balance": 0, "code": "0x00"}));
        let alloc: serde_json::Map<_, _> = there.iter().map(contract).collect();
        let said = folder.init(with(value!({}), value!({"alloc": alloc})), 0);
        let told = missing.is_some_and(|it| said.contains(&format!("request contracts ({it}")));
        assert!(
            said.contains("warning") == missing.is_some() && told == missing.is_some(),
            "{said}"
        );
    }
}
