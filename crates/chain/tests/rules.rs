//! Forks, the first header, and codes that only early forks accept.

use crate::streams::config;
use alloy_consensus::Header;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, b256, hex};
use braid_chain::{
    Chain, ChainBlock, DECLARED_ACCESSES, Head, MemoryStore, Rules, StateRoots, create, genesis,
    open,
};
use braid_evm::{Block, Declaration, DeclaredLocation};
use revm::{
    DatabaseRef,
    context::TxEnv,
    primitives::{TxKind, hardfork::SpecId},
};

/// Returns a configuration that only activates this fork, at time 0.
fn only(fork: SpecId) -> ChainConfig {
    let mut config = ChainConfig::default();
    let time = match fork {
        SpecId::SHANGHAI => &mut config.shanghai_time,
        SpecId::CANCUN => &mut config.cancun_time,
        SpecId::PRAGUE => &mut config.prague_time,
        SpecId::OSAKA => &mut config.osaka_time,
        SpecId::AMSTERDAM => &mut config.amsterdam_time,
        other => panic!("{other:?} has no time"),
    };
    *time = Some(0);
    config
}

const BY_TIME: [SpecId; 5] =
    [SpecId::SHANGHAI, SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA, SpecId::AMSTERDAM];

#[test]
fn a_fork_by_time_means_that_the_chain_is_merged() {
    for fork in BY_TIME {
        let rules = Rules::new(only(fork));
        assert_eq!(rules.spec(&Header::default()), fork);
        let mined = Header { difficulty: U256::ONE, ..Header::default() };
        assert_eq!(rules.spec(&mined), SpecId::FRONTIER, "{fork:?}");
    }
    assert_eq!(Rules::new(ChainConfig::default()).spec(&Header::default()), SpecId::FRONTIER);
}

/// Returns the rules of block `number` under a configuration with these two forks.
fn between(constantinople: Option<u64>, petersburg: Option<u64>, number: u64) -> SpecId {
    let config = ChainConfig {
        byzantium_block: Some(9),
        constantinople_block: constantinople,
        petersburg_block: petersburg,
        istanbul_block: Some(18),
        ..ChainConfig::default()
    };
    Rules::new(config).spec(&Header { number, difficulty: U256::ONE, ..Header::default() })
}

#[test]
fn constantinople_begins_where_it_says() {
    let (before, since) = (SpecId::BYZANTIUM, SpecId::PETERSBURG);
    for (one, other) in
        [(Some(12), Some(15)), (Some(12), None), (None, Some(12)), (Some(12), Some(12))]
    {
        let found = [11, 12, 15, 17].map(|number| between(one, other, number));
        assert_eq!(found, [before, since, since, since], "{one:?} {other:?}");
    }
    assert_eq!(between(None, None, 17), before);
}

/// Besu's QBFT blocks have difficulty 1 and the fields of all forks.
#[test]
fn a_block_with_the_fields_of_a_fork_has_its_rules() {
    let rules = Rules::new(only(SpecId::CANCUN));
    let header = Header { difficulty: U256::ONE, excess_blob_gas: Some(0), ..Header::default() };
    assert_eq!(rules.spec(&header), SpecId::CANCUN);
    assert!(rules.is_merged_after(&header));
    // Without a fork scheduled by time, the fields of later forks have no effect.
    let rules = Rules::new(ChainConfig { london_block: Some(0), ..ChainConfig::default() });
    assert_eq!(rules.spec(&header), SpecId::LONDON);
    assert!(!rules.is_merged_after(&header));
}

/// The genesis header of the Hoodi network, with its state root in place of its accounts.
#[test]
fn the_header_of_hoodi_has_its_hash() {
    let genesis = r#"{
        "config": {
            "chainId": 560048, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
            "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "mergeNetsplitBlock": 0, "terminalTotalDifficulty": 0, "shanghaiTime": 0,
            "cancunTime": 0, "pragueTime": 1742999832
        },
        "alloc": {}, "difficulty": "0x01", "gasLimit": "0x2255100", "nonce": "0x1234",
        "timestamp": "1742212800", "extraData": "0x",
        "coinbase": "0x0000000000000000000000000000000000000000",
        "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000"
    }"#;
    let genesis: Genesis = serde_json::from_str(genesis).expect("a genesis");
    let mut header = genesis::header(&genesis);
    header.state_root = b256!("da87d7f5f91c51508791bbcbd4aa5baf04917830b86985eeb9ad3d5bfb657576");
    let hash = b256!("bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b");
    assert_eq!(header.hash_slow(), hash);
}

/// Returns a chain whose accounts numbered from 1 have these codes. Account 0 sends.
fn with_codes(codes: &[Bytes]) -> (MemoryStore, Head) {
    let account = |code: Bytes| GenesisAccount { code: Some(code), ..GenesisAccount::default() };
    let coded = (1..).zip(codes).map(|(number, code)| (address(number), account(code.clone())));
    let sender = GenesisAccount::default().with_balance(U256::from(10).pow(U256::from(18)));
    let alloc = coded.chain([(address(0), sender)]).collect();
    let genesis = Genesis { config: only(SpecId::PRAGUE), alloc, ..Genesis::default() };
    let head = Head { number: 0, hash: genesis::header(&genesis).hash_slow() };
    let (store, batch) = (MemoryStore::new(), genesis::batch(&genesis, head));
    create(&store, b"{}", &batch, StateRoots::Computed).expect("an empty store");
    (store, head)
}

