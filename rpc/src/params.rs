//! Which block a call asks for.

use crate::{
    call::Environment,
    error::RpcError,
    header::now,
    shared::{Shared, View},
    stored::StoredBlock,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use braid_chain::Snapshot;
use std::sync::Arc;

/// The number that a tag stands for, to a call that sees the chain up to `head`: nothing is undone,
/// so what is durable is final. A block may be durable a moment before calls see it.
pub(crate) fn number<S: Snapshot>(shared: &Shared<S>, head: u64, tag: BlockNumberOrTag) -> u64 {
    match tag {
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => head,
        BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized => {
            shared.durable.get().number.min(head)
        }
        BlockNumberOrTag::Earliest => shared.history().oldest().unwrap_or_default(),
    }
}

/// The block that a call asks for, if it is known.
pub(crate) fn block<S: Snapshot>(shared: &Shared<S>, id: BlockId) -> Option<Arc<StoredBlock>> {
    match id {
        BlockId::Hash(hash) => shared.history().by_hash(&hash.block_hash),
        BlockId::Number(tag) => {
            let number = number(shared, shared.view().head.number(), tag);
            shared.history().by_number(number)
        }
    }
}

/// The view whose state a call asks for, which is that after the last block or none.
pub(crate) fn state<S: Snapshot>(
    shared: &Shared<S>,
    id: Option<BlockId>,
) -> Result<Arc<View<S>>, RpcError> {
    let view = shared.view();
    let head = view.head.number();
    let asked = match id.unwrap_or_default() {
        BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => return Ok(view),
        BlockId::Hash(hash) if hash.block_hash == view.head.hash => return Ok(view),
        BlockId::Hash(hash) => {
            let block = shared.history().by_hash(&hash.block_hash);
            block.ok_or(RpcError::UnknownHash(hash.block_hash))?.number()
        }
        BlockId::Number(tag) => number(shared, head, tag),
    };
    match asked {
        asked if asked == head => Ok(view),
        asked if asked > head => Err(RpcError::UnknownBlock(asked.to_string(), head)),
        asked => Err(RpcError::OldState { asked, head }),
    }
}

/// What a call runs in: "pending" is the block that would be made now, on the state after the last one.
pub(crate) fn environment<S: Snapshot>(
    shared: &Shared<S>,
    id: BlockId,
) -> Result<Environment<S>, RpcError> {
    let view = state(shared, Some(id))?;
    let (producer, head) = (&shared.producer, &view.head);
    let (cfg, env) = match id.is_pending() {
        true => producer.next_environment(head, now()),
        false => producer.rules.environment(&head.header),
    };
    Ok(Environment { state: view.state.clone(), cfg, env })
}
