//! A valid block with a correct or wrong access list, and the checks of its results.

use super::oracle::{Expected, compare_prefix};
use super::spoil::{Draw, spoil};
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::{
    AccessListError, AccessListMismatch, Block, BlockError, BlockErrorKind, BlockOutput,
    BlockPosition, Cloned, Config, Executor, Mode, Policy,
};
use core::fmt::{Debug, Display};
use revm::DatabaseRef;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

/// A valid block with an access list, and its sequential results.
#[derive(Debug)]
pub struct Listed<E> {
    /// The block with the list.
    pub block: Arc<Block>,
    /// How the list is wrong; `None` if it is correct.
    wrong: Option<Wrong>,
    expected: Expected<E>,
}

/// How a list differs from the correct one.
#[derive(Debug)]
struct Wrong {
    /// The lowest index with different changes.
    index: Option<u64>,
    /// Whether the list has all accounts and slots of the correct one.
    has_all: bool,
}

impl<E: Debug + Display> Listed<E> {
    /// Returns `block` in validate mode with its own list, which `draw` may spoil; `None` if the
    /// block is invalid.
    ///
    /// # Errors
    /// Returns an error if the block's list differs from the oracle's.
    pub fn new<D>(
        block: &Block,
        database: &D,
        draw: Option<Draw<'_>>,
    ) -> Result<Option<Self>, String>
    where
        D: DatabaseRef<Error = E> + Clone + Send + Sync + 'static,
    {
        let expected = Expected::new(block, Mode::Validate, database);
        let Some(output) = expected.output() else { return Ok(None) };
        // The list of the shipped executor, also where another one has a seeded bug.
        #[cfg(feature = "mutants")]
        let _shipped = braid_evm::mutants::seed(None);
        let mut config = Config::with_workers(NonZeroU16::MIN);
        (config.policy, config.access_list) = (Policy::Sequential, true);
        let executor = Executor::new(config).map_err(|error| error.to_string());
        let made = executor?.block(block.clone()).state(Cloned(database.clone())).execute();
        let made = made.ok().and_then(|output| output.access_list).ok_or("there is no list")?;
        let known = output.access_list.as_ref().ok_or("the oracle has no list")?;
        if let Some(difference) = known.difference(&made) {
            return Err(difference);
        }
        let right: Vec<_> = made.iter().cloned().collect();
        let mut list = right.clone();
        if let Some(draw) = draw {
            spoil(&mut list, block.transactions.len(), draw);
        }
        let wrong = (list != right).then(|| Wrong {
            index: first_difference(&changes(&right), &changes(&list)),
            has_all: accessed(&list).is_superset(&accessed(&right)),
        });
        let access_list = Some(Arc::new(Bal::new(list)));
        let block = Arc::new(Block { access_list, ..block.clone() });
        Ok(Some(Self { block, wrong, expected }))
    }

