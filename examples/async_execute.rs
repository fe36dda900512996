//! Executes and builds blocks from a tokio runtime: no thread of the runtime blocks, and dropping a
//! future cancels its block. docs/INTEGRATION.md shows the functions `within` and `build_until` as
//! they stand here.
//!
//! `cargo run --example async_execute --features tokio`

mod common;

use braid_evm::{
    AsyncExecutor, Block, BlockOutput, BuiltBlock, CancellationToken, Cloned, Config, Executor,
    Rejection, StateSource, TransactionPool,
};
use common::rules;
use core::convert::Infallible;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, B256, U256};
use revm::state::AccountInfo;
use std::error::Error;
use std::time::{Duration, Instant};

/// Executes `block`; returns `None` if it takes longer than `time`.
async fn within<S: StateSource + 'static>(
    time: Duration,
    executor: &AsyncExecutor,
    block: Block,
    source: S,
) -> Result<Option<BlockOutput>, Box<dyn Error>> {
    let execution = executor.block(block).state(source).execute();
    match tokio::time::timeout(time, execution).await {
        Ok(output) => Ok(Some(output?)),
        Err(_) => Ok(None),
    }
}

/// A block of what `pool` gives out before `deadline`, and the pool.
async fn build_until<S: StateSource + 'static, P: TransactionPool + Send + 'static>(
    deadline: Instant,
    executor: &AsyncExecutor,
    template: Block,
    source: S,
    pool: P,
) -> Result<(P, BuiltBlock), Box<dyn Error>> {
    let token = CancellationToken::when(move || Instant::now() >= deadline);
    let (pool, built) = executor.block(template).state(source).cancel(token).build(pool).await;
    Ok((pool, built?))
}

/// A pool of valid transactions.
struct Pool(Vec<TxEnv>);

impl TransactionPool for Pool {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.pop()
    }

    fn skipped(&mut self, tx: &TxEnv, reason: &Rejection) {
        println!("{}, nonce {}: {reason}", tx.caller, tx.nonce);
    }
}

/// A slow database.
#[derive(Clone)]
struct Slow(CacheDB<EmptyDB>);

impl DatabaseRef for Slow {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        std::thread::sleep(Duration::from_millis(200));
        self.0.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        self.0.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        self.0.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        self.0.block_hash_ref(number)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
    let mut state = CacheDB::new(EmptyDB::new());
    state.insert_account_info(alice, AccountInfo::from_balance(U256::from(1_000)));
    let pay = |nonce| {
        let builder = TxEnv::builder().caller(alice).to(bob).nonce(nonce);
        builder.value(U256::from(3)).gas_limit(21_000).build_fill()
    };
    let block =
        Block { transactions: (0..100).map(pay).collect(), rules: rules(), ..Block::default() };
    // Creates a thread and the workers once; clones of the handle share the executor.
    let executor = AsyncExecutor::new(Executor::new(Config::default())?)?;
    let minute = Duration::from_secs(60);
    let output = within(minute, &executor, block.clone(), Cloned(state.clone())).await?;
    println!("{} gas", output.ok_or("it took more than a minute")?.gas_used);

    let pool = Pool((0..100).rev().map(pay).collect());
    let template = Block { transactions: Vec::new(), ..block.clone() };
    let (deadline, source) = (Instant::now() + minute, Cloned(state.clone()));
    let (pool, built) = build_until(deadline, &executor, template, source, pool).await?;
    assert!(pool.0.is_empty());
    println!("built of {} transactions", built.block.transactions.len());
    assert_eq!(built.block.transactions, block.transactions);

    let blink = Duration::from_millis(20);
    assert!(within(blink, &executor, block, Cloned(Slow(state))).await?.is_none());
    println!("ended after {blink:?}: the database is slow");
    Ok(())
}
