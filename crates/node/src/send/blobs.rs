//! Tests of blob transactions: their sidecars, and the blocks that include them.

use crate::{
    Limits, Node, NodeConfig,
    testing::{CHAIN, Client, address, begun, begun_as, begun_with, node, sign},
};
use alloy_consensus::{TxEip4844, TxEip4844WithSidecar};
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{BlobTransactionSidecar, Bytes48, DATA_GAS_PER_BLOB},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant as Sidecar},
};
use alloy_genesis::Genesis;
use alloy_primitives::hex;
use braid_chain::{
    Chain, ChainConfig, FIXED_BASE_FEE, MemoryStore, Rules, StateRoots,
    pool::{NetworkTransaction, SignedTransaction},
    rlp::decode_block,
};
use c_kzg::{Blob, ethereum_kzg_settings};
use core::num::NonZeroUsize;
use serde_json::{Value, json};

/// Gas price that exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

fn blob(fill: u8) -> Blob {
    let mut blob = Blob::new([0; 131_072]);
    // The numbers of 32 bytes are below the modulus of the field if their first byte is 0. They
    // differ, so that the proofs do.
    for (at, number) in blob.chunks_mut(32).enumerate() {
        number[1] = fill;
        number[31] = at.to_le_bytes()[0];
    }
    blob
}

/// Makes the sidecar of some blobs, with a proof for each blob or for each cell.
fn sidecar(blobs: &[Blob], has_cells: bool) -> Sidecar {
    let settings = ethereum_kzg_settings(0);
    let (mut commitments, mut proofs) = (Vec::new(), Vec::new());
    for blob in blobs {
        let commitment = settings.blob_to_kzg_commitment(blob).expect("numbers").to_bytes();
        commitments.push(commitment.into_inner().into());
        if has_cells {
            let (_, each) = settings.compute_cells_and_kzg_proofs(blob).expect("numbers");
            proofs.extend(each.iter().map(|proof| Bytes48::from(proof.to_bytes().into_inner())));
        } else {
            let proof = settings.compute_blob_kzg_proof(blob, &commitment).expect("numbers");
            proofs.push(proof.to_bytes().into_inner().into());
        }
    }
    let blobs = blobs.iter().map(|blob| (**blob).into()).collect();
    match has_cells {
        true => BlobTransactionSidecarEip7594::new(blobs, commitments, proofs).into(),
        false => BlobTransactionSidecar { blobs, commitments, proofs }.into(),
    }
}

/// Fees of a transaction: per gas, tip, and per blob gas.
type Fees = (u128, u128, u128);

fn signed(sender: u8, nonce: u64, fees: Fees, sidecar: &Sidecar) -> NetworkTransaction {
    let tx = TxEip4844 {
        chain_id: CHAIN,
        nonce,
        max_fee_per_gas: fees.0,
        max_priority_fee_per_gas: fees.1,
        max_fee_per_blob_gas: fees.2,
        gas_limit: 21_000,
        to: address(1),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..TxEip4844::default()
    };
    let with = |tx| TxEip4844WithSidecar { tx, sidecar: sidecar.clone() };
    NetworkTransaction::Eip4844(sign(sender, tx).map(with))
}

fn raw(transaction: &NetworkTransaction) -> Value {
    json!([hex::encode_prefixed(transaction.encoded_2718())])
}

fn client(node: &Node<MemoryStore>) -> Client {
    let limits = Limits { request_bytes: 4 << 20, ..Limits::default() };
    Client::new(&node.shared(), limits)
}

fn osaka(genesis: &mut Genesis) {
    genesis.config.osaka_time = Some(0);
}

