//! Sequential results of a block, and their comparison with Braid's.

use alloy_eips::eip7685::Requests;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, address};
use braid_blocks::compare::Differences;
use braid_blocks::compare::braid::{self, ExpectedList};
use braid_blocks::sequential::{
    AccessLists, OnInvalid, Position, Prepared, SequentialError, SequentialOutput,
};
use braid_evm::{Block, BlockError, BlockOutput, ChainRules, Mode};
use core::fmt::{Debug, Display};
use revm::DatabaseRef;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sequential results of a block.
#[derive(Debug)]
pub struct Expected<E> {
    result: Result<SequentialOutput, SequentialError<E>>,
    /// Results of the transactions before the failing one, if the oracle can determine them.
    prefix: Option<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    output: SequentialOutput,
    /// Whether the oracle's bundle covers exactly the transactions, without post-block calls.
    with_bundle: bool,
}

impl Prefix {
    /// Executes the transactions before `at`, if the oracle can determine their results: it always
    /// finishes a block, with all post-block calls or with none.
    fn of<D>(block: &Block, mode: Mode, database: &D, at: Position) -> Option<Self>
    where
        D: DatabaseRef,
    {
        let has_code = |addresses: &[Address]| have_code(database, addresses);
        let calls = block.rules.system_calls;
        let cut = prefix_of(block, at);
        if cut.rules.system_calls != calls && has_code(&BEFORE) {
            return None;
        }
        let asks = cut.rules.system_calls && cut.rules.requests;
        let with_bundle = at != Position::PreBlock && !(asks && has_code(&AFTER));
        // The database may panic on a read that only the post-block calls make.
        let output = catch_unwind(AssertUnwindSafe(|| run(&cut, mode, database))).ok()?.ok()?;
        let output = SequentialOutput { requests: Requests::default(), ..output };
        Some(Self { output, with_bundle })
    }
}

/// Returns whether one of these accounts has code.
fn have_code<D: DatabaseRef>(database: &D, addresses: &[Address]) -> bool {
    addresses.iter().any(|address| {
        let look = AssertUnwindSafe(|| database.basic_ref(*address));
        match catch_unwind(look) {
            Ok(Ok(info)) => info.is_some_and(|info| !info.is_empty_code_hash()),
            // After a failed read, the account may have code.
            Ok(Err(_)) | Err(_) => true,
        }
    })
}

/// Contracts that are called before the first transaction.
const BEFORE: [Address; 2] = [eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS];
/// Contracts that are called after the last transaction.
const AFTER: [Address; 4] = [
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    address!("0000BFF46984E3725691FA540A8C7589300D8282"),
    address!("000064D678505AD48F8CCB093BC65613800E8282"),
];

fn run<D: DatabaseRef>(
    block: &Block,
    mode: Mode,
    database: &D,
) -> Result<SequentialOutput, SequentialError<D::Error>> {
    let on_invalid = match mode {
        Mode::Validate => OnInvalid::Reject,
        Mode::Build => OnInvalid::Skip,
    };
    Prepared::new(&block.into()).with_access_lists().run(database, on_invalid)
}

impl<E: Display + Debug> Expected<E> {
    /// Executes `block` sequentially.
    pub fn new<D>(block: &Block, mode: Mode, database: &D) -> Self
    where
        D: DatabaseRef<Error = E>,
    {
        let result = run(block, mode, database);
        let prefix = result.as_ref().err();
        let prefix = prefix.and_then(|error| Prefix::of(block, mode, database, error.at));
        Self { result, prefix }
    }

    /// Returns the sequential output, if the block is valid.
    #[must_use]
    pub fn output(&self) -> Option<&SequentialOutput> {
        self.result.as_ref().ok()
    }

