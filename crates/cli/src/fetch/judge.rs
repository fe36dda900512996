//! Checks a recording against the node.

use super::{Client, FetchError, block::Found, receipts::NodeReceipt};
use alloy_consensus::EthereumReceipt;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U64, U256};
use braid_blocks::{
    block_file::BlockFile,
    sequential::{self, SequentialOutput},
    verify::checks::{self, Results},
};
use braid_terminal::Transport;
use revm::database::{BundleAccount, BundleState};
use serde::Deserialize;

/// Checks made on every recording, as listed in its file.
pub(super) const VERIFIED: [&str; 7] = [
    "headerHash",
    "transactionsRoot",
    "senders",
    "withdrawalsRoot",
    "header's execution fields by sequential execution",
    "receipts",
    "codes",
];

/// Number of slots requested in one proof; geth allows at most 1,024.
const SLOTS_PER_PROOF: usize = 512;

/// Executes the file from its own bytes, as its readers will, and compares the result with the
/// header and the node's receipts.
pub(super) fn execution(
    file: &BlockFile,
    receipts: &[NodeReceipt],
) -> Result<SequentialOutput, FetchError> {
    let spec = file.spec().map_err(FetchError::Field)?;
    let (block, database) = file.to_block().map_err(FetchError::Field)?;
    let output = sequential::execute(&block, database)
        .map_err(|error| FetchError::Execution(error.to_string()))?;
    let made = checks::against_file(file, spec, Results::from(&output));
    let wrong = made.iter().filter(|check| check.mismatch.is_some()).map(ToString::to_string);
    let mut wrong: Vec<String> = wrong.collect();
    wrong.extend(logs(receipts, &output.receipts));
    if wrong.is_empty() { Ok(output) } else { Err(FetchError::Mismatch(wrong)) }
}

/// Returns the first receipt whose logs differ from the node's; status and gas are compared
/// elsewhere.
fn logs(expected: &[NodeReceipt], found: &[EthereumReceipt]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("expected {} receipts, found {}", expected.len(), found.len()));
    }
    let differs = expected.iter().zip(found).position(|(expected, found)| {
        expected.logs.len() != found.logs.len()
            || expected.logs.iter().zip(&found.logs).any(|(expected, found)| expected != found)
    })?;
    Some(format!("transaction {differs}: its logs are not those of the node's receipt"))
}

/// Result of comparing the state after the block.
pub(super) enum StateCheck {
    /// The state equals the node's.
    Same,
    /// The node does not serve proofs.
    NotServed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    balance: U256,
    nonce: U64,
    code_hash: B256,
    storage_proof: Vec<Slot>,
}

#[derive(Deserialize)]
struct Slot {
    value: U256,
}

/// Compares every changed account and slot with the node's state after the block.
pub(super) fn state_after<T: Transport>(
    client: &Client<T>,
    found: &Found,
    bundle: &BundleState,
) -> Result<StateCheck, FetchError> {
    let mut accounts: Vec<_> = bundle.state.iter().collect();
    accounts.sort_by_key(|(address, _)| **address);
    for (address, account) in accounts {
        match compare(client, found, *address, account) {
            Ok(()) => {}
            Err(FetchError::Rpc(error)) if error.is_not_served() => {
                let why = format!("the state after the block was not compared: {error}");
                return Ok(StateCheck::NotServed(why));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(StateCheck::Same)
}

fn compare<T: Transport>(
    client: &Client<T>,
    found: &Found,
    address: Address,
    account: &BundleAccount,
) -> Result<(), FetchError> {
    let changed = account.storage.iter().filter(|(_, slot)| slot.is_changed());
    let mut slots: Vec<_> = changed.map(|(slot, value)| (*slot, value.present_value)).collect();
    slots.sort_unstable();
    let mut parts: Vec<&[_]> = slots.chunks(SLOTS_PER_PROOF).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    for part in parts {
        let keys: Vec<B256> = part.iter().map(|(slot, _)| B256::from(*slot)).collect();
        let proof: Proof = client.call("eth_getProof", (address, keys, found.tag()))?;
        let mut wrong = account_differences(account, &proof);
        if proof.storage_proof.len() != part.len() {
            wrong.push(format!("{} of {} slots", proof.storage_proof.len(), part.len()));
        }
        for ((slot, computed), node) in part.iter().zip(&proof.storage_proof) {
            if *computed != node.value {
                wrong.push(format!("slot {slot:#x} {:#x}, computed {computed:#x}", node.value));
            }
        }
        if let Some(first) = wrong.first() {
            let what = format!("state after the block: the node's {address} has {first}");
            return Err(FetchError::Mismatch(vec![what]));
        }
    }
    Ok(())
}

fn account_differences(account: &BundleAccount, node: &Proof) -> Vec<String> {
    let info = account.info.clone().unwrap_or_default();
    // For an absent account, some nodes return the zero hash and others the hash of empty code.
    let node_hash = if node.code_hash.is_zero() { KECCAK256_EMPTY } else { node.code_hash };
    let mut wrong = Vec::new();
    if info.balance != node.balance {
        wrong.push(format!("balance {}, computed {}", node.balance, info.balance));
    }
    if U64::from(info.nonce) != node.nonce {
        wrong.push(format!("nonce {}, computed {}", node.nonce, info.nonce));
    }
    if info.code_hash != node_hash {
        wrong.push(format!("code hash {node_hash}, computed {}", info.code_hash));
    }
    wrong
}
