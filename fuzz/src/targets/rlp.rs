//! Blocks, headers, transactions, receipts and access lists in RLP: arbitrary bytes, and valid
//! encodings whose items the input changes.
//!
//! RLP has one encoding for each value. So whatever is accepted must be encoded to the same bytes
//! again: otherwise two nodes could keep different bytes, or hashes, for the same block. The header
//! of an accepted block must have the roots of its body, and its transactions must have the senders
//! that alloy recovers.

use super::reached;
use alloy_consensus::proofs::{
    calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root,
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{
    Block as RlpBlock, BlockBody, EthereumReceipt, EthereumTxEnvelope, Header, SignableTransaction,
    Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip4895::Withdrawal;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use alloy_rlp::{Decodable, Encodable, Header as RlpHeader};
use arbitrary::{Result as Drawn, Unstructured};
use braid_chain::Rules;
use braid_chain::pool::SignedTransaction;
use braid_chain::rlp::{RlpItems, decode_block, decode_head};
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

/// Maximum number of changes of a valid encoding.
const CHANGES: usize = 4;

type Block = RlpBlock<SignedTransaction>;
type Checked = Result<(), String>;

/// Kinds of encodings, each with valid examples.
struct Examples {
    blocks: Vec<Item>,
    transactions: Vec<(u8, Item)>,
    receipts: Item,
    access_list: Item,
}

static EXAMPLES: LazyLock<Examples> = LazyLock::new(|| {
    let item = |bytes: Vec<u8>| Item::decode(&mut &*bytes).expect("valid RLP");
    let typed = |tx: SignedTransaction| {
        let bytes = tx.encoded_2718();
        // A legacy transaction is a list without a type byte.
        let (kind, list) = if tx.is_legacy() { (0, &bytes[..]) } else { (bytes[0], &bytes[1..]) };
        (kind, item(list.to_vec()))
    };
    Examples {
        blocks: blocks().iter().map(|block| item(alloy_rlp::encode(block))).collect(),
        transactions: transactions().into_iter().map(typed).collect(),
        receipts: item(alloy_rlp::encode(vec![receipt(); 2])),
        access_list: item(alloy_rlp::encode(vec![changes(1), changes(2)])),
    }
});

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let config = serde_json::json!({
        "chainId": 1, "londonBlock": 0, "terminalTotalDifficulty": 0, "osakaTime": 10,
    });
    Rules::new(serde_json::from_value(config).expect("a configuration"))
});

pub(super) fn check(bytes: &[u8]) -> Checked {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(()) };
    let (is_raw, is_followed) = (kind & 0x80 != 0, kind & 0x40 != 0);
    let mut rest = Unstructured::new(rest);
    let bytes = |example: &Item, rest: &mut Unstructured<'_>| {
        let own = if is_raw { Vec::new() } else { example.encoded() };
        if is_raw || is_followed {
            [&own, rest.bytes(rest.len()).unwrap_or_default()].concat()
        } else {
            changed(example.clone(), rest).encoded()
        }
    };
    let examples = &*EXAMPLES;
    match kind % 8 {
        0..=2 => {
            let block = &examples.blocks[usize::from(kind / 8) % examples.blocks.len()];
            let found = bytes(block, &mut rest);
            block_of(&found)?;
            // With the roots of its body, a changed block passes the comparison with its header.
            Block::decode(&mut &*found)
                .map_or(Ok(()), |it| block_of(&alloy_rlp::encode(fitted(it))))
        }
        3 => items(&bytes(&examples.blocks[0], &mut rest)),
        4 | 5 => {
            let at = usize::from(kind / 8) % examples.transactions.len();
            let (kind, example) = &examples.transactions[at];
            let list = bytes(example, &mut rest);
            let kind = (*kind > 0 && !is_raw).then_some(*kind);
            transaction(&kind.into_iter().chain(list).collect::<Vec<_>>())
        }
        6 => again::<Vec<EthereumReceipt>>(&bytes(&examples.receipts, &mut rest)),
        _ => access_list(&bytes(&examples.access_list, &mut rest)),
    }
}