    /// Returns the sequential error, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&SequentialError<E>> {
        self.result.as_ref().err()
    }

    /// Returns the sequential output or error.
    ///
    /// # Errors
    /// Returns the sequential error, if there is one.
    pub fn into_result(self) -> Result<SequentialOutput, SequentialError<E>> {
        self.result
    }

    /// Compares Braid's results for the block: the whole output, or the error with the output of
    /// the transactions before it. The executor must not return access lists.
    ///
    /// # Errors
    /// Returns the differences in words.
    pub fn compare(&self, found: &Result<BlockOutput, BlockError<E>>) -> Result<(), String> {
        self.compare_with_list(found, false)
    }

    /// Same; `asked`: whether the executor was configured to return an access list.
    ///
    /// # Errors
    /// Returns the differences in words.
    pub fn compare_with_list(
        &self,
        found: &Result<BlockOutput, BlockError<E>>,
        asked: bool,
    ) -> Result<(), String> {
        match (&self.result, found) {
            (Ok(expected), Ok(found)) => {
                let list = known(expected.access_list.as_ref(), asked);
                compare_outputs(expected, list, found, true)
            }
            (Err(expected), Err(found)) => {
                none(&braid::errors(expected, found))?;
                // Braid returns no list if the block fails before its first transaction.
                let asked = asked && expected.at != Position::PreBlock;
                let list = known(expected.access_list.as_deref(), asked);
                let in_prefix = |differences| format!("committed prefix: {differences}");
                let Some(prefix) = &self.prefix else {
                    let difference = list.difference(&found.committed);
                    return difference.map_or(Ok(()), |difference| Err(in_prefix(difference)));
                };
                compare_outputs(&prefix.output, list, &found.committed, prefix.with_bundle)
                    .map_err(in_prefix)
            }
            (Ok(_), Err(found)) => Err(format!("expected success, found an error: {found}")),
            (Err(expected), Ok(_)) => Err(format!("expected the error {expected}, found success")),
        }
    }
}

/// Compares the committed prefix of a block that ended early for reasons other than its content
/// (cancelled, a database that failed once) with the results of these transactions. `asked`:
/// whether the executor was configured to return an access list.
///
/// # Errors
/// Returns the differences in words.
pub fn compare_prefix<D: DatabaseRef>(
    block: &Block,
    mode: Mode,
    database: &D,
    committed: &BlockOutput,
    asked: bool,
) -> Result<(), String> {
    let at = Position::Transaction(committed.outcomes.len());
    match Prefix::of(block, mode, database, at) {
        Some(prefix) => {
            let all = prefix.output.access_list.as_ref();
            let list = known(all.and_then(|all| all.before_end.as_deref()), asked);
            compare_outputs(&prefix.output, list, committed, prefix.with_bundle)
        }
        // A post-block call of the prefix may fail although none of the whole block does.
        None if block.rules.system_calls && have_code(database, &AFTER) => Ok(()),
        None => Err("the oracle cannot tell".into()),
    }
}

/// Returns the block up to `at`, without anything after its transactions.
fn prefix_of(block: &Block, at: Position) -> Block {
    let mut cut = block.clone();
    let ChainRules { system_calls, requests, .. } = block.rules;
    let (count, system_calls) = match at {
        Position::PreBlock => (0, false),
        Position::Transaction(index) => (index, system_calls),
        Position::PostBlock => (block.transactions.len(), false),
    };
    cut.transactions.truncate(count);
    cut.withdrawals = None;
    cut.ommers.clear();
    cut.rules =
        ChainRules { block_reward: Some(0), system_calls, requests, ..ChainRules::default() };
    cut
}

/// Returns the expected list, if the oracle has one.
fn known(list: Option<&AccessLists>, asked: bool) -> ExpectedList<'_> {
    match (asked, list) {
        (false, _) => ExpectedList::Absent,
        (true, None) => ExpectedList::Unknown,
        (true, Some(list)) => ExpectedList::Known(list),
    }
}

fn compare_outputs(
    expected: &SequentialOutput,
    list: ExpectedList<'_>,
    found: &BlockOutput,
    with_bundle: bool,
) -> Result<(), String> {
    if with_bundle {
        return none(&braid::outputs_with_list(expected, list, found));
    }
    let mut found = found.clone();
    found.bundle = expected.bundle.clone();
    none(&braid::outputs_with_list(expected, list, &found))
}

fn none(differences: &Differences) -> Result<(), String> {
    if differences.is_empty() { Ok(()) } else { Err(differences.to_string()) }
}
