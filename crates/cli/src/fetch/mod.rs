//! Recording a block of a real node: the block, and the state that executing it reads.
//!
//! The sequential oracle executes the block over `NodeState`, which answers
//! each read from what the node's prestate tracer told beforehand, or else asks the node for the
//! state of the parent block. So system contracts, withdrawal recipients and block hashes are
//! recorded like everything else, by being read, and a node without a tracer only takes longer.
//!
//! What was recorded is executed once more, from the file alone, and compared with the header,
//! with the node's receipts and with the node's state after the block.

mod access_list;
mod block;
mod client;
mod error;
mod judge;
mod prestate;
mod receipts;
mod state;
mod transport;

pub use client::{Client, Patience};
pub use error::{FetchError, RpcError, RpcErrorKind};
pub use transport::{Http, MAX_ANSWER_BYTES, Transport, TransportError};

use block::Found;
use braid_evm::AccessList;
use braid_testkit::{
    block_file::{BlockFile, Expected, Meta},
    fork, sequential,
};
use prestate::Prestate;
use receipts::NodeReceipt;
use revm::{DatabaseRef, primitives::hardfork::SpecId};
use state::NodeState;
use std::collections::BTreeMap;

/// What is to be recorded, and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Number of the block; `None` for the newest one.
    pub number: Option<u64>,
    /// The fork whose rules the block obeys; `None` to tell it from chain and header.
    pub fork: Option<SpecId>,
    /// Whether the node's prestate tracer is asked.
    pub tracer: Tracer,
    /// Whether the state after the block is compared with the node's, at the cost of a call for
    /// each account that changed.
    pub check_state: bool,
    /// Whether the node is asked for the block's access list (EIP-7928), too.
    pub access_list: bool,
}

/// Whether the node's prestate tracer is asked, which saves a call for each account and slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracer {
    /// If the node has it.
    #[default]
    Auto,
    /// A node without it is an error.
    Always,
    /// Never.
    Never,
}

/// A recorded block, executed and compared.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The block with its state.
    pub file: BlockFile,
    /// Its access list, if one was wanted.
    pub access_list: Option<AccessList>,
    /// What could not be checked or took a way around, in words for the user.
    pub notes: Vec<String>,
    /// Calls that the node answered.
    pub calls: u64,
}

/// Records the block that `wanted` names.
///
/// # Errors
/// See [`FetchError`]: nothing is returned unless it executes to what the node says.
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

/// Records the block under the first of `forks` under which it gives what its header says.
///
/// Where the header alone does not tell the fork, the error is that of the newest one.
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

/// The block with what the node says of its execution, and without state.
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

/// Whether a contract is missing on the node's chain without which a block would be invalid. Test
/// nodes have none and call none.
fn lacks_request_contracts<T: Transport>(state: &NodeState<'_, T>, spec: SpecId) -> bool {
    let contracts = sequential::request_contracts(spec);
    // A read that fails is seen again where the block is executed.
    contracts.into_iter().any(|contract| {
        state.basic_ref(contract).is_ok_and(|it| it.is_none_or(|it| it.is_empty_code_hash()))
    })
}

/// Executes the block of `file` over the node's state and puts all that was read into the file.
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