/// Checks a block as a chain imports it.
fn block_of(bytes: &[u8]) -> Checked {
    let head = decode_head(bytes);
    let Ok(found) = decode_block(bytes, &RULES, NonZeroUsize::MIN) else { return Ok(()) };
    reached::note("rlp, a block");
    let head = head.map_err(|error| format!("a block without a header: {error}"))?;
    let number = found.block.env.number;
    same("hash of the header", found.hash, head.hash)?;
    same("hash of the encoded header", found.hash, keccak256(&found.header))?;
    same("number", number, U256::from(head.number))?;
    same("kept bytes", &found.rlp[..], bytes)?;
    let block = Block::decode(&mut &found.rlp[..]).map_err(|error| error.to_string())?;
    same("encoding", &alloy_rlp::encode(&block)[..], bytes)?;
    same("header with the roots of the body", &block.header, &fitted(block.clone()).header)?;
    let BlockBody { transactions, ommers, withdrawals } = &block.body;
    // alloy recovers no sender from a signature that EIP-2 forbids.
    let senders = transactions.iter().map(SignerRecoverable::recover_signer);
    let senders: Vec<_> = senders.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let found_senders = found.block.transactions.iter().map(|tx| tx.caller);
    same("senders", found_senders.collect(), senders)?;
    let withdrawals = withdrawals.as_ref().map(|list| &**list);
    same("withdrawals", found.block.withdrawals.as_ref(), withdrawals)?;
    let found_ommers = found.block.ommers.iter().map(|it| (it.beneficiary, it.number));
    let ommers = ommers.iter().map(|it| (it.beneficiary, it.number));
    same("ommers", found_ommers.collect::<Vec<_>>(), ommers.collect())
}

/// Checks a stream of blocks: its items are the lists with which it begins.
fn items(bytes: &[u8]) -> Checked {
    let found: Vec<Vec<u8>> = RlpItems::new(bytes).map_while(Result::ok).collect();
    let (mut lists, mut rest) = (Vec::new(), bytes);
    let mut after = rest;
    while RlpHeader::decode_bytes(&mut after, true).is_ok() {
        lists.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    same("items", found, lists)
}

/// Checks a transaction as a client sends it.
fn transaction(bytes: &[u8]) -> Checked {
    let mut rest = bytes;
    let Ok(found) = SignedTransaction::decode_2718(&mut rest) else { return Ok(()) };
    reached::note("rlp, a transaction");
    let read = &bytes[..bytes.len() - rest.len()];
    same("transaction", &*found.encoded_2718(), read)?;
    same("hash", *found.hash(), keccak256(read))
}

/// Checks an access list, which may also be malformed.
fn access_list(bytes: &[u8]) -> Checked {
    again::<Vec<AccountChanges>>(bytes)?;
    let Ok(list) = Vec::<AccountChanges>::decode(&mut &*bytes) else { return Ok(()) };
    reached::note("rlp, an access list");
    let list = braid_evm::AccessList::from(list);
    // Either may refuse it, but must not panic.
    let _ = (list.validate_structure(2), list.validate_gas_limit(60_000_000));
    Ok(())
}

/// Checks that what `bytes` decode to is encoded to the same bytes.
fn again<T: Decodable + Encodable>(bytes: &[u8]) -> Checked {
    let mut rest = bytes;
    let Ok(found) = T::decode(&mut rest) else { return Ok(()) };
    same("encoding", &*alloy_rlp::encode(&found), &bytes[..bytes.len() - rest.len()])
}

fn same<T: PartialEq + Debug>(what: &str, found: T, right: T) -> Checked {
    if found == right {
        Ok(())
    } else {
        Err(format!("{what}: {found:02x?} instead of {right:02x?}"))
    }
}

/// An item of RLP.
#[derive(Clone, Debug)]
enum Item {
    Text(Vec<u8>),
    List(Vec<Self>),
}

impl Item {
    fn decode(bytes: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let RlpHeader { list, payload_length } = RlpHeader::decode(bytes)?;
        let (mut payload, rest) = bytes.split_at(payload_length);
        *bytes = rest;
        if !list {
            return Ok(Self::Text(payload.to_vec()));
        }
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.push(Self::decode(&mut payload)?);
        }
        Ok(Self::List(items))
    }

    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Text(bytes) => alloy_rlp::encode(&**bytes),
            Self::List(items) => {
                let payload = items.iter().flat_map(Self::encoded).collect::<Vec<_>>();
                let mut out = Vec::new();
                RlpHeader { list: true, payload_length: payload.len() }.encode(&mut out);
                out.extend(payload);
                out
            }
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
        }
    }

    /// Returns item number `at`, counted from the outermost one.
    fn nth(&mut self, at: usize) -> Option<&mut Self> {
        if at == 0 {
            return Some(self);
        }
        let Self::List(items) = self else { return None };
        let mut left = at - 1;
        for item in items {
            let count = item.count();
            if left < count {
                return item.nth(left);
            }
            left -= count;
        }
        None
    }
}

