//! The fastest known sequential form: one journal for the whole block.

use crate::block::Block;
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, Bytes};
use revm::{
    Context, DatabaseRef, ExecuteEvm, MainBuilder, MainContext, SystemCallEvm,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, ExecutionResult},
    },
    database::WrapDatabaseRef,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// A block that runs on one thread in one journal, which is finalized once, without a bundle,
/// withdrawals and rewards. The difference from [`Plain`] is the cost of a bundle.
///
/// [`Plain`]: super::Plain
#[derive(Debug)]
pub struct OneJournal {
    cfg: CfgEnv,
    env: BlockEnv,
    transactions: Vec<TxEnv>,
    before: Vec<(Address, Bytes)>,
    after: Vec<(Address, Bytes)>,
}

/// Output of a block in one journal: the result of each transaction, and all accounts that were
/// loaded.
pub type Journaled = (Vec<ExecutionResult>, EvmState);

impl OneJournal {
    /// Copies what executing `block` needs.
    #[must_use]
    pub fn new(block: &Block) -> Self {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let spec = block.cfg.spec;
        if block.rules.system_calls && spec.is_enabled_in(SpecId::PRAGUE) {
            before.push((HISTORY_STORAGE_ADDRESS, block.parent_hash.0.into()));
        }
        if block.rules.system_calls && block.rules.requests && spec.is_enabled_in(SpecId::PRAGUE) {
            after.push((WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, Bytes::new()));
            after.push((CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, Bytes::new()));
        }
        if let Some(root) = block.parent_beacon_block_root
            && block.rules.system_calls
            && spec.is_enabled_in(SpecId::CANCUN)
        {
            before.push((BEACON_ROOTS_ADDRESS, root.0.into()));
        }
        let (cfg, env) = (block.cfg.clone(), block.env.clone());
        Self { cfg, env, transactions: block.transactions.clone(), before, after }
    }

    /// Executes the block on `db`; also returns the values to be dropped.
    pub fn run_keeping<D: DatabaseRef>(
        self,
        db: D,
    ) -> (Result<Journaled, EVMError<D::Error>>, impl Sized + use<D>) {
        let Self { cfg, env, transactions, before, after } = self;
        let context = Context::mainnet().with_db(WrapDatabaseRef(db)).with_cfg(cfg).with_block(env);
        let mut evm = context.build_mainnet();
        let run = || {
            for (contract, data) in before {
                evm.system_call_one(contract, data)?;
            }
            let mut results = Vec::with_capacity(transactions.len());
            for transaction in transactions {
                results.push(evm.transact_one(transaction)?);
            }
            for (contract, data) in after {
                evm.system_call_one(contract, data)?;
            }
            Ok((results, evm.finalize()))
        };
        let result = run();
        (result, evm)
    }
}
