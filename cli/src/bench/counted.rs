//! Executions for `cargo xtask instructions`, which counts what callgrind says of two functions here and all that they
//! call, by their names. Reading the block, preparing it and taking results apart are outside of them.

use super::rounds::BenchError;
use braid_evm::Executor;
use braid_testkit::{block::Block, sequential::Plain};
use revm::DatabaseRef;
use std::{fmt::Display, hint::black_box, sync::Arc};

/// Executions before the counted ones: whatever is learned or made once is there then.
const BEFORE: u32 = 2;

/// Executes `block` `times` times in each way, after some that are not counted.
///
/// # Errors
/// The block is invalid, or the gas that it uses differs.
pub fn counted<D>(
    executor: &mut Executor,
    block: &Block,
    shared: &Arc<braid_evm::Block>,
    database: &D,
    times: u32,
) -> Result<(), BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let invalid = |error: &dyn Display| BenchError::Invalid(error.to_string());
    for _ in 0..BEFORE {
        let (plain, _left) = Plain::new(block).run_keeping(database.clone());
        let plain = plain.map_err(|error| invalid(&error))?;
        let ours = executor.block(Arc::clone(shared)).database(database.clone()).execute();
        let ours = ours.map_err(|error| invalid(&error))?;
        if plain.gas_used != ours.gas_used {
            let differences = format!("gas: {} and {}", plain.gas_used, ours.gas_used);
            return Err(BenchError::Different { who: "Braid".to_owned(), differences });
        }
    }
    for _ in 0..times {
        drop(counted_sequential(Plain::new(block), database.clone()));
        drop(counted_braid(executor, Arc::clone(shared), database.clone()));
    }
    Ok(())
}

/// The baseline. The recipe knows this name.
#[inline(never)]
fn counted_sequential<D: DatabaseRef>(plain: Plain, database: D) -> impl Sized + use<D> {
    black_box(plain.run_keeping(database))
}

/// Braid. The recipe knows this name.
#[inline(never)]
fn counted_braid<D>(
    executor: &mut Executor,
    block: Arc<braid_evm::Block>,
    database: D,
) -> impl Sized + use<D>
where
    D: DatabaseRef<Error: Send> + Clone + Send + Sync + 'static,
{
    black_box(executor.block(block).database(database).execute())
}
