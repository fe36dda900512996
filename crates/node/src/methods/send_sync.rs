//! `eth_sendRawTransactionSync` (EIP-7966): sends a transaction and waits for its receipt.

use super::{Answer, Args, Context, add};
use crate::{error::RpcError, receipts, send::send};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::TransactionReceipt;
use braid_chain::Snapshot;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Time between two looks for the receipt.
const LOOK: Duration = Duration::from_millis(10);

/// Registers the method.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "eth_sendRawTransactionSync", send_sync)
}

fn send_sync<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Answer<TransactionReceipt> {
    let (raw, asked) = (args.next::<Bytes>()?, args.maybe::<U64>()?);
    // The call occupies the place of its request, so it cannot wait longer than other calls may
    // run.
    let most = it.limits.time / 4;
    let asked = asked.map(|milliseconds| Duration::from_millis(milliseconds.to()));
    let wait = asked.filter(|asked| !asked.is_zero()).map_or(most, |asked| asked.min(most));
    let begun = Instant::now();
    let hash = send(&it.shared, &raw)?;
    loop {
        it.shared.show();
        if let Some(receipt) = receipt(it, &hash)? {
            return Ok(receipt);
        }
        if begun.elapsed() >= wait {
            return Err(RpcError::NotYet(wait, hash).into());
        }
        sleep(LOOK);
    }
}

fn receipt<S: Snapshot>(
    it: &Context<S>,
    hash: &B256,
) -> Result<Option<TransactionReceipt>, RpcError> {
    let found = it.shared.mined(*hash)?;
    let Some((block, index)) = found else { return Ok(None) };
    receipts::one(&it.shared, &block, index)
}