/// Texts at the limit of fields.
const TEXTS: [&[u8]; 9] =
    [&[], &[0], &[1], &[0x7f], &[0x80], &[0, 1], &[0xff; 8], &[0xff; 20], &[0xff; 32]];

/// Changes some items of `item`. Without bytes it stays as it is.
fn changed(mut item: Item, bytes: &mut Unstructured<'_>) -> Item {
    for _ in 0..CHANGES {
        if bytes.is_empty() || change(&mut item, bytes).is_err() {
            break;
        }
    }
    item
}

fn change(item: &mut Item, bytes: &mut Unstructured<'_>) -> Drawn<()> {
    let at = bytes.int_in_range(0..=item.count() - 1)?;
    let Some(item) = item.nth(at) else { return Ok(()) };
    let how = bytes.int_in_range(0..=7_u8)?;
    match item {
        Item::Text(text) => match how {
            0 | 1 => *text = bytes.choose(&TEXTS)?.to_vec(),
            2 => text.insert(0, bytes.arbitrary()?),
            3 => drop(text.pop()),
            4 => *item = Item::List(Vec::new()),
            _ => {
                let place = bytes.choose_index(text.len().max(1))?;
                let byte = bytes.arbitrary()?;
                if let Some(old) = text.get_mut(place) {
                    *old = byte;
                }
            }
        },
        Item::List(items) => {
            let place = bytes.choose_index(items.len().max(1))?;
            match how {
                0 => *item = Item::Text(Vec::new()),
                1 => items.clear(),
                2 => items.insert(place, Item::List(Vec::new())),
                3 => items.insert(place, Item::Text(bytes.choose(&TEXTS)?.to_vec())),
                4 if place < items.len() => drop(items.remove(place)),
                5 if place < items.len() => items.insert(place, items[place].clone()),
                6 if place < items.len() => items.swap(0, place),
                _ => *item = Item::List(vec![item.clone()]),
            }
        }
    }
    Ok(())
}

/// Returns the block with the roots of its body in its header.
fn fitted(mut block: Block) -> Block {
    let (header, body) = (&mut block.header, &block.body);
    header.transactions_root = calculate_transaction_root(&body.transactions);
    header.ommers_hash = calculate_ommers_root(&body.ommers);
    header.withdrawals_root =
        body.withdrawals.as_ref().map(|list| calculate_withdrawals_root(list));
    block
}