    /// Returns whether the list is correct.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.wrong.is_none()
    }

    /// Compares the results of the block: the whole output or, for a wrong list, the position of
    /// the error and the output of the transactions before it. `asked`: whether the executor was
    /// configured to return an access list.
    ///
    /// # Errors
    /// Returns a description of the difference.
    pub fn judge<D>(
        &self,
        found: &Result<BlockOutput, BlockError<E>>,
        database: &D,
        asked: bool,
    ) -> Result<(), String>
    where
        D: DatabaseRef<Error = E>,
    {
        let Some(wrong) = &self.wrong else {
            return self.expected.compare_with_list(found, asked);
        };
        let error = match found {
            Ok(_) => return Err("the list is wrong, and the block was accepted".into()),
            Err(error) => error,
        };
        let BlockErrorKind::AccessList(kind) = &error.kind else {
            return Err(format!("the list is wrong, and the block ended with {error}"));
        };
        let transactions = self.block.transactions.len() as u64;
        if let AccessListError::Mismatch(mismatch) = kind {
            wrong.judge(mismatch, error.at, transactions)?;
        } else if error.at != BlockPosition::PreBlock {
            return Err(format!("{kind} was found at {}", error.at));
        }
        self.judge_prefix(error, database, asked)
    }

    /// Compares the committed output with that of the transactions before the error.
    fn judge_prefix<D>(
        &self,
        error: &BlockError<E>,
        database: &D,
        asked: bool,
    ) -> Result<(), String>
    where
        D: DatabaseRef<Error = E>,
    {
        let committed = &error.committed;
        let before = match error.at {
            BlockPosition::PreBlock => 0,
            BlockPosition::Transaction(tx) => tx.position(),
            BlockPosition::PostBlock => self.block.transactions.len(),
        };
        if committed.outcomes.len() != before || !committed.requests.is_empty() {
            return Err(format!(
                "{} outcomes are committed, {before} expected",
                committed.outcomes.len()
            ));
        }
        if error.at == BlockPosition::PreBlock {
            return Ok(());
        }
        let block = Block { access_list: None, ..Block::clone(&self.block) };
        compare_prefix(&block, Mode::Validate, database, committed, asked)
            .map_err(|difference| format!("committed prefix: {difference}"))
    }
}

impl Wrong {
    /// Checks that the error is reported at the first possible position.
    fn judge(
        &self,
        found: &AccessListMismatch,
        at: BlockPosition,
        transactions: u64,
    ) -> Result<(), String> {
        let place = match at {
            BlockPosition::PreBlock => 0,
            BlockPosition::Transaction(tx) => tx.position() as u64 + 1,
            BlockPosition::PostBlock => transactions + 1,
        };
        // An entry that is not accessed at all is found at the end; an access without an entry, at
        // any index.
        let (index, latest) = (found.index, self.index.unwrap_or(transactions + 1));
        let is_first = if self.has_all { index == latest } else { index <= latest };
        if index != place || !is_first || found.listed == found.executed {
            return Err(format!("at {at}: {found}, and the first difference is at {latest}"));
        }
        Ok(())
    }
}

/// A field of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Balance,
    Nonce,
    Code,
    Slot(U256),
}

/// The value after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(U256),
    Code(Bytes),
}

/// The changes of a list by index, account and field.
type Changes = BTreeMap<(u64, Address, Field), Value>;

fn changes(list: &[AccountChanges]) -> Changes {
    let mut all = Changes::new();
    for account in list {
        let mut put = |index: BlockAccessIndex, field, value| {
            all.insert((index.get(), account.address, field), value);
        };
        for change in &account.balance_changes {
            put(change.block_access_index, Field::Balance, Value::Number(change.post_balance));
        }
        for change in &account.nonce_changes {
            let nonce = Value::Number(U256::from(change.new_nonce));
            put(change.block_access_index, Field::Nonce, nonce);
        }
        for change in &account.code_changes {
            put(change.block_access_index, Field::Code, Value::Code(change.new_code.clone()));
        }
        for slot in &account.storage_changes {
            for change in &slot.changes {
                let value = Value::Number(change.new_value);
                put(change.block_access_index, Field::Slot(slot.slot), value);
            }
        }
    }
    all
}

/// Returns the lowest index at which the changes of two lists differ.
fn first_difference(right: &Changes, list: &Changes) -> Option<u64> {
    let keys = right.keys().chain(list.keys());
    keys.filter(|key| right.get(key) != list.get(key)).map(|(index, ..)| *index).min()
}

/// Returns the accounts and slots of a list.
fn accessed(list: &[AccountChanges]) -> BTreeSet<(Address, Option<U256>)> {
    let of = |account: &AccountChanges| {
        let slots = account.storage_changes.iter().map(|slot| slot.slot);
        let slots: Vec<_> = slots.chain(account.storage_reads.iter().copied()).collect();
        let address = account.address;
        core::iter::once((address, None))
            .chain(slots.into_iter().map(move |it| (address, Some(it))))
    };
    list.iter().flat_map(of).collect()
}
