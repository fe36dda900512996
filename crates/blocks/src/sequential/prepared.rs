//! Prepares a block and runs it.

use super::{
    ForkSpec, OnInvalid, Position, SequentialError, SequentialErrorKind, SequentialOutcome,
    SequentialOutput, SkipReason,
    any::{AnyDatabase, any},
    database::Reads,
    finish::before_requests,
    lists::{AccessLists, Lists},
    parts::{Receipts, deposits, envelope, own_rewards, without_logs},
};
use crate::block::{Block, ChainRules, Ommer};
use alloy_consensus::{Header, TxEnvelope, transaction::Recovered};
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::{
    EthEvm, Evm, EvmEnv,
    block::{BlockExecutionError, BlockExecutor, BlockValidationError},
    eth::{EthBlockExecutionCtx, EthBlockExecutor, EthEvmBuilder},
    precompiles::{DynPrecompile, PrecompileInput, PrecompilesMap},
};
use alloy_primitives::{Address, B256, Bytes};
use revm::{
    DatabaseRef,
    context::{BlockEnv, CfgEnv, TxEnv},
    database::{BundleState, State, states::bundle_state::BundleRetention},
    database_interface::{DatabaseCommitExt, ErasedError},
    inspector::NoOpInspector,
    precompile::{PrecompileId, PrecompileResult},
    primitives::hardfork::SpecId,
};
use std::borrow::Cow;

/// A block in the form in which it is executed, so that a measurement can exclude the copying.
#[derive(Debug)]
pub struct Prepared {
    frame: Frame,
    transactions: Vec<(TxEnv, Recovered<TxEnvelope>)>,
}

/// A block without its transactions.
#[derive(Debug)]
pub(super) struct Frame {
    cfg: CfgEnv,
    env: BlockEnv,
    ommers: Vec<Header>,
    parent_hash: B256,
    parent_beacon_block_root: Option<B256>,
    withdrawals: Option<Vec<Withdrawal>>,
    rules: ChainRules,
    precompile: Option<(Address, OwnPrecompile)>,
    /// Builds access lists besides revm's.
    lists: Option<Lists>,
}

