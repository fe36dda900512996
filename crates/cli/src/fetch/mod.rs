//! Records a block of a real node, with the state that executing it reads.
//!
//! The sequential oracle executes the block over `NodeState`, which answers each read from the
//! output of the node's prestate tracer, or else requests the value from the node, in the state of
//! the parent block. System contracts, withdrawal recipients and block hashes are thus recorded
//! like everything else, by being read, and recording from a node without a tracer only takes
//! longer.
//!
//! The recording is executed once more, from the file alone, and compared with the header, the
//! node's receipts and the node's state after the block.

mod access_list;
mod block;
mod client;
mod error;
mod judge;
mod prestate;
mod receipts;
mod state;

pub use braid_terminal::{Http, MAX_ANSWER_BYTES, Transport, TransportError};
pub use client::{Client, Patience};
pub use error::{FetchError, RpcError, RpcErrorKind};

use block::Found;
use braid_blocks::{
    block_file::{BlockFile, Expected, Meta},
    fork, sequential,
};
use braid_evm::AccessList;
use prestate::Prestate;
use receipts::NodeReceipt;
use revm::{DatabaseRef, primitives::hardfork::SpecId};
use state::NodeState;
use std::collections::BTreeMap;

/// Parameters of a recording.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Number of the block; `None` for the latest.
    pub number: Option<u64>,
    /// Fork whose rules the block follows; `None` to derive it from chain and header.
    pub fork: Option<SpecId>,
    /// Whether to use the node's prestate tracer.
    pub tracer: Tracer,
    /// Whether to compare the state after the block with the node's, at the cost of one call per
    /// changed account.
    pub check_state: bool,
    /// Whether to request the block's access list (EIP-7928) as well.
    pub access_list: bool,
}

/// Whether to use the node's prestate tracer, which saves a call for each account and slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracer {
    /// If the node supports it.
    #[default]
    Auto,
    /// Fail if the node does not support it.
    Always,
    /// Never.
    Never,
}

/// A recorded block, executed and compared.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The block with its state.
    pub file: BlockFile,
    /// Its access list, if requested.
    pub access_list: Option<AccessList>,
    /// Checks that could not be made and workarounds that were used, in words for the user.
    pub notes: Vec<String>,
    /// Number of calls that the node answered.
    pub calls: u64,
}

/// Records the block that `wanted` describes.
///
/// # Errors
/// Returns a [`FetchError`] if a call fails or if the execution of the recording does not match the
/// node's data.
pub fn fetch<T: Transport>(client: &Client<T>, wanted: &Wanted) -> Result<Recording, FetchError> {
    let found = block::find(client, wanted.number)?;
    let receipts = receipts::of_block(client, &found)?;
    let mut notes = Vec::new();
    let prestate = prestate::of_block(client, &found, wanted.tracer, &mut notes)?;
    let forks = match wanted.fork {
        Some(fork) => vec![fork],
        None => block::candidate_forks(&found)?,
    };
    let recorded = record(client, &found, &forks, &prestate, &receipts)?;
    let (mut file, output) = recorded;
    let mut verified = judge::VERIFIED.map(str::to_owned).to_vec();
    if wanted.check_state {
        match judge::state_after(client, &found, &output.bundle)? {
            judge::StateCheck::Same => verified.push("postState".to_owned()),
            judge::StateCheck::NotServed(why) => notes.push(why),
        }
    }
    let list = || access_list::of_block(client, &found, &file);
    let access_list = wanted.access_list.then(list).transpose()?;
    file.meta.verified = verified;
    file.meta.notes.clone_from(&notes);
    Ok(Recording { file, access_list, notes, calls: client.answered() })
}

/// Records the block under the first of `forks` for which the execution matches the header.
///
/// If several forks are possible and none matches, the error is that of the newest one.
fn record<T: Transport>(
    client: &Client<T>,
    found: &Found,
    forks: &[SpecId],
    prestate: &Prestate,
    receipts: &[NodeReceipt],
) -> Result<(BlockFile, sequential::SequentialOutput), FetchError> {
    let mut first = None;
    for fork in forks {
        let mut file = empty_file(client, found, *fork, receipts);
        let attempt = read_state(client, found, prestate, &mut file)
            .and_then(|()| judge::execution(&file, receipts));
        match attempt {
            Ok(output) => return Ok((file, output)),
            Err(error @ FetchError::Rpc(_)) => return Err(error),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(FetchError::UnknownFork { chain_id: found.chain_id }))
}

/// Returns the block with the node's results of its execution, and without state.
fn empty_file<T: Transport>(
    client: &Client<T>,
    found: &Found,
    fork: SpecId,
    receipts: &[NodeReceipt],
) -> BlockFile {
    let header = &found.block.header.inner;
    let success: Option<Vec<bool>> = receipts.iter().map(NodeReceipt::success).collect();
    let meta = Meta {
        chain_id: found.chain_id,
        fork: fork::name(fork).to_owned(),
        source: format!("{} ({}), recorded by braid fetch", client.origin(), found.software),
        ..Meta::default()
    };
    BlockFile {
        meta,
        block: found.block.clone(),
        ommers: found.ommers.clone(),
        pre_state: BTreeMap::new(),
        codes: BTreeMap::new(),
        block_hashes: BTreeMap::new(),
        expected: Expected {
            gas_used: Some(header.gas_used),
            receipts_root: Some(header.receipts_root),
            logs_bloom: Some(header.logs_bloom),
            state_root: Some(header.state_root),
            requests_hash: header.requests_hash,
            tx_gas_used: Some(receipts.iter().map(NodeReceipt::gas_used).collect()),
            tx_success: success,
        },
    }
}

/// Returns whether the node's chain lacks a contract without which a block would be invalid. Test
/// nodes lack such contracts and do not call them.
fn lacks_request_contracts<T: Transport>(state: &NodeState<'_, T>, spec: SpecId) -> bool {
    let contracts = sequential::request_contracts(spec);
    // A failed read fails again when the block is executed.
    contracts.into_iter().any(|contract| {
        state.basic_ref(contract).is_ok_and(|it| it.is_none_or(|it| it.is_empty_code_hash()))
    })
}

/// Executes the block of `file` over the node's state and adds everything that was read to the
/// file.
fn read_state<T: Transport>(
    client: &Client<T>,
    found: &Found,
    prestate: &Prestate,
    file: &mut BlockFile,
) -> Result<(), FetchError> {
    let state = NodeState::new(client, found, prestate);
    if lacks_request_contracts(&state, file.spec().map_err(FetchError::Field)?) {
        file.meta.without_requests = true;
    }
    let (block, _) = file.to_block().map_err(FetchError::Field)?;
    match sequential::execute(&block, &state) {
        Ok(_) => {}
        Err(error) => return Err(FetchError::execution(error)),
    }
    state.move_into(file);
    Ok(())
}
