//! `eth_createAccessList`: the access list with the accounts and slots that a transaction accesses.
//! On a chain of declared accesses, the list declares all of them.

use crate::{
    call::{self, Environment, transaction},
    error::RpcError,
    places::Place,
    words::Fees,
};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{AccessList, AccessListItem, AccessListResult, TransactionRequest};
use braid_chain::Snapshot;
use braid_evm::Declaration;
use revm::{
    Database, InspectEvm, Inspector,
    context::{ContextTr, JournalTr, TxEnv},
    handler::MainnetContext,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
    precompile::{PrecompileSpecId, Precompiles},
    state::EvmState,
};

/// Maximum number of runs: a list changes the remaining gas, and so may change what a transaction
/// does.
const RUNS: usize = 4;

/// An account or a slot, and whether it was changed.
type Accessed = (braid_evm::DeclaredLocation, bool);

/// Reads the journal when the outermost frame ends: later changes are fees.
#[derive(Default)]
struct Watch {
    depth: usize,
    seen: Vec<Accessed>,
}

impl Watch {
    fn end<DB: Database>(&mut self, context: &MainnetContext<DB>) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.seen = accessed(context.journal_ref().evm_state());
        }
    }
}

fn accessed(journal: &EvmState) -> Vec<Accessed> {
    let mut all = Vec::new();
    for (address, account) in journal {
        let place = |slot| braid_evm::DeclaredLocation { address: *address, slot };
        let (before, after) = (account.original_info(), &account.info);
        let is_same = (before.balance, before.nonce, before.code_hash)
            == (after.balance, after.nonce, after.code_hash);
        all.push((place(None), account.is_touched() && (account.is_selfdestructed() || !is_same)));
        let slots = account.storage.iter();
        all.extend(slots.map(|(slot, value)| (place(Some(*slot)), value.is_changed())));
    }
    all.sort_unstable();
    all
}

impl<DB: Database> Inspector<MainnetContext<DB>> for Watch {
    fn call(&mut self, _: &mut MainnetContext<DB>, _: &mut CallInputs) -> Option<CallOutcome> {
        self.depth += 1;
        None
    }

    fn call_end(&mut self, it: &mut MainnetContext<DB>, _: &CallInputs, _: &mut CallOutcome) {
        self.end(it);
    }

    fn create(
        &mut self,
        _: &mut MainnetContext<DB>,
        _: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.depth += 1;
        None
    }

    fn create_end(&mut self, it: &mut MainnetContext<DB>, _: &CreateInputs, _: &mut CreateOutcome) {
        self.end(it);
    }
}

/// Returns the list for `request`, and the gas that the transaction uses with it.
pub(crate) fn create<S: Snapshot>(
    at: &Environment<S>,
    is_declared: bool,
    request: &TransactionRequest,
    (limit, place): (u64, &Place),
) -> Result<AccessListResult, RpcError> {
    let mut tx = transaction(at, request, call::gas(at, request, limit))?;
    let mut runs = 0;
    loop {
        place.check()?;
        let mut evm = call::evm(at, &tx, Watch::default());
        let result = call::ended(evm.inspect_tx(tx.clone()), Fees::new(at, &tx))?;
        let last = tx.access_list.clone();
        if is_declared {
            Declaration::declare(&mut tx, evm.inspector.seen.iter().copied());
        } else {
            tx.access_list = listed(&tx, &evm.inspector.seen, at.cfg.spec.into());
        }
        tx.tx_type = tx.tx_type.max(1);
        runs += 1;
        if tx.access_list != last && runs == RUNS {
            let what = "the transaction accesses something else with each list that it is given";
            return Err(RpcError::Params(what.to_owned()));
        }
        if tx.access_list == last {
            let gas_used = U256::from(result.tx_gas_used());
            let error = call::output(at, &tx, result).err().map(|error| error.to_string());
            return Ok(AccessListResult { access_list: tx.access_list, gas_used, error });
        }
    }
}

/// Returns the entries of `seen` that cost less gas if listed, so without accounts that are warm
/// anyway.
fn listed(tx: &TxEnv, seen: &[Accessed], precompiles: PrecompileSpecId) -> AccessList {
    let precompiles = Precompiles::new(precompiles);
    let created = tx.kind.is_create().then(|| tx.caller.create(tx.nonce));
    let is_warm = |address: Address| {
        let own = [Some(tx.caller), tx.kind.to().copied(), created];
        own.contains(&Some(address)) || precompiles.contains(&address)
    };
    let mut items: Vec<AccessListItem> = Vec::new();
    for (braid_evm::DeclaredLocation { address, slot }, _) in seen {
        match (slot, items.last_mut()) {
            (None, _) => {
                items.push(AccessListItem { address: *address, storage_keys: Vec::new() });
            }
            (Some(slot), Some(last)) => last.storage_keys.push((*slot).into()),
            (Some(_), None) => {}
        }
    }
    items.retain(|item| !item.storage_keys.is_empty() || !is_warm(item.address));
    AccessList(items)
}

#[cfg(test)]
mod tests;
