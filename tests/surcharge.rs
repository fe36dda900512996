//! A fee of a chain's own, against plain revm with the same rule written into its handler.
//!
//! 1. Random hostile blocks of every fork up to Osaka: receipts and the bundle with its reverts are
//!    those of the sequential run, whoever gets the fee: a stranger, a sender, a contract, the
//!    beneficiary.
//! 2. A fee that is a wei off, or forgotten, is noticed.
//! 3. Transactions of different senders do not depend on each other through the fee.

use alloy_consensus::{EthereumReceipt, TxType};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, U256};
use braid_cli::compare::{Differences, Execution, differences};
use braid_evm::{Block, BlockOutput, ChainRules, Config, Executor, Mode, Policy, Surcharge};
use braid_fuzz::generate::Case;
use braid_fuzz::memory::{MemoryAccount, MemoryDatabase};
use revm::context::result::{EVMError, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, Context, ContextTr, JournalTr, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State, WrapDatabaseRef};
use revm::handler::{FrameResult, Handler, MainnetContext, MainnetEvm, post_execution};
use revm::handler::{MainBuilder, MainContext, pre_execution};
use revm::interpreter::InitialAndFloorGas;
use revm::primitives::hardfork::SpecId;
use revm::{Database, DatabaseCommit};
use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::sync::Arc;

const WORKERS: [u16; 4] = [1, 2, 3, 8];

/// What a rollup might ask for publishing a transaction; `per_byte` wei for a byte that is not zero.
fn price(tx: &TxEnv, per_byte: u64) -> U256 {
    let bytes: u64 = tx.data.iter().map(|byte| if *byte == 0 { 1 } else { 4 }).sum();
    U256::from(per_byte) * U256::from(bytes + tx.nonce % 3)
}

#[derive(Debug)]
struct Publishing {
    vault: Address,
    per_byte: u64,
}

impl Surcharge for Publishing {
    fn receiver(&self) -> Address {
        self.vault
    }

    fn amount(&self, tx: &TxEnv) -> U256 {
        price(tx, self.per_byte)
    }
}

/// revm's handler with the same rule, for one transaction after the other.
struct Reference<DB>(Address, u64, PhantomData<DB>);

impl<DB: Database> Handler for Reference<DB> {
    type Evm = MainnetEvm<MainnetContext<DB>>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let fee = price(&evm.ctx.tx, self.1);
        if !fee.is_zero() {
            let caller = evm.ctx.tx.caller;
            let mut account = evm.ctx.journal_mut().load_account_mut(caller)?.data;
            let balance = *account.balance();
            let Some(left) = balance.checked_sub(fee) else {
                let (fee, balance) = (Box::new(fee), Box::new(balance));
                return Err(InvalidTransaction::LackOfFundForMaxFee { fee, balance }.into());
            };
            account.set_balance(left);
        }
        pre_execution::validate_against_state_and_deduct_caller(&mut evm.ctx)
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        let fee = price(&evm.ctx.tx, self.1);
        if !fee.is_zero() {
            evm.ctx.journal_mut().balance_incr(self.0, fee)?;
        }
        Ok(post_execution::reward_beneficiary(&mut evm.ctx, result.gas())?)
    }
}

struct Sequential {
    receipts: Vec<EthereumReceipt>,
    gas_used: u64,
    bundle: BundleState,
    skipped: usize,
}

fn sequential(
    block: &Block,
    database: MemoryDatabase,
    vault: Address,
    per_byte: u64,
) -> Sequential {
    let mut state =
        State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update().build();
    let (mut receipts, mut gas_used, mut skipped) = (Vec::new(), 0, 0);
    for tx in &block.transactions {
        if tx.gas_limit > block.env.gas_limit - gas_used {
            skipped += 1;
            continue;
        }
        let context: MainnetContext<&mut State<_>> =
            Context::<BlockEnv, TxEnv, CfgEnv, _>::mainnet().with_db(&mut state);
        let context = context.with_block(block.env.clone()).with_cfg(block.cfg.clone());
        let mut evm = context.with_tx(tx.clone()).build_mainnet();
        let ran = Reference(vault, per_byte, PhantomData).run(&mut evm);
        let changes = evm.ctx.journal_mut().finalize();
        let Ok(result) = ran else {
            skipped += 1;
            continue;
        };
        state.commit(changes);
        gas_used += result.tx_gas_used();
        receipts.push(EthereumReceipt {
            tx_type: TxType::try_from(tx.tx_type).expect("a type"),
            success: result.is_success(),
            cumulative_gas_used: gas_used,
            logs: result.into_logs(),
        });
    }
    state.merge_transitions(BundleRetention::Reverts);
    Sequential { receipts, gas_used, bundle: state.take_bundle(), skipped }
}

fn braid(
    (workers, policy): (u16, Policy),
    block: &Block,
    database: MemoryDatabase,
    surcharge: Option<Publishing>,
) -> BlockOutput {
    let mut config = Config::with_workers(NonZeroU16::new(workers).expect("some"));
    (config.policy, config.mode) = (policy, Mode::Build);
    let mut executor = Executor::new(config).expect("starts");
    if let Some(surcharge) = surcharge {
        executor = executor.with_surcharge(Arc::new(surcharge));
    }
    executor.execute(block.clone(), database).expect("a block")
}