/// Returns a block before the merge, with an ommer, and one after it.
fn blocks() -> Vec<Block> {
    let transactions = transactions();
    let old = Header {
        number: 7,
        difficulty: U256::from(9),
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        extra_data: Bytes::from_static(b"braid"),
        ..Header::default()
    };
    let new = Header {
        difficulty: U256::ZERO,
        timestamp: 11,
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::repeat_byte(4)),
        requests_hash: Some(B256::repeat_byte(5)),
        ..old.clone()
    };
    let withdrawal =
        Withdrawal { index: 1, address: Address::repeat_byte(1), ..Withdrawal::default() };
    let first = transactions.iter().take(2).cloned().collect();
    let bodies = [
        (old.clone(), BlockBody { transactions: first, ommers: vec![old], withdrawals: None }),
        (
            new,
            BlockBody { transactions, ommers: vec![], withdrawals: Some(vec![withdrawal].into()) },
        ),
    ];
    bodies.map(|(header, body)| fitted(Block { header, body })).into()
}

/// Returns a transaction of each type, with signatures of anyone.
fn transactions() -> Vec<SignedTransaction> {
    let (to, input) = (Address::repeat_byte(0xaa), Bytes::from_static(&[1, 2, 3]));
    let value = U256::from(1_000);
    let storage_keys = vec![B256::ZERO, B256::repeat_byte(1)];
    let access_list = AccessList(vec![AccessListItem { address: to, storage_keys }]);
    let authorization = Authorization { chain_id: U256::ONE, address: to, nonce: 3 };
    let authorization = SignedAuthorization::new_unchecked(authorization, 1, U256::ONE, U256::ONE);
    let legacy = TxLegacy {
        chain_id: Some(1),
        gas_limit: 50_000,
        to: TxKind::Call(to),
        value,
        input: input.clone(),
        ..TxLegacy::default()
    };
    let kind = TxKind::Create;
    let listed = TxEip2930 {
        chain_id: 1,
        to: kind,
        access_list: access_list.clone(),
        ..TxEip2930::default()
    };
    let fees =
        TxEip1559 { chain_id: 1, to: TxKind::Call(to), value, input, ..TxEip1559::default() };
    let blob_versioned_hashes = vec![B256::repeat_byte(1)];
    let blobs = TxEip4844 { chain_id: 1, to, blob_versioned_hashes, ..TxEip4844::default() };
    let authorization_list = vec![authorization];
    let code =
        TxEip7702 { chain_id: 1, to, access_list, authorization_list, ..TxEip7702::default() };
    vec![
        EthereumTxEnvelope::Legacy(signed(legacy)),
        EthereumTxEnvelope::Eip2930(signed(listed)),
        EthereumTxEnvelope::Eip1559(signed(fees)),
        EthereumTxEnvelope::Eip4844(signed(blobs)),
        EthereumTxEnvelope::Eip7702(signed(code)),
    ]
}

/// Signs `tx` so that a sender can be recovered.
fn signed<T: SignableTransaction<Signature>>(tx: T) -> Signed<T> {
    let hash = tx.signature_hash();
    let made = (1_u64..).map(|r| Signature::new(U256::from(r), U256::ONE, false));
    let mut valid = made.filter(|it| it.recover_address_from_prehash(&hash).is_ok());
    tx.into_signed(valid.next().expect("every second number is a point of the curve"))
}

fn receipt() -> EthereumReceipt {
    let topics = vec![B256::repeat_byte(1), B256::ZERO];
    let log = Log::new_unchecked(Address::repeat_byte(1), topics, Bytes::from_static(&[7; 40]));
    EthereumReceipt { cumulative_gas_used: 21_000, logs: vec![log], ..EthereumReceipt::default() }
}

/// Returns the changes of the account with this number.
fn changes(account: u8) -> AccountChanges {
    let (index, one) = (BlockAccessIndex::new(1), U256::ONE);
    let mut changes = AccountChanges::new(Address::repeat_byte(account));
    let change = StorageChange::new(index, one);
    changes.storage_changes = vec![SlotChanges::new(one, vec![change])];
    changes.storage_reads = vec![U256::from(2)];
    changes.balance_changes = vec![BalanceChange::new(index, one)];
    changes.nonce_changes = vec![NonceChange::new(index, 1)];
    changes.code_changes = vec![CodeChange::new(index, Bytes::from_static(&[0]))];
    changes
}