/// Both forms of sidecars. Another chain executes the blocks, and compares the headers.
#[test]
fn a_block_has_blob_transactions_without_their_sidecars() {
    for (is_osaka, has_cells) in [(false, false), (true, true), (true, false)] {
        let fork = if is_osaka { osaka } else { |_: &mut Genesis| () };
        let begun = || {
            begun_as(StateRoots::Computed, |genesis| {
                fork(genesis);
                // Without the contracts for requests, Prague's blocks cannot be imported.
                if !is_osaka {
                    genesis.config.prague_time = None;
                }
            })
        };
        let mut node = node(&begun(), NodeConfig::default());
        let client = client(&node);
        let mut excess = 0;
        let mut blocks = Vec::new();
        for (nonce, blobs) in [2, 6, 1].into_iter().enumerate() {
            let blobs: Vec<_> = (0..blobs).map(blob).collect();
            let sent = signed(0, nonce as u64, (PRICE, 1, 100), &sidecar(&blobs, has_cells));
            let hash = client.result("eth_sendRawTransaction", raw(&sent));
            assert_eq!(hash, json!(sent.hash()));
            let waiting = client.result("eth_getTransactionByHash", json!([hash]));
            assert_eq!(waiting["blobVersionedHashes"].as_array().map(Vec::len), Some(blobs.len()));
            node.step(0).expect("works").expect("made");
            node.chain().flush().expect("durable");
            let receipt = client.result("eth_getTransactionReceipt", json!([hash]));
            let used = blobs.len() as u64 * DATA_GAS_PER_BLOB;
            assert_eq!(receipt["status"], "0x1");
            assert_eq!(receipt["blobGasUsed"], json!(format!("{used:#x}")));
            assert_eq!(receipt["blobGasPrice"], "0x1");
            let block = client.result("eth_getBlockByNumber", json!(["latest", false]));
            assert_eq!(block["blobGasUsed"], json!(format!("{used:#x}")));
            assert_eq!(block["excessBlobGas"], json!(format!("{excess:#x}")));
            // The target is 3 blobs, from Prague on 6. From Osaka on (EIP-7918), the excess does not
            // fall by the target while blobs are cheap.
            let (all, target) = (excess + used, DATA_GAS_PER_BLOB * if is_osaka { 6 } else { 3 });
            excess = match is_osaka {
                true if all >= target => excess + used / 3,
                _ => all.saturating_sub(target),
            };
            let bytes = client.result("debug_getRawBlock", json!(["latest"]));
            blocks.push(hex::decode(bytes.as_str().expect("text")).expect("hexadecimal"));
            assert!(blocks.last().expect("one").len() < 2_000, "no sidecar");
        }
        if is_osaka {
            continue;
        }
        let store = begun();
        let reader = braid_chain::open(&store).expect("a chain");
        let genesis = braid_chain::genesis::decode(&reader.genesis().expect("it is there"));
        let rules = Rules::new(genesis.expect("a genesis").config);
        let mut other = Chain::open(store, ChainConfig::default()).expect("opens");
        for rlp in blocks {
            let block = decode_block(&rlp, &rules, NonZeroUsize::MIN).expect("a block");
            other.execute(block).expect("its header is right");
        }
        assert_eq!(other.flush().expect("durable"), node.chain().head());
    }
}

#[test]
fn wrong_sidecars_are_refused_and_the_pool_is_unchanged() {
    let nodes =
        [node(&begun(), NodeConfig::default()), node(&begun_with(osaka), NodeConfig::default())];
    let clients = [client(&nodes[0]), client(&nodes[1])];
    let blobs = [blob(1), blob(2)];
    let (plain, cells) = (sidecar(&blobs, false), sidecar(&blobs, true));
    let changed = |change: &dyn Fn(&mut Sidecar), of: &Sidecar| {
        let mut other = of.clone();
        change(&mut other);
        let right = signed(0, 0, (PRICE, 1, 1), of);
        right.map_eip4844(|it| TxEip4844WithSidecar { sidecar: other.clone(), ..it })
    };
    let blob_of = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => it.blobs[1].0[33] ^= 1,
        Sidecar::Eip7594(it) => it.blobs[1].0[33] ^= 1,
    };
    let no_number = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => it.blobs[0].0[0] = 0xff,
        Sidecar::Eip7594(it) => it.blobs[0].0[0] = 0xff,
    };
    let commitments = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => it.commitments.swap(0, 1),
        Sidecar::Eip7594(it) => it.commitments.swap(0, 1),
    };
    let proofs = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => it.proofs.swap(0, 1),
        Sidecar::Eip7594(it) => it.cell_proofs.swap(0, 1),
    };
    let fewer = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => drop(it.proofs.pop()),
        Sidecar::Eip7594(it) => drop(it.cell_proofs.pop()),
    };
    let one = |it: &mut Sidecar| match it {
        Sidecar::Eip4844(it) => drop(it.blobs.pop()),
        Sidecar::Eip7594(it) => drop(it.blobs.pop()),
    };
    for (client, of) in [(&clients[0], &plain), (&clients[1], &cells)] {
        for (change, words) in [
            (&blob_of as &dyn Fn(&mut Sidecar), "proofs are wrong"),
            (&no_number, "proofs are wrong"),
            (&commitments, "its commitments do not match"),
            (&proofs, "proofs are wrong"),
            (&fewer, "not one proof for each"),
            (&one, "another number of blobs"),
        ] {
            let (code, message) = client.error("eth_sendRawTransaction", raw(&changed(change, of)));
            assert!(code == -32_003 && message.contains(words), "{code} {message}: {words}");
        }
        let right = signed(0, 0, (PRICE, 1, 1), of);
        let stripped: SignedTransaction = right.clone().map_eip4844(|it| it.into_parts().0);
        let without = json!([hex::encode_prefixed(stripped.encoded_2718())]);
        let (_, message) = client.error("eth_sendRawTransaction", without);
        assert!(message.contains("missing sidecar"), "{message}");
        assert_eq!(client.result("txpool_status", json!([]))["pending"], "0x0");
        client.result("eth_sendRawTransaction", raw(&right));
        assert_eq!(client.result("txpool_status", json!([]))["pending"], "0x1");
    }
    let early = signed(1, 0, (PRICE, 1, 1), &cells);
    let (_, message) = clients[0].error("eth_sendRawTransaction", raw(&early));
    assert!(message.contains("for Osaka"), "{message}");
    // More than a block may have.
    let many: Vec<_> = (0..10).map(blob).collect();
    let many = signed(1, 0, (PRICE, 1, 1), &sidecar(&many, false));
    let (_, message) = clients[0].error("eth_sendRawTransaction", raw(&many));
    assert!(message.contains("blobs"), "{message}");
}