/// The function of a custom precompile.
pub type OwnPrecompile = fn(PrecompileInput<'_>) -> PrecompileResult;

impl Prepared {
    /// Copies what executing `block` needs.
    #[must_use]
    pub fn new(block: &Block) -> Self {
        let transactions = block.transactions.iter().map(|tx| (tx.clone(), envelope(tx))).collect();
        Self { frame: Frame::new(block), transactions }
    }

    /// Adds a precompile to Ethereum's.
    #[must_use]
    pub fn with_precompile(mut self, address: Address, call: OwnPrecompile) -> Self {
        self.frame.precompile = Some((address, call));
        self
    }

    /// Adds access lists to the output.
    #[must_use]
    pub fn with_access_lists(mut self) -> Self {
        self.frame.lists = Some(Lists::default());
        self
    }

    /// Executes the block on `db`: pre-block calls, transactions in order, post-block changes.
    ///
    /// # Errors
    /// Returns the first error in block order, with its position. With [`OnInvalid::Skip`], an
    /// invalid transaction is no error.
    pub fn run<D: DatabaseRef>(
        self,
        db: D,
        on_invalid: OnInvalid,
    ) -> Result<SequentialOutput, SequentialError<D::Error>> {
        self.run_any(any(db), on_invalid).map_err(SequentialError::typed)
    }

    fn run_any(
        self,
        db: AnyDatabase<'_>,
        on_invalid: OnInvalid,
    ) -> Result<SequentialOutput, SequentialError<ErasedError>> {
        self.run_keeping(db, on_invalid).0
    }

    /// As [`run`](Self::run), and also returns the values to be dropped, so that a measurement can
    /// separate the time until the result from the time of dropping.
    pub fn run_keeping<D: DatabaseRef>(
        self,
        db: D,
        on_invalid: OnInvalid,
    ) -> (Result<SequentialOutput, SequentialError<D::Error>>, impl Sized + use<D>) {
        let Self { frame, transactions } = self;
        let count = transactions.len();
        let lists = frame.lists.clone();
        frame.run_keeping(db, count, move |executor| {
            let mut outcomes = Vec::with_capacity(count);
            // A skipped transaction has no index.
            let mut next = 1;
            for (index, transaction) in transactions.into_iter().enumerate() {
                if let Some(lists) = &lists {
                    lists.set_index(executor.evm.db_mut(), next);
                }
                let outcome = run_transaction(executor, transaction, on_invalid);
                let outcome = outcome.map_err(|error| (Position::Transaction(index), error))?;
                next += u64::from(matches!(outcome, SequentialOutcome::Executed(_)));
                outcomes.push(outcome);
            }
            if let Some(lists) = &lists {
                lists.end_transactions(executor.evm.db_mut(), next);
            }
            Ok(outcomes)
        })
    }
}

impl Frame {
    /// Copies what executing `block` needs besides its transactions.
    pub(super) fn new(block: &Block) -> Self {
        let ommer = |ommer: &Ommer| Header {
            beneficiary: ommer.beneficiary,
            number: ommer.number,
            ..Header::default()
        };
        Self {
            cfg: block.cfg.clone(),
            env: block.env.clone(),
            ommers: block.ommers.iter().map(ommer).collect(),
            parent_hash: block.parent_hash,
            parent_beacon_block_root: block.parent_beacon_block_root,
            withdrawals: block.withdrawals.clone(),
            rules: block.rules.clone(),
            precompile: None,
            lists: None,
        }
    }

    /// Executes the block on `db`; `transactions` runs all of its `count` transactions. Also
    /// returns the values to be dropped.
    pub(super) fn run_keeping<D: DatabaseRef, F>(
        self,
        db: D,
        count: usize,
        transactions: F,
    ) -> (Result<SequentialOutput, SequentialError<D::Error>>, impl Sized + use<D, F>)
    where
        F: FnOnce(&mut OracleExecutor<'_, '_, D>) -> Transactions,
    {
        let (reads, failure) = Reads::new(db);
        let mut state = State::builder().with_database(reads).with_bundle_update().build();
        let lists = self.lists.clone();
        let rewarded = self.ommers.iter().map(|ommer| ommer.beneficiary).collect();
        if let Some(lists) = &lists {
            lists.listen(&mut state);
        }
        let result = match self.run_on(&mut state, count, transactions) {
            Ok(output) => {
                state.merge_transitions(BundleRetention::Reverts);
                let access_list =
                    lists.map(|lists| AccessLists { rewarded, ..lists.take(&mut state) });
                Ok(SequentialOutput { bundle: state.take_bundle(), access_list, ..output })
            }
            Err((at, error)) => {
                let base = failure.borrow_mut().take();
                let access_list = lists.map(|lists| {
                    let mut all = lists.take(&mut state);
                    all.before_end.take().unwrap_or_else(|| Box::new(all))
                });
                let kind = SequentialErrorKind::new(error, base);
                Err(SequentialError { at, kind, access_list })
            }
        };
        (result, state)
    }

    fn run_on<D: DatabaseRef>(
        self,
        state: &mut State<Reads<D>>,
        count: usize,
        transactions: impl FnOnce(&mut OracleExecutor<'_, '_, D>) -> Transactions,
    ) -> Result<SequentialOutput, (Position, BlockExecutionError)> {
        let number = self.env.number.saturating_to();
        let fork = self.cfg.spec;
        let spec = ForkSpec::new(fork, &self.rules, number).for_executor(&self.rules);
        let own_rewards = own_rewards(&self.rules, self.env.beneficiary, number, &self.ommers);
        let is_asked = self.rules.system_calls && self.rules.requests;
        let has_requests = is_asked && fork.is_enabled_in(SpecId::PRAGUE);
        let (paid_first, paid_last) = match has_requests {
            true => (self.withdrawals, None),
            false => (None, self.withdrawals),
        };
        let ctx = EthBlockExecutionCtx {
            parent_hash: self.parent_hash,
            parent_beacon_block_root: self.parent_beacon_block_root,
            ommers: &self.ommers,
            withdrawals: paid_last.map(Cow::Owned),
            extra_data: Bytes::new(),
            tx_count_hint: Some(count),
            slot_number: Some(self.env.slot_num),
        };
        let evm_env = EvmEnv { cfg_env: self.cfg, block_env: self.env };
        let mut evm = EthEvmBuilder::new(state, evm_env).build();
        if let Some((address, call)) = self.precompile {
            let own = DynPrecompile::new_stateful(PrecompileId::custom("own"), call);
            evm.precompiles_mut().apply_precompile(&address, |_| Some(own));
        }
        let mut executor = EthBlockExecutor::new(evm, ctx, spec, Receipts);

        if self.rules.system_calls {
            executor.apply_pre_execution_changes().map_err(|error| (Position::PreBlock, error))?;
        }
        let outcomes = transactions(&mut executor)?;
        if has_requests {
            let parsed = deposits(&spec, &executor.receipts);
            parsed.map_err(|error| (Position::PostBlock, error))?;
            before_requests(executor.evm.db_mut(), fork, paid_first.as_deref())
                .map_err(|error| (Position::PostBlock, error))?;
        } else {
            executor.spec = spec.without_requests();
        }
        let finished = executor.finish();
        let (evm, mut result) = finished.map_err(|error| (Position::PostBlock, error))?;
        if !has_requests && fork.is_enabled_in(SpecId::PRAGUE) {
            let deposits = deposits(&spec, &result.receipts);
            result.requests = deposits.map_err(|error| (Position::PostBlock, error))?;
        }
        let (state, _) = evm.finish();
        state.increment_balances(own_rewards).map_err(|_| {
            (Position::PostBlock, BlockValidationError::IncrementBalanceFailed.into())
        })?;
        Ok(SequentialOutput {
            outcomes,
            receipts: result.receipts,
            requests: result.requests,
            gas_used: result.gas_used,
            blob_gas_used: result.blob_gas_used,
            bundle: BundleState::default(),
            access_list: None,
        })
    }
}

/// Outcomes of all transactions of a block, or the error that ended it.
pub(super) type Transactions = Result<Vec<SequentialOutcome>, (Position, BlockExecutionError)>;

type OracleEvm<'a, D> = EthEvm<&'a mut State<Reads<D>>, NoOpInspector, PrecompilesMap>;
pub(super) type OracleExecutor<'a, 'b, D> =
    EthBlockExecutor<'b, OracleEvm<'a, D>, ForkSpec, Receipts>;

fn run_transaction<D: DatabaseRef>(
    executor: &mut OracleExecutor<'_, '_, D>,
    transaction: (TxEnv, Recovered<TxEnvelope>),
    on_invalid: OnInvalid,
) -> Result<SequentialOutcome, BlockExecutionError> {
    match executor.execute_transaction_without_commit(transaction) {
        Ok(executed) => {
            let outcome = SequentialOutcome::Executed(without_logs(&executed.result.result));
            executor.commit_transaction(executed);
            Ok(outcome)
        }
        Err(error) => match SkipReason::of(&error) {
            Some(reason) if on_invalid == OnInvalid::Skip => Ok(SequentialOutcome::Skipped(reason)),
            _ => Err(error),
        },
    }
}
