//! Overrides of the state and of the block in which a call runs.

use crate::error::RpcError;
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::overrides::apply_state_overrides;
use alloy_primitives::Address;
use alloy_rpc_types_eth::{BlockOverrides, state::StateOverride};
use revm::{
    Database, DatabaseCommit,
    context::{BlockEnv, Cfg, ContextTr, JournalTr, LocalContextTr},
    context_interface::block::BlobExcessGasAndPrice,
    handler::{PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, InterpreterResult},
    precompile::{Precompile, PrecompileSpecId, Precompiles},
    primitives::{AddressSet, hardfork::SpecId},
};
use serde::Deserialize;
use serde_json::Value;

/// Precompiles that a call does not find at the addresses of its fork.
#[derive(Clone, Debug, Default)]
pub(crate) struct MovedPrecompiles {
    removed: Vec<Address>,
    /// Address in the fork, and address in the call.
    moved: Vec<(Address, Address)>,
}

/// The precompiles of a call.
#[derive(Debug)]
pub(crate) struct CallPrecompiles {
    /// The precompiles of the fork. As in geth, their addresses are warm, wherever they were moved.
    fork: &'static Precompiles,
    moved: MovedPrecompiles,
}

impl CallPrecompiles {
    pub(crate) fn new(spec: SpecId, moved: &MovedPrecompiles) -> Self {
        Self { fork: fork(spec), moved: moved.clone() }
    }

    /// Returns the precompile at an address.
    fn get(&self, address: &Address) -> Option<&'static Precompile> {
        let MovedPrecompiles { removed, moved } = &self.moved;
        match moved.iter().find(|(_, to)| to == address) {
            Some((from, _)) => self.fork.get(from),
            None if removed.contains(address) => None,
            None => self.fork.get(address),
        }
    }
}

fn fork(spec: SpecId) -> &'static Precompiles {
    Precompiles::new(PrecompileSpecId::from_spec_id(spec))
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for CallPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: <CTX::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(precompile) = self.get(&inputs.bytecode_address) else { return Ok(None) };
        let output = {
            let input = inputs.input.as_bytes(context);
            precompile.execute(&input, inputs.gas_limit, inputs.reservoir)
        };
        let output = output.map_err(|error| error.to_string())?;
        // The reason of a transaction that calls a precompile, as revm's own provider states it.
        let reason = output.halt_reason().filter(|reason| !reason.is_oog());
        if let Some(reason) = reason.filter(|_| context.journal().depth() == 1) {
            context.local_mut().set_precompile_error_context(reason.to_string());
        }
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.fork.addresses_set()
    }

    fn contains(&self, address: &Address) -> bool {
        self.get(address).is_some()
    }
}

/// Applies overrides of the state to `db`, in the order of addresses, and returns the precompiles
/// that they move or replace.
///
/// # Errors
/// An override is not possible, in geth's words, or the state cannot be read.
pub(crate) fn override_state<DB: Database + DatabaseCommit>(
    db: &mut DB,
    spec: SpecId,
    overrides: StateOverride,
) -> Result<MovedPrecompiles, RpcError> {
    let refused =
        |address: &Address, why: &str| RpcError::Override(format!("account {address} {why}"));
    let fork = fork(spec);
    let mut sorted: Vec<_> = overrides.iter().collect();
    sorted.sort_unstable_by_key(|(address, _)| **address);
    let mut moved = MovedPrecompiles::default();
    for (address, account) in sorted {
        if moved.moved.iter().any(|(_, to)| to == address) {
            return Err(refused(address, "has already been overridden by a precompile"));
        }
        let is_precompile = fork.contains(address);
        if let Some(to) = account.move_precompile_to {
            if !is_precompile {
                return Err(refused(address, "is not a precompile"));
            }
            if overrides.contains_key(&to) {
                return Err(refused(&to, "is already overridden"));
            }
            moved.moved.push((*address, to));
        }
        if is_precompile {
            moved.removed.push(*address);
        }
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(refused(address, "has both 'state' and 'stateDiff'"));
        }
        let one = [(*address, account.clone())].into_iter().collect();
        apply_state_overrides(one, db).map_err(|error| RpcError::Override(error.to_string()))?;
    }
    Ok(moved)
}

/// Overrides of a block, as a client writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockChanges {
    pub(crate) fields: BlockOverrides,
    pub(crate) withdrawals: Option<Vec<Withdrawal>>,
}

impl<'de> Deserialize<'de> for BlockChanges {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Body {
            withdrawals: Option<Vec<Withdrawal>>,
        }
        let value = Value::deserialize(input)?;
        let fields = BlockOverrides::deserialize(&value).map_err(serde::de::Error::custom)?;
        let Body { withdrawals } = Body::deserialize(&value).map_err(serde::de::Error::custom)?;
        Ok(Self { fields, withdrawals })
    }
}

/// Applies overrides of the block to the environment of a call.
///
/// # Errors
/// A field is only for simulated blocks.
pub(crate) fn override_block(env: &mut BlockEnv, changes: &BlockChanges) -> Result<(), RpcError> {
    let BlockChanges { fields, withdrawals } = changes;
    let only_simulated =
        [("beaconRoot", fields.beacon_root.is_some()), ("withdrawals", withdrawals.is_some())];
    if let Some((field, _)) = only_simulated.iter().find(|(_, is_set)| *is_set) {
        let why = format!("block override {field:?} is not supported for this RPC method");
        return Err(RpcError::Override(why));
    }
    env.number = fields.number.unwrap_or(env.number);
    env.difficulty = fields.difficulty.unwrap_or(env.difficulty);
    env.timestamp = fields.time.map_or(env.timestamp, alloy_primitives::U256::from);
    env.gas_limit = fields.gas_limit.unwrap_or(env.gas_limit);
    env.beneficiary = fields.coinbase.unwrap_or(env.beneficiary);
    env.prevrandao = fields.random.or(env.prevrandao);
    env.basefee = fields.base_fee.map_or(env.basefee, |fee| fee.saturating_to());
    if let Some(fee) = fields.blob_base_fee {
        override_blob_fee(env, fee.saturating_to());
    }
    Ok(())
}

/// Sets the price of blob gas.
pub(crate) fn override_blob_fee(env: &mut BlockEnv, blob_gasprice: u128) {
    let excess_blob_gas = env.blob_excess_gas_and_price.map_or(0, |blob| blob.excess_blob_gas);
    env.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
}