/// The price of blob gas is 7 at first, and falls with each empty block.
#[test]
fn a_transaction_waits_until_blobs_are_as_cheap_as_it_pays() {
    let begun = begun_with(|genesis| genesis.excess_blob_gas = Some(10_000_000));
    let mut node = node(&begun, NodeConfig::default());
    let of = |fee| signed(0, 0, (PRICE, 1, fee), &sidecar(&[blob(3)], false));
    let client = client(&node);
    assert_eq!(client.result("eth_blobBaseFee", json!([])), "0x7");
    let hash = client.result("eth_sendRawTransaction", raw(&of(2)));
    let mut made = 0;
    while node.shared().usage().read().pool.transactions > 0 {
        node.step(0).expect("works").expect("a block lowers the price");
        made += 1;
        assert!(made < 100, "it is included in the end");
    }
    node.chain().flush().expect("durable");
    assert!(made > 1, "not in the first block");
    let receipt = client.result("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["blobGasPrice"], "0x2");
    assert!(node.step(0).expect("works").is_none());
}

#[test]
fn a_replacement_pays_twice_as_much_and_sidecars_count_towards_the_pool() {
    let node = node(&begun(), NodeConfig::default());
    let client = client(&node);
    let sidecar = sidecar(&[blob(4)], false);
    let send = |fees| raw(&signed(0, 0, fees, &sidecar));
    client.result("eth_sendRawTransaction", send((PRICE, 100, 10)));
    let bytes = || node.shared().usage().read().pool.bytes;
    let one = bytes();
    assert!((131_072..140_000).contains(&one), "{one}");
    for (fees, words) in [
        ((PRICE * 2 - 1, 200, 20), "a fee of 20000000000 and a tip of 200"),
        ((PRICE * 2, 199, 20), "a fee of 20000000000 and a tip of 200"),
        ((PRICE * 2, 200, 19), "pay 20 per blob gas at least"),
    ] {
        let (code, message) = client.error("eth_sendRawTransaction", send(fees));
        assert!(message.contains(words), "{code} {message}");
    }
    let plain = crate::testing::payment(0, 0, PRICE * 2 - 1);
    let plain = json!([hex::encode_prefixed(plain.encoded_2718())]);
    assert!(client.error("eth_sendRawTransaction", plain).1.contains("underpriced"));
    client.result("eth_sendRawTransaction", send((PRICE * 2, 200, 20)));
    assert!(bytes().abs_diff(one) < 100, "the old sidecar is gone");
    // The fee for blobs is part of what the sender must have.
    let (_, message) =
        client.error("eth_sendRawTransaction", raw(&signed(2, 0, (PRICE, 1, 1 << 90), &sidecar)));
    assert!(message.contains("insufficient funds"), "{message}");
}

#[test]
fn sidecars_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = (folder.path().join("pool.rlp"), begun_with(osaka));
    let keeping = || {
        let node = node(&store, NodeConfig::default());
        node.keep_pool_in(&path, drop);
        node
    };
    let kept = sidecar(&[blob(5)], true);
    let first = keeping();
    client(&first).result("eth_sendRawTransaction", raw(&signed(0, 0, (PRICE, 1, 1), &kept)));
    drop(first);
    let mut again = keeping();
    let waiting = again.shared().hold().pool.transactions();
    assert_eq!(waiting[0].0.sidecar().map(|it| &**it), Some(&kept));
    let made = again.step(0).expect("works").expect("made");
    assert_eq!(made.built.output.blob_gas_used, DATA_GAS_PER_BLOB);
}

/// By EIP-7918, the price of blob gas never falls there, so empty blocks would not help.
#[test]
fn no_empty_blocks_are_made_if_the_price_of_blobs_cannot_fall() {
    let begun = begun_with(|genesis| {
        osaka(genesis);
        genesis.excess_blob_gas = Some(10_000_000);
        genesis.base_fee_per_gas = Some(1_000_000_000);
        genesis.config.extra_fields.insert(FIXED_BASE_FEE.to_owned(), json!(true));
    });
    let mut node = node(&begun, NodeConfig::default());
    let sidecar = sidecar(&[blob(6)], false);
    let client = client(&node);
    let cheap = signed(0, 0, (PRICE, 1, 1), &sidecar);
    client.result("eth_sendRawTransaction", raw(&cheap));
    assert!(node.step(0).expect("works").is_none());
    client.result("eth_sendRawTransaction", raw(&signed(1, 0, (PRICE, 1, 100), &sidecar)));
    let made = node.step(0).expect("works").expect("made");
    assert_eq!(made.built.output.receipts.len(), 1);
    // It still waits.
    assert_eq!(node.shared().usage().read().pool.transactions, 1);
}
