//! Handing out transactions for one block.

use super::{PoolHandle, PoolTransaction};
use braid_evm::{Rejection, TransactionPool};
use revm::context::TxEnv;
use std::{collections::HashMap, sync::Arc};

/// Hands out transactions for one block. Dropping it removes nothing from the pool: the block's
/// transactions are removed by [`Pool::applied`](super::Pool::applied).
#[derive(Debug)]
pub struct Fill<'p> {
    pool: &'p PoolHandle,
    handed_out: Vec<Arc<PoolTransaction>>,
    /// Index in `handed_out`, by sender and nonce.
    places: HashMap<(alloy_primitives::Address, u64), usize>,
}

impl<'p> Fill<'p> {
    pub(super) fn new(pool: &'p PoolHandle) -> Self {
        Self { pool, handed_out: Vec::new(), places: HashMap::new() }
    }

    /// Returns the transactions handed out so far, in the order of the block. The block may not
    /// include the last ones.
    #[must_use]
    pub fn handed_out(&self) -> &[Arc<PoolTransaction>] {
        &self.handed_out
    }
}

impl TransactionPool for Fill<'_> {
    fn next(&mut self, gas_left: u64) -> Option<TxEnv> {
        let transaction = self.pool.lock().next(gas_left)?;
        let env = transaction.env().clone();
        self.places.insert((env.caller, env.nonce), self.handed_out.len());
        self.handed_out.push(transaction);
        Some(env)
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        let place = self.places.get(&(tx.caller, tx.nonce));
        if let Some(transaction) = place.and_then(|place| self.handed_out.get(*place)) {
            let is_invalid = matches!(reason, Rejection::Invalid(_));
            self.pool.lock().skipped(transaction, is_invalid);
        }
    }
}
