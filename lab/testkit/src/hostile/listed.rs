//! A valid block that comes with an access list, right or wrong, and what must become of it.

use super::oracle::{Expected, compare_prefix};
use super::spoil::{Draw, spoil};
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::{Address, Bytes, U256};
use braid_evm::{
    AccessListError, AccessListMismatch, At, Block, BlockError, BlockErrorKind, BlockOutput,
    Cloned, Config, Executor, Mode, Policy,
};
use core::fmt::{Debug, Display};
use revm::DatabaseRef;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

/// A valid block with a list, and what sequential execution makes of it.
#[derive(Debug)]
pub struct Listed<E> {
    /// The block with the list.
    pub block: Arc<Block>,
    /// What is wrong with the list; `None` if it is right.
    wrong: Option<Wrong>,
    expected: Expected<E>,
}

/// In what a list differs from the right one.
#[derive(Debug)]
struct Wrong {
    /// The lowest index that has other changes.
    index: Option<u64>,
    /// It has all accounts and slots of the right one.
    has_all: bool,
}

impl<E: Debug + Display> Listed<E> {
    /// `block` in validate mode with its own list, to which `draw` does something, if it is there;
    /// `None` if the block is invalid.
    ///
    /// # Errors
    /// The list of the block is not that of the oracle.
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
        let mut config = Config::with_workers(NonZeroU16::MIN);
        (config.policy, config.access_list) = (Policy::InOrder, true);
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

    /// Whether the list is that of the block.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.wrong.is_none()
    }

    /// Compares what was made of the block: all of the output, or the place at which a wrong list was found, with the
    /// output of the transactions before it. `asked`: the executor was asked for an access list.
    ///
    /// # Errors
    /// What is wrong, in words.
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
        } else if error.at != At::PreBlock {
            return Err(format!("{kind} was found at {}", error.at));
        }
        self.judge_prefix(error, database, asked)
    }

    /// What is committed is what the transactions before the error leave.
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
            At::PreBlock => 0,
            At::Transaction(tx) => tx.position(),
            At::PostBlock => self.block.transactions.len(),
        };
        if committed.outcomes.len() != before || !committed.requests.is_empty() {
            return Err(format!(
                "{} outcomes are committed, {before} expected",
                committed.outcomes.len()
            ));
        }
        if error.at == At::PreBlock {
            return Ok(());
        }
        let block = Block { access_list: None, ..Block::clone(&self.block) };
        compare_prefix(&block, Mode::Validate, database, committed, asked)
            .map_err(|difference| format!("committed prefix: {difference}"))
    }
}

impl Wrong {
    /// The place at which the list was found to be wrong is the first one.
    fn judge(&self, found: &AccessListMismatch, at: At, transactions: u64) -> Result<(), String> {
        let place = match at {
            At::PreBlock => 0,
            At::Transaction(tx) => tx.position() as u64 + 1,
            At::PostBlock => transactions + 1,
        };
        // What is not accessed at all is found at the end; what is accessed and not listed, at any index.
        let (index, latest) = (found.index, self.index.unwrap_or(transactions + 1));
        let is_first = if self.has_all { index == latest } else { index <= latest };
        if index != place || !is_first || found.listed == found.executed {
            return Err(format!("at {at}: {found}, and the first difference is at {latest}"));
        }
        Ok(())
    }
}

/// What of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Balance,
    Nonce,
    Code,
    Slot(U256),
}

/// A value that something is changed to.
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

/// The lowest index at which two lists have other changes.
fn first_difference(right: &Changes, list: &Changes) -> Option<u64> {
    let keys = right.keys().chain(list.keys());
    keys.filter(|key| right.get(key) != list.get(key)).map(|(index, ..)| *index).min()
}

/// Accounts and slots that a list has.
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
