//! The access list of a block (EIP-7928).

use crate::{
    failure::Failure,
    input::{Input, which},
    state::Subject,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Encodable as _;
use braid_evm::Executor;
use serde::Serialize;

#[derive(Serialize)]
struct ListLine<'a> {
    file: &'a str,
    block: u64,
    hash: B256,
    rlp: Bytes,
    accounts: Vec<AccountLine>,
}

/// Entry of an account in the access list. Each change is a block access index with the value after it.
#[derive(Serialize)]
struct AccountLine {
    address: Address,
    storage: Vec<(U256, Vec<(u64, U256)>)>,
    reads: Vec<U256>,
    balances: Vec<(u64, U256)>,
    nonces: Vec<(u64, u64)>,
    codes: Vec<(u64, Bytes)>,
}

/// Executes the block of `input` with an executor that makes lists.
pub(crate) fn access_list(
    executor: &mut Executor,
    input: &Input,
    name: &str,
) -> Result<Vec<u8>, Failure> {
    let file = input.load(name)?;
    let Subject { block, state, .. } =
        Subject::new(&file).map_err(|error| Failure::field(name, error))?;
    let output = executor
        .block(braid_evm::Block::from(&block))
        .database(state)
        .execute()
        .map_err(|error| Failure::parallel(name, which(&file), error))?;
    let list =
        output.access_list.ok_or_else(|| Failure::Internal("the executor gave no list".into()))?;
    let mut rlp = Vec::with_capacity(list.length());
    list.encode(&mut rlp);
    let accounts = list.iter().map(|account| AccountLine {
        address: account.address,
        storage: account
            .storage_changes
            .iter()
            .map(|slot| {
                let changes = slot.changes.iter();
                (slot.slot, changes.map(|it| (it.block_access_index.0, it.new_value)).collect())
            })
            .collect(),
        reads: account.storage_reads.clone(),
        balances: account
            .balance_changes
            .iter()
            .map(|it| (it.block_access_index.0, it.post_balance))
            .collect(),
        nonces: account
            .nonce_changes
            .iter()
            .map(|it| (it.block_access_index.0, it.new_nonce))
            .collect(),
        codes: account
            .code_changes
            .iter()
            .map(|it| (it.block_access_index.0, it.new_code.clone()))
            .collect(),
    });
    let line = ListLine {
        file: name,
        block: file.block.header.inner.number,
        hash: list.compute_hash(),
        accounts: accounts.collect(),
        rlp: rlp.into(),
    };
    serde_json::to_vec(&line).map_err(|error| Failure::Internal(error.to_string()))
}
