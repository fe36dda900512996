//! Methods of filters.

use super::{Context, RegisterMethodError, add};
use crate::filters::{Watched, all_logs, changes};
use alloy_primitives::U64;
use alloy_rpc_types_eth::Filter;
use braid_chain::Snapshot;
use jsonrpsee::RpcModule;
use std::sync::Arc;

/// Registers the methods.
pub(super) fn add_all<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "eth_newFilter", |it, args| {
        let watched = Watched::Logs(Arc::new(args.next::<Filter>()?), it.shared.last_block());
        Ok(it.shared.filters.install(&it.limits, &args.place, watched)?)
    })?;
    add(module, "eth_newBlockFilter", |it, args| {
        let watched = Watched::Blocks(it.shared.last_block());
        Ok(it.shared.filters.install(&it.limits, &args.place, watched)?)
    })?;
    add(module, "eth_newPendingTransactionFilter", |it, args| {
        let watched = Watched::Transactions(it.shared.feed.last_transaction());
        Ok(it.shared.filters.install(&it.limits, &args.place, watched)?)
    })?;
    add(module, "eth_getFilterChanges", |it, args| {
        let id = args.next::<U64>()?;
        Ok(changes(&it.shared, &it.limits, &args.place, id)?)
    })?;
    add(module, "eth_getFilterLogs", |it, args| {
        let id = args.next::<U64>()?;
        Ok(all_logs(&it.shared, &it.limits, &args.place, id)?)
    })?;
    add(module, "eth_uninstallFilter", |it, args| {
        Ok(it.shared.filters.uninstall(args.next::<U64>()?))
    })
}