fn address(number: u8) -> Address {
    Address::with_last_byte(0xa0 + number)
}

#[test]
fn codes_that_only_begin_like_a_delegation_are_codes() {
    // The last one is a delegation to an account without code.
    let codes = [
        &hex!("ef01")[..],
        &hex!("ef010000"),
        &hex!("ef0101deadbeef00000000000000000000000000000000"),
        &hex!("ef0100deadbeef00000000000000000000000000000000"),
    ]
    .map(Bytes::copy_from_slice);
    let (store, head) = with_codes(&codes);
    let reader = open(&store).expect("a chain");
    for (number, code) in (1..).zip(&codes) {
        let account = reader.basic_ref(address(number)).expect("reads").expect("an account");
        let found = reader.code_by_hash_ref(account.code_hash).expect("a code");
        assert_eq!((found.original_bytes(), found.is_eip7702()), (code.clone(), number == 4));
    }
    let call = |number: u8| TxEnv {
        caller: address(0),
        nonce: u64::from(number) - 1,
        kind: TxKind::Call(address(number)),
        gas_limit: 100_000,
        gas_price: 0,
        chain_id: None,
        ..TxEnv::default()
    };
    let excess_blob_gas = Some(0);
    let header = Header { number: 1, gas_limit: 1_000_000, excess_blob_gas, ..Header::default() };
    let rules = Rules::new(only(SpecId::PRAGUE));
    let (cfg, env) = rules.environment(&header);
    let mut block = Block { cfg, env, parent_hash: head.hash, ..Block::default() };
    block.rules.system_calls = false;
    block.transactions = (1..=4).map(call).collect();
    let mut chain = Chain::open(store, config(1)).expect("a chain");
    let executed = chain.execute(ChainBlock { block, ..ChainBlock::default() });
    let receipts = executed.expect("a valid block").output.receipts;
    let succeeded: Vec<_> = receipts.iter().map(|receipt| receipt.success).collect();
    // 0xef is an invalid instruction.
    assert_eq!(succeeded, [false, false, false, true]);
    assert_eq!(receipts[2].cumulative_gas_used, 300_000);
}

/// A genesis may enable the rule, which the store keeps with the genesis.
#[test]
fn a_chain_may_ask_for_declared_accesses() {
    let succeeded = |declared: Option<bool>| {
        // Adds one to its first slot.
        let (store, head) = with_codes(&[hex!("60015f54015f5500").into()]);
        let mut chain_config = only(SpecId::PRAGUE);
        if let Some(declared) = declared {
            chain_config.extra_fields.insert(DECLARED_ACCESSES.to_owned(), declared.into());
        }
        let genesis = Genesis { config: chain_config, ..Genesis::default() };
        let kept = genesis::decode(&genesis::encode(&genesis).expect("JSON")).expect("a genesis");
        let rules = Rules::new(kept.config);
        assert_eq!(rules.are_accesses_declared(), declared == Some(true));
        let call = |nonce| TxEnv {
            caller: address(0),
            nonce,
            kind: TxKind::Call(address(1)),
            gas_limit: 100_000,
            gas_price: 0,
            chain_id: None,
            ..TxEnv::default()
        };
        let mut listed = TxEnv { chain_id: Some(rules.chain_id()), ..call(1) };
        let slot = DeclaredLocation { address: address(1), slot: Some(U256::ZERO) };
        Declaration::declare(&mut listed, [(slot, true)]);
        let excess_blob_gas = Some(0);
        let header =
            Header { number: 1, gas_limit: 1_000_000, excess_blob_gas, ..Header::default() };
        let (cfg, env) = rules.environment(&header);
        let mut block = Block { cfg, env, parent_hash: head.hash, ..Block::default() };
        block.rules = rules.chain_rules(&header);
        block.rules.system_calls = false;
        block.transactions = vec![call(0), listed];
        let mut chain = Chain::open(store, config(1)).expect("a chain");
        let executed = chain.execute(ChainBlock { block, ..ChainBlock::default() });
        let output = executed.expect("a valid block").output;
        let left: Vec<_> = output.undeclared.iter().map(|(tx, how)| (tx.0, how.location)).collect();
        let expected: &[_] = if declared == Some(true) { &[(0, slot)] } else { &[] };
        assert_eq!(left, expected);
        output.receipts.iter().map(|receipt| receipt.success).collect::<Vec<_>>()
    };
    assert_eq!(succeeded(None), [true, true]);
    assert_eq!(succeeded(Some(false)), [true, true]);
    assert_eq!(succeeded(Some(true)), [false, true]);
}