fn compare(expected: &Sequential, found: &BlockOutput) -> Differences {
    let nothing = Requests::default();
    let side = |receipts, gas_used, bundle| Execution {
        outcomes: Vec::new(),
        receipts,
        requests: &nothing,
        gas_used,
        blob_gas_used: 0,
        bundle,
    };
    let expected = side(&expected.receipts, expected.gas_used, &expected.bundle);
    differences(&expected, &side(&found.receipts, found.gas_used, &found.bundle), 5)
}

/// A hostile block, its transactions alone.
fn hostile(seed: u64) -> Option<(Block, Case)> {
    let case = Case::from_seed(seed);
    let mut block = case.block.clone();
    block.withdrawals = None;
    block.ommers.clear();
    block.rules =
        ChainRules { block_reward: Some(0), system_calls: false, ..ChainRules::default() };
    // From Amsterdam on a block counts two kinds of gas.
    (block.cfg.spec <= SpecId::OSAKA).then_some((block, case))
}

fn vaults(block: &Block, case: &Case) -> [Address; 4] {
    let stranger = Address::repeat_byte(0xfe);
    let sender = block.transactions.first().map_or(stranger, |tx| tx.caller);
    let contract = case.accounts.iter().find(|(_, account)| !account.code.is_empty());
    [stranger, sender, contract.map_or(stranger, |(address, _)| *address), block.env.beneficiary]
}

#[test]
fn random_blocks_with_a_surcharge_equal_sequential_execution() {
    let (mut blocks, mut executed, mut skipped) = (0, 0, 0);
    for seed in 0..600 {
        let Some((block, case)) = hostile(seed) else { continue };
        let vault = vaults(&block, &case)[seed as usize % 4];
        let expected = sequential(&block, case.database(), vault, 7);
        let workers = WORKERS[(seed / 4) as usize % WORKERS.len()];
        let surcharge = Publishing { vault, per_byte: 7 };
        // Left to choose, most of these blocks run in order on one worker.
        let policy = if seed % 3 == 0 { Policy::Auto } else { Policy::ForceSpeculative };
        let found = braid((workers, policy), &block, case.database(), Some(surcharge));
        let different = compare(&expected, &found);
        let spec = block.cfg.spec;
        assert!(different.is_empty(), "seed {seed}, {spec:?}, {workers} workers: {different}");
        blocks += 1;
        executed += expected.receipts.len();
        skipped += expected.skipped;
    }
    assert!(blocks > 400 && executed > 2_500 && skipped > 100, "{blocks}, {executed}, {skipped}");
}

#[test]
fn a_wrong_or_forgotten_surcharge_is_noticed() {
    let mut noticed = 0;
    for seed in 0..40 {
        let Some((block, case)) = hostile(seed) else { continue };
        let vault = Address::repeat_byte(0xfe);
        let expected = sequential(&block, case.database(), vault, 7);
        if !expected.bundle.state.contains_key(&vault) {
            continue;
        }
        for wrong in [None, Some(Publishing { vault, per_byte: 8 })] {
            let found = braid((3, Policy::ForceSpeculative), &block, case.database(), wrong);
            assert!(!compare(&expected, &found).is_empty(), "seed {seed}");
            noticed += 1;
        }
    }
    assert!(noticed > 20, "only {noticed}");
}

#[test]
fn the_vault_ties_no_transactions_together() {
    let sender = |index: u64| Address::from_word(U256::from(0x5e_0000 + index).into());
    let rich = MemoryAccount { balance: U256::from(u64::MAX), ..MemoryAccount::default() };
    let call = |index| TxEnv {
        caller: sender(index),
        gas_limit: 60_000,
        gas_price: 10,
        data: vec![1; 100].into(),
        kind: alloy_primitives::TxKind::Call(sender(1_000 + index)),
        chain_id: Some(1),
        ..TxEnv::default()
    };
    let block = Block {
        cfg: CfgEnv::new_with_spec(SpecId::SHANGHAI),
        transactions: (0..200).map(call).collect(),
        ..hostile(0).map_or_else(Block::default, |(block, _)| block)
    };
    let accounts = (0..200).map(|index| (sender(index), rich.clone())).collect();
    let database = MemoryDatabase::new(accounts);
    let runs = |vault| {
        let surcharge = Publishing { vault, per_byte: 7 };
        let output =
            braid((3, Policy::ForceSpeculative), &block, database.clone(), Some(surcharge));
        assert_eq!(output.receipts.len(), 200);
        let got = output.bundle.account(&vault).and_then(|account| account.info.as_ref());
        assert!(got.is_some_and(|info| info.balance >= U256::from(200 * 7 * 400)), "{got:?}");
        output.stats
    };
    let stats = runs(Address::repeat_byte(0xfe));
    assert_eq!(stats.discarded, 0, "{stats:?}");
}
