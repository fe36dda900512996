//! Parameters of calls: blocks, states and slots.

use crate::{
    call::Environment,
    clock::now,
    error::RpcError,
    shared::{Shared, View},
    stored::StoredBlock,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U256;
use braid_chain::{PastState, Snapshot};
use std::sync::Arc;

/// Returns the block number that a tag means for a call that sees the chain up to `head`. No block
/// is unwound, so a durable block is final. A block may be durable a moment before calls see it.
pub(crate) fn number<S: Snapshot>(shared: &Shared<S>, head: u64, tag: BlockNumberOrTag) -> u64 {
    match tag {
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => head,
        BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized => {
            shared.durable.get().number.min(head)
        }
        BlockNumberOrTag::Earliest => {
            let history = shared.history();
            let first = history.first().map(|first| first.number());
            first.or(history.oldest_kept()).unwrap_or_default()
        }
    }
}

/// Returns the requested block, if it is known. "pending" is the block that would be made now,
/// without the transactions that wait.
pub(crate) fn block<S: Snapshot>(
    shared: &Shared<S>,
    id: BlockId,
) -> Result<Option<Arc<StoredBlock>>, RpcError> {
    match id {
        BlockId::Hash(hash) => shared.block_by_hash(hash.block_hash),
        BlockId::Number(BlockNumberOrTag::Pending) => {
            Ok(Some(Arc::new(shared.producer.pending(&shared.view().head, now()))))
        }
        BlockId::Number(tag) => shared.block(number(shared, shared.view().head.number(), tag)),
    }
}

/// Error for a block that is not known.
pub(crate) fn unknown<S: Snapshot>(shared: &Shared<S>, id: BlockId) -> RpcError {
    let head = shared.view().head.number();
    match id {
        BlockId::Hash(hash) => RpcError::UnknownHash(hash.block_hash),
        BlockId::Number(tag) => RpcError::UnknownBlock(number(shared, head, tag).to_string(), head),
    }
}

/// Returns the number of the requested block, and the state after it.
fn locate<S: Snapshot>(
    shared: &Shared<S>,
    view: &View<S>,
    id: BlockId,
) -> Result<(u64, PastState<S>), RpcError> {
    let head = view.head.number();
    let number = match id {
        BlockId::Hash(hash) if hash.block_hash == view.head.hash => head,
        BlockId::Hash(hash) => {
            let number = shared.number_of(hash.block_hash)?;
            number.ok_or(RpcError::UnknownHash(hash.block_hash))?
        }
        BlockId::Number(tag) => number(shared, head, tag),
    };
    if number > head {
        return Err(RpcError::UnknownBlock(number.to_string(), head));
    }
    let state = shared.past.state(&view.state, number)?;
    Ok((number, state.ok_or(RpcError::OldState { asked: number, head })?))
}

/// Returns the requested block, and the state after it.
pub(crate) fn find<S: Snapshot>(
    shared: &Shared<S>,
    id: BlockId,
) -> Result<(Arc<StoredBlock>, PastState<S>), RpcError> {
    let view = shared.view();
    let (number, state) = locate(shared, &view, id)?;
    let head = view.head.number();
    let block = match number == head {
        true => Some(Arc::clone(&view.head)),
        false => shared.block(number)?,
    };
    Ok((block.ok_or(RpcError::OldState { asked: number, head })?, state))
}

/// Returns the requested state; without an `id`, the state after the last block.
pub(crate) fn state<S: Snapshot>(
    shared: &Shared<S>,
    id: Option<BlockId>,
) -> Result<PastState<S>, RpcError> {
    locate(shared, &shared.view(), id.unwrap_or_default()).map(|(_, state)| state)
}

/// Parses a slot: up to 64 hexadecimal digits after 0x.
pub(crate) fn slot(text: &str) -> Result<U256, RpcError> {
    let digits = text.strip_prefix("0x").filter(|digits| {
        digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    let slot = digits.map(|digits| U256::from_str_radix(digits, 16));
    slot.and_then(Result::ok).ok_or_else(|| {
        let expected = "expected 0x and 64 hexadecimal digits at most";
        RpcError::Params(format!("invalid hex in storage key: {text:?}: {expected}"))
    })
}

/// Returns the environment of a call. "pending" is the block that would be made now, on the state
/// after the last one.
pub(crate) fn environment<S: Snapshot>(
    shared: &Shared<S>,
    id: BlockId,
) -> Result<Environment<S>, RpcError> {
    let (block, state) = find(shared, id)?;
    let producer = &shared.producer;
    let (cfg, env) = match id.is_pending() {
        true => producer.next_environment(&block, now()),
        false => producer.rules.environment(&block.header),
    };
    Ok(Environment::new(state, cfg, env))
}
